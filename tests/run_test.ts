import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { describe, it } from "node:test";
import { type Session, SessionError } from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { Browser, Gate, requestWith, Site, visitor } from "./_browser.ts";

const SHOP = "http://localhost/";

describe("run", () => {
  it("starts, calls, commits", async () => {
    const { manager } = new Site();
    const response = await manager.run(new Request(SHOP), (session) => {
      session.set("a", 1);
      return new Response("answer");
    });
    assertEquals(await response.text(), "answer");
    assertEquals(response.headers.getSetCookie().length, 1);
  });

  it("takes anything with a method, a URL and headers", async () => {
    const { manager } = new Site();
    const headers = { get: () => null };
    const like = { method: "GET", url: SHOP, headers };
    const response = await manager.run(like, (session) => {
      return new Response(String(session.isNew));
    });
    assertEquals(await response.text(), "true");
  });

  it("answers another site's request before anything is started", async () => {
    const { manager } = new Site();
    const headers = { origin: "https://evil.example" };
    const request = new Request(SHOP, { method: "POST", headers });
    let isReached = false;
    const response = await manager.run(request, () => {
      isReached = true;
      return new Response();
    });
    assertEquals([response.status, isReached], [403, false]);
    assertEquals((await manager.intercept(request))?.status, 403);
    assertEquals(await manager.intercept(new Request(SHOP)), undefined);
  });

  it("mounted twice keeps the outer session, and commits once", async () => {
    const site = new Site();
    const { manager } = site;
    const request = new Request(SHOP);
    const response = await manager.run(request, (outer) => {
      outer.set("outer", 1);
      return manager.run(request, (inner) => {
        assertStrictEquals(inner, outer);
        inner.set("inner", 2);
        return new Response();
      });
    });
    assertEquals(response.headers.getSetCookie().length, 1);
    assertEquals(site.takeEvents(), ["created"]);
  });

  it("keeps two managers on one request apart", async () => {
    const [one, two] = [new Site(), new Site({ cookie: { name: "two" } })];
    const request = new Request(SHOP);
    const response = await one.manager.run(request, (outer) => {
      outer.set("a", 1);
      return two.manager.run(request, (inner) => {
        assertFalse(inner.has("a"));
        inner.set("b", 1);
        return new Response();
      });
    });
    assertEquals(response.headers.getSetCookie().length, 2);
  });

  it("hands an answer through that is none, as after an upgrade on Bun", async () => {
    const browser = await visitor();
    const request = requestWith(browser.cookie);
    assertEquals(await browser.site.manager.run(request, () => {}), undefined);
  });

  it("refuses an answer that is no response, and drops what was changed", async () => {
    for (const answer of [{}, "hello", null, 42, { status: 200 }]) {
      const browser = await visitor();
      const visit = browser.site.manager.run(
        requestWith(browser.cookie),
        (session) => {
          session.set("name", "Eve");
          return answer as unknown as Response;
        },
      );
      await assertRejects(() => visit, TypeError, "must be a Response");
      const name = await browser.look((session) => session.get("name"));
      assertEquals(name, "Ada");
    }
  });

  it("drops what was changed when a framework says that it failed", async () => {
    const browser = await visitor();
    const { manager } = browser.site;
    const response = await manager.run(
      requestWith(browser.cookie),
      (session) => {
        session.set("name", "Eve");
        return new Response("error page", { status: 404 });
      },
      { failed: () => true },
    );
    assertEquals(response.status, 404);
    assertEquals(await browser.look((session) => session.get("name")), "Ada");
  });

  it("refuses an option that it does not know", async () => {
    const { manager } = new Site();
    const options = { isuse: false } as object;
    await assertRejects(
      () => manager.run(new Request(SHOP), () => new Response(), options),
      TypeError,
      "isuse",
    );
  });
});

