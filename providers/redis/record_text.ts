/** A session as the text of one Redis string, and that text to a record and back. */
import { decodeParsed, encode } from "../../core/value/codec.ts";
import { SessionError } from "../../core/errors.ts";
import type {
  NewSessionRecord,
  SessionRecord,
  SessionSummary,
} from "../../core/provider.ts";
import { isLive, parseUntil, untilText } from "../../core/store/record.ts";
import { emptyObject, put, type StoredData } from "../../core/value/types.ts";

// A session is one Redis string: a JSON array, which a client parses in one go,
// in lines, which a script finds and replaces without understanding them.
//
//   [1,accessedAt,idleTimeout,begin,absoluteTimeout,indexedUntil
//   ,version
//   ,"ids of the last writes"
//   ,"family"
//   … the others of FIELDS, null where there is none …
//   ,"key",⇥value
//   … the others of the data …
//   ]
//
// The first line has all that decides when the session ends; `begin` is when it
// was authenticated, or else created. Its numbers have a fixed width, so that
// scripts know where they are, and a touch overwrites them there. A text in JSON
// has no line breaks and no tabs, so a line break, a key, a comma and a tab are
// found nowhere but before its value.

/** Of the format that this version writes. */
const FORMAT = 1;

/** What a session begins with. */
export const BEGINNING: string = `[${FORMAT},`;

/** The characters of a number in the first line: no JavaScript number has more. */
export const NUMBER_WIDTH = 25;

/**
 * Where everything before the data stands in the array. From `family` on, each
 * has a line of its own.
 */
const ITEMS = {
  format: 0,
  accessedAt: 1,
  idleTimeout: 2,
  begin: 3,
  absoluteTimeout: 4,
  indexedUntil: 5,
  version: 6,
  writeIds: 7,
  family: 8,
  secretHash: 9,
  previousHash: 10,
  previousFamily: 11,
  previousUntil: 12,
  principal: 13,
  binding: 14,
  label: 15,
  fingerprint: 16,
  authenticatedAt: 17,
  renewedAt: 18,
  createdAt: 19,
  persistent: 20,
} as const;

/** The name of something that has a line of its own. */
export type Field = Exclude<
  keyof typeof ITEMS,
  | "format"
  | "accessedAt"
  | "idleTimeout"
  | "begin"
  | "absoluteTimeout"
  | "indexedUntil"
  | "version"
  | "writeIds"
>;

/** The names of those lines, in order. */
export const FIELDS: readonly Field[] = Object.keys(ITEMS)
  .slice(ITEMS.family) as Field[];

/** How many lines there are before those. */
const LINES_BEFORE = 3;

const FIRST_KEY = ITEMS.family + FIELDS.length;

/** The beginning of a session, in bytes, that most often has all but the data. */
export const HEAD_LENGTH = 1024;

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

/**
 * The text of a session that is new.
 *
 * @param record Without properties that it inherits.
 */
export function recordText(
  record: NewSessionRecord,
  { writeId, indexedUntil }: Bookkeeping,
): string {
  const { previous } = record;
  const fields = {
    family: record.family,
    secretHash: record.secretHash,
    previousHash: previous?.secretHash,
    previousFamily: previous?.family,
    previousUntil: previous && untilText(previous.until),
    principal: record.principal,
    binding: record.binding,
    label: record.label,
    fingerprint: record.fingerprint,
    authenticatedAt: record.authenticatedAt,
    renewedAt: record.renewedAt,
    createdAt: record.createdAt,
    persistent: record.persistent,
  } satisfies Record<Field, unknown>;
  const numbers = [
    record.accessedAt,
    record.idleTimeout,
    record.authenticatedAt ?? record.createdAt,
    record.absoluteTimeout,
    indexedUntil,
  ];
  const lines = FIELDS.map((name) => `\n,${fieldText(fields[name])}`);
  return BEGINNING + numbers.map(numberText).join(",") +
    `\n,1\n,"${writeId}"` + lines.join("") + dataTexts(record.data).join("") +
    "\n]";
}

/**
 * Reads a session, or nothing if it is not live.
 *
 * @throws {SessionError} With code `"corrupt"` and the id, if the text is
 * anything but what this version writes.
 */
export function readRecord(
  id: string,
  text: string,
  now: number,
): SessionRecord | undefined {
  try {
    const items = toItems(text);
    return isLive(toDeadlines(items), now) ? toRecord(items) : undefined;
  } catch {
    // What was thrown may quote the text, which holds session data.
    if (isPast(text, now)) return undefined;
    throw corruptRecord(id);
  }
}

/** What a list makes of a session: nothing if it is somebody else's, or not live. */
export type Listed = SessionSummary | "unreadable" | "incomplete" | undefined;

/**
 * Reads what a list tells of a principal's session.
 *
 * @param text Its beginning: `"incomplete"` if that is too short.
 */
export function readSummary(
  id: string,
  text: string,
  { principal, now }: { readonly principal: string; readonly now: number },
): Listed {
  if (isPast(text, now)) return undefined;
  const lines = text.split("\n", LINES_BEFORE + FIELDS.length + 1);
  // The last of them may have been cut off, and is not needed.
  if (lines.length <= LINES_BEFORE + FIELDS.length) return "incomplete";
  const line = (name: Field) => parseLine(lines[lineOf(name)] as string);
  try {
    const { accessedAt, idleTimeout, absoluteTimeout } = toDeadlines(
      toItems(`${lines[0]}]`),
    );
    const owner = optional(line("principal"), toText);
    if (owner !== principal) return undefined;
    const fields: SummaryFields = {
      label: optional(line("label"), toText),
      binding: optional(line("binding"), toText),
      authenticatedAt: optional(line("authenticatedAt"), toNumber),
      createdAt: toNumber(line("createdAt")),
      accessedAt,
      idleTimeout,
      absoluteTimeout,
    };
    return { id, ...fields };
  } catch {
    return "unreadable";
  }
}

