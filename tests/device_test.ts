import { assert, assertEquals, assertFalse } from "@std/assert";
import { describe, it } from "node:test";
import type { ManagerOptions, Session, SessionRecord } from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { requestWith, Site, told } from "./_browser.ts";
import { challengeIn, DeviceBrowser, offeredIn } from "./_device.ts";
import { DeviceSigner } from "./_device_proofs.ts";

/** `interval` and `renewGrace` together, as they are by default, in milliseconds. */
const L = 630_000;
const GRACE = 30_000;
const OFFER = 120_000;

const PATH = "/device-bound-session";
const RESPONSE = "secure-session-response";
const SESSION_ID = "sec-secure-session-id";

/** A site whose sessions are bound, and its store. */
class BoundSite extends Site {
  readonly provider: MemoryProvider;

  constructor(options: ManagerOptions = {}) {
    const provider = new MemoryProvider();
    super({ provider, deviceBound: {}, ...options });
    this.provider = provider;
  }

  record(id: string): SessionRecord | undefined {
    return this.provider.read(id, this.now);
  }

  /** What makes a request's answer, for one without a browser. */
  async run(
    cookie: string | undefined,
    visit: (session: Session) => unknown,
  ): Promise<Response> {
    return await this.manager.run(requestWith(cookie), async (session) => {
      await visit(session);
      return new Response();
    });
  }

  /** Who is signed in for whoever shows these cookies. */
  async principalWith(cookie: string | undefined): Promise<string | undefined> {
    let principal: string | undefined;
    await this.run(cookie, (session) => {
      principal = session.principal;
    });
    return principal;
  }
}

/** The id in a session cookie. */
function idOf({ cookie = "" }: { readonly cookie: string | undefined }) {
  return /__Host-id=(.{24})/.exec(cookie)?.[1] ?? "";
}

/** The session cookie alone. */
function withoutProof(cookie: string | undefined): string {
  return /__Host-id=[\w-]+/.exec(cookie ?? "")?.[0] ?? "";
}

function names(response: Response | undefined): string[] {
  return response?.headers.getSetCookie()
    .map((text) => text.slice(0, text.indexOf("="))) ?? [];
}

/** A browser that has just signed in and registered its key. */
async function registered(site = new BoundSite()) {
  const browser = await new DeviceBrowser(site).signIn();
  site.events.length = 0;
  return { site, browser, id: idOf(browser) };
}

/** One whose binding has been enforced for a minute, and that has just proved. */
async function enforced(site = new BoundSite()) {
  const { browser, id } = await registered(site);
  await browser.visit();
  site.pass(60);
  browser.forgetProofs();
  await browser.visit();
  site.events.length = 0;
  browser.posts.length = 0;
  return { site, browser, id, provedAt: site.now };
}

/** The answer to a sign-in of a browser that does not bind, and its challenge. */
async function offered(site = new BoundSite()) {
  const browser = new DeviceBrowser(site);
  browser.canBind = false;
  const answer = await browser.visit((session) => session.signIn("ada"));
  site.events.length = 0;
  const challenge = offeredIn(answer) ?? "";
  return { site, browser, challenge, id: idOf(browser), offeredAt: site.now };
}

describe("the offer to register a key", () => {
  it("goes out with a sign-in, and with a new proof of identity (DBSC 1)", async () => {
    const site = new BoundSite();
    const browser = new DeviceBrowser(site);
    browser.canBind = false;
    const answer = await browser.visit((session) => session.signIn("ada"));
    const id = idOf(browser);
    const offer = answer?.headers.get("secure-session-registration") ?? "";
    const form = new RegExp(
      `^\\(ES256 RS256\\);path="${PATH}";challenge="${id}\\.[0-9a-z]+\\.[\\w-]{22}"$`,
    );
    assert(form.test(offer), offer);
    const again = await browser.visit((session) =>
      session.regenerate({ reauthenticated: true })
    );
    assert(form.test(again?.headers.get("secure-session-registration") ?? ""));
    assertFalse(offeredIn(again) === offeredIn(answer));
    assertEquals(answer?.headers.get("cache-control"), "no-store");
  });

  it("goes out with no other answer, neither to visitors nor in a bound session (DBSC 1)", async () => {
    const { site, browser } = await enforced();
    const visitor = new DeviceBrowser(site);
    const answers = [
      await visitor.visit((session) => session.set("name", "Ada")),
      await visitor.visit((session) => session.regenerate()),
      await browser.visit((session) => session.set("name", "Ada")),
      await browser.visit((session) => session.signIn("ada")),
      await browser.visit((session) =>
        session.regenerate({ reauthenticated: true })
      ),
    ];
    assertEquals(answers.map(offeredIn), answers.map(() => undefined));
    assertEquals(await browser.principal(), "ada");
    await browser.visit((session) => assert(session.isDeviceBound));
  });

  it("goes out with no sign-in that fails", async () => {
    const site = new BoundSite();
    const browser = new DeviceBrowser(site);
    const answer = await browser.visit((session) => session.signIn("ada"), {
      response: new Response(null, { status: 500 }),
    });
    assertEquals(offeredIn(answer), undefined);
    const { challenge } = await offered(site);
    assert(challenge !== "");
  });

  it("is made by no manager that keeps what there is, and with no option (DBSC 17, 24)", async () => {
    for (const deviceBound of [{ mode: "keep" } as const, undefined]) {
      const { challenge, site, id } = await offered(
        new BoundSite({ deviceBound }),
      );
      assertEquals(challenge, "");
      assertEquals(site.record(id)?.binding, undefined);
    }
  });

  it("is void after 120 seconds, at the millisecond (DBSC 4)", async () => {
    const signer = new DeviceSigner();
    for (const [after, status] of [[OFFER - 1, 200], [OFFER, 401]] as const) {
      const { site, browser, challenge, offeredAt } = await offered();
      site.now = offeredAt + after;
      const proof = signer.register(challenge);
      assertEquals((await browser.post({ [RESPONSE]: proof }))?.status, status);
    }
  });

  it("is void with any character changed (DBSC 4)", async () => {
    const { site, browser, challenge, id } = await offered();
    const signer = new DeviceSigner();
    for (let at = 0; at < challenge.length; at++) {
      const other = challenge[at] === "z" ? "y" : "z";
      const changed = challenge.slice(0, at) + other + challenge.slice(at + 1);
      const headers = { [RESPONSE]: signer.register(changed) };
      assertEquals((await browser.post(headers))?.status, 401, changed);
    }
    assertEquals(site.record(id)?.version, 1);
    const headers = { [RESPONSE]: signer.register(challenge) };
    assertEquals((await browser.post(headers))?.status, 200);
  });

  it("is void once another one was made", async () => {
    const { browser, challenge } = await offered();
    await browser.visit((session) =>
      session.regenerate({ reauthenticated: true })
    );
    const headers = { [RESPONSE]: new DeviceSigner().register(challenge) };
    assertEquals((await browser.post(headers))?.status, 401);
  });
});

