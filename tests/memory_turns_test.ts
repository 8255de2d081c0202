/** Checks that the memory provider ends many sessions without holding others up. */
import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { describe, it } from "node:test";
import { SessionError } from "../core/errors.ts";
import type { Awaitable, Patience } from "../core/provider.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { A, create, createMany, FAR_FUTURE, listed } from "./_memory.ts";
import { impatientAfter, makePatience } from "./_patience.ts";
import { makeId, START } from "./_records.ts";

/** How many sessions a call ends at most before other work gets its turn. */
const TURN = 2000;

const MANY = 5 * TURN + 1;

const IDS = Array.from({ length: MANY }, (_, number) => makeId(number));

type Call = (provider: MemoryProvider, patience: Patience) => Awaitable<number>;

/** The calls that end every session of Ada's, and say how many. */
const CALLS: Record<string, Call> = {
  destroyAll: (provider, patience) =>
    provider.destroyAll("ada", undefined, patience),
  destroyMany: async (provider, patience) =>
    (await provider.destroyMany(IDS, {}, START, patience)).length,
};

/** A provider with many sessions of Ada's and none else. */
function adas(count = MANY): MemoryProvider {
  const provider = new MemoryProvider();
  for (const id of IDS.slice(0, count)) {
    create(provider, id, { principal: "ada" });
  }
  return provider;
}

for (const [name, call] of Object.entries(CALLS)) {
  describe(`MemoryProvider.${name} of many sessions`, () => {
    it("lets other work in after some, and tells of it", async () => {
      const provider = adas();
      const left = [MANY];
      const patience = makePatience(() => left.push(count(provider)));
      assertEquals(await call(provider, patience), MANY);

      assertEquals(count(provider), 0);
      assertEquals(patience.extensions, 5);
      for (const [index, before] of left.slice(0, -1).entries()) {
        assert(before - left[index + 1]! <= TURN);
      }
    });

    it("serves others in between", async () => {
      const provider = adas();
      const served: number[] = [];
      const serve = () => {
        served.push(count(provider));
        if (count(provider) > 0) setImmediate(serve);
      };
      setImmediate(serve);
      await call(provider, makePatience());

      assert(served.some((left) => left > 0 && left < MANY), `${served}`);
    });

    it("stops when nobody waits for it any more", async () => {
      const provider = adas();
      const ending = async () => await call(provider, impatientAfter(2));
      const error = await assertRejects(ending, SessionError);

      assertEquals(error.code, "timeout");
      assertEquals(count(provider), MANY - 2 * TURN);
    });
  });
}

describe("MemoryProvider.destroyAll of many sessions", () => {
  it("answers at once if they are few", () => {
    const provider = adas(TURN);
    assertEquals(provider.destroyAll("ada"), TURN);
    assert(adas(TURN + 1).destroyAll("ada") instanceof Promise);
  });

  it("spares the one it is told to, and everybody else's", async () => {
    const provider = adas();
    create(provider, A, { principal: "bob" });
    const except = makeId(MANY >> 1);
    assertEquals(await provider.destroyAll("ada", except), MANY - 1);

    assertEquals(listed(provider, "ada"), [except]);
    assertEquals(listed(provider, "bob"), [A]);
  });

  it("takes none of the sessions that come into freed places meanwhile", async () => {
    const provider = adas();
    const patience = makePatience(({ extensions }) => {
      const id = makeId(MANY + extensions);
      create(provider, id, { principal: extensions % 2 ? "bob" : "ada" });
    });
    assertEquals(await provider.destroyAll("ada", undefined, patience), MANY);

    assertEquals(listed(provider, "bob").length, 3);
    assertEquals(listed(provider, "ada").length, 2);
  });

  it("ends with a clear that comes in between, and harms nothing after it", async () => {
    const provider = adas();
    const patience = makePatience(({ extensions }) => {
      if (extensions !== 1) return;
      provider.clear();
      createMany(provider, 10);
      create(provider, A, { principal: "ada" });
    });
    const ended = await provider.destroyAll("ada", undefined, patience);

    assertEquals(ended, TURN);
    assertEquals(count(provider), 11);
    assertEquals(listed(provider, "ada"), [A]);
    assertEquals(provider.gc(FAR_FUTURE, 100), 11);
  });
});

describe("16,000 idle timeouts in a MemoryProvider", () => {
  it("are collected a thousand at a time in no time", () => {
    const provider = new MemoryProvider();
    for (let number = 0; number < 16_000; number++) {
      create(provider, makeId(number), { idleTimeout: 600 + number / 100 });
    }
    const begin = performance.now();
    for (let pass = 1; pass <= 16; pass++) {
      assertEquals(provider.gc(FAR_FUTURE, 1000), 1000);
    }

    // With a search through all lists for each session, one pass took 34 s.
    assertLess(performance.now() - begin, 10_000);
  });
});

function count(provider: MemoryProvider): number {
  return provider.stats().sessions;
}
