/** What an SQLite provider does with its file and its table, with others about. */
import {
  assert,
  assertEquals,
  assertExists,
  assertFalse,
  assertGreater,
  assertLess,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { SessionError } from "../core/errors.ts";
import type { SessionRecord } from "../core/provider.ts";
import { SqliteProvider } from "../providers/sqlite.ts";
import { Browser, Site } from "./_browser.ts";
import { makeFamily, makeHash, makeId, START } from "./_records.ts";
import {
  A,
  B,
  BunDatabase,
  closeAll,
  corrupted,
  create,
  dataOf,
  GUARD,
  HOUR,
  memory,
  newFile,
  removeFiles,
  setting,
} from "./_sqlite.ts";

after(removeFiles);

/** How many processes to kill; a thousand take some minutes. */
const KILLS = Number(process.env["SESSION_TEST_KILLS"] ?? 20);

/** A page of a file, as its log holds it. */
const LOG_PAGE = 4096 + 24;

describe("SqliteProvider and its file", () => {
  it("is seen by a second provider on the same file at once", () => {
    const file = newFile();
    const one = new SqliteProvider(file);
    const two = new SqliteProvider(file);
    create(one, A, { name: "Ada" });
    assertEquals(dataOf(two, A), { name: "Ada" });
    two.update(A, setting({ name: "Eve" }), GUARD, START);
    assertEquals(dataOf(one, A), { name: "Eve" });
    two.destroy(A, GUARD, START);
    assertEquals(one.read(A, START), undefined);
    closeAll(one, two);
  });

  it("keeps every field of a session when it is closed and opened again", () => {
    const file = newFile();
    const before = new SqliteProvider(file);
    create(before, A, { name: "Ada" }, {
      principal: "ada",
      label: "Laptop",
      previous: {
        secretHash: makeHash("before"),
        family: makeFamily("before"),
        until: START + 1.5,
      },
      authenticatedAt: START - 1,
      fingerprint: "a digest",
      binding: "a key",
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
    setSchemaVersion(database, 4);
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
    const end = () => provider.destroy(A, GUARD, START);
    assertEquals(executedBy(end), synced);
    assertEquals(executedBy(() => provider.destroyAll("ada")), synced);
    assertEquals(executedBy(() => provider.clear()), synced);
    assertEquals(executedBy(() => create(provider, A)), []);
    assertEquals(executedBy(() => provider.read(A, START)), []);
    assertEquals(executedBy(() => provider.touch(A, START + 9)), []);
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
    provider.touch(makeId(0), START + 1);
    const id = makeId(250);
    const before = statSync(`${file}-wal`).size;
    provider.update(id, setting({}), GUARD, START + HOUR / 2);
    provider.touch(id, START + HOUR);
    const written = statSync(`${file}-wal`).size - before;
    assertEquals(written, 2 * LOG_PAGE);
    provider.close();
  });

  it("gets no page with data from a touch", () => {
    const file = newFile();
    const provider = new SqliteProvider(file);
    create(provider, A, { text: "x".repeat(60_000) });
    const before = statSync(`${file}-wal`).size;
    provider.touch(A, START + HOUR / 2);
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
    provider.destroy(A, GUARD, START);
    assertEquals(settings(), before);
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
    setSchemaVersion(database, 4);
    const provider = new SqliteProvider(database);
    for (
      const call of [() => provider.read(A, START), () => provider.clear()]
    ) {
      const error = assertThrows(call, SessionError, "a newer version");
      assertEquals(error.code, "store-failed");
    }
    setSchemaVersion(database, 2);
    const clear = () => provider.clear();
    const { message } = assertThrows(clear, SessionError, "an older version");
    assertStringIncludes(message, "name another table");
    assertStringIncludes(message, "received version 2");
    setSchemaVersion(database, 3);
    assertEquals(dataOf(provider, A), { name: "Ada" });
    closeAll(before, provider, database);
  });
});

describe("a table of an older version of SqliteProvider", () => {
  it("can be removed with its row in the table of versions, as the error says", () => {
    const database = new DatabaseSync(":memory:");
    const before = new SqliteProvider(database);
    create(before, A);
    setSchemaVersion(database, 2);
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

describe("a table that is dropped under a SqliteProvider", () => {
  const calls: Record<string, (provider: SqliteProvider) => unknown> = {
    create: (provider) => create(provider, A) && "made",
    read: (provider) => provider.read(A, START) ?? "none",
    update: (provider) => provider.update(A, {}, GUARD, START),
    touch: (provider) => provider.touch(A, START) || "none",
    destroy: (provider) => provider.destroy(A, GUARD, START),
    list: (provider) => provider.list("ada", START).sessions.length,
    destroyAll: (provider) => provider.destroyAll("ada"),
    clear: (provider) => provider.clear(),
    scan: (provider) => provider.scan(undefined, 9, START).sessions.length,
    gc: (provider) => provider.gc(START, 9),
  };
  const answers = ["made", "none", "gone", "none", "absent", 0, 0, 0, 0, 0];

  it("is made anew by whatever call comes next, with its indexes", async () => {
    const file = newFile();
    const other = new DatabaseSync(file);
    const database = new DatabaseSync(file);
    const bun = BunDatabase && new BunDatabase(file);
    for (const source of [file, database, bun ?? []].flat()) {
      const provider = new SqliteProvider(source);
      provider.clear();
      const schema = () =>
        other.prepare("SELECT name, sql FROM sqlite_master ORDER BY name")
          .all().map((row) => ({ ...row }));
      const before = schema();
      for (const [index, call] of Object.values(calls).entries()) {
        create(provider, A, { name: "Ada" }, { principal: "ada" });
        other.exec("DROP TABLE sessions");
        assertEquals(await call(provider), answers[index]);
        assertEquals(schema(), before);
      }
      provider.close();
    }
    closeAll(other, database, ...[bun ?? []].flat());
  });

  it("keeps the sessions that come to be in it afterwards", () => {
    const { provider, database } = corrupted("{");
    database.exec("DROP TABLE sessions");
    assert(create(provider, A, { name: "Ada" }));
    assertEquals(provider.update(A, setting({ n: 1 }), GUARD, START), "done");
    assertEquals(dataOf(provider, A), { name: "Ada", n: 1 });
    closeAll(provider, database);
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

function pragma(database: DatabaseSync, name: string): unknown {
  return Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0];
}

function setSchemaVersion(database: DatabaseSync, version: number): void {
  database.exec(`UPDATE cloakroom_session_schema SET version = ${version}`);
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
