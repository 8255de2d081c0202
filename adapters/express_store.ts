/**
 * The providers of this library as stores of express-session, `@fastify/session`
 * and koa-session: keys that parallel requests write are all kept, and no request
 * revives a session that has ended meanwhile.
 *
 * @example
 * ```ts ignore
 * import { expressStore } from "@cloakroom/session/express-store";
 * import { MemoryProvider } from "@cloakroom/session/memory";
 * // @ts-types="npm:@types/express@^5"
 * import express from "express";
 * import session from "express-session";
 *
 * const store = expressStore(new MemoryProvider(), { Store: session.Store });
 * const app = express();
 * app.use(session({ store, secret: "keyboard cat", resave: false, saveUninitialized: false }));
 * ```
 *
 * @module
 */
import { EventEmitter } from "node:events";
import type { Provider } from "../core/provider.ts";
import type { ExpressData } from "./_express_records.ts";
import {
  type ExpressStoreOptions,
  loadedOf,
  remember,
  Sessions,
} from "./_express_sessions.ts";
import type { SidCookieOptions } from "./_sid_cookie.ts";

export type { ExpressData } from "./_express_records.ts";
export type {
  ExpressStoreOptions,
  PreviousStore,
} from "./_express_sessions.ts";
export type { SidCookieOptions } from "./_sid_cookie.ts";

/** Called when something is done, or has failed. */
export type Callback = (error: unknown, result?: never) => void;

/**
 * What a store can do. Each call answers its callback if it gets one, as
 * express-session and `@fastify/session` want it, else by a promise, as koa-session
 * does.
 */
export interface ExpressStore {
  /** Finds a session; `undefined` if there is none that lives. */
  get(sid: string, callback: Callback): void;
  /** The same, answered by a promise. */
  get(sid: string, maxAge?: unknown): Promise<ExpressData | undefined>;
  /**
   * Stores a session: all of it if it was not loaded, else what was changed since.
   * Nothing, if it has ended meanwhile.
   */
  set(sid: string, session: object, callback: Callback): void;
  /** The same, with the milliseconds that it lives without a request. */
  set(sid: string, session: object, maxAge?: unknown): Promise<void>;
  /** Prolongs a session. */
  touch(sid: string, session: object, callback?: Callback): void;
  /** Ends a session. */
  destroy(sid: string, callback: Callback): void;
  /** The same, answered by a promise. */
  destroy(sid: string, options?: unknown): Promise<void>;
  /** All sessions, without their ids, which are not stored. */
  all(callback: Callback): void;
  /** How many sessions there are. */
  length(callback: Callback): void;
  /** Ends all sessions, and none that is not express-session's. */
  clear(callback?: Callback): void;
  /**
   * Takes over the session that a cookie of express-session opens, once that has
   * gone from the site. It lives for another minute, for requests that are under
   * way; delete its cookie.
   *
   * @param header The request's `Cookie` header.
   * @returns What it holds, without its cookie; `undefined` if there is none.
   */
  takeOver(
    header: string | null | undefined,
    options: SidCookieOptions,
  ): Promise<ExpressData | undefined>;
}

/**
 * Makes a store of a provider. What the provider throws, the callback gets.
 *
 * @param provider Where sessions are kept. A manager may use it as well: neither
 * opens a session of the other.
 * @returns A store for express-session's `store` option.
 * @throws {RangeError} If `ttl` is not positive.
 */
export function expressStore<Base extends object = EventEmitter>(
  provider: Provider,
  options: ExpressStoreOptions<Base> = {},
): Base & ExpressStore {
  const { Store = EventEmitter } = options;
  const sessions = new Sessions(provider, options);
  // Its methods are all there: those that it lacks are given to it below.
  const base = new (Store as new () => Base)();
  const { createSession } = base as Partial<SessionMaker>;
  const isExpress = createSession !== undefined;
  const store: ExpressStore & SessionMaker = {
    get: answering((sid) => sessions.get(sid, !isExpress)),
    set: answering((sid, session, maxAge) =>
      sessions.set(sid, session as object, maxAge)
    ),
    touch: answering((sid, session) => sessions.touch(sid, session as object)),
    destroy: answering((sid) => sessions.destroy(sid)),
    all: answering(() => sessions.all()),
    length: answering(async () => (await sessions.all()).length),
    clear: answering(() => sessions.clear()),
    takeOver: (header, given) => sessions.takeOver(header, given),
    createSession(request, data) {
      const session = createSession!.call(base, request, data);
      return remember(session, loadedOf(data), false);
    },
  };
  if (!isExpress) Reflect.deleteProperty(store, "createSession");
  return Object.assign(base, store);
}

/** The part of express-session's `Store` that makes sessions of what is stored. */
interface SessionMaker {
  createSession(request: unknown, data: object): object;
}

/** Answers a callback among the arguments, if there is one, else by a promise. */
function answering(
  call: (sid: string, ...rest: unknown[]) => Promise<unknown>,
  // deno-lint-ignore no-explicit-any -- it answers in the way it is asked
): (...args: any[]) => any {
  return (...args: unknown[]) => {
    const callback = args.find((arg) => typeof arg === "function");
    const promise = call(...args as [string, ...unknown[]]);
    if (callback === undefined) return promise;
    const answer = callback as (error: unknown, result?: unknown) => void;
    // What the callback throws is not the call's own error.
    promise.then(
      (result) => queueMicrotask(() => answer(null, result)),
      (error) => queueMicrotask(() => answer(error)),
    );
    return undefined;
  };
}
