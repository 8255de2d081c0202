/**
 * Arbitrary session data for the property tests, and a way to compare it.
 *
 * @module
 */
import fc from "fast-check";
import { put, type StoredKey, type StoredValue } from "../core/value/types.ts";

/** One UTF-16 unit, so that surrogates come alone as well as in pairs. */
const anyUnit = fc.integer({ min: 0, max: 0xffff }).map((unit) =>
  String.fromCharCode(unit)
);

/** What JSON escapes, and the last and first unit of each length in UTF-8. */
const trickyUnit = fc.constantFrom(
  "$",
  '"',
  "\\",
  "/",
  "\0",
  "\b",
  "\t",
  "\n",
  "\v",
  "\f",
  "\r",
  "\x1f",
  "\x7f",
  "\x80",
  "\u07ff",
  "\u0800",
  "\u2028",
  "\ud7ff",
  "\ud800",
  "\udbff",
  "\udc00",
  "\udfff",
  "\ue000",
  "\uffff",
  "\u{10000}",
  "\u{10ffff}",
);

/** Strings of any UTF-16 units. */
export const texts: fc.Arbitrary<string> = fc.string({
  unit: fc.oneof(
    fc.string({ minLength: 1, maxLength: 1 }),
    trickyUnit,
    anyUnit,
  ),
  maxLength: 12,
});

/** Keys of objects and sessions, with those that could mean more than data. */
export const keys: fc.Arbitrary<string> = fc.oneof(
  texts,
  fc.constantFrom(
    "",
    "0",
    "$",
    "$$",
    "$a",
    "__proto__",
    "constructor",
    "prototype",
    "toJSON",
    "toString",
    "hasOwnProperty",
    "length",
  ),
);

const numbers = fc.oneof(
  fc.integer(),
  fc.constantFrom(-0, 1e21, -1e-7, Number.MAX_VALUE, Number.MIN_VALUE),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);

const bigints = fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n });

/** Primitive values, which can key a `Map`. */
const primitives: fc.Arbitrary<StoredKey> = fc.oneof(
  texts,
  numbers,
  bigints,
  fc.boolean(),
  fc.constant(null),
);

const leaves: fc.Arbitrary<StoredValue> = fc.oneof(
  primitives,
  fc.date({ noInvalidDate: true }),
  fc.uint8Array({ maxLength: 12 }),
);

/** Values that a session can hold, fresh and mutable all through. */
export const storables: fc.Arbitrary<StoredValue> = fc.letrec<
  { value: StoredValue }
>((tie) => {
  const items = fc.array(tie("value"), { maxLength: 4 });
  const entries = fc.array(fc.tuple(keys, tie("value")), { maxLength: 4 });
  const pairs = fc.array(fc.tuple(primitives, tie("value")), { maxLength: 4 });
  return {
    value: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      { weight: 3, arbitrary: leaves },
      { weight: 1, arbitrary: items },
      { weight: 2, arbitrary: fc.tuple(entries, fc.boolean()).map(toObject) },
      { weight: 1, arbitrary: items.map((list) => new Set(list)) },
      { weight: 1, arbitrary: pairs.map((list) => new Map(list)) },
    ),
  };
}).value;

/** Data as a record holds it: any keys, no prototype. */
export const storedData: fc.Arbitrary<{ [key: string]: StoredValue }> = fc
  .array(fc.tuple(keys, storables), { maxLength: 4 })
  .map((entries) => toObject([entries, true]));

function toObject(
  [entries, hasNoPrototype]: [[string, StoredValue][], boolean],
): { [key: string]: StoredValue } {
  const object = hasNoPrototype ? Object.create(null) : {};
  for (const [key, value] of entries) put(object, key, value);
  return object;
}

/**
 * A value as nested arrays of primitives that name every type, so that any deep
 * comparison tells a `Date` from its number, and the order of keys counts.
 */
export function shape(value: unknown): unknown {
  if (typeof value === "number") return value + 0;
  if (typeof value === "bigint") return ["bigint", String(value)];
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Date) return ["Date", value.getTime()];
  if (value instanceof Uint8Array) return ["Uint8Array", ...value];
  if (value instanceof Set) return ["Set", ...Array.from(value, shape)];
  if (Array.isArray(value)) return ["Array", ...value.map(shape)];
  if (value instanceof Map) {
    return ["Map", ...Array.from(value, (entry) => entry.map(shape))];
  }
  return [
    "Object",
    ...Object.entries(value).map(([key, item]) => [key, shape(item)]),
  ];
}
