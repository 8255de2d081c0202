/**
 * Proofs with one thing wrong each. Whatever can be signed although it is wrong
 * is signed, so that only what is wrong can be the reason to refuse it.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHmac } from "node:crypto";
import { DeviceSigner } from "./_device_proofs.ts";

/** What is wrong, and the proof. */
export type Corpus = Readonly<Record<string, string>>;

export const CHALLENGE = "a-challenge";

/** The key that everything here is about. */
export const device: DeviceSigner = new DeviceSigner();

const rsaDevice = new DeviceSigner("RS256");
const stranger = new DeviceSigner();

const TYPE = "dbsc+jwt";
const payload = { jti: CHALLENGE };
const header = { alg: "ES256", typ: TYPE };

/** A right one, and its parts. */
const refresh = device.refresh(CHALLENGE);
const [head = "", body = "", signature = ""] = refresh.split(".");
const signed = `${head}.${body}`;
const [r, s] = numbersOf(signature);

/** The order of P-256, and the prime of its field. */
const ORDER =
  0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const PRIME =
  0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;

const BASE64URL =
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** More than a proof may be, in bytes before they are base64url. */
const TOO_LONG = 6144;

/** What is wrong whether or not a key is registered. */
const FORMS: Corpus = {
  "nothing": "",
  "two dots": "..",
  "no signature": signed,
  "an empty signature": `${signed}.`,
  "an empty header": `.${body}.${signature}`,
  "an empty payload": `${head}..${signature}`,
  "a fourth part": `${refresh}.${signature}`,
  "a fourth part that is empty": `${refresh}.`,
  "a space before": ` ${refresh}`,
  "a line break after": `${refresh}\n`,
  "two proofs": `${refresh}, ${refresh}`,
  "a quote that is not closed": `"${refresh}`,
  "a quote that is not opened": `${refresh}"`,
  "two quotes on either side": `""${refresh}""`,
  "apostrophes": `'${refresh}'`,
  "a parameter after a string": `"${refresh}";a=1`,
  "an escape in a string": `"\\${refresh}"`,
  "the bytes of RFC 9651": `:${refresh}:`,
  "JSON instead of the compact form": JSON.stringify({
    protected: head,
    payload: body,
    signature,
  }),
  "padding of the header": inBase64(`${encode(header)}=`, body),
  "padding of the payload": inBase64(head, `${encode(payload)}=`),
  "padding of the signature": `${refresh}==`,
  "base64 of the other alphabet": inBase64(
    head,
    encode({ ...payload, text: "~~~???" }).replaceAll("_", "/"),
  ),
  "a header with bits that mean nothing": inBase64(
    loosen(encode(unaligned(header))),
    body,
  ),
  "a payload with bits that mean nothing": inBase64(
    head,
    loosen(encode(unaligned(payload))),
  ),
  "a signature with bits that mean nothing": `${signed}.${loosen(signature)}`,
  "a space in the signature": `${signed}.${signature.slice(0, 9)} ${
    signature.slice(9)
  }`,
  "more than 8 KiB": withPayload({ ...payload, more: "a".repeat(TOO_LONG) }),
};

