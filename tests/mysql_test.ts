/** Tests the MySQL provider on a real MariaDB: conformance, races, and what it sends. */
import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertRejects,
  assertThrows,
} from "@std/assert";
import fc from "fast-check";
import * as mariadb from "mariadb";
import mysql from "mysql2/promise";
import { Buffer } from "node:buffer";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { open, registered, SessionError } from "../mod.ts";
import { conformance } from "../providers/conformance.ts";
import {
  type MysqlClient,
  type MysqlParam,
  MysqlProvider,
  type MysqlStatement,
} from "../providers/mysql.ts";
import { keys, shape, storedData, texts } from "./_arbitraries.ts";
import { Browser, Site } from "./_browser.ts";
import { MariaServer, missing, Wire } from "./_mariadb_server.ts";
import {
  closeAll,
  closeLater,
  connectMysql2,
  connects,
} from "./_mysql_clients.ts";
import { inheriting } from "./_pollution.ts";
import {
  makeData,
  makeFamily,
  makeHash,
  makeId,
  makeRecord,
  type RecordOptions,
  START,
} from "./_records.ts";

if (missing !== undefined) {
  console.log(`Tests on a MariaDB server are skipped: ${missing}`);
}
const describeOnServer = missing === undefined ? describe : describe.skip;
const server = missing === undefined ? await MariaServer.start() : undefined;
const ON_BUN = "Bun" in globalThis;

/** The client that every test may use. */
const admin = connectMysql2(server?.url() ?? "mysql://127.0.0.1/none");

after(async () => {
  await closeAll();
  await server?.stop();
});

function url(port?: number): string {
  return (server as MariaServer).url(port);
}

/** A name that is no other test's. */
function newTable(): string {
  return `test_${tables++}`;
}
let tables = 0;

/** A provider whose table is there. */
async function makeProvider(
  table: string = newTable(),
  client: MysqlClient = admin,
): Promise<MysqlProvider> {
  const provider = new MysqlProvider(client, { table });
  await provider.read(makeId(0), START);
  return provider;
}

/** A provider with one session, filed under `makeId(1)`. */
async function makeSession(
  options: RecordOptions = {},
): Promise<{ provider: MysqlProvider; table: string }> {
  const table = newTable();
  const provider = await makeProvider(table);
  await provider.create(makeId(1), makeRecord(options), START);
  return { provider, table };
}

type Execute = (
  statement: MysqlStatement,
  values: MysqlParam[],
) => PromiseLike<unknown>;

/** A client between a provider and the pool. */
function through(execute: Execute): MysqlClient {
  return { execute };
}

const run: Execute = (statement, values) => admin.execute(statement, values);

/** An error as a server tells it. */
function refusal(errno: number): Error {
  const fields = { errno, sqlState: "HY000", code: "ER_X" };
  return Object.assign(new Error("failed"), fields);
}

/** A provider whose statements are counted, and can be made to fail. */
async function countingProvider() {
  const sent: string[] = [];
  const failures: number[] = [];
  const client = through((statement, values) => {
    sent.push(statement.sql);
    const errno = failures.shift();
    return errno === undefined
      ? run(statement, values)
      : Promise.reject(refusal(errno));
  });
  const provider = new MysqlProvider(client, { table: newTable() });
  await provider.clear();
  sent.length = 0;
  const failNext = (...errnos: number[]) => failures.push(...errnos);
  return { provider, sent, failNext };
}

/** A provider on a server that does not answer what it deletes, as MySQL. */
function withoutReturning(table: string): MysqlProvider {
  const client = through(async (statement, values) => {
    const answer = await run(statement, values);
    if (!statement.sql.startsWith("SHOW")) return answer;
    const [rows] = answer as [string[][]];
    return [
      rows.map(([name, value]) =>
        name === "version" ? [name, "9.7.4"] : [name, value]
      ),
    ];
  });
  return new MysqlProvider(client, { table });
}

/** Makes a call while a transaction holds what it changed, and commits that. */
async function meanwhile<T>(sql: string, call: () => Promise<T>): Promise<T> {
  const holder = await admin.getConnection();
  await holder.query("BEGIN");
  await holder.query(sql);
  const called = call();
  // It fails if it does, and not before it is waited for.
  called.catch(() => {});
  await untilSomebodyWaits();
  await holder.query("COMMIT");
  holder.release();
  return await called;
}

async function untilSomebodyWaits(): Promise<void> {
  await until(async () => {
    const [rows] = await admin.query(
      "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'",
    );
    return Number((rows as { Value: string }[])[0]?.Value) > 0;
  });
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 10_000;
  while (!await isSo()) {
    if (performance.now() > end) throw new Error("it did not come about");
    await sleep(20);
  }
}

async function packetOf(): Promise<number> {
  const [rows] = await admin.query("SELECT @@max_allowed_packet AS size");
  return (rows as [{ size: number }])[0].size;
}

async function countOf(table: string): Promise<number> {
  const [rows] = await admin.query(`SELECT count(*) AS count FROM ${table}`);
  return (rows as { count: number }[])[0]?.count as number;
}

function sortedShape(data: unknown): string {
  const entries = Object.entries(data ?? {});
  entries.sort(([a], [b]) => a < b ? -1 : 1);
  return JSON.stringify(entries.map(([key, value]) => [key, shape(value)]));
}

const GUARD = { family: makeFamily("secret") };

/** A change of one key, at a moment at which nothing has expired. */
function changeOf(key: string, value: number) {
  return { set: makeData([[key, value]]) };
}

