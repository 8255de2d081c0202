/** How the fields of a session stand in the columns of a row, and are read back. */
import type {
  SessionChange,
  SessionRecord,
  SessionSummary,
} from "../provider.ts";
import { decode, encode } from "../value/codec.ts";
import { fromJsonKey, toJsonKey } from "../value/json_key.ts";
import {
  emptyObject,
  put,
  type StoredData,
  type StoredValue,
} from "../value/types.ts";
import { parseUntil, toRecord, untilText } from "./record.ts";

/** What a column can hold. */
export type ColumnValue = string | number | boolean | null;

/** A column that holds something of a record. */
export type Column =
  | "version"
  | "secret_hash"
  | "family"
  | "renewed_at"
  | "previous_hash"
  | "previous_family"
  | "previous_until"
  | "principal"
  | "label"
  | "authenticated_at"
  | "fingerprint"
  | "binding"
  | "created_at"
  | "accessed_at"
  | "idle_timeout"
  | "absolute_timeout"
  | "persistent"
  | "data";

/**
 * A text without what some databases cannot hold, NUL and lone surrogates:
 * written as a key in the codec's JSON, because servers answer with the keys of
 * data in JSON too. Most texts stay as they are.
 */
export function escaped(text: string): string {
  return toJsonKey(text);
}

function escapedIfAny(text: string | null | undefined) {
  return typeof text === "string" ? escaped(text) : text;
}

/**
 * What {@linkcode escaped} wrote.
 *
 * @throws If it wrote no text so.
 */
export function unescaped(text: string): string {
  const original = fromJsonKey(text);
  if (original === undefined) throw new TypeError("not an escaped text");
  return original;
}

/** What a change can replace as a whole. */
type Replaceable = Exclude<
  keyof SessionRecord,
  "data" | "version" | "createdAt" | "accessedAt"
>;

/** The columns of those fields that a record or a change gives. */
export function columnsOf(
  source: Partial<Pick<SessionChange, Replaceable>>,
): { [Name in Column]?: ColumnValue } {
  const { previous } = source;
  const until = previous && untilText(previous.until);
  const columns: {
    [Key in Replaceable]: { [Name in Column]?: ColumnValue | undefined };
  } = {
    secretHash: { secret_hash: source.secretHash },
    family: { family: source.family },
    renewedAt: { renewed_at: source.renewedAt },
    previous: {
      previous_hash: previous && previous.secretHash,
      previous_family: previous && previous.family,
      previous_until: until,
    },
    principal: { principal: escapedIfAny(source.principal) },
    label: { label: escapedIfAny(source.label) },
    authenticatedAt: { authenticated_at: source.authenticatedAt },
    fingerprint: { fingerprint: escapedIfAny(source.fingerprint) },
    binding: { binding: escapedIfAny(source.binding) },
    idleTimeout: { idle_timeout: source.idleTimeout },
    absoluteTimeout: { absolute_timeout: source.absoluteTimeout },
    persistent: { persistent: source.persistent },
  };
  const given = Object.values(columns)
    .flatMap((some) => Object.entries(some))
    .filter(([, value]) => value !== undefined);
  return Object.fromEntries(given);
}

/**
 * JSON of each value's text by its escaped key. A server merges by key; a value is
 * to it a text without `\u0000`, which some refuse, and comes back to the letter.
 */
export function encodeData(data: StoredData): string {
  const texts: Record<string, StoredValue> = {};
  for (const key of Object.keys(data)) {
    put(texts, escaped(key), encode(data[key] as StoredValue));
  }
  return JSON.stringify(texts);
}

function decodeData(texts: unknown): StoredData {
  if (typeof texts !== "object" || texts === null || Array.isArray(texts)) {
    throw new TypeError("not an object");
  }
  const data = emptyObject();
  for (const [key, text] of Object.entries(texts)) {
    if (typeof text !== "string") throw new TypeError("not a text");
    put(data, unescaped(key), decode(text));
  }
  return Object.freeze(data);
}

/** The numbers of a row, as they were answered. */
export interface StoredTimes {
  readonly createdAt: number | undefined;
  readonly accessedAt: number | undefined;
  readonly idleTimeout: number | undefined;
  readonly absoluteTimeout: number | undefined;
  /** `NaN` for none. */
  readonly authenticatedAt: number | undefined;
}

/** The columns of a row, as far as they are what was written. */
export interface StoredRow {
  readonly version: number;
  readonly secretHash: string;
  readonly family: string;
  readonly previousHash: string | null;
  readonly previousFamily: string | null;
  readonly previousUntil: string | null;
  readonly principal: string | null;
  readonly label: string | null;
  readonly fingerprint: string | null;
  readonly binding: string | null;
  readonly persistent: boolean;
  readonly renewedAt: number | undefined;
  readonly times: StoredTimes;
  /** What JSON made of the column. */
  readonly data: unknown;
}

/** @throws If something is not what was written. */
export function recordOf(row: StoredRow): SessionRecord {
  const fields: { [Key in keyof Required<SessionRecord>]: SessionRecord[Key] } =
    {
      data: decodeData(row.data),
      version: row.version,
      secretHash: row.secretHash,
      family: row.family,
      renewedAt: finite(row.renewedAt),
      previous: previousOf(row),
      principal: textOf(row.principal),
      label: textOf(row.label),
      fingerprint: textOf(row.fingerprint),
      binding: textOf(row.binding),
      persistent: row.persistent,
      ...timesOf(row.times),
    };
  return toRecord(fields, row.version);
}

/** @throws If something is not what was written. */
export function summaryOf(
  id: string,
  { label, binding }: Pick<StoredRow, "label" | "binding">,
  times: StoredTimes,
): SessionSummary {
  const summary: {
    [Key in keyof Required<SessionSummary>]: SessionSummary[Key];
  } = {
    id: unescaped(id),
    label: textOf(label),
    binding: textOf(binding),
    ...timesOf(times),
  };
  return summary;
}

function timesOf(times: StoredTimes) {
  const { authenticatedAt } = times;
  return {
    createdAt: finite(times.createdAt),
    accessedAt: finite(times.accessedAt),
    idleTimeout: finite(times.idleTimeout),
    absoluteTimeout: finite(times.absoluteTimeout),
    authenticatedAt: Number.isNaN(authenticatedAt)
      ? undefined
      : finite(authenticatedAt),
  };
}

function finite(value: number | undefined): number {
  if (Number.isFinite(value)) return value as number;
  throw new TypeError("not a number");
}

function textOf(text: string | null): string | undefined {
  return text === null ? undefined : unescaped(text);
}

function previousOf(
  { previousHash, previousFamily, previousUntil }: StoredRow,
): SessionRecord["previous"] {
  const isNone = previousHash === null && previousFamily === null &&
    previousUntil === null;
  if (isNone) return undefined;
  const until = parseUntil(previousUntil ?? "");
  if (
    previousHash === null || previousFamily === null || until === undefined
  ) {
    throw new TypeError("not a previous secret");
  }
  return { secretHash: previousHash, family: previousFamily, until };
}
