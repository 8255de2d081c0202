/** How a session stands in a row, and how a row is answered and read. */
import { Buffer } from "node:buffer";
import { SessionError } from "../../core/errors.ts";
import type {
  SessionRecord,
  SessionSummary,
  StoredSession,
} from "../../core/provider.ts";
import {
  type Column,
  recordOf,
  type StoredTimes,
  summaryOf,
  unescaped,
} from "../../core/store/sql_row.ts";
import { fromJsonKey } from "../../core/value/json_key.ts";

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
} as const satisfies Record<Column, string>;

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
    return { id: unescaped(row[0]), record: toRecord(row) };
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
    return summaryOf(id, { label, binding }, timesOf(numbers).times);
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

function toRecord(row: SessionRow): SessionRecord {
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
  return recordOf({
    version,
    secretHash,
    family,
    previousHash,
    previousFamily,
    previousUntil,
    principal,
    label,
    fingerprint,
    binding,
    persistent,
    data,
    ...timesOf(numbers),
  });
}

function timesOf(
  hex: string,
): { readonly times: StoredTimes; readonly renewedAt: number | undefined } {
  const bytes = Buffer.from(hex, "hex");
  if (bytes.length * 2 !== NUMBERS.length * DIGITS) {
    throw new TypeError("not the numbers");
  }
  const [
    createdAt,
    accessedAt,
    idleTimeout,
    absoluteTimeout,
    authenticatedAt,
    renewedAt,
  ] = NUMBERS.map((_name, index) => bytes.readDoubleBE(index * DIGITS / 2));
  return {
    times: {
      createdAt,
      accessedAt,
      idleTimeout,
      absoluteTimeout,
      authenticatedAt,
    },
    renewedAt,
  };
}
