/**
 * A process of its own on an SQLite file, started by `sqlite_file_test.ts`:
 * `count FILE ID TIMES` increments a counter so many times, and `write FILE ID`
 * writes until it is killed, saying after each write how far it has come.
 *
 * @module
 */
import { writeSync } from "node:fs";
import process from "node:process";
import { SqliteProvider } from "../providers/sqlite.ts";
import { makeData, makeFamily, makeRecord, START } from "./_records.ts";

const [mode, file = "", id = "", times = "0"] = process.argv.slice(2);
const guard = { family: makeFamily("secret") };
const provider = new SqliteProvider(file, { busyTimeout: 20 });

// Of several processes one creates the session; they all open a new file.
const record = makeRecord({ data: makeData([["count", 0]]) });
await provider.create(id, record, START);
if (mode === "count") await count(Number(times));
else await write();
provider.close();

async function count(times: number): Promise<void> {
  let left = times;
  while (left > 0) if (await increment()) left--;
}

async function increment(): Promise<boolean> {
  const record = provider.read(id, START);
  if (record === undefined) throw new Error("The session is gone");
  const { data, version } = record;
  const set = makeData([["count", Number(data["count"]) + 1]]);
  const result = await provider.update(
    id,
    { set },
    { ...guard, version },
    START,
  );
  return result === "done";
}

async function write(): Promise<never> {
  for (;;) {
    if (!await increment()) throw new Error("Somebody else writes");
    writeSync(1, `${provider.read(id, START)?.data["count"]}\n`);
  }
}
