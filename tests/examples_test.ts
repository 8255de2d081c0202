import process from "node:process";
import { describe, it } from "node:test";
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertNotMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import counter from "../examples/counter.ts";
import hono from "../examples/hono.ts";
import signin from "../examples/signin.ts";
import theft from "../examples/theft.ts";
import { Jar, type JarCookie, type RequestHandler } from "../testing.ts";

const ORIGIN = "http://localhost:8000";
const CHROMIUM =
  "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";
const EDGE =
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0";
const SAFARI =
  "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/604.1";

/** A browser as far as these programs can tell: cookies, forms, redirects. */
class Browser {
  readonly #jar: Jar;
  /** The page that was opened last. */
  page = "";

  constructor(fetch: RequestHandler, userAgent = CHROMIUM) {
    const headers = { "user-agent": userAgent };
    this.#jar = new Jar(fetch, { baseUrl: ORIGIN, headers });
  }

  /** The header `Cookie` of its requests. */
  get cookie(): string | undefined {
    return this.#jar.header();
  }

  /** Takes a copy of the cookies that another browser has, or had. */
  take(cookies: Iterable<JarCookie>): void {
    this.#jar.add(cookies);
  }

  cookies(): JarCookie[] {
    return this.#jar.cookies();
  }

  send(path: string, init: RequestInit = {}): Promise<Response> {
    return this.#jar.fetch(path, init);
  }

  async open(path = "/"): Promise<string> {
    const response = await this.send(path);
    assertEquals(response.status, 200);
    this.page = await response.text();
    return this.page;
  }

  /** Sends a form of the page that is open, with whatever the page hid in it. */
  post(
    path: string,
    fields: Record<string, string> = {},
    headers: Record<string, string> = {},
  ): Promise<Response> {
    const body = new URLSearchParams({
      ...hiddenFieldsOn(this.page),
      ...fields,
    });
    return this.send(path, { method: "POST", headers, body });
  }

  /** Sends a form of the home page and opens the page that it leads to. */
  async submit(
    path: string,
    fields: Record<string, string> = {},
  ): Promise<string> {
    await this.open();
    const response = await this.post(path, fields);
    assertEquals(response.status, 303);
    return await this.open(response.headers.get("location") ?? "nowhere");
  }
}

/** Signs a browser in as Ada, and every other device of hers out. */
async function signedIn(userAgent = CHROMIUM): Promise<Browser> {
  const browser = await another(userAgent);
  await browser.submit("/sign-out-others");
  return browser;
}

/** Signs in as Ada on one more device. */
async function another(userAgent: string): Promise<Browser> {
  const browser = new Browser(signin.fetch, userAgent);
  await browser.submit("/sign-in", { name: "ada", password: "engine" });
  return browser;
}

function hiddenFieldsOn(page: string): Record<string, string> {
  const fields = page.matchAll(
    /<input type="hidden" name="([\w-]+)" value="([\w-]+)">/g,
  );
  return Object.fromEntries(
    Array.from(fields, ([, name, value]) => [name, value]),
  );
}

function devicesOn(page: string): string[] {
  return Array.from(
    page.matchAll(/<li>\s*<p><b>([^<]*)/g),
    (match) => match[1] ?? "",
  );
}

function idsOn(page: string): string[] {
  return Array.from(page.matchAll(/value="([\w-]{24})"/g), (m) => m[1] ?? "");
}

describe("counter example", () => {
  it("counts the visits of each browser on its own", async () => {
    const first = new Browser(counter.fetch);
    const second = new Browser(counter.fetch);
    assertEquals(await first.open(), "Visit 1\n");
    assertEquals(await first.open(), "Visit 2\n");
    assertEquals(await second.open(), "Visit 1\n");
  });

  it("the icon that browsers ask for is no visit", async () => {
    const browser = new Browser(counter.fetch);
    await browser.open();
    assertEquals((await browser.send("/favicon.ico")).status, 404);
    assertEquals(await browser.open(), "Visit 2\n");
  });

  it("counts visits that arrive together one by one", async () => {
    const browser = new Browser(counter.fetch);
    await browser.open();
    const pages = await Promise.all([browser.open(), browser.open()]);
    assertEquals(pages.sort(), ["Visit 2\n", "Visit 3\n"]);
  });
});

