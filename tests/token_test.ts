import {
  assert,
  assertEquals,
  assertFalse,
  assertMatch,
  assertNotEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import fc from "fast-check";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import {
  areEqual,
  digest,
  familyOf,
  hashFamily,
  hashSecret,
  isNewer,
  isToken,
  mintId,
  mintSecret,
  mintSibling,
  parseToken,
} from "../core/secret/token.ts";
import { idOf, mintToken, secretOf } from "./_tokens.ts";
import { texts } from "./_arbitraries.ts";

const ALPHABET =
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** Enough tokens for chance to show. */
const MANY = 5000;

class RandomFailure extends Error {}

function failRandom(): never {
  throw new RandomFailure("no entropy");
}

/** Runs with another source of random bytes and puts the real one back. */
function withRandom<T>(fill: (bytes: Uint8Array) => void, run: () => T): T {
  const own = Object.getOwnPropertyDescriptor(crypto, "getRandomValues");
  Object.defineProperty(crypto, "getRandomValues", {
    configurable: true,
    writable: true,
    value: (bytes: Uint8Array) => {
      fill(bytes);
      return bytes;
    },
  });
  try {
    return run();
  } finally {
    if (own === undefined) Reflect.deleteProperty(crypto, "getRandomValues");
    else Object.defineProperty(crypto, "getRandomValues", own);
  }
}

function mintMany(count: number): string[] {
  return Array.from({ length: count }, mintToken);
}

/** Numbers every six bytes, so that each group of them is unique. */
function numberedBytes(): (bytes: Uint8Array) => void {
  let group = 0;
  return (bytes) => {
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at + 6 <= bytes.length; at += 6) {
      view.writeUIntBE(++group, at, 6);
    }
  };
}

describe("a minted token", () => {
  it("is 60 characters of base64url", () => {
    for (const token of mintMany(200)) {
      assertMatch(token, /^[A-Za-z0-9_-]{60}$/);
    }
  });

  it("shares nothing with an id that is minted alone", () => {
    const ids = Array.from({ length: MANY }, mintId);
    for (const id of ids) assertMatch(id, /^[A-Za-z0-9_-]{24}$/);
    assertEquals(new Set([...ids, ...mintMany(MANY).map(idOf)]).size, 2 * MANY);
  });

  it("is taken apart into its id and its secret", () => {
    const token = mintToken();
    const { id, secret } = parseToken(token);
    assertEquals(id, idOf(token));
    assertEquals(secret, secretOf(token));
  });

  it("is never minted twice, nor is its id or its secret", () => {
    const tokens = mintMany(MANY);
    assertEquals(new Set(tokens).size, MANY);
    assertEquals(new Set(tokens.map(idOf)).size, MANY);
    assertEquals(new Set(tokens.map(secretOf)).size, MANY);
  });

  it("has every character of the alphabet at every position", () => {
    const tokens = mintMany(MANY);
    for (let position = 0; position < 60; position++) {
      const found = new Set(tokens.map((token) => token[position]));
      assertEquals([...found].sort().join(""), [...ALPHABET].sort().join(""));
    }
  });

  it("is made of fresh bytes of crypto.getRandomValues, and no others", () => {
    // What is kept from before would be the same in every process that is
    // restored from one snapshot.
    mintMany(3);
    const drawn: Buffer[] = [];
    const fill = numberedBytes();
    const minted = withRandom((bytes) => {
      fill(bytes);
      drawn.push(Buffer.from(bytes));
    }, () => [mintId(), mintSecret(), mintId(), mintSibling("A".repeat(36))]);
    const texts = drawn.map((bytes) => bytes.toString("base64url"));
    const sibling = "A".repeat(16) + "AAAB" + texts[3];
    assertEquals(minted, [...texts.slice(0, 3), sibling]);
    assertEquals(drawn.map(({ length }) => length), [18, 27, 18, 12]);
  });

  it("shares no random byte with another token or secret", () => {
    const minted = withRandom(numberedBytes(), () =>
      Array.from(
        { length: MANY },
        (_, index) => index % 3 === 0 ? mintSecret() : mintToken(),
      ));
    // Six bytes are eight characters; the three bytes left over are not numbered.
    const groups = minted.flatMap((text) => text.match(/.{8}/g) ?? []);
    assertEquals(new Set(groups).size, groups.length);
  });
});

