/**
 * Measures the providers on real stores, beside the bare client of each that
 * does one command of the same size in the same run. The number of sessions may
 * follow as an argument (100,000 if not), then the names of the stores (all if
 * not); to compare what they take of memory, name one at a time.
 *
 * ```sh
 * deno run -A --unstable-kv --v8-flags=--expose-gc bench/providers.ts 1e6 sqlite
 * bun bench/providers.ts 1e5 redis postgres
 * ```
 *
 * @module
 */
import { Redis } from "ioredis";
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { setImmediate } from "node:timers/promises";
import mysql from "mysql2/promise";
import pg from "pg";
import type {
  Awaitable,
  NewSessionRecord,
  Provider,
} from "../core/provider.ts";
import { hashSecret, ID_LENGTH, mintSecret } from "../core/secret/token.ts";
import { emptyObject, type StoredData } from "../core/value/types.ts";
import { type DenoKv, DenoKvProvider } from "../providers/deno_kv.ts";
import { encrypted, generateKey, type Hidden } from "../providers/encrypted.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { MysqlProvider } from "../providers/mysql.ts";
import { PostgresProvider } from "../providers/postgres.ts";
import { RedisProvider } from "../providers/redis.ts";
import { SqliteProvider } from "../providers/sqlite.ts";
import {
  MariaServer,
  missing as missingMaria,
} from "../tests/_mariadb_server.ts";
import { missing, PostgresServer } from "../tests/_postgres_server.ts";
import { missingRedis, RedisServer } from "../tests/_redis_server.ts";

const ROUNDS = 5;

/** How long an operation is repeated in each round, in milliseconds. */
const ROUND_TIME = 300;

const IN_FLIGHT = 32;

/** How many sessions the manager lets a provider remove in one call. */
const GC_BATCH = 1000;

const HOUR = 3600;
const MONTH = 30 * 24 * HOUR;

/** Sessions beyond the filling, for `create` one at a time and in flight. */
const SPARE = 3_000_000;

const HASH_LENGTH = hashSecret(mintSecret()).length;

/** What a bare client does, one command each. */
interface Bare {
  /** What the commands are called. */
  readonly reads: string;
  readonly writes: string;
  read(id: string): Awaitable<unknown>;
  write(id: string): Awaitable<unknown>;
  /** The least script that writes, where a provider's writes are scripts. */
  script?(id: string): Awaitable<unknown>;
}

/** A store with a provider and a bare client on it. */
interface Store {
  readonly provider: Provider;
  /** Another one on the same sessions, to measure `gc` on in its place. */
  readonly collector?: Provider;
  /** Whether it collects; others expire by themselves. */
  readonly collects: boolean;
  readonly bare: Bare;
  /** Gives the bare client what to read, as much as there are sessions. */
  fillBare(): Awaitable<void>;
  /** Bytes, by what takes them. */
  footprint(): Awaitable<readonly (readonly [string, number])[]>;
  /** What else is to be told in the end. */
  remarks?(): Promise<readonly string[]>;
  close(): Awaitable<unknown>;
}

/** Something to be measured. */
interface Operation {
  readonly name: string;
  /** Which bare operations it is compared with. */
  readonly floors: readonly string[];
  readonly run: () => Awaitable<unknown>;
}

/** The ids of all sessions in one long text, each cut out when it is used. */
class Visitors {
  readonly filled: number;
  count = 0;
  readonly #tape: Buffer;

  constructor(filled: number) {
    this.filled = filled;
    const characters = (filled + SPARE) * ID_LENGTH + HASH_LENGTH;
    const bytes = randomBytes(Math.ceil(characters / 4) * 3);
    this.#tape = Buffer.from(bytes.toString("base64url"), "latin1");
  }

  id(index: number): string {
    const at = index * ID_LENGTH;
    return this.#tape.toString("latin1", at, at + ID_LENGTH);
  }

  secretHash(index: number): string {
    const at = index * ID_LENGTH;
    return this.#tape.toString("latin1", at, at + HASH_LENGTH);
  }

  next(): number {
    if (this.count < this.filled + SPARE) return this.count++;
    throw new RangeError(
      `Cannot go on creating sessions: there are ids for ${this.count} only`,
    );
  }

  /** One of those that the store was filled with. */
  any(): number {
    return Math.floor(Math.random() * this.filled);
  }
}

/** Half of the sessions are signed in, two for each user. */
function userOf(index: number): string | undefined {
  return index % 4 < 2 ? `user-${index >> 2}` : undefined;
}

