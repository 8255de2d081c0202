/** Tests the Postgres provider between a manager that gives up and a late server. */
import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import type { Patience, Provider } from "../core/provider.ts";
import { SessionError } from "../mod.ts";
import {
  type PostgresClient,
  PostgresProvider,
  type PostgresStatement,
} from "../providers/postgres.ts";
import { Gate, signedIn, Site } from "./_browser.ts";
import { fill, missing, PostgresServer } from "./_postgres_server.ts";
import { makeData, makeFamily, makeId, makeRecord, START } from "./_records.ts";

if (missing !== undefined) {
  console.log(`Tests of a late Postgres server are skipped: ${missing}`);
}
const describeOnServer = missing === undefined ? describe : describe.skip;
const server = missing === undefined ? await PostgresServer.start() : undefined;
const pools: pg.Pool[] = [];
const admin = connect();

after(async () => {
  await Promise.all(pools.map((pool) => pool.end()));
  await server?.stop();
});

const A = makeId(1);
const GUARD = { family: makeFamily("secret") };
const ON_BUN = "Bun" in globalThis;

function connect(options: pg.PoolConfig = {}): pg.Pool {
  const pool = new pg.Pool({ connectionString: server?.url(), ...options });
  pool.on("error", () => {});
  pools.push(pool);
  return pool;
}

let tables = 0;
function newTable(): string {
  return `late_${tables++}`;
}

/** Somebody who waits for so many milliseconds. */
function waiting(milliseconds: number): Patience {
  const giveUpAt = performance.now() + milliseconds;
  return { giveUpAt, extend() {} };
}

/** Has a call wait for a transaction that is undone once nobody waits any more. */
async function inVain(
  sql: string,
  call: (patience: Patience) => unknown,
): Promise<void> {
  const holder = await admin.connect();
  await holder.query(`BEGIN; ${sql}`);
  const failed = assertRejects(async () => await call(waiting(50)), Error);
  await sleep(80);
  await holder.query("ROLLBACK");
  holder.release();
  await failed;
}

/** A client that can hold statements back, as a network or a full pool does. */
class Slow {
  #gate: Gate | undefined;

  async query(statement: PostgresStatement | string): Promise<unknown> {
    await this.#gate?.promise;
    return await admin.query(statement as PostgresStatement);
  }

  hold(): () => void {
    const gate = this.#gate = new Gate();
    return () => {
      this.#gate = undefined;
      gate.open();
    };
  }
}

/** A provider on a slow client, with a session, and one that is not slow. */
async function slow() {
  const table = newTable();
  const client = new Slow();
  const provider = new PostgresProvider(client, { table });
  const other = new PostgresProvider(admin, { table });
  await provider.create(A, makeRecord({ principal: "ada" }), START);
  await provider.serverTime();
  return { table, client, provider, other };
}

function set(value: number) {
  return { set: makeData([["a", value]]) };
}

