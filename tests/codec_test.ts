import {
  assert,
  assertEquals,
  assertFalse,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import fc from "fast-check";
import { describe, it } from "node:test";
import {
  decode,
  decodeData,
  decodeParsed,
  encode,
} from "../core/value/codec.ts";
import { SessionError } from "../core/errors.ts";
import { MAX_DEPTH, takeIn } from "../core/value/intake.ts";
import { put, type StoredData, type StoredValue } from "../core/value/types.ts";
import { keys, shape, storables, storedData, texts } from "./_arbitraries.ts";

function taken(value: unknown): StoredValue {
  return takeIn("key", value, Infinity).value;
}

/** Fails unless the text is refused in the one way in which it may be. */
function assertCorrupt(text: string, read: (text: string) => unknown): void {
  const error = assertThrows(() => read(text), SessionError);
  assertEquals(error.code, "corrupt");
  assertEquals(
    error.message,
    "Cannot decode session data: it is not what encode() wrote",
  );
  assertStrictEquals(error.cause, undefined);
}

/** What holds for every text there is. */
function assertReadOrCorrupt(text: string): void {
  let value: StoredValue;
  try {
    value = decode(text);
  } catch {
    assertCorrupt(text, decode);
    return;
  }
  assertEquals(shape(taken(value)), shape(value));
  assertEquals(shape(decode(encode(value))), shape(value));
}

/** Whether each array, object and so on in a value is frozen, in order. */
function frozenness(value: StoredValue): boolean[] {
  if (typeof value !== "object" || value === null) return [];
  const isLeaf = value instanceof Date || value instanceof Uint8Array;
  const items: StoredValue[] = isLeaf
    ? []
    : value instanceof Map || value instanceof Set
    ? [...value.values()]
    : Object.values(value);
  return [Object.isFrozen(value), ...items.flatMap(frozenness)];
}

function nested(levels: number, core: StoredValue): StoredValue {
  let value = core;
  for (let level = 0; level < levels; level++) {
    value = level % 2 === 0 ? [value] : { a: value };
  }
  return value;
}

/** What a key means to JSON, to the codec or to V8, in keys that look alike. */
const alikeKeys = fc.string({
  unit: fc.constantFrom("\\", '"', "\n", "\0", "\ud800", "$", "0", "a", "n"),
  maxLength: 5,
});

const alike = fc.oneof(
  alikeKeys,
  fc.constantFrom("__proto__", "$000a", "\\u000a", "\\", "\n", '"'),
);

/** JSON in which the codec's own marks come up often. */
const markedJson = fc.letrec<{ json: unknown }>((tie) => {
  const mark = fc.constantFrom("$", "$$", "bigint", "Date", "Map", "Set", "10");
  const list = fc.array(tie("json"), { maxLength: 3 });
  const tag = fc.constantFrom("bigint", "Date", "Map", "Set", "Uint8Array");
  return {
    json: fc.oneof(
      { maxDepth: 5, withCrossShrink: true },
      fc.oneof(mark, fc.integer(), fc.double(), fc.constant(null)),
      list,
      fc.dictionary(fc.oneof(mark, keys), tie("json"), { maxKeys: 2 }),
      fc.tuple(tag, tie("json")).map((tagged) => ({ $: tagged })),
      fc.tuple(tag, list).map((tagged) => ({ $: tagged })),
      fc.tuple(tag, fc.array(list)).map((tagged) => ({ $: tagged })),
    ),
  };
}).json.map((json) => JSON.stringify(json));

/** What the codec wrote, with one piece of it replaced. */
const damaged = fc.tuple(
  storables,
  fc.nat(),
  fc.nat({ max: 3 }),
  fc.oneof(texts, fc.constantFrom("", "$", '"', "[", "]", "{", "}", "0", ",")),
).map(([value, at, length, piece]) => {
  const text = encode(value);
  const start = at % (text.length + 1);
  return text.slice(0, start) + piece + text.slice(start + length);
});

describe("the codec", () => {
  it("gives back every value as it was", () => {
    fc.assert(
      fc.property(storables, (value) => {
        assertEquals(shape(decode(encode(value))), shape(value));
      }),
      { numRuns: 500 },
    );
  });

  it("gives back every value as immutable as it was taken in", () => {
    fc.assert(fc.property(storables, (value) => {
      const copy = taken(value);
      assertEquals(frozenness(decode(encode(copy))), frozenness(copy));
    }));
  });

  it("gives back a whole session's data as a record holds it", () => {
    fc.assert(fc.property(storedData, (data) => {
      const copy = decodeData(encode(data));
      assertEquals(shape(copy), shape(data));
      assertStrictEquals(Object.getPrototypeOf(copy), null);
      assert(Object.isFrozen(copy));
    }));
  });

  it("gives back a key that V8 takes for another in JSON", () => {
    const pairs = [
      ["\\", "\n"],
      ["\\", '"'],
      ["\\n", "\nx"],
      ["a\\n", "a\nb"],
      ["\\u", "\0\0"],
      ["\\", "\ud800"],
    ];
    for (const [index, pair] of pairs.entries()) {
      for (const key of pair) {
        const object = { [`pair ${index}`]: 1, [key]: 2 };
        assertEquals(decode(encode(object)), object);
        assertEquals({ ...decodeData(encode(object)) }, object);
        assertEquals(decode(encode({ list: [object] })), { list: [object] });
      }
    }
  });

  it("gives back any value beside a key that is written in another way", () => {
    const object = {
      first: new Date(1),
      "a\n": new Set([1n]),
      last: [new Date(2), { $: 1 }],
    };
    assertEquals(shape(decode(encode(object))), shape(object));
    assertEquals(shape(decode(encode([object]))), shape([object]));
  });

  it("gives back a key whatever keys it has read in its place", () => {
    // Another first key each time, because V8 misreads after few kinds only.
    let runs = 0;
    fc.assert(
      fc.property(fc.array(alike, { maxLength: 4 }), (names) => {
        const first = `run ${runs++}`;
        for (const name of names) {
          const object = { [first]: 1 };
          put(object, name, 2);
          assertEquals(shape(decode(encode(object))), shape(object));
          assertEquals(shape(decodeData(encode(object))), shape(object));
        }
      }),
      { numRuns: 1000 },
    );
  });

  it("gives back a value of the greatest depth", () => {
    for (const leaf of [null, "a", 1, true]) {
      const value = taken(nested(MAX_DEPTH, leaf));
      assertEquals(shape(decode(encode(value))), shape(value));
    }
  });

  it("gives back bigint, Date and bytes at the greatest depth too", () => {
    for (const leaf of [1n, new Date(0), new Uint8Array([1])]) {
      const value = taken(nested(MAX_DEPTH, leaf));
      assertEquals(shape(decode(encode(value))), shape(value));
    }
  });

  it("gives back a Map with bigint keys at the greatest depth too", () => {
    const value = taken(nested(MAX_DEPTH - 1, new Map([[1n, null]])));
    assertEquals(shape(decode(encode(value))), shape(value));
  });

  it("gives back data that holds a value of the greatest depth", () => {
    const data = { key: taken(nested(MAX_DEPTH, null)) };
    assertEquals(shape(decodeData(encode(data))), shape(data));
  });

  it("is indifferent to a value's own toJSON", () => {
    const value = { toJSON: "a", nested: [{ toJSON: 1 }] };
    assertEquals(encode(value), '{"toJSON":"a","nested":[{"toJSON":1}]}');
  });

  it("writes no more of a buffer than the bytes that were chosen from it", () => {
    const whole = new Uint8Array([1, 2, 255, 4]);
    assertEquals(encode(whole.subarray(2, 3)), '{"$":["Uint8Array","_w"]}');
  });

  it("leaves a value as it was", () => {
    fc.assert(fc.property(storables, (value) => {
      const before = shape(value);
      encode(value);
      assertEquals(shape(value), before);
    }));
  });
});

describe("the codec's text", () => {
  it("is plain JSON where JSON will do", () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => {
      fc.pre(!/"\$|\\|\$[\da-f]{4}/.test(JSON.stringify(value)));
      assertEquals(encode(value as StoredValue), JSON.stringify(value));
    }));
  });

  it("marks the types that JSON lacks with the key $", () => {
    const texts: [StoredValue, string][] = [
      [10n, '{"$":["bigint","10"]}'],
      [-(2n ** 64n), '{"$":["bigint","-18446744073709551616"]}'],
      [new Date(0), '{"$":["Date",0]}'],
      [new Date(-1), '{"$":["Date",-1]}'],
      [new Map([["a", 1]]), '{"$":["Map",[["a",1]]]}'],
      [new Map([[1n, null]]), '{"$":["Map",[[{"$":["bigint","1"]},null]]]}'],
      [new Set([1]), '{"$":["Set",[1]]}'],
      [new Set(), '{"$":["Set",[]]}'],
      [new Uint8Array([255]), '{"$":["Uint8Array","_w"]}'],
      [new Uint8Array(), '{"$":["Uint8Array",""]}'],
    ];
    for (const [value, text] of texts) {
      assertEquals(encode(value), text);
      assertEquals(shape(decode(text)), shape(value));
    }
  });

  it("lengthens keys of nothing but $, so that data is never taken for a mark", () => {
    const texts: [StoredValue, string][] = [
      [{ $: 1 }, '{"$$":1}'],
      [{ $: ["Date", 0] }, '{"$$":["Date",0]}'],
      [{ $$: 1 }, '{"$$$":1}'],
      [{ $: 1, $$: 2 }, '{"$$":1,"$$$":2}'],
      [{ $a: 1, a$: 2, "": 3 }, '{"$a":1,"a$":2,"":3}'],
      [{ $: 10n }, '{"$$":{"$":["bigint","10"]}}'],
    ];
    for (const [value, text] of texts) {
      assertEquals(encode(value), text);
      assertEquals(shape(decode(text)), shape(value));
    }
  });

  it("has no key with a character that JSON escapes", () => {
    const texts: [string, string][] = [
      ["a\nb", "a$000ab"],
      ["\\", "$005c"],
      ['"', "$0022"],
      ["\0", "$0000"],
      ["\ud800", "$d800"],
      ["\ud83d\ude00", "\ud83d\ude00"],
      ["$\n", "$$000a"],
      ["$$\n$", "$$$000a$"],
      ["$000a", "$0024000a"],
      ["$$000a", "$$0024000a"],
      ["$000A", "$000A"],
      ["$00a", "$00a"],
      ["$00\n", "$00$000a"],
    ];
    for (const [key, text] of texts) {
      assertEquals(encode({ [key]: 1 }), `{"${text}":1}`);
      assertEquals(decode(`{"${text}":1}`), { [key]: 1 });
    }
  });

  it("has no backslash in a key, whatever the key", () => {
    fc.assert(fc.property(keys, (key) => {
      const text = encode({ [key]: 1, nested: { [key]: 1 } });
      assertFalse(text.includes("\\"), text);
    }));
  });

  it("keeps __proto__ as data", () => {
    const text = '{"__proto__":{"polluted":1},"at":{"$":["Date",0]}}';
    const value = decode(text) as object;
    assertEquals(Object.keys(value), ["__proto__", "at"]);
    assertStrictEquals(Object.getPrototypeOf(value), Object.prototype);
    assertFalse("polluted" in value);
    assertFalse("polluted" in {});
    assertEquals(encode(value as StoredValue), text);
    assertEquals(encode(decodeData(text)), text);
  });

  it("is well-formed whatever the strings", () => {
    fc.assert(fc.property(texts, (value) => {
      assert(encode(value).isWellFormed());
    }));
  });

  it("reads minus zero as zero", () => {
    assertStrictEquals(decode("-0"), 0);
    const [item, object] = decode('[-0,{"a":-0}]') as [number, StoredData];
    assertStrictEquals(item, 0);
    assertStrictEquals(object["a"], 0);
  });

  it("takes over what a store has parsed", () => {
    const json = JSON.parse('[1,{"a":[2]}]');
    const value = decodeParsed(json);
    assertStrictEquals(value, json);
    assert(Object.isFrozen(json[1].a));
  });

  it("yields bytes in memory of their own", () => {
    const bytes = decode('{"$":["Uint8Array","AQI"]}') as Uint8Array;
    assertStrictEquals(Object.getPrototypeOf(bytes), Uint8Array.prototype);
    assertEquals(bytes.buffer.byteLength, 2);
  });
});

