/** Where a `SqliteProvider` keeps its sessions, checked. */
import { fileURLToPath } from "node:url";
import type { SqliteDatabase } from "./driver.ts";

/** A database, and how to use it. */
export type Source =
  | Settings & {
    /** What to open. */
    readonly path: string;
    readonly database: undefined;
  }
  | Settings & {
    /** What was handed in. */
    readonly database: SqliteDatabase;
    readonly path: undefined;
  };

/** How to use a database. */
interface Settings {
  /** How long a write waits for the lock, in seconds. */
  readonly busyTimeout: number;
  /** Whether what is removed is overwritten; `undefined` leaves it as it is. */
  readonly secureDelete: boolean | undefined;
}

/** Settings as they are given. */
type Options = {
  readonly [Name in keyof Settings]: Settings[Name] | undefined;
};

/** How long to wait for the lock unless told, in seconds. */
const BUSY_TIMEOUT = 5;

/** The longest time to wait for a lock, in seconds: 2^31 - 1 ms. */
const MAX_BUSY_TIMEOUT = 2_147_483;

/** The table of one file that says which version its other tables have. */
export const SCHEMA_TABLE = "cloakroom_session_schema";

/**
 * The database that somebody named or handed in.
 *
 * @throws {TypeError} If its URL or an option cannot be used.
 * @throws {RangeError} If the time is negative or too large.
 */
export function toSource(
  database: string | URL | SqliteDatabase,
  { busyTimeout = BUSY_TIMEOUT, secureDelete }: Options,
): Source {
  checkBusyTimeout(busyTimeout);
  checkSecureDelete(secureDelete);
  const settings = { busyTimeout, secureDelete };
  return typeof database === "object" && !(database instanceof URL)
    ? { database, path: undefined, ...settings }
    : { database: undefined, path: toPath(database), ...settings };
}

function checkSecureDelete(value: unknown): void {
  if (value === undefined || typeof value === "boolean") return;
  throw new TypeError(
    `Cannot create SqliteProvider: secureDelete must be true or false: received ${typeof value}`,
  );
}

function checkBusyTimeout(seconds: number): void {
  if (typeof seconds !== "number") {
    throw new TypeError(
      `Cannot create SqliteProvider: busyTimeout must be a number of seconds: received ${typeof seconds}`,
    );
  }
  if (seconds >= 0 && seconds <= MAX_BUSY_TIMEOUT) return;
  throw new RangeError(
    `Cannot create SqliteProvider: busyTimeout must be from 0 to ${MAX_BUSY_TIMEOUT} seconds: received ${seconds}`,
  );
}

function toPath(database: string | URL): string {
  if (typeof database === "string" && !/^(sqlite|file):/.test(database)) {
    return database;
  }
  const url = new URL(database);
  if (url.protocol === "file:") return fileURLToPath(url);
  if (url.protocol === "sqlite:") return pathOf(url);
  throw new TypeError(
    `Cannot create SqliteProvider: its URL must begin with sqlite: or file:: received ${url.protocol}`,
  );
}

/**
 * The path in a URL such as `sqlite:./sessions.db`.
 *
 * @throws {TypeError} If there is none.
 */
export function pathOf(url: URL): string {
  if (url.pathname !== "" && url.host === "" && url.hash === "") {
    return decodeURIComponent(url.pathname);
  }
  throw new TypeError(
    `Cannot open provider sqlite: its URL must hold the path of a file, such as sqlite:./sessions.db: received ${url}`,
  );
}

/**
 * A table's name that needs no quotes and is not reserved.
 *
 * @throws {TypeError} If it is none.
 */
export function checkTable(table: string): string {
  const isName = typeof table === "string" &&
    /^(?!sqlite_)[a-z_]\w{0,47}$/i.test(table) &&
    table.toLowerCase() !== SCHEMA_TABLE;
  if (isName) return table;
  throw new TypeError(
    `Cannot create SqliteProvider: table must be a letter or _, then up to 47 letters, digits and _, and no name that is reserved: received ${table}`,
  );
}
