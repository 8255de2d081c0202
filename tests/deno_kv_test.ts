import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it, mock } from "node:test";
import { SessionError } from "../core/errors.ts";
import type { SessionChange, SessionRecord } from "../core/provider.ts";
import { open, registered } from "../core/registry.ts";
import type { StoredValue } from "../core/value/types.ts";
import { conformance } from "../providers/conformance.ts";
import {
  type DenoKv,
  type DenoKvAtomic,
  type DenoKvEntry,
  DenoKvProvider,
} from "../providers/deno_kv.ts";
import {
  makeData,
  makeHash,
  makeId,
  makeRecord,
  type RecordOptions,
  START,
} from "./_records.ts";

type OpenKv = (path?: string) => Promise<DenoKv>;

const openKv = (globalThis as { Deno?: { openKv?: OpenKv } }).Deno?.openKv;
const skip = openKv === undefined &&
  "Deno KV is missing: it needs Deno with --unstable-kv";
if (skip) console.log(`deno_kv_test.ts is skipped for the most part: ${skip}`);

const SECRET = makeHash("secret");
const ID = makeId(1);
const MAX_ATTEMPTS = 100;
const DAY = 86_400_000;

/** What comes in between a call and the database. */
interface Interception {
  /** Runs before the next `commit`, then no more. */
  beforeCommit?: (() => Promise<unknown>) | undefined;
  /** Runs before the next `getMany`, then no more. */
  beforeGetMany?: (() => Promise<unknown>) | undefined;
  /** Runs after the next `commit`, which then seems to have failed its check. */
  afterLostCommit?: (() => Promise<unknown>) | undefined;
  /** Every key set, and in how many milliseconds it may go. */
  readonly sets: { key: readonly string[]; expireIn?: number | undefined }[];
  /** The name of every call that is a round trip. */
  readonly trips: string[];
}

/** One database with a provider to watch, and another that goes unwatched. */
class Bench {
  readonly kv: DenoKv;
  readonly other: DenoKvProvider;
  readonly seen: Interception = { sets: [], trips: [] };
  readonly provider: DenoKvProvider;

  private constructor(kv: DenoKv) {
    this.kv = kv;
    this.other = new DenoKvProvider(kv);
    this.provider = new DenoKvProvider(intercepted(kv, this.seen));
  }

  static async run(use: (bench: Bench) => Promise<void>): Promise<void> {
    const kv = await (openKv as OpenKv)(":memory:");
    try {
      await use(new Bench(kv));
    } finally {
      kv.close();
    }
  }

  async create(options: RecordOptions = {}, id = ID): Promise<void> {
    const { now = START } = options;
    assert(await this.other.create(id, makeRecord(options), now));
  }

  /** Stores whatever bytes as a session. */
  async plant(value: unknown): Promise<void> {
    await this.kv.atomic().set(["session", "id", ID], value).commit();
  }

  /** Has Ada sign in so many times, from ID on, and Deno KV drop the records. */
  async lose(count: number): Promise<void> {
    for (let number = 1; number <= count; number++) {
      const id = makeId(number);
      await this.create({ principal: "ada" }, id);
      await this.kv.atomic().delete(["session", "id", id]).commit();
    }
  }

  async live(id = ID, now = START): Promise<SessionRecord> {
    const record = await this.other.read(id, now);
    assert(record !== undefined);
    return record;
  }

  async keys(): Promise<readonly unknown[][]> {
    const keys = [];
    for await (const { key } of this.kv.list({ prefix: [] })) {
      keys.push([...key]);
    }
    return keys;
  }
}

function intercepted(kv: DenoKv, seen: Interception): DenoKv {
  return {
    get(key) {
      seen.trips.push("get");
      return kv.get(key);
    },
    async getMany(keys) {
      seen.trips.push("getMany");
      await take(seen, "beforeGetMany");
      return kv.getMany(keys);
    },
    list(selector, options) {
      seen.trips.push("list");
      return kv.list(selector, options);
    },
    atomic: () => interceptedAtomic(kv.atomic(), seen),
    close: () => kv.close(),
  };
}

function interceptedAtomic(
  atomic: DenoKvAtomic,
  seen: Interception,
): DenoKvAtomic {
  return {
    check: (entry) => interceptedAtomic(atomic.check(entry), seen),
    delete: (key) => interceptedAtomic(atomic.delete(key), seen),
    set(key, value, options) {
      seen.sets.push({ key, expireIn: options?.expireIn });
      return interceptedAtomic(atomic.set(key, value, options), seen);
    },
    async commit() {
      seen.trips.push("commit");
      await take(seen, "beforeCommit");
      const result = await atomic.commit();
      return await take(seen, "afterLostCommit") ? { ok: false } : result;
    },
  };
}

/** Runs what is to run, if anything, and answers whether it did. */
async function take(
  seen: Interception,
  name: "beforeCommit" | "beforeGetMany" | "afterLostCommit",
): Promise<boolean> {
  const run = seen[name];
  seen[name] = undefined;
  await run?.();
  return run !== undefined;
}

