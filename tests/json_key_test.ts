import { assertEquals, assertStrictEquals } from "@std/assert";
import fc from "fast-check";
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { fromJsonKey, toJsonKey } from "../core/value/json_key.ts";
import { toRecord as toNewRecord } from "../core/store/record.ts";
import { encodeData, escaped } from "../core/store/sql_row.ts";
import type { StoredData } from "../core/value/types.ts";
import * as denoKv from "../providers/deno_kv/record.ts";
import * as postgres from "../providers/postgres/row.ts";
import * as redis from "../providers/redis/record_text.ts";
import * as sqlite from "../providers/sqlite/data.ts";
import { keys, texts } from "./_arbitraries.ts";
import { makeData, makeId, makeRecord, START } from "./_records.ts";

function throughDenoKv(data: StoredData): StoredData | undefined {
  const id = makeId(1);
  const { data: _data, ...header } = toNewRecord(makeRecord(), 1);
  const bytes = denoKv.dataBytes(data);
  const value = denoKv.toBytes(id, { ...header, writeIds: "" }, bytes);
  const live = denoKv.readLive(id, { value, versionstamp: "1" }, START);
  return live && denoKv.recordOf(id, live).data;
}

function throughPostgres(data: StoredData): StoredData {
  const { secretHash, family } = makeRecord();
  const numbers = Buffer.alloc(6 * 8);
  const values = [START, START, 3600, 43_200, NaN, START];
  for (const [index, value] of values.entries()) {
    numbers.writeDoubleBE(value, index * 8);
  }
  const answer = JSON.stringify([
    escaped(makeId(1)),
    numbers.toString("hex"),
    null,
    1,
    secretHash,
    family,
    ...Array.from({ length: 6 }, () => null),
    false,
    // What the server makes of it: keys and values, not the text.
    JSON.parse(encodeData(data)),
  ]);
  return postgres.toSession(answer).record.data;
}

function throughRedis(data: StoredData): StoredData | undefined {
  const text = redis.recordText(makeRecord({ data }), {
    writeId: "write",
    indexedUntil: undefined,
  });
  return redis.readRecord(makeId(1), text, START)?.data;
}

function throughSqlite(data: StoredData): StoredData {
  return sqlite.toData(sqlite.fromData(data));
}

describe("a key in JSON", () => {
  it("stands for no other key, and needs no escapes", () => {
    fc.assert(
      fc.property(keys, (key) => {
        const text = toJsonKey(key);
        assertStrictEquals(JSON.stringify(text), `"${text}"`);
        assertStrictEquals(fromJsonKey(text), key);
      }),
      { numRuns: 1000 },
    );
  });

  it("is one that is written so, or none", () => {
    const unit = fc.constantFrom("$", "0", "2", "4", "a", "d", "8", "\\");
    const alike = fc.string({ unit, maxLength: 12 });
    fc.assert(
      fc.property(fc.oneof(alike, texts), (text) => {
        const key = fromJsonKey(text);
        if (key !== undefined) assertStrictEquals(toJsonKey(key), text);
      }),
      { numRuns: 1000 },
    );
  });
});

const encodings = {
  "Deno KV": throughDenoKv,
  Postgres: throughPostgres,
  Redis: throughRedis,
  SQLite: throughSqlite,
};
for (const [name, through] of Object.entries(encodings)) {
  describe(`a record in the form that ${name} stores`, () => {
    it("gives back a key that V8 takes for another in JSON", () => {
      const pairs = [["\\", "\n"], ["\\", '"'], ["\\n", "\nx"]];
      for (const [index, pair] of pairs.entries()) {
        for (const key of pair) {
          const first = `${name} ${index}`;
          const inner = { [`in ${first}`]: 1, [key]: 2 };
          const data = makeData([[first, inner], [key, 3]]);
          assertEquals({ ...through(data) }, { ...data });
        }
      }
    });
  });
}
