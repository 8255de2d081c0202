import { LIST, NEXT, PREVIOUS, type Slots } from "./memory/slots.ts";

/**
 * A doubly linked list of slots: a ring closed by one sentinel, a slot as well,
 * so that no operation has a special case for an empty list, its first or its
 * last element. Every operation takes constant time. A slot is in
 * one list at a time, or in none.
 */
export class LinkedList {
  readonly #slots: Slots;
  readonly #number: number;
  /** Stands before the front and behind the back. */
  readonly #sentinel: number;

  /**
   * An empty list.
   *
   * @param slots Whose slots it is made of.
   * @param number Tells it from other lists of these; at least 1.
   */
  constructor(slots: Slots, number: number) {
    this.#slots = slots;
    this.#number = number;
    this.#sentinel = slots.allocate();
    slots.setWord(this.#sentinel, NEXT, this.#sentinel);
    slots.setWord(this.#sentinel, PREVIOUS, this.#sentinel);
  }

  /** The last slot, or 0. */
  get back(): number {
    const last = this.#slots.word(this.#sentinel, PREVIOUS);
    return last === this.#sentinel ? 0 : last;
  }

  /** Whether a slot is in this list. */
  has(slot: number): boolean {
    return this.#slots.word(slot, LIST) === this.#number;
  }

  /**
   * Puts a slot in front of all others.
   *
   * @throws {TypeError} If it is in a list already.
   */
  pushFront(slot: number): void {
    if (this.#slots.word(slot, LIST) !== 0) {
      throw new TypeError("Cannot push slot: it is in a list already");
    }
    this.#slots.setWord(slot, LIST, this.#number);
    this.#linkFront(slot);
  }

  /**
   * Takes a slot out.
   *
   * @throws {TypeError} If it is not in this list.
   */
  remove(slot: number): void {
    this.#checkMember("remove", slot);
    this.#unlink(slot);
    this.#slots.setWord(slot, LIST, 0);
  }

  /**
   * Moves a slot in front of all others.
   *
   * @throws {TypeError} If it is not in this list.
   */
  moveToFront(slot: number): void {
    this.#checkMember("move", slot);
    if (this.#slots.word(slot, PREVIOUS) === this.#sentinel) return;
    this.#unlink(slot);
    this.#linkFront(slot);
  }

  /** The neighbour of a slot towards the front, or 0. */
  before(slot: number): number {
    const previous = this.#slots.word(slot, PREVIOUS);
    return previous === this.#sentinel ? 0 : previous;
  }

  /**
   * Takes out all slots behind one without a look at them: for slots that were
   * freed meanwhile.
   *
   * @param slot 0 for all there are.
   */
  removeBehind(slot: number): void {
    const last = slot === 0 ? this.#sentinel : slot;
    this.#slots.setWord(last, NEXT, this.#sentinel);
    this.#slots.setWord(this.#sentinel, PREVIOUS, last);
  }

  /** Gives the sentinel back. The list is of no use then, and has to be empty. */
  dispose(): void {
    this.#slots.free(this.#sentinel);
  }

  #linkFront(slot: number): void {
    const slots = this.#slots;
    const first = slots.word(this.#sentinel, NEXT);
    slots.setWord(slot, PREVIOUS, this.#sentinel);
    slots.setWord(slot, NEXT, first);
    slots.setWord(first, PREVIOUS, slot);
    slots.setWord(this.#sentinel, NEXT, slot);
  }

  #unlink(slot: number): void {
    const slots = this.#slots;
    const previous = slots.word(slot, PREVIOUS);
    const next = slots.word(slot, NEXT);
    slots.setWord(previous, NEXT, next);
    slots.setWord(next, PREVIOUS, previous);
  }

  #checkMember(doing: string, slot: number): void {
    if (!this.has(slot)) {
      throw new TypeError(`Cannot ${doing} slot: it is not in this list`);
    }
  }
}
