import { assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import type { ManagerOptions } from "../mod.ts";
import { requestWith, Site, told } from "./_browser.ts";
import { DeviceBrowser } from "./_device.ts";

/** `interval + renewGrace`, as they are by default, in milliseconds. */
const L = 630_000;

function siteWith(options: ManagerOptions = {}): Site {
  return new Site({ deviceBound: {}, ...options });
}

/** A browser whose session is bound, and was seen with its cookie. */
async function bound(site: Site = siteWith()): Promise<DeviceBrowser> {
  const browser = await new DeviceBrowser(site).signIn();
  await browser.visit();
  site.events.length = 0;
  return browser;
}

/** Who is signed in for whoever shows these cookies, wherever they have them from. */
async function principalWith(
  site: Site,
  cookie: string | undefined,
): Promise<string | undefined> {
  let principal: string | undefined;
  await site.manager.run(requestWith(cookie), (session) => {
    principal = session.principal;
    return new Response();
  });
  return principal;
}

describe("a copy of both cookies", () => {
  it("opens the session until interval and renewGrace after the proof, and not at that instant (DBSC 7)", async () => {
    const site = siteWith();
    const ada = await bound(site);
    const copy = ada.cookie;
    const provedAt = site.now;
    site.now = provedAt + L - 1;
    assertEquals(await principalWith(site, copy), "ada");
    site.now = provedAt + L;
    assertEquals(await principalWith(site, copy), undefined);
    assertEquals(told(site), ["unproven"]);
    assertEquals(await ada.principal(), "ada");
  });
});