for (const [name, connect] of Object.entries(connects)) {
  describeOnServer(`conformance of the MySQL provider on ${name}`, () => {
    const client = connect(server?.url() ?? "");
    const checks = conformance(({ prefix }) => {
      const table = `t_${Buffer.from(prefix).toString("hex")}`;
      return new MysqlProvider(client, { table });
    });
    for (const check of checks) it(check.name, check.run);
  });
}

describeOnServer("conformance of the MySQL provider without RETURNING", () => {
  const names = /destroyMany|gc|collect|expire/i;
  const checks = conformance(({ prefix }) => {
    const table = `w_${Buffer.from(prefix).toString("hex")}`;
    return withoutReturning(table);
  });
  for (const check of checks) {
    if (names.test(check.name)) it(check.name, check.run);
  }
});

describe("a MySQL provider", () => {
  it("is registered under both schemes", () => {
    const names = registered().filter((name) => /mysql|mariadb/.test(name));
    assertEquals(names, ["mariadb", "mysql"]);
  });

  it("is not opened by its name alone", () => {
    assertThrows(
      () => open("mysql"),
      TypeError,
      "Cannot open provider mysql: it needs the URL of a database",
    );
  });

  it("takes nothing for a client that has neither of the two methods", () => {
    for (const client of [{}, undefined, null, { query: "SELECT" }]) {
      assertThrows(
        () => new MysqlProvider(client as unknown as MysqlClient),
        TypeError,
        "Cannot create MysqlProvider: the client must have",
      );
    }
  });

  it("refuses a pool that takes callbacks, and says what to hand over", () => {
    assertThrows(
      () => new MysqlProvider(admin.pool as unknown as MysqlClient),
      TypeError,
      "hand over its promise()",
    );
  });

  it("refuses a table whose name could be something else", () => {
    const names = ["", "a b", "`a`", "a;b", "1a", "a.b.c", ".a", "a.", "a\n"];
    for (const table of [...names, "a".repeat(65)]) {
      assertThrows(
        () => new MysqlProvider(admin, { table }),
        TypeError,
        "Cannot create MysqlProvider: table must be",
      );
      assertThrows(() => MysqlProvider.schema(table), TypeError);
    }
  });

  it("takes no option that every object inherits", async () => {
    await inheriting({ table: "no name" }, () => new MysqlProvider(admin));
    await inheriting({ table: "no name" }, () => new MysqlProvider(admin, {}));
  });

  it("refuses options that it does not have, or has twice", () => {
    const options: object = { tabel: "sessions" };
    assertThrows(
      () => new MysqlProvider(admin, options),
      TypeError,
      "Cannot create MysqlProvider: unknown option: received tabel",
    );
    assertThrows(
      () => new MysqlProvider("mysql://localhost/a?table=b", { table: "b" }),
      TypeError,
      "table is given twice",
    );
    assertThrows(() => new MysqlProvider("no url"), TypeError, "is none");
  });
});

describeOnServer("the client of a MySQL provider", () => {
  const itOnBun = ON_BUN ? it : it.skip;
  const itElsewhere = ON_BUN ? it.skip : it;

  itElsewhere("cannot be a URL, whose password is not told", () => {
    const secret = "mysql://ada:lovelace@localhost/shop";
    for (const make of [() => open(secret), () => new MysqlProvider(secret)]) {
      const error = assertThrows(make, TypeError, "pass a client instead");
      assertFalse(error.message.includes("lovelace"));
    }
  });

  itOnBun(
    "can be a URL of either scheme, which names the table too",
    async () => {
      for (const scheme of ["mysql:", "mariadb:"]) {
        const table = newTable();
        const provider = open(
          `${url().replace("mysql:", scheme)}?table=${table}`,
        );
        await provider.create(makeId(1), makeRecord(), START);
        assertEquals(await countOf(table), 1);
        await provider.close();
      }
    },
  );

  it("stays open when the provider is closed", async () => {
    const provider = await makeProvider();
    await provider.close();
    const error = await assertRejects(
      () => provider.read(makeId(1), START),
      SessionError,
    );
    assertEquals(error.code, "closed");
    const [rows] = await admin.query("SELECT 1 AS one");
    assertEquals(rows as unknown, [{ one: 1 }]);
  });

  it("can be a single connection of mysql2", async () => {
    const client = await mysql.createConnection(url());
    const provider = await makeProvider(newTable(), client);
    assert(await provider.create(makeId(1), makeRecord(), START));
    assertEquals((await provider.read(makeId(1), START))?.version, 1);
    await client.end();
  });

  it("can convert what is in its columns", async () => {
    const pool = mysql.createPool({
      uri: url(),
      supportBigNumbers: true,
      bigNumberStrings: true,
      namedPlaceholders: true,
      nestTables: true,
      typeCast: (
        field: { type: string; string(): string | null },
        next: () => unknown,
      ) => field.type === "VAR_STRING" ? field.string() : next(),
    } as mysql.PoolOptions);
    closeLater(() => pool.end());
    const { hostname, port } = new URL(url());
    const other = mariadb.createPool({
      ...{ host: hostname, port: Number(port), user: "ada", database: "shop" },
      ...{ metaAsArray: true, nestTables: true, insertIdAsNumber: true },
      ...{ bigIntAsNumber: true, namedPlaceholders: true },
    });
    closeLater(() => other.end());
    for (const client of [pool, other]) {
      const provider = await makeProvider(newTable(), client);
      const record = makeRecord({ principal: "ada" });
      await provider.create(makeId(1), record, START);
      await provider.update(makeId(1), changeOf("a", 1), GUARD, START);
      const read = await provider.read(makeId(1), START);
      assertEquals([read?.version, read?.renewedAt], [2, START]);
      assertEquals((await provider.list("ada", START)).sessions.length, 1);
      const conflict = { version: 7 };
      assertEquals(
        await provider.update(makeId(1), {}, conflict, START),
        "conflict",
      );
    }
  });

  for (const [name, connect] of Object.entries(connects)) {
    it(`is asked once to read, to sign in and to end, twice to write, on ${name}`, async () => {
      const wire = await Wire.open((server as MariaServer).port);
      const client = connect(url(wire.port), 1);
      const provider = await makeProvider(undefined, client);
      const site = new Site({ provider });
      let costs: number[] = [];
      for (let time = 1; time <= 3; time++) {
        const browser = new Browser(site);
        const start = wire.roundTrips;
        await browser.visit((session) => session.signIn("ada"));
        const signedIn = wire.roundTrips;
        await browser.visit((session) => session.get("step"));
        const read = wire.roundTrips;
        await browser.visit((session) => session.set("step", time));
        const written = wire.roundTrips;
        // Signing out is a read and an end.
        await browser.visit((session) => session.destroy());
        const marks = [start, signedIn, read, written, wire.roundTrips];
        costs = marks.slice(1).map((mark, index) =>
          mark - (marks[index] as number)
        );
      }
      // The first times, statements are prepared.
      assertEquals(costs, [1, 1, 2, 2]);
      wire.close();
    });

    it(`tells no value of a statement that fails, on ${name}`, async () => {
      const table = newTable();
      const provider = await makeProvider(table, connect(url()));
      await admin.query(`ALTER TABLE ${table} MODIFY data VARCHAR(5) NOT NULL`);
      const record = makeRecord({ data: makeData([["name", "lovelace"]]) });
      const error = await assertRejects(
        () => provider.create(makeId(1), record, START),
        Error,
        "1406",
      );
      const told = [
        error.message,
        error.stack,
        JSON.stringify(error),
        ...Object.values(error),
      ];
      assertFalse(told.join().includes("lovelace"));
      assertFalse(told.join().includes(record.secretHash));
    });
  }
});

