import { Buffer } from "node:buffer";
import { hash, randomBytes } from "node:crypto";
import { checkFormToken, makeFormToken } from "../../core/secret/form_token.ts";
import {
  familyOf,
  hashSecret,
  isHashOf,
  isToken,
  mintId,
  mintSecret,
  mintSibling,
  parseToken,
  TOKEN_LENGTH,
} from "../../core/secret/token.ts";
import { type BenchCase, CALLS, compare, expect } from "./bench_case.ts";

const TOKEN_BYTES = TOKEN_LENGTH * 3 / 4;

/** Making tokens, checking those that arrive, and the tokens of forms. */
export function tokenCases(): BenchCase[] {
  return [...mintCases(), ...checkCases(), ...formCases()];
}

function mintCases(): BenchCase[] {
  const count = (mint: () => string, length: number) => () => {
    let right = 0;
    for (let call = 0; call < CALLS; call++) {
      if (mint().length === length) right++;
    }
    return right;
  };
  const secret = mintSecret();
  const task = { group: "mint a token", operations: CALLS };
  return compare(task, [
    {
      name: "randomBytes, base64url",
      run: count(
        () => randomBytes(TOKEN_BYTES).toString("base64url"),
        TOKEN_LENGTH,
      ),
    },
    {
      name: "ours: mintId, mintSecret",
      run: count(mintToken, TOKEN_LENGTH),
    },
    {
      name: "ours: mintSibling",
      run: count(() => mintSibling(secret), secret.length),
    },
  ]);
}

function mintToken(): string {
  return mintId() + mintSecret();
}

function secretOf(token: string): string {
  return parseToken(token).secret;
}

/** What an arriving token takes: its form, its id, and whether it is right. */
function checkCases(): BenchCase[] {
  const tokens = Array.from({ length: CALLS }, mintToken);
  const hashes = tokens.map((token) => hashSecret(secretOf(token)));
  expect(tokens.every(isToken), "a token's form");
  const count = (check: (token: string, call: number) => boolean) => () => {
    let right = 0;
    for (let call = 0; call < CALLS; call++) {
      if (check(tokens[call] as string, call)) right++;
    }
    return right;
  };
  const task = { group: "check a token", operations: CALLS };
  return compare(task, [
    {
      name: "SHA-256 of the secret",
      run: count((token) => hash("sha256", secretOf(token)).length === 64),
    },
    {
      name: "ours: isToken, parseToken, isHashOf",
      run: count((token, call) => {
        if (!isToken(token)) return false;
        const { id, secret } = parseToken(token);
        return id !== "" && isHashOf(hashes[call] as string, secret);
      }),
    },
    {
      name: "ours: hashSecret, for a token just minted",
      run: count((token, call) => hashSecret(secretOf(token)) === hashes[call]),
    },
  ]);
}

function formCases(): BenchCase[] {
  const family = familyOf(mintSecret());
  const field = makeFormToken(family);
  const count = (isRight: () => boolean) => () => {
    let right = 0;
    for (let call = 0; call < CALLS; call++) if (isRight()) right++;
    return right;
  };
  const bytes = Buffer.from(field, "base64url").length;
  const task = { group: "form token", operations: CALLS };
  return compare(task, [
    {
      name: "randomBytes, base64url",
      run: count(() =>
        randomBytes(bytes).toString("base64url").length === field.length
      ),
    },
    {
      name: "ours: makeFormToken",
      run: count(() => makeFormToken(family).length === field.length),
    },
    {
      name: "ours: checkFormToken",
      run: count(() => checkFormToken(family, field)),
    },
  ]);
}
