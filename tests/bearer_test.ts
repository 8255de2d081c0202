/** Tests sessions of clients that keep their token themselves. */
import {
  assert,
  assertEquals,
  assertFalse,
  assertMatch,
  assertNotEquals,
  assertRejects,
} from "@std/assert";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { type ManagerOptions, type Session, SessionError } from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { Browser, requestWith, signedIn, Site, told } from "./_browser.ts";
import { failCall, restoreCall } from "./_providers.ts";
import { idOf, mintToken } from "./_tokens.ts";

type Visit = (session: Session) => unknown;

/** A site whose clients may be no browsers. */
function bearerSite(options: ManagerOptions = {}): Site {
  return new Site({ bearer: true, ...options });
}

/** An app that keeps its token, and nothing else. */
class App {
  readonly site: Site;
  token: string | undefined;

  constructor(site: Site, token?: string) {
    this.site = site;
    this.token = token;
  }

  /** An app whose user is signed in, on a site whose log is empty again. */
  static async signedIn(site: Site = bearerSite()): Promise<App> {
    const app = new App(site);
    await app.visit((session) => {
      session.signIn("ada");
      app.token = session.bearerToken();
    });
    site.events.length = 0;
    return app;
  }

  request(headers: Record<string, string> = {}): Request {
    const shown = this.token === undefined
      ? {}
      : { authorization: `Bearer ${this.token}` };
    const all = { ...shown, ...headers };
    return new Request("http://localhost/", { method: "POST", headers: all });
  }

  async visit(
    visit: Visit = () => {},
    response = new Response(),
  ): Promise<Response> {
    return await this.site.manager.run(this.request(), async (session) => {
      await visit(session);
      return response;
    });
  }

  async look<T>(look: (session: Session) => T): Promise<T> {
    return look(await this.site.manager.start(this.request()));
  }

  /** Who is signed in for this token. */
  async principal(): Promise<string | undefined> {
    return await this.look((session) => session.principal);
  }

  /** Asks for a new token. */
  async renew(): Promise<string> {
    let token = "";
    await this.visit((session) => {
      token = session.bearerToken();
    });
    return token;
  }
}

