/** Mistakes that are easily made, and what they are told to do instead. */
import {
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { describe, it } from "node:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Manager, type Session, SessionError } from "../mod.ts";
import { SqliteProvider } from "../providers/sqlite.ts";
import { Jar } from "../testing.ts";
import { printed } from "./_printed.ts";

const manager = new Manager<Record<string, unknown>>({ gcInterval: 0 });

async function started(): Promise<Session<Record<string, unknown>>> {
  return await manager.start(new Request("http://localhost/"));
}

/** A value where the types forbid one. */
// deno-lint-ignore no-explicit-any
type Wrong = any;

describe("manager.destroy", () => {
  it("takes an id, and says so of nothing", async () => {
    await assertRejects(
      () => manager.destroy(undefined as Wrong),
      TypeError,
      "Cannot destroy session: it takes a session's id: received undefined",
    );
  });

  it("takes an id, and says where it is of a session", async () => {
    const session = await started();
    await assertRejects(
      () => manager.destroy(session as Wrong),
      TypeError,
      "it takes a session's id: received a session: give session.id",
    );
  });
});

describe("session.set", () => {
  it("says what to do with a promise", async () => {
    const session = await started();
    assertThrows(
      () => session.set("cart", Promise.resolve([])),
      TypeError,
      'Cannot set "cart": cart is a promise: await it first',
    );
    assertThrows(
      () => session.set("cart", { items: [Promise.resolve(1)] }),
      TypeError,
      'Cannot set "cart": cart.items[0] is a promise: await it first',
    );
  });

  it("says how a key is removed", async () => {
    const session = await started();
    assertThrows(
      () => session.set("cart", undefined as Wrong),
      TypeError,
      'Cannot set "cart": cart is undefined: remove a key with delete()',
    );
  });
});

describe("session.update", () => {
  it("says that a change cannot wait", async () => {
    const session = await started();
    await assertRejects(
      () => session.update("cart", () => Promise.resolve(1)),
      TypeError,
      "change must be synchronous: await what it needs before",
    );
  });
});

describe("session.signIn", () => {
  it("says what it got in the place of a name", async () => {
    const session = await started();
    for (
      const [principal, received] of [
        [7, "number"],
        [{ id: 7 }, "object"],
        ["", "an empty one"],
      ] as const
    ) {
      assertThrows(
        () => session.signIn(principal as Wrong),
        TypeError,
        `principal must be a string that is not empty: received ${received}`,
      );
    }
  });

  it("says after the commit that it is too late", async () => {
    const session = await started();
    await manager.commit(session, new Response());
    const error = assertThrows(() => session.signIn("ada"), SessionError);
    assertEquals(error.code, "committed");
    assertStringIncludes(error.message, "do it before, or in the next request");
  });
});

describe("the provider option", () => {
  it("says how a file is written", () => {
    for (const path of ["./sessions.db", "/var/lib/sessions.sqlite"]) {
      assertThrows(
        () => new Manager({ provider: path }),
        TypeError,
        `for a file, import "@cloakroom/session/sqlite" and write "sqlite:${path}"`,
      );
    }
  });

  it("says what there is in the place of what is not", () => {
    const { message } = assertThrows(
      () => new Manager({ provider: "mongodb://localhost/" }),
      TypeError,
    );
    for (const name of ["deno-kv", "postgres", "redis", "sqlite"]) {
      assertStringIncludes(message, `@cloakroom/session/${name}`);
    }
    assertStringIncludes(message, "or register one of your own");
  });
});

describe("a timeout in milliseconds", () => {
  it("is told the unit", () => {
    assertThrows(
      () => new Manager({ idleTimeout: 3_600_000 }),
      RangeError,
      "both are in seconds",
    );
  });
});

describe("a file that is no database", () => {
  it("is named by the error's cause", async () => {
    const folder = await mkdtemp(join(tmpdir(), "cloakroom-"));
    try {
      const path = join(folder, "notes.txt");
      await writeFile(path, "This is no database. ".repeat(500));
      await using provider = new Manager({
        provider: new SqliteProvider(path),
        gcInterval: 0,
        onEvent: () => {},
      });
      const error = await assertRejects(() => provider.ready(), SessionError);
      assertStringIncludes(String(error.cause), "not a database");
      assertStringIncludes(String(error.cause), path);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe("a Secure cookie by plain HTTP", () => {
  it("is spoken of once, if nobody listens", async () => {
    const lines = await printed(async () => {
      const handler = manager.handle((_request, session) => {
        session.signIn("ada");
        return new Response();
      });
      for (let time = 0; time < 3; time++) {
        await handler(new Request("http://shop.example/"));
      }
    });
    const said =
      "@cloakroom/session: a Secure cookie goes out by plain HTTP, where browsers refuse it: use HTTPS, or cookie: { secure: false } for development";
    // Under Bun all files share a process, and another may have had it said.
    const isAlone = !("Bun" in globalThis);
    assertEquals(lines, isAlone || lines.length > 0 ? [said] : []);
  });
});

describe("an option that another library has", () => {
  it("is told what it is called here, or that it is not needed", () => {
    const cases: [make: () => unknown, message: string][] = [
      [
        () => new Manager({ secret: "keyboard cat" } as Wrong),
        "Cannot create Manager: unknown option: received secret: tokens are random and need none",
      ],
      [
        () => new Manager({ store: "memory" } as Wrong),
        "received store: it is called provider",
      ],
      [
        () => new Manager({ cookie: { maxAge: 3600 } as Wrong }),
        "Cannot use option cookie: unknown option: received maxAge: how long a session lives is idleTimeout and absoluteTimeout, and persistent has the cookie outlive the browser",
      ],
      [
        () => new Manager({ cookie: { httpOnly: true } as Wrong }),
        "received httpOnly: the cookie always is",
      ],
    ];
    for (const [make, message] of cases) assertThrows(make, TypeError, message);
  });
});

describe("manager.run", () => {
  it("takes what comes next behind the request", async () => {
    const request = new Request("http://localhost/");
    await assertRejects(
      () => manager.run(request, undefined as Wrong),
      TypeError,
      "Cannot run request: next must be a function of the session: received undefined",
    );
    await assertRejects(
      () => manager.run((() => undefined) as Wrong, request as Wrong),
      TypeError,
      "next must be a function of the session: received object",
    );
  });
});

describe("the jar of tests", () => {
  it("takes the manager first", async () => {
    const jar = new Jar(manager.handle(() => new Response()));
    await assertRejects(
      () => jar.signIn("ada" as Wrong, manager as Wrong),
      TypeError,
      "Cannot sign in: the manager comes first: received string",
    );
  });

  it("says what to hand it instead of a manager", () => {
    assertThrows(
      () => new Jar(manager as Wrong),
      TypeError,
      "or a URL: received a manager: give it what manager.handle() makes",
    );
  });
});