describe("a registration", () => {
  it("succeeds without any cookie, as after a sign-in on another site (DBSC 2)", async () => {
    const { site, challenge, id } = await offered();
    const signer = new DeviceSigner();
    const answer = await new DeviceBrowser(site).post({
      [RESPONSE]: signer.register(challenge),
    });
    assertEquals(answer?.status, 200);
    assertEquals(told(site), ["bound"]);
    assertEquals(site.record(id)?.binding?.endsWith(`.0.${signer.key}`), true);
  });

  it("is answered with the cookie, the next challenge, and what the browser has to know", async () => {
    const { browser, challenge, id } = await offered();
    const answer = await browser.post({
      [RESPONSE]: new DeviceSigner().register(challenge),
    });
    const name = `__Host-id-${id.slice(0, 8)}`;
    const attributes = "Path=/; Secure; HttpOnly; SameSite=Lax";
    const [cookie = "", ...others] = answer?.headers.getSetCookie() ?? [];
    assertEquals(others, []);
    assert(
      new RegExp(
        `^${name}=[0-9a-z]{8}\\.[\\w-]{22}; ${attributes}; Max-Age=600$`,
      ).test(cookie),
      cookie,
    );
    assertEquals(answer?.headers.get("cache-control"), "no-store");
    assertEquals(answer?.headers.get("content-type"), "application/json");
    assert(
      new RegExp(`^"${id}\\.[0-9a-z]+\\.[\\w-]{22}";id="${id}"$`).test(
        answer?.headers.get("secure-session-challenge") ?? "",
      ),
    );
    assertEquals(await answer?.json(), {
      session_identifier: id,
      refresh_url: PATH,
      scope: { include_site: false },
      credentials: [{ type: "cookie", name, attributes }],
      allowed_refresh_initiators: ["*"],
    });
  });

  it("with the same key again gets the same answer, and writes nothing (DBSC 3)", async () => {
    const { site, browser, challenge, id } = await offered();
    const headers = { [RESPONSE]: new DeviceSigner().register(challenge) };
    const first = await browser.post(headers);
    site.pass(100);
    const second = await browser.post(headers);
    assertEquals(second?.status, 200);
    assertEquals(await second?.text(), await first?.text());
    const [one, two] = [first, second].map((answer) =>
      answer?.headers.getSetCookie()[0]?.split(";")[0]
    );
    // A repetition is good for no longer than what it repeats.
    assertEquals(one, two);
    assertEquals(site.record(id)?.version, 2);
    assertEquals(told(site), ["bound"]);
  });

  it("with another key ends the session, as a copy of the answer to the sign-in (DBSC 3)", async () => {
    const { site, browser, challenge, id } = await offered();
    const post = (signer: DeviceSigner) =>
      browser.post({ [RESPONSE]: signer.register(challenge) });
    assertEquals((await post(new DeviceSigner()))?.status, 200);
    assertEquals((await post(new DeviceSigner()))?.status, 401);
    assertEquals(told(site), ["bound", "reused"]);
    assertEquals(site.record(id), undefined);
    assertEquals(await browser.principal(), undefined);
  });

  it("with another key is only reported, if a copy is only reported (DBSC 3)", async () => {
    const { site, browser, challenge, id } = await offered(
      new BoundSite({ onReuse: "report" }),
    );
    const post = (signer: DeviceSigner) =>
      browser.post({ [RESPONSE]: signer.register(challenge) });
    const first = new DeviceSigner();
    await post(first);
    assertEquals((await post(new DeviceSigner()))?.status, 401);
    assertEquals(told(site), ["bound", "reused"]);
    assert(site.record(id)?.binding?.endsWith(first.key));
  });

  it("with a bad signature, or without a proof, changes nothing (DBSC 11)", async () => {
    const { site, browser, challenge, id } = await offered();
    const [mine, theirs] = [new DeviceSigner(), new DeviceSigner()];
    const forged = mine.register(challenge).split(".");
    forged[2] = theirs.register(challenge).split(".")[2] ?? "";
    for (
      const [proof, status] of [
        [forged.join("."), 401],
        ["", 400],
        ["nonsense", 400],
        [mine.refresh(challenge), 400],
        [mine.register("nonsense"), 401],
        [mine.register(`${"A".repeat(24)}.k.${"A".repeat(22)}`), 401],
      ] as const
    ) {
      const answer = await browser.post({ [RESPONSE]: proof });
      assertEquals(answer?.status, status, proof);
    }
    assertEquals(site.record(id)?.version, 1);
    assertEquals(new Set(told(site)), new Set(["proof-refused"]));
    assertEquals(await browser.principal(), "ada");
  });

  it("takes keys of RSA as well (DBSC 19)", async () => {
    const site = new BoundSite();
    const browser = new DeviceBrowser(site);
    browser.algorithm = "RS256";
    await browser.signIn();
    await browser.visit();
    browser.forgetProofs();
    assertEquals(await browser.principal(), "ada");
    assertEquals(browser.posts.map((post) => post.slice(-3)), ["200", "200"]);
  });

  it("is answered the same way to a header that is quoted (DBSC 20)", async () => {
    const { browser, challenge, id } = await offered();
    const signer = new DeviceSigner();
    const quoted = { [RESPONSE]: `"${signer.register(challenge)}"` };
    const answer = await browser.post(quoted);
    assertEquals(answer?.status, 200);
    const next = answer === undefined ? undefined : challengeIn(answer);
    for (const shown of [`"${id}"`, id]) {
      const again = await browser.post({ [SESSION_ID]: shown });
      assertEquals(again?.status, 403);
    }
    const proof = `"${signer.refresh(next ?? "")}"`;
    const proved = await browser.post({ [SESSION_ID]: id, [RESPONSE]: proof });
    assertEquals(proved?.status, 200);
  });
});

