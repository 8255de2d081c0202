/**
 * Makes the ids, hashes and records that tests hand to a provider.
 *
 * @module
 */
import type { NewSessionRecord } from "../core/provider.ts";
import {
  emptyObject,
  put,
  type StoredData,
  type StoredValue,
} from "../core/value/types.ts";

/** An instant to begin at, in milliseconds since the Unix epoch. */
export const START = 1_700_000_000_000;

/** What a test may choose of a record, and when its last request was. */
export interface RecordOptions extends Partial<NewSessionRecord> {
  readonly now?: number;
}

/** An id of the right shape: 24 characters of base64url. */
export function makeId(number: number): string {
  return `id${number.toString(36).padStart(22, "-")}`;
}

/** A hash of the right shape: 64 characters. */
export function makeHash(name: string): string {
  return name.padEnd(64, "_");
}

/** A family of the right shape: 16 characters. */
export function makeFamily(name: string): string {
  return name.padEnd(16, "_");
}

/** Data as the manager hands it over: frozen, without prototype. */
export function makeData(
  entries: Iterable<readonly [string, StoredValue]> = [],
): StoredData {
  const data = emptyObject();
  for (const [key, value] of entries) put(data, key, value);
  return Object.freeze(data);
}

/** An hour's session that was created and used at `now`, unless told. */
export function makeRecord(options: RecordOptions = {}): NewSessionRecord {
  const { now = START, ...fields } = options;
  return Object.freeze({
    data: makeData(),
    secretHash: makeHash("secret"),
    family: makeFamily("secret"),
    renewedAt: now,
    createdAt: now,
    accessedAt: now,
    idleTimeout: 3600,
    absoluteTimeout: 43_200,
    persistent: false,
    ...fields,
  });
}
