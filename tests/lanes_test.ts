/** Checks which session goes next, and what it costs to find that out. */
import { assertEquals, assertLess } from "@std/assert";
import { describe, it } from "node:test";
import {
  ESTABLISHED,
  Lanes,
  PROBATION,
  SIGNED_IN,
} from "../providers/memory/lanes.ts";
import { ACCESSED_AT, Slots } from "../providers/memory/slots.ts";
import { START } from "./_records.ts";

/** How many idle timeouts there are where their cost is counted. */
const MANY = 16_000;

/** What a step may look at, where each has its own idle timeout. */
const FEW = 40;

describe("Lanes", () => {
  it("take out a thousand of 16,000 idle timeouts with a few looks each", () => {
    const { lanes, looks } = crowd();
    const before = looks();

    assertEquals(lanes.takeExpired(START + 1e9, 1000, () => {}), 1000);
    assertLess(looks() - before, 1000 * FEW);
  });

  it("find the next victims of 16,000 idle timeouts with a few looks each", () => {
    const { lanes, looks } = crowd();
    const before = looks();
    for (let count = 0; count < 1000; count++) lanes.remove(lanes.nextVictim());

    assertLess(looks() - before, 1000 * FEW);
  });

  it("find nothing to collect among 16,000 idle timeouts with a few looks", () => {
    const { lanes, looks } = crowd();
    const before = looks();

    assertEquals(lanes.takeExpired(START, 1000, () => {}), 0);
    assertLess(looks() - before, FEW);
  });

  it("take out in the order of deadlines, whatever was used since", () => {
    const { slots, lanes, order } = crowd();
    const used = order.filter((_, index) => index % 3 === 0);
    for (const slot of used) {
      slots.setTime(slot, ACCESSED_AT, START + 1e8);
      lanes.use(slot);
    }
    const taken: number[] = [];
    lanes.takeExpired(START + 1e9, Infinity, (slot) => taken.push(slot));

    const idle = order.filter((_, index) => index % 3 !== 0);
    assertEquals(taken, [...idle, ...used]);
  });

  it("pass over those that left in the middle of the order", () => {
    const { lanes, order } = crowd();
    const gone = order.filter((_, index) => index % 5 !== 0);
    for (const slot of gone) lanes.remove(slot);
    const taken: number[] = [];
    lanes.takeExpired(START + 1e9, Infinity, (slot) => taken.push(slot));

    assertEquals(taken, order.filter((_, index) => index % 5 === 0));
  });

  it("evict each kind before the next, whatever their deadlines", () => {
    const slots = new Slots();
    const lanes = new Lanes(slots);
    const kinds = [SIGNED_IN, ESTABLISHED, PROBATION] as const;
    const admitted = kinds.map((kind, index) => {
      const slot = slots.allocate();
      slots.setTime(slot, ACCESSED_AT, START);
      lanes.admit(slot, kind, 1000 + index);
      return slot;
    });
    const victims = kinds.map(() => {
      const victim = lanes.nextVictim();
      lanes.remove(victim);
      return victim;
    });

    assertEquals(victims, admitted.toReversed());
    assertEquals(lanes.nextVictim(), 0);
  });

  it("give back the slots of lists that nothing is left in", () => {
    const { slots, lanes } = crowd();
    const { end } = slots;
    lanes.takeExpired(START + 1e9, Infinity, () => {});
    for (let count = 1; count < end; count++) slots.allocate();

    assertEquals(slots.end, end);
  });
});

/** One session of each idle timeout, in an order that is none. */
function crowd() {
  const slots = new Slots();
  const lanes = new Lanes(slots);
  const byIdleTime = Array.from({ length: MANY }, (_, index) => {
    const idleTime = 1000 + (index * 7919) % MANY;
    const slot = slots.allocate();
    slots.setTime(slot, ACCESSED_AT, START);
    lanes.admit(slot, index % 2 === 0 ? ESTABLISHED : SIGNED_IN, idleTime);
    return { slot, idleTime };
  });
  const order = byIdleTime.toSorted((a, b) => a.idleTime - b.idleTime)
    .map(({ slot }) => slot);
  return { slots, lanes, order, looks: counting(slots) };
}

/** Counts from now on how often an instant of a slot is looked at. */
function counting(slots: Slots): () => number {
  let looks = 0;
  const time = slots.time.bind(slots);
  slots.time = (slot, field) => {
    looks++;
    return time(slot, field);
  };
  return () => looks;
}
