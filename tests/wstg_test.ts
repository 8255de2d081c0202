import { after, before, describe, it } from "node:test";
import { Buffer } from "node:buffer";
import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  assertNotEquals,
  assertNotMatch,
  assertStringIncludes,
} from "@std/assert";
import {
  Manager,
  type ManagerOptions,
  type Session,
  SessionError,
  type SessionEvent,
} from "../mod.ts";
import signin from "../examples/signin.ts";
import { type LocalServer, serve } from "./_server.ts";

const NAME = "__Host-id";
const ATTRIBUTES = "; Path=/; Secure; HttpOnly; SameSite=Lax";
const PASSWORDS = { ada: "engine", grace: "compiler" };
const HOUR = 3600;
const FORMS = ["/sign-in", "/sign-out", "/sign-out-device", "/sign-out-others"];

type User = keyof typeof PASSWORDS;

/** What came back for one request, read to its end. */
interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** A browser, as far as a tester cares: one cookie, hidden fields, a history. */
class Client {
  readonly #url: string;
  readonly history: Reply[] = [];
  /** The value of the session cookie. */
  token: string | undefined;

  constructor({ url }: LocalServer, token?: string) {
    this.#url = url;
    this.token = token;
  }

  async send(path: string, init: RequestInit = {}): Promise<Reply> {
    const headers = new Headers(init.headers);
    if (this.token !== undefined && !headers.has("cookie")) {
      headers.set("cookie", `${NAME}=${this.token}`);
    }
    const response = await fetch(this.#url + path, {
      ...init,
      headers,
      redirect: "manual",
    });
    const { status } = response;
    const text = await response.text();
    const reply = { status, headers: response.headers, text };
    this.history.push(reply);
    for (const header of setCookies(reply)) this.#keep(header);
    return reply;
  }

  async open(path = "/"): Promise<string> {
    return (await this.send(path)).text;
  }

  /** Opens the page, fills in a form, and sends it. */
  async submit(
    path: string,
    fields: Record<string, string> = {},
    headers: Record<string, string> = {},
  ): Promise<Reply> {
    const token = formTokenOn(await this.open());
    const body = { "form-token": token, ...fields };
    return await this.post(path, body, headers);
  }

  /** Sends nothing but these fields. */
  post(
    path: string,
    fields: Record<string, string> = {},
    headers: Record<string, string> = {},
  ): Promise<Reply> {
    const body = new URLSearchParams(fields);
    return this.send(path, { method: "POST", body, headers });
  }

  async signIn(name: User, fields: Record<string, string> = {}): Promise<this> {
    const password = PASSWORDS[name];
    await this.submit("/sign-in", { name, password, ...fields });
    assertMatch(await this.open(), new RegExp(`Hello, ${name}`));
    return this;
  }

  /** Whether the page greets somebody who is signed in. */
  async isIn(): Promise<boolean> {
    return /Hello, /.test(await this.open());
  }

  #keep(header: string): void {
    const isRemoved = header.includes("Max-Age=0");
    this.token = isRemoved ? undefined : tokenIn(header);
  }
}

function setCookies({ headers }: Reply): string[] {
  return headers.getSetCookie();
}

function tokenIn(setCookie: string): string {
  return setCookie.slice(NAME.length + 1).split(";")[0] ?? "";
}

function formTokenOn(page: string): string {
  return /name="form-token" value="([\w-]+)"/.exec(page)?.[1] ?? "";
}

function deviceIdsOn(page: string): string[] {
  return Array.from(
    page.matchAll(/name="id" value="(.*?)"/g),
    ([, id]) => id ?? "",
  );
}

/** The same text with another character at one place. */
function altered(text: string, at: number): string {
  const other = text[at] === "A" ? "B" : "A";
  return text.slice(0, at) + other + text.slice(at + 1);
}

/** A value that could be a token, and is none. */
function madeUp(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(42)))
    .toString("base64url");
}

