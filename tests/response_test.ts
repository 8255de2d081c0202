/** Tests what the outcome of a request does to its answer, and what it leaves. */
import {
  assert,
  assertEquals,
  assertFalse,
  assertNotStrictEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { Buffer } from "node:buffer";
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { describe, it } from "node:test";
import {
  brotliCompressSync,
  brotliDecompressSync,
  deflateSync,
  gunzipSync,
  gzipSync,
  inflateSync,
} from "node:zlib";
import {
  type Outcome,
  reachOfResponse,
  reachOfSink,
  withOutcome,
} from "../core/carriage/response.ts";
import {
  type HeaderSink,
  Manager,
  type Session,
  SessionError,
} from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";
import {
  Browser,
  cookiesOf,
  principalOf,
  requestWith,
  signedIn,
  Site,
  visitor,
} from "./_browser.ts";
import { noteCalls } from "./_providers.ts";
import { serve } from "./_server.ts";

const signIn = (session: Session) => session.signIn("ada");
const set = (session: Session) => session.set("a", 1);
const look = (session: Session) => void session.principal;
const nothing = () => {};

/** Answers of which some say what they are only when they are sent. */
const BODIES: Readonly<Record<string, () => Response>> = {
  "a text": () => new Response("coat"),
  "a text in another alphabet": () => new Response("\u5916\u5957"),
  bytes: () => new Response(new Uint8Array([137, 80, 78, 71])),
  "a page": () =>
    new Response("<p>coat", { headers: { "content-type": "text/html" } }),
  JSON: () => Response.json({ coat: 1 }),
  "a form": () => new Response(new URLSearchParams({ coat: "1" })),
  "a blob": () => new Response(new Blob(["coat"], { type: "text/x-coat" })),
  "a stream": () => new Response(new Blob(["coat"]).stream()),
  nothing: () => new Response(null, { status: 204 }),
};

/** What Bun cannot tell from a text, once it was copied. */
const UNTYPED_ON_BUN: Readonly<Record<string, string>> = "Bun" in globalThis
  ? {
    bytes: "text/plain;charset=utf-8",
    "a stream": "text/plain;charset=utf-8",
  }
  : {};

function typeOf({ headers }: Response): string | undefined {
  return headers.get("content-type")?.toLowerCase().replace("; ", ";");
}

/** A response that keeps its headers, as those of `fetch()` do on Deno. */
function frozenResponse(headers: HeadersInit = {}): Response {
  const response = new Response("body", { headers });
  const refuse = () => {
    throw new TypeError("Headers are immutable");
  };
  for (const name of ["append", "set", "delete"]) {
    Object.defineProperty(response.headers, name, { value: refuse });
  }
  return response;
}

function entriesOf({ headers }: Response): [string, string][] {
  return [...headers].sort();
}

describe("a constant answer for many requests", () => {
  const own = { location: "/", "cache-control": "max-age=60" };
  const home = () => new Response(null, { status: 303, headers: own });

  it("hands each user the own cookie, and a stranger none", async () => {
    const site = new Site();
    const [a, b, stranger] = [
      new Browser(site),
      new Browser(site),
      new Browser(site),
    ];
    const constant = home();
    const answers = [
      await a.visit((session) => session.signIn("ada"), constant),
      await b.visit((session) => session.signIn("bob"), constant),
      await stranger.visit(nothing, constant),
    ];
    assertEquals(answers.map((answer) => cookiesOf(answer).length), [1, 1, 0]);
    assertEquals(await principalOf(a), "ada");
    assertEquals(await principalOf(b), "bob");
    assertEquals(stranger.cookie, undefined);
    assertEquals(entriesOf(constant), Object.entries(own).sort());
  });

  it("hands out one cookie each when all requests overlap", async () => {
    const site = new Site();
    const browsers = Array.from({ length: 5 }, () => new Browser(site));
    const constant = home();
    const answers = await Promise.all(
      browsers.map((browser) => browser.visit(signIn, constant)),
    );
    assertEquals(answers.map((answer) => cookiesOf(answer).length), [
      1,
      1,
      1,
      1,
      1,
    ]);
    assertEquals(new Set(browsers.map(({ cookie }) => cookie)).size, 5);
  });

  it("is changed by nothing that can be due", async () => {
    const constant = home();
    const before = entriesOf(constant);
    const site = new Site();
    const browser = await visitor(site);
    const visits = {
      "a sign-in": signIn,
      "a proof": (session: Session) =>
        session.regenerate({ reauthenticated: true }),
      "an end": (session: Session) => session.destroy({ clearSiteData: true }),
    };
    for (const [name, visit] of Object.entries(visits)) {
      const answer = await browser.visit(visit, constant);
      assertEquals(cookiesOf(answer).length, 1, name);
      assertEquals(entriesOf(constant), before, name);
    }
  });

  it("is changed by no renewal", async () => {
    const constant = new Response("page");
    const before = entriesOf(constant);
    const browser = await signedIn();
    browser.site.pass(900);
    const answer = await browser.visit(nothing, constant);
    assertEquals(cookiesOf(answer).length, 1);
    assertEquals(entriesOf(constant), before);
  });

  it("says once that it depends on the cookie, if the handler looked", async () => {
    const constant = home();
    const browser = new Browser(new Site());
    for (let visit = 0; visit < 3; visit++) {
      const answer = await browser.visit(look, constant);
      assertEquals(cookiesOf(answer), []);
      assertEquals(answer.headers.get("vary"), "Cookie");
    }
    const expected = [...Object.entries(own), ["vary", "Cookie"]].sort();
    assertEquals(entriesOf(constant), expected as [string, string][]);
  });
});

describe("an answer that carries a cookie", () => {
  it("is a new one with the same status, headers and body", async () => {
    const response = new Response("body", {
      status: 201,
      statusText: "Made",
      headers: { "x-own": "1", "content-type": "text/plain" },
    });
    const sent = await new Browser(new Site()).visit(set, response);
    assertNotStrictEquals(sent, response);
    assertEquals([sent.status, sent.statusText], [201, "Made"]);
    assertEquals(sent.headers.get("x-own"), "1");
    assertEquals(sent.headers.get("content-type"), "text/plain");
    assertEquals(await sent.text(), "body");
  });

  for (const [kind, make] of Object.entries(BODIES)) {
    it(`is sent as the type that it has without one: ${kind}`, async () => {
      const site = new Site();
      const handler = site.manager.handle((request, session) => {
        if (request.url.endsWith("/with")) session.set("cart", 1);
        return make();
      });
      const server = serve(handler);
      const [plain, carrying] = [
        await fetch(`${server.url}/without`),
        await fetch(`${server.url}/with`),
      ];
      await server.close();
      assertEquals([
        carrying.headers.has("set-cookie"),
        plain.headers.has("set-cookie"),
      ], [true, false]);
      assertEquals(typeOf(carrying), UNTYPED_ON_BUN[kind] ?? typeOf(plain));
      assertEquals(await carrying.text(), await plain.text());
    });
  }

  it("is sent as the type that it has if there is no place for a cookie", async () => {
    // Due for a renewal, which waits for an answer that nobody else can see.
    const browser = new Browser(new Site());
    await browser.visit(set);
    browser.site.clock.advance(1000);
    const cookie = browser.cookie ?? "";
    const handler = browser.site.manager.handle(() =>
      new Response("coat", { headers: { "cache-control": "public" } })
    );
    const server = serve(handler);
    const answer = await fetch(server.url, { headers: { cookie } });
    await server.close();
    assertEquals(answer.headers.has("set-cookie"), false);
    assertEquals(typeOf(answer), "text/plain;charset=utf-8");
  });

  it("is the same one if no cookie is due and nobody looked", async () => {
    const response = new Response("body");
    const sent = await new Browser(new Site()).visit(nothing, response);
    assertStrictEquals(sent, response);
  });

  it("keeps every cookie of the application's own, and their order", async () => {
    for (const isFrozen of [false, true]) {
      const headers = new Headers();
      headers.append("set-cookie", "theme=dark; Expires=Thu, 01 Jan 2099");
      headers.append("set-cookie", "lang=en");
      const response = isFrozen
        ? frozenResponse(headers)
        : new Response(null, { headers });
      const sent = await new Browser(new Site()).visit(set, response);
      const [first, second, third, ...others] = sent.headers.getSetCookie();
      assertEquals(first, "theme=dark; Expires=Thu, 01 Jan 2099");
      assertEquals(second, "lang=en");
      assert(third?.startsWith("__Host-id="), third);
      assertEquals(others, []);
    }
  });

  it("is a copy of one whose headers cannot be changed", async () => {
    const redirect = Response.redirect("http://localhost/next", 303);
    const sent = await new Browser(new Site()).visit(set, redirect);
    assertEquals(sent.status, 303);
    assertEquals(sent.headers.get("location"), "http://localhost/next");
    assertEquals(cookiesOf(sent).length, 1);
  });

  it("may have no body at all", async () => {
    for (const status of [204, 205, 304]) {
      const response = new Response(null, { status });
      const sent = await new Browser(new Site()).visit(signIn, response);
      assertEquals([sent.status, sent.body], [status, null]);
      assertEquals(cookiesOf(sent).length, 1);
    }
  });

  it("streams on what the application has not produced yet", async () => {
    let more: ReadableStreamDefaultController<Uint8Array> | undefined;
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        more = controller;
        controller.enqueue(new TextEncoder().encode("one "));
      },
    });
    const sent = await new Browser(new Site()).visit(set, new Response(stream));
    assertEquals(cookiesOf(sent).length, 1);
    more?.enqueue(new TextEncoder().encode("two"));
    more?.close();
    assertEquals(await sent.text(), "one two");
  });
});

