/** A record as the bytes that Deno KV holds, and what can be made out of them. */
import { Buffer } from "node:buffer";
import { decodeData, encode } from "../../core/value/codec.ts";
import { SessionError } from "../../core/errors.ts";
import { ownOf } from "../../core/option_names.ts";
import type {
  Guard,
  PreviousSecret,
  SessionChange,
  SessionRecord,
} from "../../core/provider.ts";
import {
  applied,
  guardFailure,
  isLive,
  parseUntil,
  toRecord,
  untilText,
} from "../../core/store/record.ts";
import { EMPTY_DATA, type StoredData } from "../../core/value/types.ts";
import type { DenoKvEntry } from "./database.ts";

/** The most bytes that Deno KV stores under one key. */
const MAX_VALUE_SIZE = 65_536;

/** A value under some key, and what to check that it has not changed. */
export type Version = Pick<DenoKvEntry, "value" | "versionstamp">;

/** No value at all. */
export const ABSENT: Version = { value: null, versionstamp: null };

/** A record without its data. */
export interface Header extends Omit<SessionRecord, "data"> {
  /**
   * Up to when the index of its principal is sure to have it, in milliseconds
   * since the Unix epoch; missing if that is not known.
   */
  readonly indexedUntil?: number | undefined;
  /** The ids of the last writes. */
  readonly writeIds: string;
}

/** Every field, `undefined` if it is missing or cannot be made out. */
export type Fields = {
  readonly [Key in keyof Required<Header>]: Header[Key] | undefined;
};

/** A record whose data is still bytes, which may be damaged. */
export interface Readable {
  readonly header: Header;
  readonly fields: Fields;
  readonly data: Uint8Array;
}

/** A record of which some field cannot be made out. */
export interface Damaged {
  readonly header: undefined;
  readonly fields: Fields;
  /** What is wrong, and what to do. */
  readonly fault: string;
}

/** What a key holds. */
export type Stored = Readable | Damaged;

/**
 * Whether its time is up. What cannot be made out is taken to be no reason.
 *
 * @param now In milliseconds since the Unix epoch.
 */
export function isOver({ header, fields }: Stored, now: number): boolean {
  if (header !== undefined) return !isLive(header, now);
  const deadlines = {
    accessedAt: fields.accessedAt ?? now,
    idleTimeout: fields.idleTimeout ?? Infinity,
    authenticatedAt: fields.authenticatedAt,
    createdAt: fields.createdAt ?? now,
    absoluteTimeout: fields.absoluteTimeout ?? Infinity,
  };
  return !isLive(deadlines, now);
}

/** Whether all that is guarded can be made out, and is as it has to be. */
export function isMet({ header, fields }: Stored, given: Guard): boolean {
  const guard = ownOf(given);
  const { token, binding } = guard;
  // Where something is damaged, what is missing may have been lost.
  const wantsMissing = binding === null ||
    (token !== undefined && token.until === undefined);
  if (header === undefined && wantsMissing) return false;
  return guardFailure(fields as Header, guard) === undefined;
}

/** Whether a principal's it is, as far as that can be made out. */
export function isTheirs(
  { header, fields }: Stored,
  principal: string,
): boolean {
  if (fields.principal !== undefined) return fields.principal === principal;
  return header === undefined;
}

/** Whether a record is known to have had this write among its last ones. */
export function hasWrite(entry: Version, writeId: string): boolean {
  return readStored(entry)?.fields.writeIds?.includes(writeId) === true;
}

/**
 * The record of a live session, with its data still bytes.
 *
 * @throws {SessionError} With code `"corrupt"`, if it cannot be made out whether
 * it lives, or else any of its fields.
 */
export function readLive(
  id: string,
  entry: Version,
  now: number,
): Readable | undefined {
  const stored = readStored(entry);
  if (stored === undefined || isOver(stored, now)) return undefined;
  if (stored.header === undefined) throw corrupt(id, stored.fault);
  return stored;
}

/**
 * The whole record.
 *
 * @throws {SessionError} With code `"corrupt"`, if its data cannot be decoded.
 */
export function recordOf(
  id: string,
  { header, data }: Readable,
): SessionRecord {
  return toRecord(
    Object.freeze({ ...header, data: dataOf(id, data) }),
    header.version,
  );
}

/**
 * A record after a change, with its data as bytes. They are decoded only if the
 * change is one of data.
 *
 * @throws {SessionError} With code `"corrupt"`, if its data cannot be decoded.
 */
export function changed(
  id: string,
  stored: Readable,
  change: SessionChange,
  now: number,
): { readonly after: SessionRecord; readonly data: Uint8Array } {
  const { set = EMPTY_DATA, delete: removed = [] } = ownOf(change);
  if (Object.keys(set).length === 0 && removed.length === 0) {
    const before = { ...stored.header, data: EMPTY_DATA };
    return { after: applied(before, change, now), data: stored.data };
  }
  const after = applied(recordOf(id, stored), change, now);
  return { after, data: dataBytes(after.data) };
}