describe("a proof", () => {
  it("succeeds without any cookie (DBSC 2)", async () => {
    const { site, browser, id } = await enforced();
    const proof = browser.signer.refresh(browser.challenge ?? "");
    const answer = await new DeviceBrowser(site).post({
      [SESSION_ID]: id,
      [RESPONSE]: proof,
    });
    assertEquals(answer?.status, 200);
    assertEquals(told(site), ["proved"]);
  });

  it("moves neither deadline (DBSC 13)", async () => {
    const { site, browser, id } = await enforced();
    const before = site.record(id);
    site.pass(500);
    const proof = browser.signer.refresh(browser.challenge ?? "");
    await browser.post({ [SESSION_ID]: id, [RESPONSE]: proof });
    const { binding: _, version: __, ...after } = { ...site.record(id) };
    const { binding: ___, version: ____, ...expected } = { ...before };
    assertEquals(after, expected);
  });

  it("works once, and kills the challenges before it (DBSC 9)", async () => {
    const { site, browser, id } = await enforced();
    const first = browser.challenge ?? "";
    site.pass(1);
    const asked = await browser.post({ [SESSION_ID]: id });
    const second = asked === undefined ? "" : challengeIn(asked) ?? "";
    const prove = (challenge: string) =>
      browser.post({
        [SESSION_ID]: id,
        [RESPONSE]: browser.signer.refresh(challenge),
      });
    assertEquals((await prove(second))?.status, 200);
    for (const old of [second, first]) {
      const refused = await prove(old);
      assertEquals(refused?.status, 403);
      assert(refused !== undefined && challengeIn(refused) !== undefined);
    }
    assertEquals(told(site), ["proved", "proof-refused", "proof-refused"]);
  });

  it("answers a challenge of interval and renewGrace ago, and none of before (DBSC 9)", async () => {
    for (const [age, status] of [[L, 200], [L + 1, 403]] as const) {
      const { site, browser, id, provedAt } = await enforced();
      // Another proof in the same millisecond is dated one later.
      const challenge = browser.challenge ?? "";
      const madeAt = parseInt(challenge.split(".")[1] ?? "", 36);
      assertEquals(madeAt - provedAt, 0);
      site.now = madeAt + age;
      const answer = await browser.post({
        [SESSION_ID]: id,
        [RESPONSE]: browser.signer.refresh(challenge),
      });
      assertEquals(answer?.status, status);
    }
  });

  it("wins alone over its equals at the same time (DBSC 10)", async () => {
    const { site, browser, id } = await enforced();
    const headers = {
      [SESSION_ID]: id,
      [RESPONSE]: browser.signer.refresh(browser.challenge ?? ""),
    };
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => browser.post(headers)),
    );
    const statuses = answers.map((answer) => answer?.status).sort();
    assertEquals(statuses, [200, 403, 403, 403, 403, 403, 403, 403]);
    assertEquals(told(site).filter((type) => type === "proved").length, 1);
  });

  it("that is bad gets a new challenge, writes nothing and harms nobody (DBSC 11)", async () => {
    const { site, browser, id } = await enforced();
    const { version } = site.record(id) ?? {};
    const challenge = browser.challenge ?? "";
    const other = await enforced(site);
    site.events.length = 0;
    const bad = [
      "",
      "nonsense",
      new DeviceSigner().refresh(challenge),
      browser.signer.register(challenge),
      browser.signer.refresh("nonsense"),
      browser.signer.refresh(other.browser.challenge ?? ""),
      browser.signer.refresh(challenge.slice(0, -1) + "_"),
      browser.signer.make({
        header: { alg: "none", typ: "dbsc+jwt" },
        payload: { jti: challenge },
        signature: "",
      }),
    ];
    for (const proof of bad) {
      const headers = { [SESSION_ID]: id, [RESPONSE]: proof };
      const answer = await browser.post(headers);
      assertEquals(answer?.status, 403, proof);
      assertEquals(answer?.headers.getSetCookie(), []);
      assert(answer !== undefined && challengeIn(answer) !== undefined);
    }
    assertEquals(told(site), bad.map(() => "proof-refused"));
    assertEquals(site.record(id)?.version, version);
    assertEquals(await browser.principal(), "ada");
  });

  it("of a browser that has another session's cookie by now is refused", async () => {
    const { site, browser, id } = await enforced();
    const other = await enforced(site);
    const headers = {
      [SESSION_ID]: id,
      [RESPONSE]: browser.signer.refresh(browser.challenge ?? ""),
    };
    assertEquals((await other.browser.post(headers))?.status, 401);
    assertEquals((await browser.post(headers))?.status, 200);
  });

  it("of a session that has ended, or is not bound, is refused", async () => {
    const { site, browser, id } = await enforced();
    const unbound = await offered(site);
    await site.manager.destroy(id);
    const headers = {
      [RESPONSE]: browser.signer.refresh(browser.challenge ?? ""),
    };
    for (const named of [id, unbound.id, "nonsense", "A".repeat(24)]) {
      const answer = await browser.post(
        { ...headers, [SESSION_ID]: named },
        { hasCookies: false },
      );
      assertEquals(answer?.status, 401, named);
    }
  });

  it("goes on after another server with a clock ahead has answered one", async () => {
    const { site, browser, id } = await enforced();
    site.pass(50);
    const headers = () => ({
      [SESSION_ID]: id,
      [RESPONSE]: browser.signer.refresh(browser.challenge ?? ""),
    });
    browser.forgetProofs();
    await browser.visit();
    site.clock.advance(-40);
    browser.forgetProofs();
    assertEquals(await browser.principal(), "ada");
    assertEquals((await browser.post(headers()))?.status, 200);
    assertEquals(browser.bound, [id]);
  });
});

