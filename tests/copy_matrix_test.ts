/** Tests copies from each store to each other one: everything comes along. */
import { assert, assertEquals } from "@std/assert";
import mysql from "mysql2/promise";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { Redis } from "ioredis";
import pg from "pg";
import type {
  NewSessionRecord,
  Provider,
  SessionRecord,
} from "../core/provider.ts";
import { copy } from "../core/store/copy.ts";
import { DenoKvProvider } from "../providers/deno_kv.ts";
import { encrypted, generateKey } from "../providers/encrypted.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { MysqlProvider } from "../providers/mysql.ts";
import { PostgresProvider } from "../providers/postgres.ts";
import { RedisProvider } from "../providers/redis.ts";
import { SqliteProvider } from "../providers/sqlite.ts";
import { shape } from "./_arbitraries.ts";
import { MariaServer, missing as missingMaria } from "./_mariadb_server.ts";
import {
  missing as missingPostgres,
  PostgresServer,
} from "./_postgres_server.ts";
import {
  makeData,
  makeFamily,
  makeHash,
  makeId,
  makeRecord,
} from "./_records.ts";
import { missingRedis, RedisServer } from "./_redis_server.ts";

const folder = mkdtempSync(join(tmpdir(), "copy-matrix-"));
const closers: (() => unknown)[] = [
  () => rmSync(folder, { recursive: true }),
];
after(async () => {
  for (const close of closers.reverse()) await close();
});

let count = 0;

/** A name that is no other store's. */
function newName(): string {
  return `copy_${++count}`;
}

/** What is known of a kind of store. */
interface Kind {
  readonly missing?: string | undefined;
  /** A new one that is empty. */
  readonly make: () => Promise<Provider> | Provider;
  /** Whether it has no room for the longest of the sessions. */
  readonly isSmall?: boolean;
}

/** Starts something when it is first asked for. */
function once<T>(start: () => Promise<T>): () => Promise<T> {
  let starting: Promise<T> | undefined;
  return () => starting ??= start();
}

const redis = once(async () => {
  const server = await RedisServer.start();
  const client = new Redis(server.url);
  closers.push(() => server.stop(), () => client.disconnect());
  return client;
});

const postgres = once(async () => {
  const server = await PostgresServer.start();
  const pool = new pg.Pool({ connectionString: server.url(), max: 5 });
  closers.push(() => server.stop(), () => pool.end());
  return pool;
});

const mariadb = once(async () => {
  const server = await MariaServer.start();
  const pool = mysql.createPool({ uri: server.url(), connectionLimit: 5 });
  closers.push(() => server.stop(), () => pool.end());
  return pool;
});

const missingKv = "Deno" in globalThis ? undefined : "only Deno has Deno KV";

const BARE: Readonly<Record<string, Kind>> = {
  memory: { make: () => new MemoryProvider() },
  SQLite: { make: () => new SqliteProvider(join(folder, `${newName()}.db`)) },
  "Deno KV": {
    missing: missingKv,
    make: () => new DenoKvProvider(join(folder, `${newName()}.kv`)),
    // It takes 64 KiB a session.
    isSmall: true,
  },
  Redis: {
    missing: missingRedis(),
    make: async () =>
      new RedisProvider(await redis(), { prefix: `${newName()}:` }),
  },
  Postgres: {
    missing: missingPostgres,
    make: async () =>
      new PostgresProvider(await postgres(), { table: newName() }),
  },
  MariaDB: {
    missing: missingMaria,
    make: async () => new MysqlProvider(await mariadb(), { table: newName() }),
  },
};

/** The same, each encrypted with a key of its own. */
const KINDS: Readonly<Record<string, Kind>> = {
  ...BARE,
  ...Object.fromEntries(
    Object.entries(BARE).map(([name, { make, ...kind }]) => [
      `${name}, encrypted`,
      {
        ...kind,
        async make() {
          const options = {
            keys: [generateKey()],
            hide: ["principal", "label", "key-names"] as const,
          };
          return encrypted(await make(), options);
        },
      },
    ]),
  ),
};

for (const [name, { missing }] of Object.entries(BARE)) {
  if (missing !== undefined) {
    console.log(`Copies from and to ${name} are skipped: ${missing}`);
  }
}

/** A clock with fractions, as that of a browser's page has. */
const NOW = 1_700_000_000_000 + 1 / 3;

const SMALL = makeId(1);
const FULL = makeId(2);
const ODD = makeId(3);
const LONG = makeId(4);
const LONGER = makeId(5);
const OVER = makeId(6);

