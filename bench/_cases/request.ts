/** Whole requests to a manager on memory, without a server. */
import type * as Library from "../../mod.ts";
import { CALLS, type Case, compare } from "../_harness/case.ts";

type Session = Library.Session<{ visits: number }>;
type Handler = (request: Request) => Response | Promise<Response>;

const ADDRESS = "http://localhost/";
const COOKIE = "__Host-id=";

/**
 * Requests to a thousand sessions, one after the other. The floor is the least
 * that finds a session: the cookie cut out by hand, and a `Map`.
 */
export async function requestCases(
  { Manager }: typeof Library,
): Promise<Case[]> {
  const manager = new Manager<{ visits: number }>({ gcInterval: 0 });
  // On memory a session is there at once.
  const answer = (request: Request, use: (session: Session) => unknown) => {
    const session = manager.start(request) as Session;
    const status = use(session) === undefined ? 500 : 200;
    return manager.commit(session, new Response("ok", { status }));
  };
  const begin = (session: Session) => session.set("visits", 1) ?? 1;
  const read = (session: Session) => session.get("visits");
  const write = (session: Session) => {
    const visits = read(session) ?? NaN;
    session.set("visits", visits + 1);
    return Number.isNaN(visits) ? undefined : visits;
  };
  const anew = Array.from({ length: CALLS }, () => new Request(ADDRESS));
  const known: Request[] = [];
  for (const request of anew) {
    const { headers } = await answer(request, begin);
    const cookie = `theme=dark; ${headers.get("set-cookie")?.split(";")[0]}`;
    known.push(new Request(ADDRESS, { headers: { cookie } }));
  }
  const visits = new Map(known.map((request) => [tokenIn(request), 1]));
  const candidate = (
    name: string,
    requests: readonly Request[],
    handle: Handler,
  ) => ({
    name,
    run: async () => {
      let served = 0;
      for (const request of requests) {
        const answer = handle(request);
        const response = answer instanceof Promise ? await answer : answer;
        if (response.status === 200) served++;
      }
      return served;
    },
  });
  return compare(
    { group: "request", operations: CALLS },
    candidate("cookie by hand, Map.get", known, (request) => {
      const status = visits.get(tokenIn(request)) === undefined ? 500 : 200;
      return new Response("ok", { status });
    }),
    candidate("bare handler", anew, () => new Response("ok")),
    candidate(
      "ours: no cookie",
      anew,
      (request) => answer(request, () => true),
    ),
    candidate("ours: one read", known, (request) => answer(request, read)),
    candidate("ours: one write", known, (request) => answer(request, write)),
  );
}

function tokenIn({ headers }: Request): string {
  const cookie = headers.get("cookie") ?? "";
  return cookie.slice(cookie.indexOf(COOKIE) + COOKIE.length);
}