describe("a text that the codec did not write", () => {
  it("is read as a value that can be stored, or corrupt, if it is any text", () => {
    fc.assert(fc.property(texts, assertReadOrCorrupt));
    fc.assert(fc.property(fc.string(), assertReadOrCorrupt));
  });

  it("is read as a value that can be stored, or corrupt, if it is any JSON", () => {
    fc.assert(fc.property(fc.json(), assertReadOrCorrupt));
    fc.assert(fc.property(markedJson, assertReadOrCorrupt), { numRuns: 1000 });
  });

  it("is read as a value that can be stored, or corrupt, if it was damaged", () => {
    fc.assert(fc.property(damaged, assertReadOrCorrupt), { numRuns: 1000 });
  });

  it("is corrupt if it is not JSON, with no word of it in the error", () => {
    const texts = ["", "hunter2", "{", '{"a":}', "undefined", "NaN", "'a'"];
    for (const text of texts) assertCorrupt(text, decode);
  });

  it("is corrupt if it was cut short", () => {
    const text = encode({ a: [1n, new Date(0)], b: new Map([["c", "d"]]) });
    for (let length = 0; length < text.length; length++) {
      assertCorrupt(text.slice(0, length), decode);
    }
  });

  it("is corrupt if a number is beyond what a number can hold", () => {
    for (const text of ["1e999", "[-1e999]"]) assertCorrupt(text, decode);
  });

  it("is corrupt if a mark is not one that the codec writes", () => {
    const texts = [
      '{"$":1}',
      '{"$":null}',
      '{"$":[]}',
      '{"$":["Date"]}',
      '{"$":["Date",0,0]}',
      '{"$":["Date",0],"a":1}',
      '{"$":["Date",0],"$$":1}',
      '{"$":["RegExp","a"]}',
      '{"$":["constructor",[]]}',
      '{"$":[["Date"],0]}',
      '{"$":{"0":"Date","1":0,"length":2}}',
    ];
    for (const text of texts) assertCorrupt(text, decode);
  });

  it("is corrupt if a key is not written in its only form", () => {
    const keys = [
      "a\\nb",
      "\\\\",
      '\\"',
      "\\u0000",
      "\\ud800",
      "$0061",
      "$0024",
      "$0024$0024",
      "$00240",
      "$d83d$de00",
      "$d83d\ude00",
    ];
    for (const key of keys) {
      assertCorrupt(`{"${key}":1}`, decode);
      assertCorrupt(`[{"a":{"${key}":1}}]`, decode);
      assertCorrupt(`{"${key}":1}`, decodeData);
    }
  });

  it("is corrupt if a bigint is not written in its only form", () => {
    for (
      const digits of ["", "-0", "01", "+1", " 1", "1\n", "0x1", "1.0", "n"]
    ) {
      assertCorrupt(JSON.stringify({ $: ["bigint", digits] }), decode);
    }
    assertCorrupt('{"$":["bigint",1]}', decode);
  });

  it("is corrupt if a Date is not an instant", () => {
    for (const time of ['"0"', "null", "8.65e15", "[0]", "true", "{}"]) {
      assertCorrupt(`{"$":["Date",${time}]}`, decode);
    }
  });

  it("is corrupt if bytes are not base64url in its only form", () => {
    for (const text of ["A", "_w==", "/w", "_x", "_w ", "_w\n", "ä", "A*AA"]) {
      assertCorrupt(JSON.stringify({ $: ["Uint8Array", text] }), decode);
    }
    assertCorrupt('{"$":["Uint8Array",[255]]}', decode);
  });

  it("is corrupt if a Map or Set is not a list", () => {
    for (const content of ["null", '"a"', "{}", "0"]) {
      assertCorrupt(`{"$":["Map",${content}]}`, decode);
      assertCorrupt(`{"$":["Set",${content}]}`, decode);
    }
  });

  it("is corrupt if an entry of a Map is not a primitive key and a value", () => {
    const entries = [
      "null",
      '"ab"',
      "[]",
      "[1]",
      "[1,2,3]",
      "[[1],2]",
      "[{},2]",
      '[{"$":["Date",0]},2]',
      '{"0":1,"1":2}',
    ];
    for (const entry of entries) {
      assertCorrupt(`{"$":["Map",[${entry}]]}`, decode);
    }
  });

  it("is corrupt if it is nested deeper than a value can be", () => {
    const wrappers = [
      ["[", "]"],
      ['{"a":', "}"],
      ['{"$":["Set",[', "]]}"],
      ['{"$":["Map",[["a",', "]]]}"],
    ] as const;
    for (const [open, close] of wrappers) {
      const wrap = (levels: number) =>
        open.repeat(levels) + "0" + close.repeat(levels);
      assertEquals(encode(decode(wrap(100))), wrap(100));
      assertCorrupt(wrap(101), decode);
      assertCorrupt(wrap(20_000), decode);
      assertCorrupt(open.repeat(20_000), decode);
      assertCorrupt(`{"key":${wrap(101)}}`, decodeData);
    }
  });

  it("is corrupt as a session's data unless it is an object", () => {
    const texts = [
      "null",
      "1",
      '"a"',
      "[]",
      '{"$":["Map",[]]}',
      '{"$":["Set",[]]}',
      '{"$":["Date",0]}',
      '{"$":["bigint","1"]}',
      '{"$":["Uint8Array",""]}',
      "{",
    ];
    for (const text of texts) assertCorrupt(text, decodeData);
  });
});