describeOnServer("the table of a MySQL provider", () => {
  it("is made once when many nodes come first", async () => {
    const table = newTable();
    const nodes = Array.from(
      { length: 8 },
      () => new MysqlProvider(admin, { table }),
    );
    const created = await Promise.all(
      nodes.map((node, index) =>
        node.create(makeId(index), makeRecord({ principal: "ada" }), START)
      ),
    );
    assertEquals(created, Array(8).fill(true));
    assertEquals((await nodes[0]!.list("ada", START)).sessions.length, 8);
  });

  it("can be made before, for a user who may make none", async () => {
    const database = newTable();
    const { run } = server as MariaServer;
    run.call(
      server,
      `CREATE DATABASE ${database};
      ${MysqlProvider.schema(`${database}.Coats`)};
      CREATE USER clerk@'127.0.0.1';
      GRANT SELECT, INSERT, UPDATE, DELETE ON ${database}.Coats TO clerk@'127.0.0.1'`,
    );
    const clerk = connectMysql2(
      url().replace("ada@", "clerk@").replace("/shop", ""),
    );
    const provider = await makeProvider(`${database}.Coats`, clerk);
    const record = makeRecord({ principal: "ada" });
    await provider.create(makeId(1), record, START);
    const guard = { ...GUARD, version: 1 };
    assertEquals(
      await provider.update(makeId(1), changeOf("a", 1), guard, START),
      "done",
    );
    assertEquals(await provider.gc(START, 10), 0);
    assertEquals(await provider.destroyAll("ada"), 1);
  });

  it("is refused when its version is newer, and left as it is", async () => {
    const { table } = await makeSession();
    await admin.query(
      `ALTER TABLE ${table} COMMENT = 'cloakroom session schema 2'`,
    );
    const error = await assertRejects(
      () => new MysqlProvider(admin, { table }).clear(),
      SessionError,
      `Cannot use table \`${table}\``,
    );
    assertEquals(error.code, "store-failed");
    assertEquals(await countOf(table), 1);
  });

  it("serves again by the statement that a start without its comment tells", async () => {
    const { table } = await makeSession();
    await admin.query(`ALTER TABLE ${table} COMMENT = ''`);
    const provider = new MysqlProvider(admin, { table });
    const { message } = await assertRejects(
      () => provider.read(makeId(1), START),
      SessionError,
    );
    const [statement] = /ALTER TABLE .*$/.exec(message) ?? [];
    await admin.query(statement as string);
    assertEquals((await provider.read(makeId(1), START))?.version, 1);
  });

  it("is refused when its engine has no transactions", async () => {
    const table = newTable();
    const sql = MysqlProvider.schema(table).replace(
      "InnoDB ROW_FORMAT=DYNAMIC",
      "Aria",
    );
    await admin.query(sql);
    await assertRejects(
      () => new MysqlProvider(admin, { table }).clear(),
      SessionError,
      "its engine must be InnoDB",
    );
  });

  it("is made anew when somebody has dropped it", async () => {
    const { provider, table } = await makeSession();
    await admin.query(`DROP TABLE ${table}`);
    assertEquals(await provider.read(makeId(1), START), undefined);
    assert(await provider.create(makeId(1), makeRecord(), START));
  });

  it("can have a name of any case", async () => {
    const lower = await makeProvider("user");
    const upper = await makeProvider("User");
    await lower.create(makeId(1), makeRecord(), START);
    assertEquals(await upper.read(makeId(1), START), undefined);
    assertEquals((await lower.read(makeId(1), START))?.version, 1);
  });

  it("is searched by its indexes", async () => {
    const { provider, table } = await makeSession({ principal: "ada" });
    for (let number = 2; number < 300; number++) {
      await provider.create(
        makeId(number),
        makeRecord({ principal: `p${number}` }),
        START,
      );
    }
    await admin.query(`ANALYZE TABLE ${table}`);
    const plans: Record<string, string> = {};
    const client = through(async (statement, values) => {
      if (/^(?:SELECT id|UPDATE|DELETE)/.test(statement.sql)) {
        const [rows] = await admin.execute(
          { sql: `EXPLAIN ${statement.sql}` },
          values,
        );
        const [{ key }] = rows as [{ key: string }];
        plans[statement.sql.slice(0, 6)] = key;
      }
      return await run(statement, values);
    });
    const explained = await makeProvider(table, client);
    const keysOf = async (call: () => unknown) => {
      for (const name of Object.keys(plans)) delete plans[name];
      await call();
      return Object.values(plans);
    };
    assertEquals(await keysOf(() => explained.read(makeId(1), START)), [
      "PRIMARY",
    ]);
    assertEquals(await keysOf(() => explained.touch(makeId(1), START)), [
      "PRIMARY",
    ]);
    assertEquals(
      await keysOf(() =>
        explained.update(makeId(1), changeOf("a", 1), GUARD, START)
      ),
      ["PRIMARY"],
    );
    assertEquals(await keysOf(() => explained.list("ada", START)), [
      "principal",
    ]);
    assertEquals(await keysOf(() => explained.gc(START, 10)), ["collect_at"]);
    assertEquals(await keysOf(() => explained.destroyAll("ada")), [
      "principal",
    ]);
  });
});

