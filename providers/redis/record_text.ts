import { decode, encode } from "../../core/codec.ts";
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
} from "../../core/value.ts";

// A session is one Redis string of lines. The first has a fixed width, so that
// a touch can overwrite it in place:
//
//   format, accessedAt, expiresAt, indexedUntil
//
// Then one line for each of LINES, and two for each session key: the key and
// its value. All texts are JSON, which has no line breaks of its own, so that
// the scripts can find and replace lines without understanding them.

/** Of the format that this version writes. */
export const FORMAT = "1";

/** The characters of a number in the first line: no JavaScript number has more. */
export const NUMBER_WIDTH = 25;

/** What stands in the first line where there is no number. */
export const NO_NUMBER: string = " ".repeat(NUMBER_WIDTH);

/** The length of the first line, without its end. */
const FIRST_LINE = FORMAT.length + 3 * (1 + NUMBER_WIDTH);

/** The lines between the first one and the data, by their number. */
export const LINES = {
  version: 1,
  writeIds: 2,
  secretHash: 3,
  previousHash: 4,
  previousExpiresAt: 5,
  principal: 6,
  label: 7,
  fingerprint: 8,
  authenticatedAt: 9,
  renewedAt: 10,
  createdAt: 11,
  idleTimeout: 12,
  absoluteTimeout: 13,
  persistent: 14,
} as const;

const LINE_COUNT = Object.keys(LINES).length;

/** What is stored of a session beside its record. */
export interface Bookkeeping {
  /** Names the write, so that it is known when it comes again. */
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
  const lines = [
    [
      FORMAT,
      numberText(record.accessedAt),
      numberText(record.expiresAt),
      numberText(indexedUntil),
    ].join(" "),
    "1",
    writeId,
    JSON.stringify(record.secretHash),
    optionalText(previous?.secretHash),
    previous?.expiresAt ?? "",
    optionalText(record.principal),
    optionalText(record.label),
    optionalText(record.fingerprint),
    record.authenticatedAt ?? "",
    record.renewedAt,
    record.createdAt,
    record.idleTimeout,
    record.absoluteTimeout,
    flagText(record.persistent),
    ...dataLines(record.data),
  ];
  return `${lines.join("\n")}\n`;
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
  const expiresAt = firstLineNumber(text, 1);
  if (!text.startsWith(`${FORMAT} `) || text[FIRST_LINE] !== "\n") {
    throw corruptRecord();
  }
  if (expiresAt <= now) return undefined;
  const lines = text.split("\n");
  // The last line ends too, so nothing stands after it.
  if (lines.length < LINE_COUNT + 2 || lines.at(-1) !== "") {
    throw corruptRecord();
  }
  return fromLines(lines, firstLineNumber(text, 0), expiresAt);
}

function fromLines(
  lines: readonly string[],
  accessedAt: number,
  expiresAt: number,
): SessionRecord {
  const line = (name: keyof typeof LINES) => lines[LINES[name]] as string;
  return Object.freeze({
    data: readData(lines),
    version: readNumber(line("version")),
    secretHash: readText(line("secretHash")),
    renewedAt: readNumber(line("renewedAt")),
    previous: readPrevious(line("previousHash"), line("previousExpiresAt")),
    principal: optional(line("principal"), readText),
    label: optional(line("label"), readText),
    authenticatedAt: optional(line("authenticatedAt"), readNumber),
    fingerprint: optional(line("fingerprint"), readText),
    createdAt: readNumber(line("createdAt")),
    accessedAt,
    expiresAt,
    idleTimeout: readNumber(line("idleTimeout")),
    absoluteTimeout: readNumber(line("absoluteTimeout")),
    persistent: readFlag(line("persistent")),
  });
}

/** The numbers and texts of the lines that a change replaces. */
export function changedLines(change: SessionChange): string[] {
  const { previous } = change;
  const lines: [keyof typeof LINES, string | undefined][] = [
    ["secretHash", changed(change.secretHash, JSON.stringify)],
    ["previousHash", changed(previous, (it) => JSON.stringify(it.secretHash))],
    ["previousExpiresAt", changed(previous, (it) => String(it.expiresAt))],
    ["principal", changed(change.principal, JSON.stringify)],
    ["label", changed(change.label, JSON.stringify)],
    ["fingerprint", changed(change.fingerprint, JSON.stringify)],
    ["authenticatedAt", changed(change.authenticatedAt, String)],
    ["renewedAt", changed(change.renewedAt, String)],
    ["idleTimeout", changed(change.idleTimeout, String)],
    ["absoluteTimeout", changed(change.absoluteTimeout, String)],
    ["persistent", changed(change.persistent, flagText)],
  ];
  return lines.flatMap(([name, text]) =>
    text === undefined ? [] : [String(LINES[name]), text]
  );
}

/** Each key of some data with its value, as they stand in the text. */
export function dataLines(data: StoredData): string[] {
  return Object.entries(data).flatMap(([key, value]) => [
    JSON.stringify(key),
    encode(value),
  ]);
}

/** A number of the first line. */
export function numberText(value: number | undefined): string {
  return value === undefined ? NO_NUMBER : String(value).padStart(NUMBER_WIDTH);
}

/** Says that a session was found and cannot be made out. */
export function corruptRecord(): SessionError {
  return new SessionError(
    "corrupt",
    "Cannot decode session: its record is damaged or of a newer version",
  );
}

/** The text of a field that a change replaces, or forgets, or leaves alone. */
function changed<T>(
  value: T | null | undefined,
  toText: (value: T) => string,
): string | undefined {
  if (value === undefined) return undefined;
  return value === null ? "" : toText(value);
}

function optionalText(text: string | undefined): string {
  return text === undefined ? "" : JSON.stringify(text);
}

function flagText(flag: boolean): string {
  return flag ? "1" : "0";
}

function firstLineNumber(text: string, index: number): number {
  const from = FORMAT.length + 1 + index * (NUMBER_WIDTH + 1);
  return readNumber(text.slice(from, from + NUMBER_WIDTH).trimStart());
}

function readData(lines: readonly string[]): StoredData {
  const data = emptyObject();
  const end = lines.length - 1;
  for (let at = LINE_COUNT + 1; at < end; at += 2) {
    if (at + 1 === end) throw corruptRecord();
    put(data, readText(lines[at] as string), readValue(lines[at + 1]));
  }
  return Object.freeze(data);
}

function readValue(line: string | undefined): StoredValue {
  return decode(line as string);
}

function readPrevious(
  hash: string,
  expiresAt: string,
): SessionRecord["previous"] {
  if (hash === "" && expiresAt === "") return undefined;
  return Object.freeze({
    secretHash: readText(hash),
    expiresAt: readNumber(expiresAt),
  });
}

function optional<T>(line: string, read: (line: string) => T): T | undefined {
  return line === "" ? undefined : read(line);
}

function readText(line: string): string {
  try {
    const text: unknown = JSON.parse(line);
    if (typeof text === "string") return text;
  } catch {
    // The engine's own error quotes the text.
  }
  throw corruptRecord();
}

function readNumber(line: string): number {
  const value = line === "" ? NaN : Number(line);
  if (Number.isFinite(value)) return value;
  throw corruptRecord();
}

function readFlag(line: string): boolean {
  if (line === "1" || line === "0") return line === "1";
  throw corruptRecord();
}
