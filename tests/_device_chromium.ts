/**
 * Sites with device-bound sessions for a real Chromium: one on each host name, each
 * with a clock of its own, and faults to order.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { request as requestPlainly } from "node:http";
import {
  type AddressInfo,
  connect,
  createServer,
  type Server,
  type Socket,
} from "node:net";
import type { Page } from "playwright-core";
import {
  Manager,
  type ManagerOptions,
  type Session,
  type SessionEvent,
} from "../mod.ts";
import { Clock } from "../testing.ts";
import type { Certificate } from "./_chromium.ts";
import { START } from "./_browser.ts";
import { serve } from "./_server.ts";

/** What makes Chromium bind sessions on a machine without a TPM. */
export const FEATURES: readonly string[] = [
  "DeviceBoundSessions",
  "EnableBoundSessionCredentialsSoftwareKeysForManualTesting",
];

/** Where browsers post keys and proofs. */
const PATH = "/device-bound-session";

/** Longer than anything takes that Chromium does by itself. */
const PATIENCE = 8000;

/** What goes wrong with one request. */
export type Fault =
  /** The connection breaks before anybody has read the request. */
  | "dropped"
  /** The request is carried out, and the connection breaks then. */
  | "lost"
  /** The answer is 503. */
  | "unavailable"
  /** The answer comes a second later. */
  | "delayed";

/** What a browser asks for. */
export type RequestKind =
  | "page"
  /** It posts a key. */
  | "registration"
  /** It asks for a challenge. */
  | "question"
  /** It posts a proof. */
  | "proof";

/** What a browser posted to the path, and what it got. */
export interface Post {
  readonly kind: RequestKind;
  readonly hasCookie: boolean;
  readonly status: number | "broken";
}

/** What the home page says of its visitor. */
export interface Seen {
  readonly user: string | null;
  readonly isDeviceBound: boolean;
  readonly isUnproven: boolean;
  readonly refusal: string | null;
}

/** Breaks the connection that a request came on. */
type Break = () => void;

/** One site with a store and a clock of its own. */
export class DeviceSite {
  readonly host: string;
  readonly url: string;
  readonly clock: Clock = new Clock(START);
  readonly events: SessionEvent[] = [];
  readonly posts: Post[] = [];
  readonly manager: Manager;
  readonly #closers: (() => Promise<void>)[] = [];
  #handle: (request: Request) => Promise<Response>;
  #fault: { readonly kind: RequestKind; readonly fault: Fault } | undefined;
  #faultsLeft = 0;

