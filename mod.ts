/**
 * Server-side sessions for Deno and Bun.
 * @module
 */
import "./providers/memory.ts";

export type { CookieOptions } from "./core/cookie.ts";
export { SessionError, type SessionErrorCode } from "./core/errors.ts";
export type {
  RefusalReason,
  SessionEvent,
  SessionListener,
} from "./core/events.ts";
export {
  Manager,
  type SessionHandler,
  type SessionInfo,
} from "./core/manager.ts";
export {
  DEFAULT_ABSOLUTE_TIMEOUT,
  DEFAULT_IDLE_TIMEOUT,
  type Lifetime,
  type ManagerOptions,
} from "./core/options.ts";
export type {
  Awaitable,
  NewSessionRecord,
  PreviousSecret,
  Provider,
  SessionChange,
  SessionRecord,
  StoredSession,
  UpdateGuard,
  UpdateResult,
} from "./core/provider.ts";
export {
  open,
  type ProviderFactory,
  register,
  registered,
} from "./core/registry.ts";
export {
  type AnyData,
  type Input,
  type KeyOf,
  type Output,
  Session,
  type SignInOptions,
} from "./core/session.ts";
export type {
  ReadonlyDeep,
  StoredData,
  StoredKey,
  StoredValue,
} from "./core/value.ts";
