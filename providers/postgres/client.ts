/** The shapes of client that are taken, and how each is sent a statement. */
import { createHash } from "node:crypto";

/** What a statement is sent with. */
export type PostgresParam = string | number | boolean | null;

/** A statement that a connection of `pg` prepares when it first meets its name. */
export interface PostgresStatement {
  /** At most 63 bytes; the same name always stands for the same SQL. */
  readonly name: string;
  /** SQL. */
  readonly text: string;
  /** The values of `$1`, `$2`, … */
  readonly values: PostgresParam[];
}

/** A client with the shape of `pg`, such as its `Pool`, or of PGlite. */
export interface PostgresQueryClient {
  /**
   * Runs one statement.
   *
   * @param statement What is to be prepared under a name; SQL alone for PGlite,
   * or if the option `prepare` is `false`.
   * @param params The values of `$1`, `$2`, …, beside SQL alone.
   * @returns An object whose `rows` are objects, or the rows themselves.
   */
  query(
    statement: PostgresStatement | string,
    params?: PostgresParam[],
  ): PromiseLike<unknown>;
}

/** A client with the shape of postgres.js and `Bun.SQL`. */
export interface PostgresUnsafeClient {
  /**
   * Runs one statement.
   *
   * @param text SQL.
   * @param params The values of `$1`, `$2`, …
   * @param options `prepare` asks postgres.js for a prepared statement or for
   * none, which takes it two round trips; `Bun.SQL` has it among its own options.
   * @returns The rows, or an object that has them as `rows`.
   */
  unsafe(
    text: string,
    params: PostgresParam[],
    options: { prepare: boolean },
  ): PromiseLike<unknown>;
}

const names = new Map<string, string>();

/**
 * A name that follows from the SQL: two providers on one pool share what they
 * have in common and never meet under one name with different tables.
 */
function nameOf(text: string): string {
  const known = names.get(text);
  if (known !== undefined) return known;
  const digest = createHash("sha256").update(text).digest("base64url");
  const name = `cloakroom_${digest.slice(0, 22)}`;
  names.set(text, name);
  return name;
}

/** Sends one statement in the way of the client. */
export function send(
  client: PostgresClient,
  text: string,
  params: PostgresParam[],
  prepare: boolean,
): PromiseLike<unknown> {
  if ("unsafe" in client) return client.unsafe(text, params, { prepare });
  // PGlite takes SQL as text alone, and anything else for another query.
  if (!prepare || "execProtocolRaw" in client) {
    return client.query(text, params);
  }
  return client.query({ name: nameOf(text), text, values: params });
}

/** What a {@linkcode PostgresProvider} sends its statements through. */
export type PostgresClient = PostgresQueryClient | PostgresUnsafeClient;

export function checkClient(client: PostgresClient): PostgresClient {
  const { query, unsafe } = Object(client);
  if (typeof query === "function" || typeof unsafe === "function") {
    return client;
  }
  throw new TypeError(
    `Cannot create PostgresProvider: the client must have a query or an unsafe method: received ${typeof client}`,
  );
}

export interface OwnedClient extends PostgresUnsafeClient {
  close(options?: { readonly timeout: number }): Promise<void>;
}

interface BuiltIn {
  readonly SQL?: new (
    url: string,
    options: { readonly prepare: boolean },
  ) => OwnedClient;
}

export function openBuiltIn(url: URL | string, prepare: boolean): OwnedClient {
  const { SQL } = (globalThis as { readonly Bun?: BuiltIn }).Bun ?? {};
  if (SQL !== undefined) return new SQL(String(url), { prepare });
  // The URL may hold a password, so it is not quoted.
  throw new TypeError(
    "Cannot create PostgresProvider: a URL needs a runtime with a Postgres client, which only Bun has: pass a client instead, such as a Pool of pg",
  );
}
