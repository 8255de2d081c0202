/**
 * Keys as a browser makes them for a session, and what it signs with them.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import type { DeviceKey } from "../core/device/proof.ts";

export type Algorithm = "ES256" | "RS256";

/** What a JWS is made of. */
export interface ProofParts {
  /** JSON, or anything at all. */
  readonly header: unknown;
  /** JSON, or anything at all. */
  readonly payload: unknown;
  /** In base64url; made with the key, if it is left out. */
  readonly signature?: string;
}

/** A key that signs what it is told to, right or wrong. */
export class DeviceSigner {
  readonly algorithm: Algorithm;
  /** The public key. */
  readonly jwk: Readonly<Record<string, unknown>>;
  /** The private key, as a browser never shows it. */
  readonly privateJwk: Readonly<Record<string, unknown>>;
  /** The public key as a binding keeps it. */
  readonly key: DeviceKey;
  readonly #private: KeyObject;

  /** @param bits The size of an RSA key. */
  constructor(algorithm: Algorithm = "ES256", bits = 2048) {
    const { publicKey, privateKey } = algorithm === "ES256"
      ? generateKeyPairSync("ec", { namedCurve: "P-256" })
      : generateKeyPairSync("rsa", { modulusLength: bits });
    const { kty, crv, x, y, n, e } = publicKey.export({ format: "jwk" });
    this.algorithm = algorithm;
    this.jwk = algorithm === "ES256"
      ? {
        crv: crv as string,
        kty: kty as string,
        x: x as string,
        y: y as string,
      }
      : { e: e as string, kty: kty as string, n: n as string };
    this.privateJwk = { ...privateKey.export({ format: "jwk" }) };
    this.key = algorithm === "ES256" ? `E${x}${y}` : `R${n}`;
    this.#private = privateKey;
  }

  /** The proof that registers the key. */
  register(challenge: string): string {
    const { algorithm: alg, jwk } = this;
    return this.make({
      header: { alg, jwk, typ: "dbsc+jwt" },
      payload: { jti: challenge },
    });
  }

  /** The proof that the key is still there. */
  refresh(challenge: string): string {
    return this.make({
      header: { alg: this.algorithm, typ: "dbsc+jwt" },
      payload: { jti: challenge },
    });
  }

  /** Any JWS. A text or bytes for header or payload are taken as they are. */
  make({ header, payload, signature }: ProofParts): string {
    const signed = `${encode(header)}.${encode(payload)}`;
    return `${signed}.${signature ?? this.sign(signed)}`;
  }

  /** Signs a text, whatever its header says. */
  sign(text: string, encoding: "ieee-p1363" | "der" = "ieee-p1363"): string {
    const key = { key: this.#private, dsaEncoding: encoding };
    return sign("sha256", Buffer.from(text), key).toString("base64url");
  }
}

function encode(part: unknown): string {
  const isRaw = typeof part === "string" || part instanceof Uint8Array;
  return Buffer.from(isRaw ? part : JSON.stringify(part)).toString("base64url");
}
