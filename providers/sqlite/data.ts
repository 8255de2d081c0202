/** The data of a session as one JSON object that SQLite can merge a change into. */
import { decodeParsed, encode } from "../../core/value/codec.ts";
import type { SessionChange } from "../../core/provider.ts";
import {
  EMPTY_DATA,
  emptyObject,
  put,
  type StoredData,
  type StoredValue,
} from "../../core/value/types.ts";

const NO_DATA = "{}";

/**
 * What `json_patch` merges into a row's data:
 * each value is alone in an array, which a patch replaces as a whole, where it
 * would merge two objects and take `null` for a deletion.
 *
 * @param change Without properties that it inherits.
 * @returns `undefined` if it names no key.
 */
export function patchOf(
  change: Pick<SessionChange, "set" | "delete">,
): string | undefined {
  const { set = EMPTY_DATA, delete: removed = [] } = change;
  const entries: string[] = [];
  for (const key of Object.keys(set)) {
    entries.push(`"${toLabel(key)}":[${encode(set[key] as StoredValue)}]`);
  }
  for (const key of removed) entries.push(`"${toLabel(key)}":null`);
  return entries.length === 0 ? undefined : `{${entries.join()}}`;
}

/** The data of a new row. */
export function fromData(data: StoredData): string {
  return patchOf({ set: data, delete: undefined }) ?? NO_DATA;
}

/**
 * Reads what patches have made.
 *
 * @throws If it is anything else.
 */
export function toData(text: string): StoredData {
  if (text === NO_DATA) return EMPTY_DATA;
  const wrappers: unknown = JSON.parse(text);
  if (!isObject(wrappers)) throw new TypeError("no object");
  const data = emptyObject();
  for (const label of Object.keys(wrappers)) {
    const wrapper = wrappers[label];
    if (!Array.isArray(wrapper) || wrapper.length !== 1) {
      throw new TypeError("a value without its array");
    }
    put(data, fromLabel(label), decodeParsed(wrapper[0]));
  }
  return Object.freeze(data);
}

function isObject(json: unknown): json is Record<string, unknown> {
  return typeof json === "object" && json !== null && !Array.isArray(json);
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