/** A client that takes what the server sends and decodes nothing. */
async function received(url: string, cookie?: string) {
  const headers = cookie === undefined ? {} : { cookie };
  const message = await new Promise<IncomingMessage>((resolve, reject) => {
    const sending: ClientRequest = request(url, { headers }, resolve);
    sending.on("error", reject);
    sending.end();
  });
  const chunks: Uint8Array[] = [];
  for await (const chunk of message) chunks.push(chunk);
  const { "set-cookie": setCookies = [], ...others } = message.headers;
  const coding = others["content-encoding"] ?? "identity";
  const body = DECODERS[coding]?.(Buffer.concat(chunks)).toString();
  return { body, setCookies, headers: others };
}

/** How a client that believes `Content-Encoding` decodes a body. */
const DECODERS: Readonly<Record<string, (body: Buffer) => Buffer>> = {
  identity: (body) => body,
  gzip: (body) => gunzipSync(body),
  br: (body) => brotliDecompressSync(body),
  deflate: (body) => inflateSync(body),
  "x-reversed": (body) => Buffer.from(body.toReversed()),
};

describe("an answer that came from another server", () => {
  const TEXT = "Whatever stands on the page. ".repeat(50);
  /** Not every runtime decodes all of these, and none the last. */
  const CODINGS: Readonly<Record<string, (text: string) => Uint8Array>> = {
    gzip: gzipSync,
    br: brotliCompressSync,
    deflate: deflateSync,
    "x-reversed": (text) => Buffer.from(text).toReversed(),
  };
  const isBun = "Bun" in globalThis;

  /** Bun sends what `fetch()` answers with a header that is no longer true. */
  function mended(response: Response, coding: string): Response {
    if (!isBun || coding === "x-reversed") return response;
    const headers = new Headers(response.headers);
    headers.delete("content-encoding");
    headers.delete("content-length");
    return new Response(response.body, { headers });
  }

  const VISITS = [
    ["", nothing],
    [" that the handler looked into", look],
    [" with a cookie due", set],
  ] as const;

  for (const [coding, encode] of Object.entries(CODINGS)) {
    for (const [what, visit] of VISITS) {
      it(`in ${coding} has the body it had${what}`, async () => {
        const upstream = serve(() => {
          const body = new Uint8Array(encode(TEXT));
          const headers = {
            "content-type": "text/plain",
            "content-encoding": coding,
            "content-length": String(body.length),
          };
          return new Response(body, { headers });
        });
        const site = new Site();
        const gateway = serve(site.manager.handle(async (_request, session) => {
          visit(session);
          const response = await fetch(upstream.url);
          return visit === set ? response : mended(response, coding);
        }));
        try {
          const { body, headers, setCookies } = await received(gateway.url);
          assertEquals(body, TEXT);
          assertEquals(setCookies.length, visit === set ? 1 : 0);
          assertEquals(headers.vary, visit === look ? "Cookie" : undefined);
        } finally {
          await gateway.close();
          await upstream.close();
        }
      });
    }
  }

  it("keeps the cookies of that server when the session's own is due", async () => {
    const upstream = serve(() => {
      const headers = new Headers();
      headers.append("set-cookie", "one=1");
      headers.append("set-cookie", "two=2");
      return new Response(TEXT, { headers });
    });
    const site = new Site();
    const gateway = serve(site.manager.handle(async (_request, session) => {
      session.set("a", 1);
      return await fetch(upstream.url);
    }));
    try {
      const { setCookies } = await received(gateway.url);
      assertEquals(setCookies.slice(0, 2), ["one=1", "two=2"]);
      assertEquals(setCookies.length, 3);
    } finally {
      await gateway.close();
      await upstream.close();
    }
  });

  it("gets a renewed cookie like any other", async () => {
    const upstream = serve(() => new Response(TEXT));
    const browser = await signedIn();
    browser.site.pass(900);
    const handler = browser.site.manager.handle(() => fetch(upstream.url));
    const gateway = serve(handler);
    try {
      const { body, setCookies } = await received(gateway.url, browser.cookie);
      assertEquals(body, TEXT);
      assertEquals(setCookies.length, 1);
    } finally {
      await gateway.close();
      await upstream.close();
    }
  });
});

