import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertInstanceOf,
  assertNotMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import fc from "fast-check";
import { Cluster, Redis } from "ioredis";
import { after, before, describe, it } from "node:test";
import { createClient, createCluster } from "redis";
import { SessionError } from "../core/errors.ts";
import type { SessionChange, SessionRecord } from "../core/provider.ts";
import { applied, toRecord } from "../core/store/record.ts";
import { open } from "../core/registry.ts";
import { digest } from "../core/secret/token.ts";
import type { StoredValue } from "../core/value/types.ts";
import { conformance } from "../providers/conformance.ts";
import {
  type RedisClient,
  RedisProvider,
  type RedisSender,
} from "../providers/redis.ts";
import { keys, shape, storables, storedData } from "./_arbitraries.ts";
import { Browser, Gate, Site } from "./_browser.ts";
import { makeData, makeHash, makeId, makeRecord, START } from "./_records.ts";
import {
  LossyProxy,
  missingRedis,
  RedisCluster,
  RedisServer,
} from "./_redis_server.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const A = makeId(1);
const B = makeId(2);
const GUARD = { secretHash: makeHash("secret") };
const ON_BUN = "Bun" in globalThis;

const missing = missingRedis();
if (missing !== undefined) {
  console.log(`skipped tests of RedisProvider on a server: ${missing}`);
}
const describeOnServer = missing === undefined ? describe : describe.skip;

describeOnServer("conformance of the Redis provider on one server", () => {
  const rig = useServer();
  const nodeRedis = useNodeRedis(rig);

  for (const { name, run } of conformanceOf(() => rig.client)) {
    it(`with ioredis: ${name}`, run);
  }

  for (const { name, run } of conformanceOf(() => nodeRedis.client)) {
    it(`with node-redis: ${name}`, run);
  }

  if (!ON_BUN) return;

  for (const { name, run } of conformanceOf(() => rig.server.url)) {
    it(`with the client that Bun has: ${name}`, run);
  }
});

describeOnServer("conformance of the Redis provider on a cluster", () => {
  const rig = useCluster();

  for (const { name, run } of conformanceOf(() => rig.ioRedis)) {
    it(`with ioredis: ${name}`, run);
  }

  for (const { name, run } of conformanceOf(() => rig.nodeRedis)) {
    it(`with node-redis: ${name}`, run);
  }
});

describe("RedisProvider and its client", () => {
  it("sends commands as each kind of client takes them", async () => {
    const get = ["GET", `session:${A}`];
    const key = get[1] as string;
    assertEquals(await callsBy("send"), ["GET", [key]]);
    assertEquals(await callsBy("call"), ["GET", [key]]);
    assertEquals(await callsBy("sendCommand"), [get]);
    assertEquals(await callsBy("sendCommand", "isConnected"), ["GET", [key]]);
    assertEquals(await callsBy("sendCommand", "getSentinelNode"), [false, get]);
    assertEquals(
      await callsBy("sendCommand", "nodeClient"),
      [key, false, get],
    );
  });

  it("sends a script of a cluster to the key that it works on", async () => {
    const calls: unknown[][] = [];
    const provider = new RedisProvider(fakeClient(calls, {
      names: ["sendCommand", "nodeClient"],
      reply: "done",
    }));
    assert(await provider.touch(A, START + HOUR, START));
    assertEquals(calls.map(([key]) => key), [`session:${A}`]);
  });

  it("understands answers that come as bytes", async () => {
    const texts: string[] = [];
    const writer = new RedisProvider({
      send: (_command, args) => {
        texts.push(args[1] as string);
        return Promise.resolve("OK");
      },
    });
    await writer.create(A, makeRecord({ label: "\u00fc" }), START);
    const reader = new RedisProvider({
      send: () => Promise.resolve(new TextEncoder().encode(texts[0])),
    });
    assertEquals((await reader.read(A, START))?.label, "\u00fc");
  });

  it("refuses what is no client that it knows", () => {
    for (const client of [null, undefined, {}, () => {}, { send: true }]) {
      assertThrows(
        () => new RedisProvider(client as unknown as RedisClient),
        TypeError,
        "Cannot create RedisProvider: its client must have send",
      );
    }
  });

  it("refuses an ioredis client that puts a prefix in front of keys", () => {
    const client = {
      call: () => Promise.resolve(null),
      options: { keyPrefix: "app:" },
    };
    assertThrows(
      () => new RedisProvider(client),
      TypeError,
      "use the option prefix instead: received app:",
    );
  });

  it("refuses an empty prefix, which would claim every key", () => {
    assertThrows(
      () => new RedisProvider(silent(), { prefix: "" }),
      TypeError,
      "prefix must be a string that is not empty: received an empty one",
    );
  });

  it("refuses an option that it does not know", () => {
    const options = { prefx: "a" };
    assertThrows(
      () => new RedisProvider(silent(), options as Record<string, string>),
      TypeError,
      "unknown option: received prefx",
    );
  });

  it("refuses a name without a URL", () => {
    assertThrows(() => open("redis"), TypeError, "it needs a URL");
  });

  it("registers the schemes of Redis and Valkey", () => {
    for (const scheme of ["redis", "rediss", "valkey"]) {
      assertThrows(
        () => open(`${scheme}://localhost?prefx=a`),
        TypeError,
        "unknown option: received prefx",
      );
    }
  });

  if (!ON_BUN) {
    it("asks for a client where a URL cannot be opened, and keeps the password to itself", () => {
      const error = assertThrows(
        () => open("redis://user:password@localhost"),
        TypeError,
        "pass a client of ioredis, node-redis or deno-redis instead",
      );
      assertNotMatch(error.message, /password/);
    });
  }

  it("looks at a whole node when the one before it left the cluster", async () => {
    const calls: unknown[] = [];
    const node = (port: number) => ({
      options: { host: "localhost", port },
      call: (_command: string, [cursor]: string[]) => {
        calls.push([port, cursor]);
        return Promise.resolve([port === 1 ? "5" : "0", []]);
      },
    });
    let nodes = [node(3), node(1), node(2)];
    const provider = new RedisProvider({
      call: () => Promise.reject(new Error("sent to no node")),
      nodes: () => nodes,
    } as RedisClient);
    const { next } = await provider.scan(undefined, 10, START);
    nodes = [node(3), node(2)];
    const { next: last } = await provider.scan(next, 10, START);
    assertStrictEquals((await provider.scan(last, 10, START)).next, undefined);
    assertEquals(calls, [[1, "0"], [2, "0"], [3, "0"]]);
  });

  it("leaves a client that it was handed open", async () => {
    const calls: unknown[][] = [];
    const client = fakeClient(calls, { names: ["send", "close", "quit"] });
    await new RedisProvider(client).close();
    assertEquals(calls, []);
  });

  it("hands on the error of a client as it is", async () => {
    const failure = new Error("out of memory");
    const provider = new RedisProvider({ send: () => Promise.reject(failure) });
    await provider.touch(A, START + HOUR, START).then(
      () => assert(false, "did not reject"),
      (error) => assertStrictEquals(error, failure),
    );
  });
});

