/**
 * RSA signatures whose padding is wrong, each in the way that some verifier has
 * overlooked (RFC 8017 §8.2.2 wants the whole block compared).
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";

/** What stands before a digest: its algorithm in DER (RFC 8017 §9.2). */
const SHA256 = "3031300d060960864801650304020105000420";

/** The same without the parameters that are null. */
const SHA256_WITHOUT_NULL = "302f300b0609608648016503040201" + "0420";

/** The same with a length in more bytes than it needs. */
const SHA256_IN_BER = "308131300d060960864801650304020105000420";

const SHA1 = "3021300906052b0e03021a05000414";
const SHA512 = "3051300d060960864801650304020305000440";

/** How long a block is, less what every block has. */
type Filler = (size: number) => string;

const ones: Filler = (size) => "ff".repeat(size);

/** What is wrong, and the signature of a text, in base64url. */
export function rsaForgeries(
  text: string,
  privateKey: JsonWebKey,
): Record<string, string> {
  const digest = (name: string) => createHash(name).update(text).digest("hex");
  const sha256 = SHA256 + digest("sha256");
  const blocks: Record<string, readonly [string, string, Filler?, string?]> = {
    "a byte of padding that is zero": [
      "0001",
      sha256,
      (size) => `${ones(size - 9)}00${ones(8)}`,
    ],
    "padding of zeros": ["0001", sha256, (size) => "00".repeat(size)],
    "padding for encryption": ["0002", sha256],
    "padding of the kind 0": ["0000", sha256],
    "a byte before the block": ["0101", sha256],
    "no byte after the padding": ["0001", sha256, ones, "ff"],
    "something after the digest": ["0001", `${sha256}${"00".repeat(64)}`],
    "something after a short padding": [
      "0001",
      sha256 + "00".repeat(256 - 3 - 8 - sha256.length / 2),
    ],
    "no null in the algorithm": [
      "0001",
      SHA256_WITHOUT_NULL + digest("sha256"),
    ],
    "a length in BER": ["0001", SHA256_IN_BER + digest("sha256")],
    "no algorithm": ["0001", digest("sha256")],
    "SHA-1": ["0001", SHA1 + digest("sha1")],
    "SHA-512": ["0001", SHA512 + digest("sha512")],
    "the algorithm of SHA-1": ["0001", SHA1 + digest("sha256").slice(0, 40)],
    "the digest of another text": [
      "0001",
      SHA256 + createHash("sha256").update(`${text} `).digest("hex"),
    ],
  };
  return Object.fromEntries(
    Object.entries(blocks).map(
      ([wrong, [start, end, fill = ones, gap = "00"]]) => {
        const size = sizeOf(privateKey) - (start + gap + end).length / 2;
        return [wrong, apply(start + fill(size) + gap + end, privateKey)];
      },
    ),
  );
}

/** What a right signature is made of, by which the wrong ones are wrong. */
export function rsaSignature(text: string, privateKey: JsonWebKey): string {
  const end = SHA256 + createHash("sha256").update(text).digest("hex");
  const size = sizeOf(privateKey) - 3 - end.length / 2;
  return apply(`0001${ones(size)}00${end}`, privateKey);
}

function sizeOf({ n }: JsonWebKey): number {
  return Buffer.from(n as string, "base64url").length;
}

/** Raises a block to the private exponent. */
function apply(block: string, { n, d }: JsonWebKey): string {
  const [modulus, exponent] = [numberOf(n), numberOf(d)];
  const power = raise(BigInt(`0x${block}`) % modulus, exponent, modulus);
  const hex = power.toString(16).padStart(block.length, "0");
  return Buffer.from(hex, "hex").toString("base64url");
}

function raise(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let [power, square] = [1n, base];
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) power = power * square % modulus;
    square = square * square % modulus;
  }
  return power;
}

function numberOf(text: string | undefined): bigint {
  const hex = Buffer.from(text as string, "base64url").toString("hex");
  return BigInt(`0x${hex}`);
}
