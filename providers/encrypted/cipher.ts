/** AES-256-GCM, and keys made from a key: nothing here knows what a session is. */
import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv, createHmac } from "node:crypto";

/** The bytes of a key. */
export const KEY_BYTES = 32;

/** The bytes of a nonce: those for which GCM needs no further step. */
const NONCE_BYTES = 12;

/** The bytes of a tag: all that GCM gives. */
const TAG_BYTES = 16;

const CIPHER = "aes-256-gcm";
const WHOLE_TAG = { authTagLength: TAG_BYTES };

/** What a text is encrypted with. */
export interface Sealing {
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** What must be the same when it is decrypted; not part of the result. */
  readonly context: Uint8Array;
  /**
   * 12 bytes that this key was never used with before.
   *
   * @default {random bytes}
   */
  readonly nonce?: Uint8Array | undefined;
}

/** Encrypts; answers nonce, ciphertext and tag. */
export function seal(
  plain: Uint8Array,
  { key, context, nonce = newNonce() }: Sealing,
): Buffer {
  const cipher = createCipheriv(CIPHER, key, nonce, WHOLE_TAG);
  cipher.setAAD(context);
  const text = cipher.update(plain);
  // GCM keeps nothing back for the end.
  cipher.final();
  return Buffer.concat([nonce, text, cipher.getAuthTag()]);
}

/**
 * Decrypts what {@linkcode seal} made.
 *
 * @returns `undefined` if the key or the context was another one, or if any bit
 * has changed.
 */
export function unseal(
  sealed: Uint8Array,
  { key, context }: Omit<Sealing, "nonce">,
): Buffer | undefined {
  const end = sealed.length - TAG_BYTES;
  if (end < NONCE_BYTES) return undefined;
  const nonce = sealed.subarray(0, NONCE_BYTES);
  const decipher = createDecipheriv(CIPHER, key, nonce, WHOLE_TAG);
  decipher.setAAD(context);
  decipher.setAuthTag(sealed.subarray(end));
  const plain = decipher.update(sealed.subarray(NONCE_BYTES, end));
  try {
    decipher.final();
  } catch {
    // The one way in which a runtime tells that the tag is another.
    return undefined;
  }
  return plain;
}

/**
 * Makes 32 bytes from a key and what they are for: HKDF-Expand with SHA-256, one
 * block of it (RFC 5869 §2.3). Whoever has them learns neither the key nor
 * what it makes for anything else.
 */
export function derive(key: Uint8Array, info: Uint8Array): Buffer {
  return createHmac("sha256", key).update(info).update(FIRST_BLOCK).digest();
}

const FIRST_BLOCK = new Uint8Array([1]);

/** Fresh ones: see `random` in `core/secret/token.ts` for why there is no pool. */
function newNonce(): Uint8Array {
  return globalThis.crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
}
