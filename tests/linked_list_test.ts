/** Checks the list that keeps sessions in the order of their use. */
import { assert, assertEquals, assertFalse, assertThrows } from "@std/assert";
import fc from "fast-check";
import { describe, it } from "node:test";
import { LinkedList } from "../providers/memory/linked_list.ts";
import { NEXT, Slots } from "../providers/memory/slots.ts";

describe("LinkedList", () => {
  it("is empty at first", () => {
    const { list, names } = listOf("");

    assertEquals(list.back, 0);
    assertEquals(list.front, 0);
    assertEquals(names(), "");
  });

  it("puts each new slot in front of all others", () => {
    assertEquals(listOf("abc").names(), "cba");
  });

  it("has at its back the slot pushed first, and at its front the last", () => {
    const { list, slot } = listOf("abc");

    assertEquals(list.back, slot("a"));
    assertEquals(list.front, slot("c"));
  });

  it("knows which slots are in it", () => {
    const { list, slot } = listOf("abc");
    list.remove(slot("b"));

    assert(list.has(slot("a")));
    assertFalse(list.has(slot("b")));
  });

  for (const [where, name, left] of removals()) {
    it(`closes the gap that a slot leaves ${where}`, () => {
      const { list, slot, names, namesFromBack } = listOf("abc");
      list.remove(slot(name));

      assertEquals(names(), left);
      assertEquals(namesFromBack(), reversed(left));
    });
  }

  it("is empty again when its only slot is removed", () => {
    const { list, slot, names } = listOf("a");
    list.remove(slot("a"));

    assertEquals(list.back, 0);
    assertEquals(names(), "");
  });

  it("takes a removed slot back, in front", () => {
    const { list, slot, names } = listOf("abc");
    list.remove(slot("a"));
    list.pushFront(slot("a"));

    assertEquals(names(), "acb");
  });

  for (const [where, name, left] of moves()) {
    it(`moves a slot to the front ${where}`, () => {
      const { slots, slot, names, namesFromBack } = listOf("abc");
      LinkedList.moveToFront(slots, slot(name));

      assertEquals(names(), left);
      assertEquals(namesFromBack(), reversed(left));
    });
  }

  it("moves its only slot to the front and stays as it was", () => {
    const { slots, slot, names, namesFromBack } = listOf("a");
    LinkedList.moveToFront(slots, slot("a"));

    assertEquals(names(), "a");
    assertEquals(namesFromBack(), "a");
  });

  it("finds the neighbour towards the front, and none of the first", () => {
    const { list, slot } = listOf("ab");

    assertEquals(list.before(slot("a")), slot("b"));
    assertEquals(list.before(slot("b")), 0);
  });

  for (const [kept, left] of [["c", "c"], ["b", "cb"], ["a", "cba"]] as const) {
    it(`leaves ${left} when all behind ${kept} is freed`, () => {
      const { list, slot, names, namesFromBack } = listOf("abc");
      list.freeBehind(slot(kept));

      assertEquals(names(), left);
      assertEquals(namesFromBack(), reversed(left));
    });
  }

  it("is empty when all there is is freed", () => {
    const { list, names } = listOf("abc");
    list.freeBehind(0);

    assertEquals(list.back, 0);
    assertEquals(names(), "");
  });

  it("refuses to push a slot that it holds, and stays as it was", () => {
    const { list, slot, names } = listOf("abc");

    assertThrows(() => list.pushFront(slot("a")), TypeError, "in a list");
    assertEquals(names(), "cba");
  });

  it("refuses a slot that another list holds", () => {
    const { slots, slot, names } = listOf("abc");
    const other = new LinkedList(slots);

    assertThrows(() => other.pushFront(slot("a")), TypeError, "in a list");
    assertThrows(() => other.remove(slot("a")), TypeError, "not in this list");
    assertEquals(names(), "cba");
    assertEquals(other.back, 0);
  });

  it("moves a slot in the list that holds it, and in no other", () => {
    const { slots, slot, names } = listOf("abc");
    const other = new LinkedList(slots);
    other.pushFront(slots.allocate());
    LinkedList.moveToFront(slots, slot("a"));

    assertEquals(names(), "acb");
    assertFalse(other.has(slot("a")));
  });

  it("refuses to move a slot that is in no list", () => {
    const { slots, list, slot, names } = listOf("abc");
    list.remove(slot("a"));
    const move = () => LinkedList.moveToFront(slots, slot("a"));

    assertThrows(move, TypeError, "in no list");
    assertEquals(names(), "cb");
  });

  it("refuses to remove a slot twice", () => {
    const { list, slot, names } = listOf("abc");
    list.remove(slot("a"));

    assertThrows(() => list.remove(slot("a")), TypeError, "not in this list");
    assertEquals(names(), "cb");
  });

  it("gives its sentinel back", () => {
    const { slots, list } = listOf("");
    const { end } = slots;
    list.dispose();
    slots.allocate();

    assertEquals(slots.end, end);
  });
});

describe("LinkedList against arrays", () => {
  it("agrees with them after any sequence of operations on several lists", () => {
    fc.assert(
      fc.property(
        fc.array(arbitraryStep(), { maxLength: 60, size: "max" }),
        playAll,
      ),
      { numRuns: 500 },
    );
  });
});

