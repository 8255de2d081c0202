/** Deno KV: the end of many sessions, and calls that were given up. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { SessionError } from "../core/errors.ts";
import type { Patience } from "../core/provider.ts";
import {
  type DenoKv,
  type DenoKvAtomic,
  DenoKvProvider,
} from "../providers/deno_kv.ts";
import { openKvOfRuntime } from "../providers/deno_kv/database.ts";
import { impatientAfter, makePatience } from "./_patience.ts";
import { makeData, makeFamily, makeId, makeRecord, START } from "./_records.ts";

const hasKv = (globalThis as { Deno?: { openKv?: unknown } }).Deno?.openKv !==
  undefined;
const skip = !hasKv &&
  "Deno KV is missing: it needs Deno with --unstable-kv";
if (skip) console.log(`Tests of Deno KV are skipped: ${skip}`);

const ID = makeId(0);
const GUARD = { family: makeFamily("secret") };

/** More than two atomic operations end. */
const MANY = 250;
const IDS = Array.from({ length: MANY }, (_, number) => makeId(number));

/** How many sessions one atomic operation ends. */
const TURN = 100;

/** What a database is asked, and what to do before it is. */
interface Watch {
  commits: number;
  /** The most records that were asked for at one time. */
  mostAsked: number;
  before: (call: "get" | "commit") => unknown;
}

/** A database of its own in memory, watched, with a provider on it. */
async function withKv(
  use: (provider: DenoKvProvider, kv: DenoKv, watch: Watch) => Promise<void>,
): Promise<void> {
  const kv = await openKvOfRuntime()(":memory:");
  const watch = { commits: 0, mostAsked: 0, before: () => {} };
  try {
    await use(new DenoKvProvider(watched(kv, watch)), kv, watch);
  } finally {
    kv.close();
  }
}

function watched(kv: DenoKv, watch: Watch): DenoKv {
  let asked = 0;
  return {
    async get(key) {
      await watch.before("get");
      return await kv.get(key);
    },
    async getMany(keys) {
      asked += keys.length;
      watch.mostAsked = Math.max(watch.mostAsked, asked);
      try {
        return await kv.getMany(keys);
      } finally {
        asked -= keys.length;
      }
    },
    list: (selector, options) => kv.list(selector, options),
    atomic: () => watchedAtomic(kv.atomic(), watch),
    close: () => kv.close(),
  };
}

function watchedAtomic(atomic: DenoKvAtomic, watch: Watch): DenoKvAtomic {
  return {
    check: (entry) => watchedAtomic(atomic.check(entry), watch),
    set: (...put) => watchedAtomic(atomic.set(...put), watch),
    delete: (key) => watchedAtomic(atomic.delete(key), watch),
    async commit() {
      watch.commits++;
      await watch.before("commit");
      return await atomic.commit();
    },
  };
}

async function fill(provider: DenoKvProvider, count = MANY): Promise<void> {
  const record = makeRecord({ principal: "ada" });
  const creating = IDS.slice(0, count).map((id) =>
    provider.create(id, record, START)
  );
  await Promise.all(creating);
}

/** How many keys there are, those of the index included. */
async function countKeys(kv: DenoKv): Promise<number> {
  let count = 0;
  for await (const _ of kv.list({ prefix: [] }, {})) count++;
  return count;
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => call, SessionError)).code;
}

type Call = (provider: DenoKvProvider, patience?: Patience) => Promise<number>;

const CALLS: Record<string, Call> = {
  destroyAll: (provider, patience) =>
    provider.destroyAll("ada", undefined, patience),
  destroyMany: async (provider, patience) =>
    (await provider.destroyMany(IDS, {}, START, patience)).length,
  clear: (provider, patience) => provider.clear(patience),
};

for (const [name, call] of Object.entries(CALLS)) {
  describe(`${name} of many sessions in Deno KV`, () => {
    it(
      "tells of each hundred, and leaves nothing in the index",
      { skip },
      () =>
        withKv(async (provider, kv, watch) => {
          await fill(provider);
          watch.commits = 0;
          const patience = makePatience();
          assertEquals(await call(provider, patience), MANY);
          assertEquals(await countKeys(kv), 0);
          assertEquals(patience.extensions, 3);
          assertEquals(watch.commits, 3);
          assert(watch.mostAsked <= TURN, `${watch.mostAsked} at a time`);
        }),
    );

    it(
      "does one atomic operation after another",
      { skip },
      () =>
        withKv(async (provider, _kv, watch) => {
          await fill(provider);
          let underWay = 0;
          watch.before = async () => {
            assertEquals(underWay++, 0);
            await wait(1);
            underWay--;
          };
          assertEquals(await call(provider), MANY);
        }),
    );

    it(
      "stops when nobody waits for it any more",
      { skip },
      () =>
        withKv(async (provider, kv) => {
          await fill(provider);
          const ending = call(provider, impatientAfter(1));
          assertEquals(await codeOf(ending), "timeout");
          assertEquals(await countKeys(kv), 2 * (MANY - TURN));
        }),
    );
  });
}

