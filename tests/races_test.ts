import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertNotEquals,
  assertRejects,
} from "@std/assert";
import { describe, it } from "node:test";
import { type ManagerOptions, type Session, SessionError } from "../mod.ts";
import type { Provider } from "../core/provider.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { makeHash, makeId, makeRecord, START } from "./_records.ts";
import { Browser, Gate, principalOf, Site } from "./_browser.ts";

/** The session cookies of a response, without their attributes. */
function cookiesOf(response: Response): string[] {
  return response.headers.getSetCookie()
    .map((header) => header.split(";")[0] as string);
}

/** The browser of a visitor with a counter at 0. */
async function visiting(options: ManagerOptions = {}): Promise<Browser> {
  const browser = new Browser(new Site(options));
  await browser.visit((session) => session.set("count", 0));
  browser.site.takeEvents();
  return browser;
}

/** The browser of a user with a counter at 0. */
async function signedIn(options: ManagerOptions = {}): Promise<Browser> {
  const browser = new Browser(new Site(options));
  await browser.visit((session) => {
    session.signIn("ada");
    session.set("count", 0);
  });
  browser.site.takeEvents();
  return browser;
}

/** A request that the browser sends now and that is answered later. */
function send({ site, cookie }: Browser): Promise<Session> {
  return site.start(cookie);
}

/** Renews the browser's secret, uses the new one, and waits out the grace. */
async function renewForGood(browser: Browser): Promise<void> {
  browser.site.pass(901);
  const { token } = browser;
  await browser.visit();
  assertNotEquals(browser.token, token);
  await browser.visit();
  browser.site.pass(31);
  browser.site.takeEvents();
}

/** A request that takes longer than a renewal and its grace. */
async function outrun(browser: Browser): Promise<Session> {
  const slow = await send(browser);
  await renewForGood(browser);
  return slow;
}

/** Presents a secret whose time is up, as whoever copied the cookie would. */
async function reuse(browser: Browser, cookie: string): Promise<void> {
  await browser.site.start(cookie);
  assertEquals(browser.site.takeEvents(), ["reused"]);
}

/** Adds one to the counter in one atomic step. */
function countUp(session: Session): Promise<unknown> {
  return session.update("count", (count) => Number(count) + 1);
}

function countOf(browser: Browser): Promise<unknown> {
  return browser.look((session) => session.get("count"));
}

/** How many sessions the user has. */
async function countSessions(site: Site, principal = "ada"): Promise<number> {
  return (await site.manager.list(principal)).length;
}

/** Puts another call in the place of one of a provider's. */
function replaceCall(
  provider: Provider,
  name: string,
  call: (...args: unknown[]) => unknown,
): void {
  Reflect.set(provider, name, call);
}

/** Puts the provider's own call back. */
function restoreCall(provider: Provider, name: string): void {
  Reflect.deleteProperty(provider, name);
}

/** Makes the `list` of a provider fail from its nth call on. */
function failList(provider: MemoryProvider, from: number): void {
  let calls = 0;
  replaceCall(provider, "list", (principal, now) => {
    if (++calls >= from) throw new Error("the store is down");
    return MemoryProvider.prototype.list.call(
      provider,
      principal as string,
      now as number,
    );
  });
}

/** Commits and returns the code of the error, if there is one. */
async function codeOf(commit: Promise<unknown>): Promise<string | undefined> {
  try {
    await commit;
    return undefined;
  } catch (error) {
    assertInstanceOf(error, SessionError);
    return error.code;
  }
}

/** Answers that none of these calls may give. */
const NONSENSE: readonly (readonly [keyof Provider, unknown])[] = [
  ["update", undefined],
  ["update", true],
  ["create", "yes"],
  ["create", undefined],
  ["destroy", 1],
];

const FAILED = {
  code: "store-failed",
  events: ["store-error"],
  isCookieKept: true,
};

/** Makes the request that leads to a call, which gets an answer of this kind. */
async function requestWithAnswer(
  operation: keyof Provider,
  answer: () => unknown,
): Promise<unknown> {
  const provider = new MemoryProvider();
  const browser = await visiting({ provider });
  if (operation === "create") browser.cookie = undefined;
  const { cookie } = browser;
  // Late enough for a touch, and too early for a renewal.
  browser.site.pass(600);
  replaceCall(provider, operation, answer);
  const code = await codeOf(browser.visit((session) => {
    if (operation === "destroy") session.destroy();
    else if (operation !== "touch") session.set("count", 1);
  }));
  const isCookieKept = browser.cookie === cookie;
  return { code, events: browser.site.takeEvents(), isCookieKept };
}