describeOnServer("a connection of a MySQL provider", () => {
  const refused = {
    "SET autocommit = 0": "autocommit must be ON: received OFF",
    "SET character_set_results = latin1":
      "character_set_results must be utf8mb4",
    "SET character_set_client = utf8mb3":
      "character_set_client must be utf8mb4",
    "BEGIN": "in_transaction must be 0: received 1",
    "SET sql_select_limit = 1000":
      "sql_select_limit must be 18446744073709551615",
    "SET sql_mode = 'STRICT_ALL_TABLES,EMPTY_STRING_IS_NULL'":
      "sql_mode must be without EMPTY_STRING_IS_NULL",
  };
  for (const [setting, message] of Object.entries(refused)) {
    it(`is refused after ${setting}`, async () => {
      const client = await mysql.createConnection(url());
      await client.query(setting);
      const provider = new MysqlProvider(client, { table: newTable() });
      await assertRejects(() => provider.clear(), SessionError, message);
      await client.end();
    });
  }

  it("is refused if replicas would run each statement themselves", async () => {
    const logging = await MariaServer.start({
      args: ["--log-bin=log", "--server-id=1", "--binlog-format=STATEMENT"],
    });
    try {
      const pool = mysql.createPool({ uri: logging.url() });
      const provider = new MysqlProvider(pool);
      await assertRejects(
        () => provider.clear(),
        SessionError,
        "binlog_format must be ROW or MIXED: received STATEMENT",
      );
      logging.run("SET GLOBAL binlog_format = MIXED");
      await pool.end();
      const other = mysql.createPool({ uri: logging.url() });
      assertEquals(await new MysqlProvider(other).clear(), 0);
      await other.end();
    } finally {
      await logging.stop();
    }
  });

  const modes = [
    "",
    "ANSI,NO_BACKSLASH_ESCAPES",
    "ORACLE",
    "TRADITIONAL,PAD_CHAR_TO_FULL_LENGTH,NO_UNSIGNED_SUBTRACTION",
    "SIMULTANEOUS_ASSIGNMENT",
    "HIGH_NOT_PRECEDENCE",
  ];
  for (const mode of modes) {
    it(`may have any sql_mode: "${mode}"`, async () => {
      const client = await mysql.createConnection(url());
      await client.query(`SET sql_mode = '${mode}', sql_safe_updates = 1`);
      const provider = await makeProvider(newTable(), client);
      const previous = {
        secretHash: makeHash("old"),
        family: makeFamily("secret"),
        until: START,
      };
      const record = makeRecord({ principal: "o'hara\\", label: "'\\" });
      await provider.create(makeId(1), record, START);
      const change = {
        ...changeOf("it's \\", 1),
        secretHash: makeHash("new"),
        family: makeFamily("new"),
        renewedAt: START,
        previous,
        authenticatedAt: START + 5,
        idleTimeout: 7,
      };
      const token = { secretHash: record.secretHash, until: undefined };
      assertEquals(
        await provider.update(
          makeId(1),
          change,
          { ...GUARD, token },
          START + 9,
        ),
        "done",
      );
      const read = await provider.read(makeId(1), START + 7008);
      assertEquals(read?.principal, "o'hara\\");
      assertEquals([
        read?.accessedAt,
        read?.previous,
        { ...read?.data }["it's \\"],
      ], [START + 9, previous, 1]);
      assertEquals(await provider.read(makeId(1), START + 7009), undefined);
      const late = { giveUpAt: performance.now() - 50, extend() {} };
      const error = await assertRejects(
        () => provider.destroy(makeId(1), {}, START + 9, late),
        SessionError,
      );
      assertEquals(error.code, "timeout");
      assertEquals(await provider.gc(START + 7009, 10), 1);
      assertEquals(await provider.clear(), 0);
      await client.end();
    });
  }
});

