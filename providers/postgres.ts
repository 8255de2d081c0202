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
import { decode, encode } from "../core/codec.ts";
import { SessionError } from "../core/errors.ts";
import type {
  NewSessionRecord,
  Provider,
  RemovalObserver,
  SessionChange,
  SessionRecord,
  StoredSession,
  UpdateGuard,
  UpdateResult,
} from "../core/provider.ts";
import { register } from "../core/registry.ts";
import {
  emptyObject,
  put,
  type StoredData,
  type StoredValue,
} from "../core/value.ts";

/** What a statement is sent with. */
export type PostgresParam = string | number | boolean | null;

/** A client with the shape of `pg`: a `Pool`, or a `Client` of its own. */
export interface PostgresQueryClient {
  /**
   * Runs one statement.
   *
   * @param text SQL.
   * @param params The values of `$1`, `$2`, …
   * @returns An object whose `rows` are objects, or the rows themselves.
   */
  query(text: string, params: PostgresParam[]): PromiseLike<unknown>;
}

/** A client with the shape of postgres.js and `Bun.SQL`. */
export interface PostgresUnsafeClient {
  /**
   * Runs one statement.
   *
   * @param text SQL.
   * @param params The values of `$1`, `$2`, …
   * @param options `prepare` asks postgres.js for a prepared statement, without
   * which every call would take it two round trips.
   * @returns The rows, or an object that has them as `rows`.
   */
  unsafe(
    text: string,
    params: PostgresParam[],
    options: { prepare: boolean },
  ): PromiseLike<unknown>;
}

/** What a {@linkcode PostgresProvider} sends its statements through. */
export type PostgresClient = PostgresQueryClient | PostgresUnsafeClient;

/** Where a {@linkcode PostgresProvider} keeps its sessions. */
export interface PostgresProviderOptions {
  /**
   * The table, with its schema or without: letters, digits and underscores, as
   * they are to be written (`Sessions` and `sessions` are two tables).
   *
   * @default {"cloakroom_sessions"}
   */
  readonly table?: string | undefined;
}

const DEFAULT_TABLE = "cloakroom_sessions";

