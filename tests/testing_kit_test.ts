import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { Hono } from "hono";
import { describe, it } from "node:test";
import { Manager, type ManagerOptions, SessionError } from "../mod.ts";
import { Clock, Jar, type JarOptions, type Target } from "../testing.ts";
import { serve } from "./_server.ts";

const START = Date.UTC(2030, 0, 1);

interface Data {
  cart: string[];
  theme: string;
}

/** A site that says who is signed in, with the clock that it goes by. */
function site(options: ManagerOptions = {}) {
  const clock = new Clock(START);
  const manager = new Manager<Data>({
    gcInterval: 0,
    now: clock.now,
    ...options,
  });
  const handler = manager.handle((request, session) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/sign-in") session.signIn("ada");
    if (pathname === "/sign-out") session.destroy();
    return Response.json({ user: session.principal ?? null });
  });
  return { clock, manager, handler };
}

/** Who is signed in, as a page says. */
async function userAt(jar: Jar, path = "/"): Promise<unknown> {
  return (await (await jar.fetch(path)).json()).user;
}

/** A handler that sets cookies, and says which ones came along. */
function setter(...setCookies: string[]): (request: Request) => Response {
  return (request) => {
    const headers = new Headers();
    if (new URL(request.url).pathname.endsWith("/set")) {
      for (const text of setCookies) headers.append("set-cookie", text);
    }
    return new Response(request.headers.get("cookie"), { headers });
  };
}

/** A jar that has asked for these cookies, at a path that ends in `/set`. */
async function jarWith(
  setCookies: readonly string[],
  { at = "/set", ...options }: JarOptions & { readonly at?: string } = {},
): Promise<Jar> {
  const jar = new Jar(setter(...setCookies), options);
  await jar.fetch(at);
  return jar;
}

async function sentTo(jar: Jar, url: string): Promise<string> {
  return await (await jar.fetch(url)).text();
}

describe("a clock for tests", () => {
  it("stands still until it is moved, by seconds", () => {
    const { now, advance } = bound(new Clock(START));
    assertEquals(now(), START);
    advance(1.5);
    assertEquals(now(), START + 1500);
    advance(-2);
    assertEquals(now(), START - 500);
  });

  it("starts at the real time, and moves by whole milliseconds", () => {
    const before = Date.now();
    const clock = new Clock();
    assert(clock.now() >= before && clock.now() <= Date.now());
    const early = new Clock(0);
    early.advance(1.005); // 1004.9999999999999 when multiplied
    assertEquals(early.now(), 1005);
  });

  it("refuses what is no number", () => {
    for (const value of [NaN, Infinity, "1", undefined]) {
      const wrong = value as number;
      assertThrows(
        () => new Clock(START).advance(wrong),
        RangeError,
        "of seconds",
      );
    }
    assertThrows(() => new Clock(NaN), RangeError, "milliseconds");
  });

  function bound(clock: Clock) {
    const advance = (seconds: number) => clock.advance(seconds);
    return { now: clock.now, advance };
  }
});

