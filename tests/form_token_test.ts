import { assert, assertEquals, assertFalse, assertThrows } from "@std/assert";
import fc from "fast-check";
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { checkFormToken, makeFormToken } from "../core/secret/form_token.ts";
import { familyOf, mintSecret } from "../core/secret/token.ts";
import { secretOf } from "./_tokens.ts";
import { type Session, SessionError } from "../mod.ts";
import { Browser, Site } from "./_browser.ts";

const FAMILY = familyOf(mintSecret());

/** A browser that was shown a form, and what the form's hidden field holds. */
async function shown(site: Site): Promise<{ browser: Browser; field: string }> {
  const browser = new Browser(site);
  let field = "";
  await browser.visit((session) => field = session.formToken());
  return { browser, field };
}

async function accepts(browser: Browser, field: unknown): Promise<boolean> {
  return await browser.look((session) => session.checkFormToken(field));
}

describe("a form token", () => {
  it("is 86 characters that need no escaping in HTML or a URL", () => {
    assert(/^[\w-]{86}$/.test(makeFormToken(FAMILY)));
  });

  it("is another one each time, and each is valid", () => {
    const tokens = new Set<string>();
    for (let count = 0; count < 1000; count++) {
      const token = makeFormToken(FAMILY);
      assert(checkFormToken(FAMILY, token));
      tokens.add(token);
    }
    assertEquals(tokens.size, 1000);
  });

  it("has no character that stays the same from one to the next", () => {
    const tokens = Array.from({ length: 200 }, () => makeFormToken(FAMILY));
    for (let index = 0; index < 86; index++) {
      const seen = new Set(tokens.map((token) => token[index]));
      assert(seen.size > 2, `position ${index} shows ${[...seen].join("")}`);
    }
  });

  it("holds neither the secret nor what the secret's family is", () => {
    const secret = mintSecret();
    const token = makeFormToken(familyOf(secret));
    assertFalse(token.includes(familyOf(secret)));
    const bytes = Buffer.from(token, "base64url");
    const unmasked = bytes.slice(0, 32).map((byte, at) =>
      byte ^ bytes[32 + at]!
    );
    const text = new TextDecoder("latin1").decode(unmasked);
    assertFalse(text.includes(familyOf(secret)));
  });

  it("is worth nothing in another family", () => {
    const token = makeFormToken(FAMILY);
    assertFalse(checkFormToken(familyOf(mintSecret()), token));
  });
});

describe("a form field that is no form token", () => {
  it("is refused if it is no string", () => {
    const fields = [undefined, null, 0, true, {}, [], new Blob(["a"])];
    for (const field of fields) assertFalse(checkFormToken(FAMILY, field));
  });

  it("is refused if it holds the right token in a list", () => {
    assertFalse(checkFormToken(FAMILY, [makeFormToken(FAMILY)]));
  });

  it("is refused if it is any other text, and never throws", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (field) => {
      assertFalse(checkFormToken(FAMILY, field));
    }));
  });

  it("is refused if it is any other text of the right length", () => {
    const texts = fc.string({ unit: "binary", minLength: 86, maxLength: 86 });
    fc.assert(fc.property(texts, (field) => {
      assertFalse(checkFormToken(FAMILY, field));
    }));
  });

  it("is refused if one character of the right token was changed", () => {
    const token = makeFormToken(FAMILY);
    for (let at = 0; at < 85; at++) {
      const other = token[at] === "A" ? "B" : "A";
      const field = token.slice(0, at) + other + token.slice(at + 1);
      assertFalse(checkFormToken(FAMILY, field), `position ${at}`);
    }
  });

  it("is refused if the right token was cut or lengthened", () => {
    const token = makeFormToken(FAMILY);
    for (const field of [token.slice(1), token.slice(0, -1), `${token}A`]) {
      assertFalse(checkFormToken(FAMILY, field));
    }
  });

  it("is refused if the right token was lengthened by what decoders skip", () => {
    const token = makeFormToken(FAMILY);
    for (const field of [`${token}==`, ` ${token}`, `${token}\n`]) {
      assertFalse(checkFormToken(FAMILY, field));
    }
  });

  it("is refused if it is a mask with nothing behind it", () => {
    assertFalse(checkFormToken(FAMILY, "A".repeat(86)));
  });
});

