import {
  assert,
  assertEquals,
  assertFalse,
  assertNotStrictEquals,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { describe, it } from "node:test";
import { Manager, open, type Provider, register, registered } from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";

function makeMemory(): Provider {
  return new MemoryProvider();
}

describe("register", () => {
  it("makes a provider known to open and to managers", async () => {
    const provider = makeMemory();
    register("registry-known", () => provider);
    assertStrictEquals(open("registry-known"), provider);
    await using _manager = new Manager({ provider: "registry-known" });
  });

  it("refuses a name that is taken and leaves the first provider in place", () => {
    const first = makeMemory();
    register("registry-twice", () => first);
    const error = assertThrows(
      () => register("registry-twice", makeMemory),
      TypeError,
    );
    assertEquals(
      error.message,
      "Cannot register provider registry-twice: the name is already taken",
    );
    assertStrictEquals(open("registry-twice"), first);
  });

  it("refuses the name of the provider that comes along", () => {
    assertThrows(() => register("memory", makeMemory), TypeError, "memory");
  });

  it("refuses a name that is no URL scheme in lowercase", () => {
    const names = ["", "Redis", "1st", "a b", "a:", "a/b", "ä", "a_b", "a\n"];
    for (const name of names) {
      const error = assertThrows(() => register(name, makeMemory), TypeError);
      assertEquals(
        error.message,
        `Cannot register provider: its name must be a URL scheme in lowercase: received ${name}`,
      );
      assertFalse(registered().includes(name), JSON.stringify(name));
    }
  });

  it("takes every character that a URL scheme can have", () => {
    register("registry+v1.x-y", makeMemory);
    assert(open("registry+v1.x-y://host/") instanceof MemoryProvider);
  });

  it("refuses a factory that is no function", () => {
    for (const factory of [undefined, null, "memory", makeMemory()]) {
      assertThrows(
        () => register("registry-factory", factory as never),
        TypeError,
        "Cannot register provider registry-factory: its factory must be a function: received ",
      );
    }
    assertFalse(registered().includes("registry-factory"));
  });
});

describe("registered", () => {
  it("lists memory, which the main module brings in", () => {
    assert(registered().includes("memory"));
  });

  it("is in alphabetical order", () => {
    register("registry-z", makeMemory);
    register("registry-a", makeMemory);
    const names = registered().filter((name) => /^registry-[az]$/.test(name));
    assertEquals(names, ["registry-a", "registry-z"]);
  });

  it("hands out a list of its own each time", () => {
    registered().push("registry-pushed");
    assertFalse(registered().includes("registry-pushed"));
  });
});

describe("open", () => {
  it("makes a new provider at every call", () => {
    assertNotStrictEquals(open("memory"), open("memory"));
  });

  it("passes no URL to the factory of a bare name", () => {
    const received: (URL | undefined)[] = [];
    register("registry-bare", (url) => {
      received.push(url);
      return makeMemory();
    });
    open("registry-bare");
    assertEquals(received, [undefined]);
  });

  it("passes the whole URL to the factory of its scheme", () => {
    const received: (string | undefined)[] = [];
    register("registry-url", (url) => {
      received.push(url?.href);
      return makeMemory();
    });
    open("registry-url://user:pass@host:1/path?limit=2");
    open(new URL("registry-url:"));
    assertEquals(received, [
      "registry-url://user:pass@host:1/path?limit=2",
      "registry-url:",
    ]);
  });

  it("finds a URL's scheme whatever its case", () => {
    assert(open("MEMORY:") instanceof MemoryProvider);
  });

  it("names what is unknown, lists what is registered and says what to do", () => {
    const { message } = assertThrows(() => open("no-such-store"), TypeError);
    const beginning =
      `Cannot open provider "no-such-store": it is not among the registered ones (${
        registered().join(", ")
      }): there are @cloakroom/session/deno-kv, `;
    assertEquals(message.slice(0, beginning.length), beginning);
    assertStringIncludes(message, "memory");
  });

  it("says which module of the package registers a known name", () => {
    // Other test files may have imported it, where all run in one process.
    if (registered().includes("valkey")) return;
    assertThrows(
      () => open("valkey://localhost"),
      TypeError,
      'import "@cloakroom/session/redis" first',
    );
  });

  it("says how a store is encrypted, for there is no such scheme", () => {
    assertThrows(
      () => open("encrypted:sqlite:./sessions.db"),
      TypeError,
      'import { encrypted } from "@cloakroom/session/encrypted"',
    );
  });

  it("quotes no more than the scheme of a URL that it does not know", () => {
    const { message } = assertThrows(
      () => open("no-such-store://user:hunter2@host/"),
      TypeError,
      'Cannot open provider "no-such-store": ',
    );
    assertFalse(message.includes("hunter2"));
  });

  it("does not quote a URL that cannot be parsed", () => {
    const { message } = assertThrows(
      () => open("redis://user:hunter2@host:port/"),
      TypeError,
    );
    assertEquals(
      message,
      "Cannot open provider: its URL cannot be parsed",
    );
  });

  it("finds nothing under a name that every object has", () => {
    for (const name of ["constructor", "tostring", "__proto__", ""]) {
      assertThrows(() => open(name), TypeError, "not among the registered");
    }
  });

  it("passes on what a factory throws", () => {
    const failure = new RangeError("no room");
    register("registry-throwing", () => {
      throw failure;
    });
    const error = assertThrows(() => open("registry-throwing"), RangeError);
    assertStrictEquals(error, failure);
  });
});
