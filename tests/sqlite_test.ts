/** That an SQLite provider keeps the contract, in one statement a call. */
import {
  assert,
  assertEquals,
  assertExists,
  assertFalse,
  assertInstanceOf,
  assertThrows,
} from "@std/assert";
import fc from "fast-check";
import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { after, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { SessionError } from "../core/errors.ts";
import type { SessionRecord } from "../core/provider.ts";
import { open } from "../core/registry.ts";
import { toRecord } from "../core/store/record.ts";
import type { StoredValue } from "../core/value/types.ts";
import { conformance } from "../providers/conformance.ts";
import {
  type SqliteDatabase,
  SqliteProvider,
  type SqliteStatement,
} from "../providers/sqlite.ts";
import { keys, shape, storables } from "./_arbitraries.ts";
import { makeData, makeId, makeRecord, START } from "./_records.ts";
import {
  A,
  B,
  BunDatabase,
  closeAll,
  create,
  dataOf,
  GUARD,
  HOLDING,
  HOUR,
  listed,
  memory,
  newFile,
  removeFiles,
  setting,
  whole,
} from "./_sqlite.ts";
import { inheritingAtOnce } from "./_pollution.ts";

after(removeFiles);

/**
 * A database that notes the statements that are executed, and lets somebody
 * else act before the next one.
 */
class Watched implements SqliteDatabase {
  readonly executed: string[] = [];
  before: (sql: string) => void = () => {};
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  exec(sql: string): void {
    this.#note(sql);
    this.#database.exec(sql);
  }

  prepare(sql: string): SqliteStatement {
    const statement = this.#database.prepare(sql);
    const note = () => this.#note(sql);
    return {
      run: (...parameters) => (note(), statement.run(...parameters)),
      get: (...parameters) => (note(), statement.get(...parameters)),
      all: (...parameters) => (note(), statement.all(...parameters)),
    };
  }

  /**
   * The statements that a call executes, by their first words, but for those that
   * set how long it waits for the lock.
   */
  during(call: () => unknown): string[] {
    this.executed.length = 0;
    call();
    return this.executed
      .filter((sql) => !sql.startsWith("PRAGMA busy_timeout"))
      .map((sql) => sql.split(/\s/)[0] ?? "");
  }

  #note(sql: string): void {
    this.before(sql);
    this.executed.push(sql);
  }
}

describe("conformance of SQLite in a file", () => {
  const file = newFile();
  const checks = conformance(({ prefix }) =>
    new SqliteProvider(file, { table: tableOf(prefix) })
  );
  for (const { name, run } of checks) it(name, run);
});

describe("conformance of SQLite in memory", () => {
  for (const { name, run } of conformance(() => memory())) it(name, run);
});

describe("conformance of SQLite in a database that was handed in", () => {
  const database = new DatabaseSync(newFile());
  database.exec("PRAGMA synchronous = OFF");
  const checks = conformance(({ prefix }) =>
    new SqliteProvider(database, { table: tableOf(prefix) })
  );
  for (const { name, run } of checks) it(name, run);
  after(() => database.close());
});

if (BunDatabase !== undefined) {
  const database = new BunDatabase(":memory:");
  describe("conformance of SQLite through bun:sqlite", () => {
    const checks = conformance(({ prefix }) =>
      new SqliteProvider(database, { table: tableOf(prefix) })
    );
    for (const { name, run } of checks) it(name, run);
    after(() => database.close());
  });
}

