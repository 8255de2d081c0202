import { assert, assertEquals, assertFalse } from "@std/assert";
import fc from "fast-check";
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { isSignedBy, type ProofKind, readProof } from "../core/device/proof.ts";
import { DeviceSigner } from "./_device_proofs.ts";
import {
  CHALLENGE,
  device,
  MALFORMED_REFRESHES,
  MALFORMED_REGISTRATIONS,
} from "./_malformed_proofs.ts";
import { inheritingAtOnce } from "./_pollution.ts";
import { rsaForgeries, rsaSignature } from "./_rsa_forgeries.ts";

const rsaDevice = new DeviceSigner("RS256");

/** Made once: some runtimes need seconds to make a key of this size. */
const LARGE_RSA: { proofs: string[] } = JSON.parse(
  readFileSync(
    new URL("./vectors/large_rsa_proofs.json", import.meta.url),
    "utf8",
  ),
);

/** Other characters of base64url than a given one: near it, and far from it. */
const OTHERS = ["A", "Q", "g", "_"];

/** Whether a server would take it: for the key that it brings, or for ours. */
function isTaken(value: string, kind: ProofKind): boolean {
  const proof = readProof(value, kind);
  return proof !== undefined && isSignedBy(proof, proof.key ?? device.key);
}

function isSignedByRsa(signed: string, signature: string): boolean {
  const proof = { algorithm: "RS256", signed, signature } as const;
  return isSignedBy(proof, rsaDevice.key);
}

/** A registration of an RSA key of this many bits, which nobody has. */
function ofSize(bits: number): string {
  const hex = ((1n << BigInt(bits - 1)) + 1n).toString(16);
  const bytes = Buffer.from(hex.padStart(Math.ceil(bits / 8) * 2, "0"), "hex");
  const jwk = { kty: "RSA", n: bytes.toString("base64url"), e: "AQAB" };
  return device.make({
    header: { alg: "RS256", typ: "dbsc+jwt", jwk },
    payload: { jti: CHALLENGE },
  });
}

