/**
 * Keeps sessions in a Postgres table that any number of machines share. It
 * takes the client that you have: `pg`, postgres.js, `Bun.SQL`, or any other
 * with one of their two shapes. Importing this module registers it as
 * `"postgres"` and `"postgresql"`: on Bun, whose client is built in, such a URL
 * is enough.
 *
 * The table is made on first use, in a database whose encoding is UTF-8 and by
 * a server of version 12 or later. To make it yourself, run what
 * {@linkcode PostgresProvider.schema} returns. From then on the client needs
 * `SELECT`, `INSERT`, `UPDATE` and `DELETE` on it and nothing else.
 *
 * Statements are prepared once for each connection, which a pooler between the
 * two may not carry; then say `prepare: false`. With PGlite none are.
 *
 * Any failure of a write leaves it open whether it was done: the answer may have
 * been lost. What the manager has given up never takes effect later, because each
 * write carries the instant, by the server's clock, after which it does nothing.
 * Each answer names the statement that it is of: where a pooler mixes them up, the
 * call fails.
 *
 * What was answered is committed on the server that answered. Whether it outlives
 * that server is said by its settings: with `synchronous_standby_names` empty, as
 * it is by default, a standby that takes over may lack the last writes, so that a
 * session that was ended is open again; with a standby named there it has them, and
 * a write waits for it, unless `synchronous_commit` asks for less than `on`.
 *
 * A connection can fall silent for good while new ones work, as behind a firewall
 * that drops it. A client that the provider opened itself is replaced when calls
 * time out. Of yours, `pg` gets over it with a `query_timeout` of a quarter of the
 * manager's `timeout`: one by one, its connections are found out and closed.
 * What bounds a connection's life or its idle time (`maxLifetimeSeconds` and
 * `idleTimeoutMillis` of `pg`, `max_lifetime` and `idle_timeout` of postgres.js,
 * `maxLifetime` and `idleTimeout` of `Bun.SQL`) closes those that wait for no
 * answer, and in a busy pool all do. Neither `statement_timeout`, `keepAlive` nor a
 * limit on connecting helped. On Bun hand over the URL.
 *
 * After an outage `pg` and `Bun.SQL` connect again by themselves. postgres.js,
 * as of 3.4.9, can be left with connections that never send anything again, so
 * that every call times out until the process makes a new client.
 *
 * @example Hand it a pool of `pg`
 * ```ts ignore
 * import { Manager } from "@cloakroom/session";
 * import { PostgresProvider } from "@cloakroom/session/postgres";
 * import pg from "pg";
 *
 * const pool = new pg.Pool({ connectionString: "postgres://localhost/shop" });
 * // Without a listener, a connection that breaks while idle ends the process.
 * pool.on("error", (error: Error) => console.error(error.message));
 * const manager = new Manager({ provider: new PostgresProvider(pool) });
 * ```
 *
 * @example Make the table by a migration of your own
 * ```ts
 * import { PostgresProvider } from "@cloakroom/session/postgres";
 * import { assertStringIncludes } from "@std/assert";
 *
 * const sql = PostgresProvider.schema("shop.sessions");
 * assertStringIncludes(sql, 'CREATE TABLE "shop"."sessions"');
 * ```
 *
 * @module
 */
import { SessionError } from "../core/errors.ts";
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
import { escaped } from "../core/store/sql_row.ts";
import { inTurns } from "../core/store/turns.ts";
import {
  checkClient,
  openBuiltIn,
  type OwnedClient,
  type PostgresClient,
} from "./postgres/client.ts";
import { Connection } from "./postgres/connection.ts";
import {
  checkPrepare,
  OPTION_NAMES,
  optionsIn,
  type PostgresProviderOptions,
} from "./postgres/options.ts";
import {
  idOf,
  keyOf,
  SESSION,
  SUMMARY,
  toSession,
  toSessionIfReadable,
  toSummaryIfReadable,
} from "./postgres/row.ts";
import {
  collectionOf,
  endOf,
  endsOf,
  insertionOf,
  isLiveSql,
  MOST_COLLECTED,
  MOST_ENDED,
  MOST_REMOVED,
  quoted,
  type Removal,
  removalOf,
  schemaOf,
  type Statement,
  touchOf,
  updateOf,
} from "./postgres/statement.ts";
import { ownOf, ownOptions } from "../core/option_names.ts";

