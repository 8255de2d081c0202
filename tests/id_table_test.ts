/** Checks how the memory provider finds a session by its id. */
import { assert, assertEquals, assertGreater, assertThrows } from "@std/assert";
import fc from "fast-check";
import { describe, it } from "node:test";
import { mintId } from "../core/secret/token.ts";
import { checkId, IdTable } from "../providers/memory/id_table.ts";
import { Slots } from "../providers/memory/slots.ts";

/** Beyond two pages of buckets. */
const MANY = 140_000;

describe("IdTable", () => {
  it("finds nothing at first", () => {
    const { table } = tableOf([]);

    assertEquals(table.find(idAt(1)), 0);
    assertEquals(table.size, 0);
  });

  it("finds each of many ids in the slot it was filed under", () => {
    const ids = Array.from({ length: MANY }, mintId);
    const { table, slotOf } = tableOf(ids);

    assertEquals(table.size, MANY);
    assertEquals(ids.filter((id) => table.find(id) !== slotOf.get(id)), []);
  });

  it("finds none of those that were removed, and all that were not", () => {
    const ids = Array.from({ length: MANY }, mintId);
    const { table, slotOf } = tableOf(ids);
    const gone = ids.filter((_, index) => index % 3 !== 0);
    for (const id of gone) table.remove(slotOf.get(id)!);

    assertEquals(table.size, MANY - gone.length);
    assertEquals(gone.filter((id) => table.find(id) !== 0), []);
    const left = ids.filter((_, index) => index % 3 === 0);
    assertEquals(left.filter((id) => table.find(id) !== slotOf.get(id)), []);
  });

  it("knows the id of each slot", () => {
    const ids = ["ABCDEFGHIJKLMNOPQRSTUVWX", "-_-_0123456789abcdefghij"];
    const { table, slotOf } = tableOf(ids);

    assertEquals(ids.map((id) => table.idOf(slotOf.get(id)!)), ids);
  });

  for (let at = 0; at < 24; at++) {
    it(`tells ids apart that differ in character ${at} only`, () => {
      const id = "A".repeat(24);
      const other = replaced(id, at, "B");
      const { table, slotOf } = tableOf([id]);

      assertEquals(table.find(other), 0);
      assertEquals(table.find(id), slotOf.get(id));
    });

    it(`takes no character for its low bits at ${at}`, () => {
      const id = "A".repeat(24);
      const { table } = tableOf([id]);

      for (const bit of [7, 8, 12, 15]) {
        const code = "A".charCodeAt(0) + 2 ** bit;
        assertEquals(
          table.find(replaced(id, at, String.fromCharCode(code))),
          0,
        );
      }
    });
  }

  for (const length of [0, 1, 23, 25, 48]) {
    it(`finds no id of ${length} characters and lets none pass`, () => {
      const { table } = tableOf(["A".repeat(24)]);
      const id = "A".repeat(length);

      assertEquals(table.find(id), 0);
      assertThrows(() => checkId(id), TypeError, "24 characters of base64url");
    });
  }

  for (const character of ["é", "+", " ", "\0"]) {
    it(`lets no id with ${JSON.stringify(character)} in it pass`, () => {
      const id = replaced("A".repeat(24), 5, character);

      assertThrows(() => checkId(id), TypeError, "24 characters of base64url");
    });
  }

  it("is about as fast for ids in sequence as for random ones", () => {
    const random = fastest(Array.from({ length: MANY }, mintId));
    const inSequence = fastest(
      Array.from({ length: MANY }, (_, index) => idAt(index)),
    );

    // A hundred times as long if they shared a bucket.
    assertGreater(random * 20, inSequence);
  });
});

describe("IdTable against a Map", () => {
  it("agrees with it after any sequence of additions and removals", () => {
    const steps = fc.array(
      fc.record({ act: fc.constantFrom("add", "remove"), id: fc.nat(30) }),
      { maxLength: 200, size: "max" },
    );
    fc.assert(
      fc.property(steps, fc.nat(8192), (some, others) => {
        const { slots, table, slotOf } = tableOf(
          Array.from({ length: others }, (_, index) => idAt(100 + index)),
        );
        for (const { act, id: number } of some) {
          const id = idAt(number);
          const slot = slotOf.get(id);
          if (act === "add" && slot === undefined) {
            slotOf.set(id, file(slots, table, id));
          } else if (act === "remove" && slot !== undefined) {
            table.remove(slot);
            slots.free(slot);
            slotOf.delete(id);
          }
          assertEquals(table.find(id), slotOf.get(id) ?? 0);
        }
        assertEquals(table.size, slotOf.size);
        for (const [id, slot] of slotOf) assertEquals(table.find(id), slot);
      }),
      { numRuns: 50 },
    );
  });
});

/** Milliseconds to find all of some ids, in the best of a few attempts. */
function fastest(ids: readonly string[]): number {
  const { table } = tableOf(ids);
  const times = Array.from({ length: 5 }, () => {
    const start = performance.now();
    assert(ids.every((id) => table.find(id) !== 0));
    return performance.now() - start;
  });
  return Math.min(...times);
}

function tableOf(ids: readonly string[]) {
  const slots = new Slots();
  const table = new IdTable(slots);
  const slotOf = new Map(
    ids.map((id) => [id, file(slots, table, id)] as const),
  );
  return { slots, table, slotOf };
}

function file(slots: Slots, table: IdTable, id: string): number {
  const slot = slots.allocate();
  table.add(id, slot);
  return slot;
}

function idAt(number: number): string {
  return String(number).padStart(24, "0");
}

function replaced(id: string, at: number, character: string): string {
  return id.slice(0, at) + character + id.slice(at + 1);
}