function changeOf(change: Partial<SessionChange> = {}): SessionChange {
  return { expiresAt: START + 3_600_000, ...change };
}

function setting(key: string, value: StoredValue): SessionChange {
  return changeOf({ set: makeData([[key, value]]) });
}

const guard = { secretHash: SECRET };

function test(name: string, use: (bench: Bench) => Promise<void>): void {
  it(name, { skip }, () => Bench.run(use));
}

async function codeOf(call: () => Promise<unknown>): Promise<string> {
  return (await assertRejects(call, SessionError)).code;
}

/** A database that is as good as empty. */
function emptyKv(): DenoKv & { closed: number } {
  const absent = (key: readonly string[]): DenoKvEntry => {
    return { key, value: null, versionstamp: null };
  };
  return {
    closed: 0,
    get: (key) => Promise.resolve(absent(key)),
    getMany: (keys) => Promise.resolve(keys.map(absent)),
    async *list() {},
    atomic: () => {
      throw new Error("not expected to write");
    },
    close() {
      this.closed++;
    },
  };
}

/** Pretends, while `use` runs, that the runtime is another one. */
function onRuntime<T>(runtime: { openKv?: OpenKv } | undefined, use: () => T) {
  const before = Object.getOwnPropertyDescriptor(globalThis, "Deno");
  Object.defineProperty(globalThis, "Deno", {
    value: runtime,
    configurable: true,
    writable: true,
  });
  try {
    return use();
  } finally {
    if (before === undefined) Reflect.deleteProperty(globalThis, "Deno");
    else Object.defineProperty(globalThis, "Deno", before);
  }
}

/** What a provider opens, and how often. */
async function openedBy(url: string): Promise<(string | undefined)[]> {
  const opened: (string | undefined)[] = [];
  const runtime = {
    openKv(path?: string) {
      opened.push(path);
      return Promise.resolve(emptyKv());
    },
  };
  const reading = onRuntime(runtime, () => open(url).read(ID, START));
  assertStrictEquals(await reading, undefined);
  return opened;
}

const memory = await openKv?.(":memory:");

describe("conformance of Deno KV in memory", () => {
  after(() => memory?.close());

  for (
    const { name, run } of conformance((options) =>
      new DenoKvProvider(memory as DenoKv, options)
    )
  ) {
    it(name, { skip }, run);
  }
});

describe("conformance of Deno KV in a file", () => {
  const folder = mkdtempSync(join(tmpdir(), "deno-kv-"));
  after(() => rmSync(folder, { recursive: true }));

  const path = join(folder, "sessions.db");
  const makeProvider = (options: { readonly prefix: string }) =>
    new DenoKvProvider(path, options);
  for (const { name, run } of conformance(makeProvider)) {
    it(name, { skip }, run);
  }

  it("counts exactly through two connections", { skip }, async () => {
    const providers = [0, 1].map(() => makeProvider({ prefix: "shared" }));
    const [first] = providers as [DenoKvProvider];
    const data = makeData([["count", 0]]);
    await first.create(ID, makeRecord({ data }), START);
    const increments = Array.from(
      { length: 10 },
      (_, index) => increment(providers[index % 2] as DenoKvProvider),
    );
    await Promise.all(increments);
    assertEquals((await first.read(ID, START))?.data["count"], 10);
    for (const provider of providers) await provider.close();
  });
});

async function increment(provider: DenoKvProvider): Promise<void> {
  for (;;) {
    const record = await provider.read(ID, START) as SessionRecord;
    const { version } = record;
    const change = setting("count", record.data["count"] as number + 1);
    const result = await provider.update(
      ID,
      change,
      { ...guard, version },
      START,
    );
    if (result === "done") return;
  }
}