describe("the path", () => {
  it("is answered with 200, 400, 401, 403 and 503, and nothing is stored of it (DBSC 12)", async () => {
    const { site, browser, id } = await enforced();
    const ids = [undefined, "", "nonsense", id, `"${id}"`];
    const proofs = [
      undefined,
      "",
      "nonsense",
      browser.signer.refresh(browser.challenge ?? ""),
    ];
    const statuses = new Set<number | undefined>();
    for (const named of ids) {
      for (const proof of proofs) {
        const answer = await browser.post({
          ...(named === undefined ? {} : { [SESSION_ID]: named }),
          ...(proof === undefined ? {} : { [RESPONSE]: proof }),
        });
        statuses.add(answer?.status);
        assertEquals(answer?.headers.get("cache-control"), "no-store");
      }
    }
    site.provider.read = () => {
      throw new Error("disk on fire");
    };
    statuses.add((await browser.post({ [SESSION_ID]: id }))?.status);
    assertEquals([...statuses].sort(), [200, 400, 401, 403, 503]);
  });

  it("answers 503 when others write first again and again, or the store does not answer (DBSC 12)", async () => {
    for (
      const update of [
        () => "conflict" as const,
        () => {
          throw new Error("disk on fire");
        },
      ]
    ) {
      const { site, browser, id } = await enforced();
      const keep = site.provider.update;
      site.provider.update = update;
      const headers = {
        [SESSION_ID]: id,
        [RESPONSE]: browser.signer.refresh(browser.challenge ?? ""),
      };
      assertEquals((await browser.post(headers))?.status, 503);
      site.provider.update = keep;
      assertEquals((await browser.post(headers))?.status, 200);
    }
  });

  it("is refused by start, so that nobody can forget to intercept (DBSC 23)", async () => {
    const site = new BoundSite();
    const post = new Request(`http://localhost${PATH}?from=elsewhere`, {
      method: "POST",
    });
    let message = "";
    try {
      await site.manager.start(post);
    } catch (error) {
      assert(error instanceof TypeError);
      message = error.message;
    }
    assert(message.startsWith(`Cannot start session: POST to ${PATH}`));
    await site.manager.start(new Request(`http://localhost${PATH}`));
    await site.manager.start(
      new Request(`http://localhost${PATH}/more`, { method: "POST" }),
    );
    const open = new Site();
    await open.manager.start(post);
    assertEquals(await open.manager.intercept(post), undefined);
  });

  it("can be another one, and is told as that", async () => {
    const site = new BoundSite({ deviceBound: { path: "/auth/device" } });
    const browser = await new DeviceBrowser(site).signIn();
    assertEquals(browser.posts, ["/auth/device 200"]);
    browser.forgetProofs();
    assertEquals(await browser.principal(), "ada");
    assertEquals(browser.posts.at(-1), "/auth/device 200");
  });

  it("is answered before the check for requests of other sites", async () => {
    const { site, challenge } = await offered();
    const request = new Request(`http://localhost${PATH}`, {
      method: "POST",
      headers: {
        [RESPONSE]: new DeviceSigner().register(challenge),
        "sec-fetch-site": "cross-site",
        origin: "https://accounts.example.org",
      },
    });
    assertEquals((await site.manager.intercept(request))?.status, 200);
  });

  it("tells a cookie that is not Lax whose pages may ask for a proof", async () => {
    for (const sameSite of ["strict", "none"] as const) {
      const { browser, challenge } = await offered(
        new BoundSite({
          cookie: { sameSite },
          trustedOrigins: ["https://accounts.example.org"],
        }),
      );
      const answer = await browser.post({
        [RESPONSE]: new DeviceSigner().register(challenge),
      });
      const { allowed_refresh_initiators } = await answer?.json();
      assertEquals(allowed_refresh_initiators, ["accounts.example.org"]);
    }
  });
});

