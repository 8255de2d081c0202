import {
  assert,
  assertEquals,
  assertGreater,
  assertInstanceOf,
  assertRejects,
} from "@std/assert";
import { describe, it } from "node:test";
import type { Provider, SessionList } from "../core/provider.ts";
import { type ManagerOptions, SessionError } from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";
import {
  Browser,
  cookiesOf,
  Gate,
  principalOf,
  signedIn as signedInAs,
  Site,
  visitor,
} from "./_browser.ts";
import { later } from "./_providers.ts";

/** A call of the provider that waits for its turn. */
interface Waiting {
  readonly by: number;
  readonly gate: Gate;
}

/** A provider whose calls during a sign-in happen in an order chosen by hand. */
class Crossing {
  readonly memory = new MemoryProvider();
  readonly waiting: Waiting[] = [];

  /** The same store, seen by one of the requests. */
  seenBy(by: number): Provider {
    return new Proxy(this.memory, {
      get: (memory, name) => {
        const member: unknown = Reflect.get(memory, name);
        if (typeof member !== "function") return member;
        if (name === "observe") return member.bind(memory);
        return async (...args: unknown[]) => {
          const gate = new Gate();
          this.waiting.push({ by, gate });
          await gate.promise;
          const answer: unknown = member.apply(memory, args);
          // A list is in no particular order, and no two need to agree.
          if (name !== "list" || by % 2 === 0) return answer;
          const { sessions, unreadable } = answer as SessionList;
          return { sessions: [...sessions].reverse(), unreadable };
        };
      },
    });
  }
}

/** How the sign-ins of one interleaving ended. */
interface Ending {
  readonly live: readonly string[];
  readonly errors: readonly unknown[];
}

/**
 * Signs a user in `count` times at once, in the order that `choices` names at
 * each step, then the first that waits.
 *
 * @returns How it ended, and how many choices there were at each step.
 */
async function cross(
  options: ManagerOptions,
  count: number,
  choices: readonly number[],
): Promise<{ ending: Ending; widths: number[] }> {
  const crossing = new Crossing();
  const errors: unknown[] = [];
  const commits = Array.from({ length: count }, async (_, by) => {
    const site = new Site({ ...options, provider: crossing.seenBy(by) });
    const session = await site.start();
    session.signIn("ada");
    await site.commit(session).catch((error) => errors.push(error));
  });
  const widths: number[] = [];
  for (;;) {
    await settle();
    const { waiting } = crossing;
    if (waiting.length === 0) break;
    waiting.sort((a, b) => a.by - b.by);
    const [next] = waiting.splice(choices[widths.length] ?? 0, 1);
    widths.push(waiting.length + 1);
    next?.gate.open();
  }
  await Promise.all(commits);
  const { sessions } = crossing.memory.list("ada", new Site().now);
  return { ending: { live: sessions.map(({ id }) => id), errors }, widths };
}

/** Lets every request go on to its next call of the provider. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 25; turn++) await Promise.resolve();
}

/** Every way in which the calls of `count` sign-ins at once can interleave. */
async function* interleavings(
  options: ManagerOptions,
  count: number,
): AsyncGenerator<Ending> {
  let choices: number[] | undefined = [];
  while (choices !== undefined) {
    const { ending, widths } = await cross(options, count, choices);
    yield ending;
    choices = following(choices, widths);
  }
}

/** The choices that come next when choices are counted up from the last. */
function following(
  choices: readonly number[],
  widths: readonly number[],
): number[] | undefined {
  for (let step = widths.length - 1; step >= 0; step--) {
    const choice = choices[step] ?? 0;
    if (choice + 1 < (widths[step] ?? 0)) {
      const before = widths.slice(0, step).map((_, at) => choices[at] ?? 0);
      return [...before, choice + 1];
    }
  }
  return undefined;
}

/** Signs in on a browser of its own. */
async function signedIn(site: Site, principal = "ada"): Promise<Browser> {
  const browser = new Browser(site);
  await browser.visit((session) => session.signIn(principal));
  site.pass(1);
  return browser;
}

async function countOf(site: Site): Promise<number> {
  return (await site.manager.list("ada")).length;
}

/** Signs in on many browsers at once and counts what went well. */
async function signInTogether(site: Site, count: number): Promise<number> {
  const visits = Array.from(
    { length: count },
    () => new Browser(site).visit((session) => session.signIn("ada")),
  );
  const results = await Promise.allSettled(visits);
  return results.filter(({ status }) => status === "fulfilled").length;
}

