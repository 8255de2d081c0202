/** Deno KV: what its provider does that no other does, beside the contract. */
import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertLess,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it, mock } from "node:test";
import { SessionError } from "../core/errors.ts";
import type {
  Guard,
  NewSessionRecord,
  SessionChange,
  SessionRecord,
} from "../core/provider.ts";
import { open, registered } from "../core/registry.ts";
import { isLive, toRecord } from "../core/store/record.ts";
import type { StoredValue } from "../core/value/types.ts";
import { conformance } from "../providers/conformance.ts";
import {
  type DenoKv,
  type DenoKvAtomic,
  type DenoKvEntry,
  DenoKvProvider,
} from "../providers/deno_kv.ts";
import { withPuts } from "../providers/deno_kv/put.ts";
import {
  makeData,
  makeFamily,
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
if (skip) console.log(`Tests of Deno KV are skipped: ${skip}`);

const SECRET = makeHash("secret");
const FAMILY = makeFamily("secret");
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
  /** What was asked to be listed, and how. */
  readonly lists: (object | undefined)[];
}

/** One database with a provider to watch, and another that goes unwatched. */
class Bench {
  readonly kv: DenoKv;
  readonly other: DenoKvProvider;
  readonly seen: Interception = { sets: [], trips: [], lists: [] };
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
  async plant(value: unknown, id = ID): Promise<void> {
    await this.kv.atomic().set(["session", "id", id], value).commit();
  }

  /** The bytes of a session. */
  async bytes(id = ID): Promise<unknown> {
    return (await this.kv.get(["session", "id", id])).value;
  }

  /** Has Ada sign in so many times, from ID on, and Deno KV drop the records. */
  async lose(count: number): Promise<void> {
    for (let number = 1; number <= count; number++) {
      const id = makeId(number);
      await this.create({ principal: "ada" }, id);
      await this.kv.atomic().delete(["session", "id", id]).commit();
    }
  }

  async listed(principal: string, now = START): Promise<readonly string[]> {
    const { sessions } = await this.provider.list(principal, now);
    return sessions.map(({ id }) => id);
  }

  async live(id = ID, now = START): Promise<SessionRecord> {
    const record = await this.other.read(id, now);
    assert(record !== undefined);
    return record;
  }

