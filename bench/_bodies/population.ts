import { Buffer } from "node:buffer";
import type { NewSessionRecord } from "../../core/provider.ts";
import { hashSecret, ID_LENGTH, mintSecret } from "../../core/token.ts";
import { emptyObject } from "../../core/value.ts";
import { MemoryProvider } from "../../providers/memory.ts";

/** The characters that a provider keeps of a secret. */
const HASH_LENGTH = hashSecret(mintSecret()).length;

/** What a request tells a provider: an id, and the hash of a secret. */
const ROW_LENGTH = ID_LENGTH + HASH_LENGTH;

const ALPHABET =
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** Thirty days in seconds: nothing expires while it is measured. */
export const IDLE_TIMEOUT = 2_592_000;

/** The instant at which every bench begins. */
export const START = 1_750_000_000_000;

/**
 * What many requests bring, one after the other in one long string. Every id
 * that it hands out is a fresh slice, as the one cut from a `Cookie` header is:
 * an engine keeps the hash of a string with the string, so an id used twice
 * would hide what a look-up costs. Reading the string from front to back keeps
 * the characters in the processor's cache, where a request just received is.
 */
export class Tape {
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

/**
 * As many sessions as asked for, in a provider and in a bare `Map`, and requests
 * to them. The same for every run: the random numbers are seeded.
 */
export class Population {
  readonly size: number;
  readonly provider: MemoryProvider = new MemoryProvider({
    maxSessions: Infinity,
    maxBytes: Infinity,
  });
  readonly map: Map<string, NewSessionRecord> = new Map();
  /** Requests to any of the sessions, all equally likely. */
  readonly requests: Tape;
  /** Requests with ids that were never stored. */
  readonly strangers: Tape;
  /** The idle timeout of all sessions, in milliseconds. */
  readonly idleTime: number = IDLE_TIMEOUT * 1000;
  #now = START;

  constructor(size: number) {
    this.size = size;
    const random = randomNumbers(size);
    const rows = randomRows(size, random);
    for (const id of idsOf(rows)) {
      const at = this.map.size * ROW_LENGTH + ID_LENGTH;
      const secretHash = rows.toString("latin1", at, at + HASH_LENGTH);
      const record = newRecord(secretHash, START, IDLE_TIMEOUT);
      this.map.set(id, record);
      this.provider.create(id, record, START);
    }
    this.requests = new Tape(draw(rows, Math.min(2 ** 21, size * 128), random));
    this.strangers = new Tape(randomRows(2 ** 17, random));
  }

  /** The clock, in milliseconds since the Unix epoch. */
  get now(): number {
    return this.#now;
  }

  /** Moves the clock by a millisecond: a thousand requests in a second. */
  tick(): number {
    return ++this.#now;
  }
}

/** A record as the manager makes one, with data of its own. */
export function newRecord(
  secretHash: string,
  now: number,
  idleTimeout: number,
): NewSessionRecord {
  const data = emptyObject();
  data.visits = 1;
  return Object.freeze({
    data: Object.freeze(data),
    secretHash,
    renewedAt: now,
    principal: undefined,
    label: undefined,
    authenticatedAt: undefined,
    fingerprint: undefined,
    createdAt: now,
    accessedAt: now,
    expiresAt: now + idleTimeout * 1000,
    idleTimeout,
    absoluteTimeout: idleTimeout,
    persistent: false,
  });
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
  const ids: string[] = [];
  for (let at = 0; at < rows.length; at += ROW_LENGTH) {
    ids.push(rows.toString("latin1", at, at + ID_LENGTH));
  }
  return ids;
}

/** Rows picked at random, each as often as chance has it. */
function draw(rows: Buffer, count: number, random: () => number): Buffer {
  const drawn = Buffer.alloc(count * ROW_LENGTH);
  const size = rows.length / ROW_LENGTH;
  for (let index = 0; index < count; index++) {
    const at = (random() % size) * ROW_LENGTH;
    rows.copy(drawn, index * ROW_LENGTH, at, at + ROW_LENGTH);
  }
  return drawn;
}

/** The same rows in another order. */
export function shuffledRows(rows: Buffer, random: () => number): Buffer {
  const places = Array.from({ length: rows.length / ROW_LENGTH }, (_, i) => i);
  return Buffer.concat(
    shuffled(places, random).map((place) =>
      rows.subarray(place * ROW_LENGTH, (place + 1) * ROW_LENGTH)
    ),
  );
}

/** The same items in another order. */
export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const copy = [...items];
  for (let index = copy.length - 1; index > 0; index--) {
    const other = random() % (index + 1);
    const item = copy[index] as T;
    copy[index] = copy[other] as T;
    copy[other] = item;
  }
  return copy;
}

/** Whole numbers below 2^32, the same ones for the same seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}