/** Headers by which a cache in front of the server is told to keep an answer. */
const FOR_CACHES: readonly (readonly [string, string])[] = [
  ["cdn-cache-control", "max-age=300"],
  ["cloudflare-cdn-cache-control", "max-age=300"],
  ["netlify-cdn-cache-control", "public, durable"],
  ["vercel-cdn-cache-control", "s-maxage=300"],
  ["surrogate-control", "max-age=300"],
  ["edge-control", "!no-store, max-age=300"],
  ["x-accel-expires", "300"],
  ["x-y-cdn-cache-control", "max-age=300"],
  ["some-surrogate-control", "max-age=300"],
];

/** What `Cache-Control` and `Expires` say, and who keeps the answer then. */
const REACHES: readonly (readonly [HeadersInit, "private" | "shared"])[] = [
  [{}, "private"],
  [{ "cache-control": "public" }, "shared"],
  [{ "cache-control": "public, max-age=0" }, "shared"],
  [{ "cache-control": "PUBLIC" }, "shared"],
  [{ "cache-control": "s-maxage=10" }, "shared"],
  [{ "cache-control": "private, s-maxage=10" }, "shared"],
  [{ "cache-control": "max-age=60" }, "shared"],
  [{ "cache-control": 'max-age="60"' }, "shared"],
  [{ "cache-control": "max-age=0, must-revalidate" }, "private"],
  [{ "cache-control": "private, max-age=60" }, "private"],
  [{ "cache-control": "max-age=60,private" }, "private"],
  [{ "cache-control": "no-store" }, "private"],
  [{ "cache-control": "no-cache" }, "private"],
  [{ "cache-control": "x-public, no-publicity" }, "private"],
  [{ expires: "Thu, 01 Jan 2099 00:00:00 GMT" }, "shared"],
  [{ expires: "0", "cache-control": "no-store" }, "private"],
];

