import { assert, assertEquals, assertFalse, assertThrows } from "@std/assert";
import fc from "fast-check";
import { describe, it } from "node:test";
import {
  isCrossOrigin,
  resolveOrigins,
} from "../core/carriage/cross_origin.ts";
import { Manager } from "../mod.ts";
import { Browser, Site } from "./_browser.ts";

const TRUSTED = "https://accounts.example";
const NOBODY: ReadonlySet<string> = new Set();

/** A request to shop.example, and what a browser tells of where it came from. */
interface Sent {
  readonly method?: string;
  readonly url?: string;
  readonly site?: string;
  readonly origin?: string;
  readonly upgrade?: string;
}

function requestOf(sent: Sent): Request {
  const { method = "POST", url = "https://shop.example/pay" } = sent;
  const headers = new Headers();
  if (sent.site !== undefined) headers.set("sec-fetch-site", sent.site);
  if (sent.origin !== undefined) headers.set("origin", sent.origin);
  if (sent.upgrade !== undefined) headers.set("upgrade", sent.upgrade);
  return new Request(url, { method, headers });
}

const LET_IN: readonly (readonly [string, Sent])[] = [
  ["of the same origin", { site: "same-origin" }],
  ["that the user typed in or took from a bookmark", { site: "none" }],
  [
    "of the same origin, whatever its Origin header says",
    { site: "same-origin", origin: "https://evil.example" },
  ],
  [
    "without an origin because the user started it",
    { site: "none", origin: "null" },
  ],
  ["that no browser sent", {}],
  ["of an older browser at the same host", { origin: "https://shop.example" }],
  [
    "of an older browser at the same host, behind a proxy that takes TLS off",
    { origin: "https://shop.example", url: "http://shop.example/pay" },
  ],
  [
    "of an older browser at the same host and port",
    {
      origin: "https://shop.example:8443",
      url: "http://shop.example:8443/pay",
    },
  ],
  [
    "of an older browser that writes the default port",
    { origin: "https://shop.example:443" },
  ],
  [
    "of an older browser, forwarded with the port of HTTPS",
    { origin: "https://shop.example", url: "http://shop.example:443/pay" },
  ],
  [
    "of an older browser, forwarded with the port of HTTP",
    { origin: "https://shop.example", url: "https://shop.example:80/pay" },
  ],
  [
    "of an older browser by HTTP, forwarded with the port of HTTPS",
    { origin: "http://shop.example", url: "http://shop.example:443/pay" },
  ],
  ["of a trusted origin on another site", {
    site: "cross-site",
    origin: TRUSTED,
  }],
  ["of a trusted origin on the same site", {
    site: "same-site",
    origin: TRUSTED,
  }],
  ["of a trusted origin in an older browser", { origin: TRUSTED }],
];

const TURNED_AWAY: readonly (readonly [string, Sent])[] = [
  ["of another site", { site: "cross-site", origin: "https://evil.example" }],
  [
    "of another host on the same site",
    { site: "same-site", origin: "https://blog.shop.example" },
  ],
  ["of another site that hides its origin", {
    site: "cross-site",
    origin: "null",
  }],
  ["of another site without an Origin header", { site: "cross-site" }],
  [
    "of another site that names the own origin",
    { site: "cross-site", origin: "https://shop.example" },
  ],
  ["with a word in Sec-Fetch-Site that is not known yet", { site: "near" }],
  ["with the known word in capitals", { site: "Same-Origin" }],
  ["of an older browser at another host", { origin: "https://evil.example" }],
  [
    "of an older browser at a subdomain",
    { origin: "https://blog.shop.example" },
  ],
  [
    "of an older browser at a host that ends alike",
    { origin: "https://evilshop.example" },
  ],
  [
    "of an older browser at another port",
    { origin: "https://shop.example:8443" },
  ],
  [
    "of an older browser at the default port, when the own is another",
    { origin: "https://shop.example", url: "http://shop.example:8443/pay" },
  ],
  ["of an older browser that hides its origin", { origin: "null" }],
  ["with an Origin that is none", { origin: "shop.example" }],
  [
    "of a trusted host over another scheme",
    { site: "cross-site", origin: "http://accounts.example" },
  ],
  [
    "of a trusted host at another port",
    { site: "cross-site", origin: "https://accounts.example:8443" },
  ],
  [
    "of a subdomain of a trusted host",
    { site: "cross-site", origin: "https://a.accounts.example" },
  ],
];