  async keys(): Promise<readonly unknown[][]> {
    const keys = [];
    const everything = Object.assign(Object.create(null), { prefix: [] });
    const unlimited = Object.create(null);
    for await (const { key } of this.kv.list(everything, unlimited)) {
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
      seen.lists.push(selector, options);
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

function setting(key: string, value: StoredValue): SessionChange {
  return { set: makeData([[key, value]]) };
}

/** A new secret of a new family, as a sign-in stores it over another. */
const SIGN_IN: SessionChange = {
  secretHash: makeHash("new"),
  family: makeFamily("new"),
  renewedAt: START,
  previous: { secretHash: SECRET, family: FAMILY, until: "never" },
};

const guard: Guard = { family: FAMILY };

const HEADER = {
  format: 1,
  version: 1,
  secretHash: SECRET,
  family: FAMILY,
  renewedAt: START,
  createdAt: START,
  accessedAt: START,
  idleTimeout: 3600,
  absoluteTimeout: 43_200,
  persistent: false,
  writeIds: "",
};

function bytesOf(header: object, data = "{}"): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(header)}\n${data}`);
}

/** Tampers with what every object inherits while `use` runs. */
async function withInherited(
  fields: Readonly<Record<string, unknown>>,
  use: () => Promise<void>,
): Promise<void> {
  try {
    for (const [name, value] of Object.entries(fields)) {
      const descriptor = { value, configurable: true, writable: true };
      Object.defineProperty(Object.prototype, name, descriptor);
    }
    await use();
  } finally {
    for (const name of Object.keys(fields)) {
      Reflect.deleteProperty(Object.prototype, name);
    }
  }
}

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
      const change = SIGN_IN;
      return bench.other.update(ID, change, guard, START);
    };
    const update = bench.provider.update(ID, setting("a", 1), guard, START);
    assertEquals(await update, "gone");
    assertEquals({ ...(await bench.live()).data }, {});
  });

  test("conflicts when it was meant for the version before", async (bench) => {
    await bench.create();
    bench.seen.beforeCommit = () => bench.other.update(ID, {}, guard, START);
    const condition = { ...guard, version: 1 };
    const update = bench.provider.update(ID, {}, condition, START);
    assertEquals(await update, "conflict");
  });

  test("is gone when the session was destroyed, and leaves no trace", async (bench) => {
    await bench.create({ principal: "ada" });
    bench.seen.beforeCommit = () => bench.other.destroy(ID, {}, START);
    const update = bench.provider.update(ID, setting("a", 1), guard, START);
    assertEquals(await update, "gone");
    assertEquals(await bench.keys(), []);
  });

  test("is a touch that keeps what the other one wrote", async (bench) => {
    await bench.create();
    bench.seen.beforeCommit = () =>
      bench.other.update(ID, setting("b", 2), guard, START);
    assert(await bench.provider.touch(ID, START + 9000));
    const { data, version, accessedAt } = await bench.live();
    assertEquals([data["b"], version, accessedAt], [2, 2, START + 9000]);
  });

  test("is a destroy that takes the session from its new owner too", async (bench) => {
    await bench.create({ principal: "ada" });
    bench.seen.beforeCommit = () =>
      bench.other.update(ID, { principal: "bob" }, guard, START);
    assertEquals(await bench.provider.destroy(ID, {}, START), "done");
    assertEquals(await bench.keys(), []);
  });

  test("is a destroyAll that spares a session which changed hands", async (bench) => {
    await bench.create({ principal: "ada" });
    bench.seen.beforeCommit = () =>
      bench.other.update(ID, { principal: "bob" }, guard, START);
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
      await bench.other.update(ID, {}, guard, START);
    };
    bench.seen.beforeCommit = outrun;
    const update = () =>
      bench.provider.update(ID, setting("a", 1), guard, START);
    const error = await assertRejects(update, SessionError);
    assertEquals([error.code, error.id], ["conflict", ID]);
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
    const change = { ...SIGN_IN, ...setting("a", 1) };
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
        await bench.other.touch(ID, START + value);
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
    bench.seen.afterLostCommit = () => bench.other.destroy(ID, {}, START);
    assert(await bench.provider.create(ID, makeRecord(), START));
    assertEquals(await bench.keys(), []);
  });

  test("is an end that cannot be told from another's", async (bench) => {
    await bench.create();
    bench.seen.afterLostCommit = async () => {};
    assertEquals(await bench.provider.destroy(ID, {}, START), "absent");
    assertEquals(await bench.keys(), []);
  });

  test("is a touch that may be done twice", async (bench) => {
    await bench.create();
    bench.seen.afterLostCommit = async () => {};
    const later = START + 9000;
    assert(await bench.provider.touch(ID, later));
    const { version, accessedAt } = await bench.live();
    assertEquals([version, accessedAt], [1, later]);
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
    const touch = () => bench.provider.touch(ID, START + 9_000);
    assertStrictEquals(await assertRejects(touch, TypeError), locked);
    random.mock.restore();
  });

  test("is not mistaken for one that fails", async (bench) => {
    await bench.create();
    bench.seen.beforeCommit = () => Promise.reject(new Error("disk on fire"));
    const touch = () => bench.provider.touch(ID, START + 9_000);
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
      () => bench.provider.touch(ID, START + 9_000),
      () => bench.provider.destroy(ID, {}, START),
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
    const change = SIGN_IN;
    await bench.other.update(ID, change, guard, START);
    const update = bench.provider.update(ID, setting("a", 1), guard, START);
    assertEquals(await update, "gone");
  });

  test("are no reason to trust an outdated record that would forbid it", async (bench) => {
    await bench.create();
    await bench.provider.read(ID, START);
    const change = SIGN_IN;
    await bench.other.update(ID, change, guard, START);
    const renewed = { family: makeFamily("new"), version: 2 };
    const update = bench.provider.update(ID, setting("a", 1), renewed, START);
    assertEquals(await update, "done");
  });

  test("are saved for the last 256 records read and no more", async (bench) => {
    const ids = Array.from({ length: 257 }, (_, index) => makeId(index));
    for (const id of ids) await bench.create({}, id);
    for (const id of ids) await bench.provider.read(id, START);
    bench.seen.trips.length = 0;
    await bench.provider.touch(ids[1] as string, START + 9_000);
    assertEquals(bench.seen.trips, ["commit"]);
    await bench.provider.touch(ids[0] as string, START + 9_000);
    assertEquals(bench.seen.trips, ["commit", "get", "commit"]);
  });
});

describe("what Deno KV holds", () => {
  test("goes at the record's deadline at the earliest, and later in the index", async (bench) => {
    const id = ["session", "id", ID];
    const record = makeRecord({ principal: "ada" });
    await bench.provider.create(ID, record, START);
    await bench.provider.update(ID, { isUse: false }, guard, START + 0.5);
    await bench.provider.touch(ID, START + 1000);
    const change = { absoluteTimeout: 60 };
    await bench.provider.update(ID, change, guard, START + 1000);
    const [, index] = bench.seen.sets.map(({ key }) => key);
    assertEquals(index?.slice(0, 2), ["session", "principal"]);
    assertEquals(
      bench.seen.sets as unknown,
      [
        { key: id, expireIn: 3_600_000 },
        { key: index, expireIn: 2 * 3_600_000 + DAY },
        { key: id, expireIn: 3_600_000 },
        { key: id, expireIn: 3_600_000 },
        { key: id, expireIn: 59_000 },
      ],
    );
  });

  test("outlives in the index a session that is used on and on", async (bench) => {
    const record = makeRecord({ principal: "ada", absoluteTimeout: 400_000 });
    await bench.provider.create(ID, record, START);
    let ends = START + (bench.seen.sets[1]?.expireIn ?? 0);
    for (let hour = 1; hour < 100; hour++) {
      const now = START + hour * 3_500_000;
      const expiresAt = now + 3_600_000;
      const count = bench.seen.sets.length;
      if (hour % 2 === 0) await bench.provider.touch(ID, now);
      else await bench.provider.update(ID, {}, guard, now);
      for (const { key, expireIn } of bench.seen.sets.slice(count)) {
        if (key[1] === "principal") ends = now + (expireIn ?? 0);
      }
      assertGreater(ends, expiresAt + DAY - 1, `hour ${hour}`);
    }
  });

  test("indexes a session that comes back to a user it left", async (bench) => {
    await bench.create({ principal: "ada" });
    for (const principal of ["bob", null, "ada"]) {
      await bench.provider.update(ID, { principal }, guard, START);
    }
    assertEquals(await bench.listed("ada"), [ID]);
    assertEquals(await bench.listed("bob"), []);
    assertEquals((await bench.keys()).length, 2);
  });

  test("can have a deadline that Deno KV cannot count to", async (bench) => {
    const timeout = Number.MAX_SAFE_INTEGER;
    const record = makeRecord({
      idleTimeout: timeout,
      absoluteTimeout: timeout,
    });
    assert(await bench.provider.create(ID, record, START));
    assertEquals((await bench.live()).idleTimeout, timeout);
  });

  test("can have a deadline that has passed", async (bench) => {
    await bench.create();
    const now = START + 2000;
    const change = { absoluteTimeout: 1 };
    assertEquals(await bench.provider.update(ID, change, guard, now), "done");
    assertStrictEquals(await bench.provider.read(ID, now), undefined);
    // The npm package refuses 0.
    assertEquals(bench.seen.sets.at(-1)?.expireIn, 1);
  });

  test("is nothing of a session that was destroyed", async (bench) => {
    await bench.create({ principal: "ada" });
    assertEquals((await bench.keys()).length, 2);
    await bench.provider.destroy(ID, {}, START);
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
    await bench.create({ principal: "ada", idleTimeout: 1 });
    const now = START + 1000;
    const record = makeRecord({ principal: "bob", now });
    assert(await bench.provider.create(ID, record, now));
    assertEquals(await bench.listed("bob", now), [ID]);
    assertEquals((await bench.keys()).length, 2);
  });

  test("tells principals apart that differ in a lone surrogate", async (bench) => {
    await bench.create({ principal: "\ud800" }, makeId(1));
    await bench.create({ principal: "\ufffd" }, makeId(2));
    assertEquals(await bench.listed("\ufffd"), [makeId(2)]);
    assertEquals(await bench.provider.destroyAll("\ud800"), 1);
    assertEquals((await bench.live(makeId(2))).principal, "\ufffd");
  });

  test("is listed in full, beyond what can be read in one go", async (bench) => {
    const ids = Array.from({ length: 23 }, (_, index) => makeId(index));
    for (const id of ids) await bench.create({ principal: "ada" }, id);
    assertEquals([...await bench.listed("ada")].sort(), ids.sort());
    assertEquals(await bench.provider.destroyAll("ada"), 23);
  });

  test("is not listed for somebody who lost it in that moment", async (bench) => {
    await bench.create({ principal: "ada" });
    bench.seen.beforeGetMany = () =>
      bench.other.update(ID, { principal: "bob" }, guard, START);
    assertEquals(await bench.listed("ada"), []);
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
    const list = () => bench.listed("ada");
    assertEquals((await list()).length, 1);
    assertEquals(bench.seen.trips.splice(0), [
      "list",
      ...Array.from({ length: 7 }, () => "getMany"),
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
    assertEquals((await bench.listed("ada")).length, 1);
  });

  test("stays if a session is stored under its id in that moment", async (bench) => {
    await bench.lose(1);
    bench.seen.beforeCommit = () => bench.create({ principal: "ada" });
    assertEquals(await bench.listed("ada"), []);
    assertEquals((await bench.listed("ada")).length, 1);
  });

  test("fails neither list nor destroyAll when it cannot be removed", async (bench) => {
    await bench.lose(1);
    const fail = () => Promise.reject(new Error("disk on fire"));
    bench.seen.beforeCommit = fail;
    assertEquals(await bench.listed("ada"), []);
    bench.seen.beforeCommit = fail;
    assertEquals(await bench.provider.destroyAll("ada"), 0);
    assertEquals((await bench.keys()).length, 1);
  });

  test("is not one whose record has expired and is still there", async (bench) => {
    await bench.create({ principal: "ada", idleTimeout: 1 });
    assertEquals(await bench.listed("ada", START + 1000), []);
    assertEquals(bench.seen.trips, ["list", "getMany"]);
    assertEquals((await bench.keys()).length, 2);
  });
});

describe("a session too large for Deno KV", () => {
  test("is refused as too large, with the room that there is", async (bench) => {
    const create = (size: number) =>
      bench.provider.create(ID, makeRecord({ data: dataOfSize(size) }), START);
    const error = await assertRejects(() => create(65_536), SessionError);
    assertEquals([error.code, error.id], ["too-large", ID]);
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

  test("is none because of what it was when it was read", async (bench) => {
    await bench.create({ data: dataOfSize(40_000) });
    await bench.provider.read(ID, START);
    await bench.other.update(ID, { delete: ["a"] }, guard, START);
    const change = setting("b", "x".repeat(40_000));
    const update = bench.provider.update(ID, change, guard, START);
    assertEquals(await update, "done");
    assertEquals(Object.keys((await bench.live()).data), ["b"]);
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

const UNREADABLE: Readonly<Record<string, unknown>> = {
  "is no bytes at all": "text",
  "is no text": new Uint8Array([0xff, 0xfe]),
  "is empty": new Uint8Array(0),
  "is no JSON": new TextEncoder().encode("{secret\n{}"),
  "is null": bytesOf(null as never),
  "has no format": bytesOf({ ...HEADER, format: undefined }),
  "lacks a field": bytesOf({ ...HEADER, family: undefined }),
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
      () => bench.provider.update(ID, {}, guard, START),
      () => bench.provider.touch(ID, START + 9_000),
    ];
    for (const write of writes) assertEquals(await codeOf(write), "corrupt");
    const { value } = await bench.kv.get(["session", "id", ID]);
    assertEquals(value, bytesOf({ format: 2 }));
  });

  test("can be destroyed", async (bench) => {
    await bench.plant(bytesOf({ format: 2 }));
    assertEquals(await bench.provider.destroy(ID, {}, START), "done");
    assertEquals(await bench.keys(), []);
  });

  test("can be destroyed in a second attempt", async (bench) => {
    await bench.plant(bytesOf({ format: 2 }));
    bench.seen.beforeCommit = () => bench.plant(bytesOf({ format: 2 }));
    assertEquals(await bench.provider.destroy(ID, {}, START), "done");
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

/** Instants of a session, and which of them end it in which way. */
const LIVES: Readonly<Record<string, Partial<NewSessionRecord>>> = {
  "an idle one": {},
  "one with fractions": {
    createdAt: START + 0.25,
    accessedAt: START + 1000.625,
    idleTimeout: 0.0005,
  },
  "one at its absolute deadline": { absoluteTimeout: 10.5 },
  "one that signed in later": {
    authenticatedAt: START + 500.5,
    absoluteTimeout: 1,
  },
  "one from a clock a year ahead": {
    createdAt: START + 365 * DAY,
    accessedAt: START + 365 * DAY,
  },
  "one that signed in by a clock a year ahead": {
    authenticatedAt: START + 365 * DAY,
    idleTimeout: 500 * 86_400,
  },
};

/** The instants around every deadline that a record has. */
function instantsAround(record: NewSessionRecord): number[] {
  const begin = record.authenticatedAt ?? record.createdAt;
  const lifetime = record.absoluteTimeout * 1000;
  const deadlines = [
    record.accessedAt + record.idleTimeout * 1000,
    begin + lifetime,
    begin - lifetime,
  ];
  return deadlines.flatMap((at) => [at - 1, at - 0.125, at, at + 0.125, at + 1])
    .concat(START);
}

describe("the life of a session in Deno KV", () => {
  for (const [name, fields] of Object.entries(LIVES)) {
    test(`is as its fields say for ${name}`, async (bench) => {
      const record = makeRecord({ principal: "ada", ...fields });
      const found = new Set<boolean>();
      for (const now of instantsAround(record)) {
        const isThere = isLive(record, now);
        found.add(isThere);
        const { provider } = bench;
        assert(await provider.create(ID, record, record.accessedAt));
        assertEquals(await provider.read(ID, now) !== undefined, isThere);
        assertEquals(await bench.listed("ada", now), isThere ? [ID] : []);
        const { sessions } = await provider.scan(undefined, 9, now);
        assertEquals(sessions.length, isThere ? 1 : 0);
        const change = { isUse: false };
        const updated = await provider.update(ID, change, guard, now);
        assertEquals(updated, isThere ? "done" : "gone");
        const ended = await provider.destroy(ID, guard, now);
        assertEquals(ended, isThere ? "done" : "absent");
        assertEquals(await bench.keys(), []);
        assert(await provider.create(ID, record, record.accessedAt));
        assertEquals(await provider.touch(ID, now), isThere);
        await provider.clear();
      }
      assertEquals(found.size, 2);
    });
  }

  test("is not prolonged by a touch or an update that comes late", async (bench) => {
    await bench.create();
    assert(await bench.provider.touch(ID, START + 5000.5));
    for (const late of [START - 5000, START + 5000.25]) {
      assert(await bench.provider.touch(ID, late));
      const update = bench.provider.update(ID, setting("a", 1), guard, late);
      assertEquals(await update, "done");
      assertEquals((await bench.live()).accessedAt, START + 5000.5);
    }
  });

  test("costs no write for a touch that comes late", async (bench) => {
    await bench.create();
    assert(await bench.provider.touch(ID, START - 1));
    assertEquals(bench.seen.trips, ["get"]);
  });

  test("is not prolonged by an update that is no use", async (bench) => {
    await bench.create();
    const now = START + 5000;
    const change = { ...setting("a", 1), isUse: false };
    assertEquals(await bench.provider.update(ID, change, guard, now), "done");
    const { accessedAt, data } = await bench.live();
    assertEquals([accessedAt, data["a"]], [START, 1]);
    assertEquals(bench.seen.sets.at(-1)?.expireIn, 3_595_000);
  });
});

describe("an end in Deno KV", () => {
  const previous = {
    secretHash: makeHash("old"),
    family: FAMILY,
    until: "confirmed",
  } as const;
  const token = { secretHash: SECRET, until: "confirmed" } as const;
  const wrong: Readonly<Record<string, Guard>> = {
    family: { family: makeFamily("other") },
    principal: { principal: "bob" },
    "the secret of token": { token: { ...token, secretHash: makeHash("x") } },
    "until of token": { token: { ...token, until: "never" } },
    version: { version: 2 },
    binding: { binding: null },
  };
  const right: Guard = {
    family: FAMILY,
    principal: "ada",
    token,
    version: 1,
    binding: "key",
  };

  for (const [name, part] of Object.entries(wrong)) {
    test(`is refused when ${name} differs, whether it was read or not`, async (bench) => {
      await bench.create({ principal: "ada", binding: "key", previous });
      const before = await bench.bytes();
      const end = () =>
        bench.provider.destroy(ID, { ...right, ...part }, START);
      assertEquals(await end(), "refused");
      await bench.provider.read(ID, START);
      assertEquals(await end(), "refused");
      assertEquals(await bench.bytes(), before);
      assertEquals(await bench.provider.destroy(ID, right, START), "done");
      assertEquals(await bench.keys(), []);
    });
  }

  test("is not decided by an outdated record", async (bench) => {
    await bench.create();
    await bench.provider.read(ID, START);
    await bench.other.update(ID, SIGN_IN, guard, START);
    assertEquals(await bench.provider.destroy(ID, guard, START), "refused");
    await bench.provider.read(ID, START);
    await bench.other.update(ID, { principal: "ada" }, {}, START);
    const owned = { principal: "ada" };
    assertEquals(await bench.provider.destroy(ID, owned, START), "done");
    assertEquals(await bench.keys(), []);
  });

  test("takes the index along in the same step, and sets nothing", async (bench) => {
    await bench.create({ principal: "ada" });
    await bench.provider.read(ID, START);
    bench.seen.trips.length = 0;
    assertEquals(await bench.provider.destroy(ID, guard, START), "done");
    assertEquals(bench.seen.trips, ["commit"]);
    assertEquals(bench.seen.sets, []);
    assertEquals(await bench.keys(), []);
  });

  test("is two round trips when nothing is known, one when nothing is there", async (bench) => {
    await bench.create();
    assertEquals(await bench.provider.destroy(ID, guard, START), "done");
    assertEquals(bench.seen.trips.splice(0), ["get", "commit"]);
    assertEquals(await bench.provider.destroy(ID, guard, START), "absent");
    assertEquals(bench.seen.trips, ["get"]);
  });

  test("removes on its way what is over, unless it is another's", async (bench) => {
    const now = START + 3_600_000;
    await bench.create({ principal: "ada" });
    const other = { family: makeFamily("other") };
    assertEquals(await bench.provider.destroy(ID, other, now), "absent");
    assertEquals((await bench.keys()).length, 2);
    assertEquals(await bench.provider.destroy(ID, guard, now), "absent");
    assertEquals(await bench.keys(), []);
  });

  for (const [fault, value] of Object.entries(UNREADABLE)) {
    test(`is done without a guard when the record ${fault}`, async (bench) => {
      await bench.plant(value);
      assertEquals(await bench.provider.destroy(ID, {}, START), "done");
      assertEquals(await bench.keys(), []);
    });
  }

  test("is refused whatever is guarded in a record of a newer version", async (bench) => {
    const newer = bytesOf({ ...HEADER, format: 2 });
    await bench.plant(newer);
    const parts = Object.entries(right).map(([key, part]) => ({ [key]: part }));
    const missing = { token: { secretHash: SECRET, until: undefined } };
    for (const part of [...parts, missing, { binding: null }]) {
      assertEquals(await bench.provider.destroy(ID, part, START), "refused");
    }
    assertEquals(await bench.bytes(), newer);
  });

  test("needs of a damaged record only what is guarded", async (bench) => {
    const damaged = { ...HEADER, persistent: "no" };
    const cases: readonly [object, Guard, string][] = [
      [damaged, guard, "done"],
      [damaged, { family: makeFamily("other") }, "refused"],
      [{ ...damaged, family: 7 }, guard, "refused"],
      [{ ...damaged, principal: "ada" }, { principal: "ada" }, "done"],
      [damaged, { principal: "ada" }, "refused"],
      [damaged, { version: 1 }, "done"],
      [damaged, { binding: null }, "refused"],
      [{ ...damaged, binding: "key" }, { binding: "key" }, "done"],
      [damaged, { token: { ...token, until: undefined } }, "refused"],
      [{ ...damaged, previous }, { token }, "done"],
      [{ ...damaged, previous: "no" }, { token }, "refused"],
    ];
    for (const [header, part, expected] of cases) {
      await bench.plant(bytesOf(header));
      const result = await bench.provider.destroy(ID, part, START);
      assertEquals(result, expected, JSON.stringify([header, part]));
    }
  });

  test("looks at nothing of damaged data", async (bench) => {
    await bench.plant(bytesOf(HEADER, "{secret"));
    const other = { family: makeFamily("other") };
    assertEquals(await bench.provider.destroy(ID, other, START), "refused");
    assertEquals(await bench.provider.destroy(ID, guard, START), "done");
  });

  test("is of nothing for a damaged record that is over", async (bench) => {
    const damaged = bytesOf({ ...HEADER, persistent: "no" });
    const end = START + 3_600_000;
    for (const part of [{}, guard, { family: makeFamily("other") }]) {
      await bench.plant(damaged);
      assertEquals(await bench.provider.destroy(ID, part, end), "absent");
    }
    await bench.plant(damaged);
    assertEquals(await bench.provider.destroy(ID, {}, end - 1), "done");
  });
});

describe("a damaged record among others, in Deno KV", () => {
  const damaged = { ...HEADER, persistent: "no" };

  /** Two sessions of Ada, the first of them overwritten. */
  async function plantOver(bench: Bench, value: unknown): Promise<void> {
    await bench.create({ principal: "ada" });
    await bench.create({ principal: "ada", label: "Phone" }, makeId(2));
    await bench.plant(value);
  }

  test("is listed with its summary if only its data is damaged", async (bench) => {
    const header = { ...HEADER, principal: "ada", label: "Laptop" };
    const faulty = new Uint8Array([...bytesOf(header, "{"), 0xff]);
    await plantOver(bench, faulty);
    const { sessions, unreadable } = await bench.provider.list("ada", START);
    assertEquals(sessions.map(({ label }) => label), ["Laptop", "Phone"]);
    assertEquals(unreadable, []);
    assertEquals(
      await codeOf(() => bench.provider.read(ID, START)),
      "corrupt",
    );
  });

  for (
    const [name, header] of Object.entries({
      "is of a newer version": { ...HEADER, format: 2 },
      "has lost a field": { ...HEADER, principal: "ada", createdAt: undefined },
      "has lost its principal": damaged,
    })
  ) {
    test(`is named, and ended with the others, if it ${name}`, async (bench) => {
      await plantOver(bench, bytesOf(header));
      const { sessions, unreadable } = await bench.provider.list("ada", START);
      assertEquals(sessions.map(({ id }) => id), [makeId(2)]);
      assertEquals(unreadable, [ID]);
      assertEquals(await bench.provider.destroyAll("ada"), 2);
      assertEquals(await bench.keys(), []);
    });
  }

  test("is spared if it is the one to spare", async (bench) => {
    await plantOver(bench, bytesOf({ format: 2 }));
    assertEquals(await bench.provider.destroyAll("ada", ID), 1);
    assertEquals(await bench.bytes(), bytesOf({ format: 2 }));
  });

  test("is not named when it is over", async (bench) => {
    await plantOver(bench, bytesOf(damaged));
    const end = START + 3_600_000;
    const { sessions, unreadable } = await bench.provider.list("ada", end);
    assertEquals([sessions, unreadable], [[], []]);
  });

  for (
    const [name, header] of Object.entries({
      "another's": { ...HEADER, principal: "bob" },
      "nobody's": HEADER,
      "damaged, and another's": { ...damaged, principal: "bob" },
    })
  ) {
    test(`is neither listed nor ended if it is ${name}`, async (bench) => {
      await plantOver(bench, bytesOf(header));
      const { sessions, unreadable } = await bench.provider.list("ada", START);
      assertEquals(sessions.map(({ id }) => id), [makeId(2)]);
      assertEquals(unreadable, []);
      assertEquals(await bench.provider.destroyAll("ada"), 1);
      assertEquals(await bench.bytes(), bytesOf(header));
    });
  }

  test("fails what needs it, by an error that names it and tells what to do", async (bench) => {
    const calls = [
      () => bench.provider.read(ID, START),
      () => bench.provider.update(ID, setting("a", 1), guard, START),
    ];
    for (const value of Object.values(UNREADABLE)) {
      await bench.plant(value);
      for (const call of calls) {
        const error = await assertRejects(call, SessionError, ID);
        assertEquals([error.code, error.id], ["corrupt", ID]);
        assertStringIncludes(error.message, "manager.destroy(id)");
      }
    }
  });

  test("is gone for all calls when it is over", async (bench) => {
    const end = START + 3_600_000;
    for (const value of [bytesOf(damaged), bytesOf(HEADER, "{")]) {
      await bench.plant(value);
      assertStrictEquals(await bench.provider.read(ID, end), undefined);
      const update = bench.provider.update(ID, setting("a", 1), guard, end);
      assertEquals(await update, "gone");
      assertFalse(await bench.provider.touch(ID, end));
      const page = await bench.provider.scan(undefined, 9, end);
      assertEquals([page.sessions, page.unreadable], [[], []]);
      assert(await bench.provider.create(ID, makeRecord({ now: end }), end));
    }
  });

  test("keeps damaged data as it is when something else changes", async (bench) => {
    const faulty = new Uint8Array([...bytesOf(HEADER, "{"), 0xff]);
    await bench.plant(faulty);
    const renewal = { ...SIGN_IN, family: FAMILY };
    assertEquals(
      await bench.provider.update(ID, renewal, guard, START),
      "done",
    );
    assert(await bench.provider.touch(ID, START + 1000));
    const bytes = await bench.bytes() as Uint8Array;
    assertEquals([...bytes.slice(-3)], [10, 123, 255]);
    const owned = { ...guard, version: 2 };
    assertEquals(await bench.provider.destroy(ID, owned, START), "done");
  });
});

describe("the end of many sessions in Deno KV", () => {
  test("takes few round trips", async (bench) => {
    const ids = Array.from({ length: 1010 }, (_, index) => makeId(index));
    const creating = ids.map((id) => bench.create({ principal: "ada" }, id));
    await Promise.all(creating);
    assertEquals(await bench.provider.destroyAll("ada"), 1010);
    const count = (name: string) =>
      bench.seen.trips.filter((trip) => trip === name).length;
    assertEquals([count("list"), count("getMany"), count("commit")], [
      1,
      101,
      11,
    ]);
    assertEquals(await bench.keys(), []);
  });

  test("spares the one that changes hands in that moment, and no other", async (bench) => {
    for (let number = 1; number <= 5; number++) {
      await bench.create({ principal: "ada" }, makeId(number));
    }
    bench.seen.beforeCommit = async () => {
      await bench.other.update(ID, { principal: "bob" }, guard, START);
      await bench.other.update(makeId(2), setting("a", 1), guard, START);
      await bench.other.destroy(makeId(3), {}, START);
    };
    assertEquals(await bench.provider.destroyAll("ada"), 3);
    assertEquals((await bench.live()).principal, "bob");
    assertEquals((await bench.keys()).length, 2);
  });

  test("waits until the lock is free", async (bench) => {
    await bench.create({ principal: "ada" });
    const locked = new TypeError("database is locked");
    bench.seen.beforeCommit = () => Promise.reject(locked);
    assertEquals(await bench.provider.destroyAll("ada"), 1);
    assertEquals(await bench.keys(), []);
  });
});

describe("what objects inherit", () => {
  const inherited = {
    ...{ principal: "admin", label: "x", binding: "x", fingerprint: "x" },
    ...{ authenticatedAt: START - 50 * DAY, previous: SIGN_IN.previous },
    ...{ until: "confirmed", family: "x", isUse: false, version: 9 },
    ...{ delete: ["a"], token: { secretHash: "x", until: "never" } },
    ...{ prefix: "other", writeId: "x", puts: [], expireIn: 1, table: "x" },
    ...{ limit: 1, start: ["x"], end: ["x"], reverse: true, cursor: "eA==" },
    ...{ indexedUntil: Number.MAX_SAFE_INTEGER, format: 2, answer: "gone" },
  };

  test("is nothing to Deno KV's records, guards and options", async (bench) => {
    const created = makeRecord({ data: makeData([["a", 1]]) });
    const expected = {
      ...toRecord(created, 2),
      accessedAt: START + 10,
    };
    await withInherited(inherited, async () => {
      const provider = new DenoKvProvider(intercepted(bench.kv, bench.seen));
      for (const id of [ID, makeId(2), makeId(3)]) {
        assert(await provider.create(id, created, START));
      }
      const update = provider.update(ID, {}, guard, START + 9);
      assertEquals(await update, "done");
      assert(await provider.touch(ID, START + 10));
      const record = await provider.read(ID, START);
      assertEquals<unknown>({ ...record }, expected);
      const first = await provider.scan(undefined, 2, START);
      const second = await provider.scan(first.next, 2, START);
      const scanned = [...first.sessions, ...second.sessions];
      assertEquals(scanned.map(({ id }) => id), [ID, makeId(2), makeId(3)]);
      for (const id of [makeId(4), makeId(5)]) {
        const owned = { ...created, principal: "ada" };
        assert(await provider.create(id, owned, START));
      }
      const { sessions } = await provider.list("ada", START);
      assertEquals(sessions.map(({ id }) => id), [makeId(4), makeId(5)]);
      assertEquals(await provider.destroyAll("ada"), 2);
      const keys = await bench.keys();
      assertEquals(keys.map(([prefix]) => prefix), Array(3).fill("session"));
      assertEquals((await provider.list("admin", START)).sessions, []);
      assertEquals(await provider.destroyAll("admin"), 0);
      const other = { binding: null };
      assertEquals(await provider.destroy(ID, other, START), "done");
      assertEquals(await provider.clear(), 2);
    });
    // Not every client looks only at what these have themselves.
    for (const argument of bench.seen.lists) {
      assertStrictEquals(Object.getPrototypeOf(argument), null);
    }
    assertEquals(await bench.keys(), []);
  });

  it("makes no removal a write", async () => {
    const calls: string[] = [];
    const atomic: DenoKvAtomic = {
      check: () => atomic,
      set: () => (calls.push("set"), atomic),
      delete: () => (calls.push("delete"), atomic),
      commit: () => Promise.resolve({ ok: true }),
    };
    await withInherited({ value: "x" }, () => {
      withPuts(atomic, [{ key: ["a"] }]);
      return Promise.resolve();
    });
    assertEquals(calls, ["delete"]);
  });

  test("does not stand in for what a stored record has lost", async (bench) => {
    const lost = { ...HEADER, family: undefined };
    const half = { secretHash: makeHash("old"), family: FAMILY };
    for (const header of [lost, { ...HEADER, previous: half }]) {
      await bench.plant(bytesOf(header));
      await withInherited(inherited, async () => {
        const read = () => bench.provider.read(ID, START);
        assertEquals(await codeOf(read), "corrupt");
      });
    }
  });
});

describe("the ids of writes in Deno KV", () => {
  test("are fresh for each write, and the last sixteen are kept", async (bench) => {
    await bench.create();
    const seen: string[] = [];
    for (let count = 1; count <= 20; count++) {
      await bench.provider.update(ID, setting("a", count), guard, START);
      const text = new TextDecoder().decode(await bench.bytes() as Uint8Array);
      const { writeIds } = JSON.parse(text.slice(0, text.indexOf("\n")));
      seen.unshift(writeIds.slice(0, 10));
      assertEquals(writeIds.length, 10 * Math.min(count + 1, 16));
      assert(writeIds.startsWith(seen.slice(0, 16).join("")));
    }
    assertEquals(new Set(seen).size, 20);
    assertEquals(new Set(seen.map((id) => id.slice(1, 6))).size, 20);
  });
});

/**
 * Reads sessions whose ids are cut from long texts, as from `Cookie` headers,
 * and prints by how many bytes the memory has grown. Its store hands the keys
 * back that it is given. It is Bun where a key of a `Map` keeps all of the text
 * that it was cut from.
 */
const READING = `
  import { Buffer } from "node:buffer";
  import process from "node:process";
  const { DenoKvProvider } = await import(${
  JSON.stringify(new URL("../providers/deno_kv.ts", import.meta.url))
});
  let value;
  const atomic = {
    check: () => atomic,
    set: (_key, bytes) => (value = bytes, atomic),
    commit: () => Promise.resolve({ ok: true }),
  };
  const provider = new DenoKvProvider({
    atomic: () => atomic,
    get: (key) => Promise.resolve({ key, value, versionstamp: "1" }),
  });
  await provider.create("an id", ${
  JSON.stringify({ ...makeRecord(), data: {} })
}, ${START});
  const used = () => {
    globalThis.gc ? gc() : Bun.gc(true);
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const headers = async (count) => {
    for (let number = 0; number < count; number++) {
      const header = Buffer.alloc(500_000, "x");
      header.write(String(number).padStart(24, "-"));
      const id = header.toString("latin1").slice(0, 24);
      if (!await provider.read(id, ${START})) throw new Error("not read");
    }
  };
  await headers(10);
  const before = used();
  await headers(200);
  console.log(used() - before);
`;

describe("a record remembered by DenoKvProvider", () => {
  it("does not keep the header that its id was cut from", () => {
    const args = "Deno" in globalThis
      ? ["run", "-A", "--no-config", "--v8-flags=--expose-gc", "-"]
      : ["run", "-"];
    const { stdout, stderr, status } = spawnSync(process.execPath, args, {
      input: READING,
      encoding: "utf8",
    });
    assertEquals(status, 0, stderr);
    // The headers are 100 million bytes.
    assertLess(Number(stdout), 20_000_000);
  });
});

describe("a scan of Deno KV", () => {
  test("names every live session once, in as many pages as it takes", async (bench) => {
    const ids = Array.from({ length: 7 }, (_, index) => makeId(index));
    for (const id of ids) await bench.create({}, id);
    await bench.create({ idleTimeout: 0 }, makeId(8));
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