describe("an answer that caches may keep", () => {
  for (const [name, value] of FOR_CACHES) {
    it(`by ${name} loses that header when a cookie is due`, async () => {
      const headers = { [name]: value, "cache-control": "max-age=60" };
      for (
        const response of [
          new Response("page", { headers }),
          frozenResponse(headers),
        ]
      ) {
        const sent = await new Browser(new Site()).visit(signIn, response);
        assertEquals(cookiesOf(sent).length, 1);
        assertFalse(sent.headers.has(name));
        assertEquals(sent.headers.get("cache-control"), "no-store");
        assertEquals(response.headers.get(name), value);
      }
    });

    it(`by ${name} carries no renewal, and stays as it is`, async () => {
      const browser = await signedIn();
      browser.site.pass(900);
      const response = new Response("page", { headers: { [name]: value } });
      const sent = await browser.visit(nothing, response);
      assertStrictEquals(sent, response);
      assertEquals(cookiesOf(sent), []);
      assertEquals(sent.headers.get(name), value);
      assertFalse(sent.headers.has("cache-control"));
      assertEquals(browser.site.takeEvents(), []);
      // The next page that is the browser's alone makes up for it.
      assertEquals(cookiesOf(await browser.visit()).length, 1);
    });
  }

  for (const [headers, reach] of REACHES) {
    const text = new Headers(headers);
    const shown = [...text].map((pair) => pair.join(": ")).join(" and ");
    it(`is told by "${shown}": ${reach}`, async () => {
      assertEquals(reachOfResponse(new Response("", { headers })), reach);
      assertEquals(reachOfSink(new Headers(headers), 200), reach);
      const browser = await signedIn();
      browser.site.pass(900);
      const sent = await browser.visit(nothing, new Response("", { headers }));
      assertEquals(cookiesOf(sent).length, reach === "private" ? 1 : 0);
    });
  }

  it("loses Expires, and says no-store and nothing else, with a cookie", async () => {
    const replaced = [
      "public, max-age=60",
      "private",
      "no-store, max-age=60",
      "no-store, s-maxage=60",
      "must-understand, no-store",
      "max-age=0, must-revalidate",
    ];
    for (const control of replaced) {
      const headers = {
        "cache-control": control,
        expires: "Thu, 01 Jan 2099 00:00:00 GMT",
      };
      const response = new Response("", { headers });
      const sent = await new Browser(new Site()).visit(set, response);
      assertEquals(sent.headers.get("cache-control"), "no-store", control);
      assertFalse(sent.headers.has("expires"));
    }
    for (const control of ["no-store", "private, no-store", "No-Store"]) {
      const headers = { "cache-control": control };
      const response = new Response("", { headers });
      const sent = await new Browser(new Site()).visit(set, response);
      assertEquals(sent.headers.get("cache-control"), control);
    }
  });

  it("keeps headers that only look like those of a cache", async () => {
    const headers = {
      "x-cache-control": "1",
      "cdn-loop": "a",
      "x-expires": "1",
    };
    const response = new Response("", { headers });
    const sent = await new Browser(new Site()).visit(set, response);
    for (const name of Object.keys(headers)) {
      assert(sent.headers.has(name), name);
    }
  });
});

