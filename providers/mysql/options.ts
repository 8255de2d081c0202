/** The options of a `MysqlProvider`, in a URL and apart from it. */

/** Where a `MysqlProvider` keeps its sessions. */
export interface MysqlProviderOptions {
  /**
   * The table, with its database or without: letters, digits and underscores.
   * Whether `Sessions` and `sessions` are two tables is for the server to say.
   *
   * @default {"cloakroom_sessions"}
   */
  readonly table?: string | undefined;
}

export const OPTION_NAMES: readonly string[] = Object.keys(
  { table: 1 } satisfies Record<keyof MysqlProviderOptions, 1>,
);
