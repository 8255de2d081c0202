/** What an SQLite provider does about files that go, logs that grow and full disks. */
import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertLess,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, describe, it } from "node:test";
import { SessionError } from "../core/errors.ts";
import { open } from "../core/registry.ts";
import { SqliteProvider } from "../providers/sqlite.ts";
import { principalOf, signedIn, Site } from "./_browser.ts";
import { impatientAfter, makePatience } from "./_patience.ts";
import { makeData, makeId, makeRecord, START } from "./_records.ts";
import {
  A,
  B,
  BunDatabase,
  closeAll,
  countIn,
  create,
  dataOf,
  GUARD,
  memory,
  newFile,
  removeFiles,
  setting,
} from "./_sqlite.ts";

after(removeFiles);

/** What can happen to a file that a process has open. */
const LOSSES: Record<string, (file: string) => unknown> = {
  "deleted": (file) => rmSync(file),
  "moved": (file) => renameSync(file, `${file}.old`),
  "replaced by a copy": (file) => {
    copyFileSync(file, `${file}.copy`);
    renameSync(`${file}.copy`, file);
  },
};

/** What opens a file: the provider itself, or the application with a driver. */
const OPENERS: Record<string, (file: string) => SqliteProvider> = {
  "a file": (file) => new SqliteProvider(file),
  "a file by its URL": (file) => new SqliteProvider(`sqlite:${file}`),
  "a file of node:sqlite": (file) => new SqliteProvider(new DatabaseSync(file)),
  ...(BunDatabase && {
    "a file of bun:sqlite": (file) =>
      new SqliteProvider(new BunDatabase!(file)),
  }),
};

/** The calls that notice. */
const NOTICING: Record<string, (provider: SqliteProvider) => unknown> = {
  gc: (provider) => provider.gc(START, 10),
  destroy: (provider) => provider.destroy(A, GUARD, START),
  destroyMany: (provider) => provider.destroyMany([A], GUARD, START),
  destroyAll: (provider) => provider.destroyAll("ada"),
  clear: (provider) => provider.clear(),
};

for (const [kind, openFile] of Object.entries(OPENERS)) {
  describe(`${kind} that goes while it is open`, () => {
    for (const [loss, lose] of Object.entries(LOSSES)) {
      it(`is noticed by gc when it is ${loss}, and no call goes on with it`, async () => {
        const file = newFile();
        const provider = openFile(file);
        create(provider, A, { name: "Ada" });
        await provider.gc(START, 10);
        lose(file);
        const collect = async () => await provider.gc(START, 10);
        const error = await assertRejects(collect, SessionError);
        assertEquals(error.code, "store-failed");
        assertStringIncludes(error.message, `its file ${file} was deleted`);
        assertStringIncludes(error.message, "restart the process");
        assertStringIncludes(error.message, "nor leave a -wal");
        const calls = [
          () => provider.read(A, START),
          () => provider.touch(A, START),
          () => provider.update(A, {}, GUARD, START),
          () => create(provider, B),
          () => provider.list("ada", START),
          () => provider.scan(undefined, 10, START),
        ];
        for (const call of calls) {
          const { message } = assertThrows(call, SessionError);
          assertEquals(message, error.message);
        }
        await assertRejects(collect, SessionError, "was deleted");
        provider.close();
        const { code } = assertThrows(calls[0]!, SessionError);
        assertEquals(code, "closed");
      });
    }
  });
}

