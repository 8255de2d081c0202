/** Tests the MySQL provider between a manager that gives up and a server in trouble. */
import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertRejects,
} from "@std/assert";
import mysql from "mysql2/promise";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Patience, Provider } from "../core/provider.ts";
import { SessionError } from "../mod.ts";
import {
  type MysqlParam,
  MysqlProvider,
  type MysqlStatement,
} from "../providers/mysql.ts";
import { Gate, signedIn, Site } from "./_browser.ts";
import { MariaServer, missing } from "./_mariadb_server.ts";
import { makeData, makeFamily, makeId, makeRecord, START } from "./_records.ts";
import { missingTinyDisk, TinyDisk } from "./chaos/tiny_disk.ts";

if (missing !== undefined) {
  console.log(`Tests of MariaDB in trouble are skipped: ${missing}`);
}
const describeOnServer = missing === undefined ? describe : describe.skip;
const server = missing === undefined ? await MariaServer.start() : undefined;
const pools: mysql.Pool[] = [];
const admin = connect();

after(async () => {
  await Promise.all(pools.map((pool) => pool.end()));
  await server?.stop();
});

const A = makeId(1);
const GUARD = { family: makeFamily("secret") };

function connect(
  uri = server?.url() ?? "mysql://127.0.0.1/none",
  connectionLimit = 10,
): mysql.Pool {
  const pool = mysql.createPool({ uri, connectionLimit });
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
  const holder = await admin.getConnection();
  await holder.query("BEGIN");
  await holder.query(sql);
  const failed = assertRejects(
    async () => await call(waiting(100)),
    SessionError,
  );
  await sleep(200);
  await holder.query("ROLLBACK");
  holder.release();
  assertEquals((await failed).code, "timeout");
}

/** A client that can hold statements back, as a network or a full pool does. */
class Slow {
  readonly sent: string[] = [];
  #gate: Gate | undefined;

  async execute(
    statement: MysqlStatement,
    values: MysqlParam[],
  ): Promise<unknown> {
    await this.#gate?.promise;
    this.sent.push(statement.sql);
    return await admin.execute(statement, values);
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
  const provider = new MysqlProvider(client, { table });
  const other = new MysqlProvider(admin, { table });
  await provider.create(A, makeRecord({ principal: "ada" }), START);
  await provider.serverTime();
  return { table, client, provider, other };
}

function set(value: number) {
  return { set: makeData([["a", value]]) };
}

describeOnServer("a statement that MariaDB gets late", () => {
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
      const failed = assertRejects(() => called, SessionError);
      await sleep(80);
      release();
      assertEquals((await failed).code, "timeout");
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

  const waiters = Object.keys(calls).filter((name) => name !== "create");
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
    const [columns] = await admin.query(
      `SHOW COLUMNS FROM ${table} WHERE Field <> 'id'`,
    );
    const names = (columns as { Field: string }[])
      .map(({ Field }) => Field).join();
    const row = `INSERT INTO ${table} (id, ${names})
      SELECT '${makeId(2)}', ${names} FROM ${table}`;
    await inVain(row, (patience) => calls["create"]!(provider, patience));
    assertEquals(await other.read(makeId(2), START), undefined);
    assert(
      await provider.create(makeId(2), makeRecord(), START, waiting(5000)),
    );
  });

