/** The options of a `PostgresProvider`, in a URL and apart from it. */
import { ownOf } from "../../core/option_names.ts";

/** Where a `PostgresProvider` keeps its sessions. */
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

export const OPTION_NAMES: readonly string[] = Object.keys(
  { table: 1, prepare: 1 } satisfies Record<keyof PostgresProviderOptions, 1>,
);

/** Options as they stand in a URL. */
export function optionsIn(
  given: Readonly<Record<string, string>>,
): PostgresProviderOptions {
  const { prepare, ...options } = ownOf(given);
  return prepare === undefined
    ? options
    : { ...options, prepare: flagOf(prepare) };
}

function flagOf(text: string): boolean {
  if (text === "true" || text === "false") return text === "true";
  throw new TypeError(
    `Cannot create PostgresProvider: prepare must be true or false: received ${text}`,
  );
}

export function checkPrepare(prepare: boolean): boolean {
  if (typeof prepare === "boolean") return prepare;
  throw new TypeError(
    `Cannot create PostgresProvider: prepare must be true or false: received ${prepare}`,
  );
}
