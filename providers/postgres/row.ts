/** How a session stands in a row, and how a row is answered and read. */
import { Buffer } from "node:buffer";
import { decode, encode } from "../../core/value/codec.ts";
import { SessionError } from "../../core/errors.ts";
import type {
  SessionChange,
  SessionRecord,
  SessionSummary,
  StoredSession,
} from "../../core/provider.ts";
import { parseUntil, toRecord, untilText } from "../../core/store/record.ts";
import { fromJsonKey, toJsonKey } from "../../core/value/json_key.ts";
import {
  emptyObject,
  put,
  type StoredData,
  type StoredValue,
} from "../../core/value/types.ts";
import type { PostgresParam } from "./client.ts";

/**
 * A text without what Postgres cannot hold, NUL and lone surrogates: written as
 * a key in the codec's JSON, because the server answers with the keys of data in
 * JSON too. Most texts stay as they are.
 */
export function escaped(text: string): string {
  return toJsonKey(text);
}

function escapedIfAny(text: string | null | undefined) {
  return typeof text === "string" ? escaped(text) : text;
}

function unescaped(text: string): string {
  const original = fromJsonKey(text);
  if (original === undefined) throw new TypeError("not an escaped text");
  return original;
}

/** The type of each column that holds something of a record. */
export const TYPES = {
  version: "bigint NOT NULL",
  secret_hash: "text NOT NULL",
  family: "text NOT NULL",
  renewed_at: "double precision NOT NULL",
  previous_hash: "text",
  previous_family: "text",
  previous_until: "text",
  principal: 'text COLLATE "C"',
  label: "text",
  authenticated_at: "double precision",
  fingerprint: "text",
  binding: "text",
  created_at: "double precision NOT NULL",
  accessed_at: "double precision NOT NULL",
  idle_timeout: "double precision NOT NULL",
  absolute_timeout: "double precision NOT NULL",
  persistent: "boolean NOT NULL",
  data: "jsonb NOT NULL",
} as const;

type Column = keyof typeof TYPES;

/** What a change can replace as a whole. */
type Replaceable = Exclude<
  keyof SessionRecord,
  "data" | "version" | "createdAt" | "accessedAt"
>;