describe("RedisProvider and ids", () => {
  it("asks no server for an id that cannot be one", async () => {
    const provider = new RedisProvider({
      send: () => Promise.reject(new Error("asked")),
    });
    const change = { expiresAt: START + HOUR };
    const index = `${digest("ada")}:sessions`;
    for (const id of ["", "short", `${A}A`, index, "*".repeat(24)]) {
      assertStrictEquals(await provider.read(id, START), undefined);
      assertEquals(await provider.update(id, change, GUARD, START), "gone");
      assertFalse(await provider.touch(id, START + HOUR, START));
      assertFalse(await provider.destroy(id));
    }
  });

  it("refuses to create a session that it could not tell from other keys", async () => {
    await assertRejects(
      () => new RedisProvider(silent()).create("short", makeRecord(), START),
      TypeError,
      'its id must be 24 characters of base64url: received "short"',
    );
  });
});

describeOnServer("RedisProvider and round trips", () => {
  const rig = useServer();

  it("are one for each call of a session that nobody is signed in to", async () => {
    const { provider, commands } = await counted(rig);
    await provider.create(A, makeRecord(), START);
    await provider.read(A, START);
    await provider.update(A, set("a", 1), GUARD, START);
    await provider.touch(A, START + HOUR, START);
    await provider.destroy(A);
    await provider.gc(START, 100);
    assertEquals(commands, ["SET", "GET", "EVALSHA", "EVALSHA", "EVALSHA"]);
  });

  it("are one for the update and the touch of a signed-in session", async () => {
    const { provider, commands } = await counted(rig);
    await provider.create(A, makeRecord({ principal: "ada" }), START);
    commands.length = 0;
    await provider.update(A, set("a", 1), GUARD, START);
    await provider.touch(A, START + HOUR, START);
    assertEquals(commands.length, 2);
  });

  it("are one for a request that reads, and two when a touch is due", async () => {
    const { provider, commands } = await counted(rig);
    const site = new Site({ provider });
    const browser = new Browser(site);
    await browser.visit((session) => session.set("name", "Ada"));
    assertEquals(commands.splice(0), ["SET"]);
    await browser.visit((session) => session.get("name"));
    assertEquals(commands.splice(0), ["GET"]);
    site.pass(61);
    await browser.visit((session) => session.get("name"));
    assertEquals(commands.splice(0), ["GET", "EVALSHA"]);
  });

  it("are two for a request that writes, and three when it signs in", async () => {
    const { provider, commands } = await counted(rig);
    const browser = new Browser(new Site({ provider }));
    await browser.visit((session) => session.set("name", "Ada"));
    commands.length = 0;
    await browser.visit((session) => session.set("name", "Eve"));
    assertEquals(commands.splice(0), ["GET", "EVALSHA"]);
    await browser.visit((session) => session.signIn("ada"));
    assertEquals(commands.splice(0), ["GET", "EVALSHA", "EVALSHA"]);
  });

  it("are one more when the server does not know a script yet", async () => {
    const { provider, commands } = await counted(rig);
    await provider.create(A, makeRecord(), START);
    await rig.server.command("SCRIPT", "FLUSH");
    commands.length = 0;
    assertEquals(await provider.update(A, set("a", 1), GUARD, START), "done");
    assertEquals(await provider.update(A, set("b", 2), GUARD, START), "done");
    assertEquals(commands, ["EVALSHA", "EVAL", "EVALSHA"]);
    assertEquals({ ...(await provider.read(A, START))?.data }, { a: 1, b: 2 });
  });
});

