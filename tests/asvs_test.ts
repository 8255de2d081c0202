import {
  assert,
  assertEquals,
  assertFalse,
  assertMatch,
  assertNotEquals,
  assertNotMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { areEqual, mintSecret } from "../core/secret/token.ts";
import { idOf, mintToken, secretOf } from "./_tokens.ts";
import {
  DEFAULT_ABSOLUTE_TIMEOUT,
  DEFAULT_IDLE_TIMEOUT,
  Manager,
  type ManagerOptions,
  type Provider,
  type Session,
  SessionError,
  type SessionRecord,
} from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { Browser, principalOf, requestWith, Site, told } from "./_browser.ts";
import { later } from "./_providers.ts";

const SHOP = "https://shop.example/";

async function signedIn(
  site: Site,
  principal = "ada",
  label?: string,
): Promise<Browser> {
  const browser = new Browser(site);
  await browser.visit((session) => session.signIn(principal, { label }));
  return browser;
}

async function visitor(site: Site): Promise<Browser> {
  const browser = new Browser(site);
  await browser.visit((session) => session.set("cart", ["coat"]));
  return browser;
}

async function idOfSession(browser: Browser): Promise<string> {
  return await browser.look((session) => session.id);
}

function setCookies(response: Response): string[] {
  return response.headers.getSetCookie();
}

/** A memory provider that notes everything it is told. */
function listening(): { provider: Provider; told: unknown[] } {
  const memory = new MemoryProvider();
  const told: unknown[] = [];
  const provider = new Proxy<Provider>(memory, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      return (...args: unknown[]) => {
        told.push(name, ...args);
        return member.apply(target, args);
      };
    },
  });
  return { provider, told };
}

/** A memory provider of which one call fails from now on. */
function failing(provider: MemoryProvider, call: keyof Provider): void {
  Object.assign(provider, {
    [call]: () => {
      throw new Error("disk on fire");
    },
  });
}

const PROVIDERS: readonly (readonly [string, () => Provider])[] = [
  ["at once", () => new MemoryProvider()],
  ["later", () => later(new MemoryProvider())],
];

describe("ASVS 7.1, documentation of session management", () => {
  it("7.1.1: the defaults are an hour of inactivity and twelve hours in all", async () => {
    assertEquals(DEFAULT_IDLE_TIMEOUT, 3600);
    assertEquals(DEFAULT_ABSOLUTE_TIMEOUT, 43_200);
    const session = await new Site().start();
    assertEquals(session.expiresAt - session.createdAt, 3_600_000);
  });

  for (const [when, makeProvider] of PROVIDERS) {
    for (const onMaxSessions of ["evict-oldest", "reject"] as const) {
      it(`7.1.2: sign-ins at the same time do not get around maxSessions with ${onMaxSessions} on a provider that answers ${when}`, async () => {
        const options = { maxSessions: 2, onMaxSessions };
        const site = new Site({ ...options, provider: makeProvider() });
        const signIns = Array.from({ length: 10 }, () => signedIn(site));
        await Promise.allSettled(signIns);
        assertEquals((await site.manager.list("ada")).length, 2);
      });
    }
  }

  it("7.1.2: at the limit the session that signed in first ends", async () => {
    const site = new Site({ maxSessions: 1 });
    const first = await signedIn(site);
    site.pass(1);
    const second = await signedIn(site);
    assertEquals(await principalOf(first), undefined);
    assertEquals(await principalOf(second), "ada");
  });

  it("7.1.2: at the limit a sign-in is rejected if the application says so", async () => {
    const site = new Site({ maxSessions: 1, onMaxSessions: "reject" });
    const first = await signedIn(site);
    const { code } = await assertRejects(() => signedIn(site), SessionError);
    assertEquals(code, "too-many-sessions");
    assertEquals(await principalOf(first), "ada");
  });

  it("7.1.3: a session can end together with the identity provider's", async () => {
    const site = new Site();
    const browser = await signedIn(site);
    await browser.visit((session) =>
      session.lifetime({ idleTimeout: 600, absoluteTimeout: 1200 })
    );
    site.pass(599);
    await browser.visit();
    site.pass(599);
    await browser.visit();
    site.pass(1.999);
    assertEquals(await principalOf(browser), "ada");
    site.pass(0.001);
    assertEquals(await principalOf(browser), undefined);
  });
});