describe("a proof", () => {
  for (const signer of [device, rsaDevice]) {
    it(`brings its challenge and its key, by ${signer.algorithm}`, () => {
      const proof = readProof(signer.register(CHALLENGE), "registration");
      assertEquals(proof?.challenge, CHALLENGE);
      assertEquals(proof?.key, signer.key);
      assert(proof !== undefined && isSignedBy(proof, signer.key));
    });

    it(`is taken without a key later, by ${signer.algorithm}`, () => {
      const proof = readProof(signer.refresh(CHALLENGE), "refresh");
      assertEquals(proof?.challenge, CHALLENGE);
      assertEquals(proof?.key, undefined);
      assert(proof !== undefined && isSignedBy(proof, signer.key));
    });
  }

  it("is taken as a string of a structured field too", () => {
    assert(isTaken(`"${device.register(CHALLENGE)}"`, "registration"));
    assert(isTaken(`"${device.refresh(CHALLENGE)}"`, "refresh"));
  });

  it("is taken by RSA keys of 3072 and 4096 bits", () => {
    for (const proof of LARGE_RSA.proofs) {
      assert(isTaken(proof, "registration"));
    }
  });

  it("is taken by an RSA key whose padding is made by hand", () => {
    const signature = rsaSignature("a text", rsaDevice.privateJwk);
    assert(isSignedByRsa("a text", signature));
  });

  it("is refused for an RSA key below 2048 and above 4096 bits", () => {
    const isRead = (bits: number) =>
      readProof(ofSize(bits), "registration") !== undefined;
    assert([2048, 2049, 4095, 4096].every(isRead));
    assertFalse([512, 1024, 2040, 2047, 4097, 4104, 8192].some(isRead));
  });

  it("may say more than its challenge", () => {
    const header = { alg: "ES256", typ: "dbsc+jwt" };
    const payload = { iat: 1, jti: CHALLENGE, more: ["a: b", { c: '":"' }] };
    assert(isTaken(device.make({ header, payload }), "refresh"));
  });

  it("may bring a key that says what it is for", () => {
    const jwk = { ...device.jwk, use: "sig", ext: true, key_ops: ["verify"] };
    const header = { alg: "ES256", typ: "dbsc+jwt", jwk };
    const payload = { jti: CHALLENGE };
    assert(isTaken(device.make({ header, payload }), "registration"));
  });

  it("is not taken for any other key", () => {
    const proof = readProof(device.refresh(CHALLENGE), "refresh");
    assert(proof !== undefined);
    const others = [
      new DeviceSigner().key,
      rsaDevice.key,
      `R${device.key.slice(1)}`,
      device.key.slice(1),
      device.key.slice(0, -1),
      `${device.key}A`,
      `e${device.key.slice(1)}`,
      "E",
      "R",
      "",
    ];
    assertEquals(others.filter((key) => isSignedBy(proof, key)), []);
  });

  it("is not taken for its key less a last byte of zero", () => {
    let signer = device;
    while (!/[AQgw]A$/.test(signer.key)) signer = new DeviceSigner();
    const proof = readProof(signer.refresh(CHALLENGE), "refresh");
    assert(proof !== undefined && isSignedBy(proof, signer.key));
    assertFalse(isSignedBy(proof, signer.key.slice(0, -1)));
  });

  it("is not taken with any one character changed, gone or doubled", () => {
    const proof = device.refresh(CHALLENGE);
    const taken: string[] = [];
    for (let at = 0; at < proof.length; at++) {
      const [before, after] = [proof.slice(0, at), proof.slice(at + 1)];
      const changed = [
        before + after,
        before + proof[at] + proof[at] + after,
        ...OTHERS.map((other) => before + other + after),
      ];
      taken.push(
        ...changed.filter((text) => text !== proof && isTaken(text, "refresh")),
      );
    }
    assertEquals(taken, []);
  });

  it("is not made of garbage", () => {
    const part = fc.oneof(
      fc.base64String(),
      fc.json().map((text) => Buffer.from(text).toString("base64url")),
      fc.string(),
    );
    const garbage = fc.oneof(
      fc.string(),
      fc.array(part, { maxLength: 5 }).map((parts) => parts.join(".")),
    );
    fc.assert(fc.property(garbage, (text) => {
      assertFalse(isTaken(text, "refresh"));
      assertFalse(isTaken(text, "registration"));
    }));
  });

  it("is read without what every object inherits", () => {
    const { jwk } = device;
    const refresh = device.refresh(CHALLENGE);
    const header = { alg: "ES256", typ: "dbsc+jwt" };
    const empty = device.make({ header, payload: {} });
    const bare = device.make({
      header: { ...header, jwk: {} },
      payload: { jti: CHALLENGE },
    });
    inheritingAtOnce({ ...header, jwk, ...jwk, jti: CHALLENGE }, () => {
      assertFalse(isTaken(refresh, "registration"));
      assertFalse(isTaken(empty, "refresh"));
      assertFalse(isTaken(bare, "registration"));
    });
    assert(isTaken(refresh, "refresh"));
  });

  it("brings a key in one text only, or is not read", () => {
    for (const number of ["an x", "a y"]) {
      const wrong = `${number} with bits that mean nothing`;
      const proof = MALFORMED_REGISTRATIONS[wrong] as string;
      assertEquals(readProof(proof, "registration"), undefined);
    }
  });

  it("throws nothing, however deep it is nested", () => {
    for (const [open, close] of [["[", "]"], ['{"a":', "}"]] as const) {
      const depth = Math.floor(5700 / (open.length + close.length));
      const deep = open.repeat(depth) + "1" + close.repeat(depth);
      const header = { alg: "ES256", typ: "dbsc+jwt" };
      const payload = `{"jti":"${CHALLENGE}","deep":${deep}}`;
      isTaken(device.make({ header, payload }), "refresh");
    }
  });
});

describe("a proof by an RSA key is refused with", () => {
  const forgeries = rsaForgeries("a text", rsaDevice.privateJwk);
  for (const [wrong, signature] of Object.entries(forgeries)) {
    it(wrong, () => assertFalse(isSignedByRsa("a text", signature)));
  }
});

describe("a proof for a key that is registered is refused with", () => {
  for (const [wrong, proof] of Object.entries(MALFORMED_REFRESHES)) {
    it(wrong, () => assertFalse(isTaken(proof, "refresh")));
  }
});

describe("a proof that brings a key is refused with", () => {
  for (const [wrong, proof] of Object.entries(MALFORMED_REGISTRATIONS)) {
    it(wrong, () => assertFalse(isTaken(proof, "registration")));
  }
});