describeOnServer("RedisProvider and the keys of the server", () => {
  const rig = useServer();

  it("has the server remove a session when its time is up", async () => {
    const provider = rig.make();
    await provider.create(A, makeRecord({ idleTimeout: 60 }), START);
    assertTimeLeft(await rig.timeLeft(provider, A), 60_000);
    await provider.touch(A, START + 90_000, START);
    assertTimeLeft(await rig.timeLeft(provider, A), 90_000);
    await provider.update(A, { expiresAt: START + 120_000 }, GUARD, START);
    assertTimeLeft(await rig.timeLeft(provider, A), 120_000);
  });

  it("keeps every key from lasting for ever", async () => {
    const provider = rig.make();
    await provider.create(A, makeRecord({ principal: "ada" }), START);
    await provider.create(B, makeRecord(), START);
    await provider.update(
      B,
      { ...set("a", 1), principal: "bob" },
      GUARD,
      START,
    );
    const keys = await rig.client.keys(`${rig.prefixOf(provider)}*`);
    assertEquals(keys.length, 4);
    for (const key of keys) assertGreater(await rig.client.pttl(key), 0);
  });

  it("works whatever the clock of the server says", async () => {
    const provider = rig.make();
    for (const now of [1000, START, START + 1e12]) {
      const id = makeId(now);
      await provider.create(id, makeRecord({ now, principal: "ada" }), now);
      await provider.touch(id, now + 2 * HOUR, now + HOUR - 1);
      assertEquals((await provider.list("ada", now + HOUR)).length, 1);
      assertStrictEquals(await provider.read(id, now + 2 * HOUR), undefined);
      await provider.destroy(id);
    }
  });

  it("keeps instants and timeouts that are no whole numbers", async () => {
    const provider = rig.make();
    const now = START + 0.25;
    const record = makeRecord({ now, idleTimeout: 0.3, absoluteTimeout: 0.7 });
    await provider.create(A, { ...record, expiresAt: START + 9000.25 }, now);
    await provider.touch(A, START + 9000.5, now + 0.5);
    const read = await provider.read(A, START + 9000.375);
    assertEquals(
      [read?.accessedAt, read?.expiresAt, read?.idleTimeout],
      [START + 0.75, START + 9000.5, 0.3],
    );
    assertStrictEquals(await provider.read(A, START + 9000.5), undefined);
  });

  it("clears its own sessions and nothing else", async () => {
    const prefixes = ["t:", "t:*", "t:?", "t:[a]", "t:\\", "t:t:"];
    const providers = prefixes.map((prefix) => rig.make(prefix));
    for (const provider of providers) {
      await provider.create(A, makeRecord(), START);
    }
    await rig.client.set("t:other", "mine");
    for (const [index, provider] of providers.entries()) {
      assertEquals(await provider.clear(), 1, prefixes[index]);
      for (const later of providers.slice(index + 1)) {
        assert(await later.read(A, START), prefixes[index]);
      }
    }
    assertEquals(await rig.client.get("t:other"), "mine");
  });

  it("clears more sessions than one look through the keys returns", async () => {
    const provider = rig.make();
    const ids = Array.from({ length: 2500 }, (_, index) => makeId(index));
    await Promise.all(
      ids.map((id) => provider.create(id, makeRecord(), START)),
    );
    assertEquals(await provider.clear(), 2500);
  });

  it("goes through all of its sessions, page by page, and no others", async () => {
    const provider = rig.make("scan:");
    const longer = rig.make("scan:scan:");
    await longer.create(makeId(0), makeRecord(), START);
    const ids = Array.from({ length: 500 }, (_, index) => makeId(index + 1));
    const record = makeRecord({ principal: "ada" });
    await Promise.all(ids.map((id) => provider.create(id, record, START)));
    await rig.client.set(`scan:${makeId(600)}`, "garbage");
    const brief = makeRecord({ idleTimeout: 1 });
    await provider.create(makeId(601), brief, START);
    const { found, unreadable, pages } = await scanned(provider);
    assertEquals(found, ids.sort());
    assertEquals(unreadable, [makeId(600)]);
    assertGreater(pages, 2);
  });

  it("stores no name of a user in a key", async () => {
    const provider = rig.make();
    await provider.create(A, makeRecord({ principal: "ada" }), START);
    const keys = await rig.client.keys(`${rig.prefixOf(provider)}*`);
    for (const key of keys) assertNotMatch(key, /ada/);
  });
});

