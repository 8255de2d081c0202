/** A cookie jar that talks to a server, or to the function that would serve. */
import { isResponse } from "../core/carriage/response.ts";
import { Manager } from "../core/manager.ts";
import { ownOptions } from "../core/option_names.ts";
import type { Awaitable } from "../core/provider.ts";
import type { Input, KeyOf, Session } from "../core/session.ts";
import {
  identityOf,
  isExpired,
  isSentTo,
  type JarCookie,
  readSetCookie,
  type RefusedCookie,
} from "./jar_cookie.ts";

/** What answers requests: what `manager.handle` makes, or `app.fetch` of Hono. */
export type RequestHandler = (
  request: Request,
) => Awaitable<Response | undefined | void>;

/**
 * What a jar talks to: a function that answers requests, an object with such a
 * function under `fetch`, or the base URL of a server that runs.
 */
export type Target =
  | RequestHandler
  | { readonly fetch: RequestHandler }
  | string
  | URL;

/** How a {@linkcode Jar} works. */
export interface JarOptions {
  /**
   * What the paths given to `fetch` are relative to; its host decides which
   * cookies are kept.
   *
   * @default {"http://localhost/"}, or the URL that the jar talks to
   */
  readonly baseUrl?: string | URL | undefined;
  /**
   * The clock by which cookies expire, in milliseconds since the Unix epoch: the
   * one of the manager, such as `clock.now`.
   *
   * @default {() => Date.now()}
   */
  readonly now?: (() => number) | undefined;
  /**
   * Whether redirects are followed, up to 20 of them, as a browser does; a
   * redirect to another origin never is. Each `fetch` can say otherwise.
   *
   * @default {"manual"}
   */
  readonly redirect?: "follow" | "manual" | undefined;
  /**
   * Headers of every request that does not have them itself, such as
   * `user-agent`.
   *
   * @default {{}}
   */
  readonly headers?: HeadersInit | undefined;
}

/**
 * How a user is signed in; see {@linkcode Jar.signIn}.
 *
 * @typeParam Data What the manager's sessions hold, by key.
 */
export interface JarSignInOptions<Data extends object> {
  /** What is set in the session, by key. */
  readonly data?:
    | { readonly [Key in KeyOf<Data>]?: Input<Data, Key> }
    | undefined;
  /** What the session is called in the list of the user's devices. */
  readonly label?: string | undefined;
}

/**
 * One browser, as far as cookies go: it keeps what `Set-Cookie` says, with
 * `Domain`, `Path`, `Secure`, `Max-Age`, `Expires` and the prefixes of names, and
 * sends it along. Like a browser it takes `http://localhost` for HTTPS. It knows
 * no public suffix but those of one label, does not look at `SameSite`, and adds neither `Origin` nor `Sec-Fetch-Site`: a test
 * that plays another site's page sends those itself.
 *
 * @example Sign in by the form, and follow to the page behind it
 * ```ts
 * import { Manager } from "@cloakroom/session";
 * import { Jar } from "@cloakroom/session/testing";
 * import { assertEquals } from "@std/assert";
 *
 * await using sessions = new Manager();
 * const app = sessions.handle((request, session) => {
 *   if (request.method !== "POST") return new Response(session.principal);
 *   session.signIn("ada");
 *   return new Response(null, { status: 303, headers: { location: "/" } });
 * });
 *
 * const jar = new Jar(app, { redirect: "follow" });
 * const page = await jar.fetch("/sign-in", { method: "POST" });
 * assertEquals(await page.text(), "ada");
 * assertEquals(jar.cookies().map(({ name }) => name), ["__Host-id"]);
 * ```
 */
export class Jar {
  readonly #answer: RequestHandler;
  readonly #baseUrl: URL;
  readonly #now: () => number;
  readonly #redirect: "follow" | "manual";
  readonly #headers: Headers;
  /** By what tells them apart, in the order of their coming. */
  readonly #cookies = new Map<string, JarCookie>();
  readonly #refused: RefusedCookie[] = [];

  /**
   * An empty jar.
   *
   * @param target What it talks to.
   * @throws {TypeError} If `target` is neither a function, nor has one, nor a
   * URL, or an option is unknown or wrong.
   */
  constructor(target: Target, options: JarOptions = {}) {
    const given = ownOptions("create Jar", options, OPTION_NAMES);
    const isUrl = typeof target === "string" || target instanceof URL;
    const { baseUrl = isUrl ? target : "http://localhost/" } = given;
    const { now = () => Date.now(), redirect = "manual" } = given;
    if (redirect !== "manual" && redirect !== "follow") {
      throw new TypeError(
        `Cannot create Jar: redirect must be "manual" or "follow": received ${redirect}`,
      );
    }
    if (typeof now !== "function") {
      throw new TypeError(
        `Cannot create Jar: now must be a function: received ${typeof now}`,
      );
    }
    this.#answer = isUrl ? (request) => fetch(request) : handlerOf(target);
    this.#baseUrl = readBaseUrl(baseUrl);
    this.#now = now;
    this.#redirect = redirect;
    this.#headers = new Headers(given.headers);
  }

