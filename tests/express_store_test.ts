/** Tests the providers as stores of express-session and what resembles it. */
import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import fastifyCookie from "@fastify/cookie";
// @ts-types="npm:@types/express@^5"
import express from "express";
import expressSession from "express-session";
import { fastify } from "fastify";
// @ts-types="npm:@types/koa@^3"
import Koa from "koa";
import { createSession as koaSession } from "koa-session";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, it } from "node:test";
import {
  type ExpressData,
  expressStore,
  type ExpressStoreOptions,
} from "../adapters/express_store.ts";
import { Manager, type Provider } from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { SqliteProvider } from "../providers/sqlite.ts";
import {
  failCall,
  later,
  noteCalls,
  replaceCall,
  restoreCall,
} from "./_providers.ts";
import { Client } from "./adapters/_client.ts";
import { Gate } from "./adapters/_routes.ts";

/** What express-session gives a store, of which nothing is left to do. */
interface BaseStore {
  createSession(request: object, data: object): Loaded;
}

/** express-session's own store. */
interface OwnStore {
  get(sid: string, callback: () => void): void;
  set(sid: string, data: object, callback: (error?: unknown) => void): void;
  destroy(sid: string, callback: (error?: unknown) => void): void;
  length(callback: (error: unknown, count?: number) => void): void;
}

/** The part of express-session that is used. */
interface ExpressSession {
  (options: object): express.RequestHandler;
  readonly Store: abstract new () => BaseStore;
  readonly MemoryStore: new () => OwnStore;
}

type Store = BaseStore & ReturnType<typeof expressStore>;
type Loaded = ExpressData & {
  readonly cookie: { readonly expires?: Date; readonly originalMaxAge: number };
};

// Their types say of every request that it has their session, in other files too.
const session: ExpressSession = expressSession;
const FASTIFY_SESSION: string = "@fastify/session";
const { default: fastifySession } = await import(FASTIFY_SESSION);

const SECRET = "keyboard cat";
const START = Date.UTC(2026, 0, 1);

/** A store, the provider behind it, and a clock. */
function open(
  options: ExpressStoreOptions<BaseStore> = {},
  provider: Provider = new MemoryProvider(),
) {
  const clock = { now: START };
  const now = () => clock.now;
  const store: Store = expressStore(provider, {
    Store: session.Store,
    now,
    ...options,
  });
  return { store, provider, clock };
}

/** A session as express-session hands it over. */
function sessionOf(data: ExpressData = {}, cookie: ExpressData = {}) {
  return {
    cookie: { originalMaxAge: null, expires: null, path: "/", ...cookie },
    ...data,
  };
}

/** One whose cookie lives for some seconds from the start. */
function sessionFor(seconds: number, data: ExpressData = {}) {
  const expires = new Date(START + seconds * 1000);
  return sessionOf(data, { originalMaxAge: seconds * 1000, expires });
}

/** What a call with a callback answers. */
function answerOf<Result>(
  call: (callback: (error: unknown, result?: never) => void) => unknown,
): Promise<Result> {
  return new Promise((resolve, reject) =>
    call((error, result) =>
      error ? reject(error) : resolve(result as unknown as Result)
    )
  );
}

/** How many sessions express-session's own store has. */
function countIn(store: OwnStore): Promise<number> {
  return new Promise((resolve, reject) =>
    store.length((error, count = NaN) => error ? reject(error) : resolve(count))
  );
}

/** A session that a request loads, in the way express-session does it. */
async function load(store: Store, sid: string): Promise<Loaded> {
  const data = await answerOf<object | undefined>((callback) =>
    store.get(sid, callback)
  );
  assert(data !== undefined, "the session is there");
  return store.createSession({ sessionID: sid, sessionStore: store }, data);
}

/** The providers that need no server. */
const PROVIDERS: Record<string, () => Provider> = {
  memory: () => new MemoryProvider(),
  SQLite: () => new SqliteProvider(":memory:"),
};