describe("a Deno KV provider that is made", () => {
  it("is registered under its URL scheme", () => {
    assert(registered().includes("deno-kv"));
  });

  for (
    const [url, path] of [
      ["deno-kv", undefined],
      ["deno-kv:", undefined],
      ["deno-kv::memory:", ":memory:"],
      ["deno-kv:./a%20b%25.db", "./a b%.db"],
      ["deno-kv:/var/sessions.db?prefix=admin", "/var/sessions.db"],
      ["deno-kv:https://kv.example/a%20b", "https://kv.example/a%20b"],
    ] as const
  ) {
    it(`opens ${path ?? "the default database"} for ${url}`, async () => {
      assertEquals(await openedBy(url), [path]);
    });
  }

  it("uses the prefix that the URL names", async () => {
    const keys: (readonly string[])[] = [];
    const kv = emptyKv();
    const get = (key: readonly string[]) => (keys.push(key), kv.get(key));
    const openKv = () => Promise.resolve({ ...kv, get });
    await onRuntime(
      { openKv },
      () => open("deno-kv:./a.db?prefix=admin").read(ID, START),
    );
    assertEquals(keys.map(([prefix]) => prefix), ["admin"]);
  });

  for (
    const url of [
      "deno-kv://host/a.db",
      "deno-kv:./a.db#b",
      "deno-kv:./100%.db",
      "deno-kv:./a.db?maxSessions=1",
    ]
  ) {
    it(`is refused for ${url}`, () => {
      const openKv = () => Promise.resolve(emptyKv());
      const error = assertThrows(
        () => onRuntime({ openKv }, () => open(url)),
        TypeError,
      );
      assertStringIncludes(error.message, "Cannot ");
    });
  }

  it("says which flag is missing where Deno has no Deno.openKv", () => {
    const make = () => onRuntime({}, () => new DenoKvProvider("./a.db"));
    const { message } = assertThrows(make, TypeError);
    assertStringIncludes(message, "--unstable-kv");
    assertStringIncludes(message, '"unstable": ["kv"]');
  });

  it("says what would do on a runtime that is not Deno", () => {
    const make = () => onRuntime(undefined, () => open("deno-kv:"));
    const { message } = assertThrows(make, TypeError);
    assertStringIncludes(message, "run on Deno, or hand in an open database");
  });

  it("needs no Deno.openKv for an open database", async () => {
    const make = () =>
      onRuntime(undefined, () => new DenoKvProvider(emptyKv()));
    assertStrictEquals(await make().read(ID, START), undefined);
  });

  it("is refused with a source, prefix or option that means nothing", () => {
    const kv = emptyKv();
    const makes = [
      () => new DenoKvProvider(null as never),
      () => new DenoKvProvider({} as never),
      () => new DenoKvProvider(7 as never),
      () => new DenoKvProvider(""),
      () => new DenoKvProvider(kv, { prefix: "" }),
      () => new DenoKvProvider(kv, { prefix: "x".repeat(257) }),
      () => new DenoKvProvider(kv, { prefix: 7 as never }),
      () => new DenoKvProvider(kv, { table: "x" } as never),
    ];
    for (const make of makes) {
      assertThrows(make, TypeError, "Cannot create DenoKvProvider");
    }
  });

  it("opens nothing before its first call, and once for all", async () => {
    const opened: unknown[] = [];
    const openKv = (path?: string) => {
      opened.push(path);
      return Promise.resolve(emptyKv());
    };
    const reads = onRuntime({ openKv }, () => {
      const provider = new DenoKvProvider("./a.db");
      assertEquals(opened, []);
      return [provider.read(ID, START), provider.read(ID, START)];
    });
    await Promise.all(reads);
    assertEquals(opened, ["./a.db"]);
  });

  it("tries anew when the database could not be opened", async () => {
    let attempts = 0;
    const openKv = () => {
      attempts++;
      return attempts === 1
        ? Promise.reject(new Error("disk on fire"))
        : Promise.resolve(emptyKv());
    };
    const make = () => new DenoKvProvider("./a.db");
    const provider = onRuntime({ openKv }, make);
    const read = () => onRuntime({ openKv }, () => provider.read(ID, START));
    await assertRejects(read, Error, "disk on fire");
    assertStrictEquals(await read(), undefined);
  });
});

describe("a Deno KV provider that is closed", () => {
  it("closes the database that it opened, once", async () => {
    const kv = emptyKv();
    const openKv = () => Promise.resolve(kv);
    const provider = onRuntime({ openKv }, () => new DenoKvProvider());
    await onRuntime({ openKv }, () => provider.read(ID, START));
    await provider.close();
    await provider.close();
    assertEquals(kv.closed, 1);
  });

  it("leaves a database open that was handed in", async () => {
    const kv = emptyKv();
    const provider = new DenoKvProvider(kv);
    await provider.read(ID, START);
    await provider.close();
    assertEquals(kv.closed, 0);
  });

  it("closes a database that was still being opened, and fails the call", async () => {
    const kv = emptyKv();
    const opening = Promise.withResolvers<DenoKv>();
    const openKv = () => opening.promise;
    const provider = onRuntime({ openKv }, () => new DenoKvProvider());
    const reading = onRuntime({ openKv }, () => provider.read(ID, START));
    const closing = provider.close();
    opening.resolve(kv);
    assertEquals(await codeOf(() => reading), "closed");
    await closing;
    assertEquals(kv.closed, 1);
  });

  it("can be closed when its database could not be opened", async () => {
    const openKv = () => Promise.reject(new Error("disk on fire"));
    const provider = onRuntime({ openKv }, () => new DenoKvProvider());
    const reading = onRuntime({ openKv }, () => provider.read(ID, START));
    const closing = provider.close();
    await assertRejects(() => reading, Error, "disk on fire");
    assertStrictEquals(await closing, undefined);
  });
});