describe("a minted secret", () => {
  it("is 36 characters of base64url", () => {
    assertMatch(mintSecret(), /^[A-Za-z0-9_-]{36}$/);
  });

  it("is never minted twice", () => {
    const secrets = Array.from({ length: MANY }, mintSecret);
    assertEquals(new Set(secrets).size, MANY);
  });
});

describe("minting without a working random number generator", () => {
  it("throws what the generator threw, each time", () => {
    withRandom(failRandom, () => {
      for (let call = 0; call < 10; call++) {
        assertThrows(mintToken, RandomFailure, "no entropy");
        assertThrows(mintSecret, RandomFailure, "no entropy");
      }
    });
  });

  it("uses nothing of what was filled in part", () => {
    const partly = (bytes: Uint8Array) => {
      bytes.fill(0xaa, 0, bytes.length / 2);
      failRandom();
    };
    withRandom(partly, () => assertThrows(mintId, RandomFailure));
    const planted = Buffer.alloc(9, 0xaa).toString("base64url");
    assertFalse(mintMany(1000).some((token) => token.includes(planted)));
  });
});

describe("what can be a token", () => {
  it("includes every token that is minted", () => {
    for (const token of mintMany(200)) assert(isToken(token));
  });

  it("excludes every other length", () => {
    for (const length of [0, 1, 24, 43, 55, 57, 112, 4096]) {
      assertFalse(isToken("A".repeat(length)), `length ${length}`);
    }
  });

  it("excludes a foreign character at any position", () => {
    const foreign = fc.nat({ max: 0xffff })
      .map((unit) => String.fromCharCode(unit))
      .filter((character) => !ALPHABET.includes(character));
    fc.assert(fc.property(
      foreign,
      fc.nat({ max: 55 }),
      (character, at) => {
        const token = "A".repeat(at) + character + "A".repeat(55 - at);
        assertFalse(isToken(token));
      },
    ));
  });

  it("excludes padding, the other base64 alphabet and a line end", () => {
    for (const end of ["=", "+", "/", "\n", "\r", " ", "\0", "ä", "Ａ", "٣"]) {
      assertFalse(isToken("A".repeat(55) + end), JSON.stringify(end));
    }
  });

  it("excludes a hash, so that what is stored opens nothing", () => {
    assertFalse(isToken(hashSecret(mintSecret())));
  });
});

