import { assert, assertEquals, assertFalse } from "@std/assert";
import { describe, it } from "node:test";
import { hashFamily, hashSecret, mintSecret } from "../core/secret/token.ts";
import { idOf, mintToken, secretOf } from "./_tokens.ts";
import type { ManagerOptions, RequestLike } from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { Browser, principalOf, requestWith, Site, told } from "./_browser.ts";
import { failCall, later, restoreCall } from "./_providers.ts";

const INTERVAL = 900;
const GRACE = 30;

/** A browser with a session of Ada's, and a copy of its cookie. */
interface Copied {
  readonly site: Site;
  readonly owner: Browser;
  readonly thief: Browser;
}

async function copied(options: ManagerOptions = {}): Promise<Copied> {
  const site = new Site(options);
  const owner = new Browser(site);
  await owner.visit((session) => session.signIn("ada"));
  const thief = new Browser(site, owner.cookie);
  site.takeEvents();
  return { site, owner, thief };
}

/** The owner's browser gets a new secret and uses it. */
async function renewed(options: ManagerOptions = {}): Promise<Copied> {
  const all = await copied(options);
  await renew(all);
  return all;
}

async function renew({ site, owner }: Copied): Promise<void> {
  site.pass(INTERVAL);
  await owner.visit();
  await owner.visit();
  site.takeEvents();
}

/** A cookie for the owner's session with a secret of somebody's making. */
function forged(owner: Browser, secret: string): string {
  return `__Host-id=${idOf(owner.token)}${secret}`;
}

/** Signs somebody in to a session, past its manager. */
function signInOver(provider: MemoryProvider, id: string, now: number): void {
  const { secretHash, family } = provider.read(id, now)!;
  const previous = { secretHash, family, until: "never" } as const;
  const secret = mintSecret();
  provider.update(
    id,
    {
      secretHash: hashSecret(secret),
      family: hashFamily(secret),
      renewedAt: now,
      previous,
      principal: "ada",
      authenticatedAt: now,
    },
    {},
    now,
  );
}