describe("an answer that a cookie cannot reach the browser on", () => {
  const upgrade = () =>
    Object.defineProperty(new Response(), "status", { value: 101 });

  it("is a 304, which waits with a renewal and not with a sign-in", async () => {
    const browser = await signedIn();
    browser.site.pass(900);
    const unchanged = () => new Response(null, { status: 304 });
    assertEquals(reachOfResponse(unchanged()), "not-modified");
    assertEquals(cookiesOf(await browser.visit(nothing, unchanged())), []);
    assertEquals(cookiesOf(await browser.visit(nothing, unchanged())), []);
    assertEquals(browser.site.takeEvents(), []);
    assertEquals(
      cookiesOf(await browser.visit(signIn, unchanged())).length,
      1,
    );
  });

  it("fails a sign-in before anything is stored", async () => {
    const used = new Response("body");
    await used.text();
    const answers: [Response | undefined, string][] = [
      [undefined, "no response"],
      [used, "already used"],
      [upgrade(), "no cookies"],
      [Response.error(), "no cookies"],
    ];
    for (const [response, message] of answers) {
      const provider = new MemoryProvider();
      const site = new Site({ provider });
      const calls = noteCalls(provider);
      const session = await site.start();
      session.signIn("ada");
      const error = await assertRejects(
        async () => await site.manager.commit(session, response),
        SessionError,
        message,
      );
      assertEquals(error.code, "unsendable");
      assertEquals(reachOfResponse(response), "none");
      assertEquals(calls, []);
    }
  });

  it("fails a sign-in alike when somebody else reads its body", async () => {
    const response = new Response("body");
    response.body?.getReader();
    const provider = new MemoryProvider();
    const calls = noteCalls(provider);
    const error = await assertRejects(
      () => new Browser(new Site({ provider })).visit(signIn, response),
      Error,
    );
    assertEquals(calls, []);
    assert(error instanceof SessionError);
    assertEquals(error.code, "unsendable");
  });

  it("goes out as it is, and what was set is stored", async () => {
    const used = new Response("body");
    await used.text();
    for (const response of [undefined, used, upgrade(), Response.error()]) {
      const browser = await visitor();
      const session = await browser.site.start(browser.cookie);
      session.set("name", session.get("name") + "!");
      const sent = await browser.site.manager.commit(session, response);
      assertStrictEquals(sent, response);
      assertEquals(await browser.look((next) => next.get("name")), "Ada!");
    }
  });

  it("keeps no session from its end", async () => {
    const used = new Response("body");
    await used.text();
    for (const response of [undefined, used, upgrade(), Response.error()]) {
      const browser = await visitor();
      const session = await browser.site.start(browser.cookie);
      session.destroy({ clearSiteData: true });
      const sent = await browser.site.manager.commit(session, response);
      assertStrictEquals(sent, response);
      assertFalse(sent?.headers.has("clear-site-data") ?? false);
      assert(await browser.look(({ isNew }) => isNew));
    }
  });
});

