import { assert, assertEquals, assertFalse, assertRejects } from "@std/assert";
import { describe, it } from "node:test";
import { familyOf, idOf, mintSecret, secretOf } from "../core/secret/token.ts";
import { type ManagerOptions, type Provider, SessionError } from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { Browser, requestWith, Site } from "./_browser.ts";

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

async function principalOf(browser: Browser): Promise<string | undefined> {
  return await browser.look((session) => session.principal);
}

/** What the events of a site so far say, refusals by their reason. */
function told(site: Site): string[] {
  return site.events.splice(0).map((event) =>
    event.type === "refused" ? event.reason : event.type
  );
}

/** A cookie for the owner's session with a secret of somebody's making. */
function forged(owner: Browser, secret: string): string {
  return `__Host-id=${idOf(owner.token)}${secret}`;
}

/** The same provider, with every call answered some turns later. */
function later(provider: Provider): Provider {
  return new Proxy(provider, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      if (name === "observe") return member.bind(target);
      return async (...args: unknown[]) => {
        for (let turn = 0; turn < 3; turn++) await Promise.resolve();
        return member.apply(target, args);
      };
    },
  });
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

  it("makes the request fail if the store cannot end the session", async () => {
    const provider = new MemoryProvider();
    const { site, thief } = await renewed({ provider });
    site.pass(GRACE);
    provider.destroy = () => {
      throw new Error("disk on fire");
    };
    const { code } = await assertRejects(
      () => principalOf(thief),
      SessionError,
    );
    assertEquals(code, "store-failed");
    assertEquals(told(site), ["store-error"]);
  });

  it("is known however many renewals ago it was replaced", async () => {
    const all = await copied();
    for (let count = 0; count < 5; count++) await renew(all);
    assertEquals(await principalOf(all.thief), undefined);
    assertEquals(told(all.site), ["reused"]);
  });

  it("is known by its family alone, so that half a cookie is as telling", async () => {
    const { site, owner, thief } = await renewed();
    const secret = familyOf(secretOf(thief.token)) + "A".repeat(16);
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
    assertEquals(told(site), ["superseded", "created", "signed-in"]);
    assertEquals(await principalOf(straggler), "ada");
    assertFalse(idOf(straggler.token) === idOf(owner.token));
  });

  it("is forgotten when the token is replaced once more", async () => {
    const { site, owner, straggler } = await superseded();
    await owner.visit((session) => session.regenerate());
    site.takeEvents();
    await principalOf(straggler);
    assertEquals(told(site), ["wrong-secret"]);
  });
});

describe("a fingerprint", () => {
  const fingerprint = ({ headers }: Request) =>
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

  it("is not taken anew with a renewal", async () => {
    const { site, browser } = await firefox();
    site.pass(INTERVAL);
    const session = await startAs(site, "curl", browser.cookie);
    browser.receive(await site.commit(session));
    site.takeEvents();
    await startAs(site, "curl", browser.cookie);
    assertEquals(told(site), ["fingerprint-changed"]);
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
    const [stored] = provider.list("ada", site.now);
    assert(stored?.record.fingerprint !== undefined);
    assertFalse(JSON.stringify(stored).includes("Firefox"));
  });

  it("of a request with a wrong secret is not looked at", async () => {
    const { site, browser } = await firefox({ onFingerprintChange: "refuse" });
    await startAs(site, "curl", forged(browser, mintSecret()));
    assertEquals(told(site), ["wrong-secret"]);
  });
});