describe("a write that another one outruns, on Deno KV", () => {
  test("is worked out anew, and both last", async (bench) => {
    await bench.create();
    bench.seen.beforeCommit = () =>
      bench.other.update(ID, setting("b", 2), guard, START);
    const update = bench.provider.update(ID, setting("a", 1), guard, START);
    assertEquals(await update, "done");
    assertEquals({ ...(await bench.live()).data }, { a: 1, b: 2 });
  });

  test("is gone when the other one has replaced the secret", async (bench) => {
    await bench.create();
    bench.seen.beforeCommit = () => {
      const change = changeOf({ secretHash: makeHash("new"), previous: null });
      return bench.other.update(ID, change, guard, START);
    };
    const update = bench.provider.update(ID, setting("a", 1), guard, START);
    assertEquals(await update, "gone");
    assertEquals({ ...(await bench.live()).data }, {});
  });

  test("conflicts when it was meant for the version before", async (bench) => {
    await bench.create();
    bench.seen.beforeCommit = () =>
      bench.other.update(ID, changeOf(), guard, START);
    const condition = { ...guard, version: 1 };
    const update = bench.provider.update(ID, changeOf(), condition, START);
    assertEquals(await update, "conflict");
  });

  test("is gone when the session was destroyed, and leaves no trace", async (bench) => {
    await bench.create({ principal: "ada" });
    bench.seen.beforeCommit = () => bench.other.destroy(ID);
    const update = bench.provider.update(ID, setting("a", 1), guard, START);
    assertEquals(await update, "gone");
    assertEquals(await bench.keys(), []);
  });

  test("is a touch that keeps what the other one wrote", async (bench) => {
    await bench.create();
    bench.seen.beforeCommit = () =>
      bench.other.update(ID, setting("b", 2), guard, START);
    const later = START + 3_609_000;
    assert(await bench.provider.touch(ID, later, START + 1));
    const { data, version, expiresAt } = await bench.live();
    assertEquals([data["b"], version, expiresAt], [2, 2, later]);
  });

  test("is a destroy that takes the session from its new owner too", async (bench) => {
    await bench.create({ principal: "ada" });
    bench.seen.beforeCommit = () =>
      bench.other.update(ID, changeOf({ principal: "bob" }), guard, START);
    assert(await bench.provider.destroy(ID));
    assertEquals(await bench.keys(), []);
  });

  test("is a destroyAll that spares a session which changed hands", async (bench) => {
    await bench.create({ principal: "ada" });
    bench.seen.beforeCommit = () =>
      bench.other.update(ID, changeOf({ principal: "bob" }), guard, START);
    assertEquals(await bench.provider.destroyAll("ada"), 0);
    assertEquals((await bench.live()).principal, "bob");
  });

  test("is a create that refuses an id taken in between", async (bench) => {
    bench.seen.beforeCommit = () => bench.create({ principal: "ada" });
    const record = makeRecord({ principal: "eve" });
    assertFalse(await bench.provider.create(ID, record, START));
    assertEquals((await bench.live()).principal, "ada");
  });

  test("fails with a conflict when it is outrun for ever", async (bench) => {
    await bench.create();
    const random = mock.method(Math, "random", () => 0);
    const outrun = async () => {
      bench.seen.beforeCommit = outrun;
      await bench.other.update(ID, changeOf(), guard, START);
    };
    bench.seen.beforeCommit = outrun;
    const update = () =>
      bench.provider.update(ID, setting("a", 1), guard, START);
    assertEquals(await codeOf(update), "conflict");
    random.mock.restore();
    const { data, version } = await bench.live();
    assertEquals([{ ...data }, version], [{}, 1 + MAX_ATTEMPTS]);
  });
});

describe("a write to Deno KV that was done, but not heard of", () => {
  test("is a create that is done", async (bench) => {
    bench.seen.afterLostCommit = async () => {};
    assert(await bench.provider.create(ID, makeRecord(), START));
    assertFalse(await bench.provider.create(ID, makeRecord(), START));
  });

  test("is an update that is done, and done once", async (bench) => {
    await bench.create();
    bench.seen.afterLostCommit = async () => {};
    const change = { ...setting("a", 1), secretHash: makeHash("new") };
    const condition = { ...guard, version: 1 };
    assertEquals(
      await bench.provider.update(ID, change, condition, START),
      "done",
    );
    assertEquals((await bench.live()).version, 2);
  });

  test("is known again below three others", async (bench) => {
    await bench.create();
    bench.seen.afterLostCommit = async () => {
      for (const value of [2, 3, 4]) {
        await bench.other.update(ID, setting("a", value), guard, START);
        await bench.other.touch(ID, START + 9_000_000, START);
      }
    };
    const change = setting("a", 1);
    assertEquals(
      await bench.provider.update(ID, change, guard, START),
      "done",
    );
    const { data, version } = await bench.live();
    assertEquals([data["a"], version], [4, 5]);
  });

  test("is a create that is not done anew when the session has ended", async (bench) => {
    bench.seen.afterLostCommit = () => bench.other.destroy(ID);
    assert(await bench.provider.create(ID, makeRecord(), START));
    assertEquals(await bench.keys(), []);
  });

  test("is an end that cannot be told from another's", async (bench) => {
    await bench.create();
    bench.seen.afterLostCommit = async () => {};
    assertFalse(await bench.provider.destroy(ID));
    assertEquals(await bench.keys(), []);
  });

  test("is a touch that may be done twice", async (bench) => {
    await bench.create();
    bench.seen.afterLostCommit = async () => {};
    const later = START + 9_000_000;
    assert(await bench.provider.touch(ID, later, START));
    const { version, expiresAt } = await bench.live();
    assertEquals([version, expiresAt], [1, later]);
  });
});

