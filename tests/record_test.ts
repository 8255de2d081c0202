/** Tests of when a record lives, when a guard holds and what a change makes. */
import {
  assert,
  assertEquals,
  assertFalse,
  assertStrictEquals,
} from "@std/assert";
import fc from "fast-check";
import { describe, it } from "node:test";
import type {
  Guard,
  SessionChange,
  SessionRecord,
  Until,
} from "../core/provider.ts";
import {
  absoluteExpiryOf,
  applied,
  type Deadlines,
  expiryOf,
  guardFailure,
  isLive,
  parseUntil,
  summaryOf,
  toRecord,
  untilText,
} from "../core/store/record.ts";
import {
  EMPTY_DATA,
  type StoredData,
  type StoredValue,
} from "../core/value/types.ts";
import {
  makeData,
  makeFamily,
  makeHash,
  makeRecord,
  type RecordOptions,
  START,
} from "./_records.ts";
import { inheritingAtOnce } from "./_pollution.ts";

const YEAR = 365 * 24 * 60 * 60 * 1000;

/** Instants near `START`, and far from it, most of them with a fraction. */
const instants = fc.oneof(
  fc.double({ min: -1e6, max: 1e6, noNaN: true }),
  fc.double({ min: -YEAR, max: YEAR, noNaN: true }),
  fc.integer({ min: -1000, max: 1000 }),
).map((offset) => START + offset);

const timeouts = fc.oneof(
  fc.integer({ min: 1, max: 34_560_000 }),
  fc.double({ min: 0.001, max: 1000, noNaN: true }),
  fc.constantFrom(0.5, 1.0005, 100.1),
);

const deadlines: fc.Arbitrary<Deadlines> = fc.record({
  createdAt: instants,
  accessedAt: instants,
  authenticatedAt: fc.option(instants, { nil: undefined }),
  idleTimeout: timeouts,
  absoluteTimeout: timeouts,
});

const untils: fc.Arbitrary<Until> = fc.oneof(
  fc.constantFrom<Until>("confirmed", "never", 0, START, START + 0.625),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  instants,
);

function record(options: RecordOptions = {}): SessionRecord {
  return toRecord(makeRecord(options), 3);
}

describe("the end of a record", () => {
  it("is the earlier of the idle and the absolute deadline", () => {
    const fields = record({ idleTimeout: 10, absoluteTimeout: 20 });
    assertEquals(expiryOf(fields), START + 10_000);
    assertEquals(
      expiryOf({ ...fields, accessedAt: START + 15_000 }),
      START + 20_000,
    );
    assertEquals(absoluteExpiryOf(fields), START + 20_000);
  });

  it("is counted from the sign-in, where there was one", () => {
    const fields = record({
      absoluteTimeout: 20,
      authenticatedAt: START + 5000,
    });
    assertEquals(expiryOf(fields), START + 25_000);
  });

  it("is the first instant at which a record does not live", () => {
    fc.assert(fc.property(deadlines, (fields) => {
      const end = expiryOf(fields);
      assertFalse(isLive(fields, end));
      const begin = fields.authenticatedAt ?? fields.createdAt;
      const lifetime = fields.absoluteTimeout * 1000;
      const before = end - 0.25;
      assertEquals(isLive(fields, before), begin - before < lifetime);
    }));
  });

  it("decides, with the bound on clocks that are ahead, whether it lives", () => {
    fc.assert(fc.property(deadlines, instants, (fields, now) => {
      const begin = fields.authenticatedAt ?? fields.createdAt;
      const isAhead = begin - now >= fields.absoluteTimeout * 1000;
      assertEquals(isLive(fields, now), now < expiryOf(fields) && !isAhead);
    }));
  });

  it("never moves earlier by a later access", () => {
    fc.assert(fc.property(deadlines, instants, (fields, now) => {
      const accessedAt = Math.max(fields.accessedAt, now);
      assert(expiryOf({ ...fields, accessedAt }) >= expiryOf(fields));
    }));
  });
});

