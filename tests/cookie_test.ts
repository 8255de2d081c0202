import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertMatch,
  assertNotMatch,
  assertThrows,
} from "@std/assert";
import fc from "fast-check";
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import {
  clearCookie,
  type CookieOptions,
  cookieValueAt,
  findCookie,
  MAX_COOKIE_AGE,
  resolveCookie,
  setCookie,
} from "../core/carriage/cookie.ts";
import { isToken } from "../core/secret/token.ts";
import { mintToken } from "./_tokens.ts";
import { texts } from "./_arbitraries.ts";

/** All values under a name, as the library reads them. */
function readAll(header: string, name: string): string[] {
  const values: string[] = [];
  let at = findCookie(header, name);
  while (at !== -1) {
    values.push(cookieValueAt(header, at));
    at = findCookie(header, name, at);
  }
  return values;
}

/** The same by the plainest code there is. */
function readAllNaively(header: string, name: string): string[] {
  return header.split(";")
    .map((pair) => pair.replace(/^[ \t]+/, ""))
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1).trim());
}

const names = fc.constantFrom("id", "__Host-id", "a", "aa", "aba", "!#$%&'*+");

/** Headers in which names, separators and look-alikes meet often. */
const headers = names.chain((name) =>
  fc.array(
    fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(name, `${name}=`, "=", ";") },
      { weight: 2, arbitrary: fc.constantFrom("; ", " ", "\t", ",", '"') },
      {
        weight: 1,
        arbitrary: fc.constantFrom(`x${name}`, `${name}x`, "\v", "\xa0", "id"),
      },
      { weight: 1, arbitrary: fc.string() },
    ),
    { maxLength: 20 },
  ).map((parts) => ({ name, header: parts.join("") }))
);

/** Attributes of a `Set-Cookie` header by name; fails if one comes twice. */
function attributesOf(header: string): Map<string, string> {
  const attributes = new Map<string, string>();
  for (const attribute of header.split("; ").slice(1)) {
    const [name = "", ...value] = attribute.split("=");
    assertFalse(attributes.has(name), `${name} comes twice`);
    attributes.set(name, value.join("="));
  }
  return attributes;
}

function pairOf(header: string): string {
  return header.split(";")[0] ?? "";
}

/** Options that browsers accept, in every combination. */
const goodOptions: fc.Arbitrary<CookieOptions> = fc.record({
  name: fc.constantFrom(undefined, "sid", "__secure_id"),
  path: fc.constantFrom(undefined, "/", "/app", "/a b/c=d,e"),
  domain: fc.constantFrom(undefined, "example.com", "localhost", "127.0.0.1"),
  secure: fc.constant(true),
  sameSite: fc.constantFrom(undefined, "strict", "lax", "none"),
  partitioned: fc.constantFrom(undefined, true, false),
  persistent: fc.constantFrom(undefined, true, false),
});

function refusalOf(options: unknown): string {
  return assertThrows(() => resolveCookie(options as CookieOptions), TypeError)
    .message;
}