describe("SqliteProvider and data", () => {
  it("replaces an object as a whole, and can hold null", () => {
    const provider = memory();
    create(provider, A, { user: { name: "Ada", age: 36 }, other: 1 });
    const set = { user: { name: "Eve" }, other: null };
    provider.update(A, setting(set), GUARD, START);
    assertEquals(dataOf(provider, A), set);
    provider.close();
  });

  it("tells keys apart that differ after a NUL or in an escape", () => {
    const names = ["a", "a\0", "a\0b", "a\0c", "$", "%0024", "%", '"', "%0022"];
    const provider = memory();
    create(provider, A, Object.fromEntries(names.map((name) => [name, 0])));
    for (const [index, name] of names.entries()) {
      provider.update(A, setting({ [name]: index }), GUARD, START);
    }
    const expected = Object.fromEntries(names.map((name, i) => [name, i]));
    assertEquals(dataOf(provider, A), expected);
    const change = { delete: ["a\0b"] };
    provider.update(A, change, GUARD, START);
    delete expected["a\0b"];
    assertEquals(dataOf(provider, A), expected);
    provider.close();
  });

  it("takes a value that is nested as deeply as a value can be", () => {
    let value: StoredValue = "in the middle";
    for (let level = 0; level < 100; level++) {
      value = level % 2 === 0 ? new Map([["key", value]]) : { key: value };
    }
    const provider = memory();
    create(provider, A, { value });
    provider.update(
      A,
      setting({ other: [value][0] as StoredValue }),
      GUARD,
      START,
    );
    const { data } = provider.read(A, START) as SessionRecord;
    assertEquals(shape(data["value"]), shape(value));
    assertEquals(shape(data["other"]), shape(value));
    provider.close();
  });

  it("merges any changes as an object would", () => {
    const changes = fc.array(
      fc.record({
        set: fc.array(fc.tuple(keys, storables), { maxLength: 3 }),
        delete: fc.array(keys, { maxLength: 2 }),
      }),
      { maxLength: 5 },
    );
    const provider = memory();
    let number = 100;
    fc.assert(
      fc.property(changes, (steps) => {
        const id = makeId(number++);
        const model = new Map<string, StoredValue>();
        create(provider, id, {});
        for (const step of steps) {
          const set = new Map(step.set);
          const removed = step.delete.filter((key) => !set.has(key));
          for (const [key, value] of set) model.set(key, value);
          for (const key of removed) model.delete(key);
          const change = { set: makeData(set), delete: removed };
          assertEquals(provider.update(id, change, GUARD, START), "done");
        }
        const { data } = provider.read(id, START) as SessionRecord;
        assertEquals(sorted(Object.entries(data)), sorted([...model]));
      }),
      { numRuns: 200 },
    );
    provider.close();
  });
});

describe("two ids under one key in SQLite", () => {
  it("are told apart, and the second is refused", async () => {
    const database = new DatabaseSync(":memory:");
    const provider = new SqliteProvider(database);
    create(provider, A, { name: "Ada" }, { principal: "ada" });
    // The row of A becomes one of B, under the key of A.
    database.prepare("UPDATE sessions SET id = ?").run(B);
    assertEquals(provider.read(A, START), undefined);
    assertFalse(create(provider, A, { name: "Eve" }));
    const change = setting({ name: "Eve" });
    assertEquals(provider.update(A, change, GUARD, START), "gone");
    assertFalse(provider.touch(A, START));
    assertEquals(provider.destroy(A, {}, START), "absent");
    assertEquals(listed(provider, "ada"), [B]);
    assertEquals(await provider.gc(START + HOUR, 10), 1);
    closeAll(provider, database);
  });
});