describe("a bearer session", () => {
  it("begins by the call that hands out its token, and with no cookie", async () => {
    const site = bearerSite();
    const app = new App(site);
    const response = await app.visit((session) => {
      session.signIn("ada");
      app.token = session.bearerToken();
    });
    assertMatch(app.token ?? "", /^[\w-]{60}$/);
    assertEquals(response.headers.getSetCookie(), []);
    assertEquals(response.headers.get("cache-control"), "no-store");
    assertEquals(await app.principal(), "ada");
    assertEquals(told(site), ["created", "signed-in"]);
  });

  it("begins for a visitor as well, and keeps what is set", async () => {
    const app = new App(bearerSite());
    await app.visit((session) => {
      app.token = session.bearerToken();
      session.set("cart", ["coat"]);
    });
    await app.visit((session) => session.set("count", 1));
    assertEquals(await app.look((session) => session.get("cart")), ["coat"]);
    assertEquals(await app.look((session) => session.get("count")), 1);
    assertEquals(await app.principal(), undefined);
  });

  it("never has a cookie, whatever is asked for", async () => {
    const app = await App.signedIn();
    const asks: Visit[] = [
      (session) => session.set("a", 1),
      (session) => session.lifetime({ persistent: true }),
      (session) => session.regenerate(),
      (session) => session.update("n", (n = 0) => (n as number) + 1),
      (session) => session.formToken(),
      (session) => session.destroy({ clearSiteData: true }),
    ];
    for (const ask of asks) {
      app.site.pass(1000);
      const response = await app.visit(ask);
      assertEquals(response.headers.getSetCookie(), [], String(ask));
      assertEquals(response.headers.get("cache-control"), "no-store");
    }
    assertEquals(await app.look((session) => session.refusal), "unknown");
  });

  it("has answers that no cache keeps, whatever they say", async () => {
    const app = await App.signedIn();
    const headers = { "cache-control": "public, max-age=60", "expires": "0" };
    const constant = new Response("page", { headers });
    const response = await app.visit((session) => {
      session.get("a");
    }, constant);
    assertEquals(response.headers.get("cache-control"), "no-store");
    assertEquals(constant.headers.get("cache-control"), "public, max-age=60");
  });

  it("has pages that caches keep apart from those of other clients", async () => {
    const app = await App.signedIn();
    const look = (session: Session) => void session.get("a");
    const visitor = new App(app.site);
    for (const client of [app, visitor]) {
      for (
        const [given, expected] of [
          [undefined, "Cookie, Authorization"],
          ["accept", "accept, Cookie, Authorization"],
          ["authorization", "authorization, Cookie"],
          ["Cookie, Authorization", "Cookie, Authorization"],
          ["*", "*"],
        ] as const
      ) {
        const headers = given === undefined ? {} : { vary: given };
        const page = new Response("page", { headers });
        const response = await client.visit(look, page);
        assertEquals(response.headers.get("vary"), expected);
      }
    }
  });

  it("is renewed on demand only", async () => {
    const app = await App.signedIn();
    for (let count = 0; count < 5; count++) {
      app.site.pass(901);
      await app.visit();
    }
    assertEquals(told(app.site), []);
    const old = app.token!;
    app.token = await app.renew();
    assertNotEquals(app.token, old);
    assertEquals(idOf(app.token), idOf(old));
    assertEquals(told(app.site), ["renewed"]);
    assertEquals(await app.principal(), "ada");
  });

  it("lets the old token go on until the new one was used, and then for the grace", async () => {
    const app = await App.signedIn();
    const old = new App(app.site, app.token);
    app.token = await app.renew();
    app.site.pass(3000);
    assertEquals(await old.principal(), "ada");
    await app.visit();
    assertEquals(await old.principal(), "ada");
    app.site.pass(29);
    assertEquals(await old.principal(), "ada");
    assertEquals(told(app.site), ["renewed"]);
  });

  it("raises the alarm for a copy that is used after that", async () => {
    const app = await App.signedIn();
    const thief = new App(app.site, app.token);
    app.token = await app.renew();
    await app.visit();
    app.site.pass(31);
    assertEquals(await thief.principal(), undefined);
    assertEquals(told(app.site), ["renewed", "reused"]);
    assertEquals(await app.principal(), undefined);
  });

  it("can ask again when the answer with the new token was lost", async () => {
    const app = await App.signedIn();
    await app.renew();
    app.token = await app.renew();
    assertEquals(await app.principal(), "ada");
    await app.visit();
    assertEquals(told(app.site), ["renewed", "renewed"]);
  });

  it("hands out nothing for a token that was replaced by one in use", async () => {
    const app = await App.signedIn();
    const old = new App(app.site, app.token);
    app.token = await app.renew();
    await app.visit();
    const error = await assertRejects(() => old.renew(), SessionError);
    assertEquals(error.code, "conflict");
    assertEquals(await app.principal(), "ada");
  });

  it("fails the request if another one has renewed it meanwhile", async () => {
    const app = await App.signedIn();
    const session = await app.site.manager.start(app.request());
    session.bearerToken();
    app.token = await app.renew();
    await app.visit();
    const error = await assertRejects(
      () => app.site.commit(session),
      SessionError,
    );
    assertEquals(error.code, "conflict");
    assertEquals(await app.principal(), "ada");
  });

  it("fails the request that renews it if it has ended", async () => {
    const app = await App.signedIn();
    const session = await app.site.manager.start(app.request());
    session.bearerToken();
    await app.site.manager.destroyAll("ada");
    const error = await assertRejects(
      () => app.site.commit(session),
      SessionError,
    );
    assertEquals(error.code, "gone");
  });

  it("has a new token after a new proof of identity, and the old one opens nothing", async () => {
    const app = await App.signedIn();
    const thief = new App(app.site, app.token);
    app.site.pass(600);
    await app.visit((session) => {
      session.regenerate({ reauthenticated: true });
      app.token = session.bearerToken();
    });
    assertEquals(await thief.principal(), undefined);
    assert(await app.look((session) => session.isFresh(1)));
    assertEquals(told(app.site), ["renewed", "superseded"]);
  });

  it("is not left with a token that it was not sent", async () => {
    const app = await App.signedIn();
    for (
      const ask of [
        (session: Session) => session.regenerate({ reauthenticated: true }),
        (session: Session) => session.signIn("ada"),
      ]
    ) {
      const error = await assertRejects(() => app.visit(ask), SessionError);
      assertEquals(error.code, "unsendable");
      assertFalse(error.message.includes("cookie"));
    }
    const stranger = new App(app.site, mintToken());
    const set = (session: Session) => session.set("a", 1);
    const error = await assertRejects(() => stranger.visit(set), SessionError);
    assertEquals(error.code, "unsendable");
    assertEquals(await app.principal(), "ada");
  });

  it("ends when its client signs out, and everywhere", async () => {
    for (const everywhere of [false, true]) {
      const app = await App.signedIn();
      if (everywhere) await app.site.manager.destroyAll("ada");
      else await app.visit((session) => session.destroy());
      assertEquals(await app.look((session) => session.refusal), "unknown");
    }
  });

  it("does not begin when the request fails", async () => {
    const provider = new MemoryProvider();
    const app = new App(bearerSite({ provider }));
    await app.visit((session) => {
      app.token = session.bearerToken();
    }, new Response(null, { status: 500 }));
    assertEquals(provider.stats().sessions, 0);
    assertEquals(await app.look((session) => session.refusal), "unknown");
  });

  it("does not begin when the store fails", async () => {
    const provider = new MemoryProvider();
    const app = new App(bearerSite({ provider }));
    failCall(provider, "create");
    await assertRejects(
      () => app.visit((session) => session.bearerToken()),
      SessionError,
    );
    restoreCall(provider, "create");
    assertEquals(provider.stats().sessions, 0);
  });
});