export type {
  PostgresClient,
  PostgresParam,
  PostgresQueryClient,
  PostgresStatement,
  PostgresUnsafeClient,
} from "./postgres/client.ts";
export type { PostgresProviderOptions } from "./postgres/options.ts";

const DEFAULT_TABLE = "cloakroom_sessions";

/** How often rows that are written meanwhile are looked for again. */
const MOST_REMOVALS = 100;

/**
 * Sessions in a table of Postgres, one row each.
 *
 * A call on one session is one statement. `gc`, `destroyAll`, `destroyMany` and
 * `clear` take one for some thousand rows, let others work in between, and begin
 * again where a session was written while they waited for it. Each statement is
 * atomic at the isolation level `READ COMMITTED`.
 * Under a stricter default, a statement that the server refuses because of
 * another is sent again, ten times at most. Nothing is acknowledged before it
 * is committed.
 *
 * A touch moves no indexed column, so that nearly every one is a heap-only
 * update: rows are collected by `collect_at`, a deadline that they had once.
 * `gc` removes those that have expired in the order of that column, and files
 * the others under their present deadline. It costs time in what is due, not in
 * what is kept, and any number of nodes can run it at once. `list` and
 * `destroyAll` find a principal by an index.
 */
export class PostgresProvider implements Provider {
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
   * @param options See {@linkcode PostgresProviderOptions}.
   * @throws {TypeError} If the client has neither `query` nor `unsafe`, is a URL
   * where no client is built in, the table's name is none, `prepare` is no
   * boolean, or there is an option of another name.
   */
  constructor(
    client: PostgresClient | URL | string,
    options: PostgresProviderOptions = {},
  ) {
    const given = ownOptions("create PostgresProvider", options, OPTION_NAMES);
    const address = typeof client === "string" || client instanceof URL
      ? addressOf("PostgresProvider", client, OPTION_NAMES)
      : undefined;
    if (address) checkGivenOnce("PostgresProvider", given, address);
    const { table = DEFAULT_TABLE, prepare = true } = ownOf({
      ...given,
      ...optionsIn(address?.options ?? {}),
    });
    this.#table = quoted(table);
    this.#open = address && (() => openBuiltIn(address.url, prepare));
    this.#connection = new Connection(
      this.#open?.() ?? checkClient(client as PostgresClient),
      { table: this.#table, prepares: checkPrepare(prepare) },
    );
  }

  /**
   * The SQL that makes the table with its indexes and tells its version by a
   * comment, for a migration of your own. Run it as a whole.
   *
   * @param table The table's name, as in {@linkcode PostgresProviderOptions}.
   * @throws {TypeError} If that is no name of a table.
   */
  static schema(table: string = DEFAULT_TABLE): string {
    return schemaOf(quoted(table));
  }

  /** See {@linkcode Provider.create}. */
  async create(
    id: string,
    record: NewSessionRecord,
    _now: number,
    patience?: Patience,
  ): Promise<boolean> {
    const statement = insertionOf(this.#table, id, ownOf(record));
    return (await this.#run(statement, patience)).length > 0;
  }

  /** See {@linkcode Provider.read}. */
  async read(id: string, now: number): Promise<SessionRecord | undefined> {
    const [answer] = await this.#run({
      answer: `SELECT ${SESSION} FROM ${this.#table} AS kept
WHERE id = $1 AND ${isLiveSql("$2")}`,
      values: [escaped(id), now],
    });
    return answer === undefined ? undefined : toSession(answer).record;
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
    const [answer = "gone"] = await this.#run(statement, patience);
    return answer as UpdateResult;
  }

