/**
 * Sessions for Koa: a middleware, and the session in `ctx.session`.
 *
 * @example
 * ```ts ignore
 * import { Manager } from "@cloakroom/session";
 * import { session, type SessionRequest } from "@cloakroom/session/koa";
 * // @ts-types="npm:@types/koa@^3"
 * import Koa from "koa";
 *
 * type Data = { visits: number };
 * const app = new Koa<Koa.DefaultState, SessionRequest<Data>>();
 * app.use(session(new Manager<Data>()));
 * app.use(async (ctx) => {
 *   ctx.body = `Visit ${await ctx.session.update("visits", (n = 0) => n + 1)}`;
 * });
 * ```
 *
 * @module
 */
import type { Manager } from "../core/manager.ts";
import {
  keptBy,
  type NodeRequest,
  type NodeResponse,
  requestOf,
  type SessionRequest,
} from "./_node.ts";
import { runWithHeaders } from "./_shared.ts";

export {
  type NodeRequest,
  type NodeResponse,
  type NodeSocket,
  type SessionRequest,
  upgrade,
} from "./_node.ts";

/** The part of Koa's context that is used. */
export interface KoaContext {
  /** The request of `node:http`. */
  readonly req: NodeRequest;
  /** The answer of `node:http`. */
  readonly res: NodeResponse;
  /** The status that Koa will send. */
  status: number;
  /** What Koa will send. */
  body: unknown;
  /** Sets headers. */
  set(headers: { [name: string]: string }): unknown;
}

/**
 * A middleware that starts the session of each request and commits it when those
 * after it have come to their end. An error that they throw, by `ctx.throw(404)`
 * too, drops what the request changed. An answer that was sent without Koa carries
 * no cookie: that is an error if one is due.
 *
 * @param manager The manager of the sessions.
 * @returns A middleware for `app.use`. It throws what `manager.run` throws.
 */
export function session<Data extends object>(
  manager: Manager<Data>,
): (
  ctx: KoaContext & SessionRequest<Data>,
  next: () => Promise<unknown>,
) => Promise<void> {
  return async (ctx, next) => {
    const request = requestOf(ctx.req);
    const refusal = await runWithHeaders(manager, request, async (session) => {
      ctx.session = session;
      await next();
      return keptBy(ctx.res, ctx.status);
    });
    if (refusal === undefined) return;
    ctx.status = refusal.status;
    ctx.set(Object.fromEntries(refusal.headers));
    ctx.body = await refusal.text();
  };
}
