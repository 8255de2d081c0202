import { Buffer } from "node:buffer";
import { ID_LENGTH } from "../../core/secret/token.ts";

/** How many ids are made ready before the clock starts. */
export const BATCH = 4096;

const ALPHABET = Buffer.from(
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
  "latin1",
);

/** Characters that one 32-bit number is good for. */
const CHARACTERS = 5;

/** Numbers that make one id. */
const NUMBERS = Math.ceil(ID_LENGTH / CHARACTERS);

const batch = Buffer.alloc(BATCH * ID_LENGTH);

/**
 * Ids as requests bring them, by the numbers of their sessions: the n-th session
 * always has the same id, so that none need be kept for a store of any size.
 */
export function bringIds(
  count: number,
  numberOf: (position: number) => number,
): IdBatch {
  for (let position = 0; position < count; position++) {
    writeId(numberOf(position), position * ID_LENGTH);
  }
  return new IdBatch(batch.toString("latin1", 0, count * ID_LENGTH));
}

/** Ids of the same sessions as they are minted: each a string of its own. */
export function mintIds(
  into: string[],
  count: number,
  numberOf: (position: number) => number,
): void {
  for (let position = 0; position < count; position++) {
    writeId(numberOf(position), 0);
    into[position] = batch.toString("latin1", 0, ID_LENGTH);
  }
}

/**
 * Each id is a fresh slice, as the one cut from a `Cookie` header is. An engine keeps the hash of a string with the string, so that an id
 * used twice would hide what a look-up costs.
 */
export class IdBatch {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  at(position: number): string {
    const start = position * ID_LENGTH;
    return this.#text.slice(start, start + ID_LENGTH);
  }
}

/** The session that comes `position`-th in a walk through all of `size`. */
export function scattered(position: number, size: number): number {
  // A prime that divides no power of ten or two: no session comes up twice.
  return position * 12_582_917 % size;
}

function writeId(number: number, start: number): void {
  let bits = 0;
  for (let index = 0; index < ID_LENGTH; index++) {
    if (index % CHARACTERS === 0) {
      bits = mixed(number * NUMBERS + index / CHARACTERS);
    }
    batch[start + index] = ALPHABET[bits & 63] as number;
    bits >>>= 6;
  }
}

/** A number below 2^32 that looks random (the finalizer of MurmurHash3). */
function mixed(number: number): number {
  let bits = number ^ (number >>> 16);
  bits = Math.imul(bits, 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
