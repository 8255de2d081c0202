import { decode, decodeParsed, encode } from "../../core/value/codec.ts";
import { SessionError } from "../../core/errors.ts";
import type {
  NewSessionRecord,
  SessionChange,
  SessionRecord,
} from "../../core/provider.ts";
import {
  emptyObject,
  put,
  type StoredData,
  type StoredValue,
} from "../../core/value/types.ts";
import type { SqliteParameter } from "./database.ts";

/** A row's columns in the order of `COLUMNS`, and its id where it is listed. */
export type Columns = readonly [
  version: number,
  accessedAt: number,
  expiresAt: number,
  secretHash: string,
  renewedAt: number,
  previousHash: string | null,
  previousExpiresAt: number | null,
  createdAt: number,
  idleTimeout: number,
  absoluteTimeout: number,
  persistent: number,
  authenticatedAt: number | null,
  principal: string | null,
  label: string | null,
  fingerprint: string | null,
  data: string,
  id: string,
];

/** Where the id is in `Columns`. */
export const ID = 16;

export const COLUMNS =
  `version, accessed_at, expires_at, secret_hash, renewed_at,
  previous_hash, previous_expires_at, created_at, idle_timeout,
  absolute_timeout, persistent, authenticated_at, principal, label,
  fingerprint, data`;

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

/** The columns of a new row, in the order of `COLUMNS`. */
export function toParameters(record: NewSessionRecord): SqliteParameter[] {
  return [
    record.accessedAt,
    record.expiresAt,
    record.secretHash,
    record.renewedAt,
    record.previous?.secretHash ?? null,
    record.previous?.expiresAt ?? null,
    record.createdAt,
    record.idleTimeout,
    record.absoluteTimeout,
    Number(record.persistent),
    record.authenticatedAt ?? null,
    toText(record.principal),
    toText(record.label),
    toText(record.fingerprint),
    patchOf({ set: record.data }),
  ];
}

/** The columns that `updateAll` replaces: as they are, or kept if `null`. */
export function toReplacements(change: SessionChange): SqliteParameter[] {
  const { persistent, previous } = change;
  return [
    change.secretHash ?? null,
    change.renewedAt ?? null,
    change.idleTimeout ?? null,
    change.absoluteTimeout ?? null,
    persistent === undefined ? null : Number(persistent),
    ...replacement(previous === null ? null : previous?.secretHash),
    ...replacement(previous === null ? null : previous?.expiresAt),
    ...replacement(change.authenticatedAt),
    ...replacement(textOf(change.principal)),
    ...replacement(textOf(change.label)),
    ...replacement(textOf(change.fingerprint)),
  ];
}

/** Whether a field that can be forgotten is given, and what it is then. */
function replacement(
  value: SqliteParameter | undefined,
): [number, SqliteParameter] {
  return value === undefined ? [0, null] : [1, value];
}

export function isDataOnly(change: SessionChange): boolean {
  const { set: _set, delete: _delete, expiresAt: _expiresAt, ...fields } =
    change;
  return Object.values(fields).every((field) => field === undefined);
}

function toText(value: string | undefined): string | null {
  return value === undefined ? null : encode(value);
}

function textOf(value: string | null | undefined): string | null | undefined {
  return typeof value === "string" ? encode(value) : value;
}

/**
 * What `json_patch` merges into a row's data, and what the data of a new row is:
 * each value is alone in an array, which a patch replaces as a whole, where it
 * would merge two objects and take `null` for a deletion.
 */
export function patchOf(change: Pick<SessionChange, "set" | "delete">): string {
  const { set = {}, delete: removed = [] } = change;
  const entries: string[] = [];
  for (const key of Object.keys(set)) {
    entries.push(`"${toLabel(key)}":[${encode(set[key] as StoredValue)}]`);
  }
  for (const key of removed) entries.push(`"${toLabel(key)}":null`);
  return `{${entries.join()}}`;
}

/**
 * A key such that JSON needs no escapes for it, because SQLite stops at NUL when
 * it compares two keys with escapes; and none that the codec lengthens.
 */
function toLabel(key: string): string {
  return key.replace(
    // deno-lint-ignore no-control-regex
    /[\u0000-\u001f"$%\\\ud800-\udfff]/gu,
    (unit) => `%${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function fromLabel(label: string): string {
  if (!label.includes("%")) return label;
  return label.replace(
    /%([\da-f]{4})/g,
    (_escape, unit) => String.fromCharCode(parseInt(unit, 16)),
  );
}

/** Objects take longer to make than arrays; not every driver has the choice. */
export function columnsOf(row: object): Columns {
  return (Array.isArray(row) ? row : Object.values(row)) as unknown as Columns;
}

export function toRecord(columns: Columns): SessionRecord {
  const previousHash = columns[5];
  return Object.freeze({
    data: toData(columns[15]),
    version: columns[0],
    secretHash: columns[3],
    renewedAt: columns[4],
    previous: previousHash === null ? undefined : Object.freeze({
      secretHash: previousHash,
      expiresAt: columns[6] ?? 0,
    }),
    principal: fromText(columns[12]),
    label: fromText(columns[13]),
    authenticatedAt: columns[11] ?? undefined,
    fingerprint: fromText(columns[14]),
    createdAt: columns[7],
    accessedAt: columns[1],
    expiresAt: columns[2],
    idleTimeout: columns[8],
    absoluteTimeout: columns[9],
    persistent: columns[10] !== 0,
  });
}

function fromText(text: string | null): string | undefined {
  if (text === null) return undefined;
  const value = decode(text);
  if (typeof value !== "string") throw corrupt();
  return value;
}

function toData(text: string): StoredData {
  const wrappers = parse(text);
  const data = emptyObject();
  for (const label of Object.keys(wrappers)) {
    const wrapper = wrappers[label];
    if (!Array.isArray(wrapper) || wrapper.length !== 1) throw corrupt();
    put(data, fromLabel(label), decodeParsed(wrapper[0]));
  }
  return Object.freeze(data);
}

function parse(text: string): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json === "object" && json !== null && !Array.isArray(json)) {
      return json as Record<string, unknown>;
    }
  } catch {
    // The engine's own error quotes the text, which is session data.
  }
  throw corrupt();
}

export function corrupt(options?: ErrorOptions): SessionError {
  return new SessionError(
    "corrupt",
    "Cannot decode session: its row is not what SqliteProvider wrote",
    options,
  );
}
