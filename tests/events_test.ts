import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { describe, it } from "node:test";
import { Manager, type ManagerOptions, type SessionEvent } from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { Browser, Site } from "./_browser.ts";

const CHANNEL = "@cloakroom/session";

/** What the diagnostics channel carries while something happens. */
async function heard(happen: () => Promise<unknown>): Promise<unknown[]> {
  const messages: unknown[] = [];
  const listen = (message: unknown) => messages.push(message);
  subscribe(CHANNEL, listen);
  try {
    await happen();
  } finally {
    unsubscribe(CHANNEL, listen);
  }
  return messages;
}

/** A life of a session with an event of most types. */
async function live(site: Site): Promise<void> {
  const browser = new Browser(site);
  await browser.visit((session) => session.signIn("ada"));
  site.pass(900);
  await browser.visit();
  await browser.visit((session) => session.destroy());
  await site.start("__Host-id=nonsense");
  await site.start(`__Host-id=${"A".repeat(56)}`);
  await site.manager.destroyAll("ada");
  await site.manager.destroyEverything();
}

const LIFE = [
  "created",
  "signed-in",
  "renewed",
  "destroyed",
  "refused",
  "refused",
  "destroyed-all",
  "destroyed-everything",
];

function idIn(event: SessionEvent | undefined): string | undefined {
  return event !== undefined && "id" in event ? event.id : undefined;
}

/** A site whose sessions anybody may create, and a session in it. */
async function visited(options: ManagerOptions = {}) {
  const site = new Site(options);
  const browser = new Browser(site);
  await browser.visit((session) => session.set("name", "Ada"));
  const id = await browser.look((session) => session.id);
  site.takeEvents();
  return { site, browser, id };
}

describe("onEvent", () => {
  it("hears of a session's whole life in order", async () => {
    const site = new Site();
    await live(site);
    assertEquals(site.takeEvents(), LIFE);
  });

  it("hears of an event after it has happened", async () => {
    const provider = new MemoryProvider();
    const counts: number[] = [];
    const onEvent = () => counts.push(provider.stats().sessions);
    const browser = new Browser(new Site({ provider, onEvent }));
    await browser.visit((session) => session.set("name", "Ada"));
    await browser.visit((session) => session.destroy());
    assertEquals(counts, [1, 0]);
  });

  it("hears of a store that failed, with the call and the error", async () => {
    const provider = new MemoryProvider();
    const { site, browser } = await visited({ provider });
    const cause = new Error("disk on fire");
    provider.read = () => {
      throw cause;
    };
    await browser.look(() => {}).catch(() => {});
    const [event] = site.events;
    assert(event?.type === "store-error");
    assertEquals(event.operation, "read");
    assertStrictEquals(event.error.cause, cause);
  });

  it("hears once of two requests that destroy one session", async () => {
    const { site, browser } = await visited();
    const [first, second] = [
      await site.start(browser.cookie),
      await site.start(browser.cookie),
    ];
    for (const session of [first, second]) {
      session.destroy();
      await site.commit(session);
    }
    assertEquals(site.takeEvents(), ["destroyed"]);
  });

  it("hears nothing of the end of a session that was not there", async () => {
    const site = new Site();
    assertEquals(await site.manager.destroy("A".repeat(24)), false);
    assertEquals(site.takeEvents(), []);
  });

  it("hears nothing of a request that only reads", async () => {
    const { site, browser } = await visited();
    await browser.visit((session) => session.get("name"));
    assertEquals(site.takeEvents(), []);
  });
});

describe("the diagnostics channel", () => {
  it("carries the very events that onEvent gets", async () => {
    const site = new Site();
    const messages = await heard(() => live(site));
    assertEquals(messages.length, LIFE.length);
    for (const [at, message] of messages.entries()) {
      assertStrictEquals(message, site.events[at]);
    }
  });

  it("carries the events of a manager without onEvent", async () => {
    const site = new Site({ onEvent: undefined });
    const messages = await heard(() => live(site));
    assertEquals(
      (messages as SessionEvent[]).map(({ type }) => type),
      LIFE,
    );
  });

  it("carries the events of every manager", async () => {
    const messages = await heard(async () => {
      await visited();
      await visited();
    });
    assertEquals(messages.length, 2);
  });

  it("carries events even if onEvent throws", async () => {
    const site = new Site({
      onEvent: () => {
        throw new Error("the logger is broken");
      },
    });
    assertEquals((await heard(() => live(site))).length, LIFE.length);
  });
});