describe("a write to Deno KV while another process holds the lock", () => {
  const locked = new TypeError("database is locked");

  test("waits until the lock is free", async (bench) => {
    await bench.create();
    bench.seen.beforeCommit = () => Promise.reject(locked);
    const update = bench.provider.update(ID, setting("a", 1), guard, START);
    assertEquals(await update, "done");
    bench.seen.beforeCommit = () => Promise.reject(locked);
    assertEquals(await bench.provider.clear(), 1);
    assertEquals(await bench.keys(), []);
  });

  test("fails with the store's own error when it never is", async (bench) => {
    await bench.create();
    const random = mock.method(Math, "random", () => 0);
    const refuse = () => {
      bench.seen.beforeCommit = refuse;
      return Promise.reject(locked);
    };
    bench.seen.beforeCommit = refuse;
    const touch = () => bench.provider.touch(ID, START + 9_000, START);
    assertStrictEquals(await assertRejects(touch, TypeError), locked);
    random.mock.restore();
  });

  test("is not mistaken for one that fails", async (bench) => {
    await bench.create();
    bench.seen.beforeCommit = () => Promise.reject(new Error("disk on fire"));
    const touch = () => bench.provider.touch(ID, START + 9_000, START);
    await assertRejects(touch, Error, "disk on fire");
    assertEquals(bench.seen.trips, ["get", "commit"]);
  });
});

describe("round trips to Deno KV", () => {
  test("are one for a read", async (bench) => {
    await bench.create();
    await bench.provider.read(ID, START);
    assertEquals(bench.seen.trips, ["get"]);
  });

  test("are two for a read and what is written after it", async (bench) => {
    const writes = [
      () => bench.provider.update(ID, setting("a", 1), guard, START),
      () => bench.provider.touch(ID, START + 9_000, START),
      () => bench.provider.destroy(ID),
    ];
    await bench.create();
    for (const write of writes) {
      bench.seen.trips.length = 0;
      await bench.provider.read(ID, START);
      await write();
      assertEquals(bench.seen.trips, ["get", "commit"]);
    }
  });

  test("are one for a new session", async (bench) => {
    assert(await bench.provider.create(ID, makeRecord(), START));
    assertEquals(bench.seen.trips, ["commit"]);
  });

  test("are none for the sessions of other principals", async (bench) => {
    await bench.create({ principal: "ada" });
    for (let count = 2; count < 13; count++) {
      await bench.create({ principal: "bob" }, makeId(count));
    }
    await bench.provider.list("ada", START);
    assertEquals(bench.seen.trips, ["list", "getMany"]);
  });

  test("are no reason to trust an outdated record that would allow it", async (bench) => {
    await bench.create();
    await bench.provider.read(ID, START);
    const change = changeOf({ secretHash: makeHash("new"), previous: null });
    await bench.other.update(ID, change, guard, START);
    const update = bench.provider.update(ID, setting("a", 1), guard, START);
    assertEquals(await update, "gone");
  });

  test("are no reason to trust an outdated record that would forbid it", async (bench) => {
    await bench.create();
    await bench.provider.read(ID, START);
    const change = changeOf({ secretHash: makeHash("new"), previous: null });
    await bench.other.update(ID, change, guard, START);
    const renewed = { secretHash: makeHash("new"), version: 2 };
    const update = bench.provider.update(ID, setting("a", 1), renewed, START);
    assertEquals(await update, "done");
  });

  test("are saved for the last 256 records read and no more", async (bench) => {
    const ids = Array.from({ length: 257 }, (_, index) => makeId(index));
    for (const id of ids) await bench.create({}, id);
    for (const id of ids) await bench.provider.read(id, START);
    bench.seen.trips.length = 0;
    await bench.provider.touch(ids[1] as string, START + 9_000, START);
    assertEquals(bench.seen.trips, ["commit"]);
    await bench.provider.touch(ids[0] as string, START + 9_000, START);
    assertEquals(bench.seen.trips, ["commit", "get", "commit"]);
  });
});

