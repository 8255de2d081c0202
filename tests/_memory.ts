/** What the tests of the memory provider have in common. */
import { assert, assertEquals } from "@std/assert";
import type { Guard } from "../core/provider.ts";
import type { StoredData } from "../core/value/types.ts";
import type {
  MemoryProvider,
  MemoryProviderStats,
} from "../providers/memory.ts";
import {
  makeData,
  makeFamily,
  makeId,
  makeRecord,
  type RecordOptions,
  START,
} from "./_records.ts";

export const A: string = makeId(1_000_001);
export const B: string = makeId(1_000_002);
export const C: string = makeId(1_000_003);
export const D: string = makeId(1_000_004);

/** The guard of a request that came with the session's own cookie. */
export const GUARD: Guard = { family: makeFamily("secret") };

/** The idle timeout of most sessions in tests, in milliseconds. */
export const HOUR = 3_600_000;

/** An instant at which no session of a test lives. */
export const FAR_FUTURE: number = START + 1e12;

/** A session of an id that must be free. */
export function create(
  provider: MemoryProvider,
  id: string,
  options: RecordOptions = {},
): void {
  const record = makeRecord(options);
  assert(provider.create(id, record, options.now ?? START));
}

/** Creates sessions under the ids of the numbers below `count`. */
export function createMany(provider: MemoryProvider, count: number): void {
  for (let number = 0; number < count; number++) {
    create(provider, makeId(number));
  }
}

/** Touches a session that must be there. */
export function touch(
  provider: MemoryProvider,
  id: string,
  now: number,
): void {
  assert(provider.touch(id, now));
}

/** Ends a session that must be there. */
export function destroy(provider: MemoryProvider, id: string): void {
  assertEquals(provider.destroy(id, {}, START), "done");
}

/** Data that takes so many bytes as text. */
export function sized(bytes: number): StoredData {
  const value = "x".repeat(bytes - bytesOf({ a: "" }));
  return makeData([["a", value]]);
}

/** How long data is as JSON in UTF-8, with a comma after each entry. */
export function bytesOf(data: StoredData): number {
  let bytes = 0;
  for (const [key, value] of Object.entries(data)) {
    const text = `${JSON.stringify(key)}:${JSON.stringify(value)},`;
    bytes += new TextEncoder().encode(text).length;
  }
  return bytes;
}

/** Those of a provider that did nothing else. */
export function statsOf(
  stats: Partial<MemoryProviderStats>,
): MemoryProviderStats {
  return {
    sessions: 0,
    bytes: 0,
    created: 0,
    expired: 0,
    evicted: 0,
    ...stats,
  };
}

/**
 * Which of these ids a provider holds, expired or not: at the beginning nothing
 * has expired, so that looking takes nothing out.
 */
export function heldAmong(
  provider: MemoryProvider,
  ids: readonly string[],
): string[] {
  return ids.filter((id) => provider.read(id, START) !== undefined);
}

/** The ids that a provider lists for a principal, in order. */
export function listed(
  provider: MemoryProvider,
  principal: string,
  now = START,
): string[] {
  const { sessions } = provider.list(principal, now);
  return sessions.map(({ id }) => id).toSorted();
}

/** The next request of the browser that got this response. */
export function requestAfter(response: Response): Request {
  const [cookie = ""] = (response.headers.get("set-cookie") ?? "").split(";");
  return new Request("http://localhost/", { headers: { cookie } });
}
