import { LinkedList } from "../../providers/memory/linked_list.ts";
import { Slots } from "../../providers/memory/slots.ts";
import { type BenchCase, CALLS, compare, sizeName } from "./bench_case.ts";
import { randomNumbers, uniform } from "./random.ts";
import { Stage } from "./stage.ts";

/**
 * What the memory provider asks of its list, beside a `Set`, which keeps the
 * order in which its items were added: its first one is the list's last one.
 */
export function listCases(size: number): BenchCase[] {
  const stage = new Stage(() => new Line(size));
  const prepare = () => stage.enter();
  const task = { column: sizeName(size), operations: CALLS };
  const slow = { calls: size > 1e3 ? 10 : undefined };
  return [
    ...compare({ ...task, group: "move to the front" }, [
      { name: "Set.delete, then .add", prepare, run: () => moveInSet(stage) },
      {
        name: "ours: LinkedList.moveToFront",
        prepare,
        run: () => moveInList(stage),
      },
    ]),
    ...compare({ ...task, group: "remove and push again" }, [
      { name: "Set.delete, then .add", prepare, run: () => moveInSet(stage) },
      {
        name: "ours: LinkedList.remove, then .pushFront",
        prepare,
        run: () => replaceInList(stage),
      },
    ]),
    ...compare({ ...task, ...slow, group: "the last to the front" }, [
      {
        name: "Set, first value, .delete, then .add",
        prepare,
        run: () => rotateSet(stage),
      },
      {
        name: "ours: LinkedList.back, then .moveToFront",
        prepare,
        run: () => rotateList(stage),
      },
    ]),
  ];
}

/** Slots in a list and in a `Set`, and some of them picked at random. */
class Line {
  readonly slots: Slots = new Slots();
  readonly list: LinkedList;
  readonly set: Set<number> = new Set();
  readonly #picked: readonly number[];
  #at = 0;

  constructor(size: number) {
    this.list = new LinkedList(this.slots);
    const all = Array.from({ length: size }, () => this.slots.allocate());
    for (const slot of all) {
      this.list.pushFront(slot);
      this.set.add(slot);
    }
    const pick = uniform(size, randomNumbers(size));
    this.#picked = Array.from(
      { length: 2 ** 17 },
      () => all[pick()] as number,
    );
  }

  next(): number {
    this.#at = (this.#at + 1) % this.#picked.length;
    return this.#picked[this.#at] as number;
  }
}

function moveInSet({ value: line }: Stage<Line>): number {
  let moved = 0;
  for (let call = 0; call < CALLS; call++) {
    const slot = line.next();
    if (line.set.delete(slot)) moved++;
    line.set.add(slot);
  }
  return moved;
}

function moveInList({ value: line }: Stage<Line>): number {
  const { list, slots } = line;
  let moved = 0;
  for (let call = 0; call < CALLS; call++) {
    const slot = line.next();
    LinkedList.moveToFront(slots, slot);
    if (list.before(slot) === 0) moved++;
  }
  return moved;
}

function replaceInList({ value: line }: Stage<Line>): number {
  const { list } = line;
  let replaced = 0;
  for (let call = 0; call < CALLS; call++) {
    const slot = line.next();
    list.remove(slot);
    list.pushFront(slot);
    if (list.before(slot) === 0) replaced++;
  }
  return replaced;
}

function rotateSet({ value: { set } }: Stage<Line>): number {
  let rotated = 0;
  for (let call = 0; call < CALLS; call++) {
    const [oldest] = set;
    if (oldest === undefined) continue;
    set.delete(oldest);
    set.add(oldest);
    rotated++;
  }
  return rotated;
}

function rotateList({ value: { list, slots } }: Stage<Line>): number {
  let rotated = 0;
  for (let call = 0; call < CALLS; call++) {
    const { back } = list;
    if (back === 0) continue;
    LinkedList.moveToFront(slots, back);
    rotated++;
  }
  return rotated;
}