describe("what Deno KV holds", () => {
  test("goes at the record's deadline at the earliest, and later in the index", async (bench) => {
    const id = ["session", "id", ID];
    const record = makeRecord({ principal: "ada" });
    await bench.provider.create(ID, record, START);
    await bench.provider.touch(ID, START + 3_605_000.5, START + 1000);
    const [, index] = bench.seen.sets.map(({ key }) => key);
    assertEquals(index?.slice(0, 2), ["session", "principal"]);
    assertEquals(
      bench.seen.sets as unknown,
      [
        { key: id, expireIn: 3_600_000 },
        { key: index, expireIn: 2 * 3_600_000 + DAY },
        { key: id, expireIn: 3_604_001 },
      ],
    );
  });

  test("outlives in the index a session that is used on and on", async (bench) => {
    const record = makeRecord({ principal: "ada" });
    await bench.provider.create(ID, record, START);
    let ends = START + (bench.seen.sets[1]?.expireIn ?? 0);
    for (let hour = 1; hour < 100; hour++) {
      const now = START + hour * 3_500_000;
      const expiresAt = now + 3_600_000;
      const count = bench.seen.sets.length;
      if (hour % 2 === 0) await bench.provider.touch(ID, expiresAt, now);
      else await bench.provider.update(ID, changeOf({ expiresAt }), guard, now);
      for (const { key, expireIn } of bench.seen.sets.slice(count)) {
        if (key[1] === "principal") ends = now + (expireIn ?? 0);
      }
      assertGreater(ends, expiresAt + DAY - 1, `hour ${hour}`);
    }
  });

  test("indexes a session that comes back to a user it left", async (bench) => {
    await bench.create({ principal: "ada" });
    for (const principal of ["bob", null, "ada"]) {
      await bench.provider.update(ID, changeOf({ principal }), guard, START);
    }
    assertEquals((await bench.provider.list("ada", START)).length, 1);
    assertEquals(await bench.provider.list("bob", START), []);
    assertEquals((await bench.keys()).length, 2);
  });

  test("can have a deadline that Deno KV cannot count to", async (bench) => {
    const expiresAt = Number.MAX_SAFE_INTEGER;
    assert(await bench.provider.create(ID, makeRecord({ expiresAt }), START));
    assertEquals((await bench.live()).expiresAt, expiresAt);
  });

  test("can have a deadline that has passed", async (bench) => {
    await bench.create();
    const change = changeOf({ expiresAt: START - 1 });
    assertEquals(await bench.provider.update(ID, change, guard, START), "done");
    assertStrictEquals(await bench.provider.read(ID, START), undefined);
    // The npm package refuses 0.
    assertEquals(bench.seen.sets.at(-1)?.expireIn, 1);
  });

  test("is nothing of a session that was destroyed", async (bench) => {
    await bench.create({ principal: "ada" });
    assertEquals((await bench.keys()).length, 2);
    await bench.provider.destroy(ID);
    assertEquals(await bench.keys(), []);
  });

  test("is nothing of its own after clear, however much there was", async (bench) => {
    const stranger = new DenoKvProvider(bench.kv, { prefix: "session2" });
    await stranger.create(ID, makeRecord(), START);
    for (let count = 0; count < 101; count++) {
      await bench.create({ principal: "ada" }, makeId(count));
    }
    assertEquals(await bench.provider.clear(), 101);
    assertEquals(await bench.keys(), [["session2", "id", ID]]);
  });

  test("no longer leads from the owner of an expired session to a new one", async (bench) => {
    await bench.create({ principal: "ada", expiresAt: START + 1 });
    const now = START + 1;
    const record = makeRecord({ principal: "bob", now });
    assert(await bench.provider.create(ID, record, now));
    const listed = await bench.provider.list("bob", now);
    assertEquals(listed.map(({ id }) => id), [ID]);
    assertEquals((await bench.keys()).length, 2);
  });

  test("tells principals apart that differ in a lone surrogate", async (bench) => {
    await bench.create({ principal: "\ud800" }, makeId(1));
    await bench.create({ principal: "\ufffd" }, makeId(2));
    const listed = await bench.provider.list("\ufffd", START);
    assertEquals(listed.map(({ id }) => id), [makeId(2)]);
    assertEquals(await bench.provider.destroyAll("\ud800"), 1);
    assertEquals((await bench.live(makeId(2))).principal, "\ufffd");
  });

  test("is listed in full, beyond what can be read in one go", async (bench) => {
    const ids = Array.from({ length: 23 }, (_, index) => makeId(index));
    for (const id of ids) await bench.create({ principal: "ada" }, id);
    const listed = await bench.provider.list("ada", START);
    assertEquals(listed.map(({ id }) => id).sort(), ids.sort());
    assertEquals(await bench.provider.destroyAll("ada"), 23);
  });

  test("is not listed for somebody who lost it in that moment", async (bench) => {
    await bench.create({ principal: "ada" });
    bench.seen.beforeGetMany = () =>
      bench.other.update(ID, changeOf({ principal: "bob" }), guard, START);
    assertEquals(await bench.provider.list("ada", START), []);
  });

  test("is data nested as deep as a session takes it", async (bench) => {
    let value: StoredValue = [];
    for (let depth = 1; depth < 100; depth++) value = [value];
    await bench.create({ data: makeData([["deep", value]]) });
    assertEquals((await bench.live()).data["deep"], value);
  });
});

