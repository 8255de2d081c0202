/**
 * Sessions for React Router in framework mode: a middleware for the root route,
 * and the session in the context of loaders and actions.
 *
 * @example
 * ```ts
 * import { Manager, type Session } from "@cloakroom/session";
 * import { reactRouter } from "@cloakroom/session/react-router";
 * import { createContext, type LoaderFunctionArgs } from "react-router";
 *
 * const manager = new Manager<{ visits: number }>();
 * const sessionContext = createContext<Session<{ visits: number }>>();
 * export const middleware = [reactRouter(manager, sessionContext)];
 * export const loader = ({ context }: LoaderFunctionArgs) =>
 *   context.get(sessionContext).update("visits", (n = 0) => n + 1);
 * ```
 *
 * A path without a route runs no middleware. With the manager's option
 * `deviceBound`, make a route for its path, whose action is never reached.
 *
 * @module
 */
import type { Manager } from "../core/manager.ts";
import type { Session } from "../core/session.ts";

/** A context of React Router, as `createContext` makes it. */
export interface ReactRouterContext<Value> {
  /** What it holds where nothing was set. */
  defaultValue?: Value;
}

/** The part of a middleware's arguments that is used. */
export interface ReactRouterArgs {
  /** The request. */
  readonly request: Request;
  /** Where the session is put. */
  readonly context: {
    /** Keeps a value for loaders and actions. */
    set<Value>(context: ReactRouterContext<Value>, value: Value): void;
  };
}

/**
 * A middleware that starts the session of each request and commits it with the
 * answer. A `Response` or `data()` below 500 that a loader or an action throws
 * keeps what the request changed; any other error drops it.
 *
 * @param manager The manager of the sessions.
 * @param context The context to put the session in.
 * @returns A middleware for the root route. It throws what `manager.run` throws,
 * for the error boundary.
 */
export function reactRouter<Data extends object>(
  manager: Manager<Data>,
  context: ReactRouterContext<Session<Data>>,
): (args: ReactRouterArgs, next: () => Promise<Response>) => Promise<Response> {
  return (args, next) =>
    manager.run(args.request, (session) => {
      args.context.set(context, session);
      return next();
    });
}
