/**
 * A client with a cookie jar, and one that opens WebSockets, for applications
 * on this machine.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { connect } from "node:net";

/** How a request is made. */
export interface Sending {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An answer that was read to its end. */
export interface Page {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The `Set-Cookie` headers of the session, of which there is one at most. */
  readonly cookies: readonly string[];
}

/** The name of the session's cookie. */
export const COOKIE = "__Host-id";

/** A browser, as far as cookies go. */
export class Client {
  readonly #url: string;
  readonly #jar = new Map<string, string>();

  constructor(url: string) {
    this.#url = url;
  }

  /** What it holds as its session's cookie. */
  get cookie(): string | undefined {
    return this.#jar.get(COOKIE);
  }

  set cookie(value: string | undefined) {
    if (value === undefined) this.#jar.delete(COOKIE);
    else this.#jar.set(COOKIE, value);
  }

  /** The names of its cookies. */
  get names(): string[] {
    return [...this.#jar.keys()];
  }

  /** Takes over the cookies of another client. */
  withCookiesOf(other: Client): this {
    for (const [name, value] of other.#jar) this.#jar.set(name, value);
    return this;
  }

  /** Sends a request and keeps the cookies of its answer; follows no redirect. */
  async send(path: string, sending: Sending = {}): Promise<Response> {
    const { method = "GET", headers = {} } = sending;
    // As browsers do; some frameworks refuse a form without it.
    const origin = method === "POST" ? { origin: this.#url } : {};
    const response = await fetch(this.#url + path, {
      method,
      headers: { ...this.#cookies(), ...origin, ...headers },
      redirect: "manual",
    });
    for (const line of response.headers.getSetCookie()) this.#keep(line);
    return response;
  }

  /** Sends a request and reads its answer. */
  async open(path: string, sending?: Sending): Promise<Page> {
    const response = await this.send(path, sending);
    const { status, headers } = response;
    const text = await response.text();
    return { status, headers, text, cookies: sessionCookiesOf(headers) };
  }

  /** Sends a request whose answer is JSON. */
  async read(path: string): Promise<Record<string, unknown>> {
    return JSON.parse((await this.open(path)).text);
  }

  /** Opens a WebSocket and waits for what it says first. */
  upgrade(path: string, headers: Sending["headers"] = {}): Promise<Upgrade> {
    return upgrade(new URL(this.#url + path), {
      ...this.#cookies(),
      ...headers,
    });
  }

  #cookies(): Record<string, string> {
    const pairs = Array.from(this.#jar, ([name, value]) => `${name}=${value}`);
    return pairs.length === 0 ? {} : { cookie: pairs.join("; ") };
  }

  #keep(line: string): void {
    const [pair = ""] = line.split(";");
    const at = pair.indexOf("=");
    if (/;\s*(?:max-age=0|expires=Thu, 01 Jan 1970)/i.test(line)) {
      this.#jar.delete(pair.slice(0, at));
    } else this.#jar.set(pair.slice(0, at), pair.slice(at + 1));
  }
}

/** The `Set-Cookie` headers of the session. */
export function sessionCookiesOf(headers: Headers): string[] {
  return headers.getSetCookie().filter((line) => line.startsWith(`${COOKIE}=`));
}

/** How a server answered the wish for a WebSocket. */
export interface Upgrade {
  readonly status: number;
  /** The first message, if there is a WebSocket. */
  readonly message: string | undefined;
}

/** How many milliseconds a handshake may take. */
const PATIENCE = 5000;

/** A handshake by hand: what fetch and WebSocket keep from scripts is seen. */
function upgrade(
  { hostname, port, pathname }: URL,
  headers: Readonly<Record<string, string>>,
): Promise<Upgrade> {
  const all = {
    "host": `${hostname}:${port}`,
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  const head = [`GET ${pathname} HTTP/1.1`, ...lines, "", ""].join("\r\n");
  const socket = connect(Number(port), hostname);
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    socket.on("error", reject);
    socket.setTimeout(PATIENCE, () => {
      socket.destroy(new Error("no answer to the handshake"));
    });
    socket.on("close", () => reject(new Error("closed during the handshake")));
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      const answer = readUpgrade(received);
      if (answer === undefined) return;
      resolve(answer);
      socket.destroy();
    });
    socket.write(head);
  });
}

/** The answer, once all of it is there. */
function readUpgrade(received: Buffer): Upgrade | undefined {
  const end = received.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const status = Number(received.toString("latin1", 9, 12));
  if (status !== 101) return { status, message: undefined };
  // A short text frame: two bytes, of which the second is the length.
  const length = received[end + 5];
  if (length === undefined || received.length < end + 6 + length) return;
  const message = received.toString("utf8", end + 6, end + 6 + length);
  return { status, message };
}
