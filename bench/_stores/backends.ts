/** Every store with its provider, and with a bare client beside it. */
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Awaitable, Provider } from "../../core/provider.ts";
import { type DenoKv, DenoKvProvider } from "../../providers/deno_kv.ts";
import {
  encrypted,
  generateKey,
  type Hidden,
} from "../../providers/encrypted.ts";
import { MysqlProvider } from "../../providers/mysql.ts";
import { PostgresProvider } from "../../providers/postgres.ts";
import { RedisProvider } from "../../providers/redis.ts";
import { SqliteProvider } from "../../providers/sqlite.ts";
import {
  MariaServer,
  missing as missingMaria,
} from "../../tests/_mariadb_server.ts";
import { missing, PostgresServer } from "../../tests/_postgres_server.ts";
import { missingRedis, RedisServer } from "../../tests/_redis_server.ts";
import { unboundedProvider } from "../_cases/population.ts";

/** A store that a run has made for itself. */
export interface Backend {
  readonly provider: Provider;
  /** Whether expired sessions go by themselves, without `gc`. */
  readonly expires?: boolean;
  /** The client's, whose version matters. */
  readonly packages?: readonly string[];
  /** What a bare client does, one command each. */
  readonly bare: {
    readonly read: (id: string) => Awaitable<unknown>;
    readonly write: (id: string) => Awaitable<unknown>;
    /** The least script that writes, where a provider's writes are scripts. */
    readonly script?: (id: string) => Awaitable<unknown>;
  };
  /** Gives the bare client what to read, as much as there are sessions. */
  fillBare(): Awaitable<unknown>;
  /** Bytes that all sessions take, by where. */
  footprint(): Awaitable<Readonly<Record<string, number>>>;
  close(): Awaitable<unknown>;
}

/** Makes another text for each call that a bare client stores. */
export type Payload = () => string;

/** Opens a store, or answers what is missing. */
export type Open = (payload: Payload) => Awaitable<Backend | string>;

const SERVER = "memory of the server";

const HIDDEN: readonly Hidden[] = ["principal", "label", "key-names"];

/** What is compared in which section. */
export const STORES: readonly string[] =
  "memory sqlite redis postgres mariadb deno-kv".split(" ");
export const ENCRYPTED = ["memory", "memory-encrypted", "memory-hidden"];

/** All stores by name. */
export const BACKENDS: Readonly<Record<string, Open>> = {
  memory: openMemory,
  sqlite: openSqlite,
  redis: openRedis,
  postgres: openPostgres,
  mariadb: openMariadb,
  "deno-kv": openDenoKv,
  "memory-encrypted": (payload) => encrypting(openMemory(payload), []),
  "memory-hidden": (payload) => encrypting(openMemory(payload), HIDDEN),
};

/** The same store with its sessions encrypted. */
function encrypting(store: Backend, hide: readonly Hidden[]): Backend {
  const options = { keys: [generateKey()], hide };
  return { ...store, provider: encrypted(store.provider, options) };
}

