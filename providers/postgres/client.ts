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
  close(): Promise<void>;
}

interface BuiltIn {
  readonly SQL?: new (url: string) => OwnedClient;
}

export function openBuiltIn(url: URL | string): OwnedClient {
  const { SQL } = (globalThis as { readonly Bun?: BuiltIn }).Bun ?? {};
  if (SQL !== undefined) return new SQL(String(url));
  // The URL may hold a password, so it is not quoted.
  throw new TypeError(
    "Cannot create PostgresProvider: a URL needs a runtime with a Postgres client, which only Bun has: pass a client instead, such as a Pool of pg",
  );
}