describeOnServer("a statement that a Postgres server gets late", () => {
  const calls: Record<string, (on: Provider, for_: Patience) => unknown> = {
    update: (on, patience) => on.update(A, set(1), GUARD, START, patience),
    touch: (on, patience) => on.touch(A, START + 1000, patience),
    destroy: (on, patience) => on.destroy(A, GUARD, START, patience),
    destroyMany: (on, patience) => on.destroyMany!([A], GUARD, START, patience),
    destroyAll: (on, patience) => on.destroyAll("ada", undefined, patience),
    clear: (on, patience) => on.clear(patience),
    gc: (on, patience) => on.gc(START + 86_400_000, 10, patience),
    create: (on, patience) =>
      on.create(makeId(2), makeRecord({ principal: "ada" }), START, patience),
  };

  for (const [name, call] of Object.entries(calls)) {
    it(`does nothing: ${name}`, async () => {
      const { client, provider, other } = await slow();
      const before = await other.read(A, START);
      const release = client.hold();
      const called = Promise.resolve(call(provider, waiting(50)));
      await sleep(80);
      release();
      const error = await assertRejects(() => called, SessionError);
      assertEquals(error.code, "timeout");
      assertEquals(await other.read(A, START), before);
      assertEquals((await other.list("ada", START)).sessions.length, 1);
    });

    it(`does what it is to if it is in time: ${name}`, async () => {
      const { provider, other } = await slow();
      const before = await other.read(A, START);
      await call(provider, waiting(5000));
      const count = (await other.list("ada", START)).sessions.length;
      const after = await other.read(A, START);
      assert(
        count !== 1 || before?.version !== after?.version ||
          before?.accessedAt !== after?.accessedAt,
      );
    });
  }

  const waiters = Object.keys(calls)
    .filter((name) => name !== "gc" && name !== "create");
  for (const name of waiters) {
    it(`does nothing after it waited for a lock in vain: ${name}`, async () => {
      const { table, provider, other } = await slow();
      const before = await other.read(A, START);
      const write = `UPDATE ${table} SET version = 99`;
      await inVain(write, (patience) => calls[name]!(provider, patience));
      assertEquals(await other.read(A, START), before);
    });
  }

  it("does nothing after it waited for another of its id in vain", async () => {
    const { table, provider, other } = await slow();
    const row = `INSERT INTO ${table} SELECT (jsonb_populate_record(kept,
      jsonb_build_object('id', '${makeId(2)}'))).* FROM ${table} AS kept`;
    await inVain(row, (patience) => calls["create"]!(provider, patience));
    assertEquals(await other.read(makeId(2), START), undefined);
    assert(
      await provider.create(makeId(2), makeRecord(), START, waiting(5000)),
    );
  });

  it("does nothing after it stood in the queue of a pool", async () => {
    const table = newTable();
    const pool = connect({ max: 1 });
    const provider = new PostgresProvider(pool, { table });
    await provider.create(A, makeRecord(), START, waiting(5000));
    const held = await pool.connect();
    const called = provider.update(A, set(1), GUARD, START, waiting(50));
    const failed = assertRejects(() => called, SessionError);
    await sleep(80);
    held.release();
    assertEquals((await failed).code, "timeout");
    assertEquals((await provider.read(A, START))?.version, 1);
  });

  it("brings back no older value and ends no later sign-in", async () => {
    const table = newTable();
    const client = new Slow();
    const other = new Site({
      provider: new PostgresProvider(admin, { table }),
    });
    const site = new Site({
      provider: new PostgresProvider(client, { table }),
      timeout: 0.05,
    });
    const browser = await signedIn(other);
    await site.start(browser.cookie);
    await sleep(20);
    const session = await site.start(browser.cookie);
    const release = client.hold();
    session.set("plan", "old");
    const commit = assertRejects(() => site.commit(session), SessionError);
    const signOut = assertRejects(
      () => site.manager.destroyAll("ada"),
      SessionError,
    );
    await Promise.all([commit, signOut]);
    await browser.visit((session) => session.set("plan", "new"));
    const later = await signedIn(other);
    release();
    await sleep(50);
    const plans = [browser, later].map((each) =>
      each.look((session) => [session.principal, session.get("plan")])
    );
    assertEquals(await Promise.all(plans), [["ada", "new"], [
      "ada",
      undefined,
    ]]);
  });
});

