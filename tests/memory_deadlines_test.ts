/** Checks when the memory provider lets a session go. */
import {
  assert,
  assertEquals,
  assertExists,
  assertFalse,
  assertStrictEquals,
} from "@std/assert";
import { describe, it } from "node:test";
import { Manager } from "../core/manager.ts";
import type {
  DestroyResult,
  NewSessionRecord,
  UpdateResult,
} from "../core/provider.ts";
import { isLive } from "../core/store/record.ts";
import { MemoryProvider } from "../providers/memory.ts";
import {
  A,
  B,
  C,
  create,
  destroy,
  GUARD,
  heldAmong,
  HOUR,
  listed,
  requestAfter,
  statsOf,
  touch,
} from "./_memory.ts";
import { makeData, makeRecord, type RecordOptions, START } from "./_records.ts";

const YEAR = 365 * 24 * HOUR;

describe("MemoryProvider and deadlines", () => {
  for (const [moment, offset, expected] of moments()) {
    it(`${moment} its idle deadline a session ${expected.words}`, () => {
      const lifetime = { idleTimeout: 60, absoluteTimeout: 600 };

      assertEquals(
        outcomes(lifetime, START + 60_000 + offset),
        { ...expected.calls, collected: expected.calls.read ? 0 : 1 },
      );
    });

    it(`${moment} its absolute deadline a session ${expected.words}`, () => {
      const lifetime = { idleTimeout: 600, absoluteTimeout: 60 };

      assertEquals(
        outcomes(lifetime, START + 60_000 + offset),
        { ...expected.calls, collected: 0 },
      );
    });
  }

  it("a read does not prolong a session", () => {
    const provider = new MemoryProvider();
    create(provider, A);

    assertExists(provider.read(A, START + HOUR - 1));
    assertStrictEquals(provider.read(A, START + HOUR), undefined);
  });

  it("a touch prolongs a session by its idle timeout", () => {
    const provider = new MemoryProvider();
    create(provider, A);
    touch(provider, A, START + 1000);

    const read = provider.read(A, START + HOUR + 999);
    assertEquals(read?.accessedAt, START + 1000);
    assertStrictEquals(provider.read(A, START + HOUR + 1000), undefined);
  });

  it("an update prolongs a session by its idle timeout", () => {
    const provider = new MemoryProvider();
    create(provider, A);
    provider.update(A, {}, GUARD, START + 1000);

    const read = provider.read(A, START + HOUR + 999);
    assertEquals(read?.accessedAt, START + 1000);
    assertStrictEquals(provider.read(A, START + HOUR + 1000), undefined);
  });

  it("a request that only reads prolongs a session", async () => {
    const provider = new MemoryProvider();
    let now = START;
    await using manager = new Manager({ provider, now: () => now });
    const handler = manager.handle((_request, session) => {
      if (session.isNew) session.set("name", "Ada");
      return new Response(session.id);
    });
    const first = await handler(new Request("http://localhost/"));
    const id = await first.text();
    now = START + 1;
    await handler(requestAfter(first));

    assertEquals(provider.read(id, now)?.accessedAt, START + 1);
  });

  it("no touch carries a session past its absolute deadline", async () => {
    const provider = new MemoryProvider();
    let now = START;
    await using manager = new Manager({
      provider,
      idleTimeout: 60,
      absoluteTimeout: 100,
      now: () => now,
    });
    const handler = manager.handle((_request, session) => {
      if (session.isNew) session.set("name", "Ada");
      return new Response(session.id);
    });
    const first = await handler(new Request("http://localhost/"));
    const id = await first.text();
    for (now = START + 30_000; now < START + 100_000; now += 30_000) {
      await handler(requestAfter(first));
    }

    assertExists(provider.read(id, START + 99_999));
    assertStrictEquals(provider.read(id, START + 100_000), undefined);
  });

  it("a touch changes neither data nor version", () => {
    const provider = new MemoryProvider();
    create(provider, A, { data: makeData([["name", "Ada"]]), label: "Laptop" });
    const before = provider.read(A, START);
    touch(provider, A, START + 1);

    assertEquals(provider.read(A, START + 1), {
      ...before!,
      accessedAt: START + 1,
    });
  });

  for (const [how, end] of Object.entries(endings())) {
    it(`a session that ${how} is not revived by a late write`, () => {
      const provider = new MemoryProvider({ maxSessions: 2 });
      create(provider, A, { principal: "ada" });
      const now = end(provider);

      assertEquals(provider.update(A, {}, GUARD, now), "gone");
      assertFalse(provider.touch(A, now));
      assertStrictEquals(provider.read(A, now), undefined);
      assertEquals(provider.destroy(A, {}, now), "absent");
      assertEquals(listed(provider, "ada", now), []);
    });
  }

  it("a clock that steps back costs no live session", () => {
    const provider = new MemoryProvider();
    create(provider, A, { idleTimeout: 10, now: START + 50_000 });
    create(provider, B, { idleTimeout: 10, now: START });

    assertEquals(provider.gc(START + 59_999, 10), 0);
    assertExists(provider.read(A, START + 59_999));
    assertStrictEquals(provider.read(B, START + 59_999), undefined);
  });

  it("what a clock that stepped back held up is collected when it caught up", () => {
    const provider = new MemoryProvider();
    create(provider, A, { idleTimeout: 10, now: START + 50_000 });
    create(provider, B, { idleTimeout: 10, now: START });

    assertEquals(provider.gc(START + 60_000, 10), 2);
  });
});

