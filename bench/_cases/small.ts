/** What a request takes: whole ones, and their cookies, tokens and values. */
import { hash, randomBytes } from "node:crypto";
import {
  cookieValueAt,
  findCookie,
  resolveCookie,
  setCookie,
} from "../../core/carriage/cookie.ts";
import { checkFormToken, makeFormToken } from "../../core/secret/form_token.ts";
import {
  familyOf,
  hashSecret,
  isHashOf,
  isToken,
  mintId,
  mintSecret,
  parseToken,
  TOKEN_LENGTH,
} from "../../core/secret/token.ts";
import { decode, encode } from "../../core/value/codec.ts";
import type { StoredData } from "../../core/value/types.ts";
import * as library from "../../mod.ts";
import { CALLS, type Case, compare, expect } from "../_harness/case.ts";
import { requestCases } from "./request.ts";

const WANTED = "__Host-id=";

/** How many different tokens there are. */
const COUNT = 64;

/** A cookie of about the length that analytics set. */
const OTHER = "GA1.2.1029384756.1700000000";

const TOKENS: readonly string[] = Array.from({ length: COUNT }, mintToken);

/** All of it. */
export async function smallCases(): Promise<Case[]> {
  return [
    ...await requestCases(library),
    ...cookieCases(0, "alone"),
    ...cookieCases(100, "after 100 others"),
    ...tokenCases(),
    ...valueCases(1, "100 bytes"),
    ...valueCases(300, "30 kB"),
  ];
}

/** A way of doing something with one of the tokens; tells whether it is right. */
function way(name: string, isRight: (token: string, at: number) => boolean) {
  const run = () => {
    let right = 0;
    for (let call = 0; call < CALLS; call++) {
      const at = call % COUNT;
      if (isRight(TOKENS[at] as string, at)) right++;
    }
    return right;
  };
  return { name, run };
}

/** The session's cookie is the last of its header, the worst place. */
function cookieCases(others: number, where: string): Case[] {
  const pairs = Array.from({ length: others }, (_, i) => `_ga_${i}=${OTHER}`);
  const headers = TOKENS.map((token) =>
    [...pairs, `${WANTED}${token}`].join("; ")
  );
  const read = (name: string, read: (header: string) => string) =>
    way(name, (token, at) => read(headers[at] as string) === token);
  return compare(
    { group: `read the cookie ${where}`, operations: CALLS },
    read("indexOf of name and end, slice", (header) => {
      const start = header.indexOf(WANTED) + WANTED.length;
      const end = header.indexOf(";", start);
      return end === -1 ? header.slice(start) : header.slice(start, end);
    }),
    read(
      "ours: findCookie, cookieValueAt",
      (header) => cookieValueAt(header, findCookie(header, "__Host-id")),
    ),
  );
}

function tokenCases(): Case[] {
  const template = resolveCookie();
  const end = `; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=`;
  const last = WANTED.length + TOKEN_LENGTH - 1;
  // Reading a character makes the engine join the parts.
  const isWritten = (header: string, token: string) =>
    header.charCodeAt(last) === token.charCodeAt(TOKEN_LENGTH - 1);
  const secretOf = (token: string) => parseToken(token).secret;
  const hashes = TOKENS.map((token) => hashSecret(secretOf(token)));
  const family = familyOf(mintSecret());
  const field = makeFormToken(family);
  const { length } = field;
  const operations = CALLS;
  return [
    ...compare(
      { group: "write Set-Cookie", operations },
      way(
        "one template string",
        (token, at) => isWritten(`${WANTED}${token}${end}${at}`, token),
      ),
      way(
        "ours: setCookie",
        (token, at) => isWritten(setCookie(template, token, at), token),
      ),
    ),
    ...compare(
      { group: "check a token", operations },
      way(
        "SHA-256 of the secret",
        (token) => hash("sha256", secretOf(token)).length === 64,
      ),
      way(
        "ours: isToken, parseToken, isHashOf",
        (token, at) =>
          isToken(token) && isHashOf(hashes[at] as string, secretOf(token)),
      ),
    ),
    ...compare(
      { group: "form token", operations },
      way(
        "randomBytes, base64url",
        () =>
          randomBytes(length * 3 / 4).toString("base64url").length === length,
      ),
      way(
        "ours: makeFormToken",
        () => makeFormToken(family).length === field.length,
      ),
      way("ours: checkFormToken", () => checkFormToken(family, field)),
    ),
  ];
}

function mintToken(): string {
  return mintId() + mintSecret();
}

/** A cart of as many articles, into a session, out of it, to text and back. */
function valueCases(count: number, column: string): Case[] {
  const cart = Array.from({ length: count }, (_, index) => ({
    id: 100_000 + index,
    name: `Raincoat, number ${100 + index} of many`,
    price: 8999,
    tags: ["outdoor", "rain", "sale"],
  }));
  const data = { cart } as unknown as StoredData;
  const text = JSON.stringify(data);
  const options = { gcInterval: 0, maxSize: 1_000_000 };
  const manager = new library.Manager<{ cart: unknown }>(options);
  // On memory it answers at once.
  const session = manager.start(
    new Request("http://localhost"),
  ) as library.Session;
  const operations = Math.ceil(CALLS / count);
  const each = (name: string, isRight: () => boolean, times = operations) => {
    const run = () => {
      let right = 0;
      for (let left = times; left > 0; left--) if (isRight()) right++;
      return right;
    };
    return { name, run, verify: () => expect(isSame(), "session.set") };
  };
  const isSame = () =>
    !session.has("cart") || JSON.stringify(session.get("cart")) === cartText;
  const cartText = JSON.stringify(cart);
  const isCart = (value: unknown) => (value as typeof data).cart !== undefined;
  return [
    ...compare(
      { group: "set a value", column, operations },
      each(
        "JSON round trip",
        () => JSON.parse(JSON.stringify(cart)).length === count,
      ),
      each("structuredClone", () => structuredClone(cart).length === count),
      each("ours: session.set", () => {
        session.set("cart", cart);
        return session.has("cart");
      }),
    ),
    ...compare(
      { group: "get a value", column, operations: CALLS },
      each("property of an object", () => data.cart !== undefined, CALLS),
      each("ours: session.get", () => session.get("cart") !== undefined, CALLS),
    ),
    ...compare(
      { group: "encode", column, operations },
      each("JSON.stringify", () => JSON.stringify(data).length === text.length),
      each("ours: encode", () => encode(data).length === text.length),
    ),
    ...compare(
      { group: "decode", column, operations },
      each("JSON.parse", () => isCart(JSON.parse(text))),
      each("ours: decode", () => isCart(decode(text))),
    ),
  ];
}
