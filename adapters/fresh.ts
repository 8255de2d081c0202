/**
 * Sessions for Fresh: a middleware, and the session in `ctx.state.session`.
 *
 * @example
 * ```ts ignore
 * import { App } from "@fresh/core";
 * import { Manager, type Session } from "@cloakroom/session";
 * import { fresh } from "@cloakroom/session/fresh";
 *
 * type Data = { visits: number };
 * const app = new App<{ session: Session<Data> }>();
 * app.use(fresh(new Manager<Data>()));
 * app.get("/", async ({ state: { session } }) =>
 *   Response.json(await session.update("visits", (n = 0) => n + 1)));
 * ```
 *
 * @module
 */
import type { Manager } from "../core/manager.ts";
import type { Session } from "../core/session.ts";

/** The part of Fresh's context that is used. */
export interface FreshSessionContext<Data extends object> {
  /** The request. */
  readonly req: Request;
  /** Where the session is put. */
  readonly state: { session: Session<Data> };
  /** What was thrown, once an error page answers for it. */
  readonly error: unknown;
  /** Calls the rest. */
  next(): Promise<Response>;
}

/**
 * A middleware that starts the session of each request and commits it with the
 * answer. An error that is thrown, an `HttpError` below 500 too, drops what the
 * request changed, whichever error page answers.
 *
 * @param manager The manager of the sessions.
 * @returns A middleware for `app.use`. It throws what `manager.run` throws, for
 * `app.onError`.
 */
export function fresh<Data extends object>(
  manager: Manager<Data>,
): (ctx: FreshSessionContext<Data>) => Promise<Response> {
  return (ctx) =>
    manager.run(ctx.req, (session) => {
      ctx.state.session = session;
      return ctx.next();
    }, { failed: () => ctx.error !== null });
}