describe("the cookie reader", () => {
  it("agrees with a naive parser on arbitrary headers", () => {
    fc.assert(
      fc.property(headers, ({ header, name }) => {
        assertEquals(readAll(header, name), readAllNaively(header, name));
      }),
      { numRuns: 2000 },
    );
  });

  it("answers for every text and name without throwing", () => {
    fc.assert(fc.property(texts, fc.string({ minLength: 1 }), (text, name) => {
      for (const value of readAll(text, name)) assert(text.includes(value));
    }));
  });

  it("finds a cookie wherever it stands", () => {
    for (const header of ["id=1", "id=1; b=2", "a=0; id=1; b=2", "a=0; id=1"]) {
      assertEquals(readAll(header, "id"), ["1"], header);
    }
  });

  it("finds no cookie where there is none", () => {
    for (const header of ["", ";", "; ;", "=", "id", "a=id", "id;", "b=1;id"]) {
      assertEquals(readAll(header, "id"), [], header);
    }
  });

  it("takes any number of blanks between cookies, or none", () => {
    for (const gap of [";", "; ", ";  \t ", " ;", ";; ;"]) {
      assertEquals(readAll(`a=0${gap}id=1`, "id"), ["1"], gap);
    }
  });

  it("leaves out the blanks around a value", () => {
    assertEquals(readAll("id= \t1\t ; b=2", "id"), ["1"]);
  });

  it("does not take a comma for a separator", () => {
    assertEquals(readAll("a=0, id=1", "id"), []);
    assertEquals(readAll("a=0,id=1; id=2", "id"), ["2"]);
    assertEquals(readAll("id=1, id=2", "id"), ["1, id=2"]);
  });

  it("does not take a blank for a separator", () => {
    assertEquals(readAll("a=0 id=1", "id"), []);
    assertEquals(readAll("a id=1\tid=2", "id"), []);
  });

  it("does not find a cookie in another one's value", () => {
    assertEquals(readAll("a=id=1", "id"), []);
    assertEquals(readAll('a="; id=1"', "id"), ['1"']);
    assertEquals(readAll("id=id=1", "id"), ["id=1"]);
  });

  it("does not find a name that another cookie's name ends with", () => {
    assertEquals(readAll("xid=1; x-id=2; __Host-id=3; id=4", "id"), ["4"]);
  });

  it("does not find a name that another cookie's name starts with", () => {
    assertEquals(readAll("idx=1; id-x=2; id =3; id=4", "id"), ["4"]);
  });

  it("finds a name that repeats a part of itself", () => {
    assertEquals(readAll("aaa=1; aa=2; aaaa=3", "aa"), ["2"]);
    assertEquals(readAll("ababa=1; aba=2", "aba"), ["2"]);
  });

  it("takes the characters of a name literally", () => {
    assertEquals(readAll("axb=1; a.b=2", "a.b"), ["2"]);
    assertEquals(readAll("$&=1", "$&"), ["1"]);
  });

  it("tells names apart by case", () => {
    assertEquals(readAll("ID=1; Id=2; __host-id=3", "id"), []);
    assertEquals(readAll("__host-id=1; __HOST-id=2", "__Host-id"), []);
  });

  it("finds every cookie of the name, in the order of the header", () => {
    assertEquals(readAll("id=1; a=0; id=; id=2;id=1", "id"), [
      "1",
      "",
      "2",
      "1",
    ]);
  });

  it("hands out a value as it was sent, with nothing unescaped", () => {
    assertEquals(readAll("id=a%3Db%20+", "id"), ["a%3Db%20+"]);
    assertEquals(readAll("id==a==; b", "id"), ["=a=="]);
  });

  it("hands out quotes too, so that a quoted token is no token", () => {
    const [value = ""] = readAll(`id="${mintToken()}"`, "id");
    assertEquals(value.length, 62);
    assertFalse(isToken(value));
  });

  it("takes a time in proportion to the header", () => {
    const hostile = ["id", "id=;", " id=", "; ", "idid", " "];
    for (const part of hostile) {
      const header = part.repeat(200_000);
      const started = performance.now();
      readAll(header, "id");
      const taken = performance.now() - started;
      assertGreater(1000, taken, `${JSON.stringify(part)} took ${taken} ms`);
    }
  });
});