describeOnServer("RedisProvider and the index of a user's sessions", () => {
  const rig = useServer();

  it("lists no session that was never written after its index entry was", async () => {
    const commands = failingAfter(rig, 1);
    const provider = rig.make(undefined, commands);
    const record = makeRecord({ principal: "ada" });
    await assertRejects(() => provider.create(A, record, START), Error);
    const other = rig.makeLike(provider);
    assertEquals(await rig.indexedIds(other, "ada"), [A]);
    assertEquals(await other.list("ada", START), []);
    assertEquals(await other.destroyAll("ada"), 0);
    assert(await other.create(A, record, START));
    assertEquals((await other.list("ada", START)).length, 1);
  });

  it("loses the stale entries of an hour ago with the next list", async () => {
    const provider = rig.make();
    const ago = (ms: number) => `${Date.now() - ms} ${Date.now() + DAY}`;
    await provider.create(A, makeRecord({ principal: "ada" }), START);
    const key = rig.indexKeyOf(provider, "ada");
    await rig.client.hset(key, A, ago(2 * HOUR));
    await rig.client.hset(key, makeId(3), ago(2 * HOUR));
    await rig.client.hset(key, makeId(4), ago(HOUR / 2));
    await provider.create(B, makeRecord({ principal: "bob" }), START);
    await rig.client.hset(key, B, ago(2 * HOUR));

    assertEquals((await provider.list("ada", START)).map(({ id }) => id), [A]);
    assertEquals(
      await rig.indexedIds(provider, "ada"),
      [A, makeId(4)].sort(),
    );
  });

  it("loses the entries whose time is up with the next sign-in", async () => {
    const provider = rig.make();
    const key = rig.indexKeyOf(provider, "ada");
    await rig.client.hset(key, B, `${Date.now() - DAY} ${Date.now() - 1}`);
    await provider.create(A, makeRecord({ principal: "ada" }), START);
    assertEquals(await rig.indexedIds(provider, "ada"), [A]);
  });

  it("loses the entries of sessions that are destroyed", async () => {
    const provider = rig.make();
    for (const id of [A, B, makeId(3)]) {
      await provider.create(id, makeRecord({ principal: "ada" }), START);
    }
    await provider.destroy(A);
    assertEquals(
      await rig.indexedIds(provider, "ada"),
      [B, makeId(3)].sort(),
    );
    await provider.destroyAll("ada", B);
    assertEquals(await rig.indexedIds(provider, "ada"), [B]);
  });

  it("has a session that was written while somebody listed", async () => {
    const { provider, atIndexed, goOn } = heldAfterIndex(rig);
    const signedIn = provider.create(
      A,
      makeRecord({ principal: "ada" }),
      START,
    );
    await atIndexed;
    const other = rig.makeLike(provider);
    assertEquals(await other.list("ada", START), []);
    assertEquals(await other.destroyAll("ada"), 0);
    await other.clear();
    goOn();
    assert(await signedIn);
    assertEquals((await other.list("ada", START)).length, 1);
  });

  it("has a session that left a user and came back", async () => {
    const provider = rig.make();
    await provider.create(A, makeRecord({ principal: "ada" }), START);
    for (const principal of ["bob", null, "ada"]) {
      const change = { principal, expiresAt: START + HOUR };
      await provider.update(A, change, GUARD, START);
    }
    assertEquals((await provider.list("ada", START)).length, 1);
    assertEquals(await provider.list("bob", START), []);
  });

  it("outlives a session whose deadline is moved far away by a touch", async () => {
    const provider = rig.make();
    await provider.create(A, makeRecord({ principal: "ada" }), START);
    await provider.touch(A, START + 30 * DAY, START);
    assertGreater(await rig.indexTimeLeft(provider, A, "ada"), 30 * DAY);
    assertEquals((await provider.read(A, START))?.expiresAt, START + 30 * DAY);
  });

  it("outlives a session whose deadline is moved far away by an update", async () => {
    const provider = rig.make();
    await provider.create(A, makeRecord({ principal: "ada" }), START);
    const change = { ...set("a", 1), expiresAt: START + 30 * DAY };
    assertEquals(await provider.update(A, change, GUARD, START), "done");
    assertGreater(await rig.indexTimeLeft(provider, A, "ada"), 30 * DAY);
    assertEquals((await provider.read(A, START))?.version, 2);
  });

  it("outlives a session that came from a user with more time", async () => {
    const provider = rig.make();
    await provider.create(A, makeRecord({ principal: "ada" }), START);
    await provider.touch(A, START + 30 * DAY, START);
    const change = { principal: "bob", expiresAt: START + HOUR };
    await provider.update(A, change, GUARD, START);
    await provider.touch(A, START + 20 * DAY, START);
    assertGreater(await rig.indexTimeLeft(provider, A, "bob"), 20 * DAY);
  });

  it("outlives every session of a user that is used on and on", async () => {
    const provider = rig.make();
    await provider.create(A, makeRecord({ principal: "ada" }), START);
    let shortest = Infinity;
    for (let round = 1; round < 100; round++) {
      const now = START + round * HOUR / 2;
      assert(await provider.touch(A, now + HOUR, now), `round ${round}`);
      const end = await rig.indexedUntil(provider, A);
      shortest = Math.min(shortest, end - (now + HOUR));
    }
    assertGreater(shortest, -1);
  });
});

describeOnServer("RedisProvider and the lines of a record", () => {
  const rig = useServer();

  it("merges any change into any session as the core does", async () => {
    const provider = rig.make();
    let number = 0;
    await fc.assert(
      fc.asyncProperty(storedData, mergedChanges, async (data, changes) => {
        const id = makeId(number++);
        const first = makeRecord({ data: makeData(Object.entries(data)) });
        await provider.create(id, first, START);
        let expected = toRecord(first, 1);
        for (const change of changes) {
          const result = await provider.update(id, change, GUARD, START);
          assertEquals(result, "done");
          expected = applied(expected, change, START);
        }
        const read = await provider.read(id, START) as SessionRecord;
        assertEquals(shape(read), shape(expected));
        const text = await rig.client.get(rig.prefixOf(provider) + id);
        const lines = text?.split("\n").filter((line) => line.includes("\t"));
        assertEquals(lines?.length, Object.keys(expected.data).length);
      }),
    );
  });

  it("tells a key from values that look like its line", async () => {
    const provider = rig.make();
    const texts = ['\n,"a",\t', '"a"', '\\n,"a",\\t1', "]", "\n]"];
    const entries = texts.map((text, index) => [`${index}`, text] as const);
    const data = makeData([...entries, ["a", 1], ["b", "a"]]);
    await provider.create(A, makeRecord({ data, label: '"a",\t' }), START);
    await provider.update(A, set("a", 2), GUARD, START);
    const removal = { delete: ["b", "c"], expiresAt: START + HOUR };
    await provider.update(A, removal, GUARD, START);
    const record = await provider.read(A, START) as SessionRecord;
    assertEquals(
      { ...record.data },
      { ...Object.fromEntries(entries), a: 2 },
    );
    assertEquals(record.label, '"a",\t');
  });

  it("keeps to itself what a change of the fields does not name", async () => {
    const provider = rig.make();
    await provider.create(A, fullRecord(), START);
    const before = await provider.read(A, START) as SessionRecord;
    const change = { ...set("name", 1), label: null, expiresAt: START + HOUR };
    await provider.update(A, change, GUARD, START);
    assertEquals(
      await provider.read(A, START),
      applied(before, change, START),
    );
  });
});