const PROVIDERS: readonly (readonly [string, () => Provider])[] = [
  ["at once", () => new MemoryProvider()],
  ["later", () => later(new MemoryProvider())],
];

describe("a user with no limit", () => {
  it("can have any number of sessions", async () => {
    const site = new Site();
    for (let count = 0; count < 20; count++) await signedIn(site);
    assertEquals(await countOf(site), 20);
  });
});

describe("a user with maxSessions sessions who signs in once more", () => {
  it("loses the session that signed in first", async () => {
    const site = new Site({ maxSessions: 2 });
    const [first, second] = [await signedIn(site), await signedIn(site)];
    const third = await signedIn(site);
    assertEquals(await principalOf(first), undefined);
    assertEquals(await principalOf(second), "ada");
    assertEquals(await principalOf(third), "ada");
  });

  it("loses the one that signed in first even if it was created last", async () => {
    const site = new Site({ maxSessions: 1 });
    const visitor = new Browser(site);
    await visitor.visit((session) => session.set("cart", ["coat"]));
    site.pass(1);
    const other = await signedIn(site);
    await visitor.visit((session) => session.signIn("ada"));
    assertEquals(await principalOf(other), undefined);
    assertEquals(await principalOf(visitor), "ada");
  });

  it("loses the one that signed in first even if it was used last", async () => {
    const site = new Site({ maxSessions: 2 });
    const [first, second] = [await signedIn(site), await signedIn(site)];
    await first.visit((session) => session.set("cart", ["coat"]));
    await signedIn(site);
    assertEquals(await principalOf(first), undefined);
    assertEquals(await principalOf(second), "ada");
  });

  it("is told by an event which session was evicted", async () => {
    const site = new Site({ maxSessions: 1 });
    const first = await signedIn(site);
    const id = await first.look((session) => session.id);
    site.takeEvents();
    await signedIn(site);
    assertEquals(site.events.map(({ type }) => type), [
      "created",
      "evicted",
      "signed-in",
    ]);
    assertEquals(site.events[1], { type: "evicted", id });
  });

  it("loses as many as are too many when the limit was lowered", async () => {
    const provider = new MemoryProvider();
    const before = new Site({ provider });
    for (let count = 0; count < 5; count++) await signedIn(before);
    const site = new Site({ provider, maxSessions: 2 });
    site.now = before.now;
    const browser = await signedIn(site);
    assertEquals(await countOf(site), 2);
    assertEquals(await principalOf(browser), "ada");
  });

  it("takes nothing from other users", async () => {
    const site = new Site({ maxSessions: 1 });
    const grace = await signedIn(site, "grace");
    await signedIn(site);
    await signedIn(site);
    assertEquals(await principalOf(grace), "grace");
  });

  it("has the place of a session that has expired", async () => {
    const site = new Site({ maxSessions: 1, onMaxSessions: "reject" });
    await signedIn(site);
    site.pass(3600);
    assertEquals(await principalOf(await signedIn(site)), "ada");
  });

  it("has the place of a session that was destroyed", async () => {
    const site = new Site({ maxSessions: 1, onMaxSessions: "reject" });
    await (await signedIn(site)).visit((session) => session.destroy());
    assertEquals(await principalOf(await signedIn(site)), "ada");
  });
});

describe("signing in again in the same session", () => {
  for (const onMaxSessions of ["evict-oldest", "reject"] as const) {
    it(`does not count twice with ${onMaxSessions}`, async () => {
      const site = new Site({ maxSessions: 2, onMaxSessions });
      const [browser, other] = [await signedIn(site), await signedIn(site)];
      await browser.visit((session) => session.signIn("ada"));
      assertEquals(await principalOf(browser), "ada");
      assertEquals(await principalOf(other), "ada");
      assertEquals(await countOf(site), 2);
    });
  }

  it("makes the session the latest, so that another one is evicted next", async () => {
    const site = new Site({ maxSessions: 2 });
    const [browser, other] = [await signedIn(site), await signedIn(site)];
    await browser.visit((session) => session.signIn("ada"));
    site.pass(1);
    await signedIn(site);
    assertEquals(await principalOf(browser), "ada");
    assertEquals(await principalOf(other), undefined);
  });
});