/** The layout of the table that this module reads and writes. */
const SCHEMA_VERSION = 1;

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
   * where no client is built in, the table's name is none, or there is an
   * option of another name.
   */
  constructor(
    client: PostgresClient | URL | string,
    options: PostgresProviderOptions = {},
  ) {
    const { table = DEFAULT_TABLE, ...others } = options;
    checkNoOthers(others);
    this.#table = quoted(table);
    this.#isOwner = typeof client === "string" || client instanceof URL;
    this.#client = this.#isOwner
      ? openBuiltIn(client as URL | string)
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
      `UPDATE ${this.#table} SET accessed_at = $2, expires_at = $3,
collect_at = least(collect_at, $3)
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
    const client = this.#client;
    const answer = "unsafe" in client
      ? await client.unsafe(text, params, { prepare: true })
      : await client.query(text, params);
    const rows: readonly Readonly<Record<string, string>>[] =
      Array.isArray(answer) ? answer : (answer as { rows: [] }).rows;
    return rows.map((row) => Object.values(row)[0] as string);
  }
}

/**
 * A session as one JSON text: numbers arrive as numbers and names as they are,
 * whatever the client does with columns.
 */
const SESSION = `json_build_array(id, version, secret_hash, renewed_at,
previous_hash, previous_expires_at, principal, label, authenticated_at,
fingerprint, created_at, accessed_at, expires_at, idle_timeout,
absolute_timeout, persistent, data)::text`;

/** The live row `$1` at the instant `$2`, if `$3` is a secret that opens it. */
const GUARD = `kept.id = $1 AND kept.expires_at > $2 AND (
  kept.secret_hash = $3 OR
  kept.previous_hash = $3 AND kept.previous_expires_at > $2
)`;

/**
 * Locks the row first: an update alone would tell "gone" from "conflict" by the
 * row as it was when the statement began, and not by the one that it waited for.
 */
function guardedByVersion(
  table: string,
  assignments: string,
  expected: string,
): string {
  return `WITH found AS (
  SELECT id, version FROM ${table} AS kept WHERE ${GUARD} FOR NO KEY UPDATE
), changed AS (
  UPDATE ${table} AS kept SET ${assignments}
  FROM found WHERE kept.id = found.id AND found.version = ${expected}
  RETURNING 1
)
SELECT CASE WHEN EXISTS (SELECT FROM changed) THEN 'done' ELSE 'conflict' END
FROM found`;
}

function schemaOf(table: string): string {
  // Instants are doubles, as in JavaScript: a clock may have fractions.
  return `CREATE TABLE ${table} (
  id text COLLATE "C" PRIMARY KEY,
  version bigint NOT NULL,
  secret_hash text NOT NULL,
  renewed_at double precision NOT NULL,
  previous_hash text,
  previous_expires_at double precision,
  principal text COLLATE "C",
  label text,
  authenticated_at double precision,
  fingerprint text,
  created_at double precision NOT NULL,
  accessed_at double precision NOT NULL,
  expires_at double precision NOT NULL,
  collect_at double precision NOT NULL,
  idle_timeout double precision NOT NULL,
  absolute_timeout double precision NOT NULL,
  persistent boolean NOT NULL,
  data jsonb NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX ON ${table} (collect_at);
CREATE INDEX ON ${table} USING hash (principal);
COMMENT ON TABLE ${table} IS '${commentOf(SCHEMA_VERSION)}';
`;
}

function commentOf(version: number): string {
  return `cloakroom session schema ${version}`;
}

/**
 * One statement, so that a node that fails half-way leaves nothing behind. Of
 * several at once the first makes the table, and each of the others waits for it
 * at one of the catalog's unique indexes or finds what it has made.
 */
function creationOf(table: string): string {
  return `DO $body$ BEGIN
${schemaOf(table)}EXCEPTION
WHEN duplicate_table OR duplicate_object OR unique_violation THEN NULL;
END $body$`;
}

/** The columns of a new row with their values. */
function insertion(id: string, record: NewSessionRecord) {
  const row: Record<string, PostgresParam> = {
    id: escaped(id),
    version: 1,
    created_at: record.createdAt,
    accessed_at: record.accessedAt,
    expires_at: record.expiresAt,
    collect_at: record.expiresAt,
    data: encodeData(record.data),
    ...columnsOf(record),
  };
  const names = Object.keys(row);
  return {
    columns: names.join(),
    params: Object.values(row),
    values: names.map((name, index) => placeholder(name, index + 1)).join(),
  };
}

/** The columns of an updated row, and the version to compare with, if any. */
function alteration(
  params: PostgresParam[],
  change: SessionChange,
  version: number | undefined,
) {
  const bind = (name: string, value: PostgresParam) =>
    placeholder(name, params.push(value));
  const expiresAt = bind("expires_at", change.expiresAt);
  const assignments = [
    "version = kept.version + 1",
    "accessed_at = $2",
    `expires_at = ${expiresAt}`,
    `collect_at = least(kept.collect_at, ${expiresAt})`,
  ];
  for (const [name, value] of Object.entries(columnsOf(change))) {
    assignments.push(`${name} = ${bind(name, value)}`);
  }
  const data = dataExpression(change, bind);
  if (data !== "kept.data") assignments.push(`data = ${data}`);
  return {
    params,
    assignments: assignments.join(", "),
    expected: version === undefined ? undefined : bind("version", version),
  };
}

/** The data with some keys less and some more, merged by the server. */
function dataExpression(
  { set, delete: removed = [] }: SessionChange,
  bind: (name: string, value: PostgresParam) => string,
): string {
  let data = "kept.data";
  if (removed.length > 0) {
    // What is escaped already is quoted in an array as it is in JSON.
    const keys = removed.map((key) => JSON.stringify(escaped(key)));
    data = `${data} - ${bind("keys", `{${keys.join()}}`)}`;
  }
  if (set !== undefined && Object.keys(set).length > 0) {
    data = `${data} || ${bind("data", encodeData(set))}`;
  }
  return data;
}

/** A parameter in the type of its column; text is what every client can send. */
function placeholder(name: string, position: number): string {
  if (name === "data") return `$${position}::text::jsonb`;
  return name === "keys" ? `$${position}::text::text[]` : `$${position}`;
}

/** The columns of those fields that a record or a change gives. */
function columnsOf(
  source: Partial<SessionChange>,
): Record<string, PostgresParam> {
  const { previous } = source;
  const columns = {
    secret_hash: source.secretHash,
    renewed_at: source.renewedAt,
    previous_hash: previous && previous.secretHash,
    previous_expires_at: previous && previous.expiresAt,
    principal: escapedIfAny(source.principal),
    label: escapedIfAny(source.label),
    authenticated_at: source.authenticatedAt,
    fingerprint: escapedIfAny(source.fingerprint),
    idle_timeout: source.idleTimeout,
    absolute_timeout: source.absoluteTimeout,
    persistent: source.persistent,
  };
  const given: Record<string, PostgresParam> = {};
  for (const [name, value] of Object.entries(columns)) {
    if (value !== undefined) given[name] = value;
  }
  return given;
}

/**
 * A text without what Postgres cannot hold, NUL and lone surrogates: written as
 * in JSON. Most texts stay as they are.
 */
function escaped(text: string): string {
  // deno-lint-ignore no-control-regex
  if (!/[\0-\x1f"\\\ud800-\udfff]/.test(text)) return text;
  return JSON.stringify(text).slice(1, -1);
}

function escapedIfAny(text: string | null | undefined) {
  return typeof text === "string" ? escaped(text) : text;
}

function unescaped(text: string): string {
  return text.includes("\\") ? JSON.parse(`"${text}"`) : text;
}

/**
 * JSON of each value's text by its escaped key. The server merges by key; a
 * value is to it a text without `\u0000`, which `jsonb` would refuse, and comes
 * back to the letter.
 */
function encodeData(data: StoredData): string {
  const texts: Record<string, StoredValue> = {};
  for (const key of Object.keys(data)) {
    put(texts, escaped(key), encode(data[key] as StoredValue));
  }
  return JSON.stringify(texts);
}

function decodeData(texts: unknown): StoredData {
  if (typeof texts !== "object" || texts === null || Array.isArray(texts)) {
    throw new TypeError("not an object");
  }
  const data = emptyObject();
  for (const [key, text] of Object.entries(texts)) {
    if (typeof text !== "string") throw new TypeError("not a text");
    put(data, unescaped(key), decode(text));
  }
  return Object.freeze(data);
}

/** What {@linkcode SESSION} answers. */
type SessionRow = readonly [
  id: string,
  version: number,
  secretHash: string,
  renewedAt: number,
  previousHash: string | null,
  previousExpiresAt: number | null,
  principal: string | null,
  label: string | null,
  authenticatedAt: number | null,
  fingerprint: string | null,
  createdAt: number,
  accessedAt: number,
  expiresAt: number,
  idleTimeout: number,
  absoluteTimeout: number,
  persistent: boolean,
  data: unknown,
];

function toSession(answer: string): StoredSession {
  try {
    const row: SessionRow = JSON.parse(answer);
    return { id: unescaped(row[0]), record: toRecord(row) };
  } catch {
    // An engine's own error quotes what it cannot parse.
    throw new SessionError(
      "corrupt",
      "Cannot decode session: its row is not what PostgresProvider wrote",
    );
  }
}

function toRecord(row: SessionRow): SessionRecord {
  const [
    _id,
    version,
    secretHash,
    renewedAt,
    previousHash,
    previousExpiresAt,
    principal,
    label,
    authenticatedAt,
    fingerprint,
    createdAt,
    accessedAt,
    expiresAt,
    idleTimeout,
    absoluteTimeout,
    persistent,
    data,
  ] = row;
  const previous = previousHash === null || previousExpiresAt === null
    ? undefined
    : Object.freeze({ secretHash: previousHash, expiresAt: previousExpiresAt });
  return Object.freeze({
    data: decodeData(data),
    version,
    secretHash,
    renewedAt,
    previous,
    principal: principal === null ? undefined : unescaped(principal),
    label: label === null ? undefined : unescaped(label),
    authenticatedAt: authenticatedAt ?? undefined,
    fingerprint: fingerprint === null ? undefined : unescaped(fingerprint),
    createdAt,
    accessedAt,
    expiresAt,
    idleTimeout,
    absoluteTimeout,
    persistent,
  });
}

/** A table's name in SQL, each part in quotes. */
function quoted(table: string): string {
  if (/^(?:[a-z_]\w{0,62}\.)?[a-z_]\w{0,62}$/i.test(table)) {
    return table.split(".").map((part) => `"${part}"`).join(".");
  }
  throw new TypeError(
    `Cannot create PostgresProvider: table must be letters, digits and underscores, after a schema and a dot or alone: received ${table}`,
  );
}

function checkClient(client: PostgresClient): PostgresClient {
  const { query, unsafe } = Object(client);
  if (typeof query === "function" || typeof unsafe === "function") {
    return client;
  }
  throw new TypeError(
    `Cannot create PostgresProvider: the client must have a query or an unsafe method: received ${typeof client}`,
  );
}

function checkNoOthers(options: object): void {
  const [name] = Object.keys(options);
  if (name === undefined) return;
  throw new TypeError(
    `Cannot create PostgresProvider: unknown option: received ${name}`,
  );
}

interface OwnedClient extends PostgresUnsafeClient {
  close(): Promise<void>;
}

interface BuiltIn {
  readonly SQL?: new (url: string) => OwnedClient;
}

function openBuiltIn(url: URL | string): OwnedClient {
  const { SQL } = (globalThis as { readonly Bun?: BuiltIn }).Bun ?? {};
  if (SQL !== undefined) return new SQL(String(url));
  // The URL may hold a password, so it is not quoted.
  throw new TypeError(
    "Cannot create PostgresProvider: a URL needs a runtime with a Postgres client, which only Bun has: pass a client instead, such as a Pool of pg",
  );
}

/** Reads `postgres://user@host/database?table=shop.sessions`. */
function fromUrl(url: URL | undefined): PostgresProvider {
  if (url === undefined) {
    throw new TypeError(
      "Cannot open provider postgres: it needs the URL of a database, or a PostgresProvider in its place",
    );
  }
  const database = new URL(url);
  const table = database.searchParams.get("table") ?? undefined;
  database.searchParams.delete("table");
  return new PostgresProvider(database, { table });
}

register("postgres", fromUrl);
register("postgresql", fromUrl);
