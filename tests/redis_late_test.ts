/** Tests that what was given up does nothing in Redis when it arrives after all. */
import {
  assert,
  assertEquals,
  assertGreater,
  assertRejects,
} from "@std/assert";
import { Redis } from "ioredis";
import { after, before, describe, it } from "node:test";
import { setTimeout } from "node:timers/promises";
import { SessionError } from "../core/errors.ts";
import type { Guard, Patience } from "../core/provider.ts";
import { ServerClock } from "../core/store/server_clock.ts";
import { RedisProvider, type RedisSender } from "../providers/redis.ts";
import { Browser, Gate, Site } from "./_browser.ts";
import { makePatience } from "./_patience.ts";
import { makeFamily, makeId, makeRecord, START } from "./_records.ts";
import {
  describeOnServer,
  type Rig,
  set,
  useCluster,
  useServer,
} from "./_redis_rig.ts";

const A = makeId(1);
const B = makeId(2);
const GUARD: Guard = { family: makeFamily("secret") };
const HOUR = 3_600_000;

/** Every call that writes, on session A of "ada". */
const WRITES: Readonly<
  Record<
    string,
    (provider: RedisProvider, patience: Patience) => Promise<unknown>
  >
> = {
  create: (provider, patience) =>
    provider.create(B, makeRecord(), START, patience),
  "create of somebody signed in": (provider, patience) =>
    provider.create(B, makeRecord({ principal: "eve" }), START, patience),
  update: (provider, patience) =>
    provider.update(A, set("count", 1), GUARD, START, patience),
  "update that signs in": (provider, patience) =>
    provider.update(A, { principal: "eve" }, GUARD, START, patience),
  touch: (provider, patience) => provider.touch(A, START + 1000, patience),
  destroy: (provider, patience) => provider.destroy(A, GUARD, START, patience),
  destroyMany: (provider, patience) =>
    provider.destroyMany([A], GUARD, START, patience),
  destroyAll: (provider, patience) =>
    provider.destroyAll("ada", undefined, patience),
  clear: (provider, patience) => provider.clear(patience),
};

describeOnServer("RedisProvider and commands that arrive late", () => {
  const rig = useServer();

  for (const [name, write] of Object.entries(WRITES)) {
    it(`does what is asked for in time by ${name}`, async () => {
      const { provider } = await slowly(rig);
      const stored = await stock(rig, provider);
      await write(provider, makePatience());
      assert(await contents(rig, provider) !== stored);
    });

    it(`changes nothing by ${name}`, async () => {
      const { provider, hold } = await slowly(rig);
      const stored = await stock(rig, provider);
      const deliver = hold();
      const patience = shortly();
      const late = assertRejects(() => write(provider, patience), SessionError);
      await setTimeout(Math.ceil(patience.giveUpAt - performance.now()) + 1);
      deliver();
      assertEquals((await late).code, "timeout");
      assertEquals(await contents(rig, provider), stored);
    });
  }

  it("does what reaches the server at all where nobody sets a limit", async () => {
    const { provider, hold } = await slowly(rig);
    await stock(rig, provider);
    const deliver = hold();
    const late = provider.update(A, set("count", 1), GUARD, START);
    await setTimeout(50);
    deliver();
    assertEquals(await late, "done");
  });

  it("brings no older value back, and ends no later sign-in", async () => {
    const { provider, hold } = await slowly(rig);
    const site = new Site({ provider, timeout: 0.05 });
    const browser = new Browser(site);
    await browser.visit((session) => {
      session.set("count", 0);
      session.signIn("ada");
    });
    const deliver = hold();
    const write = assertRejects(() =>
      browser.visit(async (session) => {
        await session.update("count", () => 1);
      }), SessionError);
    const end = assertRejects(
      () => site.manager.destroyAll("ada"),
      SessionError,
    );
    await Promise.all([write, end]);
    const other = new Site({ provider: rig.makeLike(provider) });
    const meanwhile = new Browser(other, browser.cookie);
    await meanwhile.visit((session) => {
      session.set("count", 2);
      session.signIn("ada");
    });
    await deliver();
    const seen = await meanwhile.look((session) => [
      session.get("count"),
      session.principal,
    ]);
    assertEquals(seen, [2, "ada"]);
  });
});

