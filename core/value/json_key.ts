/** Writes keys such that every engine reads them back from JSON. */

/**
 * What may be more than itself in a key: a cheap first look, which most keys
 * pass.
 */
// deno-lint-ignore no-control-regex
const SUSPECT = /[\0-\x1f"$\\\ud800-\udfff]/;

const ONLY_MARKS = /^\$+$/;

/** What JSON escapes, and what would be read as an escape. */
// deno-lint-ignore no-control-regex
const UNITS = /[\0-\x1f"\\\ud800-\udfff]|\$(?=[\da-f]{4})/gu;

const ESCAPES = /\$([\da-f]{4})/g;

/**
 * A key as it is written in JSON: such that JSON needs no escapes for it, and
 * never `$` alone. Most keys stay as they are.
 *
 * V8 misreads keys with escapes, at least from 13.6 to 15.0: where it has read
 * objects with the same keys up to there, and few kinds of them, it compares the
 * next key as it is written with those that followed, and for no more characters
 * than the key has without its escapes. Once `JSON.parse('{"a":1,"\\\\":2}')` was
 * called anywhere in the process, `JSON.parse('{"a":1,"\\n":2}')` has no key but
 * `a` and `\`, for good.
 * See https://github.com/nodejs/node/issues/63785.
 */
export function toJsonKey(key: string): string {
  if (!SUSPECT.test(key)) return key;
  if (ONLY_MARKS.test(key)) return `${key}$`;
  return key.replace(
    UNITS,
    (unit) => `$${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * The key that {@linkcode toJsonKey} wrote so, or `undefined` if it wrote no key
 * so: whatever V8 misreads has a backslash, and is none.
 */
export function fromJsonKey(text: string): string | undefined {
  if (!SUSPECT.test(text)) return text;
  const key = ONLY_MARKS.test(text)
    ? text.slice(1)
    : text.replace(ESCAPES, (_escape, unit) => fromHex(unit));
  return toJsonKey(key) === text ? key : undefined;
}

function fromHex(unit: string): string {
  return String.fromCharCode(parseInt(unit, 16));
}
