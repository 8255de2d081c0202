import type { Manager, Session } from "../../mod.ts";
import {
  type BenchCase,
  CALLS,
  type Candidate,
  compare,
  sizeName,
} from "./bench_case.ts";
import { randomNumbers, shuffled } from "./random.ts";
import { Site, type Visitor } from "./site.ts";
import { Stage } from "./stage.ts";

type Handler = (request: Request) => Response | Promise<Response>;
type SessionHandler = (
  request: Request,
  session: Session<Visitor>,
) => Response;

const ADDRESS = "http://localhost/";
const NO_SESSION = ["theme=dark"];

/** Longer than the default `renewInterval`, in seconds. */
const RENEWAL_AGE = 901;

/** Requests, and who answers them. */
interface Traffic {
  readonly arrivals: Arrivals;
  readonly handler: Handler;
}

/**
 * Whole requests to `size` stored sessions, all equally likely. The floor is the
 * least that finds a session: the cookie cut out by hand, and a `Map`.
 */
export function managerCases(size: number): BenchCase[] {
  const stage = new Stage(() => Desk.open(size));
  const bound = new Stage(() => Desk.open(size, true));
  const task = { group: "request", column: sizeName(size), operations: CALLS };
  return compare(task, [
    trafficCase(
      stage,
      "cookie by hand, Map.get",
      (desk) => desk.visits(desk.answerByHand),
    ),
    trafficCase(stage, "bare handler", (desk) => desk.visits(answerBarely)),
    ...visitCases(stage, "ours: start and commit", startAndCommit),
    newcomerCase(stage, "ours: start and commit, first write", 0, begin),
    newcomerCase(stage, "ours: start and commit, sign-in", 0, signIn),
    ...visitCases(
      stage,
      "ours: handle",
      (manager, handler) => manager.handle(handler),
    ),
    // Last, because it makes everybody older.
    newcomerCase(stage, "ours: start and commit, renewal", RENEWAL_AGE, read),
    trafficCase(
      bound,
      "ours: start and commit, one read, bound to a device",
      (desk) => desk.visits(startAndCommit(desk.manager, read)),
    ),
  ]);
}

/** Requests that leave as many sessions as there were. */
function visitCases(
  stage: Stage<Desk>,
  how: string,
  wrap: (manager: Manager<Visitor>, handler: SessionHandler) => Handler,
): Candidate[] {
  return [
    trafficCase(
      stage,
      `${how}, no cookie`,
      (desk) => desk.strangers(wrap(desk.manager, idle)),
    ),
    trafficCase(
      stage,
      `${how}, one read`,
      (desk) => desk.visits(wrap(desk.manager, read)),
    ),
    trafficCase(
      stage,
      `${how}, one write`,
      (desk) => desk.visits(wrap(desk.manager, write)),
    ),
  ];
}

function trafficCase(
  stage: Stage<Desk>,
  name: string,
  choose: (desk: Desk) => Traffic,
): Candidate {
  let traffic: Traffic | undefined;
  return {
    name,
    prepare: async () => {
      await stage.enter();
      traffic ??= choose(stage.value);
      traffic.arrivals.refill();
    },
    run: () => serve(traffic as Traffic),
  };
}

/**
 * Requests after which the browser has another cookie: each comes to a session
 * of its own, `age` seconds old, that is gone afterwards.
 */
function newcomerCase(
  stage: Stage<Desk>,
  name: string,
  age: number,
  handler: SessionHandler,
): Candidate {
  const responses: Response[] = [];
  let traffic: Traffic | undefined;
  return {
    name,
    prepare: async () => {
      await stage.enter();
      const { site, manager } = stage.value;
      const cookies = handler === begin ? NO_SESSION : await site.signUp(CALLS);
      site.wait(age);
      const arrivals = new Arrivals(site, cookies);
      arrivals.refill();
      traffic = { arrivals, handler: startAndCommit(manager, handler) };
      responses.length = 0;
    },
    run: async () => await serve(traffic as Traffic, responses),
    verify: () => stage.value.site.removeAll(responses),
  };
}

/** A site and the requests to it. */
class Desk {
  readonly site: Site;
  readonly answerByHand: Handler;
  readonly #visits: Arrivals;
  readonly #strangers: Arrivals;

  private constructor(site: Site, cookies: readonly string[]) {
    const random = randomNumbers(cookies.length);
    this.site = site;
    this.answerByHand = byHand(
      new Map(cookies.map((cookie) => [tokenIn(cookie), 1])),
    );
    this.#visits = new Arrivals(site, shuffled(cookies, random));
    this.#strangers = new Arrivals(site, NO_SESSION);
  }

  static async open(size: number, isBound = false): Promise<Desk> {
    const site = new Site(isBound);
    const cookies = await site.signUp(size);
    return new Desk(site, isBound ? site.bind(cookies) : cookies);
  }

  get manager(): Manager<Visitor> {
    return this.site.manager;
  }

  /** Requests to the sessions. */
  visits(handler: Handler): Traffic {
    return { arrivals: this.#visits, handler };
  }

  /** Requests without a session. */
  strangers(handler: Handler): Traffic {
    return { arrivals: this.#strangers, handler };
  }
}

/**
 * Requests that have just arrived, one in a millisecond: made before each
 * measured call, so that they are fresh and in the processor's cache, as a
 * server's are.
 */
class Arrivals {
  readonly #site: Site;
  readonly #cookies: readonly string[];
  readonly #requests: Request[] = [];
  #at = 0;

  constructor(site: Site, cookies: readonly string[]) {
    this.#site = site;
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
    this.#site.tick();
    return this.#requests.pop() as Request;
  }
}

/** @param responses Receives them, if anyone wants to look at them. */
async function serve(
  { arrivals, handler }: Traffic,
  responses?: Response[],
): Promise<number> {
  let served = 0;
  for (let call = 0; call < CALLS; call++) {
    const answer = handler(arrivals.next());
    const response = answer instanceof Promise ? await answer : answer;
    if (response.status === 200) served++;
    responses?.push(response);
  }
  return served;
}

/** As `handle` does, but without its promise where the store answers at once. */
function startAndCommit(
  manager: Manager<Visitor>,
  handler: SessionHandler,
): Handler {
  return (request) => {
    const session = manager.start(request);
    return session instanceof Promise
      ? session.then((one) => manager.commit(one, handler(request, one)))
      : manager.commit(session, handler(request, session));
  };
}

function answerBarely(_request: Request): Response {
  return new Response("ok");
}

function byHand(sessions: ReadonlyMap<string, number>): Handler {
  return (request) =>
    answer(sessions.get(tokenIn(request.headers.get("cookie") ?? "")));
}

function tokenIn(cookie: string): string {
  return cookie.slice(cookie.indexOf("__Host-id=") + "__Host-id=".length);
}

function idle(_request: Request, _session: Session<Visitor>): Response {
  return new Response("ok");
}

function read(_request: Request, session: Session<Visitor>): Response {
  return answer(session.get("visits"));
}

function write(_request: Request, session: Session<Visitor>): Response {
  const visits = session.get("visits");
  if (visits !== undefined) session.set("visits", visits + 1);
  return answer(visits);
}

function begin(_request: Request, session: Session<Visitor>): Response {
  session.set("visits", 1);
  return new Response("ok");
}

function signIn(_request: Request, session: Session<Visitor>): Response {
  session.signIn("ada");
  return answer(session.get("visits"));
}

function answer(visits: number | undefined): Response {
  return visits === undefined
    ? new Response("no session", { status: 500 })
    : new Response("ok");
}