describe("a replaced secret that is used again", () => {
  it("opens the session within its grace, and nothing is reported", async () => {
    const { site, thief } = await renewed();
    site.pass(GRACE - 0.001);
    assertEquals(await principalOf(thief), "ada");
    assertEquals(told(site), []);
  });

  it("opens nothing at the very end of its grace", async () => {
    const { site, thief } = await renewed();
    site.pass(GRACE);
    assertEquals(await principalOf(thief), undefined);
    assertEquals(told(site), ["reused"]);
  });

  it("ends the session for its owner too", async () => {
    const { site, owner, thief } = await renewed();
    site.pass(GRACE);
    await principalOf(thief);
    assertEquals(await principalOf(owner), undefined);
  });

  it("is told by an event with the session's id and user", async () => {
    const { site, owner, thief } = await renewed();
    site.pass(GRACE);
    await principalOf(thief);
    assertEquals(site.events, [
      { type: "reused", id: idOf(owner.token), principal: "ada" },
    ]);
  });

  it("ends the session on a provider that answers later too", async () => {
    const provider = later(new MemoryProvider());
    const { site, owner, thief } = await renewed({ provider });
    site.pass(GRACE);
    assertEquals(await principalOf(thief), undefined);
    assertEquals(told(site), ["reused"]);
    assertEquals(await principalOf(owner), undefined);
  });

  it("opens nothing if the store cannot end the session, and an event tells", async () => {
    const provider = new MemoryProvider();
    const { site, thief } = await renewed({ provider });
    site.pass(GRACE);
    failCall(provider, "destroy");
    assertEquals(await principalOf(thief), undefined);
    assertEquals(told(site), ["store-error"]);
    restoreCall(provider, "destroy");
    assertEquals(await principalOf(thief), undefined);
    assertEquals(told(site), ["reused"]);
  });

  it("is judged again when somebody signs in meanwhile, and ends nothing", async () => {
    const provider = new MemoryProvider();
    const { site, owner, thief } = await renewed({ provider });
    site.pass(GRACE);
    const destroy = provider.destroy.bind(provider);
    let isFirst = true;
    provider.destroy = (...args) => {
      if (isFirst) signInOver(provider, idOf(owner.token), site.now);
      isFirst = false;
      return destroy(...args);
    };
    const session = await site.start(thief.cookie);
    assertEquals([session.isNew, session.refusal], [true, "superseded"]);
    assertEquals(told(site), ["superseded"]);
    assert(provider.read(idOf(owner.token), site.now) !== undefined);
  });

  it("opens nothing if the store fails when it is judged again", async () => {
    const provider = new MemoryProvider();
    const { site, thief } = await renewed({ provider });
    site.pass(GRACE);
    provider.destroy = () => {
      failCall(provider, "read");
      return "refused";
    };
    const session = await site.start(thief.cookie);
    assertEquals([session.isNew, session.refusal], [true, "reused"]);
    assertEquals(told(site), ["store-error"]);
  });

  it("is judged three times at most, then counts as superseded", async () => {
    const provider = new MemoryProvider();
    const { site, thief } = await renewed({ provider });
    site.pass(GRACE);
    let calls = 0;
    provider.destroy = () => {
      calls++;
      return "refused";
    };
    const session = await site.start(thief.cookie);
    assertEquals([calls, session.refusal], [3, "superseded"]);
    assertEquals(told(site), ["superseded"]);
  });

  it("is known however many renewals ago it was replaced", async () => {
    const all = await copied();
    for (let count = 0; count < 5; count++) await renew(all);
    assertEquals(await principalOf(all.thief), undefined);
    assertEquals(told(all.site), ["reused"]);
  });

  it("is known by its family and its number, whatever follows", async () => {
    const { site, owner, thief } = await renewed();
    const secret = secretOf(thief.token).slice(0, 20) + "A".repeat(16);
    await site.start(forged(owner, secret));
    assertEquals(told(site), ["reused"]);
  });

  it("gives its sender a new session that holds nothing", async () => {
    const { site, owner, thief } = await renewed();
    await owner.visit((session) => session.set("name", "Ada"));
    site.pass(GRACE);
    const session = await site.start(thief.cookie);
    assert(session.isNew);
    assertEquals(session.keys(), []);
    assert(session.id !== idOf(owner.token));
  });

  it("opens nothing and ends nothing if onReuse is report", async () => {
    const { site, owner, thief } = await renewed({ onReuse: "report" });
    site.pass(GRACE);
    assertEquals(await principalOf(thief), undefined);
    assertEquals(told(site), ["reused"]);
    assertEquals(await principalOf(owner), "ada");
  });
});

