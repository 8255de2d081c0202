/**
 * Keeps sessions in a table of MariaDB or MySQL that any number of machines share.
 * It takes the client that you have: a pool of `mysql2/promise` or of `mariadb`, or
 * `Bun.SQL`. Importing this module registers it as `"mysql"` and `"mariadb"`: on
 * Bun, whose client is built in, such a URL is enough.
 *
 * It needs MariaDB 10.5 or later, or MySQL 8.0.3 or later, and InnoDB. The table is
 * made on first use; to make it yourself, run what
 * {@linkcode MysqlProvider.schema} returns. From then on the client needs `SELECT`,
 * `INSERT`, `UPDATE` and `DELETE` on it and nothing else.
 *
 * Any failure of a write leaves it open whether it was done: the answer may have
 * been lost. What the manager has given up never takes effect later, because each
 * write carries the instant, by the server's clock, after which it does nothing.
 * With the server's option `--sysdate-is-now` a write is judged by when the server
 * got it, and no more after it waited for a lock.
 *
 * What was answered is committed on the server that answered. Whether it outlives
 * that server is said by its settings, see `docs/mysql.md`.
 *
 * @example Hand it a pool of `mysql2`
 * ```ts ignore
 * import { Manager } from "@cloakroom/session";
 * import { MysqlProvider } from "@cloakroom/session/mysql";
 * import mysql from "mysql2/promise";
 *
 * const pool = mysql.createPool("mysql://ada:secret@localhost/shop");
 * const manager = new Manager({ provider: new MysqlProvider(pool) });
 * ```
 *
 * @example Make the table by a migration of your own
 * ```ts
 * import { MysqlProvider } from "@cloakroom/session/mysql";
 * import { assertStringIncludes } from "@std/assert";
 *
 * const sql = MysqlProvider.schema("shop.sessions");
 * assertStringIncludes(sql, "CREATE TABLE IF NOT EXISTS `shop`.`sessions`");
 * ```
 *
 * @module
 */
import { SessionError } from "../core/errors.ts";
import { ownOf, ownOptions } from "../core/option_names.ts";
import type {
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
  UpdateResult,
} from "../core/provider.ts";
import { register } from "../core/registry.ts";
import { addressOf, checkGivenOnce } from "../core/store/address.ts";
import { listFrom, pageFrom } from "../core/store/sql_answers.ts";
import { inTurns } from "../core/store/turns.ts";
import {
  type Answer,
  checkClient,
  errnoOf,
  type MysqlClient,
  openBuiltIn,
  type OwnedClient,
} from "./mysql/client.ts";
import { Connection, TOO_LARGE } from "./mysql/connection.ts";
import { type MysqlProviderOptions, OPTION_NAMES } from "./mysql/options.ts";
import {
  corrupt,
  idOf,
  keyOf,
  toSession,
  toSessionIfReadable,
  toSummaryIfReadable,
} from "./mysql/row.ts";
import {
  collectionOf,
  dueOf,
  endOf,
  endsOf,
  insertionOf,
  listOfPrincipal,
  MARKS,
  MOST_COLLECTED,
  MOST_NAMED,
  MOST_REMOVED,
  pageOf,
  presentOf,
  readOf,
  refilingOf,
  type Removal,
  removalOf,
  schemaOf,
  standingOf,
  type Statement,
  tableNameOf,
  touchOf,
  updateOf,
} from "./mysql/statement.ts";

export type {
  MysqlClient,
  MysqlExecuteClient,
  MysqlParam,
  MysqlStatement,
  MysqlUnsafeClient,
} from "./mysql/client.ts";
export type { MysqlProviderOptions } from "./mysql/options.ts";

const NAME = "MysqlProvider";

const DEFAULT_TABLE = "cloakroom_sessions";

/** How often an end is tried while others change the session in between. */
const MOST_ENDS = 10;

const DUPLICATE = 1062;

