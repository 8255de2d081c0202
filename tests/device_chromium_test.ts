import { assertEquals, assertRejects } from "@std/assert";
import { mkdtempSync, rmSync } from "node:fs";
import { request as requestOverTls } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import {
  type Browser,
  type BrowserContext,
  type Certificate,
  makeCertificate,
  missing,
  type Page,
  startChromium,
  startProfile,
} from "./_chromium.ts";
import {
  type DeviceSite,
  DeviceSites,
  expire,
  FEATURES,
  see,
  type Seen,
  seen,
  signIn,
  submitForm,
} from "./_device_chromium.ts";

if (missing !== undefined) {
  console.log(`Tests in a real browser are skipped: ${missing}`);
}

const skip = { skip: missing !== undefined };

/** How long a copy is good at most, in seconds: the interval and the grace. */
const LIFETIME = 630;

/** What the owner of a session sees who is on their device. */
const AT_HOME = { isDeviceBound: true, isUnproven: false, refusal: null };

describe("in Chromium a session (DBSC 25)", () => {
  let certificate: Certificate;
  let browser: Browser;
  let context: BrowserContext;
  let sites: DeviceSites;

  before(async () => {
    if (missing !== undefined) return;
    certificate = makeCertificate();
    sites = await DeviceSites.start(certificate);
    browser = await startChromium({ certificate, features: FEATURES });
    context = await browser.newContext();
  });

  afterEach(async () => {
    for (const page of context?.pages() ?? []) await page.close();
  });

  after(async () => {
    await browser?.close();
    await sites?.stop();
  });

  /** A page of a browser that has not been on the site: each has one test. */
  async function newPage(): Promise<Page> {
    return await context.newPage();
  }

  /** A user who is signed in, on a device that is bound and was seen since. */
  async function atHome(name: string): Promise<[Page, DeviceSite]> {
    const site = sites.open(name);
    const page = await newPage();
    await signIn(page, site);
    assertSeen(await see(page, site));
    site.takePosts();
    return [page, site];
  }

  it("is bound after a form that is answered with 303", skip, async () => {
    const site = sites.open("form");
    const page = await newPage();
    await signIn(page, site);
    assertEquals(site.takePosts(), ["registration 200"]);
    assertSeen(await see(page, site));
  });

  it("is bound after a fetch", skip, async () => {
    const site = sites.open("fetch");
    const page = await newPage();
    await see(page, site);
    await page.evaluate(() =>
      fetch("/sign-in?user=ada&fetch", { method: "POST" })
    );
    await site.untilBound(page);
    assertSeen(await see(page, site));
  });

  it("is bound after a sign-in that came from another site", skip, async () => {
    const site = sites.open("relying");
    const page = await newPage();
    await leave(page, "identity", `${site.url}/callback?user=ada`);
    await page.waitForURL(`${site.url}/`);
    await site.untilBound(page);
    // No cookie that is Lax goes with what began elsewhere.
    assertEquals(site.posts.map(({ hasCookie }) => hasCookie), [false]);
    assertSeen(await see(page, site));
  });

  it("is proved in one round trip", skip, async () => {
    const [page, site] = await atHome("refresh");
    for (let time = 0; time < 3; time++) {
      await expire(page, site);
      assertSeen(await see(page, site));
      assertEquals(site.takePosts(), ["proof 200"]);
    }
  });

  it("is proved in two round trips after a long pause", skip, async () => {
    const [page, site] = await atHome("pause");
    site.clock.advance(LIFETIME);
    await expire(page, site);
    assertSeen(await see(page, site));
    assertEquals(site.takePosts(), ["proof 403", "proof 200"]);
  });

  it("is proved once for four tabs", skip, async () => {
    const [page, site] = await atHome("tabs");
    const more = await Promise.all([1, 2, 3].map(newPage));
    await expire(page, site);
    const saw = await Promise.all([page, ...more].map((tab) => see(tab, site)));
    for (const seen of saw) assertSeen(seen);
    assertEquals(site.takePosts(), ["proof 200"]);
  });

  it("is found by a link from another site", skip, async () => {
    const [page, site] = await atHome("linked");
    await expire(page, site);
    await leave(page, "mail", `${site.url}/`);
    await page.waitForURL(`${site.url}/`);
    assertSeen(await seen(page));
    assertEquals(site.takePosts(), ["proof 200"]);
  });

  it("is open to a copy until the bound, and not after", skip, async () => {
    const [page, site] = await atHome("copied");
    const cookies = await page.context().cookies(site.url);
    const profile = await (await browser.newContext()).newPage();
    await profile.context().addCookies(cookies);
    const header = cookies.map(({ name, value }) => `${name}=${value}`)
      .join("; ");

    site.clock.advance(LIFETIME - 0.001);
    assertSeen(await curl(site, header));
    assertSeen(await see(profile, site));
    site.clock.advance(0.001);
    for (const copy of [await curl(site, header), await see(profile, site)]) {
      assertEquals(copy.user, null);
      assertEquals(copy.refusal, "unproven");
    }
    // Nor does the copy end what it cannot open.
    await post(profile, "/sign-out");
    await expire(page, site);
    assertSeen(await see(page, site));
  });

  it("ends with its bound cookie at sign-out", skip, async () => {
    const [page, site] = await atHome("out");
    await post(page, "/sign-out");
    assertEquals((await seen(page)).user, null);
    assertEquals(await page.context().cookies(site.url), []);
    assertEquals((await see(page, site)).user, null);
    await signIn(page, site);
    assertSeen(await see(page, site));
  });

  it("is each user's own in one browser", skip, async () => {
    const [page, site] = await atHome("family");
    await signIn(page, site, "bob");
    assertSeen(await see(page, site), "bob");
    await expire(page, site);
    assertSeen(await see(page, site), "bob");
    await post(page, "/sign-out");
    await signIn(page, site, "ada");
    assertSeen(await see(page, site));
  });

  it("pays from the device, body and all", skip, async () => {
    const [page, site] = await atHome("shop");
    site.clock.advance(300);
    await page.goto(`${site.url}/pay`);
    await page.click("button");
    await page.getByText("paid").waitFor();
    assertEquals(JSON.parse(await page.innerText("body")), {
      paid: "amount=7",
      isFresh: true,
    });
    assertEquals(site.takePosts(), ["proof 200"]);
  });

  it("is bound behind a proxy that takes TLS off", skip, async () => {
    const site = sites.open("proxied");
    site.moveBehindProxy();
    const page = await newPage();
    await signIn(page, site);
    await expire(page, site);
    assertSeen(await see(page, site));
    assertEquals(site.takePosts(), ["registration 200", "proof 200"]);
  });

  it("is bound over HTTP/2 where the server has it", skip, async () => {
    const [page] = await atHome("protocol");
    const protocol = await page.evaluate(() =>
      (performance.getEntriesByType("navigation")[0] as unknown as {
        nextHopProtocol: string;
      }).nextHopProtocol
    );
    assertEquals(protocol, "Bun" in globalThis ? "http/1.1" : "h2");
  });

  describe("that is persistent", () => {
    it("comes back after a restart, and is proved", skip, async () => {
      await withProfile(async (start) => {
        const site = sites.open("restart");
        const page = await start();
        await signIn(page, site, "ada", "&persistent");
        assertSeen(await see(page, site));
        await page.context().close();
        site.takePosts();
        const again = await start();
        await expire(again, site);
        // No challenge is left, and the one that it asks for does not arrive.
        site.fail("question", "lost");
        assertEquals((await see(again, site)).isUnproven, true);
        site.heal();
        assertSeen(await see(again, site));
        assertEquals(site.takePosts().at(-1), "proof 200");
      });
    });
  });

  describe("that is not persistent", () => {
    it("does not come back after a restart", skip, async () => {
      await withProfile(async (start) => {
        const site = sites.open("closed");
        const page = await start();
        await signIn(page, site);
        await page.context().close();
        const again = await start();
        assertEquals((await see(again, site)).user, null);
      });
    });
  });

  for (const fault of ["dropped", "lost", "delayed"] as const) {
    it(`is open although the key is ${fault} on its way`, skip, async () => {
      const site = sites.open(`registration-${fault}`);
      site.fail("registration", fault, 1);
      const page = await newPage();
      await submitForm(page, site);
      await site.untilPosted("registration");
      // By then the browser has tried again, or never will.
      for (let time = 0; time < 2; time++) {
        await expire(page, site);
        assertEquals((await see(page, site)).user, "ada");
      }
    });

    it(`is open although the proof is ${fault} on its way`, skip, async () => {
      const [page, site] = await atHome(`once-${fault}`);
      await expire(page, site);
      site.fail("proof", fault, 1);
      await see(page, site);
      assertSeen(await see(page, site));
      assertEquals(site.takePosts().at(-1), "proof 200");
    });
  }

  for (const fault of ["dropped", "lost", "unavailable"] as const) {
    it(`goes on unbound if its key is ${fault} for good`, skip, async () => {
      const site = sites.open(`never-${fault}`);
      site.fail("registration", fault);
      const page = await newPage();
      await submitForm(page, site);
      await site.untilPosted("registration");
      for (const wait of [0, LIFETIME]) {
        site.clock.advance(wait);
        const { user, isUnproven } = await see(page, site);
        assertEquals({ user, isUnproven }, { user: "ada", isUnproven: false });
      }
    });
  }

  const outages = [
    ["dropped", "unreachable"],
    ["lost", "unreachable"],
    ["unavailable", "server_error"],
  ] as const;
  for (const [fault, skipped] of outages) {
    it(`waits for an outage to end: proofs are ${fault}`, skip, async () => {
      const [page, site] = await atHome(`outage-${fault}`);
      await expire(page, site);
      site.fail("proof", fault);
      const { user, isUnproven } = await see(page, site);
      assertEquals({ user, isUnproven }, { user: null, isUnproven: true });
      assertEquals(site.skipped(), [skipped]);
      site.heal();
      assertSeen(await see(page, site));
    });
  }

  it("is proved although no challenge arrives at first", skip, async () => {
    const [page, site] = await atHome("challenge");
    site.clock.advance(LIFETIME);
    await expire(page, site);
    // What it has in hand is too old. It gets a new one, which is lost.
    site.fail("proof", "lost");
    assertEquals((await see(page, site)).isUnproven, true);
    site.heal();
    assertSeen(await see(page, site));
    assertEquals(site.takePosts().slice(-2), ["proof 403", "proof 200"]);
  });

  it("is signed in again if the answer to that was lost", skip, async () => {
    const site = sites.open("answer");
    const lost = await newPage();
    site.fail("page", "lost");
    await assertRejects(() => lost.goto(`${site.url}/callback`), Error);
    site.heal();
    const page = await newPage();
    await signIn(page, site);
    assertSeen(await see(page, site));
  });

  /** Opens a page of another site with a link, and follows it. */
  async function leave(page: Page, from: string, to: string): Promise<void> {
    const site = sites.open(from);
    await page.goto(`${site.url}/leave?to=${encodeURIComponent(to)}`);
    await page.click("a");
  }

  /** Runs something with a browser that keeps its profile when it ends. */
  async function withProfile(
    run: (start: () => Promise<Page>) => Promise<void>,
  ): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), "profile-"));
    const options = { certificate, features: FEATURES };
    let page: Page | undefined;
    try {
      await run(async () => {
        page = await (await startProfile(folder, options)).newPage();
        return page;
      });
    } finally {
      await page?.context().close();
      rmSync(folder, { recursive: true, force: true });
    }
  }
});

/** Posts a form of the page's own site. */
async function post(page: Page, action: string): Promise<void> {
  await page.setContent(
    `<form method="post" action="${action}"><button>go</button></form>`,
  );
  await page.click("button");
  await page.waitForLoadState();
}

function assertSeen(seen: Seen, user = "ada"): void {
  assertEquals(seen, { ...AT_HOME, user });
}

/** Asks for the home page with the cookies of a browser, and is none. */
async function curl(site: DeviceSite, cookie: string): Promise<Seen> {
  const { port } = new URL(site.url);
  return await new Promise((resolve, reject) => {
    requestOverTls({
      host: "127.0.0.1",
      port,
      headers: { host: new URL(site.url).host, cookie },
      rejectUnauthorized: false,
    }, async (response) => {
      let text = "";
      for await (const chunk of response) text += chunk;
      resolve(JSON.parse(text));
    }).on("error", reject).end();
  });
}
