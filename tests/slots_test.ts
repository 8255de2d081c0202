import { assertEquals, assertStrictEquals } from "@std/assert";
import { describe, it } from "node:test";
import {
  ACCESSED_AT,
  BYTES,
  CHAIN,
  EXPIRES_AT,
  FLAGS,
  ID,
  LIST,
  NEXT,
  PREVIOUS,
  Slots,
} from "../providers/memory/slots.ts";
import { makeRecord } from "./_records.ts";

/** More than fit into two pages. */
const MANY = 10_000;

describe("Slots", () => {
  it("never give out slot 0", () => {
    const slots = new Slots();
    const given = Array.from({ length: MANY }, () => slots.allocate());

    assertEquals(given.includes(0), false);
    assertEquals(new Set(given).size, MANY);
    assertEquals(slots.end, Math.max(...given) + 1);
  });

  it("give out what was freed before any new one", () => {
    const slots = new Slots();
    const given = Array.from({ length: 5 }, () => slots.allocate());
    const { end } = slots;
    for (const slot of given) slots.free(slot);
    const again = given.map(() => slots.allocate());

    assertEquals(again.toSorted(), given.toSorted());
    assertEquals(slots.end, end);
  });

  it("give out a slot that is in no list and has no record", () => {
    const slots = new Slots();
    const slot = slots.allocate();
    slots.setWord(slot, LIST, 7);
    slots.setRecord(slot, { ...makeRecord(), version: 1 });
    slots.free(slot);

    assertEquals(slots.allocate(), slot);
    assertEquals(slots.word(slot, LIST), 0);
    assertStrictEquals(slots.record(slot), undefined);
  });

  it("let go of the record of a slot that is freed", () => {
    const slots = new Slots();
    const slot = slots.allocate();
    slots.setRecord(slot, { ...makeRecord(), version: 1 });
    slots.free(slot);

    assertStrictEquals(slots.record(slot), undefined);
  });

  it("keep records while their first page grows", () => {
    const slots = new Slots();
    const records = Array.from({ length: 300 }, () => {
      const record = { ...makeRecord(), version: 1 };
      slots.setRecord(slots.allocate(), record);
      return record;
    });

    records.forEach((record, index) =>
      assertStrictEquals(slots.record(index + 1), record)
    );
  });

  it("keep every field of every slot apart from all others", () => {
    const slots = new Slots();
    const words = [NEXT, PREVIOUS, LIST, CHAIN, BYTES, FLAGS];
    const ids = [0, 1, 2, 3, 4, 5].map((word) => ID + word);
    const fields = [...ids, ...words];
    const given = Array.from({ length: MANY }, () => slots.allocate());
    for (const slot of given) {
      for (const field of fields) slots.setWord(slot, field, slot * 16 + field);
      slots.setTime(slot, EXPIRES_AT, slot + 0.25);
      slots.setTime(slot, ACCESSED_AT, slot + 0.75);
    }

    const wrong = given.filter((slot) =>
      fields.some((field) => slots.word(slot, field) !== slot * 16 + field) ||
      slots.time(slot, EXPIRES_AT) !== slot + 0.25 ||
      slots.time(slot, ACCESSED_AT) !== slot + 0.75
    );
    assertEquals(wrong, []);
  });
});