describe("handing out a bearer token", () => {
  it("is refused where it makes no sense, by what it was", async () => {
    const site = bearerSite();
    const browser = await signedIn(site);
    const app = await App.signedIn(site);
    const attempts: [string, () => unknown][] = [
      [
        "option bearer",
        () => new Browser(new Site()).visit((session) => session.bearerToken()),
      ],
      [
        "came with a session's cookie",
        () => browser.visit((session) => session.bearerToken()),
      ],
      ["handed out already", () =>
        app.visit((session) => {
          session.bearerToken();
          session.bearerToken();
        })],
      ["handed out already", () =>
        app.visit((session) => {
          session.bearerToken();
          session.regenerate({ reauthenticated: true });
        })],
      ["another user's", () => app.visit((session) => session.signIn("eve"))],
    ];
    for (const [message, attempt] of attempts) {
      await assertRejects(async () => await attempt(), TypeError, message);
    }
    assertEquals(await app.principal(), "ada");
    await app.visit((session) => session.destroy());
    const late = (session: Session) => {
      session.destroy();
      session.bearerToken();
    };
    const error = await assertRejects(() => app.visit(late), SessionError);
    assertEquals(error.code, "destroyed");
  });
});

describe("the two carriers", () => {
  it("do not mix: a cookie's token opens nothing as a bearer's, and harms nothing", async () => {
    const browser = await signedIn(bearerSite());
    const app = new App(browser.site, browser.token);
    for (let renewal = 0; renewal < 3; renewal++) {
      assertEquals(await app.principal(), undefined);
      assertEquals(told(browser.site).at(-1), "wrong-secret");
      browser.site.pass(901);
      await browser.visit();
      await browser.visit();
      told(browser.site);
    }
    assertEquals(await browser.look((session) => session.principal), "ada");
  });

  it("do not mix: a bearer's token opens nothing in a cookie, and harms nothing", async () => {
    const app = await App.signedIn();
    const browser = new Browser(app.site, `__Host-id=${app.token}`);
    const session = await app.site.start(browser.cookie);
    assertEquals([session.principal, session.refusal], [
      undefined,
      "wrong-secret",
    ]);
    // Nor an older one, which would be an alarm where it belongs.
    app.token = await app.renew();
    await app.visit();
    app.site.pass(31);
    await app.site.start(browser.cookie);
    assertEquals(told(app.site), ["wrong-secret", "renewed", "wrong-secret"]);
    assertEquals(await app.principal(), "ada");
  });

  it("do not mix: a request with both is of the bearer's session alone", async () => {
    const site = bearerSite();
    const browser = await signedIn(site, "grace");
    const app = await App.signedIn(site);
    const both = app.request({ cookie: browser.cookie! });
    assertEquals((await site.manager.start(both)).principal, "ada");
    const stranger = new App(site, mintToken());
    const request = stranger.request({ cookie: browser.cookie! });
    assertEquals((await site.manager.start(request)).principal, undefined);
    const answer = await site.manager.run(request, (session) => {
      session.destroy();
      return new Response();
    });
    assertEquals(answer.headers.getSetCookie(), []);
    assertEquals(await browser.look((session) => session.principal), "grace");
  });

  it("leave other schemes and other managers to the application", async () => {
    const site = bearerSite();
    const browser = await signedIn(site);
    for (const authorization of ["Basic YTpi", "Bearer", "Digest x", ""]) {
      const headers = { cookie: browser.cookie!, authorization };
      const request = new Request("http://localhost/", { headers });
      assertEquals((await site.manager.start(request)).principal, "ada");
    }
    const plain = await signedIn();
    const headers = {
      cookie: plain.cookie!,
      authorization: `Bearer ${mintToken()}`,
    };
    const request = new Request("http://localhost/", { headers });
    assertEquals((await plain.site.manager.start(request)).principal, "ada");
  });

  it("are told apart whatever the scheme's capitals are", async () => {
    const app = await App.signedIn();
    for (const scheme of ["bearer", "BEARER", "Bearer ", "Bearer"]) {
      const headers = { authorization: `${scheme} ${app.token}` };
      const request = new Request("http://localhost/", { headers });
      const session = await app.site.manager.start(request);
      assertEquals(session.principal, "ada", scheme);
    }
  });

  it("refuse what is no token, without a call", async () => {
    const provider = new MemoryProvider();
    const site = bearerSite({ provider });
    failCall(provider, "read");
    for (const token of ["x", "a.b.c", "A".repeat(59), `${mintToken()} x`]) {
      const app = new App(site, token);
      assertEquals(await app.look((session) => session.refusal), "malformed");
    }
  });
});