/** A small site whose clock the tests move, in the shape of the example. */
class ClockedSite {
  now: number = Date.UTC(2030, 0, 1);
  readonly events: SessionEvent[] = [];
  readonly server: LocalServer;
  readonly #manager: Manager<{ note: string; principal: string }>;

  constructor(options: ManagerOptions = {}) {
    this.#manager = new Manager({
      gcInterval: 0,
      now: () => this.now,
      onEvent: (event) => this.events.push(event),
      ...options,
    });
    const handle = this.#manager.handle(visit);
    this.server = serve(async (request) => {
      try {
        return await handle(request);
      } catch (error) {
        if (error instanceof SessionError) {
          return new Response(error.code, { status: 409 });
        }
        throw error;
      }
    });
  }

  pass(seconds: number): void {
    this.now += seconds * 1000;
  }

  async signedIn(name: User = "ada"): Promise<Client> {
    return await new Client(this.server).signIn(name);
  }

  /** How often something was told. */
  count(type: SessionEvent["type"]): number {
    return this.events.filter((event) => event.type === type).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.close();
    await this.#manager.close();
  }
}

type Visit = Session<{ note: string; principal: string }>;

async function visit(request: Request, session: Visit): Promise<Response> {
  const form = new URLSearchParams(await request.text());
  const name = form.get("name") ?? "";
  switch (new URL(request.url).pathname) {
    case "/sign-in":
      session.signIn(name);
      break;
    case "/sign-out":
      session.destroy();
      break;
    case "/forgot-password": // the flow that puzzles other programs
      session.set("principal", name);
      break;
    case "/note":
      session.set("note", form.get("note") ?? "");
      break;
  }
  const { principal } = session;
  const greeting = principal === undefined ? "Sign in" : `Hello, ${principal}`;
  return new Response(`${greeting}, note: ${session.get("note")}`);
}