const LISTS = 3;
const ITEMS = 6;

interface Step {
  readonly act: "pushFront" | "remove" | "moveToFront" | "freeBehind";
  readonly list: number;
  readonly item: number;
}

function arbitraryStep(): fc.Arbitrary<Step> {
  return fc.record({
    act: fc.constantFrom("pushFront", "remove", "moveToFront", "freeBehind"),
    list: fc.nat(LISTS - 1),
    item: fc.nat(ITEMS - 1),
  });
}

function playAll(steps: readonly Step[]): void {
  const slots = new Slots();
  const items = Array.from({ length: ITEMS }, () => slots.allocate());
  const lists = Array.from({ length: LISTS }, () => new LinkedList(slots));
  const arrays = lists.map((): number[] => []);
  for (const step of steps) {
    const item = items[step.item]!;
    if (step.act === "freeBehind") {
      playFreeBehind(slots, lists[step.list]!, arrays[step.list]!, item);
    } else {
      const isAllowed = playOnArrays(step, item, arrays);
      const play = () => playOnLists(step, item, slots, lists);
      if (isAllowed) play();
      else assertThrows(play, TypeError);
    }
    lists.forEach((list, index) => assertAgrees(slots, list, arrays[index]!));
  }
}

/**
 * Cuts a list behind an item that it holds, else takes all of it. What it gives
 * back is allocated again, in the order of the list.
 */
function playFreeBehind(
  slots: Slots,
  list: LinkedList,
  array: number[],
  item: number,
): void {
  const index = array.indexOf(item);
  const removed = array.splice(index + 1);
  list.freeBehind(index === -1 ? 0 : item);
  for (const slot of removed) assertEquals(slots.allocate(), slot);
}

function playOnLists(
  { act, list }: Step,
  item: number,
  slots: Slots,
  lists: readonly LinkedList[],
): void {
  if (act === "pushFront") lists[list]!.pushFront(item);
  if (act === "remove") lists[list]!.remove(item);
  if (act === "moveToFront") LinkedList.moveToFront(slots, item);
}

/** Plays a step on the model, and tells whether it was allowed. */
function playOnArrays(
  { act, list }: Step,
  item: number,
  arrays: number[][],
): boolean {
  // A slot is moved in the list that it is in, whichever that is.
  const array = act === "moveToFront"
    ? arrays.find((some) => some.includes(item)) ?? []
    : arrays[list]!;
  const index = array.indexOf(item);
  const isAllowed = act === "pushFront"
    ? !arrays.flat().includes(item)
    : index !== -1;
  if (!isAllowed) return false;
  if (act !== "pushFront") array.splice(index, 1);
  if (act !== "remove") array.unshift(item);
  return true;
}

function assertAgrees(
  slots: Slots,
  list: LinkedList,
  array: readonly number[],
): void {
  assertEquals(slotsFromFront(slots, list), array);
  assertEquals(slotsFromBack(list), array.toReversed());
  assertEquals(list.back, array.at(-1) ?? 0);
  assertEquals(list.front, array[0] ?? 0);
  for (const slot of array) assert(list.has(slot));
}

/** By the links towards the back, from the sentinel on. */
function slotsFromFront(slots: Slots, list: LinkedList): number[] {
  const found: number[] = [];
  if (list.back === 0) return found;
  const sentinel = slots.word(list.back, NEXT);
  let slot = slots.word(sentinel, NEXT);
  while (slot !== sentinel) {
    found.push(slot);
    assert(found.length <= ITEMS, "the list does not end");
    slot = slots.word(slot, NEXT);
  }
  return found;
}

function slotsFromBack(list: LinkedList): number[] {
  const found: number[] = [];
  for (let slot = list.back; slot !== 0; slot = list.before(slot)) {
    found.push(slot);
    assert(found.length <= ITEMS, "the list does not end");
  }
  return found;
}

/** A list of slots with names, pushed one after the other. */
function listOf(letters: string) {
  const slots = new Slots();
  const list = new LinkedList(slots);
  const byName = new Map<string, number>();
  for (const name of letters) {
    byName.set(name, slots.allocate());
    list.pushFront(byName.get(name)!);
  }
  const nameOf = (slot: number) =>
    [...byName.keys()].find((name) => byName.get(name) === slot);
  return {
    slots,
    list,
    slot: (name: string) => byName.get(name)!,
    names: () => slotsFromFront(slots, list).map(nameOf).join(""),
    namesFromBack: () => slotsFromBack(list).map(nameOf).join(""),
  };
}

/** Where a slot is taken out of `cba`, its name, and what is left. */
function removals(): readonly (readonly [string, string, string])[] {
  return [
    ["at the front", "c", "ba"],
    ["in the middle", "b", "ca"],
    ["at the back", "a", "cb"],
  ];
}

/** Where a slot of `cba` is moved from, its name, and the new order. */
function moves(): readonly (readonly [string, string, string])[] {
  return [
    ["from the front", "c", "cba"],
    ["from the middle", "b", "bca"],
    ["from the back", "a", "acb"],
  ];
}

function reversed(text: string): string {
  return [...text].reverse().join("");
}