describe("MemoryProvider and the time of the last use", () => {
  it("a late touch does not move it back", () => {
    const provider = new MemoryProvider();
    create(provider, A, { now: START + 1000 });

    assert(provider.touch(A, START));
    assertEquals(provider.read(A, START + 1000)?.accessedAt, START + 1000);
    assertExists(provider.read(A, START + HOUR + 999));
  });

  it("a late update does not move it back", () => {
    const provider = new MemoryProvider();
    create(provider, A, { now: START });
    touch(provider, A, START + 1000);

    const change = { set: makeData([["a", 1]]) };
    assertEquals(provider.update(A, change, GUARD, START + 500), "done");
    const read = provider.read(A, START + HOUR + 999);
    assertEquals(read?.accessedAt, START + 1000);
    assertEquals(read?.data, change.set);
  });

  it("an update that is no use leaves it as the last touch set it", () => {
    const provider = new MemoryProvider();
    create(provider, A);
    touch(provider, A, START + 1000);

    const change = { set: makeData([["a", 1]]), isUse: false };
    assertEquals(provider.update(A, change, GUARD, START + 5000), "done");
    const read = provider.read(A, START + HOUR + 999);
    assertEquals(read?.accessedAt, START + 1000);
    assertEquals([read?.version, read?.data], [2, change.set]);
    assertStrictEquals(provider.read(A, START + HOUR + 1000), undefined);
  });

  it("is the same in a list as in a record", () => {
    const provider = new MemoryProvider();
    create(provider, A, { principal: "ada" });
    touch(provider, A, START + 1000);

    const [summary] = provider.list("ada", START + 1000).sessions;
    assertEquals(summary?.accessedAt, START + 1000);
  });

  it("an update that is no use holds up nobody's collection", () => {
    const provider = new MemoryProvider();
    create(provider, A);
    create(provider, B, { now: START + 1000 });
    provider.update(A, { isUse: false }, GUARD, START + 2000);

    assertEquals(provider.gc(START + HOUR, 10), 1);
    assertEquals(heldAmong(provider, [A, B]), [B]);
  });

  it("a new idle timeout without a use holds up nobody's collection", () => {
    const provider = new MemoryProvider();
    create(provider, A, { idleTimeout: 60 });
    create(provider, B, { now: START + 1000 });
    const change = { idleTimeout: 3600, isUse: false };
    provider.update(A, change, GUARD, START + 2000);

    assertEquals(provider.gc(START + HOUR - 1, 10), 0);
    assertEquals(provider.gc(START + HOUR, 10), 1);
    assertEquals(heldAmong(provider, [A, B]), [B]);
    assertEquals(provider.gc(START + HOUR + 1000, 10), 1);
  });
});

describe("MemoryProvider and clocks that are wrong", () => {
  it("a clock a year ahead makes no session for a year", () => {
    const provider = new MemoryProvider();
    const ahead = START + YEAR;
    create(provider, A, { now: ahead, principal: "ada" });

    assertExists(provider.read(A, ahead));
    assertEquals(callsOn(provider, A, START), NOTHING);
  });

  it("nor does a sign-in by such a clock", () => {
    const provider = new MemoryProvider();
    create(provider, A);
    const change = { principal: "ada", authenticatedAt: START + YEAR };
    provider.update(A, change, GUARD, START);

    assertEquals(callsOn(provider, A, START), NOTHING);
  });

  it("a clock that is behind ends no session", () => {
    const provider = new MemoryProvider();
    create(provider, A, { principal: "ada" });
    callsOn(provider, A, START - YEAR);

    assertExists(provider.read(A, START));
    assertEquals(provider.stats(), statsOf({ sessions: 1, created: 1 }));
  });

  it("a session that is not there yet is not created twice", () => {
    const provider = new MemoryProvider();
    create(provider, A, { now: START + YEAR });

    assertFalse(provider.create(A, makeRecord(), START));
    assertEquals(provider.stats(), statsOf({ sessions: 1, created: 1 }));
  });

  for (const [name, begin] of begins()) {
    it(`agrees with isLive around each edge of a session ${name}`, () => {
      const record = makeRecord({
        accessedAt: START + 0.7,
        idleTimeout: 0.1,
        absoluteTimeout: 0.3,
        ...begin,
      });
      const isThere = instantsAround(record).map((now) => {
        const provider = new MemoryProvider();
        assert(provider.create(A, record, START));
        return [now, provider.read(A, now) !== undefined];
      });

      assertEquals(
        isThere,
        instantsAround(record).map((now) => [now, isLive(record, now)]),
      );
    });
  }
});

