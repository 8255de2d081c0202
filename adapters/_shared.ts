/** What several adapters need. */
import type { RequestLike } from "../core/carriage/arrival.ts";
import type { HeaderSink } from "../core/carriage/response.ts";
import type { Manager } from "../core/manager.ts";
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
  next: (session: Session<Data>) => Promise<Kept>,
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
 * Whether an answer stands for an upgrade that has been made: on Bun, frameworks
 * answer it with an empty response that nobody sends, and that carries nothing.
 */
export function standsForUpgrade(
  request: { readonly headers: { get(name: string): string | null } },
  response: Response,
): boolean {
  // In this order: to look at a body makes a stream of it, and on Deno a request
  // has no headers any more once it was upgraded.
  return response.status === 200 &&
    request.headers.get("upgrade")?.toLowerCase() === "websocket" &&
    response.body === null;
}
