/**
 * Keeps sessions in an SQLite file: they outlive the process, several processes
 * of one machine share them, and there is no server to run. Importing this
 * module registers it as `"sqlite"`: `sqlite:./sessions.db`,
 * `sqlite:/var/lib/site/sessions.db`, `sqlite::memory:`, with the options as a
 * query (`?table=admin&busyTimeout=2`).
 *
 * What a crash costs, for a file that the provider opened itself:
 *
 * | when | what is lost |
 * | --- | --- |
 * | the process is killed | nothing that was answered |
 * | the power fails | the last moments of new and changed sessions, as far as the system had not written them to disk; never one that was ended, and never the file |
 *
 * The write-ahead log is on, with `synchronous = NORMAL`, so that a request need
 * not wait for the disk; `destroy`, `destroyAll` and `clear` do wait (`FULL`),
 * because a session that was signed out must not come back with the power.
 *
 * Calls answer at once, but for `gc`, for those that end many sessions, and for
 * those that find the file locked: while another connection writes, a call that
 * writes stops the process for 10 milliseconds at most, and then waits for
 * `busyTimeout` at most while everything else goes on. Pages that only read are
 * not held up.
 *
 * Never delete, move or replace the file while a process has it open, nor put
 * another one in its place beside its old `-wal`. A process whose file has gone
 * notices with the next `gc` or the next session that ends: from then on its
 * calls fail, until it is restarted.
 *
 * The file must be on a disk of the machine itself: locks of network file systems
 * are not to be relied on. In Deno it takes `--allow-read` and `--allow-write` for
 * the file's folder.
 *
 * @example Sessions that outlive the process
 * ```ts
 * import { Manager } from "@cloakroom/session";
 * import { SqliteProvider } from "@cloakroom/session/sqlite";
 * import { assertEquals } from "@std/assert";
 *
 * const provider = new SqliteProvider(":memory:"); // or "./sessions.db"
 * await using manager = new Manager({ provider });
 * const session = await manager.start(new Request("http://localhost/"));
 * session.signIn("ada");
 * await manager.commit(session, new Response());
 * assertEquals((await manager.list("ada")).length, 1);
 * ```
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import { SessionError } from "../core/errors.ts";
import { ownOf, ownOptions } from "../core/option_names.ts";
import type {
  Awaitable,
  DestroyResult,
  Guard,
  NewSessionRecord,
  Patience,
  Provider,
  RemovalObserver,
  ScanPage,
  SessionChange,
  SessionList,
  SessionRecord,
  SessionSummary,
  StoredSession,
  UpdateResult,
} from "../core/provider.ts";
import { register } from "../core/registry.ts";
import { expiryOf } from "../core/store/record.ts";
import { checkPatience, inTurns } from "../core/store/turns.ts";
import { patchOf } from "./sqlite/data.ts";
import { checkNoTransaction, open, type Opened } from "./sqlite/database.ts";
import type { Row, SqliteDatabase, SqliteParameter } from "./sqlite/driver.ts";
import {
  chunked,
  type Due,
  DUE_AT_ONCE,
  keysOf,
  MOST_REFILED,
  REFILED_AT_ONCE,
  REMOVED_AT_ONCE,
} from "./sqlite/due.ts";
import { lostFile } from "./sqlite/file_watch.ts";
import { Pace } from "./sqlite/pace.ts";
import {
  BEFORE_ALL_KEYS,
  corrupt,
  ID_AT,
  keyOf,
  toParameters,
  toRecord,
  toSummary,
  toText,
} from "./sqlite/row.ts";
import { checkTable, pathOf, type Source, toSource } from "./sqlite/source.ts";
import {
  filed,
  guarded,
  isDataOnly,
  live,
  merged,
  replaced,
  type Standing,
} from "./sqlite/statements.ts";
import { Writes } from "./sqlite/writes.ts";

export type {
  SqliteDatabase,
  SqliteParameter,
  SqliteStatement,
} from "./sqlite/driver.ts";

/** How a {@linkcode SqliteProvider} uses its database. */
export interface SqliteProviderOptions {
  /**
   * The table that holds the sessions, made on first use: a letter or `_`, then
   * up to 47 letters, digits and `_`. Providers with different tables do not see
   * each other's sessions.
   *
   * @default {"sessions"}
   */
  readonly table?: string | undefined;
  /**
   * How long a call that writes waits, in seconds, while another connection has
   * the lock. Other work goes on meanwhile, but for the first 10 milliseconds. A
   * database that was handed in has a busy timeout of its own: it is lowered while
   * a session is written, and then set to what it was at the first call.
   *
   * @default {5}
   */
  readonly busyTimeout?: number | undefined;
  /**
   * Whether SQLite overwrites what is removed with zeros, so that nothing is left
   * of a session that has ended: not in the file, and after the next `gc` not in
   * its log either, unless somebody reads just then. Ending sessions with much
   * data takes longer. Of a database that was handed in, the log is yours.
   *
   * @default {false} for a file; a database that was handed in keeps its own
   */
  readonly secureDelete?: boolean | undefined;
}

