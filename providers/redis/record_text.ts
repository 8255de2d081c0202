import { decodeParsed, encode } from "../../core/value/codec.ts";
import { SessionError } from "../../core/errors.ts";
import type { NewSessionRecord, SessionRecord } from "../../core/provider.ts";
import { emptyObject, put, type StoredData } from "../../core/value/types.ts";

// A session is one Redis string: a JSON array, which a client parses in one go,
// in lines, which a script finds and replaces without understanding them.
//
//   [1,accessedAt,expiresAt,indexedUntil
//   ,version
//   ,"ids of the last writes"
//   ,"secretHash"
//   … the others of FIELDS, null where there is none …
//   ,"key",⇥value
//   … the others of the data …
//   ]
//
// The numbers of the first line have a fixed width, so that scripts know where
// they are, and a touch overwrites them there. A text in JSON has no line breaks
// and no tabs, so a line break, a key, a comma and a tab are found nowhere but
// before its value.

/** Of the format that this version writes. */
const FORMAT = 1;

/** What a session begins with. */
export const BEGINNING: string = `[${FORMAT},`;

/** The characters of a number in the first line: no JavaScript number has more. */
export const NUMBER_WIDTH = 25;

/**
 * Where everything before the data stands in the array. From `secretHash` on,
 * each has a line of its own.
 */
const ITEMS = {
  format: 0,
  accessedAt: 1,
  expiresAt: 2,
  indexedUntil: 3,
  version: 4,
  writeIds: 5,
  secretHash: 6,
  previousHash: 7,
  previousExpiresAt: 8,
  principal: 9,
  label: 10,
  fingerprint: 11,
  authenticatedAt: 12,
  renewedAt: 13,
  createdAt: 14,
  idleTimeout: 15,
  absoluteTimeout: 16,
  persistent: 17,
} as const;

/** The name of something that has a line of its own. */
export type Field = Exclude<
  keyof typeof ITEMS,
  | "format"
  | "accessedAt"
  | "expiresAt"
  | "indexedUntil"
  | "version"
  | "writeIds"
>;

/** The names of those lines, in order. */
export const FIELDS: readonly Field[] = Object.keys(ITEMS)
  .slice(ITEMS.secretHash) as Field[];

const FIRST_KEY = ITEMS.secretHash + FIELDS.length;

/** What is stored of a session beside its record. */
export interface Bookkeeping {
  /** Tells the write when it comes again. */
  readonly writeId: string;
  /**
   * Up to when the principal's index is sure to name the session, in
   * milliseconds since the Unix epoch; no deadline may lie behind it.
   */
  readonly indexedUntil: number | undefined;
}

/** The text of a session that is new. */
export function recordText(
  record: NewSessionRecord,
  { writeId, indexedUntil }: Bookkeeping,
): string {
  const { previous } = record;
  const fields: { readonly [name in Field]?: unknown } = {
    ...record,
    previousHash: previous?.secretHash,
    previousExpiresAt: previous?.expiresAt,
  };
  const lines = FIELDS.map((name) => `\n,${fieldText(fields[name])}`);
  const { accessedAt, expiresAt } = record;
  return beginningText(accessedAt, expiresAt) + numberText(indexedUntil) +
    `\n,1\n,"${writeId}"` + lines.join("") + dataTexts(record.data).join("") +
    "\n]";
}

/**
 * Reads a session, or nothing if its deadline has passed.
 *
 * @throws {SessionError} With code `"corrupt"`, if the text is anything but what
 * this version writes.
 */
export function readRecord(
  text: string,
  now: number,
): SessionRecord | undefined {
  const items = parse(text);
  if (!Array.isArray(items) || items[ITEMS.format] !== FORMAT) {
    throw corruptRecord();
  }
  const expiresAt = toNumber(items[ITEMS.expiresAt]);
  if (expiresAt <= now) return undefined;
  return Object.freeze({
    data: toData(items),
    version: toNumber(items[ITEMS.version]),
    secretHash: toText(items[ITEMS.secretHash]),
    renewedAt: toNumber(items[ITEMS.renewedAt]),
    previous: toPrevious(
      items[ITEMS.previousHash],
      items[ITEMS.previousExpiresAt],
    ),
    principal: optional(items[ITEMS.principal], toText),
    label: optional(items[ITEMS.label], toText),
    authenticatedAt: optional(items[ITEMS.authenticatedAt], toNumber),
    fingerprint: optional(items[ITEMS.fingerprint], toText),
    createdAt: toNumber(items[ITEMS.createdAt]),
    accessedAt: toNumber(items[ITEMS.accessedAt]),
    expiresAt,
    idleTimeout: toNumber(items[ITEMS.idleTimeout]),
    absoluteTimeout: toNumber(items[ITEMS.absoluteTimeout]),
    persistent: toFlag(items[ITEMS.persistent]),
  });
}

/**
 * Reads the text of a principal, as a script answers it.
 *
 * @throws {SessionError} With code `"corrupt"`, if it is not what
 * {@linkcode fieldText} makes of one.
 */
export function readPrincipal(text: string): string {
  const principal = toText(parse(text));
  if (fieldText(principal) !== text) throw corruptRecord();
  return principal;
}

/** Where a field stands among them, counted from 1 as Lua does. */
export function fieldNumber(name: Field): number {
  return ITEMS[name] - ITEMS.writeIds;
}

/** The text of a field, or of one that is missing. */
export function fieldText(value: unknown): string {
  return JSON.stringify(value ?? null);
}

/** A session up to where it says how long it is indexed. */
export function beginningText(accessedAt: number, expiresAt: number): string {
  return `${BEGINNING}${numberText(accessedAt)},${numberText(expiresAt)},`;
}

/** A number of the first line. */
export function numberText(value: number | undefined): string {
  return String(value ?? null).padStart(NUMBER_WIDTH);
}

/** What stands before the value of a key. */
export function keyText(key: string): string {
  return `\n,${JSON.stringify(key)},\t`;
}

/** Says that a session was found and cannot be made out. */
export function corruptRecord(): SessionError {
  return new SessionError(
    "corrupt",
    "Cannot decode session: its record is damaged or of a newer version",
  );
}

function dataTexts(data: StoredData): string[] {
  return Object.entries(data).map(([key, value]) =>
    keyText(key) + encode(value)
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The engine's own error quotes the text.
    throw corruptRecord();
  }
}

function toData(items: readonly unknown[]): StoredData {
  const data = emptyObject();
  for (let at = FIRST_KEY; at < items.length; at += 2) {
    put(data, toText(items[at]), decodeParsed(items[at + 1]));
  }
  return Object.freeze(data);
}

function toPrevious(
  secretHash: unknown,
  expiresAt: unknown,
): SessionRecord["previous"] {
  if (secretHash === null && expiresAt === null) return undefined;
  return Object.freeze({
    secretHash: toText(secretHash),
    expiresAt: toNumber(expiresAt),
  });
}

function optional<T>(item: unknown, read: (item: unknown) => T): T | undefined {
  return item === null ? undefined : read(item);
}

function toText(item: unknown): string {
  if (typeof item === "string") return item;
  throw corruptRecord();
}

function toNumber(item: unknown): number {
  if (typeof item === "number" && Number.isFinite(item)) return item;
  throw corruptRecord();
}

function toFlag(item: unknown): boolean {
  if (typeof item === "boolean") return item;
  throw corruptRecord();
}
