/** Checks the keys that an application hands over, and makes all others from them. */
import { Buffer } from "node:buffer";
import { KeyObject } from "node:crypto";
import { derive, KEY_BYTES } from "./cipher.ts";

/** What `encrypted` asks of a `CryptoKey`. */
export interface ExtractableKey {
  /** `"secret"`. */
  readonly type: string;
  /** `true`. */
  readonly extractable: boolean;
  /** Whichever it was made for. */
  readonly algorithm: object;
  /** Whatever it was made for. */
  readonly usages: readonly string[];
}

/**
 * A key of 32 random bytes: 43 characters of base64url, the bytes, or a
 * `CryptoKey` that is secret and extractable.
 */
export type EncryptionKey = string | Uint8Array | ExtractableKey;

/** How many keys of sessions are kept: what one request asks for in a row. */
const MOST_KEPT = 256;

/** The characters by which a value says which key it was encrypted with. */
export const KEY_ID_LENGTH = 8;

/** A key of the application. It encrypts nothing itself. */
export class MasterKey {
  /** Tells it from others; says nothing about it. */
  readonly id: string;
  readonly #bytes: Uint8Array;
  readonly #sessionKeys = new Map<string, Uint8Array>();

  /** @param name What it is called in a message. */
  constructor(given: EncryptionKey, name: string) {
    this.#bytes = bytesOf(given, name);
    this.id = this.#derive("id").toString("base64url").slice(0, KEY_ID_LENGTH);
  }

  /**
   * The key of one session. Each has its own, because random nonces are good for
   * no more than 2^32 values of a key (NIST SP 800-38D §8.3).
   */
  ofSession(id: string): Uint8Array {
    const known = this.#sessionKeys.get(id);
    if (known !== undefined) return known;
    const key = this.#derive("session", id);
    const [oldest] = this.#sessionKeys.keys();
    if (this.#sessionKeys.size >= MOST_KEPT && oldest !== undefined) {
      this.#sessionKeys.delete(oldest);
    }
    this.#sessionKeys.set(id, key);
    return key;
  }

  /** What stands for a principal: the same in all of its sessions. */
  principalDigest(principal: string): string {
    return this.#derive("principal", principal).toString("base64url");
  }

  /** What stands for the name of a session's key: another one in each session. */
  nameDigest(id: string, name: string): string {
    return this.#derive("name", id, name).toString("base64url");
  }

  #derive(...info: readonly string[]): Buffer {
    return derive(this.#bytes, Buffer.from(JSON.stringify(info)));
  }
}

/** The bytes of a key, and never a word about them. */
function bytesOf(given: EncryptionKey, name: string): Uint8Array {
  const bytes = typeof given === "string"
    ? fromText(given, name)
    : fromObject(given, name);
  if (bytes.length === KEY_BYTES) return bytes;
  throw new TypeError(
    `Cannot encrypt sessions: ${name} must be ${KEY_BYTES} bytes: received ${bytes.length} bytes`,
  );
}

function fromText(text: string, name: string): Uint8Array {
  const bytes = Buffer.from(text, "base64url");
  if (bytes.toString("base64url") === text) return bytes;
  throw new TypeError(
    `Cannot encrypt sessions: ${name} must be base64url without padding: received other text of ${text.length} characters`,
  );
}

function fromObject(
  given: Uint8Array | ExtractableKey,
  name: string,
): Uint8Array {
  if (given instanceof Uint8Array) return new Uint8Array(given);
  if (typeof given?.extractable !== "boolean" || given.type !== "secret") {
    throw new TypeError(
      `Cannot encrypt sessions: ${name} must be text, a Uint8Array or a secret CryptoKey: received ${
        given === null ? "null" : given?.type ?? typeof given
      }`,
    );
  }
  if (given.extractable) return exported(given, name);
  throw new TypeError(
    `Cannot encrypt sessions: ${name} must be extractable: received a CryptoKey that is not`,
  );
}

/** At once, where `crypto.subtle.exportKey` takes a promise. */
function exported(key: ExtractableKey, name: string): Uint8Array {
  try {
    return KeyObject.from(key as Parameters<typeof KeyObject.from>[0]).export();
  } catch {
    // As in Deno before 2.8.
    throw new TypeError(
      `Cannot encrypt sessions: ${name} cannot be exported here at once: received a CryptoKey: hand over what crypto.subtle.exportKey("raw", key) gives, as a Uint8Array`,
    );
  }
}