/** Sends to the example with Hono, whose answers are texts. */
async function sendToHono(
  browser: Browser,
  path: string,
  body?: BodyInit,
): Promise<[status: number, text: string]> {
  const init = body === undefined ? {} : { method: "POST", body };
  const response = await browser.send(path, init);
  return [response.status, await response.text()];
}

const ADA = new URLSearchParams({ name: "ada", password: "engine" });

describe("example with Hono", () => {
  it("keeps the notes of who signed in, and nobody else's", async () => {
    const browser = new Browser(hono.fetch);
    const welcome = await sendToHono(browser, "/sign-in", ADA);
    assertEquals(welcome, [200, "Welcome, ada\n"]);
    assertEquals(await sendToHono(browser, "/notes"), [200, "[]"]);
    await sendToHono(browser, "/notes", "milk");
    const added = await sendToHono(browser, "/notes", "bread");
    assertEquals(added, [201, '["milk","bread"]']);
    const other = new Browser(hono.fetch);
    await sendToHono(other, "/sign-in", ADA);
    assertEquals(await sendToHono(other, "/notes"), [200, "[]"]);
    assertEquals(
      await sendToHono(browser, "/notes"),
      [200, '["milk","bread"]'],
    );
  });

  it("a visitor and a wrong password get neither notes nor cookie", async () => {
    const browser = new Browser(hono.fetch);
    assertEquals((await sendToHono(browser, "/notes"))[0], 401);
    assertEquals((await sendToHono(browser, "/notes", "milk"))[0], 401);
    const wrong = new URLSearchParams({ name: "ada", password: "wrong" });
    assertEquals((await sendToHono(browser, "/sign-in", wrong))[0], 401);
    assertEquals(browser.cookie, undefined);
  });

  it("a cookie from before the sign-out opens nothing after it", async () => {
    const browser = new Browser(hono.fetch);
    await sendToHono(browser, "/sign-in", ADA);
    const cookies = browser.cookies();
    assertEquals((await sendToHono(browser, "/sign-out", ""))[0], 200);
    assertEquals(browser.cookie, undefined);
    browser.take(cookies);
    assertEquals((await sendToHono(browser, "/notes"))[0], 401);
  });

  it("other sites' forms are refused before Hono sees them", async () => {
    const browser = new Browser(hono.fetch);
    const headers = { "sec-fetch-site": "cross-site" };
    const { status } = await browser.post("/sign-out", {}, headers);
    assertEquals(status, 403);
  });

  it("more than fits into a note is refused by Hono", async () => {
    const browser = new Browser(hono.fetch);
    await sendToHono(browser, "/sign-in", ADA);
    const long = "a".repeat(1001);
    assertEquals((await sendToHono(browser, "/notes", long))[0], 413);
    assertEquals(await sendToHono(browser, "/notes"), [200, "[]"]);
  });

  it("a route that fails is no answer of Hono's", async () => {
    const browser = new Browser(hono.fetch);
    const headers = { "content-type": "multipart/form-data" };
    const init = { method: "POST", headers, body: "no such form" };
    await assertRejects(() => browser.send("/sign-in", init), TypeError);
  });
});

