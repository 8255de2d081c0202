/**
 * Sessions for Astro: the middleware of `src/middleware.ts`, and the session in
 * `Astro.locals.session`.
 *
 * @example
 * ```ts
 * import { Manager } from "@cloakroom/session";
 * import { astro } from "@cloakroom/session/astro";
 *
 * const manager = new Manager<{ visits: number }>();
 * export const onRequest = astro(manager);
 * ```
 *
 * With `session: Session<Data>` declared in `App.Locals`, a page says
 * `await Astro.locals.session.update("visits", (n = 0) => n + 1)`.
 *
 * @module
 */
import type { Manager } from "../core/manager.ts";
import type { Session } from "../core/session.ts";
import { runWithResponse } from "./_shared.ts";

/** The part of Astro's context that is used. */
export interface AstroSessionContext {
  /** The request. */
  readonly request: Request;
  /** Where the session is put, as `session`. */
  readonly locals: object;
  /** Whether a page is made when the site is built, for all visitors. */
  readonly isPrerendered: boolean;
}

/**
 * A middleware that starts the session of each request and commits it with the
 * answer. Pages that are made when the site is built have no session. An error
 * that a page throws drops what the request changed; an answer below 500 keeps it.
 *
 * @param manager The manager of the sessions.
 * @returns A middleware, also for `sequence`. It throws what `manager.run` throws,
 * for the page `500.astro`.
 */
export function astro<Data extends object>(
  manager: Manager<Data>,
): (
  context: AstroSessionContext,
  next: () => Promise<Response>,
) => Promise<Response> {
  return (context, next) => {
    if (context.isPrerendered) return next();
    const { request, locals } = context;
    return runWithResponse(
      (rest) => manager.run(request, rest),
      request,
      (session: Session<Data>) => {
        Object.assign(locals, { session });
        return next();
      },
    );
  };
}