describeOnServer("RedisProvider and writes that come twice", () => {
  const rig = useServer();

  it("does an update once and says that it is done", async () => {
    const provider = rig.make(undefined, twice(rig));
    await provider.create(A, makeRecord(), START);
    const guard = { ...GUARD, version: 1 };
    const change = { ...set("a", 1), secretHash: makeHash("new") };
    assertEquals(await provider.update(A, change, guard, START), "done");
    assertEquals((await provider.read(A, START))?.version, 2);
  });

  it("does updates once that were sent together and come again together", async () => {
    const { provider: other } = await counted(rig);
    const provider = rig.make(rig.prefixOf(other), togetherTwice(rig, 4));
    await other.create(A, makeRecord(), START);
    const results = await Promise.all([1, 2, 3, 4].map((version) => {
      const change = set(`key${version}`, version);
      return provider.update(A, change, { ...GUARD, version }, START);
    }));
    assertEquals(results, ["done", "done", "done", "done"]);
    assertEquals((await provider.read(A, START))?.version, 5);
  });

  it("creates a session once and says that it did", async () => {
    const provider = rig.make(undefined, twice(rig));
    assert(await provider.create(A, makeRecord(), START));
    assertFalse(await provider.create(A, makeRecord(), START));
  });

  it("is exact when the connection is cut between a write and its answer", async () => {
    const proxy = await LossyProxy.start(rig.server);
    const client = new Redis(proxy.port, { retryStrategy: () => 1 });
    const provider = rig.make(undefined, client);
    const site = new Site({ provider });
    const browser = new Browser(site);
    await browser.visit((session) => session.set("count", 0));
    for (let count = 0; count < 5; count++) {
      await browser.visit(async (session) => {
        session.keys();
        proxy.cuts = 1;
        await session.update("count", (before) => before as number + 1);
      });
    }
    await browser.visit((session) => {
      proxy.cuts = 1;
      session.signIn("ada");
    });
    assertEquals(
      await browser.look((session) => [
        session.get("count"),
        session.principal,
      ]),
      [5, "ada"],
    );
    assertEquals(proxy.cuts, 0);
    client.disconnect();
    await proxy.stop();
  });
});

