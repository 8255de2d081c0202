/** Checks the guards of the memory provider, and that it inherits nothing. */
import { assertEquals, assertExists, assertStrictEquals } from "@std/assert";
import { describe, it } from "node:test";
import type { Guard, UpdateResult } from "../core/provider.ts";
import { open } from "../core/registry.ts";
import { MemoryProvider } from "../providers/memory.ts";
import {
  A,
  B,
  create,
  createMany,
  destroy,
  FAR_FUTURE,
  listed,
  statsOf,
  touch,
} from "./_memory.ts";
import {
  makeData,
  makeFamily,
  makeHash,
  type RecordOptions,
  START,
} from "./_records.ts";
import { inheritingAtOnce } from "./_pollution.ts";

const SECRET = makeHash("secret");

type Case = readonly [
  name: string,
  record: RecordOptions,
  guard: Guard,
  result: UpdateResult,
];

describe("MemoryProvider and guards", () => {
  for (const [name, record, guard, result] of cases()) {
    it(`update with ${name} is ${result}`, () => {
      const provider = new MemoryProvider();
      create(provider, A, record);
      const before = provider.read(A, START);
      const change = { set: makeData([["a", 1]]) };

      assertEquals(provider.update(A, change, guard, START + 1), result);
      const after = provider.read(A, START + 1);
      if (result === "done") {
        assertEquals([after?.version, after?.data], [2, change.set]);
      } else assertStrictEquals(after, before);
    });

    const ended = result === "done" ? "done" : "refused";
    it(`destroy with ${name} is ${ended}`, () => {
      const provider = new MemoryProvider();
      create(provider, A, record);
      const before = provider.read(A, START);

      assertEquals(provider.destroy(A, guard, START), ended);
      const left = ended === "done" ? undefined : before;
      assertStrictEquals(provider.read(A, START), left);
    });
  }

  it("no guard makes an absent session anything but absent", () => {
    const provider = new MemoryProvider();
    create(provider, A, { principal: "ada" });
    destroy(provider, A);

    assertEquals(provider.destroy(A, { principal: "eve" }, START), "absent");
    assertEquals(provider.update(A, {}, { version: 7 }, START), "gone");
  });

  it("a session that expired is absent whatever its guard, and told of", () => {
    const provider = new MemoryProvider();
    const heard: string[] = [];
    provider.observe((reason, id) => heard.push(`${reason} ${id}`));
    create(provider, A);

    assertEquals(provider.destroy(A, { version: 7 }, FAR_FUTURE), "absent");
    assertEquals(heard, [`expired ${A}`]);
    assertEquals(provider.stats(), statsOf({ created: 1, expired: 1 }));
  });

  it("a session that was destroyed is in no list and takes no bytes", () => {
    const provider = new MemoryProvider();
    const data = makeData([["name", "Ada"]]);
    create(provider, A, { data, principal: "ada" });
    create(provider, B, { principal: "ada" });
    destroy(provider, A);

    assertEquals(listed(provider, "ada"), [B]);
    assertEquals(provider.destroyAll("ada"), 1);
    assertEquals(provider.stats(), statsOf({ created: 2 }));
  });

  it("a list has no data, and nobody else's sessions", () => {
    const provider = new MemoryProvider();
    const fields = { label: "Laptop", authenticatedAt: START - 5 };
    create(provider, A, { principal: "ada", ...fields });
    create(provider, B, { principal: "bob" });

    assertEquals(provider.list("ada", START), {
      sessions: [{
        id: A,
        ...fields,
        binding: undefined,
        createdAt: START,
        accessedAt: START,
        idleTimeout: 3600,
        absoluteTimeout: 43_200,
      }],
      unreadable: [],
    });
  });
});