describe("sign-in example, signing in", () => {
  it("a visitor gets the form and the cookie that it needs", async () => {
    const browser = new Browser(signin.fetch);
    assertStringIncludes(await browser.open(), "<h1>Sign in</h1>");
    assertMatch(browser.cookie ?? "", /^__Host-id=[\w-]{60}$/);
  });

  it("a form from before somebody else signed in is told to be old", async () => {
    const browser = new Browser(signin.fetch);
    const old = await browser.open();
    await browser.submit("/sign-in", { name: "grace", password: "compiler" });
    browser.page = old;
    await browser.post("/sign-in", { name: "ada", password: "engine" });
    const page = await browser.open();
    assertStringIncludes(page, "The page was out of date. Please try again.");
    assertStringIncludes(page, "<h1>Hello, grace</h1>");
  });

  it("a wrong password is told once and signs nobody in", async () => {
    const browser = new Browser(signin.fetch);
    const fields = { name: "ada", password: "wrong" };
    const page = await browser.submit("/sign-in", fields);
    assertStringIncludes(page, "Wrong name or password.");
    assertStringIncludes(page, "<h1>Sign in</h1>");
    assertNotMatch(await browser.open(), /Wrong name or password/);
  });

  it("an unknown name and a form of nothing are wrong passwords", async () => {
    const browser = new Browser(signin.fetch);
    for (const fields of [{ name: "__proto__", password: "" }, {}]) {
      const page = await browser.submit("/sign-in", fields);
      assertStringIncludes(page, "Wrong name or password.");
    }
  });

  it("the right password signs in and is told once", async () => {
    const browser = new Browser(signin.fetch);
    const fields = { name: "grace", password: "compiler" };
    const page = await browser.submit("/sign-in", fields);
    assertStringIncludes(page, "You are signed in.");
    assertStringIncludes(page, "<h1>Hello, grace</h1>");
    const reloaded = await browser.open();
    assertNotMatch(reloaded, /You are signed in/);
    assertStringIncludes(reloaded, "<h1>Hello, grace</h1>");
  });

  it("a cookie from before the sign-in opens nothing after it", async () => {
    const browser = new Browser(signin.fetch);
    await browser.submit("/sign-in", { name: "ada", password: "wrong" });
    const thief = new Browser(signin.fetch);
    thief.take(browser.cookies());
    const copied = thief.cookie;
    await browser.submit("/sign-in", { name: "ada", password: "engine" });
    assertNotEquals(browser.cookie, copied);
    assertNotMatch(await thief.open(), /Hello/);
    assertMatch(await browser.open(), /Hello/);
  });

  it("the cookie lasts until the browser closes", async () => {
    const browser = new Browser(signin.fetch);
    await browser.open();
    const fields = { name: "ada", password: "engine" };
    const { headers } = await browser.post("/sign-in", fields);
    assertMatch(headers.get("set-cookie") ?? "", /^__Host-id=/);
    assertNotMatch(headers.get("set-cookie") ?? "", /Max-Age/);
  });

  it("remember me makes the cookie last for thirty days", async () => {
    const browser = new Browser(signin.fetch);
    await browser.open();
    const fields = { name: "ada", password: "engine", remember: "on" };
    const response = await browser.post("/sign-in", fields);
    const setCookie = response.headers.get("set-cookie") ?? "";
    const maxAge = Number(/Max-Age=(\d+)/.exec(setCookie)?.[1]);
    assert(maxAge > 30 * 24 * 3600 - 60 && maxAge <= 30 * 24 * 3600);
  });
});