describe("several cookies of one name", () => {
  it("open the one session that lives, wherever it stands", async () => {
    const { site, owner } = await copied();
    const dead = `__Host-id=${mintToken()}`;
    const orders = [
      [dead, owner.cookie],
      [owner.cookie, dead],
      [dead, `__Host-id=${mintToken()}`, owner.cookie],
      ["__Host-id=nonsense", owner.cookie],
    ];
    for (const cookies of orders) {
      const session = await site.start(cookies.join("; "));
      assertEquals([session.principal, session.refusal], ["ada", undefined]);
    }
  });

  it("of one session open it with the current secret, and raise nothing", async () => {
    const { site, owner, thief } = await renewed();
    site.pass(GRACE);
    for (const pair of [[owner, thief], [thief, owner]]) {
      const header = pair.map(({ cookie }) => cookie).join("; ");
      assertEquals((await site.start(header)).principal, "ada");
    }
    assertEquals(told(site), []);
  });

  it("of one session raise one alarm if none of them opens it", async () => {
    const all = await copied();
    const first = all.thief.cookie;
    await renew(all);
    const second = all.owner.cookie;
    await renew(all);
    all.site.pass(GRACE);
    const session = await all.site.start(`${first}; ${second}`);
    assertEquals([session.isNew, session.refusal], [true, "reused"]);
    assertEquals(told(all.site), ["reused"]);
  });

  it("do not hide a stale secret of another session", async () => {
    const { site, thief } = await renewed();
    site.pass(GRACE);
    const other = new Browser(site);
    await other.visit((session) => session.signIn("eve"));
    site.takeEvents();
    const session = await site.start(`${other.cookie}; ${thief.cookie}`);
    assertEquals(session.principal, "eve");
    assertEquals(told(site), ["reused"]);
  });

  it("of more than three sessions are not all looked up", async () => {
    const { site, owner } = await copied();
    const dead = Array.from({ length: 3 }, () => `__Host-id=${mintToken()}`);
    const session = await site.start([...dead, owner.cookie].join("; "));
    assertEquals([session.isNew, session.refusal], [true, "unknown"]);
    assertEquals(told(site), ["unknown", "unknown", "unknown"]);
  });

  it("and a planted one lock nobody out, and evict no other device", async () => {
    const site = new Site({ maxSessions: 2 });
    const device = new Browser(site);
    await device.visit((session) => session.signIn("ada"));
    const planted = `__Host-id=${mintToken()}`;
    let own: string | undefined;
    for (let count = 0; count < 4; count++) {
      site.pass(1000);
      const cookies = own === undefined ? planted : `${planted}; ${own}`;
      const browser = new Browser(site, cookies);
      await browser.visit((session) => session.signIn("ada"));
      own = browser.cookie;
      const both = await site.start(`${planted}; ${own}`);
      assertEquals([both.principal, both.refusal], ["ada", undefined]);
      await device.visit();
    }
    assertEquals(await principalOf(device), "ada");
    const leaving = new Browser(site, `${planted}; ${own}`);
    await leaving.visit((session) => session.destroy());
    assert((await site.start(own)).isNew);
  });

  it("of another scope have another name, and are not looked at", async () => {
    const provider = new MemoryProvider();
    const before = new Site({ provider });
    const scopes = [
      { domain: "example.test" },
      { path: "/app" },
      { domain: "example.test", path: "/app" },
    ];
    for (const cookie of scopes) {
      const old = new Browser(before);
      await old.visit((session) => session.signIn("eve"));
      const site = new Site({ provider, cookie });
      const browser = new Browser(site, old.cookie);
      await browser.visit((session) => session.signIn("ada"));
      for (const pair of [[old, browser], [browser, old]]) {
        const header = pair.map(({ cookie }) => cookie).join("; ");
        const session = await site.start(header);
        assertEquals([session.principal, session.refusal], ["ada", undefined]);
      }
      site.pass(INTERVAL);
      const both = new Browser(site, `${old.cookie}; ${browser.cookie}`);
      await both.visit();
      assertEquals(await principalOf(both), "ada");
      assertEquals(told(site), ["created", "signed-in", "renewed"]);
    }
  });

  it("that open two sessions lock nobody out", async () => {
    const { site, owner } = await copied();
    const other = new Browser(site);
    await other.visit((session) => session.signIn("ada"));
    site.takeEvents();
    const both = `${owner.cookie}; ${other.cookie}`;
    const browser = new Browser(site, both);
    await browser.visit((session) => session.signIn("ada"));
    assertEquals(told(site), [
      "ambiguous",
      "ambiguous",
      "destroyed",
      "destroyed",
      "created",
      "signed-in",
    ]);
    assertEquals(await principalOf(browser), "ada");
    assertEquals((await site.manager.list("ada")).length, 1);
    // The browser still has the one of the other scope beside it.
    browser.cookie = `${other.cookie}; ${browser.cookie}`;
    assertEquals(await principalOf(browser), "ada");
  });

  it("that open two sessions end neither by a mere visit", async () => {
    const { site, owner } = await copied();
    const other = new Browser(site);
    await other.visit((session) => session.signIn("eve"));
    const browser = new Browser(site, `${owner.cookie}; ${other.cookie}`);
    await browser.visit((session) => {
      session.set("name", "Ada");
      session.formToken();
    });
    assertEquals(await principalOf(owner), "ada");
    assertEquals(await principalOf(other), "eve");
  });

  it("that open two sessions end both on sign-out", async () => {
    const { site, owner } = await copied();
    const other = new Browser(site);
    await other.visit((session) => session.signIn("eve"));
    const browser = new Browser(site, `${owner.cookie}; ${other.cookie}`);
    await browser.visit((session) => session.destroy());
    assertEquals(browser.cookie, undefined);
    assertEquals(await principalOf(owner), undefined);
    assertEquals(await principalOf(other), undefined);
  });

  it("tell of several reasons the gravest", async () => {
    const { site, owner, thief } = await renewed();
    site.pass(GRACE);
    const dead = `__Host-id=${mintToken()}`;
    const wrong = forged(owner, mintSecret());
    const refusalOf = async (...cookies: (string | undefined)[]) =>
      (await site.start(cookies.join("; "))).refusal;
    assertEquals(await refusalOf(dead, "__Host-id=x"), "unknown");
    assertEquals(await refusalOf(dead, wrong), "wrong-secret");
    assertEquals(await refusalOf(dead, thief.cookie), "reused");
  });
});

