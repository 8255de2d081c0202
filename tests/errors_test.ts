import {
  assert,
  assertEquals,
  assertFalse,
  assertStrictEquals,
} from "@std/assert";
import { describe, it } from "node:test";
import { SessionError } from "../mod.ts";

describe("SessionError", () => {
  it("is an Error, told apart from others by its class", () => {
    const error: unknown = new SessionError("gone", "Cannot update session");
    assert(error instanceof Error);
    assert(error instanceof SessionError);
    assertFalse(new TypeError() instanceof SessionError);
  });

  it("carries the code and the message that it was made with", () => {
    const error = new SessionError("timeout", "Cannot read session");
    assertEquals(error.code, "timeout");
    assertEquals(error.message, "Cannot read session");
  });

  it("prints its own name before its message", () => {
    const error = new SessionError("gone", "Cannot update session");
    assertEquals(error.name, "SessionError");
    assertEquals(String(error), "SessionError: Cannot update session");
  });

  it("keeps the error behind it as its cause", () => {
    const cause = new Error("connection refused");
    const error = new SessionError("store-failed", "Cannot read session", {
      cause,
    });
    assertStrictEquals(error.cause, cause);
  });

  it("keeps a cause that is no error", () => {
    const error = new SessionError("store-failed", "Cannot read session", {
      cause: undefined,
    });
    assert("cause" in error);
    assertStrictEquals(error.cause, undefined);
  });

  it("has no cause unless one is given", () => {
    assertFalse("cause" in new SessionError("gone", "Cannot update session"));
  });
});