describeOnServer("RedisProvider and records that it cannot read", () => {
  const rig = useServer();

  it("says so, and ends such a session when told", async () => {
    const provider = rig.make();
    for (const text of ["", "garbage", "{}", "1 \n", "1".repeat(500)]) {
      await rig.client.set(`${rig.prefixOf(provider)}${A}`, text);
      if (text !== "") await assertCorrupt(provider, A);
      assert(await provider.destroy(A), text);
    }
  });

  it("ends a session whose principal is damaged", async () => {
    const provider = rig.make();
    await provider.create(A, makeRecord({ principal: "ada" }), START);
    const key = rig.prefixOf(provider) + A;
    const damaged = (await rig.client.get(key))?.replace('"ada"', '"ad');
    await rig.client.set(key, damaged as string);
    assert(await provider.destroy(A));
    assertStrictEquals(await provider.read(A, START), undefined);
  });

  it("ends a session whose deadline is damaged with the others of its principal", async () => {
    const provider = rig.make();
    await provider.create(A, makeRecord({ principal: "ada" }), START);
    const key = rig.prefixOf(provider) + A;
    const whole = await rig.client.get(key) as string;
    await rig.client.set(
      key,
      whole.slice(0, 29) + "x".repeat(25) + whole.slice(54),
    );
    await assertCorrupt(provider, A);
    assertEquals(await provider.destroyAll("ada"), 1);
    assertEquals(await provider.list("ada", START), []);
  });

  it("writes nothing to a record whose first lines are damaged", async () => {
    const provider = rig.make();
    await provider.create(A, fullRecord(), START);
    const key = rig.prefixOf(provider) + A;
    const lines = (await rig.client.get(key) as string).split("\n");
    const numbers = lines[0] as string;
    const damages: readonly (readonly [number, string])[] = [
      [0, numbers.slice(1)],
      [0, numbers.slice(0, -1)],
      [0, `${numbers.slice(0, 28)} ${numbers.slice(29)}`],
      [0, `${numbers.slice(0, 54)} ${numbers.slice(55)}`],
      [1, ""],
      [1, ",nan"],
      [1, ",0x1f"],
      [1, ",1.5"],
      [2, ",null"],
      [2, ',"AAAAAAA"AAAAAAAA"'],
      [2, ',"AAAAAAAAAAAAAAAA'],
    ];
    for (const [index, line] of damages) {
      const text = lines.with(index, line).join("\n");
      await rig.client.set(key, text);
      // So late that the index must be brought up to date.
      const expiresAt = START + 90 * DAY;
      const calls = [
        () => provider.update(A, set("a", 1), GUARD, START),
        () => provider.touch(A, expiresAt, START),
      ];
      for (const call of calls) {
        const error = await assertRejects(
          call as () => Promise<unknown>,
          SessionError,
        );
        assertEquals([line, error.code], [line, "corrupt"]);
        assertEquals(await rig.client.get(key), text);
      }
    }
  });

  it("says so of a principal whose index a write would bring up to date", async () => {
    const provider = rig.make();
    await provider.create(A, makeRecord({ principal: "ada" }), START);
    const key = rig.prefixOf(provider) + A;
    const whole = await rig.client.get(key) as string;
    const expiresAt = START + 90 * DAY;
    for (const line of ['"ad', "7", "{}", '"ada","bob"', ' "ada"', "null "]) {
      await rig.client.set(key, whole.replace('"ada"', line));
      const calls = [
        () => provider.update(A, { ...set("a", 1), expiresAt }, GUARD, START),
        () => provider.touch(A, expiresAt, START),
      ];
      for (const call of calls) {
        const error = await assertRejects(
          call as () => Promise<unknown>,
          SessionError,
        );
        assertEquals([line, error.code], [line, "corrupt"]);
      }
    }
  });

  it("leaves a record of a newer format alone", async () => {
    const provider = rig.make();
    await provider.create(A, makeRecord(), START);
    const key = `${rig.prefixOf(provider)}${A}`;
    const newer = (await rig.client.get(key))?.replace(/^\[1/, "[2") as string;
    await rig.client.set(key, newer);
    await assertCorrupt(provider, A);
    assertEquals(await rig.client.get(key), newer);
  });

  it("never takes a part of a record for a whole one", async () => {
    const provider = rig.make();
    await provider.create(A, fullRecord(), START);
    const key = rig.prefixOf(provider) + A;
    const whole = await rig.client.get(key) as string;
    for (let length = 1; length < whole.length; length++) {
      const part = whole.slice(0, length);
      // A cut between two keys looks like a session with fewer of them.
      const lines = part.split("\n");
      if (lines.at(-1) === "" && [16, 18].includes(lines.length)) continue;
      const send = () => Promise.resolve(part);
      await assertRejects(
        () => new RedisProvider({ send }).read(A, START),
        SessionError,
        "Cannot decode session",
      );
    }
  });

  it("never takes a damaged record for a whole one", async () => {
    const provider = rig.make();
    await provider.create(A, fullRecord(), START);
    const stored = await rig.client.get(rig.prefixOf(provider) + A);
    const lines = (stored as string).split("\n");
    await fc.assert(
      fc.asyncProperty(
        fc.nat(lines.length - 2),
        fc.constantFrom("nonsense", "{", '"open', "\u0000"),
        async (index, line) => {
          // The names of the last writes are any text.
          fc.pre(index !== 2);
          const text = lines.with(index, line).join("\n");
          const send = () => Promise.resolve(text);
          await assertRejects(
            () => new RedisProvider({ send }).read(A, START),
            SessionError,
            "Cannot decode session",
          );
        },
      ),
    );
  });
});

describeOnServer("RedisProvider and a server that fails", () => {
  const rig = useServer(["--appendonly", "yes", "--appendfsync", "always"]);

  it("loses nothing that was acknowledged when it is killed amid traffic", async () => {
    const client = new Redis(rig.server.port, { retryStrategy: () => 20 });
    client.on("error", () => {});
    const provider = rig.make(undefined, client);
    await provider.create(A, makeRecord(), START);
    const acknowledged = new Map<string, number>();
    const halfway = new Gate();
    const writers = Array.from(
      { length: 8 },
      (_, index) =>
        write(provider, { name: `key${index}`, acknowledged, halfway }),
    );
    await halfway.promise;
    await rig.server.kill();
    await rig.server.resume();
    await Promise.all(writers);

    const record = await provider.read(A, START) as SessionRecord;
    for (const [name, count] of acknowledged) {
      assertEquals([name, record.data[name]], [name, count]);
    }
    assertEquals(acknowledged.size, 8);
    client.disconnect();
  });

  it("times out while the server is paused, and goes on when it does", async () => {
    const site = new Site({ provider: rig.make(), timeout: 0.1 });
    const browser = new Browser(site);
    await browser.visit((session) => session.set("name", "Ada"));
    const { cookie } = browser;
    rig.server.pause();
    const error = await assertRejects(
      () => browser.visit((session) => session.set("name", "Eve")),
      SessionError,
    );
    assertEquals([error.code, browser.cookie], ["timeout", cookie]);
    await rig.server.resume();
    await browser.visit((session) => session.set("more", 1));
    assertEquals(
      await browser.look((session) => [session.id, session.get("name")]),
      [cookie?.split("=")[1]?.slice(0, 24), "Ada"],
    );
  });

  it("hands out no cookie for a session that was not written in time", async () => {
    const site = new Site({ provider: rig.make(), timeout: 0.1 });
    const browser = new Browser(site);
    rig.server.pause();
    const error = await assertRejects(
      () => browser.visit((session) => session.signIn("ada")),
      SessionError,
    );
    await rig.server.resume();
    assertEquals([error.code, browser.cookie], ["timeout", undefined]);
  });

  it("fails while the server is down and finds the session after", async () => {
    const client = new Redis(rig.server.port, {
      maxRetriesPerRequest: 0,
      retryStrategy: () => 10,
    });
    client.on("error", () => {});
    const browser = new Browser(
      new Site({ provider: rig.make(undefined, client) }),
    );
    await browser.visit((session) => session.set("name", "Ada"));
    const { cookie } = browser;
    await rig.server.kill();
    const error = await assertRejects(() => browser.visit(), SessionError);
    assertEquals([error.code, browser.cookie], ["store-failed", cookie]);
    assertInstanceOf(error.cause as Error, Error);
    await rig.server.resume();
    await reconnected(client);
    assertEquals(await browser.look((session) => session.get("name")), "Ada");
    client.disconnect();
  });

  if (ON_BUN) {
    it("is left when a provider with a client of its own is closed", async () => {
      const provider = open(rig.server.url);
      await provider.read(A, START);
      const count = async () =>
        String(await rig.client.client("LIST")).trim().split("\n").length;
      const before = await count();
      await provider.close();
      let after = before;
      for (let attempt = 0; attempt < 500 && after === before; attempt++) {
        after = await count();
      }
      assertEquals(after, before - 1);
    });

    it("is found again by the client that Bun has", async () => {
      const provider = open(`${rig.server.url}?prefix=bun:`);
      await provider.create(A, makeRecord(), START);
      assertEquals(await rig.client.exists(`bun:${A}`), 1);
      await rig.server.kill();
      for (let count = 0; count < 20; count++) {
        await assertRejects(async () => await provider.read(A, START), Error);
      }
      await rig.server.resume();
      assert(await provider.read(A, START));
      await provider.close();
    });
  }
});

describeOnServer("RedisProvider and a cluster that changes", () => {
  const rig = useCluster();

  it("clears the sessions on all of its masters", async () => {
    for (const client of [rig.ioRedis, rig.nodeRedis]) {
      const provider = new RedisProvider(client, { prefix: "clear:" });
      for (let number = 0; number < 30; number++) {
        await provider.create(makeId(number), makeRecord(), START);
      }
      assertEquals(await provider.clear(), 30);
    }
  });

  it("goes through the sessions on all of its masters", async () => {
    for (const client of [rig.ioRedis, rig.nodeRedis]) {
      const provider = new RedisProvider(client, { prefix: "scan:" });
      const ids = Array.from({ length: 30 }, (_, index) => makeId(index));
      for (const id of ids) await provider.create(id, makeRecord(), START);
      assertEquals((await scanned(provider)).found, ids.sort());
    }
  });

  it("loses no write while a slot moves to another node", async () => {
    const provider = new RedisProvider(rig.ioRedis, { prefix: "move:" });
    await provider.create(A, makeRecord(), START);
    const slot = await rig.ioRedis.cluster("KEYSLOT", `move:${A}`);
    const from = await rig.cluster.nodeOf(slot);
    const to = rig.cluster.nodes.find((node) => node !== from) as RedisServer;
    const acknowledged = new Map<string, number>();
    const halfway = new Gate();
    const writers = Array.from(
      { length: 4 },
      (_, index) =>
        write(provider, { name: `key${index}`, acknowledged, halfway }),
    );
    await halfway.promise;
    await rig.cluster.moveSlot(slot, { from, to });
    await Promise.all(writers);

    assertStrictEquals(await rig.cluster.nodeOf(slot), to);
    const record = await provider.read(A, START) as SessionRecord;
    assertEquals({ ...record.data }, Object.fromEntries(acknowledged));
    assertEquals(record.version, 1 + 4 * WRITES);
  });
});

/** A change of some keys, each of them set or deleted. */
const mergedChange: fc.Arbitrary<SessionChange> = fc
  .dictionary(keys, fc.option(storables, { nil: undefined }), { maxKeys: 4 })
  .map((entries) => {
    const written = Object.entries(entries);
    const values = written.filter(([, value]) => value !== undefined);
    const removed = written.filter(([, value]) => value === undefined);
    return {
      set: makeData(values as [string, StoredValue][]),
      delete: removed.map(([key]) => key),
      expiresAt: START + HOUR,
    };
  });

const mergedChanges = fc.array(mergedChange, { maxLength: 4 });

/** How often each of the writers below writes. */
const WRITES = 100;

/** Counts up under one key and notes what was acknowledged. */
async function write(
  provider: RedisProvider,
  { name, acknowledged, halfway }: {
    readonly name: string;
    readonly acknowledged: Map<string, number>;
    readonly halfway: Gate;
  },
): Promise<void> {
  for (let count = 1; count <= WRITES; count++) {
    const result = await provider.update(A, set(name, count), GUARD, START);
    assertEquals(result, "done");
    acknowledged.set(name, count);
    if (count === WRITES / 2) halfway.open();
  }
}

/** A server of a `describe`'s own, and providers on it that share nothing. */
class Rig {
  server!: RedisServer;
  client!: Redis;
  readonly #prefixes = new WeakMap<RedisProvider, string>();
  #count = 0;

  make(
    prefix = `rig${this.#count++}:`,
    client: RedisClient = this.client,
  ): RedisProvider {
    const provider = new RedisProvider(client, { prefix });
    this.#prefixes.set(provider, prefix);
    return provider;
  }

  /** A provider on the plain client that shares the sessions of another. */
  makeLike(provider: RedisProvider): RedisProvider {
    return this.make(this.prefixOf(provider));
  }

  prefixOf(provider: RedisProvider): string {
    return this.#prefixes.get(provider) as string;
  }

  indexKeyOf(provider: RedisProvider, principal: string): string {
    return `${this.prefixOf(provider)}${digest(principal)}:sessions`;
  }

  timeLeft(provider: RedisProvider, id: string): Promise<number> {
    return this.client.pttl(this.prefixOf(provider) + id);
  }

  async indexedIds(
    provider: RedisProvider,
    principal: string,
  ): Promise<string[]> {
    const ids = await this.client.hkeys(this.indexKeyOf(provider, principal));
    return ids.sort();
  }

  /** How much longer both the entry and the index itself last. */
  async indexTimeLeft(
    provider: RedisProvider,
    id: string,
    principal: string,
  ): Promise<number> {
    const key = this.indexKeyOf(provider, principal);
    const end = (await this.client.hget(key, id))?.split(" ")[1];
    return Math.min(Number(end) - Date.now(), await this.client.pttl(key));
  }

  /** Up to when the session itself says that it is indexed. */
  async indexedUntil(provider: RedisProvider, id: string): Promise<number> {
    const text = await this.client.get(this.prefixOf(provider) + id);
    return Number(text?.split("\n")[0]?.trim().split(/ +/)[3]);
  }
}

function useServer(args: readonly string[] = []): Rig {
  const rig = new Rig();
  before(async () => {
    rig.server = await RedisServer.start(args);
    rig.client = new Redis(rig.server.port, { retryStrategy: () => 20 });
    rig.client.on("error", () => {});
  });
  after(async () => {
    rig.client.disconnect();
    await rig.server.stop();
  });
  return rig;
}

function useNodeRedis(rig: Rig): { readonly client: RedisClient } {
  const clients: ReturnType<typeof createClient>[] = [];
  before(async () => {
    clients.push(createClient({ url: rig.server.url }).on("error", () => {}));
    await clients[0]?.connect();
  });
  after(() => clients[0]?.destroy());
  return {
    get client() {
      return clients[0] as RedisClient;
    },
  };
}

interface ClusterRig {
  cluster: RedisCluster;
  ioRedis: Cluster;
  nodeRedis: ReturnType<typeof createCluster>;
}

function useCluster(): ClusterRig {
  const rig = {} as ClusterRig;
  let starting: Promise<void> | undefined;
  // Bun gives a hook five seconds whatever it is told, and a cluster needs more
  // where there is little to run it on.
  for (let hook = 0; hook < 5; hook++) {
    before(() => atMost(4000, starting ??= startCluster(rig)));
  }
  after(async () => {
    rig.ioRedis.disconnect();
    rig.nodeRedis.destroy();
    await rig.cluster.stop();
  });
  return rig;
}

async function startCluster(rig: ClusterRig): Promise<void> {
  rig.cluster = await RedisCluster.start();
  const { nodes } = rig.cluster;
  rig.ioRedis = new Cluster(
    nodes.map(({ port }) => ({ host: "127.0.0.1", port })),
  );
  rig.nodeRedis = createCluster({
    rootNodes: nodes.map(({ url }) => ({ url })),
  });
  rig.nodeRedis.on("error", () => {});
  await rig.nodeRedis.connect();
}

/** Waits for something, but no longer than so many milliseconds. */
async function atMost(limit: number, work: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeUp = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limit);
  });
  await Promise.race([work, timeUp]);
  clearTimeout(timer);
}

