/**
 * A site with a clock that is moved by hand, and browsers that keep its cookie.
 *
 * @module
 */
import {
  Manager,
  type ManagerOptions,
  type Session,
  type SessionEvent,
} from "../mod.ts";

/** Midnight of some day, in milliseconds since the Unix epoch. */
export const START = Date.UTC(2030, 0, 1);

type Visit = (session: Session, request: Request) => unknown;

/**
 * What a store's trouble and a clock of its own bring along with every test that
 * makes a call fail, or has the time stand still.
 */
const ABOUT_STORE: ReadonlySet<SessionEvent["type"]> = new Set([
  "store-down",
  "store-up",
  "clock-skew",
]);

/** A manager with a clock that tests move and a log of its events. */
export class Site {
  now: number = START;
  readonly events: SessionEvent[] = [];
  readonly manager: Manager;

  constructor(options: ManagerOptions = {}) {
    this.manager = new Manager({
      gcInterval: 0,
      now: () => this.now,
      onEvent: (event) => {
        if (!ABOUT_STORE.has(event.type)) this.events.push(event);
      },
      ...options,
    });
  }

  /** Moves the clock on. */
  pass(seconds: number): void {
    this.now += seconds * 1000;
  }

  /** The types of all events so far, which are then forgotten. */
  takeEvents(): string[] {
    return this.events.splice(0).map(({ type }) => type);
  }

  /** Starts a session as a request with this cookie would. */
  async start(cookie?: string): Promise<Session> {
    return await this.manager.start(requestWith(cookie));
  }

  /** Commits a session with an empty response. */
  async commit(session: Session, response = new Response()): Promise<Response> {
    return await this.manager.commit(session, response);
  }
}

/** A browser that keeps one site's session cookie. */
export class Browser {
  readonly site: Site;
  cookie: string | undefined;

  constructor(site: Site, cookie?: string) {
    this.site = site;
    this.cookie = cookie;
  }

  /** The token in the cookie. */
  get token(): string {
    return this.cookie?.split("=")[1] ?? "";
  }

  /** Makes a request, hands its session to `visit`, and keeps the cookie. */
  async visit(
    visit: Visit = () => {},
    response: Response = new Response(),
  ): Promise<Response> {
    const request = requestWith(this.cookie);
    // Not by `handle`, which answers in place of a store that fails.
    const answer = await this.site.manager.run(request, async (session) => {
      await visit(session, request);
      return response;
    });
    return this.receive(answer);
  }

  /** Reads the session as a request of this browser would find it. */
  async look<T>(look: (session: Session) => T): Promise<T> {
    return look(await this.site.start(this.cookie));
  }

  /** Does with a response's cookies what a browser does. */
  receive(response: Response): Response {
    for (const header of response.headers.getSetCookie()) {
      this.cookie = /; Max-Age=0(;|$)/.test(header)
        ? undefined
        : header.split(";")[0];
    }
    return response;
  }
}

/**
 * A visitor's browser with a session that is stored, on a site whose log is
 * empty again.
 */
export async function visitor(
  site: Site = new Site(),
  data: Readonly<Record<string, unknown>> = { name: "Ada" },
): Promise<Browser> {
  const browser = new Browser(site);
  await browser.visit((session) => {
    for (const [key, value] of Object.entries(data)) session.set(key, value);
  });
  site.events.length = 0;
  return browser;
}

/** A user's browser, on a site whose log is empty again. */
export async function signedIn(
  site: Site = new Site(),
  principal = "ada",
): Promise<Browser> {
  const browser = new Browser(site);
  await browser.visit((session) => session.signIn(principal));
  site.events.length = 0;
  return browser;
}

/** Who is signed in, as the next request of a browser finds it. */
export async function principalOf(
  browser: Browser,
): Promise<string | undefined> {
  return await browser.look((session) => session.principal);
}

/**
 * What the events of a site so far say, refusals by their reason. They are then
 * forgotten.
 */
export function told(site: Site): string[] {
  return site.events.splice(0).map((event) =>
    event.type === "refused" ? event.reason : event.type
  );
}

/** The session cookies of a response, without their attributes. */
export function cookiesOf(response: Response): string[] {
  return response.headers.getSetCookie()
    .map((header) => header.split(";")[0] as string);
}

/** A request with a `Cookie` header, or with none. */
export function requestWith(cookie?: string): Request {
  const headers = cookie === undefined ? {} : { cookie };
  return new Request("http://localhost/", { headers });
}

/** Something that is settled by hand. */
export class Gate<T = void> {
  readonly promise: Promise<T>;
  open!: (value: T) => void;
  fail!: (error: unknown) => void;

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.open = resolve;
      this.fail = reject;
    });
  }
}