describe("a secret that no session ever had", () => {
  it("does not end the session whose id it comes with", async () => {
    const { site, owner } = await renewed();
    site.pass(GRACE);
    const session = await site.start(forged(owner, mintSecret()));
    assert(session.isNew);
    assertEquals(told(site), ["wrong-secret"]);
    assertEquals(await principalOf(owner), "ada");
  });

  it("is not taken for a copy because of its second half", async () => {
    const { site, owner } = await renewed();
    const half = secretOf(owner.token).slice(16);
    await site.start(forged(owner, "A".repeat(16) + half));
    assertEquals(told(site), ["wrong-secret"]);
    assertEquals(await principalOf(owner), "ada");
  });

  it("is not taken for a copy because another session has its family", async () => {
    const { site, owner } = await copied();
    const other = new Browser(site);
    await other.visit((session) => session.signIn("eve"));
    site.takeEvents();
    await site.start(forged(owner, secretOf(other.token)));
    assertEquals(told(site), ["wrong-secret"]);
    assertEquals(await principalOf(owner), "ada");
  });

  it("does not touch the session either", async () => {
    const { site, owner } = await copied();
    site.pass(3599);
    await new Browser(site, forged(owner, mintSecret())).visit();
    site.pass(1);
    assertEquals(await principalOf(owner), undefined);
  });
});

describe("a secret from before a sign-in", () => {
  /** A visitor who signed in, and a request with the cookie from before. */
  async function superseded() {
    const site = new Site();
    const owner = new Browser(site);
    await owner.visit((session) => session.set("cart", ["coat"]));
    const straggler = new Browser(site, owner.cookie);
    await owner.visit((session) => session.signIn("ada"));
    site.takeEvents();
    return { site, owner, straggler };
  }

  it("opens nothing at once", async () => {
    const { straggler } = await superseded();
    const session = await straggler.look((session) => session);
    assert(session.isNew);
    assertEquals(session.keys(), []);
  });

  it("is no sign of a copy, within the grace or after it", async () => {
    const { site, owner, straggler } = await superseded();
    await principalOf(straggler);
    site.pass(GRACE);
    await principalOf(straggler);
    assertEquals(told(site), ["superseded", "wrong-secret"]);
    assertEquals(await principalOf(owner), "ada");
  });

  it("gets no cookie within the grace, so that the new one stays", async () => {
    const { site, straggler } = await superseded();
    site.pass(GRACE - 0.001);
    const response = await straggler.visit((session) => session.set("a", 1));
    assertEquals(response.headers.getSetCookie(), []);
  });

  it("has its changes dropped within the grace, and an event tells", async () => {
    const provider = new MemoryProvider();
    const site = new Site({ provider });
    const owner = new Browser(site);
    await owner.visit((session) => session.set("cart", ["coat"]));
    const straggler = new Browser(site, owner.cookie);
    await owner.visit((session) => session.signIn("ada"));
    site.takeEvents();
    await straggler.visit((session) => session.set("cart", []));
    assertEquals(told(site), ["superseded", "gone"]);
    assertEquals(provider.stats().sessions, 1);
    assertEquals(await owner.look((session) => session.get("cart")), ["coat"]);
  });

  it("raises no gone event when nothing was changed", async () => {
    const { site, straggler } = await superseded();
    await straggler.visit();
    assertEquals(told(site), ["superseded"]);
  });

  it("is a visitor like any other once the grace is over", async () => {
    const { site, straggler } = await superseded();
    const before = straggler.cookie;
    site.pass(GRACE);
    await straggler.visit((session) => session.set("a", 1));
    assertEquals(told(site), ["wrong-secret", "created"]);
    assert(straggler.cookie !== before);
  });

  it("can sign in within the grace, in a session of its own", async () => {
    const { site, owner, straggler } = await superseded();
    await straggler.visit((session) => session.signIn("ada"));
    // The second click takes the place of the first.
    assertEquals(told(site), [
      "superseded",
      "destroyed",
      "created",
      "signed-in",
    ]);
    assertEquals(await principalOf(straggler), "ada");
    assertFalse(idOf(straggler.token) === idOf(owner.token));
  });

  it("is forgotten when the token is replaced once more", async () => {
    const { site, owner, straggler } = await superseded();
    await owner.visit((session) =>
      session.regenerate({ reauthenticated: true })
    );
    site.takeEvents();
    await principalOf(straggler);
    assertEquals(told(site), ["wrong-secret"]);
  });
});

