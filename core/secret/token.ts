/**
 * Makes the values of session cookies, takes them apart, and hashes their
 * secrets.
 */
import { Buffer } from "node:buffer";
import { hash } from "node:crypto";

/** The characters of a session's id: 18 random bytes in base64url. */
export const ID_LENGTH = 24;

/** The characters of a session's secret: 24 random bytes in base64url. */
const SECRET_LENGTH = 32;

/** The characters of a cookie's value: id, then secret. */
export const TOKEN_LENGTH: number = ID_LENGTH + SECRET_LENGTH;

const ID_BYTES = 18;
const SECRET_BYTES = 24;
const DIGEST_LENGTH = 64;
const FAMILY_DIGEST_LENGTH = 16;

/**
 * Random bytes for many tokens at once: filling a small array costs about as
 * much as filling this one.
 */
const pool = Buffer.alloc((ID_BYTES + SECRET_BYTES) * 146);
let used: number = pool.length;

/**
 * Makes the value of a session cookie from 42 bytes of the runtime's
 * cryptographic random number generator (ASVS 7.2.3).
 *
 * @throws Whatever `crypto.getRandomValues` throws; there is no fallback.
 */
export function mintToken(): string {
  return mintId() + mintSecret();
}

/**
 * Makes a new id: a text of its own, because a provider keeps it. A slice of a
 * token would keep the whole token in memory, its secret included.
 */
export function mintId(): string {
  return takeRandom(ID_BYTES);
}

/** Makes a new secret of a new family, for a session that keeps its id. */
export function mintSecret(): string {
  return takeRandom(SECRET_BYTES);
}

/** Makes a new secret of the same family as another. */
export function renewSecret(secret: string): string {
  return familyOf(secret) + takeRandom(SECRET_BYTES / 2);
}

function takeRandom(bytes: number): string {
  if (used + bytes > pool.length) {
    // Nothing of the pool counts as random before the call has succeeded.
    used = pool.length;
    crypto.getRandomValues(pool);
    used = 0;
  }
  const text = pool.toString("base64url", used, used + bytes);
  pool.fill(0, used, used + bytes);
  used += bytes;
  return text;
}

/** A token, taken apart. */
export interface Token {
  readonly id: string;
  readonly secret: string;
}

/** Whether a value can be a token at all: 56 characters of base64url. */
export function isToken(value: string): boolean {
  return value.length === TOKEN_LENGTH && /^[\w-]+$/.test(value);
}

/** Takes a value apart that {@linkcode isToken}. */
export function parseToken(value: string): Token {
  return { id: idOf(value), secret: secretOf(value) };
}

/**
 * The same text, made anew. Engines keep all of the text that a slice was cut
 * from, so whoever keeps an id would keep the header, its secret included.
 */
export function ownText(text: string): string {
  return [...text].join("");
}

/** The id in a token. */
export function idOf(token: string): string {
  return token.slice(0, ID_LENGTH);
}

/** The secret in a token. */
export function secretOf(token: string): string {
  return token.slice(ID_LENGTH);
}

/**
 * The first half of a secret: 12 random bytes that all secrets of a session
 * share until its privileges change. Whoever shows it has had a cookie of that
 * session, however old.
 */
export function familyOf(secret: string): string {
  return secret.slice(0, SECRET_LENGTH / 2);
}

/**
 * SHA-256 in hexadecimal, 64 characters: a third of the time of base64url on
 * Deno, where a request that only reads spends much of its time here.
 */
export function digest(text: string): string {
  return hash("sha256", text, "hex");
}

/**
 * What is stored of a secret: its digest, then 16 characters of its family's
 * digest.
 */
export function hashSecret(secret: string): string {
  // Joined, because `+` keeps its parts until something reads the whole: 224
  // bytes in V8 for the life of the session, and not 96.
  return [digest(secret), familyDigest(secret)].join("");
}

/** Whether a stored hash is that of the secret with this digest. */
export function isHashOf(secretHash: string, secretDigest: string): boolean {
  return startsEqual(secretHash, secretDigest, 0);
}

/** Whether a stored hash is that of a secret of the same family as this one. */
export function isSameFamily(secretHash: string, secret: string): boolean {
  return startsEqual(secretHash, familyDigest(secret), DIGEST_LENGTH);
}

function familyDigest(secret: string): string {
  return digest(familyOf(secret)).slice(0, FAMILY_DIGEST_LENGTH);
}

/**
 * Whether a part of a text is equal to another text, in a time that depends on
 * the length alone. A loop over strings, because `timingSafeEqual` needs two
 * buffers and costs five times as much; what could leak through it is a hash,
 * which opens nothing.
 */
function startsEqual(text: string, part: string, from: number): boolean {
  let difference = 0;
  for (let index = 0; index < part.length; index++) {
    difference |= text.charCodeAt(from + index) ^ part.charCodeAt(index);
  }
  return difference === 0;
}