  it("does nothing after it stood in the queue of a pool", async () => {
    const table = newTable();
    const pool = connect(undefined, 1);
    const provider = new MysqlProvider(pool, { table });
    await provider.create(A, makeRecord(), START, waiting(5000));
    const held = await pool.getConnection();
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
    const other = new Site({ provider: new MysqlProvider(admin, { table }) });
    const site = new Site({
      provider: new MysqlProvider(client, { table }),
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
    assertEquals(await Promise.all(plans), [
      ["ada", "new"],
      ["ada", undefined],
    ]);
  });
});

describeOnServer("the clock of MariaDB", () => {
  it("is what serverTime says, whatever the time zone is", async () => {
    const client = await mysql.createConnection(server?.url() as string);
    for (const zone of ["+00:00", "-11:00", "+13:00"]) {
      await client.query(`SET time_zone = '${zone}'`);
      const provider = new MysqlProvider(client, { table: newTable() });
      assertLess(Math.abs(await provider.serverTime() - Date.now()), 1000);
      await provider.create(A, makeRecord(), START, waiting(2000));
      const called = provider.touch(A, START, waiting(-50));
      assertEquals(
        (await assertRejects(() => called, SessionError)).code,
        "timeout",
      );
    }
    await client.end();
  });

  it("is measured once for many calls, with the first of them", async () => {
    const { client, provider } = await slow();
    client.sent.length = 0;
    for (let call = 0; call < 20; call++) {
      await provider.touch(A, START + call, waiting(5000));
    }
    assertEquals(client.sent.length, 20);
  });

  it("can be set meanwhile: a call that is waited for is made once more", async () => {
    const table = newTable();
    let ahead = 0;
    // As a server whose clock jumps: what it compares with, and what it says.
    const client = {
      async execute(statement: MysqlStatement, values: MysqlParam[]) {
        const sql = statement.sql.replaceAll(
          "utc_timestamp(6)",
          `(utc_timestamp(6) + INTERVAL ${ahead} SECOND)`,
        );
        return await admin.execute({ ...statement, sql }, values);
      },
    };
    const provider = new MysqlProvider(client, { table });
    await provider.create(A, makeRecord(), START, waiting(5000));
    ahead = 3600;
    for (let call = 1; call < 5; call++) {
      assertEquals(
        await provider.update(A, set(call), GUARD, START, waiting(5000)),
        "done",
      );
    }
    assertEquals((await provider.read(A, START))?.version, 5);
  });
});

/** Waits until something is so. */
async function until(isSo: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!isSo()) {
    if (performance.now() > end) throw new Error("it did not come about");
    await sleep(10);
  }
}

describeOnServer("a lock that MariaDB waits for too long", () => {
  for (const undoes of ["OFF", "ON"]) {
    it(`is waited for once more, with innodb_rollback_on_timeout ${undoes}`, async () => {
      const own = undoes === "OFF"
        ? undefined
        : await MariaServer.start({ args: ["--innodb-rollback-on-timeout"] });
      const uri = (own ?? server as MariaServer).url();
      const [client, holder] = await Promise.all(
        [1, 2].map(() => mysql.createConnection(uri)),
      ) as [mysql.Connection, mysql.Connection];
      await client.query("SET innodb_lock_wait_timeout = 1");
      const refusals: unknown[] = [];
      const watched = {
        async execute(statement: MysqlStatement, values: MysqlParam[]) {
          try {
            return await client.execute(statement, values);
          } catch (error) {
            refusals.push((error as { errno?: number }).errno);
            throw error;
          }
        },
      };
      const table = newTable();
      const provider = new MysqlProvider(watched, { table });
      await provider.create(A, makeRecord(), START);
      const write = `UPDATE ${table} SET version = version + 1`;
      await holder.query("BEGIN");
      await holder.query(write);
      const updated = provider.update(A, set(1), GUARD, START);
      await until(() => refusals.length === 1);
      await holder.query("COMMIT");
      assertEquals(await updated, "done");
      const { version, data } = await provider.read(A, START) ?? {};
      assertEquals([version, data?.["a"]], [3, 1]);

      await holder.query("BEGIN");
      await holder.query(write);
      const failed = await assertRejects(
        () => provider.update(A, set(2), GUARD, START),
        Error,
      );
      assertEquals((failed as { errno?: number }).errno, 1205);
      assertEquals(refusals, [1205, 1205, 1205]);
      await holder.query("ROLLBACK");
      assertEquals((await provider.read(A, START))?.data["a"], 1);
      await Promise.all([client.end(), holder.end()]);
      await own?.stop();
    });
  }
});

