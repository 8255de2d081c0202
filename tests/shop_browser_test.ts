/**
 * Tests the shop of the examples in Chromium: two browsers at once, the panel,
 * pages without JavaScript, and whether everybody can use them.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import axe from "axe-core";
import { after, before, describe, it } from "node:test";
import { makeShop } from "../examples/shop/shop.ts";
import { Clock } from "../testing.ts";
import {
  type Browser,
  type BrowserContext,
  missing,
  type Page,
  startChromium,
} from "./_chromium.ts";
import { serve } from "./_server.ts";

if (missing !== undefined) {
  console.log(`Tests of the shop in a browser are skipped: ${missing}`);
}
const describeInBrowser = missing === undefined ? describe : describe.skip;

/** The sizes of a telephone and of a laptop. */
const SIZES = [{ width: 390, height: 844 }, { width: 1280, height: 800 }];

const SCHEMES = ["light", "dark"] as const;

describeInBrowser("the shop in a browser", () => {
  let browser: Browser;

  before(async () => {
    browser = await startChromium();
  });

  after(async () => await browser?.close());

  /** The shop on a port, with a clock of its own, until the test is over. */
  async function withShop(
    test: (shop: Site) => Promise<void>,
  ): Promise<void> {
    const clock = new Clock();
    const wait = (seconds: number) => Promise.resolve(clock.advance(seconds));
    const { fetch, manager } = makeShop({ now: clock.now, wait });
    const server = serve(fetch);
    const site = new Site(browser, clock, server.url);
    try {
      await test(site);
    } finally {
      await site.close();
      await server.close();
      await manager.close();
    }
  }

  it("keeps what two tabs put into the cart at once", () =>
    withShop(async (site) => {
      const first = await site.open();
      const second = await first.context().newPage();
      await second.goto(site.url);
      for (let round = 0; round < 3; round++) {
        await Promise.all([
          add(first, "Wool coat"),
          add(second, "Umbrella"),
        ]);
      }
      await first.goto(`${site.url}/cart`);
      assertEquals(await first.locator(".amount").allTextContents(), [
        "3",
        "3",
      ]);
    }));

  it("shows a message once", () =>
    withShop(async (site) => {
      const page = await site.open();
      await add(page, "Felt hat");
      const notice = page.getByRole("status");
      assertMatch(await notice.innerText(), /In your cart: Felt hat/);
      await page.reload();
      assertEquals(await notice.count(), 0);
    }));

  it("signs another browser out, and tells it at once", () =>
    withShop(async (site) => {
      const [here, there] = [await site.open(), await site.open()];
      await signIn(here);
      await signIn(there);
      await isLive(there);
      await here.goto(`${site.url}/devices`);
      await press(here, "Sign out Chromium on Linux");
      const told = there.locator("#panel-ended");
      await told.waitFor();
      const text = "You were signed out on another device.";
      assertMatch(await told.innerText(), new RegExp(text));
      await there.reload();
      assertMatch(await there.getByRole("alert").first().innerText(), /device/);
      assertEquals(await there.getByRole("link", { name: "ada" }).count(), 0);
      await here.goto(`${site.url}/devices`);
      assertEquals(await here.locator(".line").count(), 1);
    }));

  it("signs out all others, and stays signed in", () =>
    withShop(async (site) => {
      const pages = [await site.open(), await site.open(), await site.open()];
      for (const page of pages) await signIn(page);
      const [here, ...others] = pages as [Page, Page, Page];
      await here.goto(`${site.url}/devices`);
      await press(here, "Sign out all others");
      for (const other of others) {
        await other.goto(`${site.url}/devices`);
        await other.getByRole("heading", { name: "Sign in" }).waitFor();
      }
      await here.reload();
      await here.getByRole("heading", { name: "Hello, ada" }).waitFor();
    }));

  it("shows in the panel what another tab does", () =>
    withShop(async (site) => {
      const page = await site.open();
      await isLive(page);
      const other = await page.context().newPage();
      await other.goto(site.url);
      await add(other, "Umbrella");
      const line = page.locator("#panel-log li", { hasText: "/cart/add" });
      await line.waitFor();
      assertMatch(await line.innerText(), /by you[^]*stored\s+cart/);
      const shown = await page.locator("#panel-chart").getAttribute(
        "aria-label",
      );
      assertMatch(shown ?? "", /\d+ requests, 1 sessions/);
    }));

  it("renews the secret when it is asked to, and says so", () =>
    withShop(async (site) => {
      const page = await site.open();
      const [before] = await page.context().cookies();
      site.clock.advance(10);
      await press(page, "Replace the secret now");
      await page.locator("#panel-log li", { hasText: "renewed" }).waitFor();
      const [now] = await page.context().cookies();
      assert(now?.value !== before?.value);
      assertEquals(now?.value.slice(0, 24), before?.value.slice(0, 24));
    }));

  it("plays a theft, and tells the owner", () =>
    withShop(async (site) => {
      const page = await site.open();
      await signIn(page);
      site.clock.advance(10);
      await page.goto(`${site.url}/theft`);
      await press(page, "Let Mallory copy my cookie");
      await page.getByText("is in as ada").waitFor();
      await page.locator("#panel-log .thief").first().waitFor();
      site.clock.advance(5);
      await page.getByRole("link", { name: "Open my cart" }).click();
      const alarm = page.locator("main [role=alert]");
      assertMatch(
        await alarm.innerText(),
        /Somebody had a copy of your cookie/,
      );
      await alarm.getByRole("link", { name: "What happened" }).click();
      await page.getByText("tries again, and is out too").waitFor();
    }));

  it("says that a session has expired", () =>
    withShop(async (site) => {
      const page = await site.open();
      await add(page, "Umbrella");
      site.clock.advance(600);
      await page.goto(`${site.url}/cart`);
      const alarm = page.locator("main [role=alert]");
      assertMatch(await alarm.innerText(), /Your session has expired/);
    }));

  it("can be used by the keyboard alone", () =>
    withShop(async (site) => {
      const page = await site.open("/sign-in");
      await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      await page.keyboard.press("Tab");
      await page.keyboard.type("ada");
      await page.keyboard.press("Tab");
      await page.keyboard.type("engine");
      await page.keyboard.press("Enter");
      await page.getByRole("link", { name: "ada" }).waitFor();
      assertMatch(await page.getByRole("status").innerText(), /Welcome, ada/);
    }));

  it("works without JavaScript, but for the panel", () =>
    withShop(async (site) => {
      const page = await site.open("/", { javaScriptEnabled: false });
      await page.locator("noscript p").waitFor();
      await add(page, "Wool coat");
      await page.getByRole("link", { name: "To the cart" }).click();
      await press(page, "One more: Wool coat");
      await page.getByRole("link", { name: "Check out" }).click();
      await fillIn(page, "engine");
      await press(page, "Pay € 296");
      await page.getByRole("heading", { name: "Your coats are" }).waitFor();
      await page.getByRole("link", { name: "Play a theft" }).click();
      site.clock.advance(10);
      await press(page, "Let Mallory copy my cookie");
      site.clock.advance(5);
      await page.getByRole("link", { name: "Open my cart" }).click();
      await page.getByText("Somebody had a copy").waitFor();
      await signIn(page);
      await page.getByRole("link", { name: "ada" }).click();
      await press(page, "Sign out here");
      await page.getByRole("heading", { name: "Goodbye" }).waitFor();
    }));

  for (const viewport of SIZES) {
    for (const colorScheme of SCHEMES) {
      it(`can be used by everybody, ${colorScheme}, ${viewport.width} px`, () =>
        withShop(async (site) => {
          const page = await site.open("/", {
            viewport,
            colorScheme,
            reducedMotion: "reduce",
          });
          await lookAround(page, site);
        }));
    }
  }
});

