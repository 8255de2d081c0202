/** Keeps the numbers of all sessions in typed arrays, a cache line each. */
import type { SessionRecord } from "../../core/provider.ts";

/** The first of the six words that hold the id, four characters each. */
export const ID = 0;
/** From when on no use prolongs the session: words 6 and 7. */
export const ENDS_AT = 3;
/** When the session was last used: words 8 and 9. */
export const ACCESSED_AT = 4;
/** The neighbour in the list towards the back. */
export const NEXT = 10;
/** The neighbour in the list towards the front. */
export const PREVIOUS = 11;
/** The list that it is in, by its sentinel, or 0; the low bits are flags. */
const STATE = 12;
/** The next slot in the same bucket; see `id_table.ts`. */
export const CHAIN = 13;
/** How many bytes the data takes as text. */
export const BYTES = 14;
/** The hash of the id. */
export const HASH = 15;

/** Of a sentinel: the idle timeout of its list, in milliseconds: words 0 and 1. */
export const IDLE_TIME = 0;
/** Of a sentinel: the kind of sessions in its list; see `lanes.ts`. */
export const KIND = 2;
/** Of a sentinel: the place of its list in a heap; see `deadline_heap.ts`. */
export const PLACE = 3;

/** A flag: the session was used since its record was written. */
export const TOUCHED = 1;
/** A flag: when its record was written, it began later than it was last used. */
export const AHEAD = 2;
const FLAG_BITS = 2;
const FLAG_MASK = (1 << FLAG_BITS) - 1;

/** Words of a slot. */
const WORDS = 16;
/** Instants that would fit into a slot. */
const TIMES = WORDS / 2;
/**
 * The larger the pages, the fewer, and the processor's cache keeps where they
 * lie; but one of 65,536 slots holds up the session that needs it for 2 ms.
 */
const PAGE_BITS = 14;
const PAGE_SIZE = 1 << PAGE_BITS;
const PAGE_MASK = PAGE_SIZE - 1;
/** Slots of the first page at first. */
const FIRST_SIZE = 64;
/** By how much the first page grows: to 1,024 slots, and then to its full size. */
const GROWTH = 16;

/**
 * Numbered places for sessions: sixteen 32-bit words each, and a record.
 *
 * A slot is one line of the processor's cache, and holds all that it takes to
 * find a session, to see that it is live, and to move it in its list: what a
 * request costs in a large store is waiting for memory, and this asks for the
 * least of it. It is also nothing that the engine's collector has to follow.
 *
 * Slots come in pages, so that making room moves no more than the first page
 * while that is small, and a slot keeps its number as long as its session lives.
 * There is no slot 0: as a link, 0 means none.
 */
export class Slots {
  readonly #words: Int32Array[] = [];
  readonly #times: Float64Array[] = [];
  readonly #records: (SessionRecord | undefined)[][] = [];
  /** The slot freed last; the others follow by `NEXT`. */
  #free = 0;
  #end = 0;

  constructor() {
    this.allocate();
  }

  /** All slots given out so far are below this one. */
  get end(): number {
    return this.#end;
  }

  /** A slot that is in no list, and has neither a record nor a flag. */
  allocate(): number {
    const slot = this.#free;
    if (slot === 0) return this.#extend();
    this.#free = this.word(slot, NEXT);
    this.setWord(slot, STATE, 0);
    return slot;
  }

  /** Takes a slot back that has no record any more. */
  free(slot: number): void {
    this.freeRun(slot, slot);
  }

  /**
   * Takes slots back that are linked by `NEXT` from the first to the last, and
   * have no record any more.
   */
  freeRun(first: number, last: number): void {
    this.setWord(last, NEXT, this.#free);
    this.#free = first;
  }

  word(slot: number, field: number): number {
    const page = this.#words[slot >> PAGE_BITS] as Int32Array;
    return page[(slot & PAGE_MASK) * WORDS + field] as number;
  }

  setWord(slot: number, field: number, value: number): void {
    const page = this.#words[slot >> PAGE_BITS] as Int32Array;
    page[(slot & PAGE_MASK) * WORDS + field] = value;
  }

  /** Whether these are the words of its id. */
  hasId(
    slot: number,
    a: number,
    b: number,
    c: number,
    d: number,
    e: number,
    f: number,
  ): boolean {
    const page = this.#words[slot >> PAGE_BITS] as Int32Array;
    const start = (slot & PAGE_MASK) * WORDS + ID;
    return page[start] === a && page[start + 1] === b &&
      page[start + 2] === c && page[start + 3] === d &&
      page[start + 4] === e && page[start + 5] === f;
  }

  /** The list that it is in, by its sentinel, or 0. */
  list(slot: number): number {
    return this.word(slot, STATE) >>> FLAG_BITS;
  }

  setList(slot: number, list: number): void {
    const flags = this.word(slot, STATE) & FLAG_MASK;
    this.setWord(slot, STATE, list << FLAG_BITS | flags);
  }

  hasFlag(slot: number, flag: number): boolean {
    return (this.word(slot, STATE) & flag) !== 0;
  }

  raise(slot: number, flag: number): void {
    this.setWord(slot, STATE, this.word(slot, STATE) | flag);
  }

  lower(slot: number, flags: number): void {
    this.setWord(slot, STATE, this.word(slot, STATE) & ~flags);
  }

  /** Milliseconds since the Unix epoch. */
  time(slot: number, field: number): number {
    const page = this.#times[slot >> PAGE_BITS] as Float64Array;
    return page[(slot & PAGE_MASK) * TIMES + field] as number;
  }

  setTime(slot: number, field: number, value: number): void {
    const page = this.#times[slot >> PAGE_BITS] as Float64Array;
    page[(slot & PAGE_MASK) * TIMES + field] = value;
  }

  record(slot: number): SessionRecord | undefined {
    return this.#records[slot >> PAGE_BITS]?.[slot & PAGE_MASK];
  }

  setRecord(slot: number, record: SessionRecord | undefined): void {
    const page = this.#records[slot >> PAGE_BITS];
    (page as (SessionRecord | undefined)[])[slot & PAGE_MASK] = record;
  }

  #extend(): number {
    const slot = this.#end++;
    const place = slot & PAGE_MASK;
    const room = this.#records.at(-1)?.length;
    if (place === 0) {
      this.#pushPage(room === undefined ? FIRST_SIZE : PAGE_SIZE);
    } else if (place === room) this.#growFirstPage(room * GROWTH);
    return slot;
  }

  #pushPage(size: number): void {
    const buffer = new ArrayBuffer(
      size * WORDS * Int32Array.BYTES_PER_ELEMENT,
    );
    this.#words.push(new Int32Array(buffer));
    this.#times.push(new Float64Array(buffer));
    this.#records.push(new Array(size).fill(undefined));
  }

  /** So that a provider with few sessions is small. */
  #growFirstPage(size: number): void {
    const [words] = this.#words.splice(0);
    const [records] = this.#records.splice(0);
    this.#times.splice(0);
    this.#pushPage(size);
    this.#words[0]?.set(words as Int32Array);
    for (const [slot, record] of (records ?? []).entries()) {
      this.setRecord(slot, record);
    }
  }
}
