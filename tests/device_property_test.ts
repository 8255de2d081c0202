import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { describe, it } from "node:test";
import { MemoryProvider } from "../providers/memory.ts";
import { Site } from "./_browser.ts";
import { DeviceBrowser, type Fate } from "./_device.ts";

/** `interval` and `renewGrace` together, in milliseconds. */
const L = 630_000;
const GRACE = 30_000;
const PATH = "/device-bound-session";

/** What happens next, at a site that Ada has signed in to. */
type Step =
  | { readonly does: "wait"; readonly seconds: number }
  | { readonly does: "visit"; readonly isFromElsewhere: boolean }
  | { readonly does: "renew" }
  | { readonly does: "prove again" }
  | { readonly does: "expire" }
  | { readonly does: "restart" }
  | { readonly does: "fail"; readonly path: string; readonly fates: Fate[] };

const fate = fc.constantFrom<Fate>(
  "is lost",
  "is answered in vain",
  "is answered with 503",
);

const STEP: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    does: fc.constant("wait" as const),
    seconds: fc.oneof(
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 1, max: 1000 }),
    ),
  }),
  fc.record({
    does: fc.constant("visit" as const),
    isFromElsewhere: fc.boolean(),
  }),
  fc.record({ does: fc.constant("renew" as const) }),
  fc.record({ does: fc.constant("prove again" as const) }),
  fc.record({ does: fc.constant("expire" as const) }),
  fc.record({ does: fc.constant("restart" as const) }),
  fc.record({
    does: fc.constant("fail" as const),
    path: fc.constantFrom("/", PATH),
    fates: fc.array(fate, { minLength: 1, maxLength: 3 }),
  }),
);

/** Long enough for what Chromium waits at most, and for its signatures. */
const CALM = 600;

/** A site whose clock can jump far, for sessions that live as long. */
function longLived(provider = new MemoryProvider()): Site {
  return new Site({
    provider,
    deviceBound: {},
    cookie: { persistent: true },
    idleTimeout: 30_000_000,
    absoluteTimeout: 34_000_000,
    // Two cookies in a row that are lost raise an alarm, bound or not.
    renewInterval: 0,
  });
}

async function take(step: Step, browser: DeviceBrowser): Promise<void> {
  const { site } = browser;
  switch (step.does) {
    case "wait":
      return site.pass(step.seconds);
    case "visit": {
      const { isFromElsewhere } = step;
      await browser.visit(() => {}, { isFromElsewhere });
      return;
    }
    case "renew":
      // A cookie that is lost on its way is another test's business.
      browser.network = () => "arrives";
      await browser.visit((session) => session.regenerate());
      await browser.visit();
      return;
    case "prove again":
      await browser.visit((session) => {
        session.proveAgain();
      });
      return;
    case "expire":
      return browser.forgetProofs();
    case "restart":
      return browser.restart();
    case "fail": {
      const fates = [...step.fates];
      browser.network = (path) =>
        path === step.path ? fates.shift() ?? "arrives" : "arrives";
      return;
    }
  }
}

describe("an owner whose session is bound", () => {
  it("is signed in whenever the network works, whatever was lost before (DBSC 6)", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(STEP, { maxLength: 25 }),
        fc.array(fate, { maxLength: 3 }),
        async (steps, atFirst) => {
          const site = longLived();
          const browser = new DeviceBrowser(site);
          const fates = [...atFirst];
          // The sign-in itself gets through, and nothing else has to.
          browser.network = (path) =>
            path === PATH ? fates.shift() ?? "arrives" : "arrives";
          await browser.signIn();
          for (const step of steps) await take(step, browser);
          browser.network = () => "arrives";
          site.pass(CALM);
          assertEquals(await browser.principal(), "ada");
          const types = new Set(site.events.map(({ type }) => type));
          assert(!types.has("reused") && !types.has("destroyed"));
        },
      ),
      { numRuns: 60 },
    );
  });

  it("keeps the binding through every single answer that fails, at every step (DBSC 6)", async () => {
    const fates: Fate[] = [
      "is lost",
      "is answered in vain",
      "is answered with 503",
    ];
    for (const fate of fates) {
      for (let failing = 1; failing < 8; failing++) {
        const site = longLived();
        const browser = await new DeviceBrowser(site).signIn();
        let count = 0;
        browser.network = () => ++count === failing ? fate : "arrives";
        for (let visits = 0; visits < 4; visits++) {
          await browser.visit();
          browser.forgetProofs();
          site.pass(200);
        }
        browser.network = () => "arrives";
        assertEquals(await browser.principal(), "ada", `${fate} ${failing}`);
        assertEquals(browser.bound.length, 1, `${fate} ${failing}`);
      }
    }
  });
});

/** What a thief with a copy of everything in the jar does at a moment. */
type Deed = "look" | "renew" | "sign out" | "write" | "ask";

describe("a thief with a copy of both cookies", () => {
  it("is out at interval and renewGrace after the last proof of then, and changes nothing after (DBSC 7)", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(STEP.filter(({ does }) => does !== "fail"), { maxLength: 12 }),
        fc.array(
          fc.record({
            after: fc.integer({ min: 0, max: 900_000 }),
            deed: fc.constantFrom<Deed>("look", "write", "ask"),
          }),
          { minLength: 1, maxLength: 8 },
        ),
        async (steps, deeds) => {
          const site = longLived();
          const browser = await new DeviceBrowser(site).signIn();
          await browser.visit();
          site.pass(GRACE / 1000);
          for (const step of steps) await take(step, browser);
          let provedAt = -Infinity;
          await browser.visit((session) => {
            provedAt = session.provedAt ?? provedAt;
          });
          const cookie = browser.cookie ?? "";
          const copiedAt = site.now;
          const id = /__Host-id=(.{24})/.exec(cookie)?.[1] ?? "";
          // Ahead of its time, the browser may have proved after the page.
          assert(copiedAt - provedAt < L);
          for (const { after, deed } of deeds) {
            site.now = Math.max(site.now, copiedAt + after);
            const isIn = await act(site, cookie, id, deed);
            if (site.now >= copiedAt + L) assert(!isIn);
          }
          site.now = Math.max(site.now, copiedAt + L);
          assert(!await act(site, cookie, id, "sign out"));
          assert(!await act(site, cookie, id, "renew"));
          assertEquals(await browser.principal(), "ada");
        },
      ),
      { numRuns: 40 },
    );
  });
});

/** @returns Whether the thief found the session. */
async function act(
  site: Site,
  cookie: string,
  id: string,
  deed: Deed,
): Promise<boolean> {
  if (deed === "ask") {
    const request = new Request(`http://localhost${PATH}`, {
      method: "POST",
      headers: {
        cookie,
        "sec-secure-session-id": id,
        "secure-session-response": "nonsense",
      },
    });
    const answer = await site.manager.intercept(request);
    assertEquals(answer?.status, 403);
    return false;
  }
  let isIn = false;
  const request = new Request("http://localhost/", { headers: { cookie } });
  await site.manager.run(request, (session) => {
    isIn = session.principal === "ada";
    if (deed === "write") session.set("name", "Mallory");
    if (deed === "renew") session.regenerate();
    if (deed === "sign out") session.destroy();
    return new Response();
  });
  return isIn;
}