/** The fields of a summary, named: a new one does not compile until it is. */
type SummaryFields = {
  [Key in keyof Required<Omit<SessionSummary, "id">>]: SessionSummary[Key];
};

/**
 * Reads the text of a principal, as a script answers it.
 *
 * @returns `undefined` if it is not what {@linkcode fieldText} makes of one.
 */
export function readPrincipal(text: string): string | undefined {
  try {
    const principal = toText(JSON.parse(text));
    return fieldText(principal) === text ? principal : undefined;
  } catch {
    return undefined;
  }
}

/** Where a field stands among them, counted from 1 as Lua does. */
export function fieldNumber(name: Field): number {
  return ITEMS[name] - ITEMS.writeIds;
}

/** The text of a field, or of one that is missing. */
export function fieldText(value: unknown): string {
  return JSON.stringify(value ?? null);
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
export function corruptRecord(id: string): SessionError {
  return new SessionError(
    "corrupt",
    `Cannot decode session ${id}: its record is damaged or of a newer version: destroy the session by its id, or update this server`,
    { id },
  );
}

function lineOf(name: Field): number {
  return fieldNumber(name) + LINES_BEFORE - 1;
}

function dataTexts(data: StoredData): string[] {
  return Object.entries(data).map(([key, value]) =>
    keyText(key) + encode(value)
  );
}

function toItems(text: string): readonly unknown[] {
  const items = JSON.parse(text);
  if (Array.isArray(items) && items[ITEMS.format] === FORMAT) return items;
  throw new TypeError("no session");
}

function parseLine(line: string): unknown {
  if (line.startsWith(",")) return JSON.parse(line.slice(1));
  throw new TypeError("no line");
}

/** Whether the first line can be made out, and says that it is not live. */
function isPast(text: string, now: number): boolean {
  try {
    const [line] = text.split("\n", 1);
    return !isLive(toDeadlines(toItems(`${line}]`)), now);
  } catch {
    return false;
  }
}

function toDeadlines(items: readonly unknown[]) {
  return {
    accessedAt: toNumber(items[ITEMS.accessedAt]),
    idleTimeout: toNumber(items[ITEMS.idleTimeout]),
    createdAt: toNumber(items[ITEMS.begin]),
    authenticatedAt: undefined,
    absoluteTimeout: toNumber(items[ITEMS.absoluteTimeout]),
  };
}

function toRecord(items: readonly unknown[]): SessionRecord {
  const record = {
    data: toData(items),
    version: toNumber(items[ITEMS.version]),
    secretHash: toText(items[ITEMS.secretHash]),
    family: toText(items[ITEMS.family]),
    renewedAt: toNumber(items[ITEMS.renewedAt]),
    previous: toPrevious(items),
    principal: optional(items[ITEMS.principal], toText),
    label: optional(items[ITEMS.label], toText),
    authenticatedAt: optional(items[ITEMS.authenticatedAt], toNumber),
    fingerprint: optional(items[ITEMS.fingerprint], toText),
    binding: optional(items[ITEMS.binding], toText),
    createdAt: toNumber(items[ITEMS.createdAt]),
    accessedAt: toNumber(items[ITEMS.accessedAt]),
    idleTimeout: toNumber(items[ITEMS.idleTimeout]),
    absoluteTimeout: toNumber(items[ITEMS.absoluteTimeout]),
    persistent: toFlag(items[ITEMS.persistent]),
  } satisfies { [Key in keyof Required<SessionRecord>]: SessionRecord[Key] };
  const begin = record.authenticatedAt ?? record.createdAt;
  if (begin !== items[ITEMS.begin]) throw new TypeError("two beginnings");
  return Object.freeze(record);
}

function toData(items: readonly unknown[]): StoredData {
  const data = emptyObject();
  for (let at = FIRST_KEY; at < items.length; at += 2) {
    put(data, toText(items[at]), decodeParsed(items[at + 1]));
  }
  return Object.freeze(data);
}

function toPrevious(items: readonly unknown[]): SessionRecord["previous"] {
  const hash = items[ITEMS.previousHash];
  const family = items[ITEMS.previousFamily];
  const text = items[ITEMS.previousUntil];
  if (hash === null && family === null && text === null) return undefined;
  const until = parseUntil(toText(text));
  if (until === undefined) throw new TypeError("no time");
  return Object.freeze({
    secretHash: toText(hash),
    family: toText(family),
    until,
  });
}

function optional<T>(item: unknown, read: (item: unknown) => T): T | undefined {
  return item === null ? undefined : read(item);
}

function toText(item: unknown): string {
  if (typeof item === "string") return item;
  throw new TypeError("no text");
}

function toNumber(item: unknown): number {
  if (typeof item === "number" && Number.isFinite(item)) return item;
  throw new TypeError("no number");
}

function toFlag(item: unknown): boolean {
  if (typeof item === "boolean") return item;
  throw new TypeError("no flag");
}
