/** Finds the list whose last session expires before those of all others. */
import type { LinkedList } from "./linked_list.ts";
import { ACCESSED_AT, IDLE_TIME, PLACE, type Slots } from "./slots.ts";

/**
 * Lists that are not empty, in a binary heap by when their last slots expire.
 *
 * It is not told when a session is used, because that is what every request
 * does. So the deadline that it knows of a list may be an earlier one, and is
 * set right when that list comes first. `add`, `remove` and `first` take
 * logarithmic time in the number of lists, averaged over all calls, the uses
 * included.
 */
export class DeadlineHeap {
  readonly #slots: Slots;
  readonly #lists: LinkedList[] = [];
  /** Those of the lists in the same places, in the past perhaps. */
  readonly #deadlines: number[] = [];

  /** An empty heap for lists of these slots. */
  constructor(slots: Slots) {
    this.#slots = slots;
  }

  /** The list whose last slot expires first. */
  get first(): LinkedList | undefined {
    for (;;) {
      const list = this.#lists[0];
      if (list === undefined) return undefined;
      const deadline = this.#deadlineOf(list);
      if (!(deadline > this.earliest)) return list;
      this.#sink(list, deadline, 0);
    }
  }

  /** An instant before which no list has a slot that expires. */
  get earliest(): number {
    return this.#deadlines[0] ?? Infinity;
  }

  /** The same instant for all lists but the first. */
  get secondEarliest(): number {
    const deadlines = this.#deadlines;
    return Math.min(deadlines[1] ?? Infinity, deadlines[2] ?? Infinity);
  }

  /** The list that a sentinel of this heap belongs to. */
  listOf(sentinel: number): LinkedList {
    return this.#lists[this.#slots.word(sentinel, PLACE)] as LinkedList;
  }

  /** Takes a list in that is not empty. */
  add(list: LinkedList): void {
    this.#rise(list, this.#deadlineOf(list), this.#lists.length);
  }

  /** Takes a list out. */
  remove(list: LinkedList): void {
    const place = this.#slots.word(list.sentinel, PLACE);
    const last = this.#lists.pop() as LinkedList;
    const deadline = this.#deadlines.pop() as number;
    if (last === list) return;
    this.#sink(last, deadline, place);
    this.#rise(last, deadline, this.#slots.word(last.sentinel, PLACE));
  }

  #deadlineOf(list: LinkedList): number {
    return this.#slots.time(list.back, ACCESSED_AT) +
      this.#slots.time(list.sentinel, IDLE_TIME);
  }

  /** Puts a list into a free place, or one towards the first. */
  #rise(list: LinkedList, deadline: number, from: number): void {
    let place = from;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!(deadline < (this.#deadlines[parent] as number))) break;
      this.#move(parent, place);
      place = parent;
    }
    this.#put(list, deadline, place);
  }

  /** Puts a list into a free place, or one away from the first. */
  #sink(list: LinkedList, deadline: number, from: number): void {
    const deadlines = this.#deadlines;
    let place = from;
    for (;;) {
      const left = place * 2 + 1;
      if (left >= deadlines.length) break;
      const right = left + 1;
      const isRight = right < deadlines.length &&
        (deadlines[right] as number) < (deadlines[left] as number);
      const child = isRight ? right : left;
      if (!((deadlines[child] as number) < deadline)) break;
      this.#move(child, place);
      place = child;
    }
    this.#put(list, deadline, place);
  }

  #move(from: number, to: number): void {
    const list = this.#lists[from] as LinkedList;
    this.#put(list, this.#deadlines[from] as number, to);
  }

  #put(list: LinkedList, deadline: number, place: number): void {
    this.#lists[place] = list;
    this.#deadlines[place] = deadline;
    this.#slots.setWord(list.sentinel, PLACE, place);
  }
}
