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
  alteration,
  commentOf,
  creationOf,
  GUARD,
  guardedByVersion,
  insertion,
  quoted,
  SCHEMA_VERSION,
  schemaOf,
  SESSION,
} from "./postgres/statement.ts";
import {
  escaped,
  idOf,
  toSession,
  toSessionIfReadable,
} from "./postgres/row.ts";
import { checkOptionNames } from "../core/option_names.ts";

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

/** How many sessions that were touched one `gc` files anew at most. */
const MOST_REFILED = 10_000;

/**
 * Sessions in a table of Postgres, one row each.
 *
 * Every call is one statement, atomic at the isolation level `READ COMMITTED`;
 * under a stricter default, requests of one session at the same time fail with
 * the server's serialization error instead of waiting for each other. Nothing
 * is acknowledged before it is committed.
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
    const { table = DEFAULT_TABLE, prepare = true, ...others } = options;
    checkOptionNames("create PostgresProvider", others, []);
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
    const { columns, params, values } = insertion(id, record);
    const answers = await this.#run(
      `INSERT INTO ${this.#table} (${columns}) VALUES (${values})
ON CONFLICT (id) DO NOTHING RETURNING 'created'`,
      params,
    );
    return answers.length > 0;
  }

  /** {@inheritDoc Provider.read} */
  async read(id: string, now: number): Promise<SessionRecord | undefined> {
    const [answer] = await this.#run(
      `SELECT ${SESSION} FROM ${this.#table} WHERE id = $1 AND expires_at > $2`,
      [escaped(id), now],
    );
    return answer === undefined ? undefined : toSession(answer).record;
  }

  /** {@inheritDoc Provider.update} */
  async update(
    id: string,
    change: SessionChange,
    guard: UpdateGuard,
    now: number,
  ): Promise<UpdateResult> {
    const table = this.#table;
    const { params, assignments, expected } = alteration(
      [escaped(id), now, guard.secretHash],
      change,
      guard.version,
    );
    const [answer] = await this.#run(
      expected === undefined
        ? `UPDATE ${table} AS kept SET ${assignments}
WHERE ${GUARD} RETURNING 'done'`
        : guardedByVersion(table, assignments, expected),
      params,
    );
    return answer === undefined ? "gone" : answer as UpdateResult;
  }

  /** {@inheritDoc Provider.touch} */
  async touch(id: string, expiresAt: number, now: number): Promise<boolean> {
    const answers = await this.#run(
      `UPDATE ${this.#table} SET accessed_at = $2,
expires_at = greatest(expires_at, $3)
WHERE id = $1 AND expires_at > $2 RETURNING 'touched'`,
      [escaped(id), now, expiresAt],
    );
    return answers.length > 0;
  }

  /** {@inheritDoc Provider.destroy} */
  async destroy(id: string): Promise<boolean> {
    const answers = await this.#run(
      `DELETE FROM ${this.#table} WHERE id = $1 RETURNING 'destroyed'`,
      [escaped(id)],
    );
    return answers.length > 0;
  }

  /** {@inheritDoc Provider.gc} */
  async gc(now: number, limit: number): Promise<number> {
    const table = this.#table;
    const ids = await this.#run(
      `WITH expired AS (
  SELECT id FROM ${table} WHERE collect_at <= $1 AND expires_at <= $1
  ORDER BY collect_at LIMIT $2 FOR UPDATE SKIP LOCKED
), live AS (
  SELECT id FROM ${table} WHERE collect_at <= $1 AND expires_at > $1
  ORDER BY collect_at LIMIT ${MOST_REFILED} FOR NO KEY UPDATE SKIP LOCKED
), refiled AS (
  UPDATE ${table} AS kept SET collect_at = kept.expires_at
  FROM live WHERE kept.id = live.id
)
DELETE FROM ${table} AS kept USING expired WHERE kept.id = expired.id
RETURNING kept.id`,
      [now, limit],
    );
    for (const id of ids) {
      for (const observer of this.#observers) observer("expired", id);
    }
    return ids.length;
  }

  /** {@inheritDoc Provider.list} */
  async list(
    principal: string,
    now: number,
  ): Promise<readonly StoredSession[]> {
    const answers = await this.#run(
      `SELECT ${SESSION} FROM ${this.#table}
WHERE principal = $1 AND expires_at > $2`,
      [escaped(principal), now],
    );
    return answers.map(toSession);
  }

  /** {@inheritDoc Provider.destroyAll} */
  destroyAll(principal: string, except?: string): Promise<number> {
    return this.#remove(
      "WHERE principal = $1 AND id IS DISTINCT FROM $2",
      [escaped(principal), except === undefined ? null : escaped(except)],
    );
  }

  /** {@inheritDoc Provider.scan} */
  async scan(
    cursor: string | undefined,
    limit: number,
    now: number,
  ): Promise<ScanPage> {
    const answers = await this.#run(
      `SELECT ${SESSION} FROM ${this.#table}
WHERE id > $1 AND expires_at > $2 ORDER BY id LIMIT $3`,
      [escaped(cursor ?? ""), now, limit],
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
    return { sessions, unreadable, next: isLast ? undefined : idOf(last) };
  }

  /** {@inheritDoc Provider.clear} */
  clear(): Promise<number> {
    return this.#remove("", []);
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

  /** Removes rows in the order of their ids, or two nodes could deadlock. */
  async #remove(condition: string, params: PostgresParam[]): Promise<number> {
    const [count] = await this.#run(
      `WITH ended AS (
  SELECT id FROM ${this.#table} ${condition} ORDER BY id FOR UPDATE
), removed AS (
  DELETE FROM ${this.#table} AS kept USING ended WHERE kept.id = ended.id
  RETURNING 1
)
SELECT count(*)::text FROM removed`,
      params,
    );
    return Number(count);
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
    if (!this.#isPrepared) await this.#prepare();
    return await this.#send(text, params);
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