describe("a record that is dated ahead", () => {
  it("does not live for a clock that is right", () => {
    for (
      const fields of [{ createdAt: START + YEAR }, {
        authenticatedAt: START + YEAR,
      }]
    ) {
      const ahead = record({ ...fields, accessedAt: START + YEAR });
      assertFalse(isLive(ahead, START));
      assert(isLive(ahead, START + YEAR));
    }
  });

  it("lives where the difference is less than its absolute timeout", () => {
    const ahead = record({ createdAt: START + 43_200_000 });
    assertFalse(isLive(ahead, START));
    assert(isLive(ahead, START + 0.25));
  });
});

describe("a guard", () => {
  const held = record({
    principal: "ada",
    binding: "a key",
    previous: {
      secretHash: makeHash("before"),
      family: makeFamily("before"),
      until: "confirmed",
    },
  });
  const token = { secretHash: makeHash("secret"), until: "confirmed" } as const;

  it("that names nothing holds", () => {
    assertStrictEquals(guardFailure(held, {}), undefined);
  });

  const holding = {
    family: makeFamily("secret"),
    principal: "ada",
    token,
    version: 3,
    binding: "a key",
  } satisfies { [Name in keyof Required<Guard>]: Guard[Name] };

  const failing = {
    family: ["gone", [makeFamily("before"), ""]],
    principal: ["gone", ["bob", ""]],
    token: ["conflict", [
      { ...token, secretHash: makeHash("before") },
      { ...token, until: "never" },
      { ...token, until: undefined },
      { ...token, until: START },
    ]],
    version: ["conflict", [0, 2, 4]],
    binding: ["conflict", [null, "", "another key"]],
  } satisfies {
    [Name in keyof Required<Guard>]: [
      "gone" | "conflict",
      Required<Guard>[Name][],
    ];
  };

  for (const [name, [answer, values]] of Object.entries(failing)) {
    it(`fails as ${answer} when ${name} differs, whatever else holds`, () => {
      assertStrictEquals(guardFailure(held, holding), undefined);
      for (const value of values) {
        assertEquals(guardFailure(held, { [name]: value }), answer);
        assertEquals(guardFailure(held, { ...holding, [name]: value }), answer);
      }
    });
  }

  it("fails as gone rather than as a conflict", () => {
    for (const gone of [{ family: "" }, { principal: "" }]) {
      const guard = { version: 0, binding: null, ...gone };
      assertEquals(guardFailure(held, guard), "gone");
    }
  });

  it("by no binding and no previous secret holds on a record without", () => {
    const bare = record();
    const guard = {
      binding: null,
      token: { secretHash: makeHash("secret"), until: undefined },
    };
    assertStrictEquals(guardFailure(bare, guard), undefined);
    assertEquals(guardFailure(bare, { binding: "" }), "conflict");
    assertEquals(guardFailure(bare, { principal: "ada" }), "gone");
  });

  it("is read by its own properties only", () => {
    inheritingAtOnce({ family: "", principal: "admin", version: 0 }, () => {
      assertStrictEquals(guardFailure(record(), {}), undefined);
    });
  });
});

describe("until", () => {
  it("comes back from its text", () => {
    fc.assert(fc.property(untils, (until) => {
      // A text has no negative zero.
      const read = parseUntil(untilText(until));
      assertEquals(read, until === 0 ? 0 : until);
    }));
  });

  it("has a text of its own for each value", () => {
    fc.assert(fc.property(untils, untils, (one, other) => {
      assertEquals(untilText(one) === untilText(other), one === other);
    }));
  });

  it("that is none is empty, and no other text than these is one", () => {
    assertEquals(untilText(undefined), "");
    for (const text of ["", "Never", "confirmed ", "null", "NaN", "Infinity"]) {
      assertStrictEquals(parseUntil(text), undefined, text);
    }
  });
});

