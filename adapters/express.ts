/**
 * Sessions for Express, and for what calls its middleware: connect, polka, Nest,
 * Nuxt by `fromNodeMiddleware`, and plain `node:http`. The session is in
 * `req.session`.
 *
 * An answer is held back, from the first call that would send some of it until
 * the session is stored. To an application it looks as if it had been sent.
 *
 * @example
 * ```ts ignore
 * import { Manager } from "@cloakroom/session";
 * import { session, type SessionRequest } from "@cloakroom/session/express";
 * // @ts-types="npm:@types/express@^5"
 * import express from "express";
 *
 * type Data = { visits: number };
 * declare global { namespace Express { interface Request extends SessionRequest<Data> {} } }
 * const app = express().use(session(new Manager<Data>()));
 * app.get("/", async (req, res) => {
 *   res.send(`Visit ${await req.session.update("visits", (n = 0) => n + 1)}`);
 * });
 * ```
 *
 * @module
 */
import type { Manager } from "../core/manager.ts";
import { Hold } from "./_hold.ts";
import {
  begin,
  keptBy,
  type NodeRequest,
  type NodeResponse,
  send,
} from "./_node.ts";

export {
  type NodeRequest,
  type NodeResponse,
  type NodeSocket,
  type SessionRequest,
  upgrade,
} from "./_node.ts";

/** How {@linkcode session} is used. */
export interface SessionMiddlewareOptions<
  Req extends NodeRequest = NodeRequest,
  Res extends NodeResponse = NodeResponse,
> {
  /**
   * Answers a request that fails because its session cannot be read or stored.
   * Needed where `next` takes no error, or takes none after it was called before:
   * in plain `node:http`, and in Nuxt and h3 by `fromNodeMiddleware`. Nobody
   * answers such a request otherwise.
   *
   * @default what `next(error)` does
   */
  readonly onError?:
    | ((error: unknown, request: Req, response: Res) => void)
    | undefined;
}

/** A middleware of Express, connect or polka. */
export type SessionMiddleware<
  Req extends NodeRequest = NodeRequest,
  Res extends NodeResponse = NodeResponse,
> = (request: Req, response: Res, next: (error?: unknown) => void) => void;

/**
 * A middleware that starts the session of each request and commits it before the
 * answer's head is sent. An error that becomes an answer below 500 keeps what the
 * request changed.
 *
 * @param manager The manager of the sessions.
 * @returns A middleware for `app.use`. What `manager.run` throws goes to
 * `next(error)`: the answer under way is dropped, with the headers that were set
 * after this middleware.
 */
export function session<
  Data extends object,
  Req extends NodeRequest = NodeRequest,
  Res extends NodeResponse = NodeResponse,
>(
  manager: Manager<Data>,
  options: SessionMiddlewareOptions<Req, Res> = {},
): SessionMiddleware<Req, Res> {
  return (request, response, next) => {
    const { onError = (error: unknown) => next(error) } = options;
    const fail = (error: unknown) => {
      try {
        onError(error, request, response);
      } catch {
        // Polka takes the `code` of an error for a status. Nobody is left to ask.
        response.statusCode = 500;
        response.end("");
      }
    };
    begin(manager, request).then((begun) => {
      if (begun instanceof Response) return void send(response, begun);
      Object.assign(request, { session: begun.session });
      new Hold(response, () => begun.commit(keptBy(response)), fail);
      next();
    }, fail);
  };
}