/**
 * How often a call is tried that others get in the way of: those whose every
 * write comes between two statements of it.
 */
const MOST_ATTEMPTS = 10;

/** The parameters of a guard that asks nothing. */
const UNGUARDED = guarded(Object.setPrototypeOf({}, null), false);

/**
 * Sessions in a table, one row each.
 *
 * Every change is done by one statement; only if it changed nothing does a second
 * one tell why. `read`, `create`, `update`, `touch` and `destroy` take time in the
 * logarithm of the sessions held; `list` and `destroyAll` in what they find
 * besides, and `list` reads no data. A touch rewrites a few bytes of a row,
 * however long its data, and an update merges the keys it names within the
 * statement.
 *
 * Neither moves the session in the index by deadline, so that `gc` goes by the
 * deadlines that sessions had when it last came to them: about the stalest
 * first. It takes time in the sessions that are due by that index, removes those
 * that have expired and files up to 10,000 of the others anew.
 *
 * `destroyMany`, `destroyAll` and `clear` end some sessions at a time, as many as
 * take about 15 milliseconds, and let other work in between.
 *
 * A table that is dropped meanwhile is made anew by the next call.
 */
export class SqliteProvider implements Provider {
  readonly #source: Source;
  readonly #table: string;
  readonly #observers = new Set<RemovalObserver>();
  readonly #writes: Writes;
  #opened: Opened | undefined;
  /** The file that was lost, if one was. */
  #lost: string | undefined;
  #isClosed = false;