describe("a file that goes while it is open", () => {
  for (const [name, call] of Object.entries(NOTICING)) {
    it(`is noticed by ${name}`, async () => {
      const file = newFile();
      const provider = new SqliteProvider(file);
      create(provider, A, {}, { principal: "ada" });
      rmSync(file);
      const calling = async () => await call(provider);
      await assertRejects(calling, SessionError, "was deleted");
      provider.close();
    });
  }

  it("is noticed where a link to it leads elsewhere", async () => {
    const [one, two, link] = [newFile(), newFile(), newFile()];
    new DatabaseSync(two).close();
    new DatabaseSync(one).close();
    symlinkSync(one, link);
    const provider = new SqliteProvider(link);
    create(provider, A);
    rmSync(link);
    symlinkSync(two, link);
    const collect = async () => await provider.gc(START, 10);
    await assertRejects(collect, SessionError, link);
    provider.close();
  });

  it("is left, with its log, to those who have put another in its place", async () => {
    const file = newFile();
    const before = new SqliteProvider(file);
    create(before, A, { name: "Ada" });
    for (const end of ["", "-wal", "-shm"]) rmSync(file + end);
    const next = new SqliteProvider(file);
    create(next, B, { name: "Bob" });
    const collect = async () => await before.gc(START, 10);
    await assertRejects(collect, SessionError);
    before.close();
    assert(existsSync(`${file}-wal`));
    assertEquals(next.read(A, START), undefined);
    assertEquals(dataOf(next, B), { name: "Bob" });
    const other = new DatabaseSync(file);
    assertEquals(countIn(other), 1);
    const check = other.prepare("PRAGMA integrity_check").get();
    assertEquals(check?.["integrity_check"], "ok");
    closeAll(next, other);
  });

  it("does not exist where the database is in memory", async () => {
    const database = new DatabaseSync(":memory:");
    for (const provider of [memory(), new SqliteProvider(database)]) {
      create(provider, A);
      assertEquals(await provider.gc(START, 10), 0);
      assertEquals(provider.destroy(A, GUARD, START), "done");
      provider.close();
    }
    database.close();
  });
});

describe("the log of a SqliteProvider", () => {
  it("shrinks when somebody has read for long", () => {
    const file = newFile();
    const provider = new SqliteProvider(file);
    create(provider, A);
    const reader = new DatabaseSync(file);
    reader.exec("BEGIN");
    countIn(reader);
    for (let number = 0; number < 30; number++) {
      const text = String(number).repeat(250_000);
      provider.update(A, setting({ text }), GUARD, START);
    }
    const size = () => statSync(`${file}-wal`).size;
    assertGreater(size(), 7_000_000);
    reader.exec("COMMIT");
    // One writes the log back, and the next begins it anew.
    provider.update(A, setting({ n: 1 }), GUARD, START);
    provider.update(A, setting({ n: 2 }), GUARD, START);
    assertLess(size(), 4_200_000);
    assertEquals(provider.read(A, START)?.data["n"], 2);
    closeAll(reader, provider);
  });
});

