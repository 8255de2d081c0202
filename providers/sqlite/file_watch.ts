/** Notices that the path of an open database has come to lead elsewhere. */
import { type BigIntStats, statSync } from "node:fs";
import { resolve } from "node:path";
import { SessionError } from "../../core/errors.ts";
import type { SqliteDatabase } from "./driver.ts";

/**
 * The file of an open database, told from any other by its device and inode. A
 * process whose file is deleted, moved or replaced keeps the old one open, and
 * SQLite says nothing: sessions would be written to where nobody else looks.
 */
export class FileWatch {
  readonly path: string;
  readonly #identity: string;

  private constructor(path: string, identity: string) {
    this.path = path;
    this.#identity = identity;
  }

  /**
   * Watches the file of a database that was just opened; `undefined` if it has
   * none, or if this process may not look at it.
   *
   * @param path As it was given; `undefined` for that which the database names.
   */
  static of(
    database: SqliteDatabase,
    path: string | undefined = pathOf(database),
  ): FileWatch | undefined {
    if (path === undefined || path === "" || path === ":memory:") return;
    const whole = resolve(path);
    const identity = identityOf(whole);
    const isKnown = identity !== undefined && identity !== NONE;
    return isKnown ? new FileWatch(whole, identity) : undefined;
  }

  /** Whether the path leads to the file that it led to at first, or may do so. */
  get isThere(): boolean {
    const identity = identityOf(this.path);
    return identity === undefined || identity === this.#identity;
  }
}

/** The error of every call once its file is not where it was. */
export function lostFile(path: string): SessionError {
  return new SessionError(
    "store-failed",
    `Cannot use SqliteProvider: its file ${path} was deleted, moved or replaced while this process had it open: restart the process; never delete, move or replace the file of a running process, nor leave a -wal of it behind`,
  );
}

/** The identity of no file. */
const NONE = "none";

/** `undefined` if it cannot be told, as when this process may not look. */
function identityOf(path: string): string | undefined {
  try {
    const { dev, ino }: BigIntStats = statSync(path, { bigint: true });
    return `${dev} ${ino}`;
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    return code === "ENOENT" || code === "ENOTDIR" ? NONE : undefined;
  }
}

function pathOf(database: SqliteDatabase): string | undefined {
  const [main] = database.prepare("PRAGMA database_list").all() as {
    readonly file?: string | null;
  }[];
  return main?.file ?? undefined;
}