describe("a jar talks to", () => {
  it("what manager.handle makes", async () => {
    const { handler } = site();
    const jar = new Jar(handler);
    assertEquals(await userAt(jar), null);
    assertEquals(await userAt(jar, "/sign-in"), "ada");
    assertEquals(await userAt(jar), "ada");
    assertEquals(await userAt(jar, "/sign-out"), null);
    assertEquals(jar.cookies(), []);
  });

  it("a program that exports fetch, and a framework's app", async () => {
    const { manager } = site();
    const app = new Hono();
    app.get("/hono", async ({ req }) =>
      await manager.run(
        req.raw,
        ({ principal }) => Response.json({ user: principal }),
      ));
    const targets: Target[] = [app, app.fetch, { fetch: app.fetch }];
    for (const target of targets) {
      const jar = new Jar(target);
      await jar.signIn(manager, "ada");
      assertEquals(await userAt(jar, "/hono"), "ada");
    }
  });

  it("a server that runs, by its URL", async () => {
    const { handler, manager } = site();
    const server = serve(handler);
    try {
      for (const target of [server.url, new URL(server.url)]) {
        const jar = new Jar(target);
        assertEquals(await userAt(jar, "/sign-in"), "ada");
        assertEquals(await userAt(jar), "ada");
        const other = new Jar(target);
        await other.signIn(manager, "eve");
        assertEquals(await userAt(other), "eve");
      }
    } finally {
      await server.close();
    }
  });

  it("nothing else, and says so", async () => {
    for (const target of [null, undefined, 1, {}, "no URL", "ftp://a.test"]) {
      assertThrows(() => new Jar(target as Target), TypeError, "Cannot create");
    }
    for (const answer of [undefined, null, "text"]) {
      const jar = new Jar(() => answer as unknown as Response);
      await assertRejects(() => jar.fetch("/"), TypeError, "no Response");
    }
  });

  it("a handler whose error it hands on, and whose answer as it is", async () => {
    const answer = new Response();
    assertStrictEquals(await new Jar(() => answer).fetch("/"), answer);
    const error = new SessionError("conflict", "of the handler's own");
    const failing = new Jar(() => Promise.reject(error));
    const thrown = await assertRejects(
      () => failing.fetch("/"),
      SessionError,
    );
    assertStrictEquals(thrown, error);
  });

  it("by any path, URL or request, with headers of its own", async () => {
    const jar = new Jar(
      async (request) =>
        Response.json([
          request.method,
          request.url,
          request.headers.get("user-agent"),
          await request.text(),
        ]),
      {
        baseUrl: "https://shop.test/a/b",
        headers: { "user-agent": "Kit/1" },
      },
    );
    const ask = async (...[input, init]: Parameters<Jar["fetch"]>) =>
      await (await jar.fetch(input, init)).json();
    const get = ["GET", "https://shop.test/c", "Kit/1", ""];
    assertEquals(await ask("/c"), get);
    assertEquals(await ask(new URL("https://shop.test/c")), get);
    assertEquals(await ask(new Request("https://shop.test/c")), get);
    assertEquals((await ask("c"))[1], "https://shop.test/a/c");
    const headers = { "user-agent": "Other" };
    assertEquals(
      await ask("/c", { method: "POST", body: "text", headers }),
      ["POST", "https://shop.test/c", "Other", "text"],
    );
  });

  it("with options that it knows", () => {
    const handler = () => new Response();
    const wrong = [{ clock: 1 }, { now: 1 }, { redirect: "error" }, {
      baseUrl: "/a",
    }];
    for (const options of wrong) {
      assertThrows(() => new Jar(handler, options as JarOptions), TypeError);
    }
  });
});

describe("a jar signs a user in", () => {
  it("in three lines", async () => {
    const { handler, manager } = site();
    const jar = new Jar(handler);
    await jar.signIn(manager, "ada");
    assertEquals(await userAt(jar, "/account"), "ada");
  });

  it("with data and a label, in a real session", async () => {
    const { handler, manager, clock } = site();
    const jar = new Jar(handler);
    await jar.signIn(manager, "ada", {
      data: { cart: ["coat"] },
      label: "Laptop",
    });
    const [info] = await manager.list("ada");
    assertEquals([info?.label, info?.authenticatedAt], ["Laptop", START]);
    const cookie = jar.header() ?? "";
    const request = new Request("http://localhost/", { headers: { cookie } });
    const session = await manager.start(request);
    assertEquals(session.get("cart"), ["coat"]);
    assertEquals(session.has("theme"), false);
    clock.advance(3600);
    assertEquals(await userAt(jar), null);
  });

  it("as the page would: what a visitor had stays, a user before does not", async () => {
    const { handler, manager } = site();
    const jar = new Jar(handler);
    await jar.signIn(manager, "ada", { data: { cart: ["coat"] } });
    const data: object = { theme: "dark", cart: undefined };
    await jar.signIn(manager, "eve", { data });
    assertEquals(await manager.list("ada"), []);
    const headers = { cookie: jar.header() ?? "" };
    const session = await manager.start(
      new Request("http://localhost/", { headers }),
    );
    assertEquals(session.keys(), ["theme"]);
  });

  it("as the device whose headers it has", async () => {
    const { handler, manager } = site({
      fingerprint: ({ headers }) => headers.get("user-agent") ?? "",
      onFingerprintChange: "refuse",
    });
    const headers = { "user-agent": "Kit/1" };
    const jar = new Jar(handler, { headers });
    await jar.signIn(manager, "ada");
    assertEquals(await userAt(jar), "ada");
    const other = new Jar(handler, { headers: { "user-agent": "Kit/2" } });
    other.add(jar.cookies());
    assertEquals(await userAt(other), null);
  });

  it("or says why a browser would have refused the cookie", async () => {
    const { handler, manager } = site();
    const jar = new Jar(handler, { baseUrl: "http://shop.test/" });
    await assertRejects(
      () => jar.signIn(manager, "ada"),
      TypeError,
      "it is Secure, and http://shop.test is neither HTTPS nor this machine: set baseUrl",
    );
    assertEquals(jar.cookies(), []);
  });

  it("or says that an app has no cookies", async () => {
    const { handler, manager } = site({ bearer: true });
    const headers = { authorization: "Bearer token" };
    const app = new Jar(handler, { headers });
    await assertRejects(
      () => app.signIn(manager, "ada"),
      SessionError,
      "session.bearerToken()",
    );
    assertEquals(app.cookies(), []);
  });

  it("or fails as the commit does, and keeps what it had", async () => {
    const options = { maxSessions: 1, onMaxSessions: "reject" } as const;
    const { handler, manager } = site(options);
    const [jar, other] = [new Jar(handler), new Jar(handler)];
    await jar.signIn(manager, "ada");
    const error = await assertRejects(
      () => other.signIn(manager, "ada"),
      SessionError,
    );
    assertEquals([error.code, other.cookies()], ["too-many-sessions", []]);
    await assertRejects(() => other.signIn(manager, ""), TypeError);
    const misspelt = { labl: "Laptop" } as object;
    await assertRejects(
      () => other.signIn(manager, "eve", misspelt),
      TypeError,
      "labl",
    );
  });

  it("of data that its manager's sessions can hold, as the types say", async () => {
    const { handler, manager } = site();
    const jar = new Jar(handler);
    // @ts-expect-error A cart is a list.
    await jar.signIn(manager, "ada", { data: { cart: 1 } });
    // @ts-expect-error There is no such key.
    await jar.signIn(manager, "ada", { data: { carts: ["coat"] } });
    assertEquals((await manager.list("ada")).length, 1);
  });
});

