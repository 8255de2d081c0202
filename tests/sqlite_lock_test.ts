/** What an SQLite provider does while somebody else has the lock. */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { after, describe, it } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { SessionError } from "../core/errors.ts";
import type { Awaitable } from "../core/provider.ts";
import { type SqliteDatabase, SqliteProvider } from "../providers/sqlite.ts";
import { makePatience } from "./_patience.ts";
import { makeRecord, START } from "./_records.ts";
import {
  A,
  B,
  BunDatabase,
  closeAll,
  create,
  dataOf,
  GUARD,
  newFile,
  removeFiles,
  setting,
} from "./_sqlite.ts";

after(removeFiles);

/** The calls that write, on a file that has a session of Ada's. */
const WRITES: Record<string, (provider: SqliteProvider) => unknown> = {
  create: (provider) => provider.create(B, makeRecord(), START),
  update: (provider) => provider.update(A, setting({ n: 1 }), GUARD, START),
  touch: (provider) => provider.touch(A, START + 1),
  destroy: (provider) => provider.destroy(A, GUARD, START),
  destroyMany: (provider) => provider.destroyMany([A], GUARD, START),
  destroyAll: (provider) => provider.destroyAll("ada"),
  clear: (provider) => provider.clear(),
};

const ANSWERS: Record<string, unknown> = {
  create: true,
  update: "done",
  touch: true,
  destroy: "done",
  destroyMany: [A],
  destroyAll: 1,
  clear: 1,
};

/** Three kinds of database with a session of Ada's, and a lock on their files. */
function locked(
  kind: "file" | "node:sqlite" | "bun:sqlite",
  options: { readonly busyTimeout?: number } = {},
) {
  const file = newFile();
  const other = new DatabaseSync(file);
  other.exec("PRAGMA journal_mode = WAL");
  const given = kind === "node:sqlite"
    ? new DatabaseSync(file)
    : kind === "bun:sqlite"
    ? new BunDatabase!(file)
    : undefined;
  given?.exec("PRAGMA busy_timeout = 4321");
  const provider = new SqliteProvider(given ?? file, options);
  create(provider, A, { name: "Ada" }, { principal: "ada" });
  other.exec("BEGIN IMMEDIATE");
  const close = () => closeAll(provider, other, ...(given ? [given] : []));
  return { provider, other, given, close };
}

const KINDS = ["file", "node:sqlite", "bun:sqlite"] as const;

for (const kind of KINDS) {
  const isHere = kind !== "bun:sqlite" || BunDatabase !== undefined;
  const skip = !isHere && "bun:sqlite is missing: it needs Bun";
  describe(`a lock of somebody else on ${kind}`, { skip }, () => {
    for (const [name, write] of Object.entries(WRITES)) {
      it(`has ${name} wait while this process goes on`, async () => {
        const { provider, other, close } = locked(kind);
        const answer = write(provider);
        assert(answer instanceof Promise);
        // It could not be let go if its process stood still.
        setTimeout(() => other.exec("COMMIT"), 30);
        assertEquals(await answer, ANSWERS[name]);
        close();
      });
    }

    it("has gc wait too", async () => {
      const { provider, other, close } = locked(kind);
      const removed = provider.gc(START + 1e9, 10);
      setTimeout(() => other.exec("COMMIT"), 30);
      assertEquals(await removed, 1);
      close();
    });

    it("keeps nobody from reading", async () => {
      const { provider, other, close } = locked(kind);
      const touched = provider.touch(A, START + 1);
      assertEquals(dataOf(provider, A), { name: "Ada" });
      assertEquals(provider.list("ada", START).sessions.length, 1);
      other.exec("COMMIT");
      assertEquals(await touched, true);
      close();
    });

    it("is an error when it is not let go in time", async () => {
      const { provider, other, close } = locked(kind, { busyTimeout: 0.05 });
      const error = await rejection(provider.touch(A, START + 1));
      assertEquals(error.code, "store-failed");
      assertStringIncludes(error.message, "locked by another connection");
      assertStringIncludes(error.message, "within 0.05 seconds");
      other.exec("COMMIT");
      assertEquals(provider.touch(A, START + 1), true);
      close();
    });

    it("is an error at once if that is the wish", () => {
      const { provider, close } = locked(kind, { busyTimeout: 0 });
      const touch = () => provider.touch(A, START + 1);
      const error = assertThrows(touch, SessionError, "is locked");
      assertEquals(error.code, "store-failed");
      close();
    });

    it("has no call take effect that was given up", async () => {
      const { provider, other, close } = locked(kind);
      const patience = makePatience();
      const update = provider.update(A, setting({}), GUARD, START, patience);
      const create = provider.create(B, makeRecord(), START, patience);
      patience.giveUpAt = performance.now();
      other.exec("COMMIT");
      assertEquals((await rejection(update)).code, "timeout");
      assertEquals((await rejection(create)).code, "timeout");
      assertEquals(provider.read(A, START)?.version, 1);
      assertEquals(provider.read(B, START), undefined);
      close();
    });
  });
}