describe("ASVS 7.2, fundamentals of session management", () => {
  it("7.2.1: identity and deadline come from the server's record, not from the request", async () => {
    const provider = new MemoryProvider();
    const site = new Site({ provider });
    const browser = await signedIn(site);
    const { token } = browser;
    provider.destroyAll("ada");
    const forged = `__Host-id=${token}; principal=ada; expires=9999999999`;
    const session = await site.start(forged);
    assertEquals(session.principal, undefined);
    assert(session.isNew);
  });

  it("7.2.2: every session gets a token of its own", async () => {
    const site = new Site();
    const browsers = await Promise.all(
      Array.from({ length: 100 }, () => signedIn(site)),
    );
    assertEquals(new Set(browsers.map(({ token }) => token)).size, 100);
  });

  it("7.2.3: a token is a reference with a secret of 216 random bits", () => {
    const tokens = new Set<string>();
    for (let count = 0; count < 10_000; count++) tokens.add(mintToken());
    assertEquals(tokens.size, 10_000);
    for (const token of tokens) assertMatch(token, /^[\w-]{60}$/);
    assertEquals(secretOf([...tokens][0] ?? "").length * 6, 216);
  });

  it("7.2.3: no session is made when the random number generator fails", async () => {
    const provider = new MemoryProvider();
    const site = new Site({ provider });
    const original = crypto.getRandomValues;
    let made = 0;
    crypto.getRandomValues = () => {
      throw new Error("no entropy");
    };
    try {
      // What is left of the random bytes drawn before may still be used.
      const many = async () => {
        for (; made < 1000; made++) await visitor(site);
      };
      await assertRejects(many, Error, "no entropy");
    } finally {
      crypto.getRandomValues = original;
    }
    assertEquals(provider.stats().sessions, made);
  });

  it("7.2.4: signing in replaces the token, and the old one opens nothing at once", async () => {
    const browser = await visitor(new Site());
    const old = new Browser(browser.site, browser.cookie);
    await browser.visit((session) => session.signIn("ada"));
    assertNotEquals(secretOf(browser.token), secretOf(old.token));
    assert((await browser.site.start(old.cookie)).isNew);
  });

  it("7.2.4: signing in again replaces the token too", async () => {
    const browser = await signedIn(new Site());
    const old = new Browser(browser.site, browser.cookie);
    await browser.visit((session) => session.signIn("ada"));
    assert((await browser.site.start(old.cookie)).isNew);
    assertEquals(await principalOf(browser), "ada");
  });

  it("7.2.4: re-authentication without a sign-in replaces the token too", async () => {
    const browser = await signedIn(new Site());
    const old = new Browser(browser.site, browser.cookie);
    await browser.visit((session) =>
      session.regenerate({ reauthenticated: true })
    );
    assert((await browser.site.start(old.cookie)).isNew);
    assertEquals(await principalOf(browser), "ada");
  });

  it("7.2.4: a request that began before the sign-in writes nothing after it", async () => {
    const browser = await visitor(new Site());
    const late = await browser.site.start(browser.cookie);
    await browser.visit((session) => session.signIn("ada"));
    late.set("cart", ["planted"]);
    await browser.site.commit(late);
    assertEquals(await browser.look((session) => session.get("cart")), [
      "coat",
    ]);
  });
});

describe("ASVS 7.3, session timeout", () => {
  it("7.3.1: a session that is not used ends at its inactivity timeout, to the millisecond", async () => {
    const site = new Site({ idleTimeout: 600 });
    const browser = await signedIn(site);
    const other = await signedIn(site);
    site.pass(599.999);
    assertEquals(await principalOf(browser), "ada");
    site.pass(0.001);
    assertEquals(await principalOf(other), undefined);
  });

  it("7.3.1: only requests of the session keep it alive", async () => {
    const site = new Site({ idleTimeout: 600 });
    const browser = await signedIn(site);
    for (let request = 0; request < 10; request++) {
      site.pass(59);
      const stranger = `__Host-id=${idOf(browser.token)}${mintSecret()}`;
      await new Browser(site, stranger).visit();
      await site.manager.list("ada");
    }
    site.pass(10);
    assertEquals(await principalOf(browser), undefined);
  });

  const USES: readonly (readonly [string, (session: Session) => unknown])[] = [
    ["reading", (session) => session.get("a")],
    ["writing", (session) => session.set("a", session.createdAt)],
    ["update", (session) => session.update("a", () => 1)],
    ["regenerate", (session) => session.regenerate()],
    ["form tokens", (session) => session.formToken()],
  ];

  for (const [what, use] of USES) {
    it(`7.3.2: ${what} does not carry a session past its absolute timeout`, async () => {
      const site = new Site({ idleTimeout: 600, absoluteTimeout: 3600 });
      const browser = await signedIn(site);
      for (let request = 0; request < 7; request++) {
        site.pass(500);
        await browser.visit(use);
      }
      site.pass(99.999);
      assertEquals(await principalOf(browser), "ada");
      site.pass(0.001);
      assertEquals(await principalOf(browser), undefined);
    });
  }

  it("7.3.2: the deadline that a session tells is never past its absolute timeout", async () => {
    const site = new Site({ idleTimeout: 600, absoluteTimeout: 1000 });
    const browser = await signedIn(site);
    const end = site.now + 1_000_000;
    site.pass(500);
    await browser.visit();
    assertEquals(await browser.look((session) => session.expiresAt), end);
    assertEquals((await site.manager.list("ada"))[0]?.expiresAt, end);
  });

  it("7.3.2: only another authentication starts the absolute timeout anew", async () => {
    const site = new Site({ idleTimeout: 600, absoluteTimeout: 600 });
    const browser = await signedIn(site);
    site.pass(500);
    await browser.visit((session) =>
      session.regenerate({ reauthenticated: true })
    );
    site.pass(599);
    assertEquals(await principalOf(browser), "ada");
    site.pass(1);
    assertEquals(await principalOf(browser), undefined);
  });
});

