/** How many bytes a value takes in the codec's text. */
import { Buffer } from "node:buffer";
import { toJsonKey } from "./json_key.ts";
import type { StoredData, StoredValue } from "./types.ts";

/**
 * The bytes of a stored value in the codec's text, in UTF-8. The walk that takes
 * values in counts with the same functions, see `value.ts`.
 */
function valueSize(value: StoredValue): number {
  if (typeof value === "string") return stringSize(value);
  if (typeof value !== "object" || value === null) return scalarSize(value);
  if (Array.isArray(value)) return arraySize(value);
  if (value instanceof Date) return dateSize(value);
  if (value instanceof Uint8Array) return bytesSize(value);
  if (value instanceof Map) return mapSize(value);
  if (value instanceof Set) return setSize(value);
  return objectSize(value as StoredData);
}

/**
 * The bytes that one entry of stored data takes in the codec's text form, as
 * `takeIn` counts them.
 */
export function entrySize(key: string, value: StoredValue): number {
  return entryFrame(key) + rememberedSize(value);
}

/**
 * The sizes of large containers, which are frozen and measured again with every
 * write to their session.
 */
const sizes = new WeakMap<object, number>();

/** From how many bytes on a size is worth remembering. */
const LARGE = 8192;

/** Keeps the size of a stored value, if that is worth it. */
export function rememberSize(value: StoredValue, size: number): void {
  if (size < LARGE || typeof value !== "object" || value === null) return;
  if (!Object.isExtensible(value)) sizes.set(value, size);
}

function rememberedSize(value: StoredValue): number {
  if (typeof value !== "object" || value === null) return valueSize(value);
  const known = sizes.get(value);
  if (known !== undefined) return known;
  const size = valueSize(value);
  rememberSize(value, size);
  return size;
}

/** The bytes that stored data takes: the sum of its entries. */
export function dataSize(data: StoredData): number {
  let size = 0;
  for (const key of Object.keys(data)) {
    size += entrySize(key, data[key] as StoredValue);
  }
  return size;
}

/** Bytes of a session key, with colon and comma. */
export function entryFrame(key: string): number {
  return keySize(key) + 2;
}

/** Bytes of what is neither text nor a container. */
export function scalarSize(value: null | boolean | number | bigint): number {
  const { length } = String(value);
  return typeof value === "bigint"
    ? '{"$":["bigint",""]}'.length + length
    : length;
}

/** Bytes of a date. */
export function dateSize(date: Date): number {
  return '{"$":["Date",]}'.length + String(date.getTime()).length;
}

/** Bytes of binary data. */
export function bytesSize(bytes: Uint8Array): number {
  return '{"$":["Uint8Array",""]}'.length + Math.ceil(bytes.length * 4 / 3);
}

/** Bytes of the brackets and commas around `count` items. */
export function brackets(count: number): number {
  return 2 + Math.max(0, count - 1);
}

/** Bytes around the entries of a map, and around each key and value. */
export function mapFrame(count: number): number {
  return '{"$":["Map",]}'.length + brackets(count) + count * "[,]".length;
}

/** Bytes around the items of a set. */
export function setFrame(count: number): number {
  return '{"$":["Set",]}'.length + brackets(count);
}

/** Bytes of an object key in the codec's text, quotes included. */
export function keySize(key: string): number {
  const size = stringSize(key);
  // Most are plain; without a look at that, V8 takes a fifth longer to take in
  // an object of short keys.
  const isPlain = size === key.length + 2 && !key.includes("$");
  return isPlain ? size : stringSize(toJsonKey(key));
}

/** Bytes of `JSON.stringify(text)` in UTF-8, without making it. */
export function stringSize(text: string): number {
  if (text.length >= LONG_TEXT) return Buffer.byteLength(JSON.stringify(text));
  let size = text.length + 2;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit >= 0x80) size += extraBytes(text, index, unit);
    else if (unit < 0x20) size += SHORT_ESCAPES.has(unit) ? 1 : 5;
    else if (unit === 0x22 || unit === 0x5c) size += 1;
  }
  return size;
}

function arraySize(array: readonly StoredValue[]): number {
  let size = brackets(array.length);
  for (const item of array) size += valueSize(item);
  return size;
}

function objectSize(object: StoredData): number {
  const keys = Object.keys(object);
  let size = brackets(keys.length);
  for (const key of keys) {
    size += keySize(key) + 1 + valueSize(object[key] as StoredValue);
  }
  return size;
}

function mapSize(map: ReadonlyMap<StoredValue, StoredValue>): number {
  let size = mapFrame(map.size);
  for (const [key, item] of map) size += valueSize(key) + valueSize(item);
  return size;
}

function setSize(set: ReadonlySet<StoredValue>): number {
  let size = setFrame(set.size);
  for (const item of set) size += valueSize(item);
  return size;
}

/** From how many characters on making it is faster: up to ten times in V8. */
const LONG_TEXT = 256;

/** Backspace, tab, line feed, form feed, carriage return: `\b` and so on. */
const SHORT_ESCAPES: ReadonlySet<number> = new Set([8, 9, 10, 12, 13]);

/** Bytes beyond the first of a UTF-16 unit that is not ASCII. */
function extraBytes(text: string, index: number, unit: number): number {
  if (unit < 0x800) return 1;
  if (unit < 0xd800 || unit > 0xdfff) return 2;
  // A pair takes four bytes, two for each half; a lone surrogate is escaped.
  const isHigh = unit < 0xdc00;
  const other = text.charCodeAt(isHigh ? index + 1 : index - 1);
  const isPaired = isHigh
    ? other >= 0xdc00 && other <= 0xdfff
    : other >= 0xd800 && other <= 0xdbff;
  return isPaired ? 1 : 5;
}