  constructor(host: string, port: number, options: ManagerOptions = {}) {
    this.host = host;
    this.url = `https://${host}:${port}`;
    this.manager = new Manager({
      gcInterval: 0,
      deviceBound: {},
      now: this.clock.now,
      onEvent: (event) => this.events.push(event),
      ...options,
    });
    this.#handle = this.manager.handle((request, session) =>
      respond(request, session, this.clock.now())
    );
  }

  /** Has something go wrong with the posts of one kind that come next. */
  fail(kind: RequestKind, fault: Fault, times: number = Infinity): void {
    this.#fault = { kind, fault };
    this.#faultsLeft = times;
  }

  /** Has nothing go wrong any more. */
  heal(): void {
    this.#faultsLeft = 0;
  }

  /** Has what comes by TLS go on without, under the same name. */
  moveBehindProxy(): void {
    const handle = this.#handle;
    const inner = serve(handle);
    this.#closers.push(() => inner.close());
    this.#handle = (request) => forward(request, inner.url);
  }

  async close(): Promise<void> {
    for (const close of this.#closers) await close();
    await this.manager.close();
  }

  /** Answers a request, and goes wrong if that is ordered. */
  async answer(request: Request, breakOff: Break): Promise<Response> {
    const kind = kindOf(request);
    const hasCookie = request.headers.has("cookie");
    const note = (status: Post["status"]) => {
      if (kind !== "page") this.posts.push({ kind, hasCookie, status });
    };
    const fault = this.#takeFault(kind);
    if (fault === "unavailable") {
      note(503);
      return new Response("Try again", { status: 503 });
    }
    if (fault === "delayed") {
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    const response = fault === "dropped"
      ? new Response()
      : await this.#handle(request);
    const isBroken = fault === "dropped" || fault === "lost";
    if (isBroken) breakOff();
    note(isBroken ? "broken" : response.status);
    return response;
  }

  #takeFault(kind: RequestKind): Fault | undefined {
    if (this.#fault?.kind !== kind || this.#faultsLeft <= 0) return undefined;
    this.#faultsLeft--;
    return this.#fault.fault;
  }

  /** The posts of late, as kind and status. They are then forgotten. */
  takePosts(): string[] {
    return this.posts.splice(0).map(({ kind, status }) => `${kind} ${status}`);
  }

  /** Why browsers asked for pages without a proof, as they say. */
  skipped(): unknown[] {
    return this.events.flatMap((event) =>
      event.type === "refused" && event.reason === "unproven"
        ? [event.skipped]
        : []
    );
  }

  /** Waits for a post, which can have come already. */
  async untilPosted(kind: RequestKind): Promise<void> {
    await wait(() => this.posts.some((post) => post.kind === kind), () => kind);
  }

  /** Waits until the browser has the bound cookie of the newest session. */
  async untilBound(page: Page): Promise<void> {
    const { id } = this.events.findLast(({ type }) => type === "signed-in") as {
      readonly id: string;
    };
    const bound = `__Host-id-${id.slice(0, 8)}`;
    await wait(
      async () => {
        const cookies = await page.context().cookies(this.url);
        return cookies.some(({ name }) => name === bound);
      },
      () => `a bound cookie after ${JSON.stringify(this.posts)}`,
    );
  }
}

function kindOf({ method, url, headers }: Request): RequestKind {
  if (method !== "POST" || new URL(url).pathname !== PATH) return "page";
  if (!headers.has("sec-secure-session-id")) return "registration";
  return headers.has("secure-session-response") ? "proof" : "question";
}

const BOUND_NAME = /^__Host-id-/;

/** Has the time pass in which a bound cookie runs out, on both sides. */
export async function expire(page: Page, site: DeviceSite): Promise<void> {
  site.clock.advance(PROOF_LIFETIME);
  const { host: domain } = site;
  await page.context().clearCookies({ name: BOUND_NAME, domain });
}

/** The interval and half of the grace after it: a challenge is still good. */
const PROOF_LIFETIME = 615;

/** Asks for the home page, and reads what it says. */
export async function see(page: Page, site: DeviceSite): Promise<Seen> {
  await page.goto(`${site.url}/`);
  return await seen(page);
}

/** What the home page says that is there already. */
export async function seen(page: Page): Promise<Seen> {
  return JSON.parse(await page.innerText("body"));
}

/** Signs in by the form, and waits until the device is bound. */
export async function signIn(
  page: Page,
  site: DeviceSite,
  user = "ada",
  query = "",
): Promise<void> {
  await submitForm(page, site, user, query);
  await site.untilBound(page);
}

/** Signs in by the form, whatever comes of the device. */
export async function submitForm(
  page: Page,
  site: DeviceSite,
  user = "ada",
  query = "",
): Promise<void> {
  await page.goto(`${site.url}/form?user=${user}${query}`);
  await page.click("button");
  await page.waitForURL(`${site.url}/`);
}

/** The site: what its forms and links do. */
async function respond(
  request: Request,
  session: Session,
  now: number,
): Promise<Response> {
  const url = new URL(request.url);
  const user = url.searchParams.get("user") ?? "ada";
  const route = `${request.method} ${url.pathname}`;
  if (route === "GET /") return home(session);
  if (route === "GET /form") return html(form(`/sign-in${url.search}`));
  // To another site, as a mail or a provider of identities has it.
  if (route === "GET /leave") {
    return html(`<a href="${url.searchParams.get("to")}">go</a>`);
  }
  if (route === "POST /pay") return await pay(request, session, now);
  if (route === "GET /pay") return html(form("/pay", "amount=7"));
  if (route === "POST /sign-out") session.destroy();
  else if (route === "POST /sign-in" || route === "GET /callback") {
    session.signIn(user);
    if (url.searchParams.has("persistent")) {
      session.lifetime({ persistent: true });
    }
    if (url.searchParams.has("fetch")) return new Response("signed in");
  } else return new Response("Not found", { status: 404 });
  return new Response(null, { status: 303, headers: { location: "/" } });
}

function home(session: Session): Response {
  const { principal, isDeviceBound, isUnproven, refusal } = session;
  const seen: Seen = {
    user: principal ?? null,
    isDeviceBound,
    isUnproven,
    refusal: refusal ?? null,
  };
  return Response.json(seen);
}

/** Takes a payment from the device itself only, within a minute. */
async function pay(
  request: Request,
  session: Session,
  now: number,
): Promise<Response> {
  const isFresh = now - (session.provedAt ?? 0) < 60_000;
  if (session.isDeviceBound && !isFresh) {
    session.proveAgain();
    // The browser repeats the request with its body, and proves itself before.
    return new Response(null, { status: 307, headers: { location: "/pay" } });
  }
  return Response.json({ paid: await request.text(), isFresh });
}

function form(action: string, body = ""): string {
  const [name, value] = body.split("=");
  const field = body === "" ? "" : `<input name="${name}" value="${value}">`;
  return `<form method="post" action="${action}">${field}<button>go</button></form>`;
}

function html(body: string): Response {
  const headers = { "content-type": "text/html" };
  return new Response(`<!doctype html><title>.</title>${body}`, { headers });
}

/** Waits for something that Chromium does by itself. */
export async function wait(
  isSo: () => boolean | Promise<boolean>,
  what: () => string,
): Promise<void> {
  const end = Date.now() + PATIENCE;
  while (!await isSo()) {
    if (Date.now() > end) {
      throw new Error(`Chromium does not come to ${what()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Answers a request that came over the connection with this port at its end. */
type TlsHandler = (request: Request, port: number) => Promise<Response>;

/** All sites on one port, which speaks HTTP/2 under Deno and HTTP/1.1 under Bun. */
export class DeviceSites {
  readonly #sites = new Map<string, DeviceSite>();
  readonly #port: number;
  readonly #relay: Relay;
  readonly #stop: () => Promise<void>;

  private constructor(port: number, relay: Relay, stop: () => Promise<void>) {
    this.#port = port;
    this.#relay = relay;
    this.#stop = stop;
  }

  static async start(certificate: Certificate): Promise<DeviceSites> {
    const handler: TlsHandler = (request, port) => sites.#answer(request, port);
    const { port, stop } = serveTls(certificate, handler);
    const relay = await Relay.start(port);
    const sites = new DeviceSites(relay.port, relay, stop);
    return sites;
  }

  /** Opens a site with a host name that no other has. */
  open(name: string, options?: ManagerOptions): DeviceSite {
    const site = new DeviceSite(`${name}.test`, this.#port, options);
    this.#sites.set(site.host, site);
    return site;
  }

  async stop(): Promise<void> {
    this.#relay.stop();
    await this.#stop();
    for (const site of this.#sites.values()) await site.close();
  }

  async #answer(request: Request, port: number): Promise<Response> {
    const site = this.#sites.get(new URL(request.url).hostname);
    if (site === undefined) return new Response("No site", { status: 404 });
    return await site.answer(request, () => this.#relay.breakOff(port));
  }
}

/** Hands connections on as they are, so that they can be broken. */
class Relay {
  readonly port: number;
  readonly #server: Server;
  /** Those of clients, by the port of the one that was opened for each. */
  readonly #clients: Map<number, Socket>;

  private constructor(server: Server, clients: Map<number, Socket>) {
    this.port = (server.address() as AddressInfo).port;
    this.#server = server;
    this.#clients = clients;
  }

  static async start(target: number): Promise<Relay> {
    const clients = new Map<number, Socket>();
    const server = createServer((client) => {
      const onward = connect(target, "127.0.0.1", () => {
        clients.set(onward.localPort as number, client);
      });
      for (const [from, to] of [[client, onward], [onward, client]] as const) {
        from.on("error", () => {});
        from.on("close", () => to.destroy());
        from.pipe(to);
      }
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Relay(server, clients);
  }

  breakOff(port: number): void {
    this.#clients.get(port)?.destroy();
  }

  stop(): void {
    this.#server.close();
    for (const client of this.#clients.values()) client.destroy();
  }
}

/** Sends a request on as a proxy does that keeps the name of the host. */
async function forward(request: Request, to: string): Promise<Response> {
  const { host, pathname, search } = new URL(request.url);
  const body = new Uint8Array(await request.arrayBuffer());
  const headers = { ...Object.fromEntries(request.headers), host };
  const { method } = request;
  return await new Promise((resolve, reject) => {
    requestPlainly(
      `${to}${pathname}${search}`,
      { method, headers },
      (answer) => {
        const { statusCode: status = 502, rawHeaders } = answer;
        const headers = new Headers();
        for (let at = 0; at < rawHeaders.length; at += 2) {
          headers.append(
            rawHeaders[at] as string,
            rawHeaders[at + 1] as string,
          );
        }
        const parts: Uint8Array[] = [];
        answer.on("data", (part) => parts.push(part));
        answer.on(
          "end",
          () =>
            resolve(new Response(Buffer.concat(parts), { status, headers })),
        );
      },
    ).on("error", reject).end(body);
  });
}

interface TlsServer {
  readonly port: number;
  stop(): Promise<void>;
}

/** The part of Bun that serves. */
interface BunServe {
  serve(options: {
    hostname: string;
    port: number;
    tls: Certificate;
    fetch: (request: Request, server: BunServer) => Promise<Response>;
  }): BunServer;
}

interface BunServer {
  readonly port: number;
  requestIP(request: Request): { readonly port: number };
  stop(force: boolean): Promise<void>;
}

function serveTls(certificate: Certificate, handler: TlsHandler): TlsServer {
  const address = { hostname: "127.0.0.1", port: 0 };
  if ("Bun" in globalThis) {
    const { Bun } = globalThis as unknown as { Bun: BunServe };
    const server = Bun.serve({
      ...address,
      tls: certificate,
      fetch: (request) => handler(request, server.requestIP(request).port),
    });
    return { port: server.port, stop: () => server.stop(true) };
  }
  const { cert, key } = certificate;
  const stopping = new AbortController();
  const server = Deno.serve(
    { ...address, cert, key, signal: stopping.signal, onListen: () => {} },
    (request, { remoteAddr }) =>
      handler(request, (remoteAddr as Deno.NetAddr).port),
  );
  const stop = () => {
    stopping.abort();
    return server.finished;
  };
  return { port: server.addr.port, stop };
}
