/** Checks what the memory provider keeps and hands out. */
import {
  assert,
  assertEquals,
  assertExists,
  assertFalse,
  assertNotStrictEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { describe, it } from "node:test";
import { SessionError } from "../core/errors.ts";
import { Manager } from "../core/manager.ts";
import type { SessionRecord } from "../core/provider.ts";
import { open } from "../core/registry.ts";
import type { StoredValue } from "../core/value/types.ts";
import { MemoryProvider } from "../providers/memory.ts";
import {
  A,
  B,
  bytesOf,
  create,
  createMany,
  destroy,
  FAR_FUTURE,
  GUARD,
  HOUR,
  listed,
  requestAfter,
  sized,
  statsOf,
  touch,
} from "./_memory.ts";
import { makeData, makeId, makeRecord, START } from "./_records.ts";

describe("MemoryProvider and ids", () => {
  it("stores nothing under an id that it is asked for but never created", () => {
    const provider = new MemoryProvider();
    for (let number = 0; number < 100; number++) {
      const id = makeId(number);
      assertStrictEquals(provider.read(id, START), undefined);
      assertFalse(provider.touch(id, START));
      assertEquals(provider.update(id, {}, GUARD, START), "gone");
      assertEquals(provider.destroy(id, {}, START), "absent");
    }

    assertEquals(provider.stats(), statsOf({}));
  });

  it("refuses to create a live id again and leaves its session alone", () => {
    const provider = new MemoryProvider();
    const mine = makeRecord({ data: makeData([["name", "Ada"]]) });
    create(provider, A, mine);
    const before = provider.stats();

    const other = makeRecord({ data: makeData([["name", "Eve"]]) });
    assertFalse(provider.create(A, other, START + 1));
    assertEquals(provider.read(A, START + 1)?.data, mine.data);
    assertEquals(provider.stats(), before);
  });

  it("holds one session of an id that was created again after it expired", () => {
    const provider = new MemoryProvider();
    const data = makeData([["name", "Ada"]]);
    create(provider, A, { data, principal: "ada" });
    create(provider, A, { data, principal: "ada", now: START + HOUR });

    assertEquals(
      provider.stats(),
      statsOf({ sessions: 1, bytes: 13, created: 2, expired: 1 }),
    );
    assertEquals(listed(provider, "ada", START + HOUR), [A]);
  });

  it("collects no live session by the deadline of an earlier one of its id", () => {
    const provider = new MemoryProvider();
    create(provider, A);
    create(provider, A, { now: START + HOUR });

    assertEquals(provider.gc(START + 2 * HOUR - 1, 10), 0);
    assertExists(provider.read(A, START + 2 * HOUR - 1));
    assertEquals(provider.gc(FAR_FUTURE, 10), 1);
  });

  it("shows no session of one provider to another", () => {
    const mine = new MemoryProvider();
    const other = new MemoryProvider();
    create(mine, A, { principal: "ada" });

    assertStrictEquals(other.read(A, START), undefined);
    assertEquals(listed(other, "ada"), []);
    assertFalse(other.touch(A, START));
    assert(other.create(A, makeRecord(), START));
  });

  it("ends no session of one provider through another", () => {
    const mine = new MemoryProvider();
    const other = new MemoryProvider();
    create(mine, A, { principal: "ada" });

    assertEquals(other.destroy(A, {}, START), "absent");
    assertEquals(other.destroyAll("ada"), 0);
    assertEquals(other.gc(FAR_FUTURE, 10), 0);
    other.close();
    assertExists(mine.read(A, START));
  });
});

describe("MemoryProvider's records", () => {
  it("are handed out themselves, not as copies", () => {
    const provider = new MemoryProvider();
    create(provider, A);

    assertStrictEquals(provider.read(A, START), provider.read(A, START + 1));
  });

  it("are the same for a read and a scan", () => {
    const provider = new MemoryProvider();
    create(provider, A, { principal: "ada" });
    touch(provider, A, START + 1);
    const [scanned] = provider.scan(undefined, 10, START + 1).sessions;

    assertEquals(scanned?.id, A);
    assertEquals(scanned?.record, provider.read(A, START + 1));
  });

  it("have every field that they were created with after a touch", () => {
    const provider = new MemoryProvider();
    const record = makeRecord({
      data: makeData([["a", 1]]),
      previous: { secretHash: "old", family: "other", until: "never" },
      principal: "ada",
      label: "Laptop",
      authenticatedAt: START - 1,
      fingerprint: "print",
      binding: "key",
      persistent: true,
    });
    provider.create(A, record, START);
    touch(provider, A, START + 1);

    const expected = { ...record, version: 1, accessedAt: START + 1 };
    assertEquals(provider.read(A, START + 1), expected);
  });

  it("have every field, touched or not, whatever create was given", () => {
    const provider = new MemoryProvider();
    create(provider, A);
    const fields = Object.keys(provider.read(A, START)!);
    touch(provider, A, START + 1);

    assertEquals(Object.keys(provider.read(A, START + 1)!), fields);
    assert(fields.includes("principal"));
  });

  it("share their data after a touch", () => {
    const provider = new MemoryProvider();
    create(provider, A, { data: makeData([["a", 1]]) });
    const before = provider.read(A, START);
    touch(provider, A, START + 1);

    assertStrictEquals(provider.read(A, START + 1)?.data, before?.data);
  });

  it("are frozen, whatever call they come from", () => {
    const provider = new MemoryProvider();
    create(provider, A, { data: makeData([["a", 1]]), principal: "ada" });
    assertFrozen(provider.read(A, START));

    touch(provider, A, START + 1);
    assertFrozen(provider.read(A, START + 1));

    const change = { set: makeData([["b", 2]]) };
    provider.update(A, change, GUARD, START + 2);
    assertFrozen(provider.read(A, START + 2));
    assertFrozen(provider.scan(undefined, 1, START + 2).sessions[0]?.record);
  });

  it("stay as they were read when the session is updated", () => {
    const provider = new MemoryProvider();
    create(provider, A, { data: makeData([["a", 1], ["b", 2]]), label: "old" });
    const read = provider.read(A, START)!;
    const before = structuredClone({ ...read, data: { ...read.data } });
    const set = makeData([["a", 3], ["c", 4]]);
    const change = { set, delete: ["b"], label: "new" };
    provider.update(A, change, GUARD, START + 1);

    assertEquals(read, before);
    assertEquals(
      provider.read(A, START + 1)?.data,
      makeData([["a", 3], ["c", 4]]),
    );
  });

  it("stay as they were read when the session is touched", () => {
    const provider = new MemoryProvider();
    create(provider, A);
    const read = provider.read(A, START)!;
    touch(provider, A, START + 1);

    assertEquals(read.accessedAt, START);
    assertNotStrictEquals(provider.read(A, START + 1), read);
  });

  it("share their data as long as no key changes", () => {
    const provider = new MemoryProvider();
    create(provider, A, { data: makeData([["a", 1]]) });
    const { data } = provider.read(A, START)!;
    touch(provider, A, START + 1);
    provider.update(A, {}, GUARD, START + 2);

    assertStrictEquals(provider.read(A, START + 2)?.data, data);
  });

  it("do not follow the object that create was given", () => {
    const provider = new MemoryProvider();
    const given = { ...makeRecord(), label: "Laptop" };
    provider.create(A, given, START);
    given.label = "Phone";

    assertEquals(provider.read(A, START)?.label, "Laptop");
  });

  it("do not follow the object that update was given", () => {
    const provider = new MemoryProvider();
    create(provider, A);
    const set: Record<string, StoredValue> = { a: 1 };
    const change = { set };
    provider.update(A, change, GUARD, START);
    set["a"] = 2;

    assertEquals(provider.read(A, START)?.data["a"], 1);
  });

  it("do not follow a value that was changed after it was stored", async () => {
    await using manager = new Manager<{ cart: string[] }>();
    const cart = ["hat"];
    const first = await manager.handle((_request, session) => {
      session.set("cart", cart);
      return new Response();
    })(new Request("http://localhost/"));
    cart.push("coat");

    const session = await manager.start(requestAfter(first));
    assertEquals(session.get("cart"), ["hat"]);
  });

  it("hold keys such as __proto__ as data and never as a prototype", () => {
    const provider = new MemoryProvider();
    create(provider, A, { data: makeData([["__proto__", { admin: true }]]) });
    const set = makeData([["__proto__", { admin: 1 }], ["constructor", 2]]);
    provider.update(A, { set }, GUARD, START);

    const { data } = provider.read(A, START)!;
    assertStrictEquals(Object.getPrototypeOf(data), null);
    assertEquals(Object.keys(data).sort(), ["__proto__", "constructor"]);
    assertStrictEquals(data["admin"], undefined);
    assertEquals(provider.stats().bytes, bytesOf(set));
  });

  it("lose a key such as __proto__ when it is deleted", () => {
    const provider = new MemoryProvider();
    create(provider, A, { data: makeData([["__proto__", 1], ["a", 2]]) });
    const change = { delete: ["__proto__", "toString"] };
    provider.update(A, change, GUARD, START);

    assertEquals(Object.keys(provider.read(A, START)!.data), ["a"]);
    assertEquals(provider.stats().bytes, bytesOf({ a: 2 }));
  });
});

describe("MemoryProvider.close", () => {
  for (const [name, call] of Object.entries(calls())) {
    it(`makes every later ${name} fail`, () => {
      const provider = new MemoryProvider();
      create(provider, A, { principal: "ada" });
      provider.close();

      const error = assertThrows(() => call(provider), SessionError);
      assertEquals(error.code, "closed");
    });
  }

  it("can be called twice", () => {
    const provider = new MemoryProvider();
    provider.close();
    provider.close();

    const error = assertThrows(() => provider.read(A, START), SessionError);
    assertEquals(error.code, "closed");
  });

  it("lets go of every session", () => {
    const provider = new MemoryProvider();
    create(provider, A, { data: sized(50) });
    provider.close();

    assertEquals(provider.stats(), statsOf({ created: 1 }));
  });
});

describe("MemoryProvider by name or URL", () => {
  it("is what memory stands for", () => {
    assert(open("memory") instanceof MemoryProvider);
    assert(open("memory:") instanceof MemoryProvider);
  });

  it("is another one each time, and none sees the sessions of the others", () => {
    const mine = open("memory") as MemoryProvider;
    const other = open("memory") as MemoryProvider;
    create(mine, A);

    assertStrictEquals(other.read(A, START), undefined);
  });

  it("takes maxSessions from its URL", () => {
    const provider = open("memory:?maxSessions=3") as MemoryProvider;
    createMany(provider, 5);

    assertEquals(provider.stats().sessions, 3);
  });

  it("takes maxBytes from its URL", () => {
    const url = new URL("memory:?maxBytes=100&maxSessions=9");
    const provider = open(url) as MemoryProvider;
    create(provider, A, { data: sized(60) });
    create(provider, B, { data: sized(60) });

    assertEquals(provider.stats().bytes, 60);
  });

  it("refuses an option that it does not know", () => {
    assertThrows(
      () => open("memory:?maxSession=3"),
      TypeError,
      "unknown option: received maxSession",
    );
  });

  for (const value of ["", "0", "-3", "1.5", "many"]) {
    it(`refuses "${value}" as a bound`, () => {
      assertThrows(() => open(`memory:?maxSessions=${value}`), RangeError);
      assertThrows(() => open(`memory:?maxBytes=${value}`), RangeError);
    });
  }

  it("refuses an option that is named like a prototype", () => {
    assertThrows(
      () => open("memory:?__proto__=3"),
      TypeError,
      "unknown option: received __proto__",
    );
  });

  it("refuses options that stand where a path would", () => {
    assertThrows(() => open("memory:maxSessions=3"), TypeError);
  });
});

describe("MemoryProvider.scan", () => {
  it("gives full pages although sessions between them are gone", () => {
    const provider = new MemoryProvider();
    createMany(provider, 1000);
    for (let number = 0; number < 1000; number++) {
      if (number % 10 !== 0) destroy(provider, makeId(number));
    }
    const page = provider.scan(undefined, 60, START);
    const rest = provider.scan(page.next, 60, START);

    assertEquals([page.sessions.length, rest.sessions.length], [60, 40]);
    assertEquals([page.total, rest.next], [100, undefined]);
  });

  it("refuses a cursor that no page named", () => {
    const provider = new MemoryProvider();
    for (const cursor of [A, "-1", "1.5", ""]) {
      assertThrows(
        () => provider.scan(cursor, 10, START),
        TypeError,
        "Cannot scan: a cursor is what the page before named as next",
      );
    }
  });
});

describe("MemoryProvider and ids that cannot be minted", () => {
  it("evicts nobody for them and keeps no room", () => {
    const provider = new MemoryProvider({ maxSessions: 1 });
    create(provider, A);
    assertThrows(
      () => provider.create("short", makeRecord(), START),
      TypeError,
    );

    assertEquals(provider.stats(), statsOf({ sessions: 1, created: 1 }));
  });

  for (const id of ["", "short", "A".repeat(25), "é".repeat(24)]) {
    it(`refuses to create ${id.length} times ${id[0] ?? "nothing"}`, () => {
      const provider = new MemoryProvider();

      assertThrows(
        () => provider.create(id, makeRecord(), START),
        TypeError,
        "an id is 24 characters of base64url",
      );
      assertStrictEquals(provider.read(id, START), undefined);
      assertEquals(provider.stats(), statsOf({}));
    });
  }
});

/** Every call of the contract but `close`. */
function calls(): Record<string, (provider: MemoryProvider) => unknown> {
  return {
    create: (provider) => provider.create(B, makeRecord(), START),
    read: (provider) => provider.read(A, START),
    update: (provider) => provider.update(A, {}, {}, START),
    touch: (provider) => provider.touch(A, START),
    destroy: (provider) => provider.destroy(A, {}, START),
    gc: (provider) => provider.gc(START, 10),
    list: (provider) => provider.list("ada", START),
    destroyAll: (provider) => provider.destroyAll("ada"),
    clear: (provider) => provider.clear(),
    scan: (provider) => provider.scan(undefined, 10, START),
  };
}

function assertFrozen(record: SessionRecord | undefined): void {
  assertExists(record);
  assert(Object.isFrozen(record));
  assert(Object.isFrozen(record.data));
}
