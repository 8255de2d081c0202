import { Redis } from "ioredis";
import mysql from "mysql2/promise";
import pg from "pg";
import type { Provider } from "../mod.ts";
import { DenoKvProvider } from "../providers/deno_kv.ts";
import { encrypted } from "../providers/encrypted.ts";
import { MysqlProvider } from "../providers/mysql.ts";
import { PostgresProvider } from "../providers/postgres.ts";
import { RedisProvider } from "../providers/redis.ts";
import { SqliteProvider } from "../providers/sqlite.ts";

/** A store that several processes can open: `sqlite`, a path or port. */
export interface StoreAddress {
  readonly kind: "sqlite" | "redis" | "postgres" | "mariadb" | "deno-kv";
  /** A path, or the URL of a server. */
  readonly at: string;
  /** Keys, if everything in it is encrypted and hidden. */
  readonly keys?: readonly string[];
}

/** A provider on a store, and what closes both. */
export interface OpenStore {
  readonly provider: Provider;
  readonly close: () => Promise<void>;
}

/** Opens a store with the client that its users would take. */
export function openStore({ keys, ...address }: StoreAddress): OpenStore {
  const { provider, close } = openBare(address);
  if (keys === undefined) return { provider, close };
  const hide = ["principal", "label", "key-names"] as const;
  return { provider: encrypted(provider, { keys, hide }), close };
}

function openBare({ kind, at }: StoreAddress): OpenStore {
  if (kind === "redis") {
    const client = new Redis(at);
    const close = async () => void await client.quit();
    return closing(new RedisProvider(client), close);
  }
  if (kind === "postgres") {
    const pool = new pg.Pool({ connectionString: at, max: 4 });
    return closing(new PostgresProvider(pool), () => pool.end());
  }
  if (kind === "mariadb") {
    const pool = mysql.createPool({ uri: at, connectionLimit: 4 });
    return closing(new MysqlProvider(pool), () => pool.end());
  }
  const provider = kind === "sqlite"
    ? new SqliteProvider(at)
    : new DenoKvProvider(at);
  return closing(provider, () => Promise.resolve());
}

function closing(provider: Provider, closeClient: () => Promise<void>) {
  const close = async () => {
    await provider.close();
    await closeClient();
  };
  return { provider, close };
}
