/**
 * Session values to text and back, for providers that store text: JSON, in
 * which the types that JSON lacks are objects with the single key `$`.
 *
 * | value | text |
 * | --- | --- |
 * | `10n` | `{"$":["bigint","10"]}` |
 * | `new Date(0)` | `{"$":["Date",0]}` |
 * | `new Map([["a", 1]])` | `{"$":["Map",[["a",1]]]}` |
 * | `new Set([1])` | `{"$":["Set",[1]]}` |
 * | `new Uint8Array([255])` | `{"$":["Uint8Array","_w"]}` |
 * | `{ $: 1 }` | `{"$$":1}`: a key of nothing but `$` gets one more |
 * | `{ "a\n": 1 }` | `{"a$000a":1}`: no key has a character that JSON escapes |
 *
 * Such a character is written as `$` and the four lowercase hexadecimal digits of
 * its UTF-16 unit, as is a `$` in front of four such digits. There is no backslash
 * in a key, because V8 misreads keys that have one, see
 * https://github.com/nodejs/node/issues/63785.
 *
 * @example Round trip
 * ```ts
 * import { decode, encode } from "@cloakroom/session/codec";
 * import { assertEquals } from "@std/assert";
 *
 * const text = encode({ seen: new Date(0), tags: new Set(["a"]) });
 * assertEquals(text, '{"seen":{"$":["Date",0]},"tags":{"$":["Set",["a"]]}}');
 * assertEquals(decode(text), { seen: new Date(0), tags: new Set(["a"]) });
 * ```
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { SessionError } from "../errors.ts";
import { fromJsonKey, toJsonKey } from "./json_key.ts";
import { MAX_DEPTH } from "./intake.ts";
import {
  EMPTY_DATA,
  emptyObject,
  isShareable,
  put,
  type StoredData,
  type StoredKey,
  type StoredValue,
} from "./types.ts";

export type { StoredData, StoredKey, StoredValue };

/**
 * Writes a stored value, or the whole data of a session, as text.
 *
 * @param value A value as a session hands it to its provider.
 * @returns JSON; its UTF-8 form is what the size limit counts.
 */
export function encode(value: StoredValue): string {
  return JSON.stringify(toJson(value));
}

/**
 * Reads back what {@linkcode encode} wrote.
 *
 * @returns The value, frozen as far as its types can be.
 * @throws {SessionError} With code `"corrupt"`, if the text is anything else.
 */
export function decode(text: string): StoredValue {
  return fromJson(parse(text), 0);
}

/**
 * The same as {@linkcode decode} for what a store has parsed already, or what
 * is a part of something larger.
 *
 * @param json What `JSON.parse` made of the text. It becomes the value, changed
 * and frozen: pass it once, and do not use it afterwards.
 * @throws {SessionError} With code `"corrupt"`, if {@linkcode encode} did not
 * write that text.
 */
export function decodeParsed(json: unknown): StoredValue {
  return fromJson(json, 0);
}

/**
 * Reads back the whole data of a session.
 *
 * @returns A frozen object without prototype, as a record holds it.
 * @throws {SessionError} With code `"corrupt"`, if the text is not an object
 * that {@linkcode encode} wrote.
 */
export function decodeData(text: string): StoredData {
  const json = parse(text);
  if (typeof json !== "object" || json === null) throw corrupt();
  if (Array.isArray(json) || Object.hasOwn(json, "$")) throw corrupt();
  const names = Object.keys(json);
  if (names.length === 0) return EMPTY_DATA;
  const data = emptyObject();
  for (const name of names) {
    // The data is no level of its own: each value in it may have them all.
    const value = fromJson((json as Record<string, unknown>)[name], 0);
    put(data, keyFromJson(name), value);
  }
  return Object.freeze(data);
}

/** The same value where JSON can take it, else a copy that JSON can take. */
function toJson(value: StoredValue): unknown {
  if (typeof value === "bigint") return { $: ["bigint", String(value)] };
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return arrayToJson(value);
  if (value instanceof Date) return { $: ["Date", value.getTime()] };
  if (value instanceof Uint8Array) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    return { $: ["Uint8Array", bytes.toString("base64url")] };
  }
  if (value instanceof Set) return { $: ["Set", Array.from(value, toJson)] };
  if (value instanceof Map) {
    const entries = Array.from(value, ([k, v]) => [toJson(k), toJson(v)]);
    return { $: ["Map", entries] };
  }
  return objectToJson(value as StoredData);
}

function arrayToJson(array: readonly StoredValue[]): readonly unknown[] {
  const copy = array.map(toJson);
  return copy.some((item, index) => item !== array[index]) ? copy : array;
}

