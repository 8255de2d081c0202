import { isPromise } from "../../core/store.ts";
import { Manager, type Session } from "../../mod.ts";
import { MemoryProvider } from "../../providers/memory.ts";
import { type BenchCase, CALLS, expect, sizeName } from "./bench_case.ts";
import { randomNumbers, shuffled } from "./population.ts";

interface Visitor {
  visits: number;
}

type Handler = (request: Request) => Promise<Response>;

const ADDRESS = "http://localhost/";
const NAME = "__Host-id=";
const TOKEN_LENGTH = 56;

/** Whole requests to `size` stored sessions, all equally likely. */
export async function managerCases(size: number): Promise<BenchCase[]> {
  const provider = new MemoryProvider();
  const manager = new Manager<Visitor>({ provider, gcInterval: 0 });
  const cookies = await signUp(manager, size);
  expect(provider.stats().sessions === size, "filling the manager");
  const byHand = new Map(cookies.map((cookie) => [tokenIn(cookie), 1]));
  const visits = new Arrivals(shuffled(cookies, randomNumbers(size)));
  const strangers = new Arrivals(["theme=dark"]);
  const group = `request, ${sizeName(size)}`;
  return [
    {
      ...handlerCase(bareHandler, visits),
      group,
      name: "bare handler",
      isFloor: true,
    },
    {
      ...handlerCase(handlerByHand(byHand), visits),
      group,
      name: "cookie by hand, Map.get",
    },
    {
      ...handlerCase(manager.handle(idleHandler), strangers),
      group,
      name: "handle, no session cookie",
    },
    {
      ...handlerCase(manager.handle(readingHandler), visits),
      group,
      name: "handle, one read",
    },
    {
      ...handlerCase(manager.handle(readingHandler), visits),
      group,
      name: "start and commit, one read",
      run: () => startsAndCommits(manager, visits),
    },
    {
      ...handlerCase(manager.handle(writingHandler), visits),
      group,
      name: "handle, one write",
    },
    {
      ...await newSessionCase(size, strangers),
      group,
      name: "handle, new session",
    },
  ];
}

type UnnamedCase = Omit<BenchCase, "group" | "name">;

function handlerCase(handler: Handler, arrivals: Arrivals): UnnamedCase {
  return {
    operations: CALLS,
    isFloor: false,
    prepare: () => arrivals.refill(),
    run: () => serve(handler, arrivals),
  };
}

/** A first write: a session is created, and the stalest one makes room. */
async function newSessionCase(
  size: number,
  strangers: Arrivals,
): Promise<UnnamedCase> {
  const provider = new MemoryProvider({ maxSessions: size });
  const manager = new Manager<Visitor>({ provider, gcInterval: 0 });
  await signUp(manager, size);
  let { created } = provider.stats();
  return {
    ...handlerCase(manager.handle(firstHandler), strangers),
    verify: () => {
      created += CALLS;
      const stats = provider.stats();
      expect(stats.created === created, "the first write");
      expect(stats.sessions === size, "making room");
    },
  };
}

/**
 * Requests that have just arrived: made before each measured call, so that they
 * are fresh and in the processor's cache, as a server's are.
 */
class Arrivals {
  readonly #cookies: readonly string[];
  readonly #requests: Request[] = [];
  #at = 0;

  constructor(cookies: readonly string[]) {
    this.#cookies = cookies;
  }

  refill(): void {
    while (this.#requests.length < CALLS) {
      const cookie = this.#cookies[this.#at] as string;
      this.#at = (this.#at + 1) % this.#cookies.length;
      this.#requests.push(new Request(ADDRESS, { headers: { cookie } }));
    }
  }

  next(): Request {
    return this.#requests.pop() as Request;
  }
}

/** Stores sessions as requests do, and keeps the cookies. */
async function signUp(
  manager: Manager<Visitor>,
  count: number,
): Promise<string[]> {
  const handler = manager.handle(firstHandler);
  const cookies: string[] = [];
  for (let left = count; left > 0; left--) {
    const response = await handler(new Request(ADDRESS));
    const header = response.headers.get("set-cookie") ?? "";
    cookies.push(`theme=dark; ${header.slice(0, header.indexOf(";"))}`);
  }
  return cookies;
}

async function serve(handler: Handler, arrivals: Arrivals): Promise<number> {
  let served = 0;
  for (let call = 0; call < CALLS; call++) {
    const response = await handler(arrivals.next());
    if (response.status === 200) served++;
  }
  return served;
}

function startsAndCommits(
  manager: Manager<Visitor>,
  arrivals: Arrivals,
): number {
  let served = 0;
  for (let call = 0; call < CALLS; call++) {
    const request = arrivals.next();
    const session = manager.start(request);
    if (isPromise(session)) return 0;
    const response = manager.commit(session, readingHandler(request, session));
    if (!isPromise(response) && response.status === 200) served++;
  }
  return served;
}

// Asynchronous because what `handle` makes is.
// deno-lint-ignore require-await
async function bareHandler(_request: Request): Promise<Response> {
  return new Response("ok");
}

function handlerByHand(sessions: ReadonlyMap<string, number>): Handler {
  // deno-lint-ignore require-await
  return async (request) => {
    const visits = sessions.get(tokenIn(request.headers.get("cookie") ?? ""));
    return answer(visits);
  };
}

function tokenIn(cookie: string): string {
  const at = cookie.indexOf(NAME) + NAME.length;
  return cookie.slice(at, at + TOKEN_LENGTH);
}

function idleHandler(_request: Request, _session: Session<Visitor>): Response {
  return new Response("ok");
}

function readingHandler(
  _request: Request,
  session: Session<Visitor>,
): Response {
  return answer(session.get("visits"));
}

function firstHandler(_request: Request, session: Session<Visitor>): Response {
  session.set("visits", 1);
  return new Response("ok");
}

function writingHandler(
  _request: Request,
  session: Session<Visitor>,
): Response {
  const visits = session.get("visits");
  if (visits !== undefined) session.set("visits", visits + 1);
  return answer(visits);
}

function answer(visits: number | undefined): Response {
  return visits === undefined
    ? new Response("no session", { status: 500 })
    : new Response("ok");
}
