/**
 * Where the examples keep their sessions: in memory, or in the store whose URL
 * the environment variable `SESSION_STORE` holds.
 *
 * `SESSION_STORE=sqlite:./sessions.db deno serve -A examples/signin.ts`
 *
 * If `SESSION_KEYS` holds keys, with commas in between, sessions are encrypted in
 * it; `SESSION_HIDE` says what is hidden besides. The command line takes the same
 * variables.
 *
 * @module
 */
import { open, type Provider } from "@cloakroom/session";
import type { Hidden } from "@cloakroom/session/encrypted";
import process from "node:process";

/** The store that `SESSION_STORE` names, encrypted if there are keys. */
export async function openStore(
  url = process.env.SESSION_STORE ?? "memory:",
): Promise<Provider> {
  const { SESSION_KEYS: keys, SESSION_HIDE: hide } = process.env;
  const store = await openUrl(url);
  if (keys === undefined || keys === "none") return store;
  const { encrypted } = await import("@cloakroom/session/encrypted");
  return encrypted(store, {
    keys: wordsIn(keys),
    hide: hide === undefined ? [] : wordsIn(hide) as Hidden[],
  });
}

function wordsIn(text: string): string[] {
  return text.split(/[\s,]+/).filter((word) => word !== "" && word !== "none");
}

async function openUrl(url: string): Promise<Provider> {
  switch (new URL(url).protocol) {
    case "sqlite:":
      await import("@cloakroom/session/sqlite");
      return open(url);
    case "deno-kv:":
      await import("@cloakroom/session/deno-kv");
      return open(url);
    case "redis:":
      return await openRedis(url);
    case "postgres:":
      return await openPostgres(url);
    case "mysql:":
    case "mariadb:":
      return await openMysql(url);
    default:
      return open(url);
  }
}

/** Bun has a client of its own; elsewhere it is one of the application's. */
async function openRedis(url: string): Promise<Provider> {
  const { RedisProvider } = await import("@cloakroom/session/redis");
  if ("Bun" in globalThis) return new RedisProvider(url);
  const { Redis } = await import("ioredis");
  return new RedisProvider(new Redis(url));
}

async function openPostgres(url: string): Promise<Provider> {
  const { PostgresProvider } = await import("@cloakroom/session/postgres");
  if ("Bun" in globalThis) return new PostgresProvider(url);
  const { default: pg } = await import("pg");
  return new PostgresProvider(new pg.Pool({ connectionString: url }));
}

async function openMysql(url: string): Promise<Provider> {
  const { MysqlProvider } = await import("@cloakroom/session/mysql");
  if ("Bun" in globalThis) return new MysqlProvider(url);
  const { default: mysql } = await import("mysql2/promise");
  const uri = url.replace(/^mariadb:/, "mysql:");
  return new MysqlProvider(mysql.createPool(uri));
}
