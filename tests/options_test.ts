import {
  assert,
  assertEquals,
  assertExists,
  assertFalse,
  assertMatch,
  assertNotMatch,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { describe, it } from "node:test";
import { expiryOf } from "../core/store/record.ts";
import {
  type CookieOptions,
  DEFAULT_ABSOLUTE_TIMEOUT,
  DEFAULT_IDLE_TIMEOUT,
  Manager,
  type ManagerOptions,
  type NewSessionRecord,
  type Provider,
  register,
  SessionError,
} from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { Browser, requestWith, Site } from "./_browser.ts";
import { inheriting } from "./_pollution.ts";
import { mintToken } from "./_tokens.ts";

const CALLS = [
  "create",
  "read",
  "update",
  "touch",
  "destroy",
  "gc",
  "list",
  "destroyAll",
  "clear",
  "close",
] as const;

/** The most seconds of which the milliseconds are a safe integer. */
const MAX_SECONDS = Number.MAX_SAFE_INTEGER / 1000;

/** The longest delay of a timer, in whole seconds. */
const MAX_TIMER = 2_147_483;

/** A memory provider without a touch interval, with some calls replaced. */
function storeWith(calls: Partial<Provider> = {}): Provider {
  const memory = new MemoryProvider();
  return {
    create: (id, record, now) => memory.create(id, record, now),
    read: (id, now) => memory.read(id, now),
    update: (id, change, guard, now) => memory.update(id, change, guard, now),
    touch: (id, now) => memory.touch(id, now),
    destroy: (id, guard, now) => memory.destroy(id, guard, now),
    gc: (now, limit) => memory.gc(now, limit),
    list: (principal, now) => memory.list(principal, now),
    destroyAll: (principal, except) => memory.destroyAll(principal, except),
    clear: () => memory.clear(),
    close: () => memory.close(),
    ...calls,
  };
}

/** Stores a session and answers the `Set-Cookie` header that it was sent with. */
async function setCookieOf(manager: Manager): Promise<string> {
  const session = await manager.start(requestWith());
  session.set("a", 1);
  const response = await manager.commit(session, new Response());
  return response.headers.get("set-cookie") ?? "";
}

async function firstRecord(
  options: ManagerOptions,
): Promise<NewSessionRecord> {
  const records: NewSessionRecord[] = [];
  const provider = storeWith({
    create: (_id, record) => records.push(record) > 0,
  });
  await using manager = new Manager({ ...options, provider });
  await setCookieOf(manager);
  const [record] = records;
  assertExists(record);
  return record;
}

/** After how many milliseconds a request that only reads is worth a touch. */
async function touchThreshold(options: ManagerOptions): Promise<number> {
  let now = 1_000_000;
  let touches = 0;
  const provider = storeWith({
    ...options.provider as Provider | undefined,
    touch: () => ++touches > 0,
  });
  await using manager = new Manager({ ...options, provider, now: () => now });
  const header = await setCookieOf(manager);
  const cookie = header.slice(0, header.indexOf(";"));
  for (let after = 0; after <= 120_000; after += 500) {
    now = 1_000_000 + after;
    const session = await manager.start(requestWith(cookie));
    await manager.commit(session, new Response());
    if (touches > 0) return after;
  }
  return Infinity;
}

async function assertAccepted(options: unknown): Promise<void> {
  await new Manager(options as ManagerOptions).close();
}

function rangeRefusal(options: unknown): string {
  return assertThrows(
    () => new Manager(options as ManagerOptions),
    RangeError,
    "Cannot create Manager: ",
  ).message;
}

function typeRefusal(options: unknown): string {
  return assertThrows(
    () => new Manager(options as ManagerOptions),
    TypeError,
    "Cannot ",
  ).message;
}

describe("a manager's options", () => {
  it("are all optional", async () => {
    await assertAccepted(undefined);
    await assertAccepted({});
    await assertAccepted({ cookie: {} });
  });

  it("can all be given at once", async () => {
    await assertAccepted({
      provider: "memory",
      cookie: { name: "sid" },
      idleTimeout: 60,
      absoluteTimeout: 600,
      touchInterval: 5,
      gcInterval: 30,
      timeout: 1,
      maxSize: 1024,
      now: () => 0,
      onEvent: () => {},
    });
  });

  it("are left at their defaults where they are undefined", async () => {
    const record = await firstRecord({
      idleTimeout: undefined,
      absoluteTimeout: undefined,
      touchInterval: undefined,
      gcInterval: undefined,
      timeout: undefined,
      maxSize: undefined,
      now: undefined,
      onEvent: undefined,
      cookie: {
        name: undefined,
        path: undefined,
        domain: undefined,
        secure: undefined,
        sameSite: undefined,
        partitioned: undefined,
        persistent: undefined,
      },
    });
    assertEquals(record.idleTimeout, 3600);
    assertEquals(record.absoluteTimeout, 43_200);
  });

  it("cannot have a name that does not exist", () => {
    for (const name of ["idletimeout", "maxage", "secure", "toString", ""]) {
      assertEquals(
        typeRefusal({ [name]: undefined }),
        `Cannot create Manager: unknown option: received ${name}`,
      );
    }
  });

  it("cannot have a name that every object has", () => {
    assertEquals(
      typeRefusal(JSON.parse('{"__proto__":1}')),
      "Cannot create Manager: unknown option: received __proto__",
    );
  });

  it("are checked before a provider is opened", () => {
    let opened = 0;
    register("options-counted", () => {
      opened++;
      return storeWith();
    });
    rangeRefusal({ provider: "options-counted", idleTimeout: -1 });
    assertEquals(opened, 0);
  });

  it("start no timer when one of them is refused", () => {
    using time = new FakeTime();
    let passes = 0;
    const provider = storeWith({ gc: () => ++passes && 0 });
    rangeRefusal({ provider, gcInterval: 1, maxSize: 0 });
    time.tick(10_000);
    assertEquals(passes, 0);
  });
});

describe("options that every object inherits", () => {
  /** Each with what it would do if it counted. */
  const INHERITED: Readonly<Record<string, unknown>> = {
    secure: false,
    name: "planted",
    path: "/app",
    domain: "evil.example",
    sameSite: "none",
    persistent: true,
    idleTimeout: 1,
    absoluteTimeout: 2,
    renewInterval: 0,
    renewGrace: 0,
    onReuse: "report",
    maxSessions: 1,
    crossOriginProtection: false,
    trustedOrigins: ["https://evil.example"],
    onFingerprintChange: "refuse",
    isUse: () => false,
    maxSize: 1,
    now: () => 0,
    onEvent: () => {},
  };

  for (const [name, value] of Object.entries(INHERITED)) {
    it(`such as ${name} change nothing`, async () => {
      const heard: unknown[] = [];
      const inherited = name === "onEvent"
        ? { [name]: (event: unknown) => heard.push(event) }
        : { [name]: value };
      await inheriting(inherited, async () => {
        for (const given of [undefined, {}, { cookie: {} }]) {
          await using manager = new Manager(given);
          assertEquals(await summaryOf(manager), EXPECTED);
        }
      });
      assertEquals(heard, []);
    });
  }

  const EXPECTED = {
    cookie: "__Host-id; Path=/; Secure; HttpOnly; SameSite=Lax",
    crossOrigin: 403,
    sessions: 2,
    isLong: true,
    isTimed: true,
  };

  /** What a manager does that options could change. */
  async function summaryOf(manager: Manager) {
    const before = Date.now();
    const handler = manager.handle((_request, session) => {
      session.set("name", "Ada Lovelace");
      session.signIn("ada");
      return new Response();
    });
    const response = await handler(requestWith());
    await handler(requestWith());
    const header = response.headers.get("set-cookie") ?? "";
    const forged = new Request("http://localhost/", {
      method: "POST",
      headers: {
        "sec-fetch-site": "cross-site",
        origin: "https://evil.example",
      },
    });
    const session = await manager.start(requestWith(header.split(";")[0]));
    return {
      cookie: header.replace(/=[\w-]{60}/, ""),
      crossOrigin: (await handler(forged)).status,
      sessions: (await manager.list("ada")).length,
      isLong: session.expiresAt > before + 3_500_000,
      isTimed: session.createdAt >= before,
    };
  }

  it("such as reuse and renewal do not turn them off", async () => {
    await inheriting({ renewInterval: 0, onReuse: "report" }, async () => {
      const site = new Site();
      const browser = new Browser(site);
      await browser.visit((session) => session.signIn("ada"));
      const { cookie } = browser;
      site.pass(900);
      await browser.visit();
      assertFalse(browser.cookie === cookie);
      await browser.visit();
      site.pass(30);
      await site.start(cookie);
      assert(await browser.look(({ isNew }) => isNew));
    });
  });

  it("such as isUse leave a session's idle timeout prolonged", async () => {
    await inheriting({ isUse: false }, async () => {
      const site = new Site();
      const browser = new Browser(site);
      await browser.visit((session) => session.set("a", 1));
      for (let visit = 0; visit < 3; visit++) {
        site.pass(3000);
        await browser.visit();
      }
      assertFalse(await browser.look(({ isNew }) => isNew));
    });
  });
});

describe("the isUse option", () => {
  const isUse = ({ url }: { readonly url: string }) => !url.endsWith("/poll");
  const poll = (cookie = "") =>
    new Request("http://localhost/poll", { headers: { cookie } });

  /** A site that knows polls, and a browser with a session. */
  async function polled(options: ManagerOptions = {}) {
    const site = new Site({ isUse, ...options });
    const browser = new Browser(site);
    await browser.visit((session) => session.set("count", 0));
    return { site, browser };
  }

  it("keeps requests that are no use from prolonging the session", async () => {
    const { site, browser } = await polled();
    const seen: unknown[] = [];
    const handler = site.manager.handle((_request, session) => {
      seen.push(session.get("count"));
      session.set("count", seen.length);
      return new Response();
    });
    for (let count = 0; count < 3; count++) {
      site.pass(1199);
      browser.receive(await handler(poll(browser.cookie)));
    }
    assertEquals(seen, [0, 1, 2]);
    site.pass(3);
    assert(await browser.look(({ isNew }) => isNew));
  });

  it("keeps such a request from seeing a later end than there is", async () => {
    const { site, browser } = await polled();
    const end = await browser.look(({ expiresAt }) => expiresAt);
    site.pass(600);
    const session = await site.manager.start(poll(browser.cookie));
    session.set("count", 1);
    assertEquals(session.expiresAt, end);
    await site.commit(session);
    assertEquals(session.expiresAt, end);
    assertEquals(
      await browser.look(({ expiresAt }) => expiresAt),
      end + 600_000,
    );
  });

  it("prolongs the session for all others", async () => {
    const { site, browser } = await polled();
    for (let count = 0; count < 3; count++) {
      site.pass(1800);
      await browser.visit();
    }
    assertFalse(await browser.look(({ isNew }) => isNew));
  });

  it("gives way to what start and run are told", async () => {
    for (const told of [true, false]) {
      for (const how of ["start", "run"] as const) {
        const { site, browser } = await polled();
        const { manager } = site;
        const request = told
          ? poll(browser.cookie)
          : requestWith(browser.cookie);
        site.pass(1800);
        if (how === "run") {
          await manager.run(request, () => new Response(), { isUse: told });
        } else {
          const session = await manager.start(request, { isUse: told });
          await manager.commit(session, new Response());
        }
        site.pass(1801);
        assertStrictEquals(
          await browser.look(({ isNew }) => isNew),
          !told,
          how,
        );
      }
    }
  });

  it("renews and confirms a secret like any other request", async () => {
    const { site, browser } = await polled();
    const handler = site.manager.handle(() => new Response());
    const { cookie } = browser;
    site.pass(900);
    browser.receive(await handler(poll(cookie)));
    assertFalse(browser.cookie === cookie);
    await handler(poll(browser.cookie));
    site.pass(30);
    site.takeEvents();
    await site.start(cookie);
    assertEquals(site.takeEvents(), ["reused"]);
  });

  it("must be a function that answers true or false", async () => {
    for (const wrong of [0, null, true, {}]) {
      assertEquals(
        typeRefusal({ isUse: wrong }),
        `Cannot create Manager: isUse must be a function: received ${typeof wrong}`,
      );
    }
    const answer = (() => "yes") as unknown as () => boolean;
    await using manager = new Manager({ isUse: answer });
    assertThrows(
      () => manager.start(requestWith()),
      TypeError,
      "isUse must be true or false: received string",
    );
  });
});

describe("the provider option", () => {
  it("is memory by default, another one for each manager", async () => {
    await using first = new Manager();
    await using second = new Manager();
    const header = await setCookieOf(first);
    const cookie = header.slice(0, header.indexOf(";"));
    assertFalse((await first.start(requestWith(cookie))).isNew);
    assert((await second.start(requestWith(cookie))).isNew);
  });

  it("can be a provider, a registered name, and a URL as text or object", async () => {
    for (
      const provider of [
        new MemoryProvider(),
        storeWith(),
        "memory",
        "memory:",
        "memory:?maxSessions=10",
        new URL("memory:"),
      ]
    ) {
      await using manager = new Manager({ provider });
      assertMatch(await setCookieOf(manager), /^__Host-id=[\w-]{60};/);
    }
  });

  it("cannot be a name that nobody registered", () => {
    for (const provider of ["", "nosuch", "nosuch:", new URL("nosuch://h/")]) {
      assertThrows(
        () => new Manager({ provider }),
        TypeError,
        "it is not among the registered ones (",
      );
    }
  });

  it("cannot be an object that lacks one of the calls", () => {
    for (const call of CALLS) {
      assertEquals(
        typeRefusal({ provider: { ...storeWith(), [call]: undefined } }),
        "Cannot create Manager: provider must be a Provider, its name or its URL: " +
          `${call} is not a function`,
      );
    }
  });

  it("cannot be anything else", () => {
    for (const provider of [null, 0, true, {}, [], () => storeWith()]) {
      assertStringIncludes(
        typeRefusal({ provider }),
        "provider must be a Provider, its name or its URL",
      );
    }
  });
});

describe("the idleTimeout option", () => {
  it("is an hour by default, as its constant says", async () => {
    assertEquals((await firstRecord({})).idleTimeout, 3600);
    assertEquals(DEFAULT_IDLE_TIMEOUT, 3600);
  });

  it("can be any positive number of seconds", async () => {
    for (const idleTimeout of [0.001, 0.5, 1, 43_200]) {
      assertEquals(
        (await firstRecord({ idleTimeout })).idleTimeout,
        idleTimeout,
      );
    }
    await assertAccepted({
      idleTimeout: MAX_SECONDS,
      absoluteTimeout: MAX_SECONDS,
    });
  });

  it("cannot be zero, negative, infinite or no number", () => {
    for (const idleTimeout of [0, -0, -1, -0.001, NaN, -Infinity]) {
      assertEquals(
        rangeRefusal({ idleTimeout }),
        `Cannot create Manager: idleTimeout must be a positive number of seconds: received ${idleTimeout}`,
      );
    }
  });

  it("cannot be longer than a number of milliseconds can say", () => {
    for (const idleTimeout of [MAX_SECONDS * 1.001, 1e300, Infinity]) {
      assertMatch(
        rangeRefusal({ idleTimeout, absoluteTimeout: idleTimeout }),
        /idleTimeout must .*: received /,
      );
    }
  });
});

describe("the absoluteTimeout option", () => {
  it("is twelve hours by default, as its constant says", async () => {
    assertEquals((await firstRecord({})).absoluteTimeout, 43_200);
    assertEquals(DEFAULT_ABSOLUTE_TIMEOUT, 43_200);
  });

  it("can be any number of seconds from the idle timeout up", async () => {
    for (const absoluteTimeout of [3600, 3600.5, 1e9, MAX_SECONDS]) {
      assertEquals(
        (await firstRecord({ absoluteTimeout })).absoluteTimeout,
        absoluteTimeout,
      );
    }
  });

  it("cannot be zero, negative or no number", () => {
    for (const absoluteTimeout of [0, -1, NaN, -Infinity]) {
      assertEquals(
        rangeRefusal({ absoluteTimeout }),
        `Cannot create Manager: absoluteTimeout must be a positive number of seconds: received ${absoluteTimeout}`,
      );
    }
    assertMatch(
      rangeRefusal({ absoluteTimeout: Infinity }),
      /absoluteTimeout must .*: received Infinity/,
    );
  });

  it("cannot be below the idle timeout, given or by default", () => {
    assertEquals(
      rangeRefusal({ absoluteTimeout: 3599 }),
      "Cannot create Manager: absoluteTimeout (3599) must be at least idleTimeout (3600): both are in seconds: set both",
    );
    assertEquals(
      rangeRefusal({ idleTimeout: 43_201 }),
      "Cannot create Manager: absoluteTimeout (43200) must be at least idleTimeout (43201): both are in seconds: set both",
    );
  });

  it("can be 400 days for a persistent cookie and no more", async () => {
    const cookie = { persistent: true };
    await assertAccepted({ cookie, absoluteTimeout: 34_560_000 });
    assertEquals(
      rangeRefusal({ cookie, absoluteTimeout: 34_560_001 }),
      "Cannot create Manager: absoluteTimeout of a persistent cookie must not exceed 34560000 seconds (400 days): received 34560001",
    );
  });

  it("can be more than 400 days for a cookie of the browser session", async () => {
    await assertAccepted({ absoluteTimeout: 34_560_001 });
  });
});

describe("the touchInterval option", () => {
  it("is a minute by default", async () => {
    assertEquals(await touchThreshold({}), 60_000);
  });

  it("is a tenth of a short idle timeout by default", async () => {
    assertEquals(await touchThreshold({ idleTimeout: 300 }), 30_000);
  });

  it("is what the provider asks for, unless it is given", async () => {
    const provider = { touchInterval: 7 } as Provider;
    assertEquals(await touchThreshold({ provider }), 7000);
    assertEquals(await touchThreshold({ provider, touchInterval: 3 }), 3000);
  });

  it("is zero on memory, so that every request is a touch", () => {
    assertEquals(new MemoryProvider().touchInterval, 0);
  });

  it("can be anything from zero to just below the idle timeout", async () => {
    for (const touchInterval of [0, 0.5, 3599.999]) {
      await assertAccepted({ touchInterval });
    }
    assertEquals(await touchThreshold({ touchInterval: 0 }), 0);
  });

  it("cannot be negative or no number", () => {
    for (const touchInterval of [-1, -0.001, NaN, -Infinity]) {
      assertEquals(
        rangeRefusal({ touchInterval }),
        `Cannot create Manager: touchInterval must be zero or a positive number of seconds: received ${touchInterval}`,
      );
    }
  });

  it("cannot reach the idle timeout, or every session would end in use", () => {
    for (const touchInterval of [3600, 3601]) {
      assertEquals(
        rangeRefusal({ touchInterval }),
        `Cannot create Manager: touchInterval must be below idleTimeout: received ${touchInterval} and 3600`,
      );
    }
    assertMatch(
      rangeRefusal({ touchInterval: Infinity }),
      /touchInterval must /,
    );
  });
});

describe("the gcInterval option", () => {
  it("is a minute by default", async () => {
    using time = new FakeTime();
    let passes = 0;
    const provider = storeWith({ gc: () => ++passes && 0 });
    await using _manager = new Manager({ provider });
    time.tick(59_999);
    assertEquals(passes, 0);
    time.tick(1);
    assertEquals(passes, 1);
  });

  it("is in seconds", async () => {
    using time = new FakeTime();
    let passes = 0;
    const provider = storeWith({ gc: () => ++passes && 0 });
    await using _manager = new Manager({ provider, gcInterval: 0.5 });
    time.tick(499);
    assertEquals(passes, 0);
    time.tick(1);
    assertEquals(passes, 1);
  });

  it("starts no timer if it is zero", async () => {
    using time = new FakeTime();
    let passes = 0;
    const provider = storeWith({ gc: () => ++passes && 0 });
    await using _manager = new Manager({ provider, gcInterval: 0 });
    time.tick(86_400_000);
    assertEquals(passes, 0);
  });

  it("can be as long as a timer can wait", async () => {
    await assertAccepted({ gcInterval: MAX_TIMER });
  });

  it("cannot be negative, no number, or longer than a timer can wait", () => {
    for (const gcInterval of [-1, NaN, -Infinity]) {
      assertEquals(
        rangeRefusal({ gcInterval }),
        `Cannot create Manager: gcInterval must be zero or a positive number of seconds: received ${gcInterval}`,
      );
    }
    for (const gcInterval of [MAX_TIMER + 1, Infinity]) {
      assertMatch(
        rangeRefusal({ gcInterval }),
        /gcInterval must .*: received /,
      );
    }
  });
});

describe("the timeout option", () => {
  const cookie = `__Host-id=${mintToken()}`;

  it("is five seconds by default", async () => {
    using time = new FakeTime();
    const provider = storeWith({ read: () => new Promise(() => {}) });
    await using manager = new Manager({ provider });
    let isSettled = false;
    const started = Promise.resolve(manager.start(requestWith(cookie)))
      .finally(() => isSettled = true);
    const rejected = assertRejects(() => started, SessionError);
    time.tick(4999);
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    assertFalse(isSettled);
    time.tick(1);
    assertEquals((await rejected).code, "timeout");
  });

  it("is in seconds, and named in the error", async () => {
    using time = new FakeTime();
    const provider = storeWith({ read: () => new Promise(() => {}) });
    await using manager = new Manager({ provider, timeout: 0.25 });
    const started = Promise.resolve(manager.start(requestWith(cookie)));
    const rejected = assertRejects(() => started, SessionError);
    time.tick(250);
    assertEquals(
      (await rejected).message,
      "Cannot read session: the provider did not answer within 0.25 seconds",
    );
  });

  it("can be as long as a timer can wait", async () => {
    await assertAccepted({ timeout: MAX_TIMER });
    await assertAccepted({ timeout: 0.001 });
  });

  it("cannot be zero, negative, no number, or longer than a timer can wait", () => {
    for (const timeout of [0, -1, NaN, -Infinity]) {
      assertEquals(
        rangeRefusal({ timeout }),
        `Cannot create Manager: timeout must be a positive number of seconds: received ${timeout}`,
      );
    }
    for (const timeout of [MAX_TIMER + 1, Infinity]) {
      assertMatch(rangeRefusal({ timeout }), /timeout must .*: received /);
    }
  });
});

describe("the maxSize option", () => {
  /** With quotes, colon and comma, an entry takes seven bytes more. */
  function textOf(bytes: number): string {
    return "x".repeat(bytes - 7);
  }

  it("is 64 KiB by default", async () => {
    await using manager = new Manager();
    const session = await manager.start(requestWith());
    session.set("a", textOf(65_536));
    const error = assertThrows(
      () => session.set("a", textOf(65_537)),
      SessionError,
    );
    assertEquals(error.code, "too-large");
  });

  it("is in bytes", async () => {
    await using manager = new Manager({ maxSize: 10 });
    const session = await manager.start(requestWith());
    session.set("a", textOf(10));
    assertThrows(() => session.set("a", textOf(11)), SessionError);
    assertThrows(() => session.set("a", "öö"), SessionError);
  });

  it("can be any positive whole number", async () => {
    for (const maxSize of [1, Number.MAX_SAFE_INTEGER]) {
      await assertAccepted({ maxSize });
    }
  });

  it("cannot be any other number", () => {
    const sizes = [0, -1, 0.5, NaN, Infinity, Number.MAX_SAFE_INTEGER + 1];
    for (const maxSize of sizes) {
      assertEquals(
        rangeRefusal({ maxSize }),
        `Cannot create Manager: maxSize must be a positive whole number of bytes: received ${maxSize}`,
      );
    }
  });
});

describe("the now option", () => {
  it("is the clock of the machine by default", async () => {
    using time = new FakeTime(1_700_000_000_000);
    await using manager = new Manager();
    time.tick(5);
    assertEquals(
      (await manager.start(requestWith())).createdAt,
      1_700_000_000_005,
    );
  });

  it("is asked anew each time, so that a clock set later counts", async () => {
    await using manager = new Manager();
    using time = new FakeTime(1_700_000_000_000);
    const session = await manager.start(requestWith());
    assertEquals(session.createdAt, time.now);
  });

  it("is the only clock when it is given", async () => {
    const record = await firstRecord({ now: () => 5000 });
    assertEquals(record.createdAt, 5000);
    assertEquals(record.accessedAt, 5000);
    assertEquals(expiryOf(record), 5000 + 3_600_000);
  });

  it("cannot be anything but a function", () => {
    for (const now of [0, null, "now", new Date(0)]) {
      assertEquals(
        typeRefusal({ now }),
        `Cannot create Manager: now must be a function: received ${typeof now}`,
      );
    }
  });
});

describe("the onEvent option", () => {
  it("receives what happens to the manager's sessions", async () => {
    const types: string[] = [];
    await using manager = new Manager({
      onEvent: ({ type }) => types.push(type),
    });
    await setCookieOf(manager);
    assertEquals(types, ["created"]);
  });

  it("cannot be anything but a function", () => {
    for (const onEvent of [0, null, "log", {}]) {
      assertEquals(
        typeRefusal({ onEvent }),
        `Cannot create Manager: onEvent must be a function: received ${typeof onEvent}`,
      );
    }
  });
});

describe("the cookie option", () => {
  it("is bound to the host, to HTTPS and to the browser session by default", async () => {
    await using manager = new Manager();
    assertMatch(
      await setCookieOf(manager),
      /^__Host-id=[\w-]{60}; Path=\/; Secure; HttpOnly; SameSite=Lax$/,
    );
  });

  it("makes the cookie last as long as the session if it is persistent", async () => {
    await using manager = new Manager({
      cookie: { persistent: true },
      absoluteTimeout: 34_560_000,
      now: () => 1_700_000_000_000,
    });
    assertMatch(await setCookieOf(manager), /; Max-Age=34560000$/);
    const { persistent } = await firstRecord({ cookie: { persistent: true } });
    assertStrictEquals(persistent, true);
  });

  it("drops Secure and the prefix with secure: false, and works so", async () => {
    await using manager = new Manager({ cookie: { secure: false } });
    const header = await setCookieOf(manager);
    assertMatch(header, /^id=[\w-]{60}; Path=\/; HttpOnly; SameSite=Lax$/);
    const cookie = header.slice(0, header.indexOf(";"));
    assertFalse((await manager.start(requestWith(cookie))).isNew);
  });

  it("ends a session with a cookie that has the same attributes", async () => {
    await using manager = new Manager({
      cookie: { domain: "example.com", path: "/app", sameSite: "strict" },
    });
    const header = await setCookieOf(manager);
    const cookie = header.slice(0, header.indexOf(";"));
    const session = await manager.start(requestWith(cookie));
    session.destroy();
    const response = await manager.commit(session, new Response());
    const attributes = header.slice(header.indexOf(";"));
    assertEquals(
      response.headers.get("set-cookie"),
      `${
        cookie.split("=")[0]
      }=${attributes}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT`,
    );
  });

  it("cannot be what browsers would refuse", () => {
    const refused: [CookieOptions, string][] = [
      [{ name: "" }, "name must be a token of RFC 9110"],
      [{ name: "a;b" }, "name must be a token of RFC 9110"],
      [{ name: "a".repeat(4041) }, "name and value must not exceed 4096 bytes"],
      [{ path: "app" }, "path must start with /"],
      [{ domain: "a:1" }, "domain must be a host name"],
      [{ name: "__Host-a", domain: "a.b" }, "allows no domain and no path"],
      [{ name: "__Host-a", path: "/a" }, "allows no domain and no path"],
      [{ name: "__HOST-a", path: "/a" }, "allows no domain and no path"],
      [{ name: "__Host-a", secure: false }, "needs secure"],
      [{ name: "__Secure-a", secure: false }, "needs secure"],
      [{ sameSite: "none", secure: false }, 'sameSite "none" needs secure'],
      [{ partitioned: true, secure: false }, "partitioned needs secure"],
      [{ sameSite: "Lax" as "lax" }, "sameSite must be"],
    ];
    for (const [cookie, problem] of refused) {
      const message = typeRefusal({ cookie });
      assertMatch(message, /^Cannot use option cookie: .*: received /);
      assertStringIncludes(message, problem);
    }
  });

  it("cannot have a name that does not exist", () => {
    for (const name of ["httpOnly", "samesite", "maxAge", "toString"]) {
      assertStringIncludes(typeRefusal({ cookie: { [name]: 1 } }), name);
    }
  });

  it("cannot be anything but an object", () => {
    for (const cookie of [null, "sid", 0, true]) {
      assertStringIncludes(typeRefusal({ cookie }), "cookie");
    }
  });
});

describe("the message about a number", () => {
  const TIMES = ["idleTimeout", "absoluteTimeout", "touchInterval"];
  const DELAYS = ["gcInterval", "timeout"];

  it("is a TypeError if it is no number at all", () => {
    for (const name of [...TIMES, ...DELAYS, "maxSize"]) {
      for (const value of ["60", null, 60n, {}, true]) {
        assertStringIncludes(typeRefusal({ [name]: value }), name);
      }
    }
  });

  it("does not ask for what it has already got", () => {
    for (const name of DELAYS) {
      const message = rangeRefusal({ [name]: MAX_TIMER + 1 });
      assertNotMatch(message, /positive number of seconds: received/);
    }
  });
});