describe("a session's form token", () => {
  it("is accepted in the next request", async () => {
    const { browser, field } = await shown(new Site());
    assert(await accepts(browser, field));
  });

  it("makes a new session worth storing, so that the form can be checked", async () => {
    const { browser } = await shown(new Site());
    assert(browser.cookie !== undefined);
  });

  it("is accepted again and again, beside every other one of the session", async () => {
    const { browser, field } = await shown(new Site());
    let second = "";
    await browser.visit((session) => second = session.formToken());
    for (const value of [field, second, field]) {
      assert(await accepts(browser, value));
    }
  });

  it("is refused in another session", async () => {
    const site = new Site();
    const { field } = await shown(site);
    const { browser: other } = await shown(site);
    assertFalse(await accepts(other, field));
  });

  it("is refused in a request without a session", async () => {
    const site = new Site();
    const { field } = await shown(site);
    assertFalse(await accepts(new Browser(site), field));
  });

  it("is refused to a new session in the request that made it", async () => {
    const session = await new Site().start();
    assertFalse(session.checkFormToken(session.formToken()));
  });

  it("stays good when the session gets a new secret in the course of time", async () => {
    const site = new Site();
    const { browser, field } = await shown(site);
    const before = browser.token;
    for (let renewal = 0; renewal < 3; renewal++) {
      site.pass(900);
      await browser.visit();
    }
    assert(secretOf(browser.token) !== secretOf(before));
    assert(await accepts(browser, field));
  });

  it("is accepted from a request that still comes with the secret before", async () => {
    const site = new Site();
    const { browser, field } = await shown(site);
    const straggler = new Browser(site, browser.cookie);
    site.pass(900);
    await browser.visit();
    assert(await accepts(straggler, field));
  });

  it("ends with a sign-in", async () => {
    const { browser, field } = await shown(new Site());
    await browser.visit((session) => session.signIn("ada"));
    assertFalse(await accepts(browser, field));
  });

  it("ends with a new proof of identity, and not with a renewal", async () => {
    const { browser } = await shown(new Site());
    let field = "";
    await browser.visit((session) => {
      session.signIn("ada");
      field = session.formToken();
    });
    browser.site.pass(30);
    await browser.visit((session) => session.regenerate());
    assert(await accepts(browser, field));
    await browser.visit((session) =>
      session.regenerate({ reauthenticated: true })
    );
    assertFalse(await accepts(browser, field));
  });

  it("is still accepted from a second click on the sign-in button", async () => {
    const { browser, field } = await shown(new Site());
    const second = new Browser(browser.site, browser.cookie);
    await browser.visit((session) => session.signIn("ada"));
    assert(await accepts(second, field));
    browser.site.pass(30);
    assertFalse(await accepts(second, field));
  });

  it("that is made in the request of a sign-in is good after it", async () => {
    const { browser } = await shown(new Site());
    let field = "";
    await browser.visit((session) => {
      session.signIn("ada");
      field = session.formToken();
    });
    assert(await accepts(browser, field));
  });

  it("that a new visitor is shown while signing in is good after it", async () => {
    const browser = new Browser(new Site());
    let field = "";
    await browser.visit((session) => {
      session.signIn("ada");
      field = session.formToken();
    });
    assert(await accepts(browser, field));
  });

  it("can still be made while a stored session's response streams", async () => {
    const { browser } = await shown(new Site());
    let kept: Session | undefined;
    await browser.visit((session) => kept = session);
    assert(await accepts(browser, kept?.formToken()));
  });

  it("cannot be made when the new session went out without being stored", async () => {
    let kept: Session | undefined;
    await new Browser(new Site()).visit((session) => kept = session);
    const { code } = assertThrows(
      () => kept?.formToken(),
      SessionError,
      "Cannot make form token",
    ) as SessionError;
    assertEquals(code, "committed");
  });

  it("cannot be made in a new session that was destroyed", async () => {
    const session = await new Site().start();
    session.destroy();
    assertThrows(() => session.formToken(), SessionError, "destroyed");
  });

  it("is checked without storing a session for whoever tries", async () => {
    const browser = new Browser(new Site());
    await browser.visit((session) => session.checkFormToken("A".repeat(86)));
    assertEquals(browser.cookie, undefined);
  });
});
