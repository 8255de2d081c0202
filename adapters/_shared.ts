/** What several adapters need. */
import type { RequestLike } from "../core/carriage/arrival.ts";
import type { HeaderSink } from "../core/carriage/response.ts";
import type { Manager } from "../core/manager.ts";
import type { Awaitable } from "../core/provider.ts";
import type { Session } from "../core/session.ts";

/** The answer of a framework that keeps headers and a status, and no response. */
export interface Kept {
  readonly headers: HeaderSink;
  readonly status: number;
}

/** The sessions whose requests are run for frameworks without a response. */
const underWay = new WeakSet<object>();

/** Whether nobody else will commit a session: it is the first call for it. */
export function isOurs(session: object): boolean {
  const isFirst = !underWay.has(session);
  underWay.add(session);
  return isFirst;
}

/**
 * `manager.run` for a framework that keeps headers and a status: the session is
 * committed to them once `next` has come to its end.
 *
 * @returns The answer to a request that never reaches the application.
 */
export async function runWithHeaders<Data extends object>(
  manager: Manager<Data>,
  request: RequestLike,
  next: Next<Data, Kept>,
): Promise<Response | undefined> {
  let isCommitted = false;
  const run = async (session: Session<Data>): Promise<undefined> => {
    const isOuter = isOurs(session);
    const { headers, status } = await next(session);
    if (!isOuter) return undefined;
    await manager.commitTo(session, headers, status);
    isCommitted = true;
  };
  // A request that has failed is left alone once its session is committed.
  return await manager.run<Response | undefined>(request, run, {
    failed: () => isCommitted,
  });
}

/**
 * `manager.run` for a framework that answers with a response. What stands for an
 * upgrade is handed back as it is, and nothing is put on it.
 */
export async function runWithResponse<Data extends object>(
  run: (
    next: Next<Data, Response | undefined>,
  ) => Promise<Response | undefined>,
  request: Upgradable,
  next: (session: Session<Data>) => Awaitable<Response>,
): Promise<Response> {
  let given: Response | undefined;
  const answer = await run(async (session) => {
    given = await next(session);
    return standsForUpgrade(request, given) ? undefined : given;
  });
  return (answer ?? given) as Response;
}

type Next<Data extends object, Answer> = (
  session: Session<Data>,
) => Promise<Answer>;

/** A request that may ask for a WebSocket. */
type Upgradable = Pick<RequestLike, "headers">;

const IS_BUN = "Bun" in globalThis;

/**
 * Whether an answer stands for an upgrade that has been made: on Bun, frameworks
 * answer it with an empty response that nobody sends, and that carries nothing.
 * No client of a WebSocket reads any other answer of 200 either.
 */
export function standsForUpgrade(
  request: Upgradable,
  response: Response,
): boolean {
  // Elsewhere the request of an upgrade has been handed over, headers and all.
  return IS_BUN && response.status === 200 &&
    request.headers.get("upgrade")?.toLowerCase() === "websocket";
}