describe("an answer whose handler looked into the session", () => {
  const CASES: readonly (readonly [string | undefined, string])[] = [
    [undefined, "Cookie"],
    ["Accept-Encoding", "Accept-Encoding, Cookie"],
    ["X-Cookie", "X-Cookie, Cookie"],
    ["Cookie-Policy", "Cookie-Policy, Cookie"],
    ["Cookie", "Cookie"],
    ["cookie", "cookie"],
    ["Accept, COOKIE,Origin", "Accept, COOKIE,Origin"],
    ["*", "*"],
  ];

  for (const [present, expected] of CASES) {
    it(`and that varies by ${present} varies by ${expected} then`, async () => {
      const headers = present === undefined ? {} : { vary: present };
      for (
        const visit of [look, (session: Session) => {
          look(session);
          set(session);
        }]
      ) {
        for (
          const response of [
            new Response("", { headers }),
            frozenResponse(headers),
          ]
        ) {
          const sent = await new Browser(new Site()).visit(visit, response);
          assertEquals(sent.headers.get("vary"), expected);
        }
      }
    });
  }

  it("is told by every way to look, and by none of the others", async () => {
    const looks: Record<string, (session: Session) => unknown> = {
      get: (session) => session.get("name"),
      has: (session) => session.has("name"),
      keys: (session) => session.keys(),
      take: (session) => session.take("none"),
      id: (session) => session.id,
      isNew: (session) => session.isNew,
      principal: (session) => session.principal,
      label: (session) => session.label,
      refusal: (session) => session.refusal,
      authenticatedAt: (session) => session.authenticatedAt,
      expiresAt: (session) => session.expiresAt,
      isFresh: (session) => session.isFresh(60),
      isAlive: (session) => session.isAlive(),
      formToken: (session) => session.formToken(),
      checkFormToken: (session) => session.checkFormToken("x"),
      update: (session) => session.update("name", () => "Eve"),
    };
    for (const [name, visit] of Object.entries(looks)) {
      const sent = await (await visitor()).visit(visit);
      assertEquals(sent.headers.get("vary"), "Cookie", name);
    }
    for (const visit of [nothing, set, signIn]) {
      const sent = await (await visitor()).visit(visit);
      assertFalse(sent.headers.has("vary"));
    }
  });

  it("is a copy, where its headers cannot be changed", async () => {
    const response = frozenResponse({ "x-own": "1" });
    const sent = await new Browser(new Site()).visit(look, response);
    assertEquals(sent.headers.get("x-own"), "1");
    assertEquals(await sent.text(), "body");
  });

  it("fails for no other reason than that", () => {
    const response = new Response("");
    Object.defineProperty(response.headers, "set", {
      value: () => {
        throw new RangeError("something else");
      },
    });
    assertThrows(
      () => withOutcome(response, { ...NO_OUTCOME, variesBy: ["Cookie"] }),
      RangeError,
    );
  });
});