describe("a request that fails", () => {
  const failures = {
    "throws": () => {
      throw new Error("boom");
    },
    "answers 500": () => new Response(null, { status: 500 }),
    "answers 503": () => new Response(null, { status: 503 }),
  };
  for (const [how, fail] of Object.entries(failures)) {
    const attempt = async (browser: Browser, act: (s: Session) => unknown) => {
      const visit = browser.site.manager.handle(async (_request, session) => {
        await act(session);
        return fail();
      });
      const response = await visit(requestWith(browser.cookie))
        .catch(() => new Response());
      return browser.receive(response);
    };

    it(`because it ${how} keeps nothing of what it changed`, async () => {
      const browser = await visitor();
      const { cookie } = browser;
      await attempt(browser, (session) => {
        session.set("name", "Eve");
        session.signIn("eve");
        session.lifetime({ persistent: true });
      });
      assertEquals(browser.cookie, cookie);
      await browser.look((session) => {
        const { principal } = session;
        assertEquals([session.get("name"), principal], ["Ada", undefined]);
      });
      const stranger = new Browser(browser.site);
      await attempt(stranger, (session) => session.set("name", "Eve"));
      assertEquals(stranger.cookie, undefined);
    });

    it(`because it ${how} ends the session all the same`, async () => {
      const browser = await visitor();
      const old = new Browser(browser.site, browser.cookie);
      await attempt(browser, (session) => session.destroy());
      assert(await old.look((session) => session.isNew));
      assertEquals(browser.site.takeEvents()[0], "destroyed");
    });

    it(`because it ${how} keeps an update, which was done at once`, async () => {
      const browser = await visitor();
      await attempt(browser, (s) => s.update("name", () => "Eve"));
      assertEquals(await browser.look((s) => s.get("name")), "Eve");
    });

    it(`because it ${how} says so, and not that the store failed too`, async () => {
      const provider = new MemoryProvider();
      const site = new Site({ provider });
      const browser = await visitor(site);
      provider.destroy = () => {
        throw new Error("the store is down");
      };
      await attempt(browser, (session) => session.destroy());
      assertEquals(site.takeEvents(), ["store-error"]);
    });
  }

  it("answers 404 and keeps what it changed", async () => {
    const browser = await visitor();
    const response = new Response(null, { status: 404 });
    await browser.visit((session) => session.set("name", "Eve"), response);
    assertEquals(await browser.look((session) => session.get("name")), "Eve");
  });
});

describe("a request that is no use of the session", () => {
  const poll = { isUse: false };

  it("prolongs nothing, be it that it reads or writes", async () => {
    for (const act of ["read", "write", "update"]) {
      const browser = await visitor();
      const { manager } = browser.site;
      for (let minute = 0; minute < 59; minute++) {
        browser.site.pass(60);
        const response = await manager.run(
          requestWith(browser.cookie),
          async (session) => {
            assertFalse(session.isNew);
            if (act === "write") session.set("minute", minute);
            if (act === "update") await session.update("n", () => minute);
            return new Response();
          },
          poll,
        );
        browser.receive(response);
      }
      browser.site.pass(60);
      assert(await browser.look((session) => session.isNew), act);
    }
  });

  it("is known by an option of the manager, and the call's word wins", async () => {
    const isUse = ({ url }: { readonly url: string }) => !url.endsWith("/poll");
    const site = new Site({ isUse });
    const browser = await visitor(site);
    const accessedAt = async () => {
      return await browser.look((session) => session.accessedAt);
    };
    const before = await accessedAt();
    site.pass(600);
    const headers = { cookie: browser.cookie as string };
    const request = new Request(`${SHOP}poll`, { headers });
    const answer = () => new Response();
    await site.manager.run(request, answer);
    assertEquals(await accessedAt(), before);
    await site.manager.run(request, answer, { isUse: true });
    assertEquals(await accessedAt(), before + 600_000);
  });

  it("still renews the secret", async () => {
    const browser = await visitor();
    const { token } = browser;
    browser.site.pass(900);
    const request = requestWith(browser.cookie);
    const answer = () => new Response();
    browser.receive(await browser.site.manager.run(request, answer, poll));
    assertFalse(browser.token === token);
  });

  it("cannot be told by anything but true and false", () => {
    const { manager } = new Site();
    const options = { isUse: "no" } as object;
    assertThrows(() => manager.start(new Request(SHOP), options), TypeError);
  });
});

describe("a request that takes longer than the idle timeout", () => {
  it("ends no session of which half the time was over when it began", async () => {
    const browser = await visitor(new Site({ idleTimeout: 300 }));
    browser.site.pass(200);
    const upload = await browser.look((session) => session);
    browser.site.pass(200);
    upload.set("file", "all of it");
    await browser.site.commit(upload);
    const file = await browser.look((session) => session.get("file"));
    assertEquals(file, "all of it");
  });

  it("is told by an event when the store fails meanwhile, and goes on", async () => {
    const provider = new MemoryProvider();
    const browser = await visitor(new Site({ provider, idleTimeout: 300 }));
    provider.touch = () =>
      Promise.reject(new Error("the store is down")) as unknown as boolean;
    browser.site.pass(200);
    await browser.visit((session) => session.set("name", "Eve"));
    assertEquals(browser.site.takeEvents(), ["store-error"]);
    assertEquals(await browser.look((session) => session.get("name")), "Eve");
  });
});