describe("a changed record", () => {
  it("has the fields given, and all others as they were", () => {
    const before = record({ principal: "ada", label: "Laptop" });
    const change = { principal: "bob", binding: "a key", idleTimeout: 7 };
    assertEquals(applied(before, change, START), {
      ...before,
      ...change,
      version: 4,
    });
  });

  it("lacks what was forgotten, and is frozen", () => {
    const before = record({ principal: "ada", binding: "a key" });
    const after = applied(before, { principal: null, binding: null }, START);
    assertEquals([after.principal, after.binding], [undefined, undefined]);
    assert(Object.isFrozen(after));
  });

  it("was last used at the later of both instants", () => {
    fc.assert(fc.property(instants, instants, (accessedAt, now) => {
      const before = record({ accessedAt });
      const later = Math.max(accessedAt, now);
      assertEquals(applied(before, {}, now).accessedAt, later);
      assertEquals(applied(before, { isUse: true }, now).accessedAt, later);
      const unused = applied(before, { isUse: false }, now);
      assertEquals(unused.accessedAt, accessedAt);
    }));
  });

  it("is dated as told, also earlier than before", () => {
    const before = record({ authenticatedAt: START });
    const change = { renewedAt: START - 7, authenticatedAt: START - 5 };
    const { renewedAt, authenticatedAt } = applied(before, change, START);
    assertEquals([renewedAt, authenticatedAt], [START - 7, START - 5]);
  });

  it("keeps nothing of a change that is not its own", () => {
    inheritingAtOnce({ principal: "admin", isUse: false }, () => {
      const { principal, accessedAt } = applied(record(), {}, START + 1);
      assertEquals([principal, accessedAt], [undefined, START + 1]);
      assertStrictEquals(toRecord(makeRecord(), 1).principal, undefined);
    });
  });

  it("is summed up by what decides when it ends, its label and its binding", () => {
    const fields = record({ label: "Laptop", principal: "ada" });
    const summary = summaryOf("the id", fields);
    assertEquals(expiryOf({ ...summary }), expiryOf(fields));
    assertEquals(Object.keys(summary).sort(), [
      "absoluteTimeout",
      "accessedAt",
      "authenticatedAt",
      "binding",
      "createdAt",
      "id",
      "idleTimeout",
      "label",
    ]);
  });
});

function dataAfter(
  entries: Iterable<readonly [string, StoredValue]>,
  change: SessionChange,
): StoredData {
  return applied(record({ data: makeData(entries) }), change, START).data;
}

describe("the data of a changed record", () => {
  it("is the same object when the change names no key", () => {
    const before = record({ data: makeData([["a", 1]]) });
    for (const change of [{}, { set: EMPTY_DATA }, { delete: [] }]) {
      const { data } = applied(before, change, START);
      assertStrictEquals(data, before.data);
    }
  });

  it("has the keys written and lacks the keys removed", () => {
    const change = { set: makeData([["a", 2], ["d", 4]]), delete: ["b", "e"] };
    const data = dataAfter([["a", 1], ["b", 2], ["c", 3]], change);
    assertEquals({ ...data }, { a: 2, c: 3, d: 4 });
  });

  it("is frozen and has no prototype, whatever changed", () => {
    const set = makeData([["__proto__", { admin: true }], ["constructor", 1]]);
    for (const change of [{ set }, { delete: ["a"] }, { set, delete: ["a"] }]) {
      const data = dataAfter([["a", 1], ["toString", 2]], change);
      assert(Object.isFrozen(data));
      assertStrictEquals(Object.getPrototypeOf(data), null);
      assertStrictEquals(data["admin"], undefined);
    }
  });

  it("is one shared object for all sessions that lost their last value", () => {
    for (const removed of [["a", "b"], ["b", "a", "c"]]) {
      const data = dataAfter([["a", 1], ["b", 2]], { delete: removed });
      assertStrictEquals(data, EMPTY_DATA);
    }
  });
});
