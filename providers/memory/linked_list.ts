/** Keeps slots in the order of their use, the list of the book. */
import { NEXT, PREVIOUS, type Slots } from "./slots.ts";

/**
 * A doubly linked list of slots: a ring closed by one sentinel, a slot as well,
 * so that its first and its last element are like all others. Every operation
 * takes constant time. A slot is in one list at a time, or in none, and knows the
 * sentinel of that.
 */
export class LinkedList {
  /** Stands before the front and behind the back; a slot as well. */
  readonly sentinel: number;
  readonly #slots: Slots;

  /** An empty list of some of these slots. */
  constructor(slots: Slots) {
    this.#slots = slots;
    this.sentinel = slots.allocate();
    slots.setWord(this.sentinel, NEXT, this.sentinel);
    slots.setWord(this.sentinel, PREVIOUS, this.sentinel);
  }

  /**
   * Moves a slot in front of all others of its list, whichever that is: the one
   * operation that every request asks for, so it takes no look at a list object.
   *
   * @throws {TypeError} If the slot is in no list.
   */
  static moveToFront(slots: Slots, slot: number): void {
    const sentinel = slots.list(slot);
    if (sentinel === 0) {
      throw new TypeError("Cannot move slot: it is in no list");
    }
    const previous = slots.word(slot, PREVIOUS);
    if (previous === sentinel) return;
    link(slots, previous, slots.word(slot, NEXT));
    link(slots, slot, slots.word(sentinel, NEXT));
    link(slots, sentinel, slot);
  }

  /** The first slot, or 0. */
  get front(): number {
    const next = this.#slots.word(this.sentinel, NEXT);
    return next === this.sentinel ? 0 : next;
  }

  /** The last slot, or 0. */
  get back(): number {
    return this.before(this.sentinel);
  }

  /** Whether a slot is in this list. */
  has(slot: number): boolean {
    return this.#slots.list(slot) === this.sentinel;
  }

  /**
   * Puts a slot in front of all others.
   *
   * @throws {TypeError} If it is in a list already.
   */
  pushFront(slot: number): void {
    const slots = this.#slots;
    if (slots.list(slot) !== 0) {
      throw new TypeError("Cannot push slot: it is in a list already");
    }
    slots.setList(slot, this.sentinel);
    link(slots, slot, slots.word(this.sentinel, NEXT));
    link(slots, this.sentinel, slot);
  }

  /**
   * Takes a slot out.
   *
   * @throws {TypeError} If it is not in this list.
   */
  remove(slot: number): void {
    if (!this.has(slot)) {
      throw new TypeError("Cannot remove slot: it is not in this list");
    }
    const slots = this.#slots;
    link(slots, slots.word(slot, PREVIOUS), slots.word(slot, NEXT));
    slots.setList(slot, 0);
  }

  /** The neighbour of a slot towards the front, or 0. */
  before(slot: number): number {
    const previous = this.#slots.word(slot, PREVIOUS);
    return previous === this.sentinel ? 0 : previous;
  }

  /**
   * Takes out all slots behind one and gives them back, without a look at each:
   * they are linked as free slots are. Their records must be gone.
   *
   * @param slot The last one to keep, or 0 to keep none.
   */
  freeBehind(slot: number): void {
    const slots = this.#slots;
    const last = slot === 0 ? this.sentinel : slot;
    const first = slots.word(last, NEXT);
    if (first === this.sentinel) return;
    slots.freeRun(first, slots.word(this.sentinel, PREVIOUS));
    link(slots, last, this.sentinel);
  }

  /** Gives the sentinel back. The list is of no use then, and has to be empty. */
  dispose(): void {
    this.#slots.free(this.sentinel);
  }
}

/** Makes two slots neighbours. */
function link(slots: Slots, front: number, back: number): void {
  slots.setWord(front, NEXT, back);
  slots.setWord(back, PREVIOUS, front);
}
