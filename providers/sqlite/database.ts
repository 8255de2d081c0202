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
import { FileWatch } from "./file_watch.ts";
import { SCHEMA_TABLE, type Source } from "./source.ts";
import { READS, STATEMENTS, TABLE } from "./statements.ts";
import { isLocked, STOPPED } from "./writes.ts";

/** A database whose table is there, with every statement prepared. */
export interface Opened extends Statements {
  /** The database, if it was opened here. */
  readonly file: DatabaseSync | undefined;
  /** The same, if it has a write-ahead log. */
  readonly log: DatabaseSync | undefined;
  /** The database, if it was handed in. */
  readonly given: SqliteDatabase | undefined;
  /** Makes a call that stops the process for the lock for as long as is said. */
  readonly stoppedFor: Stopped;
  /** Where its file is, if it has one. */
  readonly watch: FileWatch | undefined;
}

/** @param most How long, in milliseconds. */
type Stopped = <T>(most: number, call: () => T) => T;

type Statements = {
  readonly [name in keyof typeof STATEMENTS]: Statement;
};

/**
 * The pages of 4 KiB in the log at which a commit writes them back to the file.
 * By SQLite's default of 1000 that commit takes about three times as long.
 */
const CHECKPOINT_PAGES = 250;

/**
 * To how many bytes the log shrinks when it begins anew, after somebody read for
 * so long that it could not: four times what it has by `CHECKPOINT_PAGES`, so
 * that no busy moment has the file system give room back and take it again.
 */
const LOG_BYTES = 4 * CHECKPOINT_PAGES * 4096;

/** The most memory that pages of the file take in a provider. */
const CACHE_KIB = 16_384;

/** The version of the tables that this file makes and understands. */
const SCHEMA_VERSION = 3;

/** What a statement does that cannot be executed as things are. */
interface Remedies {
  /** Makes the table, which somebody has dropped. */
  readonly makeTable: () => void;
  /** Makes a call that waits for the lock, if it may stop the process for that. */
  readonly wait: (<T>(call: () => T) => T) | undefined;
}

/** A prepared statement that makes its table anew if somebody has dropped it. */
export class Statement {
  readonly #prepared: SqliteStatement;
  readonly #remedies: Remedies;