/** The columns of those fields that a record or a change gives. */
export function columnsOf(
  source: Partial<Pick<SessionChange, Replaceable>>,
): { [Name in Column]?: PostgresParam } {
  const { previous } = source;
  const until = previous && untilText(previous.until);
  const columns: {
    [Key in Replaceable]: { [Name in Column]?: PostgresParam | undefined };
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
 * JSON of each value's text by its escaped key. The server merges by key; a
 * value is to it a text without `\u0000`, which `jsonb` would refuse, and comes
 * back to the letter.
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

/** The numbers of a row, in the order in which it is answered. */
const NUMBERS = [
  "created_at",
  "accessed_at",
  "idle_timeout",
  "absolute_timeout",
  "authenticated_at",
  "renewed_at",
] as const satisfies readonly Column[];

/** Hexadecimal digits of a double. */
const DIGITS = 16;

/**
 * Numbers as their bytes: as text they have as many digits as the connection's
 * `extra_float_digits` says, which may be too few. `NaN` stands for none.
 */
const NUMBERS_SQL = `encode(${
  NUMBERS.map((name) =>
    name === "authenticated_at"
      ? `float8send(coalesce(${name}, 'NaN'))`
      : `float8send(${name})`
  ).join(" || ")
}, 'hex')`;

/** A session as one JSON text: names as they are, whatever the client does with columns. */
export const SESSION =
  `json_build_array(id, ${NUMBERS_SQL}, label, version, secret_hash, family,
previous_hash, previous_family, previous_until, principal, fingerprint, binding,
persistent, data)::text`;

/** What a list tells of a session. */
export const SUMMARY =
  `json_build_array(id, ${NUMBERS_SQL}, label, binding)::text`;

/** What `SESSION` answers, as far as it is what this module wrote. */
type SessionRow = readonly [
  id: string,
  numbers: string,
  label: string | null,
  version: number,
  secretHash: string,
  family: string,
  previousHash: string | null,
  previousFamily: string | null,
  previousUntil: string | null,
  principal: string | null,
  fingerprint: string | null,
  binding: string | null,
  persistent: boolean,
  data: unknown,
];

/** @throws {SessionError} With code `"corrupt"` and the id. */
export function toSession(answer: string): StoredSession {
  const row: SessionRow = JSON.parse(answer);
  try {
    return { id: unescaped(row[0]), record: recordOf(row) };
  } catch {
    // An engine's own error quotes what it cannot parse.
    const id = idOf(answer);
    throw new SessionError(
      "corrupt",
      `Cannot decode session ${id}: its row is not what PostgresProvider wrote: destroy it by its id`,
      { id },
    );
  }
}

/** The same, or `undefined` if the row cannot be decoded. */
export function toSessionIfReadable(answer: string): StoredSession | undefined {
  try {
    return toSession(answer);
  } catch {
    return undefined;
  }
}

/** What `SUMMARY` answers, as far as it is what this module wrote. */
type SummaryRow = readonly [
  id: string,
  numbers: string,
  label: string | null,
  binding: string | null,
];

/** What `SUMMARY` answers, or `undefined` if it cannot be made out. */
export function toSummaryIfReadable(
  answer: string,
): SessionSummary | undefined {
  const [id, numbers, label, binding]: SummaryRow = JSON.parse(answer);
  try {
    const { renewedAt: _renewedAt, ...times } = timesOf(numbers);
    const summary: {
      [Key in keyof Required<SessionSummary>]: SessionSummary[Key];
    } = {
      id: unescaped(id),
      label: textOf(label),
      binding: textOf(binding),
      ...times,
    };
    return summary;
  } catch {
    return undefined;
  }
}

/** The id in a row whose columns may all be beyond reading. */
export function idOf(answer: string): string {
  const id = keyOf(answer);
  return fromJsonKey(id) ?? id;
}

/** The id in a row as it is stored, whatever it is. */
export function keyOf(answer: string): string {
  const [id]: SessionRow = JSON.parse(answer);
  return id;
}

function recordOf(row: SessionRow): SessionRecord {
  const [
    _id,
    numbers,
    label,
    version,
    secretHash,
    family,
    previousHash,
    previousFamily,
    previousUntil,
    principal,
    fingerprint,
    binding,
    persistent,
    data,
  ] = row;
  const fields: { [Key in keyof Required<SessionRecord>]: SessionRecord[Key] } =
    {
      data: decodeData(data),
      version,
      secretHash,
      family,
      previous: previousOf(previousHash, previousFamily, previousUntil),
      principal: textOf(principal),
      label: textOf(label),
      fingerprint: textOf(fingerprint),
      binding: textOf(binding),
      persistent,
      ...timesOf(numbers),
    };
  return toRecord(fields, version);
}

function timesOf(hex: string) {
  const bytes = Buffer.from(hex, "hex");
  if (bytes.length * 2 !== NUMBERS.length * DIGITS) {
    throw new TypeError("not the numbers");
  }
  const [
    createdAt,
    accessedAt,
    idleTimeout,
    absoluteTimeout,
    signedIn,
    renewed,
  ] = NUMBERS.map((_name, index) => bytes.readDoubleBE(index * DIGITS / 2));
  const times = {
    createdAt: finite(createdAt),
    accessedAt: finite(accessedAt),
    idleTimeout: finite(idleTimeout),
    absoluteTimeout: finite(absoluteTimeout),
    renewedAt: finite(renewed),
  };
  const authenticatedAt = Number.isNaN(signedIn) ? undefined : finite(signedIn);
  return { ...times, authenticatedAt };
}

function finite(value: number | undefined): number {
  if (Number.isFinite(value)) return value as number;
  throw new TypeError("not a number");
}

function textOf(text: string | null): string | undefined {
  return text === null ? undefined : unescaped(text);
}

function previousOf(
  secretHash: string | null,
  family: string | null,
  untilText: string | null,
): SessionRecord["previous"] {
  if (secretHash === null && family === null && untilText === null) {
    return undefined;
  }
  const until = parseUntil(untilText ?? "");
  if (secretHash === null || family === null || until === undefined) {
    throw new TypeError("not a previous secret");
  }
  return { secretHash, family, until };
}
