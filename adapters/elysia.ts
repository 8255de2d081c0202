/**
 * Sessions for Elysia: a wrapper around every request, and `session` in the
 * context of every handler.
 *
 * @example
 * ```ts
 * import { Manager } from "@cloakroom/session";
 * import { session } from "@cloakroom/session/elysia";
 * import { Elysia } from "elysia";
 *
 * const { wrap, derive } = session(new Manager<{ visits: number }>());
 * const app = new Elysia().wrap(wrap).derive({ as: "global" }, derive);
 * app.get("/", async ({ session }) => {
 *   const visits = await session.update("visits", (n = 0) => n + 1);
 *   return `Visit ${visits}`;
 * });
 * ```
 *
 * @module
 */
import type { Manager } from "../core/manager.ts";
import type { Awaitable } from "../core/provider.ts";
import type { Session } from "../core/session.ts";
import { runWithResponse } from "./_shared.ts";

/** Answers a request; on Bun it also gets the server. */
export type ElysiaFetch = (...args: unknown[]) => unknown;

/** What goes into an Elysia app. */
export interface ElysiaSession<Data extends object> {
  /** For `app.wrap`: starts the session and commits it with the answer. */
  readonly wrap: <Fetch extends ElysiaFetch>(fetch: Fetch) => ReturnType<Fetch>;
  /** For `app.derive({ as: "global" }, …)`: gives handlers the session. */
  readonly derive: (
    context: { readonly request: Request },
  ) => { readonly session: Session<Data> };
}

/**
 * The two parts that an Elysia app needs. They stand outside of its hooks, so
 * that its cookie jar loses no cookie. A store that fails is answered as
 * `manager.handle` does: with 503, or as `onUnavailable` says.
 *
 * @param manager The manager of the sessions.
 */
export function session<Data extends object>(
  manager: Manager<Data>,
): ElysiaSession<Data> {
  const sessions = new WeakMap<Request, Session<Data>>();
  return {
    wrap: <Fetch extends ElysiaFetch>(fetch: Fetch) => {
      const wrapped = (request: Request, ...rest: unknown[]) =>
        runWithResponse<Data>(
          (next) =>
            manager.handle((_request, session) => next(session))(request),
          request,
          (session) => {
            sessions.set(request, session);
            return fetch(request, ...rest) as Awaitable<Response>;
          },
        );
      // Elysia's types say that it returns what the wrapped function returns.
      return wrapped as unknown as ReturnType<Fetch>;
    },
    derive: ({ request }) => {
      const session = sessions.get(request);
      if (session !== undefined) return { session };
      throw new TypeError(
        "Cannot find session: the app has no .wrap() of this session(manager)",
      );
    },
  };
}
