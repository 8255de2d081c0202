/** Data that is checked against schemas as it is read. */
import {
  assert,
  assertEquals,
  assertFalse,
  assertMatch,
  assertNotMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { type } from "arktype";
import { describe, it } from "node:test";
import * as v from "valibot";
import { z } from "zod";
import {
  type DataSchema,
  Manager,
  type Migrate,
  REMOVED,
  type SchemaOptions,
  type SessionEvent,
  type StandardSchema,
} from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";

/** Managers of one store, as two releases of a program have them. */
function releases<After extends object>(options: SchemaOptions<After>) {
  const provider = new MemoryProvider();
  const events: SessionEvent[] = [];
  const before = new Manager({ provider, gcInterval: 0 });
  const after = new Manager<After>({
    ...options,
    provider,
    gcInterval: 0,
    onEvent: (event) => void events.push(event),
  });
  return { before, after, events };
}

/** A request with the cookie that a session was stored under. */
async function stored(
  manager: Manager,
  data: Readonly<Record<string, unknown>>,
): Promise<Request> {
  const session = await manager.start(new Request("https://example.org/"));
  for (const [key, value] of Object.entries(data)) session.set(key, value);
  const response = await manager.commit(session, new Response());
  const cookie = response.headers.get("set-cookie")?.split(";")[0] ?? "";
  return new Request("https://example.org/", { headers: { cookie } });
}

/** What is stored, as a manager without schemas reads it. */
async function kept(manager: Manager, request: Request, key: string) {
  return (await manager.start(request)).get(key);
}

const CARTS: readonly [string, StandardSchema<string[]>][] = [
  ["Zod", z.array(z.string())],
  ["Valibot", v.array(v.string())],
  ["ArkType", type("string[]")],
];

for (const [library, cart] of CARTS) {
  describe(`a schema of ${library}`, () => {
    it("hands out what fits", async () => {
      const { before, after, events } = releases({ schema: { cart } });
      const request = await stored(before, { cart: ["hat"] });
      const session = await after.start(request);
      assertEquals(session.get("cart"), ["hat"]);
      assert(session.has("cart"));
      assertEquals(session.keys(), ["cart"]);
      assertEquals(events.filter(isRefusal), []);
    });

    it("resets what does not fit any more, and nothing else", async () => {
      const { before, after, events } = releases<{ cart: string[]; other: 1 }>(
        { schema: { cart } },
      );
      const request = await stored(before, { cart: { hat: 1 }, other: 1 });
      const session = await after.start(request);
      assertEquals(session.get("cart"), undefined);
      assertFalse(session.has("cart"));
      assertEquals(session.take("cart"), undefined);
      assertEquals(session.keys(), ["other"]);
      assertEquals(session.get("other"), 1);
      const { id } = session;
      const told = { type: "value-refused", id, key: "cart" } as const;
      assertEquals(events.filter(isRefusal), [{ ...told, isMigrated: false }]);
    });

    it("migrates what does not fit any more", async () => {
      const migrate: Migrate = (_key, value) => Object.keys(Object(value));
      const { before, after, events } = releases({ schema: { cart }, migrate });
      const request = await stored(before, { cart: { hat: 1 } });
      const session = await after.start(request);
      assertEquals(session.get("cart"), ["hat"]);
      assertEquals(session.keys(), ["cart"]);
      const [event] = events.filter(isRefusal);
      assertEquals(event?.type === "value-refused" && event.isMigrated, true);
    });

    it("refuses what is written and does not fit", async () => {
      const { after } = releases({ schema: { cart } });
      const session = await after.start(new Request("https://example.org/"));
      const error = assertThrows(
        () => session.set("cart", [1 as unknown as string]),
        TypeError,
      );
      assertEquals(
        error.message,
        'Cannot set "cart": it does not fit the schema: see ["cart"]["0"]',
      );
      assertEquals(session.get("cart"), undefined);
    });
  });
}

function isRefusal(event: SessionEvent): boolean {
  return event.type === "value-refused";
}

describe("schemas", () => {
  const count = z.number();

  it("say what the session holds, without a type of its own", async () => {
    await using manager = new Manager({
      schema: {
        cart: z.array(z.string()),
        visits: v.number(),
        at: type("Date"),
      },
      gcInterval: 0,
    });
    const session = await manager.start(new Request("https://example.org/"));
    session.set("cart", ["hat"]);
    session.set("at", new Date(0));
    const first: string | undefined = session.get("cart")?.[0];
    const visits: number = await session.update("visits", (n = 0) => n + 1) ??
      0;
    assertEquals([first, visits, session.get("at")], ["hat", 1, new Date(0)]);
    // @ts-expect-error No such key.
    session.get("basket");
    // @ts-expect-error No such value.
    assertThrows(() => session.set("visits", "many"), TypeError);
  });

  it("fit the type that the manager is given", () => {
    // @ts-expect-error The schema is of another type.
    const schema: DataSchema<{ visits: string }> = { visits: count };
    assert(schema);
  });

  it("are a part of the keys if need be: the others are not checked", async () => {
    const { before, after } = releases<{ visits: number; any: unknown }>({
      schema: { visits: count },
    });
    const request = await stored(before, { any: { a: [1] }, visits: 2 });
    const session = await after.start(request);
    assertEquals(session.get("any"), { a: [1] });
    session.set("any", "thing");
  });

  it("fill in what a release has added", async () => {
    const settings = z.object({
      theme: z.string(),
      size: z.number().default(12),
    });
    const { before, after } = releases({ schema: { settings } });
    const request = await stored(before, { settings: { theme: "dark" } });
    const session = await after.start(request);
    assertEquals(session.get("settings"), { theme: "dark", size: 12 });
    assert(Object.isFrozen(session.get("settings")));
  });

  it("see copies of what can be changed, and hand out such", async () => {
    const tags = z.set(z.string()).transform((set) => set.add("new"));
    const { before, after } = releases({ schema: { tags } });
    const request = await stored(before, { tags: new Set(["old"]) });
    const session = await after.start(request);
    session.get("tags");
    (session.get("tags") as Set<string>).clear();
    assertEquals(session.get("tags"), new Set(["old", "new"]));
    assertEquals(await kept(before, request, "tags"), new Set(["old"]));
  });

  it("leave what does not fit in the store, for the release before", async () => {
    const { before, after } = releases<{ visits: number; other: string }>({
      schema: { visits: count },
    });
    const request = await stored(before, { visits: "many" });
    const session = await after.start(request);
    assertEquals(session.get("visits"), undefined);
    session.set("other", "key");
    await after.commit(session, new Response());
    assertEquals(await kept(before, request, "visits"), "many");
  });

  it("replace what does not fit once the key is written", async () => {
    const { before, after } = releases({ schema: { visits: count } });
    const request = await stored(before, { visits: "many" });
    const session = await after.start(request);
    session.set("visits", 1);
    await after.commit(session, new Response());
    assertEquals(await kept(before, request, "visits"), 1);
  });

  it("hand a change the value that fits, or none", async () => {
    for (const migrate of [undefined, () => 41]) {
      const options = { schema: { visits: count }, migrate };
      const { before, after } = releases(options);
      const request = await stored(before, { visits: "many" });
      const session = await after.start(request);
      const seen: unknown[] = [];
      await session.update("visits", (visits) => {
        seen.push(visits);
        return (visits ?? 0) + 1;
      });
      const present = migrate?.();
      assertEquals(seen, [present]);
      const next = (present ?? 0) + 1;
      assertEquals(await kept(before, request, "visits"), next);
      await session.update("visits", () => REMOVED);
      assertEquals(await kept(before, request, "visits"), undefined);
    }
  });

  it("refuse what a change returns and does not fit, and write nothing", async () => {
    const { before, after } = releases({ schema: { visits: count } });
    const request = await stored(before, { visits: 1 });
    const session = await after.start(request);
    await assertRejects(
      () => session.update("visits", () => "2" as unknown as number),
      TypeError,
      'Cannot set "visits": it does not fit the schema: see ["visits"]',
    );
    assertEquals(await kept(before, request, "visits"), 1);
  });

  it("tell of no value in the error", async () => {
    const secret = z.enum(["a", "b"]);
    const { after } = releases({ schema: { secret } });
    const session = await after.start(new Request("https://example.org/"));
    const error = assertThrows(
      () => session.set("secret", "hunter2" as "a"),
      TypeError,
    );
    assertNotMatch(`${error.message} ${error.stack}`, /hunter2/);
  });

  it("are asked once a request for one value, and tell of it once", async () => {
    let calls = 0;
    const visits: StandardSchema<number> = {
      "~standard": {
        version: 1,
        validate: () => {
          calls++;
          return { issues: [{ message: "no" }] };
        },
      },
    };
    const { before, after, events } = releases({ schema: { visits } });
    const request = await stored(before, { visits: 1 });
    const session = await after.start(request);
    for (let time = 0; time < 3; time++) session.get("visits");
    session.keys();
    assertEquals(calls, 1);
    assertEquals(events.filter(isRefusal).length, 1);
  });

  it("that throw, and migrations that do, have not accepted the value", async () => {
    const visits: StandardSchema<number> = {
      "~standard": {
        version: 1,
        validate: () => {
          throw new Error("odd");
        },
      },
    };
    const migrate = () => {
      throw new Error("odd");
    };
    const { before, after } = releases({ schema: { visits }, migrate });
    const request = await stored(before, { visits: 1 });
    const session = await after.start(request);
    assertEquals(session.get("visits"), undefined);
  });

  it("make nothing that cannot be stored", async () => {
    const made = z.number().transform((n) => Object.assign(() => {}, { n }));
    const { before, after } = releases({ schema: { made } });
    const session = await after.start(await stored(before, { made: 1 }));
    assertEquals(session.get("made"), undefined);
  });

  it("that migrate to what does not fit either reset the value", async () => {
    const migrate = (_key: string, value: unknown) => value;
    const { before, after, events } = releases({
      schema: { visits: count },
      migrate,
    });
    const session = await after.start(await stored(before, { visits: "many" }));
    assertEquals(session.get("visits"), undefined);
    const [event] = events.filter(isRefusal);
    assertEquals(event?.type === "value-refused" && event.isMigrated, false);
  });

  it("that answer with a promise are a mistake, which is told", async () => {
    const late = z.number().refine(async (n) => await Promise.resolve(n > 0));
    const visits: StandardSchema<number> = {
      "~standard": {
        version: 1,
        validate: (value) => Promise.resolve(late["~standard"].validate(value)),
      },
    };
    const { before, after } = releases({ schema: { visits } });
    const session = await after.start(await stored(before, { visits: 1 }));
    const message =
      'Cannot check "visits": its schema answers with a promise: take one that answers at once';
    assertThrows(() => session.get("visits"), TypeError, message);
    assertThrows(() => session.set("visits", 1), TypeError, message);
  });

  it("look at own keys alone", async () => {
    const { before, after } = releases<Record<string, unknown>>({
      schema: { visits: count },
    });
    const request = await stored(before, { constructor: 1, toString: 2 });
    const session = await after.start(request);
    assertEquals(session.get("constructor"), 1);
    assertEquals(session.get("toString"), 2);
  });

  it("are refused when the manager is made if they are none", () => {
    const wrong: readonly [unknown, RegExp][] = [
      [{ schema: null }, /schema must be an object .*: received null/],
      [{ schema: "zod" }, /schema must be an object .*: received string/],
      [{ schema: z.object({}) }, /received a schema for all of them/],
      [{ schema: { a: {} } }, /schema of "a" must be a Standard Schema/],
      [{ schema: { a: 1 } }, /must be a Standard Schema: received number/],
      [{ migrate: () => 1 }, /migrate needs a schema/],
      [{ schema: {}, migrate: 1 }, /migrate must be a function: received/],
    ];
    for (const [options, message] of wrong) {
      const error = assertThrows(
        () => new Manager(options as SchemaOptions<Record<string, unknown>>),
        TypeError,
      );
      assertMatch(error.message, /^Cannot create Manager: /);
      assertMatch(error.message, message);
    }
  });
});
