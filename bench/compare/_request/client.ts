import type { Action, Setup } from "./contract.ts";
import { exchange, Incoming, listenerOf } from "./node_exchange.ts";

/** How many sign up at the same time. */
const TOGETHER = 64;

/** What a client gets to see. */
export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Hands requests to a set-up, and keeps the cookies as a browser does. */
export class Client {
  readonly #setup: Setup;
  readonly #cookies = new Map<string, string>();

  constructor(setup: Setup) {
    this.#setup = setup;
  }

  /** A client that sends this `Cookie` header. */
  static withCookie(setup: Setup, cookie: string): Client {
    const client = new Client(setup);
    for (const pair of cookie.split("; ")) client.#keep(pair);
    return client;
  }

  /** The `Cookie` header of its next request; empty if it has no cookie. */
  get cookie(): string {
    const pairs = this.#cookies.entries();
    return [...pairs].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  /** Changes the value of every cookie. */
  forge(change: (value: string) => string): void {
    for (const [name, value] of this.#cookies) {
      this.#cookies.set(name, change(value));
    }
  }

  /** The same cookies in another client. */
  copy(): Client {
    const other = new Client(this.#setup);
    for (const [name, value] of this.#cookies) other.#cookies.set(name, value);
    return other;
  }

  async send(action: Action, visitor?: string): Promise<Answer> {
    const headers: Record<string, string> = {};
    if (this.cookie !== "") headers.cookie = this.cookie;
    if (visitor !== undefined) headers["x-visitor"] = visitor;
    const { status, body, setCookies } = await send(
      this.#setup,
      action,
      headers,
    );
    for (const setCookie of setCookies) this.#keep(setCookie);
    return { status, body };
  }

  #keep(setCookie: string): void {
    const [pair = "", ...attributes] = setCookie.split("; ");
    const at = pair.indexOf("=");
    const name = pair.slice(0, at);
    const isRemoved = attributes.some((text) => /^max-age=0$/i.test(text));
    if (isRemoved) this.#cookies.delete(name);
    else this.#cookies.set(name, pair.slice(at + 1));
  }
}

async function send(
  setup: Setup,
  action: Action,
  headers: Record<string, string>,
): Promise<Answer & { readonly setCookies: readonly string[] }> {
  if (setup.kind === "fetch") {
    const request = new Request("http://localhost/", { headers });
    const response = await setup.handler(action)(request);
    const setCookies = response.headers.getSetCookie();
    return { status: response.status, body: await response.text(), setCookies };
  }
  const incoming = new Incoming(headers);
  const outgoing = await exchange(listenerOf(setup, action), incoming);
  const { statusCode: status, body } = outgoing;
  const found = outgoing.getHeader("set-cookie") ?? [];
  const setCookies = [found].flat().map(String);
  return { status, body, setCookies };
}

/** Signs up as many visitors, and answers their `Cookie` headers. */
export async function signUp(setup: Setup, count: number): Promise<string[]> {
  const cookies: string[] = [];
  while (cookies.length < count) {
    const clients = Array.from(
      { length: Math.min(TOGETHER, count - cookies.length) },
      () => new Client(setup),
    );
    await Promise.all(
      clients.map((client, index) =>
        client.send("signUp", nameOf(cookies.length + index))
      ),
    );
    for (const { cookie } of clients) cookies.push(cookie);
  }
  return cookies;
}

/** The name of a visitor: all are equally long. */
export function nameOf(index: number): string {
  return `visitor${String(index).padStart(7, "0")}`;
}