describeOnServer("a row of a MySQL provider", () => {
  it("keeps any data, principal and label, whatever is deleted", async () => {
    const provider = await makeProvider();
    const names = texts.filter((text) => text !== "");
    let count = 0;
    const survives = async (
      data: Awaited<ReturnType<typeof makeData>>,
      key: string,
      name: string,
    ) => {
      const id = makeId(++count);
      const all = makeData([...Object.entries(data), [key, 1]]);
      const fields = {
        principal: name,
        label: name,
        fingerprint: name,
        binding: name,
      };
      await provider.create(id, makeRecord({ data: all, ...fields }), START);
      const read = await provider.read(id, START);
      assertEquals(sortedShape(read?.data), sortedShape(all));
      const { principal, label, fingerprint, binding } = read ?? {};
      assertEquals({ principal, label, fingerprint, binding }, fields);
      await provider.update(id, { delete: [key] }, GUARD, START);
      const rest = Object.entries(all).filter(([other]) => other !== key);
      const { data: kept } = await provider.read(id, START) ?? {};
      assertEquals(sortedShape(kept), sortedShape(makeData(rest)));
    };
    await fc.assert(fc.asyncProperty(storedData, keys, names, survives), {
      numRuns: 60,
    });
  });

  it("is found by the bytes of a principal: case, accents and spaces count", async () => {
    const provider = await makeProvider();
    const names = [
      "ada",
      "Ada",
      "ad\u00e4",
      "ada ",
      " ada",
      "a\u0308da",
      "\u00e4da",
      "ss",
      "\u00df",
    ];
    for (const [number, principal] of names.entries()) {
      await provider.create(makeId(number), makeRecord({ principal }), START);
    }
    for (const [number, principal] of names.entries()) {
      const { sessions } = await provider.list(principal, START);
      assertEquals(sessions.map(({ id }) => id), [makeId(number)]);
      const other = names[number === 0 ? 1 : number - 1] as string;
      const guard = { principal: other };
      assertEquals(
        await provider.update(makeId(number), {}, guard, START),
        "gone",
      );
      assertEquals(await provider.destroyAll(principal), 1);
    }
  });

  it("is found by the bytes of its id, and holds keys that differ in case alone", async () => {
    const { provider } = await makeSession();
    const id = makeId(1);
    const upper = id.toUpperCase() === id ? id.toLowerCase() : id.toUpperCase();
    assertEquals(await provider.read(upper, START), undefined);
    assertEquals(await provider.read(`${id} `, START), undefined);
    const pairs = [
      ["a", 1],
      ["A", 2],
      ["\u00e4", 3],
      ["a\u0308", 4],
      ["a ", 5],
      ["", 6],
    ] as const;
    for (const [key, value] of pairs) {
      await provider.update(id, changeOf(key, value), GUARD, START);
    }
    await provider.update(id, { delete: ["A"] }, GUARD, START);
    const { data } = await provider.read(id, START) ?? {};
    const kept = pairs.filter(([key]) => key !== "A");
    assertEquals(
      sortedShape(data),
      sortedShape(makeData(kept.map(([key, value]) => [key, value]))),
    );
  });

  it("takes a principal and a label of the greatest length", async () => {
    const provider = await makeProvider();
    for (
      const [number, unit] of ["\0", "\u4e2d", "\ud83d\ude00", "a"].entries()
    ) {
      const name = unit.repeat(256 / unit.length);
      await provider.create(
        makeId(number),
        makeRecord({ principal: name, label: name }),
        START,
      );
      const { sessions } = await provider.list(name, START);
      assertEquals(sessions.map(({ label }) => label), [name]);
      assertEquals(await provider.destroyAll(name), 1);
    }
  });

  for (const [name, connect] of Object.entries(connects)) {
    it(`is named when the server takes no statement of its size, on ${name}`, async () => {
      const before = await packetOf();
      await admin.query("SET GLOBAL max_allowed_packet = 1048576");
      try {
        const table = newTable();
        const small = await makeProvider(table);
        await small.create(makeId(1), makeRecord(), START);
        const change = { set: makeData([["a", "x".repeat(1_200_000)]]) };
        const large = makeRecord({ data: change.set });
        const calls: ((on: MysqlProvider) => Promise<unknown>)[] = [
          (on) => on.update(makeId(1), change, GUARD, START),
          (on) => on.create(makeId(2), large, START),
        ];
        for (const [index, call] of calls.entries()) {
          const provider = await makeProvider(table, connect(url(), 1));
          const error = await assertRejects(() => call(provider), SessionError);
          const { code, id } = error;
          assertEquals([code, id], ["too-large", makeId(index + 1)]);
          // Its one connection was not ended for it.
          assertEquals((await provider.read(makeId(1), START))?.version, 1);
        }
        assertEquals((await small.read(makeId(1), START))?.version, 1);
      } finally {
        await admin.query(`SET GLOBAL max_allowed_packet = ${before}`);
      }
    });

    it(`keeps every digit of a clock that has fractions, on ${name}`, async () => {
      const provider = await makeProvider(newTable(), connect(url()));
      const now = START + 1 / 3;
      const times = {
        idleTimeout: 0.1 + 0.2,
        absoluteTimeout: Number.MAX_SAFE_INTEGER / 1000,
      };
      const record = makeRecord({
        now,
        ...times,
        authenticatedAt: now,
        principal: "ada",
      });
      await provider.create(makeId(1), record, now);
      const read = await provider.read(makeId(1), now);
      assertEquals(
        [
          read?.createdAt,
          read?.idleTimeout,
          read?.absoluteTimeout,
          read?.authenticatedAt,
        ],
        [now, times.idleTimeout, times.absoluteTimeout, now],
      );
      const end = now + times.idleTimeout * 1000;
      assert(await provider.read(makeId(1), end - 0.001) !== undefined);
      assertEquals(await provider.read(makeId(1), end), undefined);
    });
  }

  const corruptions = {
    "no object": "[]",
    "no JSON": "lovelace",
    "a value that is no text": '{"name": 1}',
    "a value of another codec": '{"name": "lovelace"}',
  };
  for (const [fault, data] of Object.entries(corruptions)) {
    it(`is refused when its data is ${fault}, and never told`, async () => {
      const { provider, table } = await makeSession({ principal: "ada" });
      await admin.query(`UPDATE ${table} SET data = ?`, [data]);
      const error = await assertRejects(
        () => provider.read(makeId(1), START),
        SessionError,
        "Cannot decode session",
      );
      assertEquals([error.code, error.id, error.cause], [
        "corrupt",
        makeId(1),
        undefined,
      ]);
      assertFalse(String(error).includes("lovelace"));
      // What needs no data goes on.
      const { sessions, unreadable } = await provider.list("ada", START);
      assertEquals([sessions.length, unreadable], [1, []]);
      assert(await provider.touch(makeId(1), START));
      const page = await provider.scan(undefined, 10, START);
      assertEquals(page.unreadable, [makeId(1)]);
      assertEquals(
        await provider.destroy(makeId(1), { family: "x" }, START),
        "refused",
      );
      assertEquals(await provider.destroy(makeId(1), GUARD, START), "done");
    });
  }

  it("takes no key into data that is no object, and says so", async () => {
    for (const data of ["[]", "lovelace"]) {
      const { provider, table } = await makeSession();
      await admin.query(`UPDATE ${table} SET data = ?`, [data]);
      const error = await assertRejects(
        () => provider.update(makeId(1), changeOf("a", 1), GUARD, START),
        SessionError,
      );
      assertEquals([error.code, error.id], ["corrupt", makeId(1)]);
      const [rows] = await admin.query(`SELECT data, version FROM ${table}`);
      assertEquals(rows as unknown, [{ data, version: 1 }]);
    }
  });

  it("that cannot be made out harms no other of its user", async () => {
    const { provider, table } = await makeSession({ principal: "ada" });
    await provider.create(makeId(2), makeRecord({ principal: "ada" }), START);
    await admin.query(
      `UPDATE ${table} SET label = 'a\b' WHERE id = '${makeId(1)}'`,
    );
    const { sessions, unreadable } = await provider.list("ada", START);
    assertEquals(sessions.map(({ id }) => id), [makeId(2)]);
    assertEquals(unreadable, [makeId(1)]);
    assertEquals(await provider.destroy(makeId(1), {}, START), "done");
    assertEquals(await provider.destroyAll("ada"), 1);
  });

  const damages = [
    "idle_timeout = 1e307",
    "absolute_timeout = 1e307",
    "absolute_timeout = -1e307",
    "accessed_at = 1.7976931348623157e308",
    "authenticated_at = 1.7976931348623157e308",
    "created_at = -1.7976931348623157e308",
  ];
  for (const damage of damages) {
    it(`fails nothing beyond itself by ${damage}`, async () => {
      const { provider, table } = await makeSession({ principal: "ada" });
      await provider.create(makeId(2), makeRecord({ principal: "ada" }), START);
      await admin.query(
        `UPDATE ${table} SET ${damage}, collect_at = 0 WHERE id = '${
          makeId(1)
        }'`,
      );
      const { sessions } = await provider.list("ada", START);
      assert(sessions.some(({ id }) => id === makeId(2)));
      await provider.gc(START, 10);
      await provider.destroy(makeId(1), {}, START);
      assertEquals(await provider.read(makeId(1), START), undefined);
      assertEquals(await provider.destroyAll("ada"), 1);
    });
  }
});

