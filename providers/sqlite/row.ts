/** The columns of a session's row, and a row to a record and back. */
import { decode, encode } from "../../core/value/codec.ts";
import { SessionError } from "../../core/errors.ts";
import type {
  NewSessionRecord,
  PreviousSecret,
  SessionRecord,
  SessionSummary,
} from "../../core/provider.ts";
import { parseUntil, untilText } from "../../core/store/record.ts";
import { fromData, toData } from "./data.ts";
import type { Row, SqliteParameter } from "./driver.ts";

/**
 * The columns that hold each field of a record, with their types: a new field
 * does not compile until it has some. What is long comes last, so that whatever
 * does not need it does not read it.
 *
 * Instants and timeouts are REAL because clocks and timeouts may have
 * fractions; SQLite stores whole ones as integers all the same. Texts that can
 * hold any character are stored as JSON, since drivers lose NUL and lone
 * surrogates.
 */
const HELD = {
  version: { version: "INTEGER NOT NULL" },
  accessedAt: { accessed_at: "REAL NOT NULL" },
  createdAt: { created_at: "REAL NOT NULL" },
  authenticatedAt: { authenticated_at: "REAL" },
  idleTimeout: { idle_timeout: "REAL NOT NULL" },
  absoluteTimeout: { absolute_timeout: "REAL NOT NULL" },
  secretHash: { secret_hash: "TEXT NOT NULL" },
  family: { family: "TEXT NOT NULL" },
  renewedAt: { renewed_at: "REAL NOT NULL" },
  previous: {
    previous_hash: "TEXT",
    previous_family: "TEXT",
    previous_until: "TEXT",
  },
  persistent: { persistent: "INTEGER NOT NULL" },
  principal: { principal: "TEXT" },
  label: { label: "TEXT" },
  fingerprint: { fingerprint: "TEXT" },
  binding: { binding: "TEXT" },
  data: { data: "TEXT NOT NULL" },
} as const satisfies Record<keyof SessionRecord, Record<string, string>>;

type Held = typeof HELD;

/** A column that holds a field of a record, or a part of one. */
type Column = {
  [Field in keyof Held]: keyof Held[Field];
}[keyof Held];

const TYPES = Object.assign({}, ...Object.values(HELD)) as Record<
  Column,
  string
>;

/** The columns of a record, as a new table names them. */
export const COLUMN_TYPES: string = Object.entries(TYPES)
  .map(([column, type]) => `${column} ${type}`).join(",\n  ");

const COLUMNS = Object.keys(TYPES) as Column[];

/** The columns of a record, as a statement names them. */
export const RECORD_COLUMNS: string = COLUMNS.join(", ");

/** As many parameters. */
export const RECORD_PARAMETERS: string = COLUMNS.map(() => "?").join(", ");

/** Where each column is in a row of `RECORD_COLUMNS`. */
const AT = positions(COLUMNS);

/** Where the id is that a row of `RECORD_COLUMNS, id` ends with. */
export const ID_AT: number = COLUMNS.length;

/** The fields of a summary, named: a new one does not compile until it is. */
type SummaryFields = {
  [Key in keyof Required<Omit<SessionSummary, "id">>]: SessionSummary[Key];
};

const SUMMARY: readonly ["id", ...Column[]] = [
  "id",
  "label",
  "binding",
  "authenticated_at",
  "created_at",
  "accessed_at",
  "idle_timeout",
  "absolute_timeout",
];

/** What a list needs of a row. */
export const SUMMARY_COLUMNS: string = SUMMARY.join(", ");

const SUMMARY_AT = positions(SUMMARY);

function positions<T extends string>(columns: readonly T[]): Record<T, number> {
  const entries = columns.map((column, index) => [column, index]);
  return Object.fromEntries(entries) as Record<T, number>;
}

const words = new Uint32Array(2);
const joined = new BigInt64Array(words.buffer);

/**
 * Where a session is filed: 63 bits of a hash of its id, which is random. Among a
 * million sessions one new id in nine trillion meets the key of another session,
 * and is refused as if it were taken.
 */
export function keyOf(id: string): bigint {
  let high = 0;
  let low = 0;
  for (let index = 0; index < id.length; index++) {
    // FNV-1a twice; multiplying carries nothing down, so the shift does.
    high = Math.imul(high ^ id.charCodeAt(index), 0x01000193);
    low = Math.imul(low ^ high ^ high >>> 15, 0x85ebca6b);
  }
  words[0] = low;
  words[1] = high >>> 1;
  return joined[0] as bigint;
}

