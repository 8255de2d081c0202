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
 * pool.on("error", (error) => console.error(error.message));
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
import {
  checkClient,
  openBuiltIn,
  type OwnedClient,
  type PostgresClient,
  type PostgresParam,
  send,
} from "./postgres/client.ts";
import {
  escaped,
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
  commentOf,
  creationOf,
  endOf,
  insertionOf,
  liveSql,
  quoted,
  type Removal,
  removalOf,
  SCHEMA_VERSION,
  schemaOf,
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

/** Where a {@linkcode PostgresProvider} keeps its sessions. */
export interface PostgresProviderOptions {
  /**
   * The table, with its schema or without: letters, digits and underscores, as
   * they are to be written (`Sessions` and `sessions` are two tables).
   *
   * @default {"cloakroom_sessions"}
   */
  readonly table?: string | undefined;
  /**
   * Whether each connection keeps the statements that it has run, prepared under
   * names that follow from their SQL, so that the server need not parse and plan
   * them again. To be `false` behind a pooler that hands a connection on with
   * each transaction and knows nothing of prepared statements (PgBouncer before
   * 1.21, or with `max_prepared_statements = 0`), where connections are given
   * `DISCARD ALL` or `DEALLOCATE ALL`, and for a client that takes SQL as a text
   * and nothing else. A `Bun.SQL` of yours has an option of this name itself.
   *
   * @default {true}
   */
  readonly prepare?: boolean | undefined;
}

const DEFAULT_TABLE = "cloakroom_sessions";

const OPTION_NAMES: readonly string[] = Object.keys(
  { table: 1, prepare: 1 } satisfies Record<keyof PostgresProviderOptions, 1>,
);

/** How often rows that are written meanwhile are looked for again. */
const MOST_REMOVALS = 100;

/**
 * Sessions in a table of Postgres, one row each.
 *
 * Every call is one statement, `destroyAll` and `clear` one more if a session is
 * written while they wait for it. Each is atomic at the isolation level `READ COMMITTED`.
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
  readonly #client: PostgresClient;
  readonly #isOwner: boolean;
  readonly #table: string;
  readonly #preparesStatements: boolean;
  readonly #observers = new Set<RemovalObserver>();
  #preparing: Promise<void> | undefined;
  #isPrepared = false;
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
    const { table = DEFAULT_TABLE, prepare = true } = ownOptions(
      "create PostgresProvider",
      options,
      OPTION_NAMES,
    );
    this.#preparesStatements = checkPrepare(prepare);
    this.#table = quoted(table);
    this.#isOwner = typeof client === "string" || client instanceof URL;
    this.#client = this.#isOwner
      ? openBuiltIn(client as URL | string, prepare)
      : checkClient(client as PostgresClient);
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

  /** {@inheritDoc Provider.create} */
  async create(
    id: string,
    record: NewSessionRecord,
    _now: number,
  ): Promise<boolean> {
    const { text, values } = insertionOf(this.#table, id, ownOf(record));
    return (await this.#run(text, values)).length > 0;
  }

  /** {@inheritDoc Provider.read} */
  async read(id: string, now: number): Promise<SessionRecord | undefined> {
    const [answer] = await this.#run(
      `SELECT ${SESSION} FROM ${this.#table} AS kept
WHERE id = $1 AND ${liveSql("$2")}`,
      [escaped(id), now],
    );
    return answer === undefined ? undefined : toSession(answer).record;
  }

  /** {@inheritDoc Provider.update} */
  async update(
    id: string,
    change: SessionChange,
    guard: Guard,
    now: number,
  ): Promise<UpdateResult> {
    const { text, values } = updateOf(
      this.#table,
      id,
      ownOf(change),
      ownOf(guard),
      now,
    );
    const [answer = "gone"] = await this.#run(text, values);
    return answer as UpdateResult;
  }

  /** {@inheritDoc Provider.touch} */
  async touch(id: string, now: number): Promise<boolean> {
    const answers = await this.#run(
      `UPDATE ${this.#table} AS kept
SET accessed_at = greatest(accessed_at, $2::float8)
WHERE id = $1 AND ${liveSql("$2")} RETURNING 'touched'`,
      [escaped(id), now],
    );
    return answers.length > 0;
  }

  /** {@inheritDoc Provider.destroy} */
  async destroy(
    id: string,
    guard: Guard,
    now: number,
  ): Promise<DestroyResult> {
    const { text, values } = endOf(this.#table, id, ownOf(guard), now);
    const [answer = "absent"] = await this.#run(text, values);
    return answer as DestroyResult;
  }

  /** {@inheritDoc Provider.gc} */
  async gc(now: number, limit: number): Promise<number> {
    const text = collectionOf(this.#table);
    const ids = await this.#run(text, [now, limit]);
    for (const id of ids) {
      for (const observer of this.#observers) observer("expired", id);
    }
    return ids.length;
  }

  /** {@inheritDoc Provider.list} */
  async list(principal: string, now: number): Promise<SessionList> {
    const answers = await this.#run(
      `SELECT ${SUMMARY} FROM ${this.#table} AS kept
WHERE principal = $1 AND ${liveSql("$2")}`,
      [escaped(principal), now],
    );
    const sessions: SessionSummary[] = [];
    const unreadable: string[] = [];
    for (const answer of answers) {
      const summary = toSummaryIfReadable(answer);
      if (summary === undefined) unreadable.push(idOf(answer));
      else sessions.push(summary);
    }
    return { sessions, unreadable };
  }

  /** {@inheritDoc Provider.destroyAll} */
  destroyAll(principal: string, except?: string): Promise<number> {
    return this.#remove({ principal, except });
  }

  /** {@inheritDoc Provider.scan} */
  async scan(
    cursor: string | undefined,
    limit: number,
    now: number,
  ): Promise<ScanPage> {
    const answers = await this.#run(
      `SELECT ${SESSION} FROM ${this.#table} AS kept
WHERE id > $1 AND ${liveSql("$2")} ORDER BY id LIMIT $3`,
      [cursor ?? "", now, limit],
    );
    const sessions: StoredSession[] = [];
    const unreadable: string[] = [];
    for (const answer of answers) {
      const session = toSessionIfReadable(answer);
      if (session === undefined) unreadable.push(idOf(answer));
      else sessions.push(session);
    }
    const last = answers.at(-1);
    const isLast = answers.length < limit || last === undefined;
    return { sessions, unreadable, next: isLast ? undefined : keyOf(last) };
  }

  /** {@inheritDoc Provider.clear} */
  clear(): Promise<number> {
    return this.#remove(undefined);
  }

  /** {@inheritDoc Provider.observe} */
  observe(observer: RemovalObserver): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  /** {@inheritDoc Provider.close} */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#isOwner) await (this.#client as OwnedClient).close();
  }

  /** Removes rows until all that are found are removed. */
  async #remove(removal: Removal | undefined): Promise<number> {
    const { text, values } = removalOf(this.#table, removal);
    let total = 0;
    for (let attempt = 1; attempt <= MOST_REMOVALS; attempt++) {
      const [answer] = await this.#run(text, values);
      const [found, removed]: number[] = JSON.parse(answer as string);
      total += removed as number;
      if (found === removed) return total;
    }
    throw new SessionError(
      "store-failed",
      `Cannot remove sessions from ${this.#table}: some are still there after ${MOST_REMOVALS} attempts`,
    );
  }

  async #run(
    text: string,
    params: PostgresParam[],
  ): Promise<readonly string[]> {
    if (this.#isClosed) {
      throw new SessionError(
        "closed",
        "Cannot use PostgresProvider: it is closed",
      );
    }
    for (let attempt = 1;; attempt++) {
      if (!this.#isPrepared) await this.#prepare();
      try {
        return await this.#send(text, params);
      } catch (error) {
        const code = codeOf(error);
        if (attempt === MOST_ATTEMPTS || !RETRIED.has(code)) throw error;
        // Somebody has dropped the table: it is made anew.
        if (code === UNDEFINED_TABLE) this.#forgetTable();
      }
    }
  }

  #forgetTable(): void {
    this.#isPrepared = false;
    this.#preparing = undefined;
  }

  /** Makes the table once; what failed is tried anew by the next call. */
  #prepare(): Promise<void> {
    this.#preparing ??= this.#makeTable().then(
      () => {
        this.#isPrepared = true;
      },
      (error) => {
        this.#preparing = undefined;
        throw error;
      },
    );
    return this.#preparing;
  }

  async #makeTable(): Promise<void> {
    if (await this.#isTableThere()) return;
    await this.#send(creationOf(this.#table), []);
    await this.#isTableThere();
  }

  /** Refuses a table that is there and is not of this version. */
  async #isTableThere(): Promise<boolean> {
    const [comment] = await this.#send(
      // Through pg_class, so that table and comment are of one snapshot.
      `SELECT coalesce(obj_description(oid, 'pg_class'), '')
FROM pg_class WHERE oid = to_regclass($1::text)`,
      [this.#table],
    );
    if (comment === undefined) return false;
    if (comment === commentOf(SCHEMA_VERSION)) return true;
    const [, version] = /^cloakroom session schema (\d+)$/.exec(comment) ?? [];
    throw new SessionError(
      "store-failed",
      `Cannot use table ${this.#table}: its comment must say "${
        commentOf(SCHEMA_VERSION)
      }": received ${version === undefined ? "another one" : `"${comment}"`}`,
    );
  }

  /** The first column of each row: clients can rename and convert columns. */
  async #send(
    text: string,
    params: PostgresParam[],
  ): Promise<readonly string[]> {
    const answer = await send(
      this.#client,
      text,
      params,
      this.#preparesStatements,
    );
    const rows: readonly Readonly<Record<string, string>>[] =
      Array.isArray(answer) ? answer : (answer as { rows: [] }).rows;
    return rows.map((row) => Object.values(row)[0] as string);
  }
}

