/** One manager for many hosts: the cookie of each, and what opens where. */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import type { HostCookieOptions } from "../core/carriage/cookie_by_host.ts";
import { Manager, type ManagerOptions, type Session } from "../mod.ts";
import { inheriting } from "./_pollution.ts";

/** The name and the value of the cookie that a response sets. */
function pairOf(response: Response): string {
  return response.headers.get("set-cookie")?.split(";")[0] ?? "";
}

/** A site that greets who is signed in, and signs in who asks to be. */
function site(cookie: ManagerOptions["cookie"], options: ManagerOptions = {}) {
  const manager = new Manager<{ theme: string }>({
    cookie,
    gcInterval: 0,
    ...options,
  });
  const handler = manager.handle((request, session) => {
    const user = new URL(request.url).searchParams.get("user");
    if (user !== null) session.signIn(user);
    return new Response(session.principal ?? session.refusal ?? "nobody");
  });
  return (url: string, headers: HeadersInit = {}) =>
    handler(new Request(url, { headers }));
}

/** Who is greeted at a URL with a cookie. */
async function seen(
  fetch: ReturnType<typeof site>,
  url: string,
  cookie: string,
): Promise<string> {
  return await (await fetch(url, { cookie })).text();
}

describe("a cookie that follows from the request", () => {
  it("has the name and the domain of the request's host", async () => {
    const fetch = site(({ url }): HostCookieOptions => {
      const { hostname } = new URL(url);
      return hostname.endsWith(".example.org")
        ? { domain: "example.org", name: "__Secure-shared" }
        : { name: "__Host-own" };
    });
    const shared = await fetch("https://shop.example.org/?user=ada");
    assertMatch(
      shared.headers.get("set-cookie")!,
      /^__Secure-shared=.+; Path=\/; Domain=example\.org; Secure/,
    );
    const own = await fetch("https://example.com/?user=ada");
    assertMatch(
      own.headers.get("set-cookie")!,
      /^__Host-own=.+; Path=\/; Secure/,
    );
  });

  it("opens nothing on another host", async () => {
    const fetch = site(() => ({}));
    const cookie = pairOf(await fetch("https://a.example/?user=ada"));
    assertEquals(await seen(fetch, "https://a.example/", cookie), "ada");
    assertEquals(
      await seen(fetch, "https://b.example/", cookie),
      "wrong-secret",
    );
  });

  it("ends nothing on another host either, and the owner goes on", async () => {
    const manager = new Manager({ cookie: () => ({}), gcInterval: 0 });
    const sign = manager.handle((_request, session) => {
      session.signIn("ada");
      return new Response();
    });
    const end = manager.handle((_request, session) => {
      session.destroy();
      return new Response();
    });
    const cookie = pairOf(await sign(new Request("https://a.example/")));
    await end(new Request("https://b.example/", { headers: { cookie } }));
    const session = await manager.start(
      new Request("https://a.example/", { headers: { cookie } }),
    );
    assertEquals(session.principal, "ada");
  });

  it("opens nothing on another host after a renewal, and raises no alarm", async () => {
    const events: string[] = [];
    let now = 1_700_000_000_000;
    const fetch = site(() => ({}), {
      now: () => now,
      onEvent: ({ type }) => void events.push(type),
    });
    const first = pairOf(await fetch("https://a.example/?user=ada"));
    now += 901_000;
    const second = pairOf(await fetch("https://a.example/", { cookie: first }));
    now += 1000;
    assertEquals(await seen(fetch, "https://a.example/", second), "ada");
    now += 60_000;
    for (const copy of [first, second]) {
      assertEquals(
        await seen(fetch, "https://b.example/", copy),
        "wrong-secret",
      );
    }
    assertEquals(events.filter((type) => type === "reused"), []);
    assertEquals(await seen(fetch, "https://a.example/", second), "ada");
  });

  it("opens the session on every host of one domain", async () => {
    const fetch = site(() => ({ domain: "example.org" }));
    const cookie = pairOf(await fetch("https://a.example.org/?user=ada"));
    assertEquals(await seen(fetch, "https://b.example.org/", cookie), "ada");
  });

  it("opens the session on hosts that have a scope in common, and on no other", async () => {
    const fetch = site(({ url }) => ({
      scope: new URL(url).hostname.startsWith("alias.") ? "main" : undefined,
    }));
    const cookie = pairOf(await fetch("https://alias.one/?user=ada"));
    assertEquals(await seen(fetch, "https://alias.two/", cookie), "ada");
    assertEquals(await seen(fetch, "https://other/", cookie), "wrong-secret");
  });

  it("takes no host for what other hosts share", async () => {
    const fetch = site(({ url }) => {
      const { hostname, searchParams } = new URL(url);
      const name = "sid";
      if (hostname === "shared.example") return { name };
      return searchParams.has("domain")
        ? { name, domain: "shared.example" }
        : { name, scope: "shared.example" };
    });
    const host = "https://shared.example/";
    const others = ["https://a.shared.example/?domain", "https://b.example/"];
    const own = pairOf(await fetch(`${host}?user=ada`));
    for (const other of others) {
      assertEquals(await seen(fetch, other, own), "wrong-secret");
      const join = other.includes("?") ? "&" : "?";
      const cookie = pairOf(await fetch(`${other}${join}user=ada`));
      assertEquals(await seen(fetch, host, cookie), "wrong-secret");
      assertEquals(await seen(fetch, other, cookie), "ada");
    }
  });

  it("takes nothing that every object inherits", async () => {
    const fetch = site(() => ({}));
    const response = await inheriting(
      { scope: "all", domain: "evil.example", name: "planted", secure: false },
      () => fetch("https://a.example/?user=ada"),
    );
    assertMatch(response.headers.get("set-cookie")!, /^__Host-id=.+; Secure/);
    const cookie = pairOf(response);
    assertEquals(
      await seen(fetch, "https://b.example/", cookie),
      "wrong-secret",
    );
    assertEquals(await seen(fetch, "https://a.example/", cookie), "ada");
  });

  it("takes no scope for another, whatever is in it", async () => {
    const fetch = site(({ url }) => ({
      scope: decodeURIComponent(new URL(url).pathname.slice(1)),
    }));
    const scopes = ["", " ", "in ", "bearer ", "a", "A", "a in b", "in a"];
    const cookies = new Map<string, string>();
    for (const scope of scopes) {
      const url = `https://h/${encodeURIComponent(scope)}?user=ada`;
      cookies.set(scope, pairOf(await fetch(url)));
    }
    for (const [of, cookie] of cookies) {
      for (const at of scopes) {
        const url = `https://h/${encodeURIComponent(at)}`;
        const expected = of === at ? "ada" : "wrong-secret";
        assertEquals(
          await seen(fetch, url, cookie),
          expected,
          `${of} at ${at}`,
        );
      }
    }
  });

  it("does not look at the port or the case of the host", async () => {
    const fetch = site(() => ({}));
    const cookie = pairOf(await fetch("https://A.example:8443/?user=ada"));
    assertEquals(await seen(fetch, "https://a.EXAMPLE/", cookie), "ada");
  });

  it("keeps bearer tokens to their host as well", async () => {
    const manager = new Manager({
      bearer: true,
      cookie: () => ({}),
      gcInterval: 0,
    });
    let token = "";
    const begin = manager.handle((_request, session) => {
      session.signIn("ada");
      token = session.bearerToken();
      return Response.json({ token });
    });
    await begin(new Request("https://a.example/"));
    const on = async (host: string): Promise<Session> =>
      await manager.start(
        new Request(`https://${host}/`, {
          headers: { authorization: `Bearer ${token}` },
        }),
      );
    assertEquals((await on("a.example")).principal, "ada");
    assertEquals((await on("b.example")).refusal, "wrong-secret");
    const cookie = { cookie: `__Host-id=${token}` };
    const shown = await manager.start(
      new Request("https://a.example/", { headers: cookie }),
    );
    assertEquals(shown.refusal, "wrong-secret");
  });

  it("is as persistent as it says", async () => {
    const fetch = site(({ url }) => ({ persistent: url.includes("keep") }));
    const kept = await fetch("https://keep.example/?user=ada");
    assertMatch(kept.headers.get("set-cookie")!, /; Max-Age=43200$/);
    const forgotten = await fetch("https://drop.example/?user=ada");
    assertEquals(
      forgotten.headers.get("set-cookie")!.includes("Max-Age"),
      false,
    );
  });

  it("is cleared under the name that it has there", async () => {
    const manager = new Manager({
      cookie: ({ url }) => ({ name: `__Host-${new URL(url).hostname}` }),
      gcInterval: 0,
    });
    const end = manager.handle((_request, session) => {
      session.destroy();
      return new Response();
    });
    const headers = { cookie: "__Host-a.example=anything" };
    const answer = await end(new Request("https://a.example/", { headers }));
    assertMatch(
      answer.headers.get("set-cookie")!,
      /^__Host-a\.example=; .*Max-Age=0/,
    );
  });

  it("is refused at the request, as the option itself is when the manager is made", () => {
    const wrong: readonly [unknown, RegExp][] = [
      [{ name: "a b" }, /name must be a token/],
      [{ domain: "a b" }, /domain must be a host name/],
      [{ name: "__Host-x", domain: "example.org" }, /allows no domain/],
      [{ scopes: "x" }, /unknown option: received scopes/],
      [{ scope: 1 }, /scope must be a string: received number/],
      [undefined, /its function must return options: received undefined/],
      [null, /its function must return options: received null/],
      [
        Promise.resolve({}),
        /its function must return options: received a promise/,
      ],
    ];
    for (const [answer, message] of wrong) {
      const manager = new Manager({
        cookie: () => answer as HostCookieOptions,
        gcInterval: 0,
      });
      const error = assertThrows(
        () => void manager.start(new Request("https://a.example/")),
        TypeError,
      );
      assertMatch(error.message, message);
      assertMatch(error.message, /^Cannot use option cookie: /);
    }
    const manager = new Manager({
      cookie: () => ({ persistent: true }),
      absoluteTimeout: 40_000_000,
      gcInterval: 0,
    });
    assertThrows(
      () => void manager.start(new Request("https://a.example/")),
      RangeError,
      "400 days",
    );
  });

  it("needs the whole URL of the request, or a scope", async () => {
    const request = { method: "GET", url: "/", headers: new Headers() };
    const without = new Manager({ cookie: () => ({}), gcInterval: 0 });
    const error = assertThrows(() => void without.start(request), TypeError);
    assertMatch(error.message, /names no host: give the whole URL/);
    const scope = "all";
    const manager = new Manager({ cookie: () => ({ scope }), gcInterval: 0 });
    assert((await manager.start(request)).isNew);
  });

  it("keeps no more templates than a few, however many hosts are asked for", async () => {
    const fetch = site(() => ({}));
    const cookie = pairOf(await fetch("https://a.example/?user=ada"));
    for (let number = 0; number < 1001; number++) {
      await fetch(`https://h${number}.example/`);
    }
    assertEquals(await seen(fetch, "https://a.example/", cookie), "ada");
  });
});