describeOnServer("RedisProvider and the clock of its server", () => {
  const rig = useServer();

  it("does a call once more when the clock was set, and once in all", async () => {
    const clock = skewed(rig);
    const provider = rig.make(undefined, clock);
    await provider.create(A, makeRecord(), START, makePatience());
    for (const skew of [HOUR, -HOUR, 2 * HOUR]) {
      clock.skew = skew;
      const change = set("count", skew);
      const result = provider.update(A, change, GUARD, START, makePatience());
      assertEquals(await result, "done");
    }
    assertEquals((await provider.read(A, START))?.version, 4);
  });

  it("learns from one refusal, which costs one round trip", async () => {
    const clock = skewed(rig);
    const provider = rig.make(undefined, clock);
    await provider.create(A, makeRecord(), START, makePatience());
    await provider.touch(A, START + 1, makePatience());
    clock.skew = HOUR;
    const trips: number[] = [];
    for (const passed of [2, 3]) {
      clock.commands = 0;
      assert(await provider.touch(A, START + passed, makePatience()));
      trips.push(clock.commands);
    }
    assertEquals(trips, [2, 1]);
  });

  it("still refuses what is late when the clock was set", async () => {
    const clock = skewed(rig);
    const provider = rig.make(undefined, clock);
    await provider.create(A, makeRecord(), START, makePatience());
    clock.skew = HOUR;
    const patience = shortly();
    patience.giveUpAt = performance.now() - 1;
    const error = await assertRejects(
      () => provider.update(A, set("count", 1), GUARD, START, patience),
      SessionError,
      "was refused",
    );
    assertEquals(error.code, "timeout");
    assertEquals((await provider.read(A, START))?.version, 1);
  });

  it("reads it with the first write that has a limit, and not with the next", async () => {
    const clock = skewed(rig);
    const provider = rig.make(undefined, clock);
    await provider.create(A, makeRecord(), START);
    await provider.touch(A, START + 1);
    // From now on the server knows the script that reads it.
    await rig.make().serverTime();
    const trips: number[] = [];
    for (const passed of [2, 3]) {
      clock.commands = 0;
      await provider.touch(A, START + passed, makePatience());
      trips.push(clock.commands);
    }
    assertEquals(trips, [2, 1]);
  });

  it("tells what the server says", async () => {
    const before = Date.now();
    const told = await rig.make().serverTime();
    assert(before - 1 <= told && told <= Date.now() + 1, String(told));
  });

  it("writes nothing while it cannot be read", async () => {
    const sent: string[] = [];
    const provider = new RedisProvider({
      send(_command, args) {
        sent.push(String(args[2]));
        return Promise.reject(new Error("away"));
      },
    });
    await assertRejects(
      () => provider.touch(A, START, makePatience()),
      Error,
      "away",
    );
    assertEquals(sent, ["session:"]);
  });
});

describeOnServer("RedisProvider and the queue of ioredis", () => {
  const rig = useServer(["--appendonly", "yes", "--appendfsync", "always"]);

  it("writes nothing that waited in it for a server that was away", async () => {
    const client = new Redis(rig.server.port, {
      maxRetriesPerRequest: null,
      retryStrategy: () => 20,
    });
    client.on("error", () => {});
    const known = rig.make(undefined, client);
    const unknown = new RedisProvider(client, { prefix: rig.prefixOf(known) });
    const stored = await stock(rig, known);
    await known.touch(A, START, makePatience());
    await rig.server.kill();
    const patience = shortly();
    const late = [known, unknown].flatMap((provider) =>
      Object.values(WRITES).map((write) =>
        assertRejects(() => write(provider, patience), SessionError)
      )
    );
    await setTimeout(Math.ceil(patience.giveUpAt - performance.now()) + 1);
    await rig.server.resume();
    await Promise.all(late);
    client.disconnect();
    assertEquals(await contents(rig, known), stored);
  });
});

describeOnServer(
  "RedisProvider and commands that arrive late in a cluster",
  () => {
    const rig = useCluster();

    it("refuses them on every node, with any client", async () => {
      for (const client of [rig.ioRedis, rig.nodeRedis]) {
        const provider = new RedisProvider(client, { prefix: "late:" });
        const ids = Array.from({ length: 12 }, (_, number) => makeId(number));
        for (const id of ids) {
          const record = makeRecord({ principal: "ada" });
          assert(await provider.create(id, record, START, makePatience()));
        }
        const patience = shortly();
        patience.giveUpAt = performance.now() - 1;
        for (const id of ids) {
          await assertRejects(
            () => provider.update(id, set("a", 1), GUARD, START, patience),
            SessionError,
            "was refused",
          );
        }
        const versions = ids.map(async (id) =>
          (await provider.read(id, START))?.version
        );
        assertEquals(await Promise.all(versions), ids.map(() => 1));
        const ended = provider.destroyAll("ada", undefined, makePatience());
        assertEquals(await ended, ids.length);
      }
    });
  },
);

