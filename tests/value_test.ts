import {
  assert,
  assertEquals,
  assertFalse,
  assertNotStrictEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import fc from "fast-check";
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { encode } from "../core/value/codec.ts";
import { MAX_DEPTH, quote, takeIn } from "../core/value/intake.ts";
import { dataSize, entrySize } from "../core/value/size.ts";
import {
  EMPTY_DATA,
  put,
  type StoredValue,
  view,
} from "../core/value/types.ts";
import { Manager, type Session, SessionError } from "../mod.ts";
import { keys, shape, storables, storedData } from "./_arbitraries.ts";

class Money {
  readonly amount = 5;
}

/** A value as a session stores it under the key `cart`. */
function stored(value: unknown): StoredValue {
  return takeIn("cart", value, Infinity).value;
}

/** Why a value cannot be stored, without what all such messages begin with. */
function refusalOf(value: unknown): string {
  const start = 'Cannot set "cart": ';
  const { message } = assertThrows(() => stored(value), TypeError, start);
  return message.slice(start.length);
}

async function emptySession(maxSize?: number): Promise<Session> {
  const manager = new Manager({ maxSize, gcInterval: 0 });
  return await manager.start(new Request("http://localhost/"));
}

/** The bytes that an entry takes in the text of a whole session's data. */
function bytesOf(key: string, value: StoredValue): number {
  const data = Object.create(null);
  put(data, key, value);
  const text = encode(data);
  assert(text.isWellFormed(), "a lone surrogate would not survive UTF-8");
  // One for the comma, less two for the braces.
  return Buffer.byteLength(text) - 1;
}

/** Changes whatever can be changed in a value. */
function vandalize(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  if (value instanceof Date) value.setTime(42);
  else if (value instanceof Uint8Array) value.fill(42);
  else if (value instanceof Set) {
    value.forEach(vandalize);
    value.clear();
    value.add("planted");
  } else if (value instanceof Map) {
    value.forEach(vandalize);
    for (const key of value.keys()) value.set(key, "planted");
    value.set("planted", "planted");
  } else vandalizeObject(value);
}

function vandalizeObject(object: object): void {
  Object.values(object).forEach(vandalize);
  for (const key of Object.keys(object)) Reflect.set(object, key, "planted");
  Reflect.set(object, "planted", "planted");
  if (Array.isArray(object)) Reflect.set(object, "length", 0);
}

/** Whether all arrays and plain objects in a value are frozen. */
function isFrozenThroughout(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return true;
  if (value instanceof Date || value instanceof Uint8Array) return true;
  if (value instanceof Set || value instanceof Map) {
    return [...value.values()].every(isFrozenThroughout);
  }
  return Object.isFrozen(value) &&
    Object.values(value).every(isFrozenThroughout);
}

function nested(
  levels: number,
  wrap: (value: unknown) => unknown,
  core: unknown,
): unknown {
  let value = core;
  for (let level = 0; level < levels; level++) value = wrap(value);
  return value;
}

const WRAPPERS: ReadonlyMap<string, (value: unknown) => unknown> = new Map([
  ["array", (value: unknown): unknown => [value]],
  ["object", (value) => ({ a: value })],
  ["Map", (value) => new Map([["a", value]])],
  ["Set", (value) => new Set([value])],
]);

describe("a value that can be stored", () => {
  it("is any nesting of JSON, bigint, Date, Map, Set and Uint8Array", () => {
    fc.assert(fc.property(storables, (value) => {
      assertEquals(shape(stored(value)), shape(value));
    }));
  });

  it("comes back from a session as it was set", async () => {
    const session = await emptySession();
    fc.assert(fc.property(keys, storables, (key, value) => {
      session.set(key, value);
      assertEquals(shape(session.get(key)), shape(value));
      session.clear();
    }));
  });

  it("keeps every type to its class", () => {
    const classes = [Date, Map, Set, Uint8Array] as const;
    const values = [new Date(0), new Map(), new Set(), new Uint8Array()];
    values.forEach((value, index) => {
      const prototype = Object.getPrototypeOf(stored(value));
      assertStrictEquals(prototype, classes[index]?.prototype);
    });
  });

  it("loses a subclass of Date, Map, Set, Uint8Array or Array", () => {
    class Tags extends Set<string> {}
    class Cart extends Array<string> {}
    const pairs = [
      [Buffer.from("a"), Uint8Array],
      [new Tags(["a"]), Set],
      [Cart.from(["a"]), Array],
    ] as const;
    for (const [value, plain] of pairs) {
      const prototype = Object.getPrototypeOf(stored(value));
      assertStrictEquals(prototype, plain.prototype);
    }
  });

  it("may lack a prototype, and has an ordinary one when it comes back", () => {
    const value = Object.assign(Object.create(null), { a: 1 });
    const copy = stored(value);
    assertEquals(copy, { a: 1 });
    assertStrictEquals(Object.getPrototypeOf(copy), Object.prototype);
  });

  it("loses what is undefined in an object, as in JSON", () => {
    const copy = stored({ a: undefined, b: { c: undefined }, d: null });
    assertEquals(Object.keys(copy as object), ["b", "d"]);
    assertEquals(copy, { b: {}, d: null });
  });

  it("loses symbol keys and what cannot be enumerated", () => {
    const value = { a: 1, [Symbol("b")]: 2 };
    Object.defineProperty(value, "c", { value: () => 3, enumerable: false });
    assertEquals(shape(stored(value)), ["Object", ["a", 1]]);
  });

  it("turns minus zero into zero, as JSON does", () => {
    assertStrictEquals(stored(-0), 0);
    assertStrictEquals((stored([-0]) as StoredValue[])[0], 0);
  });

  it("may hold the same object in two places", () => {
    const address = { city: "Turin" };
    assertEquals(stored({ from: address, to: [address, address] }), {
      from: { city: "Turin" },
      to: [{ city: "Turin" }, { city: "Turin" }],
    });
  });

  it("may be what a session handed out before", async () => {
    const session = await emptySession();
    session.set("a", { at: new Date(0), tags: new Set(["x"]) });
    session.set("b", session.get("a"));
    assertEquals(session.get("b"), session.get("a"));
  });

  it("can be nested 100 levels deep in every container", () => {
    for (const [name, wrap] of WRAPPERS) {
      const copy = stored(nested(MAX_DEPTH, wrap, null));
      assertEquals(shape(copy), shape(nested(100, wrap, null)), name);
    }
  });

  it("is read once, so that a getter cannot answer twice", () => {
    let reads = 0;
    const value = {
      get price() {
        return ++reads === 1 ? 5 : () => 5;
      },
    };
    assertEquals(stored(value), { price: 5 });
    assertEquals(reads, 1);
  });
});

describe("a value that cannot be stored", () => {
  it("is refused as what it is", () => {
    const refusals: [unknown, string][] = [
      [undefined, "cart is undefined: remove a key with delete()"],
      [() => 1, "cart is a function"],
      [Money, "cart is a function"],
      [Symbol("s"), "cart is a symbol"],
      [NaN, "cart is NaN"],
      [Infinity, "cart is Infinity"],
      [-Infinity, "cart is -Infinity"],
      [new Date(NaN), "cart is an invalid Date"],
      [new Money(), "cart is an instance of Money"],
      [new (class {})(), "cart is an instance of a class"],
      [Object.create({ a: 1 }), "cart is an instance of Object"],
      [/a/, "cart is an instance of RegExp"],
      [new Error("e"), "cart is an instance of Error"],
      [new URL("http://a/"), "cart is an instance of URL"],
      [Promise.resolve(1), "cart is a promise: await it first"],
      [new WeakMap(), "cart is an instance of WeakMap"],
      [new ArrayBuffer(1), "cart is an instance of ArrayBuffer"],
      [new Uint16Array(1), "cart is an instance of Uint16Array"],
      [Object("s"), "cart is an instance of String"],
      [Object(1n), "cart is an instance of BigInt"],
    ];
    for (const [value, refusal] of refusals) {
      assertEquals(refusalOf(value), refusal);
    }
  });

  it("is refused at every depth, with the path to it", () => {
    const bad = () => 1;
    const refusals: [unknown, string][] = [
      [{ items: [0, 1, 2, { price: bad }] }, "cart.items[3].price"],
      [[bad], "cart[0]"],
      [[1, [2, bad]], "cart[1][1]"],
      [{ a: { b: { $c_1: bad } } }, "cart.a.b.$c_1"],
      [{ "two words": bad }, 'cart["two words"]'],
      [{ "1st": bad }, 'cart["1st"]'],
      [{ "": bad }, 'cart[""]'],
      [{ 'a"b\n': bad }, 'cart["a\\"b\\n"]'],
      [JSON.parse('{"__proto__":[null]}', revive), "cart.__proto__[0]"],
      [new Map<unknown, unknown>([["a", 1], ["b", bad]]), "cart.b"],
      [new Map<unknown, unknown>([[7n, { c: bad }]]), 'cart["7"].c'],
      [new Set<unknown>(["a", [bad]]), "cart[1][0]"],
    ];
    for (const [value, path] of refusals) {
      assertEquals(refusalOf(value), `${path} is a function`);
    }

    function revive(_key: string, value: unknown): unknown {
      return value === null ? bad : value;
    }
  });

  it("may be undefined in an array, a Map or a Set", () => {
    assertEquals(refusalOf([undefined]), "cart[0] is undefined");
    assertEquals(refusalOf(new Set([undefined])), "cart[0] is undefined");
    assertEquals(
      refusalOf(new Map([["a", undefined]])),
      "cart.a is undefined",
    );
  });

  it("may be a hole in an array", () => {
    assertEquals(refusalOf([1, , 3]), "cart[1] is undefined");
  });

  it("may be an object with a method", () => {
    assertEquals(
      refusalOf({ toJSON: () => 1 }),
      "cart.toJSON is a function",
    );
  });

  it("may be a Map whose key is an object", () => {
    for (const key of [{}, [], new Date(0), new Uint8Array()]) {
      const refusal = refusalOf({ prices: new Map([[key, 1]]) });
      assert(refusal.startsWith("cart.prices is a Map with a key "), refusal);
    }
  });

  it("may be a Map whose key is no value, and is named as that", () => {
    for (const key of [undefined, NaN, Symbol("s"), () => 1, { a: NaN }]) {
      const refusal = refusalOf(new Map([[key, 1]]));
      assert(refusal.startsWith("cart is a Map with a key "), refusal);
    }
  });

  it("may contain itself, by any way round", () => {
    const cycle = "is a reference to an object that contains it";
    const array: unknown[] = [1];
    array.push(array);
    assertEquals(refusalOf(array), `cart[1] ${cycle}`);
    const object: Record<string, unknown> = {};
    object.self = [{ deeper: object }];
    assertEquals(refusalOf(object), `cart.self[0].deeper ${cycle}`);
    const map = new Map<string, unknown>();
    map.set("a", map);
    assertEquals(refusalOf(map), `cart.a ${cycle}`);
    const set = new Set<unknown>();
    set.add([set]);
    assertEquals(refusalOf(set), `cart[0][0] ${cycle}`);
  });

  it("may be nested more than 100 levels deep in any container", () => {
    for (const [name, wrap] of WRAPPERS) {
      const refusal = refusalOf(nested(101, wrap, null));
      assert(
        refusal.endsWith(" is nested more than 100 levels deep"),
        `${name}: ${refusal}`,
      );
    }
  });

  it("may be so deep that a walk without a bound would overflow", () => {
    for (const [name, wrap] of WRAPPERS) {
      const refusal = refusalOf(nested(100_000, wrap, null));
      assert(refusal.endsWith("100 levels deep"), name);
    }
  });

  it("changes nothing in the session when it is refused", async () => {
    const session = await emptySession();
    session.set("cart", ["hat"]);
    assertThrows(() => session.set("cart", ["coat", () => 1]), TypeError);
    assertThrows(() => session.set("bag", [() => 1]), TypeError);
    assertEquals(session.get("cart"), ["hat"]);
    assertEquals(session.keys(), ["cart"]);
  });

  it("is refused by session.update as by session.set", async () => {
    const session = await emptySession();
    let message = "";
    await session.update("cart", () => ({ price: () => 1 })).catch(
      (error: Error) => message = error.message,
    );
    assertEquals(message, 'Cannot set "cart": cart.price is a function');
  });
});

describe("the message about a refused value", () => {
  it("quotes a session key that is no identifier", () => {
    const { message } = assertThrows(
      () => takeIn("my cart", [() => 1], Infinity),
      TypeError,
    );
    assertEquals(message, 'Cannot set "my cart": "my cart"[0] is a function');
  });

  it("cuts a long session key", () => {
    const key = `${"a".repeat(61)} ${"b".repeat(100)}`;
    const { message } = assertThrows(
      () => takeIn(key, () => 1, Infinity),
      TypeError,
    );
    const cut = `"${"a".repeat(61)}..."`;
    assertEquals(message, `Cannot set ${cut}: ${cut} is a function`);
  });

  it("cuts a long key anywhere in the path", () => {
    const key = "a".repeat(65);
    const bads = [
      { [key]: NaN },
      new Map([[key, NaN]]),
      { a: [{ [key]: NaN }] },
    ];
    for (const bad of bads) {
      const refusal = refusalOf(bad);
      assertFalse(refusal.includes(key), refusal);
    }
  });

  it("keeps a key of 64 characters whole", () => {
    const key = "a".repeat(64);
    assertEquals(refusalOf({ [key]: NaN }), `cart.${key} is NaN`);
    assertEquals(quote(key), `"${key}"`);
    assertEquals(quote("a".repeat(65)), `"${"a".repeat(61)}..."`);
  });

  it("holds no session data", () => {
    const secret = "hunter2";
    class Account {
      readonly password = secret;
    }
    const named = { [secret]: () => secret };
    const bads = [
      named[secret],
      Symbol(secret),
      new Account(),
      new Error(secret),
      new RegExp(secret),
      [secret, undefined],
      new Map<unknown, unknown>([[{ secret }, secret]]),
      new Map<unknown, unknown>([["a", secret], ["b", NaN]]),
      new Set([secret, NaN]),
      nested(101, (value) => [secret, value], secret),
    ];
    for (const bad of bads) {
      const { message } = assertThrows(
        () => stored({ password: secret, list: [secret, bad] }),
        TypeError,
      );
      assertFalse(message.includes(secret), message);
    }
  });

  it("holds no session data when the session is too large", () => {
    const { message } = assertThrows(
      () => takeIn("cart", ["hunter2", "hunter2"], 12),
      SessionError,
    );
    assertEquals(
      message,
      'Cannot set "cart": the session would exceed its size limit',
    );
  });
});

describe("a stored value", () => {
  it("does not change with the value that it was made from", () => {
    fc.assert(fc.property(storables, (value) => {
      const before = shape(value);
      const copy = stored(value);
      vandalize(value);
      assertEquals(shape(copy), before);
    }));
  });

  it("does not change with what is done to a value handed out", () => {
    fc.assert(fc.property(storables, (value) => {
      const copy = stored(value);
      vandalize(view(copy));
      assertEquals(shape(copy), shape(value));
      assertEquals(shape(view(copy)), shape(value));
    }));
  });

  it("is frozen if there is no Date, Map, Set or Uint8Array in it", () => {
    const copy = stored({ a: [1, { b: "c" }], d: [], e: {} });
    assert(isFrozenThroughout(copy));
    assertStrictEquals(view(copy), copy);
  });

  it("leaves the value that it was made from unfrozen", () => {
    const value = { items: [{ price: 5 }] };
    stored(value);
    value.items.push({ price: 6 });
    assertEquals(value, { items: [{ price: 5 }, { price: 6 }] });
  });

  it("keeps no bytes but its own of a larger buffer", () => {
    const whole = new Uint8Array([1, 2, 3, 4]);
    const copy = stored(whole.subarray(1, 3)) as Uint8Array;
    assertEquals(copy, new Uint8Array([2, 3]));
    assertEquals(copy.buffer.byteLength, 2);
  });
});

describe("a value handed out", () => {
  it("is frozen in every array and object", () => {
    fc.assert(fc.property(storables, (value) => {
      assert(isFrozenThroughout(view(stored(value))));
    }));
  });

  it("cannot be assigned to", async () => {
    const session = await emptySession();
    session.set("cart", { items: [{ price: 5 }] });
    const cart = session.get("cart") as { items: { price: number }[] };
    assertThrows(() => cart.items.push({ price: 6 }), TypeError);
    assertThrows(
      () => (cart.items[0] as { price: number }).price = 0,
      TypeError,
    );
    assertThrows(() => cart.items = [], TypeError);
    assertEquals(session.get("cart"), { items: [{ price: 5 }] });
  });

  it("is a new copy each time where it can be changed", () => {
    const values = [new Date(0), new Map(), new Set(), new Uint8Array(1)];
    for (const value of values) {
      const copy = stored(value);
      assertNotStrictEquals(view(copy), copy);
      assertNotStrictEquals(view(copy), view(copy));
    }
  });

  it("shares no memory with the bytes that are stored", () => {
    const copy = stored(new Uint8Array([1, 2])) as Uint8Array;
    assertNotStrictEquals((view(copy) as Uint8Array).buffer, copy.buffer);
  });

  it("is a new copy of no more than what can be changed", () => {
    const copy = stored({ plain: { a: [1] }, at: new Date(0) });
    const first = view(copy) as { plain: object; at: Date };
    const second = view(copy) as { plain: object; at: Date };
    assertStrictEquals(first.plain, second.plain);
    assertNotStrictEquals(first.at, second.at);
  });

  it("does not change when the session does", async () => {
    const session = await emptySession();
    session.set("tags", new Set(["a"]));
    const tags = session.get("tags");
    session.set("tags", new Set(["b"]));
    assertEquals(tags, new Set(["a"]));
  });
});

describe("a key that means something to JavaScript", () => {
  const SPECIAL = [
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "hasOwnProperty",
    "valueOf",
    "then",
  ];

  it("is absent from a session until it is set", async () => {
    const session = await emptySession();
    for (const key of SPECIAL) {
      assertFalse(session.has(key), key);
      assertStrictEquals(session.get(key), undefined);
      assertFalse(session.delete(key), key);
    }
  });

  it("is data like any other in a session", async () => {
    const session = await emptySession();
    for (const key of SPECIAL) session.set(key, { of: key });
    assertEquals(session.keys().sort(), [...SPECIAL].sort());
    for (const key of SPECIAL) assertEquals(session.get(key), { of: key });
    for (const key of SPECIAL) assert(session.delete(key));
    assertEquals(session.keys(), []);
  });

  it("is data like any other in a value", () => {
    for (const key of SPECIAL) {
      const value = JSON.parse(`{${JSON.stringify(key)}:{"polluted":1}}`);
      const copy = stored(value) as object;
      assertEquals(Object.keys(copy), [key]);
      assertStrictEquals(Object.getPrototypeOf(copy), Object.prototype);
      assertEquals(shape(view(copy as StoredValue)), shape(value));
    }
  });

  it("is data like any other in a value that is handed out as a copy", () => {
    const value = JSON.parse('{"__proto__":{"polluted":1}}');
    value.at = new Date(0);
    const copy = view(stored(value)) as object;
    assertEquals(Object.keys(copy), ["__proto__", "at"]);
    assertStrictEquals(Object.getPrototypeOf(copy), Object.prototype);
    assertFalse("polluted" in copy);
  });

  it("pollutes no prototype", () => {
    const attack = {
      ["__proto__"]: { polluted: 1 },
      constructor: { prototype: { polluted: 1 } },
      at: new Date(0),
    };
    view(stored(attack));
    view(stored([attack]));
    view(stored(new Map([["__proto__", attack]])));
    const target = {};
    put(target, "__proto__", { polluted: 1 });
    assertEquals(Object.keys(target), ["__proto__"]);
    assertFalse("polluted" in target);
    assertFalse("polluted" in {});
    assertFalse("polluted" in (() => {}));
  });
});

describe("the size of a value", () => {
  it("is the UTF-8 bytes of its entry in the codec's text, comma included", () => {
    fc.assert(
      fc.property(keys, storables, (key, value) => {
        const { value: copy, size } = takeIn(key, value, Infinity);
        assertEquals(size, bytesOf(key, copy));
      }),
      { numRuns: 500 },
    );
  });

  it("counts every UTF-16 unit as the codec writes it", () => {
    for (let unit = 0; unit <= 0xffff; unit += unit < 0x900 ? 1 : 97) {
      const text = String.fromCharCode(unit);
      assertEquals(entrySize("", text), bytesOf("", text), `unit ${unit}`);
    }
  });

  it("counts surrogates in any order as the codec writes them", () => {
    const unit = fc.constantFrom("\ud83d", "\ude00", "\udbff", "\udc00", "a");
    fc.assert(fc.property(fc.string({ unit, maxLength: 6 }), (text) => {
      assertEquals(entrySize(text, text), bytesOf(text, text));
    }));
  });

  it("counts a text of any length as the codec writes it", () => {
    const units = [
      "a",
      '"',
      "\\",
      "\n",
      "\0",
      "ä",
      "€",
      "\ud83d\ude00",
      "\ud83d",
    ];
    for (const unit of units) {
      for (let length = 250; length < 262; length++) {
        const text = unit.repeat(length);
        assertEquals(entrySize(text, text), bytesOf(text, text));
        assertEquals(takeIn("a", text, Infinity).size, bytesOf("a", text));
      }
    }
  });

  it("is the same for a large value each time it is measured", () => {
    const items = Array.from({ length: 200 }, (_, id) => ({ id, name: "hat" }));
    for (const value of [items, { items }, [new Map([["items", items]])]]) {
      const { value: copy, size } = takeIn("cart", value, Infinity);
      assertEquals(size, bytesOf("cart", copy));
      for (const key of ["cart", "a longer key"]) {
        assertEquals(entrySize(key, copy), bytesOf(key, copy));
        assertEquals(entrySize(key, copy), bytesOf(key, copy));
      }
    }
  });

  it("follows a large value that is not stored and changes", () => {
    const list = Array.from({ length: 2000 }, () => 1);
    assertEquals(entrySize("a", list), bytesOf("a", list));
    list.push(1);
    assertEquals(entrySize("a", list), bytesOf("a", list));
  });

  it("counts every length of bytes as the codec writes it", () => {
    for (let length = 0; length < 20; length++) {
      const bytes = new Uint8Array(length);
      assertEquals(entrySize("a", bytes), bytesOf("a", bytes));
    }
  });

  it("counts the $ that the codec adds to a key of nothing else", () => {
    for (const key of ["$", "$$", "$a", "a$", ""]) {
      assertEquals(entrySize(key, { [key]: 1 }), bytesOf(key, { [key]: 1 }));
    }
  });

  it("counts a key with what JSON escapes as the codec writes it", () => {
    for (const key of ["\\", '"', "a\nb", "\0", "\ud800", "$\n", "$000a"]) {
      const value = { [key]: { [key]: 1, a: 2 } };
      assertEquals(entrySize(key, value), bytesOf(key, value));
      assertEquals(takeIn(key, value, Infinity).size, bytesOf(key, value));
    }
  });

  it("does not count what is left out", () => {
    const { size } = takeIn("a", { b: 1, c: undefined }, Infinity);
    assertEquals(size, entrySize("a", { b: 1 }));
  });

  it("is the same measured again as it was taken in", () => {
    fc.assert(fc.property(keys, storables, (key, value) => {
      const intake = takeIn(key, value, Infinity);
      assertEquals(entrySize(key, intake.value), intake.size);
    }));
  });

  it("adds up to the size of a whole session's data", () => {
    fc.assert(fc.property(storedData, (data) => {
      const commas = Object.keys(data).length === 0 ? 2 : 1;
      assertEquals(
        dataSize(data),
        Buffer.byteLength(encode(data)) - commas,
      );
    }));
  });

  it("is zero for a session without data", () => {
    assertEquals(dataSize(EMPTY_DATA), 0);
    assert(Object.isFrozen(EMPTY_DATA));
  });
});

describe("the size limit", () => {
  it("admits a value of exactly that size and none that is longer", () => {
    fc.assert(fc.property(keys, storables, (key, value) => {
      const { size } = takeIn(key, value, Infinity);
      assertEquals(takeIn(key, value, size).size, size);
      const error = assertThrows(
        () => takeIn(key, value, size - 1),
        SessionError,
      );
      assertEquals(error.code, "too-large");
    }));
  });

  it("holds for all entries of a session together", async () => {
    const session = await emptySession(24);
    session.set("a", "12345");
    session.set("b", "12345");
    const error = assertThrows(() => session.set("c", ""), SessionError);
    assertEquals(error.code, "too-large");
    assertEquals(session.keys(), ["a", "b"]);
  });

  it("counts an entry that is written again once", async () => {
    const session = await emptySession(12);
    for (const text of ["1", "12345", "", "54321"]) session.set("a", text);
    assertThrows(() => session.set("a", "123456"), SessionError);
    assertEquals(session.get("a"), "54321");
  });

  it("gives back the room of an entry that is deleted", async () => {
    const session = await emptySession(12);
    session.set("a", "12345");
    session.delete("a");
    session.set("b", "12345");
    assertEquals(session.keys(), ["b"]);
  });

  it("stops the walk before the value is copied whole", () => {
    let reads = 0;
    const item = {
      get name() {
        reads++;
        return "x".repeat(100);
      },
    };
    assertThrows(
      () => takeIn("a", new Array(1000).fill(item), 5000),
      SessionError,
    );
    assert(reads < 100, `${reads} items were read`);
  });

  it("refuses a huge array with nothing in it at once", () => {
    assertThrows(
      () => takeIn("a", new Array(2 ** 32 - 1), 65_536),
      SessionError,
      "size limit",
    );
  });
});
