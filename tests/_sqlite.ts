/** What the tests of `SqliteProvider` work with. */
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { SessionError } from "../core/errors.ts";
import type { Guard } from "../core/provider.ts";
import type { StoredValue } from "../core/value/types.ts";
import { type SqliteDatabase, SqliteProvider } from "../providers/sqlite.ts";
import {
  makeData,
  makeFamily,
  makeHash,
  makeId,
  makeRecord,
  type RecordOptions,
  START,
} from "./_records.ts";

/** The ids of two sessions. */
export const A = makeId(1);
export const B = makeId(2);

/** The guard of a request with the cookie of either. */
export const GUARD: Guard = { family: makeFamily("secret") };

/** In milliseconds; the idle timeout of a session that a test creates. */
export const HOUR = 3_600_000;

/** Every part of a guard, each of which holds on {@linkcode whole}. */
export const HOLDING = {
  family: makeFamily("secret"),
  principal: "ada",
  token: { secretHash: makeHash("secret"), until: "confirmed" },
  version: 1,
  binding: "a key",
} satisfies { [Part in keyof Guard]-?: NonNullable<Guard[Part]> };

let folder: string | undefined;
let files = 0;

/** A path at which there is nothing yet. */
export function newFile(suffix = ".db"): string {
  folder ??= mkdtempSync(join(tmpdir(), "sqlite-test-"));
  return join(folder, `${++files}${suffix}`);
}

/** Removes what is at the paths that {@linkcode newFile} gave. */
export function removeFiles(): void {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  folder = undefined;
}

/** The constructor of `bun:sqlite`, where there is one. */
export const BunDatabase: (new (path: string) => ClosableDatabase) | undefined =
  await importBunDatabase();

interface ClosableDatabase extends SqliteDatabase {
  close(): void;
}

async function importBunDatabase() {
  if (!("Bun" in globalThis)) return undefined;
  // In a variable, because Deno resolves what is written out.
  const driver = "bun:sqlite";
  return (await import(driver)).Database;
}

/** A provider of its own, gone when it is closed. */
export function memory(options = {}): SqliteProvider {
  return new SqliteProvider(":memory:", options);
}

/** Creates an hour's session, at `START` unless told. */
export function create(
  provider: SqliteProvider,
  id: string,
  data: Record<string, StoredValue> = {},
  options: RecordOptions = {},
): boolean {
  const record = makeRecord({
    data: makeData(Object.entries(data)),
    ...options,
  });
  const isCreated = provider.create(id, record, START);
  if (typeof isCreated === "boolean") return isCreated;
  throw new Error("create() did not answer at once");
}

/** A change that sets keys. */
export function setting(values: Record<string, StoredValue>) {
  return { set: makeData(Object.entries(values)) };
}

/** The data of a session as it is at `START`. */
export function dataOf(provider: SqliteProvider, id: string): unknown {
  return provider.read(id, START)?.data;
}

/** Closes providers and databases in order. */
export function closeAll(...all: { close(): void }[]): void {
  for (const each of all) each.close();
}

/** The ids of a list that can make out all of them, in order. */
export function listed(provider: SqliteProvider, principal: string): string[] {
  const { sessions, unreadable } = provider.list(principal, START);
  assertEquals(unreadable, []);
  return sessions.map(({ id }) => id).sort();
}

/** How many rows there are. */
export function countIn(database: DatabaseSync): unknown {
  const all = "SELECT count(*) AS count FROM sessions";
  return database.prepare(all).get()?.["count"];
}

/** A session of Ada's whose data was overwritten by somebody else. */
export function corrupted(text: string) {
  const database = new DatabaseSync(":memory:");
  const provider = new SqliteProvider(database);
  create(provider, A, {}, { principal: "ada" });
  database.prepare("UPDATE sessions SET data = ?").run(text);
  return { provider, database };
}

/** That a call fails because of one session, and says which. */
export function assertCorrupt(call: () => unknown, id = A): void {
  const error = assertThrows(call, SessionError);
  assertEquals([error.code, error.id], ["corrupt", id]);
  assertStringIncludes(error.message, `${id}: `);
  assertStringIncludes(error.message, "destroy the session by its id");
}

/** A record of which every field is written. */
export function whole(): RecordOptions {
  return {
    principal: "ada",
    label: "Laptop",
    authenticatedAt: START - 1,
    fingerprint: "a digest",
    binding: "a key",
    previous: {
      secretHash: makeHash("before"),
      family: makeFamily("before"),
      until: "confirmed",
    },
  };
}
