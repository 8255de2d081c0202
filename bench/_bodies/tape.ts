import { Buffer } from "node:buffer";
import { hashSecret, ID_LENGTH, mintSecret } from "../../core/secret/token.ts";
import { shuffled } from "./random.ts";

/** The characters that a provider keeps of a secret. */
const HASH_LENGTH = hashSecret(mintSecret()).length;

/** What a request tells a provider: an id, and the hash of a secret. */
const ROW_LENGTH = ID_LENGTH + HASH_LENGTH;

const ALPHABET =
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** Requests in some order, over and over again. */
export interface Visits {
  /** The id that the next one comes with. */
  nextId(): string;
}

/**
 * What many requests bring, one after the other in one long string. Every id
 * that it hands out is a fresh slice, as the one cut from a `Cookie` header is:
 * an engine keeps the hash of a string with the string, so an id used twice
 * would hide what a look-up costs. Reading the string from front to back keeps
 * the characters in the processor's cache, where a request just received is.
 */
export class Tape implements Visits {
  readonly #text: string;
  #at: number;

  constructor(rows: Buffer) {
    this.#text = rows.toString("latin1");
    this.#at = this.#text.length - ROW_LENGTH;
  }

  /** Goes on to the next request, from the last one to the first. */
  nextId(): string {
    const next = this.#at + ROW_LENGTH;
    this.#at = next < this.#text.length ? next : 0;
    return this.#text.slice(this.#at, this.#at + ID_LENGTH);
  }

  /** The hash that the request of the last id brought, fresh as well. */
  secretHash(): string {
    return this.#text.slice(this.#at + ID_LENGTH, this.#at + ROW_LENGTH);
  }
}

/** Ids whose hashes the engine knows: the same strings again and again. */
export class Ring implements Visits {
  readonly #ids: readonly string[];
  #at = -1;

  constructor(ids: readonly string[]) {
    this.#ids = ids;
  }

  nextId(): string {
    this.#at = this.#at + 1 < this.#ids.length ? this.#at + 1 : 0;
    return this.#ids[this.#at] as string;
  }
}

/** As many rows of random base64url, in ASCII. */
export function randomRows(count: number, random: () => number): Buffer {
  const rows = Buffer.alloc(count * ROW_LENGTH);
  const alphabet = Buffer.from(ALPHABET, "latin1");
  let bits = 0;
  for (let index = 0; index < rows.length; index++) {
    if (index % 5 === 0) bits = random();
    rows[index] = alphabet[bits & 63] as number;
    bits >>>= 6;
  }
  return rows;
}

/** The ids of rows, each a string of its own. */
export function idsOf(rows: Buffer): string[] {
  const count = rows.length / ROW_LENGTH;
  return Array.from({ length: count }, (_, place) => idAt(rows, place));
}

/** The id in one of the rows, a string of its own. */
export function idAt(rows: Buffer, place: number): string {
  const at = place * ROW_LENGTH;
  return rows.toString("latin1", at, at + ID_LENGTH);
}

/** The hash of a secret in one of the rows, a string of its own. */
export function secretHashOf(rows: Buffer, place: number): string {
  const end = (place + 1) * ROW_LENGTH;
  return rows.toString("latin1", end - HASH_LENGTH, end);
}

/** As many rows, each the one that `pick` picks. */
export function drawRows(
  rows: Buffer,
  count: number,
  pick: () => number,
): Buffer {
  const drawn = Buffer.alloc(count * ROW_LENGTH);
  for (let index = 0; index < count; index++) {
    const at = pick() * ROW_LENGTH;
    rows.copy(drawn, index * ROW_LENGTH, at, at + ROW_LENGTH);
  }
  return drawn;
}

/** The same rows in another order. */
export function shuffledRows(rows: Buffer, random: () => number): Buffer {
  const count = rows.length / ROW_LENGTH;
  const places = shuffled(Array.from({ length: count }, (_, i) => i), random);
  let at = 0;
  return drawRows(rows, count, () => places[at++] as number);
}
