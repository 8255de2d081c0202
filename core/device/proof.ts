/**
 * Reading and checking a browser's proof that it holds a session's key: a JWS
 * (RFC 7515) as Device Bound Session Credentials have it.
 */
import { Buffer } from "node:buffer";
import { createPublicKey, verify } from "node:crypto";

/**
 * A public key as the binding keeps it: `E`, x and y of a point on P-256, or `R`
 * and the modulus of an RSA key whose exponent is 65537. Numbers are base64url.
 */
export type DeviceKey = string;

/** A new key is in the proof that registers it, and in no other. */
export type ProofKind = "registration" | "refresh";

/** A signature, not yet checked. */
export interface Signed {
  readonly algorithm: Algorithm;
  /** What is signed. */
  readonly signed: string | Uint8Array;
  /** The signature, in base64url. */
  readonly signature: string;
}

/** What a proof says. Nothing of it is true before its signature is checked. */
export interface UncheckedProof extends Signed {
  /** The challenge that it answers. */
  readonly challenge: string;
  /** The key that it brings, which is there in a registration only. */
  readonly key: DeviceKey | undefined;
}

/** One shape of key goes with each of them. */
type Algorithm = "ES256" | "RS256";

/** More than any proof needs: the largest key takes 1 KiB, its signature as much. */
const MAX_LENGTH = 8192;

/** What keeps a proof from being taken for another token, and others for it. */
const TYPE = "dbsc+jwt";

/** What an Item of RFC 9651 has around a String; nothing in a JWS is escaped. */
const QUOTED = /^"([^"\\]*)"$/;

/** 32 bytes. */
const COORDINATE_LENGTH = 43;

/** In bits. What is larger costs more to check than a request may. */
const RSA_BITS = { min: 2048, max: 4096 };

/** 65537, the only one that browsers use. */
const RSA_EXPONENT = "AQAB";

/** The members of a JWK that only its owner may know (RFC 7518 §6). */
const PRIVATE_MEMBERS = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

type Members = Readonly<Record<string, unknown>>;

/** Versions of the runtime's own types differ in what they call it. */
type Jwk = Record<string, string>;

/**
 * Reads the value of `Secure-Session-Response`.
 *
 * @param value The header, bare or as a String of RFC 9651.
 * @returns What it says, or `undefined` if it is not a proof of this kind.
 */
export function readProof(
  value: string,
  kind: ProofKind,
): UncheckedProof | undefined {
  if (value.length > MAX_LENGTH) return undefined;
  const parts = (QUOTED.exec(value)?.[1] ?? value).split(".");
  if (parts.length !== 3) return undefined;
  const [head = "", body = "", signature = ""] = parts;
  const header = readHeader(head, kind);
  const challenge = readMembers(body)?.jti;
  if (header === undefined || typeof challenge !== "string") return undefined;
  if (decode(signature) === undefined) return undefined;
  return { ...header, challenge, signed: `${head}.${body}`, signature };
}

/** Whether this key made the signature. False for a key that is none. */
export function isSignedBy(proof: Signed, key: DeviceKey): boolean {
  const jwk = toJwk(key);
  if (jwk?.alg !== proof.algorithm) return false;
  try {
    return verify(
      "sha256",
      Buffer.from(proof.signed),
      // Refuses a point that is off the curve, as Web Crypto does not everywhere.
      {
        key: createPublicKey({ key: jwk, format: "jwk" }),
        dsaEncoding: "ieee-p1363",
      },
      Buffer.from(proof.signature, "base64url"),
    );
  } catch {
    return false;
  }
}

/**
 * Refuses any member that it does not know, as `crit` would have it: what a
 * header says can change what its signature means.
 */
function readHeader(
  text: string,
  kind: ProofKind,
): Pick<UncheckedProof, "algorithm" | "key"> | undefined {
  const members = readMembers(text);
  if (members === undefined) return undefined;
  const { alg: algorithm, typ, jwk, ...others } = members;
  if (typ !== TYPE || Object.keys(others).length > 0) return undefined;
  if (algorithm !== "ES256" && algorithm !== "RS256") return undefined;
  if (kind === "refresh") {
    return jwk === undefined ? { algorithm, key: undefined } : undefined;
  }
  const key = isObject(jwk) ? readKey(jwk) : undefined;
  return key === undefined ? undefined : { algorithm, key };
}

function readKey(jwk: Members): DeviceKey | undefined {
  if (PRIVATE_MEMBERS.some((name) => Object.hasOwn(jwk, name))) {
    return undefined;
  }
  const { kty, crv, x, y, n, e } = jwk;
  let key = "";
  if (kty === "EC" && crv === "P-256" && isCoordinate(x) && isCoordinate(y)) {
    key = `E${x}${y}`;
  } else if (kty === "RSA" && e === RSA_EXPONENT && typeof n === "string") {
    key = `R${n}`;
  }
  return toJwk(key) === undefined ? undefined : key;
}

function isCoordinate(value: unknown): value is string {
  return typeof value === "string" && value.length === COORDINATE_LENGTH;
}

/** The key as the runtime takes it, if its numbers are of the right size. */
function toJwk(key: DeviceKey): Jwk | undefined {
  const numbers = key.slice(1);
  if (key.startsWith("R")) {
    return isModulus(numbers)
      ? { alg: "RS256", kty: "RSA", n: numbers, e: RSA_EXPONENT }
      : undefined;
  }
  const x = numbers.slice(0, COORDINATE_LENGTH);
  const y = numbers.slice(COORDINATE_LENGTH);
  // Some runtimes read too short a number as if zeros came after it.
  const isPoint = key.startsWith("E") && isCoordinate(y) &&
    decode(x) !== undefined && decode(y) !== undefined;
  return isPoint ? { alg: "ES256", kty: "EC", crv: "P-256", x, y } : undefined;
}

function isModulus(text: string): boolean {
  const bytes = decode(text);
  const first = bytes?.[0];
  // It does not begin with a zero byte (RFC 7518 §6.3.1.1).
  if (bytes === undefined || !first) return false;
  const bits = bytes.length * 8 - (Math.clz32(first) - 24);
  return bits >= RSA_BITS.min && bits <= RSA_BITS.max;
}

/** The members of a JSON object in base64url, unless one is there twice. */
function readMembers(text: string): Members | undefined {
  const bytes = decode(text);
  if (bytes === undefined) return undefined;
  try {
    const json = utf8.decode(bytes);
    let kept = 0;
    const value: unknown = JSON.parse(json, (_, value) => {
      if (!isObject(value)) return value;
      kept += Object.keys(value).length;
      return { __proto__: null, ...value };
    });
    // Of two members of one name JSON.parse keeps the last, and says nothing.
    return isObject(value) && kept === membersIn(json) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** How many members a JSON text has, of whatever name. */
function membersIn(json: string): number {
  return json.replace(/"(?:[^"\\]|\\.)*"/g, "").split(":").length - 1;
}

function isObject(value: unknown): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The bytes, if there is no other way to write them in base64url. */
function decode(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64url");
  return bytes.toString("base64url") === text ? bytes : undefined;
}
