import { closeSync, openSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { SessionError } from "../../core/errors.ts";
import { COLUMNS } from "./row.ts";

/** What a `SqliteProvider` binds to a statement. */
export type SqliteParameter = string | number | bigint | null;

/** What a `SqliteProvider` needs of a prepared statement. */
export interface SqliteStatement {
  /** Runs a statement that returns no rows. */
  run(
    ...parameters: SqliteParameter[]
  ): { readonly changes: number | bigint };
  /** The first row as an object, or `undefined` or `null`. */
  get(...parameters: SqliteParameter[]): unknown;
  /** Every row as an object. */
  all(...parameters: SqliteParameter[]): unknown[];
  /** Makes every row an array of its columns; used where it is there. */
  setReturnArrays?(enabled: boolean): void;
}

/**
 * What a `SqliteProvider` needs of a database: a `DatabaseSync` of `node:sqlite`
 * has it, and so has a `Database` of `bun:sqlite`.
 */
export interface SqliteDatabase {
  /** Runs statements that return no rows and take no parameters. */
  exec(sql: string): unknown;
  /** Prepares one statement. */
  prepare(sql: string): SqliteStatement;
}

/** Where the sessions are, and how long to wait for them. */
export type Source =
  | { readonly path: string; readonly busyTimeout: number }
  | {
    readonly database: SqliteDatabase;
    readonly busyTimeout: number | undefined;
  };

/** A database whose table is there, with every statement prepared. */
export interface Opened extends Statements {
  /** The database, if it was opened here. */
  readonly file?: DatabaseSync;
  /** The same, if it has a write-ahead log. */
  readonly log?: DatabaseSync | undefined;
}

type Statements = {
  readonly [name in keyof typeof STATEMENTS]: SqliteStatement;
};

/**
 * The pages of 4 KiB in the log at which a commit writes them back to the file.
 * By SQLite's default of 1000 that commit takes about three times as long.
 */
const CHECKPOINT_PAGES = 250;

/** The most memory that pages of the file take in a provider. */
const CACHE_KIB = 16_384;

/** The longest time to wait for a lock, in seconds: 2^31 - 1 ms. */
const MAX_BUSY_TIMEOUT = 2_147_483;

/** The version of the tables that this file makes and understands. */
const SCHEMA_VERSION = 2;

/** The table of one file that says which version its other tables have. */
export const SCHEMA_TABLE = "cloakroom_session_schema";

/**
 * Instants and timeouts are REAL because clocks and timeouts may have
 * fractions; SQLite stores whole ones as integers all the same. What a touch
 * changes keeps its length, so that SQLite overwrites it where it is and leaves
 * the pages with the data alone; for the same reason the index is not on the
 * deadline but on one that the session had once, `collect_at`, which `gc` brings
 * up to date when it comes to it. Texts that can hold any character are stored as
 * JSON, since drivers lose NUL and lone surrogates.
 *
 * The rowid is a hash of the id, so that a session is found by a single search,
 * where an index on the id would take a second one. A table without rowid would
 * hold long rows in the inner nodes of its tree, which makes it a deep one.
 */
const TABLE = `
CREATE TABLE "@" (
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  accessed_at REAL NOT NULL,
  expires_at REAL NOT NULL,
  collect_at REAL NOT NULL,
  secret_hash TEXT NOT NULL,
  renewed_at REAL NOT NULL,
  previous_hash TEXT,
  previous_expires_at REAL,
  created_at REAL NOT NULL,
  idle_timeout REAL NOT NULL,
  absolute_timeout REAL NOT NULL,
  persistent INTEGER NOT NULL,
  authenticated_at REAL,
  principal TEXT,
  label TEXT,
  fingerprint TEXT,
  data TEXT NOT NULL
) STRICT;
CREATE INDEX "@_collect_at" ON "@" (collect_at);
CREATE INDEX "@_principal" ON "@" (principal) WHERE principal IS NOT NULL;
`;

const UPDATE = `UPDATE "@" SET version = version + 1, accessed_at = ?,
  expires_at = ?, data = json_patch(data, ?)`;

/** The braces: json_patch() would take any other JSON for an empty object. */
const GUARD = `WHERE key = ? AND id = ? AND expires_at > ?
  AND (secret_hash = ? OR (previous_hash = ? AND previous_expires_at > ?))
  AND (? IS NULL OR version = ?) AND substr(data, 1, 1) = '{'`;

/** Takes keys as an array in JSON, since there may be any number of them. */
const CHOSEN = "WHERE key IN (SELECT value FROM json_each(?))";

const STATEMENTS = {
  create: `INSERT INTO "@" (key, id, collect_at, ${COLUMNS})
    VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (key) DO NOTHING`,
  read: `SELECT ${COLUMNS} FROM "@"
    WHERE key = ? AND id = ? AND expires_at > ?`,
  updateData: `${UPDATE} ${GUARD} AND collect_at <= ?`,
  updateAll: `${UPDATE},
    collect_at = min(collect_at, ?),
    secret_hash = coalesce(?, secret_hash),
    renewed_at = coalesce(?, renewed_at),
    idle_timeout = coalesce(?, idle_timeout),
    absolute_timeout = coalesce(?, absolute_timeout),
    persistent = coalesce(?, persistent),
    previous_hash = iif(?, ?, previous_hash),
    previous_expires_at = iif(?, ?, previous_expires_at),
    authenticated_at = iif(?, ?, authenticated_at),
    principal = iif(?, ?, principal),
    label = iif(?, ?, label),
    fingerprint = iif(?, ?, fingerprint)
    ${GUARD}`,
  touch: `UPDATE "@" SET accessed_at = ?, expires_at = max(expires_at, ?)
    WHERE key = ? AND id = ? AND expires_at > ?`,
  destroy: `DELETE FROM "@" WHERE key = ? AND id = ?`,
  due: `SELECT CAST(key AS TEXT), collect_at, expires_at > ? FROM "@"
    WHERE collect_at <= ? AND (collect_at, key) > (?, ?)
    ORDER BY collect_at, key LIMIT ?`,
  refile: `UPDATE "@" SET collect_at = expires_at
    ${CHOSEN} AND expires_at > ?`,
  gc: `DELETE FROM "@" ${CHOSEN} AND expires_at <= ? RETURNING id`,
  list: `SELECT ${COLUMNS}, id FROM "@" WHERE principal = ? AND expires_at > ?`,
  scan: `SELECT ${COLUMNS}, id FROM "@"
    WHERE key > ? AND expires_at > ? ORDER BY key LIMIT ?`,
  destroyAll: `DELETE FROM "@" WHERE principal = ? AND id IS NOT ?`,
  clear: `DELETE FROM "@"`,
} as const;

export function open(source: Source, table: string): Opened {
  if ("database" in source) {
    const { database, busyTimeout } = source;
    if (busyTimeout !== undefined) setBusyTimeout(database, busyTimeout);
    makeTable(database, table);
    return prepare(database, table);
  }
  const { path, busyTimeout } = source;
  makePrivate(path);
  const file = new DatabaseSync(path);
  try {
    setBusyTimeout(file, busyTimeout);
    const log = hasLog(file, busyTimeout) ? file : undefined;
    if (log !== undefined) tune(log);
    makeTable(file, table);
    return { ...prepare(file, table), file, log };
  } catch (error) {
    file.close();
    throw error;
  }
}

function prepare(database: SqliteDatabase, table: string): Statements {
  const statements: Record<string, SqliteStatement> = {};
  for (const [name, sql] of Object.entries(STATEMENTS)) {
    const statement = database.prepare(sql.replaceAll("@", table));
    statement.setReturnArrays?.(true);
    statements[name] = statement;
  }
  return statements as Statements;
}

/** Makes a new file one that only its owner reads, as what it holds asks for. */
function makePrivate(path: string): void {
  if (path === ":memory:" || path === "") return;
  try {
    // Only where there is none: closing a second descriptor of a file would
    // release the locks that this process holds on it.
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if ((error as { code?: unknown }).code !== "EEXIST") throw error;
  }
}

export function checkBusyTimeout(seconds: number | undefined): void {
  if (seconds === undefined) return;
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

function setBusyTimeout(database: SqliteDatabase, seconds: number): void {
  database.exec(`PRAGMA busy_timeout = ${Math.round(seconds * 1000)}`);
}

/** Whether the file has a write-ahead log, after an attempt to give it one. */
function hasLog(file: DatabaseSync, busyTimeout: number): boolean {
  const giveUpAt = performance.now() + busyTimeout * 1000;
  for (;;) {
    try {
      const row = file.prepare("PRAGMA journal_mode = WAL").get();
      return row?.["journal_mode"] === "wal";
    } catch (error) {
      // Of two that switch a new file at a time one fails without waiting.
      if (performance.now() >= giveUpAt || !isBusy(error)) throw error;
    }
  }
}

function tune(log: DatabaseSync): void {
  log.exec(
    `PRAGMA synchronous = NORMAL;
    PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES};
    PRAGMA cache_size = -${CACHE_KIB}`,
  );
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && error.message.includes("locked");
}

/** Makes the table if it is not there, and refuses one that it does not know. */
function makeTable(database: SqliteDatabase, table: string): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    database.exec(
      `CREATE TABLE IF NOT EXISTS ${SCHEMA_TABLE} (
        name TEXT NOT NULL PRIMARY KEY COLLATE NOCASE,
        version INTEGER NOT NULL
      ) STRICT`,
    );
    const version = schemaVersion(database, table);
    if (version === undefined) create(database, table);
    else checkVersion(version, table);
    database.exec("COMMIT");
  } catch (error) {
    rollBack(database);
    throw error;
  }
}

