/**
 * Servers and clusters for the tests of the Redis provider, and providers on them.
 *
 * @module
 */
import { Cluster, Redis } from "ioredis";
import { after, before, describe } from "node:test";
import { createCluster } from "redis";
import type { SessionChange } from "../core/provider.ts";
import { digest } from "../core/secret/token.ts";
import { type RedisClient, RedisProvider } from "../providers/redis.ts";
import { makeData } from "./_records.ts";
import { missingRedis, RedisCluster, RedisServer } from "./_redis_server.ts";

const missing = missingRedis();
if (missing !== undefined) {
  console.log(`Tests on a Redis server are skipped: ${missing}`);
}
/** Skips, with a line that says why, where there is no server. */
export const describeOnServer = missing === undefined
  ? describe
  : describe.skip;

/** A server of a `describe`'s own, and providers on it that share nothing. */
export class Rig {
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
    const key = this.indexKeyOf(provider, principal);
    return (await this.client.zrange(key, 0, -1)).sort();
  }

  /** How much longer both the entry and the index itself last. */
  async indexTimeLeft(
    provider: RedisProvider,
    id: string,
    principal: string,
  ): Promise<number> {
    const key = this.indexKeyOf(provider, principal);
    const end = await this.client.zscore(key, id);
    return Math.min(Number(end) - Date.now(), await this.client.pttl(key));
  }

  /** Up to when the session itself says that it is indexed. */
  async indexedUntil(provider: RedisProvider, id: string): Promise<number> {
    const text = await this.client.get(this.prefixOf(provider) + id);
    return Number(text?.split("\n")[0]?.split(",")[5]);
  }
}

/** A rig whose server runs during a `describe`. */
export function useServer(args: readonly string[] = []): Rig {
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

/** A cluster of a `describe`'s own, and clients of it. */
export interface ClusterRig {
  cluster: RedisCluster;
  ioRedis: Cluster;
  nodeRedis: ReturnType<typeof createCluster>;
}

/** A rig whose cluster runs during a `describe`. */
export function useCluster(args: readonly string[] = []): ClusterRig {
  const rig = {} as ClusterRig;
  let starting: Promise<void> | undefined;
  // Bun gives a hook five seconds whatever it is told, and a cluster needs more
  // where there is little to run it on.
  for (let hook = 0; hook < 5; hook++) {
    before(() => atMost(4000, starting ??= startCluster(rig, args)));
  }
  after(async () => {
    rig.ioRedis.disconnect();
    rig.nodeRedis.destroy();
    await rig.cluster.stop();
  });
  return rig;
}

async function startCluster(
  rig: ClusterRig,
  args: readonly string[],
): Promise<void> {
  rig.cluster = await RedisCluster.start(args);
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

/** A change of one key. */
export function set(key: string, value: number): SessionChange {
  return { set: makeData([[key, value]]) };
}