describe("sign-in example, devices", () => {
  it("a device is called by its browser and system", async () => {
    await signedIn(CHROMIUM);
    await another(EDGE);
    await another(SAFARI);
    const browser = await another("<script>");
    assertEquals(devicesOn(await browser.open()).sort(), [
      "A browser on an unknown system",
      "Chromium on Linux",
      "Edge on Windows",
      "Safari on iPhone",
    ]);
  });

  it("the list marks this device and offers to sign out the other", async () => {
    const browser = await signedIn(CHROMIUM);
    await another(SAFARI);
    const page = await browser.open();
    assertEquals(devicesOn(page).length, 2);
    assertEquals(idsOn(page).length, 1);
    const own = page.split("<li>").find((item) => item.includes("This device"));
    assertStringIncludes(own ?? "", "Chromium on Linux");
  });

  it("the page tells when the user signed in, here and elsewhere", async () => {
    const before = Date.now();
    const browser = await signedIn();
    await another(SAFARI);
    const instants = Array.from(
      (await browser.open()).matchAll(
        /igned in (?:on )?<time datetime="(.*?)"/g,
      ),
      ([, text = ""]) => Date.parse(text),
    );
    assertEquals(instants.length, 3);
    for (const at of instants) assert(at >= before && at <= Date.now());
  });

  it("another device signed out is signed out, and this one is not", async () => {
    const browser = await signedIn();
    const other = await another(SAFARI);
    const [id = ""] = idsOn(await browser.open());
    const page = await browser.submit("/sign-out-device", { id });
    assertStringIncludes(page, "Device signed out.");
    assertEquals(devicesOn(page), ["Chromium on Linux"]);
    assertNotMatch(await other.open(), /Hello/);
  });

  it("nobody signs out a device of another user", async () => {
    const browser = await signedIn();
    await another(SAFARI);
    const [id = ""] = idsOn(await browser.open());
    const grace = new Browser(signin.fetch);
    await grace.submit("/sign-in", { name: "grace", password: "compiler" });
    const page = await grace.submit("/sign-out-device", { id });
    assertStringIncludes(page, "No such device.");
    assertEquals(devicesOn(await browser.open()).length, 2);
  });

  it("a visitor who is not signed in signs out nobody", async () => {
    const browser = await signedIn();
    await another(SAFARI);
    const [id = ""] = idsOn(await browser.open());
    const visitor = new Browser(signin.fetch);
    await visitor.submit("/sign-out-device", { id });
    await visitor.submit("/sign-out-others");
    assertEquals(devicesOn(await browser.open()).length, 2);
  });

  it("signing out all others leaves this device alone", async () => {
    const browser = await signedIn();
    const others = [await another(SAFARI), await another(EDGE)];
    const page = await browser.submit("/sign-out-others");
    assertStringIncludes(page, "All other devices signed out.");
    assertEquals(devicesOn(page), ["Chromium on Linux"]);
    for (const other of others) assertNotMatch(await other.open(), /Hello/);
  });

  it("a device that was signed out can sign in again", async () => {
    const browser = await signedIn();
    const other = await another(SAFARI);
    await browser.submit("/sign-out-others");
    const fields = { name: "ada", password: "engine" };
    assertMatch(await other.submit("/sign-in", fields), /Hello, ada/);
  });
});

describe("sign-in example, signing out", () => {
  it("removes the cookie and shows the form", async () => {
    const browser = await signedIn();
    await browser.open();
    await browser.post("/sign-out");
    assertEquals(browser.cookie, undefined);
    assertStringIncludes(await browser.open(), "<h1>Sign in</h1>");
  });

  it("the cookie of before opens nothing", async () => {
    const browser = await signedIn();
    const cookies = browser.cookies();
    await browser.submit("/sign-out");
    browser.take(cookies);
    assertNotMatch(await browser.open(), /Hello/);
  });

  it("the account page is stored by no cache", async () => {
    const response = await (await signedIn()).send("/");
    assertEquals(response.headers.get("cache-control"), "no-store");
  });
});

describe("sign-in example, with SESSION_DEVICE_BOUND", () => {
  it("offers the browser to register a key at sign-in, and else does not", async () => {
    const offers: boolean[] = [];
    for (const isOn of ["1", ""]) {
      process.env.SESSION_DEVICE_BOUND = isOn;
      // Another address is another module.
      const { default: program } = await import(
        `../examples/signin.ts?bound=${isOn}`
      );
      const browser = new Browser(program.fetch);
      await browser.open();
      const fields = { name: "ada", password: "engine" };
      const answer = await browser.post("/sign-in", fields);
      offers.push(answer.headers.has("secure-session-registration"));
    }
    delete process.env.SESSION_DEVICE_BOUND;
    assertEquals(offers, [true, false]);
  });
});