describe("OWASP WSTG session tests", () => {
  let server: LocalServer;
  before(() => {
    server = serve(signin.fetch);
  });
  after(() => server.close());

  const signedIn = (name: User = "ada") => new Client(server).signIn(name);
  /** The cookies that new visitors get, one after the other. */
  const collectTokens = async (count: number) => {
    const tokens: string[] = [];
    while (tokens.length < count) {
      const visitor = new Client(server);
      await visitor.open();
      tokens.push(visitor.token ?? "");
    }
    return tokens;
  };

  it("WSTG-SESS-01: a token is 45 bytes in the URL-safe alphabet", async () => {
    const { token = "" } = await signedIn();
    assertMatch(token, /^[A-Za-z0-9_-]{60}$/);
    assertEquals(Buffer.from(token, "base64url").length, 45);
  });

  it("WSTG-SESS-01: no two tokens share their id or their secret", async () => {
    const tokens = await collectTokens(200);
    assertEquals(new Set(tokens.map((token) => token.slice(0, 24))).size, 200);
    assertEquals(new Set(tokens.map((token) => token.slice(24, 40))).size, 200);
    assertEquals(new Set(tokens.map((token) => token.slice(40))).size, 200);
  });

  it("WSTG-SESS-01: no bit of a token is fixed or follows the last one", async () => {
    const tokens = await collectTokens(400);
    const all = tokens.map((token) => Buffer.from(token, "base64url"));
    const bitOf = (bytes: Buffer, bit: number) =>
      (bytes[bit >> 3] ?? 0) >> (bit & 7) & 1;
    for (let bit = 0; bit < 360; bit++) {
      const bits = all.map((bytes) => bitOf(bytes, bit));
      const ones = bits.filter(Boolean).length;
      const changes = bits.filter((value, i) => value !== bits[i - 1]).length;
      // Seven standard deviations: by chance less than once in 10^8 runs.
      assertLess(Math.abs(ones - 200), 70, `bit ${bit}`);
      assertLess(Math.abs(changes - 200), 71, `bit ${bit}`);
    }
  });

  it("WSTG-SESS-01: a token that differs in any character opens nothing", async () => {
    for (let at = 0; at < 60; at++) {
      const { token = "" } = await signedIn();
      const guess = new Client(server, altered(token, at));
      assertEquals(await guess.isIn(), false, `character ${at}`);
    }
  });

  it("WSTG-SESS-01: the id, which others may know, opens nothing", async () => {
    const ada = await signedIn();
    const id = ada.token?.slice(0, 24) ?? "";
    for (const token of [id, id + madeUp().slice(24), id + "A".repeat(36)]) {
      assertEquals(await new Client(server, token).isIn(), false);
    }
    assertEquals(await ada.isIn(), true);
  });

  it("WSTG-SESS-02: the cookie has every attribute that protects it", async () => {
    const ada = await signedIn();
    const headers = ada.history.flatMap(setCookies);
    assertEquals(headers.length, 2);
    for (const header of headers) {
      assertEquals(header, `${NAME}=${tokenIn(header)}${ATTRIBUTES}`);
    }
  });

  it("WSTG-SESS-02: a remembered sign-in adds an age and nothing else", async () => {
    const ada = await new Client(server).signIn("ada", { remember: "on" });
    const [header = ""] = ada.history.flatMap(setCookies).slice(-1);
    const [cookie, age] = header.split("; Max-Age=");
    assertEquals(cookie, `${NAME}=${ada.token}${ATTRIBUTES}`);
    const month = 30 * 24 * HOUR;
    // What is left of it when the response goes out, in whole seconds.
    assert(Number(age) <= month && Number(age) > month - 60, header);
  });

  it("WSTG-SESS-02: the cookie is removed with the attributes it was set with", async () => {
    const ada = await signedIn();
    const [header = ""] = setCookies(await ada.submit("/sign-out"));
    assert(header.startsWith(`${NAME}=;`));
    for (const attribute of ATTRIBUTES.split("; ").slice(1)) {
      assert(header.split("; ").includes(attribute), attribute);
    }
  });

  it("WSTG-SESS-03: a cookie that the client made up is not taken over", async () => {
    const planted = madeUp();
    const victim = await new Client(server, planted).signIn("ada");
    assertNotEquals(victim.token?.slice(0, 24), planted.slice(0, 24));
    assertEquals(await new Client(server, planted).isIn(), false);
  });

  it("WSTG-SESS-03: an attacker's own cookie, planted, is worth nothing after sign-in", async () => {
    const attacker = new Client(server);
    await attacker.open();
    const victim = await new Client(server, attacker.token).signIn("ada");
    assertNotEquals(victim.token, attacker.token);
    assertEquals(await attacker.isIn(), false);
    assertEquals(await victim.isIn(), true);
  });

  it("WSTG-SESS-03: the cookie of an attacker who is signed in does not become the victim's", async () => {
    const attacker = await signedIn("grace");
    const victim = await new Client(server, attacker.token).signIn("ada");
    assertNotMatch(await attacker.open(), /Hello, ada/);
    assertMatch(await victim.open(), /Hello, ada/);
  });

  it("WSTG-SESS-03: of two cookies, one of them planted, neither counts", async () => {
    const attacker = await signedIn("grace");
    const victim = await signedIn("ada");
    const pair = [`${NAME}=${attacker.token}`, `${NAME}=${victim.token}`];
    for (const both of [pair, pair.reverse()]) {
      const headers = { cookie: both.join("; ") };
      const { text } = await new Client(server).send("/", { headers });
      assertNotMatch(text, /Hello/);
    }
  });

  it("WSTG-SESS-04: the token is in the cookie and nowhere else", async () => {
    const ada = await signedIn();
    const tokens = new Set(ada.history.flatMap(setCookies).map(tokenIn));
    await ada.submit("/sign-in", { name: "ada", password: "wrong" });
    await ada.submit("/sign-out-others");
    await ada.submit("/sign-out-device", { id: "unknown" });
    assertEquals(tokens.size, 2);
    for (const { headers, text } of ada.history) {
      const others = [...headers].filter(([name]) => name !== "set-cookie");
      const shown = JSON.stringify(others) + text;
      for (const token of tokens) {
        assert(!shown.includes(token.slice(24, 40)));
        assert(!shown.includes(token.slice(40)));
      }
    }
  });

  it("WSTG-SESS-04: a token in the address or in a form opens nothing", async () => {
    const { token = "" } = await signedIn();
    const query = new URLSearchParams({ [NAME]: token, id: token });
    const stranger = new Client(server);
    assertNotMatch(await stranger.open(`/?${query}`), /Hello/);
    assertNotMatch(await stranger.open(`/;${NAME}=${token}`), /Hello/);
    await stranger.submit("/sign-out-others", { [NAME]: token });
    assertEquals(await stranger.isIn(), false);
  });

  it("WSTG-SESS-04: no cache keeps a page of a session, or its cookie", async () => {
    const ada = await signedIn();
    await ada.submit("/sign-out");
    for (const reply of ada.history) {
      const isPrivate = setCookies(reply).length > 0 || reply.status === 200;
      if (!isPrivate) continue;
      assertEquals(reply.headers.get("cache-control"), "no-store");
    }
  });

  it("WSTG-SESS-05: a form that another site sends is refused", async () => {
    for (const site of ["cross-site", "same-site"]) {
      const ada = await signedIn();
      for (const form of FORMS) {
        const headers = { "sec-fetch-site": site };
        assertEquals((await ada.submit(form, {}, headers)).status, 403);
      }
      assertEquals(await ada.isIn(), true);
    }
  });

  it("WSTG-SESS-05: a form of another site is refused by its origin alone", async () => {
    for (const origin of ["https://attacker.example", "null"]) {
      const ada = await signedIn();
      const { status } = await ada.submit("/sign-out", {}, { origin });
      assertEquals(status, 403);
      assertEquals(await ada.isIn(), true);
    }
  });

  it("WSTG-SESS-05: a form with no token, or a wrong one, does nothing", async () => {
    const ada = await signedIn();
    const own = formTokenOn(await ada.open());
    const wrong = [
      "",
      "A".repeat(86),
      altered(own, 0),
      altered(own, 50),
      own + own,
    ];
    for (const token of [undefined, ...wrong]) {
      const fields = token === undefined ? {} : { "form-token": token };
      await ada.post("/sign-out", fields as Record<string, string>);
      assertMatch(await ada.open(), /page was out of date[^]*Hello, ada/);
    }
  });

  it("WSTG-SESS-05: the form token of another session does nothing", async () => {
    const ada = await signedIn();
    const attackers = [
      new Client(server),
      await signedIn("grace"),
      await signedIn(),
    ];
    for (const attacker of attackers) {
      const token = formTokenOn(await attacker.open());
      await ada.post("/sign-out", { "form-token": token });
      assertEquals(await ada.isIn(), true);
    }
  });

  it("WSTG-SESS-05: the form token from before the sign-in does nothing", async () => {
    const ada = new Client(server);
    const old = formTokenOn(await ada.open());
    await ada.signIn("ada");
    await ada.post("/sign-out", { "form-token": old });
    assertEquals(await ada.isIn(), true);
  });

  it("WSTG-SESS-05: nobody is signed in by a form that has no token", async () => {
    const [name, password] = ["grace", PASSWORDS.grace];
    const victim = new Client(server);
    await victim.post("/sign-in", { name, password });
    assertEquals(await victim.isIn(), false);
    await victim.post("/sign-in", { name, password });
    assertEquals(await victim.isIn(), false);
  });

  it("WSTG-SESS-05: a link changes nothing", async () => {
    const ada = await signedIn();
    for (const form of FORMS) {
      const token = formTokenOn(await ada.open());
      const { status } = await ada.send(`${form}?form-token=${token}`);
      assertEquals(status, 405);
    }
    assertEquals(await ada.isIn(), true);
  });

  it("WSTG-SESS-06: signing out ends the session on the server", async () => {
    const ada = await signedIn();
    const { token } = ada;
    await ada.submit("/sign-out");
    assertEquals(await new Client(server, token).isIn(), false);
  });

  it("WSTG-SESS-06: the cookie of before sign-out does not come back to life", async () => {
    const ada = await signedIn();
    const { token } = ada;
    await ada.submit("/sign-out");
    const replay = new Client(server, token);
    await replay.submit("/sign-in", { name: "ada", password: "wrong" });
    await ada.signIn("ada");
    assertNotEquals(replay.token?.slice(0, 24), token?.slice(0, 24));
    assertEquals(await new Client(server, token).isIn(), false);
  });

  it("WSTG-SESS-06: the browser drops the cookie", async () => {
    const ada = await signedIn();
    const [header = ""] = setCookies(await ada.submit("/sign-out"));
    assertStringIncludes(header, "; Max-Age=0");
    assertEquals(ada.token, undefined);
  });

  it("WSTG-SESS-06: the page of before cannot be had back from the history", async () => {
    const ada = await signedIn();
    const { headers } = await ada.send("/");
    assertEquals(headers.get("cache-control"), "no-store");
  });

  it("WSTG-SESS-06: every page of a user who is signed in offers to sign out", async () => {
    const page = await (await signedIn()).open();
    assertMatch(page, /action="\/sign-out"[^]*?<button>Sign out<\/button>/);
  });

  it("WSTG-SESS-07: a session that is not used ends after the idle timeout", async () => {
    await using site = new ClockedSite();
    const ada = await site.signedIn();
    site.pass(HOUR - 0.001);
    assertEquals(await ada.isIn(), true);
    site.pass(HOUR);
    assertEquals(await ada.isIn(), false);
  });

  it("WSTG-SESS-07: a session that is used ends after the absolute timeout", async () => {
    await using site = new ClockedSite();
    const ada = await site.signedIn();
    for (let halves = 1; halves < 24; halves++) {
      site.pass(HOUR / 2);
      assertEquals(await ada.isIn(), true, `after ${halves / 2} h`);
    }
    site.pass(HOUR / 2 - 0.001);
    assertEquals(await ada.isIn(), true);
    site.pass(0.001);
    assertEquals(await ada.isIn(), false);
  });

  it("WSTG-SESS-07: what timed out stays so, whatever the clock says", async () => {
    await using site = new ClockedSite();
    const ada = await site.signedIn();
    const { token } = ada;
    site.pass(HOUR);
    assertEquals(await ada.isIn(), false);
    site.pass(-HOUR);
    assertEquals(await new Client(site.server, token).isIn(), false);
  });

  it("WSTG-SESS-08: naming a user in one flow signs nobody in in another", async () => {
    await using site = new ClockedSite();
    const attacker = new Client(site.server);
    await attacker.post("/forgot-password", { name: "ada" });
    assertEquals(await attacker.isIn(), false);
    await attacker.signIn("grace");
    await attacker.post("/forgot-password", { name: "ada" });
    assertMatch(await attacker.open(), /Hello, grace/);
  });

  it("WSTG-SESS-08: a sign-in that failed leaves no name behind", async () => {
    const attacker = new Client(server);
    await attacker.submit("/sign-in", { name: "ada", password: "wrong" });
    for (const form of FORMS.slice(1)) {
      await attacker.submit(form);
      assertEquals(await attacker.isIn(), false, form);
    }
  });

  it("WSTG-SESS-08: the next user of a browser finds nothing of the last", async () => {
    await using site = new ClockedSite();
    const browser = await site.signedIn("ada");
    await browser.post("/note", { note: "secret of ada" });
    assertStringIncludes(await browser.open(), "secret of ada");
    await browser.signIn("grace");
    assertStringIncludes(await browser.open(), "note: undefined");
  });

  it("WSTG-SESS-08: who comes after the sign-out finds nothing of the user", async () => {
    await using site = new ClockedSite();
    const browser = await site.signedIn();
    await browser.post("/note", { note: "secret of ada" });
    await browser.post("/sign-out");
    assertStringIncludes(await browser.open(), "note: undefined");
  });

  it("WSTG-SESS-08: what a visitor did is not seen by others", async () => {
    await using site = new ClockedSite();
    const visitor = new Client(site.server);
    await visitor.post("/note", { note: "of a visitor" });
    assertStringIncludes(await visitor.open(), "of a visitor");
    for (const other of [new Client(site.server), await site.signedIn()]) {
      assertStringIncludes(await other.open(), "note: undefined");
    }
  });

  it("WSTG-SESS-08: a list of devices holds those of the user alone", async () => {
    const ada = await signedIn("ada");
    const grace = await signedIn("grace");
    await grace.submit("/sign-out-others");
    assertEquals(deviceIdsOn(await grace.open()), []);
    await signedIn("grace");
    const [id] = deviceIdsOn(await grace.open());
    assert(!deviceIdsOn(await ada.open()).includes(id ?? ""));
  });

  it("WSTG-SESS-09: a copied cookie is found out after a renewal, and dies", async () => {
    await using site = new ClockedSite();
    const ada = await site.signedIn();
    const thief = new Client(site.server, ada.token);
    site.pass(900);
    await ada.open();
    await ada.open();
    assertNotEquals(ada.token, thief.token);
    site.pass(30);
    assertEquals(await thief.isIn(), false);
    assertEquals(site.count("reused"), 1);
    assertEquals(await ada.isIn(), false);
  });

  it("WSTG-SESS-09: a thief who got the new cookie is out when the owner comes", async () => {
    await using site = new ClockedSite();
    const ada = await site.signedIn();
    const thief = new Client(site.server, ada.token);
    site.pass(900);
    await thief.open();
    await thief.open();
    assertNotEquals(ada.token, thief.token);
    site.pass(30);
    assertEquals(await ada.isIn(), false);
    assertEquals(site.count("reused"), 1);
    assertEquals(await thief.isIn(), false);
  });

  it("WSTG-SESS-09: the owner signs in again, and the copies stay dead", async () => {
    await using site = new ClockedSite();
    const ada = await site.signedIn();
    const copies = [new Client(site.server, ada.token)];
    site.pass(900);
    await ada.open();
    copies.push(new Client(site.server, ada.token));
    await ada.open();
    site.pass(30);
    await copies[0]?.open();
    await ada.signIn("ada");
    for (const copy of copies) assertEquals(await copy.isIn(), false);
    assertEquals(await ada.isIn(), true);
  });

  it("WSTG-SESS-09: a cookie copied before the sign-in is worth nothing after it", async () => {
    const ada = new Client(server);
    await ada.open();
    const thief = new Client(server, ada.token);
    await ada.signIn("ada");
    assertEquals(await thief.isIn(), false);
    assertEquals(await ada.isIn(), true);
  });

  it("WSTG-SESS-09: guesses do not sign the owner out", async () => {
    await using site = new ClockedSite();
    const ada = await site.signedIn();
    const id = ada.token?.slice(0, 24) ?? "";
    for (let guess = 0; guess < 20; guess++) {
      const token = id + madeUp().slice(24);
      assertEquals(await new Client(site.server, token).isIn(), false);
    }
    assertEquals(await ada.isIn(), true);
    assertEquals(site.count("reused"), 0);
    assertEquals(site.count("refused"), 20);
  });

  it("WSTG-SESS-09: a renewal in one of two tabs signs neither of them out", async () => {
    await using site = new ClockedSite();
    const ada = await site.signedIn();
    for (let minutes = 0; minutes < 60; minutes += 20) {
      site.pass(20 * 60);
      // Both leave with the same cookie.
      const [one, other] = await Promise.all([ada.open(), ada.open()]);
      assertMatch(one, /Hello/);
      assertMatch(other, /Hello/);
    }
    assertEquals(site.count("renewed"), 3);
    assertEquals(site.count("reused"), 0);
  });

  it("WSTG-SESS-10: does not apply, for the token holds no claims", async () => {
    await using site = new ClockedSite();
    const tokens: Buffer[] = [];
    while (tokens.length < 20) {
      const { token = "" } = await site.signedIn();
      tokens.push(Buffer.from(token, "base64url"));
    }
    // The same user at the same instant: whatever it said would be the same.
    for (let at = 0; at < 45; at++) {
      assert(new Set(tokens.map((bytes) => bytes[at])).size > 1, `byte ${at}`);
    }
  });

  it("WSTG-SESS-10: a JWT in the cookie is no token, signed or not", async () => {
    const encode = (part: object) =>
      Buffer.from(JSON.stringify(part)).toString("base64url");
    const head = encode({ alg: "none", typ: "JWT" });
    const jwt = `${head}.${encode({ sub: "ada", exp: 4_102_444_800 })}.`;
    const attacker = new Client(server, jwt);
    assertEquals(await attacker.isIn(), false);
    assertNotEquals(attacker.token, jwt);
  });

  it("WSTG-SESS-11: each browser of a user has a session of its own", async () => {
    const laptop = await signedIn();
    await laptop.submit("/sign-out-others");
    const phone = await signedIn();
    assertNotEquals(laptop.token?.slice(0, 24), phone.token?.slice(0, 24));
    await phone.submit("/sign-out");
    assertEquals(await laptop.isIn(), true);
  });

  it("WSTG-SESS-11: a user sees the other sessions and can end them", async () => {
    const laptop = await signedIn();
    await laptop.submit("/sign-out-others");
    const [phone, tablet] = [await signedIn(), await signedIn()];
    const ids = deviceIdsOn(await laptop.open());
    assertEquals(ids.length, 2);
    await laptop.submit("/sign-out-device", {
      id: phone.token?.slice(0, 24) ?? "",
    });
    assertEquals([await phone.isIn(), await tablet.isIn()], [false, true]);
    await laptop.submit("/sign-out-others");
    assertEquals([await tablet.isIn(), await laptop.isIn()], [false, true]);
  });

  it("WSTG-SESS-11: over the limit the oldest session ends", async () => {
    await using site = new ClockedSite({ maxSessions: 2 });
    const [oldest, second, latest] = [
      await signedInLater(site),
      await signedInLater(site),
      await signedInLater(site),
    ];
    assertEquals(await oldest.isIn(), false);
    assertEquals([await second.isIn(), await latest.isIn()], [true, true]);
    assertEquals(site.count("evicted"), 1);
  });

  it("WSTG-SESS-11: over the limit the latest sign-in is refused, if the site says so", async () => {
    await using site = new ClockedSite({
      maxSessions: 1,
      onMaxSessions: "reject",
    });
    const first = await site.signedIn();
    const second = new Client(site.server);
    const reply = await second.post("/sign-in", { name: "ada" });
    assertEquals([reply.status, reply.text], [409, "too-many-sessions"]);
    assertEquals([await first.isIn(), await second.isIn()], [true, false]);
    await site.signedIn("grace");
  });

  it("WSTG-SESS-11: sign-ins at the same time do not get around the limit", async () => {
    await using site = new ClockedSite({ maxSessions: 3 });
    const clients = Array.from({ length: 12 }, () => new Client(site.server));
    await Promise.all(
      clients.map((client) => client.post("/sign-in", { name: "ada" })),
    );
    const are = await Promise.all(clients.map((client) => client.isIn()));
    assertEquals(are.filter(Boolean).length, 3);
  });
});

async function signedInLater(site: ClockedSite): Promise<Client> {
  site.pass(1);
  return await site.signedIn();
}