/** How many bytes of data an error says that there is room for. */
function roomIn(error: Error): number {
  return Number(/its data can have (\d+):/.exec(error.message)?.[1]);
}

/** Data that is so many bytes of text. */
function dataOfSize(size: number) {
  return makeData([["a", "x".repeat(size - '{"a":""}'.length)]]);
}

describe("an index entry in Deno KV whose record is no longer there", () => {
  test("is removed by list, which then has no more to read than what lives", async (bench) => {
    await bench.create({ principal: "ada" }, makeId(0));
    await bench.lose(60);
    const list = () => bench.provider.list("ada", START);
    assertEquals((await list()).length, 1);
    assertEquals(bench.seen.trips.splice(0), [
      "list",
      ...Array.from({ length: 7 }, () => "getMany"),
      "commit",
      "commit",
    ]);
    assertEquals((await bench.keys()).length, 2);
    assertEquals((await list()).length, 1);
    assertEquals(bench.seen.trips, ["list", "getMany"]);
  });

  test("is removed by destroyAll, and does not count", async (bench) => {
    await bench.create({ principal: "ada" }, makeId(0));
    await bench.create({ principal: "ada" }, makeId(99));
    await bench.lose(30);
    assertEquals(await bench.provider.destroyAll("ada", makeId(99)), 1);
    assertEquals((await bench.keys()).length, 2);
    assertEquals((await bench.provider.list("ada", START)).length, 1);
  });

  test("stays if a session is stored under its id in that moment", async (bench) => {
    await bench.lose(1);
    bench.seen.beforeCommit = () => bench.create({ principal: "ada" });
    assertEquals(await bench.provider.list("ada", START), []);
    assertEquals((await bench.provider.list("ada", START)).length, 1);
  });

  test("fails neither list nor destroyAll when it cannot be removed", async (bench) => {
    await bench.lose(1);
    const fail = () => Promise.reject(new Error("disk on fire"));
    bench.seen.beforeCommit = fail;
    assertEquals(await bench.provider.list("ada", START), []);
    bench.seen.beforeCommit = fail;
    assertEquals(await bench.provider.destroyAll("ada"), 0);
    assertEquals((await bench.keys()).length, 1);
  });

  test("is not one whose record has expired and is still there", async (bench) => {
    await bench.create({ principal: "ada", expiresAt: START + 1 });
    assertEquals(await bench.provider.list("ada", START + 1), []);
    assertEquals(bench.seen.trips, ["list", "getMany"]);
    assertEquals((await bench.keys()).length, 2);
  });
});

describe("a session too large for Deno KV", () => {
  test("is refused as too large, with the room that there is", async (bench) => {
    const create = (size: number) =>
      bench.provider.create(ID, makeRecord({ data: dataOfSize(size) }), START);
    const error = await assertRejects(() => create(65_536), SessionError);
    assertEquals(error.code, "too-large");
    const room = roomIn(error);
    assertEquals(await codeOf(() => create(room + 1)), "too-large");
    assertEquals(await bench.keys(), []);
    assert(await create(room));
    assertEquals((await bench.live()).data, dataOfSize(room));
  });

  test("stays as it was when an update would make it so", async (bench) => {
    await bench.create({ data: dataOfSize(40_000) });
    const change = setting("b", "x".repeat(40_000));
    const update = () => bench.provider.update(ID, change, guard, START);
    assertEquals(await codeOf(update), "too-large");
    assertEquals((await bench.live()).data, dataOfSize(40_000));
  });

  test("is not one for a single character beyond Latin-1", async (bench) => {
    const data = makeData([["a", "x".repeat(60_000) + "\u4e2d"]]);
    assert(await bench.provider.create(ID, makeRecord({ data }), START));
    assertEquals((await bench.live()).data, data);
  });

  test("is never named by what it holds", async (bench) => {
    const data = makeData([["a", "private ".repeat(9000)]]);
    const create = () => bench.provider.create(ID, makeRecord({ data }), START);
    const { message } = await assertRejects(create, SessionError);
    assertFalse(message.includes("private"));
  });
});

const HEADER = {
  format: 1,
  version: 1,
  secretHash: SECRET,
  renewedAt: START,
  createdAt: START,
  accessedAt: START,
  expiresAt: START + 3_600_000,
  idleTimeout: 3600,
  absoluteTimeout: 43_200,
  persistent: false,
  writeIds: "",
};