  /**
   * Every `Set-Cookie` so far that a browser would not have kept, and why: look
   * here when a sign-in does not last.
   */
  get refused(): readonly RefusedCookie[] {
    return this.#refused;
  }

  /**
   * Sends a request with the cookies that are due, and keeps those that its
   * answer sets. A header `cookie` of the request's own goes in their place.
   *
   * @param input A path or a URL, relative to `baseUrl`, or a whole `Request`.
   * @param init As for the global `fetch`, but that `redirect` is by default what
   * the jar's option says, and follows no redirect to another origin.
   * @returns The answer; of several, the last.
   * @throws {TypeError} If `input` is no URL, the target answers with no
   * response, there are more than 20 redirects, or one and `redirect` is
   * `"error"`.
   * @throws What the target throws.
   */
  async fetch(
    input: string | URL | Request,
    init: RequestInit = {},
  ): Promise<Response> {
    const { redirect = this.#redirect } = init;
    let request = this.#requestFor(input, init);
    if (redirect !== "follow") {
      const response = await this.#send(request);
      if (redirect === "manual" || !REDIRECTS.has(response.status)) {
        return response;
      }
      throw new TypeError(
        `Cannot fetch: redirect is "error", and the answer is one: received ${response.status}`,
      );
    }
    for (let count = 0; count <= MAX_REDIRECTS; count++) {
      const again = request.clone();
      const response = await this.#send(request);
      const next = await redirected(again, response);
      if (next === undefined) return response;
      await response.body?.cancel();
      request = next;
    }
    throw new TypeError(
      `Cannot fetch: there are more than ${MAX_REDIRECTS} redirects: the last is to ${request.url}`,
    );
  }

  /**
   * Signs a user in without the form: in the session of this jar's cookie, or
   * else a new one, through `manager.run` like any request. Its cookie is then in
   * the jar.
   *
   * @typeParam Data What the manager's sessions hold, by key.
   * @param manager The manager of the site, or one on the same store with the
   * same `cookie`.
   * @param principal The user, as the application names it.
   * @throws {TypeError} If `principal` or a value has the wrong form, an option
   * is unknown, or a browser would refuse the cookie at `baseUrl`.
   * @throws {SessionError} As `manager.commit` does, such as with
   * `"too-many-sessions"`.
   */
  async signIn<Data extends object>(
    manager: Manager<Data>,
    principal: string,
    options: JarSignInOptions<Data> = {},
  ): Promise<void> {
    const { data = {}, label } = ownOptions("sign in", options, SIGN_IN_NAMES);
    if (typeof manager?.run !== "function") {
      throw new TypeError(
        `Cannot sign in: the manager comes first: received ${typeof manager}`,
      );
    }
    const request = this.#withCookies(this.#requestFor(this.#baseUrl, {}));
    const response = await manager.run(request, (session) => {
      session.signIn(principal, { label });
      setAll(session, data);
      return new Response();
    });
    const before = this.#refused.length;
    this.receive(response, request.url);
    const refusal = this.#refused[before];
    if (refusal !== undefined) {
      throw new TypeError(
        `Cannot sign in: a browser would refuse the cookie at ${this.#baseUrl}: ${refusal.reason}: set baseUrl`,
      );
    }
  }

  /**
   * What has not expired, in the order of its coming: for
   * `context.addCookies(jar.cookies())` of Playwright, or for another jar's
   * `add`. Hand a session's cookie to one that goes on with it, or sign in once
   * more: of two that go on with one cookie, the session takes one for a thief.
   */
  cookies(): JarCookie[] {
    const now = this.#now();
    for (const [identity, cookie] of this.#cookies) {
      if (isExpired(cookie, now)) this.#cookies.delete(identity);
    }
    return [...this.#cookies.values()];
  }

  /**
   * Puts cookies in, without a question: a copy of another jar's, or what
   * `context.cookies()` of Playwright gives.
   */
  add(cookies: Iterable<JarCookie>): void {
    for (const cookie of cookies) {
      this.#cookies.set(identityOf(cookie), cookie);
    }
  }

  /** Forgets all cookies, and what was refused. */
  clear(): void {
    this.#cookies.clear();
    this.#refused.length = 0;
  }

  /**
   * The header `Cookie` of a request.
   *
   * @param url Where the request goes, relative to `baseUrl`.
   * @returns `undefined` if no cookie is due.
   */
  header(url: string | URL = this.#baseUrl): string | undefined {
    const whole = new URL(url, this.#baseUrl);
    const due = this.cookies().filter((cookie) => isSentTo(cookie, whole));
    if (due.length === 0) return undefined;
    return due.sort((a, b) => b.path.length - a.path.length)
      .map(({ name, value }) => name === "" ? value : `${name}=${value}`)
      .join("; ");
  }

  /**
   * Keeps what an answer sets, for one that did not come by `fetch`: with
   * {@linkcode Jar.header} a jar goes along with any client.
   *
   * @param response The answer, or whatever has its headers.
   * @param url Where it came from, relative to `baseUrl`.
   */
  receive(
    { headers }: { readonly headers: Pick<Headers, "getSetCookie"> },
    url: string | URL = this.#baseUrl,
  ): void {
    const whole = new URL(url, this.#baseUrl);
    for (const header of headers.getSetCookie()) {
      const cookie = readSetCookie(header, whole, this.#now());
      if ("reason" in cookie) this.#refused.push(cookie);
      else this.add([cookie]);
    }
  }

  #requestFor(input: string | URL | Request, init: RequestInit): Request {
    const request = new Request(
      input instanceof Request ? input : new URL(input, this.#baseUrl),
      { ...init, redirect: "manual" },
    );
    for (const [name, value] of this.#headers) {
      if (!request.headers.has(name)) request.headers.set(name, value);
    }
    return request;
  }

  #withCookies(request: Request): Request {
    const header = this.header(request.url);
    if (header !== undefined && !request.headers.has("cookie")) {
      request.headers.set("cookie", header);
    }
    return request;
  }

  async #send(request: Request): Promise<Response> {
    const { url } = request;
    const response = await this.#answer(this.#withCookies(request));
    if (!isResponse(response)) {
      throw new TypeError(
        `Cannot fetch: the handler answered with no Response: received ${
          response === null ? "null" : typeof response
        }`,
      );
    }
    this.receive(response, url);
    return response;
  }
}

const OPTION_NAMES: readonly string[] = Object.keys(
  { baseUrl: 1, now: 1, redirect: 1, headers: 1 } satisfies Record<
    keyof JarOptions,
    1
  >,
);

const SIGN_IN_NAMES: readonly string[] = Object.keys(
  { data: 1, label: 1 } satisfies Record<keyof JarSignInOptions<object>, 1>,
);

/** As many as browsers follow (Fetch, "HTTP-redirect fetch"). */
const MAX_REDIRECTS = 20;

function handlerOf(target: Exclude<Target, string | URL>): RequestHandler {
  if (typeof target === "function") return target;
  if (typeof target?.fetch === "function") {
    return (request) => target.fetch(request);
  }
  const received = (target as unknown) instanceof Manager
    ? "a manager: give it what manager.handle() makes"
    : target === null
    ? "null"
    : typeof target;
  throw new TypeError(
    `Cannot create Jar: it talks to a function, an object with fetch, or a URL: received ${received}`,
  );
}

function readBaseUrl(url: string | URL): URL {
  if (URL.canParse(url) && /^https?:/.test(new URL(url).protocol)) {
    return new URL(url);
  }
  throw new TypeError(
    `Cannot create Jar: its URL must begin with http: or https: received ${url}`,
  );
}

function setAll<Data extends object>(
  session: Session<Data>,
  data: NonNullable<JarSignInOptions<Data>["data"]>,
): void {
  for (const key of Object.keys(data) as KeyOf<Data>[]) {
    const value = data[key];
    if (value !== undefined) session.set(key, value);
  }
}

/**
 * The request that a browser makes next (Fetch, "HTTP-redirect fetch").
 *
 * @param request The one before, with its body and without the jar's cookies.
 * @returns `undefined` if the answer is no redirect within the origin.
 */
async function redirected(
  request: Request,
  response: Response,
): Promise<Request | undefined> {
  const location = response.headers.get("location");
  if (!REDIRECTS.has(response.status) || location === null) return undefined;
  const url = new URL(location, request.url);
  if (url.origin !== new URL(request.url).origin) return undefined;
  const { method, headers, signal } = request;
  if (becomesGet(method, response.status)) {
    for (const name of BODY_HEADERS) headers.delete(name);
    return new Request(url, { headers, signal, redirect: "manual" });
  }
  const body = request.body === null ? null : await request.arrayBuffer();
  return new Request(url, {
    method,
    headers,
    signal,
    body,
    redirect: "manual",
  });
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

const BODY_HEADERS: readonly string[] = [
  "content-encoding",
  "content-language",
  "content-length",
  "content-location",
  "content-type",
];

function becomesGet(method: string, status: number): boolean {
  if (status === 303) return method !== "GET" && method !== "HEAD";
  return method === "POST" && (status === 301 || status === 302);
}