describe("a password that changes during a sign-in", () => {
  /** Signs in with a password that may change at some moment. */
  async function signInWhile(change: (site: Site) => unknown, at: string) {
    const site = new Site();
    const user = { password: "old" };
    const set = async () => {
      user.password = "new";
      await change(site);
    };
    const browser = new Browser(site);
    const visit = browser.visit(async (session) => {
      const shown = user.password;
      if (at === "before the commit") await set();
      session.signIn("ada", {
        stillValid: async () => {
          if (at === "after it is stored") await set();
          return shown === user.password;
        },
      });
    });
    const code = await visit.then(() => undefined, ({ code }) => code);
    if (at === "after the answer") await set();
    return { site, browser, code };
  }

  for (const at of ["before the commit", "after it is stored"]) {
    it(`ends the sign-in when it changes ${at}`, async () => {
      const ends = (site: Site) => site.manager.destroyAll("ada");
      const { site, browser, code } = await signInWhile(ends, at);
      assertEquals([code, browser.cookie], ["not-valid", undefined]);
      assertEquals(await site.manager.list("ada"), []);
    });
  }

  it("ends it too when it changes after the answer", async () => {
    const ends = (site: Site) => site.manager.destroyAll("ada");
    const { browser } = await signInWhile(ends, "after the answer");
    assert(await browser.look((session) => session.isNew));
  });

  it("lets a sign-in stay that still holds", async () => {
    const browser = await visitor();
    await browser.visit((s) => s.signIn("ada", { stillValid: () => true }));
    assertEquals(await browser.look(({ principal }) => principal), "ada");
  });

  it("fails as the question does that cannot be answered", async () => {
    const browser = await visitor();
    const stillValid = () => Promise.reject(new Error("no database"));
    const visit = browser.visit((s) => s.signIn("ada", { stillValid }));
    await assertRejects(() => visit, Error, "no database");
    assertEquals(await browser.site.manager.list("ada"), []);
  });

  it("takes nothing but true for yes", async () => {
    const browser = await visitor();
    const stillValid = () => "yes" as unknown as boolean;
    const visit = browser.visit((s) => s.signIn("ada", { stillValid }));
    await assertRejects(() => visit, SessionError, "did not answer true");
  });
});

describe("ready", () => {
  it("makes one round trip, and is silent where the store answers", async () => {
    const provider = new MemoryProvider();
    let calls = 0;
    const read = provider.read.bind(provider);
    provider.read = (...args) => {
      calls++;
      return read(...args);
    };
    await new Site({ provider }).manager.ready();
    assertEquals(calls, 1);
  });

  it("says at the start what is wrong", async () => {
    const provider = new MemoryProvider();
    provider.read = () => {
      throw new Error("no such host");
    };
    const error = await assertRejects(
      () => new Site({ provider }).manager.ready(),
      SessionError,
    );
    assertEquals(error.code, "store-failed");
    assertEquals(String(error.cause), "Error: no such host");
  });
});

describe("close", () => {
  it("starts no more sessions, and waits for the requests under way", async () => {
    const browser = await visitor();
    const { manager } = browser.site;
    const gate = new Gate();
    const slow = manager.run(requestWith(browser.cookie), async (session) => {
      await gate.promise;
      session.set("name", "Eve");
      return new Response("done");
    });
    let isClosed = false;
    const closing = manager.close().then(() => {
      isClosed = true;
    });
    assertThrows(
      () => manager.start(new Request(SHOP)),
      SessionError,
      "closed",
    );
    await new Promise((resolve) => setTimeout(resolve, 0));
    assertFalse(isClosed);
    gate.open();
    assertEquals(await (await slow).text(), "done");
    await closing;
    await assertRejects(() => manager.gc(), SessionError, "closed");
  });

  it("waits no longer than the timeout", async () => {
    const site = new Site({ timeout: 0.01 });
    const gate = new Gate();
    const slow = site.manager.run(new Request(SHOP), async () => {
      await gate.promise;
      return new Response();
    });
    await site.manager.close();
    gate.open();
    assertEquals((await slow).status, 200);
  });
});