describe("ASVS 7.4, session termination", () => {
  type End = (site: Site, browser: Browser) => unknown;
  const ENDS: readonly (readonly [string, End])[] = [
    ["signing out", (_site, browser) => {
      return browser.visit((session) => session.destroy());
    }],
    ["ending it by its id", async (site, browser) => {
      await site.manager.destroy(await idOfSession(browser));
    }],
    ["signing out everywhere", (site) => site.manager.destroyAll("ada")],
    ["ending everything", (site) => site.manager.destroyEverything()],
    ["the inactivity timeout", (site) => site.pass(3600)],
    ["eviction by a newer session of the user", async (site) => {
      site.pass(1);
      await signedIn(site);
    }],
    ["the use of a copied cookie", async (site, browser) => {
      const { cookie } = browser;
      site.pass(900);
      await browser.visit();
      await browser.visit();
      site.pass(30);
      await site.start(cookie);
    }],
  ];

  for (const [how, end] of ENDS) {
    it(`7.4.1: nothing opens or revives a session after ${how}`, async () => {
      const site = new Site({ maxSessions: 1 });
      const browser = await signedIn(site);
      const late = await site.start(browser.cookie);
      const cookies = [browser.cookie];
      await end(site, browser);
      cookies.push(browser.cookie);
      late.set("name", "Ada");
      await site.commit(late);
      for (const cookie of cookies) assert((await site.start(cookie)).isNew);
      const devices = await site.manager.list("ada");
      assertFalse(devices.some(({ id }) => id === late.id));
    });
  }

  it("7.4.1: an update that comes late is told that the session has ended", async () => {
    const browser = await signedIn(new Site());
    const late = await browser.site.start(browser.cookie);
    await browser.visit((session) => session.destroy());
    const { code } = await assertRejects(
      () => late.update("name", () => "Ada"),
      SessionError,
    );
    assertEquals(code, "gone");
  });

  it("7.4.2: all sessions of a disabled account can be ended", async () => {
    const site = new Site();
    const browsers = [await signedIn(site), await signedIn(site)];
    const other = await signedIn(site, "grace");
    assertEquals(await site.manager.destroyAll("ada"), 2);
    for (const browser of browsers) {
      assertEquals(await principalOf(browser), undefined);
    }
    assertEquals(await principalOf(other), "grace");
  });

  it("7.4.2: a request under way does not bring one of them back", async () => {
    const site = new Site();
    const browser = await signedIn(site);
    const late = await site.start(browser.cookie);
    late.set("name", "Ada");
    await site.manager.destroyAll("ada");
    await site.commit(late);
    assertEquals(await site.manager.list("ada"), []);
  });

  it("7.4.3: all other sessions can be ended when a factor changes", async () => {
    const site = new Site();
    const [here, there] = [await signedIn(site), await signedIn(site)];
    await here.visit(async (session) => {
      session.regenerate({ reauthenticated: true });
      await site.manager.destroyAll("ada", { except: session });
    });
    assertEquals(await principalOf(here), "ada");
    assertEquals(await principalOf(there), undefined);
  });

  for (const [when, makeProvider] of PROVIDERS) {
    it(`7.4.5: an administrator can end every session on a provider that answers ${when}`, async () => {
      const site = new Site({ provider: makeProvider() });
      const browsers = [
        await signedIn(site),
        await signedIn(site, "grace"),
        await visitor(site),
      ];
      site.takeEvents();
      assertEquals(await site.manager.destroyEverything(), 3);
      for (const browser of browsers) {
        assert(await browser.look((session) => session.isNew));
      }
      assertEquals(site.events[0], { type: "destroyed-everything", count: 3 });
    });
  }

  it("7.4.5: an administrator can end one session by its id", async () => {
    const site = new Site();
    const [one, another] = [await signedIn(site), await signedIn(site)];
    assert(await site.manager.destroy(await idOfSession(one)));
    assertEquals(await principalOf(one), undefined);
    assertEquals(await principalOf(another), "ada");
  });
});