describeOnServer("the clock of a Postgres server", () => {
  it("is what serverTime says", async () => {
    const { provider } = await slow();
    assertLess(Math.abs(await provider.serverTime() - Date.now()), 1000);
  });

  it("is measured once for many calls, with the first of them", async () => {
    const texts: string[] = [];
    const client = {
      query(statement: PostgresStatement) {
        texts.push(statement.text);
        return admin.query(statement);
      },
    };
    const table = newTable();
    const provider = new PostgresProvider(client as PostgresClient, { table });
    await provider.create(A, makeRecord(), START, waiting(5000));
    for (let call = 0; call < 20; call++) {
      await provider.touch(A, START + call, waiting(5000));
    }
    const clocks = texts.filter((text) => text.includes("(SELECT (extract"));
    assertEquals(clocks.length, 1);
    assertLess(texts.length, 26);
  });

  it("can be set meanwhile: a call that is waited for is made once more", async () => {
    const { other, table } = await slow();
    let ahead = 0;
    // As a server whose clock jumps: what it compares with, and what it says.
    const client = {
      async query({ name, text, values }: PostgresStatement) {
        const shifted = text.replaceAll(
          "clock_timestamp()",
          `(clock_timestamp() + interval '${ahead} s')`,
        );
        return await admin.query({
          name: `${name}${ahead}`,
          text: shifted,
          values,
        });
      },
    };
    const provider = new PostgresProvider(client as PostgresClient, { table });
    assertEquals(
      await provider.update(A, set(1), GUARD, START, waiting(5000)),
      "done",
    );
    ahead = 3600;
    for (let call = 2; call < 5; call++) {
      assertEquals(
        await provider.update(A, set(call), GUARD, START, waiting(5000)),
        "done",
      );
    }
    assertEquals((await other.read(A, START))?.version, 5);
  });
});

describeOnServer("an answer of a Postgres server", () => {
  it("is not late because an id begins like that", async () => {
    const { provider } = await slow();
    const id = "late4567890123456789abcd";
    await provider.create(id, makeRecord(), START);
    const ended = await provider.destroyMany([id], {}, START, waiting(5000));
    assertEquals(ended, [id]);
  });

  it("stands when the time is up just after all was done", async () => {
    const { provider, client } = await slow();
    const query = client.query.bind(client);
    client.query = async (statement) => {
      const { rows } = await query(statement) as { rows: object[] };
      return { rows: [...rows, { answer: `late at ${Date.now()}` }] };
    };
    const ended = await provider.destroyMany([A], {}, START, waiting(5000));
    assertEquals(ended, [A]);
  });

  it("that never comes keeps no later call from the table", async () => {
    const gate = new Gate();
    let asked = 0;
    const client = {
      async query(statement: PostgresStatement) {
        if (asked++ === 0) await gate.promise;
        return await admin.query(statement);
      },
    };
    const table = newTable();
    const provider = new PostgresProvider(client as PostgresClient, { table });
    const first = provider.read(A, START);
    await sleep(1100);
    const second = provider.read(A, START).then(() => "answered");
    const outcome = await Promise.race([second, sleep(2000, "hanging")]);
    gate.open();
    assertEquals(outcome, "answered");
    assertEquals(await first, undefined);
  });
});

describeOnServer("an answer to another statement", () => {
  const calls: Record<string, (on: Provider) => unknown> = {
    read: (on) => on.read(A, START),
    create: (on) => on.create(makeId(2), makeRecord(), START),
    update: (on) => on.update(A, set(1), GUARD, START),
    touch: (on) => on.touch(A, START),
    destroy: (on) => on.destroy(A, GUARD, START),
    destroyMany: (on) => on.destroyMany!([A], GUARD, START),
    gc: (on) => on.gc(START, 10),
    list: (on) => on.list("ada", START),
    destroyAll: (on) => on.destroyAll("ada"),
    clear: (on) => on.clear(),
    scan: (on) => on.scan!(undefined, 10, START),
    serverTime: (on) => on.serverTime!(),
  };
  const others: Record<string, readonly object[]> = {
    "no rows": [],
    "one of another shape": [{ count: "0" }],
    "done": [{ answer: "done" }],
    "absent": [{ answer: "absent" }],
    "another's": [{ answer: "AbCdEfGh" }, { answer: "done" }],
  };

  it("is never taken for one", async () => {
    for (const [name, call] of Object.entries(calls)) {
      for (const [what, rows] of Object.entries(others)) {
        const { provider, client } = await slow();
        client.query = () => Promise.resolve({ rows });
        const error = await assertRejects(
          async () => await call(provider),
          SessionError,
          "prepare: false",
        );
        assertEquals(error.code, "store-failed", `${name}: ${what}`);
      }
    }
  });

  it("is not taken for one either if both are the provider's own", async () => {
    const { provider, client } = await slow();
    const query = client.query.bind(client);
    const kept: unknown[] = [];
    client.query = async (statement) => {
      const answer = await query(statement);
      kept.push(answer);
      return answer;
    };
    await provider.touch(A, START + 1);
    await provider.read(makeId(9), START);
    client.query = () => Promise.resolve(kept.at(0));
    await assertRejects(
      async () => await provider.destroy(A, GUARD, START),
      SessionError,
    );
    client.query = () => Promise.resolve(kept.at(-1));
    await assertRejects(
      async () => await provider.destroy(A, GUARD, START),
      SessionError,
    );
  });
});

