/** The shapes of client that are taken, and how each is sent a statement. */
import { SessionError } from "../../core/errors.ts";

/** What a statement is sent with: numbers as text, which every client can send. */
export type MysqlParam = string | null;

/** A statement as `mysql2` and `mariadb` take it. */
export interface MysqlStatement {
  /** SQL. */
  readonly sql: string;
  /** Asks for the columns of a row by their place. */
  readonly rowsAsArray: true;
  /** Asks for them without those of other tables, whatever the pool is set to. */
  readonly nestTables: false;
  /** Says that values stand in order, whatever the pool is set to. */
  readonly namedPlaceholders: false;
  /** Asks `mariadb` for rows alone, whatever the pool is set to. */
  readonly metaAsArray: false;
}

/** A client with the shape of `mysql2/promise` or `mariadb`, such as a pool. */
export interface MysqlExecuteClient {
  /**
   * Prepares a statement once for each connection, and runs it.
   *
   * @param statement What to run.
   * @param values The values of its `?`, in order.
   */
  execute(
    statement: MysqlStatement,
    values: MysqlParam[],
  ): PromiseLike<unknown>;
}

/** A client with the shape of `Bun.SQL`. */
export interface MysqlUnsafeClient {
  /**
   * Runs one statement.
   *
   * @param text SQL.
   * @param values The values of its `?`, in order.
   * @returns Has the columns of a row by their place as its `values()`.
   */
  unsafe(
    text: string,
    values: MysqlParam[],
  ): { values(): PromiseLike<unknown> };
}

/** What a {@linkcode MysqlProvider} sends its statements through. */
export type MysqlClient = MysqlExecuteClient | MysqlUnsafeClient;

/** What a server answered. */
export interface Answer {
  readonly rows: readonly (readonly unknown[])[];
  /** How many rows were changed; with some clients those that were as they are to be. */
  readonly affected: number;
  /** What the statement left by `LAST_INSERT_ID`, 0 if it left nothing. */
  readonly mark: number;
}

/** What tells of a statement that answers no rows, by the names of each client. */
interface Header {
  readonly affectedRows?: number | null;
  readonly insertId?: number | bigint | string;
  readonly lastInsertRowid?: number | bigint;
}

const AS_ROWS = {
  rowsAsArray: true,
  nestTables: false,
  namedPlaceholders: false,
  metaAsArray: false,
} as const;

/** Sends one statement in the way of the client. */
export async function send(
  client: MysqlClient,
  sql: string,
  values: MysqlParam[],
): Promise<Answer> {
  if ("unsafe" in client) {
    return answerOf(await client.unsafe(sql, values).values());
  }
  const answer = await client.execute({ sql, ...AS_ROWS }, values);
  // Of the two, mysql2 alone puts what it answers into an array with its columns.
  const isBare = "batch" in client;
  return answerOf(isBare ? answer : (answer as readonly unknown[])[0]);
}

function answerOf(answer: unknown): Answer {
  const header = Object(answer) as Header;
  return {
    rows: Array.isArray(answer) ? answer : [],
    affected: Number(header.affectedRows ?? 0),
    mark: Number(header.insertId ?? header.lastInsertRowid ?? 0),
  };
}

export function checkClient(client: MysqlClient): MysqlClient {
  const { execute, unsafe, promise } = Object(client);
  if (typeof promise === "function") {
    throw new TypeError(
      "Cannot create MysqlProvider: the client must answer by promise: hand over its promise(), or a pool of mysql2/promise",
    );
  }
  if (typeof execute === "function" || typeof unsafe === "function") {
    return client;
  }
  throw new TypeError(
    `Cannot create MysqlProvider: the client must have an execute or an unsafe method: received ${typeof client}`,
  );
}

export interface OwnedClient extends MysqlUnsafeClient {
  close(options?: { readonly timeout: number }): Promise<void>;
}

interface BuiltIn {
  readonly SQL?: new (url: string) => OwnedClient;
}

export function openBuiltIn(url: URL): OwnedClient {
  const { SQL } = (globalThis as { readonly Bun?: BuiltIn }).Bun ?? {};
  if (SQL !== undefined) return new SQL(String(url));
  // The URL may hold a password, so it is not quoted.
  throw new TypeError(
    "Cannot create MysqlProvider: a URL needs a runtime with a MySQL client, which only Bun has: pass a client instead, such as a pool of mysql2/promise",
  );
}

/** The server's number of an error, or `undefined` if it is not of the server. */
export function errnoOf(error: unknown): number | undefined {
  const { errno, sqlState } = Object(error);
  return typeof errno === "number" && typeof sqlState === "string"
    ? errno
    : undefined;
}

/**
 * An error of a server without what it quotes: of the statement, which mariadb
 * appends with its values, and of a value that a column does not take.
 */
export function withoutData(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof SessionError) return error;
  const { sqlMessage, sqlState, errno } = error as {
    readonly sqlMessage?: unknown;
    readonly sqlState?: unknown;
    readonly errno?: unknown;
  };
  const [told = ""] = String(sqlMessage ?? error.message).split("\nsql: ");
  // Class 22 is of data, 23 of constraints, HY000 of anything.
  const isAboutData = /^(?:22|23|HY)/.test(String(sqlState));
  const message = isAboutData && errnoOf(error) !== undefined
    ? `the server answered error ${errno}, SQLSTATE ${sqlState}`
    : told;
  const { name, code } = error as { name: string; code?: unknown };
  return Object.assign(new Error(message), { name, code, errno, sqlState });
}
