/** A site behind a real cache: nginx, with the rules that sites give it. */
import {
  assert,
  assertEquals,
  assertFalse,
  assertNotEquals,
} from "@std/assert";
import { after, before, describe, it } from "node:test";
import type { Session } from "../mod.ts";
import { Jar } from "../testing.ts";
import { Site } from "./_browser.ts";
import { missing, Nginx } from "./_nginx.ts";
import { type LocalServer, serve } from "./_server.ts";

if (missing !== undefined) {
  console.log(`Tests of a real cache are skipped: ${missing}`);
}
const describeWithCache = missing === undefined ? describe : describe.skip;

/** The last rule only shows to visitors what nginx obeys. */
const USUAL = `
  proxy_cache_valid any 1m;
  proxy_cache_revalidate on;
  proxy_pass_header X-Accel-Expires;
`;

/** By themselves, nginx keeps no answer that has a cookie on it. */
const CACHES = {
  "with the usual rules": USUAL,
  "that also keeps answers with cookies":
    `${USUAL} proxy_ignore_headers Set-Cookie;`,
};

/** For everybody, as a site makes it once. */
const HOME = new Response(null, { status: 303, headers: { location: "/" } });

/** What the pages about their visitor say to caches, by path. */
const OWN_PAGES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "/silent": {},
  "/dated": { "last-modified": "Sat, 01 Jan 2022 00:00:00 GMT" },
  "/tagged": { etag: '"own"' },
  "/accel": { "x-accel-expires": "60" },
  "/cdn": { "cdn-cache-control": "max-age=300" },
  "/varied": { vary: "accept-language" },
  "/own-public": { "cache-control": "public, max-age=60" },
};

/** What the page that is the same for everybody says. */
const NEWS = { "cache-control": "public, max-age=60", etag: '"news"' };

const EVERY_PATH = [...Object.keys(OWN_PAGES), "/news"];

/** Those that the cache asks the site about, and gets a 304. */
const OFTEN = ["/tagged", "/news"];

/** The simulated hours that an owner goes on for, below the absolute timeout. */
const HOURS = 11;

function answer(request: Request, session: Session): Response {
  const { pathname, searchParams } = new URL(request.url);
  if (pathname === "/sign-in") session.signIn(searchParams.get("name") ?? "");
  if (pathname === "/sign-out") session.destroy();
  if (request.method === "POST") return HOME;
  if (searchParams.has("remember")) session.set("isRemembered", true);
  if (pathname === "/news") return page(request, "News", NEWS);
  const text = `Hello ${session.principal ?? "stranger"}`;
  return page(request, text, OWN_PAGES[pathname] ?? {});
}

function page(
  request: Request,
  text: string,
  headers: Readonly<Record<string, string>>,
): Response {
  const tag = request.headers.get("if-none-match");
  return tag !== null && tag === headers["etag"]
    ? new Response(null, { status: 304, headers })
    : new Response(text, { headers });
}

/** What nginx obeys first: kept, and to be asked for again from then on. */
function staleAtOnce(response: Response): Response {
  const headers = new Headers(response.headers);
  if (headers.get("cache-control") !== "no-store") {
    headers.set("x-accel-expires", "@1");
  }
  const { status, body } = response;
  return new Response(body, { status, headers });
}

/** A site, and the cache through which alone its visitors reach it. */
class CachedSite {
  readonly site = new Site();
  readonly #origin: LocalServer;
  readonly #nginx: Nginx;

  private constructor(site: Site, origin: LocalServer, nginx: Nginx) {
    this.site = site;
    this.#origin = origin;
    this.#nginx = nginx;
  }

  static async open(
    rules: string,
    mark: (response: Response) => Response = (response) => response,
  ): Promise<CachedSite> {
    const site = new Site();
    const handler = site.manager.handle(answer);
    const origin = serve(async (request) => mark(await handler(request)));
    try {
      const nginx = await Nginx.start(origin.url, rules);
      return new CachedSite(site, origin, nginx);
    } catch (error) {
      await origin.close();
      throw error;
    }
  }