describeOnServer("many sessions in Postgres", () => {
  it("end together, each as destroy would, and once", async () => {
    const provider = new PostgresProvider(admin, { table: newTable() });
    for (const [number, principal] of ["ada", "bob", "ada"].entries()) {
      await provider.create(makeId(number), makeRecord({ principal }), START);
    }
    const idle = makeRecord({ principal: "ada", idleTimeout: 1 });
    await provider.create(makeId(3), idle, START);
    const ids = [0, 1, 2, 2, 3, 4].map(makeId);
    const guard = { principal: "ada" };
    const ended = await provider.destroyMany(ids, guard, START + 1000);
    assertEquals([...ended].sort(), [0, 2].map(makeId).sort());
    assertEquals(await provider.destroyMany(ids, guard, START), []);
    assertEquals(await provider.destroyMany([], guard, START), []);
    assert(await provider.read(makeId(1), START) !== undefined);
  });

  it("end in batches, each of which is told", async () => {
    const table = newTable();
    const provider = new PostgresProvider(admin, { table });
    await provider.create(A, makeRecord({ principal: "ada" }), START);
    await fill(admin, table, 11_999);
    let steps = 0;
    const patience = {
      giveUpAt: performance.now() + 5000,
      extend: () => steps++,
    };
    assertEquals(await provider.destroyAll("ada", undefined, patience), 12_000);
    assertGreater(steps, 1);
    assertEquals(await provider.clear(), 0);
  });
});

describe("the options in a Postgres URL", () => {
  const make = (url: string, options = {}) =>
    new PostgresProvider(url, options);
  const URL_ = "postgres://localhost/shop";

  it("are checked wherever a URL is taken", () => {
    for (
      const [url, options, message] of [
        [
          `${URL_}?prepare=no`,
          {},
          "prepare must be true or false: received no",
        ],
        [`${URL_}?table=a-b`, {}, "table must be letters"],
        [`${URL_}?table=a&table=b`, {}, "table stands twice"],
        [`${URL_}?prepare=false`, { prepare: true }, "prepare is given twice"],
        [`${URL_}?table=a`, { table: "a" }, "table is given twice"],
      ] as const
    ) {
      assertThrows(() => make(url, options), TypeError, message);
    }
    assertThrows(() => make("no url"), TypeError, "its URL is none");
  });

  it("do not reach the client", { skip: !ON_BUN }, async () => {
    const { Bun } = globalThis as unknown as { Bun: { SQL: unknown } };
    const { SQL } = Bun;
    const given: unknown[] = [];
    Bun.SQL = class {
      constructor(...args: unknown[]) {
        given.push(...args);
      }
      close() {
        return Promise.resolve();
      }
    };
    try {
      const url = `${URL_}?prepare=false&table=shop.sessions&max=3`;
      await make(url).close();
    } finally {
      Bun.SQL = SQL;
    }
    assertEquals(given, [`${URL_}?max=3`, { prepare: false }]);
  });
});