describe("a jar keeps", () => {
  it("the last of one name, and forgets what is removed", async () => {
    const clock = new Clock(START);
    const now = clock.now;
    const jar = await jarWith(["a=1; Path=/", "a=2; Path=/", "b=3"], { now });
    assertEquals(jar.header(), "a=2; b=3");
    for (const gone of ["Max-Age=0", "Max-Age=-5", "Expires=" + utc(START)]) {
      const removed = await jarWith(["a=1", "b=2", `a=; ${gone}`], { now });
      assertEquals(removed.header(), "b=2", gone);
    }
  });

  it("what has an age until that is over, by the clock it is given", async () => {
    const clock = new Clock(START);
    const later = utc(START + 60_000);
    const lines = [
      "age=1; Max-Age=60",
      `date=1; Expires=${later}`,
      `both=1; Max-Age=120; Expires=${later}`,
      "odd=1; Max-Age=soon; Expires=never",
    ];
    const jar = await jarWith(lines, { now: clock.now });
    clock.advance(59.999);
    assertEquals(jar.header(), "age=1; date=1; both=1; odd=1");
    clock.advance(0.001);
    assertEquals(jar.header(), "both=1; odd=1");
    clock.advance(500 * 24 * 3600);
    assertEquals(jar.header(), "odd=1");
  });

  it("nothing for more than 400 days", async () => {
    const clock = new Clock(START);
    const lines = ["a=1; Max-Age=99999999999", `b=1; Expires=${utc(4e12)}`];
    const jar = await jarWith(lines, { now: clock.now });
    const limit = START / 1000 + 400 * 24 * 3600;
    assertEquals(jar.cookies().map((c) => c.expires), [limit, limit]);
  });

  it("each for the paths that it is for, the longest path first", async () => {
    const lines = ["root=1; Path=/", "here=1", "deep=1; Path=/shop/cart"];
    const jar = await jarWith(lines, { at: "/shop/set" });
    assertEquals(await sentTo(jar, "/"), "root=1");
    assertEquals(await sentTo(jar, "/shop"), "here=1; root=1");
    assertEquals(await sentTo(jar, "/shopping"), "root=1");
    assertEquals(
      await sentTo(jar, "/shop/cart/1"),
      "deep=1; here=1; root=1",
    );
    assertEquals(await sentTo(jar, "/shop/carts"), "here=1; root=1");
  });

  it("each for the hosts that it is for", async () => {
    const lines = [
      "own=1",
      "all=1; Domain=shop.test",
      "dot=1; Domain=.B.shop.test",
    ];
    const at = "https://a.b.shop.test/set";
    const jar = await jarWith(lines, { at });
    assertEquals(await sentTo(jar, at), "own=1; all=1; dot=1");
    assertEquals(await sentTo(jar, "https://b.shop.test/"), "all=1; dot=1");
    assertEquals(await sentTo(jar, "https://shop.test/"), "all=1");
    assertEquals(await sentTo(jar, "https://c.a.b.shop.test/"), "all=1; dot=1");
    assertEquals(await sentTo(jar, "https://workshop.test/"), "");
  });

  it("one of an address or of localhost for that host alone", async () => {
    for (const host of ["127.0.0.1", "localhost"]) {
      const at = `http://${host}/set`;
      const jar = await jarWith([`a=1; Domain=${host}`], { at });
      assertEquals(jar.cookies().map(({ domain }) => domain), [host]);
      assertEquals(await sentTo(jar, at), "a=1");
    }
    const at = "http://127.0.0.1/set";
    const jar = await jarWith(["a=1; Domain=0.0.1"], { at });
    assertEquals([jar.cookies(), jar.refused.length], [[], 1]);
  });

  it("a Secure one for HTTPS and this machine", async () => {
    const jar = await jarWith(["a=1; Secure"], { at: "https://shop.test/set" });
    assertEquals(await sentTo(jar, "https://shop.test/"), "a=1");
    assertEquals(await sentTo(jar, "http://shop.test/"), "");
    for (const host of ["localhost", "a.localhost", "127.0.0.1", "[::1]"]) {
      const at = `http://${host}:8000/set`;
      const local = await jarWith(["a=1; Secure"], { at });
      assertEquals(await sentTo(local, at), "a=1", host);
    }
  });

  it("no cookie that a browser would not, and says why", async () => {
    const at = "https://a.shop.test/set";
    const refused: [string, RegExp][] = [
      ["=", /neither name nor value/],
      [`big=${"x".repeat(4096)}`, /4096 bytes/],
      ["a=1; Domain=other.test", /Domain=other\.test/],
      ["a=1; Domain=b.a.shop.test", /Domain=b\.a\.shop\.test/],
      ["a=1; Domain=test", /Domain=test/],
      ["a=1; SameSite=None", /need Secure/],
      ["a=1; Partitioned", /need Secure/],
      ["__Host-a=1; Path=/", /prefix __host- needs Secure/],
      ["__Host-a=1; Secure", /needs Path=\/ and no Domain/],
      ["__host-a=1; Secure; Path=/; Domain=shop.test", /no Domain/],
      ["__Secure-a=1; Path=/", /needs Secure/],
      ["__Http-a=1; Secure", /needs HttpOnly/],
      ["__Host-Http-a=1; Secure; Path=/", /needs HttpOnly/],
    ];
    for (const [line, reason] of refused) {
      const jar = await jarWith([line], { at });
      assertEquals(jar.cookies(), [], line);
      assertMatch(jar.refused[0]?.reason ?? "", reason);
      jar.clear();
      assertEquals(jar.refused.length, 0);
    }
    const kept = [
      "__Host-a=1; Secure; Path=/",
      "__Secure-a=1; Secure; Domain=shop.test",
      "__Host-Http-a=1; Secure; Path=/; HttpOnly",
      "nameless",
    ];
    const jar = await jarWith(kept, { at });
    assertEquals([jar.cookies().length, jar.refused.length], [4, 0]);
    assertMatch(jar.header(at) ?? "", /(^|; )nameless($|;)/);
  });

  it("values with = in them, and no blanks around", async () => {
    const jar = await jarWith([" a = b=c== ; path = / "]);
    assertEquals(jar.header("/other"), "a=b=c==");
  });
});