  visitor(): Visitor {
    return new Visitor(this.#nginx.url);
  }

  async user(name: string): Promise<Visitor> {
    const visitor = this.visitor();
    await visitor.fetch(`/sign-in?name=${name}`, "POST");
    return visitor;
  }

  async close(): Promise<void> {
    await this.#nginx.stop();
    await this.#origin.close();
  }
}

/** A browser that reaches the site through the cache. */
class Visitor {
  readonly jar: Jar;

  constructor(url: string) {
    this.jar = new Jar(url);
  }

  /** The header `Cookie` of its requests. */
  get cookie(): string | undefined {
    return this.jar.header();
  }

  async fetch(path: string, method = "GET") {
    const response = await this.jar.fetch(path, { method });
    const { status, headers } = response;
    const text = await response.text();
    const set = headers.getSetCookie();
    return { text, status, headers, set, cache: headers.get("x-cache") };
  }
}

let pages = 0;

/** The path of a page that the cache has not seen. */
function unseen(path: string, query = ""): string {
  return `${path}?${++pages}&${query}`;
}

function textFor(path: string, name: string): string {
  return path === "/news" ? "News" : `Hello ${name}`;
}

for (const [name, rules] of Object.entries(CACHES)) {
  describeWithCache(`a site behind a cache ${name}`, () => {
    let cached: CachedSite;
    before(async () => {
      cached = await CachedSite.open(rules);
    });
    after(() => cached?.close());

    it("keeps the news for everybody, and a user's page for that user", async () => {
      const path = unseen("/news");
      await cached.visitor().fetch(path);
      assertEquals((await cached.visitor().fetch(path)).cache, "HIT");
      const own = unseen("/silent");
      const ada = await cached.user("ada");
      await ada.fetch(own);
      assertEquals((await ada.fetch(own)).cache, "HIT");
    });

    for (const path of EVERY_PATH) {
      it(`shows a user's ${path} to nobody else, whoever comes first`, async () => {
        const visitors = {
          ada: await cached.user("ada"),
          stranger: cached.visitor(),
          eve: await cached.user("eve"),
        };
        const order = Object.entries(visitors);
        for (const entries of [order, order.toReversed()]) {
          const url = unseen(path);
          for (const [name, visitor] of [...entries, ...entries]) {
            const { text, set } = await visitor.fetch(url);
            assertEquals(text, textFor(path, name));
            assertEquals(set, []);
          }
        }
      });

      it(`gives a cookie that is due on ${path} to its owner alone`, async () => {
        for (const isOwnerFirst of [true, false]) {
          const ada = await cached.user("ada");
          cached.site.pass(900);
          const [url, eve] = [unseen(path), await cached.user("eve")];
          const visit = async (visitor: Visitor, name: string) => {
            const { text, set } = await visitor.fetch(url);
            assertEquals(text, textFor(path, name));
            return set;
          };
          if (!isOwnerFirst) await visit(cached.visitor(), "stranger");
          const own = await visit(ada, "ada");
          assertEquals(await visit(cached.visitor(), "stranger"), []);
          assertEquals(await visit(eve, "eve"), []);
          // What caches may keep carries none; the next page that is private does.
          const next = await ada.fetch(unseen("/silent"));
          assertEquals(own.length + next.set.length, 1);
          assertEquals((await ada.fetch("/silent")).text, "Hello ada");
        }
      });

      it(`gives each newcomer to ${path} a cookie of their own`, async () => {
        const url = unseen(path, "remember");
        const cookies = new Set<string | undefined>();
        for (let count = 0; count < 3; count++) {
          const newcomer = cached.visitor();
          const { set, headers } = await newcomer.fetch(url);
          assertEquals(set.length, 1);
          assertFalse(headers.has("cdn-cache-control"));
          assertFalse(headers.has("x-accel-expires"));
          cookies.add(newcomer.cookie);
        }
        assertEquals(cookies.size, 3);
      });
    }

    it("goes on to keep the news when a cookie is due", async () => {
      const ada = await cached.user("ada");
      cached.site.pass(900);
      const url = unseen("/news");
      const own = await ada.fetch(url);
      assertEquals([own.cache, own.set], ["MISS", []]);
      const other = await cached.visitor().fetch(url);
      assertEquals([other.cache, other.text], ["HIT", "News"]);
      assertEquals((await ada.fetch(unseen("/silent"))).set.length, 1);
    });

    it("signs in with one response for all, and each with their own cookie", async () => {
      const [ada, eve] = [await cached.user("ada"), await cached.user("eve")];
      assertNotEquals(ada.cookie, eve.cookie);
      const stranger = cached.visitor();
      const { set, status } = await stranger.fetch("/other", "POST");
      assertEquals([set, status], [[], 303]);
      const url = unseen("/silent");
      assertEquals((await ada.fetch(url)).text, "Hello ada");
      assertEquals((await eve.fetch(url)).text, "Hello eve");
    });

    it("gives nobody the cookie of another who signed in by the same link", async () => {
      const url = unseen("/sign-in", "name=ada");
      const [ada, other] = [cached.visitor(), cached.visitor()];
      await ada.fetch(url);
      await other.fetch(url);
      assert(ada.cookie !== undefined && other.cookie !== undefined);
      assertNotEquals(ada.cookie, other.cookie);
    });

    it("signs out at once, on pages that are kept as well", async () => {
      const ada = await cached.user("ada");
      const cookies = ada.jar.cookies();
      const kept = unseen("/silent");
      for (const cache of ["MISS", "HIT"]) {
        const seen = await ada.fetch(kept);
        assertEquals([seen.text, seen.cache], ["Hello ada", cache]);
      }
      const { set } = await ada.fetch("/sign-out", "POST");
      assertEquals([set.length, ada.cookie], [1, undefined]);
      assertEquals((await ada.fetch(kept)).text, "Hello stranger");
      ada.jar.add(cookies);
      const next = await ada.fetch(unseen("/silent"));
      assertEquals(next.text, "Hello stranger");
    });
  });
}

describeWithCache("an owner whose pages a cache asks for again", () => {
  let cached: CachedSite;
  before(async () => {
    cached = await CachedSite.open(USUAL, staleAtOnce);
  });
  after(() => cached?.close());

  for (const path of OFTEN) {
    it(`stays signed in through ${HOURS} hours of ${path}`, async () => {
      const ada = await cached.user("ada");
      cached.site.events.length = 0;
      await ada.fetch(path);
      // Every twenty minutes, so that a renewal is due each time.
      for (let count = 0; count < HOURS * 3; count++) {
        cached.site.pass(1200);
        const seen = await ada.fetch(path);
        assertEquals(seen.text, textFor(path, "ada"));
        assertEquals(seen.cache, "REVALIDATED");
      }
      assertEquals(cached.site.takeEvents(), []);
      const { text: hello, set } = await ada.fetch(unseen("/silent"));
      assertEquals([hello, set.length], ["Hello ada", 1]);
      assertEquals((await ada.fetch(unseen("/silent"))).text, "Hello ada");
    });
  }

  it("gets a renewed cookie with each page that can carry it", async () => {
    const ada = await cached.user("ada");
    cached.site.events.length = 0;
    for (let hour = 0; hour < HOURS; hour++) {
      // What the cache keeps, it keeps for the cookie of that moment.
      for (const path of OFTEN) await ada.fetch(path);
      for (let visit = 0; visit < 3; visit++) {
        cached.site.pass(1200);
        for (const path of OFTEN) {
          const { text, cache } = await ada.fetch(path);
          assertEquals([text, cache], [textFor(path, "ada"), "REVALIDATED"]);
        }
      }
      const { text, set } = await ada.fetch("/silent");
      assertEquals([text, set.length], ["Hello ada", 1]);
    }
    const types = cached.site.takeEvents();
    assertEquals(types, Array.from({ length: HOURS }, () => "renewed"));
  });
});