describe("a sign-in that is rejected", () => {
  const REJECT = { maxSessions: 1, onMaxSessions: "reject" } as const;

  /** A visitor with a session of data, while the user is signed in elsewhere. */
  async function visitor(): Promise<{ site: Site; browser: Browser }> {
    const site = new Site(REJECT);
    await signedIn(site);
    const browser = new Browser(site);
    await browser.visit((session) => session.set("cart", ["coat"]));
    site.takeEvents();
    return { site, browser };
  }

  async function attempt(browser: Browser): Promise<SessionError> {
    return await assertRejects(
      () =>
        browser.visit((session) => {
          session.set("cart", []);
          session.signIn("ada");
        }),
      SessionError,
      "Cannot sign in: the user has 1 sessions already",
    );
  }

  it("fails with a code that a program can act on", async () => {
    const { browser } = await visitor();
    assertEquals((await attempt(browser)).code, "too-many-sessions");
  });

  it("leaves the visitor's session and data as they were", async () => {
    const { browser } = await visitor();
    const before = browser.cookie;
    await attempt(browser);
    assertEquals(browser.cookie, before);
    assertEquals(await browser.look((session) => session.get("cart")), [
      "coat",
    ]);
    assertEquals(await principalOf(browser), undefined);
  });

  it("stores nothing for a visitor who had no session", async () => {
    const provider = new MemoryProvider();
    const site = new Site({ ...REJECT, provider });
    await signedIn(site);
    await attempt(new Browser(site));
    assertEquals(provider.stats().sessions, 1);
  });

  it("leaves the sessions that the user has alone", async () => {
    const site = new Site(REJECT);
    const browser = await signedIn(site);
    await attempt(new Browser(site));
    assertEquals(await principalOf(browser), "ada");
  });

  it("raises no event of a sign-in", async () => {
    const { site, browser } = await visitor();
    await attempt(browser);
    assertEquals(site.takeEvents(), []);
  });
});

describe("a sign-in on a machine whose clock is behind", () => {
  it("stays, and the older one goes", async () => {
    const provider = new MemoryProvider();
    const laptop = new Browser(new Site({ provider, maxSessions: 1 }));
    laptop.site.pass(10);
    await laptop.visit((session) => session.signIn("ada"));
    const phone = new Browser(new Site({ provider, maxSessions: 1 }));
    await phone.visit((session) => session.signIn("ada"));
    assertEquals(phone.site.takeEvents(), ["created", "evicted", "signed-in"]);
    phone.site.pass(11);
    assertEquals(await phone.look((session) => session.principal), "ada");
  });

  it("is dated at most a minute ahead, and what lies beyond is the oldest", async () => {
    const provider = new MemoryProvider();
    const wrong = new Browser(new Site({ provider, maxSessions: 2 }));
    wrong.site.pass(3600);
    await wrong.visit((session) => session.signIn("ada"));
    const site = new Site({ provider, maxSessions: 2 });
    const [one, two] = [new Browser(site), new Browser(site)];
    await one.visit((session) => session.signIn("ada"));
    await two.visit((session) => session.signIn("ada"));
    const { sessions } = provider.list("ada", site.now);
    const dates = sessions.map(({ authenticatedAt = 0 }) =>
      authenticatedAt - site.now
    );
    assertEquals(dates.sort((a, b) => a - b), [0, 1]);
  });
});

describe("a sign-in dated as late as can be", () => {
  it("comes after one that was dated so before, and stays", async () => {
    for (const ahead of [59_999, 59_999.5, 60_000]) {
      const provider = new MemoryProvider();
      const other = new Site({ provider, maxSessions: 1 });
      other.now += ahead;
      // Whichever id is the lower one, which a tie is decided by.
      for (let count = 0; count < 8; count++) {
        await signedInAs(other);
        const site = new Site({ provider, maxSessions: 1 });
        const browser = new Browser(site);
        await browser.visit((session) => session.signIn("ada"));
        site.now = other.now;
        assertEquals(await principalOf(browser), "ada", `${ahead}`);
        await provider.clear();
      }
    }
  });
});