  /** See {@linkcode Provider.touch}. */
  async touch(
    id: string,
    now: number,
    patience?: Patience,
  ): Promise<boolean> {
    const statement = touchOf(this.#table, id, now);
    return (await this.#run(statement, patience)).length > 0;
  }

  /** See {@linkcode Provider.destroy}. */
  async destroy(
    id: string,
    guard: Guard,
    now: number,
    patience?: Patience,
  ): Promise<DestroyResult> {
    const statement = endOf(this.#table, id, ownOf(guard), now);
    const [answer = "absent"] = await this.#run(statement, patience);
    return answer as DestroyResult;
  }

  /** See {@linkcode Provider.destroyMany}. */
  async destroyMany(
    ids: readonly string[],
    guard: Guard,
    now: number,
    patience?: Patience,
  ): Promise<readonly string[]> {
    const ended: string[] = [];
    let at = 0;
    const turn = async () => {
      const batch = ids.slice(at, at += MOST_ENDED);
      const statement = endsOf(this.#table, batch, ownOf(guard), now);
      ended.push(...await this.#run(statement, patience));
      return at < ids.length;
    };
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
      const due = Math.min(limit - total, MOST_COLLECTED);
      const statement = collectionOf(this.#table, now, due);
      const [answer] = await this.#run(statement, patience);
      const [found, ids]: [number, string[]] = JSON.parse(answer as string);
      total += ids.length;
      for (const id of ids) {
        for (const observer of this.#observers) observer("expired", id);
      }
      return found === due && total < limit;
    };
    return await inTurns({ turn, answer: () => total }, patience);
  }

  /** See {@linkcode Provider.list}. */
  async list(principal: string, now: number): Promise<SessionList> {
    const answers = await this.#run({
      answer: `SELECT ${SUMMARY} FROM ${this.#table} AS kept
WHERE principal = $1 AND ${isLiveSql("$2")}`,
      values: [escaped(principal), now],
    });
    return await listFrom(answers, { decode: toSummaryIfReadable, idOf });
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
    const answers = await this.#run({
      answer: `SELECT ${SESSION} FROM ${this.#table} AS kept
WHERE id > $1 AND ${isLiveSql("$2")} ORDER BY id LIMIT $3`,
      values: [cursor ?? "", now, limit],
    });
    const decode = toSessionIfReadable;
    return pageFrom(answers, limit, { decode, idOf, keyOf });
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

  /** Removes rows, some at a time, until none is left that was there before. */
  async #remove(
    removal: Removal | undefined,
    patience: Patience | undefined,
  ): Promise<number> {
    const statement = removalOf(this.#table, removal);
    let total = 0;
    let attempts = 0;
    const turn = async () => {
      const [answer] = await this.#run(statement, patience);
      const [found, removed]: [number, number] = JSON.parse(answer as string);
      total += removed;
      if (found === removed) return found === MOST_REMOVED;
      // Some were written while they were waited for.
      attempts = removed > 0 ? 0 : attempts + 1;
      if (attempts < MOST_REMOVALS) return true;
      throw new SessionError(
        "store-failed",
        `Cannot remove sessions from ${this.#table}: some are still there after ${MOST_REMOVALS} attempts`,
      );
    };
    return await inTurns({ turn, answer: () => total }, patience);
  }

  #run(
    statement: Statement,
    patience?: Patience,
  ): Promise<readonly string[]> {
    this.#checkOpen();
    return this.#connection.run(statement, patience);
  }

  #checkOpen(): void {
    if (!this.#isClosed) return;
    throw new SessionError(
      "closed",
      "Cannot use PostgresProvider: it is closed",
    );
  }
}

/** Reads `postgres://user@host/database?table=shop.sessions&prepare=false`. */
function fromUrl(url: URL | undefined): PostgresProvider {
  if (url === undefined) {
    throw new TypeError(
      "Cannot open provider postgres: it needs the URL of a database, or a PostgresProvider in its place",
    );
  }
  return new PostgresProvider(url);
}

register("postgres", fromUrl);
register("postgresql", fromUrl);