/**
 * Sessions in a table of MariaDB or MySQL, one row each.
 *
 * A call on one session is one statement, and a second one where it ended nothing
 * and has to say why. Each statement is a transaction of its own and looks at rows
 * as they are once they are locked, so that it is atomic under any isolation level.
 * `gc`, `destroyAll`, `destroyMany` and `clear` take one for some hundred or thousand
 * rows and let others work in between. What the server refuses because of another
 * statement (a deadlock, a wait for a lock) is sent once more. Nothing is
 * acknowledged before it is committed.
 *
 * MySQL does not answer what it deletes. There `destroyMany` ends one session after
 * the other, and two nodes that collect at the same time may both tell an observer
 * of one session. MariaDB has `RETURNING` and needs neither. `SKIP LOCKED` is not
 * used.
 *
 * A touch moves no indexed column: rows are collected by `collect_at`, a deadline
 * that they had once. `gc` costs time in what is due, not in what is kept, and any
 * number of nodes can run it at once.
 */
export class MysqlProvider implements Provider {
  readonly #connection: Connection;
  /** Makes the client that it closes itself; `undefined` for one handed in. */
  readonly #open: (() => OwnedClient) | undefined;
  readonly #table: string;
  readonly #observers = new Set<RemovalObserver>();
  #isClosed = false;

