import { assert, assertEquals } from "@std/assert";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { mintSecret, mintSibling } from "../core/secret/token.ts";
import { idOf, mintToken } from "./_tokens.ts";
import { leakIn } from "./_leaks.ts";

describe("the watch for leaked secrets", () => {
  it("finds a token, a secret, and half of one, in any text", () => {
    const token = mintToken();
    const secret = mintSecret();
    const renewed = mintSibling(secret);
    for (const text of [token, secret, renewed, renewed.slice(16)]) {
      assert(leakIn(`Cannot open "${text}": refused`) !== undefined, text);
    }
  });

  it("has nothing against ids and words", () => {
    assertEquals(
      leakIn(`${idOf(mintToken())} and a_long_word_of_the_code`),
      undefined,
    );
  });

  it("notes what is printed and thrown", () => {
    const folder = mkdtempSync(join(tmpdir(), "leaks-"));
    const before = process.env.SESSION_LEAKS;
    try {
      process.env.SESSION_LEAKS = join(folder, "leaks.txt");
      const part = mintSecret().slice(0, 16);
      console.debug(part);
      assert(new TypeError(part));
      const notes = readFileSync(process.env.SESSION_LEAKS, "utf8");
      const isDeno = "Deno" in globalThis;
      assertEquals(
        notes.match(/^\w+(?=: \[ '<a secret>' \]$)/gm),
        isDeno ? ["printed", "thrown"] : ["printed"],
      );
    } finally {
      if (before === undefined) delete process.env.SESSION_LEAKS;
      else process.env.SESSION_LEAKS = before;
      rmSync(folder, { recursive: true });
    }
  });
});
