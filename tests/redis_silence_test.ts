/** Tests what helps when connections to Redis fall silent, and new ones work. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Redis } from "ioredis";
import { after, before, describe, it } from "node:test";
import { setTimeout } from "node:timers/promises";
import { createClient } from "redis";
import { type RedisClient, RedisProvider } from "../providers/redis.ts";
import { Browser, Site } from "./_browser.ts";
import { makeId, START } from "./_records.ts";
import { describeOnServer, useServer } from "./_redis_rig.ts";
import { LossyProxy } from "./_redis_server.ts";

const ON_BUN = "Bun" in globalThis;

/** How long a call is waited for, in seconds. */
const TIMEOUT = 0.3;

/** A client that is to recover, or the URL for one of the provider's own. */
interface Opened {
  readonly client: RedisClient | string;
  close(): void;
}

describeOnServer("RedisProvider and connections that fall silent", () => {
  const rig = useServer();
  let proxy: LossyProxy;
  before(async () => {
    proxy = await LossyProxy.start(rig.server);
  });
  after(() => proxy.stop());

  it("has its calls answered again with socketTimeout of ioredis", async () => {
    const limit = 3 * TIMEOUT * 1000;
    const opened = openIoRedis(proxy, { socketTimeout: TIMEOUT * 1000 });
    assert(await recovery(proxy, opened) <= limit);
  });

  it("has its calls answered again with socketTimeout of node-redis, and a strategy", async () => {
    const opened = await openNodeRedis(proxy, TIMEOUT * 1000);
    assert(await recovery(proxy, opened) <= 3 * TIMEOUT * 1000);
  });

  it("leaves a client that it was handed alone", async () => {
    const opened = openIoRedis(proxy, {});
    const provider = new RedisProvider(opened.client as RedisClient);
    await provider.read(makeId(1), START);
    const { status } = opened.client as Redis;
    provider.reconnect();
    assertEquals([status, (opened.client as Redis).status], ["ready", "ready"]);
    opened.close();
  });

  if (!ON_BUN) return;

  it("has its calls answered again within two timeouts by the client that Bun has", async () => {
    const url = `redis://127.0.0.1:${proxy.port}`;
    const took = await recovery(proxy, { client: url, close() {} });
    assert(took <= 2 * TIMEOUT * 1000 + 200, `${took} ms`);
  });

  it("ends what waits on a connection that it replaces", async () => {
    const provider = new RedisProvider(`redis://127.0.0.1:${proxy.port}`);
    await provider.read(makeId(1), START);
    proxy.silence();
    const waiting = Array.from(
      { length: 10 },
      () => assertRejects(() => provider.read(makeId(1), START), Error),
    );
    provider.reconnect();
    await Promise.all(waiting);
    await provider.read(makeId(1), START);
    await provider.close();
  });
});

describe("RedisProvider and a client of its own", () => {
  if (ON_BUN) return;
  const runtime = globalThis as { Bun?: unknown };
  let made: FakeClient[];
  before(() => {
    made = [];
    runtime.Bun = {
      RedisClient: class extends FakeClient {
        constructor() {
          super();
          made.push(this);
        }
      },
    };
  });
  after(() => {
    delete runtime.Bun;
  });

  it("goes on with another one, and closes the one before", async () => {
    const provider = new RedisProvider("redis://localhost");
    await provider.read(makeId(1), START);
    provider.reconnect();
    await provider.read(makeId(1), START);
    assertEquals(
      made.map(({ isClosed, sent }) => [isClosed, sent]),
      [[true, 1], [false, 1]],
    );
  });

  it("is not waited for when it never connects", async () => {
    const provider = new RedisProvider("redis://localhost");
    const silent = made.at(-1) as FakeClient;
    silent.connect = () => new Promise(() => {});
    provider.read(makeId(1), START);
    provider.reconnect();
    assertEquals(await provider.read(makeId(1), START), undefined);
  });

  it("opens no other one once it is closed", async () => {
    const provider = new RedisProvider("redis://localhost");
    await provider.close();
    const count = made.length;
    provider.reconnect();
    assertEquals(made.length, count);
  });
});

/** What Bun's client is to a provider. */
class FakeClient {
  connected = false;
  isClosed = false;
  sent = 0;

  connect(): Promise<void> {
    this.connected = true;
    return Promise.resolve();
  }

  send(): Promise<null> {
    this.sent++;
    return Promise.resolve(null);
  }

  close(): void {
    this.isClosed = true;
  }
}

/**
 * Has the connections fall silent, and answers after how many milliseconds a
 * manager's requests are answered again.
 */
async function recovery(proxy: LossyProxy, opened: Opened): Promise<number> {
  const provider = new RedisProvider(opened.client);
  const site = new Site({ provider, timeout: TIMEOUT });
  const browser = new Browser(site);
  await browser.visit((session) => session.set("count", 0));
  proxy.silence();
  const began = performance.now();
  let error: unknown;
  do {
    error = await browser.visit((session) => session.set("count", 1)).then(
      () => undefined,
      (failure) => failure,
    );
    await setTimeout(5);
  } while (error !== undefined && performance.now() - began < 5000);
  const took = performance.now() - began;
  assertEquals(await browser.look((session) => session.get("count")), 1);
  await provider.close();
  opened.close();
  return took;
}

function openIoRedis(proxy: LossyProxy, options: object): Opened {
  const client = new Redis(proxy.port, {
    retryStrategy: () => 20,
    ...options,
  });
  client.on("error", () => {});
  return { client, close: () => client.disconnect() };
}

async function openNodeRedis(
  proxy: LossyProxy,
  socketTimeout: number,
): Promise<Opened> {
  const client = createClient({
    // The default strategy gives up for good after a socketTimeout.
    socket: { port: proxy.port, socketTimeout, reconnectStrategy: () => 20 },
  });
  client.on("error", () => {});
  await client.connect();
  return { client: client as RedisClient, close: () => client.destroy() };
}