/** A provider with sessions of these names, some of which end in a second. */
function scanned(
  names: readonly string[],
  { shortLived = [] }: { readonly shortLived?: readonly string[] } = {},
): MemoryProvider {
  const provider = new MemoryProvider();
  for (const name of names) {
    const idleTimeout = shortLived.includes(name) ? 1 : 3600;
    const record = makeRecord({ secretHash: makeHash(name), idleTimeout });
    provider.create(makeId(names.indexOf(name)), record, START);
  }
  return provider;
}

/** The names on the pages from a cursor on; fails when there is no end. */
function scanRest(
  provider: MemoryProvider,
  cursor: string | undefined,
): string[] {
  const names: string[] = [];
  for (let pages = 0; cursor !== undefined; pages++) {
    assert(pages < 10, "the scan does not end");
    const page = provider.scan(cursor, 2, START + 2000);
    for (const { record } of page.sessions) {
      names.push(record.secretHash.replaceAll("_", ""));
    }
    cursor = page.next;
  }
  return names;
}

/** A request with a copied cookie, held between its read and what follows. */
function holdRead(
  { site }: Browser,
  provider: MemoryProvider,
  cookie: string,
): { readonly thief: Promise<Session>; readonly read: Gate } {
  const read = new Gate();
  replaceCall(provider, "read", async (id, now) => {
    restoreCall(provider, "read");
    const record = provider.read(id as string, now as number);
    await read.promise;
    return record;
  });
  return { thief: site.start(cookie), read };
}