/** What every call answers where there is no session. */
const NOTHING = {
  read: undefined,
  touched: false,
  updated: "gone",
  destroyed: "absent",
  listed: [],
} as const;

/** What every call makes of a session of `ada`. */
function callsOn(
  provider: MemoryProvider,
  id: string,
  now: number,
): Record<keyof typeof NOTHING, unknown> {
  return {
    read: provider.read(id, now),
    touched: provider.touch(id, now),
    updated: provider.update(id, {}, {}, now),
    destroyed: provider.destroy(id, {}, now),
    listed: listed(provider, "ada", now),
  };
}

/** Sessions that begin before their last use, with it, and after it. */
function begins(): readonly (readonly [string, RecordOptions])[] {
  return [
    ["that was used since", { createdAt: START + 0.45 }],
    ["that began just now", { createdAt: START + 0.7 }],
    ["that begins later", { createdAt: START + 180.45 }],
    ["signed in later", { createdAt: START, authenticatedAt: START + 80.3 }],
    ["signed in far ahead", { createdAt: START, authenticatedAt: START + 900 }],
  ];
}

/** The instants at which something may change, and those beside them. */
function instantsAround(record: NewSessionRecord): number[] {
  const begin = record.authenticatedAt ?? record.createdAt;
  const lifetime = record.absoluteTimeout * 1000;
  const edges = [
    record.accessedAt,
    record.accessedAt + record.idleTimeout * 1000,
    begin,
    begin + lifetime,
    begin - lifetime,
  ];
  return edges.flatMap((edge) =>
    [-1, -0.25, -(2 ** -12), 0, 2 ** -12, 0.25, 1].map((by) => edge + by)
  );
}

interface Outcomes {
  readonly read: boolean;
  readonly touched: boolean;
  readonly updated: UpdateResult;
  readonly destroyed: DestroyResult;
  readonly created: boolean;
  readonly listed: number;
  readonly collected: number;
}

/** What each call makes of a session that began at `START`. */
function outcomes(lifetime: RecordOptions, now: number): Outcomes {
  const made = (): MemoryProvider => {
    const provider = new MemoryProvider();
    create(provider, A, { principal: "ada", ...lifetime });
    return provider;
  };
  return {
    read: made().read(A, now) !== undefined,
    touched: made().touch(A, now),
    updated: made().update(A, {}, GUARD, now),
    destroyed: made().destroy(A, GUARD, now),
    created: made().create(A, makeRecord({ now }), now),
    listed: listed(made(), "ada", now).length,
    collected: made().gc(now, 10),
  };
}

type Moment = readonly [
  moment: string,
  offset: number,
  expected: { words: string; calls: Omit<Outcomes, "collected"> },
];

function moments(): readonly Moment[] {
  const live = {
    words: "is there for every call",
    calls: {
      read: true,
      touched: true,
      updated: "done",
      destroyed: "done",
      created: false,
      listed: 1,
    },
  } as const;
  const dead = {
    words: "is there for none",
    calls: {
      read: false,
      touched: false,
      updated: "gone",
      destroyed: "absent",
      created: true,
      listed: 0,
    },
  } as const;
  return [
    ["a quarter of a millisecond before", -0.25, live],
    ["at", 0, dead],
    ["a quarter of a millisecond after", 0.25, dead],
  ];
}

/** How the session `A` of `ada` can end, each answering when it did. */
function endings(): Record<string, (provider: MemoryProvider) => number> {
  return {
    "was destroyed": (provider) => {
      destroy(provider, A);
      return START;
    },
    "was signed out everywhere": (provider) => {
      provider.destroyAll("ada");
      return START;
    },
    expired: () => START + HOUR,
    "was read after it expired": (provider) => {
      provider.read(A, START + HOUR);
      return START;
    },
    "was collected": (provider) => {
      provider.gc(START + HOUR, 10);
      return START;
    },
    "was evicted": (provider) => {
      create(provider, B, { principal: "bob" });
      create(provider, C, { principal: "bob" });
      return START;
    },
  };
}