describe("sign-in example, other requests", () => {
  it("an unknown address is not found", async () => {
    const response = await new Browser(signin.fetch).send("/constructor");
    assertEquals(response.status, 404);
  });

  it("the head of the page can be asked for", async () => {
    const response = await new Browser(signin.fetch)
      .send("/", { method: "HEAD" });
    assertEquals(response.status, 200);
  });

  it("a method that an address has not is refused and the others named", async () => {
    const browser = new Browser(signin.fetch);
    const onForm = await browser.send("/sign-out");
    assertEquals(onForm.status, 405);
    assertEquals(onForm.headers.get("allow"), "POST");
    const onPage = await browser.post("/");
    assertEquals(onPage.status, 405);
    assertEquals(onPage.headers.get("allow"), "GET, HEAD");
  });

  it("a form of another site signs nobody in or out", async () => {
    const browser = await signedIn();
    for (const site of ["cross-site", "same-site"]) {
      const headers = { "sec-fetch-site": site };
      const response = await browser.post("/sign-out", {}, headers);
      assertEquals(response.status, 403);
    }
    assertMatch(await browser.open(), /Hello/);
  });

  it("a form of the program's own is accepted", async () => {
    const browser = await signedIn();
    const headers = { "sec-fetch-site": "same-origin" };
    await browser.post("/sign-out", {}, headers);
    assertNotMatch(await browser.open(), /Hello/);
  });

  it("every form that is sent without its token does nothing", async () => {
    const browser = await signedIn();
    await another(SAFARI);
    const [id = ""] = idsOn(await browser.open());
    for (const path of ["/sign-out", "/sign-out-others", "/sign-out-device"]) {
      browser.page = "";
      await browser.post(path, { id });
      const page = await browser.open();
      assertStringIncludes(page, "The page was out of date");
      assertEquals(devicesOn(page).length, 2);
    }
  });
});

/** One row of a story, as plain text. */
interface Row {
  readonly at: string;
  readonly owner: string;
  readonly thief: string;
  readonly server: string;
}

async function readTheft(): Promise<string> {
  const response = await theft.fetch(new Request(ORIGIN));
  assertEquals(response.status, 200);
  return await response.text();
}

/** The rows of the first act, of which there are two stories. */
async function readStories(): Promise<Row[][]> {
  return (await readAllStories()).slice(0, 2);
}

async function readAllStories(): Promise<Row[][]> {
  const stories = (await readTheft()).split("<tbody>").slice(1);
  return stories.map((story) =>
    story.split("</table>")[0]?.split("<tr").slice(1).map(readRow) ?? []
  );
}

function readRow(html: string): Row {
  const [at = "", owner = "", thief = "", server = ""] = html
    .split(/<t[dh]/).slice(1)
    .map((cell) => cell.replace(/^[^>]*>/, "").replace(/<[^>]+>/g, " "))
    .map((cell) => cell.replace(/\s+/g, " ").trim());
  return { at, owner, thief, server };
}

/** The row in which the copy is found out, and those before and after it. */
function around(rows: readonly Row[]) {
  const at = rows.findIndex(({ server }) => server.includes("reused"));
  assert(at !== -1);
  return { before: rows.slice(0, at), after: rows.slice(at + 1) };
}

describe("theft example, with a bound session", () => {
  it("shows the thief out at 630 seconds, and the owner in until the end", async () => {
    const [, , rows = [], ...others] = await readAllStories();
    assertEquals(others, []);
    const seen = rows.flatMap(({ at, owner, thief }) => {
      const [, said] = /sees (\S+)/.exec(owner + thief) ?? [];
      return said === undefined
        ? []
        : [`${at} ${owner.includes("sees") ? "Ada" : "Mallory"} ${said}`];
    });
    assertEquals(seen, [
      "0:00 Ada Welcome,",
      "0:05 Ada Welcome,",
      "1:30 Mallory Welcome,",
      "10:05 Ada Welcome,",
      "10:29 Mallory Welcome,",
      "10:30 Mallory Please",
      "20:05 Ada Welcome,",
    ]);
    const events = rows.map(({ server }) => server);
    assertEquals(events.filter((event) => event !== "–"), [
      "created signed-in",
      "bound",
      "proved",
      "refused unproven",
      "proved",
    ]);
  });
});