describe("ASVS 7.5, defences against session abuse", () => {
  it("7.5.1: a session is fresh for as long as asked after the sign-in", async () => {
    const site = new Site();
    const browser = await signedIn(site);
    site.pass(299.999);
    assert(await browser.look((session) => session.isFresh(300)));
    site.pass(0.001);
    assertFalse(await browser.look((session) => session.isFresh(300)));
  });

  it("7.5.1: full re-authentication makes a session fresh again", async () => {
    const site = new Site();
    const browser = await signedIn(site);
    site.pass(600);
    await browser.visit((session) =>
      session.regenerate({ reauthenticated: true })
    );
    assert(await browser.look((session) => session.isFresh(300)));
    assertEquals(
      await browser.look((session) => session.authenticatedAt),
      site.now,
    );
  });

  it("7.5.1: neither use, nor renewal, nor regenerate makes a session fresh", async () => {
    const site = new Site();
    const browser = await signedIn(site);
    site.pass(900);
    await browser.visit((session) => session.set("a", 1));
    await browser.visit((session) => session.regenerate());
    assertFalse(await browser.look((session) => session.isFresh(900)));
  });

  it("7.5.1: a visitor who never signed in is not fresh", async () => {
    const browser = await visitor(new Site());
    assertFalse(await browser.look((session) => session.isFresh(43_200)));
  });

  it("7.5.2: users can see their sessions without anything that opens one", async () => {
    const site = new Site();
    const here = await signedIn(site, "ada", "Laptop");
    site.pass(60);
    const there = await signedIn(site, "ada", "Phone");
    const current = await site.start(here.cookie);
    const devices = await site.manager.list("ada", { current });
    assertEquals(
      devices.map(({ label, isCurrent }) => [label, isCurrent]),
      [["Phone", false], ["Laptop", true]],
    );
    const text = JSON.stringify(devices);
    for (const { token } of [here, there]) {
      assertFalse(text.includes(secretOf(token)));
    }
    for (const { id } of devices) {
      assert((await site.start(`__Host-id=${id}`)).isNew);
    }
  });

  it("7.5.2: users can end any of their sessions and no other user's", async () => {
    const site = new Site();
    const phone = await signedIn(site);
    const grace = await signedIn(site, "grace");
    const own = { principal: "ada" };
    assert(await site.manager.destroy(await idOfSession(phone), own));
    assertFalse(await site.manager.destroy(await idOfSession(grace), own));
    assertEquals(await principalOf(phone), undefined);
    assertEquals(await principalOf(grace), "grace");
  });

  it("7.5.3: a highly sensitive operation can ask for a sign-in of this minute", async () => {
    const site = new Site();
    const browser = await signedIn(site);
    site.pass(60);
    assert(await browser.look((session) => session.isFresh(300)));
    assertFalse(await browser.look((session) => session.isFresh(60)));
    await browser.visit((session) =>
      session.regenerate({ reauthenticated: true })
    );
    assert(await browser.look((session) => session.isFresh(60)));
  });
});

describe("ASVS 7.6, federated re-authentication", () => {
  it("7.6.1: one session's lifetime holds through renewals and for no other", async () => {
    const site = new Site();
    const [federated, other] = [await signedIn(site), await signedIn(site)];
    await federated.visit((session) =>
      session.lifetime({ idleTimeout: 1800, absoluteTimeout: 2000 })
    );
    site.pass(1000);
    await federated.visit();
    await federated.visit();
    site.pass(1000);
    assertEquals(await principalOf(federated), undefined);
    assertEquals(await principalOf(other), "ada");
  });

  it("7.6.2: a visit that stores nothing makes no session and sends no cookie", async () => {
    const provider = new MemoryProvider();
    const browser = new Browser(new Site({ provider }));
    const response = await browser.visit((session) => session.get("a"));
    assertEquals(setCookies(response), []);
    assertEquals(provider.stats().created, 0);
  });
});

describe("ASVS 3.3, cookie setup", () => {
  async function cookieOf(options: ManagerOptions = {}): Promise<string> {
    const browser = new Browser(new Site(options));
    const response = await browser.visit((session) => session.set("a", 1));
    return setCookies(response)[0] ?? "";
  }

  it("3.3.1: the cookie is Secure, and its name says so", async () => {
    assertMatch(await cookieOf(), /^__Host-id=[^;]+;.* Secure;/);
    const cookie = { domain: "shop.example" };
    assertMatch(
      await cookieOf({ cookie }),
      /^__Secure-id-[^=]+=[^;]+;.* Secure;/,
    );
  });

  it("3.3.1: a name that promises what the attributes do not keep is refused", () => {
    const cookie = { name: "__Secure-id", secure: false };
    assertThrows(() => new Manager({ cookie }), TypeError, "needs secure");
  });

  it("3.3.2: SameSite is always there, Lax unless the application says otherwise", async () => {
    assertMatch(await cookieOf(), /; SameSite=Lax(;|$)/);
    assertMatch(
      await cookieOf({ cookie: { sameSite: "strict" } }),
      /; SameSite=Strict(;|$)/,
    );
  });

  it("3.3.3: the cookie is bound to its host", async () => {
    const cookie = await cookieOf();
    assertMatch(cookie, /^__Host-[^;]+; Path=\/;/);
    assertNotMatch(cookie, /Domain/i);
  });

  it("3.3.4: the cookie is HttpOnly, whatever the options", async () => {
    for (const cookie of [{}, { secure: false }, { path: "/app" }]) {
      assertMatch(await cookieOf({ cookie }), /; HttpOnly(;|$)/);
    }
  });

  it("3.3.4: the token is in Set-Cookie and nowhere else", async () => {
    const browser = new Browser(new Site());
    let kept: Session | undefined;
    const response = await browser.visit((session) => {
      session.signIn("ada");
      kept = session;
    });
    const headers = [...response.headers]
      .filter(([name]) => name !== "set-cookie");
    const printed = [
      JSON.stringify(headers),
      await response.text(),
      JSON.stringify(kept),
      String(kept),
      inspect(kept, { depth: 9, showHidden: true }),
    ];
    for (const text of printed) {
      assertFalse(text.includes(secretOf(browser.token)));
    }
  });

  it("3.3.5: a name and token of more than 4096 bytes are refused", () => {
    const cookie = { name: "a".repeat(4041) };
    assertThrows(() => new Manager({ cookie }), TypeError, "4096 bytes");
  });
});

