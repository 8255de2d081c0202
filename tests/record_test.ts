import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { describe, it } from "node:test";
import type { SessionChange } from "../core/provider.ts";
import { applied, toRecord } from "../core/store/record.ts";
import {
  EMPTY_DATA,
  type StoredData,
  type StoredValue,
} from "../core/value/types.ts";
import { makeData, makeRecord, START } from "./_records.ts";

function dataAfter(
  entries: Iterable<readonly [string, StoredValue]>,
  change: Partial<SessionChange>,
): StoredData {
  const record = toRecord(makeRecord({ data: makeData(entries) }), 1);
  return applied(record, { expiresAt: START, ...change }, START).data;
}

describe("the data of a changed record", () => {
  it("is the same object when the change names no key", () => {
    const record = toRecord(makeRecord({ data: makeData([["a", 1]]) }), 1);
    for (const change of [{}, { set: EMPTY_DATA }, { delete: [] }]) {
      const { data } = applied(record, { expiresAt: START, ...change }, START);
      assertStrictEquals(data, record.data);
    }
  });

  it("has the keys written and lacks the keys removed", () => {
    const change = { set: makeData([["a", 2], ["d", 4]]), delete: ["b", "e"] };
    const data = dataAfter([["a", 1], ["b", 2], ["c", 3]], change);
    assertEquals({ ...data }, { a: 2, c: 3, d: 4 });
  });

  it("is frozen and has no prototype, whatever changed", () => {
    const set = makeData([["__proto__", { admin: true }], ["constructor", 1]]);
    for (const change of [{ set }, { delete: ["a"] }, { set, delete: ["a"] }]) {
      const data = dataAfter([["a", 1], ["toString", 2]], change);
      assert(Object.isFrozen(data));
      assertStrictEquals(Object.getPrototypeOf(data), null);
      assertStrictEquals(data["admin"], undefined);
    }
  });

  it("is one shared object for all sessions that lost their last value", () => {
    for (const removed of [["a", "b"], ["b", "a", "c"]]) {
      const data = dataAfter([["a", 1], ["b", 2]], { delete: removed });
      assertStrictEquals(data, EMPTY_DATA);
    }
  });
});
