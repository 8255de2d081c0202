/** Tests the Redis provider on servers and clusters that it starts. */
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
import { Redis } from "ioredis";
import { after, before, describe, it } from "node:test";
import { inspect } from "node:util";
import { createClient } from "redis";
import { SessionError } from "../core/errors.ts";
import type {
  Guard,
  NewSessionRecord,
  SessionChange,
  SessionList,
  SessionRecord,
} from "../core/provider.ts";
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
import { makePatience } from "./_patience.ts";
import {
  makeData,
  makeFamily,
  makeHash,
  makeId,
  makeRecord,
  START,
} from "./_records.ts";
import {
  type ClusterRig,
  describeOnServer,
  type Rig,
  set,
  useCluster,
  useServer,
} from "./_redis_rig.ts";
import { LossyProxy, type RedisServer } from "./_redis_server.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const A = makeId(1);
const B = makeId(2);
const GUARD: Guard = { family: makeFamily("secret") };
/** A lifetime that no test comes to the end of, in seconds. */
const LONG = { absoluteTimeout: 400 * DAY / 1000 };
const NONE: SessionList = { sessions: [], unreadable: [] };
const ON_BUN = "Bun" in globalThis;

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
    assert(await provider.touch(A, START));
    assertEquals(calls.map(([key]) => key), [`session:${A}`]);
  });

  it("understands answers that come as bytes", async () => {
    const texts: string[] = [];
    const writer = new RedisProvider({
      send: (_command, args) => {
        texts.push(args[3] as string);
        return Promise.resolve("done");
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

  it("looks at a whole node when the one before it left the cluster, and at all again", async () => {
    const calls: unknown[] = [];
    const node = (port: number) => ({
      options: { host: "localhost", port },
      call: (command: string, [cursor]: string[]) => {
        const view = `${port} host myself,master - 0 0 1 connected ${port}`;
        if (command === "CLUSTER") return Promise.resolve(view);
        if (command === "INFO") return Promise.resolve("");
        calls.push([port, cursor]);
        return Promise.resolve([port === 1 ? "5" : "0", []]);
      },
    });
    let nodes = [node(3), node(1), node(2)];
    const provider = new RedisProvider({
      call: () => Promise.resolve(0),
      nodes: () => nodes,
    } as RedisClient);
    let { next } = await provider.scan(undefined, 10, START);
    nodes = [node(3), node(2)];
    while (next !== undefined) {
      next = (await provider.scan(next, 10, START)).next;
    }
    const again = [[2, "0"], [3, "0"]];
    assertEquals(calls, [[1, "0"], ...again, ...again]);
  });

  it("looks through a server again that took the place of another", async () => {
    const runs = ["a", "b", "b", "b"];
    let scans = 0;
    const provider = new RedisProvider({
      send: (command) => {
        if (command === "SCAN") scans++;
        const reply = command === "SCAN" ? ["0", []] : `run_id:${runs.shift()}`;
        return Promise.resolve(reply);
      },
    });
    assertEquals(await provider.clear(), 0);
    assertEquals([scans, runs.length], [2, 0]);
  });

  it("goes through a server that does not tell which one it is", async () => {
    for (const message of ["NOPERM no permissions", "ERR unknown command"]) {
      const provider = new RedisProvider({
        send: (command) =>
          command === "SCAN"
            ? Promise.resolve(["0", []])
            : Promise.reject(new Error(message)),
      });
      assertEquals(await provider.clear(), 0);
    }
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
    await provider.touch(A, START).then(
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
    const index = `${digest("ada")}:sessions`;
    for (const id of ["", "short", `${A}A`, index, "*".repeat(24)]) {
      assertStrictEquals(await provider.read(id, START), undefined);
      assertEquals(await provider.update(id, {}, GUARD, START), "gone");
      assertFalse(await provider.touch(id, START));
      assertEquals(await provider.destroy(id, {}, START), "absent");
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
    await provider.touch(A, START);
    await provider.destroy(A, GUARD, START);
    await provider.gc(START, 100);
    const script = "EVALSHA";
    assertEquals(commands, [script, "GET", script, script, script]);
  });

  it("are one for the end of a session, whatever its guard is", async () => {
    const { provider, commands } = await counted(rig);
    for (const guard of [{}, GUARD, { ...GUARD, version: 7 }]) {
      await provider.create(A, makeRecord(), START);
      commands.length = 0;
      await provider.destroy(A, guard, START);
      assertEquals(commands, ["EVALSHA"]);
      await rig.client.del(rig.prefixOf(provider) + A);
    }
  });

  it("are one for the end of a signed-in session, whose entry nobody waits for", async () => {
    const { provider, commands, holdBack } = await counted(rig);
    await provider.create(A, makeRecord({ principal: "ada" }), START);
    commands.length = 0;
    const release = holdBack("ZREM");
    const ended = provider.destroy(A, GUARD, START);
    const result = await Promise.race([ended, roundTrips(rig, 20)]);
    release();
    assertEquals(result, "done");
    assertEquals(commands, ["EVALSHA", "ZREM"]);
  });

  it("are two more for a sign-in whose session lives longer than the last one read", async () => {
    const { provider, commands } = await counted(rig);
    const record = makeRecord({ idleTimeout: 90 * DAY / 1000, ...LONG });
    await provider.create(A, record, START);
    const other = rig.makeLike(provider);
    await other.create(B, makeRecord(), START);
    await provider.read(B, START);
    const change = { principal: "ada" };
    commands.length = 0;
    assertEquals(await provider.update(A, change, GUARD, START), "done");
    assertEquals(commands.splice(0), Array(4).fill("EVALSHA"));
    await provider.read(A, START);
    assertEquals(await provider.update(A, change, GUARD, START), "done");
    assertEquals(commands, ["GET", "EVALSHA", "EVALSHA"]);
  });

  it("are one for the update and the touch of a signed-in session", async () => {
    const { provider, commands } = await counted(rig);
    await provider.create(A, makeRecord({ principal: "ada" }), START);
    commands.length = 0;
    await provider.update(A, set("a", 1), GUARD, START);
    await provider.touch(A, START);
    assertEquals(commands.length, 2);
  });

  it("are one for a request that reads, and two when a touch is due", async () => {
    const { provider, commands } = await counted(rig);
    const site = new Site({ provider });
    const browser = new Browser(site);
    await browser.visit((session) => session.set("name", "Ada"));
    // The manager's first request compares the clocks beside it.
    assertEquals(commands.splice(0), ["EVALSHA", "EVALSHA"]);
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
    const fields = { idleTimeout: 60, absoluteTimeout: 90 };
    await provider.create(A, makeRecord(fields), START);
    assertTimeLeft(await rig.timeLeft(provider, A), 60_000);
    await provider.touch(A, START + 55_000);
    assertTimeLeft(await rig.timeLeft(provider, A), 35_000);
    await provider.update(A, set("a", 1), GUARD, START + 57_000);
    assertTimeLeft(await rig.timeLeft(provider, A), 35_000);
    await provider.create(B, makeRecord(fields), START);
    await provider.update(B, set("a", 1), GUARD, START + 55_000);
    assertTimeLeft(await rig.timeLeft(provider, B), 35_000);
    const change = { idleTimeout: 120, absoluteTimeout: 600 };
    await provider.update(A, change, GUARD, START + 60_000);
    assertTimeLeft(await rig.timeLeft(provider, A), 120_000);
    await provider.update(A, { idleTimeout: 20 }, GUARD, START + 60_000);
    assertTimeLeft(await rig.timeLeft(provider, A), 20_000);
  });

  it("leaves the server's time as it is where the deadline stays", async () => {
    const provider = rig.make();
    await provider.create(A, makeRecord({ idleTimeout: 60 }), START);
    await provider.touch(A, START + 1000);
    // By a clock that is half a minute ahead, and by calls that come late.
    const unused = { ...set("a", 1), isUse: false };
    await provider.update(A, unused, GUARD, START + 31_000);
    await provider.update(A, set("b", 1), GUARD, START - 100_000);
    await provider.touch(A, START - 100_000);
    assertTimeLeft(await rig.timeLeft(provider, A), 60_000);
  });

  it("has the server keep what it accepts for a millisecond at least", async () => {
    const provider = rig.make();
    const past = makeRecord({ now: START - DAY, principal: "ada" });
    assert(await provider.create(A, past, START));
    await provider.create(B, makeRecord(), START);
    const ends = { idleTimeout: 1 };
    const late = START + 1e6;
    assertEquals(await provider.update(B, ends, GUARD, late), "done");
    const unused = { idleTimeout: 0.0001, isUse: false };
    assertEquals(await provider.update(B, unused, GUARD, late + 1), "done");
    assertStrictEquals(await provider.read(B, late + 1), undefined);
  });

  it("takes lifetimes of any length", async () => {
    const provider = rig.make();
    // Some ways to write numbers have exponents in those with few digits.
    for (const seconds of [1e7, 1e10, 4e11, 1e15]) {
      const id = makeId(seconds);
      const fields = { idleTimeout: seconds, absoluteTimeout: seconds * 2 };
      await provider.create(B, makeRecord(fields), START);
      await provider.destroy(B, {}, START);
      await provider.create(id, makeRecord(), START);
      const change = { ...fields, authenticatedAt: START, principal: "ada" };
      assertEquals(await provider.update(id, change, GUARD, START), "done");
      assert(await provider.touch(id, START + 2000));
      assertGreater(
        await rig.timeLeft(provider, id),
        Math.min(seconds * 1000, 9e13) - 10_000,
      );
    }
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
      await provider.touch(id, now + HOUR - 1);
      assertEquals(idsIn(await provider.list("ada", now + HOUR)), [id]);
      const end = now + 2 * HOUR - 1;
      assertStrictEquals(await provider.read(id, end), undefined);
      assertEquals(await provider.destroy(id, GUARD, end - 1), "done");
    }
  });

  it("keeps the texts of numbers as they were written", async () => {
    const provider = rig.make();
    const numbers = {
      createdAt: 1_700_000_000_123.4565,
      accessedAt: 1_700_000_000_124.0002,
      renewedAt: 1_700_000_000_125.9998,
      authenticatedAt: 1_700_000_000_126.0312,
      idleTimeout: 3600.1234567890124,
      absoluteTimeout: 43200.10000000001,
    };
    const until = 1_700_000_000_127.3333;
    const previous = {
      secretHash: makeHash("previous"),
      family: makeFamily("secret"),
      until,
    };
    const record = makeRecord({ ...numbers, previous, principal: "ada" });
    await provider.create(A, record, numbers.accessedAt);
    const token = { secretHash: makeHash("secret"), until };
    const change = { ...set("a", 1), label: "Laptop" };
    const guard = { ...GUARD, token };
    // Earlier than the last access, then later, by the long way and the short.
    const later = 1_700_000_000_130.1113;
    assertEquals(await provider.update(A, change, guard, START), "done");
    assertEquals(await provider.update(A, set("a", 2), GUARD, later), "done");
    assertEquals((await provider.read(A, later))?.accessedAt, later);
    assert(await provider.touch(A, later + 0.0005));
    const read = await provider.read(A, later);
    assertEquals(
      read,
      toRecord({
        ...record,
        ...numbers,
        accessedAt: later + 0.0005,
        label: "Laptop",
        data: makeData([["a", 2]]),
      }, 3),
    );
    assertEquals(await provider.update(A, {}, guard, START), "done");
  });

  it("counts from creation when a sign-in is forgotten", async () => {
    const provider = rig.make();
    const createdAt = START - 10_000.3333;
    const record = makeRecord({
      createdAt,
      authenticatedAt: START,
      absoluteTimeout: 60,
    });
    await provider.create(A, record, START);
    const change = { authenticatedAt: null };
    assertEquals(await provider.update(A, change, GUARD, START), "done");
    const end = createdAt + 60_000;
    assert(await provider.read(A, end - 0.25));
    assertStrictEquals(await provider.read(A, end), undefined);
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

  it("is read by its own prefix, whatever objects inherit", async () => {
    const keys: string[] = [];
    const client: RedisSender = {
      send: (_command, [key]) => {
        keys.push(key as string);
        return Promise.resolve(null);
      },
    };
    const prototype = Object.prototype as { prefix?: string };
    prototype.prefix = "inherited:";
    try {
      await new RedisProvider(client, {}).read(A, START);
    } finally {
      delete prototype.prefix;
    }
    assertEquals(keys, [`session:${A}`]);
  });

  it("lists no session that was never written after its index entry was", async () => {
    const commands = failingAfter(rig, 1);
    const provider = rig.make(undefined, commands);
    const record = makeRecord({ principal: "ada" });
    await assertRejects(() => provider.create(A, record, START), Error);
    const other = rig.makeLike(provider);
    assertEquals(await rig.indexedIds(other, "ada"), [A]);
    assertEquals(await other.list("ada", START), NONE);
    assertEquals(await other.destroyAll("ada"), 0);
    assert(await other.create(A, record, START));
    assertEquals(idsIn(await other.list("ada", START)), [A]);
  });

  it("loses entries whose time is up with the next sign-ins, some with each", async () => {
    const provider = rig.make();
    const key = rig.indexKeyOf(provider, "ada");
    for (let number = 10; number < 160; number++) {
      await rig.client.zadd(key, Date.now() - number, makeId(number));
    }
    const counts: number[] = [];
    for (const id of [A, B, makeId(3)]) {
      await provider.create(id, makeRecord({ principal: "ada" }), START);
      counts.push((await rig.indexedIds(provider, "ada")).length);
    }
    assertEquals(counts, [101, 52, 3]);
  });

  it("does not keep the entry of a brief session for long", async () => {
    const provider = rig.make();
    const fields = { idleTimeout: 1, principal: "ada" };
    await provider.create(A, makeRecord(fields), START);
    await provider.create(B, makeRecord({ idleTimeout: 1 }), START);
    await provider.read(B, START);
    await provider.update(B, { principal: "bob" }, GUARD, START);
    for (const [id, principal] of [[A, "ada"], [B, "bob"]] as const) {
      const left = await rig.indexTimeLeft(provider, id, principal);
      assert(left <= 2 * HOUR + 1000, `${left} ms`);
    }
  });

  it("loses the entries of sessions that are destroyed", async () => {
    const provider = rig.make();
    for (const id of [A, B, makeId(3)]) {
      await provider.create(id, makeRecord({ principal: "ada" }), START);
    }
    await provider.destroy(A, { principal: "ada" }, START);
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
    assertEquals(await other.list("ada", START), NONE);
    assertEquals(await other.destroyAll("ada"), 0);
    await other.clear();
    goOn();
    assert(await signedIn);
    assertEquals(idsIn(await other.list("ada", START)), [A]);
  });

  it("has a session that left a user and came back", async () => {
    const provider = rig.make();
    await provider.create(A, makeRecord({ principal: "ada" }), START);
    for (const principal of ["bob", null, "ada"]) {
      await provider.update(A, { principal }, GUARD, START);
    }
    assertEquals(idsIn(await provider.list("ada", START)), [A]);
    assertEquals(await provider.list("bob", START), NONE);
  });

  it("outlives a session whose deadline is moved far away by a touch", async () => {
    const provider = rig.make();
    const fields = { principal: "ada", idleTimeout: 30 * DAY / 1000, ...LONG };
    await provider.create(A, makeRecord(fields), START);
    for (const days of [29, 58, 87]) {
      const now = START + days * DAY;
      assert(await provider.touch(A, now));
      assertGreater(await rig.indexedUntil(provider, A), now + 30 * DAY - 1);
    }
    assertGreater(await rig.indexTimeLeft(provider, A, "ada"), 30 * DAY);
  });

  it("outlives a session whose deadline is moved far away by an update", async () => {
    const provider = rig.make();
    await provider.create(
      A,
      makeRecord({ principal: "ada", ...LONG }),
      START,
    );
    const change = { ...set("a", 1), idleTimeout: 30 * DAY / 1000 };
    assertEquals(await provider.update(A, change, GUARD, START), "done");
    assertGreater(await rig.indexTimeLeft(provider, A, "ada"), 30 * DAY);
    assertEquals((await provider.read(A, START))?.version, 2);
  });

  it("outlives a session that came from a user with more time", async () => {
    const provider = rig.make();
    const fields = { principal: "ada", idleTimeout: 30 * DAY / 1000, ...LONG };
    await provider.create(A, makeRecord(fields), START);
    const change = { principal: "bob", idleTimeout: 3600 };
    await provider.update(A, change, GUARD, START);
    const longer = { idleTimeout: 20 * DAY / 1000 };
    await provider.update(A, longer, GUARD, START);
    assertGreater(await rig.indexTimeLeft(provider, A, "bob"), 20 * DAY);
  });

  it("outlives a session that lives longer than a sign-in can know", async () => {
    const provider = rig.make();
    const fields = { idleTimeout: 30 * DAY / 1000, ...LONG };
    await provider.create(A, makeRecord(fields), START);
    const change = { principal: "ada", authenticatedAt: START };
    assertEquals(await provider.update(A, change, GUARD, START), "done");
    assertGreater(await rig.indexTimeLeft(provider, A, "ada"), 30 * DAY);
  });

  it("outlives a session that changes hands while a write has it brought up to date", async () => {
    const now = START + 58 * DAY;
    const writes = [
      (provider: RedisProvider) => provider.touch(A, now),
      (provider: RedisProvider) => provider.update(A, set("a", 1), GUARD, now),
    ];
    for (const write of writes) {
      const other = rig.make();
      const fields = { principal: "ada", idleTimeout: 30 * DAY / 1000 };
      await other.create(A, makeRecord({ ...fields, ...LONG }), START);
      await other.touch(A, START + 29 * DAY);
      const change = { principal: "bob", isUse: false };
      const provider = rig.make(
        rig.prefixOf(other),
        onceIndexed(rig, () => other.update(A, change, GUARD, now)),
      );
      assert(await write(provider));
      assertEquals(idsIn(await other.list("bob", now)), [A]);
      assertGreater(await rig.indexTimeLeft(other, A, "bob"), 30 * DAY);
    }
  });

  it("is not shortened by a sign-in that knows less, or to a session", async () => {
    const provider = rig.make();
    const fields = { principal: "ada", idleTimeout: 30 * DAY / 1000, ...LONG };
    await provider.create(A, makeRecord(fields), START);
    const other = rig.makeLike(provider);
    const change = { principal: "ada", authenticatedAt: START };
    assertEquals(await other.update(A, change, GUARD, START), "done");
    const brief = makeRecord({ principal: "ada", idleTimeout: 1 });
    await other.create(B, brief, START);
    assertGreater(await rig.indexTimeLeft(provider, A, "ada"), 30 * DAY);
  });

  it("outlives every session of a user that is used on and on", async () => {
    const provider = rig.make();
    const record = makeRecord({ principal: "ada", ...LONG });
    await provider.create(A, record, START);
    let shortest = Infinity;
    for (let round = 1; round < 100; round++) {
      const now = START + round * HOUR / 2;
      assert(await provider.touch(A, now), `round ${round}`);
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
    await provider.update(A, { delete: ["b", "c"] }, GUARD, START);
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
    const change = { ...set("name", 1), label: null };
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
    const change = {
      ...set("a", 1),
      secretHash: makeHash("new"),
      family: makeFamily("new"),
      previous: null,
    };
    assertEquals(await provider.update(A, change, guard, START), "done");
    assertEquals((await provider.read(A, START))?.version, 2);
  });

  it("does updates once that were sent together and come again together", async () => {
    const { provider: other } = await counted(rig);
    const provider = rig.make(rig.prefixOf(other), togetherTwice(rig, 16));
    await other.create(A, makeRecord(), START);
    const versions = Array.from({ length: 16 }, (_, index) => index + 1);
    const results = await Promise.all(versions.map((version) => {
      const change = set(`key${version}`, version);
      return provider.update(A, change, { ...GUARD, version }, START);
    }));
    assertEquals(results, versions.map(() => "done"));
    assertEquals((await provider.read(A, START))?.version, 17);
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
    for (const text of GARBAGE) {
      await rig.client.set(rig.prefixOf(provider) + A, text);
      if (text !== "") await assertCorrupt(provider, A);
      assertEquals(await provider.destroy(A, {}, START), "done", text);
      assertEquals(await provider.destroy(A, {}, START), "absent", text);
    }
  });

  it("ends none of which it cannot make out what is guarded", async () => {
    const provider = rig.make();
    const key = rig.prefixOf(provider) + A;
    const guards: readonly Guard[] = [
      GUARD,
      { principal: "ada" },
      { version: 1 },
      { binding: null },
      { token: { secretHash: makeHash("secret"), until: undefined } },
    ];
    for (const text of GARBAGE) {
      await rig.client.set(key, text);
      for (const guard of guards) {
        assertEquals(await provider.destroy(A, guard, START), "refused", text);
      }
      assertEquals(await rig.client.get(key), text);
    }
  });

  it("refuses, and ends, by the lines of a guard alone", async () => {
    const provider = rig.make();
    for (const [line, guard] of GUARDED_LINES) {
      await provider.create(A, fullRecord(), START);
      const others = GUARDED_LINES.filter(([other]) => other !== line);
      await damage(rig, provider, (lines) => lines.with(line, ',"dam'));
      assertEquals(await provider.destroy(A, guard, START), "refused");
      const rest = Object.assign({}, ...others.map(([, other]) => other));
      assertEquals(await provider.destroy(A, rest, START), "done", `${line}`);
    }
  });

  it("tells an update that a guarded line is damaged", async () => {
    const provider = rig.make();
    await provider.create(A, fullRecord(), START);
    const whole = await rig.client.get(rig.prefixOf(provider) + A) as string;
    for (const [line, guard] of GUARDED_LINES) {
      const lines = whole.split("\n").with(line, ',"dam').join("\n");
      await rig.client.set(rig.prefixOf(provider) + A, lines);
      const error = await assertRejects(
        () => provider.update(A, set("a", 1), guard, START),
        SessionError,
      );
      assertEquals([line, error.code, error.id], [line, "corrupt", A]);
    }
  });

  it("takes no family for damaged, whatever its characters are", async () => {
    const provider = rig.make();
    for (
      const family of ['"', "\\", '\\"', "\n", "\t,", "\u{1F9E5}\u00fc", ""]
    ) {
      await rig.client.del(rig.prefixOf(provider) + A);
      await provider.create(A, makeRecord({ family }), START);
      assertEquals(await provider.update(A, {}, GUARD, START), "gone", family);
      assertEquals(await provider.destroy(A, GUARD, START), "refused", family);
      const own = { family };
      assertEquals(await provider.update(A, {}, own, START), "done", family);
    }
  });

  it("takes what is not even a text for one of those", async () => {
    const provider = rig.make();
    const key = rig.prefixOf(provider) + A;
    const record = makeRecord({ principal: "ada" });
    for (const id of [A, B]) await provider.create(id, record, START);
    await rig.client.del(key);
    await rig.client.rpush(key, "garbage");
    await assertCorrupt(provider, A);
    assertFalse(await provider.create(A, record, START));
    const { sessions, unreadable } = await provider.list("ada", START);
    assertEquals([sessions.map(({ id }) => id), unreadable], [[B], [A]]);
    const scan = await scanned(provider);
    assertEquals([scan.found, scan.unreadable], [[B], [A]]);
    assertEquals(await provider.destroy(A, GUARD, START), "refused");
    assertEquals(await provider.destroy(A, {}, START), "done");
    await rig.client.rpush(key, "garbage");
    assertEquals(await provider.destroyAll("ada"), 2);
    assertEquals(await rig.client.exists(key), 0);
  });

  it("takes one that is past its deadline for absent, as far as that can be made out", async () => {
    const provider = rig.make();
    const key = rig.prefixOf(provider) + A;
    for (const guard of [{}, GUARD]) {
      await provider.create(A, fullRecord(), START);
      await damage(rig, provider, ([first = ""]) => [first, "garbage"]);
      const late = START + HOUR;
      assertStrictEquals(await provider.read(A, late), undefined);
      assertEquals(await provider.update(A, {}, GUARD, late), "gone");
      assertFalse(await provider.touch(A, late));
      assertEquals(await provider.list("ada", late), NONE);
      assertEquals(await provider.destroy(A, guard, late), "absent");
      await rig.client.del(key);
    }
  });

  it("ends what it is told to by a clock for which it has ended already", async () => {
    const provider = rig.make();
    await provider.create(A, makeRecord(), START);
    const wrong = { family: makeFamily("other") };
    assertEquals(await provider.destroy(A, wrong, START + HOUR), "absent");
    assert(await provider.read(A, START));
    assertEquals(await provider.destroy(A, GUARD, START + HOUR), "absent");
    assertStrictEquals(await provider.read(A, START), undefined);
  });

  it("lists the others, and names those", async () => {
    const provider = rig.make();
    const ids = [A, B, ...[3, 4, 5, 6, 7].map(makeId)];
    for (const id of ids) {
      const record = { ...fullRecord(), label: id };
      await provider.create(id, record, START);
    }
    const [one, two, three, four, five, six] = ids as [string, ...string[]];
    await damage(rig, provider, () => ["garbage"], one);
    await damage(rig, provider, (lines) => lines.slice(0, 9), two);
    const newer = (lines: string[]) => [`[2${lines[0]?.slice(2)}`, ...lines];
    await damage(rig, provider, newer, three);
    const number = (lines: string[]) => [
      lines[0]?.replace(/\d{9}/, "x".repeat(9)) as string,
      ...lines.slice(1),
    ];
    await damage(rig, provider, number, four);
    await damage(rig, provider, (lines) => lines.with(LABEL, ",{"), five);
    // Nothing that a list tells: of the data, and of the client.
    const others = (lines: string[]) =>
      lines.with(-2, ',"list",\t[').with(FINGERPRINT, ",{");
    await damage(rig, provider, others, six);

    const { sessions, unreadable } = await provider.list("ada", START);
    assertEquals([...unreadable].sort(), ids.slice(0, 5).sort());
    assertEquals(sessions.map(({ id }) => id).sort(), ids.slice(5).sort());
    for (const { id, label } of sessions) assertEquals(label, id);
    assertEquals(await provider.destroyAll("ada"), ids.length);
    assertEquals(await provider.list("ada", START), NONE);
  });

  it("lists a session whose fields are long without its data", async () => {
    const provider = rig.make();
    const replies: string[] = [];
    const reader = rig.make(rig.prefixOf(provider), {
      async send(command, args) {
        const reply = await rig.client.call(command, args);
        if (command !== "ZRANGE") replies.push(reply as string);
        return reply;
      },
    });
    const data = makeData([["notes", "n".repeat(100_000)]]);
    const brief = { principal: "ada", label: "Laptop", data };
    await provider.create(A, makeRecord(brief), START);
    assertEquals((await reader.list("ada", START)).sessions.length, 1);
    assertEquals(replies.map((reply) => reply.length), [1024]);
    const label = "\u4e2d".repeat(5000);
    await provider.create(B, makeRecord({ ...brief, label }), START);
    const { sessions } = await reader.list("ada", START);
    assertEquals(
      sessions.map((summary) => summary.label).sort(),
      ["Laptop", label],
    );
  });

  it("ends a session whose principal is damaged", async () => {
    const provider = rig.make();
    await provider.create(A, makeRecord({ principal: "ada" }), START);
    await damage(rig, provider, (lines) => lines.with(PRINCIPAL, ',"ad'));
    assertEquals(await provider.destroy(A, {}, START), "done");
    assertStrictEquals(await provider.read(A, START), undefined);
  });

  it("ends with the others of a principal what only the index says is theirs", async () => {
    const provider = rig.make();
    const key = rig.prefixOf(provider) + A;
    const damages: readonly ((lines: string[]) => string[])[] = [
      (lines) => [`[1,${"x".repeat(25)}${lines[0]?.slice(28)}`, ...lines],
      (lines) => lines.with(PRINCIPAL, ',"ad'),
      (lines) => lines.with(PRINCIPAL, ',"bob","ada"'),
      (lines) => lines.with(PRINCIPAL, ',"bob\\"'),
      (lines) => lines.with(PRINCIPAL, ",7"),
      (lines) => [`[2${lines[0]?.slice(2)}`, ...lines.slice(1)],
      () => ["garbage"],
      () => [""],
    ];
    for (const [index, change] of damages.entries()) {
      await provider.create(A, makeRecord({ principal: "ada" }), START);
      await damage(rig, provider, change);
      assertEquals(await provider.destroyAll("bob"), 0);
      assertEquals(await provider.destroyAll("ada"), 1, `damage ${index}`);
      assertEquals(await rig.client.exists(key), 0);
      assertEquals(await rig.indexedIds(provider, "ada"), []);
    }
  });

  it("ends none that the index names and another has, whatever else is damaged", async () => {
    const provider = rig.make();
    for (const principal of ["bob", 'bo"b\\', "\u{1F9E5}\u00fc", null]) {
      const id = makeId(String(principal).length);
      await provider.create(id, makeRecord({ principal: "ada" }), START);
      await provider.update(id, { principal }, GUARD, START);
      const broken = (lines: string[]) => lines.with(LABEL, ",{");
      await damage(rig, provider, broken, id);
      assertEquals(await rig.indexedIds(provider, "ada"), [id]);
      assertEquals(await provider.destroyAll("ada"), 0);
      assertEquals(await provider.list("ada", START), NONE);
      assertEquals(await provider.destroy(id, {}, START), "done");
      await rig.client.del(rig.indexKeyOf(provider, "ada"));
    }
  });

  it("writes nothing to a record whose first lines are damaged", async () => {
    const provider = rig.make();
    await provider.create(A, fullRecord(), START);
    const key = rig.prefixOf(provider) + A;
    const lines = (await rig.client.get(key) as string).split("\n");
    // As if the index had to be brought up to date.
    const numbers = lines[0]?.replace(
      /\d+$/,
      (text) => "1".padStart(text.length),
    ) as string;
    const damages: readonly (readonly [number, string])[] = [
      [0, numbers.slice(1)],
      [0, numbers.slice(0, -1)],
      ...[3, 29, 55, 81].map((at) =>
        [
          0,
          `${numbers.slice(0, at)}${"x".repeat(25)}${numbers.slice(at + 25)}`,
        ] as const
      ),
      [1, ""],
      [1, ",nan"],
      [1, ",0x1f"],
      [1, ",1.5"],
      [2, ",null"],
      [2, ',"AAAAAAA"AAAAAAAA"'],
      [2, ',"AAAAAAAAAAAAAAAA'],
    ];
    for (const [index, line] of damages) {
      const text = lines.with(0, numbers).with(index, line).join("\n");
      await rig.client.set(key, text);
      const calls = [
        () => provider.update(A, set("a", 1), GUARD, START + 1),
        () => provider.touch(A, START + 1),
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
    const whole = (await rig.client.get(key) as string)
      .replace(/\d+\n/, (text) => `${"1".padStart(text.length - 1)}\n`);
    for (const line of ['"ad', "7", "{}", '"ada","bob"', ' "ada"', "null "]) {
      await rig.client.set(key, whole.replace('"ada"', line));
      const calls = [
        () => provider.update(A, set("a", 1), GUARD, START + 1),
        () => provider.touch(A, START + 1),
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
    assertEquals(await provider.destroy(A, GUARD, START), "refused");
    assertEquals(await rig.client.get(key), newer);
  });

  it("tells nothing of a record in an error", async () => {
    const provider = rig.make();
    const data = makeData([["card", "4111-1111"]]);
    await provider.create(A, { ...fullRecord(), data }, START);
    await damage(rig, provider, (lines) => lines.with(-1, "}"));
    const error = await assertRejects(
      () => provider.read(A, START),
      SessionError,
    );
    const told = inspect(error, { depth: Infinity, showHidden: true });
    assertNotMatch(told, /4111|secret_|previous_/);
  });

  it("never takes a part of a record for a whole one", async () => {
    const provider = rig.make();
    await provider.create(A, fullRecord(), START);
    const key = rig.prefixOf(provider) + A;
    const whole = await rig.client.get(key) as string;
    for (let length = 1; length < whole.length; length++) {
      const send = () => Promise.resolve(whole.slice(0, length));
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

  it("does not take one with two beginnings for whole", async () => {
    const provider = rig.make();
    await provider.create(A, fullRecord(), START);
    const moved = (text: string) =>
      text.replace(String(START), String(START + 1));
    await damage(
      rig,
      provider,
      (lines) =>
        lines.with(AUTHENTICATED_AT, moved(lines[AUTHENTICATED_AT] as string)),
    );
    await assertRejects(() => provider.read(A, START), SessionError);
  });
});

describeOnServer("RedisProvider and a server that is full", () => {
  const rig = useServer();

  it("ends sessions, by scripts that the server does not know yet too", async () => {
    const provider = rig.make();
    const record = makeRecord({ principal: "ada" });
    const ids = [1, 2, 3, 4, 5].map(makeId);
    for (const id of ids) await provider.create(id, record, START);
    await full(rig, async () => {
      const guard = { ...GUARD, principal: "ada", version: 1 };
      for (const isKnown of [false, true]) {
        if (!isKnown) await rig.server.command("SCRIPT", "FLUSH");
        const id = ids.pop() as string;
        assertEquals(await provider.destroy(id, guard, START), "done");
        assertStrictEquals(await provider.read(id, START), undefined);
      }
      assertEquals(idsIn(await provider.list("ada", START)), ids);
      const wrong = { family: makeFamily("other") };
      assertEquals(await provider.destroy(A, wrong, START), "refused");
      await rig.server.command("SCRIPT", "FLUSH");
      assertEquals(await provider.destroyAll("ada", A), 2);
      assertEquals(await provider.destroyAll("ada"), 1);
      assertEquals(await rig.indexedIds(provider, "ada"), []);
    });
  });

  it("ends a session in time, by the first call of a process", async () => {
    const provider = rig.make();
    await provider.create(A, makeRecord(), START);
    const other = rig.makeLike(provider);
    await full(rig, async () => {
      await rig.server.command("SCRIPT", "FLUSH");
      const ended = other.destroy(A, {}, START, makePatience());
      assertEquals(await ended, "done");
    });
  });

  it("ends sessions that cannot be read, and all of them", async () => {
    const provider = rig.make();
    await rig.client.set(rig.prefixOf(provider) + A, "garbage");
    await provider.create(B, makeRecord(), START);
    await full(rig, async () => {
      assertEquals(await provider.destroy(A, {}, START), "done");
      assertEquals(await provider.clear(), 1);
    });
  });

  it("refuses whatever needs room, and changes nothing", async () => {
    const provider = rig.make();
    await provider.create(A, makeRecord(), START);
    const before = await provider.read(A, START);
    await full(rig, async () => {
      const calls = [
        () => provider.create(B, makeRecord(), START),
        () => provider.update(A, set("a", 1), GUARD, START),
        () => provider.touch(A, START + 1),
      ];
      for (const call of calls) {
        await assertRejects(call as () => Promise<unknown>, Error, "maxmemory");
      }
      assertEquals(await provider.read(A, START), before);
    });
  });

  it("signs a browser out", async () => {
    const site = new Site({ provider: rig.make() });
    const browser = new Browser(site);
    await browser.visit((session) => session.signIn("ada"));
    await full(rig, async () => {
      const { cookie } = browser;
      await browser.visit((session) => session.destroy());
      const again = new Browser(site, cookie);
      assertStrictEquals(
        await again.look(({ principal }) => principal),
        undefined,
      );
    });
  });
});

/** Texts that are no sessions. */
const GARBAGE = ["", "garbage", "{}", "1 \n", "1".repeat(500), "[1,\n"];

// Where lines of a record are, counted from 0.
const PRINCIPAL = 8;
const LABEL = 10;
const FINGERPRINT = 11;
const AUTHENTICATED_AT = 12;

/** Lines of a full record, and guards that hold by them alone. */
const GUARDED_LINES: readonly (readonly [number, Guard])[] = [
  [3, { family: makeFamily("secret") }],
  [4, { token: { secretHash: makeHash("secret"), until: "confirmed" } }],
  [PRINCIPAL, { principal: "ada" }],
  [9, { binding: "what it is bound to" }],
];

/** Changes the lines of a stored record behind the provider's back. */
async function damage(
  rig: Rig,
  provider: RedisProvider,
  change: (lines: string[]) => string[],
  id: string = A,
): Promise<void> {
  const key = rig.prefixOf(provider) + id;
  const text = await rig.client.get(key) as string;
  await rig.client.set(key, change(text.split("\n")).join("\n"));
}

/** Does something while the server has no room, and refuses to make some. */
async function full(rig: Rig, work: () => Promise<void>): Promise<void> {
  await rig.client.config("SET", "maxmemory-policy", "noeviction");
  await rig.client.config("SET", "maxmemory", "1");
  try {
    await work();
  } finally {
    await rig.client.config("SET", "maxmemory", "0");
  }
}

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
    const site = new Site({ provider: rig.make(), timeout: 0.5 });
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
    const site = new Site({ provider: rig.make(), timeout: 0.5 });
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

  it("clears and finds sessions that move behind its back meanwhile", async () => {
    for (const goThrough of [clearedIds, scannedIds]) {
      const prefix = `${goThrough.name}:`;
      const { provider, moved } = await movingSlots(rig, prefix);
      const ids = Array.from({ length: 30 }, (_, index) => makeId(index));
      for (const id of ids) await provider.create(id, makeRecord(), START);
      assertEquals(await goThrough(provider, ids), ids.sort());
      assert(moved());
    }
  });

  it("says so when keys move all the time", async () => {
    let epoch = 0;
    const node = {
      options: { host: "localhost", port: 1 },
      call: (command: string) => {
        const view =
          `a host:1@2 myself,master - 0 0 ${epoch++} connected 0-16383`;
        return Promise.resolve(command === "SCAN" ? ["0", []] : view);
      },
    };
    const provider = new RedisProvider({
      call: () => Promise.resolve(0),
      nodes: () => [node],
    } as RedisClient);
    await assertRejects(() => provider.clear(), Error, "servers changed");
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

/** The ids of those that are gone after a clear. */
async function clearedIds(
  provider: RedisProvider,
  ids: readonly string[],
): Promise<string[]> {
  await provider.clear();
  const cleared: string[] = [];
  for (const id of ids) {
    if (await provider.read(id, START) === undefined) cleared.push(id);
  }
  return cleared.sort();
}

async function scannedIds(provider: RedisProvider): Promise<string[]> {
  return (await scanned(provider)).found;
}

/**
 * A provider that looks through nodes of which the first gets a slot with a
 * session from another one once it has been looked through.
 */
async function movingSlots(rig: ClusterRig, prefix: string) {
  const { cluster, ioRedis } = rig;
  const names = cluster.nodes.map(({ port }) => `127.0.0.1:${port}`).sort();
  const to = cluster.nodes.find(({ port }) => names[0]?.endsWith(`:${port}`));
  let slot = -1;
  let from = to;
  for (let index = 0; from === to; index++) {
    slot = await ioRedis.cluster("KEYSLOT", prefix + makeId(index));
    from = await cluster.nodeOf(slot);
  }
  let isMoved = false;
  const provider = new RedisProvider({
    call: (command: string, args: string[]) => ioRedis.call(command, args),
    nodes: () =>
      ioRedis.nodes("master").map((node) => ({
        options: node.options,
        async call(command: string, args: string[]) {
          const reply = await node.call(command, args);
          if (command === "SCAN" && !isMoved) {
            isMoved = true;
            await cluster.moveSlot(slot, {
              from: from as RedisServer,
              to: to as RedisServer,
            });
          }
          return reply;
        },
      })),
  } as RedisClient, { prefix });
  return { provider, moved: () => isMoved };
}

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

/**
 * A provider whose scripts the server knows, and the commands that it sends; some
 * of which can be held back until they are released.
 */
async function counted(rig: Rig) {
  const commands: string[] = [];
  const held = new Map<string, Promise<void>>();
  const provider = rig.make(undefined, {
    async send(command, args) {
      commands.push(command);
      if (held.has(command)) await held.get(command);
      return await rig.client.call(command, args);
    },
  });
  await provider.create(B, makeRecord({ principal: "ada" }), START);
  await provider.update(B, set("a", 1), GUARD, START);
  await provider.touch(B, START);
  await provider.destroy(B, {}, START);
  await provider.serverTime();
  commands.length = 0;
  const holdBack = (command: string) => {
    const gate = new Gate();
    held.set(command, gate.promise);
    return () => gate.open();
  };
  return { provider, commands, holdBack };
}

/** Takes as long as so many commands one after the other. */
async function roundTrips(rig: Rig, count: number): Promise<string> {
  for (let trip = 0; trip < count; trip++) await rig.client.ping();
  return `nothing in ${count} round trips`;
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

/** A client that waits for something once it has written to an index. */
function onceIndexed(rig: Rig, work: () => Promise<unknown>): RedisSender {
  let isDone = false;
  return {
    async send(command, args) {
      const reply = await rig.client.call(command, args);
      if (isDone || !args[2]?.endsWith(":sessions")) return reply;
      isDone = true;
      await work();
      return reply;
    },
  };
}

/** A provider that stops between an index entry and its session. */
function heldAfterIndex(rig: Rig) {
  const [indexed, released] = [new Gate(), new Gate()];
  const provider: RedisProvider = rig.make(undefined, {
    async send(command, args) {
      if (args[2] === `${rig.prefixOf(provider)}${A}`) {
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
    () => provider.touch(id, START),
  ];
  for (const call of calls) {
    const error = await assertRejects(
      call as () => Promise<unknown>,
      SessionError,
      "destroy the session by its id",
    );
    assertEquals([error.code, error.id], ["corrupt", id]);
  }
}

function assertTimeLeft(actual: number, expected: number): void {
  // The server may have been slow, but not by ten seconds.
  assert(actual <= expected && actual > expected - 10_000, `${actual} ms`);
}

/** The ids of a list without unreadable sessions, in order. */
function idsIn({ sessions, unreadable }: SessionList): string[] {
  assertEquals(unreadable, []);
  return sessions.map(({ id }) => id).sort();
}

/** A record with everything that one can have. */
function fullRecord(): Required<NewSessionRecord> {
  return makeRecord({
    data: makeData([["name", "Ada"], ["list", [1, 2]]]),
    previous: {
      secretHash: makeHash("previous"),
      family: makeFamily("secret"),
      until: "confirmed",
    },
    principal: "ada",
    label: "Laptop",
    authenticatedAt: START,
    fingerprint: "what it looks like",
    binding: "what it is bound to",
    persistent: true,
  }) as Required<NewSessionRecord>;
}