for (
  const level of [
    "REPEATABLE-READ",
    "READ-COMMITTED",
    "SERIALIZABLE",
    "snapshot",
  ]
) {
  describeOnServer(
    `a statement of a MySQL provider that waits, under ${level}`,
    () => {
      const makeSession = async (options: RecordOptions = {}) => {
        const table = newTable();
        const client = await mysql.createConnection(url());
        closeLater(() => client.end());
        await client.query(
          level === "snapshot"
            ? "SET SESSION innodb_snapshot_isolation = ON"
            : `SET SESSION transaction_isolation = '${level}'`,
        ).catch(() => client.query(`SET SESSION tx_isolation = '${level}'`));
        const provider = await makeProvider(table, client);
        await provider.create(makeId(1), makeRecord(options), START);
        return { provider, table };
      };

      it("is gone when what it waits for destroys, not in conflict", async () => {
        const { provider, table } = await makeSession();
        const guard = { ...GUARD, version: 1 };
        const result = await meanwhile(
          `DELETE FROM ${table}`,
          () => provider.update(makeId(1), changeOf("a", 1), guard, START),
        );
        assertEquals(result, "gone");
      });

      it("is gone when what it waits for changes the secret", async () => {
        const { provider, table } = await makeSession();
        const result = await meanwhile(
          `UPDATE ${table} SET family = 'other', version = 2`,
          () =>
            provider.update(makeId(1), changeOf("a", 1), {
              ...GUARD,
              version: 1,
            }, START),
        );
        assertEquals(result, "gone");
      });

      it("conflicts when what it waits for moves the version", async () => {
        const { provider, table } = await makeSession();
        const result = await meanwhile(
          `UPDATE ${table} SET version = 2`,
          () =>
            provider.update(makeId(1), changeOf("a", 1), {
              ...GUARD,
              version: 1,
            }, START),
        );
        assertEquals(result, "conflict");
        assertEquals({ ...(await provider.read(makeId(1), START))?.data }, {});
      });

      it("keeps the other keys of what it waits for", async () => {
        const { provider, table } = await makeSession({
          data: makeData([["c", 3]]),
        });
        const result = await meanwhile(
          `UPDATE ${table} SET version = 2, data = '{"b": "2"}'`,
          () =>
            provider.update(makeId(1), changeOf("a", 1), {
              ...GUARD,
              version: 2,
            }, START),
        );
        assertEquals(result, "done");
        const { data, version } = await provider.read(makeId(1), START) ?? {};
        assertEquals([{ ...data }, version], [{ a: 1, b: 2 }, 3]);
      });

      it("revives nothing by a touch", async () => {
        const { provider, table } = await makeSession();
        const isTouched = await meanwhile(
          `DELETE FROM ${table}`,
          () => provider.touch(makeId(1), START),
        );
        assertEquals(isTouched, false);
        assertEquals(await countOf(table), 0);
      });

      it("ends nothing that a sign-in takes from it", async () => {
        const { provider, table } = await makeSession();
        const result = await meanwhile(
          `UPDATE ${table} SET family = 'other', version = 2`,
          () => provider.destroy(makeId(1), GUARD, START),
        );
        assertEquals(result, "refused");
        assertEquals(await countOf(table), 1);
      });

      it("ends what was written meanwhile, with a guard or without", async () => {
        for (const guard of [GUARD, {}]) {
          const { provider, table } = await makeSession();
          const result = await meanwhile(
            `UPDATE ${table} SET version = 2, data = '{"b": "2"}'`,
            () => provider.destroy(makeId(1), guard, START),
          );
          assertEquals(result, "done");
          assertEquals(await countOf(table), 0);
        }
      });

      it("ends each session that is written while all are ended", async () => {
        const ends: ((provider: MysqlProvider) => Promise<number>)[] = [
          (provider) => provider.destroyAll("ada"),
          (provider) => provider.clear(),
        ];
        for (const end of ends) {
          const { provider, table } = await makeSession({ principal: "ada" });
          await provider.create(
            makeId(2),
            makeRecord({ principal: "ada" }),
            START,
          );
          const count = await meanwhile(
            `UPDATE ${table} SET version = 2 WHERE id = '${makeId(1)}'`,
            () => end(provider),
          );
          assertEquals(count, 2);
          assertEquals(await countOf(table), 0);
        }
      });

      it("spares a session that changes hands under destroyAll", async () => {
        const { provider, table } = await makeSession({ principal: "ada" });
        const count = await meanwhile(
          `UPDATE ${table} SET principal = 'bob'`,
          () => provider.destroyAll("ada"),
        );
        assertEquals(count, 0);
        assertEquals((await provider.list("bob", START)).sessions.length, 1);
      });

      it("collects nothing that is touched meanwhile", async () => {
        const { provider, table } = await makeSession({ idleTimeout: 10 });
        const count = await meanwhile(
          `UPDATE ${table} SET accessed_at = ${START + 60_000}`,
          () => provider.gc(START + 20_000, 10),
        );
        assertEquals(count, 0);
        assertEquals(await countOf(table), 1);
      });
    },
  );
}