describe("secureDelete of a SqliteProvider", () => {
  const SECRET = "a secret that is to be forgotten";

  /** Where the text is still found after its sessions have ended. */
  async function leftBy(options: { readonly secureDelete?: boolean }) {
    const file = newFile();
    const provider = new SqliteProvider(file, options);
    for (let number = 0; number < 20; number++) {
      const text = SECRET.repeat(1 + 30 * number);
      create(provider, makeId(number), { text }, { principal: SECRET });
    }
    const holds = (end: string) => readFileSync(file + end).includes(SECRET);
    assert(holds("-wal"), "nothing to forget");
    provider.destroy(makeId(0), {}, START);
    provider.destroyMany([makeId(1), makeId(2)], {}, START);
    const change = { ...setting({ text: 0 }), principal: null };
    provider.update(makeId(3), change, {}, START);
    provider.destroyAll(SECRET, makeId(4));
    provider.destroy(makeId(4), {}, START);
    await provider.gc(START, 10);
    const log = new DatabaseSync(file);
    log.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    const left = ["", "-wal"].filter(holds);
    closeAll(log, provider);
    return left;
  }

  it("leaves nothing of a session that has ended", async () => {
    assertEquals(await leftBy({ secureDelete: true }), []);
  });

  it("is off by default", async () => {
    assertEquals(await leftBy({}), [""]);
    assertEquals(await leftBy({ secureDelete: false }), [""]);
  });

  it("empties the log with the next gc by itself", async () => {
    for (const [secureDelete, isEmpty] of [[true, true], [false, false]]) {
      const file = newFile();
      const provider = new SqliteProvider(file, { secureDelete });
      create(provider, A, { text: SECRET });
      provider.destroy(A, {}, START);
      await provider.gc(START, 10);
      const log = readFileSync(`${file}-wal`);
      assertEquals(log.includes(SECRET), !isEmpty);
      assertFalse(readFileSync(file).includes(SECRET));
      provider.close();
    }
  });

  it("waits for nobody who reads", async () => {
    const file = newFile();
    const provider = new SqliteProvider(file, { secureDelete: true });
    create(provider, A, { text: SECRET });
    const reader = new DatabaseSync(file);
    reader.exec("BEGIN");
    countIn(reader);
    provider.destroy(A, {}, START);
    const begin = performance.now();
    assertEquals(await provider.gc(START, 10), 0);
    assertLess(performance.now() - begin, 2000);
    assertEquals(provider.touch(A, START), false);
    closeAll(reader, provider);
  });

  it("is set for a database that was handed in only if it is given", () => {
    const database = new DatabaseSync(newFile());
    const isOn = () =>
      database.prepare("PRAGMA secure_delete").get()?.["secure_delete"];
    const before = isOn();
    new SqliteProvider(database).read(A, START);
    assertEquals(isOn(), before);
    new SqliteProvider(database, { secureDelete: true }).read(A, START);
    assertEquals(isOn(), 1);
    new SqliteProvider(database, { secureDelete: false }).read(A, START);
    assertEquals(isOn(), 0);
    database.close();
  });

  it("is read from a URL, and true or false", async () => {
    const file = newFile();
    const provider = open(`sqlite:${file}?secureDelete=true`);
    await provider.create(A, makeRecord({ data: TEXT }), START);
    await provider.destroy(A, {}, START);
    await provider.gc(START, 10);
    assertFalse(readFileSync(`${file}-wal`).includes("forgotten"));
    await provider.close();
    for (const value of ["yes", "1", ""]) {
      const make = () => open(`sqlite:${file}?secureDelete=${value}`);
      assertThrows(make, TypeError, "secureDelete must be true or false");
    }
  });

  const TEXT = makeData([["text", SECRET]]);
});

describe("many sessions that end in SQLite", () => {
  const MANY = 3000;
  const IDS = Array.from({ length: MANY }, (_, number) => makeId(number));

  function adas(): SqliteProvider {
    const provider = memory();
    for (const id of IDS) create(provider, id, {}, { principal: "ada" });
    return provider;
  }

  const calls = {
    destroyMany: (provider: SqliteProvider, patience = makePatience()) =>
      provider.destroyMany(IDS, {}, START, patience),
    destroyAll: (provider: SqliteProvider, patience = makePatience()) =>
      provider.destroyAll("ada", undefined, patience),
    clear: (provider: SqliteProvider, patience = makePatience()) =>
      provider.clear(patience),
  };

  for (const [name, call] of Object.entries(calls)) {
    it(`let other work in between, and all end, by ${name}`, async () => {
      const provider = adas();
      const patience = makePatience();
      let turns = 0;
      const work = setInterval(() => turns++, 0);
      const ended = await call(provider, patience);
      clearInterval(work);
      assertEquals(Array.isArray(ended) ? ended.length : ended, MANY);
      assertEquals(provider.list("ada", START).sessions, []);
      assertGreater(patience.extensions, 1);
      assertGreater(turns, 0);
      provider.close();
    });

    it(`are left when nobody waits for ${name} any more`, async () => {
      const provider = adas();
      const ending = async () => await call(provider, impatientAfter(2));
      const error = await assertRejects(ending, SessionError);
      assertEquals(error.code, "timeout");
      const left = provider.list("ada", START).sessions.length;
      assert(left > 0 && left < MANY, `${left} left`);
      provider.close();
    });
  }

  for (const name of ["destroyAll", "clear"] as const) {
    it(`do not keep ${name} from an end when others come meanwhile`, async () => {
      const provider = adas();
      let next = MANY;
      const patience = makePatience(() => {
        for (let count = 0; count < 100; count++) {
          create(provider, makeId(next++), {}, { principal: "ada" });
        }
      });
      await calls[name](provider, patience);
      const { sessions } = provider.list("ada", START);
      const left = new Set(sessions.map(({ id }) => id));
      assert(IDS.every((id) => !left.has(id)));
      provider.close();
    });
  }
});