function openMemory(payload: Payload): Backend {
  const provider = unboundedProvider();
  const map = new Map<string, string>();
  return {
    provider,
    bare: {
      read: (id) => map.get(id),
      write: (id) => map.set(id, payload()),
    },
    fillBare: () => eachId(provider, (id) => map.set(id, payload())),
    footprint: () => ({}),
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

async function openSqlite(payload: Payload): Promise<Backend> {
  const { DatabaseSync } = await import("node:sqlite");
  const folder = mkdtempSync(join(tmpdir(), "session-bench-"));
  const file = new DatabaseSync(join(folder, "sessions.db"));
  // As the provider has it in a file that it opened.
  file.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
PRAGMA wal_autocheckpoint = 250; PRAGMA cache_size = -16384;
CREATE TABLE bare (id TEXT NOT NULL PRIMARY KEY, data TEXT NOT NULL) STRICT`);
  // On one connection: of two in a process of Deno, whose SQLite has one cache
  // for all, the one that was first to fill it leaves none to the other.
  const provider = new SqliteProvider(file);
  const select = file.prepare("SELECT data FROM bare WHERE id = ?");
  const update = file.prepare("UPDATE bare SET data = ? WHERE id = ?");
  return {
    provider,
    bare: {
      read: (id) => select.get(id),
      write: (id) => update.run(payload(), id).changes === 1,
    },
    fillBare: () =>
      file.prepare("INSERT INTO bare SELECT id, ? FROM sessions")
        .run(payload()),
    footprint: () => ({ "on disk": folderSize(folder) }),
    close() {
      provider.close();
      file.close();
      rmSync(folder, { recursive: true });
    },
  };
}

async function openRedis(payload: Payload): Promise<Backend | string> {
  const reason = missingRedis();
  if (reason !== undefined) return reason;
  const { Redis } = await import("ioredis");
  const server = await RedisServer.start();
  const redis = new Redis(server.url);
  const provider = new RedisProvider(redis);
  const ttl = String(30 * 24 * 3_600_000);
  const script =
    "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 'done'";
  const sha = await redis.call("SCRIPT", ["LOAD", script]) as string;
  return {
    provider,
    expires: true,
    bare: {
      read: (id) => redis.call("GET", [`bare:${id}`]),
      write: (id) => redis.call("SET", [`bare:${id}`, payload(), "PX", ttl]),
      script: (id) =>
        redis.call("EVALSHA", [sha, "1", `bare:${id}`, payload(), ttl]),
    },
    fillBare: () =>
      eachId(
        provider,
        (id) => redis.call("SET", [`bare:${id}`, payload(), "PX", ttl]),
      ),
    packages: ["ioredis"],
    async footprint() {
      const info = await redis.call("INFO", ["memory"]) as string;
      return { [SERVER]: Number(/^used_memory:(\d+)/m.exec(info)?.[1]) };
    },
    async close() {
      await provider.close();
      redis.disconnect();
      await server.stop();
    },
  };
}

async function openPostgres(payload: Payload): Promise<Backend | string> {
  if (missing !== undefined) return missing;
  const { default: pg } = await import("pg");
  const server = await PostgresServer.start();
  const pool = new pg.Pool({ connectionString: server.url(), max: 10 });
  pool.on("error", () => {});
  const provider = new PostgresProvider(pool);
  // Prepared under a name, as the provider's are.
  const query = (name: string, text: string, values: unknown[]) =>
    pool.query({ name, text, values });
  return {
    provider,
    packages: ["pg"],
    bare: {
      read: (id) =>
        query("bare-read", "SELECT data FROM bare WHERE id = $1", [id]),
      write: (id) =>
        query("bare-write", "UPDATE bare SET data = $1 WHERE id = $2", [
          payload(),
          id,
        ]),
    },
    async fillBare() {
      await pool.query(
        'CREATE TABLE bare (id text COLLATE "C" PRIMARY KEY, data text NOT NULL) WITH (fillfactor = 80)',
      );
      const copy = "INSERT INTO bare SELECT id, $1 FROM cloakroom_sessions";
      await pool.query(copy, [payload()]);
    },
    async footprint() {
      const size = "pg_total_relation_size('cloakroom_sessions')::text AS size";
      const { rows: [{ size: disk }] } = await pool.query(`SELECT ${size}`);
      const { rows } = await pool.query("SELECT pid FROM pg_stat_activity");
      const pids = rows.map(({ pid }: { pid: number }) => pid);
      return { "on disk": Number(disk), [SERVER]: serverMemory(pids) };
    },
    async close() {
      await provider.close();
      await pool.end();
      await server.stop();
    },
  };
}

async function openMariadb(payload: Payload): Promise<Backend | string> {
  if (missingMaria !== undefined) return missingMaria;
  const { default: mysql } = await import("mysql2/promise");
  // It keeps pages itself, and leaves nothing to the system's cache.
  const args = ["--innodb-buffer-pool-size=1G"];
  const server = await MariaServer.start({ args });
  const pool = mysql.createPool({ uri: server.url(), connectionLimit: 10 });
  const provider = new MysqlProvider(pool);
  return {
    provider,
    packages: ["mysql2"],
    bare: {
      // Prepared, as the provider's are.
      read: (id) => pool.execute("SELECT data FROM bare WHERE id = ?", [id]),
      write: (id) =>
        pool.execute("UPDATE bare SET data = ? WHERE id = ?", [payload(), id]),
    },
    async fillBare() {
      await pool.query(
        "CREATE TABLE bare (id VARBINARY(255) PRIMARY KEY, data LONGTEXT NOT NULL) ENGINE=InnoDB",
      );
      const copy = "INSERT INTO bare SELECT id, ? FROM cloakroom_sessions";
      await pool.query(copy, [payload()]);
    },
    async footprint() {
      await pool.query("ANALYZE TABLE cloakroom_sessions");
      const [rows] = await pool.query(
        `SELECT data_length + index_length AS disk
         FROM information_schema.tables WHERE table_name = 'cloakroom_sessions'`,
      );
      const [{ disk }] = rows as unknown as [{ disk: number }];
      return {
        "on disk": Number(disk),
        [SERVER]: serverMemory([server.pid]),
      };
    },
    async close() {
      await provider.close();
      await pool.end();
      await server.stop();
    },
  };
}

async function openDenoKv(payload: Payload): Promise<Backend | string> {
  const { openKv } = (globalThis as {
    readonly Deno?: { openKv?: (path: string) => Promise<DenoKv> };
  }).Deno ?? {};
  if (openKv === undefined) return "only Deno has it";
  const folder = mkdtempSync(join(tmpdir(), "session-bench-"));
  const kv = await openKv(join(folder, "sessions.kv"));
  const provider = new DenoKvProvider(kv);
  const encoder = new TextEncoder();
  const set = (id: string) =>
    kv.atomic().set(["bare", id], encoder.encode(payload())).commit();
  return {
    provider,
    expires: true,
    bare: {
      read: (id) => kv.get(["bare", id]).then(({ value }) => value),
      write: (id) => set(id).then(({ ok }) => ok),
    },
    fillBare: () => eachId(provider, set),
    footprint: () => ({ "on disk": folderSize(folder) }),
    async close() {
      await provider.close();
      kv.close();
      rmSync(folder, { recursive: true });
    },
  };
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
