import { decode, encode } from "../../core/value/codec.ts";
import { SessionError } from "../../core/errors.ts";
import { fromJsonKey, toJsonKey } from "../../core/value/json_key.ts";
import type { SessionRecord, StoredSession } from "../../core/provider.ts";
import {
  emptyObject,
  put,
  type StoredData,
  type StoredValue,
} from "../../core/value/types.ts";

/**
 * A text without what Postgres cannot hold, NUL and lone surrogates: written as
 * a key in the codec's JSON, because the server answers with the keys of data in
 * JSON too. Most texts stay as they are.
 */
export function escaped(text: string): string {
  return toJsonKey(text);
}

export function escapedIfAny(text: string | null | undefined) {
  return typeof text === "string" ? escaped(text) : text;
}

function unescaped(text: string): string {
  const original = fromJsonKey(text);
  if (original === undefined) throw new TypeError("not an escaped text");
  return original;
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

/** What `SESSION` of `statement.ts` answers. */
type SessionRow = readonly [
  id: string,
  version: number,
  secretHash: string,
  renewedAt: number,
  previousHash: string | null,
  previousExpiresAt: number | null,
  principal: string | null,
  label: string | null,
  authenticatedAt: number | null,
  fingerprint: string | null,
  createdAt: number,
  accessedAt: number,
  expiresAt: number,
  idleTimeout: number,
  absoluteTimeout: number,
  persistent: boolean,
  data: unknown,
];

export function toSession(answer: string): StoredSession {
  try {
    const row: SessionRow = JSON.parse(answer);
    return { id: unescaped(row[0]), record: toRecord(row) };
  } catch {
    // An engine's own error quotes what it cannot parse.
    throw new SessionError(
      "corrupt",
      "Cannot decode session: its row is not what PostgresProvider wrote",
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

/** The id in a row whose other columns may be beyond reading. */
export function idOf(answer: string): string {
  const [id] = JSON.parse(answer) as SessionRow;
  return unescaped(id);
}

function toRecord(row: SessionRow): SessionRecord {
  const [
    _id,
    version,
    secretHash,
    renewedAt,
    previousHash,
    previousExpiresAt,
    principal,
    label,
    authenticatedAt,
    fingerprint,
    createdAt,
    accessedAt,
    expiresAt,
    idleTimeout,
    absoluteTimeout,
    persistent,
    data,
  ] = row;
  const previous = previousHash === null || previousExpiresAt === null
    ? undefined
    : Object.freeze({ secretHash: previousHash, expiresAt: previousExpiresAt });
  return Object.freeze({
    data: decodeData(data),
    version,
    secretHash,
    renewedAt,
    previous,
    principal: principal === null ? undefined : unescaped(principal),
    label: label === null ? undefined : unescaped(label),
    authenticatedAt: authenticatedAt ?? undefined,
    fingerprint: fingerprint === null ? undefined : unescaped(fingerprint),
    createdAt,
    accessedAt,
    expiresAt,
    idleTimeout,
    absoluteTimeout,
    persistent,
  });
}
