import { assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import { idOf, mintToken, secretOf } from "../core/token.ts";

describe("token", () => {
  it("is an id and a secret, one after the other", () => {
    const token = mintToken();
    assertEquals(idOf(token) + secretOf(token), token);
  });
});
