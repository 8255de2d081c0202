/** Tests the shop of the examples, without a browser. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertNotMatch,
  assertStringIncludes,
} from "@std/assert";
import { describe, it } from "node:test";
import { forecast } from "../examples/shop/forecast.ts";
import { html } from "../examples/shop/html.ts";
import { makeShop } from "../examples/shop/shop.ts";
import { Watch } from "../examples/shop/watch.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { Clock, Jar } from "../testing.ts";

const ORIGIN = "http://localhost:8000";

const FIREFOX =
  "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/** A shop with a clock of its own, and browsers that visit it. */
function openShop() {
  const clock = new Clock();
  const wait = (seconds: number) => Promise.resolve(clock.advance(seconds));
  const provider = new MemoryProvider();
  const shop = makeShop({ now: clock.now, provider, wait });
  return { ...shop, clock, provider };
}

type OpenShop = ReturnType<typeof openShop>;

/** One browser. A form is sent from the page that is open. */
class Visitor {
  readonly jar: Jar;
  page = "";

  constructor({ fetch, clock }: OpenShop, headers: HeadersInit = {}) {
    this.jar = new Jar(fetch, {
      baseUrl: ORIGIN,
      now: clock.now,
      redirect: "follow",
      headers,
    });
  }

  /** Takes over the cookies of another browser, as a thief does. */
  copy(other: Visitor): this {
    this.jar.add(other.jar.cookies());
    return this;
  }

  async open(path = "/"): Promise<string> {
    const response = await this.jar.fetch(path);
    assertEquals(response.status, 200, path);
    return this.page = await response.text();
  }

  async send(path: string, fields: Record<string, string> = {}) {
    const token = /name="form-token"\s+value="([\w-]+)"/.exec(this.page)?.[1];
    const body = new URLSearchParams({ "form-token": token ?? "", ...fields });
    const response = await this.jar.fetch(path, { method: "POST", body });
    assertEquals(response.status, 200, path);
    return this.page = await response.text();
  }

  async add(good = "wool-coat"): Promise<string> {
    return await this.send("/cart/add", { good });
  }

  async signIn(fields: Record<string, string> = {}): Promise<string> {
    await this.open("/sign-in");
    return await this.send("/sign-in", {
      name: "ada",
      password: "engine",
      ...fields,
    });
  }

  /** The events of the panel. */
  async events(): Promise<PanelEvents> {
    const { body } = await this.jar.fetch("/events");
    assert(body !== null);
    return new PanelEvents(body.getReader());
  }
}

/** Reads an open stream of events. */
class PanelEvents {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #rest = "";
  text = "";

  constructor(reader: ReadableStreamDefaultReader<Uint8Array>) {
    this.#reader = reader;
  }

  /** The data of the next event of that name; `undefined` at the end. */
  // deno-lint-ignore no-explicit-any -- what JSON holds
  async next(name: string): Promise<any> {
    for (;;) {
      const end = this.#rest.indexOf("\n\n");
      if (end !== -1) {
        const block = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 2);
        const [, type, data] = /^event: (\w+)\ndata: (.*)$/.exec(block) ?? [];
        if (type === name) return JSON.parse(data ?? "");
        continue;
      }
      const { value } = await this.#reader.read();
      if (value === undefined) return undefined;
      const text = this.#decoder.decode(value);
      this.#rest += text;
      this.text += text;
    }
  }

  async close(): Promise<void> {
    await this.#reader.cancel();
  }
}

/** How many there are of each thing in the cart. */
function amountsOn(page: string): number[] {
  return Array.from(
    page.matchAll(/class="amount">(\d+)</g),
    ([, count]) => Number(count),
  );
}

/** The message of a page, and its kind. */
function noticeOn(page: string): string {
  const [, tone, text = ""] =
    /<p\s+class="notice (\w+)"\s+role="\w+"\s*>([^]*?)<\/p>/.exec(page) ?? [];
  return tone === undefined
    ? ""
    : `${tone}: ${text.replace(/<[^>]+>/g, "").replace(/\s+/g, " ").trim()}`;
}