function dataOf(id: string, bytes: Uint8Array): StoredData {
  try {
    return decodeData(decoder.decode(bytes));
  } catch {
    throw corrupt(id, DAMAGED);
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** The version of what {@linkcode toBytes} writes. */
const FORMAT = 1;

const NEWLINE = 10;

/** Data as bytes, for {@linkcode toBytes}. */
export function dataBytes(data: StoredData): Uint8Array {
  return encoder.encode(encode(data));
}

/**
 * A record as bytes: two lines of JSON in UTF-8, because Deno KV would store a
 * string with a single character beyond Latin-1 at two bytes for each. No line
 * has a line break in it, as JSON escapes them.
 *
 * @throws {SessionError} With code `"too-large"`, if Deno KV cannot take it.
 */
export function toBytes(
  id: string,
  header: Header,
  data: Uint8Array,
): Uint8Array {
  const text = JSON.stringify(toJson(header));
  const size = Buffer.byteLength(text) + 1;
  const room = MAX_VALUE_SIZE - size;
  if (data.length > room) {
    throw new SessionError(
      "too-large",
      `Cannot store session: Deno KV takes at most ${MAX_VALUE_SIZE} bytes for one, of which its data can have ${room}: received ${data.length} bytes of data`,
      { id },
    );
  }
  const bytes = new Uint8Array(size + data.length);
  encoder.encodeInto(text, bytes);
  bytes[size - 1] = NEWLINE;
  bytes.set(data, size);
  return bytes;
}

/** What is stored of a header, which may be a whole record. */
function toJson(header: Header): object {
  const { previous } = header;
  return {
    format: FORMAT,
    ...header,
    data: undefined,
    previous: previous && { ...previous, until: untilText(previous.until) },
  };
}

/** What a key holds, or `undefined` if nothing. Never throws. */
export function readStored({ value, versionstamp }: Version):
  | Stored
  | undefined {
  if (versionstamp === null) return undefined;
  if (!(value instanceof Uint8Array)) return damaged(NOTHING);
  const end = value.indexOf(NEWLINE);
  const json = parse(value.subarray(0, Math.max(end, 0)));
  const format = ownFieldOf(json, "format");
  if (typeof format === "number" && format > FORMAT) {
    return damaged(NOTHING, NEWER);
  }
  if (format !== FORMAT) return damaged(NOTHING);
  const { fields, isWhole } = fieldsOf(json);
  if (!isWhole) return damaged(fields);
  return { header: fields as Header, fields, data: value.subarray(end + 1) };
}

function damaged(fields: Fields, fault = DAMAGED): Damaged {
  return { header: undefined, fields, fault };
}

function parse(bytes: Uint8Array): object {
  try {
    return Object(JSON.parse(decoder.decode(bytes)));
  } catch {
    return {};
  }
}

function ownFieldOf(json: object, name: string): unknown {
  if (!Object.hasOwn(json, name)) return undefined;
  return (json as Readonly<Record<string, unknown>>)[name];
}

/** How one field is read. */
interface Field<Value, IsOptional> {
  /** Its value, or `undefined` if it is not one. */
  readonly read: (json: unknown) => Value | undefined;
  readonly isOptional: IsOptional;
}

const text: Field<string, false> = {
  read: (json) => typeof json === "string" ? json : undefined,
  isOptional: false,
};

const number: Field<number, false> = {
  read: (json) =>
    typeof json === "number" && Number.isFinite(json) ? json : undefined,
  isOptional: false,
};

const flag: Field<boolean, false> = {
  read: (json) => typeof json === "boolean" ? json : undefined,
  isOptional: false,
};

const previousSecret: Field<PreviousSecret, false> = {
  read: readPrevious,
  isOptional: false,
};

function optional<Value>(field: Field<Value, false>): Field<Value, true> {
  return { ...field, isOptional: true };
}

function readPrevious(json: unknown): PreviousSecret | undefined {
  if (typeof json !== "object" || json === null) return undefined;
  const secretHash = text.read(ownFieldOf(json, "secretHash"));
  const family = text.read(ownFieldOf(json, "family"));
  const until = parseUntil(text.read(ownFieldOf(json, "until")) ?? "");
  if (secretHash === undefined || family === undefined) return undefined;
  if (until === undefined) return undefined;
  return Object.freeze({ secretHash, family, until });
}

/** Every field: a new one does not compile until it is here. */
const FIELDS: {
  readonly [Key in keyof Required<Header>]: Field<
    NonNullable<Header[Key]>,
    undefined extends Header[Key] ? true : false
  >;
} = {
  version: number,
  secretHash: text,
  family: text,
  renewedAt: number,
  previous: optional(previousSecret),
  principal: optional(text),
  label: optional(text),
  authenticatedAt: optional(number),
  fingerprint: optional(text),
  binding: optional(text),
  createdAt: number,
  accessedAt: number,
  idleTimeout: number,
  absoluteTimeout: number,
  persistent: flag,
  indexedUntil: optional(number),
  writeIds: text,
};

const READERS = Object.entries(FIELDS);

const NOTHING: Fields = fieldsOf({}).fields;

/** The fields of a header, all of them its own. */
function fieldsOf(json: object) {
  const fields: Record<string, unknown> = {};
  let isWhole = true;
  for (const [name, { read, isOptional }] of READERS) {
    const raw = ownFieldOf(json, name);
    const value = read(raw);
    fields[name] = value;
    if (value !== undefined) continue;
    if (raw !== undefined || !isOptional) isWhole = false;
  }
  return { fields: fields as Fields, isWhole };
}

const DAMAGED =
  "is not what this provider wrote: end it with manager.destroy(id)";
const NEWER =
  "was written by a newer version of this provider: use that one, or end it with manager.destroy(id)";

function corrupt(id: string, fault: string): SessionError {
  return new SessionError(
    "corrupt",
    `Cannot read session ${id}: its record ${fault}`,
    { id },
  );
}
