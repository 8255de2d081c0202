/** Tests what a manager does while its store is in trouble. */
import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertInstanceOf,
  assertLess,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Patience, Provider } from "../core/provider.ts";
import {
  Manager,
  type ManagerOptions,
  SessionError,
  type SessionEvent,
} from "../mod.ts";
import { printed } from "./_printed.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { Browser, requestWith, signedIn, Site, told } from "./_browser.ts";
import { failCall, later, replaceCall, restoreCall } from "./_providers.ts";
import { ModelProvider } from "./_model_provider.ts";
import { mintToken } from "./_tokens.ts";

/** A timeout that a test can wait for several times, in seconds. */
const TIMEOUT = 0.05;

/** A store that can fall silent, with the calls that it has not answered. */
class SilentProvider extends MemoryProvider {
  isSilent = false;
  reads = 0;
  replaced = 0;
  readonly #unanswered: (() => void)[] = [];

  override read(...args: Parameters<MemoryProvider["read"]>): never {
    this.reads++;
    const answer = () => super.read(...args);
    return new Promise((resolve) => {
      if (this.isSilent) this.#unanswered.push(() => resolve(answer()));
      else queueMicrotask(() => resolve(answer()));
    }) as never;
  }

  reconnect(): void {
    this.replaced++;
  }