describe("a listener that fails", () => {
  const FAILING: readonly (readonly [string, () => unknown])[] = [
    ["throws", () => {
      throw new Error("the logger is broken");
    }],
    ["rejects", () => Promise.reject(new Error("the logger is broken"))],
    ["throws nothing at all", () => {
      throw undefined;
    }],
  ];

  for (const [how, fail] of FAILING) {
    it(`because it ${how} changes nothing for any request`, async () => {
      const site = new Site({ onEvent: fail as () => void });
      await live(site);
      const browser = new Browser(site);
      await browser.visit((session) => session.signIn("ada"));
      assertEquals(await browser.look((session) => session.principal), "ada");
    });
  }

  it("does not keep the collector from its work", async () => {
    const provider = new MemoryProvider();
    const onEvent = () => {
      throw new Error("the logger is broken");
    };
    const site = new Site({ provider, onEvent });
    for (let count = 0; count < 5; count++) {
      await new Browser(site).visit((session) => session.set("a", 1));
    }
    site.pass(3600);
    assertEquals(await site.manager.gc(), 5);
    assertEquals(provider.stats().sessions, 0);
  });

  it("does not keep a session from being stored that evicts another", async () => {
    const provider = new MemoryProvider({ maxSessions: 1 });
    const onEvent = () => {
      throw new Error("the logger is broken");
    };
    const site = new Site({ provider, onEvent });
    const [first, second] = [new Browser(site), new Browser(site)];
    await first.visit((session) => session.set("name", "Ada"));
    await second.visit((session) => session.set("name", "Grace"));
    assertEquals(await second.look((session) => session.get("name")), "Grace");
  });
});

describe("a session that its provider removes by itself", () => {
  it("is told as expired when the collector finds it", async () => {
    const { site, id } = await visited();
    site.pass(3600);
    await site.manager.gc();
    assertEquals(site.events, [{ type: "expired", id }]);
  });

  it("is told as expired, then as unknown, when a request finds it", async () => {
    const { site, browser, id } = await visited();
    site.pass(3600);
    await site.start(browser.cookie);
    assertEquals(site.events, [
      { type: "expired", id },
      { type: "refused", reason: "unknown", id },
    ]);
  });

  it("is told as expired once", async () => {
    const { site, browser } = await visited();
    site.pass(3600);
    await site.start(browser.cookie);
    site.takeEvents();
    await site.start(browser.cookie);
    await site.manager.gc();
    assertEquals(site.takeEvents(), ["refused"]);
  });

  it("is told as evicted when room is needed", async () => {
    const provider = new MemoryProvider({ maxSessions: 1 });
    const { site, id } = await visited({ provider });
    await new Browser(site).visit((session) => session.set("a", 1));
    assertEquals(site.events[0], { type: "evicted", id });
    assertEquals(site.takeEvents(), ["evicted", "created"]);
  });

  it("is told to every manager on the provider", async () => {
    const provider = new MemoryProvider();
    const { site, id } = await visited({ provider });
    const other = new Site({ provider });
    site.pass(3600);
    await site.manager.gc();
    assertEquals(site.events, [{ type: "expired", id }]);
    assertEquals(other.events, [{ type: "expired", id }]);
  });

  it("is told to no manager that was closed", async () => {
    const provider = new MemoryProvider();
    const { site, browser } = await visited({ provider });
    const other = new Site({ provider });
    await site.manager.close();
    other.now = site.now;
    other.pass(3600);
    await other.start(browser.cookie);
    assertEquals(site.takeEvents(), []);
    assertEquals(other.takeEvents(), ["expired", "refused"]);
  });

  it("is not told on a provider that cannot tell", async () => {
    const provider = new MemoryProvider();
    Object.assign(provider, { observe: undefined });
    const { site, browser } = await visited({ provider });
    site.pass(3600);
    await site.start(browser.cookie);
    assertEquals(site.takeEvents(), ["refused"]);
  });
});

describe("events", () => {
  it("name the session by its id, which opens nothing", async () => {
    const site = new Site();
    await live(site);
    const [created, ...others] = site.events;
    const id = idIn(created) ?? "";
    assertEquals(id.length, 24);
    for (const event of others.slice(0, 3)) assertEquals(idIn(event), id);
    assert((await site.start(`__Host-id=${id}`)).isNew);
  });

  it("hold no token, secret or data, in any field of any of them", async () => {
    const site = new Site();
    const browser = new Browser(site);
    const tokens: string[] = [];
    const messages = await heard(async () => {
      await browser.visit((session) => {
        session.set("password", "hunter2");
        session.signIn("ada");
      });
      tokens.push(browser.token);
      site.pass(900);
      await browser.visit();
      tokens.push(browser.token);
      await browser.visit();
      site.pass(30);
      await site.start(`__Host-id=${tokens[0]}`);
    });
    const text = JSON.stringify([messages, site.events]);
    assert(text.includes("reused"));
    assertEquals(tokens.length, 2);
    for (const token of tokens) {
      assert(!text.includes(token.slice(24)) && !text.includes("hunter2"));
    }
  });

  it("are not written anywhere when nobody listens", async () => {
    await using manager = new Manager({ gcInterval: 0 });
    const session = await manager.start(new Request("http://localhost/"));
    session.set("name", "Ada");
    const response = await manager.commit(session, new Response());
    assertEquals(response.status, 200);
  });
});