describe("the cookie writer", () => {
  it("writes the safest cookie unless told otherwise", () => {
    assertEquals(
      setCookie(resolveCookie(), "TOKEN"),
      "__Host-id=TOKEN; Path=/; Secure; HttpOnly; SameSite=Lax",
    );
  });

  it("writes every attribute that was asked for", () => {
    const template = resolveCookie({
      name: "__Secure-sid",
      path: "/app",
      domain: "example.com",
      sameSite: "none",
      partitioned: true,
    });
    assertEquals(
      setCookie(template, "TOKEN", 60),
      "__Secure-sid=TOKEN; Path=/app; Domain=example.com; Secure; HttpOnly; SameSite=None; Partitioned; Max-Age=60",
    );
  });

  it("writes neither Secure nor a prefix over plain HTTP", () => {
    assertEquals(
      setCookie(resolveCookie({ secure: false, sameSite: "strict" }), "TOKEN"),
      "id=TOKEN; Path=/; HttpOnly; SameSite=Strict",
    );
  });

  it("writes no Max-Age and no Expires for a cookie of the browser session", () => {
    fc.assert(fc.property(goodOptions, (options) => {
      const header = setCookie(resolveCookie(options), "TOKEN");
      assertNotMatch(header, /Max-Age|Expires/i);
    }));
  });

  it("writes a Max-Age of digits alone", () => {
    const header = setCookie(resolveCookie(), "TOKEN", MAX_COOKIE_AGE);
    assertEquals(attributesOf(header).get("Max-Age"), "34560000");
  });

  it("always writes Path, HttpOnly and SameSite, and nothing twice", () => {
    fc.assert(fc.property(goodOptions, (options) => {
      const attributes = attributesOf(
        setCookie(resolveCookie(options), "TOKEN", 1),
      );
      assertEquals(attributes.get("Path"), options.path ?? "/");
      assertEquals(attributes.get("HttpOnly"), "");
      assertMatch(attributes.get("SameSite") ?? "", /^(Strict|Lax|None)$/);
    }));
  });

  it("writes a Domain only when there is one", () => {
    fc.assert(fc.property(goodOptions, (options) => {
      const attributes = attributesOf(
        setCookie(resolveCookie(options), "TOKEN"),
      );
      assertEquals(attributes.get("Domain"), options.domain);
    }));
  });

  it("writes what the reader reads back", () => {
    fc.assert(fc.property(goodOptions, (options) => {
      const template = resolveCookie(options);
      const token = mintToken();
      const cookie = `a=0; ${pairOf(setCookie(template, token))}; b=1`;
      assertEquals(readAll(cookie, template.name), [token]);
    }));
  });

  it("writes a header that the platform takes", () => {
    fc.assert(fc.property(goodOptions, (options) => {
      const header = setCookie(resolveCookie(options), mintToken(), 1);
      const { headers } = new Response();
      headers.append("set-cookie", header);
      assertEquals(headers.getSetCookie(), [header]);
    }));
  });
});

describe("the deletion cookie", () => {
  it("is empty and expired, by Max-Age and by Expires", () => {
    assertEquals(
      clearCookie(resolveCookie()),
      "__Host-id=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
    );
  });

  it("repeats name, Path, Domain, Secure and every other attribute", () => {
    fc.assert(fc.property(goodOptions, (options) => {
      const template = resolveCookie(options);
      const set = attributesOf(setCookie(template, "TOKEN"));
      const cleared = attributesOf(clearCookie(template));
      assertEquals(cleared.get("Max-Age"), "0");
      cleared.delete("Max-Age");
      cleared.delete("Expires");
      assertEquals([...cleared], [...set]);
      assertEquals(pairOf(clearCookie(template)), `${template.name}=`);
    }));
  });

  it("repeats that there is no Secure", () => {
    assertEquals(
      clearCookie(resolveCookie({ secure: false })),
      "id=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
    );
  });

  it("expires at a date that is written as browsers expect it", () => {
    const expires = attributesOf(clearCookie(resolveCookie())).get("Expires");
    assertEquals(expires, new Date(0).toUTCString());
  });

  it("has a value that is no token", () => {
    const template = resolveCookie();
    const cookie = pairOf(clearCookie(template));
    assertEquals(readAll(cookie, template.name), [""]);
    assertFalse(isToken(""));
  });
});