describe("MemoryProvider and polluted prototypes", () => {
  it("takes no inherited field for one of a record", () => {
    const provider = new MemoryProvider();
    inheritingAtOnce(
      { principal: "admin", label: "mine", binding: "key" },
      () => {
        create(provider, A);
      },
    );
    const record = provider.read(A, START);

    assertExists(record);
    assertEquals(
      [record.principal, record.label, record.binding],
      [undefined, undefined, undefined],
    );
    assertEquals(listed(provider, "admin"), []);
  });

  it("takes no inherited field for one of a change", () => {
    const provider = new MemoryProvider();
    create(provider, A, { data: makeData([["b", 2]]) });
    const set = makeData([["a", 1]]);
    const fields = { principal: "admin", isUse: false, delete: ["b"] };
    inheritingAtOnce(fields, () => provider.update(A, { set }, {}, START + 1));
    const record = provider.read(A, START + 1);

    assertEquals(record?.data, makeData([["b", 2], ["a", 1]]));
    assertEquals(record?.principal, undefined);
    assertEquals(record?.accessedAt, START + 1);
    assertEquals(listed(provider, "admin"), []);
  });

  it("counts no bytes of what a change inherits", () => {
    const provider = new MemoryProvider();
    create(provider, A, { data: makeData([["b", 2]]) });
    const before = provider.stats();
    const set = makeData([["a", "x".repeat(100)]]);
    inheritingAtOnce({ set }, () => provider.update(A, {}, {}, START));

    assertEquals(provider.stats(), before);
  });

  it("takes no inherited field for one of a guard", () => {
    const provider = new MemoryProvider();
    create(provider, A);
    const fields = { principal: "admin", version: 7, binding: "key" };
    inheritingAtOnce(fields, () => {
      assertEquals(provider.update(A, {}, {}, START), "done");
      assertEquals(provider.destroy(A, {}, START), "done");
    });
  });

  it("hands out touched records and summaries that are their own", () => {
    const provider = new MemoryProvider();
    create(provider, A, { principal: "ada" });
    inheritingAtOnce({ label: "mine", authenticatedAt: 1 }, () => {
      touch(provider, A, START + 1);
      const record = provider.read(A, START + 1);
      const [summary] = provider.list("ada", START + 1).sessions;

      assertEquals([record?.label, record?.authenticatedAt], [
        undefined,
        undefined,
      ]);
      assertEquals([summary?.label, summary?.authenticatedAt], [
        undefined,
        undefined,
      ]);
    });
  });

  it("takes no inherited option for a bound", () => {
    inheritingAtOnce({ maxSessions: 1, maxBytes: 1 }, () => {
      for (
        const provider of [
          new MemoryProvider(),
          new MemoryProvider({ maxSessions: 10 }),
          open("memory") as MemoryProvider,
          open("memory:?maxSessions=10") as MemoryProvider,
        ]
      ) {
        createMany(provider, 3);
        assertEquals(provider.stats().sessions, 3);
      }
    });
  });
});

/** Guards one by one, each met and not. */
function cases(): readonly Case[] {
  const previous = { secretHash: makeHash("old"), family: makeFamily("old") };
  const until = (until: number | "confirmed" | "never") => ({
    previous: { ...previous, until },
  });
  const token = (until: number | "confirmed" | "never" | undefined) => ({
    token: { secretHash: SECRET, until },
  });
  return [
    ["no guard", {}, {}, "done"],
    ["its family", {}, { family: makeFamily("secret") }, "done"],
    ["another family", {}, { family: makeFamily("other") }, "gone"],
    ["the family before", until("never"), {
      family: makeFamily("old"),
    }, "gone"],
    ["its principal", { principal: "ada" }, { principal: "ada" }, "done"],
    ["another principal", { principal: "ada" }, { principal: "eve" }, "gone"],
    ["a principal where none is", {}, { principal: "ada" }, "gone"],
    ["its token, nothing before", {}, token(undefined), "done"],
    ["another secret", {}, {
      token: { secretHash: makeHash("other"), until: undefined },
    }, "conflict"],
    ["its token, confirmed", until("confirmed"), token("confirmed"), "done"],
    ["its token, never", until("never"), token("never"), "done"],
    ["its token, a number", until(START), token(START), "done"],
    ["a word for a number", until(START), token("confirmed"), "conflict"],
    ["a number for a word", until("never"), token(0), "conflict"],
    ["one word for another", until("confirmed"), token("never"), "conflict"],
    ["another number", until(START), token(START + 1), "conflict"],
    ["nothing for a word", until("confirmed"), token(undefined), "conflict"],
    ["a word for nothing", {}, token("confirmed"), "conflict"],
    ["its version", {}, { version: 1 }, "done"],
    ["another version", {}, { version: 2 }, "conflict"],
    ["its binding", { binding: "key" }, { binding: "key" }, "done"],
    ["another binding", { binding: "key" }, { binding: "pad" }, "conflict"],
    ["no binding", {}, { binding: null }, "done"],
    ["none for a binding", { binding: "key" }, { binding: null }, "conflict"],
    ["a binding for none", {}, { binding: "key" }, "conflict"],
    ["a wrong family and version", {}, {
      family: makeFamily("other"),
      version: 2,
    }, "gone"],
    ["a wrong principal and token", { principal: "ada" }, {
      principal: "eve",
      ...token("never"),
    }, "gone"],
  ];
}