const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** Serves an application, and answers its URL. */
async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("a store of express-session", () => {
  it("finds what was set, as JSON", async () => {
    const { store } = open();
    const when = new Date(START);
    await store.set(
      "sid",
      sessionOf({ user: { name: "Ada", when }, gone: undefined }),
    );
    assertEquals(await store.get("sid"), {
      cookie: { originalMaxAge: null, path: "/" },
      user: { name: "Ada", when: when.toISOString() },
    });
  });

  it("answers callbacks, and promises without them", async () => {
    const { store } = open();
    const set = await answerOf<unknown>((callback) =>
      store.set("sid", sessionOf({ n: 1 }), callback)
    );
    assertEquals(set, undefined);
    const found = await answerOf<ExpressData>((callback) =>
      store.get("sid", callback)
    );
    assertEquals(found.n, 1);
    await answerOf((callback) => store.destroy("sid", callback));
    assertEquals(await store.get("sid"), undefined);
  });

  it("hands out copies", async () => {
    const { store } = open();
    const given = sessionOf({ list: [1] });
    await store.set("sid", given);
    (given as ExpressData).list = [];
    const found = await store.get("sid");
    (found?.list as number[]).push(2);
    assertEquals((await store.get("sid"))?.list, [1]);
  });

  it("replaces a session that it has not loaded", async () => {
    const { store } = open();
    await store.set("sid", sessionOf({ a: 1, b: 2 }));
    await store.set("sid", sessionOf({ b: 3, c: 4 }));
    const { cookie: _, ...data } = await store.get("sid") ?? {};
    assertEquals(data, { b: 3, c: 4 });
  });

  it("counts, lists and clears its sessions alone", async () => {
    const { store, provider, clock } = open();
    const manager = new Manager<{ n: number }>({
      provider,
      now: () => clock.now,
    });
    const other = await manager.start(new Request("http://localhost/"));
    other.set("n", 1);
    await manager.commit(other, new Response());
    for (let at = 0; at < 250; at++) {
      await store.set(`sid ${at}`, sessionOf({ at }));
    }
    assertEquals(await answerOf((callback) => store.length(callback)), 250);
    const all = await answerOf<ExpressData[]>((callback) =>
      store.all(callback)
    );
    assertEquals(new Set(all.map(({ at }) => at)).size, 250);
    await answerOf((callback) => store.clear(callback));
    assertEquals(await answerOf((callback) => store.length(callback)), 0);
    assert(await other.isAlive());
  });

  it("takes any text for an id", async () => {
    const { store } = open();
    const ids = ["", "a:b", "__proto__", "ß\n", "x".repeat(10_000), "a.b/c=="];
    for (const id of ids) await store.set(id, sessionOf({ id }));
    for (const id of ids) assertEquals((await store.get(id))?.id, id);
    assertEquals(await store.get("another"), undefined);
  });

  it("stores neither their id nor what would open the session", async () => {
    const { store, provider } = open();
    const sid = "an-id-of-express-session";
    await store.set(sid, sessionOf({ n: 1 }));
    const page = await provider.scan!(undefined, 10, START);
    const text = JSON.stringify(page);
    assert(!text.includes(sid));
    const [{ id } = { id: "" }] = page.sessions;
    assertEquals(id.length, 24);
    const manager = new Manager({ provider, now: () => START });
    const cookie = `__Host-id=${id}${"A".repeat(36)}`;
    const request = new Request("http://localhost/", { headers: { cookie } });
    assert((await manager.start(request)).isNew);
  });

  it("tells of a provider that fails", async () => {
    const { store, provider } = open();
    failCall(provider, "read");
    const asked = () => answerOf((callback) => store.get("sid", callback));
    await assertRejects(asked, Error, "disk on fire");
    await assertRejects(
      () => store.get("sid"),
      Error,
      "disk on fire",
    );
  });

  it("refuses a ttl that is none", () => {
    for (const ttl of [0, -1, NaN]) {
      assertThrows(() => open({ ttl }), RangeError);
    }
  });
});

