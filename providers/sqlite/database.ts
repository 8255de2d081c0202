/** Opens the database of a `SqliteProvider`, with its table and statements. */
import { closeSync, openSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { SessionError } from "../../core/errors.ts";
import type {
  Row,
  SqliteDatabase,
  SqliteParameter,
  SqliteStatement,
} from "./driver.ts";
import { SCHEMA_TABLE, type Source } from "./source.ts";
import { STATEMENTS, TABLE } from "./statements.ts";

/** A database whose table is there, with every statement prepared. */
export interface Opened extends Statements {
  /** The database, if it was opened here. */
  readonly file: DatabaseSync | undefined;
  /** The same, if it has a write-ahead log. */
  readonly log: DatabaseSync | undefined;
}

type Statements = {
  readonly [name in keyof typeof STATEMENTS]: Statement;
};

/**
 * The pages of 4 KiB in the log at which a commit writes them back to the file.
 * By SQLite's default of 1000 that commit takes about three times as long.
 */
const CHECKPOINT_PAGES = 250;

/** The most memory that pages of the file take in a provider. */
const CACHE_KIB = 16_384;

/** The version of the tables that this file makes and understands. */
const SCHEMA_VERSION = 3;

/** A prepared statement that makes its table anew if somebody has dropped it. */
export class Statement {
  readonly #prepared: SqliteStatement;
  readonly #makeTable: () => void;

  constructor(prepared: SqliteStatement, makeTable: () => void) {
    // Objects take longer to make than arrays; not every driver has the choice.
    prepared.setReturnArrays?.(true);
    this.#prepared = prepared;
    this.#makeTable = makeTable;
  }

  /** How many rows it changed. */
  run(...parameters: SqliteParameter[]): number {
    return Number(this.#tried(() => this.#prepared.run(...parameters)).changes);
  }

  /** The first row. */
  get(...parameters: SqliteParameter[]): Row | undefined {
    const row = this.#tried(() => this.#prepared.get(...parameters));
    return row ? toRow(row) : undefined;
  }

  /** Every row. */
  all(...parameters: SqliteParameter[]): Row[] {
    return this.#tried(() => this.#prepared.all(...parameters)).map(toRow);
  }

  #tried<T>(call: () => T): T {
    try {
      return call();
    } catch (error) {
      if (!says(error, "no such table")) throw error;
      this.#makeTable();
      return call();
    }
  }
}

function toRow(row: unknown): Row {
  return Array.isArray(row) ? row : Object.values(row as object);
}

/**
 * Opens a database, and makes its table if it is not there.
 *
 * @throws {SessionError} If the table is of another version.
 */
export function open(source: Source, table: string): Opened {
  if (source.kind === "database") {
    const { database, busyTimeout } = source;
    if (busyTimeout !== undefined) setBusyTimeout(database, busyTimeout);
    makeTable(database, table);
    return { ...prepare(database, table), file: undefined, log: undefined };
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
  const again = () => makeTable(database, table);
  const statements = Object.entries(STATEMENTS).map(([name, sql]) => {
    const prepared = database.prepare(sql.replaceAll("@", table));
    return [name, new Statement(prepared, again)];
  });
  return Object.fromEntries(statements) as Statements;
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
      if (performance.now() >= giveUpAt || !says(error, "locked")) throw error;
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

function says(error: unknown, text: string): boolean {
  return error instanceof Error && error.message.includes(text);
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
    if (version !== undefined) checkVersion(version, table);
    if (version === undefined || !isThere(database, table)) {
      create(database, table);
    }
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

function isThere(database: SqliteDatabase, table: string): boolean {
  const row = database
    .prepare(
      "SELECT 1 FROM sqlite_master WHERE name = ? COLLATE NOCASE AND type = 'table'",
    )
    .get(table);
  return Boolean(row);
}

function create(database: SqliteDatabase, table: string): void {
  database.exec(TABLE.replaceAll("@", table));
  database
    .prepare(
      `INSERT OR REPLACE INTO ${SCHEMA_TABLE} (name, version) VALUES (?, ?)`,
    )
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