describeOnServer("a connection that MariaDB ends", () => {
  it("fails what it was asked, and the next one of the pool answers", async () => {
    const pool = connect(undefined, 1);
    const table = newTable();
    const provider = new MysqlProvider(pool, { table });
    await provider.create(A, makeRecord(), START);
    const holder = await admin.getConnection();
    await holder.query("BEGIN");
    await holder.query(`UPDATE ${table} SET version = 2`);
    const [rows] = await pool.query("SELECT connection_id() AS id");
    const { id } = (rows as [{ id: number }])[0];
    const waiting = assertRejects(
      () => provider.update(A, set(1), GUARD, START),
      Error,
    );
    await holder.query(`KILL ${id}`);
    await waiting;
    await holder.query("COMMIT");
    holder.release();
    const read = await provider.read(A, START);
    assertEquals([read?.version, { ...read?.data }], [2, {}]);
    assertEquals(await provider.update(A, set(1), GUARD, START), "done");
  });
});

describeOnServer("an answer of MariaDB", () => {
  it("that never comes keeps no later call from the table", async () => {
    const gate = new Gate();
    let asked = 0;
    const client = {
      async execute(statement: MysqlStatement, values: MysqlParam[]) {
        if (asked++ === 0) await gate.promise;
        return await admin.execute(statement, values);
      },
    };
    const provider = new MysqlProvider(client, { table: newTable() });
    const first = provider.read(A, START);
    await sleep(1100);
    const second = provider.read(A, START).then(() => "answered");
    const outcome = await Promise.race([second, sleep(2000, "hanging")]);
    gate.open();
    assertEquals(outcome, "answered");
    assertEquals(await first, undefined);
  });
});

describeOnServer("a MariaDB server that is killed", () => {
  it("has all that was answered when it is back, and answers again", async () => {
    const own = await MariaServer.start();
    const pool = connect(own.url());
    const provider = new MysqlProvider(pool);
    const id = (number: number) => makeId(number);
    let answered = 0;
    let isDead = false;
    const writing = (async () => {
      while (!isDead) {
        try {
          await provider.create(
            id(answered),
            makeRecord({ principal: "ada" }),
            START,
          );
          answered++;
        } catch {
          return;
        }
      }
    })();
    while (answered < 50) await sleep(5);
    await own.kill();
    isDead = true;
    await writing;
    const down = await assertRejects(() => provider.read(id(0), START), Error);
    assertEquals((down as { code?: string }).code, "ECONNREFUSED");
    await own.start();
    const { sessions } = await provider.list("ada", START);
    const found = new Set(sessions.map((session) => session.id));
    for (let number = 0; number < answered; number++) {
      assert(found.has(id(number)));
    }
    assertEquals(await provider.destroy(id(0), GUARD, START), "done");
    await pool.end();
    pools.splice(pools.indexOf(pool), 1);
    await own.stop();
  });
});

const noDisk = missing ?? missingTinyDisk();

describe(
  "a MariaDB server whose disk is full",
  { skip: noDisk ?? false },
  () => {
    it("refuses what needs room, reads and ends sessions, and takes more when there is some", async () => {
      const disk = new TinyDisk(220);
      const own = await MariaServer.start({
        root: disk.folder,
        args: ["--innodb-log-file-size=8M", "--innodb-flush-method=fsync"],
      });
      const pool = connect(own.url());
      try {
        const provider = new MysqlProvider(pool);
        for (let number = 0; number < 20; number++) {
          await provider.create(
            makeId(number),
            makeRecord({ principal: "ada" }),
            START,
          );
        }
        disk.fill();
        const data = makeData([["long", "x".repeat(3000)]]);
        let taken = 0;
        const refused = await assertRejects(async () => {
          for (;;) {
            await provider.create(
              makeId(100 + taken),
              makeRecord({ data }),
              START,
            );
            taken++;
          }
        }, Error);
        assertEquals((refused as { errno?: number }).errno, 1114);
        assertEquals((await provider.list("ada", START)).sessions.length, 20);
        for (let number = 0; number < 10; number++) {
          assertEquals(
            await provider.destroy(makeId(number), GUARD, START),
            "done",
          );
        }
        assertEquals(await provider.destroyAll("ada"), 10);
        disk.clear();
        assert(await provider.create(makeId(99), makeRecord({ data }), START));
        assertGreater(await provider.clear(), 0);
      } finally {
        await pool.end();
        pools.splice(pools.indexOf(pool), 1);
        await own.stop();
        disk.stop();
      }
    });
  },
);