const HEADERS: Corpus = {
  "a header that is no JSON": withHeader("{"),
  "a header that is a list": withHeader([header]),
  "a header that is null": withHeader(null),
  "a header that is a text": withHeader('"ES256"'),
  "a header after a byte order mark": withHeader(
    `\ufeff${JSON.stringify(header)}`,
  ),
  "a header that is not UTF-8": withHeader(latin1({ ...header, "\xff": 1 })),
  "no algorithm": withHeader({ typ: TYPE }),
  "an algorithm that is a list": withHeader({ ...header, alg: ["ES256"] }),
  "an algorithm in small letters": withHeader({ ...header, alg: "es256" }),
  "two algorithms": withHeader(`{"alg":"none","alg":"ES256","typ":"${TYPE}"}`),
  "two algorithms, one spelled with an escape": withHeader(
    `{"\\u0061lg":"none","alg":"ES256","typ":"${TYPE}"}`,
  ),
  "an algorithm that is inherited": withHeader(
    `{"__proto__":{"alg":"ES256"},"typ":"${TYPE}"}`,
  ),
  "the algorithm none": `${
    withHeader({ ...header, alg: "none" }).split(".", 2).join(".")
  }.`,
  "the algorithm none, and a signature": withHeader({ ...header, alg: "none" }),
  "HS256 under the public key": hmacUnderPublicKey(),
  ...each(
    ["ES384", "ES512", "ES256K", "RS384", "RS512", "PS256", "EdDSA", "HS512"],
    (alg) => [`the algorithm ${alg}`, withHeader({ ...header, alg })],
  ),
  "RS256, of a key on the curve": withHeader({ ...header, alg: "RS256" }),
  "ES256, of an RSA key": rsaDevice.refresh(CHALLENGE).replace(
    /^[^.]+/,
    head,
  ),
  "no type": withHeader({ alg: "ES256" }),
  "the type JWT": withHeader({ ...header, typ: "JWT" }),
  "the type in capitals": withHeader({ ...header, typ: "DBSC+JWT" }),
  "the type as a media type": withHeader({
    ...header,
    typ: `application/${TYPE}`,
  }),
  ...each(
    Object.entries({
      crit: ["b64"],
      b64: true,
      kid: "1",
      jku: "https://example.com/keys",
      x5u: "https://example.com/chain",
      x5c: [],
      zip: "DEF",
      cty: "JWT",
    }),
    ([name, value]) => [
      `a header with ${name}`,
      withHeader({ ...header, [name]: value }),
    ],
  ),
  "a header with __proto__": withHeader(
    `{"alg":"ES256","typ":"${TYPE}","__proto__":{}}`,
  ),
  "a header that is another than the signed one": `${
    encode({ typ: TYPE, alg: "ES256" })
  }.${body}.${signature}`,
};

const PAYLOADS: Corpus = {
  "a payload that is no JSON": withPayload(CHALLENGE),
  "a payload that is a list": withPayload([CHALLENGE]),
  "a payload that is null": withPayload(null),
  "a payload that is not UTF-8": withPayload(latin1({ jti: "\xff" })),
  "no challenge": withPayload({}),
  "a challenge that is a number": withPayload({ jti: 1 }),
  "a challenge that is null": withPayload({ jti: null }),
  "a challenge in a list": withPayload({ jti: [CHALLENGE] }),
  "a challenge that is inherited": withPayload(
    `{"__proto__":{"jti":"${CHALLENGE}"}}`,
  ),
  "two challenges": withPayload(`{"jti":"another","jti":"${CHALLENGE}"}`),
  "two challenges, one spelled with an escape": withPayload(
    `{"\\u006ati":"another","jti":"${CHALLENGE}"}`,
  ),
  "two challenges, and quotes to hide one": withPayload(
    `{"a\\"":1,"jti":"another","jti":"${CHALLENGE}"}`,
  ),
  "two members of one name, deep down": withPayload(
    `{"jti":"${CHALLENGE}","a":[{"b":1},{"c":{"d":1,"d":2}}]}`,
  ),
  "a payload that is another than the signed one": `${head}.${
    encode({ jti: "another" })
  }.${signature}`,
};

const SIGNATURES: Corpus = {
  "another key's signature": stranger.refresh(CHALLENGE),
  "the signature of another payload": `${signed}.${
    device.refresh("another").split(".")[2]
  }`,
  "the signature of the decoded text": `${signed}.${
    device.sign(JSON.stringify(header) + JSON.stringify(payload))
  }`,
  "a signature in DER": `${signed}.${device.sign(signed, "der")}`,
  ...each(
    [
      ["zeros", 0n, 0n],
      ["ones", 1n, 1n],
      ["r of zero", 0n, s],
      ["s of zero", r, 0n],
      ["r of the order", ORDER, s],
      ["s of the order", r, ORDER],
      ["r and s of the order", ORDER, ORDER],
      ["r of the prime", PRIME, s],
      ["r less one", r - 1n, s],
      ["r and s exchanged", s, r],
      ["r turned round", ORDER - r, s],
    ] as const,
    ([what, r, s]) => [`a signature with ${what}`, `${signed}.${join(r, s)}`],
  ),
  "a signature after a byte": `${signed}.${zeroBefore(signature)}`,
  "half a signature": `${signed}.${resized(signature, -32)}`,
  "a signature less a byte": `${signed}.${resized(signature, -1)}`,
  "a signature and a byte": `${signed}.${resized(signature, 1)}`,
};