describe("a store that takes no writes", () => {
  /** A browser that is signed in, on a database of the application. */
  async function adaOn(database: DatabaseSync) {
    database.exec("PRAGMA journal_mode = WAL");
    const provider = new SqliteProvider(database);
    const site = new Site({ provider });
    return { provider, site, browser: await signedIn(site) };
  }

  it("sends pages of the signed-in out, and says that it is read-only", async () => {
    const database = new DatabaseSync(newFile());
    const { provider, site, browser } = await adaOn(database);
    database.exec("PRAGMA query_only = ON");
    site.pass(600);
    await browser.visit(({ principal }) => assertEquals(principal, "ada"));
    assertEquals(site.takeEvents(), ["store-error"]);
    const signOut = () => browser.visit((session) => session.destroy());
    const { code } = await assertRejects(signOut, SessionError);
    assertEquals(code, "store-failed");
    database.exec("PRAGMA query_only = OFF");
    await signOut();
    assertEquals(countIn(database), 0);
    closeAll(provider, database);
  });

  it("serves pages and ends sessions when it has no room left", async () => {
    const database = new DatabaseSync(newFile());
    const { provider, browser } = await adaOn(database);
    const pages = database.prepare("PRAGMA page_count").get()?.["page_count"];
    database.exec(`PRAGMA max_page_count = ${pages}`);
    const store = () =>
      browser.visit((session) => session.set("text", "x".repeat(50_000)));
    await assertRejects(store, SessionError);
    assertEquals(await principalOf(browser), "ada");
    await browser.visit((session) => session.destroy());
    assertEquals(countIn(database), 0);
    closeAll(provider, database);
  });
});

describe("a disk without room for the log", () => {
  const folder = mkdtempSync(join(tmpdir(), "sqlite-full-"));
  const isMounted = mountSmall(folder);
  after(() => {
    if (isMounted) execFileSync("umount", ["-l", folder]);
    rmdirSync(folder);
  });

  it("fails an end that is not done, and acknowledges none", {
    skip: !isMounted,
  }, async () => {
    const file = join(folder, "sessions.db");
    const provider = new SqliteProvider(file);
    await provider.create(A, makeRecord(), START);
    const other = new DatabaseSync(file);
    other.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    other.close();
    fillUp(folder);
    // Deno tells a statement's first row before the commit, and not its failure.
    await assertRejects(
      async () => await provider.destroy(A, GUARD, START),
      Error,
      "full",
    );
    assertNotEquals(await provider.read(A, START), undefined);
    await provider.close();
  });
});

/** Mounts a file system of two megabytes, where that is allowed. */
function mountSmall(folder: string): boolean {
  try {
    const options = ["-t", "tmpfs", "-o", "size=2m", "tmpfs", folder];
    execFileSync("mount", options, { stdio: "pipe" });
    return true;
  } catch {
    console.log("A test on a full disk is skipped: nothing can be mounted");
    return false;
  }
}

function fillUp(folder: string): void {
  try {
    for (let number = 0;; number++) {
      writeFileSync(join(folder, `${number}`), new Uint8Array(4096));
    }
  } catch (error) {
    assertEquals((error as { code?: string }).code, "ENOSPC");
  }
}