describe("destroyMany of sessions in Deno KV", () => {
  it(
    "ends each by itself when one changes in that moment",
    { skip },
    () =>
      withKv(async (provider, kv, watch) => {
        await fill(provider, 30);
        const other = new DenoKvProvider(kv);
        watch.before = async () => {
          watch.before = () => {};
          const set = makeData([["n", 1]]);
          await other.update(makeId(1), { set }, GUARD, START);
          await other.update(makeId(2), { principal: "bob" }, GUARD, START);
          await other.destroy(makeId(3), {}, START);
        };
        const guard = { principal: "ada" };
        const ended = await provider.destroyMany(IDS, guard, START);
        const expected = IDS.slice(0, 30).toSpliced(2, 2);
        assertEquals([...ended].sort(), expected);
        assertEquals((await other.read(makeId(2), START))?.principal, "bob");
        assertEquals(await countKeys(kv), 2);
      }),
  );
});

describe("a list in Deno KV", () => {
  it(
    "reads a hundred records at a time",
    { skip },
    () =>
      withKv(async (provider, _kv, watch) => {
        await fill(provider);
        const { sessions } = await provider.list("ada", START);
        assertEquals(sessions.length, MANY);
        assertEquals(watch.mostAsked, TURN);
      }),
  );
});

/** The calls of one session that write. */
const WRITES: Record<
  string,
  (provider: DenoKvProvider, patience: Patience) => Promise<unknown>
> = {
  create: (provider, patience) =>
    provider.create(makeId(1), makeRecord(), START, patience),
  update: (provider, patience) =>
    provider.update(ID, {}, GUARD, START, patience),
  touch: (provider, patience) => provider.touch(ID, START + 1, patience),
  destroy: (provider, patience) => provider.destroy(ID, GUARD, START, patience),
};

describe("a write to Deno KV that was given up", () => {
  for (const [name, write] of Object.entries(WRITES)) {
    it(
      `is not tried again: ${name}`,
      { skip },
      () =>
        withKv(async (provider, kv, watch) => {
          await fill(provider, 1);
          const keys = await countKeys(kv);
          const before = await provider.read(ID, START);
          watch.commits = 0;
          const patience = makePatience();
          watch.before = (call) => {
            if (call !== "commit") return;
            if (watch.commits === 5) patience.giveUpAt = performance.now();
            throw new TypeError("database is locked");
          };
          assertEquals(await codeOf(write(provider, patience)), "timeout");
          assertEquals(watch.commits, 5);
          watch.before = () => {};
          assertEquals(await provider.read(ID, START), before);
          assertEquals(await countKeys(kv), keys);
        }),
    );
  }

  for (const name of ["update", "touch", "destroy"]) {
    it(
      `is not begun when its record comes late: ${name}`,
      { skip },
      () =>
        withKv(async (provider, _kv, watch) => {
          await fill(provider, 1);
          watch.commits = 0;
          const patience = makePatience();
          watch.before = (call) => {
            if (call === "get") patience.giveUpAt = performance.now();
          };
          const writing = WRITES[name]!(provider, patience);
          assertEquals(await codeOf(writing), "timeout");
          assertEquals(watch.commits, 0);
          const record = await provider.read(ID, START);
          assertEquals([record?.version, record?.accessedAt], [1, START]);
        }),
    );
  }

  it(
    "ends a session no more that others change each time",
    { skip },
    () =>
      withKv(async (provider, kv, watch) => {
        await fill(provider, 1);
        const other = new DenoKvProvider(kv);
        const patience = makePatience();
        watch.commits = 0;
        watch.before = async (call) => {
          if (call === "commit") await other.update(ID, {}, GUARD, START);
          if (watch.commits === 4) patience.giveUpAt = performance.now();
        };
        const ending = provider.destroy(ID, GUARD, START, patience);
        assertEquals(await codeOf(ending), "timeout");
        assertEquals(watch.commits, 4);
        assert(await other.read(ID, START) !== undefined);
      }),
  );
});