  /**
   * A provider that opens its file, and makes its table, with the first call.
   *
   * @param database The path of a file, `":memory:"`, a URL with the scheme
   * `file:` or `sqlite:`, or a database that is already open. Of that one,
   * nothing is changed but what the options name, and it is yours to close. While
   * a transaction of yours is open on it, calls that write fail.
   * @throws {TypeError} If the URL, the table's name or an option cannot be
   * used.
   * @throws {RangeError} If `busyTimeout` is negative or too large.
   */
  constructor(
    database: string | URL | SqliteDatabase,
    options: SqliteProviderOptions = {},
  ) {
    const { table = "sessions", busyTimeout, secureDelete } = ownOptions(
      "create SqliteProvider",
      options,
      ["table", "busyTimeout", "secureDelete"],
    );
    this.#table = checkTable(table);
    this.#source = toSource(database, { busyTimeout, secureDelete });
    this.#writes = new Writes(
      this.#source.busyTimeout,
      (most, write) => this.#open(most).stoppedFor(most, write),
    );
  }

  /** See {@linkcode Provider.create}. */
  create(
    id: string,
    record: NewSessionRecord,
    _now: number,
    patience?: Patience,
  ): Awaitable<boolean> {
    const own = ownOf(record);
    const parameters = toParameters(own);
    return this.#write(
      ({ create }) =>
        create.run(...filed(id), expiryOf(own), ...parameters) > 0,
      patience,
    );
  }

  /** See {@linkcode Provider.read}. */
  read(id: string, now: number): SessionRecord | undefined {
    const row = this.#open().read.get(...filed(id), ...live(now));
    return row && toRecord(id, row);
  }

  /** See {@linkcode Provider.update}. */
  update(
    id: string,
    change: SessionChange,
    guard: Guard,
    now: number,
    patience?: Patience,
  ): Awaitable<UpdateResult> {
    const own = ownOf(change);
    const patch = patchOf(own);
    const guards = guarded(ownOf(guard), patch !== undefined);
    // The shorter one leaves the indexes alone.
    const isShort = isDataOnly(own);
    const parameters = [
      ...merged(own, patch, now),
      ...(isShort ? [] : replaced(own, now)),
      ...filed(id),
      ...live(now),
      ...guards,
    ];
    return this.#write(({ updateData, updateAll }) => {
      const statement = isShort ? updateData : updateAll;
      return settled("update", id, () => {
        if (isMerged(id, () => statement.run(...parameters))) return "done";
        const standing = this.#standing(id, guards, now);
        if (standing === "unreadable") throw corrupt(id);
        if (standing === "as-guarded") return undefined;
        return standing === "absent" ? "gone" : standing;
      });
    }, patience);
  }

  /** See {@linkcode Provider.touch}. */
  touch(id: string, now: number, patience?: Patience): Awaitable<boolean> {
    return this.#write(({ touch }) => {
      if (touch.run(now, ...filed(id), ...live(now)) > 0) return true;
      const standing = this.#standing(id, UNGUARDED, now);
      if (standing === "unreadable") throw corrupt(id);
      return false;
    }, patience);
  }

  /** See {@linkcode Provider.destroy}. */
  destroy(
    id: string,
    guard: Guard,
    now: number,
    patience?: Patience,
  ): Awaitable<DestroyResult> {
    const guards = guarded(ownOf(guard), false);
    const parameters = [...filed(id), ...guards, ...live(now)];
    return this.#end(({ destroy }) =>
      settled("destroy", id, () => {
        // All rows, though there is one: a failure of the commit comes behind it.
        const [row] = destroy.all(...parameters);
        if (row !== undefined) return row[0] ? "done" : "absent";
        const standing = this.#standing(id, guards, now);
        if (standing === "absent") return "absent";
        const isRefused = standing === "gone" || standing === "conflict";
        return isRefused ? "refused" : undefined;
      }), patience);
  }

  /**
   * See {@linkcode Provider.destroyMany}.
   *
   * Answers at once for up to 100.
   */
  destroyMany(
    ids: readonly string[],
    guard: Guard,
    now: number,
    patience?: Patience,
  ): Awaitable<readonly string[]> {
    const parameters = [...guarded(ownOf(guard), false), ...live(now)];
    const ended: string[] = [];
    const pace = new Pace();
    let at = 0;
    const turn = () => {
      const some = ids.slice(at, at + pace.size);
      at += some.length;
      const keys = `[${some.map(keyOf).join()}]`;
      const end = ({ destroyMany }: Opened) => {
        const rows = pace.measure(() =>
          destroyMany.all(keys, JSON.stringify(some), ...parameters)
        );
        for (const [id, isLive] of rows) if (isLive) ended.push(String(id));
        return at < ids.length;
      };
      return this.#end(end, patience);
    };
    return inTurns({ turn, answer: () => ended }, patience);
  }

  /**
   * See {@linkcode Provider.gc}.
   *
   * Looks at some sessions at a time, and has the log written back to the file in
   * turns of its own, so that other requests are served in between. It writes
   * only if there is something to remove or to file anew.
   */
  async gc(
    now: number,
    limit: number,
    patience?: Patience,
  ): Promise<number> {
    this.#checkFile(this.#open());
    let removed = 0;
    let refiled = 0;
    let due: readonly Due[] = [];
    do {
      due = this.#due(now, due.at(-1));
      const expired = keysOf(due, "expired").slice(0, limit - removed);
      const kept = keysOf(due, "live").slice(0, MOST_REFILED - refiled);
      for (const keys of chunked(expired, REMOVED_AT_ONCE)) {
        removed += await this.#remove(keys, now, patience);
        await rest(patience);
      }
      for (const keys of chunked(kept, REFILED_AT_ONCE)) {
        refiled += await this.#refile(keys, now, patience);
        await rest(patience);
      }
      if (expired.length + kept.length > 0) this.#checkpoint();
      await rest(patience);
    } while (due.length === DUE_AT_ONCE && removed < limit);
    this.#empty();
    return removed;
  }

  /** See {@linkcode Provider.list}. */
  list(principal: string, now: number): SessionList {
    const sessions: SessionSummary[] = [];
    const unreadable: string[] = [];
    for (const row of this.#open().list.all(toText(principal), ...live(now))) {
      const summary = toSummary(row);
      if (typeof summary === "string") unreadable.push(summary);
      else sessions.push(summary);
    }
    return { sessions, unreadable };
  }

  /**
   * See {@linkcode Provider.destroyAll}.
   *
   * Answers at once for up to 99.
   */
  destroyAll(
    principal: string,
    except?: string,
    patience?: Patience,
  ): Awaitable<number> {
    const whose = [toText(principal), except ?? null];
    return this.#endFrom(
      ({ destroyAll }, after, most) => destroyAll.all(...whose, after, most),
      patience,
    );
  }

  /**
   * See {@linkcode Provider.clear}.
   *
   * Answers at once for up to 99.
   */
  clear(patience?: Patience): Awaitable<number> {
    return this.#endFrom(
      ({ clear }, after, most) => clear.all(after, most),
      patience,
    );
  }

  /** See {@linkcode Provider.scan}. */
  scan(cursor: string | undefined, limit: number, now: number): ScanPage {
    const after = cursor === undefined ? BEFORE_ALL_KEYS : keyOf(cursor);
    const rows = this.#open().scan.all(after, ...live(now), limit);
    const sessions: StoredSession[] = [];
    const unreadable: string[] = [];
    for (const row of rows) {
      const id = idOf(row);
      const record = recordOrNone(id, row);
      if (record === undefined) unreadable.push(id);
      else sessions.push({ id, record });
    }
    const last = rows.at(-1);
    const isLast = last === undefined || rows.length < limit;
    return { sessions, unreadable, next: isLast ? undefined : idOf(last) };
  }

  /** See {@linkcode Provider.observe}. */
  observe(observer: RemovalObserver): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  /** See {@linkcode Provider.close}. */
  close(): void {
    this.#isClosed = true;
    const opened = this.#opened;
    this.#opened = undefined;
    opened?.file?.close();
  }

  /** The sessions that are due next, after one of them; none once closed. */
  #due(now: number, after: Due | undefined): readonly Due[] {
    const [key = BEFORE_ALL_KEYS, collectAt = -Number.MAX_VALUE] = after ?? [];
    const rows = this.#opened?.due
      .all(now, now, collectAt, BigInt(key), DUE_AT_ONCE) ?? [];
    return rows as unknown as readonly Due[];
  }

  /** Removes those that are still expired; none once closed. */
  async #remove(
    keys: string,
    now: number,
    patience: Patience | undefined,
  ): Promise<number> {
    if (this.#isClosed) return 0;
    const rows = await this.#write(({ gc }) => gc.all(keys, now), patience);
    for (const [id] of rows) {
      for (const observer of this.#observers) observer("expired", String(id));
    }
    return rows.length;
  }

  /** Files those that are still live under their present deadline. */
  async #refile(
    keys: string,
    now: number,
    patience: Patience | undefined,
  ): Promise<number> {
    if (this.#isClosed) return 0;
    return await this.#write(({ refile }) => refile.run(keys, now), patience);
  }

  #checkpoint(): void {
    this.#opened?.log?.exec("PRAGMA wal_checkpoint(PASSIVE)");
  }

  /** Empties the log, which holds what was removed from the file. */
  #empty(): void {
    if (!this.#source.secureDelete || this.#isClosed) return;
    // Whoever reads or writes just then is not waited for.
    const { log, stoppedFor } = this.#open();
    stoppedFor(0, () => log?.exec("PRAGMA wal_checkpoint(TRUNCATE)"));
  }

  /**
   * Ends sessions in the order of their keys, some at a time, so that it comes to
   * an end whoever signs in meanwhile.
   *
   * @param end Ends at most so many after a key, and answers their keys.
   */
  #endFrom(
    end: (opened: Opened, after: bigint, most: number) => readonly Row[],
    patience: Patience | undefined,
  ): Awaitable<number> {
    const pace = new Pace();
    let after = BEFORE_ALL_KEYS;
    let ended = 0;
    const turn = () =>
      this.#end((opened) => {
        const most = pace.size;
        const rows = pace.measure(() => end(opened, after, most));
        for (const [text] of rows) {
          const key = BigInt(text as string);
          if (key > after) after = key;
        }
        ended += rows.length;
        return rows.length === most;
      }, patience);
    return inTurns({ turn, answer: () => ended }, patience);
  }

  /** A write that waits for the lock if somebody else has it. */
  #write<T>(
    write: (opened: Opened) => T,
    patience: Patience | undefined,
  ): Awaitable<T> {
    return this.#writes.run(() => {
      const opened = this.#open();
      if (opened.given !== undefined) checkNoTransaction(opened.given);
      return write(opened);
    }, patience);
  }

  /** A write that ends sessions, in the file that others see, for good. */
  #end<T>(
    end: (opened: Opened) => T,
    patience: Patience | undefined,
  ): Awaitable<T> {
    return this.#write((opened) => {
      this.#checkFile(opened);
      return durably(opened, end);
    }, patience);
  }

  /** @throws {SessionError} If its file is not where it was. */
  #checkFile({ watch, file }: Opened): void {
    if (watch === undefined || watch.isThere) return;
    this.#lost = watch.path;
    this.#opened = undefined;
    // SQLite leaves a log alone that is no longer beside its file.
    file?.close();
    throw lostFile(watch.path);
  }

  /** @param most How long a lock may stop the process, in milliseconds. */
  #open(most: number = this.#source.busyTimeout * 1000): Opened {
    if (this.#opened !== undefined) return this.#opened;
    if (this.#isClosed) {
      throw new SessionError(
        "closed",
        "Cannot use SqliteProvider: it is closed",
      );
    }
    if (this.#lost !== undefined) throw lostFile(this.#lost);
    return this.#opened = open(this.#source, this.#table, most);
  }

  /** Why a call changed nothing, as far as that is so at this moment. */
  #standing(
    id: string,
    guards: readonly SqliteParameter[],
    now: number,
  ): Standing {
    const { standing } = this.#open();
    const row = standing.get(...live(now), ...guards, ...filed(id));
    return (row?.[0] ?? "absent") as Standing;
  }
}