/** A tenth of the sessions expires after an hour without a request. */
function idleTimeoutOf(index: number): number {
  return index % 10 === 0 ? HOUR : MONTH;
}

/** What every session's family is filed as. */
const FAMILY = "0123456789abcdef";

function recordOf(visitors: Visitors, index: number): NewSessionRecord {
  const now = Date.now();
  const principal = userOf(index);
  const idleTimeout = idleTimeoutOf(index);
  return Object.freeze({
    data: Object.freeze(Object.assign(emptyObject(), {
      visits: 1,
      locale: "en-GB",
      cart: Object.freeze([
        Object.freeze({ article: `A-${index}`, count: 2, price: 1995 }),
        Object.freeze({ article: `B-${index}`, count: 1, price: 495 }),
      ]),
    })),
    secretHash: visitors.secretHash(index),
    family: FAMILY,
    renewedAt: now,
    principal,
    label: principal && "Firefox on Linux",
    authenticatedAt: principal === undefined ? undefined : now,
    createdAt: now,
    accessedAt: now,
    idleTimeout,
    absoluteTimeout: MONTH,
    persistent: false,
  });
}

/**
 * Makes what the bare client stores: as long as a session's values as JSON, and
 * another text each time, because SQLite writes nothing where nothing changes.
 */
function payloadsFor(visitors: Visitors): () => string {
  const values = JSON.stringify(Object.values(recordOf(visitors, 1)));
  let count = 10_000_000;
  return () => ++count + values.slice(8);
}

function operationsOn(store: Store, visitors: Visitors): Operation[] {
  const { bare: { reads, writes } } = store;
  const both = `${reads} + ${writes}`;
  const isScripted = store.bare.script !== undefined;
  const bare = bareCalls(store.bare, visitors);
  const calls = providerCalls(store.provider, visitors);
  const row = (
    name: string,
    run: Operation["run"],
    ...floors: readonly string[]
  ) => ({ name, run, floors });
  return [
    row(reads, bare.read),
    row("read", calls.read, reads),
    row(writes, bare.write),
    ...(isScripted ? [row("EVALSHA", bare.script)] : []),
    row("update", calls.update, writes, ...(isScripted ? ["EVALSHA"] : [])),
    row(both, bare.both),
    row("read + update", calls.both, both),
    row("touch", calls.touch, writes),
    row("list", calls.list),
    row("create", calls.create, writes),
  ];
}

function bareCalls(bare: Bare, visitors: Visitors) {
  const any = () => visitors.id(visitors.any());
  return {
    read: () => bare.read(any()),
    write: () => bare.write(any()),
    script: () => bare.script?.(any()),
    both: () => {
      const id = any();
      return after(bare.read(id), () => bare.write(id));
    },
  };
}

function providerCalls(provider: Provider, visitors: Visitors) {
  const read = (index: number) => provider.read(visitors.id(index), Date.now());
  const update = (index: number) => {
    const now = Date.now();
    const set = Object.assign(emptyObject(), { visits: now }) as StoredData;
    const guard = { family: FAMILY };
    return provider.update(visitors.id(index), { set }, guard, now);
  };
  return {
    read: () => read(visitors.any()),
    update: () => update(visitors.any()),
    both: () => {
      const index = visitors.any();
      return after(read(index), () => update(index));
    },
    touch: () => {
      const index = visitors.any();
      return provider.touch(visitors.id(index), Date.now());
    },
    list: () => {
      const user = userOf(visitors.any() & ~3) as string;
      return after(provider.list(user, Date.now()), ({ sessions }) => {
        return sessions.length;
      });
    },
    create: () => create(provider, visitors),
  };
}

function create(provider: Provider, visitors: Visitors): Awaitable<boolean> {
  const index = visitors.next();
  const record = recordOf(visitors, index);
  return provider.create(visitors.id(index), record, record.createdAt);
}

/** Does something with an answer, at once if it is there at once. */
function after<T, R>(
  answer: Awaitable<T>,
  use: (answer: T) => Awaitable<R>,
): Awaitable<R> {
  return answer instanceof Promise ? answer.then(use) : use(answer);
}

/** Repeats an operation for a while; answers the microseconds for each. */
async function timed(operation: Operation, lanes: number): Promise<number> {
  const start = performance.now();
  const end = start + ROUND_TIME;
  const counts = await Promise.all(
    Array.from({ length: lanes }, () => repeat(operation, end)),
  );
  const count = counts.reduce((sum, some) => sum + some);
  return (performance.now() - start) * 1000 / count;
}