/** Less than the key of any session. */
export const BEFORE_ALL_KEYS = -1n;

/**
 * The columns of a new row, in the order of `RECORD_COLUMNS`.
 *
 * @param record Without properties that it inherits.
 */
export function toParameters(record: NewSessionRecord): SqliteParameter[] {
  const { previous } = record;
  const columns = {
    version: 1,
    accessed_at: record.accessedAt,
    created_at: record.createdAt,
    authenticated_at: record.authenticatedAt ?? null,
    idle_timeout: record.idleTimeout,
    absolute_timeout: record.absoluteTimeout,
    secret_hash: record.secretHash,
    family: record.family,
    renewed_at: record.renewedAt,
    previous_hash: previous?.secretHash ?? null,
    previous_family: previous?.family ?? null,
    previous_until: previous === undefined ? null : untilText(previous.until),
    persistent: Number(record.persistent),
    principal: toText(record.principal),
    label: toText(record.label),
    fingerprint: toText(record.fingerprint),
    binding: toText(record.binding),
    data: fromData(record.data),
  } satisfies Record<Column, SqliteParameter>;
  return COLUMNS.map((column) => columns[column]);
}

/** A text of any characters as it is stored. */
export function toText(value: string | undefined): string | null {
  return value === undefined ? null : encode(value);
}

/**
 * The record of a row of `RECORD_COLUMNS`.
 *
 * @throws {SessionError} With code `"corrupt"` and the id, if it is not one that
 * `SqliteProvider` wrote.
 */
export function toRecord(id: string, row: Row): SessionRecord {
  try {
    const record = {
      data: toData(text(row[AT.data])),
      version: number(row[AT.version]),
      secretHash: text(row[AT.secret_hash]),
      family: text(row[AT.family]),
      renewedAt: number(row[AT.renewed_at]),
      previous: toPrevious(row),
      principal: optionalText(row[AT.principal]),
      label: optionalText(row[AT.label]),
      authenticatedAt: optionalNumber(row[AT.authenticated_at]),
      fingerprint: optionalText(row[AT.fingerprint]),
      binding: optionalText(row[AT.binding]),
      createdAt: number(row[AT.created_at]),
      accessedAt: number(row[AT.accessed_at]),
      idleTimeout: number(row[AT.idle_timeout]),
      absoluteTimeout: number(row[AT.absolute_timeout]),
      persistent: number(row[AT.persistent]) !== 0,
    } satisfies {
      [Key in keyof Required<SessionRecord>]: SessionRecord[Key];
    };
    return Object.freeze(record);
  } catch {
    // What was thrown may quote the row, which holds session data.
    throw corrupt(id);
  }
}

/**
 * The summary of a row of `SUMMARY_COLUMNS`.
 *
 * @returns Its id alone, if it is not one that `SqliteProvider` wrote.
 */
export function toSummary(row: Row): SessionSummary | string {
  const id = String(row[SUMMARY_AT.id]);
  try {
    const fields: SummaryFields = {
      label: optionalText(row[SUMMARY_AT.label]),
      binding: optionalText(row[SUMMARY_AT.binding]),
      authenticatedAt: optionalNumber(row[SUMMARY_AT.authenticated_at]),
      createdAt: number(row[SUMMARY_AT.created_at]),
      accessedAt: number(row[SUMMARY_AT.accessed_at]),
      idleTimeout: number(row[SUMMARY_AT.idle_timeout]),
      absoluteTimeout: number(row[SUMMARY_AT.absolute_timeout]),
    };
    return { id, ...fields };
  } catch {
    return id;
  }
}

function toPrevious(row: Row): PreviousSecret | undefined {
  const parts = [
    row[AT.previous_hash],
    row[AT.previous_family],
    row[AT.previous_until],
  ];
  if (parts.every((part) => part === null)) return undefined;
  const [secretHash, family, stored] = parts.map(text) as [
    string,
    string,
    string,
  ];
  const until = parseUntil(stored);
  if (until === undefined) throw new TypeError("no time");
  return Object.freeze({ secretHash, family, until });
}

function number(value: unknown): number {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new TypeError("no number");
}

function optionalNumber(value: unknown): number | undefined {
  return value === null ? undefined : number(value);
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  throw new TypeError("no text");
}

function optionalText(value: unknown): string | undefined {
  return value === null ? undefined : text(decode(text(value)));
}

/** The error about a row that is not what was written. */
export function corrupt(id: string): SessionError {
  return new SessionError(
    "corrupt",
    `Cannot decode session ${id}: its row is not what SqliteProvider wrote: destroy the session by its id`,
    { id },
  );
}