describe("ASVS 3.5, origin separation", () => {
  async function post(browser: Browser, headers: Record<string, string>) {
    const handler = browser.site.manager.handle((_request, session) => {
      session.set("paid", true);
      return new Response();
    });
    const cookie = browser.cookie ?? "";
    const init = { method: "POST", headers: { ...headers, cookie } };
    const { status } = await handler(new Request(SHOP, init));
    return { status, paid: await browser.look((s) => s.has("paid")) };
  }

  it("3.5.1: a form of another site changes nothing", async () => {
    const browser = await signedIn(new Site());
    const headers = { "sec-fetch-site": "cross-site" };
    assertEquals(await post(browser, headers), { status: 403, paid: false });
  });

  it("3.5.1: a form can carry a token that another site cannot know", async () => {
    const site = new Site();
    const [ada, eve] = [await signedIn(site), await signedIn(site, "eve")];
    const forAda = await ada.look((session) => session.formToken());
    const forEve = await eve.look((session) => session.formToken());
    assert(await ada.look((session) => session.checkFormToken(forAda)));
    assertFalse(await ada.look((session) => session.checkFormToken(forEve)));
  });

  it("3.5.2: a request that asks for no preflight is refused all the same", async () => {
    const browser = await signedIn(new Site());
    const headers = {
      "content-type": "text/plain",
      origin: "https://evil.example",
    };
    assertEquals(await post(browser, headers), { status: 403, paid: false });
  });

  it("3.5.3: every method but GET, HEAD and OPTIONS is protected", async () => {
    const site = new Site();
    const handler = site.manager.handle(() => new Response());
    const headers = { "sec-fetch-site": "cross-site" };
    const statuses = [];
    for (const method of ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"]) {
      const { status } = await handler(new Request(SHOP, { method, headers }));
      statuses.push(status);
    }
    assertEquals(statuses, [200, 200, 200, 403, 403, 403]);
  });
});

describe("ASVS 11, cryptography", () => {
  it("11.2.4: comparing hashes reads as much for a difference at the start as at the end", () => {
    const hash = "a".repeat(64);
    const digest = "a".repeat(64);
    const read = (other: string) => {
      const original = String.prototype.charCodeAt;
      let count = 0;
      String.prototype.charCodeAt = function (index) {
        count++;
        return original.call(this, index);
      };
      try {
        assertFalse(areEqual(hash, other));
      } finally {
        String.prototype.charCodeAt = original;
      }
      return count;
    };
    const early = read(`b${digest.slice(1)}`);
    const late = read(`${digest.slice(1)}b`);
    assertEquals(early, late);
    assert(early >= 64, `${early} characters`);
  });

  it("11.2.4: the store is asked by id, and never gets the secret", async () => {
    const { provider, told } = listening();
    const browser = await signedIn(new Site({ provider }));
    await browser.visit((session) => session.set("a", 1));
    const text = inspect(told, { depth: 9 });
    assert(text.includes(idOf(browser.token)));
    assertFalse(text.includes(secretOf(browser.token)));
  });

  it("11.4.1: what is stored of a secret is its generation and its SHA-256", async () => {
    const provider = new MemoryProvider();
    const browser = await signedIn(new Site({ provider }));
    const stored = provider.read(idOf(browser.token), browser.site.now);
    const secret = secretOf(browser.token);
    const expected = createHash("sha256").update(secret).digest("hex");
    assertEquals(stored?.secretHash, secret.slice(16, 20) + expected);
  });

  it("11.5.1: a secret, a renewed one and a form token have 96 and more new random bits", async () => {
    const site = new Site();
    const browser = await signedIn(site);
    const secrets = new Set<string>();
    const forms = new Set<string>();
    for (let renewal = 0; renewal < 40; renewal++) {
      secrets.add(secretOf(browser.token).slice(20));
      forms.add(await browser.look((session) => session.formToken()));
      site.pass(900);
      await browser.visit();
    }
    assertEquals([secrets.size, forms.size], [40, 40]);
    for (const secret of secrets) assertEquals(secret.length * 6, 96);
  });
});