/** A date as `Expires` has it. */
function utc(instant: number): string {
  return new Date(instant).toUTCString();
}

describe("a jar hands out", () => {
  it("its cookies in the shape that Playwright takes", async () => {
    const clock = new Clock(START);
    const lines = [
      "__Host-id=x; Path=/; Secure; HttpOnly; SameSite=Lax",
      "b=2; Path=/b; Max-Age=60; SameSite=Strict",
    ];
    const jar = await jarWith(lines, { now: clock.now });
    assertEquals(jar.cookies(), [
      {
        name: "__Host-id",
        value: "x",
        domain: "localhost",
        path: "/",
        expires: -1,
        httpOnly: true,
        secure: true,
        sameSite: "Lax",
      },
      {
        name: "b",
        value: "2",
        domain: "localhost",
        path: "/b",
        expires: START / 1000 + 60,
        httpOnly: false,
        secure: false,
        sameSite: "Strict",
      },
    ]);
  });

  it("a copy, as a thief has it", async () => {
    const { handler, manager, clock } = site();
    const owner = new Jar(handler, { now: clock.now });
    await owner.signIn(manager, "ada");
    const thief = new Jar(handler, { now: clock.now });
    thief.add(owner.cookies());
    assertEquals(await userAt(thief), "ada");
    clock.advance(900);
    assertEquals(await userAt(owner), "ada");
    assertEquals(await userAt(owner), "ada");
    clock.advance(31);
    assertEquals(await userAt(thief), null);
    assertEquals(await userAt(owner), null);
  });

  it("no cookie but a request's own, if it has one", async () => {
    const jar = await jarWith(["a=1"]);
    const headers = { cookie: "b=2" };
    assertEquals(await (await jar.fetch("/", { headers })).text(), "b=2");
    assertEquals(await sentTo(jar, "/"), "a=1");
  });
});

