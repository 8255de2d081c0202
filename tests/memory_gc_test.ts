/** Checks what the memory provider removes by itself, and whom it tells. */
import {
  assertEquals,
  assertExists,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { describe, it } from "node:test";
import { SessionError } from "../core/errors.ts";
import { MemoryProvider } from "../providers/memory.ts";
import {
  A,
  B,
  C,
  create,
  createMany,
  D,
  destroy,
  FAR_FUTURE,
  GUARD,
  heldAmong,
  HOUR,
  listed,
  statsOf,
  touch,
} from "./_memory.ts";
import { makeData, makeId, makeRecord, START } from "./_records.ts";

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
    touch(provider, makeId(0), START + HOUR - 1);

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
    const change = { idleTimeout: 60 };
    provider.update(A, change, GUARD, START);

    assertEquals(provider.gc(START + 59_999, 10), 0);
    assertEquals(provider.gc(START + 60_000, 10), 1);
  });

  it("goes by an idle timeout that was lengthened", () => {
    const provider = new MemoryProvider();
    create(provider, A, { idleTimeout: 60 });
    const change = { idleTimeout: 3600 };
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

describe("MemoryProvider's observers", () => {
  it("hear of an expired session whose place is then refused to another", () => {
    const provider = new MemoryProvider({ maxBytes: 100 });
    const heard: string[] = [];
    provider.observe((reason, id) => heard.push(`${reason} ${id}`));
    provider.create(A, makeRecord(), START);
    const large = makeRecord({ data: makeData([["text", "x".repeat(200)]]) });
    const create = () => provider.create(A, large, START + HOUR);

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
      destroy(provider, A);
      create(provider, C, { principal: "bob", now: START + 2 });
    });
    const change = { set: BIG, principal: "ada" };
    assertEquals(provider.update(A, change, GUARD, START + 2), "done");

    assertStrictEquals(provider.read(A, START + 2), undefined);
    assertEquals(provider.read(C, START + 2)?.principal, "bob");
    assertEquals(listed(provider, "ada", START + 2), []);
    assertEquals(listed(provider, "bob", START + 2), [C]);
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
      if (act === "update") provider.update(B, {}, GUARD, now);
      if (act === "read") provider.read(B, now);
      if (act === "gc") provider.gc(now, 10);

      assertEquals(provider.stats().sessions, 0);
      assertEquals(listed(provider, "ada", now), []);
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