describe("races", () => {
  it("an update that meets a renewal does not renew a second time", async () => {
    const browser = await signedIn();
    browser.site.pass(901);
    const [renews, updates] = [await send(browser), await send(browser)];
    const renewed = cookiesOf(await browser.site.commit(renews));
    await countUp(updates);
    assertEquals(cookiesOf(await browser.site.commit(updates)), []);
    browser.cookie = renewed[0];
    assertEquals(await principalOf(browser), "ada");
    assertEquals(await countOf(browser), 1);
    assertEquals(browser.site.takeEvents(), ["renewed", "conflict"]);
  });

  it("a lifetime set by a request that lost the renewal does not send the old cookie again", async () => {
    const browser = await signedIn();
    browser.site.pass(901);
    const [renews, lives] = [await send(browser), await send(browser)];
    browser.receive(await browser.site.commit(renews));
    lives.lifetime({ persistent: true });
    assertEquals(cookiesOf(await browser.site.commit(lives)), []);
    await browser.visit();
    browser.site.pass(31);
    assertEquals(await principalOf(browser), "ada");
  });

  it("a lifetime set in the grace of the old secret does not send it again", async () => {
    const browser = await signedIn();
    const old = browser.cookie;
    browser.site.pass(901);
    await browser.visit();
    const straggler = new Browser(browser.site, old);
    const response = await straggler.visit((session) =>
      session.lifetime({ idleTimeout: 7200 })
    );
    assertEquals(cookiesOf(response), []);
  });

  it("a lifetime set in the grace by a changed client does not send the old secret again", async () => {
    let seen = "before";
    const browser = await signedIn({
      fingerprint: () => seen,
      onFingerprintChange: "report",
    });
    const old = browser.cookie;
    browser.site.pass(901);
    await browser.visit();
    seen = "after";
    const straggler = new Browser(browser.site, old);
    const response = await straggler.visit((session) =>
      session.lifetime({ persistent: true })
    );
    assertEquals(cookiesOf(response), []);
  });

  it("the first use of a new secret by a changed client ends the grace of the old one", async () => {
    let seen = "before";
    const browser = await signedIn({
      fingerprint: () => seen,
      onFingerprintChange: "report",
    });
    const old = browser.cookie as string;
    browser.site.pass(901);
    await browser.visit();
    seen = "after";
    await browser.visit();
    browser.site.pass(31);
    browser.site.takeEvents();
    await reuse(browser, old);
  });

  it("a lifetime set in the grace of the old secret holds", async () => {
    const browser = await signedIn();
    const old = browser.cookie;
    browser.site.pass(901);
    await browser.visit();
    await new Browser(browser.site, old).visit((session) =>
      session.lifetime({ idleTimeout: 7200 })
    );
    browser.site.pass(7000);
    assertEquals(await principalOf(browser), "ada");
  });

  it("what a user's request commits before another signs in does not reach the other", async () => {
    const browser = await signedIn();
    const [switches, writes] = [await send(browser), await send(browser)];
    writes.set("diary", "Ada's");
    browser.receive(await browser.site.commit(writes));
    switches.signIn("bob");
    browser.receive(await browser.site.commit(switches));
    const seen = await browser.look((session) => [
      session.principal,
      ...session.keys(),
    ]);
    assertEquals(seen, ["bob"]);
  });

  it("what a user's request commits after another signed in does not reach the other", async () => {
    const browser = await signedIn();
    const writes = await send(browser);
    await browser.visit((session) => session.signIn("bob"));
    writes.set("diary", "Ada's");
    assertEquals(cookiesOf(await browser.site.commit(writes)), []);
    const seen = await browser.look((session) => [
      session.principal,
      ...session.keys(),
    ]);
    assertEquals(seen, ["bob"]);
  });

  it("what a user's request updates after another signed in is refused", async () => {
    const browser = await signedIn();
    const updates = await send(browser);
    await browser.visit((session) => session.signIn("bob"));
    assertEquals(await codeOf(countUp(updates)), "gone");
    assertEquals(await countOf(browser), undefined);
  });

  it("a sign-in as another user ends the first one's session and begins another", async () => {
    const browser = await signedIn();
    const { cookie } = browser;
    const id = await browser.look((session) => session.id);
    await browser.visit((session) => session.signIn("bob"));
    assertNotEquals(await browser.look((session) => session.id), id);
    assertEquals(await countSessions(browser.site), 0);
    assertEquals(await countSessions(browser.site, "bob"), 1);
    assert(await new Browser(browser.site, cookie).look(({ isNew }) => isNew));
  });

  it("an update by the next user leaves nothing with the first when the handler fails", async () => {
    const browser = await signedIn();
    const visit = async (session: Session) => {
      session.signIn("bob");
      await session.update("inbox", () => ["Bob's mail"]);
      throw new RangeError("later failure");
    };
    await assertRejects(() => browser.visit(visit), RangeError);
    const seen = await browser.look((session) => [
      session.principal,
      session.get("inbox"),
    ]);
    assertEquals(seen, ["ada", undefined]);
  });

  it("an update by the next user is in the next user's session", async () => {
    const browser = await signedIn();
    await browser.visit(async (session) => {
      session.signIn("bob");
      await session.update("inbox", () => ["Bob's mail"]);
    });
    const inbox = await browser.look((session) => session.get("inbox"));
    assertEquals(inbox, ["Bob's mail"]);
  });

  it("a request that only reads, from before a sign-in, does not end the session", async () => {
    const browser = await visiting({
      idleTimeout: 100,
      absoluteTimeout: 1000,
      renewInterval: 0,
    });
    for (let visit = 0; visit < 19; visit++) {
      browser.site.pass(50);
      await browser.visit();
    }
    browser.site.pass(49);
    const reads = await send(browser);
    await browser.visit((session) => session.signIn("ada"));
    browser.site.pass(2);
    await browser.site.commit(reads);
    assertEquals(await principalOf(browser), "ada");
  });

  it("a request that only reads, from before a longer lifetime, does not shorten the session", async () => {
    const browser = await visiting({ renewInterval: 0 });
    browser.site.pass(400);
    const reads = await send(browser);
    await browser.visit((session) => {
      session.signIn("ada");
      session.lifetime({ idleTimeout: 604_800, absoluteTimeout: 2_592_000 });
    });
    browser.site.pass(1);
    await browser.site.commit(reads);
    browser.site.pass(3601);
    assertEquals(await principalOf(browser), "ada");
  });

  it("a session with an idle timeout below touchInterval lives as long as it is used", async () => {
    const browser = await signedIn({ touchInterval: 60 });
    await browser.visit((session) => session.lifetime({ idleTimeout: 30 }));
    const seen: unknown[] = [];
    for (let visit = 0; visit < 12; visit++) {
      browser.site.pass(10);
      await browser.visit((session) => seen.push(session.principal));
    }
    assertEquals(seen, Array(12).fill("ada"));
  });

  it("a request that takes longer than a renewal and its grace still commits", async () => {
    const browser = await signedIn();
    const slow = await outrun(browser);
    slow.set("count", 7);
    assertEquals(cookiesOf(await browser.site.commit(slow)), []);
    assertEquals(await countOf(browser), 7);
    assertEquals(browser.site.takeEvents(), []);
  });

  it("a request that takes longer than two renewals still commits", async () => {
    const browser = await signedIn();
    const slow = await outrun(browser);
    await renewForGood(browser);
    slow.set("count", 7);
    await browser.site.commit(slow);
    assertEquals(await countOf(browser), 7);
  });

  it("a request that takes longer than a renewal and its grace still updates", async () => {
    const browser = await signedIn();
    const slow = await outrun(browser);
    assertEquals(await countUp(slow), 1);
    assertEquals(await countOf(browser), 1);
  });

  it("a response streamed for longer than a renewal and its grace still updates", async () => {
    const browser = await signedIn();
    const streams = await send(browser);
    await browser.site.commit(streams);
    await renewForGood(browser);
    await countUp(streams);
    await countUp(streams);
    assertEquals(await countOf(browser), 2);
  });

  it("a sign-out that takes longer than a renewal and its grace ends the session", async () => {
    const browser = await signedIn();
    const slow = await outrun(browser);
    slow.destroy();
    const response = await browser.site.commit(slow);
    assertEquals(browser.site.takeEvents(), ["destroyed"]);
    assertEquals(await countSessions(browser.site), 0);
    browser.receive(response);
    assertEquals(browser.cookie, undefined);
  });

  it("a request from before a sign-in does not commit, however long it takes", async () => {
    const browser = await signedIn();
    const slow = await outrun(browser);
    await browser.visit((session) => session.signIn("ada"));
    browser.site.takeEvents();
    slow.set("count", 7);
    assertEquals(cookiesOf(await browser.site.commit(slow)), []);
    assertEquals(browser.site.takeEvents(), ["gone"]);
    assertEquals(await countOf(browser), 0);
  });

  it("a request from before a sign-in does not update, however long it takes", async () => {
    const browser = await signedIn();
    const slow = await outrun(browser);
    await browser.visit((session) => session.signIn("ada"));
    assertEquals(await codeOf(countUp(slow)), "gone");
    assertEquals(await countOf(browser), 0);
  });

  it("a request from before a sign-in does not destroy, however long it takes", async () => {
    const browser = await signedIn();
    const slow = await outrun(browser);
    await browser.visit((session) => session.signIn("ada"));
    slow.destroy();
    assertEquals(cookiesOf(await browser.site.commit(slow)), []);
    assertEquals(await principalOf(browser), "ada");
  });

  it("a request from before a reuse brings nothing of the session back", async () => {
    const browser = await signedIn();
    const copied = browser.cookie as string;
    const [commits, updates] = [await send(browser), await send(browser)];
    await renewForGood(browser);
    await reuse(browser, copied);
    commits.set("count", 7);
    assertEquals(cookiesOf(await browser.site.commit(commits)), []);
    assertEquals(await codeOf(countUp(updates)), "gone");
    assertEquals(browser.site.takeEvents(), ["gone", "gone"]);
    assertEquals(await countSessions(browser.site), 0);
  });

  it("a straggler with a renewed secret is superseded by a sign-in and leaves its cookie alone", async () => {
    const browser = await visiting();
    browser.site.pass(901);
    const signsIn = await send(browser);
    await browser.visit();
    const renewed = browser.cookie;
    signsIn.signIn("ada");
    browser.receive(await browser.site.commit(signsIn));
    browser.site.takeEvents();
    const straggler = new Browser(browser.site, renewed);
    const response = await straggler.visit((session) =>
      session.set("theme", "dark")
    );
    assertEquals(cookiesOf(response), []);
    const [refused] = browser.site.events;
    assertEquals(
      refused?.type === "refused" ? refused.reason : undefined,
      "superseded",
    );
    assertEquals(browser.site.takeEvents(), ["refused", "gone"]);
  });

  it("a sign-in that cannot count the sessions still sends a cookie when the oldest has to go", async () => {
    const provider = new MemoryProvider();
    const browser = await visiting({ provider, maxSessions: 1 });
    failList(provider, 1);
    await browser.visit((session) => session.signIn("ada"));
    assertEquals(browser.site.takeEvents(), [
      "store-error",
      "renewed",
      "store-error",
      "signed-in",
    ]);
    assertEquals(await principalOf(browser), "ada");
    assertEquals(await countOf(browser), 0);
  });

  it("a sign-in that cannot count the sessions leaves none behind when the latest has to go", async () => {
    const provider = new MemoryProvider();
    const browser = await visiting({
      provider,
      maxSessions: 1,
      onMaxSessions: "reject",
    });
    failList(provider, 2);
    const visit = browser.visit((session) => session.signIn("ada"));
    assertEquals(await codeOf(visit), "store-failed");
    restoreCall(provider, "list");
    assertEquals(await countSessions(browser.site), 0);
  });

  it("a sign-in that cannot look for room leaves the visitor's session as it was", async () => {
    const provider = new MemoryProvider();
    const browser = await visiting({
      provider,
      maxSessions: 1,
      onMaxSessions: "reject",
    });
    failList(provider, 1);
    const visit = browser.visit((session) => session.signIn("ada"));
    assertEquals(await codeOf(visit), "store-failed");
    assertEquals(await principalOf(browser), undefined);
    assertEquals(await countOf(browser), 0);
  });

  for (const answer of [{}, 42, null, "record", true]) {
    it(`a provider that reads ${JSON.stringify(answer)} fails the request and sends no cookie`, async () => {
      const provider = new MemoryProvider();
      const browser = await visiting({ provider });
      const { cookie } = browser;
      replaceCall(provider, "read", () => answer);
      const visit = browser.visit((session) => session.set("count", 1));
      assertEquals(await codeOf(visit), "store-failed");
      assertEquals(browser.site.takeEvents(), ["store-error"]);
      assertEquals(browser.cookie, cookie);
    });
  }

  for (const later of [false, true]) {
    it(`a provider that answers touch with nothing${later ? " later" : ""} fails no request`, async () => {
      const answer = () => later ? Promise.resolve(undefined) : undefined;
      const seen = await requestWithAnswer("touch", answer);
      assertEquals(seen, { ...FAILED, code: undefined });
    });
  }

  for (const [operation, answer] of NONSENSE) {
    it(`a provider that answers ${operation} with ${answer} fails the request and sends no cookie`, async () => {
      const seen = await requestWithAnswer(operation, () => answer);
      assertEquals(seen, FAILED);
    });

    it(`a provider that answers ${operation} with ${answer} later fails the request and sends no cookie`, async () => {
      const seen = await requestWithAnswer(operation, async () => await answer);
      assertEquals(seen, FAILED);
    });
  }

  it("a double click on sign-in leaves one session where the latest is rejected", async () => {
    const browser = await visiting({
      maxSessions: 1,
      onMaxSessions: "reject",
    });
    const [first, second] = [await send(browser), await send(browser)];
    first.signIn("ada");
    second.signIn("ada");
    browser.receive(await browser.site.commit(first));
    browser.receive(await browser.site.commit(second));
    assertEquals(await principalOf(browser), "ada");
    assertEquals(await countSessions(browser.site), 1);
  });

  it("a double click on signing in again leaves one session", async () => {
    const browser = await signedIn({
      maxSessions: 1,
      onMaxSessions: "reject",
    });
    const [first, second] = [await send(browser), await send(browser)];
    first.signIn("ada");
    second.signIn("ada");
    browser.receive(await browser.site.commit(first));
    browser.receive(await browser.site.commit(second));
    assertEquals(await principalOf(browser), "ada");
    assertEquals(await countSessions(browser.site), 1);
  });

  it("a second device is still rejected while a sign-in is double clicked", async () => {
    const browser = await visiting({
      maxSessions: 1,
      onMaxSessions: "reject",
    });
    const other = new Browser(browser.site);
    await other.visit((session) => session.signIn("ada"));
    const [first, second] = [await send(browser), await send(browser)];
    first.signIn("ada");
    second.signIn("ada");
    const codes = [
      await codeOf(browser.site.commit(first)),
      await codeOf(browser.site.commit(second)),
    ];
    assertEquals(codes, ["too-many-sessions", "too-many-sessions"]);
    assertEquals(await principalOf(other), "ada");
  });

  it("a sign-in that takes long does not evict itself", async () => {
    const slow = new Browser(new Site({ maxSessions: 1 }));
    const session = await send(slow);
    session.signIn("ada");
    slow.site.pass(1);
    const other = new Browser(slow.site);
    await other.visit((session) => session.signIn("ada"));
    slow.site.pass(1);
    slow.receive(await slow.site.commit(session));
    assertEquals(await principalOf(slow), "ada");
    assertEquals(await principalOf(other), undefined);
  });

  it("a scan goes on after a collection", () => {
    const provider = scanned(["a", "b", "c", "d"], { shortLived: ["a"] });
    const first = provider.scan(undefined, 2, START);
    assertEquals(provider.gc(START + 2000, 10), 1);
    assertEquals(scanRest(provider, first.next), ["c", "d"]);
  });

  it("a scan whose place was collected names all that is left, and ends", () => {
    const provider = scanned(["a", "b", "c", "d"], { shortLived: ["b"] });
    const first = provider.scan(undefined, 2, START);
    assertEquals(provider.gc(START + 2000, 10), 1);
    const rest = new Set(scanRest(provider, first.next));
    assert(rest.has("c") && rest.has("d"));
    assertFalse(rest.has("b"));
  });

  it("a scan ends after everything was cleared", () => {
    const provider = scanned(["a", "b", "c", "d"]);
    const first = provider.scan(undefined, 2, START);
    assertEquals(provider.clear(), 4);
    assertEquals(scanRest(provider, first.next), []);
  });

  it("a late reuse does not destroy the session that its owner has signed in to again", async () => {
    const provider = new MemoryProvider();
    const browser = await visiting({ provider });
    const copied = browser.cookie as string;
    await renewForGood(browser);
    const { thief, read } = holdRead(browser, provider, copied);
    await browser.visit((session) => session.signIn("ada"));
    read.open();
    assert((await thief).isNew);
    assertEquals(await principalOf(browser), "ada");
  });

  it("a late reuse destroys the session that its owner has merely written to", async () => {
    const provider = new MemoryProvider();
    const browser = await signedIn({ provider });
    const copied = browser.cookie as string;
    await renewForGood(browser);
    const { thief, read } = holdRead(browser, provider, copied);
    await browser.visit((session) => session.set("count", 1));
    read.open();
    assert((await thief).isNew);
    assertEquals(browser.site.takeEvents(), ["reused"]);
    assertEquals(await countSessions(browser.site), 0);
  });

  it("a changed fingerprint that is only reported is told once", async () => {
    let seen = "before";
    const browser = await signedIn({
      fingerprint: () => seen,
      onFingerprintChange: "report",
    });
    seen = "after";
    for (let count = 1; count <= 3; count++) {
      await browser.visit((session) => session.set("count", count));
    }
    assertEquals(browser.site.takeEvents(), ["fingerprint-changed"]);
    assertEquals(await countOf(browser), 3);
  });

  it("a changed fingerprint is told once by requests that only read", async () => {
    let seen = "before";
    const browser = await signedIn({
      fingerprint: () => seen,
      onFingerprintChange: "report",
    });
    seen = "after";
    for (let visit = 0; visit < 3; visit++) await browser.visit();
    assertEquals(browser.site.takeEvents(), ["fingerprint-changed"]);
  });

  it("each change of the fingerprint is told", async () => {
    let seen = "before";
    const browser = await signedIn({
      fingerprint: () => seen,
      onFingerprintChange: "report",
    });
    for (seen of ["after", "later"]) await browser.visit();
    assertEquals(browser.site.takeEvents(), [
      "fingerprint-changed",
      "fingerprint-changed",
    ]);
  });

  it("the gone event of a superseded request names the session", async () => {
    const browser = await visiting();
    const straggler = new Browser(browser.site, browser.cookie);
    await browser.visit((session) => session.signIn("ada"));
    const id = await browser.look((session) => session.id);
    browser.site.takeEvents();
    await straggler.visit((session) => session.set("count", 1));
    const gone = browser.site.events.filter(({ type }) => type === "gone");
    assertEquals(gone, [{ type: "gone", id }]);
  });

  it("a sign-out whose response was already read ends the session", async () => {
    const browser = await signedIn();
    const response = new Response("Goodbye");
    await response.text();
    await browser.visit((session) => session.destroy(), response);
    assertEquals(browser.site.takeEvents(), ["destroyed"]);
    assertEquals(await principalOf(browser), undefined);
  });

  it("a commit that fails cancels the body of the handler's response", async () => {
    const provider = new MemoryProvider();
    const browser = new Browser(new Site({ provider }));
    let isCancelled = false;
    const body = new ReadableStream({
      cancel() {
        isCancelled = true;
      },
    });
    replaceCall(provider, "create", () => {
      throw new Error("the store is down");
    });
    const visit = browser.visit(
      (session) => session.set("count", 1),
      new Response(body),
    );
    assertEquals(await codeOf(visit), "store-failed");
    assert(isCancelled);
  });
});
