/**
 * Sessions for TanStack Start: the body of a request middleware, and the session
 * in the context of server functions, server routes and later middleware.
 *
 * @example
 * ```ts
 * import { Manager } from "@cloakroom/session";
 * import { tanstack } from "@cloakroom/session/tanstack-start";
 * import { createMiddleware } from "@tanstack/react-start";
 *
 * const manager = new Manager<{ visits: number }>();
 * export const sessions = createMiddleware().server(({ request, next }) =>
 *   tanstack(manager, request, (session) => next({ context: { session } }))
 * );
 * ```
 *
 * `createStart(() => ({ requestMiddleware: [sessions] }))` puts it before all
 * requests.
 *
 * @module
 */
import type { Manager } from "../core/manager.ts";
import type { Session } from "../core/session.ts";

/** What TanStack Start's `next` comes to. */
export interface TanStackResult {
  /** The answer. */
  response: Response;
}

/**
 * Starts the session of a request and commits it with the answer. An error that
 * is thrown drops what the request changed; a `Response` or a `redirect` that is
 * thrown keeps it, below 500.
 *
 * @param manager The manager of the sessions.
 * @param request The request.
 * @param next Calls the middleware's own `next` with the session in its context,
 * so that types follow.
 * @returns What `next` comes to, with the committed answer in it; or the answer to
 * a request that never reaches the application.
 * @throws What `manager.run` throws.
 */
export async function tanstack<
  Data extends object,
  Result extends TanStackResult,
>(
  manager: Manager<Data>,
  request: Request,
  next: (session: Session<Data>) => Promise<Result> | Result,
): Promise<Result | Response> {
  let result: Result | undefined;
  const response = await manager.run(request, async (session) => {
    result = await next(session);
    return result.response;
  });
  return result === undefined ? response : { ...result, response };
}