const NO_OUTCOME: Outcome = {
  setCookie: undefined,
  device: undefined,
  isSiteDataCleared: false,
  variesBy: [],
  isSecret: false,
};

describe("the end of a session that clears the site's data", () => {
  const clear = (session: Session) => session.destroy({ clearSiteData: true });
  const ALL = '"cache", "cookies", "storage"';

  it("is told to the browser beside the cookie's end", async () => {
    const sent = await (await visitor()).visit(clear);
    assertEquals(sent.headers.get("clear-site-data"), ALL);
    assert(sent.headers.getSetCookie()[0]?.includes("Max-Age=0"));
  });

  it("is told to a browser without a cookie too", async () => {
    const sent = await new Browser(new Site()).visit(clear);
    assertEquals(sent.headers.get("clear-site-data"), ALL);
  });

  it("is told on an answer of an error too", async () => {
    const failed = new Response("", { status: 500 });
    const sent = await (await visitor()).visit(clear, failed);
    assertEquals(sent.headers.get("clear-site-data"), ALL);
  });

  it("is not told to a browser whose user signed in meanwhile", async () => {
    const browser = await visitor();
    const late = await browser.look((session) => session);
    await browser.visit(signIn);
    clear(late);
    const sent = await browser.site.commit(late);
    assertFalse(sent.headers.has("clear-site-data"));
    assertEquals(cookiesOf(sent), []);
  });
});

/** What a framework may keep headers in, with as little as is asked. */
class BareSink implements HeaderSink {
  readonly headers: Headers;

  constructor(headers: HeadersInit = {}) {
    this.headers = new Headers(headers);
  }

  append(name: string, value: string): void {
    this.headers.append(name, value);
  }

  set(name: string, value: string): void {
    this.headers.set(name, value);
  }
}

/** One that can be read as well. */
class ReadableSink extends BareSink {
  get(name: string): string | undefined {
    return this.headers.get(name) ?? undefined;
  }
}