describe("a double click on Sign in", () => {
  /** Both requests began before either was answered, from a visitor's session. */
  async function doubleClick(maxSessions: number) {
    const site = new Site({ maxSessions, onMaxSessions: "reject" });
    const browser = await visitor(site);
    const first = await site.start(browser.cookie);
    const second = await site.start(browser.cookie);
    first.signIn("ada");
    second.signIn("ada");
    const answer = await site.commit(first);
    await site.commit(second);
    return { site, cookie: cookiesOf(answer)[0] };
  }

  it("leaves the first session alone where there is room", async () => {
    const { site, cookie } = await doubleClick(2);
    assertEquals(await principalOf(new Browser(site, cookie)), "ada");
    assertEquals(await countOf(site), 2);
  });

  it("takes the place of the first where there is none", async () => {
    const { site, cookie } = await doubleClick(1);
    assertEquals(await principalOf(new Browser(site, cookie)), undefined);
    assertEquals(await countOf(site), 1);
  });
});

describe("a session of the user that cannot be read", () => {
  it("neither counts nor is evicted, and an event names it", async () => {
    const provider = new MemoryProvider();
    const list = provider.list.bind(provider);
    provider.list = (...args) => ({ ...list(...args), unreadable: ["broken"] });
    for (const onMaxSessions of ["evict-oldest", "reject"] as const) {
      const site = new Site({ provider, maxSessions: 1, onMaxSessions });
      const browser = new Browser(site);
      await browser.visit((session) => session.signIn(onMaxSessions));
      const named = site.events.filter(({ type }) => type === "unreadable");
      assertEquals(named[0], {
        type: "unreadable",
        id: "broken",
        principal: onMaxSessions,
      });
      assertEquals((await site.manager.list(onMaxSessions)).length, 1);
    }
  });
});

describe("many sign-ins of a user at the same time", () => {
  for (const [when, makeProvider] of PROVIDERS) {
    for (const onMaxSessions of ["evict-oldest", "reject"] as const) {
      it(`leave maxSessions sessions on a provider that answers ${when}, with ${onMaxSessions}`, async () => {
        const provider = makeProvider();
        const site = new Site({ provider, maxSessions: 3, onMaxSessions });
        await signInTogether(site, 20);
        assertEquals(await countOf(site), 3);
      });
    }
  }

  for (const onMaxSessions of ["evict-oldest", "reject"] as const) {
    it(`leave one session however two of them interleave, with ${onMaxSessions}`, async () => {
      let count = 0;
      const options = { maxSessions: 1, onMaxSessions };
      for await (const { live, errors } of interleavings(options, 2)) {
        // Where they are rejected, each may give way to the other.
        const isNone = onMaxSessions === "reject" && live.length === 0;
        if (!isNone) assertEquals(live.length, 1);
        const isStrict = onMaxSessions === "reject";
        assertEquals(errors.length, isStrict ? 2 - live.length : 0);
        count++;
      }

      assertGreater(count, 5);
    });
  }

  it("leave two sessions however three of them interleave", async () => {
    const options = { maxSessions: 2 };
    let count = 0;
    for await (const { live } of interleavings(options, 3)) {
      assertEquals(live.length, 2);
      count++;
    }

    assertGreater(count, 100);
  });

  it("fail as too many, and in no other way, where they are rejected", async () => {
    const options = { maxSessions: 1, onMaxSessions: "reject" } as const;
    let failures = 0;
    for await (const { errors } of interleavings(options, 2)) {
      for (const error of errors) {
        assertInstanceOf(error, SessionError);
        assertEquals(error.code, "too-many-sessions");
        failures++;
      }
    }
    assertGreater(failures, 0);
  });

  it("fail for the one that has to go when both were stored before either counted", async () => {
    const options = { maxSessions: 1, onMaxSessions: "reject" } as const;
    const oneByOne = [0, 1, 0, 1, 0, 1, 0, 1];
    const { ending } = await cross(options, 2, oneByOne);
    assertEquals([ending.live.length, ending.errors.length], [1, 1]);
  });

  it("never fail where the oldest gives way", async () => {
    for await (const { errors } of interleavings({ maxSessions: 1 }, 2)) {
      assertEquals(errors, []);
    }
  });
});

describe("the limit of a user's sessions", () => {
  it("holds over two managers on one provider", async () => {
    const provider = new MemoryProvider();
    const [here, there] = [
      new Site({ provider, maxSessions: 1 }),
      new Site({ provider, maxSessions: 1 }),
    ];
    const first = await signedIn(here);
    there.pass(1);
    await signedIn(there);
    assertEquals(await principalOf(first), undefined);
  });

  it("asks the provider for no list where there is none", async () => {
    const provider = new MemoryProvider();
    provider.list = () => {
      throw new Error("list was called");
    };
    assert(await signInTogether(new Site({ provider }), 1) === 1);
  });
});