describe("the distance to a server's clock", () => {
  const realNow = performance.now;
  let now = 0;
  before(() => {
    performance.now = () => now;
  });
  after(() => {
    performance.now = realNow;
  });

  it("errs by no more than the measurement took, and to the safe side", async () => {
    for (const heardAfter of [0, 30, 80]) {
      now = 1000;
      const clock = new ServerClock(() => {
        const told = 501_000 + heardAfter;
        now += 80;
        return Promise.resolve(told);
      });
      const limit = await clock.limitOf(patienceUntil(6000)) as number;
      assertGreater(506_000 + 0.5, limit);
      assertGreater(limit, 506_000 - 80 - 0.5);
    }
  });

  it("is measured anew after a minute, and nobody waits for that", async () => {
    now = 0;
    const answers = [Promise.resolve(1000), new Gate<number>().promise];
    let asked = 0;
    const clock = new ServerClock(() => answers[asked++] as Promise<number>);
    assertEquals(await clock.limitOf(patienceUntil(5)), 1005);
    now = 59_000;
    assertEquals(await clock.limitOf(patienceUntil(59_005)), 60_005);
    assertEquals(asked, 1);
    now = 60_000;
    assertEquals(await clock.limitOf(patienceUntil(60_005)), 61_005);
    assertEquals(asked, 2);
  });

  it("is measured anew when the store is in doubt", async () => {
    let ahead = 1000;
    now = 0;
    const clock = new ServerClock(() => Promise.resolve(now + ahead));
    assertEquals(await clock.limitOf(patienceUntil(5)), 1005);
    ahead = 2000;
    clock.doubt();
    await clock.limitOf(patienceUntil(5));
    assertEquals(await clock.limitOf(patienceUntil(5)), 2005);
  });

  it("is measured by another question when one is never answered", async () => {
    now = 0;
    const answers = [new Gate<number>().promise, Promise.resolve(9000)];
    let asked = 0;
    const clock = new ServerClock(() => answers[asked++] as Promise<number>);
    clock.limitOf(patienceUntil(5));
    now = 1001;
    assertEquals(await clock.limitOf(patienceUntil(2001)), 10_000);
  });

  it("does not get worse by a measurement that took long", async () => {
    now = 0;
    const times = [1000, 60_000 + 1000];
    const clock = new ServerClock(() => {
      const told = times.shift() as number;
      if (told > 1000) now += 3000;
      return Promise.resolve(told);
    });
    await clock.limitOf(patienceUntil(5));
    now = 60_000;
    await clock.limitOf(patienceUntil(60_005));
    assertEquals(await clock.limitOf(patienceUntil(63_005)), 64_005);
  });

  it("is not made up when the store does not tell", async () => {
    const clock = new ServerClock(() => Promise.reject(new Error("away")));
    await assertRejects(() => clock.limitOf(patienceUntil(5)), Error, "away");
    assertEquals(await clock.limitOf(undefined), undefined);
  });
});

/** A wait until an instant of `performance.now()`. */
function patienceUntil(giveUpAt: number): Patience {
  return { giveUpAt, extend() {} };
}

/** A wait that is over soon, and has no steps. */
function shortly() {
  const patience = makePatience((extended) => {
    extended.giveUpAt = patience.giveUpAt;
  });
  patience.giveUpAt = performance.now() + 30;
  return patience;
}

/** A provider that knows the server's clock, and whose scripts can be held back. */
async function slowly(rig: Rig) {
  let gate: Gate | undefined;
  const sent: Promise<unknown>[] = [];
  const provider = rig.make(undefined, {
    async send(command, args) {
      if (command.startsWith("EVAL")) await gate?.promise;
      const reply = rig.client.call(command, args);
      sent.push(reply);
      return await reply;
    },
  });
  await provider.touch(A, START, makePatience());
  const hold = () => {
    gate = new Gate();
    return async () => {
      const opened = gate;
      gate = undefined;
      opened?.open();
      await opened?.promise;
      // What was held back is with the server when this is.
      await rig.client.ping();
      await Promise.allSettled(sent);
    };
  };
  return { provider, hold };
}

/** Stores session A of "ada", and answers all that there is. */
async function stock(rig: Rig, provider: RedisProvider): Promise<string> {
  const plain = rig.makeLike(provider);
  await plain.create(A, makeRecord({ principal: "ada" }), START);
  return await contents(rig, provider);
}

/** What the server keeps of a provider, but for how long it will. */
async function contents(rig: Rig, provider: RedisProvider): Promise<string> {
  const keys = (await rig.client.keys(`${rig.prefixOf(provider)}*`)).sort();
  const values = keys.map((key) =>
    key.endsWith(":sessions")
      ? rig.client.zrange(key, 0, -1, "WITHSCORES")
      : rig.client.get(key)
  );
  return JSON.stringify([keys, await Promise.all(values)]);
}

/** A server whose clock differs from the real one's by so many milliseconds. */
function skewed(rig: Rig): RedisSender & { skew: number; commands: number } {
  return {
    skew: 0,
    commands: 0,
    async send(command, args) {
      this.commands++;
      const limit = Number(args.at(-1) || NaN);
      const isLimited = command.startsWith("EVAL") && limit > START;
      const given = isLimited
        ? [...args.slice(0, -1), String(limit - this.skew)]
        : args;
      const reply = String(await rig.client.call(command, given) ?? "");
      const told = /^(late)?(\d+\.\d{3})$/.exec(reply);
      if (told === null) return reply;
      return (told[1] ?? "") + (Number(told[2]) + this.skew).toFixed(3);
    },
  };
}