describe("how long a session of express-session lives", () => {
  it("is what its cookie says, from its last use", async () => {
    const { store, clock } = open();
    await store.set("sid", sessionFor(60));
    clock.now += 59_999;
    assertNotEquals(await store.get("sid"), undefined);
    clock.now += 1;
    assertEquals(await store.get("sid"), undefined);
  });

  it("is a day when its cookie ends with the browser", async () => {
    const { store, clock } = open();
    await store.set("sid", sessionOf());
    clock.now += 86_399_999;
    assertNotEquals(await store.get("sid"), undefined);
    clock.now += 1;
    assertEquals(await store.get("sid"), undefined);
  });

  it("is what ttl says then", async () => {
    const { store, clock } = open({ ttl: 10 });
    await store.set("sid", sessionOf());
    clock.now += 10_000;
    assertEquals(await store.get("sid"), undefined);
  });

  it("begins anew with a touch, and may have been changed", async () => {
    const { store, clock } = open();
    await store.set("sid", sessionFor(60));
    clock.now += 50_000;
    const expires = new Date(clock.now + 100_000);
    const longer = sessionOf({}, { originalMaxAge: 100_000, expires });
    await answerOf((callback) => store.touch("sid", longer, callback));
    clock.now += 99_999;
    assertNotEquals(await store.get("sid"), undefined);
    clock.now += 1;
    assertEquals(await store.get("sid"), undefined);
  });

  it("is over when its cookie has expired", async () => {
    const { store, provider } = open();
    await store.set("sid", sessionFor(60));
    const calls = noteCalls(provider);
    await store.set("sid", sessionFor(-1));
    await store.set("another", sessionFor(-1));
    assertEquals(calls, ["destroy", "destroy"]);
    assertEquals(await store.get("sid"), undefined);
  });

  it("shows in the cookie that is handed out", async () => {
    const { store, clock } = open();
    await store.set("sid", sessionFor(60));
    clock.now += 30_000;
    const { cookie } = await load(store, "sid");
    assertEquals(cookie.expires?.getTime(), START + 60_000);
    assertEquals(cookie.originalMaxAge, 60_000);
  });

  it("is not begun by a touch", async () => {
    const { store } = open();
    await answerOf((callback) => store.touch("sid", sessionFor(60), callback));
    assertEquals(await store.get("sid"), undefined);
  });
});

describe("parallel requests of one session of express-session", () => {
  it("keep each other's keys", async () => {
    const { store } = open();
    await store.set("sid", sessionOf({ cart: ["hat"], gone: 1 }));
    const one = await load(store, "sid");
    const two = await load(store, "sid");
    one.name = "Ada";
    delete one.gone;
    two.cart = ["hat", "coat"];
    await store.set("sid", two);
    await store.set("sid", one);
    const { cookie: _, ...data } = await store.get("sid") ?? {};
    assertEquals(data, { cart: ["hat", "coat"], name: "Ada" });
  });

  it("keep what is saved more than once in a request", async () => {
    const { store } = open();
    const first = sessionOf({ a: 1 }) as ExpressData;
    await store.set("sid", first);
    const other = await load(store, "sid");
    other.b = 2;
    await store.set("sid", other);
    first.c = 3;
    await store.set("sid", first);
    const { cookie: _, ...data } = await store.get("sid") ?? {};
    assertEquals(data, { a: 1, b: 2, c: 3 });
  });

  it("do not revive a session that one of them ended", async () => {
    const { store } = open();
    await store.set("sid", sessionOf({ user: "ada" }));
    const late = await load(store, "sid");
    late.visits = 2;
    await answerOf((callback) => store.destroy("sid", callback));
    await store.set("sid", late);
    assertEquals(await store.get("sid"), undefined);
    await answerOf((callback) => store.touch("sid", late, callback));
    assertEquals(await store.get("sid"), undefined);
  });

  it("do not write into a later session of the same id", async () => {
    const { store } = open();
    await store.set("sid", sessionOf({ user: "ada" }));
    const late = await load(store, "sid");
    await answerOf((callback) => store.destroy("sid", callback));
    await store.set("sid", sessionOf({ user: "bob" }));
    late.admin = true;
    await store.set("sid", late);
    const { cookie: _, ...data } = await store.get("sid") ?? {};
    assertEquals(data, { user: "bob" });
  });

  it("are kept apart over HTTP, on a store that answers late", async () => {
    const { store } = open({ now: Date.now }, later(new MemoryProvider()));
    const client = new Client(await serve(expressApp(store)));
    await client.open("/set?key=start");
    const keys = Array.from({ length: 40 }, (_, at) => `key-${at}`);
    await Promise.all(keys.map((key) => client.open(`/set?key=${key}`)));
    const seen = JSON.parse((await client.open("/keys")).text);
    assertEquals(seen.sort(), ["cookie", "start", ...keys].sort());
  });
});

/** The session that express-session puts into a request. */
function theirs(request: object): object {
  return (request as { session: object }).session;
}

/** `/set` writes a key and is slow, `/keys` lists them, `/end` ends the session. */
function expressApp(store: Store): express.Express {
  const app = express();
  app.use(session({
    store,
    secret: SECRET,
    resave: false,
    saveUninitialized: false,
  }));
  app.get("/set", async (req, res) => {
    const key = String(req.query.key);
    await new Promise((resolve) => setTimeout(resolve, 5));
    Object.assign(theirs(req), { [key]: 1 });
    res.send("set");
  });
  app.get("/keys", (req, res) => void res.json(Object.keys(theirs(req))));
  app.get("/end", (req, res) => {
    const { destroy } = theirs(req) as { destroy(done: () => void): void };
    destroy.call(theirs(req), () => res.send("ended"));
  });
  return app;
}

