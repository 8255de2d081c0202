/** Ids as requests bring them, made from the numbers of their sessions. */
import { Buffer } from "node:buffer";
import { hashSecret, ID_LENGTH, mintSecret } from "../../core/secret/token.ts";

/** The characters that a provider keeps of a secret. */
const HASH_LENGTH = hashSecret(mintSecret()).length;

const ALPHABET = Buffer.from(
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
  "latin1",
);

/** The first session that no store has. */
export const STRANGER = 100_000_000;

const single = Buffer.alloc(HASH_LENGTH);

/** The id of a session: always the same characters, in a string of its own. */
export function idOf(number: number): string {
  writeTo(single.subarray(0, ID_LENGTH), number * 32);
  return single.toString("latin1", 0, ID_LENGTH);
}

/** The hash of its secret. */
export function hashOf(number: number): string {
  writeTo(single, number * 32 + 8);
  return single.toString("latin1");
}

/**
 * The ids of many requests, over and over again, in one long string. Every id that
 * it hands out is a fresh slice, as the one cut from a `Cookie` header is: an
 * engine keeps the hash of a string with the string, so an id used twice would
 * hide what a look-up costs. Reading the string from front to back keeps the
 * characters in the processor's cache, where a request just received is.
 */
export class Tape {
  /** How many ids it has. */
  readonly length: number;
  readonly #text: string;
  #at = 0;

  /** @param numberOf The session that the `position`-th request is for. */
  constructor(length: number, numberOf: (position: number) => number) {
    const ids = Buffer.alloc(length * ID_LENGTH);
    for (let position = 0; position < length; position++) {
      const start = position * ID_LENGTH;
      writeTo(ids.subarray(start, start + ID_LENGTH), numberOf(position) * 32);
    }
    this.length = length;
    this.#text = ids.toString("latin1");
  }

  nextId(): string {
    const start = this.#at;
    this.#at = start + ID_LENGTH < this.#text.length ? start + ID_LENGTH : 0;
    return this.#text.slice(start, start + ID_LENGTH);
  }
}

/** Ids whose hashes the engine knows: the same strings again and again. */
export function ringOf(ids: readonly string[]) {
  let at = -1;
  const nextId = () => ids[at = at + 1 < ids.length ? at + 1 : 0] as string;
  return { nextId };
}

function writeTo(buffer: Buffer, seed: number): void {
  let bits = 0;
  for (let index = 0; index < buffer.length; index++) {
    // One number is good for five characters.
    if (index % 5 === 0) bits = mixed(seed + index / 5);
    buffer[index] = ALPHABET[bits & 63] as number;
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
