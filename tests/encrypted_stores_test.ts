/**
 * Tests encryption on real stores: the contract, and what can be read of all that
 * a store has written.
 */
import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import pg from "pg";
import type { Awaitable, Provider } from "../core/provider.ts";
import {
  conformance,
  type ConformanceSetup,
} from "../providers/conformance.ts";
import { encrypted, generateKey, type Hidden } from "../providers/encrypted.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { PostgresProvider } from "../providers/postgres.ts";
import { SqliteProvider } from "../providers/sqlite.ts";
import { missing, PostgresServer } from "./_postgres_server.ts";
import { makeData, makeId, makeRecord } from "./_records.ts";
import {
  describeOnServer as describeOnRedis,
  useServer,
} from "./_redis_rig.ts";

const ALL: readonly Hidden[] = ["principal", "label", "key-names"];
const KEYS = [generateKey(), generateKey()];
const [KEY = ""] = KEYS;

if (missing !== undefined) {
  console.log(`Tests on a Postgres server are skipped: ${missing}`);
}
const describeOnPostgres = missing === undefined ? describe : describe.skip;

/** A store of a kind, and a way to all the bytes that it has written. */
interface Kind {
  make(setup: ConformanceSetup): Awaitable<Provider>;
  /** Everything, once `provider` has written it. */
  dump?(provider: Provider): Awaitable<Buffer>;
}

describe("encryption in memory", () => {
  testOn({ make: () => new MemoryProvider() });
  testContract(
    "with several keys and everything hidden",
    () => encrypted(new MemoryProvider(), { keys: KEYS, hide: ALL }),
  );
});

describe("encryption in SQLite", () => {
  const folder = mkdtempSync(join(tmpdir(), "encrypted-"));
  const path = (prefix: string) => join(folder, `${prefix}.db`);
  after(() => rmSync(folder, { recursive: true }));
  testOn({
    make: ({ prefix }) => new SqliteProvider(path(prefix)),
    dump: () => bytesBelow(folder),
  });
});

describeOnRedis("encryption in Redis", () => {
  // Packed, a text could hide from a look at the bytes.
  const rig = useServer(["--rdbcompression", "no"]);
  testOn({
    make: ({ prefix }) => rig.make(prefix),
    async dump() {
      await rig.client.save();
      const [, folder = ""] = await rig.client.config("GET", "dir") as string[];
      return bytesBelow(folder);
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
      const table = `t${prefix.toLowerCase().replaceAll(/\W/g, "_")}`;
      return new PostgresProvider(pool, { table });
    },
    async dump() {
      const { pool } = await running();
      await pool.query("CHECKPOINT");
      const { rows } = await pool.query("SHOW data_directory");
      return bytesBelow(rows[0].data_directory);
    },
  });
});

/** What every store has to show. */
function testOn({ make, dump }: Kind): void {
  testContract(
    "with the values encrypted",
    async (setup) => encrypted(await make(setup), { keys: [KEY] }),
  );
  testContract(
    "with everything hidden",
    async (setup) => encrypted(await make(setup), { keys: [KEY], hide: ALL }),
  );
  if (dump === undefined) return;

  it("writes nothing that was stored where it can be read", async () => {
    const provider = encrypted(await make({ prefix: "hidden" }), {
      keys: [KEY],
      hide: ALL,
    });
    await fill(provider);
    const bytes = await dump(provider);
    await provider.close();
    assertEquals(found(TRACES, bytes), []);
    assertEquals(found(IDS, bytes), IDS);
  });

  it("leaves names readable that were not asked to be hidden", async () => {
    const provider = encrypted(await make({ prefix: "named" }), {
      keys: [KEY],
    });
    await fill(provider);
    const bytes = await dump(provider);
    await provider.close();
    assertEquals(found(TRACES, bytes), Object.values(READABLE));
  });

  it("would be found out: the bare provider writes all of it", async () => {
    const provider = await make({ prefix: "bare" });
    await fill(provider);
    const bytes = await dump(provider);
    await provider.close();
    assertEquals(found(TRACES, bytes), TRACES);
  });
}

function testContract(
  how: string,
  make: (setup: ConformanceSetup) => Awaitable<Provider>,
): void {
  for (const { name, run } of conformance(make)) it(`${how}: ${name}`, run);
}

/** What is readable unless it is hidden, by what it is. */
const READABLE = {
  name: "trace-of-a-name",
  otherName: "trace-of-another-name",
  principal: "trace-of-a-principal",
  otherPrincipal: "trace-of-another-principal",
  label: "trace-of-a-label",
  otherLabel: "trace-of-another-label",
};

/** What is never readable. */
const SECRET = {
  text: "trace of a text",
  nested: "trace of a nested text",
  key: "trace of a nested key",
  number: 918_273_645_546_372,
  bigint: 81_726_354_455_463_728_190n,
  date: 1_918_273_645_546,
  bytes: "trace of some bytes",
  later: "trace of a later text",
  fingerprint: "trace of a fingerprint",
};

/** All of it, as a provider that encrypts nothing writes it. */
const TRACES: readonly string[] = [
  ...Object.values(READABLE),
  ...Object.values(SECRET).map(String).map((text) =>
    text === SECRET.bytes ? Buffer.from(text).toString("base64url") : text
  ),
];

const IDS: readonly string[] = [makeId(1), makeId(2)];

/** Leaves every trace, by `create` and by `update`. */
async function fill(provider: Provider): Promise<void> {
  const [one, two] = IDS as [string, string];
  const now = Date.now();
  const data = makeData([
    [READABLE.name, SECRET.text],
    ["nested", { [SECRET.key]: [SECRET.nested] }],
    ["number", SECRET.number],
    ["bigint", SECRET.bigint],
    ["date", new Date(SECRET.date)],
    ["bytes", new Uint8Array(Buffer.from(SECRET.bytes))],
  ]);
  const record = makeRecord({
    now,
    data,
    principal: READABLE.principal,
    label: READABLE.label,
    fingerprint: SECRET.fingerprint,
  });
  assert(await provider.create(one, record, now));
  assert(await provider.create(two, makeRecord({ now }), now));
  const change = {
    set: makeData([[READABLE.otherName, SECRET.later]]),
    principal: READABLE.otherPrincipal,
    label: READABLE.otherLabel,
  };
  assertEquals(await provider.update(two, change, {}, now), "done");
}

function found(traces: readonly string[], bytes: Buffer): readonly string[] {
  return traces.filter((trace) => bytes.includes(trace));
}

/** All files in a folder and below, one after the other. */
function bytesBelow(folder: string): Buffer {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name)));
  return Buffer.concat(files);
}
