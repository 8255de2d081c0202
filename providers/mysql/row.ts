/** How a session stands in a row, and how a row is answered and read. */
import { SessionError } from "../../core/errors.ts";
import type { SessionSummary, StoredSession } from "../../core/provider.ts";
import {
  type Column,
  recordOf,
  type StoredTimes,
  summaryOf,
  unescaped,
} from "../../core/store/sql_row.ts";
import { fromJsonKey } from "../../core/value/json_key.ts";

/** Compared by bytes: no collation folds cases or accents, or ignores spaces. */
const BYTES = "VARBINARY(255)";

const TEXT = "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";

/** The type of each column that holds something of a record. */
export const TYPES = {
  version: "BIGINT NOT NULL",
  secret_hash: `${BYTES} NOT NULL`,
  family: `${BYTES} NOT NULL`,
  renewed_at: "DOUBLE NOT NULL",
  previous_hash: BYTES,
  previous_family: BYTES,
  previous_until: BYTES,
  // A principal has 256 characters at most, each of which has six bytes at most.
  principal: "VARBINARY(1536)",
  label: TEXT,
  authenticated_at: "DOUBLE",
  fingerprint: TEXT,
  binding: "LONGBLOB",
  created_at: "DOUBLE NOT NULL",
  accessed_at: "DOUBLE NOT NULL",
  idle_timeout: "DOUBLE NOT NULL",
  absolute_timeout: "DOUBLE NOT NULL",
  persistent: "TINYINT NOT NULL",
  data: `${TEXT} NOT NULL`,
} as const satisfies Record<Column, string>;

/** The columns of a summary, in the order in which they are answered. */
const SUMMARY_COLUMNS = [
  "id",
  "label",
  "created_at",
  "accessed_at",
  "idle_timeout",
  "absolute_timeout",
  "authenticated_at",
  "binding",
] as const;

/** The rest of a record's, after those. */
const OTHER_COLUMNS = [
  "version",
  "secret_hash",
  "family",
  "renewed_at",
  "previous_hash",
  "previous_family",
  "previous_until",
  "principal",
  "fingerprint",
  "persistent",
  "data",
] as const satisfies readonly Exclude<
  Column,
  typeof SUMMARY_COLUMNS[number]
>[];

/** What a list tells of a session. */
export const SUMMARY: string = SUMMARY_COLUMNS.join();

/** A session. */
export const SESSION: string = [...SUMMARY_COLUMNS, ...OTHER_COLUMNS].join();

/** A row of either, by the place of its columns. */
export type Row = readonly unknown[];

/** @throws {SessionError} With code `"corrupt"` and the id. */
export function toSession(row: Row): StoredSession {
  try {
    const [
      version,
      secretHash,
      family,
      renewedAt,
      previousHash,
      previousFamily,
      previousUntil,
      principal,
      fingerprint,
      persistent,
      data,
    ] = row.slice(SUMMARY_COLUMNS.length);
    const record = recordOf({
      version: number(version) as number,
      secretHash: text(secretHash) as string,
      family: text(family) as string,
      renewedAt: number(renewedAt),
      previousHash: text(previousHash),
      previousFamily: text(previousFamily),
      previousUntil: text(previousUntil),
      principal: text(principal),
      ...namesOf(row),
      fingerprint: text(fingerprint),
      persistent: number(persistent) !== 0,
      times: timesOf(row),
      data: JSON.parse(text(data) as string),
    });
    return { id: unescaped(keyOf(row)), record };
  } catch {
    // An engine's own error quotes what it cannot parse.
    throw corrupt(idOf(row));
  }
}

/** The error about a row that is not what was written. */
export function corrupt(id: string): SessionError {
  return new SessionError(
    "corrupt",
    `Cannot decode session ${id}: its row is not what MysqlProvider wrote: destroy it by its id`,
    { id },
  );
}

/** The same, or `undefined` if the row cannot be decoded. */
export function toSessionIfReadable(row: Row): StoredSession | undefined {
  try {
    return toSession(row);
  } catch {
    return undefined;
  }
}

/** What `SUMMARY` answers, or `undefined` if it cannot be made out. */
export function toSummaryIfReadable(row: Row): SessionSummary | undefined {
  try {
    return summaryOf(keyOf(row), namesOf(row), timesOf(row));
  } catch {
    return undefined;
  }
}

/** The id in a row whose columns may all be beyond reading. */
export function idOf(row: Row): string {
  const id = keyOf(row);
  return fromJsonKey(id) ?? id;
}

/** The id in a row as it is stored, whatever it is. */
export function keyOf([id]: Row): string {
  return typeof id === "string" ? id : decoder.decode(id as Uint8Array);
}

const BINDING_AT = SUMMARY_COLUMNS.indexOf("binding");

function namesOf(row: Row) {
  return { label: text(row[1]), binding: text(row[BINDING_AT]) };
}

function timesOf(row: Row): StoredTimes {
  const [_id, _label, createdAt, accessedAt, idle, absolute, signedIn] = row;
  return {
    createdAt: number(createdAt),
    accessedAt: number(accessedAt),
    idleTimeout: number(idle),
    absoluteTimeout: number(absolute),
    authenticatedAt: signedIn === null ? NaN : number(signedIn),
  };
}

const decoder = new TextDecoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A text, which clients hand out as bytes where the column holds bytes. */
function text(value: unknown): string | null {
  if (value === null || typeof value === "string") return value;
  return strict.decode(value as Uint8Array);
}

/** A number, which some clients hand out as a `bigint` or a text. */
function number(value: unknown): number | undefined {
  return value === null ? undefined : Number(value);
}
