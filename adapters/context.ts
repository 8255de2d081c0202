/**
 * The session of the request under way, without handing it on from function to
 * function. Stands on `AsyncLocalStorage`, which costs each request some time:
 * use it where a framework gives no way to hand the session on.
 *
 * What a stream's `pull` or a timer does after the handler has answered may have
 * lost the session: take it out before.
 *
 * @example
 * ```ts
 * import { Manager } from "@cloakroom/session";
 * import { SessionContext } from "@cloakroom/session/context";
 *
 * const manager = new Manager<{ visits: number }>();
 * const here = new SessionContext<{ visits: number }>();
 * const visits = () => here.current().get("visits") ?? 0;
 * const handler = manager.handle((_request, session) =>
 *   here.run(session, () => new Response(`Visits: ${visits()}`))
 * );
 * ```
 *
 * @module
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { AnyData, Session } from "../core/session.ts";

/**
 * Keeps the session of each request for the functions that it calls. Make one
 * for each manager: two never see each other's sessions.
 *
 * @typeParam Data What the sessions hold, by key.
 */
export class SessionContext<Data extends object = AnyData> {
  readonly #storage = new AsyncLocalStorage<Session<Data>>();

  /**
   * Calls a function in which {@linkcode SessionContext.current} is a session, as
   * in all that it calls and awaits.
   *
   * @param session The session of the request.
   * @param next The rest of the request.
   * @returns What `next` returns.
   */
  run<Result>(session: Session<Data>, next: () => Result): Result {
    return this.#storage.run(session, next);
  }

  /**
   * The session of the request under way.
   *
   * @throws {TypeError} If it is called outside of `run`.
   */
  current(): Session<Data> {
    const session = this.#storage.getStore();
    if (session !== undefined) return session;
    throw new TypeError(
      "Cannot find current session: no request is under way here: call it in what context.run() calls",
    );
  }
}
