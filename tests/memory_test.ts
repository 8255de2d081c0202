import {
  assert,
  assertEquals,
  assertExists,
  assertFalse,
  assertNotStrictEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import fc from "fast-check";
import { describe, it } from "node:test";
import { SessionError } from "../core/errors.ts";
import { Manager } from "../core/manager.ts";
import type {
  SessionChange,
  SessionRecord,
  UpdateGuard,
  UpdateResult,
} from "../core/provider.ts";
import { open } from "../core/registry.ts";
import type { StoredData, StoredValue } from "../core/value/types.ts";
import {
  MemoryProvider,
  type MemoryProviderStats,
} from "../providers/memory.ts";
import { arbitrarySteps, bytesOf, playAll } from "./_memory_model.ts";
import {
  makeData,
  makeHash,
  makeId,
  makeRecord,
  type RecordOptions,
  START,
} from "./_records.ts";

const A = makeId(1_000_001);
const B = makeId(1_000_002);
const C = makeId(1_000_003);
const D = makeId(1_000_004);
/** How many sessions there are at a time where room is counted. */
const MOST = 15;
const GUARD: UpdateGuard = { secretHash: makeHash("secret") };
const HOUR = 3_600_000;
const FAR_FUTURE = START + 1e12;

describe("MemoryProvider and ids", () => {
  it("stores nothing under an id that it is asked for but never created", () => {
    const provider = new MemoryProvider();
    for (let number = 0; number < 100; number++) {
      const id = makeId(number);
      assertStrictEquals(provider.read(id, START), undefined);
      assertFalse(provider.touch(id, START + HOUR, START));
      assertEquals(provider.update(id, changeAt(START), GUARD, START), "gone");
      assertFalse(provider.destroy(id));
    }

    assertEquals(provider.stats(), statsOf({}));
  });

  it("refuses to create a live id again and leaves its session alone", () => {
    const provider = new MemoryProvider();
    const mine = makeRecord({ data: makeData([["name", "Ada"]]) });
    create(provider, A, mine);
    const before = provider.stats();

    const other = makeRecord({ data: makeData([["name", "Eve"]]) });
    assertFalse(provider.create(A, other, START + 1));
    assertEquals(provider.read(A, START + 1)?.data, mine.data);
    assertEquals(provider.stats(), before);
  });

  it("holds one session of an id that was created again after it expired", () => {
    const provider = new MemoryProvider();
    const data = makeData([["name", "Ada"]]);
    create(provider, A, { data, principal: "ada" });
    create(provider, A, { data, principal: "ada", now: START + HOUR });

    assertEquals(
      provider.stats(),
      statsOf({ sessions: 1, bytes: 13, created: 2, expired: 1 }),
    );
    assertEquals(provider.list("ada", START + HOUR).length, 1);
  });

  it("collects no live session by the deadline of an earlier one of its id", () => {
    const provider = new MemoryProvider();
    create(provider, A);
    create(provider, A, { now: START + HOUR });

    assertEquals(provider.gc(START + 2 * HOUR - 1, 10), 0);
    assertExists(provider.read(A, START + 2 * HOUR - 1));
    assertEquals(provider.gc(FAR_FUTURE, 10), 1);
  });

  it("shows no session of one provider to another", () => {
    const mine = new MemoryProvider();
    const other = new MemoryProvider();
    create(mine, A, { principal: "ada" });

    assertStrictEquals(other.read(A, START), undefined);
    assertEquals(other.list("ada", START), []);
    assertFalse(other.touch(A, START + HOUR, START));
    assert(other.create(A, makeRecord(), START));
  });

  it("ends no session of one provider through another", () => {
    const mine = new MemoryProvider();
    const other = new MemoryProvider();
    create(mine, A, { principal: "ada" });

    assertFalse(other.destroy(A));
    assertEquals(other.destroyAll("ada"), 0);
    assertEquals(other.gc(FAR_FUTURE, 10), 0);
    other.close();
    assertExists(mine.read(A, START));
  });
});

describe("MemoryProvider and deadlines", () => {
  for (const [moment, offset, expected] of moments()) {
    it(`${moment} its idle deadline a session ${expected.words}`, () => {
      const lifetime = { idleTimeout: 60, absoluteTimeout: 600 };

      assertEquals(
        outcomes(lifetime, START + 60_000 + offset),
        { ...expected.calls, collected: expected.calls.read ? 0 : 1 },
      );
    });

    it(`${moment} its absolute deadline a session ${expected.words}`, () => {
      const lifetime = { idleTimeout: 600, absoluteTimeout: 60 };

      assertEquals(
        outcomes(lifetime, START + 60_000 + offset),
        { ...expected.calls, collected: 0 },
      );
    });
  }

  it("a read does not prolong a session", () => {
    const provider = new MemoryProvider();
    create(provider, A);

    assertExists(provider.read(A, START + HOUR - 1));
    assertStrictEquals(provider.read(A, START + HOUR), undefined);
  });

  it("a touch prolongs a session to the deadline it is given", () => {
    const provider = new MemoryProvider();
    create(provider, A);
    provider.touch(A, START + HOUR + 1000, START + 1000);

    const read = provider.read(A, START + HOUR + 999);
    assertEquals(read?.expiresAt, START + HOUR + 1000);
    assertEquals(read?.accessedAt, START + 1000);
    assertStrictEquals(provider.read(A, START + HOUR + 1000), undefined);
  });

  it("a touch in the same millisecond as the last access moves the deadline", () => {
    const provider = new MemoryProvider();
    create(provider, A);
    provider.touch(A, START + HOUR + 1000, START);

    assertEquals(provider.read(A, START)?.expiresAt, START + HOUR + 1000);
  });

  it("an update prolongs a session to the deadline it is given", () => {
    const provider = new MemoryProvider();
    create(provider, A);
    provider.update(A, changeAt(START + 1000), GUARD, START + 1000);

    const read = provider.read(A, START + HOUR + 999);
    assertEquals(read?.expiresAt, START + HOUR + 1000);
    assertEquals(read?.accessedAt, START + 1000);
    assertStrictEquals(provider.read(A, START + HOUR + 1000), undefined);
  });

  it("a request that only reads prolongs a session", async () => {
    const provider = new MemoryProvider();
    let now = START;
    await using manager = new Manager({ provider, now: () => now });
    const handler = manager.handle((_request, session) => {
      if (session.isNew) session.set("name", "Ada");
      return new Response(session.id);
    });
    const first = await handler(new Request("http://localhost/"));
    const id = await first.text();
    now = START + 1;
    await handler(requestAfter(first));

    assertEquals(provider.read(id, now)?.expiresAt, START + HOUR + 1);
  });

  it("no touch carries a session past its absolute deadline", async () => {
    const provider = new MemoryProvider();
    let now = START;
    await using manager = new Manager({
      provider,
      idleTimeout: 60,
      absoluteTimeout: 100,
      now: () => now,
    });
    const handler = manager.handle((_request, session) => {
      if (session.isNew) session.set("name", "Ada");
      return new Response(session.id);
    });
    const first = await handler(new Request("http://localhost/"));
    const id = await first.text();
    for (now = START + 30_000; now < START + 100_000; now += 30_000) {
      await handler(requestAfter(first));
    }

    assertExists(provider.read(id, START + 99_999));
    assertStrictEquals(provider.read(id, START + 100_000), undefined);
  });

  it("a touch changes neither data nor version", () => {
    const provider = new MemoryProvider();
    create(provider, A, { data: makeData([["name", "Ada"]]), label: "Laptop" });
    const before = provider.read(A, START);
    provider.touch(A, START + HOUR + 1, START + 1);

    assertEquals(provider.read(A, START + 1), {
      ...before!,
      accessedAt: START + 1,
      expiresAt: START + HOUR + 1,
    });
  });

  for (const [how, end] of Object.entries(endings())) {
    it(`a session that ${how} is not revived by a late write`, () => {
      const provider = new MemoryProvider({ maxSessions: 2 });
      create(provider, A, { principal: "ada" });
      const now = end(provider);

      assertEquals(provider.update(A, changeAt(now), GUARD, now), "gone");
      assertFalse(provider.touch(A, now + HOUR, now));
      assertStrictEquals(provider.read(A, now), undefined);
      assertEquals(provider.list("ada", now), []);
    });
  }

  it("a clock that steps back costs no live session", () => {
    const provider = new MemoryProvider();
    create(provider, A, { idleTimeout: 10, now: START + 50_000 });
    create(provider, B, { idleTimeout: 10, now: START });

    assertEquals(provider.gc(START + 59_999, 10), 0);
    assertExists(provider.read(A, START + 59_999));
    assertStrictEquals(provider.read(B, START + 59_999), undefined);
  });

  it("what a clock that stepped back held up is collected when it caught up", () => {
    const provider = new MemoryProvider();
    create(provider, A, { idleTimeout: 10, now: START + 50_000 });
    create(provider, B, { idleTimeout: 10, now: START });

    assertEquals(provider.gc(START + 60_000, 10), 2);
  });
});

describe("MemoryProvider.gc", () => {
  it("is not kept from expired sessions by a fresh one", () => {
    const provider = new MemoryProvider();
    createMany(provider, 1000);
    create(provider, A, { now: START + HOUR - 1 });

    assertEquals(provider.gc(START + HOUR, 2000), 1000);
    assertExists(provider.read(A, START + HOUR));
  });

  it("is not kept from expired sessions by one that came back", () => {
    const provider = new MemoryProvider();
    createMany(provider, 1000);
    provider.touch(makeId(0), START + 2 * HOUR - 1, START + HOUR - 1);

    assertEquals(provider.gc(START + HOUR, 2000), 999);
    assertExists(provider.read(makeId(0), START + HOUR));
  });

  it("is not kept from a short idle timeout by a long one", () => {
    const provider = new MemoryProvider();
    create(provider, A, { idleTimeout: 3600 });
    create(provider, B, { idleTimeout: 60 });
    create(provider, C, { idleTimeout: 3600 });

    assertEquals(provider.gc(START + 60_000, 10), 1);
    assertStrictEquals(provider.read(B, START), undefined);
  });

  it("goes by an idle timeout that was shortened", () => {
    const provider = new MemoryProvider();
    create(provider, A);
    create(provider, B);
    const change = { idleTimeout: 60, expiresAt: START + 60_000 };
    provider.update(A, change, GUARD, START);

    assertEquals(provider.gc(START + 59_999, 10), 0);
    assertEquals(provider.gc(START + 60_000, 10), 1);
  });

  it("goes by an idle timeout that was lengthened", () => {
    const provider = new MemoryProvider();
    create(provider, A, { idleTimeout: 60 });
    const change = { idleTimeout: 3600, expiresAt: START + HOUR };
    provider.update(A, change, GUARD, START);

    assertEquals(provider.gc(START + HOUR - 1, 10), 0);
    assertExists(provider.read(A, START + HOUR - 1));
    assertEquals(provider.gc(START + HOUR, 10), 1);
  });

  it("removes no more than its limit, and all in the end", () => {
    const provider = new MemoryProvider();
    createMany(provider, 5);

    const counts = [1, 2, 3].map(() => provider.gc(FAR_FUTURE, 2));
    assertEquals(counts, [2, 2, 1]);
    assertEquals(provider.stats(), statsOf({ created: 5, expired: 5 }));
  });

  it("removes the stalest first, whatever idle timeouts they have", () => {
    const provider = new MemoryProvider();
    create(provider, A, { idleTimeout: 300, now: START });
    create(provider, B, { idleTimeout: 60, now: START + 100_000 });
    create(provider, C, { idleTimeout: 300, now: START + 1 });
    provider.gc(START + HOUR, 1);
    assertEquals(heldAmong(provider, [A, B, C]), [A, C]);

    provider.gc(START + HOUR, 1);
    assertEquals(heldAmong(provider, [A, B, C]), [C]);
  });

  it("collects a session past its absolute deadline at its idle deadline", () => {
    const provider = new MemoryProvider();
    create(provider, A, { idleTimeout: 600, absoluteTimeout: 60 });

    assertEquals(provider.gc(START + 599_999, 10), 0);
    assertEquals(provider.gc(START + 600_000, 10), 1);
  });

  it("takes a session past its absolute deadline out when it is read", () => {
    const provider = new MemoryProvider();
    create(provider, A, { idleTimeout: 600, absoluteTimeout: 60 });
    provider.read(A, START + 60_000);

    assertEquals(provider.stats(), statsOf({ created: 1, expired: 1 }));
    assertEquals(provider.gc(FAR_FUTURE, 10), 0);
  });
});

describe("MemoryProvider's bounds", () => {
  for (const bound of [0, -1, 1.5, NaN, "3" as unknown as number]) {
    it(`refuse the ${typeof bound} ${bound}`, () => {
      for (const name of ["maxSessions", "maxBytes"]) {
        assertThrows(
          () => new MemoryProvider({ [name]: bound }),
          RangeError,
          `${name} must be a positive whole number or Infinity`,
        );
      }
    });
  }

  it("may be Infinity", () => {
    const provider = new MemoryProvider({
      maxSessions: Infinity,
      maxBytes: Infinity,
    });
    createMany(provider, 10);

    assertEquals(provider.stats().sessions, 10);
  });

  it("hold maxSessions sessions and no more", () => {
    const provider = new MemoryProvider({ maxSessions: 3 });
    createMany(provider, 3);
    assertEquals(provider.stats(), statsOf({ sessions: 3, created: 3 }));

    create(provider, A);
    assertEquals(
      provider.stats(),
      statsOf({ sessions: 3, created: 4, evicted: 1 }),
    );
  });

  it("evict the stalest newcomer first", () => {
    const provider = new MemoryProvider({ maxSessions: 3 });
    [A, B, C].forEach((id, now) => create(provider, id, { now: START + now }));
    create(provider, D, { now: START + 3 });

    assertEquals(heldAmong(provider, [A, B, C, D]), [B, C, D]);
  });

  it("evict a newcomer before a staler session that was touched", () => {
    const provider = new MemoryProvider({ maxSessions: 2 });
    create(provider, A);
    provider.touch(A, START + HOUR, START);
    create(provider, B, { now: START + 1 });
    create(provider, C, { now: START + 2 });

    assertEquals(heldAmong(provider, [A, B, C]), [A, C]);
  });

  it("evict a newcomer before a staler session that was updated", () => {
    const provider = new MemoryProvider({ maxSessions: 2 });
    create(provider, A);
    provider.update(A, changeAt(START), GUARD, START);
    create(provider, B, { now: START + 1 });
    create(provider, C, { now: START + 2 });

    assertEquals(heldAmong(provider, [A, B, C]), [A, C]);
  });

  it("take no session for one that came back because it was read", () => {
    const provider = new MemoryProvider({ maxSessions: 2 });
    create(provider, A);
    provider.read(A, START);
    create(provider, B, { now: START + 1 });
    create(provider, C, { now: START + 2 });

    assertEquals(heldAmong(provider, [A, B, C]), [B, C]);
  });

  it("evict the one used longest ago when all came back", () => {
    const provider = new MemoryProvider({ maxSessions: 3 });
    [A, B, C].forEach((id) => create(provider, id));
    [B, A, C].forEach((id, at) => touch(provider, id, START + at));
    create(provider, D, { now: START + 3 });

    assertEquals(heldAmong(provider, [A, B, C, D]), [A, C, D]);
  });

  it("evict the stalest newcomer of all idle timeouts", () => {
    const provider = new MemoryProvider({ maxSessions: 3 });
    create(provider, A, { idleTimeout: 3600 });
    create(provider, B, { idleTimeout: 60 });
    create(provider, C, { idleTimeout: 600 });
    create(provider, D, { idleTimeout: 3600 });

    assertEquals(heldAmong(provider, [A, B, C, D]), [A, C, D]);
  });

  it("make room by an expired session before any live one", () => {
    const provider = new MemoryProvider({ maxSessions: 2 });
    create(provider, A, { idleTimeout: 60 });
    provider.touch(A, START + 60_000, START);
    create(provider, B);
    create(provider, C, { now: START + 60_000 });

    assertExists(provider.read(B, START + 60_000));
    assertEquals(
      provider.stats(),
      statsOf({ sessions: 2, created: 3, expired: 1 }),
    );
  });

  it("evict nothing when an id that expired is created again", () => {
    const provider = new MemoryProvider({ maxSessions: 2 });
    create(provider, A, { idleTimeout: 60 });
    create(provider, B);
    create(provider, A, { now: START + 60_000 });

    assertEquals(
      provider.stats(),
      statsOf({ sessions: 2, created: 3, expired: 1 }),
    );
  });

  it("evict nothing when creating a live id again is refused", () => {
    const provider = new MemoryProvider({ maxSessions: 2 });
    create(provider, A);
    create(provider, B);

    assertFalse(provider.create(B, makeRecord(), START));
    assertExists(provider.read(A, START));
  });

  it("leave nothing of an evicted session in its principal's list", () => {
    const provider = new MemoryProvider({ maxSessions: 1 });
    create(provider, A, { principal: "ada" });
    create(provider, B);

    assertEquals(provider.list("ada", START), []);
    assertEquals(provider.destroyAll("ada"), 0);
  });

  it("count the bytes that data takes as UTF-8 text, keys included", () => {
    const provider = new MemoryProvider();
    const entries: [string, StoredValue][] = [["näme", "Zoë"], ["n", [1, 2]]];
    create(provider, A, { data: makeData(entries) });

    assertEquals(provider.stats().bytes, bytesOf(Object.fromEntries(entries)));
  });

  it("fill maxBytes to the last byte before they evict", () => {
    const provider = new MemoryProvider({ maxBytes: 200 });
    create(provider, A, { data: sized(100) });
    create(provider, B, { data: sized(100) });
    assertEquals(provider.stats().evicted, 0);

    create(provider, C, { data: sized(10) });
    assertEquals(
      provider.stats(),
      statsOf({ sessions: 2, bytes: 110, created: 3, evicted: 1 }),
    );
  });

  it("evict as many as a large session needs", () => {
    const provider = new MemoryProvider({ maxBytes: 100 });
    [A, B, C].forEach((id) => create(provider, id, { data: sized(30) }));
    create(provider, D, { data: sized(70) });

    assertEquals(heldAmong(provider, [A, B, C, D]), [C, D]);
  });

  it("refuse a session above maxBytes before anything is evicted", () => {
    const provider = new MemoryProvider({ maxBytes: 100 });
    create(provider, A, { data: sized(100) });
    const before = provider.stats();

    const tooLarge = makeRecord({ data: sized(101) });
    assertTooLarge(() => provider.create(B, tooLarge, START));
    assertExists(provider.read(A, START));
    assertEquals(provider.stats(), before);
  });

  it("refuse an update that grows a session above maxBytes before anything changes", () => {
    const provider = new MemoryProvider({ maxBytes: 100 });
    create(provider, A, { data: sized(40) });
    create(provider, B, { data: sized(60) });
    const record = provider.read(A, START);
    const before = provider.stats();

    const change = { ...changeAt(START), principal: "ada", set: sized(101) };
    assertTooLarge(() => provider.update(A, change, GUARD, START));
    assertStrictEquals(provider.read(A, START), record);
    assertExists(provider.read(B, START));
    assertEquals(provider.list("ada", START), []);
    assertEquals(provider.stats(), before);
  });

  it("leave a newcomer one after an update that was refused", () => {
    const provider = new MemoryProvider({ maxSessions: 2, maxBytes: 100 });
    create(provider, A);
    create(provider, B);
    const change = { ...changeAt(START), set: sized(101) };
    assertTooLarge(() => provider.update(A, change, GUARD, START));
    create(provider, C);

    assertEquals(heldAmong(provider, [A, B, C]), [B, C]);
  });

  it("evict others for an update that grows, not the stalest session itself", () => {
    const provider = new MemoryProvider({ maxBytes: 100 });
    create(provider, A, { data: sized(40), idleTimeout: 60 });
    create(provider, B, { data: sized(60) });
    touch(provider, B, START);
    const change = { ...changeAt(START), set: sized(41) };

    assertEquals(provider.update(A, change, GUARD, START), "done");
    assertEquals(heldAmong(provider, [A, B]), [A]);
    assertEquals(
      provider.stats(),
      statsOf({ sessions: 1, bytes: 41, created: 2, evicted: 1 }),
    );
  });

  it("evict nobody for an update that grows within them", () => {
    const provider = new MemoryProvider({ maxBytes: 100 });
    create(provider, A, { data: sized(30) });
    create(provider, B, { data: sized(60) });
    provider.update(A, { ...changeAt(START), set: sized(40) }, GUARD, START);

    assertEquals(provider.stats().evicted, 0);
    assertEquals(provider.stats().bytes, 100);
  });

  it("keep a session that grows and gets a shorter idle timeout at once", () => {
    const provider = new MemoryProvider({ maxBytes: 100 });
    create(provider, A, { data: sized(40), principal: "ada" });
    create(provider, B, { data: sized(60) });
    const now = START + 120_000;
    const change = { set: sized(41), idleTimeout: 60, expiresAt: now + 60_000 };

    assertEquals(provider.update(A, change, GUARD, now), "done");
    assertExists(provider.read(A, now));
    assertEquals(
      provider.stats(),
      statsOf({ sessions: 1, bytes: 41, created: 2, evicted: 1 }),
    );
  });

  it("get back the bytes of what an update deletes or shortens", () => {
    const provider = new MemoryProvider();
    const data = makeData([["a", "long".repeat(10)], ["b", 1]]);
    create(provider, A, { data });
    const set = makeData([["a", ""]]);
    const change = { ...changeAt(START), set, delete: ["b"] };
    provider.update(A, change, GUARD, START);

    assertEquals(provider.stats().bytes, bytesOf(set));
  });

  it("get back the bytes of a key once when it is deleted twice", () => {
    const provider = new MemoryProvider();
    create(provider, A, { data: makeData([["a", 1], ["b", 2]]) });
    const change = { ...changeAt(START), delete: ["a", "a", "missing"] };
    provider.update(A, change, GUARD, START);

    assertEquals(provider.stats().bytes, bytesOf({ b: 2 }));
  });

  it("get back the bytes of a session that is destroyed", () => {
    const provider = new MemoryProvider();
    create(provider, A, { data: sized(40) });
    create(provider, B, { data: sized(50) });
    provider.destroy(A);

    assertEquals(
      provider.stats(),
      statsOf({ sessions: 1, bytes: 50, created: 2 }),
    );
  });

  it("let a flood of a million newcomers evict nobody who came back", () => {
    const provider = new MemoryProvider({ maxSessions: 20_000 });
    const regulars = Array.from({ length: 10_000 }, (_, n) => makeId(n));
    regulars.forEach((id) => create(provider, id));
    regulars.forEach((id) => touch(provider, id, START));
    flood(provider, 1_000_000);

    const end = START + 10_000;
    assert(regulars.every((id) => provider.read(id, end) !== undefined));
    assertEquals(provider.stats().sessions, 20_000);
    assertEquals(provider.stats().evicted, 990_000);
  });
});

describe("MemoryProvider's room", () => {
  it("is that of the most sessions at a time, however many come and go", () => {
    const provider = new MemoryProvider({ maxSessions: MOST });
    for (let number = 0; number < 20 * MOST; number++) {
      const now = START + number * 1000;
      const idleTimeout = 5 + number % 7;
      const id = makeId(number);
      provider.create(id, makeRecord({ now, idleTimeout }), now);
      comeAndGo(provider, id, number, now);
    }
    const end = START + 100 * MOST * 1000;
    provider.gc(end, Infinity);
    assertEquals(provider.stats().sessions, 0);
    for (let number = 0; number < MOST; number++) {
      provider.create(makeId(number), makeRecord({ now: end }), end);
    }

    // Beside the sessions there are two slots for each idle timeout at a time.
    assertEquals(slotsOf(provider, end) <= MOST + 2 * 7, true);
  });

  it("goes to no session that create could not make", () => {
    const provider = new MemoryProvider();
    const broken = {
      ...makeRecord(),
      get label(): string {
        throw new Error("no label");
      },
    };
    assertThrows(() => provider.create(A, broken, START), Error, "no label");

    assertEquals(provider.stats().sessions, 0);
    assertEquals(provider.read(A, START), undefined);
    assert(provider.create(A, makeRecord(), START));
  });
});

/** Does to a session, and around it, one of all that moves or frees slots. */
function comeAndGo(
  provider: MemoryProvider,
  id: string,
  number: number,
  now: number,
): void {
  const expiresAt = now + 20_000;
  const guard = { secretHash: makeRecord().secretHash };
  if (number % 2 === 0) provider.touch(id, expiresAt, now);
  if (number % 3 === 0) {
    const idleTimeout = 5 + number % 5;
    provider.update(id, { idleTimeout, expiresAt }, guard, now);
  }
  if (number % 5 === 0) provider.destroy(id);
  if (number % 11 === 0) provider.gc(now, 10);
}

/** The number of the last slot in use. */
function slotsOf(provider: MemoryProvider, now: number): number {
  let last = 0;
  while (provider.scan(String(last + 1), 1, now).sessions.length > 0) last++;
  return last;
}

describe("MemoryProvider's records", () => {
  it("are handed out themselves, not as copies", () => {
    const provider = new MemoryProvider();
    create(provider, A);

    assertStrictEquals(provider.read(A, START), provider.read(A, START + 1));
  });

  it("are the same for a read and a list", () => {
    const provider = new MemoryProvider();
    create(provider, A, { principal: "ada" });
    touch(provider, A, START + 1);
    const [listed] = provider.list("ada", START + 1);

    assertEquals(listed?.record, provider.read(A, START + 1));
  });

  it("share their data after a touch", () => {
    const provider = new MemoryProvider();
    create(provider, A, { data: makeData([["a", 1]]) });
    const before = provider.read(A, START);
    touch(provider, A, START + 1);

    assertStrictEquals(provider.read(A, START + 1)?.data, before?.data);
  });

  it("are frozen, whatever call they come from", () => {
    const provider = new MemoryProvider();
    create(provider, A, { data: makeData([["a", 1]]), principal: "ada" });
    assertFrozen(provider.read(A, START));

    touch(provider, A, START + 1);
    assertFrozen(provider.read(A, START + 1));

    const change = { ...changeAt(START + 2), set: makeData([["b", 2]]) };
    provider.update(A, change, GUARD, START + 2);
    assertFrozen(provider.read(A, START + 2));
    assertFrozen(provider.list("ada", START + 2)[0]?.record);
  });

  it("stay as they were read when the session is updated", () => {
    const provider = new MemoryProvider();
    create(provider, A, { data: makeData([["a", 1], ["b", 2]]), label: "old" });
    const read = provider.read(A, START)!;
    const before = structuredClone({ ...read, data: { ...read.data } });
    const set = makeData([["a", 3], ["c", 4]]);
    const change = { ...changeAt(START + 1), set, delete: ["b"], label: "new" };
    provider.update(A, change, GUARD, START + 1);

    assertEquals(read, before);
    assertEquals(
      provider.read(A, START + 1)?.data,
      makeData([["a", 3], ["c", 4]]),
    );
  });

  it("stay as they were read when the session is touched", () => {
    const provider = new MemoryProvider();
    create(provider, A);
    const read = provider.read(A, START)!;
    touch(provider, A, START + 1);

    assertEquals(read.accessedAt, START);
    assertEquals(read.expiresAt, START + HOUR);
    assertNotStrictEquals(provider.read(A, START + 1), read);
  });

  it("share their data as long as no key changes", () => {
    const provider = new MemoryProvider();
    create(provider, A, { data: makeData([["a", 1]]) });
    const { data } = provider.read(A, START)!;
    touch(provider, A, START + 1);
    provider.update(A, changeAt(START + 2), GUARD, START + 2);

    assertStrictEquals(provider.read(A, START + 2)?.data, data);
  });

  it("do not follow the object that create was given", () => {
    const provider = new MemoryProvider();
    const given = { ...makeRecord(), label: "Laptop" };
    provider.create(A, given, START);
    given.label = "Phone";

    assertEquals(provider.read(A, START)?.label, "Laptop");
  });

  it("do not follow the object that update was given", () => {
    const provider = new MemoryProvider();
    create(provider, A);
    const set: Record<string, StoredValue> = { a: 1 };
    const change = { ...changeAt(START), set };
    provider.update(A, change, GUARD, START);
    set["a"] = 2;

    assertEquals(provider.read(A, START)?.data["a"], 1);
  });

  it("do not follow a value that was changed after it was stored", async () => {
    await using manager = new Manager<{ cart: string[] }>();
    const cart = ["hat"];
    const first = await manager.handle((_request, session) => {
      session.set("cart", cart);
      return new Response();
    })(new Request("http://localhost/"));
    cart.push("coat");

    const session = await manager.start(requestAfter(first));
    assertEquals(session.get("cart"), ["hat"]);
  });

  it("hold keys such as __proto__ as data and never as a prototype", () => {
    const provider = new MemoryProvider();
    create(provider, A, { data: makeData([["__proto__", { admin: true }]]) });
    const set = makeData([["__proto__", { admin: 1 }], ["constructor", 2]]);
    provider.update(A, { ...changeAt(START), set }, GUARD, START);

    const { data } = provider.read(A, START)!;
    assertStrictEquals(Object.getPrototypeOf(data), null);
    assertEquals(Object.keys(data).sort(), ["__proto__", "constructor"]);
    assertStrictEquals(data["admin"], undefined);
    assertEquals(provider.stats().bytes, bytesOf(set));
  });

  it("lose a key such as __proto__ when it is deleted", () => {
    const provider = new MemoryProvider();
    create(provider, A, { data: makeData([["__proto__", 1], ["a", 2]]) });
    const change = { ...changeAt(START), delete: ["__proto__", "toString"] };
    provider.update(A, change, GUARD, START);

    assertEquals(Object.keys(provider.read(A, START)!.data), ["a"]);
    assertEquals(provider.stats().bytes, bytesOf({ a: 2 }));
  });
});

describe("MemoryProvider.close", () => {
  for (const [name, call] of Object.entries(calls())) {
    it(`makes every later ${name} fail`, () => {
      const provider = new MemoryProvider();
      create(provider, A, { principal: "ada" });
      provider.close();

      const error = assertThrows(() => call(provider), SessionError);
      assertEquals(error.code, "closed");
    });
  }

  it("can be called twice", () => {
    const provider = new MemoryProvider();
    provider.close();
    provider.close();

    const error = assertThrows(() => provider.read(A, START), SessionError);
    assertEquals(error.code, "closed");
  });

  it("lets go of every session", () => {
    const provider = new MemoryProvider();
    create(provider, A, { data: sized(50) });
    provider.close();

    assertEquals(provider.stats(), statsOf({ created: 1 }));
  });
});

describe("MemoryProvider by name or URL", () => {
  it("is what memory stands for", () => {
    assert(open("memory") instanceof MemoryProvider);
    assert(open("memory:") instanceof MemoryProvider);
  });

  it("is another one each time, and none sees the sessions of the others", () => {
    const mine = open("memory") as MemoryProvider;
    const other = open("memory") as MemoryProvider;
    create(mine, A);

    assertStrictEquals(other.read(A, START), undefined);
  });

  it("takes maxSessions from its URL", () => {
    const provider = open("memory:?maxSessions=3") as MemoryProvider;
    createMany(provider, 5);

    assertEquals(provider.stats().sessions, 3);
  });

  it("takes maxBytes from its URL", () => {
    const url = new URL("memory:?maxBytes=100&maxSessions=9");
    const provider = open(url) as MemoryProvider;
    create(provider, A, { data: sized(60) });
    create(provider, B, { data: sized(60) });

    assertEquals(provider.stats().bytes, 60);
  });

  it("refuses an option that it does not know", () => {
    assertThrows(
      () => open("memory:?maxSession=3"),
      TypeError,
      "unknown option: received maxSession",
    );
  });

  for (const value of ["", "0", "-3", "1.5", "many"]) {
    it(`refuses "${value}" as a bound`, () => {
      assertThrows(() => open(`memory:?maxSessions=${value}`), RangeError);
      assertThrows(() => open(`memory:?maxBytes=${value}`), RangeError);
    });
  }

  it("refuses options that stand where a path would", () => {
    assertThrows(() => open("memory:maxSessions=3"), TypeError);
  });
});

describe("MemoryProvider's observers", () => {
  it("hear of an expired session whose place is then refused to another", () => {
    const provider = new MemoryProvider({ maxBytes: 100 });
    const heard: string[] = [];
    provider.observe((reason, id) => heard.push(`${reason} ${id}`));
    const record = makeRecord();
    provider.create(A, record, START);
    const large = makeRecord({ data: makeData([["text", "x".repeat(200)]]) });
    const create = () => provider.create(A, large, record.expiresAt);

    assertThrows(create, SessionError, "maxBytes");
    assertEquals(heard, [`expired ${A}`]);
  });

  const BIG = makeData([["text", "x".repeat(80)]]);

  it("may end the session whose update evicted another one", () => {
    const provider = new MemoryProvider({ maxBytes: 120 });
    const half = makeData([["text", "x".repeat(30)]]);
    create(provider, A, { data: half });
    create(provider, B, { data: half, now: START + 1 });
    provider.observe(() => {
      provider.destroy(A);
      create(provider, C, { principal: "bob", now: START + 2 });
    });
    const change = {
      ...changeAt(START + 2),
      set: BIG,
      principal: "ada",
    };
    assertEquals(provider.update(A, change, GUARD, START + 2), "done");

    assertStrictEquals(provider.read(A, START + 2), undefined);
    assertEquals(provider.read(C, START + 2)?.principal, "bob");
    assertEquals(provider.list("ada", START + 2), []);
    assertEquals(provider.list("bob", START + 2).map(({ id }) => id), [C]);
    assertEquals(provider.stats().bytes, 0);
  });

  it("may clear everything in the middle of anything", () => {
    for (const act of ["create", "update", "read", "gc"] as const) {
      const provider = new MemoryProvider({ maxSessions: 2 });
      create(provider, A, { principal: "ada" });
      create(provider, B, { idleTimeout: 1 });
      provider.observe(() => provider.clear());
      const now = START + 2000;
      if (act === "create") provider.create(C, makeRecord({ now }), now);
      if (act === "update") provider.update(B, changeAt(now), GUARD, now);
      if (act === "read") provider.read(B, now);
      if (act === "gc") provider.gc(now, 10);

      assertEquals(provider.stats().sessions, 0);
      assertEquals(provider.list("ada", now), []);
      create(provider, D, { now });
      assertExists(provider.read(D, now));
    }
  });

  it("hear of a session whose id was created again, once", () => {
    const provider = new MemoryProvider();
    const heard: string[] = [];
    provider.observe((reason, id) => heard.push(`${reason} ${id}`));
    create(provider, A);
    create(provider, A, { now: START + HOUR });

    assertEquals(heard, [`expired ${A}`]);
  });
});

describe("MemoryProvider.update over a bound", () => {
  it("collects nobody's session but expired ones, however short they live", () => {
    const provider = new MemoryProvider({ maxBytes: 100 });
    create(provider, A, { data: makeData([["text", "x".repeat(30)]]) });
    create(provider, B, { data: makeData([["text", "x".repeat(30)]]) });
    const change = {
      set: makeData([["text", "x".repeat(80)]]),
      idleTimeout: 1e-9,
      expiresAt: START + HOUR,
    };
    assertEquals(provider.update(A, change, GUARD, START), "done");
    assertEquals(heldAmong(provider, [A, B]), [A]);
  });
});

describe("MemoryProvider.scan", () => {
  it("gives full pages although sessions between them are gone", () => {
    const provider = new MemoryProvider();
    createMany(provider, 1000);
    for (let number = 0; number < 1000; number++) {
      if (number % 10 !== 0) provider.destroy(makeId(number));
    }
    const page = provider.scan(undefined, 60, START);
    const rest = provider.scan(page.next, 60, START);

    assertEquals([page.sessions.length, rest.sessions.length], [60, 40]);
    assertEquals([page.total, rest.next], [100, undefined]);
  });

  it("refuses a cursor that no page named", () => {
    const provider = new MemoryProvider();
    for (const cursor of [A, "-1", "1.5", ""]) {
      assertThrows(
        () => provider.scan(cursor, 10, START),
        TypeError,
        "Cannot scan: a cursor is what the page before named as next",
      );
    }
  });
});

describe("MemoryProvider and ids that cannot be minted", () => {
  it("evicts nobody for them and keeps no room", () => {
    const provider = new MemoryProvider({ maxSessions: 1 });
    create(provider, A);
    assertThrows(
      () => provider.create("short", makeRecord(), START),
      TypeError,
    );

    assertEquals(provider.stats(), statsOf({ sessions: 1, created: 1 }));
  });

  for (const id of ["", "short", "A".repeat(25), "é".repeat(24)]) {
    it(`refuses to create ${id.length} times ${id[0] ?? "nothing"}`, () => {
      const provider = new MemoryProvider();

      assertThrows(
        () => provider.create(id, makeRecord(), START),
        TypeError,
        "an id is 24 characters of base64url",
      );
      assertStrictEquals(provider.read(id, START), undefined);
      assertEquals(provider.stats(), statsOf({}));
    });
  }
});

describe("MemoryProvider against a naive model", () => {
  it("agrees with it after any sequence of calls at any times", () => {
    fc.assert(
      fc.property(arbitrarySteps(), (steps) => playAll(steps, {})),
      { numRuns: 1000 },
    );
  });

  it("agrees with it when it may hold three sessions only", () => {
    fc.assert(
      fc.property(
        arbitrarySteps(),
        (steps) => playAll(steps, { maxSessions: 3 }),
      ),
      { numRuns: 1000 },
    );
  });

  it("agrees with it when it may hold few bytes only", () => {
    fc.assert(
      fc.property(
        arbitrarySteps(),
        (steps) => playAll(steps, { maxBytes: 60 }),
      ),
      { numRuns: 1000 },
    );
  });
});

/** A provider that answers at once. */
function create(
  provider: MemoryProvider,
  id: string,
  options: RecordOptions = {},
): void {
  const record = makeRecord(options);
  assert(provider.create(id, record, options.now ?? START));
}

/** Creates sessions under the ids of the numbers below `count`. */
function createMany(provider: MemoryProvider, count: number): void {
  for (let number = 0; number < count; number++) {
    create(provider, makeId(number));
  }
}

/** Creates sessions that never come back, a hundred every millisecond. */
function flood(provider: MemoryProvider, count: number): void {
  const data = makeData([["seen", true]]);
  let record = makeRecord({ data });
  for (let number = 0; number < count; number++) {
    const now = START + Math.floor(number / 100);
    if (record.accessedAt !== now) record = makeRecord({ now, data });
    assert(provider.create(makeId(1e9 + number), record, now));
  }
}

function touch(provider: MemoryProvider, id: string, now: number): void {
  assert(provider.touch(id, now + HOUR, now));
}

/** A change to an hour's session that does nothing but prolong it. */
function changeAt(now: number): SessionChange {
  return { expiresAt: now + HOUR };
}

/** Data that takes so many bytes as text. */
function sized(bytes: number): StoredData {
  const value = "x".repeat(bytes - bytesOf({ a: "" }));
  return makeData([["a", value]]);
}

function statsOf(stats: Partial<MemoryProviderStats>): MemoryProviderStats {
  return {
    sessions: 0,
    bytes: 0,
    created: 0,
    expired: 0,
    evicted: 0,
    ...stats,
  };
}

/**
 * Which of these ids a provider holds, expired or not: at the beginning of time
 * nothing has expired, so that looking takes nothing out.
 */
function heldAmong(provider: MemoryProvider, ids: readonly string[]): string[] {
  return ids.filter((id) => provider.read(id, 0) !== undefined);
}

interface Outcomes {
  readonly read: boolean;
  readonly touched: boolean;
  readonly updated: UpdateResult;
  readonly created: boolean;
  readonly listed: number;
  readonly collected: number;
}

/** What each call makes of a session that began at `START`. */
function outcomes(lifetime: RecordOptions, now: number): Outcomes {
  const made = (): MemoryProvider => {
    const provider = new MemoryProvider();
    create(provider, A, { principal: "ada", ...lifetime });
    return provider;
  };
  return {
    read: made().read(A, now) !== undefined,
    touched: made().touch(A, now + HOUR, now),
    updated: made().update(A, changeAt(now), GUARD, now),
    created: made().create(A, makeRecord({ now }), now),
    listed: made().list("ada", now).length,
    collected: made().gc(now, 10),
  };
}

type Moment = readonly [
  moment: string,
  offset: number,
  expected: { words: string; calls: Omit<Outcomes, "collected"> },
];

function moments(): readonly Moment[] {
  const live = {
    words: "is there for every call",
    calls: {
      read: true,
      touched: true,
      updated: "done",
      created: false,
      listed: 1,
    },
  } as const;
  const dead = {
    words: "is there for none",
    calls: {
      read: false,
      touched: false,
      updated: "gone",
      created: true,
      listed: 0,
    },
  } as const;
  return [
    ["one millisecond before", -1, live],
    ["at", 0, dead],
    ["one millisecond after", 1, dead],
  ];
}

/** How the session `A` of `ada` can end, each answering when it did. */
function endings(): Record<string, (provider: MemoryProvider) => number> {
  return {
    "was destroyed": (provider) => {
      provider.destroy(A);
      return START;
    },
    "was signed out everywhere": (provider) => {
      provider.destroyAll("ada");
      return START;
    },
    expired: () => START + HOUR,
    "was read after it expired": (provider) => {
      provider.read(A, START + HOUR);
      return START;
    },
    "was collected": (provider) => {
      provider.gc(START + HOUR, 10);
      return START;
    },
    "was evicted": (provider) => {
      create(provider, B);
      create(provider, C);
      return START;
    },
  };
}

/** Every call of the contract but `close`. */
function calls(): Record<string, (provider: MemoryProvider) => unknown> {
  return {
    create: (provider) => provider.create(B, makeRecord(), START),
    read: (provider) => provider.read(A, START),
    update: (provider) => provider.update(A, changeAt(START), GUARD, START),
    touch: (provider) => provider.touch(A, START + HOUR, START),
    destroy: (provider) => provider.destroy(A),
    gc: (provider) => provider.gc(START, 10),
    list: (provider) => provider.list("ada", START),
    destroyAll: (provider) => provider.destroyAll("ada"),
  };
}

function assertFrozen(record: SessionRecord | undefined): void {
  assertExists(record);
  assert(Object.isFrozen(record));
  assert(Object.isFrozen(record.data));
}

function assertTooLarge(call: () => unknown): void {
  const error = assertThrows(call, SessionError);
  assertEquals(error.code, "too-large");
}

/** The next request of the browser that got this response. */
function requestAfter(response: Response): Request {
  const [cookie = ""] = (response.headers.get("set-cookie") ?? "").split(";");
  return new Request("http://localhost/", { headers: { cookie } });
}