describe("a session of express-session over HTTP", () => {
  for (const [name, open_] of Object.entries(PROVIDERS)) {
    it(`is kept, ended and not found again on ${name}`, async () => {
      const provider = open_();
      closing.push(async () => await provider.close());
      const { store } = open({ now: Date.now }, provider);
      const client = new Client(await serve(expressApp(store)));
      await client.open("/set?key=a");
      assertEquals((await client.open("/keys")).text, '["cookie","a"]');
      await client.open("/end");
      assertEquals((await client.open("/keys")).text, '["cookie"]');
      assertEquals(await answerOf((callback) => store.length(callback)), 0);
    });
  }
});

describe("a store of what resembles express-session", () => {
  it("keeps parallel keys of @fastify/session and revives nothing", async () => {
    const store = expressStore(later(new MemoryProvider()));
    const meeting = new Meeting();
    const app = fastify();
    closing.push(() => app.close());
    await app.register(fastifyCookie);
    await app.register(fastifySession, {
      store,
      secret: "a secret of more than thirty-two characters",
      saveUninitialized: false,
      cookie: { secure: false },
      cookieName: "sid",
    });
    app.get("/set", async (request) => {
      const { key } = request.query as { key: string };
      await meeting.wait(key);
      Object.assign(theirs(request), { [key]: 1 });
      return "set";
    });
    app.get("/end", async (request) => {
      await (theirs(request) as { destroy(): Promise<void> }).destroy();
      return "ended";
    });
    app.get(
      "/keys",
      (request) => Promise.resolve(Object.keys(theirs(request))),
    );
    const url = await app.listen({ host: "127.0.0.1", port: 0 });
    await checkSite(new Client(url), store, meeting);
  });

  it("keeps parallel keys of koa-session and revives nothing", async () => {
    const store = expressStore(later(new MemoryProvider()));
    const meeting = new Meeting();
    const app = new Koa();
    app.keys = [SECRET];
    app.use(koaSession({ store }, app));
    app.use(async (ctx) => {
      const site = ctx as unknown as { session: ExpressData | null };
      if (ctx.path === "/set") {
        await meeting.wait(String(ctx.query.key));
        site.session![String(ctx.query.key)] = 1;
      }
      if (ctx.path === "/end") site.session = null;
      ctx.body = Object.keys(site.session ?? {});
    });
    await checkSite(new Client(await serve(app.callback())), store, meeting);
  });
});

/** Lets one request load a session before another ends it, and write after that. */
class Meeting {
  readonly begun = new Gate();
  readonly ended = new Gate();

  async wait(key: string): Promise<void> {
    if (key !== "late") return await new Promise((done) => setTimeout(done, 5));
    this.begun.open();
    await this.ended.opened;
  }
}

/** Writes and ends in parallel; the sites differ in nothing but their library. */
async function checkSite(
  client: Client,
  store: ReturnType<typeof expressStore>,
  meeting: Meeting,
): Promise<void> {
  await client.open("/set?key=start");
  const keys = Array.from({ length: 20 }, (_, at) => `key-${at}`);
  await Promise.all(keys.map((key) => client.open(`/set?key=${key}`)));
  const seen: string[] = JSON.parse((await client.open("/keys")).text);
  assertEquals(
    seen.filter((key) => key.startsWith("key-")).sort(),
    keys.sort(),
  );
  const [{ cookie: _, ...data } = {}] = await answerOf<ExpressData[]>((back) =>
    store.all(back)
  );
  assert(!("$loaded" in data), "what was loaded is no part of what is stored");
  const late = client.open("/set?key=late");
  await meeting.begun.opened;
  await client.open("/end");
  meeting.ended.open();
  await late;
  assertEquals(await answerOf((back) => store.length(back)), 0);
}

