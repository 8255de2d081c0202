import {
  assert,
  assertEquals,
  assertFalse,
  assertLess,
  assertStrictEquals,
} from "@std/assert";
import { spawnSync } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import process from "node:process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { isInsecure } from "../core/carriage/arrival.ts";
import { Manager, type ManagerOptions, type SessionEvent } from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { Browser, signedIn, Site } from "./_browser.ts";

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
  await site.start(`__Host-id=${"A".repeat(60)}`);
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
    const cause = Object.assign(new RangeError("disk on fire"), {
      code: "EIO",
      command: { args: ["SET", "confidential"] },
    });
    provider.read = () => {
      throw cause;
    };
    await browser.look(() => {}).catch(() => {});
    const [event] = site.events;
    assert(event?.type === "store-error");
    assertEquals(event.operation, "read");
    assertEquals(event.error.id, browser.token.slice(0, 24));
    assertEquals(String(event.error.cause), "RangeError: disk on fire");
    assertEquals((event.error.cause as { code?: unknown }).code, "EIO");
    // Clients hang whole statements with their data on their errors.
    assertFalse(inspect(event, { depth: 9 }).includes("confidential"));
    assertEquals(JSON.parse(JSON.stringify(event)), {
      type: "store-error",
      operation: "read",
      error: {
        name: "SessionError",
        code: "store-failed",
        message: "Cannot read session: the provider failed",
        id: browser.token.slice(0, 24),
        cause: "RangeError: disk on fire",
      },
    });
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

describe("an id that a log keeps", () => {
  /** As the worker knows them. */
  const SOURCES = [
    "an unknown session",
    "a wrong secret",
    "an alarm",
    "a sign-in just before",
    "two sessions",
    "another client",
    "an opened session",
    "a store that fails",
  ];

  for (const source of SOURCES) {
    it(`of ${source} keeps no header alive that it came in`, () => {
      const worker = new URL("./_kept_ids_worker.ts", import.meta.url);
      const options = "Deno" in globalThis
        ? ["-A", "--no-check", "--no-config", "--v8-flags=--expose-gc"]
        : [];
      const { stdout, stderr } = spawnSync(process.execPath, [
        "run",
        ...options,
        fileURLToPath(worker),
        source,
      ], { encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } });
      assert(/^-?[\d.]+\s*$/.test(stdout), stdout + stderr);
      // The headers together take 30 megabytes.
      assertLess(Number(stdout), 5);
    });
  }
});

describe("a cookie that browsers refuse", () => {
  const LAN = "http://shop.lan/";

  function requestTo(url: string, headers: HeadersInit = {}): Request {
    return new Request(url, { headers });
  }

  /** Signs in by a request, and answers with the events. */
  async function signInBy(request: Request, options: ManagerOptions = {}) {
    const site = new Site(options);
    await site.manager.run(request, (session) => {
      session.signIn("ada");
      return new Response();
    });
    return site;
  }

  it("is told by an event, because the form would come back without a word", async () => {
    const { events } = await signInBy(requestTo(LAN));
    const [created, signedIn, insecure, ...others] = events;
    assertEquals([created?.type, signedIn?.type, insecure?.type, others], [
      "created",
      "signed-in",
      "insecure",
      [],
    ]);
    assertEquals(idIn(insecure), idIn(created));
  });

  it("is told when it is renewed, too", async () => {
    const browser = await signedIn();
    const { site, cookie = "" } = browser;
    site.pass(900);
    await site.manager.run(requestTo(LAN, { cookie }), () => new Response());
    assertEquals(site.takeEvents(), ["renewed", "insecure"]);
  });

  it("is not told where the cookie is not Secure, or none is due", async () => {
    const plain = await signInBy(requestTo(LAN), { cookie: { secure: false } });
    assertEquals(plain.takeEvents(), ["created", "signed-in"]);
    const site = new Site();
    await site.manager.run(requestTo(LAN), () => new Response());
    assertEquals(site.takeEvents(), []);
  });

  const SECURE: readonly (readonly [string, HeadersInit?])[] = [
    ["https://shop.lan/"],
    ["http://localhost/"],
    ["http://localhost:8000/"],
    ["http://app.localhost/"],
    ["http://127.0.0.1:8000/"],
    ["http://127.1.2.3/"],
    ["http://[::1]:8000/"],
    [LAN, { "x-forwarded-proto": "https" }],
    [LAN, { forwarded: "for=192.0.2.1;proto=https;by=10.0.0.1" }],
    [LAN, { forwarded: 'proto="https"' }],
    [LAN, { "sec-fetch-site": "same-origin" }],
    [LAN, { origin: "https://shop.lan" }],
  ];

  for (const [url, headers] of SECURE) {
    it(`is none at ${url} with ${JSON.stringify(headers ?? {})}`, () => {
      assertFalse(isInsecure(requestTo(url, headers)));
    });
  }

  const INSECURE: readonly (readonly [string, HeadersInit?])[] = [
    [LAN],
    ["http://192.168.1.5:8000/"],
    ["http://localhost.evil.example/"],
    ["http://mylocalhost/"],
    ["http://127.0.0.1.evil.example/"],
    [LAN, { "x-forwarded-proto": "http" }],
    [LAN, { forwarded: "proto=http" }],
    [LAN, { forwarded: "host=proto-https.example" }],
    [LAN, { origin: "http://shop.lan" }],
    [LAN, { origin: "null" }],
  ];

  for (const [url, headers] of INSECURE) {
    it(`is one at ${url} with ${JSON.stringify(headers ?? {})}`, () => {
      assert(isInsecure(requestTo(url, headers)));
    });
  }
});
