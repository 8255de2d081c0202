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
import { fileURLToPath } from "node:url";
import { encode } from "../core/value/codec.ts";
import { SessionError } from "../core/errors.ts";
import type {
  NewSessionRecord,
  Provider,
  RemovalObserver,
  ScanPage,
  SessionChange,
  SessionRecord,
  StoredSession,
  UpdateGuard,
  UpdateResult,
} from "../core/provider.ts";
import { isGuardMet } from "../core/store/record.ts";
import { register } from "../core/registry.ts";
import {
  checkBusyTimeout,
  open,
  type Opened,
  SCHEMA_TABLE,
  type Source,
  type SqliteDatabase,
  type SqliteParameter,
} from "./sqlite/database.ts";
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
  type Columns,
  columnsOf,
  corrupt,
  ID,
  isDataOnly,
  keyOf,
  patchOf,
  toParameters,
  toRecord,
  toReplacements,
} from "./sqlite/row.ts";
import { checkOptionNames } from "../core/option_names.ts";

export type {
  SqliteDatabase,
  SqliteParameter,
  SqliteStatement,
} from "./sqlite/database.ts";

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
 * Sessions in a table, one row each.
 *
 * Every change is done by one statement. An update of the data alone tries a
 * shorter one before, which changes nothing where the deadline is brought
 * forward. `read`, `create`, `update`, `touch` and `destroy` take time in the
 * logarithm of the sessions held; `list` and `destroyAll` in what they find
 * besides. A touch rewrites a few bytes of a row, however long its data, and an
 * update merges the keys it names within the statement.
 *
 * Neither moves the session in the index by deadline, so that `gc` goes by the
 * deadlines that sessions had when it last came to them: about the stalest
 * first. It takes time in the sessions that are due by that index, removes those
 * that have expired and files up to 10,000 of the others anew.
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
    const { table = "sessions", busyTimeout, ...others } = options;
    checkOptionNames("create SqliteProvider", others, []);
    this.#table = checkTable(table);
    checkBusyTimeout(busyTimeout);
    this.#source = isDatabase(database)
      ? { database, busyTimeout }
      : { path: toPath(database), busyTimeout: busyTimeout ?? 5 };
  }

  /** {@inheritDoc Provider.create} */
  create(id: string, record: NewSessionRecord, _now: number): boolean {
    const { create } = this.#open();
    const parameters = toParameters(record);
    return changed(
      create.run(keyOf(id), id, record.expiresAt, ...parameters),
    );
  }

  /** {@inheritDoc Provider.read} */
  read(id: string, now: number): SessionRecord | undefined {
    const { read } = this.#open();
    const row = read.get(keyOf(id), id, now) as object | undefined | null;
    return row ? toRecord(columnsOf(row)) : undefined;
  }

  /** {@inheritDoc Provider.update} */
  update(
    id: string,
    change: SessionChange,
    guard: UpdateGuard,
    now: number,
  ): UpdateResult {
    const { secretHash, version = null } = guard;
    const where = [
      keyOf(id),
      id,
      now,
      secretHash,
      secretHash,
      now,
      version,
      version,
    ];
    const isDone = this.#merge(() => this.#change(change, where, now));
    return isDone ? "done" : this.#refusal(id, guard, now);
  }

  /** {@inheritDoc Provider.touch} */
  touch(id: string, expiresAt: number, now: number): boolean {
    const { touch } = this.#open();
    return changed(touch.run(now, expiresAt, keyOf(id), id, now));
  }

  /** {@inheritDoc Provider.destroy} */
  destroy(id: string): boolean {
    const { destroy } = this.#open();
    return this.#durably(() => changed(destroy.run(keyOf(id), id)));
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
      const live = keysOf(due, "live").slice(0, MOST_REFILED - refiled);
      for (const keys of chunked(expired, REMOVED_AT_ONCE)) {
        removed += this.#remove(keys, now);
        await setImmediate();
      }
      for (const keys of chunked(live, REFILED_AT_ONCE)) {
        refiled += this.#refile(keys, now);
        await setImmediate();
      }
      if (expired.length + live.length > 0) this.#checkpoint();
      await setImmediate();
    } while (due.length === DUE_AT_ONCE && removed < limit);
    return removed;
  }

  /** {@inheritDoc Provider.list} */
  list(principal: string, now: number): readonly StoredSession[] {
    const rows = this.#open().list.all(encode(principal), now) as object[];
    return rows.map((row) => {
      const columns = columnsOf(row);
      return { id: columns[ID], record: toRecord(columns) };
    });
  }

  /** {@inheritDoc Provider.destroyAll} */
  destroyAll(principal: string, except?: string): number {
    const { destroyAll } = this.#open();
    return this.#durably(() =>
      Number(destroyAll.run(encode(principal), except ?? null).changes)
    );
  }

  /** {@inheritDoc Provider.clear} */
  clear(): number {
    const { clear } = this.#open();
    return this.#durably(() => Number(clear.run().changes));
  }

  /** {@inheritDoc Provider.scan} */
  scan(cursor: string | undefined, limit: number, now: number): ScanPage {
    const after = cursor === undefined ? BEFORE_ALL_KEYS : keyOf(cursor);
    const rows = this.#open().scan.all(after, now, limit) as object[];
    const sessions: StoredSession[] = [];
    const unreadable: string[] = [];
    let last: string | undefined;
    for (const row of rows) {
      const columns = columnsOf(row);
      last = columns[ID];
      const record = recordOrNone(columns);
      if (record === undefined) unreadable.push(last);
      else sessions.push({ id: last, record });
    }
    const next = rows.length < limit ? undefined : last;
    return { sessions, unreadable, next };
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
      .all(now, now, collectAt, BigInt(key), DUE_AT_ONCE) as object[] ?? [];
    return rows.map((row) => Object.values(row) as unknown as Due);
  }

  /** Removes those that are still expired. */
  #remove(keys: string, now: number): number {
    const rows = this.#opened?.gc.all(keys, now) as object[] ?? [];
    for (const row of rows) {
      const [id] = Object.values(row) as [string];
      for (const observer of this.#observers) observer("expired", id);
    }
    return rows.length;
  }

  /** Files those that are still live under their present deadline. */
  #refile(keys: string, now: number): number {
    return Number(this.#opened?.refile.run(keys, now).changes ?? 0);
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

  #change(
    change: SessionChange,
    where: readonly SqliteParameter[],
    now: number,
  ): boolean {
    const { updateData, updateAll } = this.#open();
    const { expiresAt } = change;
    const merged = [now, expiresAt, patchOf(change)];
    if (isDataOnly(change)) {
      // It leaves the indexes alone, and a deadline that is brought forward.
      const result = updateData.run(...merged, ...where, expiresAt);
      if (changed(result)) return true;
    }
    const replaced = [expiresAt, ...toReplacements(change)];
    return changed(updateAll.run(...merged, ...replaced, ...where));
  }

  #merge(run: () => boolean): boolean {
    try {
      return run();
    } catch (cause) {
      // This is json_patch() about a row: what it is given here is JSON.
      const isMalformed = cause instanceof Error &&
        cause.message.includes("malformed JSON");
      throw isMalformed ? corrupt({ cause }) : cause;
    }
  }

  /** Why an update changed no row; what is left in the end is the data. */
  #refusal(id: string, guard: UpdateGuard, now: number): UpdateResult {
    const record = this.read(id, now);
    if (record === undefined || !isGuardMet(record, guard, now)) return "gone";
    const { version = record.version } = guard;
    if (version !== record.version) return "conflict";
    throw corrupt();
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