describe("a fingerprint", () => {
  const fingerprint = ({ headers }: RequestLike) =>
    headers.get("user-agent") ?? "none";

  async function startAs(site: Site, agent: string, cookie?: string) {
    const request = requestWith(cookie);
    request.headers.set("user-agent", agent);
    return await site.manager.start(request);
  }

  /** A site that looks at the User-Agent, and a session of a Firefox. */
  async function firefox(options: ManagerOptions = {}) {
    const site = new Site({ fingerprint, ...options });
    const browser = new Browser(site);
    const session = await startAs(site, "Firefox");
    session.signIn("ada");
    browser.receive(await site.commit(session));
    site.takeEvents();
    return { site, browser };
  }

  it("that stays the same raises no event", async () => {
    const { site, browser } = await firefox({ onFingerprintChange: "refuse" });
    const session = await startAs(site, "Firefox", browser.cookie);
    assertEquals(session.principal, "ada");
    assertEquals(told(site), []);
  });

  it("that changes is told by an event and nothing else happens", async () => {
    const { site, browser } = await firefox();
    const session = await startAs(site, "curl", browser.cookie);
    assertEquals(session.principal, "ada");
    assertEquals(site.events, [
      { type: "fingerprint-changed", id: session.id, principal: "ada" },
    ]);
  });

  it("that changes demands a new sign-in if onFingerprintChange is refuse", async () => {
    const { site, browser } = await firefox({ onFingerprintChange: "refuse" });
    const session = await startAs(site, "curl", browser.cookie);
    assert(session.isNew);
    assertEquals(told(site), ["fingerprint-changed", "fingerprint"]);
  });

  it("that changes ends nothing for the client that had it first", async () => {
    const { site, browser } = await firefox({ onFingerprintChange: "refuse" });
    await startAs(site, "curl", browser.cookie);
    const session = await startAs(site, "Firefox", browser.cookie);
    assertEquals(session.principal, "ada");
  });

  it("is taken anew with a sign-in", async () => {
    const { site, browser } = await firefox();
    const session = await startAs(site, "curl", browser.cookie);
    session.signIn("ada");
    browser.receive(await site.commit(session));
    site.takeEvents();
    await startAs(site, "curl", browser.cookie);
    assertEquals(told(site), []);
  });

  it("is taken anew with a renewal, so that it is told once", async () => {
    const { site, browser } = await firefox();
    site.pass(INTERVAL);
    const session = await startAs(site, "curl", browser.cookie);
    browser.receive(await site.commit(session));
    site.takeEvents();
    await startAs(site, "curl", browser.cookie);
    assertEquals(told(site), []);
  });

  it("is not asked of a session from before it was configured", async () => {
    const provider = new MemoryProvider();
    const before = new Browser(new Site({ provider }));
    await before.visit((session) => session.signIn("ada"));
    const site = new Site({
      provider,
      fingerprint,
      onFingerprintChange: "refuse",
    });
    const session = await startAs(site, "curl", before.cookie);
    assertEquals(session.principal, "ada");
    assertEquals(told(site), []);
  });

  it("is stored as a digest only", async () => {
    const provider = new MemoryProvider();
    const { site } = await firefox({ provider });
    const [{ id = "" } = {}] = provider.list("ada", site.now).sessions;
    const stored = provider.read(id, site.now);
    assert(stored?.fingerprint !== undefined);
    assertFalse(JSON.stringify(stored).includes("Firefox"));
  });

  it("of a request with a wrong secret is not looked at", async () => {
    const { site, browser } = await firefox({ onFingerprintChange: "refuse" });
    await startAs(site, "curl", forged(browser, mintSecret()));
    assertEquals(told(site), ["wrong-secret"]);
  });
});
