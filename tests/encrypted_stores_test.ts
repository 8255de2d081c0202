/**
 * Tests encryption on real stores: the contract, and what can be read of all that
 * a store has written.
 */
import { assertEquals, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import mysql from "mysql2/promise";
import pg from "pg";
import { SessionError } from "../core/errors.ts";
import type { Awaitable, Provider } from "../core/provider.ts";
import {
  conformance,
  type ConformanceSetup,
} from "../providers/conformance.ts";
import { DenoKvProvider } from "../providers/deno_kv.ts";
import { encrypted, generateKey, type Hidden } from "../providers/encrypted.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { MysqlProvider } from "../providers/mysql.ts";
import { PostgresProvider } from "../providers/postgres.ts";
import { SqliteProvider } from "../providers/sqlite.ts";
import { MariaServer, missing as missingMaria } from "./_mariadb_server.ts";
import { closeAll, connects } from "./_mysql_clients.ts";
import { missing, PostgresServer } from "./_postgres_server.ts";
import { around } from "./_providers.ts";
import {
  describeOnServer as describeOnRedis,
  useServer,
} from "./_redis_rig.ts";
import {
  bytesBelow,
  found,
  IDS,
  leaveTraces,
  READABLE,
  TRACES,
} from "./_traces.ts";

const ALL: readonly Hidden[] = ["principal", "label", "key-names"];
const KEYS = [generateKey(), generateKey()];
const [KEY = ""] = KEYS;

if (missing !== undefined) {
  console.log(`Tests on a Postgres server are skipped: ${missing}`);
}
const describeOnPostgres = missing === undefined ? describe : describe.skip;

if (missingMaria !== undefined) {
  console.log(`Tests on a MariaDB server are skipped: ${missingMaria}`);
}
const describeOnMaria = missingMaria === undefined ? describe : describe.skip;

const skipKv = "Deno" in globalThis
  ? false
  : "Deno KV is missing: it needs Deno with --unstable-kv";
if (skipKv) console.log(`Tests of Deno KV are skipped: ${skipKv}`);

/** A store of a kind, and a way to all the bytes that it has written. */
interface Kind {
  make(setup: ConformanceSetup): Awaitable<Provider>;
  /**
   * Everything that was written for a store.
   *
   * @param since Files that were last written before that instant may be left out.
   */
  dump(store: Provider, since: number): Awaitable<Buffer>;
  /** The promise that does not hold there, because what is encrypted is longer. */
  readonly tooLong?: string;
}

describe("encryption in memory", () => {
  const handed = new WeakMap<Provider, unknown[]>();
  testOn({
    make() {
      const calls: unknown[] = [];
      const store = around(new MemoryProvider(), (name, call, args) => {
        calls.push(name, args);
        return call();
      });
      handed.set(store, calls);
      return store;
    },
    async dump(store) {
      const page = await store.scan?.(undefined, 10, Date.now());
      return Buffer.from(wordsOf([handed.get(store), page]).join());
    },
  });
  testContract(
    "with several keys and everything hidden",
    () => encrypted(new MemoryProvider(), { keys: KEYS, hide: ALL }),
  );
  for (const left of ALL) {
    const hide = ALL.filter((name) => name !== left);
    testContract(
      `with all but ${left} hidden`,
      () => encrypted(new MemoryProvider(), { keys: [KEY], hide }),
    );
  }
});

describe("encryption in SQLite", () => {
  const folder = mkdtempSync(join(tmpdir(), "encrypted-"));
  after(() => rmSync(folder, { recursive: true }));
  testOn({
    make: ({ prefix }) => new SqliteProvider(join(folder, `${prefix}.db`)),
    dump: (_store, since) => bytesBelow(folder, since),
  });
});

describe("encryption in Deno KV", { skip: skipKv }, () => {
  const folder = mkdtempSync(join(tmpdir(), "encrypted-"));
  after(() => rmSync(folder, { recursive: true }));
  testOn({
    make: ({ prefix }) => new DenoKvProvider(join(folder, `${prefix}.kv`)),
    dump: (_store, since) => bytesBelow(folder, since),
    tooLong: "data of 60 KiB comes back as it was",
  });
});

describeOnRedis("encryption in Redis", () => {
  const rig = useServer([
    // Packed, a text could hide from a look at the bytes.
    ...["--rdbcompression", "no", "--appendonly", "yes"],
    // Whatever it is asked is written down, too.
    ...["--slowlog-log-slower-than", "0", "--slowlog-max-len", "1000"],
  ]);
  testOn({
    make: ({ prefix }) => rig.make(prefix),
    async dump(_store, since) {
      await rig.client.save();
      const [, folder = ""] = await rig.client.config("GET", "dir") as string[];
      const slow = await rig.client.slowlog("GET", -1);
      const files = bytesBelow(folder, since);
      return Buffer.concat([files, Buffer.from(JSON.stringify(slow))]);
    },
  });
});

describeOnPostgres("encryption in Postgres", () => {
  let starting: Promise<{ server: PostgresServer; pool: pg.Pool }> | undefined;
  const start = async () => {
    const server = await PostgresServer.start();
    const pool = new pg.Pool({ connectionString: server.url(), max: 10 });
    pool.on("error", () => {});
    return { server, pool };
  };
  const running = () => starting ??= start();
  after(async () => {
    const started = await starting;
    await started?.pool.end();
    await started?.server.stop();
  });
  testOn({
    async make({ prefix }) {
      const { pool } = await running();
      return new PostgresProvider(pool, { table: tableOf(prefix) });
    },
    async dump(_store, since) {
      const { pool } = await running();
      await pool.query("CHECKPOINT");
      const { rows } = await pool.query("SHOW data_directory");
      return bytesBelow(rows[0].data_directory, since);
    },
  });
});

for (const [name, connect] of Object.entries(connects)) {
  describeOnMaria(`encryption in MariaDB by ${name}`, () => {
    let starting: ReturnType<typeof start> | undefined;
    const start = async () => {
      const server = await MariaServer.start({
        args: [
          ...["--log-bin=log", "--server-id=1", "--binlog-format=ROW"],
          // Each statement is written down with its values.
          ...["--general-log", "--slow-query-log", "--long-query-time=0"],
          "--innodb-log-file-size=8M",
        ],
      });
      return { server, client: connect(server.url()) };
    };
    const running = () => starting ??= start();
    after(async () => {
      await closeAll();
      await (await starting)?.server.stop();
    });
    testOn({
      async make({ prefix }) {
        const { client } = await running();
        return new MysqlProvider(client, { table: tableOf(prefix) });
      },
      async dump(_store, since) {
        const { server } = await running();
        const admin = await mysql.createConnection(server.url());
        const [rows] = await admin.query("SELECT @@datadir AS folder");
        await admin.end();
        return bytesBelow((rows as [{ folder: string }])[0].folder, since);
      },
    });
  });
}

function tableOf(prefix: string): string {
  return `t${prefix.toLowerCase().replaceAll(/\W/g, "_")}`;
}

/** What every store has to show. */
function testOn({ make, dump, tooLong }: Kind): void {
  const foundIn = async (
    prefix: string,
    wrap: (store: Provider) => Provider,
  ) => {
    const store = await make({ prefix });
    // A file system's clock has large steps.
    const since = Date.now() - 50;
    const provider = wrap(store);
    await leaveTraces(provider);
    const bytes = await dump(store, since);
    await provider.close();
    return found([...IDS, ...TRACES], bytes);
  };

  it("writes nothing that was stored where it can be read", async () => {
    const traces = await foundIn(
      "hidden",
      (store) => encrypted(store, { keys: [KEY], hide: ALL }),
    );
    assertEquals(traces, IDS);
  });

  it("leaves names readable that were not asked to be hidden", async () => {
    const traces = await foundIn(
      "named",
      (store) => encrypted(store, { keys: [KEY] }),
    );
    assertEquals(traces, [...IDS, ...Object.values(READABLE)]);
  });

  it("would be found out: the bare provider writes all of it", async () => {
    assertEquals(await foundIn("bare", (store) => store), [...IDS, ...TRACES]);
  });

  const options = { "the values encrypted": [], "everything hidden": ALL };
  for (const [how, hide] of Object.entries(options)) {
    testContract(
      `with ${how}`,
      async (setup) => encrypted(await make(setup), { keys: [KEY], hide }),
      tooLong,
    );
  }
}

function testContract(
  how: string,
  make: (setup: ConformanceSetup) => Awaitable<Provider>,
  tooLong?: string,
): void {
  for (const { name, run } of conformance(make)) {
    if (name !== tooLong) it(`${how}: ${name}`, run);
    else {
      it(`${how}, this is refused: ${name}`, async () => {
        const error = await assertRejects(run, SessionError);
        assertEquals(error.code, "too-large");
      });
    }
  }
}

/** All that a value is made of, as text. */
function wordsOf(value: unknown): readonly string[] {
  if (value instanceof Uint8Array) return [Buffer.from(value).toString()];
  if (value instanceof Date) return [String(value.getTime())];
  if (typeof value !== "object" || value === null) return [String(value)];
  return Object.entries(value).flatMap((
    [name, own],
  ) => [name, ...wordsOf(own)]);
}
