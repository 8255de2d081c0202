/** Tests that calls on many sessions in Redis go in batches, and let others in. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { it } from "node:test";
import { SessionError } from "../core/errors.ts";
import type { Patience } from "../core/provider.ts";
import {
  type RedisClient,
  RedisProvider,
  type RedisSender,
} from "../providers/redis.ts";
import { impatientAfter, makePatience } from "./_patience.ts";
import { makeFamily, makeId, makeRecord, START } from "./_records.ts";
import {
  describeOnServer,
  type Rig,
  useCluster,
  useServer,
} from "./_redis_rig.ts";

const COUNT = 1000;
const IDS = Array.from({ length: COUNT }, (_, number) => makeId(number));

/** How many commands a call may have on the way at once. */
const MOST_AT_ONCE = 300;

/** The calls that end all sessions of "ada", and how many they ended. */
const ENDS: Readonly<
  Record<
    string,
    (provider: RedisProvider, patience: Patience) => Promise<number>
  >
> = {
  destroyMany: async (provider, patience) =>
    (await provider.destroyMany(IDS, {}, START, patience)).length,
  destroyAll: (provider, patience) =>
    provider.destroyAll("ada", undefined, patience),
  clear: (provider, patience) => provider.clear(patience),
};

describeOnServer("RedisProvider and many sessions at once", () => {
  const rig = useServer();

  for (const [name, end] of Object.entries(ENDS)) {
    it(`ends them in batches by ${name}, and tells of each`, async () => {
      const { provider, most } = await crowd(rig);
      const patience = makePatience();
      assertEquals(await end(provider, patience), COUNT);
      assert(most() <= MOST_AT_ONCE, `${most()} commands at once`);
      assert(patience.extensions > 1, `${patience.extensions} extensions`);
      assertEquals(await left(rig, provider), 0);
    });

    it(`stops ending them by ${name} when nobody waits any more`, async () => {
      const { provider } = await crowd(rig);
      const error = await assertRejects(
        () => end(provider, impatientAfter(1)),
        SessionError,
      );
      assertEquals(error.code, "timeout");
      assert(await left(rig, provider) > 0);
    });

    it(`lets another request in while ${name} ends them`, async () => {
      const { provider } = await crowd(rig);
      const other = rig.makeLike(provider);
      let isDone = false;
      const ending = end(provider, makePatience()).finally(() => isDone = true);
      let reads = 0;
      while (!isDone) {
        await other.read(makeId(COUNT), START);
        reads++;
      }
      await ending;
      assert(reads > 2, `${reads} reads`);
    });
  }

  it("looks for no more sessions to clear when nobody waits any more", async () => {
    let scans = 0;
    const provider = new RedisProvider({
      send(command) {
        if (command !== "SCAN") return Promise.resolve("");
        return Promise.resolve([++scans < 10 ? "1" : "0", []]);
      },
    });
    await assertRejects(() => provider.clear(impatientAfter(3)), SessionError);
    assertEquals(scans, 3);
  });

  it("lists them in batches", async () => {
    const { provider, most } = await crowd(rig);
    const { sessions } = await provider.list("ada", START);
    assertEquals(sessions.length, COUNT);
    assert(most() <= MOST_AT_ONCE, `${most()} commands at once`);
  });

  it("answers the ids of those that it ended, each once", async () => {
    const provider = rig.make();
    const [live, other, past, absent] = IDS as [string, string, string, string];
    await provider.create(live, makeRecord({ principal: "ada" }), START);
    await provider.create(other, makeRecord({ principal: "eve" }), START);
    const brief = makeRecord({ principal: "ada", idleTimeout: 60 });
    await provider.create(past, brief, START);
    const ids = [live, other, "no id", past, absent, live];
    const now = START + 61_000;
    const guard = { principal: "ada", family: makeFamily("secret") };
    assertEquals(await provider.destroyMany(ids, guard, now), [live]);
    assertEquals(await rig.indexedIds(provider, "eve"), [other]);
    assert(await provider.read(other, START));
  });

  it("has the index forget those that it ended", async () => {
    const { provider } = await crowd(rig);
    await provider.destroyMany(IDS.slice(0, COUNT - 1), {}, START);
    assertEquals(await rig.indexedIds(provider, "ada"), IDS.slice(-1));
  });
});

describeOnServer("RedisProvider and many sessions in a cluster", () => {
  const rig = useCluster();

  it("clears them in batches", async () => {
    const { ioRedis } = rig;
    const { client, most } = watched((command, args) =>
      ioRedis.call(command, args)
    );
    const nodes = () => ioRedis.nodes("master");
    const provider = new RedisProvider(
      { call: client.send, nodes } as RedisClient,
      { prefix: "many:" },
    );
    await fill(new RedisProvider(ioRedis, { prefix: "many:" }));
    const patience = makePatience();
    assertEquals(await provider.clear(patience), COUNT);
    assert(most() <= MOST_AT_ONCE, `${most()} commands at once`);
  });
});

/** A thousand sessions of "ada", and a provider whose commands are watched. */
async function crowd(rig: Rig) {
  const { client, most } = watched((command, args) =>
    rig.client.call(command, args)
  );
  const provider = rig.make(undefined, client);
  await fill(rig.makeLike(provider));
  return { provider, most };
}

async function fill(provider: RedisProvider): Promise<void> {
  const record = makeRecord({ principal: "ada" });
  await Promise.all(IDS.map((id) => provider.create(id, record, START)));
}

/** A client that notes how many commands were under way at most. */
function watched(send: RedisSender["send"]) {
  let [present, most] = [0, 0];
  const client: RedisSender = {
    async send(command, args) {
      most = Math.max(most, ++present);
      try {
        return await send(command, args);
      } finally {
        present--;
      }
    },
  };
  return { client, most: () => most };
}

/** How many of the thousand are still there. */
async function left(rig: Rig, provider: RedisProvider): Promise<number> {
  const keys = IDS.map((id) => rig.prefixOf(provider) + id);
  return await rig.client.exists(...keys);
}
