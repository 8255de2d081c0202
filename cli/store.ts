/** Which store a URL names, found out without opening it as one. */
import { existsSync, realpathSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

/** What the stores of a scheme have in common. */
interface Scheme {
  /** The same for all that lead to the same server. */
  readonly kind: "sqlite" | "deno-kv" | "redis" | "postgres" | "mysql";
  readonly port?: string;
  /** The table or prefix where the URL names none. */
  readonly name: string;
}

const REDIS: Scheme = { kind: "redis", port: "6379", name: "session:" };

const POSTGRES: Scheme = {
  kind: "postgres",
  port: "5432",
  name: "cloakroom_sessions",
};

const MYSQL: Scheme = {
  kind: "mysql",
  port: "3306",
  name: "cloakroom_sessions",
};

const SCHEMES: Readonly<Record<string, Scheme>> = {
  "sqlite:": { kind: "sqlite", name: "sessions" },
  "deno-kv:": { kind: "deno-kv", name: "session" },
  "redis:": REDIS,
  "rediss:": REDIS,
  "valkey:": REDIS,
  "postgres:": POSTGRES,
  "postgresql:": POSTGRES,
  "mysql:": MYSQL,
  "mariadb:": MYSQL,
};

/** The path of a store that is one file. */
export function fileOf(url: string): string | undefined {
  if (!/^(sqlite|deno-kv):[^:]/i.test(url)) return undefined;
  const path = decodeURIComponent(new URL(url).pathname);
  return /^https?:/.test(path) ? undefined : path;
}

/** The table or prefix that a URL names, if its store has one. */
export function tableOf(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const { protocol, searchParams } = new URL(text);
  return searchParams.get("table") ?? searchParams.get("prefix") ??
    SCHEMES[protocol]?.name;
}

/**
 * Whether the store of a URL has its table; nothing is made or written.
 *
 * @returns `true` too if its kind has none, or if the provider has to say what is
 * wrong.
 */
export async function hasTable(url: string): Promise<boolean> {
  const kind = URL.canParse(url) && SCHEMES[new URL(url).protocol]?.kind;
  const path = fileOf(url);
  if (kind === "sqlite" && path !== undefined) {
    return await hasTableInFile(path, tableOf(url) as string);
  }
  if (kind === "postgres") return await answers(url, '"', isUndefinedTable);
  if (kind === "mysql") return await answers(url, "`", isNoSuchTable);
  return true;
}

async function hasTableInFile(path: string, table: string): Promise<boolean> {
  const { DatabaseSync } = await import("node:sqlite");
  let file: InstanceType<typeof DatabaseSync> | undefined;
  try {
    file = new DatabaseSync(path, { readOnly: true });
    const found = file.prepare(
      "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND lower(name) = ?",
    ).get(table.toLowerCase());
    return found !== undefined && found !== null;
  } catch {
    return true;
  } finally {
    file?.close();
  }
}

/** What there is of the client of databases that Bun has built in. */
interface BuiltIn {
  readonly SQL?: new (url: string, options: { readonly max: number }) => {
    unsafe(sql: string): PromiseLike<unknown>;
    close(options: { readonly timeout: number }): Promise<void>;
  };
}

/** Whether a server has nothing against looking at a table, or something else. */
async function answers(
  text: string,
  quote: string,
  isMissing: (error: unknown) => boolean,
): Promise<boolean> {
  const { SQL } = (globalThis as { readonly Bun?: BuiltIn }).Bun ?? {};
  const table = tableOf(text) as string;
  // What is no name is the provider's to refuse.
  if (SQL === undefined || !/^\w+(?:\.\w+)?$/.test(table)) return true;
  const url = new URL(text);
  for (const name of ["table", "prepare"]) url.searchParams.delete(name);
  const quoted = table.split(".").map((part) => quote + part + quote).join(".");
  const client = new SQL(String(url), { max: 1 });
  try {
    await client.unsafe(`SELECT 1 FROM ${quoted} LIMIT 0`);
    return true;
  } catch (error) {
    return !isMissing(error);
  } finally {
    await client.close({ timeout: 0 });
  }
}

function isUndefinedTable(error: unknown): boolean {
  const { code, errno } = Object(error);
  return [code, errno].includes("42P01");
}

function isNoSuchTable(error: unknown): boolean {
  return Object(error).errno === 1146;
}

/** An id, behind which the next page begins. */
const ID_CURSOR = /^[\w-]{24}$/;

/** A round, what tells a change of servers, and a server with a place on it. */
const REDIS_CURSOR = /^\d+ \S*(?: \S* \d+)?$/;

const MEMORY_CURSOR = /^\d{1,15}$/;

/** Whether a text can be what the store of a URL names as `next`. */
export function isCursor(url: string, text: string): boolean {
  const [scheme = ""] = url.toLowerCase().split(":");
  if (scheme === "memory") return MEMORY_CURSOR.test(text);
  const kind = SCHEMES[`${scheme}:`]?.kind;
  if (kind === undefined) return text !== "";
  return (kind === "redis" ? REDIS_CURSOR : ID_CURSOR).test(text);
}

/** Whether two URLs name one store, as far as their texts and files tell. */
export function isSame(one: string, other: string): boolean {
  return identityOf(one) === identityOf(other);
}

function identityOf(text: string): string {
  if (!URL.canParse(text)) return text.toLowerCase();
  const url = new URL(text);
  const { kind, port = "" } = SCHEMES[url.protocol] ??
    { kind: url.protocol };
  const place = placeOf(text, kind);
  const host = /^(localhost|127\.0\.0\.1|\[::1\])$/i.test(url.hostname)
    ? "localhost"
    : url.hostname.toLowerCase();
  return JSON.stringify([kind, host, url.port || port, ...place]);
}

/** Where on its server or disk a store is. */
function placeOf(text: string, kind: string): (string | undefined)[] {
  const url = new URL(text);
  const name = tableOf(text);
  const path = fileOf(text);
  if (path !== undefined) {
    // SQLite alone takes `Sessions` and `sessions` for one.
    const table = kind === "sqlite" ? name?.toLowerCase() : name;
    return [realPath(path), table];
  }
  const database = decodeURIComponent(url.pathname).replace(/^\/|\/$/g, "");
  if (kind === "redis") return [database || "0", name];
  if (kind !== "postgres" && kind !== "mysql") return [database, name];
  const [table, schema] = name?.split(".").reverse() ?? [];
  if (kind === "mysql") return [schema ?? database, table];
  // What a client takes where no database is named, and no schema.
  return [database || url.username, schema ?? "public", table];
}

/** Links followed, also for a file that is yet to be made. */
function realPath(path: string): string {
  const whole = resolve(path);
  if (existsSync(whole)) return realpathSync(whole);
  const folder = dirname(whole);
  if (!existsSync(folder)) return whole;
  return join(realpathSync(folder), whole.slice(folder.length));
}