describe("a digest", () => {
  it("is the SHA-256 of a text's characters in hexadecimal", () => {
    assertEquals(
      digest("abc"),
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
  });

  it("agrees with node:crypto for every text", () => {
    fc.assert(fc.property(texts, (text) => {
      const hex = createHash("sha256").update(text, "utf8").digest("hex");
      assertEquals(digest(text), hex);
    }));
  });
});

describe("what is stored of a secret", () => {
  it("is its digest, its number and a part of its family's digest", () => {
    const secret = mintSecret();
    assertEquals(hashSecret(secret), secret.slice(16, 20) + digest(secret));
    assertEquals(
      hashFamily(secret),
      digest(secret.slice(0, 16)).slice(0, 16),
    );
    const stored = hashSecret(secret) + hashFamily(secret);
    assertFalse(stored.includes(secret.slice(0, 16)));
    assertFalse(stored.includes(secret.slice(20)));
  });

  it("does not open anything when it is presented as the secret", () => {
    const hash = hashSecret(mintSecret());
    assertNotEquals(hashSecret(hash), hash);
    assertNotEquals(hashSecret(hash.slice(0, 32)), hash);
  });

  it("tells its own secret from every other", () => {
    const secret = mintSecret();
    assertNotEquals(hashSecret(mintSibling(secret)), hashSecret(secret));
    assertNotEquals(hashSecret(mintSecret()), hashSecret(secret));
  });

  it("tells a secret of its own family from one of another", () => {
    const secret = mintSecret();
    const sibling = mintSibling(mintSibling(secret));
    assertEquals(hashFamily(sibling), hashFamily(secret));
    assertNotEquals(hashFamily(mintSecret()), hashFamily(secret));
  });
});

describe("the generation of a secret", () => {
  /** A secret of a family, by its generation in base64url. */
  const numbered = (generation: string) =>
    "A".repeat(16) + generation + mintSecret().slice(20);

  it("is one more than that of the secret replaced", () => {
    const secret = mintSecret();
    let latest = secret;
    for (let renewals = 1; renewals < 100; renewals++) {
      latest = mintSibling(secret, hashSecret(latest));
      assert(isNewer(hashSecret(latest), hashSecret(secret)));
      assertFalse(isNewer(hashSecret(secret), hashSecret(latest)));
    }
    const number = (text: string) =>
      Buffer.from(text.slice(16, 20), "base64url").readUIntBE(0, 3);
    assertEquals((number(latest) - number(secret)) & 0xffffff, 99);
  });

  it("is not newer than itself", () => {
    const secret = mintSecret();
    const twin = secret.slice(0, 20) + mintSecret().slice(20);
    assertFalse(isNewer(hashSecret(twin), hashSecret(secret)));
  });

  it("begins anew after the last, and stays newer than those before", () => {
    const last = numbered("____");
    const first = mintSibling(last);
    assertEquals(first.slice(16, 20), "AAAA");
    assert(isNewer(hashSecret(first), hashSecret(last)));
    assertFalse(isNewer(hashSecret(last), hashSecret(first)));
  });

  it("is read from whatever a store holds", () => {
    for (const text of ["", "AA", "ä", "\0\0\0\0", "=".repeat(68)]) {
      assertFalse(isNewer(text, text));
    }
  });
});

describe("a renewed secret", () => {
  it("keeps the family and has 96 new random bits", () => {
    const secret = mintSecret();
    const renewed = new Set(
      Array.from({ length: 1000 }, () => mintSibling(secret)),
    );
    assertEquals(renewed.size, 1000);
    for (const other of renewed) {
      assertEquals(other.slice(0, 16), secret.slice(0, 16));
      assertMatch(other, /^[A-Za-z0-9_-]{36}$/);
      assertNotEquals(other, secret);
    }
  });

  it("of a new family shares nothing with the one before", () => {
    assertNotEquals(familyOf(mintSecret()), familyOf(mintSecret()));
  });
});

describe("comparing a stored hash with a digest", () => {
  it("agrees with === for any two strings", () => {
    const unit = fc.constantFrom("a", "b", "A", "ā");
    const short = fc.string({ unit, maxLength: 3 });
    fc.assert(fc.property(short, short, (a, b) => {
      assertStrictEquals(areEqual(a, b), a === b);
    }));
  });

  it("sees a difference at every position", () => {
    const hash = hashSecret("secret");
    const whole = digest("secret");
    for (let at = 0; at < whole.length; at++) {
      const changed = whole[at] === "a" ? "b" : "a";
      const other = whole.slice(0, at) + changed + whole.slice(at + 1);
      assertFalse(areEqual(hash, other), `position ${at}`);
    }
  });

  it("finds no digest in a part of a hash", () => {
    const whole = digest("secret");
    for (const length of [0, 1, 63]) {
      assertFalse(areEqual(whole.slice(0, length), whole));
      assertFalse(areEqual(whole, whole.slice(0, length)));
    }
  });
});
