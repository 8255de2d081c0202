/**
 * Sessions for SvelteKit: the hook of `src/hooks.server.ts`, and the session in
 * `event.locals.session`.
 *
 * @example
 * ```ts
 * import { Manager } from "@cloakroom/session";
 * import { sveltekit } from "@cloakroom/session/sveltekit";
 *
 * const manager = new Manager<{ visits: number }>();
 * export const handle = sveltekit(manager);
 * ```
 *
 * With `session: Session<Data>` declared in `App.Locals`, a `load` function says
 * `await locals.session.update("visits", (n = 0) => n + 1)`.
 *
 * @module
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Manager } from "../core/manager.ts";
import type { Awaitable } from "../core/provider.ts";
import type { Session } from "../core/session.ts";

/** The part of SvelteKit's event that is used. */
export interface SvelteKitEvent {
  /** The request. */
  readonly request: Request;
  /** Where the session is put, as `session`. */
  readonly locals: object;
  /** Whether the site itself makes the request, with `event.fetch`. */
  readonly isSubRequest: boolean;
}

/**
 * A hook that starts the session of each request and commits it with the answer.
 * An `error(4xx)` or a `redirect` that is thrown keeps what the request changed;
 * any other error drops it. What the site asks itself with `event.fetch` has the
 * session of the request that asks, and is committed with it.
 *
 * @param manager The manager of the sessions.
 * @returns A hook, also for `sequence`. It throws what `manager.run` throws, for
 * `handleError`.
 */
export function sveltekit<Data extends object>(
  manager: Manager<Data>,
): <Event extends SvelteKitEvent>(input: {
  event: Event;
  resolve(event: Event): Awaitable<Response>;
}) => Promise<Response> {
  // SvelteKit hands nothing else on from a request to those that it makes.
  const asking = new AsyncLocalStorage<Session<Data>>();
  return async ({ event, resolve }) => {
    const answer = (session: Session<Data>) => {
      Object.assign(event.locals, { session });
      return asking.run(session, () => resolve(event));
    };
    const session = event.isSubRequest ? asking.getStore() : undefined;
    if (session !== undefined) return await answer(session);
    return await manager.run(event.request, answer);
  };
}
