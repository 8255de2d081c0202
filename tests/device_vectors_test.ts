import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { type DeviceKey, isSignedBy } from "../core/device/proof.ts";

/**
 * A folder with vectors of Project Wycheproof, as its repository has them in
 * `testvectors_v1`.
 */
const FOLDER = process.env.SESSION_WYCHEPROOF;

const isThere = FOLDER !== undefined && existsSync(FOLDER);

if (!isThere) {
  console.log(
    "Tests of the signature vectors are skipped: SESSION_WYCHEPROOF names no folder of Project Wycheproof's testvectors_v1",
  );
}

/** The files, and how many of their vectors have an exponent of 65537. */
const FILES = [
  ["ES256", "ecdsa_secp256r1_sha256_p1363_test.json", 262],
  ["RS256", "rsa_signature_2048_sha256_test.json", 257],
  ["RS256", "rsa_signature_3072_sha256_test.json", 258],
  ["RS256", "rsa_signature_4096_sha256_test.json", 258],
] as const;

interface Group {
  readonly publicKey: {
    readonly uncompressed?: string;
    readonly modulus?: string;
    readonly publicExponent?: string;
  };
  readonly tests: readonly {
    readonly tcId: number;
    readonly comment: string;
    readonly msg: string;
    readonly sig: string;
    readonly result: "valid" | "invalid" | "acceptable";
  }[];
}

describe("signatures", () => {
  for (const [algorithm, name, count] of FILES) {
    it(`are judged as ${name} has it`, { skip: !isThere }, () => {
      const path = join(FOLDER as string, name);
      const { testGroups }: { testGroups: readonly Group[] } = JSON.parse(
        readFileSync(path, "utf8"),
      );
      const wrong: string[] = [];
      let judged = 0;
      for (const { publicKey, tests } of testGroups) {
        const key = toDeviceKey(publicKey);
        if (key === undefined) continue;
        for (const { tcId, comment, msg, sig, result } of tests) {
          judged++;
          const isRight = isSignedBy({
            algorithm,
            signed: Buffer.from(msg, "hex"),
            signature: toBase64url(sig),
          }, key);
          if (isRight !== (result === "valid")) {
            wrong.push(`${tcId} ${comment}`);
          }
        }
      }
      assertEquals(wrong, []);
      assert(judged >= count);
    });
  }
});

/** The key as a binding keeps it, unless a browser would not have made it. */
function toDeviceKey(
  { uncompressed, modulus, publicExponent }: Group["publicKey"],
): DeviceKey | undefined {
  if (uncompressed !== undefined) {
    // After a byte that says so come x and y.
    const [x, y] = [uncompressed.slice(2, 66), uncompressed.slice(66)];
    return `E${toBase64url(x)}${toBase64url(y)}`;
  }
  if (modulus === undefined || publicExponent !== "010001") return undefined;
  return `R${toBase64url(modulus.replace(/^00/, ""))}`;
}

function toBase64url(hex: string): string {
  return Buffer.from(hex, "hex").toString("base64url");
}
