/**
 * What a provider of one's own is made from: the contract's types, and the
 * functions that say when a record lives, whether a guard holds, and what a change
 * makes of a record. A store that can do that by itself, as SQL can, needs none.
 *
 * @example A change of a record that nobody else has replaced
 * ```ts
 * import { applied, guardFailure, toRecord } from "@cloakroom/session/provider";
 * import { assertEquals } from "@std/assert";
 *
 * const record = toRecord({
 *   data: { theme: "dark" },
 *   secretHash: "digest",
 *   family: "family",
 *   renewedAt: 0,
 *   createdAt: 0,
 *   accessedAt: 0,
 *   idleTimeout: 3600,
 *   absoluteTimeout: 43_200,
 *   persistent: false,
 * }, 1);
 * assertEquals(guardFailure(record, { family: "other" }), "gone");
 * assertEquals(guardFailure(record, { version: 1 }), undefined);
 * const next = applied(record, { delete: ["theme"] }, 1000);
 * assertEquals([next.version, next.accessedAt], [2, 1000]);
 * ```
 *
 * @module
 */
export type {
  Awaitable,
  DestroyResult,
  Guard,
  NewSessionRecord,
  Patience,
  PreviousSecret,
  Provider,
  RemovalObserver,
  ScanPage,
  SessionChange,
  SessionList,
  SessionRecord,
  SessionSummary,
  StoredSession,
  TokenState,
  Until,
  UpdateResult,
} from "./provider.ts";
export type { StoredData, StoredKey, StoredValue } from "./value/types.ts";
export {
  applied,
  type Deadlines,
  expiryOf,
  type Guarded,
  guardFailure,
  isLive,
  summaryOf,
  toRecord,
} from "./store/record.ts";
