import { Buffer } from "node:buffer";
import { decodeData } from "../../core/value/codec.ts";
import { SessionError } from "../../core/errors.ts";
import type { PreviousSecret, SessionRecord } from "../../core/provider.ts";
import { toRecord } from "../../core/store/record.ts";
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

/** A record whose data is still text. */
export interface Stored {
  readonly header: Header;
  readonly data: string;
}

export function principalOf(
  entry: Version,
  otherwise?: string,
): string | undefined {
  try {
    return readStored(entry)?.header.principal;
  } catch {
    return otherwise;
  }
}

/** Whether a record is known to have had this write among its last ones. */
export function hasWrite(entry: Version, writeId: string): boolean {
  try {
    return readStored(entry)?.header.writeIds.includes(writeId) === true;
  } catch {
    return false;
  }
}

export function readLive(
  entry: Version,
  now: number,
): SessionRecord | undefined {
  const stored = readStored(entry);
  if (stored === undefined || stored.header.expiresAt <= now) return undefined;
  return recordOf(stored);
}

export function recordOf({ header, data }: Stored): SessionRecord {
  return toRecord({ ...header, data: decodeData(data) }, header.version);
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** The version of what {@linkcode toBytes} writes. */
const FORMAT = 1;

/**
 * A record as bytes: two lines of JSON in UTF-8, because Deno KV would store a
 * string with a single character beyond Latin-1 at two bytes for each.
 */
export function toBytes(record: Header, data: string): Uint8Array {
  const { data: _, ...header } = record as Header & { data?: unknown };
  const text = `${JSON.stringify({ format: FORMAT, ...header })}\n${data}`;
  const bytes = encoder.encode(text);
  if (bytes.length <= MAX_VALUE_SIZE) return bytes;
  throw new SessionError(
    "too-large",
    `Cannot store session: Deno KV takes at most ${MAX_VALUE_SIZE} bytes for one, of which its data can have ${
      MAX_VALUE_SIZE - bytes.length + Buffer.byteLength(data)
    }: received ${Buffer.byteLength(data)} bytes of data`,
  );
}

export function readStored(
  { value, versionstamp }: Version,
): Stored | undefined {
  if (versionstamp === null) return undefined;
  if (!(value instanceof Uint8Array)) throw corrupt();
  const text = toText(value);
  const end = text.indexOf("\n");
  return { header: toHeader(text.slice(0, end)), data: text.slice(end + 1) };
}

function toText(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw corrupt();
  }
}

function toHeader(text: string): Header {
  const { format, ...header } = parse(text);
  if (typeof format === "number" && format > FORMAT) {
    throw corrupt("was written by a newer version of this provider");
  }
  if (format !== FORMAT || !isHeader(header)) throw corrupt();
  return header;
}

function parse(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text));
  } catch {
    // The engine's own error quotes the text, which names users.
    throw corrupt();
  }
}

/** The type of each field; those with a `?` may be missing. */
const FIELDS: Readonly<Record<keyof Header, string>> = {
  version: "number",
  secretHash: "string",
  renewedAt: "number",
  previous: "object?",
  principal: "string?",
  label: "string?",
  authenticatedAt: "number?",
  fingerprint: "string?",
  createdAt: "number",
  accessedAt: "number",
  expiresAt: "number",
  idleTimeout: "number",
  absoluteTimeout: "number",
  persistent: "boolean",
  indexedUntil: "number?",
  writeIds: "string",
};

const CHECKS = Object.entries(FIELDS).map(([name, type]) => ({
  name,
  type: type.replace("?", ""),
  isOptional: type.endsWith("?"),
}));

function isHeader(header: object): header is Header {
  const fields = header as Readonly<Record<string, unknown>>;
  for (const { name, type, isOptional } of CHECKS) {
    const field = fields[name];
    const found: string = field === null ? "null" : typeof field;
    if (found !== type && !(isOptional && found === "undefined")) return false;
  }
  const previous = fields["previous"] as PreviousSecret | undefined;
  return previous === undefined || isPreviousSecret(previous);
}

function isPreviousSecret(previous: PreviousSecret): boolean {
  return typeof previous.secretHash === "string" &&
    typeof previous.expiresAt === "number";
}

function corrupt(reason = "is not what this provider wrote"): SessionError {
  return new SessionError(
    "corrupt",
    `Cannot read session: its record ${reason}`,
  );
}
