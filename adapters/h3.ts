/**
 * Sessions for h3, and for Nitro and SolidStart, which stand on it: a middleware,
 * and the session in `event.context.session`.
 *
 * @example
 * ```ts
 * import { Manager, type Session } from "@cloakroom/session";
 * import { h3 } from "@cloakroom/session/h3";
 * import { H3 } from "h3";
 *
 * type Data = { visits: number };
 * const app = new H3().use(h3(new Manager<Data>()));
 * app.get("/", ({ context }) => {
 *   const session = context.session as Session<Data>;
 *   return session.update("visits", (visits = 0) => visits + 1);
 * });
 * ```
 *
 * With `declare module "h3" { interface H3EventContext { session: Session<Data> } }`
 * the cast is not needed.
 *
 * @module
 */
import type { RequestLike } from "../core/carriage/arrival.ts";
import type { HeaderSink } from "../core/carriage/response.ts";
import type { Manager } from "../core/manager.ts";
import { type Kept, runWithHeaders, standsForUpgrade } from "./_shared.ts";

/** The part of h3's event that is used. */
export interface H3SessionEvent {
  /** The request. */
  readonly req: RequestLike;
  /** Where the session is put, as `session`. */
  readonly context: object;
  /** What h3 adds to the answer that a handler returns. */
  readonly res: {
    /** The status, unless the answer has one of its own. */
    readonly status?: number | undefined;
    /** Headers for an answer below 400. */
    readonly headers: Headers;
    /** Headers for an error. */
    readonly errHeaders: Headers;
  };
}

/**
 * A middleware that starts the session of each request and commits it with the
 * answer. An error that a handler throws, an `HTTPError` below 500 too, drops
 * what the request changed; one that it returns keeps it.
 *
 * @param manager The manager of the sessions.
 * @returns A middleware for `app.use`. It throws what `manager.run` throws, for
 * `onError`.
 */
export function h3<Data extends object>(
  manager: Manager<Data>,
): (event: H3SessionEvent, next: () => unknown) => Promise<unknown> {
  return async (event, next) => {
    let answer: unknown;
    const refusal = await runWithHeaders(
      manager,
      event.req,
      async (session) => {
        Object.assign(event.context, { session });
        answer = await next();
        return keptBy(event, answer);
      },
    );
    return refusal ?? answer;
  };
}

/** h3 answers so where there is no route. */
const NOT_FOUND = Symbol.for("h3.notFound");

/** Which status h3 will send with an answer, and which headers it will add. */
function keptBy({ req, res }: H3SessionEvent, answer: unknown): Kept {
  if (answer === NOT_FOUND) return { status: 404, headers: res.errHeaders };
  const own = Object(answer) as Partial<Response>;
  if (answer instanceof Error) {
    return { status: own.status ?? 500, headers: res.errHeaders };
  }
  if (answer instanceof Response) {
    const status = standsForUpgrade(req, answer) ? 101 : answer.status;
    const added = status >= 400 ? res.errHeaders : res.headers;
    return { status, headers: overlaid(added, answer.headers) };
  }
  const status = own.status ?? res.status ?? 200;
  return own.headers instanceof Headers
    ? { status, headers: overlaid(res.headers, own.headers) }
    : { status, headers: res.headers };
}

/** Headers that h3 puts over those of an answer, which are left as they are. */
function overlaid(added: Headers, present: Headers): HeaderSink {
  return {
    get: (name) => added.get(name) ?? present.get(name),
    set: (name, value) => added.set(name, value),
    append: (name, value) => {
      const old = added.has(name) ? null : present.get(name);
      if (old !== null && name !== "set-cookie") added.set(name, old);
      added.append(name, value);
    },
    keys: () => [...added.keys(), ...present.keys()],
  };
}