describe("a request that may change something", () => {
  const trusted = resolveOrigins([TRUSTED]);

  for (const [name, sent] of LET_IN) {
    it(`is let in if it is one ${name}`, () => {
      assertFalse(isCrossOrigin(requestOf(sent), trusted));
    });
  }

  for (const [name, sent] of TURNED_AWAY) {
    it(`is turned away if it is one ${name}`, () => {
      assert(isCrossOrigin(requestOf(sent), trusted));
    });
  }

  it("has any method but GET, HEAD and OPTIONS", () => {
    for (const method of ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"]) {
      const request = requestOf({ method, site: "cross-site" });
      assert(isCrossOrigin(request, NOBODY), method);
    }
  });

  it("is judged alike whatever stands in its other headers", () => {
    fc.assert(fc.property(fc.string({ unit: "grapheme-ascii" }), (value) => {
      const request = requestOf({ site: "cross-site" });
      request.headers.set("referer", `https://shop.example/${value}`);
      request.headers.set("x-forwarded-host", "evil.example");
      assert(isCrossOrigin(request, NOBODY));
    }));
  });
});

describe("a request that may change nothing", () => {
  for (const method of ["GET", "HEAD", "OPTIONS"]) {
    it(`is let in from everywhere if its method is ${method}`, () => {
      for (const [, sent] of TURNED_AWAY) {
        assertFalse(isCrossOrigin(requestOf({ ...sent, method }), NOBODY));
      }
    });
  }

  it("is let in if it asks for an upgrade to anything but a WebSocket", () => {
    const sent = { method: "GET", site: "cross-site", upgrade: "h2c" };
    assertFalse(isCrossOrigin(requestOf(sent), NOBODY));
  });
});

describe("the handshake of a WebSocket", () => {
  it("is turned away from everywhere that a form would be", () => {
    for (const [name, sent] of TURNED_AWAY) {
      const handshake = { ...sent, method: "GET", upgrade: "websocket" };
      assert(isCrossOrigin(requestOf(handshake), NOBODY), name);
    }
  });

  it("is let in from everywhere that a form would be", () => {
    for (const [name, sent] of LET_IN) {
      const handshake = { ...sent, method: "GET", upgrade: "websocket" };
      const isRefused = isCrossOrigin(
        requestOf(handshake),
        new Set([TRUSTED]),
      );
      assertFalse(isRefused, name);
    }
  });

  it("is known in any case", () => {
    const sent = { method: "GET", site: "cross-site", upgrade: "WebSocket" };
    assert(isCrossOrigin(requestOf(sent), NOBODY));
  });
});

describe("the list of trusted origins", () => {
  it("takes origins as browsers write them", () => {
    const origins = [
      "https://example.org",
      "http://localhost:8000",
      "https://xn--bcher-kva.example",
      "https://[::1]:8443",
    ];
    assertEquals([...resolveOrigins(origins)], origins);
  });

  it("takes nothing that could never equal an Origin header", () => {
    const origins = [
      "",
      "*",
      "null",
      "example.org",
      "https://",
      "https://example.org/",
      "https://example.org/path",
      "https://example.org?query",
      "https://example.org#fragment",
      "https://user@example.org",
      "https://Example.org",
      "HTTPS://example.org",
      "https://example.org:443",
      "https://b\u00fccher.example",
      " https://example.org",
      "file:///",
      "data:text/plain,",
    ];
    for (const origin of origins) {
      assertThrows(
        () => resolveOrigins([origin]),
        TypeError,
        `Cannot create Manager: trustedOrigins must be origins such as https://example.org: received ${origin}`,
      );
    }
  });

  it("is checked as a whole when the manager is made", () => {
    const trustedOrigins = [TRUSTED, "accounts.example"];
    assertThrows(
      () => new Manager({ trustedOrigins }),
      TypeError,
      "received accounts.example",
    );
  });
});