describe("a binding is enforced", () => {
  it("not before the browser was seen with its cookie (DBSC 5)", async () => {
    const { site, browser } = await registered();
    const copy = withoutProof(browser.cookie);
    site.pass(800);
    assertEquals(await site.principalWith(copy), "ada");
  });

  it("renewGrace after the first request that has the cookie, at the millisecond (DBSC 5)", async () => {
    const { site, browser } = await registered();
    const copy = withoutProof(browser.cookie);
    site.pass(10);
    await browser.visit();
    const seenAt = site.now;
    site.now = seenAt + GRACE - 1;
    assertEquals(await site.principalWith(copy), "ada");
    site.now = seenAt + GRACE;
    assertEquals(await site.principalWith(copy), undefined);
    assertEquals(await browser.principal(), "ada");
  });

  it("renewGrace after the first proof, at the millisecond (DBSC 5)", async () => {
    const { site, browser } = await registered();
    const copy = withoutProof(browser.cookie);
    site.pass(10);
    const proof = browser.signer.refresh(browser.challenge ?? "");
    await browser.post({ [SESSION_ID]: idOf(browser), [RESPONSE]: proof });
    const provedAt = site.now;
    site.now = provedAt + GRACE - 1;
    assertEquals(await site.principalWith(copy), "ada");
    site.now = provedAt + GRACE;
    assertEquals(await site.principalWith(copy), undefined);
  });

  it("not by a cookie that somebody made up", async () => {
    const { site, browser, id } = await registered();
    const copy = withoutProof(browser.cookie);
    for (const value of ["zzzzzzzzz.AAAAAAAAAAAAAAAAAAAAAA", "", "x"]) {
      const made = `${copy}; __Host-id-${id.slice(0, 8)}=${value}`;
      assertEquals(await site.principalWith(made), "ada");
    }
    site.pass(700);
    assertEquals(await site.principalWith(copy), "ada");
  });

  it("once, however many requests of the browser come at the same time", async () => {
    const { site, browser, id } = await registered();
    await Promise.all(Array.from({ length: 5 }, () => browser.visit()));
    assertEquals(site.record(id)?.version, 3);
  });

  it("by a binding that nobody can read as by one that nobody can prove", async () => {
    const { site, browser, id } = await registered();
    site.provider.update(id, { binding: "what is this" }, {}, site.now);
    assertEquals(await site.principalWith(browser.cookie), undefined);
    assertEquals(told(site), ["unproven"]);
  });
});

