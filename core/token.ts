import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";

/** The characters of a session's id: 18 random bytes in base64url. */
export const ID_LENGTH = 24;

/** The characters of a session's secret: 24 random bytes in base64url. */
export const SECRET_LENGTH = 32;

/** The characters of a cookie's value: id, then secret. */
export const TOKEN_LENGTH: number = ID_LENGTH + SECRET_LENGTH;

const TOKEN_BYTES = 42;

/**
 * Random bytes for many tokens at once: filling a small array costs about as
 * much as filling this one.
 */
const pool = Buffer.alloc(TOKEN_BYTES * 146);
let used: number = pool.length;

/**
 * Makes the value of a session cookie from 42 bytes of the runtime's
 * cryptographic random number generator (ASVS 7.2.3).
 *
 * @throws Whatever `crypto.getRandomValues` throws; there is no fallback.
 */
export function mintToken(): string {
  return takeRandom(TOKEN_BYTES);
}

/** Makes a new secret for a session that keeps its id. */
export function mintSecret(): string {
  return takeRandom(24);
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

/** Whether a value can be a token at all: 56 characters of base64url. */
export function isToken(value: string): boolean {
  return value.length === TOKEN_LENGTH && /^[\w-]+$/.test(value);
}

/** The id in a token. */
export function idOf(token: string): string {
  return token.slice(0, ID_LENGTH);
}

/** The secret in a token. */
export function secretOf(token: string): string {
  return token.slice(ID_LENGTH);
}

/** What is stored of a secret: its SHA-256 in base64url, 43 characters. */
export function hashSecret(secret: string): string {
  return createHash("sha256").update(secret).digest("base64url");
}

/**
 * Compares two hashes in a time that depends on their length alone. A loop over
 * strings, because `timingSafeEqual` needs two buffers and costs five times as
 * much; what could leak through it is a hash, which opens nothing.
 */
export function hashesEqual(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let index = 0; index < a.length; index++) {
    difference |= a.charCodeAt(index) ^ b.charCodeAt(index);
  }
  return difference === 0;
}