  /** Answers, late, what has been left. */
  answer(): void {
    for (const answer of this.#unanswered.splice(0)) answer();
  }
}

/** A manager on a store that can fall silent, and all its events. */
function silenceable(options: ManagerOptions = {}) {
  const provider = new SilentProvider();
  const events: SessionEvent[] = [];
  const manager = new Manager({
    provider,
    gcInterval: 0,
    timeout: TIMEOUT,
    onEvent: (event) => events.push(event),
    ...options,
  });
  /** What starting a request comes to. */
  const start = async (): Promise<string> => {
    try {
      await manager.start(requestWith(`__Host-id=${mintToken()}`));
      return "started";
    } catch (error) {
      assertInstanceOf(error, SessionError);
      return error.code;
    }
  };
  return { provider, manager, events, start };
}

/** What happened so far, without the refusals of cookies that nobody has. */
function typesOf(events: readonly SessionEvent[]): string[] {
  return events.map(({ type }) => type).filter((type) => type !== "refused");
}

async function times<T>(count: number, run: () => Promise<T>): Promise<T[]> {
  return await Promise.all(Array.from({ length: count }, run));
}

describe("a store that answers nothing", () => {
  it("is asked no more once three calls have timed out", async () => {
    const { provider, start } = silenceable();
    provider.isSilent = true;
    assertEquals(await times(3, start), ["timeout", "timeout", "timeout"]);
    const { reads } = provider;
    const before = performance.now();
    // One is let through, to try.
    const codes = await times(50, start);
    assertEquals(codes.filter((code) => code === "unavailable").length, 49);
    assertEquals(provider.reads - reads, 1);
    assertLess(performance.now() - before, 1000);
  });

  it("is asked by one call a second, and by all once that is answered", async () => {
    const { provider, start } = silenceable();
    provider.isSilent = true;
    await times(4, start);
    assertEquals(await start(), "timeout");
    assertEquals(await start(), "unavailable");
    await sleep(1050);
    provider.isSilent = false;
    assertEquals(await start(), "started");
    assertEquals(await times(20, start), Array(20).fill("started"));
  });

  it("is back when it answers late", async () => {
    const { provider, start } = silenceable();
    provider.isSilent = true;
    await times(4, start);
    await start();
    assertEquals(await start(), "unavailable");
    provider.isSilent = false;
    provider.answer();
    await sleep(1);
    assertEquals(await times(5, start), Array(5).fill("started"));
  });

  it("is not silent while it answers some", async () => {
    const { provider, start } = silenceable();
    for (let round = 0; round < 4; round++) {
      provider.isSilent = true;
      const slow = start();
      await sleep(5);
      provider.isSilent = false;
      assertEquals(await start(), "started");
      assertEquals(await slow, "timeout");
    }
    assertEquals([await start(), provider.replaced], ["started", 0]);
  });

  it("has its connections replaced at the first call in vain, once a timeout", async () => {
    const { provider, start } = silenceable();
    provider.isSilent = true;
    await times(20, start);
    assertEquals(provider.replaced, 1);
    await start();
    assertEquals(provider.replaced, 2);
  });

  it("is not asked by more than a thousand at a time", async () => {
    const { provider, start } = silenceable({ timeout: 2 });
    provider.isSilent = true;
    const first = times(1000, start);
    await sleep(1050);
    const codes = times(100, start);
    await sleep(1);
    assertEquals(provider.reads, 1001);
    provider.answer();
    assertEquals(new Set(await first), new Set(["started"]));
    const counts = (await codes).filter((code) => code === "unavailable");
    assertEquals(counts.length, 99);
  });

  it("holds up no more than its timeout when it is closed", async () => {
    let closes = 0;
    const provider = new MemoryProvider();
    replaceCall(provider, "close", () => {
      closes++;
      return new Promise(() => {});
    });
    const { register } = await import("../mod.ts");
    register("never-closes", () => provider);
    const manager = new Manager({
      provider: "never-closes",
      gcInterval: 0,
      timeout: TIMEOUT,
      onEvent: () => {},
    });
    const error = await assertRejects(() => manager.close(), SessionError);
    assertEquals([error.code, closes], ["timeout", 1]);
    assertStringIncludes(error.message, "Cannot close the provider");
  });
});

describe("an outage", () => {
  it("is told at its first failure, and once", async () => {
    const { provider, events, start } = silenceable();
    failCall(provider, "read", new Error("connection refused"));
    for (let call = 0; call < 5; call++) await start();
    assertEquals(typesOf(events).filter((type) => type !== "store-error"), [
      "store-down",
    ]);
    const down = events.find((event) => event.type === "store-down");
    assertEquals(
      down?.type === "store-down" && down.error.code,
      "store-failed",
    );
  });

  it("is over when a call succeeds ten seconds after the last failure", async () => {
    const { performance: clock } = globalThis;
    const own = Object.getOwnPropertyDescriptor(clock, "now");
    const realNow = clock.now.bind(clock);
    let ahead = 0;
    clock.now = () => realNow() + ahead;
    try {
      const { provider, events, start } = silenceable();
      failCall(provider, "read", new Error("connection refused"));
      await start();
      restoreCall(provider, "read");
      ahead = 9_000;
      await start();
      assertFalse(typesOf(events).includes("store-up"));
      ahead = 11_000;
      await start();
      await start();
      const ups = events.filter((event) => event.type === "store-up");
      assertEquals(ups, [{ type: "store-up", seconds: 11 }]);
    } finally {
      // It is the object's own on Bun, and inherited on Deno.
      Reflect.deleteProperty(clock, "now");
      if (own !== undefined) Object.defineProperty(clock, "now", own);
    }
  });

  it("is no fault of one session", async () => {
    const site = new Site();
    const events: SessionEvent[] = [];
    const provider = new MemoryProvider();
    failCall(
      provider,
      "read",
      new SessionError("corrupt", "Cannot read session: damaged"),
    );
    const manager = new Manager({
      provider,
      gcInterval: 0,
      onEvent: (event) => events.push(event),
    });
    const request = requestWith(`__Host-id=${mintToken()}`);
    await assertRejects(async () => await manager.start(request), SessionError);
    assertEquals(typesOf(events), ["store-error"]);
    assertEquals(told(site), []);
  });

  it("is one line on the console for who listens to nothing", async () => {
    const lines = await printed(async () => {
      const provider = new MemoryProvider();
      failCall(provider, "read", new Error("connect ECONNREFUSED"));
      const manager = new Manager({ provider, gcInterval: 0 });
      const handler = manager.handle(() => new Response());
      for (let call = 0; call < 5; call++) {
        await handler(requestWith(`__Host-id=${mintToken()}`));
      }
    });
    assertEquals(lines.length, 1);
    assertStringIncludes(lines[0]!, "Cannot read session");
    assertStringIncludes(lines[0]!, "connect ECONNREFUSED");
  });
});

describe("handle, when the store fails", () => {
  /** A user's browser whose next request meets a failure. */
  async function failing(options: ManagerOptions = {}) {
    const provider = new MemoryProvider();
    const site = new Site({ provider, ...options });
    const browser = await signedIn(site);
    const handler = site.manager.handle((_request, session) => {
      session.set("paid", true);
      return new Response("paid");
    });
    const request = requestWith(browser.cookie);
    return { provider, site, browser, handler, request };
  }

  for (const call of ["read", "update"] as const) {
    it(`answers 503 and says when to come back if ${call} does`, async () => {
      const { provider, handler, request } = await failing();
      failCall(provider, call);
      const response = await handler(request);
      assertEquals(response.status, 503);
      assertEquals(response.headers.get("retry-after"), "5");
      assertEquals(response.headers.get("cache-control"), "no-store");
      assertEquals(response.headers.getSetCookie(), []);
      assertStringIncludes(await response.text(), "Try again");
    });
  }

  it("answers what onUnavailable does", async () => {
    const seen: unknown[] = [];
    const { provider, handler, request } = await failing({
      onUnavailable: (error, request) => {
        seen.push(error.code, request.url);
        return new Response("back soon", { status: 500 });
      },
    });
    failCall(provider, "read");
    const response = await handler(request);
    assertEquals([response.status, await response.text()], [500, "back soon"]);
    assertEquals(seen, ["store-failed", request.url]);
  });

  it("answers 503 after close", async () => {
    const { site, handler, request } = await failing();
    await site.manager.close();
    assertEquals((await handler(request)).status, 503);
  });

  it("passes on what is no fault of the store", async () => {
    const { site, request } = await failing();
    const handler = site.manager.handle(() => {
      throw new RangeError("no such page");
    });
    await assertRejects(() => handler(request), RangeError, "no such page");
    const large = site.manager.handle((_request, session) => {
      session.set("a", "a".repeat(70_000));
      return new Response();
    });
    const error = await assertRejects(() => large(request), SessionError);
    assertEquals(error.code, "too-large");
  });

  it("leaves run to its caller", async () => {
    const { provider, site, request } = await failing();
    failCall(provider, "read");
    await assertRejects(
      () => site.manager.run(request, () => new Response()),
      SessionError,
    );
  });
});

describe("the store's clock", () => {
  /** A provider with a clock so many seconds behind the site's. */
  function clocked(behind: number) {
    const provider = new MemoryProvider() as MemoryProvider & Provider;
    const events: SessionEvent[] = [];
    let collections = 0;
    replaceCall(provider, "serverTime", () => site.now - behind * 1000);
    replaceCall(provider, "gc", () => {
      collections++;
      return 0;
    });
    const site: Site = new Site({
      provider,
      onEvent: (event) => events.push(event),
    });
    return { site, events, collections: () => collections };
  }

  for (const behind of [61, 3600, -61, -86_400]) {
    it(`is told of if it is ${behind} s behind, and nothing is collected`, async () => {
      const { site, events, collections } = clocked(behind);
      assertEquals(await site.manager.gc(), 0);
      assertEquals(events, [{ type: "clock-skew", seconds: behind }]);
      assertEquals(collections(), 0);
    });
  }

  it("may differ by a minute", async () => {
    for (const behind of [0, 60, -60]) {
      const { site, events, collections } = clocked(behind);
      await site.manager.gc();
      assertEquals([events, collections()], [[], 1]);
    }
  });

  it("is compared by the first request, and by ready", async () => {
    for (const ask of ["start", "ready"] as const) {
      const { site, events } = clocked(3600);
      for (let call = 0; call < 3; call++) {
        await (ask === "start" ? site.start() : site.manager.ready());
      }
      await sleep(0);
      assertEquals(events, [{ type: "clock-skew", seconds: 3600 }]);
    }
  });

  it("fails the pass if it cannot be read", async () => {
    const { site } = clocked(0);
    const provider = new MemoryProvider();
    failCall(provider, "serverTime");
    const other = new Site({ provider });
    await assertRejects(() => other.manager.gc(), SessionError, "clock");
    await site.manager.close();
  });
});

describe("a sign-out by a machine whose clock is ahead", () => {
  it("ends the session that it takes for expired", async () => {
    const provider = new ModelProvider();
    const site = new Site({ provider });
    const browser = await signedIn(site);
    const ahead = new Site({ provider });
    ahead.now = site.now + 2 * 3600 * 1000;
    const other = new Browser(ahead, browser.cookie);
    await other.visit((session) => {
      assertEquals(session.refusal, "unknown");
      session.destroy();
    });
    assertEquals(told(ahead), ["unknown"]);
    assertEquals(other.cookie, undefined);
    assertEquals(await browser.look((session) => session.refusal), "unknown");
  });

  it("costs no call if it is not asked for", async () => {
    const site = new Site();
    const browser = new Browser(site, `__Host-id=${mintToken()}`);
    const provider = new MemoryProvider();
    failCall(provider, "destroy");
    await browser.visit((session) => session.set("a", 1));
    assertEquals(told(site), ["unknown", "created"]);
  });
});

describe("a store that lost a renewal", () => {
  /** A user whose store goes back to before a renewal that was confirmed. */
  async function rolledBack(options: ManagerOptions = {}) {
    const provider = new MemoryProvider();
    const site = new Site({ provider, ...options });
    const browser = await signedIn(site);
    const id = browser.token.slice(0, 24);
    const before = provider.read(id, site.now)!;
    site.pass(900);
    await browser.visit();
    await browser.visit();
    site.pass(60);
    provider.clear();
    provider.create(id, before, site.now);
    told(site);
    return { provider, site, browser, id };
  }

  it("refuses the owner's cookie, and ends nothing", async () => {
    const { provider, site, browser, id } = await rolledBack();
    const session = await site.start(browser.cookie);
    assertEquals([session.refusal, session.principal], [
      "rolled-back",
      undefined,
    ]);
    assertEquals(site.events.map(({ type }) => type), [
      "rolled-back",
      "refused",
    ]);
    assertEquals(site.events[0], { type: "rolled-back", id, principal: "ada" });
    assert(provider.read(id, site.now) !== undefined);
  });

  it("opens again what a late replica has lost for a moment", async () => {
    let reads = 0;
    const fresh = new MemoryProvider();
    const current = new Site({ provider: fresh });
    const owner = await signedIn(current);
    const now = fresh.read(owner.token.slice(0, 24), current.now)!;
    // The same record, one renewal earlier.
    const secretHash = oneLess(now.secretHash).slice(0, 4) + "0".repeat(64);
    const earlier = { ...now, secretHash };
    replaceCall(fresh, "read", (...args) => {
      reads++;
      if (reads < 3) return earlier;
      return MemoryProvider.prototype.read.apply(
        fresh,
        args as [string, number],
      );
    });
    assertEquals(await owner.look((session) => session.principal), "ada");
    assertEquals([reads, told(current)], [3, []]);
  });

  it("is asked three times at most", async () => {
    const { provider, site, browser } = await rolledBack();
    let reads = 0;
    replaceCall(provider, "read", (...args) => {
      reads++;
      return MemoryProvider.prototype.read.apply(
        provider,
        args as [string, number],
      );
    });
    assertEquals(
      await browser.look((session) => session.refusal),
      "rolled-back",
    );
    assertEquals(reads, 3);
    assertEquals(told(site), ["rolled-back", "rolled-back"]);
  });

  it("lets the owner sign in again, and ends what was left", async () => {
    const { provider, site, browser, id } = await rolledBack();
    await browser.visit((session) => session.signIn("ada"));
    assertEquals(provider.read(id, site.now), undefined);
    assertEquals(
      await browser.look((session) => session.principal),
      "ada",
    );
  });

  it("lets the owner sign out", async () => {
    const { provider, site, browser, id } = await rolledBack();
    await browser.visit((session) => session.destroy());
    assertEquals(provider.read(id, site.now), undefined);
    assertEquals(browser.cookie, undefined);
  });

  it("leaves the session alone when something else is stored", async () => {
    const { provider, site, browser, id } = await rolledBack();
    await browser.visit((session) => session.set("name", "Ada"));
    assert(provider.read(id, site.now) !== undefined);
  });

  it("still raises the alarm for a copy that is older", async () => {
    const { site, browser } = await rolledBack();
    const copy = browser.token;
    const older = copy.slice(0, 40) + oneLess(oneLess(copy.slice(40, 44))) +
      copy.slice(44);
    await site.start(`__Host-id=${older}`);
    assertEquals(told(site), ["reused"]);
  });
});

/** What begins with a generation, with the one before it. */
function oneLess(text: string): string {
  const number = Buffer.from(text.slice(0, 4), "base64url").readUIntBE(0, 3);
  const before = Buffer.alloc(3);
  before.writeUIntBE((number + 2 ** 24 - 1) % 2 ** 24, 0, 3);
  return before.toString("base64url") + text.slice(4);
}

describe("how long a provider is told to try", () => {
  it("is as long as the manager waits, for every call that writes", async () => {
    const given = new Map<string, number>();
    const memory = new MemoryProvider();
    const provider = new Proxy(memory, {
      get(target, name) {
        const member: unknown = Reflect.get(target, name);
        if (typeof member !== "function") return member;
        return (...args: unknown[]) => {
          const patience = args.at(-1) as Patience | undefined;
          if (typeof patience?.giveUpAt === "number") {
            given.set(String(name), patience.giveUpAt - performance.now());
          }
          return member.apply(target, args);
        };
      },
    });
    const site = new Site({ provider, timeout: 7 });
    const browser = await signedIn(site);
    await browser.visit((session) => session.set("a", 1));
    site.pass(61);
    await browser.visit();
    await browser.visit((session) => session.destroy());
    await site.manager.gc();
    await site.manager.destroyAll("ada");
    await site.manager.destroyEverything();
    assertEquals([...given.keys()].sort(), [
      "clear",
      "create",
      "destroy",
      "destroyAll",
      "gc",
      "touch",
      "update",
    ]);
    for (const [name, rest] of given) {
      assertGreater(rest, 6000, name);
      assertLess(rest, 7001, name);
    }
  });

  it("begins anew with each step that it tells of", async () => {
    const provider = new MemoryProvider();
    replaceCall(provider, "destroyAll", async (...args) => {
      for (let step = 0; step < 4; step++) {
        await sleep(400);
        (args[2] as Patience).extend();
      }
      return 5;
    });
    // Long enough for a machine that does much else, and shorter than the steps.
    const site = new Site({ provider, timeout: 1.2 });
    assertEquals(await site.manager.destroyAll("ada"), 5);
  });

  it("is over when the steps stop", async () => {
    const provider = new MemoryProvider();
    replaceCall(provider, "clear", async (...args) => {
      (args[0] as Patience).extend();
      await new Promise(() => {});
    });
    const site = new Site({ provider, timeout: TIMEOUT });
    const error = await assertRejects(
      () => site.manager.destroyEverything(),
      SessionError,
    );
    assertEquals(error.code, "timeout");
  });
});

describe("a provider in plain JavaScript", () => {
  const fields: Record<string, unknown> = {
    previous: null,
    principal: null,
    label: 5,
    authenticatedAt: "now",
    fingerprint: {},
    binding: [],
  };
  for (const [name, value] of Object.entries(fields)) {
    it(`fails the request if it answers ${name} as ${typeof value}`, async () => {
      const provider = new MemoryProvider();
      const site = new Site({ provider });
      const browser = await signedIn(site);
      const record = provider.read(browser.token.slice(0, 24), site.now)!;
      replaceCall(provider, "read", () => ({ ...record, [name]: value }));
      const error = await assertRejects(
        () => site.start(browser.cookie),
        SessionError,
      );
      assertEquals(error.code, "store-failed");
    });
  }
});

describe("the limit of sessions over many", () => {
  const wraps = { "at once": (provider: Provider) => provider, later };
  for (const [when, wrap] of Object.entries(wraps)) {
    it(`evicts them in batches, on a provider that answers ${when}`, async () => {
      const memory = new MemoryProvider();
      const many = new Site({ provider: memory });
      for (let count = 0; count < 1200; count++) await signedIn(many);
      const batches: number[] = [];
      replaceCall(memory, "destroyMany", (ids, guard, now) => {
        batches.push((ids as string[]).length);
        return (ids as string[]).filter((id) =>
          memory.destroy(id, guard as object, now as number) === "done"
        );
      });
      const site = new Site({ provider: wrap(memory), maxSessions: 3 });
      const browser = new Browser(site);
      await browser.visit((session) => session.signIn("ada"));
      assertEquals(batches, [500, 500, 198]);
      assertEquals((await site.manager.list("ada")).length, 3);
      const evicted = told(site).filter((type) => type === "evicted");
      assertEquals(evicted.length, 1198);
      assertEquals(await browser.look((session) => session.principal), "ada");
    });
  }
});
