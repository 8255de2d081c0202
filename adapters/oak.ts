/**
 * Sessions for Oak: a middleware, and the session in `ctx.state.session`.
 *
 * @example
 * ```ts ignore
 * import { Manager, type Session } from "@cloakroom/session";
 * import { oak } from "@cloakroom/session/oak";
 * import { Application } from "@oak/oak";
 *
 * type Data = { visits: number };
 * const app = new Application<{ session: Session<Data> }>();
 * app.use(oak(new Manager<Data>()));
 * app.use(async ({ response, state: { session } }) => {
 *   response.body = await session.update("visits", (n = 0) => n + 1);
 * });
 * ```
 *
 * @module
 */
import type { RequestLike } from "../core/carriage/arrival.ts";
import type { Manager } from "../core/manager.ts";
import type { Session } from "../core/session.ts";
import { runWithHeaders } from "./_shared.ts";

/** The part of Oak's context that is used. */
export interface OakContext<Data extends object> {
  /** The request. */
  readonly request: {
    /** Such as `GET`. */
    readonly method: string;
    /** The whole URL. */
    readonly url: URL;
    /** The headers. */
    readonly headers: Headers;
  };
  /** The answer. */
  readonly response: {
    /** Its headers. */
    readonly headers: Headers;
    /** Its status. */
    readonly status: number;
    /** Whether it can still be changed; not after `with`. */
    readonly writable: boolean;
    /** Answers with a whole response. */
    with(response: Response): void;
  };
  /** Whether Oak sends the answer; not after an upgrade. */
  readonly respond?: boolean;
  /** Where the session is put. Keep the application's `contextState` as it is. */
  readonly state: { session: Session<Data> };
}

/**
 * A middleware that starts the session of each request and commits it with the
 * answer. An error that is thrown, by `ctx.throw` below 500 too, drops what the
 * request changed. Oak sends what is given to `response.with` as it is: where a
 * cookie is due, the commit fails with `"unsendable"`.
 *
 * @param manager The manager of the sessions.
 * @returns A middleware for `app.use`. It throws what `manager.run` throws, for
 * Oak's error page.
 */
export function oak<Data extends object>(
  manager: Manager<Data>,
): (ctx: OakContext<Data>, next: () => Promise<unknown>) => Promise<void> {
  return async (ctx, next) => {
    const { response } = ctx;
    const refusal = await runWithHeaders(
      manager,
      requestOf(ctx.request),
      async (session) => {
        ctx.state.session = session;
        await next();
        const isOut = ctx.respond === false || !response.writable;
        const status = isOut ? CARRIES_NOTHING : response.status;
        return { headers: response.headers, status };
      },
    );
    if (refusal !== undefined) response.with(refusal);
  };
}

/** A status whose answer has no cookies. */
const CARRIES_NOTHING = 101;

/** One object for each request, by which it is known when mounted twice. */
const requests = new WeakMap<object, RequestLike>();

function requestOf(request: OakContext<object>["request"]): RequestLike {
  const known = requests.get(request);
  if (known !== undefined) return known;
  const { method, url: { href: url }, headers } = request;
  const own = { method, url, headers };
  requests.set(request, own);
  return own;
}