function conformanceOf(client: () => RedisClient | string) {
  return conformance(({ prefix }) => new RedisProvider(client(), { prefix }));
}

/** What a client of some kind is called with to read a session. */
async function callsBy(
  method: string,
  mark?: string,
): Promise<readonly unknown[] | undefined> {
  const calls: unknown[][] = [];
  const names = mark === undefined ? [method] : [method, mark];
  const provider = new RedisProvider(fakeClient(calls, { names, reply: null }));
  assertStrictEquals(await provider.read(A, START), undefined);
  return calls[0];
}

/** A client with these methods, which note what they are called with. */
function fakeClient(
  calls: unknown[][],
  { names, reply }: { readonly names: readonly string[]; reply?: unknown },
): RedisClient {
  const method = (...args: unknown[]) => {
    calls.push(args);
    return Promise.resolve(reply);
  };
  const methods = names.map((name) => [name, method]);
  return Object.fromEntries(methods) as RedisClient;
}

function silent(): RedisSender {
  return { send: () => Promise.resolve(null) };
}

/** A provider whose scripts the server knows, and the commands that it sends. */
async function counted(rig: Rig) {
  const commands: string[] = [];
  const provider = rig.make(undefined, {
    send: (command, args) => {
      commands.push(command);
      return rig.client.call(command, args);
    },
  });
  await provider.create(B, makeRecord({ principal: "ada" }), START);
  await provider.update(B, set("a", 1), GUARD, START);
  await provider.touch(B, START + HOUR, START);
  await provider.destroy(B);
  commands.length = 0;
  return { provider, commands };
}