describe("a request of another site", () => {
  const FOREIGN = {
    origin: "https://evil.example",
    "sec-fetch-site": "cross-site",
  };

  it("is answered if it carries the token itself", async () => {
    const app = await App.signedIn();
    assertEquals(
      await app.site.manager.intercept(app.request(FOREIGN)),
      undefined,
    );
  });

  it("is refused if it carries a cookie, whatever else it says", async () => {
    const browser = await signedIn(bearerSite());
    for (const extra of [{}, { authorization: "Basic YTpi" }]) {
      const request = new Request("http://localhost/", {
        method: "POST",
        headers: { ...FOREIGN, cookie: browser.cookie!, ...extra },
      });
      const answer = await browser.site.manager.intercept(request);
      assertEquals(answer?.status, 403);
    }
  });

  it("gets nothing by a token of its own beside a victim's cookie", async () => {
    const browser = await signedIn(bearerSite());
    const request = new Request("http://localhost/", {
      method: "POST",
      headers: {
        ...FOREIGN,
        cookie: browser.cookie!,
        authorization: `Bearer ${mintToken()}`,
      },
    });
    const seen: unknown[] = [];
    await browser.site.manager.run(request, (session) => {
      seen.push(session.principal);
      return new Response();
    });
    assertEquals(seen, [undefined]);
  });

  it("is refused with a bearer token where the manager takes none", async () => {
    const { manager } = new Site();
    const app = new App(new Site(), mintToken());
    assertEquals((await manager.intercept(app.request(FOREIGN)))?.status, 403);
  });
});

describe("the secrets of a bearer session", () => {
  it("are in no event, error, inspection or stored record", async () => {
    const provider = new MemoryProvider();
    const app = await App.signedIn(bearerSite({ provider }));
    const thief = new App(app.site, app.token);
    const secrets = [app.token!.slice(24, 40), app.token!.slice(44)];
    const told: unknown[] = [];
    app.token = await app.renew();
    secrets.push(app.token.slice(44));
    await app.visit((session) => {
      told.push(inspect(session), JSON.stringify(session), `${session}`);
    });
    app.site.pass(31);
    await thief.principal();
    failCall(provider, "read");
    await app.visit().catch((error) => told.push(inspect(error)));
    told.push(app.site.events);
    restoreCall(provider, "read");
    const other = await App.signedIn(app.site);
    const id = other.token!.slice(0, 24);
    told.push(provider.read(id, app.site.now));
    secrets.push(other.token!.slice(24, 40), other.token!.slice(44));
    const text = inspect(told, { depth: 9 });
    for (const secret of secrets) assertFalse(text.includes(secret));
  });

  it("are not those of a request that has not been committed", async () => {
    const app = new App(bearerSite());
    const session = await app.site.manager.start(app.request());
    session.signIn("ada");
    app.token = session.bearerToken();
    assertEquals(await app.principal(), undefined);
    await app.site.commit(session);
    assertEquals(await app.principal(), "ada");
  });

  it("survive no sign-in as somebody else beside them", async () => {
    const app = await App.signedIn();
    const other = new App(app.site);
    await other.visit((session) => {
      session.signIn("grace");
      other.token = session.bearerToken();
    });
    assertNotEquals(idOf(app.token!), idOf(other.token!));
    assertEquals([await app.principal(), await other.principal()], [
      "ada",
      "grace",
    ]);
    assertEquals(requestWith().headers.get("authorization"), null);
  });
});
