/** Which store a URL names, found out without opening it. */
import { existsSync, realpathSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

/** The table of an SQLite file unless its URL names another. */
const TABLE = "sessions";

/** The path of a store that is one file. */
export function fileOf(url: string): string | undefined {
  if (!/^(sqlite|deno-kv):[^:]/i.test(url)) return undefined;
  const path = decodeURIComponent(new URL(url).pathname);
  return /^https?:/.test(path) ? undefined : path;
}

/** The table that an SQLite URL names. */
export function tableOf(url: string): string {
  return new URL(url).searchParams.get("table") ?? TABLE;
}

/** Whether a file of SQLite has the table of its URL; it is not written to. */
export async function hasTable(url: string, path: string): Promise<boolean> {
  const { DatabaseSync } = await import("node:sqlite");
  let file: InstanceType<typeof DatabaseSync> | undefined;
  try {
    file = new DatabaseSync(path, { readOnly: true });
    const found = file.prepare(
      "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND lower(name) = ?",
    ).get(tableOf(url).toLowerCase());
    return found !== undefined && found !== null;
  } catch {
    // The provider says better what is wrong with the file.
    return true;
  } finally {
    file?.close();
  }
}

/** Whether two URLs name one store, as far as their texts and files tell. */
export function isSame(one: string, other: string): boolean {
  return identityOf(one) === identityOf(other);
}

function identityOf(text: string): string {
  if (!URL.canParse(text)) return text.toLowerCase();
  const path = fileOf(text);
  const url = new URL(text);
  if (path !== undefined) {
    const table = url.protocol === "sqlite:" ? tableOf(text) : "";
    return JSON.stringify([url.protocol, realPath(path), table.toLowerCase()]);
  }
  const name = url.searchParams.get("table") ?? url.searchParams.get("prefix");
  const [protocol, port] = SERVERS[url.protocol] ?? [url.protocol, ""];
  const host = /^(localhost|127\.0\.0\.1|\[::1\])$/i.test(url.hostname)
    ? "localhost"
    : url.hostname.toLowerCase();
  const place = url.pathname === "/0" ? "/" : url.pathname || "/";
  return JSON.stringify([protocol, host, url.port || port, place, name]);
}

/** Schemes that mean the same server, and its port. */
const SERVERS: Readonly<Record<string, readonly [string, string]>> = {
  "redis:": ["redis:", "6379"],
  "rediss:": ["redis:", "6379"],
  "valkey:": ["redis:", "6379"],
  "postgres:": ["postgres:", "5432"],
  "postgresql:": ["postgres:", "5432"],
  "mysql:": ["mysql:", "3306"],
  "mariadb:": ["mysql:", "3306"],
};

/** Links followed, also for a file that is yet to be made. */
function realPath(path: string): string {
  const whole = resolve(path);
  if (existsSync(whole)) return realpathSync(whole);
  const folder = dirname(whole);
  if (!existsSync(folder)) return whole;
  return join(realpathSync(folder), whole.slice(folder.length));
}
