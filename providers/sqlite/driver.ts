/** What a `SqliteProvider` needs of a database and its driver. */

/** What a `SqliteProvider` binds to a statement. */
export type SqliteParameter = string | number | bigint | null;

/** What a `SqliteProvider` needs of a prepared statement. */
export interface SqliteStatement {
  /** Runs a statement that returns no rows. */
  run(
    ...parameters: SqliteParameter[]
  ): { readonly changes: number | bigint };
  /** The first row as an object, or `undefined` or `null`. */
  get(...parameters: SqliteParameter[]): unknown;
  /** Every row as an object. */
  all(...parameters: SqliteParameter[]): unknown[];
  /** Makes every row an array of its columns; used where it is there. */
  setReturnArrays?(enabled: boolean): void;
}

/**
 * What a `SqliteProvider` needs of a database: a `DatabaseSync` of `node:sqlite`
 * has it, and so has a `Database` of `bun:sqlite`.
 */
export interface SqliteDatabase {
  /** Runs statements that return no rows and take no parameters. */
  exec(sql: string): unknown;
  /** Prepares one statement. */
  prepare(sql: string): SqliteStatement;
  /** Whether a transaction is open, as `node:sqlite` says it. */
  readonly isTransaction?: boolean | undefined;
  /** Whether a transaction is open, as `bun:sqlite` says it. */
  readonly inTransaction?: boolean | undefined;
}

/** The columns of a row in the order in which they were asked for. */
export type Row = readonly unknown[];