describe("sessions of a previous store", () => {
  /** A store of express-session's own with one session in it. */
  async function before() {
    const previous = new session.MemoryStore();
    const { store, provider, clock } = open({ previous, now: Date.now });
    const old = sessionOf({ user: "ada" });
    await answerOf((callback) => previous.set("sid", old, callback));
    return { previous, store, provider, clock };
  }

  it("are moved as they are asked for", async () => {
    const { previous, store } = await before();
    assertEquals((await store.get("sid"))?.user, "ada");
    assertEquals(await countIn(previous), 0);
    assertEquals((await store.get("sid"))?.user, "ada");
  });

  it("are moved once by many requests", async () => {
    const { store } = await before();
    const found = await Promise.all(
      Array.from({ length: 20 }, () => store.get("sid")),
    );
    assertEquals(found.map((data) => data?.user), Array(20).fill("ada"));
    assertEquals(await answerOf((back) => store.length(back)), 1);
  });

  it("end there as well as here", async () => {
    const { previous, store } = await before();
    await store.destroy("sid");
    assertEquals(await countIn(previous), 0);
    assertEquals(await store.get("sid"), undefined);
  });

  it("are not revived by a request that moves one which has ended", async () => {
    const { store, provider } = await before();
    // Between what it has read there and what it writes here.
    replaceCall(provider, "create", async (...args) => {
      restoreCall(provider, "create");
      await store.get("sid");
      await store.destroy("sid");
      return await provider.create(...args as Parameters<Provider["create"]>);
    });
    assertEquals(await store.get("sid"), undefined);
    assertEquals(await answerOf((back) => store.length(back)), 0);
  });

  it("fail a request when they cannot be read", async () => {
    const broken = {
      get: (_sid: string, back: (error: unknown) => void) =>
        back(new Error("no connection")),
      destroy: (_sid: string, back: (error: unknown) => void) =>
        back(new Error("no connection")),
    };
    const { store } = open({ previous: broken });
    await assertRejects(() => store.get("sid"), Error, "no connection");
    await assertRejects(() => store.destroy("sid"), Error, "no connection");
  });
});

describe("a session that is taken over from express-session", () => {
  const options = { secret: [SECRET, "an older one"] };

  /** A site that has express-session, and the cookie that it set. */
  async function visited() {
    const opened = open({ now: () => opened.clock.now });
    const { store } = opened;
    const client = new Client(await serve(expressApp(store)));
    opened.clock.now = Date.now();
    const { headers } = await client.open("/set?key=cart");
    const [cookie = ""] = headers.getSetCookie().map((line) =>
      line.split(";")[0] ?? ""
    );
    return { ...opened, cookie };
  }

  it("is found by its cookie, whichever secret signed it", async () => {
    const { store, cookie } = await visited();
    assertEquals(await store.takeOver(`a=1; ${cookie}`, options), { cart: 1 });
    const newer = { secret: ["a newer one", SECRET] };
    assertEquals(await store.takeOver(cookie, newer), { cart: 1 });
  });

  it("is not found by what was not signed", async () => {
    const { store, cookie } = await visited();
    const [name, value = ""] = cookie.split("=");
    const forged = decodeURIComponent(value).replace(/.$/, "-");
    const bad = [
      undefined,
      null,
      "",
      "connect.sid",
      "connect.sid=%",
      `${name}=s:sid.`,
      `${name}=${encodeURIComponent(forged)}`,
      `other=${value}`,
      `${name}=${decodeURIComponent(value).slice(2).split(".")[0]}`,
    ];
    for (const header of bad) {
      assertEquals(await store.takeOver(header, options), undefined);
    }
    const strangers = { secret: "another" };
    assertEquals(await store.takeOver(cookie, strangers), undefined);
  });

  it("lives for one more minute, however often it is asked for", async () => {
    const { store, cookie, clock } = await visited();
    for (let second = 0; second < 60; second += 10) {
      assertEquals(await store.takeOver(cookie, options), { cart: 1 });
      clock.now += 10_000;
    }
    assertEquals(await store.takeOver(cookie, options), undefined);
  });
});

describe("the principal of a session of express-session", () => {
  const principal = ({ user }: Readonly<ExpressData>) =>
    user === undefined ? undefined : String(user);

  it("is known to the manager of the same provider", async () => {
    const { store, provider } = open({ principal });
    const manager = new Manager({ provider, now: () => START });
    await store.set("one", sessionOf({ user: 7 }));
    await store.set("two", sessionOf());
    assertEquals((await manager.list("7")).length, 1);
    const later = await load(store, "two");
    later.user = 7;
    await store.set("two", later);
    assertEquals((await manager.list("7")).length, 2);
    delete later.user;
    await store.set("two", later);
    assertEquals((await manager.list("7")).length, 1);
    assertEquals(await manager.destroyAll("7"), 1);
    assertEquals(await store.get("one"), undefined);
    assertNotEquals(await store.get("two"), undefined);
  });
});
