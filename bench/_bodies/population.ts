import type { NewSessionRecord } from "../../core/provider.ts";
import { emptyObject } from "../../core/value/types.ts";
import { MemoryProvider } from "../../providers/memory.ts";
import { expect } from "./bench_case.ts";
import { randomNumbers, uniform, zipf } from "./random.ts";
import {
  drawRows,
  idsOf,
  randomRows,
  Ring,
  secretHashOf,
  Tape,
} from "./tape.ts";

/** Thirty days in seconds: nothing expires while it is measured. */
export const IDLE_TIMEOUT = 2_592_000;

/** The instant at which every bench begins. */
export const START = 1_750_000_000_000;

/** The most requests that are made up beforehand. */
const MAX_REQUESTS = 2 ** 20;

/** How many ids there are that were never stored. */
const STRANGERS = 2 ** 17;

/** Which sessions requests are for. */
const DRAWS = { uniform, zipf };

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
  /** Requests to the sessions, each id a fresh string. */
  readonly requests: Tape;
  /** Requests to the sessions, each id a string that was used before. */
  readonly repeated: Ring;
  /** Requests with ids that were never stored, fresh and used before. */
  readonly strangers: Tape;
  readonly repeatedStrangers: Ring;
  /** The idle timeout of all sessions, in milliseconds. */
  readonly idleTime: number = IDLE_TIMEOUT * 1000;
  #now = START;

  constructor(size: number, drawn: keyof typeof DRAWS = "uniform") {
    this.size = size;
    const random = randomNumbers(size);
    const rows = randomRows(size, random);
    const ids = idsOf(rows);
    for (const [place, id] of ids.entries()) {
      const secretHash = secretHashOf(rows, place);
      const record = newRecord(secretHash, START, IDLE_TIMEOUT);
      this.map.set(id, record);
      this.provider.create(id, record, START);
    }
    const count = Math.min(MAX_REQUESTS, size * 128);
    const pick = DRAWS[drawn](size, random);
    this.requests = new Tape(drawRows(rows, count, pick));
    this.repeated = new Ring(
      Array.from({ length: count }, () => ids[pick()] as string),
    );
    const strangers = randomRows(STRANGERS, random);
    this.strangers = new Tape(strangers);
    // Looking for them is what makes the engine compute their hashes.
    this.repeatedStrangers = new Ring(
      idsOf(strangers).filter((id) => !this.map.has(id)),
    );
    this.#check();
  }

  /** The clock, in milliseconds since the Unix epoch. */
  get now(): number {
    return this.#now;
  }

  /** Moves the clock by a millisecond: a thousand requests in a second. */
  tick(): number {
    return ++this.#now;
  }

  #check(): void {
    expect(this.map.size === this.size, "filling the Map");
    expect(this.provider.stats().sessions === this.size, "filling the store");
    const id = this.requests.nextId();
    const secretHash = this.requests.secretHash();
    const record = this.provider.read(id, START);
    expect(record?.secretHash === secretHash, "read of a session");
    expect(this.map.get(id)?.secretHash === secretHash, "Map.get");
    const stranger = this.provider.read(this.strangers.nextId(), START);
    expect(stranger === undefined, "read of no session");
  }
}

/** What every session's family is filed as. */
export const FAMILY = "0123456789abcdef";

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
    family: FAMILY,
    renewedAt: now,
    previous: undefined,
    principal: undefined,
    label: undefined,
    authenticatedAt: undefined,
    fingerprint: undefined,
    binding: undefined,
    createdAt: now,
    accessedAt: now,
    idleTimeout,
    absoluteTimeout: 24 * idleTimeout,
    persistent: false,
  });
}