describe("the cookie's default name", () => {
  it("binds it to the host", () => {
    assertEquals(resolveCookie().name, "__Host-id");
    assertEquals(resolveCookie({ path: "/" }).name, "__Host-id");
  });

  it("promises no more than Secure with a domain or another path", () => {
    for (const scope of [{ domain: "example.com" }, { path: "/app" }]) {
      const { name } = resolveCookie(scope);
      assert(/^__Secure-id-[0-9a-f]{8}$/.test(name), name);
    }
  });

  it("has no prefix without secure", () => {
    assertEquals(resolveCookie({ secure: false }).name, "id");
    const { name } = resolveCookie({ secure: false, domain: "example.com" });
    assert(/^id-[0-9a-f]{8}$/.test(name), name);
  });

  it("is another one for every scope, and always the same for one", () => {
    const scopes = [
      {},
      { domain: "example.com" },
      { domain: "app.example.com" },
      { path: "/app" },
      { path: "/app/nested" },
      { domain: "example.com", path: "/app" },
    ];
    const names = scopes.map((scope) => resolveCookie(scope).name);
    assertEquals(new Set(names).size, scopes.length);
    assertEquals(scopes.map((scope) => resolveCookie(scope).name), names);
    // Browsers know no capitals in a domain.
    const capital = resolveCookie({ domain: "EXAMPLE.com" }).name;
    assertEquals(capital, names[1]);
  });

  it("gives way to a name that was asked for", () => {
    assertEquals(resolveCookie({ name: "sid" }).name, "sid");
  });

  it("does not tell which library is behind it", () => {
    assertNotMatch(resolveCookie().name, /cloakroom|session|deno|bun/i);
  });
});