describe("ASVS 14, data protection", () => {
  it("14.2.1: a token is taken from the cookie alone", async () => {
    const site = new Site();
    const { token, cookie } = await signedIn(site);
    const address = `${SHOP};id=${token}?__Host-id=${token}&id=${token}`;
    const headers = {
      authorization: `Bearer ${token}`,
      "x-session-id": token,
      "set-cookie": cookie ?? "",
    };
    const session = await site.manager.start(new Request(address, { headers }));
    assert(session.isNew);
  });

  it("14.3.1: the browser can be told to clear what it has stored of the site", async () => {
    const browser = await signedIn(new Site());
    const response = await browser.visit((session) =>
      session.destroy({ clearSiteData: true })
    );
    assertEquals(
      response.headers.get("clear-site-data"),
      '"cache", "cookies", "storage"',
    );
  });

  it("14.3.1: the browser is told so even when the session had ended already", async () => {
    const response = await new Browser(new Site()).visit((session) =>
      session.destroy({ clearSiteData: true })
    );
    assert(response.headers.has("clear-site-data"));
  });

  it("14.3.2: whatever sends or clears the cookie is kept out of caches", async () => {
    const site = new Site();
    const browser = new Browser(site);
    const responses = [await browser.visit((session) => session.set("a", 1))];
    site.pass(900);
    responses.push(
      await browser.visit(),
      await browser.visit((session) => session.signIn("ada")),
      await browser.visit((session) => session.destroy()),
    );
    for (const response of responses) {
      assertEquals(setCookies(response).length, 1);
      assertEquals(response.headers.get("cache-control"), "no-store");
    }
  });

  it("14.3.2: a handler's own stricter header stays", async () => {
    const headers = { "cache-control": "private, no-store, max-age=0" };
    const response = await new Browser(new Site()).visit(
      (session) => session.set("a", 1),
      new Response("", { headers }),
    );
    assertEquals(
      response.headers.get("cache-control"),
      headers["cache-control"],
    );
  });
});

describe("ASVS 15.4, safe concurrency", () => {
  it("15.4.1: what one request does to a value no other request sees", async () => {
    const browser = await visitor(new Site());
    const [one, other] = [
      await browser.site.start(browser.cookie),
      await browser.site.start(browser.cookie),
    ];
    const cart = one.get("cart") as string[];
    assertThrows(() => cart.push("hat"), TypeError);
    one.set("cart", ["hat"]);
    assertEquals(other.get("cart"), ["coat"]);
  });

  it("15.4.1: requests that change different keys both keep their work", async () => {
    const browser = await visitor(new Site());
    const [one, other] = [
      await browser.site.start(browser.cookie),
      await browser.site.start(browser.cookie),
    ];
    one.set("a", 1);
    other.set("b", 2);
    await Promise.all([browser.site.commit(one), browser.site.commit(other)]);
    assertEquals(
      await browser.look((session) => [session.get("a"), session.get("b")]),
      [1, 2],
    );
  });

  it("15.4.2: a change is checked and made in one call of the provider", async () => {
    const { provider, told } = listening();
    const browser = await visitor(new Site({ provider }));
    told.length = 0;
    await browser.visit((session) => session.set("a", 1));
    const id = idOf(browser.token);
    assertEquals(told.filter((part) => typeof part === "string"), [
      "read",
      id,
      "update",
      id,
    ]);
    assert(inspect(told, { depth: 9 }).includes("family"));
  });

  for (const [when, makeProvider] of PROVIDERS) {
    it(`15.4.2: no increment of many at once is lost on a provider that answers ${when}`, async () => {
      const browser = await visitor(new Site({ provider: makeProvider() }));
      const visits = Array.from({ length: 20 }, async () => {
        const session = await browser.site.start(browser.cookie);
        await session.update("count", (count = 0) => Number(count) + 1);
      });
      await Promise.all(visits);
      assertEquals(await browser.look((session) => session.get("count")), 20);
    });
  }

  it("15.4.3: a request that never ends keeps no other one waiting", async () => {
    const browser = await visitor(
      new Site({ provider: later(new MemoryProvider()) }),
    );
    const stuck = await browser.site.start(browser.cookie);
    stuck.set("a", 1);
    await browser.visit((session) => session.set("b", 2));
    assertEquals(await browser.look((session) => session.get("b")), 2);
  });

  it("15.4.4: a store that never answers holds a request up for no longer than the timeout", async () => {
    const provider = new MemoryProvider();
    const browser = await visitor(new Site({ provider, timeout: 5 }));
    Object.assign(provider, { read: () => new Promise(() => {}) });
    const time = new FakeTime();
    try {
      const waiting = assertRejects(
        () => browser.look(() => {}),
        SessionError,
        "within 5 seconds",
      );
      await Promise.resolve();
      time.tick(5000);
      assertEquals((await waiting).code, "timeout");
    } finally {
      time.restore();
    }
  });
});