/** Redirects from `/from` with a status, and tells of what comes to `/to`. */
function redirecting(status: number, location = "/to") {
  return async (request: Request) => {
    const { pathname } = new URL(request.url);
    if (pathname !== "/from") {
      const { method, headers } = request;
      const type = headers.get("content-type");
      return Response.json([method, await request.text(), type]);
    }
    return new Response("moved", { status, headers: { location } });
  };
}

describe("a jar follows redirects", () => {
  const follow = { redirect: "follow" } as const;

  it("only when it is told to, for all requests or for one", async () => {
    const handler = redirecting(302);
    assertEquals((await new Jar(handler).fetch("/from")).status, 302);
    assertEquals((await new Jar(handler).fetch("/from", follow)).status, 200);
    const jar = new Jar(handler, follow);
    assertEquals((await jar.fetch("/from")).status, 200);
    const manual = { redirect: "manual" } as const;
    assertEquals((await jar.fetch("/from", manual)).status, 302);
  });

  it("or fails at one, if that is asked for", async () => {
    const jar = new Jar(redirecting(302));
    const error = { redirect: "error" } as const;
    await assertRejects(() => jar.fetch("/from", error), TypeError, "302");
    assertEquals((await jar.fetch("/to", error)).status, 200);
  });

  it("with the method and the body that a browser sends on", async () => {
    const headers = { "content-type": "text/plain" };
    const post = { method: "POST", body: "text", headers, ...follow };
    const kept = ["POST", "text", "text/plain"];
    const dropped = ["GET", "", null];
    const expected = new Map<number, unknown>([
      [301, dropped],
      [302, dropped],
      [303, dropped],
      [307, kept],
      [308, kept],
    ]);
    for (const [status, seen] of expected) {
      const response = await new Jar(redirecting(status)).fetch("/from", post);
      assertEquals(await response.json(), seen, String(status));
    }
    const put = { ...post, method: "PUT" };
    const moved = await new Jar(redirecting(302)).fetch("/from", put);
    assertEquals(await moved.json(), ["PUT", "text", "text/plain"]);
  });

  it("with the cookies that came with them", async () => {
    const { handler, manager } = site();
    const jar = new Jar(async (request) => {
      const answer = await handler(request);
      if (!request.url.endsWith("/sign-in")) return answer;
      const headers = new Headers(answer.headers);
      headers.set("location", "/account");
      return new Response(null, { status: 303, headers });
    }, follow);
    assertEquals(await userAt(jar, "/sign-in"), "ada");
    assertEquals((await manager.list("ada")).length, 1);
  });

  it("on a server that runs", async () => {
    const server = serve(redirecting(307));
    try {
      const jar = new Jar(server.url, follow);
      const headers = { "content-type": "text/plain" };
      const init = { method: "POST", body: "b", headers };
      const response = await jar.fetch("/from", init);
      assertEquals(await response.json(), ["POST", "b", "text/plain"]);
    } finally {
      await server.close();
    }
  });

  it("not to another origin, and not without an address", async () => {
    for (const address of ["https://accounts.test/", "//accounts.test/"]) {
      const jar = new Jar(redirecting(302, address), follow);
      const response = await jar.fetch("/from");
      assertEquals(response.headers.get("location"), address);
    }
    const nowhere = new Jar(() => new Response(null, { status: 302 }), follow);
    assertEquals((await nowhere.fetch("/")).status, 302);
    const created = new Jar(redirecting(201), follow);
    assertEquals((await created.fetch("/from")).status, 201);
  });

  it("up to twenty of them", async () => {
    const chain = (length: number) => (request: Request) => {
      const step = Number(new URL(request.url).pathname.slice(1)) + 1;
      const headers = { location: `/${step}` };
      return step > length
        ? new Response("end")
        : new Response(null, { status: 302, headers });
    };
    const last = await new Jar(chain(20), follow).fetch("/0");
    assertEquals(await last.text(), "end");
    const error = await assertRejects(
      () => new Jar(chain(21), follow).fetch("/0"),
      TypeError,
    );
    assertMatch(error.message, /more than 20 redirects/);
  });
});