describe("the statements of a SqliteProvider", () => {
  const change = setting({ name: "Eve" });

  it("are one a call, and no transaction", () => {
    const { provider, watch, database } = watched();
    const calls: Record<string, () => unknown> = {
      INSERT: () => create(provider, B, {}, whole()),
      SELECT: () => provider.read(A, START),
      UPDATE: () => provider.update(A, change, HOLDING, START),
      DELETE: () => provider.destroy(A, { ...HOLDING, version: 2 }, START),
    };
    for (const [statement, call] of Object.entries(calls)) {
      assertEquals(watch.during(call), [statement]);
    }
    const label = { ...change, label: "x", principal: "bob" };
    assertEquals(
      watch.during(() => provider.update(B, label, GUARD, START)),
      ["UPDATE"],
    );
    assertEquals(watch.during(() => provider.touch(B, START)), ["UPDATE"]);
    assertEquals(watch.during(() => provider.destroy(B, {}, START)), [
      "DELETE",
    ]);
    assertEquals(watch.during(() => provider.destroyAll("bob")), ["DELETE"]);
    closeAll(provider, database);
  });

  it("are two where a second one tells why the first changed nothing", () => {
    const { provider, watch, database } = watched();
    const guard = { version: 7 };
    assertEquals(watch.during(() => provider.destroy(A, guard, START)), [
      "DELETE",
      "SELECT",
    ]);
    assertEquals(watch.during(() => provider.update(A, change, guard, START)), [
      "UPDATE",
      "SELECT",
    ]);
    closeAll(provider, database);
  });

  it("read no data for a list", () => {
    const { provider, watch, database } = watched();
    watch.during(() => provider.list("ada", START));
    assertEquals(watch.executed.length, 1);
    assertFalse(/\bdata\b|\*/.test(watch.executed[0]?.split("FROM")[0] ?? ""));
    closeAll(provider, database);
  });

  it("are tried again if the guard came to hold between two of them", () => {
    const guard = { version: 2 };
    const calls = {
      update: (provider: SqliteProvider) =>
        provider.update(A, change, guard, START),
      destroy: (provider: SqliteProvider) => provider.destroy(A, guard, START),
    };
    for (const call of Object.values(calls)) {
      const { provider, watch, database } = watched();
      watch.before = (sql) => {
        if (sql.startsWith("SELECT")) setVersion(database, 2);
      };
      assertEquals(call(provider), "done");
      closeAll(provider, database);
    }
  });

  it("give up when that happens each time, and name the session", () => {
    const { provider, watch, database } = watched();
    watch.before = (sql) => setVersion(database, sql.startsWith("S") ? 2 : 1);
    const guard = { version: 2 };
    const update = () => provider.update(A, change, guard, START);
    const destroy = () => provider.destroy(A, guard, START);
    for (const call of [update, destroy]) {
      const error = assertThrows(call, SessionError, "try again later");
      assertEquals([error.code, error.id], ["conflict", A]);
    }
    assertEquals(dataOf(provider, A), { name: "Ada" });
    closeAll(provider, database);
  });
});

describe("SqliteProvider and inherited properties", () => {
  it("takes none for an option", () => {
    const file = newFile();
    const inherited = {
      table: "visits",
      busyTimeout: -1,
      kind: "database",
      database: {},
      path: "elsewhere.db",
      file: {},
      log: {},
    };
    inheritingAtOnce(inherited, () => {
      for (const source of [file, new DatabaseSync(file)]) {
        const provider = new SqliteProvider(source);
        const id = typeof source === "string" ? A : B;
        assert(create(provider, id, { name: "Ada" }));
        assertEquals(provider.destroy(id, GUARD, START), "done");
        assert(create(provider, id, { name: "Ada" }));
        provider.close();
      }
    });
    const provider = new SqliteProvider(file, { table: "sessions" });
    assertEquals(dataOf(provider, A), { name: "Ada" });
    assertEquals(dataOf(provider, B), { name: "Ada" });
    provider.close();
  });

  it("takes none for a field of a record, a change or a guard", () => {
    const provider = memory();
    const inherited = {
      ...whole(),
      ...HOLDING,
      family: "other",
      principal: "admin",
      set: { name: "Eve" },
      delete: ["name"],
      isUse: false,
      idleTimeout: 9,
      absoluteTimeout: 9,
      until: "never",
    };
    const later = START + 9;
    inheritingAtOnce(inherited, () => {
      create(provider, A, { name: "Ada" });
      assertEquals(provider.update(A, {}, {}, later), "done");
    });
    const record = makeRecord({ accessedAt: later });
    assertEquals(provider.read(A, later), {
      ...toRecord(record, 2),
      data: makeData([["name", "Ada"]]),
    });
    assertEquals(listed(provider, "admin"), []);
    inheritingAtOnce(inherited, () => {
      assertEquals(provider.destroy(A, {}, later), "done");
    });
    provider.close();
  });

  it("takes no name in a URL for a prototype", () => {
    const options = "__proto__=visits";
    const call = () => open(`sqlite::memory:?${options}`);
    assertThrows(call, TypeError, "received __proto__");
  });
});