/** Has the disk confirm what is written; see the module's comment. */
function durably<T>(opened: Opened, write: (opened: Opened) => T): T {
  const { log } = opened;
  if (log === undefined) return write(opened);
  log.exec("PRAGMA synchronous = FULL");
  try {
    return write(opened);
  } finally {
    log.exec("PRAGMA synchronous = NORMAL");
  }
}

/** Lets other work in. */
async function rest(patience: Patience | undefined): Promise<void> {
  patience?.extend();
  await setImmediate();
  checkPatience(patience);
}

/** Tries until a statement has changed the row or told why it must not. */
function settled<T>(verb: string, id: string, attempt: () => T | undefined): T {
  for (let attempts = 0; attempts < MOST_ATTEMPTS; attempts++) {
    const result = attempt();
    if (result !== undefined) return result;
  }
  throw new SessionError(
    "conflict",
    `Cannot ${verb} session ${id}: another process changed it each time in between: try again later`,
    { id },
  );
}

/** Whether a row was there to merge a change into. */
function isMerged(id: string, run: () => number): boolean {
  try {
    return run() > 0;
  } catch (error) {
    // This is json_patch() about a row: what it is given here is JSON.
    const isMalformed = error instanceof Error &&
      error.message.includes("malformed JSON");
    throw isMalformed ? corrupt(id) : error;
  }
}

function idOf(row: Row): string {
  return String(row[ID_AT]);
}

function recordOrNone(id: string, row: Row): SessionRecord | undefined {
  try {
    return toRecord(id, row);
  } catch {
    return undefined;
  }
}

/** Reads `sqlite:./sessions.db?table=admin&busyTimeout=2`. */
function fromUrl(url: URL | undefined): SqliteProvider {
  const path = pathOf(url ?? new URL("sqlite:"));
  const options = Array.from(
    url?.searchParams ?? [],
    ([name, text]) => [name, valueOf(name, text)],
  );
  return new SqliteProvider(path, Object.fromEntries(options));
}

function valueOf(name: string, text: string): unknown {
  if (name === "busyTimeout") return Number(text);
  const isFlag = name === "secureDelete" && /^(true|false)$/.test(text);
  return isFlag ? text === "true" : text;
}

register("sqlite", fromUrl);