/** How often a statement is sent at most: each refusal let another one pass. */
const MOST_ATTEMPTS = 10;

const UNDEFINED_TABLE = "42P01";

/** What is sent again: serialization failure, deadlock, no table. */
const RETRIED: ReadonlySet<string> = new Set([
  "40001",
  "40P01",
  UNDEFINED_TABLE,
]);

/** The server's code; `Bun.SQL` has it as `errno`. */
function codeOf(error: unknown): string {
  const { code, errno } = Object(error);
  return RETRIED.has(String(errno)) ? String(errno) : String(code);
}

function checkPrepare(prepare: boolean): boolean {
  if (typeof prepare === "boolean") return prepare;
  throw new TypeError(
    `Cannot create PostgresProvider: prepare must be true or false: received ${prepare}`,
  );
}

/** Reads `postgres://user@host/database?table=shop.sessions&prepare=false`. */
function fromUrl(url: URL | undefined): PostgresProvider {
  if (url === undefined) {
    throw new TypeError(
      "Cannot open provider postgres: it needs the URL of a database, or a PostgresProvider in its place",
    );
  }
  const database = new URL(url);
  const table = database.searchParams.get("table") ?? undefined;
  const prepare = database.searchParams.get("prepare") ?? "true";
  database.searchParams.delete("table");
  database.searchParams.delete("prepare");
  if (prepare === "true" || prepare === "false") {
    return new PostgresProvider(database, {
      table,
      prepare: prepare === "true",
    });
  }
  throw new TypeError(
    `Cannot open provider postgres: prepare must be true or false: received ${prepare}`,
  );
}

register("postgres", fromUrl);
register("postgresql", fromUrl);
