/** Where a library is tried: a site with its store, a clock, and browsers. */
import {
  type Handle,
  type Handler,
  IDLE,
  type Peer,
  type Site,
} from "./contract.ts";

/** The time of all sites, stores and browsers. */
export const clock = {
  ahead: 0,
  real: Date.now,
  now: (): number => clock.real() + clock.ahead,
  pass: (seconds: number) => void (clock.ahead += seconds * 1000),
  /** For libraries that take no clock. */
  install: () =>
    void (globalThis.Date = new Proxy(Date, {
      construct: (target, given) =>
        given.length === 0
          ? new target(clock.now())
          : new target(...given as [number]),
      get: (target, key) =>
        key === "now" ? clock.now : Reflect.get(target, key),
    })),
};

/** A store across a network: text by key, late, counted, and sometimes down. */
export class Store {
  /** Milliseconds of one call. */
  latency = 2;
  reads = 0;
  writes = 0;
  isDown: (isWrite: boolean) => boolean = () => false;
  /** All that was ever written, as whoever copies the database has it. */
  readonly seen: string[] = [];
  readonly #items = new Map<string, { text: string; until: number }>();

  /** Every call of every store comes through here; a write says what it writes. */
  async call(...written: string[]): Promise<void> {
    const isWrite = written.length > 0, isDown = this.isDown(isWrite);
    if (isWrite) this.writes++;
    else this.reads++;
    this.seen.push(...written);
    await new Promise((resolve) => setTimeout(resolve, this.latency));
    if (isDown) throw new Error("The store cannot be reached");
  }

  async get(key: string): Promise<string | null> {
    await this.call();
    const item = this.#items.get(key);
    return item === undefined || item.until < clock.now() ? null : item.text;
  }

  /** @param seconds Until the store forgets it. */
  async set(key: string, text: string, seconds = IDLE): Promise<void> {
    await this.call(key, text);
    this.#items.set(key, { text, until: clock.now() + seconds * 1000 });
  }

  async delete(key: string): Promise<void> {
    await this.call(key);
    this.#items.delete(key);
  }

  /** As much of a client of Redis as `connect-redis` uses. */
  asRedis() {
    return {
      get: (key: string) => this.get(key),
      set: (
        key: string,
        text: string,
        how: { expiration: { value: number } },
      ) => this.set(key, text, how.expiration.value),
      del: ([key = ""]: string[]) => this.delete(key),
      expire: async (key: string, seconds: number) => {
        await this.call(key);
        const item = this.#items.get(key);
        if (item) item.until = clock.now() + seconds * 1000;
      },
    };
  }
}

/** One site, from its start to its end. */
export class Lab {
  readonly store = new Store();
  readonly peer: Peer;
  readonly isStateless: boolean;
  /** What every handler puts on its answer. */
  headers: Record<string, string> = {};
  readonly #handlers: Handler[] = [];
  #site: Site | undefined;

  private constructor(peer: Peer, isStateless: boolean) {
    [this.peer, this.isStateless] = [peer, isStateless];
  }

  static async open(peer: Peer, isStateless = false): Promise<Lab> {
    const lab = new Lab(peer, isStateless);
    lab.#site = await peer.open(lab);
    return lab;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#site?.close?.();
  }

  /** Sends a request, and has a handler answer it. What that throws is a 500. */
  async fetch(handler: Handler, init: RequestInit): Promise<Response> {
    const url = `http://localhost/${this.#handlers.push(handler) - 1}`;
    // As the server of Node has it; many others take half of that.
    const { length } = new Headers(init.headers).get("cookie") ?? "";
    if (length > 16_000) return new Response(null, { status: 431 });
    try {
      return await (this.#site as Site).fetch(new Request(url, init));
    } catch {
      return new Response(null, { status: 500 });
    }
  }

  /** What every site calls for each request. Answers the body. */
  async serve(address: string, session: Handle): Promise<string> {
    const { pathname } = new URL(address, "http://localhost");
    const handler = this.#handlers[Number(pathname.slice(1))] as Handler;
    return JSON.stringify(await handler(session) ?? null);
  }

  /** A browser whose user is signed in. */
  async signedIn(remember?: boolean): Promise<Browser> {
    const browser = new Browser(this);
    await browser.send((session) => session.signIn("ada", remember));
    return browser;
  }
}

interface Cookie {
  readonly value: string;
  readonly until: number;
  /** Whether forms of other sites bring it along. */
  readonly isForAll: boolean;
}

/** Keeps cookies as browsers do: none over 4,096 bytes, none after its time. */
export class Browser {
  readonly #lab: Lab;
  readonly #cookies = new Map<string, Cookie>();

  constructor(lab: Lab, cookie = "") {
    this.#lab = lab;
    for (const pair of cookie.split("; ")) this.#keep(pair);
  }

  /** The `Cookie` header of the next request. */
  get cookie(): string {
    return this.#cookieOf(({ until }) => until > clock.now());
  }

  /** Whether a cookie outlives the browser. */
  get isRemembered(): boolean {
    return [...this.#cookies.values()].some(({ until }) => until < Infinity);
  }

  /** Another one with the same cookies. */
  copy(): Browser {
    return new Browser(this.#lab, this.cookie);
  }

  async send(handler: Handler, method = "GET", from?: "same" | "cross") {
    const headers = new Headers();
    const cookie = from === "cross"
      ? this.#cookieOf(({ isForAll }) => isForAll)
      : this.cookie;
    if (cookie !== "") headers.set("cookie", cookie);
    if (from !== undefined) {
      headers.set("sec-fetch-site", `${from}-site`);
      headers.set("origin", "https://other.example");
    }
    const response = await this.#lab.fetch(handler, { method, headers });
    for (const line of response.headers.getSetCookie()) this.#keep(line);
    const text = await response.text();
    const value = response.status === 200 ? JSON.parse(text) : undefined;
    return { status: response.status, headers: response.headers, value };
  }

  async get(key: string): Promise<unknown> {
    return (await this.send((session) => session.get(key))).value;
  }

  async isIn(): Promise<boolean> {
    return (await this.send((session) => session.user())).value === "ada";
  }

  #cookieOf(isWanted: (cookie: Cookie) => boolean): string {
    return [...this.#cookies].filter(([, cookie]) => isWanted(cookie))
      .map(([name, { value }]) => `${name}=${value}`).join("; ");
  }

  #keep(line: string): void {
    const [pair = "", ...attributes] = line.split(/; */);
    if (pair === "" || pair.length > 4096) return;
    const given = (name: string) =>
      attributes.find((text) => text.toLowerCase().startsWith(name))
        ?.slice(name.length);
    const maxAge = given("max-age="), expires = given("expires=");
    const until = maxAge !== undefined
      ? clock.now() + Number(maxAge) * 1000
      : expires !== undefined
      ? Date.parse(expires)
      : Infinity;
    const at = pair.indexOf("=");
    const isForAll = !/^(?:lax|strict)$/i.test(given("samesite=") ?? "");
    const value = pair.slice(at + 1);
    this.#cookies.set(pair.slice(0, at), { value, until, isForAll });
  }
}
