/** That what is stored comes back, whatever it is. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { type Checks, dataOf, type Stage } from "./stage.ts";

/** Strings that stores are known to stumble over. */
const AWKWARD_STRINGS: readonly string[] = [
  "",
  " ",
  "__proto__",
  "constructor",
  "$",
  "$$",
  "*",
  "a:b",
  "{a}",
  "%_",
  "'; --",
  '"quoted"',
  "back\\slash",
  "line\nbreak\r\ttab",
  "nul\u0000inside",
  "\u{1F9E5} \u00fc \u4e2d",
  "lone \ud800 surrogate",
];

/** Checks by promise. */
export const valueChecks: Checks = {
  "every type of value comes back as it was": async (stage) => {
    const values = {
      null: null,
      true: true,
      integer: -42,
      fraction: 0.1,
      large: Number.MAX_SAFE_INTEGER,
      tiny: 5e-324,
      text: "text",
      bigint: 2n ** 80n,
      date: new Date(1_700_000_000_123),
      bytes: new Uint8Array([0, 127, 128, 255]),
      noBytes: new Uint8Array(0),
      array: [1, ["two", { three: 3 }], []],
      object: { nested: { deeply: [{ yes: true }] }, empty: {} },
      map: new Map<unknown, unknown>([["a", 1], [2, new Map([[3n, "b"]])]]),
      set: new Set([1, "1", true]),
      dates: [new Date(0), { at: new Date(1) }],
    };
    await checkRoundTrip(stage, values);
  },

  "values of any characters come back as they were": async (stage) => {
    await checkRoundTrip(stage, { strings: AWKWARD_STRINGS });
  },

  "keys of any characters are data like any other": async (stage) => {
    const id = await stage.create({ data: keyed("before") });
    deepStrictEqual(
      sorted((await stage.live(id)).data),
      sorted(keyed("before")),
    );
    await stage.update(id, { set: keyed("after") });
    deepStrictEqual(
      sorted((await stage.live(id)).data),
      sorted(keyed("after")),
    );
    await stage.update(id, { delete: AWKWARD_STRINGS });
    deepStrictEqual(sorted((await stage.live(id)).data), []);
    strictEqual(({} as Record<string, unknown>)["before"], undefined);
  },

  "keys of nested objects are data like any other": async (stage) => {
    const nested = Object.fromEntries(
      AWKWARD_STRINGS.map((key) => [key, { [key]: 1 }]),
    );
    const id = await stage.create({ data: dataOf({ nested }) });
    const read = (await stage.live(id)).data["nested"] as object;
    deepStrictEqual(
      Object.keys(read).sort(),
      [...AWKWARD_STRINGS].sort(),
    );
  },

  "principals and labels of any characters come back as they were": async (
    stage,
  ) => {
    for (const name of AWKWARD_STRINGS.filter((text) => text !== "")) {
      const id = await stage.create({ principal: name, label: name });
      const { principal, label } = await stage.live(id);
      deepStrictEqual([principal, label], [name, name]);
      deepStrictEqual(await stage.listed(name), [id]);
    }
  },

  "data of 60 KiB comes back as it was": async (stage) => {
    await checkRoundTrip(stage, { text: "\u00e9".repeat(30 * 1024) });
  },

  "a hundred keys come back as they were": async (stage) => {
    const keys = Array.from({ length: 100 }, (_, i) => [`key ${i}`, i]);
    await checkRoundTrip(stage, Object.fromEntries(keys));
  },

  "a session without data comes back without data": async (stage) => {
    await checkRoundTrip(stage, {});
  },

  "a record is frozen, and so are its data and their values": async (stage) => {
    const id = await stage.create({ data: dataOf({ list: [{ a: 1 }] }) });
    const record = await stage.live(id);
    ok(Object.isFrozen(record), "record");
    ok(Object.isFrozen(record.data), "data");
    const list = record.data["list"] as readonly object[];
    ok(Object.isFrozen(list), "value");
    ok(Object.isFrozen(list[0]), "nested value");
    strictEqual(Object.getPrototypeOf(record.data), null);
  },

  "a record that was read stays as it is when the session changes": async (
    stage,
  ) => {
    const id = await stage.create();
    const before = await stage.live(id);
    const copy = { ...before };
    const now = stage.now + 1000;
    await stage.update(
      id,
      {
        set: dataOf({ name: "Eve", more: 1 }),
        principal: "eve",
      },
      {},
      now,
    );
    await stage.touch(id, now + 1000);
    deepStrictEqual({ ...before }, copy);
    deepStrictEqual({ ...before.data }, { name: "Ada" });
  },
};

/** Writes values by `create` and by `update`, and compares what is read. */
async function checkRoundTrip(
  stage: Stage,
  values: Readonly<Record<string, unknown>>,
): Promise<void> {
  const expected = sorted(dataOf(values));
  const created = await stage.create({ data: dataOf(values) });
  deepStrictEqual(sorted((await stage.live(created)).data), expected);
  const updated = await stage.create({ data: dataOf({}) });
  await stage.update(updated, { set: dataOf(values) });
  deepStrictEqual(sorted((await stage.live(updated)).data), expected);
}

function keyed(value: string): ReturnType<typeof dataOf> {
  const entries = AWKWARD_STRINGS.map((key) => [key, value]);
  return dataOf(Object.fromEntries(entries));
}

/** The order of keys is not part of the contract. */
function sorted(data: object): [string, unknown][] {
  return Object.entries(data).sort(([a], [b]) => a < b ? -1 : 1);
}