describe("ASVS 2.4 and 16, logging and failures", () => {
  it("2.4.1: new sessions and refused cookies can be counted as they happen", async () => {
    const site = new Site();
    for (let count = 0; count < 50; count++) {
      await visitor(site);
      await new Browser(site, `__Host-id=${mintToken()}`).visit();
    }
    const types = told(site);
    const countOf = (type: string) => types.filter((t) => t === type).length;
    assertEquals([countOf("created"), countOf("unknown")], [50, 50]);
  });

  it("16.2.5: no event holds a token, and none is needed to find its session", async () => {
    const site = new Site();
    const browser = await signedIn(site);
    const { token } = browser;
    site.pass(900);
    await browser.visit();
    await browser.visit((session) => session.destroy());
    assertEquals(
      site.events.map((event) => "id" in event && event.id),
      Array(4).fill(idOf(token)),
    );
    const text = JSON.stringify(site.events);
    assertFalse(text.includes(secretOf(token).slice(0, 16)));
  });

  it("16.2.5: no error of a store that failed holds a token", async () => {
    const provider = new MemoryProvider();
    const browser = await signedIn(new Site({ provider }));
    failing(provider, "read");
    const error = await assertRejects(
      () => browser.look(() => {}),
      SessionError,
    );
    const text = inspect(error, { depth: 9 }) + error.stack;
    assertFalse(text.includes(secretOf(browser.token)));
  });

  /** What raises a refusal, with the reason that tells of it. */
  const BYPASSES: readonly (readonly [
    string,
    (site: Site, owner: Browser) => Promise<unknown>,
  ])[] = [
    ["malformed", (site) => site.start("__Host-id=' OR 1=1 --")],
    ["unknown", (site) => site.start(`__Host-id=${mintToken()}`)],
    ["wrong-secret", (site, owner) => {
      return site.start(`__Host-id=${idOf(owner.token)}${mintSecret()}`);
    }],
    ["ambiguous", async (site, owner) => {
      const other = await signedIn(site);
      return await site.start(`${owner.cookie}; ${other.cookie}`);
    }],
    ["superseded", async (site, owner) => {
      const { cookie } = owner;
      await owner.visit((session) => session.signIn("ada"));
      await site.start(cookie);
    }],
    ["reused", async (site, owner) => {
      const { cookie } = owner;
      for (let renewal = 0; renewal < 2; renewal++) {
        site.pass(900);
        await owner.visit();
      }
      await owner.visit();
      site.pass(30);
      await site.start(cookie);
    }],
    ["cross-origin", (site) => {
      const headers = { "sec-fetch-site": "cross-site" };
      const request = new Request(SHOP, { method: "POST", headers });
      return site.manager.handle(() => new Response())(request);
    }],
    ["fingerprint", (site, owner) => {
      const request = requestWith(owner.cookie);
      request.headers.set("user-agent", "curl");
      return Promise.resolve(site.manager.start(request));
    }],
  ];

  for (const [reason, bypass] of BYPASSES) {
    it(`16.3.3: an attempt to get by is told as ${reason}`, async () => {
      const site = new Site({
        fingerprint: ({ headers }) => headers.get("user-agent") ?? "",
        onFingerprintChange: "refuse",
      });
      const owner = await signedIn(site);
      told(site);
      await bypass(site, owner);
      assert(told(site).includes(reason));
    });
  }

  const FAILURES: readonly (readonly [
    keyof Provider,
    (browser: Browser) => unknown,
  ])[] = [
    ["read", (browser) => browser.visit()],
    ["create", ({ site }) => visitor(site)],
    ["update", (browser) => browser.visit((session) => session.set("a", 1))],
    ["destroy", (browser) => browser.visit((session) => session.destroy())],
    ["list", ({ site }) => site.manager.list("ada")],
    ["destroyAll", ({ site }) => site.manager.destroyAll("ada")],
    ["clear", ({ site }) => site.manager.destroyEverything()],
  ];

  for (const [call, request] of FAILURES) {
    it(`16.5.2: a request fails when ${call} fails, and an event tells`, async () => {
      const provider = new MemoryProvider();
      const browser = await signedIn(new Site({ provider }));
      told(browser.site);
      failing(provider, call);
      const error = await assertRejects(
        async () => await request(browser),
        SessionError,
      );
      assertEquals(error.code, "store-failed");
      assertEquals(told(browser.site), ["store-error"]);
    });
  }

  it("16.5.2: a touch that fails is told by an event, and fails no request", async () => {
    const provider = new MemoryProvider();
    const browser = await signedIn(new Site({ provider }));
    browser.site.pass(60);
    told(browser.site);
    failing(provider, "touch");
    await browser.visit((session) => assertEquals(session.principal, "ada"));
    assertEquals(told(browser.site), ["store-error"]);
  });

  it("16.5.3: a store that cannot read lets nobody in and makes nobody a visitor", async () => {
    const provider = new MemoryProvider();
    const browser = await signedIn(new Site({ provider }));
    failing(provider, "read");
    let isReached = false;
    await assertRejects(
      () => browser.visit(() => isReached = true),
      SessionError,
    );
    assertFalse(isReached);
    assertEquals(provider.stats().created, 1);
  });
});