describe("an answer that a framework makes", () => {
  const CACHED = {
    "cdn-cache-control": "max-age=300",
    "x-accel-expires": "300",
    "x-y-cdn-cache-control": "max-age=300",
    "cache-control": "public, max-age=60",
    expires: "Thu, 01 Jan 2099 00:00:00 GMT",
  };

  /** Visits a site whose framework keeps headers and a status. */
  async function visit(
    browser: Browser,
    sink: HeaderSink,
    { status = 200, visit: act = signIn as (session: Session) => unknown } = {},
  ): Promise<void> {
    const { site, cookie } = browser;
    const session = await site.start(cookie);
    await act(session);
    await site.manager.commitTo(session, sink, status);
  }

  it("gets the cookie beside those of its own", async () => {
    const headers = new Headers({ "x-own": "1" });
    headers.append("set-cookie", "theme=dark");
    await visit(new Browser(new Site()), headers);
    const [own, session, ...others] = headers.getSetCookie();
    assertEquals(own, "theme=dark");
    assert(session?.startsWith("__Host-id="), session);
    assertEquals(others, []);
    assertEquals(headers.get("x-own"), "1");
    assertEquals(headers.get("cache-control"), "no-store");
  });

  it("is made the browser's alone, as far as its headers can be seen", async () => {
    const all = new Headers(CACHED);
    const readable = new ReadableSink(CACHED);
    const bare = new BareSink(CACHED);
    for (const sink of [all, readable, bare]) {
      await visit(new Browser(new Site()), sink);
    }
    const left = (headers: Headers) =>
      Object.keys(CACHED).map((name) => headers.get(name));
    assertEquals(left(all), [null, null, null, "no-store", null]);
    // Where names cannot be listed, only the usual ones are known.
    const known = ["no-store", "0", "max-age=300", "no-store", "0"];
    assertEquals(left(readable.headers), known);
    assertEquals(left(bare.headers), known);
    // And where nothing can be read, each is made to say no.
    assertFalse(readable.headers.has("surrogate-control"));
    assertEquals(bare.headers.get("surrogate-control"), "no-store");
    assertEquals(bare.headers.get("cache-control"), "no-store");
  });

  it("loses a header by delete if there is one", async () => {
    class Deleting extends ReadableSink {
      delete(name: string): void {
        this.headers.delete(name);
      }
    }
    const sink = new Deleting(CACHED);
    await visit(new Browser(new Site()), sink);
    for (const name of ["cdn-cache-control", "x-accel-expires", "expires"]) {
      assertFalse(sink.headers.has(name), name);
    }
  });

  it("carries a renewal if it can be seen to be the browser's alone", async () => {
    const sinks: [HeaderSink & { headers?: Headers }, number, number][] = [
      [new Headers(), 200, 1],
      [new ReadableSink(), 200, 1],
      [new ReadableSink({ "surrogate-control": "max-age=1" }), 200, 0],
      [new Headers({ "x-y-cdn-cache-control": "max-age=1" }), 200, 0],
      [new Headers({ "cache-control": "public" }), 200, 0],
      [new BareSink(), 200, 0],
      [new Headers(), 304, 0],
      [new Headers(), 101, 0],
      [new Headers(), 500, 0],
      [new Headers(), 404, 1],
    ];
    for (const [sink, status, count] of sinks) {
      const browser = await signedIn();
      browser.site.pass(900);
      await visit(browser, sink, { status, visit: nothing });
      const headers = sink.headers ?? sink as Headers;
      assertEquals(headers.getSetCookie().length, count, `${status}`);
    }
  });

  it("says that it depends on the cookie if the handler looked", async () => {
    const headers = new Headers({ vary: "Accept" });
    await visit(new Browser(new Site()), headers, { visit: look });
    assertEquals(headers.get("vary"), "Accept, Cookie");
    await visit(new Browser(new Site()), headers, { visit: look });
    assertEquals(headers.get("vary"), "Accept, Cookie");
    const untouched = new Headers();
    await visit(new Browser(new Site()), untouched, { visit: nothing });
    assertEquals([...untouched], []);
  });

  it("clears the cookie and the site's data when the session ends", async () => {
    const headers = new Headers();
    await visit(await visitor(), headers, {
      visit: (session) => session.destroy({ clearSiteData: true }),
    });
    assert(headers.getSetCookie()[0]?.includes("Max-Age=0"));
    assert(headers.has("clear-site-data"));
    assertEquals(headers.get("cache-control"), "no-store");
  });

  it("drops changes from status 500 on, and keeps them below", async () => {
    for (const [status, name] of [[499, "Eve"], [500, "Ada"], [503, "Ada"]]) {
      const browser = await visitor();
      const headers = new Headers();
      await visit(browser, headers, {
        status: status as number,
        visit: (session) => session.set("name", "Eve"),
      });
      assertEquals(await browser.look((session) => session.get("name")), name);
      assertEquals(headers.getSetCookie(), []);
    }
  });

  it("fails a sign-in on an upgrade before anything is stored", async () => {
    const provider = new MemoryProvider();
    const calls = noteCalls(provider);
    const headers = new Headers();
    const error = await assertRejects(
      () =>
        visit(new Browser(new Site({ provider })), headers, { status: 101 }),
      SessionError,
    );
    assertEquals(error.code, "unsendable");
    assertEquals(calls, []);
    assertEquals([...headers], []);
  });

  it("has to be headers and a status", async () => {
    await using manager = new Manager({ gcInterval: 0 });
    const session = await manager.start(requestWith());
    const wrong = [
      [undefined, 200],
      [{}, 200],
      [new Response(), 200],
      [new Headers(), undefined],
      [new Headers(), "200"],
    ] as unknown as [HeaderSink, number][];
    for (const [sink, status] of wrong) {
      assertThrows(() => manager.commitTo(session, sink, status), TypeError);
    }
    // Nothing was done yet.
    await manager.commitTo(session, new Headers(), 200);
  });
});