describe("the name and options of a SqliteProvider", () => {
  it("are found under the scheme sqlite, in a file or in memory", () => {
    for (const url of ["sqlite::memory:", `sqlite:${newFile()}`]) {
      const provider = open(url);
      assertInstanceOf(provider as never, SqliteProvider as never);
      assertEquals(provider.read(A, START), undefined);
      provider.close();
    }
  });

  it("can be a path, a file URL or a sqlite URL of the same file", () => {
    const file = newFile(" %20 ü.db");
    const url = pathToFileURL(file);
    const first = new SqliteProvider(file);
    create(first, A, { name: "Ada" });
    first.close();
    assert(existsSync(file));
    for (const same of [url, url.href, url.href.replace("file:", "sqlite:")]) {
      const provider = new SqliteProvider(same);
      assertEquals(dataOf(provider, A), { name: "Ada" });
      provider.close();
    }
  });

  it("are taken from the query of a URL", () => {
    const file = newFile();
    const named = new SqliteProvider(file, { table: "visits" });
    create(named, A, { name: "Ada" });
    const provider = open(`sqlite:${file}?table=visits&busyTimeout=2`);
    assertExists(provider.read(A, START));
    assertThrows(() => open(`sqlite:${file}?tables=visits`), TypeError);
    closeAll(named, provider as SqliteProvider);
  });

  it("must name a file", () => {
    for (
      const url of ["sqlite", "sqlite:", "sqlite://host/a.db", "sqlite:a#b"]
    ) {
      assertThrows(() => open(url), TypeError, "path of a file");
    }
    const other = new URL("https://localhost/a.db");
    assertThrows(() => new SqliteProvider(other), TypeError, "https:");
  });

  it("must be a table's name that needs no quotes and is not reserved", () => {
    const names = [
      "",
      "1a",
      "a-b",
      'a"b',
      "a b",
      "ü",
      "sqlite_a",
      "SQLite_a",
      "cloakroom_session_schema",
      "a".repeat(49),
    ];
    for (const table of names) {
      assertThrows(() => memory({ table }), TypeError, "table must be");
    }
    memory({ table: "a".repeat(48) }).close();
  });

  it("must be a time to wait that a timer can measure", () => {
    for (const busyTimeout of [-1, NaN, Infinity, 2_147_484]) {
      assertThrows(() => memory({ busyTimeout }), RangeError, "busyTimeout");
    }
    const busyTimeout = "5" as unknown as number;
    assertThrows(() => memory({ busyTimeout }), TypeError, "received string");
  });

  it("must be known", () => {
    const options = { tabel: "visits" } as object;
    assertThrows(() => memory(options), TypeError, "received tabel");
  });
});

function tableOf(prefix: string): string {
  return `t_${prefix.replaceAll("-", "_0")}`;
}

function sorted(entries: [string, StoredValue][]): unknown[] {
  return entries
    .map(([key, value]) => [key, shape(value)] as const)
    .sort(([a], [b]) => a < b ? -1 : 1);
}

/** A provider on a watched database that holds a session of Ada's. */
function watched() {
  const database = new DatabaseSync(":memory:");
  const watch = new Watched(database);
  const provider = new SqliteProvider(watch);
  create(provider, A, { name: "Ada" }, whole());
  return { provider, watch, database };
}

function setVersion(database: DatabaseSync, version: number): void {
  database.exec(`UPDATE sessions SET version = ${version}`);
}