async function repeat({ name, run }: Operation, end: number): Promise<number> {
  for (let count = 1;; count++) {
    let answer = run();
    const isLater = answer instanceof Promise;
    if (isLater) answer = await answer;
    if (!answer || answer === "gone" || answer === "conflict") {
      throw new Error(`Cannot measure ${name}: received ${answer}`);
    }
    // To look at the clock takes about as long as a look-up in memory.
    if ((isLater || count % 16 === 0) && performance.now() >= end) return count;
  }
}

/** Microseconds by operation, one number for each round. */
type Times = Map<string, number[]>;

/** Turn by turn, so that what else the machine does meets all alike. */
async function measure(
  operations: readonly Operation[],
  lanes: number,
): Promise<Times> {
  const times: Times = new Map(operations.map(({ name }) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const operation of operations) {
      times.get(operation.name)?.push(await timed(operation, lanes));
    }
  }
  return times;
}

async function fill(store: Store, visitors: Visitors): Promise<void> {
  const lane = async () => {
    while (visitors.count < visitors.filled) {
      const answer = create(store.provider, visitors);
      const isNew = answer instanceof Promise ? await answer : answer;
      if (!isNew) throw new Error("Cannot fill store: an id is taken");
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
}

/** Watches how long the event loop is held. */
class Probe {
  #longest = 0;
  #last = performance.now();
  readonly #timer = setInterval(() => this.#tick(), 1);

  #tick(): void {
    const now = performance.now();
    this.#longest = Math.max(this.#longest, now - this.#last);
    this.#last = now;
  }

  /** The longest time between two ticks, in milliseconds. */
  stop(): number {
    this.#tick();
    clearInterval(this.#timer);
    return this.#longest;
  }
}

/** The longest tick of a loop that has nothing else to do. */
async function idleTick(milliseconds: number): Promise<number> {
  const probe = new Probe();
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  return probe.stop();
}

/** Removes what expired, as the manager would two hours from now. */
async function collect(store: Store, visitors: Visitors) {
  const { collector: provider = store.provider } = store;
  const now = Date.now() + 2 * HOUR * 1000;
  const idle = await idleTick(2000);
  const probe = new Probe();
  const start = performance.now();
  let removed = 0;
  for (;;) {
    const count = await provider.gc(now, GC_BATCH);
    removed += count;
    if (count < GC_BATCH) break;
    await setImmediate();
  }
  const seconds = (performance.now() - start) / 1000;
  const held = probe.stop();
  const due = Math.ceil(visitors.count / 10);
  if (removed === due) return { removed, seconds, held, idle };
  throw new Error(`Cannot collect: ${removed} of ${due} sessions were removed`);
}

async function bench(name: string, sessions: number): Promise<void> {
  const open = STORES.get(name);
  if (open === undefined) {
    throw new TypeError(
      `Cannot run bench: stores are ${
        [...STORES.keys()].join()
      }: received ${name}`,
    );
  }
  const visitors = new Visitors(sessions);
  const payload = payloadsFor(visitors);
  const before = processMemory();
  const store = await open(payload);
  if (typeof store === "string") {
    console.log(`\n## ${name}\n\nskipped: ${store}`);
    return;
  }
  try {
    await report({ name, store, visitors, payload, before });
  } finally {
    await store.close();
  }
}

async function report({ name, store, visitors, payload, before }: {
  readonly name: string;
  readonly store: Store;
  readonly visitors: Visitors;
  readonly payload: () => string;
  readonly before: ProcessMemory;
}): Promise<void> {
  const { filled } = visitors;
  console.log(`\n## ${name}, ${filled.toLocaleString("en")} sessions\n`);
  const start = performance.now();
  await fill(store, visitors);
  const seconds = (performance.now() - start) / 1000;
  console.log(
    `- Filled in ${seconds.toFixed(1)} s, ` +
      `${rounded(seconds * 1e6 / filled)} µs for each session`,
  );
  await printFootprint(store, filled, before);
  await store.fillBare();
  console.log(
    `- The bare client reads and writes ${payload().length} characters\n`,
  );
  await printTimes(store, visitors);
  for (const remark of await store.remarks?.() ?? []) console.log(remark);
  if (!store.collects) {
    return console.log("- Expired sessions go by themselves");
  }
  const { removed, seconds: time, held, idle } = await collect(store, visitors);
  console.log(
    `- gc of ${removed.toLocaleString("en")}: ${time.toFixed(2)} s, ` +
      `${rounded(time * 1e6 / removed)} µs for each; event loop held for ` +
      `${held.toFixed(1)} ms at most, ${idle.toFixed(1)} ms when idle`,
  );
}

async function printFootprint(
  store: Store,
  sessions: number,
  before: ProcessMemory,
): Promise<void> {
  const after = processMemory();
  const rows = [
    ...await store.footprint(),
    ["heap of the process", after.heap - before.heap] as const,
    [
      "resident memory of the process",
      after.resident - before.resident,
    ] as const,
  ];
  for (const [name, bytes] of rows) {
    const each = Math.round(bytes / sessions);
    console.log(
      `- ${name}: ${
        (bytes / 2 ** 20).toFixed(0)
      } MiB, ${each} bytes for each session`,
    );
  }
}

async function printTimes(store: Store, visitors: Visitors): Promise<void> {
  const operations = operationsOn(store, visitors);
  const alone = await measure(operations, 1);
  const isLater = store.provider.list("nobody", Date.now()) instanceof Promise;
  const many = isLater ? await measure(operations, IN_FLIGHT) : undefined;
  console.log(
    many === undefined
      ? "| | µs for each | speed |\n| --- | --: | :-- |"
      : `| | one at a time, µs | speed | ${IN_FLIGHT} in flight, µs for each | speed |\n| --- | --: | :-- | --: | :-- |`,
  );
  for (const { name, floors } of operations) {
    const cells = [alone, ...(many === undefined ? [] : [many])].flatMap(
      (times) => cellsOf(times, name, floors),
    );
    console.log(`| ${name} | ${cells.join(" | ")} |`);
  }
  console.log();
}

/** A time with half its spread, and what part of the floors' speed that is. */
function cellsOf(
  times: Times,
  name: string,
  floors: readonly string[],
): [string, string] {
  const own = times.get(name) as number[];
  const spread = (Math.max(...own) - Math.min(...own)) / 2;
  const speeds = floors.map((floor) => {
    const others = times.get(floor) as number[];
    const ratios = own.map((time, round) => others[round] as number / time);
    return `${median(ratios).toFixed(2)} of ${floor}`;
  });
  return [`${rounded(median(own))} ± ${rounded(spread)}`, speeds.join(", ")];
}

interface ProcessMemory {
  readonly heap: number;
  readonly resident: number;
}

/** In bytes, without garbage if the runtime lets that be asked for. */
function processMemory(): ProcessMemory {
  const { gc, Bun } = globalThis as {
    readonly gc?: () => void;
    readonly Bun?: { gc(isSync: boolean): void };
  };
  gc?.();
  Bun?.gc(true);
  const { heapUsed, rss } = process.memoryUsage();
  return { heap: heapUsed, resident: rss };
}

/** A server's processes, shared memory split among those who share it. */
function serverMemory(pids: readonly number[]): number {
  const sizes = pids.map((pid) => {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
    return Number(/^Pss: +(\d+)/m.exec(text)?.[1]) * 1024;
  });
  return sizes.reduce((sum, size) => sum + size, 0);
}

function folderSize(folder: string): number {
  const sizes = readdirSync(folder).map((name) =>
    statSync(join(folder, name)).size
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

type Opened = Store | string;

const EVERYTHING: readonly Hidden[] = ["principal", "label", "key-names"];

/** The same store with its sessions encrypted. */
function encrypting(store: Store, hide: readonly Hidden[]): Store {
  const options = { keys: [generateKey()], hide };
  return { ...store, provider: encrypted(store.provider, options) };
}

const STORES: ReadonlyMap<
  string,
  (payload: () => string) => Awaitable<Opened>
> = new Map<string, (payload: () => string) => Awaitable<Opened>>([
  ["memory", openMemory],
  ["sqlite", openSqlite],
  ["redis", openRedis],
  ["postgres", openPostgres],
  ["mariadb", openMariadb],
  ["deno-kv", openDenoKv],
  ["memory-encrypted", (payload) => encrypting(openMemory(payload), [])],
  ["memory-hidden", (payload) => encrypting(openMemory(payload), EVERYTHING)],
]);

function openMemory(payload: () => string): Store {
  const provider = new MemoryProvider({
    maxSessions: Infinity,
    maxBytes: Infinity,
  });
  const map = new Map<string, string>();
  return {
    provider,
    collects: true,
    bare: {
      reads: "Map.get",
      writes: "Map.set",
      read: (id) => map.get(id),
      write: (id) => map.set(id, payload()),
    },
    fillBare: () => eachId(provider, (id) => map.set(id, payload())),
    footprint: () => [],
    close: () => provider.close(),
  };
}

async function eachId(
  provider: Provider,
  use: (id: string) => Awaitable<unknown>,
): Promise<void> {
  let cursor: string | undefined;
  do {
    const page = await provider.scan?.(cursor, 1000, Date.now());
    await Promise.all((page?.sessions ?? []).map(({ id }) => use(id)));
    cursor = page?.next;
  } while (cursor !== undefined);
}

function openSqlite(payload: () => string): Store {
  const folder = mkdtempSync(join(tmpdir(), "session-bench-"));
  const path = join(folder, "sessions.db");
  const file = new DatabaseSync(path);
  // As the provider has it in a file that it opened.
  file.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
PRAGMA wal_autocheckpoint = 250; PRAGMA cache_size = -16384;
CREATE TABLE bare (id TEXT NOT NULL PRIMARY KEY, data TEXT NOT NULL) STRICT`);
  // On one connection: of two in a process of Deno, whose SQLite has one cache
  // for all, the one that was first to fill it leaves none to the other.
  const provider = new SqliteProvider(file);
  const collector = new SqliteProvider(path);
  const select = file.prepare("SELECT data FROM bare WHERE id = ?");
  const update = file.prepare("UPDATE bare SET data = ? WHERE id = ?");
  return {
    provider,
    collector,
    collects: true,
    bare: {
      reads: "SELECT",
      writes: "UPDATE",
      read: (id) => select.get(id),
      write: (id) => update.run(payload(), id).changes === 1,
    },
    fillBare() {
      file.prepare("INSERT INTO bare SELECT id, ? FROM sessions").run(
        payload(),
      );
    },
    footprint: () => [["files", folderSize(folder)]],
    close() {
      provider.close();
      collector.close();
      file.close();
      rmSync(folder, { recursive: true });
    },
  };
}

async function openRedis(payload: () => string): Promise<Opened> {
  const missing = missingRedis();
  if (missing !== undefined) return missing;
  const server = await RedisServer.start();
  const redis = new Redis(server.url);
  const provider = new RedisProvider(redis);
  const ttl = String(MONTH * 1000);
  const sha = await redis.call("SCRIPT", [
    "LOAD",
    "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 'done'",
  ]) as string;
  return {
    provider,
    collects: false,
    bare: {
      reads: "GET",
      writes: "SET",
      read: (id) => redis.call("GET", [`bare:${id}`]),
      write: (id) => redis.call("SET", [`bare:${id}`, payload(), "PX", ttl]),
      script: (id) =>
        redis.call("EVALSHA", [sha, "1", `bare:${id}`, payload(), ttl]),
    },
    fillBare: () =>
      eachId(
        provider,
        (id) => redis.call("SET", [`bare:${id}`, payload()]),
      ),
    async footprint() {
      const info = await redis.call("INFO", ["memory"]) as string;
      const field = (name: string) =>
        Number(new RegExp(`^${name}:(\\d+)`, "m").exec(info)?.[1]);
      return [
        ["data of the server", field("used_memory")],
        ["resident memory of the server", field("used_memory_rss")],
      ];
    },
    async close() {
      await provider.close();
      redis.disconnect();
      await server.stop();
    },
  };
}

async function openPostgres(payload: () => string): Promise<Opened> {
  if (missing !== undefined) return missing;
  const server = await PostgresServer.start();
  const pool = new pg.Pool({ connectionString: server.url(), max: 10 });
  pool.on("error", () => {});
  const provider = new PostgresProvider(pool);
  const number = async (sql: string) => {
    const { rows } = await pool.query(`SELECT (${sql})::text AS n`);
    return Number(rows[0].n);
  };
  return {
    provider,
    collects: true,
    bare: {
      reads: "SELECT",
      writes: "UPDATE",
      // Prepared under a name, as the provider's are.
      read: (id) =>
        pool.query({
          name: "bare-read",
          text: "SELECT data FROM bare WHERE id = $1",
          values: [id],
        }),
      write: (id) =>
        pool.query({
          name: "bare-write",
          text: "UPDATE bare SET data = $1 WHERE id = $2",
          values: [payload(), id],
        }),
    },
    async fillBare() {
      await pool.query(
        'CREATE TABLE bare (id text COLLATE "C" PRIMARY KEY, data text NOT NULL) WITH (fillfactor = 80)',
      );
      await pool.query(
        "INSERT INTO bare SELECT id, $1 FROM cloakroom_sessions",
        [payload()],
      );
    },
    async footprint() {
      const { rows } = await pool.query("SELECT pid FROM pg_stat_activity");
      const pids = rows.map(({ pid }: { pid: number }) => pid);
      return [
        ["table", await number("pg_table_size('cloakroom_sessions')")],
        ["its indexes", await number("pg_indexes_size('cloakroom_sessions')")],
        ["memory of the server", serverMemory(pids)],
      ];
    },
    async remarks() {
      const counters =
        "FROM pg_stat_user_tables WHERE relname = 'cloakroom_sessions'";
      const hot = await number(
        `SELECT 100.0 * n_tup_hot_upd / n_tup_upd ${counters}`,
      );
      return [`- Heap-only updates: ${hot.toFixed(1)} %`];
    },
    async close() {
      await provider.close();
      await pool.end();
      await server.stop();
    },
  };
}

async function openMariadb(payload: () => string): Promise<Opened> {
  if (missingMaria !== undefined) return missingMaria;
  const server = await MariaServer.start();
  const uri = server.url();
  const pool = mysql.createPool({ uri, connectionLimit: 10 });
  const provider = new MysqlProvider(pool);
  return {
    provider,
    collects: true,
    bare: {
      reads: "SELECT",
      writes: "UPDATE",
      // Prepared, as the provider's are.
      read: (id) => pool.execute("SELECT data FROM bare WHERE id = ?", [id]),
      write: (id) =>
        pool.execute("UPDATE bare SET data = ? WHERE id = ?", [payload(), id]),
    },
    async fillBare() {
      await pool.query(
        "CREATE TABLE bare (id VARBINARY(255) PRIMARY KEY, data LONGTEXT NOT NULL) ENGINE=InnoDB",
      );
      await pool.query(
        "INSERT INTO bare SELECT id, ? FROM cloakroom_sessions",
        [payload()],
      );
    },
    async footprint() {
      await pool.query("ANALYZE TABLE cloakroom_sessions");
      const [rows] = await pool.query(
        `SELECT data_length AS held, index_length AS indexed
         FROM information_schema.tables WHERE table_name = 'cloakroom_sessions'`,
      );
      const [{ held, indexed }] = rows as unknown as [
        { held: number; indexed: number },
      ];
      return [
        ["table", held],
        ["its other indexes", indexed],
        ["memory of the server", serverMemory([server.pid])],
      ];
    },
    async close() {
      await provider.close();
      await pool.end();
      await server.stop();
    },
  };
}

async function openDenoKv(payload: () => string): Promise<Opened> {
  const { openKv } = (globalThis as {
    readonly Deno?: { openKv?: (path: string) => Promise<DenoKv> };
  }).Deno ?? {};
  if (openKv === undefined) return "it needs Deno with --unstable-kv";
  const folder = mkdtempSync(join(tmpdir(), "session-bench-"));
  const kv = await openKv(join(folder, "sessions.kv"));
  const provider = new DenoKvProvider(kv);
  const encoder = new TextEncoder();
  const set = (id: string) =>
    kv.atomic().set(["bare", id], encoder.encode(payload())).commit();
  return {
    provider,
    collects: false,
    bare: {
      reads: "get",
      writes: "set",
      read: (id) => kv.get(["bare", id]).then(({ value }) => value),
      write: (id) => set(id).then(({ ok }) => ok),
    },
    fillBare: () => eachId(provider, set),
    footprint: () => [["files", folderSize(folder)]],
    async close() {
      await provider.close();
      kv.close();
      rmSync(folder, { recursive: true });
    },
  };
}

function rounded(value: number): string {
  return value < 10 ? value.toFixed(2) : Math.round(value).toLocaleString("en");
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] as number;
}

const [count = "1e5", ...names] = process.argv.slice(2);
const sessions = Number(count);
if (!Number.isSafeInteger(sessions) || sessions < 1) {
  throw new RangeError(
    `Cannot run bench: sessions must be a positive whole number: received ${count}`,
  );
}
const { deno, bun, v8 } = process.versions;
console.log(
  `${deno === undefined ? `Bun ${bun}` : `Deno ${deno}, V8 ${v8}`}, ` +
    `${cpus()[0]?.model}, ${cpus().length} cores, medians of ${ROUNDS} rounds`,
);
for (const name of names.length > 0 ? names : STORES.keys()) {
  await bench(name, sessions);
}