/** What the devices are called, in order. */
function devicesOn(page: string): string[] {
  return Array.from(
    page.matchAll(/<li\s+class="line[^]*?<b>(.*?)<\/b>/g),
    ([, name = ""]) => name,
  );
}

describe("the shop's cart", () => {
  it("keeps what a visitor adds, and says so once", async () => {
    const visitor = new Visitor(openShop());
    await visitor.open();
    const page = await visitor.add();
    assertEquals(noticeOn(page), "success: Done In your cart: Wool coat.");
    assertEquals(noticeOn(await visitor.open()), "");
    assertEquals(amountsOn(await visitor.open("/cart")), [1]);
  });

  it("loses nothing when two tabs fill it at once", async () => {
    const visitor = new Visitor(openShop());
    await visitor.open();
    const goods = ["wool-coat", "umbrella", "wool-coat", "felt-hat"];
    await Promise.all(goods.map((good) => visitor.add(good)));
    assertEquals(amountsOn(await visitor.open("/cart")), [2, 1, 1]);
  });

  it("takes one away, and none that is not there", async () => {
    const visitor = new Visitor(openShop());
    await visitor.open();
    await visitor.add();
    const less = { good: "wool-coat", step: "less" };
    const page = await visitor.send("/cart/change", less);
    assertStringIncludes(page, "Nothing hangs here yet");
    await visitor.send("/cart/change", less);
    await visitor.open();
    await visitor.add();
    assertEquals(amountsOn(await visitor.open("/cart")), [1]);
  });

  it("has room for nine of a kind, and for nothing unknown", async () => {
    const visitor = new Visitor(openShop());
    await visitor.open();
    for (let count = 0; count < 11; count++) await visitor.add();
    await visitor.add("__proto__");
    assertEquals(amountsOn(await visitor.open("/cart")), [9]);
  });

  it("is kept by who signs in, and by nobody else", async () => {
    const shop = openShop();
    const visitor = new Visitor(shop);
    await visitor.open();
    await visitor.add();
    await visitor.signIn();
    assertEquals(amountsOn(await visitor.open("/cart")), [1]);
    const other = new Visitor(shop);
    await other.open("/cart");
    assertEquals(amountsOn(other.page), []);
  });
});

describe("the shop's sign-in", () => {
  it("greets, and shows the devices", async () => {
    const visitor = new Visitor(openShop());
    assertEquals(
      noticeOn(await visitor.signIn()),
      "success: Done Welcome, ada.",
    );
    assertStringIncludes(await visitor.open("/devices"), "Hello, ada");
  });

  it("tells a wrong password as an error, and keeps the name", async () => {
    const visitor = new Visitor(openShop());
    const page = await visitor.signIn({ password: "wrong", name: '"><b>' });
    assertEquals(noticeOn(page), "error: Sorry Wrong name or password.");
    assertStringIncludes(page, 'value="&#34;&#62;&#60;b&#62;"');
    assertNotMatch(await visitor.open("/devices"), /Hello/);
  });

  it("leads to the page that asked for it, and to no other site", async () => {
    const visitor = new Visitor(openShop());
    await visitor.open("/devices");
    assertStringIncludes(visitor.page, 'value="/devices"');
    const page = await visitor.signIn({ to: "https://evil.test/" });
    assertStringIncludes(page, "Six things for bad weather");
  });

  it("lasts for a month if it is to be remembered", async () => {
    const shop = openShop();
    const [forgotten, remembered] = [new Visitor(shop), new Visitor(shop)];
    await forgotten.signIn();
    await remembered.signIn({ remember: "on" });
    shop.clock.advance(29 * 24 * 3600);
    assertNotMatch(await forgotten.open("/devices"), /Hello/);
    assertStringIncludes(await remembered.open("/devices"), "Hello, ada");
  });

  it("ends with a goodbye, and the cookie of before opens nothing", async () => {
    const shop = openShop();
    const visitor = new Visitor(shop);
    await visitor.signIn();
    const thief = new Visitor(shop).copy(visitor);
    const page = await visitor.send("/sign-out");
    assertStringIncludes(page, "Goodbye");
    assertNotMatch(await thief.open("/devices"), /Hello/);
  });
});

describe("the shop's checkout", () => {
  it("asks a visitor to sign in, and comes back", async () => {
    const visitor = new Visitor(openShop());
    await visitor.open();
    await visitor.add();
    assertStringIncludes(await visitor.open("/checkout"), "Sign in to pay");
    const page = await visitor.signIn({ to: "/checkout" });
    assertMatch(page, /Pay\s+€ 148/);
  });

  it("asks for the password again a minute after it was given", async () => {
    const shop = openShop();
    const visitor = new Visitor(shop);
    await visitor.signIn();
    await visitor.add();
    assertMatch(await visitor.open("/checkout"), /Pay\s+€ 148/);
    shop.clock.advance(60);
    assertStringIncludes(await visitor.open("/checkout"), "Is it still you?");
    const wrong = await visitor.send("/confirm", { password: "wrong" });
    assertEquals(noticeOn(wrong), "error: Sorry Wrong password.");
    await visitor.send("/confirm", { password: "engine" });
    assertMatch(visitor.page, /Pay\s+€ 148/);
  });

  it("takes no payment from a form that was left open", async () => {
    const shop = openShop();
    const visitor = new Visitor(shop);
    await visitor.signIn();
    await visitor.add();
    await visitor.open("/checkout");
    shop.clock.advance(60);
    const page = await visitor.send("/pay");
    assertStringIncludes(page, "Is it still you?");
    assertEquals(amountsOn(await visitor.open("/cart")), [1]);
  });

  it("is paid once by two tabs that pay at once", async () => {
    const visitor = new Visitor(openShop());
    await visitor.signIn();
    await visitor.add();
    const pages = await Promise.all([
      visitor.send("/pay"),
      visitor.send("/pay"),
    ]);
    const paid = pages.filter((page) =>
      page.includes("Your coats are waiting")
    );
    assertEquals(paid.length, 1);
    assertStringIncludes(await visitor.open("/order"), "1 × Wool coat");
    assertStringIncludes(await visitor.open("/cart"), "Nothing hangs here");
  });
});

describe("the shop's devices", () => {
  it("stand with this one first, and when they were used", async () => {
    const shop = openShop();
    const [first, second] = [
      new Visitor(shop),
      new Visitor(shop, { "user-agent": FIREFOX }),
    ];
    await first.signIn();
    await second.signIn();
    shop.clock.advance(125);
    await first.open("/devices");
    const page = await second.open("/devices");
    assertEquals(devicesOn(page), [
      "Firefox on Linux",
      "A browser on an unknown system",
    ]);
    assertMatch(page, /In use now,\s+signed in\s+<time [^>]*>2 minutes ago/);
    assertMatch(page, /Last seen\s+<time [^>]*>just now/);
  });

  it("can be signed out one by one, and are told so", async () => {
    const shop = openShop();
    const [here, there] = [new Visitor(shop), new Visitor(shop)];
    await here.signIn();
    await there.signIn();
    await here.open("/devices");
    const id = /name="id"\s+value="([\w-]+)"/.exec(here.page)?.[1] ?? "";
    const page = await here.send("/devices/sign-out", { id });
    assertEquals(noticeOn(page), "success: Done The device is signed out.");
    const told = "error: Sorry You were signed out on another device.";
    assertEquals(noticeOn(await there.open()), told);
    assertEquals(noticeOn(await there.open()), "");
    const again = await here.send("/devices/sign-out", { id });
    assertEquals(noticeOn(again), "error: Sorry There is no such device.");
  });

  it("of another user cannot be signed out", async () => {
    const shop = openShop();
    const [ada, grace] = [new Visitor(shop), new Visitor(shop)];
    await ada.signIn();
    const [own] = await shop.manager.list("ada");
    await grace.signIn({ name: "grace", password: "compiler" });
    const page = await grace.send("/devices/sign-out", { id: own?.id ?? "" });
    assertEquals(noticeOn(page), "error: Sorry There is no such device.");
    assertStringIncludes(await ada.open("/devices"), "Hello, ada");
  });

  it("can all be signed out but this one", async () => {
    const shop = openShop();
    const visitors = [1, 2, 3].map(() => new Visitor(shop));
    for (const visitor of visitors) await visitor.signIn();
    const [here, ...others] = visitors;
    const page = await here?.send("/devices/sign-out-others") ?? "";
    assertEquals(devicesOn(page).length, 1);
    for (const other of others) {
      const told = noticeOn(await other.open("/cart"));
      assertEquals(told, "error: Sorry You were signed out on another device.");
    }
  });

  it("are five at most, and the oldest is told", async () => {
    const shop = openShop();
    const visitors = [1, 2, 3, 4, 5, 6].map(() => new Visitor(shop));
    for (const visitor of visitors) {
      await visitor.signIn();
      shop.clock.advance(1);
    }
    const told = noticeOn(await visitors[0]?.open() ?? "");
    assertMatch(told, /^error: Sorry You signed in on so many devices/);
    assertEquals((await shop.manager.list("ada")).length, 5);
  });

  it("are invited by an address that holds no secret", async () => {
    const visitor = new Visitor(openShop());
    await visitor.signIn();
    const page = await visitor.open("/invite");
    const [, address = ""] = /readonly\s+value="(.*?)"/.exec(page) ?? [];
    assertEquals(
      address.replaceAll("&#38;", "&"),
      `${ORIGIN}/sign-in?to=%2Fdevices&as=ada`,
    );
  });
});

describe("the shop, when a session has ended", () => {
  it("says once that it has expired", async () => {
    const shop = openShop();
    const visitor = new Visitor(shop);
    await visitor.open();
    await visitor.add();
    shop.clock.advance(600);
    const told = "error: Sorry Your session has expired. Please start again.";
    assertEquals(noticeOn(await visitor.open("/cart")), told);
    assertEquals(noticeOn(await visitor.open("/cart")), "");
  });

  it("says it to a form as well, and does nothing else", async () => {
    const shop = openShop();
    const visitor = new Visitor(shop);
    await visitor.open();
    shop.clock.advance(600);
    assertMatch(noticeOn(await visitor.add()), /has expired/);
    assertEquals(amountsOn(await visitor.open("/cart")), []);
  });

  it("says nothing to a visitor who never had one", async () => {
    assertEquals(noticeOn(await new Visitor(openShop()).open()), "");
  });
});

describe("the shop's theft", () => {
  /** A visitor whose cookie Mallory has copied and used. */
  async function robbed() {
    const shop = openShop();
    const visitor = new Visitor(shop);
    await visitor.signIn();
    shop.clock.advance(10);
    await visitor.open("/theft");
    await visitor.send("/theft");
    return { shop, visitor };
  }

  it("gives the thief the session, and the new cookie", async () => {
    const { visitor } = await robbed();
    assertMatch(visitor.page, /opens the shop with it, and is in as ada\./);
    assertStringIncludes(visitor.page, "is the first to get a new cookie");
    assertStringIncludes(visitor.page, "it works 5 seconds more");
  });

  it("stands in the panel, each request for itself", async () => {
    const shop = openShop();
    const visitor = new Visitor(shop);
    await visitor.open("/theft");
    shop.clock.advance(5);
    const events = await visitor.events();
    await visitor.send("/theft");
    const lines = [];
    do lines.push(await events.next("line")); while (
      lines.at(-1).request !== "POST /theft"
    );
    const acts = lines.filter(({ from }) => from === "Mallory").map(actsOf);
    assertEquals(acts, [
      ["found"],
      ["found", "renewed"],
      ["found", "confirmed"],
    ]);
    assertEquals(actsOf(lines.at(-1)), ["found"]);
    await events.close();
  });

  it("is found out by the owner's next request after the grace", async () => {
    const { shop, visitor } = await robbed();
    shop.clock.advance(4);
    assertStringIncludes(await visitor.open("/devices"), "Hello, ada");
    shop.clock.advance(1);
    const told = noticeOn(await visitor.open("/cart"));
    assertMatch(told, /^error: Sorry Somebody had a copy of your cookie/);
    const story = await visitor.open("/theft");
    assertStringIncludes(story, "Somebody has a copy: it ends the session.");
    assertStringIncludes(story, "tries again, and is out too.");
    assertEquals(await shop.manager.list("ada"), []);
  });

  it("waits while the cookie is too new to be replaced", async () => {
    const visitor = new Visitor(openShop());
    await visitor.open("/theft");
    await visitor.send("/theft");
    for (let look = 0; look < 20; look++) await visitor.open("/theft");
    assertStringIncludes(visitor.page, "is the first to get a new cookie");
    assertStringIncludes(visitor.page, "waits: your cookie is too new");
  });

  it("does not begin by another site's form", async () => {
    const { fetch } = openShop();
    const response = await fetch(
      new Request(`${ORIGIN}/theft`, {
        method: "POST",
        headers: { "sec-fetch-site": "cross-site" },
      }),
    );
    assertEquals(response.status, 403);
  });
});

describe("the shop's panel", () => {
  it("tells how old the secret is, and what comes next", async () => {
    const shop = openShop();
    const visitor = new Visitor(shop);
    await visitor.open();
    shop.clock.advance(8);
    const events = await visitor.events();
    const standing = await events.next("standing");
    assertEquals(standing.who, "A visitor");
    assertEquals(standing.secretAge, 8000);
    assertEquals(standing.endsIn, 592_000);
    assertEquals(standing.next[0].text, "only read. Nothing is written");
    assertEquals(standing.next[1].from, 2000);
    await events.close();
  });

  it("tells each request, and what the library did for it", async () => {
    const shop = openShop();
    const visitor = new Visitor(shop);
    await visitor.open();
    shop.clock.advance(5);
    const events = await visitor.events();
    const first = await events.next("line");
    assertEquals(first.request, "GET /");
    assertEquals(actsOf(first), ["created"]);
    shop.clock.advance(5);
    await visitor.open("/cart");
    assertEquals(actsOf(await events.next("line")), ["found", "touched"]);
    shop.clock.advance(50);
    await visitor.open("/cart");
    assertEquals(actsOf(await events.next("line")), ["found", "renewed"]);
    await visitor.open("/cart");
    assertEquals(actsOf(await events.next("line")), ["found", "confirmed"]);
    await events.close();
  });

  it("shows the other devices of its user, and nobody else's", async () => {
    const shop = openShop();
    const [ada, other, grace] = [1, 2, 3].map(() => new Visitor(shop)) as [
      Visitor,
      Visitor,
      Visitor,
    ];
    await ada.signIn();
    const events = await ada.events();
    await grace.signIn({ name: "grace", password: "compiler" });
    await other.signIn();
    let line = await events.next("line");
    while (line.from === "you") line = await events.next("line");
    assertEquals(line.from, "another device");
    assertEquals(actsOf(line).includes("signed-in"), true);
    assertNotMatch(events.text, /grace/);
    await events.close();
  });

  it("counts requests and sessions of the last minute", async () => {
    const shop = openShop();
    const visitor = new Visitor(shop);
    await visitor.open();
    await new Visitor(shop).open();
    const events = await visitor.events();
    const beats = await events.next("chart");
    assertEquals(beats.length, 30);
    assertEquals(beats.at(-1).sessions, 2);
    assertEquals(beats.at(-1).requests >= 2, true);
    await events.close();
  });

  it("ends with the session, and says why", async () => {
    const shop = openShop();
    const [here, there] = [new Visitor(shop), new Visitor(shop)];
    await here.signIn();
    await there.signIn();
    const events = await there.events();
    await here.send("/devices/sign-out-others");
    await here.open();
    const told = await events.next("ended");
    assertEquals(told, "You were signed out on another device.");
    assertEquals(await events.next("line"), undefined);
  });

  it("asks the browser to show its cookie after a renewal's time", async () => {
    const shop = openShop();
    const visitor = new Visitor(shop);
    await visitor.open();
    const events = await visitor.events();
    assertEquals((await events.next("line")).request, "GET /");
    shop.clock.advance(60);
    await visitor.open("/cart");
    assertEquals(await events.next("line"), undefined);
    const again = await visitor.events();
    assertNotEquals(await again.next("standing"), undefined);
    await again.close();
  });

  it("is not connected for a visitor without a session", async () => {
    const response = await new Visitor(openShop()).jar.fetch("/events");
    assertEquals(response.status, 204);
    assertEquals(response.headers.getSetCookie(), []);
  });

  it("keeps nobody signed in", async () => {
    const shop = openShop();
    const visitor = new Visitor(shop);
    await visitor.signIn();
    for (let minute = 0; minute < 10; minute++) {
      shop.clock.advance(60);
      await (await visitor.events()).close();
    }
    assertMatch(noticeOn(await visitor.open()), /has expired/);
  });

  it("shows no secret", async () => {
    const shop = openShop();
    const visitor = new Visitor(shop);
    await visitor.signIn();
    const events = await visitor.events();
    shop.clock.advance(60);
    const secrets = visitor.jar.cookies().map(({ value }) => value.slice(24));
    await visitor.open("/cart");
    await events.next("ended");
    assertEquals(events.text.match(/[\w-]{20,}/g), null);
    for (const secret of secrets) {
      assert(!events.text.includes(secret.slice(0, 8)));
    }
  });
});

function actsOf(line: { acts: { name: string }[] }): string[] {
  return line.acts.map(({ name }) => name);
}

describe("the shop's outlook", () => {
  const pace = { renewInterval: 60, renewGrace: 5, touchInterval: 10 };
  const facts = { renewedAt: 0, accessedAt: 0, idleTimeout: 600 };

  it("goes from reading to touching to renewing", () => {
    assertEquals(forecast(facts, 4000, pace), [
      { from: 0, text: "only read. Nothing is written" },
      { from: 6000, text: "move the deadline: 10 minutes from then" },
      {
        from: 56_000,
        text: "replace the secret: this browser gets a new cookie",
      },
    ]);
  });

  it("begins with confirming a cookie that was not shown yet", () => {
    const previous = {
      secretHash: "",
      family: "",
      until: "confirmed",
    } as const;
    const [first] = forecast({ ...facts, previous }, 20_000, pace);
    assertMatch(first?.text ?? "", /^confirm the new cookie/);
  });
});

describe("the shop's pages", () => {
  it("escape whatever is put into them", () => {
    const evil = `<script>"&'`;
    assertEquals(
      html`<p title="${evil}">${[evil, html`<b>`, undefined, false, 0]}`.text,
      `<p title="&#60;script&#62;&#34;&#38;&#39;">&#60;script&#62;&#34;&#38;&#39;<b>0`,
    );
  });

  it("forbid what they do not need, and stay in no cache", async () => {
    const { jar } = new Visitor(openShop());
    const { headers } = await jar.fetch("/");
    const policy = headers.get("content-security-policy") ?? "";
    assertMatch(policy, /^default-src 'none';/);
    assertNotMatch(policy, /unsafe|data:|\*/);
    assertEquals(headers.get("cache-control"), "no-store");
  });

  it("have a token in each form that is sent", async () => {
    const visitor = new Visitor(openShop());
    await visitor.open();
    await visitor.add();
    await visitor.signIn();
    for (const path of ["/", "/cart", "/checkout", "/devices", "/theft"]) {
      const forms = (await visitor.open(path)).split("<form").slice(1);
      assert(forms.length > 0);
      for (const form of forms) {
        assertMatch(form, /method="post"/);
        assertMatch(form, /name="form-token"\s+value="[\w-]{86}"/);
      }
    }
  });

  it("do nothing for a form without its token", async () => {
    const visitor = new Visitor(openShop());
    await visitor.open();
    visitor.page = "";
    const page = await visitor.add();
    assertMatch(noticeOn(page), /^error: Sorry The page was out of date/);
    assertEquals(amountsOn(await visitor.open("/cart")), []);
  });

  it("answer a wrong method and an unknown address", async () => {
    const { jar } = new Visitor(openShop());
    const wrong = await jar.fetch("/pay");
    assertEquals([wrong.status, wrong.headers.get("allow")], [405, "POST"]);
    const unknown = await jar.fetch("/constructor");
    assertEquals([unknown.status, unknown.headers.getSetCookie()], [404, []]);
  });

  it("have at most one strong action", async () => {
    const visitor = new Visitor(openShop());
    const paths = ["/", "/cart", "/sign-in", "/theft", "/invite", "/goodbye"];
    const count = async (path: string) =>
      (await visitor.open(path)).split(/class="(?:button )?strong"/).length - 1;
    for (const path of paths) assert(await count(path) <= 1, path);
    await visitor.signIn();
    await visitor.add();
    for (const path of [...paths, "/checkout", "/devices"]) {
      assert(await count(path) <= 1, path);
    }
  });
});

describe("the shop's watch", () => {
  it("forgets what is older than its list", async () => {
    const watch = new Watch(() => 0);
    for (let at = 0; at < 300; at++) {
      const request = new Request(`${ORIGIN}/${at}`);
      await watch.run(
        request,
        "browser",
        () => Promise.resolve(new Response()),
      );
    }
    assertEquals(watch.traces.length, 200);
    assertEquals(watch.traces.at(-1)?.path, "/299");
  });
});