describe("a copy", () => {
  it("of both cookies is out at interval and renewGrace after the proof, at the millisecond (DBSC 7)", async () => {
    const { site, browser, provedAt } = await enforced();
    const copy = browser.cookie;
    site.now = provedAt + L - 1;
    assertEquals(await site.principalWith(copy), "ada");
    site.now = provedAt + L;
    assertEquals(await site.principalWith(copy), undefined);
    assertEquals(told(site), ["unproven"]);
    assertEquals(await browser.principal(), "ada");
  });

  it("of both cookies lasts no longer, whatever the thief does with them (DBSC 7)", async () => {
    const { site, browser, id, provedAt } = await enforced();
    let stolen = browser.cookie ?? "";
    const proof = / ?(__Host-id-[^;]+)/.exec(stolen)?.[1] ?? "";
    let last = 0;
    for (let at = provedAt; at < provedAt + 3 * L; at += 10_000) {
      site.now = at;
      const answer = await site.run(stolen, (session) => {
        if (session.principal === "ada") last = at;
        session.regenerate();
      });
      const [got] = answer.headers.getSetCookie();
      if (got?.startsWith("__Host-id=")) {
        stolen = `${withoutProof(got)}; ${proof}`;
      }
      // Without the key each challenge is of no use.
      const asked = new Request(`http://localhost${PATH}`, {
        method: "POST",
        headers: { [SESSION_ID]: id, cookie: stolen },
      });
      assertEquals((await site.manager.intercept(asked))?.status, 403);
    }
    assertEquals(last, provedAt + L - 10_000);
  });

  it("of the session cookie alone opens nothing, changes nothing and ends nothing (DBSC 7)", async () => {
    const { site, browser, id } = await enforced();
    const before = site.record(id);
    const copy = withoutProof(browser.cookie);
    const deeds: ((session: Session) => unknown)[] = [
      (session) => assertEquals(session.principal, undefined),
      (session) => session.destroy(),
      (session) => session.destroy({ clearSiteData: true }),
      (session) => session.set("name", "Mallory"),
      (session) => session.update("name", () => "Mallory"),
      (session) => session.regenerate(),
      (session) => session.lifetime({ persistent: true }),
      (session) => session.signIn("mallory"),
      (session) => session.formToken(),
      async (session) => assertFalse(await session.isAlive()),
    ];
    for (const deed of deeds) await site.run(copy, deed);
    assertEquals(site.record(id), before);
    assertEquals(await browser.principal(), "ada");
  });

  it("of an old session cookie raises no alarm without the device (DBSC 7)", async () => {
    const site = new BoundSite();
    const { browser } = await enforced(site);
    const old = withoutProof(browser.cookie);
    site.pass(60);
    await browser.visit((session) => session.regenerate());
    await browser.visit();
    site.pass(60);
    site.events.length = 0;
    assertEquals(await site.principalWith(old), undefined);
    assertEquals(told(site), ["unproven"]);
    assertEquals(await browser.principal(), "ada");
  });

  it("of the bound cookie alone is worth nothing", async () => {
    const { site, browser } = await enforced();
    const alone = /(__Host-id-[^;]+)/.exec(browser.cookie ?? "")?.[0];
    assertEquals(await site.principalWith(alone), undefined);
    assertEquals(await browser.principal(), "ada");
  });

  it("from between sign-in and binding is out at renewGrace after the confirmation (DBSC 5)", async () => {
    const { site, browser, challenge } = await offered();
    const copy = browser.cookie;
    site.pass(100);
    const signer = new DeviceSigner();
    await browser.post({ [RESPONSE]: signer.register(challenge) });
    site.pass(200);
    await browser.visit();
    const confirmedAt = site.now;
    site.now = confirmedAt + GRACE - 1;
    assertEquals(await site.principalWith(copy), "ada");
    site.now = confirmedAt + GRACE;
    assertEquals(await site.principalWith(copy), undefined);
  });

  it("of the answer to the registration is one of both cookies", async () => {
    const { site, browser, challenge } = await offered();
    const copy = browser.cookie;
    const offeredAt = site.now;
    const answer = await browser.post({
      [RESPONSE]: new DeviceSigner().register(challenge),
    });
    const got = answer?.headers.getSetCookie()[0]?.split(";")[0];
    const both = `${copy}; ${got}`;
    await browser.visit();
    site.now = offeredAt + L - 1;
    assertEquals(await site.principalWith(both), "ada");
    site.now = offeredAt + L;
    assertEquals(await site.principalWith(both), undefined);
  });

  it("of the answer to the sign-in, with a key of the thief's, ends with the owner's next sign-in", async () => {
    const { site, browser, challenge, id } = await offered();
    const copy = browser.cookie;
    const thief = new DeviceBrowser(site);
    thief.jar.add(browser.jar.cookies());
    const answer = await thief.post({
      [RESPONSE]: new DeviceSigner().register(challenge),
    });
    assertEquals(answer?.status, 200);
    await thief.visit();
    const usedAt = site.now;
    site.now = usedAt + GRACE - 1;
    assertEquals(await site.principalWith(copy), "ada");
    site.now = usedAt + GRACE;
    assertEquals(await browser.principal(), undefined);
    assertEquals(await thief.principal(), "ada");
    await browser.signIn();
    assertEquals(site.record(id), undefined);
    assertEquals(await browser.principal(), "ada");
    assertEquals(await thief.principal(), undefined);
    assertEquals((await site.manager.list("ada")).length, 1);
  });

  it("of a proof that was used is good for one cookie of its time", async () => {
    const { site, browser, id } = await enforced();
    const proof = browser.signer.refresh(browser.challenge ?? "");
    // The thief is faster, and the browser has to sign once more.
    site.pass(10);
    const stolen = await new DeviceBrowser(site).post({
      [SESSION_ID]: id,
      [RESPONSE]: proof,
    });
    const got = stolen?.headers.getSetCookie()[0]?.split(";")[0];
    const usedAt = site.now;
    browser.forgetProofs();
    assertEquals(await browser.principal(), "ada");
    assertEquals(browser.posts.map((post) => post.slice(-3)), ["403", "200"]);
    const both = `${withoutProof(browser.cookie)}; ${got}`;
    site.now = usedAt + L - 1;
    assertEquals(await site.principalWith(both), "ada");
    site.now = usedAt + L;
    assertEquals(await site.principalWith(both), undefined);
  });

  it("with a hoard of signatures is out at twice interval and renewGrace after the last", async () => {
    const { site, browser, id } = await enforced();
    const copy = withoutProof(browser.cookie);
    const asked = await browser.post({ [SESSION_ID]: id });
    const leftAt = site.now;
    const challenge = asked === undefined ? "" : challengeIn(asked) ?? "";
    const hoarded = browser.signer.refresh(challenge);
    const madeAt = parseInt(challenge.split(".")[1] ?? "", 36);
    assertEquals(madeAt, leftAt);
    site.now = leftAt + L;
    const answer = await new DeviceBrowser(site).post({
      [SESSION_ID]: id,
      [RESPONSE]: hoarded,
    });
    const got = answer?.headers.getSetCookie()[0]?.split(";")[0];
    site.now = leftAt + 2 * L - 1;
    assertEquals(await site.principalWith(`${copy}; ${got}`), "ada");
    site.now = leftAt + 2 * L;
    assertEquals(await site.principalWith(`${copy}; ${got}`), undefined);
  });

  it("of a session of a browser that cannot bind works as without", async () => {
    const { site, browser } = await offered();
    site.pass(800);
    assertEquals(await site.principalWith(browser.cookie), "ada");
    site.pass(100);
    // It is found out by renewal, as ever.
    const answer = await browser.visit();
    assertEquals(names(answer), ["__Host-id"]);
  });

  it("that claims to have no support, or leaves headers out, is out all the same", async () => {
    const { site, browser } = await enforced();
    const copy = withoutProof(browser.cookie);
    for (const skipped of ["unreachable", "server_error", "quota_exceeded"]) {
      const request = new Request("http://localhost/", {
        headers: { cookie: copy, "secure-session-skipped": skipped },
      });
      const session = await site.manager.start(request);
      assert(session.isUnproven);
    }
    const { events } = site;
    assertEquals(
      events.map((event) => "skipped" in event ? event.skipped : event.type),
      ["unreachable", "server_error", "quota_exceeded"],
    );
  });
});