function recordOrNone(columns: Columns): SessionRecord | undefined {
  try {
    return toRecord(columns);
  } catch {
    return undefined;
  }
}

function changed(result: { readonly changes: number | bigint }): boolean {
  return Number(result.changes) > 0;
}

function isDatabase(
  database: string | URL | SqliteDatabase,
): database is SqliteDatabase {
  return typeof database === "object" && !(database instanceof URL);
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

function pathOf(url: URL): string {
  if (url.pathname !== "" && url.host === "" && url.hash === "") {
    return decodeURIComponent(url.pathname);
  }
  throw new TypeError(
    `Cannot open provider sqlite: its URL must hold the path of a file, such as sqlite:./sessions.db: received ${url}`,
  );
}

function checkTable(table: string): string {
  const isName = typeof table === "string" &&
    /^(?!sqlite_)[a-z_]\w{0,47}$/i.test(table) &&
    table.toLowerCase() !== SCHEMA_TABLE;
  if (isName) return table;
  throw new TypeError(
    `Cannot create SqliteProvider: table must be a letter or _, then up to 47 letters, digits and _, and no name that is reserved: received ${table}`,
  );
}

/** Reads `sqlite:./sessions.db?table=admin&busyTimeout=2`. */
function fromUrl(url: URL | undefined): SqliteProvider {
  const path = pathOf(url ?? new URL("sqlite:"));
  const options: Record<string, string | number> = {};
  for (const [name, value] of url?.searchParams ?? []) {
    options[name] = name === "busyTimeout" ? Number(value) : value;
  }
  return new SqliteProvider(path, options);
}

register("sqlite", fromUrl);