describe("theft example", () => {
  it("the copy works like the cookie until it is found out", async () => {
    for (const rows of await readStories()) {
      const { before } = around(rows);
      assert(before.some(({ thief }) => thief.includes("sees Welcome, Ada")));
      for (const { owner, thief } of before) {
        assertNotMatch(owner + thief, /Please sign in|dead/);
      }
    }
  });

  it("in one story the owner gets the new cookie, in the other the thief", async () => {
    const [ownerFirst, thiefFirst] = (await readStories()).map((rows) =>
      rows.filter(({ server }) => server === "renewed")
    );
    assertEquals(ownerFirst?.length, 1);
    assertStringIncludes(ownerFirst?.[0]?.owner ?? "", "gets cookie 2");
    assertEquals(thiefFirst?.length, 1);
    assertStringIncludes(thiefFirst?.[0]?.thief ?? "", "gets cookie 2");
  });

  it("the copy is found out once, by a cookie that was replaced", async () => {
    const [ownerFirst, thiefFirst] = (await readStories()).map((rows) =>
      rows.filter(({ server }) => server.includes("reused"))
    );
    assertEquals([ownerFirst?.length, thiefFirst?.length], [1, 1]);
    const replaced = /sends cookie 1 \S+ replaced sees Please sign in/;
    assertMatch(ownerFirst?.[0]?.thief ?? "", replaced);
    assertMatch(thiefFirst?.[0]?.owner ?? "", replaced);
  });

  it("then both are out, and each learns so", async () => {
    for (const rows of await readStories()) {
      const [next] = around(rows).after;
      assertMatch(next?.owner ?? "", /dead/);
      assertMatch(next?.thief ?? "", /dead/);
      assertStringIncludes(
        `${next?.owner} ${next?.thief}`,
        "sees Please sign in",
      );
      assertEquals(next?.server, "refused unknown");
    }
  });

  it("the owner signs in again and the thief is left with nothing", async () => {
    for (const rows of await readStories()) {
      const [again, thiefTries, last] = rows.slice(-3);
      assertMatch(again?.owner ?? "", /sees Welcome, Ada gets cookie 3/);
      assertMatch(thiefTries?.thief ?? "", /dead sees Please sign in$/);
      assertMatch(last?.owner ?? "", /sends cookie 3 .* sees Welcome, Ada$/);
      assertMatch(last?.thief ?? "", /^cookie \d \S+ dead$/);
    }
  });

  it("the time between the two is told", async () => {
    const told = Array.from(
      (await readTheft()).matchAll(/From copy to discovery: ([\d:]+)\./g),
      ([, time]) => time,
    );
    assertEquals(told, ["14:51", "14:51"]);
  });

  it("no page shows as much of a cookie as could be used", async () => {
    const text = (await readTheft()).replace(/<style>[^]*<\/style>/, "");
    assertEquals(text.match(/[\w-]{20,}/g), null);
    assertMatch(text, /<code>[\w-]{4}…[\w-]{4}<\/code>/);
  });

  it("each visit plays with cookies of its own", async () => {
    const [first, second] = [await readTheft(), await readTheft()]
      .map((page) => /cookie 1\s+<code>(.*?)</.exec(page)?.[1]);
    assertNotEquals(first, second);
  });

  it("hands out no cookie and stays in no cache", async () => {
    const { headers } = await theft.fetch(new Request(ORIGIN));
    assertEquals(headers.getSetCookie(), []);
    assertEquals(headers.get("cache-control"), "no-store");
  });

  it("other addresses are not found", async () => {
    const response = await theft.fetch(new Request(`${ORIGIN}/favicon.ico`));
    assertEquals(response.status, 404);
  });
});
