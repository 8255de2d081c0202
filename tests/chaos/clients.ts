/** Opens stores through the clients that their users take. */
import { Cluster, Redis, type RedisOptions } from "ioredis";
import * as mariadb from "mariadb";
import mysql from "mysql2/promise";
import process from "node:process";
import pg from "pg";
import postgres from "postgres";
import { createClient, createCluster, createSentinel } from "redis";
import type { Provider } from "../../mod.ts";
import { type MysqlClient, MysqlProvider } from "../../providers/mysql.ts";
import {
  type PostgresClient,
  PostgresProvider,
} from "../../providers/postgres.ts";
import { type RedisClient, RedisProvider } from "../../providers/redis.ts";
import type { OpenStore } from "../_stores.ts";

const HOST = "127.0.0.1";

const ON_BUN = "Bun" in globalThis;

/** Where a Redis is: one server, or those that know it. */
export interface RedisAddress {
  readonly port?: number;
  /** The ports of sentinels, which know the master by the name `site`. */
  readonly sentinels?: readonly number[];
  /** The ports of some nodes of a cluster. */
  readonly cluster?: readonly number[];
}

export type RedisClientName = "ioredis" | "node-redis" | "Bun.RedisClient";

export type PostgresClientName = "pg" | "postgres.js" | "Bun.SQL";

export type MysqlClientName = "mysql2" | "mariadb" | "Bun.SQL";

/** What a client needs of the runtime that this one lacks, or `undefined`. */
export function missingClient(name: string): string | undefined {
  return name.startsWith("Bun") && !ON_BUN ? `only Bun has ${name}` : undefined;
}

/**
 * Whether a scenario of the short run is played through a client: through the
 * first one, and on Bun through Bun's own.
 */
export function isInShortRun(
  { isShort = false }: { readonly isShort?: boolean },
  client: string,
  clients: readonly string[],
): boolean {
  const isOne = ON_BUN ? client.startsWith("Bun.") : client === clients[0];
  return isShort && isOne;
}

/** Options of a client, by its own names. */
export type Settings = Readonly<Record<string, unknown>>;

/** Opens Redis for one manager. */
export async function openRedis(
  name: RedisClientName,
  address: RedisAddress,
  settings: Settings = {},
): Promise<OpenStore> {
  if (name === "ioredis") return openIoRedis(address, settings);
  if (name === "node-redis") return await openNodeRedis(address, settings);
  const provider = new RedisProvider(`redis://${HOST}:${address.port}`);
  return { provider, close: async () => await provider.close() };
}

function openIoRedis(
  { port = 0, sentinels, cluster }: RedisAddress,
  settings: Settings,
): OpenStore {
  const options: RedisOptions = {
    // Nobody waits longer than a second.
    retryStrategy: () => 100,
    ...settings,
  };
  const client = cluster !== undefined
    ? new Cluster(addresses(cluster), {
      redisOptions: settings,
      clusterRetryStrategy: () => 100,
      slotsRefreshTimeout: 1000,
      slotsRefreshInterval: 1000,
    })
    : sentinels !== undefined
    ? new Redis({
      ...options,
      name: "site",
      sentinels: addresses(sentinels),
      sentinelRetryStrategy: () => 100,
    })
    : new Redis({ ...options, host: HOST, port });
  client.on("error", () => {});
  const disconnect = () => Promise.resolve(client.disconnect());
  return storeOf(new RedisProvider(client), disconnect);
}

async function openNodeRedis(
  { port = 0, sentinels, cluster }: RedisAddress,
  { socket = {}, ...settings }: Settings,
): Promise<OpenStore> {
  const reconnecting = { reconnectStrategy: 100, ...socket as object };
  const options = { ...settings, socket: reconnecting };
  const client = cluster !== undefined
    ? createCluster({
      rootNodes: cluster.map((own) => ({ url: `redis://${HOST}:${own}` })),
      defaults: options,
    })
    : sentinels !== undefined
    ? createSentinel({
      name: "site",
      sentinelRootNodes: addresses(sentinels),
      nodeClientOptions: options,
      scanInterval: 500,
    })
    : createClient({
      ...options,
      socket: { host: HOST, port, ...reconnecting },
    });
  client.on("error", () => {});
  await client.connect();
  const disconnect = () => Promise.resolve(void client.destroy());
  return storeOf(new RedisProvider(client as RedisClient), disconnect);
}

function addresses(ports: readonly number[]) {
  return ports.map((port) => ({ host: HOST, port }));
}

/** How Postgres is opened. */
export interface PostgresSettings {
  /** Options of the client. */
  readonly client?: Settings;
  /** The provider's option of that name. */
  readonly prepare?: boolean;
}

/** What there is of `Bun.SQL` here. */
interface BunSql {
  readonly SQL: new (url: string, options: Settings) => PostgresClient & {
    close(options: { readonly timeout: number }): Promise<void>;
  };
}

/** Opens Postgres for one manager. */
export function openPostgres(
  name: PostgresClientName,
  port: number,
  { client: settings = {}, prepare = true }: PostgresSettings = {},
): OpenStore {
  const url = `postgres://postgres@${HOST}:${port}/postgres`;
  if (name === "pg") {
    const pool = new pg.Pool({ connectionString: url, max: 8, ...settings });
    pool.on("error", () => {});
    return storeOf(new PostgresProvider(pool, { prepare }), () => pool.end());
  }
  if (name === "postgres.js") {
    const sql = postgres(url, { max: 8, ...settings });
    const close = () => sql.end({ timeout: 0 });
    return storeOf(new PostgresProvider(sql, { prepare }), close);
  }
  if (Object.keys(settings).length === 0) {
    // So that the provider has a client of its own.
    const own = new PostgresProvider(url, { prepare });
    return storeOf(own, async () => await own.close());
  }
  const { SQL } = (globalThis as unknown as { readonly Bun: BunSql }).Bun;
  const sql = new SQL(url, { max: 8, prepare, ...settings });
  const close = () => sql.close({ timeout: 0 });
  return storeOf(new PostgresProvider(sql, { prepare }), close);
}

let isSpared = false;

/**
 * On Deno mariadb 3.5 throws, where nobody can catch it, the error of a connection
 * that ends in the moment after it was opened.
 */
function spareOpenings(): void {
  if (isSpared) return;
  isSpared = true;
  process.on("uncaughtException", (error) => {
    const { code } = error as { readonly code?: string };
    if (code !== "ER_SOCKET_UNEXPECTED_CLOSE") throw error;
  });
}

/** Opens MariaDB for one manager. */
export function openMysql(
  name: MysqlClientName,
  port: number,
  settings: Settings = {},
): OpenStore {
  if (name === "Bun.SQL") {
    // So that the provider has a client of its own.
    const own = new MysqlProvider(`mysql://ada@${HOST}:${port}/shop`);
    return storeOf(own, async () => await own.close());
  }
  if (name === "mariadb") spareOpenings();
  const options = {
    ...{ host: HOST, port, user: "ada", database: "shop" },
    ...{ connectionLimit: 8, ...settings },
  };
  const pool: MysqlClient & { end(): Promise<void> } = name === "mysql2"
    ? mysql.createPool(options)
    : mariadb.createPool(options);
  // A pool that is ended waits for what a silent connection has not answered.
  const end = () => Promise.resolve(void pool.end().catch(() => {}));
  return storeOf(new MysqlProvider(pool), end);
}

function storeOf(
  provider: Provider,
  disconnect: () => Promise<void>,
): OpenStore {
  const close = async () => {
    await provider.close();
    await disconnect();
  };
  return { provider, close };
}
