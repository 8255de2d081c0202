import {
  assert,
  assertEquals,
  assertFalse,
  assertNotStrictEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { describe, it } from "node:test";
import { setImmediate } from "node:timers";
import { Manager, type Provider, type Session, SessionError } from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";
import {
  Browser,
  Gate,
  requestWith,
  Site,
  START,
  visitor,
} from "./_browser.ts";

const NOBODY = "A".repeat(60);

/** A provider that counts its calls and can be told to fail or to wait. */
class ScriptedProvider extends MemoryProvider {
  readonly calls: string[] = [];
  around: (name: string, call: () => unknown) => unknown = (_name, call) =>
    call();

  constructor() {
    super();
    const names = ["create", "read", "update", "touch", "destroy"] as const;
    for (const name of names) {
      const method = this[name].bind(this) as (...args: unknown[]) => unknown;
      Object.assign(this, {
        [name]: (...args: unknown[]) => {
          this.calls.push(name);
          return this.around(name, () => method(...args));
        },
      });
    }
  }

  takeCalls(): string[] {
    return this.calls.splice(0);
  }
}

function refusals(site: Site): (string | undefined)[] {
  return site.events.map((event) =>
    event.type === "refused" ? event.reason : event.type
  );
}

describe("start", () => {
  it("gives a request without a cookie a new session without any I/O", async () => {
    const provider = new ScriptedProvider();
    const site = new Site({ provider });
    assert((await site.start()).isNew);
    assert((await site.start("other=1; another=2")).isNew);
    assertEquals(provider.calls, []);
    assertEquals(site.events, []);
  });

  it("answers without a promise on the memory provider", async () => {
    const site = new Site();
    const browser = await visitor(site);
    const session = site.manager.start(requestWith(browser.cookie)) as Session;
    assertEquals(session.get("name"), "Ada");
    const response = new Response();
    assertStrictEquals(site.manager.commit(session, response), response);
  });

  it("refuses what cannot be a token before any I/O", async () => {
    const malformed = [
      "",
      "short",
      "A".repeat(55),
      "A".repeat(57),
      `${"A".repeat(55)}=`,
      `${"A".repeat(55)}\u00e9`,
      `"${"A".repeat(54)}"`,
      "../".repeat(18) + "AA",
      "A".repeat(100_000),
    ];
    const provider = new ScriptedProvider();
    for (const value of malformed) {
      const site = new Site({ provider });
      assert((await site.start(`__Host-id=${value}`)).isNew, value);
      assertEquals(refusals(site), ["malformed"], value);
    }
    assertEquals(provider.calls, []);
  });

  it("never makes a session of an id that a client made up", async () => {
    const provider = new MemoryProvider();
    const site = new Site({ provider });
    const browser = new Browser(site, `__Host-id=${NOBODY}`);
    await browser.visit();
    assertEquals(refusals(site), ["unknown"]);
    await browser.visit((session) => session.set("a", 1));
    assertFalse(browser.token.startsWith("AAAA"));
    assertEquals(provider.read("A".repeat(24), site.now), undefined);
    assertEquals(provider.stats().sessions, 1);
  });

  it("gives a known id with a wrong secret a new session and leaves the owner's alone", async () => {
    const site = new Site();
    const owner = await visitor(site);
    const guess = owner.token.slice(0, 24) + "A".repeat(36);
    const guesser = new Browser(site, `__Host-id=${guess}`);
    await guesser.visit((session) => {
      assert(session.isNew);
      assertEquals(session.get("name"), undefined);
    });
    assertEquals(refusals(site), ["wrong-secret"]);
    assertEquals(await owner.look((session) => session.get("name")), "Ada");
  });

  it("does not take the stored hash for a token", async () => {
    const provider = new MemoryProvider();
    const site = new Site({ provider });
    const owner = await visitor(site);
    const id = owner.token.slice(0, 24);
    const { secretHash } = provider.read(id, site.now)!;
    assertFalse(secretHash.includes(owner.token.slice(24)));
    const thief = new Browser(
      site,
      `__Host-id=${id}${secretHash.slice(0, 32)}`,
    );
    assert(await thief.look((session) => session.isNew));
  });

  it("takes the one token among cookies of the same name that cannot be tokens", async () => {
    const site = new Site();
    const { cookie } = await visitor(site);
    for (const header of [`__Host-id=x; ${cookie}`, `${cookie}; __Host-id=`]) {
      assertFalse((await site.start(header)).isNew, header);
    }
    assertFalse((await site.start(`${cookie}; ${cookie}`)).isNew);
    assertEquals(site.events, []);
  });

  it("opens the one session that lives among several tokens", async () => {
    const site = new Site();
    const { cookie } = await visitor(site);
    const planted = `__Host-id=${NOBODY}`;
    for (const header of [`${cookie}; ${planted}`, `${planted}; ${cookie}`]) {
      const session = await site.start(header);
      assertFalse(session.isNew, header);
      assertEquals(session.refusal, undefined);
    }
    assertEquals(refusals(site), ["unknown", "unknown"]);
  });

  it("opens nothing for two tokens that open two sessions", async () => {
    const site = new Site();
    const [one, two] = [await visitor(site), await visitor(site)];
    const session = await site.start(`${one.cookie}; ${two.cookie}`);
    assertEquals([session.isNew, session.refusal], [true, "ambiguous"]);
    assertEquals(refusals(site), ["ambiguous", "ambiguous"]);
  });

  it("ends each of two sessions, even if the end of one fails", async () => {
    const provider = new MemoryProvider();
    const site = new Site({ provider });
    const all = [await visitor(site), await visitor(site)];
    const both = all.map(({ cookie }) => cookie).join("; ");
    const destroy = provider.destroy.bind(provider);
    let calls = 0;
    provider.destroy = (...args) => {
      if (calls++ === 0) throw new Error("disk on fire");
      return destroy(...args);
    };
    const session = await site.start(both);
    session.destroy();
    await assertRejects(() => site.commit(session), SessionError);
    const isNew = all.map((one) => one.look((session) => session.isNew));
    assertEquals((await Promise.all(isNew)).filter(Boolean).length, 1);
  });

  it("finds the session up to the last millisecond and not at the deadline", async () => {
    const site = new Site({ idleTimeout: 60, touchInterval: 30 });
    const browser = await visitor(site);
    site.now = START + 60_000;
    assert(await browser.look((session) => session.isNew));
    assertEquals(refusals(site), ["expired", "unknown"]);
    const other = await visitor(site);
    site.now += 59_999;
    assertFalse(await other.look((session) => session.isNew));
  });

  it("ends a session at its absolute timeout however often it is used", async () => {
    const site = new Site({ idleTimeout: 60, absoluteTimeout: 150 });
    const browser = await visitor(site);
    for (let second = 30; second < 150; second += 30) {
      site.now = START + second * 1000;
      await browser.visit((session) => session.set("second", second));
      await browser.visit((session) => session.regenerate());
    }
    site.now = START + 149_999;
    assertFalse(await browser.look((session) => session.isNew));
    site.now = START + 150_000;
    assert(await browser.look((session) => session.isNew));
  });

  it("refuses an expired record even if the provider serves it", async () => {
    const provider = new ScriptedProvider();
    const site = new Site({ provider });
    const browser = await visitor(site);
    const record = provider.read(browser.token.slice(0, 24), site.now);
    provider.around = () => record;
    site.pass(3600);
    assert(await browser.look((session) => session.isNew));
  });

  it("copes with a Cookie header of any bytes", async () => {
    const site = new Site();
    const { cookie } = await visitor(site);
    const bytes = Array.from({ length: 255 - 32 }, (_, i) => i + 32)
      .filter((code) => code !== 127)
      .map((code) => String.fromCharCode(code)).join("");
    assertFalse((await site.start(`${bytes}; ${cookie}`)).isNew);
    assert((await site.start(`__Host-id=${bytes}`)).isNew);
  });

  it("is not fooled by a comma in another cookie", async () => {
    const site = new Site();
    const { cookie } = await visitor(site);
    assert((await site.start(`planted=1, ${cookie}`)).isNew);
  });
});

describe("a mistake in a call", () => {
  it("is named where it was made", async () => {
    const { manager } = new Site();
    const mistakes: [() => unknown, string][] = [
      [() => manager.start("http://localhost/" as never), "takes a Request"],
      [() => manager.handle("handler" as never), "must be a function"],
      [() => new Manager("memory" as never), "options must be an object"],
      [() => new Manager(null as never), "options must be an object"],
      [
        () => manager.commit(Promise.resolve() as never, new Response()),
        "await manager.start() first",
      ],
    ];
    for (const [mistake, message] of mistakes) {
      assertThrows(mistake, TypeError, message);
    }
    await manager.close();
  });
});

describe("commit", () => {
  it("stores nothing and sends nothing for a new session left empty", async () => {
    const provider = new ScriptedProvider();
    const browser = new Browser(new Site({ provider }));
    const response = await browser.visit((session) => {
      session.set("name", "Ada");
      session.delete("name");
    });
    assertEquals(provider.calls, []);
    assertEquals([...response.headers], []);
  });

  it("sends the cookie once, for a session that was stored", async () => {
    const browser = new Browser(new Site());
    const first = await browser.visit((session) => session.set("a", 1));
    assertEquals(
      first.headers.getSetCookie(),
      [`${browser.cookie}; Path=/; Secure; HttpOnly; SameSite=Lax`],
    );
    const second = await browser.visit((session) => session.set("a", 2));
    assertEquals(second.headers.getSetCookie(), []);
    assertEquals(second.headers.get("cache-control"), null);
  });

  it("keeps a response that carries the cookie out of caches", async () => {
    const browser = new Browser(new Site());
    const given = [undefined, "public, max-age=60", "no-store, private"];
    const expected = ["no-store", "no-store", "no-store, private"];
    for (const [index, value] of given.entries()) {
      browser.cookie = undefined;
      const headers = value === undefined ? {} : { "cache-control": value };
      const response = await browser.visit(
        (session) => session.set("a", 1),
        new Response(null, { headers }),
      );
      assertEquals(response.headers.get("cache-control"), expected[index]);
    }
  });

  it("writes once for a change and touches for a mere access", async () => {
    const provider = new ScriptedProvider();
    const site = new Site({ provider });
    const browser = await visitor(site);
    assertEquals(provider.takeCalls(), ["create"]);
    await browser.visit();
    assertEquals(provider.takeCalls(), ["read", "touch"]);
    await browser.visit((session) => {
      session.set("a", 1);
      session.set("b", 2);
      session.delete("name");
    });
    assertEquals(provider.takeCalls(), ["read", "update"]);
  });

  it("touches a session only when the last touch is long enough ago", async () => {
    const provider = new ScriptedProvider();
    const site = new Site({ provider, touchInterval: 10 });
    const browser = await visitor(site);
    site.pass(9.999);
    await browser.visit();
    assertEquals(provider.takeCalls(), ["create", "read"]);
    site.pass(0.001);
    await browser.visit();
    assertEquals(provider.takeCalls(), ["read", "touch"]);
  });

  it("keeps a session alive as long as it is used", async () => {
    const site = new Site({ idleTimeout: 60 });
    const browser = await visitor(site);
    for (let visit = 0; visit < 5; visit++) {
      site.pass(59);
      await browser.visit();
    }
    assertEquals(await browser.look((session) => session.get("name")), "Ada");
  });

  it("keeps the work of two requests that change different keys", async () => {
    const browser = await visitor(new Site());
    const one = await browser.look((session) => session);
    const two = await browser.look((session) => session);
    one.set("a", 1);
    two.set("b", 2);
    two.delete("name");
    await browser.site.commit(one);
    await browser.site.commit(two);
    const keys = await browser.look((session) => session.keys());
    assertEquals(keys.sort(), ["a", "b"]);
  });

  it("does not revive a session that another request destroyed", async () => {
    const provider = new MemoryProvider();
    const site = new Site({ provider });
    const browser = await visitor(site);
    const [writer, reader] = [
      await browser.look((session) => session),
      await browser.look((session) => session),
    ];
    const { cookie } = browser;
    await browser.visit((session) => session.destroy());
    site.takeEvents();
    writer.set("name", "Eve");
    for (const late of [writer, reader]) {
      const response = await site.commit(late);
      assertEquals(response.headers.getSetCookie(), []);
    }
    assertEquals(site.takeEvents(), ["gone", "gone"]);
    assertEquals(provider.stats().sessions, 0);
    assert((await site.start(cookie)).isNew);
  });

  it("leaves a newer cookie alone when an older request ends late", async () => {
    const browser = await visitor(new Site());
    const late = await browser.look((session) => session);
    await browser.visit((session) => session.destroy());
    await browser.visit((session) => session.signIn("ada"));
    late.set("name", "Eve");
    browser.receive(await browser.site.commit(late));
    assertEquals(await browser.look((session) => session.principal), "ada");
  });

  it("clears the cookie on destroy, with every attribute it was set with", async () => {
    const cookie = { domain: "example.org", path: "/app", partitioned: true };
    const site = new Site({ cookie });
    const browser = await visitor(site);
    const name = browser.cookie?.split("=")[0];
    const response = await browser.visit((session) => session.destroy());
    assertEquals(response.headers.getSetCookie(), [
      `${name}=; Path=/app; Domain=example.org; Secure; HttpOnly; SameSite=Lax; Partitioned; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT`,
    ]);
    assertEquals(response.headers.get("cache-control"), "no-store");
    assertEquals(site.takeEvents(), ["destroyed"]);
  });

  it("opens nothing for the cookie of a session that was destroyed", async () => {
    const site = new Site();
    const browser = await visitor(site);
    const stolen = new Browser(site, browser.cookie);
    await browser.visit((session) => session.destroy());
    await stolen.look((session) => {
      assert(session.isNew);
      assertEquals(session.keys(), []);
    });
  });

  it("sends no cookie when a new session is destroyed", async () => {
    const provider = new ScriptedProvider();
    const browser = new Browser(new Site({ provider }));
    const response = await browser.visit((session) => {
      session.set("a", 1);
      session.destroy();
    });
    assertEquals(response.headers.getSetCookie(), []);
    assertEquals(provider.calls, []);
  });

  it("gives a persistent cookie what is left of the absolute timeout", async () => {
    const site = new Site({ cookie: { persistent: true } });
    const browser = new Browser(site);
    const first = await browser.visit((session) => session.set("a", 1));
    assert(first.headers.getSetCookie()[0]?.endsWith("; Max-Age=43200"));
    site.pass(3000.5);
    const second = await browser.visit((session) => session.regenerate());
    assert(second.headers.getSetCookie()[0]?.endsWith("; Max-Age=40199"));
  });

  it("refuses a session that is committed already or another manager's", async () => {
    const site = new Site();
    const session = await site.start();
    await assertRejects(
      () => new Site().commit(session),
      TypeError,
      "another manager",
    );
    await site.commit(session);
    await assertRejects(() => site.commit(session), TypeError, "already");
    await assertRejects(
      () => site.commit({} as Session),
      TypeError,
      "not a Session",
    );
  });
});

describe("the response", () => {
  const set = (session: Session) => session.set("a", 1);

  it("is a new one when a cookie is due, and else the same", async () => {
    const browser = new Browser(new Site());
    const response = new Response("body");
    assertNotStrictEquals(await browser.visit(set, response), response);
    assertEquals(response.headers.getSetCookie(), []);
    const next = new Response("body");
    assertStrictEquals(await browser.visit(set, next), next);
  });

  it("is a copy with status, headers and body when they cannot", async () => {
    const browser = new Browser(new Site());
    const redirect = Response.redirect("http://localhost/next", 303);
    const sent = await browser.visit(set, redirect);
    assertEquals(sent.status, 303);
    assertEquals(sent.headers.get("location"), "http://localhost/next");
    assertFalse(await browser.look((session) => session.isNew));
  });

  it("keeps the handler's own cookies", async () => {
    const headers = new Headers();
    headers.append("set-cookie", "theme=dark");
    headers.append("set-cookie", "lang=en");
    const response = new Response(null, { headers });
    const sent = await new Browser(new Site()).visit(set, response);
    assertEquals(sent.headers.getSetCookie().slice(0, 2), [
      "theme=dark",
      "lang=en",
    ]);
    assertEquals(sent.headers.getSetCookie().length, 3);
  });

  it("that was used already fails before anything is stored", async () => {
    const provider = new ScriptedProvider();
    const browser = new Browser(new Site({ provider }));
    const used = new Response("body");
    await used.text();
    const error = await assertRejects(
      () => browser.visit(set, used),
      SessionError,
      "already used",
    );
    assertEquals(error.code, "unsendable");
    assertEquals(provider.calls, []);
  });

  it("may be undefined where no cookie is due", async () => {
    const site = new Site();
    const browser = await visitor(site);
    const session = await browser.look((session) => session);
    session.set("name", "Eve");
    assertEquals(await site.manager.commit(session, undefined), undefined);
    assertEquals(await browser.look((session) => session.get("name")), "Eve");
  });

  it("that is undefined where a cookie is due fails before anything is stored", async () => {
    const provider = new ScriptedProvider();
    const site = new Site({ provider });
    const session = await site.start();
    session.set("name", "Ada");
    const error = await assertRejects(
      async () => await site.manager.commit(session, undefined),
      SessionError,
      "no response",
    );
    assertEquals(error.code, "unsendable");
    assertEquals(provider.calls, []);
  });

  it("of an upgrade passes through untouched, and changes are stored", async () => {
    const site = new Site();
    const browser = await visitor(site);
    const upgrade = upgradeResponse();
    const sent = await browser.visit(
      (session) => session.set("name", "Eve"),
      upgrade,
    );
    assertStrictEquals(sent, upgrade);
    assertEquals(await browser.look((session) => session.get("name")), "Eve");
  });

  it("of an upgrade cannot keep a session from being destroyed", async () => {
    const site = new Site();
    const browser = await visitor(site);
    const upgrade = upgradeResponse();
    const sent = await browser.visit((session) => session.destroy(), upgrade);
    assertStrictEquals(sent, upgrade);
    assert(await browser.look((session) => session.isNew));
  });
});

/** A 101, which the constructor of `Response` refuses to make. */
function upgradeResponse(): Response {
  return Object.defineProperty(new Response(), "status", { value: 101 });
}

describe("handle", () => {
  it("passes further arguments through", async () => {
    const handler = new Site().manager.handle((
      _request,
      _session,
      info: { port: number },
      ...rest: [string]
    ) => new Response(`${info.port} ${rest}`));
    const response = await handler(requestWith(), { port: 80 }, "more");
    assertEquals(await response.text(), "80 more");
  });

  it("lets undefined pass", async () => {
    const handler = new Site().manager.handle(() => undefined);
    assertEquals(await handler(requestWith()), undefined);
  });

  it("discards changes when the handler throws, and passes the error on", async () => {
    const site = new Site();
    const browser = await visitor(site);
    let kept: Session | undefined;
    for (const fail of [throwing, rejecting]) {
      await assertRejects(
        () =>
          browser.visit((session) => {
            kept = session;
            session.set("name", "Eve");
            session.signIn("eve");
            return fail();
          }),
        RangeError,
        "handler",
      );
      await browser.look((session) => {
        assertEquals(session.get("name"), "Ada");
        assertEquals(session.principal, undefined);
      });
      assertThrows(() => kept?.set("a", 1), SessionError, "committed");
    }
    assertEquals(site.takeEvents(), []);
  });

  it("rejects when the handler throws at once", async () => {
    const handler = new Site().manager.handle(throwing);
    await assertRejects(() => handler(requestWith()), RangeError, "handler");
  });

  it("hands the response out only when the store has answered", async () => {
    const provider = new ScriptedProvider();
    const browser = await visitor(new Site({ provider }));
    const gate = new Gate();
    provider.around = (name, call) =>
      name === "update" ? gate.promise.then(call) : call();
    let isSent = false;
    const sending = browser.visit((session) => session.set("a", 1))
      .then(() => isSent = true);
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    assertFalse(isSent);
    gate.open();
    assert(await sending);
  });

  it("serves other sessions while one waits for the store", async () => {
    const provider = new ScriptedProvider();
    const site = new Site({ provider });
    const slow = await visitor(site);
    const fast = await visitor(site);
    const gate = new Gate();
    provider.around = (name, call) =>
      name === "update" ? gate.promise.then(call) : call();
    const waiting = slow.visit((session) => session.set("a", 1));
    await fast.visit((session) => assertEquals(session.get("name"), "Ada"));
    gate.open();
    await waiting;
  });
});

function throwing(): never {
  throw new RangeError("handler");
}

function rejecting(): Promise<never> {
  return Promise.reject(new RangeError("handler"));
}

describe("a store that fails", () => {
  for (const mode of ["throws", "rejects"] as const) {
    for (const operation of ["create", "read", "update", "destroy"]) {
      it(`makes the request fail when ${operation} ${mode}`, async () => {
        const provider = new ScriptedProvider();
        const site = new Site({ provider });
        const browser = await visitor(site);
        if (operation === "create") browser.cookie = undefined;
        const { cookie } = browser;
        const cause = new Error("disk on fire");
        provider.around = (name, call) => {
          if (name !== operation) return call();
          if (mode === "rejects") return Promise.reject(cause);
          throw cause;
        };
        const error = await assertRejects(
          () => browser.visit(visitThat(operation)),
          SessionError,
        );
        assertEquals(error.code, "store-failed");
        assertEquals(String(error.cause), "Error: disk on fire");
        assertEquals(site.events, [{ type: "store-error", operation, error }]);
        assertEquals(browser.cookie, cookie);
        provider.around = (_name, call) => call();
        site.takeEvents();
        await browser.visit();
        const expected = operation === "create" ? undefined : "Ada";
        const name = await browser.look((session) => session.get("name"));
        assertEquals(name, expected);
      });
    }
  }

  it("fails no request when touch does", async () => {
    for (const mode of ["throws", "rejects"] as const) {
      const provider = new ScriptedProvider();
      const site = new Site({ provider });
      const browser = await visitor(site);
      const cause = new Error("disk on fire");
      provider.around = (name, call) => {
        if (name !== "touch") return call();
        if (mode === "rejects") return Promise.reject(cause);
        throw cause;
      };
      // Late enough for the touch at the start as well.
      for (const seconds of [60, 1801]) {
        site.pass(seconds);
        const response = await browser.visit();
        assertEquals(response.status, 200);
      }
      const types = new Set(site.takeEvents());
      assert(types.has("store-error"), mode);
    }
  });

  it("passes a SessionError of the provider on as it is", async () => {
    const provider = new ScriptedProvider();
    const browser = await visitor(new Site({ provider }));
    const corrupt = new SessionError("corrupt", "Cannot decode session");
    provider.around = () => Promise.reject(corrupt);
    assertStrictEquals(
      await assertRejects(() => browser.visit(), SessionError),
      corrupt,
    );
  });

  it("makes the request fail when it does not answer in time", async () => {
    const time = new FakeTime(START);
    try {
      const provider = new ScriptedProvider();
      const site = new Site({ provider, timeout: 2 });
      const browser = await visitor(site);
      provider.around = () => new Promise(() => {});
      const failing = assertRejects(() => browser.visit(), SessionError);
      time.tick(1999);
      assertEquals(site.events, []);
      time.tick(1);
      assertEquals((await failing).code, "timeout");
      assertEquals(site.takeEvents(), ["store-error"]);
    } finally {
      time.restore();
    }
  });

  it("leaves no timer behind when it answers in time", async () => {
    const provider = new ScriptedProvider();
    const browser = await visitor(new Site({ provider }));
    provider.around = async (_name, call) => await call();
    const cleared: unknown[] = [];
    const { setTimeout, clearTimeout } = globalThis;
    const set: unknown[] = [];
    try {
      Object.assign(globalThis, {
        setTimeout: (...args: Parameters<typeof setTimeout>) => {
          set.push(setTimeout(...args));
          return set.at(-1);
        },
        clearTimeout: (timer: number) => {
          cleared.push(timer);
          clearTimeout(timer);
        },
      });
      await browser.visit();
    } finally {
      Object.assign(globalThis, { setTimeout, clearTimeout });
    }
    assertEquals(set.length, 2);
    assertEquals(cleared, set);
  });

  it("says so when a random id is taken", async () => {
    const provider = new ScriptedProvider();
    const browser = new Browser(new Site({ provider }));
    provider.around = (name, call) => name === "create" ? false : call();
    const error = await assertRejects(
      () => browser.visit((session) => session.set("a", 1)),
      SessionError,
      "taken",
    );
    assertEquals([error.code, browser.cookie], ["store-failed", undefined]);
  });
});

function visitThat(operation: string): (session: Session) => void {
  return (session) => {
    if (operation === "destroy") session.destroy();
    else session.set("name", "Eve");
  };
}

describe("the sessions of a user", () => {
  async function devices(): Promise<[Site, Browser, Browser]> {
    const site = new Site();
    const laptop = new Browser(site);
    const phone = new Browser(site);
    await laptop.visit((s) => s.signIn("ada", { label: "Laptop" }));
    site.pass(10);
    await phone.visit((s) => s.signIn("ada", { label: "Phone" }));
    site.takeEvents();
    return [site, laptop, phone];
  }

  it("are listed, the latest used first, without anything that opens one", async () => {
    const [site, laptop, phone] = await devices();
    const current = await site.start(laptop.cookie);
    const list = await site.manager.list("ada", { current });
    assertEquals(list, [{
      id: phone.token.slice(0, 24),
      label: "Phone",
      isCurrent: false,
      isDeviceBound: false,
      createdAt: START + 10_000,
      authenticatedAt: START + 10_000,
      accessedAt: START + 10_000,
      expiresAt: START + 3_610_000,
    }, {
      id: laptop.token.slice(0, 24),
      label: "Laptop",
      isCurrent: true,
      isDeviceBound: false,
      createdAt: START,
      authenticatedAt: START,
      accessedAt: START,
      expiresAt: START + 3_600_000,
    }]);
  });

  it("can be ended one by one, by id", async () => {
    const [site, laptop, phone] = await devices();
    const id = laptop.token.slice(0, 24);
    assert(await site.manager.destroy(id, { principal: "ada" }));
    assertFalse(await site.manager.destroy(id, { principal: "ada" }));
    assertEquals(site.takeEvents(), ["destroyed"]);
    assert(await laptop.look((session) => session.isNew));
    assertFalse(await phone.look((session) => session.isNew));
  });

  it("cannot be ended by another user", async () => {
    const [site, laptop] = await devices();
    const id = laptop.token.slice(0, 24);
    assertFalse(await site.manager.destroy(id, { principal: "eve" }));
    assertFalse(await laptop.look((session) => session.isNew));
    assertEquals(site.takeEvents(), []);
  });

  it("cannot be ended by a slip of the pen", async () => {
    const [site, laptop] = await devices();
    const id = laptop.token.slice(0, 24);
    const session = await laptop.look((session) => session);
    const slips = [
      () => site.manager.destroy(id, { principle: "eve" } as never),
      () => site.manager.destroyAll("ada", { excpet: session } as never),
      () => site.manager.list("ada", { curent: session } as never),
      // deno-lint-ignore require-await -- a throw is to be a rejection
      async () => session.signIn("ada", { lable: "x" } as never),
      // deno-lint-ignore require-await
      async () => session.lifetime({ ttl: 3 } as never),
      // deno-lint-ignore require-await
      async () => session.regenerate(true as never),
      // deno-lint-ignore require-await
      async () => session.destroy({ clearCookies: true } as never),
    ];
    for (const slip of slips) await assertRejects(slip, TypeError, "option");
    assertFalse(await laptop.look((session) => session.isNew));
  });

  it("cannot be ended by a visitor who is not signed in", async () => {
    const [site, laptop] = await devices();
    const id = laptop.token.slice(0, 24);
    const { principal } = await site.start();
    const calls = [
      () => site.manager.destroy(id, { principal } as { principal: string }),
      () => site.manager.destroy(id, { principal: "" }),
      () => site.manager.destroyAll(principal as never),
      () => site.manager.list(principal as never),
    ];
    for (const call of calls) {
      await assertRejects(call, TypeError, "is the visitor signed in?");
    }
    assertFalse(await laptop.look((session) => session.isNew));
  });

  it("can be ended all together but one", async () => {
    const [site, laptop, phone] = await devices();
    await laptop.visit(async (session) => {
      const options = { except: session };
      assertEquals(await site.manager.destroyAll("ada", options), 1);
    });
    assertFalse(await laptop.look((session) => session.isNew));
    assert(await phone.look((session) => session.isNew));
    assertEquals((await site.manager.list("ada")).length, 1);
  });

  it("can be ended all together", async () => {
    const [site, laptop, phone] = await devices();
    assertEquals(await site.manager.destroyAll("ada"), 2);
    for (const browser of [laptop, phone]) {
      assert(await browser.look((session) => session.isNew));
    }
    assertEquals(await site.manager.list("ada"), []);
    assertEquals(site.events[0], {
      type: "destroyed-all",
      principal: "ada",
      except: undefined,
      count: 2,
    });
  });
});

describe("the collector", () => {
  it("removes what has expired, in batches that let other work in between", async () => {
    const log: (string | number)[] = [];
    const provider = new MemoryProvider();
    const collect = provider.gc.bind(provider);
    provider.gc = (now, limit) => {
      setImmediate(() => log.push("other work"));
      const count = collect(now, limit);
      log.push(count);
      return count;
    };
    const site = new Site({ provider });
    for (let count = 0; count < 2500; count++) await visitor(site);
    site.pass(3600);
    assertEquals(await site.manager.gc(), 2500);
    assertEquals(log, [1000, "other work", 1000, "other work", 500]);
  });

  it("joins a pass under way instead of starting another", async () => {
    const gate = new Gate<number>();
    let passes = 0;
    const provider = new MemoryProvider();
    provider.gc = () => {
      passes++;
      return gate.promise as unknown as number;
    };
    const site = new Site({ provider });
    const both = Promise.all([site.manager.gc(), site.manager.gc()]);
    gate.open(7);
    assertEquals(await both, [7, 7]);
    assertEquals(passes, 1);
  });

  it("runs every gcInterval seconds until the manager is closed", async () => {
    const time = new FakeTime(START);
    try {
      let passes = 0;
      const provider = new MemoryProvider();
      provider.gc = () => {
        passes++;
        return 0;
      };
      const site = new Site({ provider, gcInterval: 60 });
      time.tick(59_999);
      assertEquals(passes, 0);
      time.tick(1);
      assertEquals(passes, 1);
      await settle();
      time.tick(60_000);
      assertEquals(passes, 2);
      await settle();
      await site.manager.close();
      time.tick(600_000);
      assertEquals(passes, 2);
    } finally {
      time.restore();
    }
  });

  it("goes on after a pass that failed", async () => {
    const time = new FakeTime(START);
    try {
      let passes = 0;
      const provider = new MemoryProvider();
      provider.gc = () => {
        passes++;
        throw new Error("disk on fire");
      };
      const site = new Site({ provider, gcInterval: 60 });
      time.tick(60_000);
      await settle();
      time.tick(60_000);
      await settle();
      assertEquals(passes, 2);
      assertEquals(site.takeEvents(), ["store-error", "store-error"]);
      await site.manager.close();
    } finally {
      time.restore();
    }
  });

  it("lets the process end", () => {
    const timers: { hasRef?(): boolean }[] = [];
    const { setInterval } = globalThis;
    try {
      Object.assign(globalThis, {
        setInterval: (...args: Parameters<typeof setInterval>) => {
          const timer = setInterval(...args) as { hasRef?(): boolean };
          timers.push(timer);
          return timer;
        },
      });
      void new Manager({ gcInterval: 60 }).close();
    } finally {
      Object.assign(globalThis, { setInterval });
    }
    assertEquals(timers.map((timer) => timer.hasRef?.()), [false]);
  });
});

/** Lets promises that are due settle. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
}

describe("close", () => {
  it("refuses every later call and may be repeated", async () => {
    const site = new Site();
    const browser = await visitor(site);
    const session = await browser.look((session) => session);
    session.set("a", 1);
    await site.manager.close();
    await site.manager.close();
    const calls = [
      () => browser.visit(),
      () => site.commit(session),
      () => session.update("a", () => 1),
      () => site.manager.gc(),
      () => site.manager.list("ada"),
      () => site.manager.destroy("id"),
      () => site.manager.destroyAll("ada"),
    ];
    for (const call of calls) {
      assertEquals((await assertRejects(call, SessionError)).code, "closed");
    }
  });

  it("closes a provider that the manager opened", async () => {
    const site = new Site({ provider: "memory:?maxSessions=10" });
    const browser = await visitor(site);
    {
      await using manager = site.manager;
      assert(manager);
    }
    const error = await assertRejects(() => browser.visit(), SessionError);
    assertEquals(error.code, "closed");
  });

  it("leaves a provider that was handed in to the caller", async () => {
    const provider: Provider = new MemoryProvider();
    const [one, two] = [new Site({ provider }), new Site({ provider })];
    const browser = await visitor(one);
    await one.manager.close();
    const other = new Browser(two, browser.cookie);
    assertEquals(await other.look((session) => session.get("name")), "Ada");
  });

  it("keeps two managers that were not given the same provider apart", async () => {
    const browser = await visitor(new Site());
    const other = new Browser(new Site(), browser.cookie);
    assert(await other.look((session) => session.isNew));
  });
});

describe("events", () => {
  it("tell of a session's life, with its id and nothing secret", async () => {
    const site = new Site();
    const browser = new Browser(site);
    await browser.visit((session) => session.set("name", "Ada"));
    await browser.visit((session) => session.signIn("ada"));
    site.pass(30);
    await browser.visit((session) => session.regenerate());
    await browser.visit((session) => session.destroy());
    const id = site.events[0]?.type === "created" ? site.events[0].id : "";
    assertEquals(site.events, [
      { type: "created", id },
      { type: "renewed", id },
      { type: "signed-in", id, principal: "ada" },
      { type: "renewed", id },
      { type: "destroyed", id },
    ]);
    assertEquals(id.length, 24);
  });

  it("reach a listener that throws or rejects without harm", async () => {
    const failing = [
      () => {
        throw new Error("logger");
      },
      () => Promise.reject(new Error("logger")),
    ];
    for (const onEvent of failing) {
      const browser = await visitor(new Site({ onEvent }));
      assertEquals(await browser.look((session) => session.get("name")), "Ada");
    }
  });
});