/** What is none as long as no key is registered with it. */
export const MALFORMED_REFRESHES: Corpus = {
  ...FORMS,
  ...HEADERS,
  ...PAYLOADS,
  ...SIGNATURES,
  "a key": device.register(CHALLENGE),
  "a key that is null": withHeader({ ...header, jwk: null }),
};

const { jwk } = device;
const rsaJwk = rsaDevice.jwk;

/** What registers no key. */
export const MALFORMED_REGISTRATIONS: Corpus = {
  "no key": refresh,
  "a key that is null": withKey(null),
  "a key that is a text": withKey(JSON.stringify(jwk)),
  "a key in a list": withKey([jwk]),
  "a key that is empty": withKey({}),
  "a key that is inherited": withHeader(
    `{"alg":"ES256","typ":"${TYPE}","__proto__":{"jwk":${
      JSON.stringify(jwk)
    }}}`,
  ),
  "two keys": withHeader(
    `{"alg":"ES256","typ":"${TYPE}","jwk":${
      JSON.stringify(stranger.jwk)
    },"jwk":${JSON.stringify(jwk)}}`,
  ),
  "another's key": withKey(stranger.jwk),
  "a key and crit": withHeader({ ...header, jwk, crit: ["jwk"] }),
  "a key and the type JWT": withHeader({ ...header, jwk, typ: "JWT" }),
  "a private key": withKey(device.privateJwk),
  ...each(
    ["d", "p", "q", "dp", "dq", "qi", "oth", "k"],
    (name) => [`a key with ${name}`, withKey({ ...jwk, [name]: "AQ" })],
  ),
  "a secret key": withKey({ kty: "oct", k: encode("secret") }),
  "no type of key": withKey({ ...jwk, kty: undefined }),
  "the type of key RSA": withKey({ ...jwk, kty: "RSA" }),
  "the type of key OKP": withKey({ ...jwk, kty: "OKP", crv: "Ed25519" }),
  "no curve": withKey({ ...jwk, crv: undefined }),
  ...each(
    ["P-384", "P-521", "secp256k1", "p-256"],
    (crv) => [`the curve ${crv}`, withKey({ ...jwk, crv })],
  ),
  "no x": withKey({ ...jwk, x: undefined }),
  "no y": withKey({ ...jwk, y: undefined }),
  "an x in a list": withKey({ ...jwk, x: [jwk.x] }),
  "two x": withHeader(
    `{"alg":"ES256","typ":"${TYPE}","jwk":{"x":"${stranger.jwk.x}",${
      JSON.stringify(jwk).slice(1)
    }}`,
  ),
  "an x with padding": withKey({ ...jwk, x: `${jwk.x}=` }),
  "an x with bits that mean nothing": withKey({
    ...jwk,
    x: loosen(jwk.x as string),
  }),
  "a y with bits that mean nothing": withKey({
    ...jwk,
    y: loosen(jwk.y as string),
  }),
  "an x with a byte before": withKey({ ...jwk, x: `AA${jwk.x}` }),
  "a y of 31 bytes": withKey({ ...jwk, y: (jwk.y as string).slice(0, 42) }),
  "x and y with one boundary moved": withKey({
    ...jwk,
    x: (jwk.x as string).slice(0, 42),
    y: (jwk.x as string).slice(42) + jwk.y,
  }),
  "a point of zeros": withKey({ ...jwk, x: coordinate(0n), y: coordinate(0n) }),
  "a point off the curve": withKey({ ...jwk, y: jwk.x }),
  "a point off the curve by one bit": withKey({ ...jwk, y: nextTo(jwk.y) }),
  "a point beyond the field": withKey({ ...jwk, x: coordinate(PRIME) }),
  "an RSA key for ES256": rsaDevice.make({
    header: { alg: "ES256", typ: TYPE, jwk: rsaJwk },
    payload,
  }),
  "a key on the curve for RS256": withHeader({ alg: "RS256", typ: TYPE, jwk }),
  "an RSA key for RS512": rsaDevice.make({
    header: { alg: "RS512", typ: TYPE, jwk: rsaJwk },
    payload,
  }),
  "a private RSA key": withRsaKey(rsaDevice.privateJwk),
  "an RSA key of the type EC": withRsaKey({ ...rsaJwk, kty: "EC" }),
  "no modulus": withRsaKey({ ...rsaJwk, n: undefined }),
  "a modulus with a zero byte before": withRsaKey({
    ...rsaJwk,
    n: zeroBefore(rsaJwk.n as string),
  }),
  "a modulus with bits that mean nothing": withRsaKey({
    ...rsaJwk,
    n: loosen(rsaJwk.n as string),
  }),
  "no exponent": withRsaKey({ ...rsaJwk, e: undefined }),
  ...each(
    ["AQ", "Aw", "AAEAAQ", "AQAC", "AQABAA", "", "AQAB="],
    (e) => [`the exponent "${e}"`, withRsaKey({ ...rsaJwk, e })],
  ),
  "an RSA signature less a byte": withRsaSignature((text) => resized(text, -1)),
  "an RSA signature and a byte": withRsaSignature((text) => resized(text, 1)),
  "an RSA signature after a byte": withRsaSignature(zeroBefore),
};