describeOnServer(
  "what a MySQL server refuses because of another statement",
  () => {
    it("is done after a real deadlock", async () => {
      const refusals: unknown[] = [];
      const client = through(async (statement, values) => {
        try {
          return await run(statement, values);
        } catch (error) {
          refusals.push((error as { errno?: number }).errno);
          throw error;
        }
      });
      const table = newTable();
      const provider = await makeProvider(table, client);
      for (const id of [makeId(1), makeId(2)]) {
        await provider.create(id, makeRecord({ principal: "ada" }), START);
      }
      await admin.query(`CREATE TABLE heavy_${table} (n INT) ENGINE=InnoDB`);
      const holder = await admin.getConnection();
      await holder.query("BEGIN");
      // The one that has changed less is the one that is undone.
      await holder.query(
        `INSERT INTO heavy_${table} SELECT seq FROM seq_1_to_1000`,
      );
      const write = `UPDATE ${table} SET version = version + 1 WHERE id = ?`;
      await holder.query(write, [makeId(2)]);
      const ended = provider.destroyAll("ada");
      await untilSomebodyWaits();
      await holder.query(write, [makeId(1)]);
      await holder.query("COMMIT");
      holder.release();
      assertEquals(await ended, 2);
      assertEquals(refusals, [1213]);
      assertEquals(await countOf(table), 0);
    });

    it("is sent once more, and not a third time", async () => {
      const { provider, sent, failNext } = await countingProvider();
      for (const errno of [1213, 1205, 1020, 1615]) {
        failNext(errno);
        sent.length = 0;
        await provider.touch(makeId(1), START);
        assertEquals(sent.length, 2);
        failNext(errno, errno);
        sent.length = 0;
        await assertRejects(
          () => provider.touch(makeId(1), START),
          Error,
          String(errno),
        );
        assertEquals(sent.length, 2);
      }
      failNext(1064);
      sent.length = 0;
      await assertRejects(
        () => provider.touch(makeId(1), START),
        Error,
        "1064",
      );
      assertEquals(sent.length, 1);
    });

    it("leaves every counter exact: eight at once on one session", async () => {
      const { provider } = await makeSession();
      const names = ["a", "b", "c", "d", "e", "f", "g", "h"];
      for (let round = 1; round <= 5; round++) {
        const results = await Promise.all(
          names.map((key) =>
            provider.update(makeId(1), changeOf(key, round), GUARD, START)
          ),
        );
        assertEquals(
          results,
          names.map(() => "done"),
        );
      }
      const { data, version } = await provider.read(makeId(1), START) ?? {};
      assertEquals(Object.values(data ?? {}), names.map(() => 5));
      assertEquals(version, 41);
    });
  },
);

