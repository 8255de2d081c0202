import {
  assert,
  assertEquals,
  assertExists,
  assertFalse,
  assertGreater,
  assertInstanceOf,
  assertLess,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import fc from "fast-check";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { after, describe, it } from "node:test";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { SessionError } from "../core/errors.ts";
import type { SessionRecord } from "../core/provider.ts";
import { open } from "../core/registry.ts";
import type { StoredValue } from "../core/value/types.ts";
import { conformance } from "../providers/conformance.ts";
import { SqliteProvider } from "../providers/sqlite.ts";
import { keys, shape, storables } from "./_arbitraries.ts";
import { Browser, Site } from "./_browser.ts";
import {
  makeData,
  makeHash,
  makeId,
  makeRecord,
  type RecordOptions,
  START,
} from "./_records.ts";

/** How many processes to kill; a thousand take some minutes. */
const KILLS = Number(process.env["SESSION_TEST_KILLS"] ?? 20);

const A = makeId(1);
const B = makeId(2);
const GUARD = { secretHash: makeHash("secret") };
const HOUR = 3_600_000;
const FOLDER = mkdtempSync(join(tmpdir(), "sqlite-test-"));
let files = 0;
after(() => rmSync(FOLDER, { recursive: true, force: true }));

/** A page of a file, as its log holds it. */
const LOG_PAGE = 4096 + 24;

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

// Only Bun has this driver; everything else in this file is the same for both.
if ("Bun" in globalThis) {
  const driver = "bun:sqlite";
  const { Database } = await import(driver);
  describe("conformance of SQLite through bun:sqlite", () => {
    const database = new Database(":memory:");
    const checks = conformance(({ prefix }) =>
      new SqliteProvider(database, { table: tableOf(prefix) })
    );
    for (const { name, run } of checks) it(name, run);
    after(() => database.close());
  });
}

describe("SqliteProvider and its file", () => {
  it("is seen by a second provider on the same file at once", () => {
    const file = newFile();
    const one = new SqliteProvider(file);
    const two = new SqliteProvider(file);
    create(one, A, { name: "Ada" });
    assertEquals(dataOf(two, A), { name: "Ada" });
    two.update(A, setting({ name: "Eve" }), GUARD, START);
    assertEquals(dataOf(one, A), { name: "Eve" });
    two.destroy(A);
    assertEquals(one.read(A, START), undefined);
    closeAll(one, two);
  });

  it("keeps every field of a session when it is closed and opened again", () => {
    const file = newFile();
    const before = new SqliteProvider(file);
    create(before, A, { name: "Ada" }, {
      principal: "ada",
      label: "Laptop",
      previous: { secretHash: makeHash("before"), expiresAt: START + 1 },
      authenticatedAt: START - 1,
      fingerprint: "a digest",
      persistent: true,
      idleTimeout: 0.25,
      absoluteTimeout: 3600.5,
    });
    const record = before.read(A, START);
    before.close();
    const after = new SqliteProvider(file);
    assertExists(record);
    assertEquals(after.read(A, START), record);
    assertEquals(record.idleTimeout, 0.25);
    after.close();
  });

  it("is made with the first call, and not before", () => {
    const file = newFile();
    const provider = new SqliteProvider(file);
    assertFalse(existsSync(file));
    provider.read(A, START);
    assert(existsSync(file));
    provider.close();
  });

  it("is tried again by the next call when it could not be opened", () => {
    const folder = newFile();
    const provider = new SqliteProvider(join(folder, "sessions.db"));
    assertThrows(() => create(provider, A), Error, "ENOENT");
    mkdirSync(folder);
    assert(create(provider, A));
    provider.close();
  });

  it("is let go by a call that could not open it", () => {
    const file = newFile();
    const database = new DatabaseSync(file);
    create(new SqliteProvider(database), A);
    setSchemaVersion(database, 3);
    database.close();
    const provider = new SqliteProvider(file);
    assertThrows(() => provider.read(A, START), SessionError);
    assertFalse(existsSync(`${file}-wal`), "a log");
    provider.close();
  });

  it("can be read by nobody but its owner, log included", () => {
    const file = newFile();
    const provider = new SqliteProvider(file);
    create(provider, A);
    if (process.platform !== "win32") {
      assertEquals(statSync(file).mode & 0o777, 0o600);
      assertEquals(statSync(`${file}-wal`).mode & 0o777, 0o600);
    }
    provider.close();
  });

  it("is let go by close", () => {
    const file = newFile();
    const provider = new SqliteProvider(file);
    create(provider, A);
    assert(existsSync(`${file}-wal`), "a log while it is open");
    provider.close();
    assertFalse(existsSync(`${file}-wal`), "a log after the last close");
  });

  it("is refused at once while another process writes, if that is the wish", () => {
    const file = newFile();
    const provider = new SqliteProvider(file, { busyTimeout: 0 });
    create(provider, A, { name: "Ada" });
    const other = new DatabaseSync(file);
    other.exec("BEGIN IMMEDIATE");
    assertThrows(() => create(provider, B), Error, "locked");
    assertEquals(dataOf(provider, A), { name: "Ada" });
    other.exec("ROLLBACK");
    other.close();
    assert(create(provider, B));
    provider.close();
  });

  it("is synced when sessions end, and not otherwise", () => {
    const provider = new SqliteProvider(newFile());
    create(provider, A, {}, { principal: "ada" });
    const synced = ["PRAGMA synchronous = FULL", "PRAGMA synchronous = NORMAL"];
    assertEquals(executedBy(() => provider.destroy(A)), synced);
    assertEquals(executedBy(() => provider.destroyAll("ada")), synced);
    assertEquals(executedBy(() => provider.clear()), synced);
    assertEquals(executedBy(() => create(provider, A)), []);
    assertEquals(executedBy(() => provider.read(A, START)), []);
    assertEquals(executedBy(() => provider.touch(A, START + 9, START)), []);
    const change = setting({ name: "Eve" });
    assertEquals(
      executedBy(() => provider.update(A, change, GUARD, START)),
      [],
    );
    provider.close();
  });

  it("gets one page from an update or touch that moves the deadline", () => {
    const file = newFile();
    const filler = new SqliteProvider(file);
    for (let index = 0; index < 500; index++) create(filler, makeId(index));
    filler.close();
    // With a log that is new, and therefore grows with every page.
    const provider = new SqliteProvider(file);
    provider.touch(makeId(0), START + 2 * HOUR, START + 1);
    const id = makeId(250);
    const before = statSync(`${file}-wal`).size;
    const change = { ...setting({}), expiresAt: START + 2 * HOUR };
    provider.update(id, change, GUARD, START + HOUR / 2);
    provider.touch(id, START + 3 * HOUR, START + HOUR);
    const written = statSync(`${file}-wal`).size - before;
    assertEquals(written, 2 * LOG_PAGE);
    provider.close();
  });

  it("gets no page with data from a touch", () => {
    const file = newFile();
    const provider = new SqliteProvider(file);
    create(provider, A, { text: "x".repeat(60_000) });
    const before = statSync(`${file}-wal`).size;
    provider.touch(A, START + 2 * HOUR, START + HOUR / 2);
    const written = statSync(`${file}-wal`).size - before;
    assertGreater(written, 0);
    assertLess(written, 4 * LOG_PAGE);
    provider.close();
  });
});

describe("SqliteProvider and a database that was handed in", () => {
  it("leaves it open", () => {
    const database = new DatabaseSync(":memory:");
    const provider = new SqliteProvider(database);
    create(provider, A, { name: "Ada" });
    provider.close();
    assertEquals(database.prepare("SELECT 1 AS one").get()?.["one"], 1);
    const next = new SqliteProvider(database);
    assertEquals(dataOf(next, A), { name: "Ada" });
    closeAll(next, database);
  });

  it("leaves its settings alone", () => {
    const database = new DatabaseSync(newFile());
    const names = [
      "journal_mode",
      "synchronous",
      "busy_timeout",
      "cache_size",
      "wal_autocheckpoint",
    ];
    database.exec("PRAGMA busy_timeout = 77; PRAGMA synchronous = EXTRA");
    const settings = () => names.map((name) => pragma(database, name));
    const before = settings();
    const provider = new SqliteProvider(database);
    create(provider, A);
    provider.destroy(A);
    assertEquals(settings(), before);
    closeAll(provider, database);
  });

  it("waits for as long as it is told to", () => {
    const database = new DatabaseSync(":memory:");
    const provider = new SqliteProvider(database, { busyTimeout: 1.5 });
    provider.read(A, START);
    assertEquals(pragma(database, "busy_timeout"), 1500);
    closeAll(provider, database);
  });

  it("gets no session under a table's name in another case", () => {
    const database = new DatabaseSync(":memory:");
    const one = new SqliteProvider(database, { table: "visits" });
    const two = new SqliteProvider(database, { table: "Visits" });
    create(one, A, { name: "Ada" });
    assertEquals(dataOf(two, A), { name: "Ada" });
    closeAll(one, two, database);
  });

  it("takes a table whose name is a word of SQL", () => {
    const provider = memory({ table: "order" });
    create(provider, A, { name: "Ada" });
    assertEquals(dataOf(provider, A), { name: "Ada" });
    provider.close();
  });

  it("keeps a table that somebody else made", () => {
    const database = new DatabaseSync(":memory:");
    database.exec("CREATE TABLE sessions (mine TEXT)");
    const provider = new SqliteProvider(database);
    assertThrows(() => create(provider, A), Error, "already exists");
    database.exec("INSERT INTO sessions (mine) VALUES ('still there')");
    database.exec("DROP TABLE sessions");
    assert(create(provider, A), "the next call, once the name is free");
    closeAll(provider, database);
  });

  it("is refused when its schema is newer, until it is one that is known", () => {
    const database = new DatabaseSync(":memory:");
    const before = new SqliteProvider(database);
    create(before, A, { name: "Ada" });
    setSchemaVersion(database, 3);
    const provider = new SqliteProvider(database);
    for (
      const call of [() => provider.read(A, START), () => provider.clear()]
    ) {
      const error = assertThrows(call, SessionError, "a newer version");
      assertEquals(error.code, "store-failed");
    }
    setSchemaVersion(database, 1);
    const clear = () => provider.clear();
    const { message } = assertThrows(clear, SessionError, "an older version");
    assertStringIncludes(message, "name another table");
    assertStringIncludes(message, "received version 1");
    setSchemaVersion(database, 2);
    assertEquals(dataOf(provider, A), { name: "Ada" });
    closeAll(before, provider, database);
  });
});

describe("a table of an older version of SqliteProvider", () => {
  it("can be removed with its row in the table of versions, as the error says", () => {
    const database = new DatabaseSync(":memory:");
    const before = new SqliteProvider(database);
    create(before, A);
    setSchemaVersion(database, 1);
    const provider = new SqliteProvider(database);
    const read = () => provider.read(A, START);
    const row = "remove this one and its row in cloakroom_session_schema";
    assertThrows(read, SessionError, row);
    database.exec("DROP TABLE sessions");
    database.exec(
      "DELETE FROM cloakroom_session_schema WHERE name = 'sessions'",
    );
    assertEquals(read(), undefined);
    assert(create(provider, A));
    closeAll(before, provider, database);
  });
});

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
    const change = { delete: ["a\0b"], expiresAt: START + HOUR };
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
          const change = {
            set: makeData(set),
            delete: removed,
            expiresAt: START + HOUR,
          };
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

describe("a row that cannot be decoded", () => {
  const corruptions: Record<string, string> = {
    "is no JSON": '{"name":["Ada"',
    "is empty": "",
    "is JSON but no object": '[["Ada"]]',
    "lacks the array around a value": '{"name":"Ada"}',
    "has two values in one array": '{"name":["Ada","Eve"]}',
    "has a type of a newer version": '{"name":[{"$":["Instant","1"]}]}',
    "has a number that is none": '{"name":[1e999]}',
  };
  for (const [how, text] of Object.entries(corruptions)) {
    it(`is refused by read and list when its data ${how}`, () => {
      const { provider, database } = corrupted(text);
      assertCorrupt(() => provider.read(A, START));
      assertCorrupt(() => provider.list("ada", START));
      closeAll(provider, database);
    });
  }

  for (const text of ['{"name":["Ada"', "", '[["Ada"]]', "null", " {}"]) {
    it(`is refused by update and left as it is: ${text || "empty"}`, () => {
      const { provider, database } = corrupted(text);
      const change = setting({ name: "Eve" });
      assertCorrupt(() => provider.update(A, change, GUARD, START));
      const guard = { ...GUARD, version: 1 };
      assertCorrupt(() => provider.update(A, change, guard, START));
      const row = database.prepare("SELECT data, version FROM sessions").get();
      assertEquals({ ...row }, { data: text, version: 1 });
      closeAll(provider, database);
    });
  }

  it("is refused when its principal is no text", () => {
    const { provider, database } = corrupted("{}");
    database.exec("UPDATE sessions SET principal = '5'");
    assertCorrupt(() => provider.read(A, START));
    closeAll(provider, database);
  });

  it("says nothing of the data in the error", () => {
    const { provider, database } = corrupted('{"secret thing');
    const error = assertThrows(() => provider.read(A, START), SessionError);
    assertFalse(`${error.stack} ${error.cause}`.includes("secret thing"));
    closeAll(provider, database);
  });

  it("makes each request fail and can still be ended", async () => {
    const database = new DatabaseSync(":memory:");
    const provider = new SqliteProvider(database);
    const site = new Site({ provider });
    const browser = new Browser(site);
    await browser.visit((session) => session.set("name", "Ada"));
    const id = browser.token.slice(0, A.length);
    database.exec("UPDATE sessions SET data = '{'");
    for (let request = 0; request < 2; request++) {
      site.takeEvents();
      const error = await assertRejects(
        () => browser.look(() => {}),
        SessionError,
      );
      assertEquals(error.code, "corrupt");
      assertEquals(site.takeEvents(), ["store-error"]);
    }
    assert(provider.destroy(id));
    assert(await browser.look((session) => session.isNew));
    closeAll(provider, database);
  });

  it("does not keep others from being collected or signed out", async () => {
    const { provider, database } = corrupted("{");
    create(provider, B, {}, { principal: "ada" });
    assertEquals(provider.destroyAll("ada", B), 1);
    database.exec("UPDATE sessions SET data = '{'");
    assertEquals(await provider.gc(START + HOUR, 10), 1);
    closeAll(provider, database);
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
    assertFalse(provider.touch(A, START + 2 * HOUR, START));
    assertFalse(provider.destroy(A));
    assertEquals(provider.list("ada", START).map(({ id }) => id), [B]);
    assertEquals(await provider.gc(START + HOUR, 10), 1);
    closeAll(provider, database);
  });
});

describe("collection in SQLite", () => {
  it("finds every expired session behind ones that were touched", async () => {
    const provider = memory();
    for (let index = 0; index < 250; index++) {
      create(provider, makeId(index));
      if (index % 5 === 0) continue;
      provider.touch(makeId(index), START + 2 * HOUR + index, START + 1);
    }
    assertEquals(await provider.gc(START + HOUR, 20), 20);
    assertEquals(await provider.gc(START + HOUR, 1000), 30);
    assertEquals(await provider.gc(START + 2 * HOUR + 1, 1000), 1);
    assertEquals(await provider.gc(START + 3 * HOUR, 1000), 199);
    provider.close();
  });

  it("follows a deadline that an update of the data brings forward", async () => {
    const provider = memory();
    create(provider, A);
    const change = { ...setting({ name: "Ada" }), expiresAt: START + 10 };
    assertEquals(provider.update(A, change, GUARD, START), "done");
    assertEquals(await provider.gc(START + 9, 10), 0);
    assertEquals(await provider.gc(START + 10, 10), 1);
    provider.close();
  });

  it("takes the earliest due first, however many it takes at a time", async () => {
    const provider = memory();
    const expected: string[] = [];
    for (let index = 0; index < 150; index++) {
      const order = (index * 37) % 150;
      const id = makeId(order);
      expected[order] = id;
      create(provider, id, {}, { now: START + order });
    }
    const heard: string[] = [];
    provider.observe((reason, id) => heard.push(`${reason} ${id}`));
    assertEquals(await provider.gc(START + 2 * HOUR, 120), 120);
    // Within one statement SQLite does not say in which order.
    assertEquals(
      heard.sort(),
      expected.slice(0, 120).map((id) => `expired ${id}`).sort(),
    );
    assertEquals(await provider.gc(START + 2 * HOUR, 120), 30);
    provider.close();
  });

  it("files no more than 10,000 live sessions anew in one call", async () => {
    const { provider, database } = await withLiveDue(20_000);
    assertEquals(await provider.gc(START + HOUR, 1000), 0);
    assertEquals(dueIn(database), 10_000);
    assertEquals(await provider.gc(START + HOUR, 1000), 0);
    assertEquals(dueIn(database), 0);
    assertEquals(await provider.gc(START + 2 * HOUR, 20_000), 20_000);
    closeAll(provider, database);
  });

  it("leaves no expired session behind more live ones than it files anew", async () => {
    const { provider, database } = await withLiveDue(10_100);
    for (let index = 0; index < 30; index++) {
      create(provider, makeId(index), {}, { now: START + 1 });
    }
    assertEquals(await provider.gc(START + HOUR + 1, 20), 20);
    database.exec(`UPDATE sessions SET collect_at = ${START + HOUR}
      WHERE expires_at > ${START + HOUR + 1}`);
    assertEquals(await provider.gc(START + HOUR + 1, 20), 10);
    assertEquals(dueIn(database), 100);
    assertEquals(countIn(database), 10_100);
    closeAll(provider, database);
  });

  it("waits for no other process when nothing is due", async () => {
    const file = newFile();
    const provider = new SqliteProvider(file, { busyTimeout: 0 });
    create(provider, A);
    const other = new DatabaseSync(file);
    other.exec("BEGIN IMMEDIATE");
    assertEquals(await provider.gc(START, 1000), 0);
    const gc = async () => await provider.gc(START + HOUR, 1000);
    await assertRejects(gc, Error, "locked");
    other.exec("ROLLBACK");
    assertEquals(await gc(), 1);
    closeAll(provider, other);
  });

  it("leaves a session alone that is used after it was found expired", async () => {
    const database = new DatabaseSync(newFile());
    const provider = new SqliteProvider(database);
    for (let index = 0; index < 100; index++) create(provider, makeId(index));
    const collecting = provider.gc(START + HOUR, 1000);
    // By another machine, say, whose clock is behind.
    database.exec(`UPDATE sessions SET expires_at = ${START + 2 * HOUR}`);
    const removed = await collecting;
    assertLess(removed, 100);
    assertEquals(countIn(database), 100 - removed);
    closeAll(provider, database);
  });

  it("takes a session past its absolute deadline though it is not idle", async () => {
    const provider = memory();
    create(provider, A, {}, { absoluteTimeout: 10 });
    assertEquals(await provider.gc(START + 9_999, 10), 0);
    assertEquals(await provider.gc(START + 10_000, 10), 1);
    provider.close();
  });

  it("lets other work have its turn in between", async () => {
    const provider = new SqliteProvider(newFile());
    for (let index = 0; index < 200; index++) create(provider, makeId(index));
    let isDone = false;
    let turns = 0;
    const collecting = provider.gc(START + HOUR, 1000).then((count) => {
      isDone = true;
      return count;
    });
    for (; !isDone; turns++) await setImmediate();
    assertEquals(await collecting, 200);
    assertGreater(turns, 4);
    provider.close();
  });

  it("has the log written back to the file as it goes", async () => {
    const file = newFile();
    const provider = new SqliteProvider(file);
    for (let index = 0; index < 300; index++) {
      create(provider, makeId(index), { text: "x".repeat(5000) });
    }
    assertEquals(await provider.gc(START + HOUR, 250), 250);
    const state = new DatabaseSync(file);
    const { log, checkpointed } = state
      .prepare("PRAGMA wal_checkpoint(NOOP)").get() as {
        log: number;
        checkpointed: number;
      };
    assertEquals(checkpointed, log);
    closeAll(provider, state);
  });

  it("ends quietly when the provider is closed meanwhile", async () => {
    const file = newFile();
    const provider = new SqliteProvider(file);
    for (let index = 0; index < 200; index++) create(provider, makeId(index));
    const collecting = provider.gc(START + HOUR, 1000);
    provider.close();
    const removed = await collecting;
    assertGreater(removed, 0);
    assertLess(removed, 200);
    const next = new SqliteProvider(file);
    assertEquals(await next.gc(START + HOUR, 1000), 200 - removed);
    next.close();
  });
});

describe("a full disk", () => {
  it("makes the request fail, and the next works once there is room", async () => {
    const database = new DatabaseSync(newFile());
    const provider = new SqliteProvider(database);
    const site = new Site({ provider });
    const browser = new Browser(site);
    await browser.visit((session) => session.set("name", "Ada"));
    const { cookie } = browser;
    const pages = pragma(database, "page_count") as number;
    database.exec(`PRAGMA max_page_count = ${pages + 2}`);
    const store = () =>
      browser.visit((session) => session.set("text", "x".repeat(50_000)));
    const error = await assertRejects(store, SessionError);
    assertEquals(error.code, "store-failed");
    assertStringIncludes((error.cause as Error).message, "full");
    assertEquals(browser.cookie, cookie);
    database.exec(`PRAGMA max_page_count = ${pages + 100}`);
    await browser.look((session) => {
      assertEquals(session.get("name"), "Ada");
      assertFalse(session.has("text"));
    });
    await store();
    const length = await browser.look((session) =>
      String(session.get("text")).length
    );
    assertEquals(length, 50_000);
    closeAll(provider, database);
  });

  it("fails the first call too, and leaves no half of a table", () => {
    const database = new DatabaseSync(newFile());
    database.exec("CREATE TABLE other (column TEXT)");
    const pages = pragma(database, "page_count") as number;
    database.exec(`PRAGMA max_page_count = ${pages + 2}`);
    const provider = new SqliteProvider(database);
    assertThrows(() => create(provider, A), Error, "full");
    assertFalse(database.isTransaction);
    database.exec(`PRAGMA max_page_count = ${pages + 100}`);
    assert(create(provider, A));
    closeAll(provider, database);
  });
});

describe("several processes on one SQLite file", () => {
  it("increment one counter four at a time and lose nothing", async () => {
    const file = newFile();
    const codes = await Promise.all(
      Array.from({ length: 4 }, () => run(["count", file, A, "250"])),
    );
    assertEquals(codes, [0, 0, 0, 0]);
    const provider = new SqliteProvider(file);
    const { data, version } = provider.read(A, START) as SessionRecord;
    assertEquals([data["count"], version], [1000, 1001]);
    provider.close();
  });

  it(`lose nothing that they acknowledged when ${KILLS} of them are killed`, async () => {
    const file = newFile();
    const provider = new SqliteProvider(file, { busyTimeout: 20 });
    const acknowledged: number[] = [];
    for (let killed = 0; killed < KILLS; killed += 4) {
      const counts = await Promise.all([0, 1, 2, 3].map((number) => {
        const least = (acknowledged[number] ?? 0) + 1 + (killed * 7 % 23);
        return killAfter(["write", file, makeId(number)], least);
      }));
      for (const [number, count] of counts.entries()) {
        acknowledged[number] = count;
        const record = provider.read(makeId(number), START);
        const kept = Number(record?.data["count"]);
        // The last write may have been done and not yet been told.
        assert(kept === count || kept === count + 1, `${kept} of ${count}`);
        assertEquals(record?.version, kept + 1);
      }
    }
    provider.close();
    const database = new DatabaseSync(file);
    assertEquals(pragma(database, "integrity_check"), "ok");
    database.close();
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

function newFile(suffix = ".db"): string {
  return join(FOLDER, `${++files}${suffix}`);
}

function memory(options = {}): SqliteProvider {
  return new SqliteProvider(":memory:", options);
}

function tableOf(prefix: string): string {
  return `t_${prefix.replaceAll("-", "_0")}`;
}

function create(
  provider: SqliteProvider,
  id: string,
  data: Record<string, StoredValue> = {},
  options: RecordOptions = {},
): boolean {
  const record = makeRecord({
    data: makeData(Object.entries(data)),
    ...options,
  });
  return provider.create(id, record, START);
}

function setting(values: Record<string, StoredValue>) {
  return { set: makeData(Object.entries(values)), expiresAt: START + HOUR };
}

function dataOf(provider: SqliteProvider, id: string): unknown {
  return provider.read(id, START)?.data;
}

function closeAll(...all: { close(): void }[]): void {
  for (const each of all) each.close();
}

function sorted(entries: [string, StoredValue][]): unknown[] {
  return entries
    .map(([key, value]) => [key, shape(value)] as const)
    .sort(([a], [b]) => a < b ? -1 : 1);
}

function pragma(database: DatabaseSync, name: string): unknown {
  return Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0];
}

function setSchemaVersion(database: DatabaseSync, version: number): void {
  database.exec(`UPDATE cloakroom_session_schema SET version = ${version}`);
}

/** A session of Ada's whose data was overwritten by somebody else. */
function corrupted(text: string) {
  const database = new DatabaseSync(":memory:");
  const provider = new SqliteProvider(database);
  create(provider, A, {}, { principal: "ada" });
  database.prepare("UPDATE sessions SET data = ?").run(text);
  return { provider, database };
}

/** Sessions that have all been touched, and are due all the same. */
async function withLiveDue(count: number) {
  const database = new DatabaseSync(":memory:");
  const provider = new SqliteProvider(database);
  await provider.gc(START, 1);
  database.exec("BEGIN");
  for (let index = 0; index < count; index++) {
    create(provider, makeId(1_000_000 + index));
  }
  database.exec(`UPDATE sessions SET expires_at = ${START + 2 * HOUR}; COMMIT`);
  return { provider, database };
}

function dueIn(database: DatabaseSync): unknown {
  const due = `SELECT count(*) AS count FROM sessions
    WHERE collect_at <= ${START + HOUR + 1}`;
  return database.prepare(due).get()?.["count"];
}

function countIn(database: DatabaseSync): unknown {
  const all = "SELECT count(*) AS count FROM sessions";
  return database.prepare(all).get()?.["count"];
}

function assertCorrupt(call: () => unknown): void {
  assertStrictEquals(assertThrows(call, SessionError).code, "corrupt");
}

/** What is executed, beside prepared statements, in a call. */
function executedBy(call: () => unknown): string[] {
  const executed: string[] = [];
  const original = DatabaseSync.prototype.exec;
  DatabaseSync.prototype.exec = function (sql) {
    executed.push(sql);
    return original.call(this, sql);
  };
  try {
    call();
  } finally {
    DatabaseSync.prototype.exec = original;
  }
  return executed;
}

function start(args: readonly string[]) {
  const worker = fileURLToPath(new URL("_sqlite_worker.ts", import.meta.url));
  const prefix = "Deno" in globalThis ? ["run", "-A", "--no-config"] : [];
  return spawn(process.execPath, [...prefix, worker, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}

/** Runs a process to its end and answers its exit code. */
function run(args: readonly string[]): Promise<number | null> {
  return new Promise((resolve, reject) => {
    start(args).on("error", reject).on("close", resolve);
  });
}

/** Kills a process when it has counted that far; answers how far it came. */
function killAfter(args: readonly string[], least: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = start(args);
    let text = "";
    child.stdout.on("data", (chunk) => {
      text += chunk;
      if (lastLine(text) >= least) child.kill("SIGKILL");
    });
    child.on("error", reject);
    child.on("close", () => resolve(lastLine(text)));
  });
}

/** The number in the last line that is complete. */
function lastLine(text: string): number {
  return Number(text.split("\n").at(-2) ?? 0);
}