/** A shop that runs, and the browsers that visit it. */
class Site {
  readonly clock: Clock;
  readonly url: string;
  /** What went wrong in the pages. */
  readonly #faults: string[] = [];
  readonly #browser: Browser;
  readonly #contexts: BrowserContext[] = [];

  constructor(browser: Browser, clock: Clock, url: string) {
    this.#browser = browser;
    this.clock = clock;
    this.url = url.replace("127.0.0.1", "localhost");
  }

  /** Opens a page in a browser that shares nothing with the others. */
  async open(
    path = "/",
    options: Parameters<Browser["newContext"]>[0] = {},
  ): Promise<Page> {
    const context = await this.#browser.newContext(options);
    context.setDefaultTimeout(10_000);
    this.#contexts.push(context);
    const page = await context.newPage();
    // A script or a style that the policy forbids is told here.
    page.on("console", (message) => {
      if (message.type() === "error") this.#faults.push(message.text());
    });
    page.on("pageerror", (error) => this.#faults.push(String(error)));
    await page.goto(this.url + path);
    return page;
  }

  async close(): Promise<void> {
    for (const context of this.#contexts) await context.close();
    assertEquals(this.#faults, []);
  }
}

async function press(page: Page, name: string): Promise<void> {
  await page.getByRole("button", { name, exact: true }).click();
}

/** On a narrow page the button says less. */
async function add(page: Page, name: string): Promise<void> {
  await page.getByRole("button", { name: `Add ${name}` }).click();
}

async function signIn(page: Page): Promise<void> {
  await page.getByRole("link", { name: "Sign in" }).first().click();
  await fillIn(page, "engine");
  await page.getByText("Welcome, ada").waitFor();
}

async function fillIn(page: Page, password: string): Promise<void> {
  await page.getByLabel("Name").fill("ada");
  await page.getByLabel("Password").fill(password);
  await press(page, "Sign in");
}

async function isLive(page: Page): Promise<void> {
  await page.locator("#panel-live").waitFor();
}

/** Looks at each page as a visitor and as a user, and at both kinds of message. */
async function lookAround(page: Page, site: Site): Promise<void> {
  const visit = async (...paths: string[]) => {
    for (const path of paths) {
      await page.goto(site.url + path);
      await isLive(page);
      await check(page);
    }
  };
  await visit("/", "/cart", "/goodbye", "/theft");
  await press(page, "Let Mallory copy my cookie");
  await check(page);
  await page.goto(`${site.url}/sign-in`);
  await fillIn(page, "wrong");
  await check(page);
  await fillIn(page, "engine");
  await add(page, "Long scarf");
  await check(page);
  await visit("/cart", "/devices", "/invite", "/checkout");
  site.clock.advance(60);
  await visit("/checkout");
  await page.getByLabel("Password").fill("engine");
  await press(page, "Go on to pay");
  await press(page, "Pay € 42");
  await check(page);
}

/** What axe finds, and whether anything stands out of the page. */
async function check(page: Page): Promise<void> {
  await page.evaluate(axe.source);
  const found = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: Axe };
    const { violations } = await axe.run({
      resultTypes: ["violations"],
    });
    return violations.map(({ id, nodes }) =>
      `${id}: ${nodes.map(({ html }) => html).join(" ")}`
    );
  });
  const width = await page.evaluate<number>(
    "document.documentElement.scrollWidth - innerWidth",
  );
  assertEquals({ at: page.url(), found, tooWide: Math.max(0, width) }, {
    at: page.url(),
    found: [],
    tooWide: 0,
  });
}

/** What these tests use of axe-core in the page. */
interface Axe {
  run(options: { readonly resultTypes: readonly string[] }): Promise<{
    readonly violations: readonly {
      readonly id: string;
      readonly nodes: readonly { readonly html: string }[];
    }[];
  }>;
}