/** Every kind of session that the manager makes. */
function records(): Readonly<Record<string, NewSessionRecord>> {
  const previous = {
    secretHash: makeHash("old"),
    family: makeFamily("old"),
  };
  return {
    [SMALL]: makeRecord({ now: NOW }),
    [FULL]: makeRecord({
      now: NOW,
      data: makeData([
        ["text", 'it\'s \\ "quoted" \0 \u{1F9E5} \ud800'],
        ["number", -0],
        ["large", Number.MAX_SAFE_INTEGER],
        ["infinite", -Infinity],
        ["bigint", 2n ** 70n],
        ["date", new Date(9)],
        ["bytes", new Uint8Array([0, 255, 128])],
        ["nested", { list: [null, true, { deep: "x" }], when: new Date(0) }],
        ["map", new Map([["a", new Set([1])]])],
      ]),
      previous: { ...previous, until: "confirmed" },
      principal: "Ada \u00e4 \0",
      label: "'; DROP TABLE \u4e2d ",
      authenticatedAt: NOW - 1000,
      fingerprint: "looks \ud83d\ude00",
      binding: '1 {"key": "\\u0000"}',
      idleTimeout: 0.1 + 0.2 + 1000,
      absoluteTimeout: Number.MAX_SAFE_INTEGER / 1000,
      persistent: true,
    }),
    [ODD]: makeRecord({
      now: NOW,
      data: makeData(
        [
          "",
          "*",
          "*principal",
          "__proto__",
          "constructor",
          "1",
          "a\nb",
          "\u0000",
        ]
          .map((key, index) => [key, index]),
      ),
      previous: { ...previous, until: NOW + 0.5 },
      principal: "*",
    }),
    [LONG]: makeRecord({
      now: NOW,
      data: makeData([["long", "x".repeat(40_000)]]),
      previous: { ...previous, until: "never" },
    }),
    [LONGER]: makeRecord({
      now: NOW,
      data: makeData([["longer", "\u00e4".repeat(200_000)]]),
    }),
    [OVER]: makeRecord({ now: NOW - 3_600_000 }),
  };
}

/** Stores it if there is room. */
async function stored(
  provider: Provider,
  id: string,
  record: NewSessionRecord,
): Promise<boolean> {
  try {
    return await provider.create(id, record, record.createdAt);
  } catch (error) {
    assertEquals((error as { code?: string }).code, "too-large");
    return false;
  }
}

/** A record that can be compared: versions begin anew with each copy. */
function comparable(record: SessionRecord | undefined): unknown {
  if (record === undefined) return undefined;
  const { version: _, data, ...rest } = record;
  const entries = Object.entries(data)
    .sort(([a], [b]) => a < b ? -1 : 1)
    .map(([key, value]) => [key, shape(value)]);
  return { ...rest, entries: JSON.stringify(entries) };
}

async function checkSame(
  from: Provider,
  to: Provider,
  ids: readonly string[],
): Promise<void> {
  for (const id of ids) {
    const original = comparable(await from.read(id, NOW));
    assert(original !== undefined);
    assertEquals(comparable(await to.read(id, NOW)), original);
  }
}

/** Copies twice, with changes in between. */
async function checkCopy(
  from: Provider,
  to: Provider,
  lost: readonly string[],
): Promise<void> {
  const skipped: string[] = [];
  const options = {
    now: () => NOW,
    refreshes: new Map<string, number>(),
    onSkip: (id: string, { code }: { code: string }) => {
      skipped.push(`${id} ${code}`);
    },
  };
  const present: string[] = [];
  for (const [id, record] of Object.entries(records())) {
    const isThere = await stored(from, id, record);
    if (isThere && id !== OVER) present.push(id);
  }
  const expected = lost.filter((id) => present.includes(id));
  const came = present.filter((id) => !lost.includes(id));
  const first = await copy(from, to, options);
  assertEquals(skipped.splice(0), expected.map((id) => `${id} too-large`));
  assertEquals([first.copied, first.skipped], [came.length, expected.length]);
  await checkSame(from, to, came);
  const { principal = "" } = records()[FULL] as NewSessionRecord;
  const { sessions } = await to.list(principal, NOW);
  assertEquals(sessions.map(({ id }) => id), [FULL]);

  const change = {
    set: makeData([["text", "other"], ["new", [1n]]]),
    delete: ["number", "bytes"],
    principal: null,
    label: "Telephone",
    previous: null,
  };
  assertEquals(await from.update(FULL, change, {}, NOW), "done");
  // Those for which there is no room are skipped again.
  const second = await copy(from, to, options);
  assertEquals([second.refreshed, second.kept], [1, 0]);
  assertEquals(second.unchanged, came.length - 1);
  await checkSame(from, to, came);
  assertEquals((await to.list(principal, NOW)).sessions, []);
}

for (const [name, kind] of Object.entries(KINDS)) {
  describe(`a copy from ${name}`, () => {
    for (const [otherName, other] of Object.entries(KINDS)) {
      const missing = kind.missing ?? other.missing ?? false;
      it(`brings everything to ${otherName}`, { skip: missing }, async () => {
        const from = await kind.make();
        const to = await other.make();
        await checkCopy(from, to, other.isSmall ? [LONGER] : []);
        await from.close();
        await to.close();
      });
    }
  });
}
