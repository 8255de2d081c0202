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
import process from "node:process";
import { inspect } from "node:util";
import {
  Manager,
  type Provider,
  REMOVED,
  Session,
  SessionError,
  type SessionRecord,
  type StoredValue,
} from "../mod.ts";
import { hashFamily, hashSecret } from "../core/secret/token.ts";
import { MemoryProvider } from "../providers/memory.ts";
import {
  Browser,
  requestWith,
  signedIn,
  Site,
  START,
  told,
  visitor,
} from "./_browser.ts";
import { ModelProvider } from "./_model_provider.ts";
import { inheriting } from "./_pollution.ts";
import { around, failCall, later } from "./_providers.ts";
import { mintToken } from "./_tokens.ts";

/** Writes to a session as another request would. */
function writeMeanwhile(provider: MemoryProvider, id: string): void {
  const { family } = provider.read(id, START)!;
  provider.update(id, {}, { family }, START);
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
    const browser = await visitor(new Site(), data);
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
    const browser = await visitor(new Site(), { user: { roles: ["guest"] } });
    const session = await browser.look((session) => session);
    const user = session.get("user") as { roles: string[] };
    assertThrows(() => user.roles.push("admin"), TypeError);
    assertThrows(() => (user.roles = []), TypeError);
    assertEquals(session.get("user"), { roles: ["guest"] });
  });

  it("that have state of their own are handed out as copies", async () => {
    const browser = await visitor(new Site(), {
      at: new Date(0),
      seen: new Set(["a"]),
    });
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
    const browser = await visitor(new Site(), { a: 1, b: 2 });
    await browser.visit((session) => {
      session.set("c", 3);
      session.delete("a");
      assertEquals(session.keys().sort(), ["b", "c"]);
    });
    assertEquals((await browser.look((s) => s.keys())).sort(), ["b", "c"]);
  });

  it("are gone after delete, which says whether there was one", async () => {
    const browser = await visitor(new Site(), { name: "Ada" });
    await browser.visit((session) => {
      assert(session.delete("name"));
      assertFalse(session.delete("name"));
      assertEquals(session.get("name"), undefined);
    });
    assertFalse(await browser.look((session) => session.has("name")));
  });

  it("are all gone after clear", async () => {
    const browser = await visitor(new Site(), { a: 1, b: 2 });
    await browser.visit((session) => {
      session.set("c", 3);
      session.clear();
      assertEquals(session.keys(), []);
    });
    assertEquals(await browser.look((session) => session.keys()), []);
    assertFalse(await browser.look((session) => session.isNew));
  });

  it("can be taken once", async () => {
    const browser = await visitor(new Site(), { flash: "Saved" });
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
    const browser = await visitor(new Site({ maxSize: 100 }), {
      a: "x".repeat(80),
    });
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
    const browser = await visitor(new Site({ maxSize: 100 }), { a: "x" });
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
    const browser = await visitor(new Site(), { count: 1 });
    await browser.visit(async (session) => {
      const count = await session.update("count", (n) => n as number + 1);
      assertEquals(count, 2);
      assertEquals(session.get("count"), 2);
      assertEquals(await browser.look((other) => other.get("count")), 2);
    });
  });

  it("works out the new value from what another request wrote meanwhile", async () => {
    const browser = await visitor(new Site(), { count: 1 });
    const late = await browser.look((session) => session);
    await browser.visit((session) => session.set("count", 10));
    assertEquals(await late.update("count", (n) => n as number + 1), 11);
    assertEquals(browser.site.takeEvents().includes("conflict"), true);
  });

  it("overwrites nothing that the handler does while it is under way", async () => {
    const site = new Site({ provider: later(new MemoryProvider()) });
    const acts: [(session: Session) => void, StoredValue | undefined][] = [
      [(session) => session.set("count", 100), 100],
      [(session) => session.delete("count"), undefined],
      [(session) => session.clear(), undefined],
    ];
    for (const [act, expected] of acts) {
      const browser = await visitor(site, { count: 1 });
      await browser.visit(async (session) => {
        const updated = session.update("count", (n) => {
          queueMicrotask(() => act(session));
          return n as number + 1;
        });
        assertEquals(await updated, 2);
        assertEquals(session.get("count"), expected);
      });
      assertEquals(await browser.look((next) => next.get("count")), expected);
    }
  });

  it("shows nothing of one user to another who signs in while it is under way", async () => {
    const site = new Site({ provider: later(new MemoryProvider()) });
    for (const key of ["note", "new"]) {
      for (const isAwaited of [true, false]) {
        const browser = await signedIn(site);
        await browser.visit((session) => session.set("note", "ada's"));
        let kept: Session | undefined;
        await browser.visit(async (session) => {
          kept = session;
          const updated = session.update(key, () => {
            queueMicrotask(() => session.signIn("bob"));
            return "ada's!";
          });
          if (isAwaited) await updated;
          else while (session.principal !== "bob") await Promise.resolve();
          assertEquals(session.get(key), undefined);
        });
        assertEquals([kept?.principal, kept?.get(key)], ["bob", undefined]);
        const next = await browser.look((session) => session);
        assertEquals([next.principal, next.get(key)], ["bob", undefined]);
      }
    }
  });

  it("loses none of many increments at the same time", async () => {
    const browser = await visitor(new Site(), { count: 0 });
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

  it("removes the value when it returns REMOVED", async () => {
    const browser = await visitor(new Site(), { a: 1, b: 2 });
    await browser.visit(async (session) => {
      assertEquals(await session.update("a", () => REMOVED), undefined);
      assertEquals(session.keys(), ["b"]);
    });
    assertEquals(await browser.look((session) => session.keys()), ["b"]);
  });

  it("keeps the value, and fails, when it returns nothing", async () => {
    const browser = await visitor(new Site(), { cart: ["hat"] });
    const forgetful = (() => {}) as unknown as () => string[];
    for (const isNew of [false, true]) {
      if (isNew) browser.cookie = undefined;
      await browser.visit(async (session) => {
        if (isNew) session.set("cart", ["hat"]);
        await assertRejects(
          () => session.update("cart", forgetful),
          TypeError,
          "change returned nothing",
        );
      });
      const cart = await browser.look((session) => session.get("cart"));
      assertEquals(cart, ["hat"]);
    }
  });

  it("fails when it returns a promise, whatever becomes of that", async () => {
    const browser = await visitor(new Site(), { a: 1 });
    await browser.visit(async (session) => {
      for (const later of [Promise.resolve(2), Promise.reject(new Error())]) {
        await assertRejects(
          () => session.update("a", () => later),
          TypeError,
          "must be synchronous",
        );
      }
    });
    assertEquals(await browser.look((session) => session.get("a")), 1);
  });

  it("hands out a Map and a Set to be changed and returned", async () => {
    interface Data {
      seen: Map<string, number>;
      tags: Set<string>;
    }
    await using manager = new Manager<Data>();
    const session = await manager.start(new Request("http://localhost/"));
    await session.update("seen", (seen = new Map()) => seen.set("hat", 1));
    await session.update("seen", (seen = new Map()) => seen.set("coat", 2));
    await session.update("tags", (tags = new Set()) => tags.add("new"));
    // @ts-expect-error: what is read is a copy, and not to be written to
    session.get("seen")?.set("shoe", 3);
    assertEquals([...session.get("seen") ?? []], [["hat", 1], ["coat", 2]]);
    assertEquals([...session.get("tags") ?? []], ["new"]);
  });

  it("that nobody awaits is waited for by the commit", async () => {
    const browser = await visitor(new Site(), { count: 1 });
    await browser.visit((session) => {
      session.update("count", (count) => count as number + 1);
    });
    assertEquals(await browser.look((session) => session.get("count")), 2);
  });

  it("that nobody awaits ends no process when it fails", async () => {
    const browser = await visitor(new Site(), { count: 1 });
    const late = await browser.look((session) => session);
    await browser.visit((session) => session.destroy());
    const unhandled: unknown[] = [];
    const listen = (reason: unknown) => unhandled.push(reason);
    process.on("unhandledRejection", listen);
    late.update("count", (count) => count as number + 1);
    await browser.site.commit(late);
    await new Promise((resolve) => setTimeout(resolve, 0));
    process.off("unhandledRejection", listen);
    assertEquals(unhandled, []);
    assertEquals(browser.site.takeEvents().at(-1), "gone");
  });

  it("of a hundred at once costs a hundred writes", async () => {
    const provider = new MemoryProvider();
    const browser = await visitor(new Site({ provider }), { count: 0 });
    const requests = await Promise.all(
      Array.from({ length: 100 }, () => browser.look((session) => session)),
    );
    let writes = 0;
    const update = provider.update.bind(provider);
    provider.update = (...args) => {
      writes++;
      return update(...args);
    };
    await Promise.all(
      requests.map((session) =>
        session.update("count", (count) => count as number + 1)
      ),
    );
    assertEquals(writes, 100);
    assertEquals(await browser.look((session) => session.get("count")), 100);
  });

  it("sees what the request itself has set, and the commit does not undo it", async () => {
    const browser = await visitor(new Site(), { count: 1 });
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
    const browser = await visitor(new Site(), { count: 1, name: "Ada" });
    const late = await browser.look((session) => session);
    await browser.visit((session) => session.set("name", "Eve"));
    await late.update("count", (n) => n as number + 1);
    assertEquals(late.get("name"), "Ada");
  });

  it("works after the session was committed", async () => {
    const browser = await visitor(new Site(), { count: 1 });
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
    const browser = await visitor(new Site(), { count: 1 });
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
      assertEquals(await session.update("b", () => REMOVED), undefined);
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
    const browser = await visitor(new Site(), { count: 1 });
    const late = await browser.look((session) => session);
    await browser.visit((session) => session.destroy());
    const error = await assertRejects(
      () => late.update("count", () => 2),
      SessionError,
    );
    assertEquals(error.code, "gone");
  });

  it("fails as gone when another request signed in", async () => {
    const browser = await visitor(new Site(), { count: 1 });
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
    const browser = await visitor(new Site({ provider }), { count: 0 });
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
    const browser = await visitor(new Site(), { count: 1 });
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
    const valueChanges = [
      () => session.set("a", 1),
      () => session.delete("name"),
      () => session.take("name"),
    ];
    for (const change of valueChanges) {
      const error = assertThrows(change, SessionError, "session.update()");
      assertEquals(error.code, "committed");
    }
    const changes = [
      () => session.clear(),
      () => session.regenerate(),
      () => session.signIn("ada"),
      () => session.lifetime({ persistent: true }),
      () => session.destroy(),
    ];
    for (const change of changes) {
      const error = assertThrows(change, SessionError, "in the next request");
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
    const browser = await visitor(new Site(), { cart: ["coat"] });
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
    const first = await visitor(site, { cart: ["coat"] });
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
    const browser = await visitor(site, { cart: ["coat"] });
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
  const prove = (session: Session) =>
    session.regenerate({ reauthenticated: true });

  it("renews the token now, and keeps id and data", async () => {
    const browser = await visitor();
    browser.site.pass(30);
    const id = await browser.look((session) => session.id);
    const before = browser.token;
    const response = await browser.visit((session) => session.regenerate());
    assertEquals(response.headers.getSetCookie().length, 1);
    await browser.look((session) => {
      assertEquals([session.id, session.get("name")], [id, "Ada"]);
    });
    // The family stays, so that whoever holds the old one is found out.
    assertEquals(browser.token.slice(24, 40), before.slice(24, 40));
    assertNotEquals(browser.token, before);
  });

  it("leaves the old token until the new one was used, and for the grace", async () => {
    const browser = await visitor();
    browser.site.pass(30);
    const old = new Browser(browser.site, browser.cookie);
    await browser.visit((session) => session.regenerate());
    browser.site.pass(300);
    assertFalse(await old.look((session) => session.isNew));
    await browser.visit();
    browser.site.pass(29.999);
    assertFalse(await old.look((session) => session.isNew));
    browser.site.pass(0.001);
    browser.site.takeEvents();
    assert(await old.look((session) => session.isNew));
    assertEquals(browser.site.takeEvents(), ["reused"]);
  });

  it("does nothing while a renewal is that fresh or under way", async () => {
    const browser = await visitor();
    const again = () => browser.visit((session) => session.regenerate());
    assertEquals((await again()).headers.getSetCookie(), []);
    browser.site.pass(30);
    assertEquals((await again()).headers.getSetCookie().length, 1);
    browser.site.pass(60);
    // The first use of the new one only confirms it.
    assertEquals((await again()).headers.getSetCookie(), []);
    browser.site.pass(30);
    assertEquals((await again()).headers.getSetCookie().length, 1);
  });

  it("of two at the same time leaves one cookie that works", async () => {
    const browser = await visitor();
    browser.site.pass(30);
    const one = await browser.look((session) => session);
    const two = await browser.look((session) => session);
    one.regenerate();
    two.regenerate();
    browser.receive(await browser.site.commit(one));
    browser.receive(await browser.site.commit(two));
    assertEquals(await browser.look((session) => session.get("name")), "Ada");
  });

  it("with a new proof leaves nothing of the old token", async () => {
    const browser = await visitor();
    await browser.visit((session) => session.signIn("ada"));
    const old = new Browser(browser.site, browser.cookie);
    const late = await browser.look((session) => session);
    const response = await browser.visit(prove);
    assertEquals(response.headers.getSetCookie().length, 1);
    await old.look((session) => {
      assertEquals([session.isNew, session.refusal], [true, "superseded"]);
    });
    late.set("name", "Eve");
    browser.site.takeEvents();
    const answer = await browser.site.commit(late);
    assertEquals(answer.headers.getSetCookie(), []);
    assertEquals(browser.site.takeEvents(), ["gone"]);
    assertEquals(await browser.look((session) => session.get("name")), "Ada");
  });
});

describe("discard", () => {
  it("drops what the request changed, and begins no session", async () => {
    const browser = await visitor();
    const { cookie } = browser;
    await browser.visit((session) => {
      session.set("name", "Eve");
      session.signIn("eve");
      session.lifetime({ persistent: true });
      session.discard();
    });
    assertEquals(browser.cookie, cookie);
    await browser.look((session) => {
      assertEquals([session.get("name"), session.principal], [
        "Ada",
        undefined,
      ]);
    });
    const stranger = new Browser(browser.site);
    await stranger.visit((session) => {
      session.set("name", "Eve");
      session.formToken();
      session.discard();
    });
    assertEquals(stranger.cookie, undefined);
  });

  it("leaves an end and an update as they are", async () => {
    const browser = await visitor(new Site(), { count: 1 });
    await browser.visit(async (session) => {
      await session.update("count", (count) => count as number + 1);
      session.discard();
    });
    assertEquals(await browser.look((session) => session.get("count")), 2);
    await browser.visit((session) => {
      session.discard();
      session.destroy();
    });
    assertEquals(browser.cookie, undefined);
    assertEquals(browser.site.takeEvents().at(-1), "destroyed");
  });
});

describe("discard, when the store fails", () => {
  it("does not hide that the session was not ended", async () => {
    const provider = new MemoryProvider();
    const browser = await visitor(new Site({ provider }));
    failCall(provider, "destroy");
    const signOut = () =>
      browser.visit((session) => {
        session.discard();
        session.destroy();
      });
    const error = await assertRejects(signOut, SessionError);
    assertEquals(error.code, "store-failed");
    assertNotEquals(browser.cookie, undefined);
  });
});

describe("misuse of a session", () => {
  it("is refused at once, by what it was", async () => {
    const { session } = await visitor().then((browser) =>
      browser.look((session) => ({ session }))
    );
    const wrong: readonly (readonly [() => unknown, string])[] = [
      [
        () => session.signIn("ada", { label: 5 as never }),
        "label must be a string: received number",
      ],
      [
        () => session.update(5 as never, () => 1),
        "Cannot update value: its key must be a string: received number",
      ],
      [
        () => session.update("a", 5 as never),
        'Cannot update "a": it takes a function of the present value: received number',
      ],
    ];
    for (const [call, message] of wrong) {
      await assertRejects(async () => await call(), TypeError, message);
    }
  });

  it("of the manager is, too", async () => {
    const { manager } = new Site();
    const headers = { cookie: "id=1" };
    for (
      const [request, message] of [
        [{ url: "http://localhost/", method: "GET", headers }, "headers with"],
        [{ method: "GET", headers: new Headers() }, "a url"],
        [null, "received null"],
      ] as const
    ) {
      await assertRejects(
        async () => await manager.start(request as never),
        TypeError,
        message,
      );
    }
    const except = Promise.resolve("an id");
    await assertRejects(
      () => manager.destroyAll("ada", { except: except as never }),
      TypeError,
      "received a promise",
    );
  });
});

describe("a second signIn of one request", () => {
  it("keeps what the first one has to be asked", async () => {
    const browser = await visitor();
    const signIn = () =>
      browser.visit((session) => {
        session.signIn("ada", { stillValid: () => false });
        session.signIn("ada", { label: "laptop" });
      });
    const error = await assertRejects(signIn, SessionError);
    assertEquals(error.code, "not-valid");
  });
});

describe("isAlive", () => {
  const isAlive = (session: Session) => session.isAlive();

  it("is true through renewals and false after every kind of end", async () => {
    const ends: Record<string, (browser: Browser) => unknown> = {
      "a sign-out": (browser) => browser.visit((session) => session.destroy()),
      "a sign-in": (browser) =>
        browser.visit((session) => session.signIn("bob")),
      "the same user's": (browser) =>
        browser.visit((session) => session.signIn("ada")),
      "everywhere": ({ site }) => site.manager.destroyAll("ada"),
      "a timeout": ({ site }) => site.pass(3600),
    };
    for (const [name, end] of Object.entries(ends)) {
      const browser = await visitor();
      await browser.visit((session) => session.signIn("ada"));
      const socket = await browser.look((session) => session);
      assert(await isAlive(socket), name);
      browser.site.pass(1000);
      await browser.visit();
      await browser.visit();
      browser.site.pass(1000);
      await browser.visit();
      browser.site.takeEvents();
      assert(await isAlive(socket), name);
      assertEquals(browser.site.takeEvents(), []);
      await end(browser);
      assertFalse(await isAlive(socket), name);
    }
  });

  it("is true for the session that the request itself has begun", async () => {
    const browser = await visitor();
    let own: Session | undefined;
    await browser.visit((session) => {
      own = session;
      session.signIn("ada");
    });
    assert(await isAlive(own as Session));
    await browser.visit((session) => session.destroy());
    assertFalse(await isAlive(own as Session));
  });

  it("is false without a call where nothing is stored, and after destroy", async () => {
    const provider = new MemoryProvider();
    const browser = await visitor(new Site({ provider }), { a: 1 });
    provider.read = () => {
      throw new Error("the store is down");
    };
    assertFalse(await isAlive(await browser.site.start()));
  });

  it("fails when the store cannot tell", async () => {
    const provider = new MemoryProvider();
    const browser = await visitor(new Site({ provider }), { a: 1 });
    const session = await browser.look((session) => session);
    provider.read = () => {
      throw new Error("the store is down");
    };
    await assertRejects(() => session.isAlive(), SessionError, "Cannot read");
    session.destroy();
    assertFalse(await session.isAlive());
  });
});

describe("what every object inherits", () => {
  const copied = mintToken();
  const secret = copied.slice(24);

  /** What a record, a change, a guard or an option could take for its own. */
  const INHERITED: Readonly<Record<string, unknown>> = {
    principal: "admin",
    label: "admin",
    authenticatedAt: START - 1,
    previous: {
      secretHash: hashSecret(secret),
      family: hashFamily(secret),
      until: "confirmed",
    },
    binding: "inherited",
    fingerprint: "inherited",
    family: "inherited",
    token: "inherited",
    version: 7,
    reauthenticated: true,
    clearSiteData: true,
    stillValid: () => false,
    persistent: true,
    idleTimeout: 1,
    isUse: false,
    failed: () => true,
    except: "x".repeat(24),
    current: {},
  };

  for (const [name, value] of Object.entries(INHERITED)) {
    it(`such as ${name} changes nothing`, async () => {
      const expected = await lifeOf(new MemoryProvider());
      const life = await inheriting(
        { [name]: value },
        () => lifeOf(new MemoryProvider()),
      );
      assertEquals(life, expected);
    });

    it(`such as ${name} changes nothing of records that leave it out`, async () => {
      const expected = await lifeOf(leavingOut());
      const life = await inheriting(
        { [name]: value },
        () => lifeOf(leavingOut()),
      );
      assertEquals(life, expected);
    });
  }

  /** A provider whose records have only the fields that there is a value for. */
  function leavingOut(): Provider {
    return around(new ModelProvider(), (name, call) => {
      const answer = call();
      if (name !== "read" || answer === undefined) return answer;
      const fields = Object.entries(answer as SessionRecord)
        .filter(([, value]) => value !== undefined);
      return Object.fromEntries(fields);
    });
  }

  /** What becomes of a session in which everything happens that can. */
  async function lifeOf(provider: Provider): Promise<unknown[]> {
    const site = new Site({ provider });
    const { manager } = site;
    const browser = new Browser(site);
    const seen: unknown[] = [];
    const note = async () => {
      const { headers } = await browser.visit((session) => {
        const { isNew, principal, label, authenticatedAt, expiresAt } = session;
        seen.push([isNew, principal, label, authenticatedAt, expiresAt]);
        seen.push(session.keys());
      });
      seen.push(headers.getSetCookie().length);
      // Whoever has copied a cookie of long ago, or never had one.
      const token = browser.token.slice(0, 24) + secret;
      seen.push((await site.start(`__Host-id=${token}`)).isNew);
    };
    const visit = async (visit: (session: Session) => unknown) => {
      const before = browser.token;
      const { headers } = await browser.visit(visit);
      const [cookie = ""] = headers.getSetCookie();
      seen.push(cookie.slice(cookie.indexOf(";")));
      seen.push(headers.get("clear-site-data"));
      seen.push(browser.token.slice(24, 40) === before.slice(24, 40));
      await note();
    };
    await visit((session) => session.set("a", 1));
    await visit((session) => session.update("a", () => 2));
    await visit((session) => session.signIn("ada", {}));
    site.pass(60);
    await visit((session) => session.regenerate({}));
    await visit((session) => session.lifetime({ absoluteTimeout: 50_000 }));
    for (let count = 0; count < 3; count++) {
      site.pass(1500);
      const answer = await manager.run(
        requestWith(browser.cookie),
        (session) => {
          session.set("c", count);
          return new Response();
        },
        {},
      );
      browser.receive(answer);
      await note();
    }
    const listed = await manager.list("ada", {});
    seen.push(listed.map(({ isCurrent, label }) => [isCurrent, label]));
    const other = (await signedIn(site)).token.slice(0, 24);
    seen.push((await site.start(`__Host-id=${other}${secret}`)).isNew);
    seen.push(await manager.destroy(other, {}));
    seen.push(await manager.destroyAll("ada", {}));
    await note();
    await visit((session) => session.set("a", 1));
    await visit((session) => session.destroy({}));
    seen.push(told(site));
    return seen;
  }
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
  it("takes no part of it that every object inherits", async () => {
    const inherited = { persistent: true, absoluteTimeout: 9_999_999 };
    const change = (session: Session) => session.lifetime({ idleTimeout: 60 });
    const browser = await visitor(new Site());
    for (const visiting of [new Browser(new Site()), browser]) {
      await inheriting(inherited, async () => {
        const sent = await visiting.visit((session) => {
          change(session);
          session.set("a", 1);
        });
        for (const cookie of sent.headers.getSetCookie()) {
          assertFalse(cookie.includes("Max-Age"));
        }
      });
    }
  });

  it("gives one session timeouts of its own", async () => {
    const browser = await visitor();
    await browser.visit((session) =>
      session.lifetime({ idleTimeout: 7200, absoluteTimeout: 86400 })
    );
    browser.site.pass(7199);
    await browser.visit((session) => assertFalse(session.isNew));
    browser.site.pass(7199);
    await browser.visit((session) => assertFalse(session.isNew));
    browser.site.pass(7200);
    await browser.visit((session) => assert(session.isNew));
  });

  it("can shorten a session's life", async () => {
    const browser = await visitor();
    await browser.visit((session) => session.lifetime({ idleTimeout: 60 }));
    browser.site.pass(60);
    assert(await browser.look((session) => session.isNew));
  });

  it("renews the cookie for another Max-Age, and sends no secret twice", async () => {
    const browser = await visitor();
    const { token } = browser;
    browser.site.pass(100);
    const response = await browser.visit((session) =>
      session.lifetime({ persistent: true, absoluteTimeout: 86400 })
    );
    const [cookie] = response.headers.getSetCookie();
    assertNotEquals(browser.token, token);
    assert(cookie?.endsWith("; Max-Age=86300"), cookie);
  });

  it("waits for the next cookie while the secret is that fresh", async () => {
    const browser = await visitor();
    const response = await browser.visit((session) =>
      session.lifetime({ persistent: true })
    );
    assertEquals(response.headers.getSetCookie(), []);
    browser.site.pass(900);
    const [cookie] = (await browser.visit()).headers.getSetCookie();
    assert(cookie?.endsWith("; Max-Age=42300"), cookie);
  });

  it("is kept by later requests and by a new token", async () => {
    const browser = await visitor();
    await browser.visit((session) => session.lifetime({ persistent: true }));
    browser.site.pass(200);
    const response = await browser.visit((session) => session.regenerate());
    const [cookie] = response.headers.getSetCookie();
    assert(cookie?.endsWith("; Max-Age=43000"), cookie);
  });

  it("changes what was given, whatever a slower request knows", async () => {
    const browser = await visitor();
    const slow = await browser.look((session) => session);
    await browser.visit((session) => session.lifetime({ idleTimeout: 50 }));
    slow.lifetime({ absoluteTimeout: 86_400 });
    await browser.site.commit(slow);
    browser.site.pass(49);
    await browser.visit((session) => assertFalse(session.isNew));
    browser.site.pass(50);
    await browser.visit((session) => assert(session.isNew));
  });

  it("of the former user is not the next one's", async () => {
    const browser = await visitor();
    await browser.visit((session) => {
      session.signIn("ada");
      session.lifetime({ idleTimeout: 7200 });
    });
    await browser.visit((session) => session.signIn("bob"));
    browser.site.pass(3600);
    await browser.visit((session) => assert(session.isNew));
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
    const browser = await visitor(new Site(), { password: "hunter2" });
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

  it("takes JSON of any depth as a type", async () => {
    type Json = null | boolean | number | string | Json[] | {
      [key: string]: Json;
    };
    await using manager = new Manager<{ state: Json; stored: StoredValue }>();
    const session = await manager.start(new Request("http://localhost/"));
    session.set("state", { list: [1, { deep: [null] }] });
    session.set("stored", session.get("state") ?? null);
    await session.update("state", (state = null) => [state as Json]);
    assertEquals(session.get("state"), [{ list: [1, { deep: [null] }] }]);
  });

  it("takes a stored value inside of one, and a change of each", async () => {
    interface Data {
      bag: { readonly [key: string]: StoredValue };
      list: StoredValue[];
    }
    await using manager = new Manager<Data>();
    const session = await manager.start(requestWith());
    session.set("bag", { list: [new Map([["a", new Set([1n])]])] });
    session.set("list", [session.get("bag") ?? null]);
    await session.update("bag", (bag = {}) => ({ ...bag, more: [1] }));
    await session.update("list", (list = []) => [...list, null]);
    assertEquals(Object.keys(session.get("bag") ?? {}), ["list", "more"]);
    assertEquals(session.get("list")?.length, 2);
    // @ts-expect-error: it may be anything that can be stored, also a number
    assertThrows(() => session.get("list")?.[1].length, TypeError);
  });

  it("keeps a tuple a tuple", async () => {
    await using manager = new Manager<{ pair: [string, number] }>();
    const session = await manager.start(new Request("http://localhost/"));
    session.set("pair", ["hat", 1]);
    const [name, count]: readonly [string, number] = session.get("pair") ??
      ["", 0];
    assertEquals([name, count], ["hat", 1]);
  });

  it("tells why a cookie opened nothing", async () => {
    const browser = await visitor();
    const refusal = () => browser.look((session) => session.refusal);
    assertEquals(await refusal(), undefined);
    const old = new Browser(browser.site, browser.cookie);
    await browser.visit((session) => session.signIn("ada"));
    assertEquals(await old.look((session) => session.refusal), "superseded");
    browser.site.pass(31);
    assertEquals(await old.look((session) => session.refusal), "wrong-secret");
    browser.site.pass(3600);
    assertEquals(await refusal(), "unknown");
    browser.cookie = "__Host-id=nonsense";
    assertEquals(await refusal(), "malformed");
    browser.cookie = undefined;
    assertEquals(await refusal(), undefined);
  });

  it("is fresh for seconds, and milliseconds are refused", async () => {
    const browser = await visitor();
    await browser.visit((session) => session.signIn("ada"));
    browser.site.pass(300);
    await browser.look((session) => {
      assert(session.isFresh(301));
      assertFalse(session.isFresh(300));
      assertThrows(() => session.isFresh(300_000), RangeError, "seconds");
      for (const wrong of ["5m", NaN, undefined]) {
        assertThrows(() => session.isFresh(wrong as number), TypeError);
      }
    });
  });
});
