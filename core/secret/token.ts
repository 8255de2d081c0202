/** Makes the values of session cookies, takes them apart, and hashes their secrets. */
import { Buffer } from "node:buffer";
import * as crypto from "node:crypto";

/** The characters of a session's id: 18 random bytes in base64url. */
export const ID_LENGTH = 24;

/** The characters of a secret's family: 12 random bytes in base64url. */
const FAMILY_LENGTH = 16;

/** The characters of its generation: 3 bytes in base64url. */
const GENERATION_LENGTH = 4;

/** The characters of a secret: family, generation, and 12 random bytes more. */
const SECRET_LENGTH = 36;

/** The characters of a cookie's value: id, then secret. */
export const TOKEN_LENGTH: number = ID_LENGTH + SECRET_LENGTH;

const ID_BYTES = 18;
const SECRET_BYTES = 27;
const OWN_BYTES = 12;
const GENERATION_BYTES = 3;

/** How many generations there are; after the last comes the first. */
const GENERATIONS = 2 ** 24;
const FAMILY_DIGEST_LENGTH = 16;

/** Makes a new id. */
export function mintId(): string {
  return random(ID_BYTES);
}

/** Makes a new secret of a new family, whose generations begin anywhere. */
export function mintSecret(): string {
  return random(SECRET_BYTES);
}

/**
 * Makes a new secret of the same family as another.
 *
 * @param replaced What is stored of the secret that it takes the place of, if
 * that is not the other one itself.
 */
export function mintSibling(
  secret: string,
  replaced: string = hashSecret(secret),
): string {
  const next = (generationOf(replaced) + 1) % GENERATIONS;
  return familyOf(secret) + generationText(next) + random(OWN_BYTES);
}

/** A number of 3 bytes as 4 characters of base64url. */
function generationText(generation: number): string {
  const buffer = Buffer.alloc(GENERATION_BYTES);
  buffer.writeUIntBE(generation, 0, GENERATION_BYTES);
  return buffer.toString("base64url");
}

function generationOf(hash: string): number {
  const text = hash.slice(0, GENERATION_LENGTH);
  const bytes = Buffer.from(text, "base64url");
  return bytes.length === GENERATION_BYTES
    ? bytes.readUIntBE(0, GENERATION_BYTES)
    : 0;
}

/**
 * Whether a secret was made after another one of its family. Whoever had a cookie
 * can lay claim to any generation; it opens nothing, and is only told apart from
 * one that was replaced.
 *
 * @param shown What would be stored of the one.
 * @param stored What is stored of the other.
 */
export function isNewer(shown: string, stored: string): boolean {
  const difference = generationOf(shown) - generationOf(stored) + GENERATIONS;
  const ahead = difference % GENERATIONS;
  return ahead > 0 && ahead < GENERATIONS / 2;
}

/**
 * Bytes of the runtime's cryptographic random number generator (ASVS 7.2.3).
 * None are kept in store: what a process has in memory when a snapshot is taken
 * is the same in every process that is restored from it.
 *
 * @throws Whatever `crypto.getRandomValues` throws; there is no fallback.
 */
export function random(bytes: number): string {
  const buffer = Buffer.alloc(bytes);
  globalThis.crypto.getRandomValues(buffer);
  return buffer.toString("base64url");
}

/** A token, taken apart. */
export interface Token {
  readonly id: string;
  readonly secret: string;
}

/** Whether a value can be a token at all: 60 characters of base64url. */
export function isToken(value: string): boolean {
  return value.length === TOKEN_LENGTH && /^[\w-]+$/.test(value);
}

/** Takes a value apart that {@linkcode isToken}. */
export function parseToken(value: string): Token {
  return { id: value.slice(0, ID_LENGTH), secret: value.slice(ID_LENGTH) };
}

/**
 * The same text, made anew. Engines keep all of the text that a slice was cut
 * from, so whoever keeps an id would keep the header, its secret included.
 */
export function ownText(text: string): string {
  return [...text].join("");
}

/**
 * The beginning of a secret: 12 random bytes that all secrets from one sign-in
 * to the next have in common. Whoever shows it has had a cookie of that session,
 * however old.
 */
export function familyOf(secret: string): string {
  return secret.slice(0, FAMILY_LENGTH);
}

/**
 * SHA-256 in hexadecimal, 64 characters: a third of the time of base64url on
 * Deno, where a request that only reads spends much of its time here.
 */
export function digest(text: string): string {
  return hash("sha256", text, "hex");
}

/** In one step, where the runtime has it: not in Deno 2.0. */
const { hash = inSteps } = crypto as Partial<typeof crypto>;

function inSteps(name: string, text: string, encoding: "hex"): string {
  return crypto.createHash(name).update(text).digest(encoding);
}

/** How a client shows its token: in a cookie, or as `Authorization: Bearer`. */
export type Carrier = "cookie" | "bearer";

/**
 * Where a token is good: how it is shown, and on which sites. It is digested in
 * front of the secret, so that a token is worth nothing elsewhere: nothing of the
 * two is the same in the store. Empty for a cookie that is good on every host.
 */
export type Audience = string;

/**
 * The audience of a token.
 *
 * @param scope What the sites have in common that it is good on; left out, it is
 * good on every host.
 */
export function audienceOf(carrier: Carrier, scope?: string): Audience {
  const shown = carrier === "cookie" ? "" : `${carrier} `;
  return scope === undefined ? shown : `${shown}in ${scope} `;
}

/** What is stored of a secret: its generation, and its digest. */
export function hashSecret(secret: string, audience: Audience = ""): string {
  const end = FAMILY_LENGTH + GENERATION_LENGTH;
  return secret.slice(FAMILY_LENGTH, end) + digest(audience + secret);
}

/**
 * Whether a hash is that of a secret. What stands before the digest is a part of
 * what it was made from, so the digest alone tells.
 */
export function isHashOf(
  stored: string,
  secret: string,
  audience: Audience = "",
): boolean {
  const shown = digest(audience + secret);
  return areEqual(stored.slice(GENERATION_LENGTH), shown);
}

/** What is stored of a secret's family: 16 characters of its digest. */
export function hashFamily(secret: string, audience: Audience = ""): string {
  return digest(audience + familyOf(secret)).slice(0, FAMILY_DIGEST_LENGTH);
}

/**
 * Whether two hashes are equal, in a time that depends on their length alone. A
 * loop over strings, because `timingSafeEqual` needs two buffers and costs five
 * times as much; what could leak through it is a hash, which opens nothing.
 */
export function areEqual(stored: string, shown: string): boolean {
  let difference = stored.length ^ shown.length;
  for (let index = 0; index < shown.length; index++) {
    difference |= stored.charCodeAt(index) ^ shown.charCodeAt(index);
  }
  return difference === 0;
}
