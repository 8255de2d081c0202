import {
  assertEquals,
  assertFalse,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import fc from "fast-check";
import { describe, it } from "node:test";
import { LinkedList, ListElement } from "../providers/linked_list.ts";

class Item extends ListElement {
  readonly name: string;

  constructor(name: string) {
    super();
    this.name = name;
  }
}

describe("LinkedList", () => {
  it("is empty at first", () => {
    const list = new LinkedList<Item>();

    assertEquals(list.size, 0);
    assertStrictEquals(list.back, undefined);
    assertEquals(namesOf(list), "");
  });

  it("puts each new element in front of all others", () => {
    const { list } = listOf("abc");

    assertEquals(namesOf(list), "cba");
  });

  it("has at its back the element pushed first", () => {
    const { list, items } = listOf("abc");

    assertStrictEquals(list.back, items[0]);
  });

  it("counts its elements", () => {
    const { list, items } = listOf("abc");
    list.remove(items[1]!);

    assertEquals(list.size, 2);
  });

  for (const [where, name, left] of removals()) {
    it(`closes the gap that an element leaves ${where}`, () => {
      const { list, items } = listOf("abc");
      list.remove(items.find((item) => item.name === name)!);

      assertEquals(namesOf(list), left);
      assertEquals(namesFromBack(list), reversed(left));
    });
  }

  it("is empty again when its only element is removed", () => {
    const { list, items } = listOf("a");
    list.remove(items[0]!);

    assertEquals(list.size, 0);
    assertStrictEquals(list.back, undefined);
    assertEquals(namesOf(list), "");
  });

  it("leaves a removed element without links to anything", () => {
    const { list, items } = listOf("abc");
    list.remove(items[1]!);

    assertUnlinked(items[1]!);
  });

  it("takes a removed element back, in front", () => {
    const { list, items } = listOf("abc");
    list.remove(items[0]!);
    list.pushFront(items[0]!);

    assertEquals(namesOf(list), "acb");
    assertEquals(list.size, 3);
  });

  for (const [where, name, left] of moves()) {
    it(`moves an element to the front ${where}`, () => {
      const { list, items } = listOf("abc");
      list.moveToFront(items.find((item) => item.name === name)!);

      assertEquals(namesOf(list), left);
      assertEquals(namesFromBack(list), reversed(left));
      assertEquals(list.size, 3);
    });
  }

  it("moves its only element to the front and stays as it was", () => {
    const { list, items } = listOf("a");
    list.moveToFront(items[0]!);

    assertEquals(namesOf(list), "a");
    assertEquals(namesFromBack(list), "a");
  });

  it("can be iterated over more than once", () => {
    const { list } = listOf("abc");

    assertEquals([namesOf(list), namesOf(list)], ["cba", "cba"]);
  });

  it("gives every element once when each is removed on the way", () => {
    const { list } = listOf("abc");

    assertEquals(visit(list, (item) => list.remove(item)), "cba");
    assertEquals(list.size, 0);
  });

  it("gives every element once when each is moved to the front on the way", () => {
    const { list } = listOf("abc");

    assertEquals(visit(list, (item) => list.moveToFront(item)), "cba");
    assertEquals(namesOf(list), "abc");
  });

  it("refuses to push an element that it holds, and stays as it was", () => {
    const { list, items } = listOf("abc");

    assertThrows(() => list.pushFront(items[0]!), TypeError, "in a list");
    assertEquals(namesOf(list), "cba");
    assertEquals(list.size, 3);
  });

  it("refuses to push an element that another list holds", () => {
    const { list, items } = listOf("abc");
    const other = new LinkedList<Item>();

    assertThrows(() => other.pushFront(items[0]!), TypeError, "in a list");
    assertEquals(namesOf(list), "cba");
    assertEquals(other.size, 0);
  });

  it("refuses to remove an element that another list holds", () => {
    const { list, items } = listOf("abc");
    const other = listOf("x").list;

    assertThrows(() => other.remove(items[0]!), TypeError, "not in this list");
    assertEquals(namesOf(list), "cba");
    assertEquals(other.size, 1);
  });

  it("refuses to remove an element twice", () => {
    const { list, items } = listOf("abc");
    list.remove(items[0]!);

    assertThrows(() => list.remove(items[0]!), TypeError, "not in this list");
    assertEquals(list.size, 2);
  });

  it("refuses to move an element that it does not hold", () => {
    const { list } = listOf("abc");
    const stranger = new Item("x");

    assertThrows(() => list.moveToFront(stranger), TypeError);
    assertFalse([...list].includes(stranger));
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
const ITEMS = "abcdef";

interface Step {
  readonly act: "pushFront" | "remove" | "moveToFront";
  readonly list: number;
  readonly item: number;
}

function arbitraryStep(): fc.Arbitrary<Step> {
  return fc.record({
    act: fc.constantFrom("pushFront", "remove", "moveToFront"),
    list: fc.nat(LISTS - 1),
    item: fc.nat(ITEMS.length - 1),
  });
}

function playAll(steps: readonly Step[]): void {
  const items = Array.from(ITEMS, (name) => new Item(name));
  const lists = Array.from({ length: LISTS }, () => new LinkedList<Item>());
  const arrays = lists.map((): Item[] => []);
  for (const step of steps) {
    const item = items[step.item]!;
    const isAllowed = playOnArrays(step, item, arrays);
    const play = () => lists[step.list]![step.act](item);
    if (isAllowed) play();
    else assertThrows(play, TypeError);
    lists.forEach((list, index) => assertAgrees(list, arrays[index]!));
    items.filter((item) => !arrays.flat().includes(item))
      .forEach(assertUnlinked);
  }
}

/** Plays a step on the model, and tells whether it was allowed. */
function playOnArrays(
  { act, list }: Step,
  item: Item,
  arrays: Item[][],
): boolean {
  const array = arrays[list]!;
  const index = array.indexOf(item);
  const isAllowed = act === "pushFront"
    ? !arrays.flat().includes(item)
    : index !== -1;
  if (!isAllowed) return false;
  if (act !== "pushFront") array.splice(index, 1);
  if (act !== "remove") array.unshift(item);
  return true;
}

function assertAgrees(list: LinkedList<Item>, array: readonly Item[]): void {
  const names = array.map((item) => item.name).join("");
  assertEquals(namesOf(list), names);
  assertEquals(namesFromBack(list), reversed(names));
  assertEquals(list.size, array.length);
  assertStrictEquals(list.back, array.at(-1));
  for (const item of array) assertStrictEquals(item.list, list);
}

function assertUnlinked(item: Item): void {
  assertStrictEquals(item.list, undefined);
  assertStrictEquals(item.previous, undefined);
  assertStrictEquals(item.next, undefined);
}

function listOf(names: string): { list: LinkedList<Item>; items: Item[] } {
  const list = new LinkedList<Item>();
  const items = Array.from(names, (name) => new Item(name));
  for (const item of items) list.pushFront(item);
  return { list, items };
}

/** Where an element is taken out of `cba`, its name, and what is left. */
function removals(): readonly (readonly [string, string, string])[] {
  return [
    ["at the front", "c", "ba"],
    ["in the middle", "b", "ca"],
    ["at the back", "a", "cb"],
  ];
}

/** Where an element of `cba` is moved from, its name, and the new order. */
function moves(): readonly (readonly [string, string, string])[] {
  return [
    ["from the front", "c", "cba"],
    ["from the middle", "b", "bca"],
    ["from the back", "a", "acb"],
  ];
}

/** Names in the order of iteration; cut short if that does not end. */
function visit(list: LinkedList<Item>, act: (item: Item) => void): string {
  let names = "";
  const end = list.size * 2;
  for (const item of list) {
    names += item?.name;
    if (item === undefined || names.length > end) break;
    act(item);
  }
  return names;
}

function namesOf(list: LinkedList<Item>): string {
  return visit(list, () => {});
}

function namesFromBack(list: LinkedList<Item>): string {
  let names = "";
  let element: ListElement | undefined = list.back;
  while (element instanceof Item) {
    names += element.name;
    element = element.previous;
  }
  return names;
}

function reversed(text: string): string {
  return [...text].reverse().join("");
}