describe("an unproven request", () => {
  it("sets no session cookie, and keeps the family of form tokens (DBSC 8)", async () => {
    const { site, browser } = await enforced();
    const copy = withoutProof(browser.cookie);
    let form = "";
    const answer = await site.run(copy, (session) => {
      form = session.formToken();
      session.set("name", "Mallory");
    });
    assertEquals(names(answer), []);
    let isChecked = false;
    await browser.visit((session) => {
      isChecked = session.checkFormToken(form);
    });
    assert(isChecked);
  });

  it("says why there is no session", async () => {
    const { site, browser } = await enforced();
    await site.run(withoutProof(browser.cookie), (session) => {
      assertEquals(
        [session.isUnproven, session.refusal, session.isNew],
        [true, "unproven", true],
      );
      assertEquals(
        [session.isDeviceBound, session.provedAt, session.proveAgain()],
        [false, undefined, false],
      );
    });
    await browser.visit((session) => assertFalse(session.isUnproven));
  });

  it("loses a stale bound cookie, so that the browser proves and is in again", async () => {
    const { site, browser, id, provedAt } = await enforced();
    const stale = browser.cookie;
    site.now = provedAt + L;
    const answer = await site.run(stale, () => {});
    assertEquals(names(answer), [`__Host-id-${id.slice(0, 8)}`]);
    assert(/; Max-Age=0;/.test(answer.headers.getSetCookie()[0] ?? ""));
    const shared = await site.manager.run(
      requestWith(stale),
      () => new Response(null, { headers: { "cache-control": "public" } }),
    );
    assertEquals(names(shared), []);
  });

  it("that signs in as the same user ends the old session, and as another leaves it (DBSC 18)", async () => {
    for (const [user, isEnded] of [["ada", true], ["grace", false]] as const) {
      const { site, browser, id } = await enforced();
      const copy = withoutProof(browser.cookie);
      await site.run(copy, (session) => session.signIn(user));
      assertEquals(site.record(id) === undefined, isEnded);
      assertEquals((await site.manager.list(user)).length, 1);
    }
  });

  it("after a sign-in with the browser that was locked out goes on in the new session", async () => {
    const { site, browser } = await enforced();
    const other = new DeviceBrowser(site);
    other.jar.add(
      browser.jar.cookies().filter(({ name }) => name === "__Host-id"),
    );
    assertEquals(await other.principal(), undefined);
    await other.signIn();
    assertEquals(await other.principal(), "ada");
    assertEquals(other.bound.length, 1);
  });
});

describe("a bound session", () => {
  it("is not renewed by time while the device proves itself", async () => {
    const { site, browser } = await enforced();
    const secret = withoutProof(browser.cookie);
    for (let count = 0; count < 6; count++) {
      site.pass(500);
      await browser.visit();
    }
    assertEquals(withoutProof(browser.cookie), secret);
    assertEquals(await browser.principal(), "ada");
  });

  it("can be renewed on demand", async () => {
    const { site, browser } = await enforced();
    const secret = withoutProof(browser.cookie);
    await browser.visit((session) => session.regenerate());
    await browser.visit();
    site.pass(60);
    assertFalse(withoutProof(browser.cookie) === secret);
    assertEquals(await browser.principal(), "ada");
  });

  it("says that it is bound, and when the device proved itself", async () => {
    const { site, browser, provedAt } = await enforced();
    site.pass(100);
    await browser.visit((session) => {
      assert(session.isDeviceBound);
      assertEquals(session.provedAt, provedAt);
    });
    const unbound = await offered(site);
    await unbound.browser.visit((session) => {
      assertFalse(session.isDeviceBound);
      assertEquals(session.provedAt, undefined);
    });
    const list = await site.manager.list("ada");
    assertEquals(list.map(({ isDeviceBound }) => isDeviceBound).sort(), [
      false,
      true,
    ]);
  });

  it("loses both cookies at sign-out", async () => {
    const { browser, id } = await enforced();
    const answer = await browser.visit((session) => session.destroy());
    assertEquals(names(answer), ["__Host-id", `__Host-id-${id.slice(0, 8)}`]);
    assertEquals(browser.cookie, undefined);
    assertEquals(await browser.principal(), undefined);
    assertEquals(browser.bound, []);
  });

  it("proves again for a payment, body and all, when it is asked to", async () => {
    const { site, browser } = await enforced();
    site.pass(300);
    let paid = 0;
    const pay = (session: Session) => {
      const isRecent = site.now - (session.provedAt ?? 0) < 60_000;
      if (!isRecent && session.proveAgain()) {
        return new Response(null, { status: 307 });
      }
      if (isRecent) paid++;
      return new Response();
    };
    await browser.visit(pay);
    assertEquals(paid, 1);
    assertEquals(browser.posts.length, 1);
  });

  it("does nothing delicate for a copy, once the app's threshold after the proof is over", async () => {
    const { site, browser, provedAt } = await enforced();
    const copy = browser.cookie;
    const isRecent = async () => {
      let answer = false;
      await site.run(copy, (session) => {
        answer = site.now - (session.provedAt ?? 0) < 60_000;
        if (!answer) session.proveAgain();
      });
      return answer;
    };
    site.now = provedAt + 59_999;
    assert(await isRecent());
    site.now = provedAt + 60_000;
    assertFalse(await isRecent());
  });

  it("is another's after a switch of users in one browser, and never in the way (DBSC 15)", async () => {
    const { site, browser } = await enforced();
    await browser.signIn("grace");
    await browser.visit();
    for (let count = 0; count < 4; count++) {
      site.pass(590);
      assertEquals(await browser.principal(), "grace");
    }
    assertEquals(browser.bound.length, 1);
  });

  it("beside another one in the same browser has a cookie of its own (DBSC 15)", async () => {
    const { site, browser, id } = await enforced();
    const other = await enforced(site);
    browser.jar.add(
      other.browser.jar.cookies().filter(({ name }) => name !== "__Host-id"),
    );
    assertEquals(browser.jar.cookies().length, 3);
    assertFalse(other.id.slice(0, 8) === id.slice(0, 8));
    assertEquals(await browser.principal(), "ada");
  });

  it("goes on after a link from another site (DBSC 16)", async () => {
    const { site, browser } = await enforced();
    site.pass(700);
    let principal: string | undefined;
    await browser.visit((session) => {
      principal = session.principal;
    }, { isFromElsewhere: true });
    assertEquals(principal, "ada");
    assertEquals(browser.posts.at(-1), `${PATH} 200`);
  });

  it("that ends with the browser does not come back after a restart, and one that stays does (DBSC 14)", async () => {
    for (const persistent of [false, true]) {
      const { browser } = await enforced(
        new BoundSite({ cookie: { persistent } }),
      );
      browser.restart();
      browser.forgetProofs();
      const principal = persistent ? "ada" : undefined;
      assertEquals(await browser.principal(), principal);
      assertEquals(browser.posts.at(-1), `${PATH} 200`);
    }
  });
});