/** A refresh with another header, signed with the key. */
function withHeader(header: unknown): string {
  return device.make({ header, payload });
}

/** A refresh with another payload, signed with the key. */
function withPayload(payload: unknown): string {
  return device.make({ header, payload });
}

/** A registration of another key, signed with ours. */
function withKey(jwk: unknown): string {
  return withHeader({ ...header, jwk });
}

/** A registration of another RSA key, signed with ours. */
function withRsaKey(jwk: unknown): string {
  return rsaDevice.make({ header: { alg: "RS256", typ: TYPE, jwk }, payload });
}

/** A registration of the RSA key with its signature changed. */
function withRsaSignature(change: (signature: string) => string): string {
  const parts = rsaDevice.register(CHALLENGE).split(".");
  return [parts[0], parts[1], change(parts[2] as string)].join(".");
}

/** Two parts as they are, with a signature of both. */
function inBase64(head: string, body: string): string {
  return `${head}.${body}.${device.sign(`${head}.${body}`)}`;
}

/** The key's public half as a secret, which a naive reader would take. */
function hmacUnderPublicKey(): string {
  const signed = `${encode({ ...header, alg: "HS256" })}.${body}`;
  const hmac = createHmac("sha256", JSON.stringify(device.jwk)).update(signed);
  return `${signed}.${hmac.digest("base64url")}`;
}

function encode(part: unknown): string {
  const text = typeof part === "string" ? part : JSON.stringify(part);
  return Buffer.from(text).toString("base64url");
}

function latin1(part: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(part), "latin1");
}

/** JSON whose base64url ends with unused bits. */
function unaligned(part: unknown): string {
  const text = JSON.stringify(part);
  return text.length % 3 === 0 ? `${text} ` : text;
}

/** The same bytes, in another text: a bit after the last byte is set. */
function loosen(text: string): string {
  if (text.length % 4 === 0) throw new Error(`No bit is unused in: ${text}`);
  const last = BASE64URL.indexOf(text.at(-1) as string);
  return text.slice(0, -1) + BASE64URL[last + 1];
}

function resized(text: string, by: number): string {
  const bytes = Buffer.from(text, "base64url");
  const sized = Buffer.alloc(bytes.length + by);
  bytes.copy(sized);
  return sized.toString("base64url");
}

function zeroBefore(text: string): string {
  const bytes = Buffer.from(text, "base64url");
  return Buffer.concat([Buffer.alloc(1), bytes]).toString("base64url");
}

function coordinate(number: bigint): string {
  const hex = number.toString(16).padStart(64, "0");
  return Buffer.from(hex, "hex").toString("base64url");
}

function numberOf(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
}

/** The coordinate with its last bit turned. */
function nextTo(coordinateText: unknown): string {
  const number = numberOf(Buffer.from(String(coordinateText), "base64url"));
  return coordinate(number ^ 1n);
}

/** An ES256 signature of these numbers. */
function join(r: bigint, s: bigint): string {
  const hex = [r, s].map((n) => n.toString(16).padStart(64, "0")).join("");
  return Buffer.from(hex, "hex").toString("base64url");
}

function numbersOf(signature: string): [bigint, bigint] {
  const bytes = Buffer.from(signature, "base64url");
  return [numberOf(bytes.subarray(0, 32)), numberOf(bytes.subarray(32))];
}

function each<T>(
  items: readonly T[],
  toEntry: (item: T) => readonly [string, string],
): Corpus {
  return Object.fromEntries(items.map(toEntry));
}