describeOnServer("one statement of a MySQL provider", () => {
  it("is all that each call on a session takes", async () => {
    const { provider, sent } = await countingProvider();
    const record = makeRecord({ principal: "ada" });
    const token = { secretHash: record.secretHash, until: undefined };
    const calls: Record<string, () => unknown> = {
      create: () => provider.create(makeId(1), record, START),
      read: () => provider.read(makeId(1), START),
      update: () => provider.update(makeId(1), {}, GUARD, START),
      conflict: () => provider.update(makeId(1), {}, { version: 9 }, START),
      renew: () => provider.update(makeId(1), {}, { ...GUARD, token }, START),
      touch: () => provider.touch(makeId(1), START),
      list: () => provider.list("ada", START),
      destroy: () => provider.destroy(makeId(1), GUARD, START),
      destroyAll: () => provider.destroyAll("ada"),
      gc: () => provider.gc(START, 10),
    };
    for (const [name, call] of Object.entries(calls)) {
      sent.length = 0;
      await call();
      assertEquals(sent.length, 1, name);
    }
  });

  it("leaves no mark that could be evaluated without a row", async () => {
    const { provider, sent } = await countingProvider();
    await provider.touch(makeId(1), START);
    await provider.update(makeId(1), changeOf("a", 1), GUARD, START);
    for (const sql of sent) {
      const args = Array.from(
        sql.matchAll(/last_insert_id\((\w+)/g),
        ([, arg]) => arg,
      );
      assertGreater(args.length, 0);
      assertEquals(new Set(args), new Set(["if"]));
    }
  });

  it("does not list data", async () => {
    const { provider, sent } = await countingProvider();
    await provider.list("ada", START);
    assertFalse(/\bdata\b/.test(sent.at(-1) as string));
  });
});

describeOnServer("many sessions in MySQL", () => {
  for (const returns of [true, false]) {
    it(`end together, each as destroy would, with RETURNING: ${returns}`, async () => {
      const table = newTable();
      const provider = returns
        ? await makeProvider(table)
        : withoutReturning(table);
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
      assertEquals(await countOf(table), 1);
    });

    it(`are told of when they are collected, with RETURNING: ${returns}`, async () => {
      const table = newTable();
      const provider = returns
        ? await makeProvider(table)
        : withoutReturning(table);
      const told: string[] = [];
      provider.observe((reason, id) => told.push(`${reason} ${id}`));
      for (let number = 0; number < 30; number++) {
        const idleTimeout = number < 25 ? 1 : 3600;
        await provider.create(
          makeId(number),
          makeRecord({ idleTimeout }),
          START,
        );
      }
      await admin.query(`UPDATE ${table} SET collect_at = 0`);
      const count = await provider.gc(START + 1000, 1000);
      assertEquals(count, 25);
      const expected = Array.from(
        { length: 25 },
        (_, index) => `expired ${makeId(index)}`,
      );
      assertEquals(told.sort(), expected.sort());
      assertEquals(await countOf(table), 5);
      // The others are filed anew, and looked at no more.
      const [rows] = await admin.query(
        `SELECT 1 FROM ${table} WHERE collect_at <= ${START + 1000}`,
      );
      assertEquals(rows as unknown, []);
    });
  }

  it("are collected by two nodes at once, each by one of them", async () => {
    const table = newTable();
    const nodes = [await makeProvider(table), await makeProvider(table)];
    for (let number = 0; number < 200; number++) {
      await nodes[0]!.create(
        makeId(number),
        makeRecord({ idleTimeout: 1 }),
        START,
      );
    }
    const told: string[] = [];
    for (const node of nodes) node.observe((_reason, id) => told.push(id));
    const counts = await Promise.all(
      nodes.map((node) => node.gc(START + 5000, 1000)),
    );
    assertEquals(counts[0]! + counts[1]!, 200);
    assertEquals(new Set(told).size, told.length);
    assertEquals(told.length, 200);
  });

  it("end in batches, each of which is told", async () => {
    const { provider, table } = await makeSession({ principal: "ada" });
    const [columns] = await admin.query(
      `SHOW COLUMNS FROM ${table} WHERE Field <> 'id'`,
    );
    const names = (columns as { Field: string }[]).map(({ Field }) => Field)
      .join();
    await admin.query(
      `INSERT INTO ${table} (id, ${names})
       SELECT concat(id, seq), ${names} FROM ${table}, seq_1_to_11999`,
    );
    let steps = 0;
    const patience = {
      giveUpAt: performance.now() + 9000,
      extend: () => steps++,
    };
    assertEquals(await provider.destroyAll("ada", undefined, patience), 12_000);
    assertGreater(steps, 1);
    assertEquals(await provider.clear(), 0);
  });
});
