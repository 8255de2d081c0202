import {
  assert,
  assertEquals,
  assertFalse,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { Manager, Session, SessionError } from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { Browser, Site, START } from "./_browser.ts";

/** A browser whose session holds some data already. */
async function visitor(
  data: Readonly<Record<string, unknown>> = { name: "Ada" },
  site = new Site(),
): Promise<Browser> {
  const browser = new Browser(site);
  await browser.visit((session) => {
    for (const [key, value] of Object.entries(data)) session.set(key, value);
  });
  return browser;
}

/** Writes to a session as another request would. */
function writeMeanwhile(provider: MemoryProvider, id: string): void {
  const { secretHash, expiresAt } = provider.read(id, START)!;
  provider.update(id, { expiresAt }, { secretHash }, START);
}

describe("values of a session", () => {
  it("are read in the request that set them and in the next", async () => {
    const browser = new Browser(new Site());
    await browser.visit((session) => {
      session.set("name", "Ada");
      assertEquals(session.get("name"), "Ada");
    });
    assertEquals(await browser.look((session) => session.get("name")), "Ada");
  });

  it("are undefined where nothing was set", async () => {
    const browser = await visitor();
    await browser.look((session) => {
      assertEquals(session.get("other"), undefined);
      assertFalse(session.has("other"));
      assert(session.has("name"));
    });
  });

  it("can be null, false, 0 and empty", async () => {
    const data = { null: null, false: false, zero: 0, empty: "" };
    const browser = await visitor(data);
    await browser.look((session) => {
      for (const [key, value] of Object.entries(data)) {
        assert(session.has(key), key);
        assertStrictEquals(session.get(key), value);
      }
    });
  });

  it("are copies: changing what was set changes nothing", async () => {
    const cart = ["hat"];
    const browser = new Browser(new Site());
    await browser.visit((session) => {
      session.set("cart", cart);
      cart.push("stolen");
      assertEquals(session.get("cart"), ["hat"]);
    });
    assertEquals(await browser.look((session) => session.get("cart")), ["hat"]);
  });

  it("cannot be changed in place", async () => {
    const browser = await visitor({ user: { roles: ["guest"] } });
    const session = await browser.look((session) => session);
    const user = session.get("user") as { roles: string[] };
    assertThrows(() => user.roles.push("admin"), TypeError);
    assertThrows(() => (user.roles = []), TypeError);
    assertEquals(session.get("user"), { roles: ["guest"] });
  });

  it("that have state of their own are handed out as copies", async () => {
    const browser = await visitor({ at: new Date(0), seen: new Set(["a"]) });
    await browser.look((session) => {
      (session.get("at") as Date).setTime(1);
      (session.get("seen") as Set<string>).clear();
    });
    await browser.look((session) => {
      assertEquals(session.get("at"), new Date(0));
      assertEquals(session.get("seen"), new Set(["a"]));
    });
  });

  it("under __proto__ and constructor are data and pollute nothing", async () => {
    const browser = new Browser(new Site());
    await browser.visit((session) => {
      assertEquals(session.get("__proto__"), undefined);
      assertEquals(session.get("constructor"), undefined);
      session.set("__proto__", { isAdmin: true });
      session.set("constructor", 1);
    });
    await browser.look((session) => {
      assertEquals(session.get("__proto__"), { isAdmin: true });
      assertEquals(session.keys().sort(), ["__proto__", "constructor"]);
      assertEquals(session.get("isAdmin"), undefined);
      assertEquals(({} as Record<string, unknown>)["isAdmin"], undefined);
    });
  });

  it("that cannot be stored are refused with their path, and nothing changes", async () => {
    const session = await new Site().start();
    session.set("cart", "before");
    const cart = { items: [{}, { price: () => 1 }] };
    const error = assertThrows(() => session.set("cart", cart), TypeError);
    assertEquals(
      error.message,
      'Cannot set "cart": cart.items[1].price is a function',
    );
    assertEquals(session.get("cart"), "before");
  });

  it("must be set under a string", async () => {
    const session = await new Site().start();
    assertThrows(() => session.set(1 as never, 1), TypeError, "key");
    await assertRejects(
      () => session.update(Symbol() as never, () => 1),
      TypeError,
      "key",
    );
  });

  it("are listed by key, with what the request added and removed", async () => {
    const browser = await visitor({ a: 1, b: 2 });
    await browser.visit((session) => {
      session.set("c", 3);
      session.delete("a");
      assertEquals(session.keys().sort(), ["b", "c"]);
    });
    assertEquals((await browser.look((s) => s.keys())).sort(), ["b", "c"]);
  });

  it("are gone after delete, which says whether there was one", async () => {
    const browser = await visitor({ name: "Ada" });
    await browser.visit((session) => {
      assert(session.delete("name"));
      assertFalse(session.delete("name"));
      assertEquals(session.get("name"), undefined);
    });
    assertFalse(await browser.look((session) => session.has("name")));
  });

  it("are all gone after clear", async () => {
    const browser = await visitor({ a: 1, b: 2 });
    await browser.visit((session) => {
      session.set("c", 3);
      session.clear();
      assertEquals(session.keys(), []);
    });
    assertEquals(await browser.look((session) => session.keys()), []);
    assertFalse(await browser.look((session) => session.isNew));
  });

  it("can be taken once", async () => {
    const browser = await visitor({ flash: "Saved" });
    await browser.visit((session) => {
      assertEquals(session.take("flash"), "Saved");
      assertEquals(session.take("flash"), undefined);
    });
    assertFalse(await browser.look((session) => session.has("flash")));
  });
});

describe("the size limit of a session", () => {
  it("counts all values together", async () => {
    const session = await new Site({ maxSize: 100 }).start();
    session.set("a", "x".repeat(40));
    session.set("b", "x".repeat(40));
    const error = assertThrows(
      () => session.set("c", "x".repeat(10)),
      SessionError,
    );
    assertEquals(error.code, "too-large");
    assertFalse(session.has("c"));
  });

  it("counts what earlier requests stored", async () => {
    const browser = await visitor(
      { a: "x".repeat(80) },
      new Site({ maxSize: 100 }),
    );
    await browser.look((session) => {
      const error = assertThrows(
        () => session.set("b", "x".repeat(20)),
        SessionError,
      );
      assertEquals(error.code, "too-large");
    });
  });

  it("leaves room where a value was removed or replaced", async () => {
    const session = await new Site({ maxSize: 100 }).start();
    session.set("a", "x".repeat(80));
    session.set("a", "y".repeat(80));
    session.delete("a");
    session.set("b", "x".repeat(80));
    assertEquals(session.keys(), ["b"]);
  });

  it("holds for update too, and leaves the value as it was", async () => {
    const browser = await visitor({ a: "x" }, new Site({ maxSize: 100 }));
    await browser.visit(async (session) => {
      const error = await assertRejects(
        () => session.update("a", () => "x".repeat(100)),
        SessionError,
      );
      assertEquals(error.code, "too-large");
    });
    assertEquals(await browser.look((session) => session.get("a")), "x");
  });
});

describe("update", () => {
  it("changes a value at once and returns it", async () => {
    const browser = await visitor({ count: 1 });
    await browser.visit(async (session) => {
      const count = await session.update("count", (n) => n as number + 1);
      assertEquals(count, 2);
      assertEquals(session.get("count"), 2);
      assertEquals(await browser.look((other) => other.get("count")), 2);
    });
  });

  it("works out the new value from what another request wrote meanwhile", async () => {
    const browser = await visitor({ count: 1 });
    const late = await browser.look((session) => session);
    await browser.visit((session) => session.set("count", 10));
    assertEquals(await late.update("count", (n) => n as number + 1), 11);
    assertEquals(browser.site.takeEvents().includes("conflict"), true);
  });

  it("loses none of many increments at the same time", async () => {
    const browser = await visitor({ count: 0 });
    await Promise.all(
      Array.from(
        { length: 50 },
        () =>
          browser.visit((session) =>
            session.update("count", (n) => n as number + 1)
          ),
      ),
    );
    assertEquals(await browser.look((session) => session.get("count")), 50);
  });

  it("removes the value when it returns undefined", async () => {
    const browser = await visitor({ a: 1, b: 2 });
    await browser.visit(async (session) => {
      assertEquals(await session.update("a", () => undefined), undefined);
      assertEquals(session.keys(), ["b"]);
    });
    assertEquals(await browser.look((session) => session.keys()), ["b"]);
  });

  it("sees what the request itself has set, and the commit does not undo it", async () => {
    const browser = await visitor({ count: 1 });
    await browser.visit(async (session) => {
      session.set("count", 10);
      session.set("other", true);
      assertEquals(await session.update("count", (n) => n as number + 1), 11);
    });
    await browser.look((session) => {
      assertEquals(session.get("count"), 11);
      assertEquals(session.get("other"), true);
    });
  });

  it("leaves other values as the request first read them", async () => {
    const browser = await visitor({ count: 1, name: "Ada" });
    const late = await browser.look((session) => session);
    await browser.visit((session) => session.set("name", "Eve"));
    await late.update("count", (n) => n as number + 1);
    assertEquals(late.get("name"), "Ada");
  });

  it("works after the session was committed", async () => {
    const browser = await visitor({ count: 1 });
    const session = await browser.look((session) => session);
    session.set("count", 5);
    await browser.site.commit(session);
    assertEquals(await session.update("count", (n) => n as number + 1), 6);
    assertEquals(await browser.look((other) => other.get("count")), 6);
  });

  it("works after the commit that stored a new session", async () => {
    const site = new Site();
    const session = await site.start();
    session.set("count", 1);
    const browser = new Browser(site);
    browser.receive(await site.commit(session));
    await session.update("count", (n) => n as number + 1);
    assertEquals(await browser.look((other) => other.get("count")), 2);
  });

  it("works after the commit that replaced the token", async () => {
    const browser = await visitor({ count: 1 });
    const session = await browser.look((session) => session);
    session.regenerate();
    browser.receive(await browser.site.commit(session));
    await session.update("count", (n) => n as number + 1);
    assertEquals(await browser.look((other) => other.get("count")), 2);
  });

  it("is the same as set on a session that is not stored yet", async () => {
    const browser = new Browser(new Site());
    await browser.visit(async (session) => {
      assertEquals(await session.update("a", () => 1), 1);
      assertEquals(await session.update("b", () => undefined), undefined);
      assertEquals(session.keys(), ["a"]);
    });
    assertEquals(await browser.look((session) => session.keys()), ["a"]);
  });

  it("fails as gone when the session was never stored", async () => {
    const site = new Site();
    const session = await site.start();
    await site.commit(session);
    const error = await assertRejects(
      () => session.update("a", () => 1),
      SessionError,
    );
    assertEquals(error.code, "gone");
  });

  it("fails as gone when another request destroyed the session", async () => {
    const browser = await visitor({ count: 1 });
    const late = await browser.look((session) => session);
    await browser.visit((session) => session.destroy());
    const error = await assertRejects(
      () => late.update("count", () => 2),
      SessionError,
    );
    assertEquals(error.code, "gone");
  });

  it("fails as gone when another request signed in", async () => {
    const browser = await visitor({ count: 1 });
    const late = await browser.look((session) => session);
    await browser.visit((session) => session.signIn("ada"));
    const error = await assertRejects(
      () => late.update("count", () => 2),
      SessionError,
    );
    assertEquals(error.code, "gone");
    assertEquals(await browser.look((session) => session.get("count")), 1);
  });

  it("gives up with a conflict after a hundred lost rounds", async () => {
    const provider = new MemoryProvider();
    const browser = await visitor({ count: 0 }, new Site({ provider }));
    const late = await browser.look((session) => session);
    let rounds = 0;
    const error = await assertRejects(
      () =>
        late.update("count", (count) => {
          rounds++;
          writeMeanwhile(provider, late.id);
          return count as number + 1;
        }),
      SessionError,
    );
    assertEquals([error.code, rounds], ["conflict", 100]);
  });

  it("passes on what the function throws, and changes nothing", async () => {
    const browser = await visitor({ count: 1 });
    await browser.visit(async (session) => {
      await assertRejects(
        () =>
          session.update("count", () => {
            throw new RangeError("No more");
          }),
        RangeError,
        "No more",
      );
    });
    assertEquals(await browser.look((session) => session.get("count")), 1);
  });
});

describe("a session that was committed or destroyed", () => {
  it("refuses every change after the commit and says what to do instead", async () => {
    const browser = await visitor();
    const session = await browser.look((session) => session);
    await browser.site.commit(session);
    const changes = [
      () => session.set("a", 1),
      () => session.delete("name"),
      () => session.clear(),
      () => session.take("name"),
      () => session.regenerate(),
      () => session.signIn("ada"),
      () => session.lifetime({ persistent: true }),
      () => session.destroy(),
    ];
    for (const change of changes) {
      const error = assertThrows(change, SessionError, "update()");
      assertEquals(error.code, "committed");
    }
    assertEquals(session.get("name"), "Ada");
  });

  it("holds nothing after destroy and refuses every change", async () => {
    const browser = await visitor();
    await browser.visit((session) => {
      session.signIn("ada", { label: "Laptop" });
      session.destroy();
      assertEquals(session.get("name"), undefined);
      assertEquals(session.keys(), []);
      assertEquals([session.principal, session.label], [undefined, undefined]);
      const error = assertThrows(() => session.set("a", 1), SessionError);
      assertEquals(error.code, "destroyed");
      session.destroy();
    });
    assert(await browser.look((session) => session.isNew));
  });

  it("refuses update after destroy", async () => {
    const browser = await visitor();
    await browser.visit(async (session) => {
      session.destroy();
      const error = await assertRejects(
        () => session.update("name", () => "Eve"),
        SessionError,
      );
      assertEquals(error.code, "destroyed");
    });
  });
});

describe("sign-in", () => {
  it("binds the session to a user and labels it", async () => {
    const browser = await visitor();
    await browser.visit((session) => {
      session.signIn("ada", { label: "Laptop" });
      assertEquals([session.principal, session.label], ["ada", "Laptop"]);
    });
    await browser.look((session) => {
      assertEquals([session.principal, session.label], ["ada", "Laptop"]);
    });
  });

  it("keeps the id and the data of a visitor, and replaces the token", async () => {
    const browser = await visitor({ cart: ["coat"] });
    const before = browser.token;
    await browser.visit((session) => session.signIn("ada"));
    assertNotEquals(browser.token, before);
    assertEquals(browser.token.slice(0, 24), before.slice(0, 24));
    assertEquals(await browser.look((s) => s.get("cart")), ["coat"]);
  });

  it("makes the cookie from before worth nothing at once", async () => {
    const browser = await visitor();
    const before = new Browser(browser.site, browser.cookie);
    await browser.visit((session) => session.signIn("ada"));
    await before.look((session) => {
      assert(session.isNew);
      assertEquals(session.keys(), []);
    });
  });

  it("clears the data of another user", async () => {
    const browser = await visitor();
    await browser.visit((session) => {
      session.signIn("ada", { label: "Laptop" });
      session.set("secret", "of Ada");
    });
    await browser.visit((session) => {
      session.signIn("bob");
      session.set("mine", 1);
    });
    await browser.look((session) => {
      assertEquals(session.keys(), ["mine"]);
      assertEquals([session.principal, session.label], ["bob", undefined]);
    });
  });

  it("keeps data and label when the same user signs in again", async () => {
    const browser = await visitor();
    await browser.visit((session) =>
      session.signIn("ada", { label: "Laptop" })
    );
    await browser.visit((session) => session.signIn("ada"));
    await browser.look((session) => {
      assertEquals([session.get("name"), session.label], ["Ada", "Laptop"]);
    });
  });

  it("stores a session that holds nothing else", async () => {
    const browser = new Browser(new Site());
    await browser.visit((session) => session.signIn("ada"));
    assertEquals(await browser.look((session) => session.principal), "ada");
  });

  it("succeeds in a session of its own when another request was first", async () => {
    const site = new Site();
    const first = await visitor({ cart: ["coat"] }, site);
    const second = new Browser(site, first.cookie);
    const late = await second.look((session) => session);
    await first.visit((session) => session.signIn("ada"));
    late.set("note", "late");
    late.signIn("ada");
    second.receive(await site.commit(late));
    await second.look((session) => {
      assertEquals(session.principal, "ada");
      assertEquals(session.keys(), ["note"]);
    });
    assertEquals(await first.look((session) => session.principal), "ada");
    assertEquals((await site.manager.list("ada")).length, 2);
  });

  it("revives nothing when the session was destroyed meanwhile", async () => {
    const site = new Site();
    const browser = await visitor({ cart: ["coat"] }, site);
    const late = await browser.look((session) => session);
    const { id } = late;
    await browser.visit((session) => session.destroy());
    late.signIn("ada");
    browser.receive(await site.commit(late));
    await browser.look((session) => {
      assertNotEquals(session.id, id);
      assertEquals([session.principal, session.keys().length], ["ada", 0]);
    });
  });

  it("does not hand one user's lifetime on to the next", async () => {
    const browser = await visitor();
    await browser.visit((session) => {
      session.signIn("ada");
      session.lifetime({ persistent: true, absoluteTimeout: 86_400 });
    });
    const response = await browser.visit((session) => session.signIn("bob"));
    assertFalse(response.headers.getSetCookie()[0]?.includes("Max-Age"));
    for (let visit = 0; visit < 12; visit++) {
      assertFalse(await browser.look((session) => session.isNew));
      await browser.visit();
      browser.site.pass(3599);
    }
    browser.site.pass(12);
    assert(await browser.look((session) => session.isNew));
  });

  it("takes any label that a client gives itself", async () => {
    const session = await new Site().start();
    session.signIn("ada", { label: "x".repeat(300) });
    assertEquals(session.label, "x".repeat(256));
    session.signIn("ada", { label: "" });
    assertEquals(session.label, "x".repeat(256));
  });

  it("refuses a principal that is empty, long or no string", async () => {
    const session = await new Site().start();
    assertThrows(() => session.signIn(""), TypeError, "principal");
    assertThrows(() => session.signIn(7 as never), TypeError, "principal");
    assertThrows(() => session.signIn("a".repeat(257)), TypeError, "256");
    assertEquals(session.principal, undefined);
  });
});

describe("regenerate", () => {
  it("replaces the token and keeps id and data", async () => {
    const browser = await visitor();
    const old = new Browser(browser.site, browser.cookie);
    const id = await browser.look((session) => session.id);
    const response = await browser.visit((session) => session.regenerate());
    assertEquals(response.headers.getSetCookie().length, 1);
    await browser.look((session) => {
      assertEquals([session.id, session.get("name")], [id, "Ada"]);
    });
    assert(await old.look((session) => session.isNew));
  });

  it("drops the changes of a request that began before it", async () => {
    const browser = await visitor();
    const late = await browser.look((session) => session);
    await browser.visit((session) => session.regenerate());
    late.set("name", "Eve");
    const response = await browser.site.commit(late);
    assertEquals(response.headers.getSetCookie(), []);
    assertEquals(await browser.look((session) => session.get("name")), "Ada");
    assertEquals(browser.site.takeEvents().includes("gone"), true);
  });

  it("of two at the same time leaves one cookie that works", async () => {
    const browser = await visitor();
    const one = await browser.look((session) => session);
    const two = await browser.look((session) => session);
    one.regenerate();
    two.regenerate();
    browser.receive(await browser.site.commit(one));
    browser.receive(await browser.site.commit(two));
    assertEquals(await browser.look((session) => session.get("name")), "Ada");
  });
});

describe("destroy by a request from before a sign-in", () => {
  it("neither ends the signed-in session nor removes its cookie", async () => {
    const browser = await visitor();
    const late = await browser.look((session) => session);
    await browser.visit((session) => session.signIn("ada"));
    browser.site.takeEvents();
    late.destroy();
    const response = await browser.site.commit(late);
    assertEquals(response.headers.getSetCookie(), []);
    assertEquals(browser.site.takeEvents(), ["gone"]);
    assertEquals(await browser.look((session) => session.principal), "ada");
  });

  it("does nothing either when it arrives after the sign-in", async () => {
    const browser = await visitor();
    const late = new Browser(browser.site, browser.cookie);
    await browser.visit((session) => session.signIn("ada"));
    const response = await late.visit((session) => session.destroy());
    assertEquals(response.headers.getSetCookie(), []);
    assertEquals(await browser.look((session) => session.principal), "ada");
  });

  it("removes the cookie of a session that another request has ended", async () => {
    const browser = await visitor();
    const late = await browser.look((session) => session);
    await browser.site.manager.destroy(late.id);
    late.destroy();
    const response = await browser.site.commit(late);
    assertEquals(response.headers.getSetCookie().length, 1);
  });
});

describe("a form token", () => {
  it("works for a browser that lost the response to its sign-in", async () => {
    const site = new Site();
    const browser = new Browser(site);
    await browser.visit((session) => session.formToken());
    const late = new Browser(site, browser.cookie);
    await browser.visit((session) => session.signIn("ada"));
    site.pass(2);
    let token = "";
    await late.visit((session) => token = session.formToken());
    await late.visit((session) => {
      assert(session.checkFormToken(token));
      session.signIn("ada");
    });
    assertEquals(await late.look((session) => session.principal), "ada");
  });
});

describe("lifetime", () => {
  it("gives one session timeouts of its own", async () => {
    const browser = await visitor();
    await browser.visit((session) =>
      session.lifetime({ idleTimeout: 7200, absoluteTimeout: 86400 })
    );
    browser.site.pass(7199);
    await browser.visit();
    browser.site.pass(7199);
    assertFalse(await browser.look((session) => session.isNew));
    browser.site.pass(1);
    assert(await browser.look((session) => session.isNew));
  });

  it("can shorten a session's life", async () => {
    const browser = await visitor();
    await browser.visit((session) => session.lifetime({ idleTimeout: 60 }));
    browser.site.pass(60);
    assert(await browser.look((session) => session.isNew));
  });

  it("sends the cookie again, with Max-Age where it is persistent", async () => {
    const browser = await visitor();
    browser.site.pass(100);
    const response = await browser.visit((session) =>
      session.lifetime({ persistent: true, absoluteTimeout: 86400 })
    );
    const [cookie] = response.headers.getSetCookie();
    assert(cookie?.startsWith(browser.cookie as string), cookie);
    assert(cookie?.endsWith("; Max-Age=86300"), cookie);
  });

  it("is kept by later requests and by a new token", async () => {
    const browser = await visitor();
    await browser.visit((session) => session.lifetime({ persistent: true }));
    browser.site.pass(200);
    const response = await browser.visit((session) => session.regenerate());
    const [cookie] = response.headers.getSetCookie();
    assert(cookie?.endsWith("; Max-Age=43000"), cookie);
  });

  it("refuses what a manager's options would refuse", async () => {
    const session = await new Site().start();
    const wrong = [
      { idleTimeout: 0 },
      { idleTimeout: NaN },
      { idleTimeout: 50_000 },
      { absoluteTimeout: -1 },
      { absoluteTimeout: 34_560_001, persistent: true },
    ];
    for (const changes of wrong) {
      assertThrows(() => session.lifetime(changes), RangeError, "lifetime");
    }
    assertEquals(session.expiresAt, START + 3_600_000);
  });
});

describe("what a session tells of itself", () => {
  it("is new without a cookie and not with one", async () => {
    const browser = new Browser(new Site());
    assert(await browser.look((session) => session.isNew));
    await browser.visit((session) => {
      session.set("a", 1);
      assert(session.isNew);
    });
    assertFalse(await browser.look((session) => session.isNew));
  });

  it("is its id, the same from the first request to the last", async () => {
    const browser = new Browser(new Site());
    const ids = new Set<string>();
    await browser.visit((session) => {
      ids.add(session.id);
      session.set("a", 1);
    });
    await browser.visit((session) => ids.add(session.id));
    await browser.visit((session) => {
      session.signIn("ada");
      ids.add(session.id);
    });
    await browser.visit((session) => ids.add(session.id));
    assertEquals(ids.size, 1);
  });

  it("is when it was created, last used, and when it ends", async () => {
    const browser = await visitor();
    browser.site.pass(100);
    await browser.visit();
    browser.site.pass(50);
    await browser.look((session) => {
      assertEquals(session.createdAt, START);
      assertEquals(session.accessedAt, START + 100_000);
      assertEquals(session.expiresAt, START + 150_000 + 3_600_000);
    });
  });

  it("is never its token or its data, however it is printed", async () => {
    const browser = await visitor({ password: "hunter2" });
    const session = await browser.look((session) => session);
    session.set("pin", "4711");
    const printed = [
      inspect(session, { depth: Infinity, showHidden: true }),
      inspect({ session }, { depth: Infinity }),
      JSON.stringify(session),
      JSON.stringify({ session }),
      String(session),
      `${session}`,
      Object.keys(session).join(),
      "Deno" in globalThis ? Deno.inspect(session, { depth: 99 }) : "",
    ].join("\n");
    assert(printed.includes(session.id), printed);
    for (const secret of [browser.token.slice(24), "hunter2", "4711"]) {
      assertFalse(printed.includes(secret), printed);
    }
  });

  it("cannot be forged", () => {
    assertThrows(
      () => new (Session as unknown as new () => Session)(),
      TypeError,
      "manager.start()",
    );
  });

  it("is bound to its manager's type of data", async () => {
    await using manager = new Manager<{ cart: string[]; count?: number }>();
    const session = await manager.start(new Request("http://localhost/"));
    session.set("cart", ["hat"]);
    const cart: readonly string[] | undefined = session.get("cart");
    await session.update("cart", (cart = []) => [...cart, "coat"]);
    assertEquals(cart, ["hat"]);
    // @ts-expect-error: another type of value
    session.set("count", "one");
    // @ts-expect-error: no such key
    session.get("card");
    // @ts-expect-error: what is read cannot be written to
    assertThrows(() => session.get("cart")?.push("shoe"), TypeError);
  });
});
