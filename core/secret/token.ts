/** Makes the values of session cookies, takes them apart, and hashes their secrets. */
import { Buffer } from "node:buffer";
import * as crypto from "node:crypto";

/** The characters of a session's id: 18 random bytes in base64url. */
export const ID_LENGTH = 24;

/** The characters of a session's secret: 24 random bytes in base64url. */
const SECRET_LENGTH = 32;

/** The characters of a cookie's value: id, then secret. */
export const TOKEN_LENGTH: number = ID_LENGTH + SECRET_LENGTH;

const ID_BYTES = 18;
const SECRET_BYTES = 24;
const FAMILY_DIGEST_LENGTH = 16;

/** Makes a new id. */
export function mintId(): string {
  return random(ID_BYTES);
}

/** Makes a new secret of a new family. */
export function mintSecret(): string {
  return random(SECRET_BYTES);
}

/** Makes a new secret of the same family as another. */
export function mintSibling(secret: string): string {
  return familyOf(secret) + random(SECRET_BYTES / 2);
}

/**
 * Bytes of the runtime's cryptographic random number generator (ASVS 7.2.3).
 * None are kept in store: what a process has in memory when a snapshot is taken
 * is the same in every process that is restored from it.
 *
 * @throws Whatever `crypto.getRandomValues` throws; there is no fallback.
 */
function random(bytes: number): string {
  const buffer = Buffer.alloc(bytes);
  globalThis.crypto.getRandomValues(buffer);
  return buffer.toString("base64url");
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
 * The first half of a secret: 12 random bytes that all secrets from one sign-in
 * to the next have in common. Whoever shows it has had a cookie of that session,
 * however old.
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

/** In one step, where the runtime has it: not in Deno 2.0. */
const { hash = inSteps } = crypto as Partial<typeof crypto>;

function inSteps(name: string, text: string, encoding: "hex"): string {
  return crypto.createHash(name).update(text).digest(encoding);
}

/** What is stored of a secret: its digest. */
export function hashSecret(secret: string): string {
  return digest(secret);
}

/** What is stored of a secret's family: 16 characters of its digest. */
export function hashFamily(secret: string): string {
  return digest(familyOf(secret)).slice(0, FAMILY_DIGEST_LENGTH);
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
