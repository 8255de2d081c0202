/** Checks whose session the memory provider evicts first. */
import { assertEquals, assertGreater } from "@std/assert";
import { describe, it } from "node:test";
import { MemoryProvider } from "../providers/memory.ts";
import {
  A,
  B,
  C,
  create,
  createMany,
  GUARD,
  heldAmong,
  sized,
  touch,
} from "./_memory.ts";
import { makeId, START } from "./_records.ts";

describe("MemoryProvider's order of eviction", () => {
  it("is newcomers, then visitors that came back, then the signed-in", () => {
    const provider = new MemoryProvider({ maxSessions: 3 });
    create(provider, A, { principal: "ada" });
    create(provider, B, { now: START + 1 });
    touch(provider, B, START + 2);
    create(provider, C, { now: START + 3 });
    const victims = [0, 1, 2].map((number) => {
      const before = heldAmong(provider, [A, B, C]);
      create(provider, makeId(number), { principal: "bob", now: START + 4 });
      const after = heldAmong(provider, [A, B, C]);
      return before.filter((id) => !after.includes(id));
    });

    assertEquals(victims, [[C], [B], [A]]);
  });

  it("goes by who is signed in now", () => {
    const provider = new MemoryProvider({ maxSessions: 2 });
    create(provider, A);
    create(provider, B, { principal: "bob" });
    provider.update(A, { principal: "ada" }, GUARD, START + 1);
    provider.update(B, { principal: null }, GUARD, START + 2);
    create(provider, C, { now: START + 3, principal: "cy" });

    assertEquals(heldAmong(provider, [A, B, C]), [A, C]);
  });

  it("is that of the last use among the signed-in", () => {
    const provider = new MemoryProvider({ maxSessions: 2 });
    create(provider, A, { principal: "ada" });
    create(provider, B, { principal: "bob", now: START + 1 });
    touch(provider, A, START + 2);
    create(provider, C, { principal: "cy", now: START + 3 });

    assertEquals(heldAmong(provider, [A, B, C]), [A, C]);
  });

  it("takes no session for one that came back because it was polled", () => {
    const provider = new MemoryProvider({ maxSessions: 2 });
    create(provider, A);
    provider.update(A, { isUse: false }, GUARD, START + 1);
    create(provider, B, { now: START + 2 });
    create(provider, C, { now: START + 3 });

    assertEquals(heldAmong(provider, [A, B, C]), [B, C]);
  });

  it("spares a session that is polled while it grows", () => {
    const provider = new MemoryProvider({ maxBytes: 100 });
    create(provider, A, { data: sized(40) });
    create(provider, B, { data: sized(60), now: START + 1 });
    const change = { set: sized(41), isUse: false };

    assertEquals(provider.update(A, change, GUARD, START + 2), "done");
    assertEquals(heldAmong(provider, [A, B]), [A]);
    assertEquals(provider.read(A, START + 2)?.accessedAt, START);
  });

  it("keeps the signed-in from visitors that all come back, by their data", () => {
    const provider = new MemoryProvider();
    createMany(provider, 100);
    for (let number = 0; number < 100; number++) {
      const change = { principal: `user ${number}` };
      provider.update(makeId(number), change, GUARD, START);
    }
    const data = sized(65_000);
    for (let number = 1000; number < 5500; number++) {
      create(provider, makeId(number), { data, now: START + number });
      touch(provider, makeId(number), START + number);
    }

    const users = Array.from({ length: 100 }, (_, number) => makeId(number));
    assertEquals(heldAmong(provider, users), users);
    assertGreater(provider.stats().evicted, 300);
  });
});