  constructor(prepared: SqliteStatement, remedies: Remedies) {
    // Objects take longer to make than arrays; not every driver has the choice.
    prepared.setReturnArrays?.(true);
    this.#prepared = prepared;
    this.#remedies = remedies;
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
      const { wait, makeTable } = this.#remedies;
      if (wait !== undefined && isLocked(error)) return wait(call);
      if (!says(error, "no such table")) throw error;
      makeTable();
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
 * @param most How long a lock may stop the process meanwhile, in milliseconds.
 * @throws {SessionError} If the table is of another version, or if it has to be
 * made while the application has a transaction open.
 */
export function open(source: Source, table: string, most: number): Opened {
  const { path, database: given, busyTimeout, secureDelete } = source;
  if (given !== undefined) {
    if (secureDelete !== undefined) setSecureDelete(given, secureDelete);
    const stoppedFor = lent(given);
    stoppedFor(most, () => makeTable(given, table));
    const statements = prepare(given, table, undefined);
    const watch = FileWatch.of(given);
    const none = { file: undefined, log: undefined };
    return { ...statements, ...none, stoppedFor, given, watch };
  }
  makePrivate(path);
  const file = new DatabaseSync(path);
  try {
    setBusyTimeout(file, most);
    const log = hasLog(file, most) ? file : undefined;
    if (log !== undefined) tune(log);
    if (secureDelete !== undefined) setSecureDelete(file, secureDelete);
    makeTable(file, table);
    const watch = FileWatch.of(file, path);
    const longest = busyTimeout * 1000;
    const stoppedFor = log === undefined ? asItIs : stopping(log, longest);
    if (log === undefined) setBusyTimeout(file, longest);
    const statements = prepare(
      file,
      table,
      (call) => stoppedFor(longest, call),
    );
    return { ...statements, file, log, watch, stoppedFor, given: undefined };
  } catch (error) {
    file.close();
    throw says(error, "not a database") ? naming(path, error) : error;
  }
}

/** The same error, with the file: of several it may be any. */
function naming(path: string, error: unknown): unknown {
  if (error instanceof Error) error.message += `: ${path}`;
  return error;
}

/**
 * Has the lock stop the process for a moment only, and for longer where a call
 * cannot wait otherwise. That is a read: no lock is in its way but while another
 * process sets the log right after a crash.
 */
function stopping(log: DatabaseSync, longest: number): Stopped {
  const usual = Math.min(longest, STOPPED);
  setBusyTimeout(log, usual);
  return (most, call) => {
    if (most === usual) return call();
    setBusyTimeout(log, most);
    try {
      return call();
    } finally {
      setBusyTimeout(log, usual);
    }
  };
}

/**
 * The same for a database whose busy timeout is the application's, and is put back
 * after each write. Where it is short, as it is unless somebody sets it, to leave
 * it alone costs less.
 */
function lent(database: SqliteDatabase): Stopped {
  const [row] = database.prepare("PRAGMA busy_timeout").all();
  const [usual] = Object.values(row as object) as [number];
  if (usual <= STOPPED) return asItIs;
  const put = `PRAGMA busy_timeout = ${usual}`;
  return (most, call) => {
    setBusyTimeout(database, most);
    try {
      return call();
    } finally {
      database.exec(put);
    }
  };
}

/** The same where the busy timeout is to stay as it is. */
const asItIs: Stopped = (_most, call) => call();

function prepare(
  database: SqliteDatabase,
  table: string,
  wait: Remedies["wait"],
): Statements {
  const again = () => makeTable(database, table);
  const statements = Object.entries(STATEMENTS).map(([name, sql]) => {
    const prepared = database.prepare(sql.replaceAll("@", table));
    const remedies = {
      makeTable: again,
      wait: READS.has(name) ? wait : undefined,
    };
    return [name, new Statement(prepared, remedies)];
  });
  return Object.fromEntries(statements) as Statements;
}

/**
 * Keeps sessions out of the application's transaction: its end would undo what
 * was answered, or hold up every other request.
 *
 * @throws {SessionError} If one is open, as far as the driver says so.
 */
export function checkNoTransaction(database: SqliteDatabase): void {
  const isOpen = database.isTransaction ?? database.inTransaction ?? false;
  if (!isOpen) return;
  throw new SessionError(
    "store-failed",
    "Cannot write sessions to SQLite: a transaction of the application is open on the same connection: end it before a session is written, or give SqliteProvider a connection of its own",
  );
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

/** @param timeout In milliseconds. */
function setBusyTimeout(database: SqliteDatabase, timeout: number): void {
  database.exec(`PRAGMA busy_timeout = ${Math.round(timeout)}`);
}

function setSecureDelete(database: SqliteDatabase, isOn: boolean): void {
  database.exec(`PRAGMA secure_delete = ${isOn ? "ON" : "OFF"}`);
}

/** Whether the file has a write-ahead log, after an attempt to give it one. */
function hasLog(file: DatabaseSync, most: number): boolean {
  const giveUpAt = performance.now() + most;
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
    PRAGMA journal_size_limit = ${LOG_BYTES};
    PRAGMA cache_size = -${CACHE_KIB}`,
  );
}

function says(error: unknown, text: string): boolean {
  return error instanceof Error && error.message.includes(text);
}

/** Makes the table if it is not there, and refuses one that it does not know. */
function makeTable(database: SqliteDatabase, table: string): void {
  // Mostly it is there, and to see that takes no lock.
  if (isMade(database, table)) return;
  checkNoTransaction(database);
  database.exec("BEGIN IMMEDIATE");
  try {
    database.exec(
      `CREATE TABLE IF NOT EXISTS ${SCHEMA_TABLE} (
        name TEXT NOT NULL PRIMARY KEY COLLATE NOCASE,
        version INTEGER NOT NULL
      ) STRICT`,
    );
    if (!isMade(database, table)) create(database, table);
    database.exec("COMMIT");
  } catch (error) {
    rollBack(database);
    throw error;
  }
}

function isMade(database: SqliteDatabase, table: string): boolean {
  if (!isThere(database, SCHEMA_TABLE)) return false;
  const version = schemaVersion(database, table);
  if (version === undefined) return false;
  checkVersion(version, table);
  return isThere(database, table);
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