describe("the first call on a file that somebody else has locked", () => {
  it("needs no lock where the table is there", () => {
    const { provider, other, close } = locked("file");
    const name = String(other.prepare("PRAGMA database_list").get()?.["file"]);
    const next = new SqliteProvider(name, { busyTimeout: 0 });
    assertEquals(dataOf(next, A), { name: "Ada" });
    assertThrows(() => next.touch(A, START), SessionError, "is locked");
    next.close();
    assert(provider.read(A, START) !== undefined);
    close();
  });

  it("has the write wait that would make it", async () => {
    const file = newFile();
    const other = new DatabaseSync(file);
    other.exec("PRAGMA journal_mode = WAL; BEGIN IMMEDIATE");
    const provider = new SqliteProvider(file, { busyTimeout: 0.1 });
    const touch = provider.touch(A, START);
    assert(touch instanceof Promise);
    other.exec("COMMIT");
    assertEquals(await touch, false);
    closeAll(provider, other);
  });
});

describe("writes that wait for a lock", () => {
  it("are done in their order, those that come later too", async () => {
    const { provider, other, close } = locked("file");
    const log: unknown[] = [];
    const note = async (answer: Awaitable<unknown>) => log.push(await answer);
    const waiting = [
      note(provider.create(B, makeRecord(), START)),
      note(provider.update(B, setting({ n: 1 }), GUARD, START)),
    ];
    other.exec("COMMIT");
    waiting.push(note(provider.destroy(B, GUARD, START)));
    waiting.push(note(provider.touch(B, START)));
    await Promise.all(waiting);
    assertEquals(log, [true, "done", "done", false]);
    assertEquals(provider.touch(A, START + 1), true);
    close();
  });

  it("fail when the provider is closed", async () => {
    const { provider, close } = locked("file");
    const touch = provider.touch(A, START + 1);
    close();
    assertEquals((await rejection(touch)).code, "closed");
  });

  it("fail one by one, for reasons of their own", async () => {
    const { provider, other, close } = locked("file");
    const set = setting({ n: 1 });
    other.exec("UPDATE sessions SET data = '{'");
    const update = provider.update(A, set, GUARD, START);
    const create = provider.create(B, makeRecord(), START);
    const failed = rejection(update);
    other.exec("COMMIT");
    assertEquals((await failed).code, "corrupt");
    assertEquals(await create, true);
    close();
  });

  it("stop the process for some milliseconds, and no longer", async () => {
    const { provider, other, close } = locked("file");
    let last = performance.now();
    let longest = 0;
    const probe = setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, 5);
    const touches = Array.from({ length: 50 }, () => provider.touch(A, START));
    await wait(300);
    other.exec("COMMIT");
    assertEquals(await Promise.all(touches), Array(50).fill(true));
    clearInterval(probe);
    // SQLite alone would have stood still for 50 times five seconds.
    assert(longest < 250, `${longest} ms`);
    close();
  });

  it("leave a database that was handed in its own busy timeout", async () => {
    const { provider, other, given, close } = locked("node:sqlite");
    const busyTimeout = () =>
      (given as DatabaseSync).prepare("PRAGMA busy_timeout").get()?.["timeout"];
    const touch = provider.touch(A, START + 1);
    assertEquals(busyTimeout(), 4321);
    await wait(30);
    assertEquals(busyTimeout(), 4321);
    other.exec("COMMIT");
    await touch;
    assertEquals(busyTimeout(), 4321);
    close();
  });
});

describe("a transaction of the application on the same connection", () => {
  const drivers: Record<string, (file: string) => SqliteDatabase> = {
    "node:sqlite": (file) => new DatabaseSync(file),
    ...(BunDatabase && { "bun:sqlite": (file) => new BunDatabase!(file) }),
  };
  for (const [driver, open] of Object.entries(drivers)) {
    for (const begin of ["BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT mine"]) {
      it(`fails every write at once after ${begin} of ${driver}`, async () => {
        const database = open(newFile());
        const provider = new SqliteProvider(database);
        create(provider, A, { name: "Ada" }, { principal: "ada" });
        database.exec(begin);
        for (const write of Object.values(WRITES)) {
          const error = assertThrows(() => write(provider), SessionError);
          assertEquals(error.code, "store-failed");
          assertStringIncludes(error.message, "transaction of the application");
        }
        const collect = () => provider.gc(START + 1e9, 10);
        await assertRejects(collect, SessionError, "transaction");
        assertEquals(dataOf(provider, A), { name: "Ada" });
        database.exec("ROLLBACK");
        assertEquals(provider.touch(A, START + 1), true);
        provider.close();
      });
    }

    it(`fails the first call of all, and no later one, on ${driver}`, () => {
      const database = open(":memory:");
      database.exec("BEGIN");
      const provider = new SqliteProvider(database);
      const read = () => provider.read(A, START);
      assertThrows(read, SessionError, "transaction of the application");
      database.exec("COMMIT");
      assertEquals(read(), undefined);
      provider.close();
    });
  }
});

async function rejection(call: Awaitable<unknown>): Promise<SessionError> {
  const error = await Promise.resolve(call).then(() => undefined, (e) => e);
  assertInstanceOf(error, SessionError);
  return error as SessionError;
}