describe("a mode", () => {
  it("that requires a device refuses at 120 seconds after the sign-in, at the millisecond (DBSC 17)", async () => {
    const { site, browser, offeredAt, id } = await offered(
      new BoundSite({ deviceBound: { mode: "require" } }),
    );
    site.now = offeredAt + OFFER - 1;
    assertEquals(await browser.principal(), "ada");
    site.now = offeredAt + OFFER;
    assertEquals(await browser.principal(), undefined);
    assertEquals(told(site), ["unbound"]);
    await browser.signIn();
    assertEquals(site.record(id), undefined);
    assertEquals(await browser.principal(), "ada");
  });

  it("that requires a device lets those go on that have one, and visitors", async () => {
    const site = new BoundSite({ deviceBound: { mode: "require" } });
    const { browser } = await enforced(site);
    const visitor = new DeviceBrowser(site);
    await visitor.visit((session) => session.set("cart", ["hat"]));
    site.pass(700);
    assertEquals(await browser.principal(), "ada");
    let cart: unknown;
    await visitor.visit((session) => {
      cart = session.get("cart");
    });
    assertEquals(cart, ["hat"]);
  });

  it("that requires a device refuses whoever signed in before there was one", async () => {
    const before = new BoundSite({ deviceBound: undefined });
    const { browser } = await offered(before);
    const site = new BoundSite({
      provider: before.provider,
      deviceBound: { mode: "require" },
      now: before.clock.now,
    });
    assertEquals(await site.principalWith(browser.cookie), "ada");
    before.now += OFFER;
    assertEquals(await site.principalWith(browser.cookie), undefined);
  });

  it("that requires a device counts a key whose browser never came with its cookie as none", async () => {
    const { site, challenge, browser } = await offered(
      new BoundSite({ deviceBound: { mode: "require" } }),
    );
    const lost = new DeviceBrowser(site);
    await lost.post({ [RESPONSE]: new DeviceSigner().register(challenge) });
    site.pass(119);
    assertEquals(await browser.principal(), "ada");
    site.pass(1);
    assertEquals(await browser.principal(), undefined);
  });

  it("that keeps what there is takes proofs, and enforces them (DBSC 17)", async () => {
    const before = new BoundSite();
    const { browser, provedAt } = await enforced(before);
    const copy = browser.cookie;
    const site = new BoundSite({
      provider: before.provider,
      deviceBound: { mode: "keep" },
      now: before.clock.now,
    });
    before.now = provedAt + L;
    assertEquals(await site.principalWith(copy), undefined);
    const asked = new Request(`http://localhost${PATH}`, {
      method: "POST",
      headers: {
        [SESSION_ID]: idOf(browser),
        [RESPONSE]: browser.signer.refresh(browser.challenge ?? ""),
      },
    });
    assertEquals((await site.manager.intercept(asked))?.status, 200);
  });
});

describe("without the option", () => {
  it("there is no header, and no call of the store more (DBSC 24)", async () => {
    const calls = async (options: ManagerOptions) => {
      const site = new BoundSite(options);
      const made: string[] = [];
      for (const name of ["create", "read", "update", "touch"] as const) {
        const call = site.provider[name].bind(site.provider) as (
          ...args: unknown[]
        ) => unknown;
        Object.assign(site.provider, {
          [name]: (...args: unknown[]) => {
            made.push(name);
            return call(...args);
          },
        });
      }
      const browser = new DeviceBrowser(site);
      browser.canBind = false;
      const headers: string[] = [];
      for (let count = 0; count < 3; count++) {
        const answer = await browser.visit((session) => {
          if (count === 0) session.signIn("ada");
        });
        headers.push(...answer?.headers.keys() ?? []);
      }
      return { made, headers };
    };
    const without = await calls({ deviceBound: undefined });
    const plain = await calls({ deviceBound: {} });
    assertEquals(
      without.headers.filter((name) => /device|secure-/.test(name)),
      [],
    );
    assertEquals(plain.made, without.made);
    assertEquals(
      plain.headers.filter((name) => !without.headers.includes(name)),
      ["secure-session-registration"],
    );
  });

  it("a page request of a bound session makes no call more (DBSC 24)", async () => {
    const { site, browser } = await enforced();
    let reads = 0;
    let writes = 0;
    const { provider } = site;
    const read = provider.read.bind(provider);
    provider.read = (...args) => {
      reads++;
      return read(...args);
    };
    const update = provider.update.bind(provider);
    provider.update = (...args) => {
      writes++;
      return update(...args);
    };
    await browser.visit();
    assertEquals([reads, writes], [1, 0]);
  });
});