function schemaVersion(
  database: SqliteDatabase,
  table: string,
): number | undefined {
  const row = database
    .prepare(`SELECT version FROM ${SCHEMA_TABLE} WHERE name = ?`)
    .get(table) as { version: number } | undefined | null;
  return row?.version;
}

function create(database: SqliteDatabase, table: string): void {
  database.exec(TABLE.replaceAll("@", table));
  database
    .prepare(`INSERT INTO ${SCHEMA_TABLE} (name, version) VALUES (?, ?)`)
    .run(table, SCHEMA_VERSION);
}

const OLDER_REMEDY =
  `name another table, or remove this one and its row in ${SCHEMA_TABLE}; to keep its sessions, copy them to another store with the older version first`;

function checkVersion(version: number, table: string): void {
  if (version === SCHEMA_VERSION) return;
  const [other, remedy] = version > SCHEMA_VERSION
    ? ["a newer", "upgrade the library, or name another table"]
    : ["an older", OLDER_REMEDY];
  throw new SessionError(
    "store-failed",
    `Cannot open table ${table}: its schema is of ${other} version of the library than this one, which knows version ${SCHEMA_VERSION}: ${remedy}: received version ${version}`,
  );
}

function rollBack(database: SqliteDatabase): void {
  try {
    database.exec("ROLLBACK");
  } catch {
    // Some errors, such as a full disk, have rolled back already.
  }
}
