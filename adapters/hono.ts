/**
 * Sessions for Hono: a middleware, and the session in `c.var.session`.
 *
 * @example
 * ```ts
 * import { Manager } from "@cloakroom/session";
 * import { session, type SessionEnv } from "@cloakroom/session/hono";
 * import { Hono } from "hono";
 *
 * const manager = new Manager<{ visits: number }>();
 * const app = new Hono<SessionEnv<{ visits: number }>>().use(session(manager));
 * app.get("/", async (c) => {
 *   const visits = await c.var.session.update("visits", (n = 0) => n + 1);
 *   return c.text(`Visit ${visits}`);
 * });
 * ```
 *
 * @module
 */
import type { Manager } from "../core/manager.ts";
import type { AnyData, Session } from "../core/session.ts";
import { standsForUpgrade } from "./_shared.ts";

/**
 * What the middleware adds to a Hono app: `new Hono<SessionEnv<Data>>()`. With
 * variables of your own: `new Hono<SessionEnv<Data> & { Variables: … }>()`.
 *
 * @typeParam Data What the sessions hold, by key.
 */
export interface SessionEnv<Data extends object = AnyData> {
  /** What `c.var` has. */
  Variables: {
    /** The session of the request. */
    session: Session<Data>;
  };
}

/** The part of Hono's context that is used. */
export interface HonoContext<Data extends object> {
  /** The request, with the standard one in it. */
  readonly req: { readonly raw: Request };
  /** What a handler threw that has become an answer already. */
  readonly error: Error | undefined;
  /** The answer. */
  res: Response;
  /** Keeps something for later handlers. */
  readonly set: (key: "session", value: Session<Data>) => void;
}

/**
 * A middleware that starts the session of each request and commits it with the
 * answer. An error that a handler throws, an `HTTPException` below 500 too, drops
 * what the request changed.
 *
 * @param manager The manager of the sessions.
 * @returns A middleware for `app.use`. It throws what `manager.run` throws, for
 * `app.onError`.
 */
export function session<Data extends object>(
  manager: Manager<Data>,
): (
  c: HonoContext<Data>,
  next: () => Promise<void>,
) => Promise<void> {
  return async (c, next) => {
    const request = c.req.raw;
    const failed = () => c.error !== undefined;
    let given: Response | undefined;
    try {
      const answer = await manager.run(request, async (session) => {
        c.set("session", session);
        await next();
        given = c.res;
        return standsForUpgrade(request, given) ? undefined : given;
      }, { failed });
      if (answer === undefined || answer === given) return;
      forget(c);
      c.res = answer;
    } catch (error) {
      // The page of the error is no place for the headers of another answer.
      forget(c);
      throw error;
    }
  };
}

/** Hono copies the headers of the answer before over those of the new one. */
function forget(c: { res: Response }): void {
  Object.assign(c, { res: undefined });
}
