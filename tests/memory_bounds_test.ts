/** Checks what the memory provider evicts, and what it never does. */
import {
  assert,
  assertEquals,
  assertExists,
  assertFalse,
  assertGreater,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { describe, it } from "node:test";
import { SessionError } from "../core/errors.ts";
import type { StoredValue } from "../core/value/types.ts";
import { MemoryProvider } from "../providers/memory.ts";
import {
  A,
  B,
  bytesOf,
  C,
  create,
  createMany,
  D,
  destroy,
  GUARD,
  heldAmong,
  listed,
  sized,
  statsOf,
  touch,
} from "./_memory.ts";
import { makeData, makeId, makeRecord, START } from "./_records.ts";

/** How many sessions there are at a time where room is counted. */
const MOST = 15;

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
    provider.touch(A, START);
    create(provider, B, { now: START + 1 });
    create(provider, C, { now: START + 2 });

    assertEquals(heldAmong(provider, [A, B, C]), [A, C]);
  });

  it("evict a newcomer before a staler session that was updated", () => {
    const provider = new MemoryProvider({ maxSessions: 2 });
    create(provider, A);
    provider.update(A, {}, GUARD, START);
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
    provider.touch(A, START);
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

    assertEquals(listed(provider, "ada"), []);
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

    const change = { principal: "ada", set: sized(101) };
    assertTooLarge(() => provider.update(A, change, GUARD, START));
    assertStrictEquals(provider.read(A, START), record);
    assertExists(provider.read(B, START));
    assertEquals(provider.list("ada", START).sessions, []);
    assertEquals(provider.stats(), before);
  });

  it("leave a newcomer one after an update that was refused", () => {
    const provider = new MemoryProvider({ maxSessions: 2, maxBytes: 100 });
    create(provider, A);
    create(provider, B);
    const change = { set: sized(101) };
    assertTooLarge(() => provider.update(A, change, GUARD, START));
    create(provider, C);

    assertEquals(heldAmong(provider, [A, B, C]), [B, C]);
  });

  it("evict others for an update that grows, not the stalest session itself", () => {
    const provider = new MemoryProvider({ maxBytes: 100 });
    create(provider, A, { data: sized(40), idleTimeout: 60 });
    create(provider, B, { data: sized(60) });
    touch(provider, B, START);
    const change = { set: sized(41) };

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
    provider.update(A, { set: sized(40) }, GUARD, START);

    assertEquals(provider.stats().evicted, 0);
    assertEquals(provider.stats().bytes, 100);
  });

  it("keep a session that grows and gets a shorter idle timeout at once", () => {
    const provider = new MemoryProvider({ maxBytes: 100 });
    create(provider, A, { data: sized(40), principal: "ada" });
    create(provider, B, { data: sized(60) });
    const now = START + 120_000;
    const change = { set: sized(41), idleTimeout: 60 };

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
    const change = { set, delete: ["b"] };
    provider.update(A, change, GUARD, START);

    assertEquals(provider.stats().bytes, bytesOf(set));
  });

  it("get back the bytes of a key once when it is deleted twice", () => {
    const provider = new MemoryProvider();
    create(provider, A, { data: makeData([["a", 1], ["b", 2]]) });
    const change = { delete: ["a", "a", "missing"] };
    provider.update(A, change, GUARD, START);

    assertEquals(provider.stats().bytes, bytesOf({ b: 2 }));
  });

  it("get back the bytes of a session that is destroyed", () => {
    const provider = new MemoryProvider();
    create(provider, A, { data: sized(40) });
    create(provider, B, { data: sized(50) });
    destroy(provider, A);

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

    // Beside the sessions there are three slots for each idle timeout at a
    // time, and one for a session whose idle timeout changed without a use.
    assertGreater(2 * MOST + 3 * 7 + 1, slotsOf(provider, end));
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
  if (number % 2 === 0) provider.touch(id, now);
  if (number % 3 === 0) {
    const idleTimeout = 5 + number % 5;
    const isUse = number % 4 === 0;
    const principal = number % 9 === 0 ? "ada" : null;
    provider.update(id, { idleTimeout, principal, isUse }, GUARD, now);
  }
  if (number % 5 === 0) provider.destroy(id, {}, now);
  if (number % 11 === 0) provider.gc(now, 10);
}

/** The number of the last slot in use. */
function slotsOf(provider: MemoryProvider, now: number): number {
  let last = 0;
  while (provider.scan(String(last + 1), 1, now).sessions.length > 0) last++;
  return last;
}

describe("MemoryProvider.update over a bound", () => {
  it("collects nobody's session but expired ones, however short they live", () => {
    const provider = new MemoryProvider({ maxBytes: 100 });
    create(provider, A, { data: makeData([["text", "x".repeat(30)]]) });
    create(provider, B, { data: makeData([["text", "x".repeat(30)]]) });
    const change = {
      set: makeData([["text", "x".repeat(80)]]),
      idleTimeout: 0.001,
    };
    assertEquals(provider.update(A, change, GUARD, START), "done");
    assertEquals(heldAmong(provider, [A, B]), [A]);
    assertEquals(provider.stats().evicted, 1);
  });
});

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

function assertTooLarge(call: () => unknown): void {
  const error = assertThrows(call, SessionError);
  assertEquals(error.code, "too-large");
}