function objectToJson(object: StoredData): object {
  const copy = {};
  let isSame = true;
  for (const key of Object.keys(object)) {
    const item = toJson(object[key] as StoredValue);
    const name = toJsonKey(key);
    if (item !== object[key] || name !== key) isSame = false;
    put(copy, name, item);
  }
  return isSame ? object : copy;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The engine's own error quotes the text, which is session data.
    throw corrupt();
  }
}

function fromJson(json: unknown, depth: number): StoredValue {
  if (json === null) return null;
  if (typeof json === "string" || typeof json === "boolean") return json;
  if (typeof json === "number" && Number.isFinite(json)) return json + 0;
  if (typeof json !== "object") throw corrupt();
  const isArray = Array.isArray(json);
  if (!isArray && Object.hasOwn(json, "$")) return taggedFromJson(json, depth);
  if (depth >= MAX_DEPTH) throw corrupt();
  return isArray
    ? arrayFromJson(json, depth + 1)
    : objectFromJson(json as Record<string, unknown>, depth + 1);
}

// What was parsed is nobody else's: it stays, and gets the values.

function arrayFromJson(json: unknown[], depth: number): StoredValue {
  let canShare = true;
  for (let index = 0; index < json.length; index++) {
    const value = fromJson(json[index], depth);
    if (!Object.is(value, json[index])) json[index] = value;
    canShare &&= isShareable(value);
  }
  return (canShare ? Object.freeze(json) : json) as StoredValue;
}

function objectFromJson(
  json: Record<string, unknown>,
  depth: number,
): StoredValue {
  let canShare = true;
  let isRenamed = false;
  for (const name of Object.keys(json)) {
    const value = fromJson(json[name], depth);
    if (!Object.is(value, json[name])) put(json, name, value);
    canShare &&= isShareable(value);
    isRenamed ||= keyFromJson(name) !== name;
  }
  const object = isRenamed ? renamed(json) : json;
  return (canShare ? Object.freeze(object) : object) as StoredValue;
}

function renamed(json: Record<string, unknown>): Record<string, unknown> {
  const copy = {};
  for (const name of Object.keys(json)) {
    put(copy, keyFromJson(name), json[name]);
  }
  return copy;
}

function keyFromJson(name: string): string {
  const key = fromJsonKey(name);
  if (key === undefined) throw corrupt();
  return key;
}

function taggedFromJson(json: object, depth: number): StoredValue {
  const tagged = (json as { $: unknown }).$;
  if (Object.keys(json).length !== 1 || !Array.isArray(tagged)) throw corrupt();
  const [tag, content] = tagged;
  if (tagged.length !== 2) throw corrupt();
  switch (tag) {
    case "bigint":
      return bigintFromJson(content);
    case "Date":
      return dateFromJson(content);
    case "Uint8Array":
      return bytesFromJson(content);
    case "Set":
      return new Set(
        itemsOf(content, depth).map((item) => fromJson(item, depth + 1)),
      );
    case "Map":
      return new Map(
        itemsOf(content, depth).map((entry) => entryFromJson(entry, depth + 1)),
      );
    default:
      throw corrupt();
  }
}

function bigintFromJson(content: unknown): bigint {
  if (typeof content !== "string" || !/^(0|-?[1-9]\d*)$/.test(content)) {
    throw corrupt();
  }
  return BigInt(content);
}

function dateFromJson(content: unknown): Date {
  const date = new Date(typeof content === "number" ? content : NaN);
  if (Number.isNaN(date.getTime())) throw corrupt();
  return date;
}

function bytesFromJson(content: unknown): Uint8Array {
  if (typeof content !== "string") throw corrupt();
  const bytes = Buffer.from(content, "base64url");
  // Buffer skips what it cannot read; whatever it skipped is missing here.
  if (bytes.toString("base64url") !== content) throw corrupt();
  return new Uint8Array(bytes);
}

function entryFromJson(
  entry: unknown,
  depth: number,
): [StoredKey, StoredValue] {
  const [key, item, ...rest] = asArray(entry);
  const storedKey = fromJson(key, depth);
  if (typeof storedKey === "object" && storedKey !== null) throw corrupt();
  if (item === undefined || rest.length > 0) throw corrupt();
  return [storedKey, fromJson(item, depth)];
}

/** The content of a `Map` or `Set`, which are levels as arrays are. */
function itemsOf(content: unknown, depth: number): readonly unknown[] {
  if (depth >= MAX_DEPTH) throw corrupt();
  return asArray(content);
}

function asArray(json: unknown): readonly unknown[] {
  if (!Array.isArray(json)) throw corrupt();
  return json;
}

function corrupt(): SessionError {
  return new SessionError(
    "corrupt",
    "Cannot decode session data: it is not what encode() wrote",
  );
}
