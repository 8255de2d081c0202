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
 * Every call but `gc` is synchronous. While another process writes, a call that writes
 * waits for its turn, and so does everything else in this process, for
 * `busyTimeout` at most. The file must be on a disk of the machine itself: locks
 * of network file systems are not to be relied on. In Deno it takes
 * `--allow-read` and `--allow-write` for the file's folder.
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
  DestroyResult,
  Guard,
  NewSessionRecord,
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
import { patchOf } from "./sqlite/data.ts";
import { open, type Opened } from "./sqlite/database.ts";
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
   * How long a call waits, in seconds, while another process writes. Nothing
   * else runs in this process meanwhile.
   *
   * @default {5} for a file; a database that was handed in keeps its own
   */
  readonly busyTimeout?: number | undefined;
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
 * A table that is dropped meanwhile is made anew by the next call.
 */
export class SqliteProvider implements Provider {
  readonly #source: Source;
  readonly #table: string;
  readonly #observers = new Set<RemovalObserver>();
  #opened: Opened | undefined;
  #isClosed = false;

  /**
   * A provider that opens its file, and makes its table, with the first call.
   *
   * @param database The path of a file, `":memory:"`, a URL with the scheme
   * `file:` or `sqlite:`, or a database that is already open. Of that one,
   * nothing is changed but what the options name, and it is yours to close. No
   * transaction of yours may be open during a call: a roll-back would undo what
   * was answered.
   * @throws {TypeError} If the URL, the table's name or an option cannot be
   * used.
   * @throws {RangeError} If `busyTimeout` is negative or too large.
   */
  constructor(
    database: string | URL | SqliteDatabase,
    options: SqliteProviderOptions = {},
  ) {
    const { table = "sessions", busyTimeout } = ownOptions(
      "create SqliteProvider",
      options,
      ["table", "busyTimeout"],
    );
    this.#table = checkTable(table);
    this.#source = toSource(database, busyTimeout);
  }

  /** {@inheritDoc Provider.create} */
  create(id: string, record: NewSessionRecord, _now: number): boolean {
    const own = ownOf(record);
    const parameters = toParameters(own);
    return this.#open().create
      .run(...filed(id), expiryOf(own), ...parameters) > 0;
  }

  /** {@inheritDoc Provider.read} */
  read(id: string, now: number): SessionRecord | undefined {
    const row = this.#open().read.get(...filed(id), ...live(now));
    return row && toRecord(id, row);
  }

  /** {@inheritDoc Provider.update} */
  update(
    id: string,
    change: SessionChange,
    guard: Guard,
    now: number,
  ): UpdateResult {
    const own = ownOf(change);
    const patch = patchOf(own);
    const guards = guarded(ownOf(guard), patch !== undefined);
    const { updateData, updateAll } = this.#open();
    // The shorter one leaves the indexes alone.
    const isShort = isDataOnly(own);
    const parameters = [
      ...merged(own, patch, now),
      ...(isShort ? [] : replaced(own, now)),
      ...filed(id),
      ...live(now),
      ...guards,
    ];
    const statement = isShort ? updateData : updateAll;
    return settled("update", id, () => {
      if (isMerged(id, () => statement.run(...parameters))) return "done";
      const standing = this.#standing(id, guards, now);
      if (standing === "unreadable") throw corrupt(id);
      if (standing === "as-guarded") return undefined;
      return standing === "absent" ? "gone" : standing;
    });
  }

  /** {@inheritDoc Provider.touch} */
  touch(id: string, now: number): boolean {
    const { touch } = this.#open();
    if (touch.run(now, ...filed(id), ...live(now)) > 0) return true;
    if (this.#standing(id, UNGUARDED, now) === "unreadable") throw corrupt(id);
    return false;
  }

  /** {@inheritDoc Provider.destroy} */
  destroy(id: string, guard: Guard, now: number): DestroyResult {
    const { destroy } = this.#open();
    const guards = guarded(ownOf(guard), false);
    const parameters = [...filed(id), ...guards, ...live(now)];
    return settled("destroy", id, () => {
      const row = this.#durably(() => destroy.get(...parameters));
      if (row !== undefined) return row[0] ? "done" : "absent";
      const standing = this.#standing(id, guards, now);
      if (standing === "absent") return "absent";
      const isRefused = standing === "gone" || standing === "conflict";
      return isRefused ? "refused" : undefined;
    });
  }

  /**
   * {@inheritDoc Provider.gc}
   *
   * The only call that answers later: it looks at some sessions at a time, and
   * has the log written back to the file in turns of its own, so that other
   * requests are served in between. It writes only if there is something to
   * remove or to file anew.
   */
  async gc(now: number, limit: number): Promise<number> {
    this.#open();
    let removed = 0;
    let refiled = 0;
    let due: readonly Due[] = [];
    do {
      due = this.#due(now, due.at(-1));
      const expired = keysOf(due, "expired").slice(0, limit - removed);
      const kept = keysOf(due, "live").slice(0, MOST_REFILED - refiled);
      for (const keys of chunked(expired, REMOVED_AT_ONCE)) {
        removed += this.#remove(keys, now);
        await setImmediate();
      }
      for (const keys of chunked(kept, REFILED_AT_ONCE)) {
        refiled += this.#refile(keys, now);
        await setImmediate();
      }
      if (expired.length + kept.length > 0) this.#checkpoint();
      await setImmediate();
    } while (due.length === DUE_AT_ONCE && removed < limit);
    return removed;
  }

  /** {@inheritDoc Provider.list} */
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

  /** {@inheritDoc Provider.destroyAll} */
  destroyAll(principal: string, except?: string): number {
    const { destroyAll } = this.#open();
    return this.#durably(() =>
      destroyAll.run(toText(principal), except ?? null)
    );
  }

  /** {@inheritDoc Provider.clear} */
  clear(): number {
    const { clear } = this.#open();
    return this.#durably(() => clear.run());
  }

  /** {@inheritDoc Provider.scan} */
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

  /** {@inheritDoc Provider.observe} */
  observe(observer: RemovalObserver): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  /** {@inheritDoc Provider.close} */
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

  /** Removes those that are still expired. */
  #remove(keys: string, now: number): number {
    const rows = this.#opened?.gc.all(keys, now) ?? [];
    for (const [id] of rows) {
      for (const observer of this.#observers) observer("expired", String(id));
    }
    return rows.length;
  }

  /** Files those that are still live under their present deadline. */
  #refile(keys: string, now: number): number {
    return this.#opened?.refile.run(keys, now) ?? 0;
  }

  #checkpoint(): void {
    this.#opened?.log?.exec("PRAGMA wal_checkpoint(PASSIVE)");
  }

  #open(): Opened {
    if (this.#opened !== undefined) return this.#opened;
    if (this.#isClosed) {
      throw new SessionError(
        "closed",
        "Cannot use SqliteProvider: it is closed",
      );
    }
    return this.#opened = open(this.#source, this.#table);
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

  /** Has the disk confirm what `run` writes; see the module's comment. */
  #durably<T>(run: () => T): T {
    const log = this.#opened?.log;
    if (log === undefined) return run();
    log.exec("PRAGMA synchronous = FULL");
    try {
      return run();
    } finally {
      log.exec("PRAGMA synchronous = NORMAL");
    }
  }
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
    ([name, value]) => [name, name === "busyTimeout" ? Number(value) : value],
  );
  return new SqliteProvider(path, Object.fromEntries(options));
}

register("sqlite", fromUrl);
