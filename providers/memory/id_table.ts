/** Finds sessions by id. */
import { ID_LENGTH } from "../../core/secret/token.ts";
import { CHAIN, HASH, ID, type Slots } from "./slots.ts";

/** A word holds four characters. */
const ID_WORDS = ID_LENGTH / 4;
/** The bits of two halves that are not those of an ASCII character. */
const NOT_ASCII = 0xff80ff80;
/** Large pages are few, so that the processor's cache keeps where they lie. */
const PAGE_BITS = 16;
const PAGE_SIZE = 1 << PAGE_BITS;
const PAGE_MASK = PAGE_SIZE - 1;
/** Buckets at first, in a page that is smaller than the others. */
const FIRST_SIZE = 4096;

/**
 * Finds slots by id: a hash table with chains, whose buckets are split one at a
 * time as sessions come (linear hashing, Litwin 1980). So no session ever waits
 * until all others are moved, as one does that makes a `Map` grow.
 *
 * A manager mints the ids that it files: no visitor can choose what shares a
 * bucket, so the hash needs no secret.
 */
export class IdTable {
  readonly #slots: Slots;
  /** The first slot of each bucket. */
  readonly #pages: Int32Array[] = [new Int32Array(FIRST_SIZE)];
  #buckets = FIRST_SIZE;
  /** How many buckets there were when the splitting came to its last round. */
  #round = FIRST_SIZE;
  #size = 0;

  constructor(slots: Slots) {
    this.#slots = slots;
  }

  /** How many ids there are. */
  get size(): number {
    return this.#size;
  }

  /** The slot of an id, or 0. */
  find(id: string): number {
    if (id.length !== ID_LENGTH) return 0;
    // Variables instead of an array: a third of the time in Bun.
    const a0 = twoOf(id, 0), a1 = twoOf(id, 1);
    const b0 = twoOf(id, 4), b1 = twoOf(id, 5);
    const c0 = twoOf(id, 8), c1 = twoOf(id, 9);
    const d0 = twoOf(id, 12), d1 = twoOf(id, 13);
    const e0 = twoOf(id, 16), e1 = twoOf(id, 17);
    const f0 = twoOf(id, 20), f1 = twoOf(id, 21);
    const all = a0 | a1 | b0 | b1 | c0 | c1 | d0 | d1 | e0 | e1 | f0 | f1;
    if ((all & NOT_ASCII) !== 0) return 0;
    const a = a0 | a1 << 8;
    const b = b0 | b1 << 8;
    const c = c0 | c1 << 8;
    const d = d0 | d1 << 8;
    const e = e0 | e1 << 8;
    const f = f0 | f1 << 8;
    let slot = this.#first(this.#bucketOf(hash(a, b, c, d, e, f)));
    while (slot !== 0 && !this.#slots.hasId(slot, a, b, c, d, e, f)) {
      slot = this.#slots.word(slot, CHAIN);
    }
    return slot;
  }

  /**
   * Files a slot under an id that is not there yet.
   *
   * @param id One that {@linkcode checkId} lets pass.
   */
  add(id: string, slot: number): void {
    for (let index = 0; index < ID_WORDS; index++) {
      const at = index * 4;
      const word = twoOf(id, at) | twoOf(id, at + 1) << 8;
      this.#slots.setWord(slot, ID + index, word);
    }
    this.#slots.setWord(slot, HASH, this.#hashOf(slot));
    this.#link(slot);
    this.#size++;
    if (this.#size > this.#buckets) this.#split();
  }

  remove(slot: number): void {
    this.#unlink(slot);
    this.#size--;
  }

  idOf(slot: number): string {
    const codes = new Array<number>(ID_LENGTH);
    for (let at = 0; at < ID_LENGTH; at++) {
      const four = this.#slots.word(slot, ID + (at >> 2));
      codes[at] = four >> (at & 3) * 8 & 0x7f;
    }
    return String.fromCharCode.apply(null, codes);
  }

  /** Divides the next bucket in turn between itself and a new one. */
  #split(): void {
    const source = this.#buckets - this.#round;
    let slot = this.#first(source);
    this.#setFirst(source, 0);
    if (this.#buckets === FIRST_SIZE) this.#growFirstPage();
    else if ((this.#buckets & PAGE_MASK) === 0) {
      this.#pages.push(new Int32Array(PAGE_SIZE));
    }
    this.#buckets++;
    if (this.#buckets === this.#round * 2) this.#round = this.#buckets;
    while (slot !== 0) {
      const next = this.#slots.word(slot, CHAIN);
      this.#link(slot);
      slot = next;
    }
  }

  /** So that a provider with few sessions is small. */
  #growFirstPage(): void {
    const page = new Int32Array(PAGE_SIZE);
    page.set(this.#pages[0] as Int32Array);
    this.#pages[0] = page;
  }

  #link(slot: number): void {
    const bucket = this.#bucketOf(this.#slots.word(slot, HASH));
    this.#slots.setWord(slot, CHAIN, this.#first(bucket));
    this.#setFirst(bucket, slot);
  }

  #unlink(slot: number): void {
    const bucket = this.#bucketOf(this.#slots.word(slot, HASH));
    const rest = this.#slots.word(slot, CHAIN);
    let before = this.#first(bucket);
    if (before === slot) return this.#setFirst(bucket, rest);
    for (;;) {
      const next = this.#slots.word(before, CHAIN);
      if (next === slot) break;
      before = next;
    }
    this.#slots.setWord(before, CHAIN, rest);
  }

  #hashOf(slot: number): number {
    const slots = this.#slots;
    return hash(
      slots.word(slot, ID),
      slots.word(slot, ID + 1),
      slots.word(slot, ID + 2),
      slots.word(slot, ID + 3),
      slots.word(slot, ID + 4),
      slots.word(slot, ID + 5),
    );
  }

  #bucketOf(hash: number): number {
    const bucket = hash & (this.#round * 2 - 1);
    return bucket < this.#buckets ? bucket : hash & (this.#round - 1);
  }

  #first(bucket: number): number {
    return this.#pages[bucket >> PAGE_BITS]![bucket & PAGE_MASK]!;
  }

  #setFirst(bucket: number, slot: number): void {
    this.#pages[bucket >> PAGE_BITS]![bucket & PAGE_MASK] = slot;
  }
}

/**
 * Checks that an id is one that can be minted.
 *
 * @throws {TypeError} If it is not 24 characters of base64url.
 */
export function checkId(id: string): void {
  if (id.length === ID_LENGTH && /^[\w-]+$/.test(id)) return;
  throw new TypeError(
    `Cannot create session: an id is ${ID_LENGTH} characters of base64url: received ${id.length} characters`,
  );
}

/** Every character counts: ids in tests are seldom random. */
function hash(
  a: number,
  b: number,
  c: number,
  d: number,
  e: number,
  f: number,
): number {
  const sum = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b) ^
    Math.imul(c, 0xc2b2ae35) ^ Math.imul(d, 0x27d4eb2f) ^
    Math.imul(e, 0x165667b1) ^ Math.imul(f, 0xcc9e2d51);
  const mixed = Math.imul(sum ^ (sum >>> 15), 0x85ebca6b);
  return mixed ^ (mixed >>> 13);
}

/** The characters at `at` and two further on, as the halves of a word. */
function twoOf(id: string, at: number): number {
  return id.charCodeAt(at) | id.charCodeAt(at + 2) << 16;
}
