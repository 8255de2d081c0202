/**
 * Hidden form fields that show that a form came from a page of the same
 * session.
 */
import { Buffer } from "node:buffer";
import { createHash, timingSafeEqual } from "node:crypto";

/** Bytes of the mask, and of the value that it hides. */
const SIZE = 32;

/** The characters of a form token: mask and masked value in base64url. */
const LENGTH = 86;

/**
 * Makes the value of a hidden form field from what only the session's cookie
 * knows. It is masked anew each time, so that a compressed page does not give it
 * away bit by bit (BREACH).
 */
export function makeFormToken(family: string): string {
  const token = Buffer.alloc(2 * SIZE);
  crypto.getRandomValues(token.subarray(0, SIZE));
  const value = valueOf(family);
  for (let index = 0; index < SIZE; index++) {
    token[SIZE + index] = token[index]! ^ value[index]!;
  }
  return token.toString("base64url");
}

/** Whether a form field holds a token made for this family, in constant time. */
export function checkFormToken(family: string, field: unknown): boolean {
  if (typeof field !== "string" || field.length !== LENGTH) return false;
  const token = Buffer.from(field, "base64url");
  if (token.length !== 2 * SIZE) return false;
  const unmasked = Buffer.alloc(SIZE);
  for (let index = 0; index < SIZE; index++) {
    unmasked[index] = token[index]! ^ token[SIZE + index]!;
  }
  return timingSafeEqual(unmasked, valueOf(family));
}

function valueOf(family: string): Buffer {
  return createHash("sha256").update(`form ${family}`).digest();
}
