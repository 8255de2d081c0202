/**
 * A site with a clock that is moved by hand, and browsers that keep its cookie.
 *
 * @module
 */
import { Clock, Jar, type JarCookie } from "../testing.ts";
import {
  Manager,
  type ManagerOptions,
  type Session,
  type SessionEvent,
} from "../mod.ts";

/** Midnight of some day, in milliseconds since the Unix epoch. */
export const START = Date.UTC(2030, 0, 1);

/** Where a site is, unless its cookie is for another host or path. */
const HOST = "localhost";
const HOME = `http://${HOST}/`;

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
  readonly clock: Clock = new Clock(START);
  readonly events: SessionEvent[] = [];
  readonly manager: Manager;
  /** A page that gets its cookie. */
  readonly home: string;
  /** Whose its cookie is, as a jar says it. */
  readonly scope: Pick<JarCookie, "domain" | "path">;

  constructor(options: ManagerOptions = {}) {
    const { cookie = {} } = options;
    const { domain, path = "/" } = typeof cookie === "function" ? {} : cookie;
    const isShared = typeof domain === "string";
    this.home = new URL(path, isShared ? `https://${domain}` : HOME).href;
    this.scope = { domain: isShared ? `.${domain}` : HOST, path };
    this.manager = new Manager({
      gcInterval: 0,
      now: this.clock.now,
      onEvent: (event) => {
        if (!ABOUT_STORE.has(event.type)) this.events.push(event);
      },
      ...options,
    });
  }

  /** What the clock shows, in milliseconds since the Unix epoch. */
  get now(): number {
    return this.clock.now();
  }

  set now(instant: number) {
    this.pass((instant - this.now) / 1000);
  }

  /** Moves the clock on. */
  pass(seconds: number): void {
    this.clock.advance(seconds);
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

/** A browser that keeps one site's cookies. */
export class Browser {
  readonly site: Site;
  readonly #jar: Jar;

  constructor(site: Site, cookie?: string) {
    this.site = site;
    this.#jar = new Jar(site.home, { now: site.clock.now });
    this.cookie = cookie;
  }

  /** The header `Cookie` of its requests. */
  get cookie(): string | undefined {
    return this.#jar.header();
  }

  set cookie(header: string | undefined) {
    this.#jar.clear();
    this.#jar.add(cookiesIn(header ?? "", this.site));
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
    const request = requestWith(this.cookie, this.site.home);
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
    this.#jar.receive(response);
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
export function requestWith(cookie?: string, url = HOME): Request {
  const headers = cookie === undefined ? {} : { cookie };
  return new Request(url, { headers });
}

/**
 * The cookies in a header. Several of one name, which a browser has if their
 * scopes differ, are kept as one, and replaced together.
 */
function cookiesIn(header: string, { scope }: Site): JarCookie[] {
  const values = new Map<string, string>();
  for (const pair of header.split("; ").filter((text) => text !== "")) {
    const name = pair.slice(0, pair.indexOf("="));
    const value = pair.slice(name.length + 1);
    const before = values.get(name);
    values.set(name, before === undefined ? value : `${before}; ${pair}`);
  }
  return Array.from(values, ([name, value]) => ({
    name,
    value,
    ...scope,
    expires: -1,
    httpOnly: true,
    secure: true,
    sameSite: "Lax",
  }));
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
