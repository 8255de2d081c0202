/** Checks the places that the memory provider keeps sessions in. */
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { describe, it } from "node:test";
import {
  ACCESSED_AT,
  AHEAD,
  BYTES,
  CHAIN,
  ENDS_AT,
  HASH,
  ID,
  IDLE_TIME,
  KIND,
  NEXT,
  PLACE,
  PREVIOUS,
  Slots,
  TOUCHED,
} from "../providers/memory/slots.ts";
import { makeRecord } from "./_records.ts";

/** More than fit into two pages. */
const MANY = 140_000;

const FLAGS = [TOUCHED, AHEAD];

/** The highest number that a list can have. */
const LAST_LIST = 2 ** 30 - 1;

describe("Slots", () => {
  it("never give out slot 0", () => {
    const slots = new Slots();
    const given = Array.from({ length: MANY }, () => slots.allocate());

    assertEquals(given.includes(0), false);
    assertEquals(new Set(given).size, MANY);
    assertEquals(slots.end, given.reduce((a, b) => Math.max(a, b)) + 1);
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

  it("give out a slot that is in no list and has no flag", () => {
    const slots = new Slots();
    const slot = slots.allocate();
    slots.setList(slot, 7);
    for (const flag of FLAGS) slots.raise(slot, flag);
    slots.free(slot);

    assertEquals(slots.allocate(), slot);
    assertEquals(slots.list(slot), 0);
    assertEquals(FLAGS.filter((flag) => slots.hasFlag(slot, flag)), []);
  });

  it("take back many at once that are linked", () => {
    const slots = new Slots();
    const [a, b, c] = [slots.allocate(), slots.allocate(), slots.allocate()];
    slots.setWord(a, NEXT, b);
    slots.setWord(b, NEXT, c);
    const { end } = slots;
    slots.freeRun(a, c);

    assertEquals([1, 2, 3].map(() => slots.allocate()), [a, b, c]);
    assertEquals(slots.end, end);
  });

  it("keep the list of a slot and each of its flags apart", () => {
    const slots = new Slots();
    const slot = slots.allocate();
    slots.setList(slot, LAST_LIST);
    for (const flag of FLAGS) {
      slots.raise(slot, flag);
      assertEquals(FLAGS.filter((each) => slots.hasFlag(slot, each)), [flag]);
      assertEquals(slots.list(slot), LAST_LIST);
      slots.lower(slot, flag);
    }
    slots.raise(slot, TOUCHED);
    slots.setList(slot, 1);

    assertEquals(slots.list(slot), 1);
    assert(slots.hasFlag(slot, TOUCHED));
  });

  it("keep records while their first page grows", () => {
    const slots = new Slots();
    const records = Array.from({ length: 3000 }, () => {
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
    const words = [NEXT, PREVIOUS, CHAIN, BYTES, HASH];
    const ids = [0, 1, 2, 3, 4, 5].map((word) => ID + word);
    const fields = [...ids, ...words];
    const given = Array.from({ length: MANY }, () => {
      const slot = slots.allocate();
      for (const field of fields) slots.setWord(slot, field, slot * 16 + field);
      slots.setList(slot, slot * 2);
      slots.setTime(slot, ENDS_AT, slot + 0.25);
      slots.setTime(slot, ACCESSED_AT, slot + 0.75);
      return slot;
    });

    const wrong = given.filter((slot) =>
      fields.some((field) => slots.word(slot, field) !== slot * 16 + field) ||
      slots.list(slot) !== slot * 2 ||
      slots.time(slot, ENDS_AT) !== slot + 0.25 ||
      slots.time(slot, ACCESSED_AT) !== slot + 0.75
    );
    assertEquals(wrong, []);
  });

  it("keep what a sentinel needs apart from its links", () => {
    const slots = new Slots();
    const slot = slots.allocate();
    slots.setTime(slot, IDLE_TIME, 0.1);
    for (const field of [KIND, PLACE, NEXT, PREVIOUS]) {
      slots.setWord(slot, field, field + 100);
    }
    slots.setList(slot, LAST_LIST);

    assertEquals(slots.time(slot, IDLE_TIME), 0.1);
    assertEquals(
      [KIND, PLACE, NEXT, PREVIOUS].map((field) => slots.word(slot, field)),
      [KIND, PLACE, NEXT, PREVIOUS].map((field) => field + 100),
    );
  });
});