describe("a cookie's name", () => {
  it("can hold every character of an RFC 9110 token", () => {
    const name = "azAZ09!#$%&'*+-.^_`|~";
    assertEquals(resolveCookie({ name }).name, name);
  });

  it("cannot hold any other character", () => {
    for (let code = 0; code <= 0x100; code++) {
      const character = String.fromCharCode(code);
      if (/[\w!#$%&'*+.^`|~-]/.test(character)) continue;
      assertEquals(
        refusalOf({ name: `a${character}` }),
        `Cannot use option cookie: name must be a token of RFC 9110: received a${character}`,
      );
    }
  });

  it("cannot be empty or anything but a string", () => {
    for (const name of ["", null, 1, {}, ["id"]]) {
      assertMatch(refusalOf({ name }), /name must be a token of RFC 9110/);
    }
  });

  it("leaves room for a token within 4096 bytes", () => {
    const longest = "a".repeat(4096 - mintToken().length);
    const pair = `${resolveCookie({ name: longest }).name}${mintToken()}`;
    assertEquals(Buffer.byteLength(pair), 4096);
  });

  it("cannot be so long that browsers drop the cookie", () => {
    const tooLong = "a".repeat(4097 - mintToken().length);
    assertEquals(
      refusalOf({ name: tooLong }),
      "Cannot use option cookie: name and value must not exceed 4096 bytes: received a name of 4037 bytes",
    );
  });
});

describe("a cookie's name with a prefix", () => {
  const PREFIXES = ["__Host-", "__Secure-", "__Http-", "__Host-Http-"];
  const spellings = fc.constantFrom(...PREFIXES).chain((prefix) =>
    fc.mixedCase(fc.constant(prefix))
  );

  it("is accepted where the attributes agree with it", () => {
    for (const prefix of PREFIXES) {
      const name = `${prefix}sid`;
      assertEquals(resolveCookie({ name }).name, name);
    }
    for (const name of ["__Secure-sid", "__Http-sid"]) {
      const options = { name, domain: "example.com", path: "/app" };
      assertEquals(resolveCookie(options).name, name);
    }
  });

  it("is refused without secure, in any spelling", () => {
    fc.assert(fc.property(spellings, (prefix) => {
      assertEquals(
        refusalOf({ name: `${prefix}sid`, secure: false }),
        `Cannot use option cookie: a name with ${prefix} needs secure: received false`,
      );
    }));
  });

  it("is refused with a domain if it binds to the host, in any spelling", () => {
    const bound = spellings.filter((prefix) => /^__host/i.test(prefix));
    fc.assert(fc.property(bound, (prefix) => {
      assertEquals(
        refusalOf({ name: `${prefix}sid`, domain: "example.com" }),
        `Cannot use option cookie: a name with ${prefix} allows no domain and no path but /: received ${prefix}sid`,
      );
    }));
  });

  it("is refused with another path if it binds to the host, in any spelling", () => {
    const bound = spellings.filter((prefix) => /^__host/i.test(prefix));
    fc.assert(fc.property(bound, (prefix) => {
      assertMatch(
        refusalOf({ name: `${prefix}sid`, path: "/app" }),
        /allows no domain and no path but \//,
      );
    }));
  });

  it("is no matter when it stands elsewhere or lacks a part", () => {
    for (const name of ["a__Host-id", "__Hostid", "_Host-id", "Secure-id"]) {
      assertEquals(resolveCookie({ name, secure: false }).name, name);
    }
  });
});

describe("a cookie's path", () => {
  it("cannot be other than a path of printable ASCII without ;", () => {
    const paths = [
      "",
      "app",
      "./a",
      "/a;b",
      "/a\n",
      "/\0",
      "/ä",
      "/\x7f",
      null,
    ];
    for (const path of paths) {
      assertEquals(
        refusalOf({ path }),
        `Cannot use option cookie: path must start with / and be ASCII without ;: received ${path}`,
      );
    }
  });

  it("can have 1024 bytes and no more", () => {
    const path = `/${"a".repeat(1023)}`;
    assertMatch(resolveCookie({ path }).attributes, /Path=\/a{1023};/);
    assertEquals(
      refusalOf({ path: `${path}a` }),
      "Cannot use option cookie: path must not exceed 1024 bytes: received 1025 bytes",
    );
  });
});

describe("a cookie's domain", () => {
  it("can be any host name, also an international one in its ASCII form", () => {
    for (
      const domain of ["example.com", "a-b.Example.COM", "xn--bcher-kva.de"]
    ) {
      const { attributes } = resolveCookie({ domain });
      assertMatch(attributes, new RegExp(`; Domain=${domain}; `));
    }
  });

  it("cannot be other than a host name", () => {
    const domains = [
      "",
      "https://example.com",
      "example.com:8000",
      "example.com/",
      "a b",
      "a;b",
      "a,b",
      "bücher.de",
      "example.com\n",
      "*.example.com",
      null,
      1,
    ];
    for (const domain of domains) {
      assertEquals(
        refusalOf({ domain }),
        `Cannot use option cookie: domain must be a host name: received ${domain}`,
      );
    }
  });

  it("can have 1024 bytes and no more", () => {
    const domain = "a".repeat(1024);
    assertMatch(resolveCookie({ domain }).attributes, /Domain=a{1024};/);
    assertEquals(
      refusalOf({ domain: `${domain}a` }),
      "Cannot use option cookie: domain must not exceed 1024 bytes: received 1025 bytes",
    );
  });
});

describe("a cookie's flags", () => {
  it("can be true or false and nothing else", () => {
    for (const flag of ["secure", "partitioned", "persistent"]) {
      for (const value of [null, 0, 1, "", "false"]) {
        assertEquals(
          refusalOf({ [flag]: value }),
          `Cannot use option cookie: ${flag} must be true or false: received ${value}`,
        );
      }
    }
  });

  it("make it outlive the browser only when persistent is asked for", () => {
    assertEquals(resolveCookie().persistent, false);
    assertEquals(resolveCookie({ persistent: true }).persistent, true);
  });

  it("cannot partition the cookie without secure", () => {
    assertEquals(
      refusalOf({ partitioned: true, secure: false }),
      "Cannot use option cookie: partitioned needs secure: received false",
    );
  });
});

describe("a cookie's sameSite", () => {
  it("can be strict, lax or none", () => {
    for (const sameSite of ["strict", "lax", "none"] as const) {
      const { attributes } = resolveCookie({ sameSite });
      const text = attributes.match(/; SameSite=(\w+)$/)?.[1];
      assertEquals(text?.toLowerCase(), sameSite);
    }
  });

  it("cannot be anything else", () => {
    for (const sameSite of ["Lax", "", null, false, "toString"]) {
      assertEquals(
        refusalOf({ sameSite }),
        `Cannot use option cookie: sameSite must be "strict", "lax" or "none": received ${sameSite}`,
      );
    }
  });

  it("cannot be none without secure", () => {
    assertEquals(
      refusalOf({ sameSite: "none", secure: false }),
      'Cannot use option cookie: sameSite "none" needs secure: received false',
    );
  });
});
