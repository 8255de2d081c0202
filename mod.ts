/**
 * Server-side sessions for Deno and Bun: the browser holds a cookie that says
 * nothing, the server holds the data. Takes and gives standard `Request` and
 * `Response`, and needs no package but itself.
 *
 * Two requests of one session at the same time both keep their work; a session
 * that ended stays ended; a store that fails makes the request fail and signs
 * nobody out; no cache hands one user's page to another. That holds on every
 * provider.
 *
 * - {@linkcode Manager} finds the session of a request and commits it with the
 *   response: `handle` does both around your handler, `run` around any.
 * - {@linkcode Session} is what the handler reads and changes: `get`, `set`,
 *   `delete`, `update`, `take`, `signIn`, `regenerate`, `destroy`, `isAlive`.
 * - {@linkcode Provider} is where sessions are kept. Memory is built in; write
 *   your own, and put it through `@cloakroom/session/conformance`.
 * - {@linkcode register} and {@linkcode open} find providers by name and URL.
 * - {@linkcode SessionError} is what a program can act on when something fails.
 *
 * Runs on Deno 2.0, Bun 1.1.43, Node 22.13, and later ones.
 *
 * Defaults: a `__Host-id` cookie (`Secure`, `HttpOnly`, `SameSite=Lax`) that ends
 * with the browser, one hour without a request, twelve hours in all.
 *
 * @example
 * ```ts
 * import { Manager } from "@cloakroom/session";
 * import { assertEquals } from "@std/assert";
 *
 * const sessions = new Manager<{ visits: number }>();
 *
 * const handler = sessions.handle(async (_request, session) => {
 *   const visits = await session.update("visits", (visits = 0) => visits + 1);
 *   return new Response(`Visit ${visits}`);
 * });
 *
 * // Deno.serve(handler), or export default { fetch: handler }
 * const response = await handler(new Request("http://localhost/"));
 * assertEquals(await response.text(), "Visit 1");
 * await sessions.close();
 * ```
 *
 * @module
 */
import "./providers/memory.ts";

export type { RequestLike } from "./core/carriage/arrival.ts";
export type { CookieOptions } from "./core/carriage/cookie.ts";
export type {
  CookieByHost,
  HostCookieOptions,
} from "./core/carriage/cookie_by_host.ts";
export type { HeaderSink } from "./core/carriage/response.ts";
export {
  SessionError,
  type SessionErrorCode,
  type SessionErrorOptions,
} from "./core/errors.ts";
export type {
  ProofRefusal,
  RefusalReason,
  SessionEvent,
  SessionListener,
  SkipReason,
} from "./core/events.ts";
export {
  DEFAULT_PROOF_INTERVAL,
  type DeviceBoundOptions,
} from "./core/device/options.ts";
export {
  Manager,
  type RunOptions,
  type SessionHandler,
  type SessionInfo,
  type StartOptions,
} from "./core/manager.ts";
export {
  DEFAULT_ABSOLUTE_TIMEOUT,
  DEFAULT_IDLE_TIMEOUT,
  DEFAULT_RENEW_GRACE,
  DEFAULT_RENEW_INTERVAL,
  type Lifetime,
  type ManagerOptions,
} from "./core/options.ts";
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
} from "./core/provider.ts";
export {
  open,
  type ProviderFactory,
  register,
  registered,
} from "./core/registry.ts";
export { REMOVED } from "./core/request/atomic_update.ts";
export {
  type AnyData,
  type Input,
  type KeyOf,
  type Output,
  type Present,
  Session,
  type SignInOptions,
} from "./core/session.ts";
export { expiryOf, isLive } from "./core/store/record.ts";
export type { Deadlines } from "./core/store/record.ts";
export type {
  DataSchema,
  Migrate,
  SchemaIssue,
  SchemaOptions,
  SchemaResult,
  StandardSchema,
} from "./core/value/schema.ts";
export type {
  Changeable,
  ReadonlyDeep,
  StoredData,
  StoredKey,
  StoredValue,
} from "./core/value/types.ts";
