/** When sessions in SQLite end, and how they are collected. */
import {
  assert,
  assertEquals,
  assertExists,
  assertFalse,
  assertGreater,
  assertLess,
  assertRejects,
} from "@std/assert";
import fc from "fast-check";
import { DatabaseSync } from "node:sqlite";
import { after, describe, it } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { SessionChange } from "../core/provider.ts";
import {
  applied,
  type Deadlines,
  expiryOf,
  isLive,
  toRecord,
} from "../core/store/record.ts";
import { SqliteProvider } from "../providers/sqlite.ts";
import { makeId, makeRecord, START } from "./_records.ts";
import {
  A,
  closeAll,
  countIn,
  create,
  GUARD,
  HOUR,
  listed,
  memory,
  newFile,
  removeFiles,
  setting,
} from "./_sqlite.ts";

after(removeFiles);

/** The least difference between two instants of our time. */
const DIGIT = 2 ** -12;

const instants = fc.double({ min: -1e6, max: 1e8, noNaN: true })
  .map((offset) => START + offset);

const seconds = fc.double({ min: 0.5, max: 100_000, noNaN: true });

/** What decides when a session ends, with fractions. */
const times = fc.record({
  createdAt: instants,
  accessedAt: instants,
  authenticatedAt: fc.option(instants, { nil: undefined }),
  idleTimeout: seconds,
  absoluteTimeout: seconds,
});

describe("the deadline in SQLite", () => {
  it("is to every call what it is to the library, to the last digit", () => {
    const provider = memory();
    let number = 0;
    const cases = fc.property(times, (fields) => {
      for (const now of around(fields)) {
        const id = makeId(++number);
        create(provider, id, {}, { ...fields, principal: id });
        const answers = [
          provider.read(id, now) !== undefined,
          provider.list(id, now).sessions.length === 1,
          provider.scan(undefined, 9, now).sessions.length === 1,
          provider.update(id, { isUse: false }, {}, now) === "done",
          provider.touch(id, now),
          provider.destroy(id, GUARD, now) === "done",
        ];
        const lives = isLive(fields, now);
        assertEquals(answers, answers.map(() => lives), `at ${now}`);
        provider.clear();
      }
    });
    fc.assert(cases, { numRuns: 100 });
    provider.close();
  });

  it("is filed for the collector as the library works it out", () => {
    const database = new DatabaseSync(":memory:");
    const provider = new SqliteProvider(database);
    const filedAt = () =>
      database.prepare("SELECT collect_at FROM sessions").get()?.["collect_at"];
    const changes = fc.record({
      idleTimeout: seconds,
      absoluteTimeout: seconds,
      authenticatedAt: fc.option(instants),
      isUse: fc.boolean(),
    }, { requiredKeys: [] });
    const cases = fc.property(
      times,
      changes,
      instants,
      (fields, change, at) => {
        provider.clear();
        const begin = fields.authenticatedAt ?? fields.createdAt;
        const now = Math.max(begin, Math.min(at, expiryOf(fields) - 1));
        fc.pre(isLive(fields, now));
        create(provider, A, {}, fields);
        assertEquals(filedAt(), expiryOf(fields));
        const before = toRecord(makeRecord(fields), 1);
        assertEquals(provider.update(A, change, GUARD, now), "done");
        const next = expiryOf(applied(before, change, now));
        assertEquals(filedAt(), Math.min(expiryOf(fields), next));
      },
    );
    fc.assert(cases, { numRuns: 300 });
    closeAll(provider, database);
  });

  it("is not moved back by a late touch or update", () => {
    const provider = memory();
    create(provider, A);
    const accessedAt = () => provider.read(A, START)?.accessedAt;
    assert(provider.touch(A, START + 9.5));
    assert(provider.touch(A, START + 3));
    assertEquals(accessedAt(), START + 9.5);
    const change = setting({ name: "Ada" });
    for (const late of [change, { ...change, label: "Laptop" }]) {
      assertEquals(provider.update(A, late, GUARD, START + 4), "done");
      assertEquals(accessedAt(), START + 9.5);
    }
    provider.close();
  });

  it("is not moved by an update that is no use of the session", () => {
    const provider = memory();
    create(provider, A);
    const change = { ...setting({ name: "Ada" }), isUse: false };
    for (const idle of [change, { ...change, label: "Laptop" }]) {
      assertEquals(provider.update(A, idle, GUARD, START + HOUR / 2), "done");
      assertEquals(provider.read(A, START)?.accessedAt, START);
    }
    assertEquals(provider.read(A, START + HOUR), undefined);
    provider.close();
  });

  it("keeps no session alive that a clock of next year has made", async () => {
    const provider = memory();
    const year = 365 * 24 * HOUR;
    create(provider, A, {}, { now: START + year, principal: "ada" });
    assertEquals(provider.read(A, START), undefined);
    assertEquals(listed(provider, "ada"), []);
    assertFalse(provider.touch(A, START));
    assertEquals(provider.update(A, {}, {}, START), "gone");
    assertEquals(await provider.gc(START, 10), 0);
    assertEquals(await provider.gc(START + year + HOUR, 10), 1);
    provider.close();
  });

  it("comes to no session by a collector whose clock is a year behind", async () => {
    const database = new DatabaseSync(":memory:");
    const provider = new SqliteProvider(database);
    create(provider, A);
    // As of a session that has been signed in again and again for two years.
    database.exec("UPDATE sessions SET collect_at = 0");
    assertEquals(await provider.gc(START - 365 * 24 * HOUR, 10), 0);
    assertExists(provider.read(A, START));
    closeAll(provider, database);
  });
});