describe("handle and requests of other sites", () => {
  const FORGED: Sent = { site: "cross-site", origin: "https://evil.example" };

  /** A browser with a session, whose next request another site's page makes. */
  async function forge(site: Site, sent: Sent) {
    const browser = new Browser(site);
    await browser.visit((session) => session.set("money", 100));
    site.takeEvents();
    const request = requestOf(sent);
    request.headers.set("cookie", browser.cookie ?? "");
    const handler = site.manager.handle((_request, session) => {
      session.set("money", 0);
      return new Response("Paid");
    });
    const response = await handler(request);
    const money = await browser.look((session) => session.get("money"));
    return { response, money };
  }

  it("answers 403 and lets nothing happen", async () => {
    const { response, money } = await forge(new Site(), FORGED);
    assertEquals(response.status, 403);
    assertEquals(money, 100);
  });

  it("tells by an event, without the id of a session", async () => {
    const site = new Site();
    await forge(site, FORGED);
    assertEquals(site.events, [
      {
        type: "refused",
        reason: "cross-origin",
        id: undefined,
        origin: "https://evil.example",
      },
    ]);
  });

  it("names the origin, and the option that lets it in", async () => {
    const { response } = await forge(new Site(), FORGED);
    const text = await response.text();
    assert(text.includes("https://evil.example"), text);
    assert(text.includes("trustedOrigins"), text);
  });

  it("names no origin where the request does not", async () => {
    const site = new Site();
    const { response } = await forge(site, { site: "cross-site" });
    assert((await response.text()).includes("from another site. If"));
    const [event] = site.events;
    assert(event?.type === "refused" && event.reason === "cross-origin");
    assertEquals(event.origin, undefined);
  });

  it("names so much of a long origin as can be shown, as plain text", async () => {
    const site = new Site();
    const origin = `https://${"a".repeat(1000)}.example`;
    const { response } = await forge(site, { site: "cross-site", origin });
    const { headers } = response;
    assertEquals(headers.get("content-type"), "text/plain; charset=utf-8");
    assertEquals(headers.get("x-content-type-options"), "nosniff");
    assertEquals(headers.get("cache-control"), "no-store");
    assertFalse((await response.text()).includes("a".repeat(257)));
    const [event] = site.events;
    assert(event?.type === "refused" && event.reason === "cross-origin");
    assertEquals(event.origin, origin.slice(0, 256));
  });

  it("is answered by intercept alone, before a session is started", async () => {
    const site = new Site();
    const answer = await site.manager.intercept(requestOf(FORGED));
    assertEquals(answer?.status, 403);
    assertEquals(
      await site.manager.intercept(requestOf({ site: "same-origin" })),
      undefined,
    );
    const open = new Site({ crossOriginProtection: false });
    assertEquals(await open.manager.intercept(requestOf(FORGED)), undefined);
  });

  it("neither sends nor clears a cookie", async () => {
    const { response } = await forge(new Site(), FORGED);
    assertEquals(response.headers.getSetCookie(), []);
  });

  it("lets a trusted origin in", async () => {
    const site = new Site({ trustedOrigins: ["https://evil.example"] });
    const { response, money } = await forge(site, FORGED);
    assertEquals(response.status, 200);
    assertEquals(money, 0);
  });

  it("lets everything in when the protection is turned off", async () => {
    const site = new Site({ crossOriginProtection: false });
    assertEquals((await forge(site, FORGED)).money, 0);
  });

  it("lets a request of the own pages in", async () => {
    const { money } = await forge(new Site(), { site: "same-origin" });
    assertEquals(money, 0);
  });

  it("refuses a flag that is not true or false", () => {
    for (const crossOriginProtection of [null, 0, "off"]) {
      assertThrows(
        () =>
          new Manager(
            { crossOriginProtection } as unknown as Record<never, never>,
          ),
        TypeError,
        `Cannot create Manager: crossOriginProtection must be true or false: received ${crossOriginProtection}`,
      );
    }
  });
});
