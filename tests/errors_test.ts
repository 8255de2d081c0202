import { assert, assertEquals, assertFalse } from "@std/assert";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { SessionError } from "../mod.ts";
import { inheriting } from "./_pollution.ts";

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

  it("keeps name, message and code of the error behind it, and no more", () => {
    const cause = Object.assign(new TypeError("connection refused"), {
      code: "ECONNREFUSED",
      detail: "Key (data)=(confidential) exists",
    });
    const error = new SessionError("store-failed", "Cannot read session", {
      cause,
    });
    assertEquals(String(error.cause), "TypeError: connection refused");
    const bare = error.cause as Record<string, unknown>;
    assertEquals(bare["code"], "ECONNREFUSED");
    assertEquals(bare["stack"], "TypeError: connection refused");
    assertFalse("detail" in bare);
    assertFalse(inspect(error).includes("confidential"));
  });

  it("keeps what a refused connection was refused by", () => {
    const cause = new AggregateError([new Error("one"), new Error("two")]);
    const error = new SessionError("store-failed", "Cannot read", { cause });
    assertEquals(String(error.cause), "AggregateError: one; two");
  });

  it("says of a cause that is no error only what it is", () => {
    const cause = { password: "confidential" };
    const error = new SessionError("store-failed", "Cannot read", { cause });
    assertEquals(String(error.cause), "Error: a thrown object");
  });

  it("keeps code, message, id and cause in JSON", () => {
    const error = new SessionError("corrupt", "Cannot decode session", {
      id: "some id",
      cause: new Error("unexpected end"),
    });
    assertEquals(JSON.parse(JSON.stringify({ error })), {
      error: {
        name: "SessionError",
        code: "corrupt",
        message: "Cannot decode session",
        id: "some id",
        cause: "Error: unexpected end",
      },
    });
  });

  it("has no cause unless one is given", () => {
    assertFalse("cause" in new SessionError("gone", "Cannot update session"));
    const given = { cause: undefined };
    assertFalse("cause" in new SessionError("gone", "Cannot update", given));
  });

  it("keeps a number that is the code of the error behind it", () => {
    const cause = Object.assign(new Error("database is locked"), { code: 5 });
    const error = new SessionError("store-failed", "Cannot read", { cause });
    assertEquals((error.cause as { code?: unknown }).code, 5);
  });

  it("takes neither cause nor id from what every object inherits", async () => {
    await inheriting({ cause: new Error("planted"), id: "planted" }, () => {
      const error = new SessionError("gone", "Cannot update session", {});
      assertEquals([error.id, Object.hasOwn(error, "cause")], [
        undefined,
        false,
      ]);
    });
  });
});