describe("collection in SQLite", () => {
  it("finds every expired session behind ones that were touched", async () => {
    const provider = memory();
    for (let index = 0; index < 250; index++) {
      create(provider, makeId(index));
      if (index % 5 === 0) continue;
      provider.touch(makeId(index), START + 1 + index);
    }
    assertEquals(await provider.gc(START + HOUR, 20), 20);
    assertEquals(await provider.gc(START + HOUR, 1000), 30);
    assertEquals(await provider.gc(START + HOUR + 2, 1000), 1);
    assertEquals(await provider.gc(START + 2 * HOUR, 1000), 199);
    provider.close();
  });

  const shortening: Record<string, SessionChange> = {
    "idle timeout": { ...setting({ name: "Ada" }), idleTimeout: 0.01 },
    "absolute timeout": { absoluteTimeout: 0.01 },
    "time of sign-in": { authenticatedAt: START + 10 - 43_200_000 },
  };
  for (const [what, change] of Object.entries(shortening)) {
    it(`follows a deadline that a new ${what} brings forward`, async () => {
      const provider = memory();
      create(provider, A);
      assertEquals(provider.update(A, change, GUARD, START), "done");
      assertEquals(await provider.gc(START + 9, 10), 0);
      assertEquals(await provider.gc(START + 10, 10), 1);
      provider.close();
    });
  }

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
      WHERE accessed_at > ${START + 1}`);
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
    database.exec(`UPDATE sessions SET accessed_at = ${START + HOUR}`);
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

/** Sessions that have all been touched, and are due all the same. */
async function withLiveDue(count: number) {
  const database = new DatabaseSync(":memory:");
  const provider = new SqliteProvider(database);
  await provider.gc(START, 1);
  for (let index = 0; index < count; index++) {
    create(provider, makeId(1_000_000 + index));
  }
  database.exec(`UPDATE sessions SET accessed_at = ${START + HOUR}`);
  return { provider, database };
}

function dueIn(database: DatabaseSync): unknown {
  const due = `SELECT count(*) AS count FROM sessions
    WHERE collect_at <= ${START + HOUR + 1}`;
  return database.prepare(due).get()?.["count"];
}

/** The instants at which a session could begin or cease to exist. */
function around(fields: Deadlines): number[] {
  const { accessedAt, idleTimeout, absoluteTimeout } = fields;
  const begin = fields.authenticatedAt ?? fields.createdAt;
  const lifetime = absoluteTimeout * 1000;
  const edges = [
    accessedAt + idleTimeout * 1000,
    begin + lifetime,
    begin - lifetime,
  ];
  return edges.flatMap((edge) =>
    [-1, -DIGIT, 0, DIGIT, 1].map((by) => edge + by)
  );
}
