/** Sessions in a provider and in a bare `Map`, and requests to them. */
import type { NewSessionRecord } from "../../core/provider.ts";
import { emptyObject } from "../../core/value/types.ts";
import { MemoryProvider } from "../../providers/memory.ts";
import { expect } from "../_harness/case.ts";
import { hashOf, idOf, ringOf, STRANGER, Tape } from "./ids.ts";
import { randomNumbers, uniform, type zipf } from "./random.ts";

/** Thirty days in seconds: nothing expires while it is measured. */
export const IDLE_TIMEOUT = 2_592_000;

/** The instant at which every bench begins. */
export const START = 1_750_000_000_000;

/** What every session's family is filed as. */
export const FAMILY = "0123456789abcdef";

/** The most requests that are made up beforehand. */
const MAX_REQUESTS = 2 ** 20;

/** How many ids there are that were never stored. */
const STRANGERS = 2 ** 17;

/** A provider that never evicts. */
export function unboundedProvider(): MemoryProvider {
  return new MemoryProvider({ maxSessions: Infinity, maxBytes: Infinity });
}

/** Where ids come from. */
export type Ids = Pick<Tape, "nextId">;

/** As many sessions as asked for; the same for every run. */
export class Population {
  readonly size: number;
  readonly provider: MemoryProvider = unboundedProvider();
  readonly map: Map<string, NewSessionRecord> = new Map();
  /** Requests to the sessions, each id a fresh string, or one used before. */
  readonly requests: Tape;
  readonly repeated: Ids;
  /** Requests with ids that were never stored, likewise. */
  readonly strangers: Tape = new Tape(STRANGERS, (at) => STRANGER + at);
  readonly repeatedStrangers: Ids;
  /** The clock, in milliseconds since the Unix epoch. */
  now: number = START;

  /** @param draw Which sessions requests are for. */
  constructor(size: number, draw: typeof uniform | typeof zipf = uniform) {
    this.size = size;
    for (let number = 0; number < size; number++) {
      const record = newRecord(hashOf(number), START, IDLE_TIMEOUT);
      const id = idOf(number);
      this.map.set(id, record);
      this.provider.create(id, record, START);
    }
    const length = Math.min(MAX_REQUESTS, size * 128);
    const pick = draw(size, randomNumbers(size));
    this.requests = new Tape(length, pick);
    const ids = [...this.map.keys()];
    const next = () => ids[pick()] as string;
    this.repeated = ringOf(Array.from({ length }, next));
    const absent = Array.from(
      { length: STRANGERS },
      (_, at) => idOf(STRANGER + at),
    );
    // Looking for them is what makes the engine compute their hashes.
    this.repeatedStrangers = ringOf(absent.filter((id) => !this.map.has(id)));
    expect(this.map.size === size, "filling the Map");
    expect(this.provider.stats().sessions === size, "filling the store");
    const read = (id: string) => this.provider.read(id, START)?.secretHash;
    expect(read(idOf(0)) === hashOf(0), "read of a session");
    expect(read(idOf(STRANGER)) === undefined, "read of no session");
  }

  /** Moves the clock by a millisecond: a thousand requests in a second. */
  tick(): number {
    return ++this.now;
  }
}

/** A record as the manager makes one, with data of its own. */
export function newRecord(
  secretHash: string,
  now: number,
  idleTimeout: number,
): NewSessionRecord {
  const data = Object.freeze(Object.assign(emptyObject(), { visits: 1 }));
  return Object.freeze({
    data,
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