function bytesOf(header: object, data = "{}"): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(header)}\n${data}`);
}

const UNREADABLE: Readonly<Record<string, unknown>> = {
  "is no bytes at all": "text",
  "is no text": new Uint8Array([0xff, 0xfe]),
  "is empty": new Uint8Array(0),
  "is no JSON": new TextEncoder().encode("{secret\n{}"),
  "is null": bytesOf(null as never),
  "has no format": bytesOf({ ...HEADER, format: undefined }),
  "lacks a field": bytesOf({ ...HEADER, expiresAt: undefined }),
  "has a field that is null": bytesOf({ ...HEADER, idleTimeout: null }),
  "has a field of another type": bytesOf({ ...HEADER, persistent: "no" }),
  "has half a previous secret": bytesOf({ ...HEADER, previous: {} }),
  "has data that is no text": new Uint8Array([
    ...bytesOf(HEADER, '{"a":"'),
    0xff,
    ...new TextEncoder().encode('"}'),
  ]),
  "has data that cannot be decoded": bytesOf(HEADER, "{secret"),
};

describe("a record in Deno KV that cannot be read", () => {
  test("is one only for what is wrong with it", async (bench) => {
    await bench.plant(bytesOf(HEADER, '{"a":1}'));
    assertEquals({ ...(await bench.live()).data }, { a: 1 });
  });

  for (const [fault, value] of Object.entries(UNREADABLE)) {
    test(`fails the read when it ${fault}`, async (bench) => {
      await bench.plant(value);
      const read = () => bench.provider.read(ID, START);
      const error = await assertRejects(read, SessionError);
      assertEquals(error.code, "corrupt");
      assertFalse(`${error.message}${error.cause}`.includes("secret"));
    });
  }

  test("is said to be of a newer version when it is", async (bench) => {
    await bench.plant(bytesOf({ format: 2 }));
    const read = () => bench.provider.read(ID, START);
    const error = await assertRejects(read, SessionError, "newer version");
    assertEquals(error.code, "corrupt");
  });

  test("is neither written over nor touched", async (bench) => {
    await bench.plant(bytesOf({ format: 2 }));
    const writes = [
      () => bench.provider.create(ID, makeRecord(), START),
      () => bench.provider.update(ID, changeOf(), guard, START),
      () => bench.provider.touch(ID, START + 9_000, START),
    ];
    for (const write of writes) assertEquals(await codeOf(write), "corrupt");
    const { value } = await bench.kv.get(["session", "id", ID]);
    assertEquals(value, bytesOf({ format: 2 }));
  });

  test("can be destroyed", async (bench) => {
    await bench.plant(bytesOf({ format: 2 }));
    assert(await bench.provider.destroy(ID));
    assertEquals(await bench.keys(), []);
  });

  test("can be destroyed in a second attempt", async (bench) => {
    await bench.plant(bytesOf({ format: 2 }));
    bench.seen.beforeCommit = () => bench.plant(bytesOf({ format: 2 }));
    assert(await bench.provider.destroy(ID));
    assertEquals(await bench.keys(), []);
  });

  test("ends with the other sessions of its principal", async (bench) => {
    await bench.create({ principal: "ada" });
    await bench.create({ principal: "ada" }, makeId(2));
    await bench.plant(bytesOf({ format: 2 }));
    assertEquals(await bench.provider.destroyAll("ada"), 2);
    assertEquals(await bench.keys(), []);
  });

  test("is cleared with all the others", async (bench) => {
    await bench.create({}, makeId(2));
    await bench.plant(bytesOf({ format: 2 }));
    assertEquals(await bench.provider.clear(), 2);
    assertEquals(await bench.keys(), []);
  });
});

describe("a scan of Deno KV", () => {
  test("names every live session once, in as many pages as it takes", async (bench) => {
    const ids = Array.from({ length: 7 }, (_, index) => makeId(index));
    for (const id of ids) await bench.create({}, id);
    await bench.create({ expiresAt: START }, makeId(8));
    const pages: string[][] = [];
    let cursor: string | undefined;
    do {
      const page = await bench.provider.scan(cursor, 3, START);
      pages.push(page.sessions.map(({ id }) => id));
      cursor = page.next;
    } while (cursor !== undefined);
    assertEquals(pages.flat(), ids);
    assertEquals(pages.map(({ length }) => length), [3, 3, 1]);
  });

  test("gives each session with its record", async (bench) => {
    await bench.create({ principal: "ada" });
    const { sessions } = await bench.provider.scan(undefined, 10, START);
    assertEquals(sessions, [{ id: ID, record: await bench.live() }]);
  });

  test("names what cannot be read and goes on", async (bench) => {
    await bench.plant(bytesOf({ format: 2 }));
    await bench.create({}, makeId(2));
    const page = await bench.provider.scan(undefined, 10, START);
    assertEquals(page.unreadable, [ID]);
    assertEquals(page.sessions.map(({ id }) => id), [makeId(2)]);
  });

  test("sees nothing of another prefix", async (bench) => {
    const stranger = new DenoKvProvider(bench.kv, { prefix: "session2" });
    await stranger.create(ID, makeRecord(), START);
    const page = await bench.provider.scan(undefined, 10, START);
    assertEquals(page.sessions, []);
    assertStrictEquals(page.next, undefined);
  });

  it("fails once the provider is closed", async () => {
    const provider = new DenoKvProvider(emptyKv());
    await provider.close();
    const scan = () => provider.scan(undefined, 10, START);
    assertEquals(await codeOf(scan), "closed");
  });
});