describe("the OWASP cheat sheets", () => {
  it("CS id name: the cookie's name tells nothing of what is behind it", async () => {
    const browser = await visitor(new Site());
    assertEquals(browser.cookie?.split("=")[0], "__Host-id");
  });

  it("CS strict mode: an id that was never issued becomes no session, and an event tells", async () => {
    const provider = new MemoryProvider();
    const site = new Site({ provider });
    const planted = new Browser(site, `__Host-id=${mintToken()}`);
    const before = planted.token;
    await planted.visit((session) => session.signIn("ada"));
    assertEquals(told(site), ["unknown", "created", "signed-in"]);
    assertNotEquals(idOf(planted.token), idOf(before));
    assertEquals(provider.read(idOf(before), site.now), undefined);
  });

  it("CS untrusted input: what cannot be a token never reaches the store", async () => {
    const { provider, told } = listening();
    const site = new Site({ provider });
    told.length = 0;
    const values = ["", "../../etc/passwd", "%00", "a".repeat(1e5), "'; DROP"];
    for (const value of values) await site.start(`__Host-id=${value}`);
    assertEquals(told, []);
  });

  it("CS renewal: the token is renewed with time, and the old one dies when the new one is used", async () => {
    const site = new Site();
    const browser = await signedIn(site);
    const old = new Browser(site, browser.cookie);
    site.pass(900);
    await browser.visit();
    assertNotEquals(browser.cookie, old.cookie);
    assertEquals(await principalOf(old), "ada");
    await browser.visit();
    site.pass(30);
    assertEquals(await principalOf(old), undefined);
  });

  it("CS persistence: the cookie ends with the browser unless the application says otherwise", async () => {
    const response = await new Browser(new Site()).visit((session) =>
      session.signIn("ada")
    );
    assertNotMatch(setCookies(response)[0] ?? "", /Max-Age|Expires/i);
  });

  it("CS client properties: a change of the client is told and by default nothing else", async () => {
    const site = new Site({
      fingerprint: ({ headers }) => headers.get("accept-language") ?? "",
    });
    const browser = await signedIn(site);
    told(site);
    const request = requestWith(browser.cookie);
    request.headers.set("accept-language", "tlh");
    assertEquals((await site.manager.start(request)).principal, "ada");
    assertEquals(told(site), ["fingerprint-changed"]);
  });

  it("CS lifecycle: creation, renewal and destruction are told with the id", async () => {
    const site = new Site();
    const browser = await visitor(site);
    const id = await idOfSession(browser);
    site.pass(900);
    await browser.visit();
    await browser.visit((session) => session.destroy());
    assertEquals(site.events, [
      { type: "created", id },
      { type: "renewed", id },
      { type: "destroyed", id },
    ]);
  });

  it("CS multiple cookies: two different tokens at once open nothing", async () => {
    const site = new Site();
    const [ada, eve] = [await signedIn(site), await signedIn(site, "eve")];
    const session = await site.start(`${ada.cookie}; ${eve.cookie}`);
    assert(session.isNew);
    assertEquals(told(site).at(-1), "ambiguous");
  });

  it("CS cookie theft: a client that looks different can be made to sign in again", async () => {
    const site = new Site({
      fingerprint: ({ headers }) => headers.get("user-agent") ?? "",
      onFingerprintChange: "refuse",
    });
    const browser = await signedIn(site);
    const request = requestWith(browser.cookie);
    request.headers.set("user-agent", "curl");
    assertEquals((await site.manager.start(request)).principal, undefined);
    assertEquals(await principalOf(browser), "ada");
  });
});

describe("faults and invariants that no other file tests", () => {
  it("G02: a new token goes out in exactly one Set-Cookie", async () => {
    const browser = await visitor(new Site());
    const response = await browser.visit((session) => {
      session.regenerate();
      session.signIn("ada");
      session.regenerate();
      session.lifetime({ persistent: true });
    });
    assertEquals(setCookies(response).length, 1);
  });

  it("I10: a corrupt record lets nobody in, and can be ended by its id", async () => {
    const provider = new MemoryProvider();
    const browser = await signedIn(new Site({ provider }));
    const { site, token } = browser;
    const read = provider.read.bind(provider);
    provider.read = (): SessionRecord => {
      throw new SessionError("corrupt", "Cannot decode value: not JSON");
    };
    const error = await assertRejects(() => browser.visit(), SessionError);
    assertEquals(error.code, "corrupt");
    assertEquals(told(site).at(-1), "store-error");
    assert(await site.manager.destroy(idOf(token)));
    provider.read = read;
    assertEquals(await principalOf(browser), undefined);
  });
});