/** A client that sends everything twice, as one does that loses an answer. */
function twice(rig: Rig): RedisSender {
  return {
    async send(command, args) {
      await rig.client.call(command, args).catch(() => {});
      return await rig.client.call(command, args);
    },
  };
}

/** A client that loses the answers to its first commands, and resends them all. */
function togetherTwice(rig: Rig, count: number): RedisSender {
  const all = new Gate();
  let sent = 0;
  return {
    async send(command, args) {
      await rig.client.call(command, args).catch(() => {});
      if (++sent === count) all.open();
      await all.promise;
      return await rig.client.call(command, args);
    },
  };
}

/** A client whose process dies after some commands. */
function failingAfter(rig: Rig, count: number): RedisSender {
  let sent = 0;
  return {
    async send(command, args) {
      // The script may have to be sent once more.
      if (command === "EVAL") sent--;
      if (sent++ >= count) throw new Error("the process has ended");
      return await rig.client.call(command, args);
    },
  };
}

/** A provider that stops between an index entry and its session. */
function heldAfterIndex(rig: Rig) {
  const [indexed, released] = [new Gate(), new Gate()];
  const provider = rig.make(undefined, {
    async send(command, args) {
      if (command === "SET") {
        indexed.open();
        await released.promise;
      }
      return await rig.client.call(command, args);
    },
  });
  return {
    provider,
    atIndexed: indexed.promise,
    goOn: () => released.open(),
  };
}

/** All that a scan finds at one second after the start. */
async function scanned(provider: RedisProvider) {
  const found = new Set<string>();
  const unreadable: string[] = [];
  let [cursor, pages] = [undefined as string | undefined, 0];
  do {
    const page = await provider.scan(cursor, 10, START + 1000);
    for (const { id } of page.sessions) found.add(id);
    unreadable.push(...page.unreadable ?? []);
    cursor = page.next;
    pages++;
  } while (cursor !== undefined);
  return { found: [...found].sort(), unreadable, pages };
}

async function reconnected(client: Redis): Promise<void> {
  if (client.status === "ready") return;
  await new Promise((resolve) => client.once("ready", resolve));
}

async function assertCorrupt(
  provider: RedisProvider,
  id: string,
): Promise<void> {
  const calls = [
    () => provider.read(id, START),
    () => provider.update(id, set("a", 1), GUARD, START),
    () => provider.touch(id, START + HOUR, START),
  ];
  for (const call of calls) {
    const error = await assertRejects(
      call as () => Promise<unknown>,
      SessionError,
    );
    assertEquals(error.code, "corrupt");
  }
}

function assertTimeLeft(actual: number, expected: number): void {
  // The server may have been slow, but not by ten seconds.
  assert(actual <= expected && actual > expected - 10_000, `${actual} ms`);
}

function set(key: string, value: number): SessionChange {
  return { set: makeData([[key, value]]), expiresAt: START + HOUR };
}

/** A record with everything that one can have. */
function fullRecord() {
  return makeRecord({
    data: makeData([["name", "Ada"], ["list", [1, 2]]]),
    previous: { secretHash: makeHash("previous"), expiresAt: START + 1 },
    principal: "ada",
    label: "Laptop",
    authenticatedAt: START,
    fingerprint: "what it looks like",
    persistent: true,
  });
}
