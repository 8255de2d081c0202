/**
 * Takes the pictures of the shop that stand in the README, in Chromium:
 * `deno run -A tests/screenshots.ts`.
 *
 * @module
 */
import { makeShop } from "../examples/shop/shop.ts";
import { Clock } from "../testing.ts";
import { type Page, startChromium } from "./_chromium.ts";
import { serve } from "./_server.ts";

const FOLDER = new URL("../docs/images/", import.meta.url);

const WIDE = { width: 1280, height: 860 };
const NARROW = { width: 390, height: 844 };

const browser = await startChromium();
for (const colorScheme of ["light", "dark"] as const) {
  for (const viewport of [WIDE, NARROW]) {
    const clock = new Clock(Date.UTC(2030, 0, 1, 9, 30));
    const { fetch } = makeShop({ now: clock.now });
    const server = serve(fetch);
    const url = server.url.replace("127.0.0.1", "localhost");
    const context = await browser.newContext({
      colorScheme,
      viewport,
      reducedMotion: "reduce",
    });
    const page = await context.newPage();
    await page.goto(url);
    if (viewport === WIDE) {
      await fillCart(page, clock);
      await take(page, `shop-${colorScheme}`);
    } else {
      await playTheft(page, clock, url);
      await take(page, `theft-${colorScheme}`);
    }
    await context.close();
    await server.close();
  }
}
await browser.close();

async function fillCart(page: Page, clock: Clock): Promise<void> {
  const goods = ["Wool coat", "Umbrella", "Long scarf", "Rain boots"];
  for (const [at, name] of goods.entries()) {
    clock.advance(11 + 5 * at);
    await page.getByRole("button", { name: `Add ${name}` }).click();
  }
  // So that the last of them gets a new cookie, and the one before is in grace.
  clock.advance(2);
  await page.getByText("The one before works 3 seconds more").waitFor();
}

async function playTheft(
  page: Page,
  clock: Clock,
  url: string,
): Promise<void> {
  await page.goto(`${url}/sign-in`);
  await page.getByLabel("Name").fill("ada");
  await page.getByLabel("Password").fill("engine");
  await page.getByRole("button", { name: "Sign in" }).click();
  clock.advance(10);
  await page.goto(`${url}/theft`);
  await page.getByRole("button", { name: "Let Mallory" }).click();
}

async function take(page: Page, name: string): Promise<void> {
  await page.locator("#panel-log li").first().waitFor();
  await page.screenshot({ path: new URL(`${name}.png`, FOLDER).pathname });
}
