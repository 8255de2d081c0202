/** Where a `SqliteProvider` keeps its sessions, checked. */
import { fileURLToPath } from "node:url";
import type { SqliteDatabase } from "./driver.ts";

/** A database, and how long to wait for it in seconds. */
export type Source =
  | {
    readonly kind: "file";
    readonly path: string;
    readonly busyTimeout: number;
  }
  | {
    readonly kind: "database";
    readonly database: SqliteDatabase;
    readonly busyTimeout: number | undefined;
  };

/** How long to wait for a file, unless told. */
const BUSY_TIMEOUT = 5;

/** The longest time to wait for a lock, in seconds: 2^31 - 1 ms. */
const MAX_BUSY_TIMEOUT = 2_147_483;

/** The table of one file that says which version its other tables have. */
export const SCHEMA_TABLE = "cloakroom_session_schema";

/**
 * The database that somebody named or handed in.
 *
 * @throws {TypeError} If its URL cannot be used, or the time is no number.
 * @throws {RangeError} If the time is negative or too large.
 */
export function toSource(
  database: string | URL | SqliteDatabase,
  busyTimeout: number | undefined,
): Source {
  if (busyTimeout !== undefined) checkBusyTimeout(busyTimeout);
  return typeof database === "object" && !(database instanceof URL)
    ? { kind: "database", database, busyTimeout }
    : {
      kind: "file",
      path: toPath(database),
      busyTimeout: busyTimeout ?? BUSY_TIMEOUT,
    };
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