  /**
   * A provider on a client, to which nothing is sent yet.
   *
   * @param client Your client, which stays yours to close. On Bun also the URL
   * of a database, for a client that `close()` closes.
   * @param options See {@linkcode MysqlProviderOptions}.
   * @throws {TypeError} If the client has neither `execute` nor `unsafe` or takes
   * callbacks, is a URL where no client is built in, the table's name is none, or
   * there is an option of another name.
   */
  constructor(
    client: MysqlClient | URL | string,
    options: MysqlProviderOptions = {},
  ) {
    const given = ownOptions(`create ${NAME}`, options, OPTION_NAMES);
    const address = typeof client === "string" || client instanceof URL
      ? addressOf(NAME, client, OPTION_NAMES)
      : undefined;
    if (address) checkGivenOnce(NAME, given, address);
    const { table = DEFAULT_TABLE } = ownOf({ ...given, ...address?.options });
    const name = tableNameOf(table);
    this.#table = name.quoted;
    this.#open = address && (() => openBuiltIn(address.url));
    this.#connection = new Connection(
      this.#open?.() ?? checkClient(client as MysqlClient),
      name,
    );
  }

  /**
   * The SQL that makes the table with its indexes and tells its version by a
   * comment, for a migration of your own.
   *
   * @param table The table's name, as in {@linkcode MysqlProviderOptions}.
   * @throws {TypeError} If that is no name of a table.
   */
  static schema(table: string = DEFAULT_TABLE): string {
    return schemaOf(tableNameOf(table).quoted);
  }

  /** See {@linkcode Provider.create}. */
  async create(
    id: string,
    record: NewSessionRecord,
    _now: number,
    patience?: Patience,
  ): Promise<boolean> {
    const statement = insertionOf(this.#table, id, ownOf(record));
    try {
      return (await this.#run(statement, patience)).affected > 0;
    } catch (error) {
      if (errnoOf(error) === DUPLICATE) return false;
      throw ofSession(id, error);
    }
  }

  /** See {@linkcode Provider.read}. */
  async read(id: string, now: number): Promise<SessionRecord | undefined> {
    const { rows: [row] } = await this.#run(readOf(this.#table, id, now));
    return row === undefined ? undefined : toSession(row).record;
  }

  /** See {@linkcode Provider.update}. */
  async update(
    id: string,
    change: SessionChange,
    guard: Guard,
    now: number,
    patience?: Patience,
  ): Promise<UpdateResult> {
    const statement = updateOf(
      this.#table,
      id,
      ownOf(change),
      ownOf(guard),
      now,
    );
    const { affected, mark } = await this.#run(statement, patience)
      .catch((error) => {
        throw ofSession(id, error);
      });
    if (affected > 0) return "done";
    if (mark === MARKS.unreadable) throw corrupt(id);
    return mark === MARKS.conflict ? "conflict" : "gone";
  }

  /** See {@linkcode Provider.touch}. */
  async touch(
    id: string,
    now: number,
    patience?: Patience,
  ): Promise<boolean> {
    const statement = touchOf(this.#table, id, now);
    return (await this.#run(statement, patience)).mark === MARKS.met;
  }

  /** See {@linkcode Provider.destroy}. */
  async destroy(
    id: string,
    guard: Guard,
    now: number,
    patience?: Patience,
  ): Promise<DestroyResult> {
    const own = ownOf(guard);
    const end = async (isLive: boolean) => {
      const statement = endOf(this.#table, id, { guard: own, now, isLive });
      return (await this.#run(statement, patience)).affected > 0;
    };
    for (let attempt = 0; attempt < MOST_ENDS; attempt++) {
      if (await end(true)) return "done";
      const standing = standingOf(this.#table, id, own, now);
      const { rows: [row] } = await this.#run(standing);
      if (row === undefined) return "absent";
      const [isLive, isMet] = row.map(Number);
      if (isLive === 0) {
        // It may live by another clock.
        if (isMet !== 0) await end(false);
        return "absent";
      }
      if (isMet === 0) return "refused";
      // It came to meet the guard just now.
    }
    throw new SessionError(
      "store-failed",
      `Cannot end session ${id}: it was changed during each of ${MOST_ENDS} attempts`,
      { id },
    );
  }

  /** See {@linkcode Provider.destroyMany}. */
  async destroyMany(
    ids: readonly string[],
    guard: Guard,
    now: number,
    patience?: Patience,
  ): Promise<readonly string[]> {
    this.#checkOpen();
    const ended: string[] = [];
    let at = 0;
    const many = async () => {
      const batch = ids.slice(at, at += MOST_NAMED);
      if (batch.length === 0) return false;
      const statement = endsOf(this.#table, batch, ownOf(guard), now);
      const { rows } = await this.#run(statement, patience);
      const live = rows.filter(([, isLive]) => Number(isLive) !== 0);
      ended.push(...live.map(idOf));
      return at < ids.length;
    };
    const one = async () => {
      const id = ids[at++];
      if (id === undefined) return false;
      const result = await this.destroy(id, guard, now, patience);
      if (result === "done") ended.push(id);
      return at < ids.length;
    };
    const turn = await this.#connection.returns() ? many : one;
    return await inTurns({ turn, answer: () => ended }, patience);
  }

  /** See {@linkcode Provider.gc}. */
  async gc(
    now: number,
    limit: number,
    patience?: Patience,
  ): Promise<number> {
    let total = 0;
    const turn = async () => {
      const most = Math.min(limit - total, MOST_COLLECTED);
      const { rows } = await this.#run(dueOf(this.#table, now));
      const due = rows.slice(0, most);
      const live = due.filter(([, isLive]) => Number(isLive) !== 0).map(keyOf);
      const over = due.filter(([, isLive]) => Number(isLive) === 0).map(keyOf);
      if (live.length > 0) {
        await this.#run(refilingOf(this.#table, live, now), patience);
      }
      if (over.length > 0) total += await this.#collect(over, now, patience);
      return due.length === most && total < limit;
    };
    return await inTurns({ turn, answer: () => total }, patience);
  }

  /** See {@linkcode Provider.list}. */
  async list(principal: string, now: number): Promise<SessionList> {
    const statement = listOfPrincipal(this.#table, principal, now);
    const { rows } = await this.#run(statement);
    return await listFrom(rows, { decode: toSummaryIfReadable, idOf });
  }

  /** See {@linkcode Provider.destroyAll}. */
  destroyAll(
    principal: string,
    except?: string,
    patience?: Patience,
  ): Promise<number> {
    return this.#remove({ principal, except }, patience);
  }

  /** See {@linkcode Provider.scan}. */
  async scan(
    cursor: string | undefined,
    limit: number,
    now: number,
  ): Promise<ScanPage> {
    const { rows } = await this.#run(pageOf(this.#table, cursor, limit, now));
    const decode = toSessionIfReadable;
    return pageFrom(rows, limit, { decode, idOf, keyOf });
  }

  /** See {@linkcode Provider.clear}. */
  clear(patience?: Patience): Promise<number> {
    return this.#remove(undefined, patience);
  }

  /** See {@linkcode Provider.observe}. */
  observe(observer: RemovalObserver): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  /** See {@linkcode Provider.serverTime}. */
  async serverTime(): Promise<number> {
    this.#checkOpen();
    return await this.#connection.time();
  }

  /** Opens another client in place of the one that the provider opened. */
  reconnect(): void {
    if (this.#open === undefined || this.#isClosed) return;
    const silent = this.#connection.client as OwnedClient;
    this.#connection.client = this.#open();
    // What waits for it fails at once, as nobody waits for that any more.
    silent.close({ timeout: 0 }).catch(() => {});
  }

  /** See {@linkcode Provider.close}. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#open === undefined) return;
    await (this.#connection.client as OwnedClient).close();
  }

  /** Removes those of some rows that are not live, and tells of each. */
  async #collect(
    keys: readonly string[],
    now: number,
    patience: Patience | undefined,
  ): Promise<number> {
    const returns = await this.#connection.returns();
    const statement = collectionOf(this.#table, keys, now, returns);
    const { rows, affected } = await this.#run(statement, patience);
    const removed = returns
      ? rows.map(idOf)
      : await this.#goneOf(keys, affected);
    for (const id of removed) {
      for (const observer of this.#observers) observer("expired", id);
    }
    return returns ? removed.length : affected;
  }

  /** Which of some rows are gone, if so many of them were removed. */
  async #goneOf(
    keys: readonly string[],
    count: number,
  ): Promise<readonly string[]> {
    if (this.#observers.size === 0 || count === 0) return [];
    if (count === keys.length) return keys.map((key) => idOf([key]));
    const { rows } = await this.#run(presentOf(this.#table, keys));
    const kept = new Set(rows.map(keyOf));
    return keys.filter((key) => !kept.has(key)).map((key) => idOf([key]));
  }

  /** Removes rows, some at a time, until none is left that was there before. */
  async #remove(
    removal: Removal | undefined,
    patience: Patience | undefined,
  ): Promise<number> {
    const statement = removalOf(this.#table, removal);
    let total = 0;
    const turn = async () => {
      const { affected } = await this.#run(statement, patience);
      total += affected;
      return affected === MOST_REMOVED;
    };
    return await inTurns({ turn, answer: () => total }, patience);
  }

  async #run(statement: Statement, patience?: Patience): Promise<Answer> {
    this.#checkOpen();
    return await this.#connection.run(statement, patience);
  }

  #checkOpen(): void {
    if (!this.#isClosed) return;
    throw new SessionError("closed", `Cannot use ${NAME}: it is closed`);
  }
}

/** An error of a statement that may be about one session alone. */
function ofSession(id: string, error: unknown): unknown {
  if (errnoOf(error) !== TOO_LARGE) return error;
  return new SessionError(
    "too-large",
    `Cannot store session ${id}: the server takes no statement of its size: raise max_allowed_packet, or store less`,
    { id },
  );
}

/** Reads `mysql://user@host/database?table=shop.sessions`. */
function fromUrl(url: URL | undefined): MysqlProvider {
  if (url === undefined) {
    throw new TypeError(
      "Cannot open provider mysql: it needs the URL of a database, or a MysqlProvider in its place",
    );
  }
  return new MysqlProvider(url);
}

register("mysql", fromUrl);
register("mariadb", fromUrl);
