/** The statements that a `MysqlProvider` sends, and their parameters. */
import type {
  Guard,
  NewSessionRecord,
  SessionChange,
} from "../../core/provider.ts";
import {
  columnsOf,
  type ColumnValue,
  encodeData,
  escaped,
} from "../../core/store/sql_row.ts";
import {
  assignmentsOf,
  conditionsOf,
  expirySql,
  lifetimeOf,
  liveSql,
  Params,
  partsOf,
} from "../../core/store/sql_terms.ts";
import type { MysqlParam } from "./client.ts";
import { SESSION, SUMMARY, TYPES } from "./row.ts";

/** The layout of the table that this module reads and writes. */
export const SCHEMA_VERSION = 1;

const KEPT = lifetimeOf("");

/** Files a row under the deadline that it has. */
const REFILED = expirySql(KEPT);

/** A number that is sent as text. */
function numberOf(placeholder: string): string {
  return `(${placeholder} + 0e0)`;
}

function isLive(now: string): string {
  return liveSql(numberOf(now), KEPT);
}

/**
 * What the server's clock says, in milliseconds since the Unix epoch. Only SYSDATE
 * is asked anew for each row, and it is local: added is what has passed since the
 * statement began, so that no change of the time zone's offset counts.
 */
export const PRESENT =
  `(timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(6)) / 1e3 +
timestampdiff(MICROSECOND, now(6), sysdate(6)) / 1e3)`;

/** Where the instant goes after which a statement does nothing. */
const LIMIT = "$limit";

/** In the place of an instant for whoever waits for ever. */
const NO_LIMIT = "1e300";

/**
 * True, asked behind the lock on a row; or an error, which undoes the statement:
 * that number of which only this one is out of range.
 */
const IN_TIME = `exp(if(${PRESENT} <= ${numberOf(LIMIT)}, 0, 1000))`;

/** The number of that error. */
export const LATE = 1690;

/** What an update leaves by `LAST_INSERT_ID`: 0 if no live row is its own. */
export const MARKS = { met: 1, conflict: 2, unreadable: 3 } as const;

/**
 * Leaves a mark, and is true. Its argument is of the row: the optimizer of MariaDB
 * 10.5 evaluates a constant one even if there is no row.
 */
function marked(mark: number): string {
  return `last_insert_id(if(version < 0, 0, ${mark}))`;
}

/** A statement with `$1`, `$2`, … in the place of its values. */
export interface Statement {
  readonly sql: string;
  readonly values: readonly MysqlParam[];
}

const texts = new Map<
  string,
  { readonly text: string; readonly places: readonly string[] }
>();

/** A statement as it is sent, with a `?` for each value. */
export function textOf(
  { sql, values }: Statement,
  limit: number | undefined,
): { readonly text: string; readonly values: MysqlParam[] } {
  let known = texts.get(sql);
  if (known === undefined) {
    const places: string[] = [];
    const text = sql.replace(/\$(\d+|limit)/g, (_mark, place) => {
      places.push(place);
      return "?";
    });
    texts.set(sql, known = { text, places });
  }
  const instant = limit === undefined ? NO_LIMIT : String(limit);
  const sent = known.places.map((place) =>
    place === "limit" ? instant : values[Number(place) - 1] as MysqlParam
  );
  return { text: known.text, values: sent };
}

/** A value as it is sent: booleans are numbers, and numbers texts. */
function paramOf(value: ColumnValue): MysqlParam {
  if (value === null || typeof value === "string") return value;
  return String(Number(value));
}

/** A value as its column takes it. */
function given(params: Params<MysqlParam>, value: ColumnValue): string {
  const placeholder = params.bind(paramOf(value));
  return typeof value === "number" ? numberOf(placeholder) : placeholder;
}

/** Whether the row meets some parts of a guard; never unknown. */
function meets(
  params: Params<MysqlParam>,
  parts: Partial<ReturnType<typeof partsOf>>,
): string {
  return conditionsOf(
    Object.values(parts),
    (column, value) => `${column} <=> ${params.bind(paramOf(value))}`,
  );
}

/**
 * One row if it is live, whether it met a guard or not. Each condition is asked
 * after the one before, and the mark that the last of them left is the answer.
 */
export function updateOf(
  table: string,
  id: string,
  change: SessionChange,
  guard: Guard,
  now: number,
): Statement {
  const params = new Params<MysqlParam>();
  const found = `id = ${params.bind(escaped(id))}`;
  const instant = params.bind(String(now));
  const { family, principal, ...rest } = partsOf(guard);
  const owner = meets(params, { family, principal });
  const state = meets(params, rest);
  const assigned = assignmentsOf(change, {
    prefix: "",
    now: numberOf(instant),
    bind: (_column, value) => given(params, value),
  });
  const data = mergedSql(params, change);
  if (data !== undefined) assigned["data"] = data;
  const isMergeable = data === undefined
    ? "true"
    : "(json_valid(data) AND left(data, 1) = '{')";
  const assignments = Object.entries(assigned)
    .map(([name, sql]) => `${name} = ${sql}`);
  return {
    sql: `UPDATE ${table} SET ${assignments.join(", ")}
WHERE ${found} AND CASE
WHEN NOT (${isLive(instant)} AND ${owner}) THEN 0
WHEN NOT ${state} THEN ${marked(MARKS.conflict)} = 0
WHEN NOT ${isMergeable} THEN ${marked(MARKS.unreadable)} = 0
ELSE ${IN_TIME} AND ${marked(MARKS.met)} END`,
    values: params.values,
  };
}

/** The data with some keys less and some more, merged by the server. */
function mergedSql(
  params: Params<MysqlParam>,
  { set, delete: removed = [] }: SessionChange,
): string | undefined {
  let data = "data";
  if (removed.length > 0) {
    const nulls = removed.map((key) => [escaped(key), null]);
    const patch = JSON.stringify(Object.fromEntries(nulls));
    data = `json_merge_patch(${data}, ${params.bind(patch)})`;
  }
  if (set !== undefined && Object.keys(set).length > 0) {
    data = `json_merge_patch(${data}, ${params.bind(encodeData(set))})`;
  }
  return data === "data" ? undefined : data;
}

/** The move of an access, forward only; a row that is as it should be counts too. */
export function touchOf(table: string, id: string, now: number): Statement {
  return {
    sql: `UPDATE ${table} SET accessed_at = greatest(accessed_at, ${
      numberOf("$2")
    })
WHERE id = $1 AND CASE WHEN NOT ${isLive("$2")} THEN 0
ELSE ${IN_TIME} AND ${marked(MARKS.met)} END`,
    values: [escaped(id), String(now)],
  };
}

/** What is wanted of a row that is to end. */
interface Ending {
  readonly guard: Guard;
  readonly now: number;
  /** Whether it is live by that clock. */
  readonly isLive: boolean;
}

/** The end of one session, if its row meets the guard and is live or is not. */
export function endOf(
  table: string,
  id: string,
  ending: Ending,
): Statement {
  const params = new Params<MysqlParam>();
  const found = `id = ${params.bind(escaped(id))}`;
  const live = isLive(params.bind(String(ending.now)));
  const isMeant = ending.isLive ? live : `NOT ${live}`;
  const isMet = meets(params, partsOf(ending.guard));
  return {
    sql: `DELETE FROM ${table} WHERE ${found}
AND CASE WHEN ${isMeant} AND ${isMet} THEN ${IN_TIME} ELSE 0 END`,
    values: params.values,
  };
}

/** Why such an end changed nothing; no row for none that is there. */
export function standingOf(
  table: string,
  id: string,
  guard: Guard,
  now: number,
): Statement {
  const params = new Params<MysqlParam>();
  const found = `id = ${params.bind(escaped(id))}`;
  const live = isLive(params.bind(String(now)));
  const isMet = meets(params, partsOf(guard));
  return {
    sql: `SELECT ${live}, ${isMet} FROM ${table} WHERE ${found}`,
    values: params.values,
  };
}

/** How many ids one statement names at most. */
export const MOST_NAMED = 500;

/** How many it names: few numbers, so that few statements are prepared. */
const NAMED = [1, 20, MOST_NAMED];

/** A list of ids in SQL. */
function listOf(params: Params<MysqlParam>, ids: readonly string[]): string {
  const [last = ""] = ids.slice(-1);
  const count = NAMED.find((size) => size >= ids.length) ?? ids.length;
  // More of the last one changes nothing.
  const all = Array.from({ length: count }, (_, index) => ids[index] ?? last);
  return all.map((id) => params.bind(id)).join();
}

/**
 * The end of several sessions in the same way; answers the ids, and whether each was
 * live. Of the two kinds of server only MariaDB answers what it deletes.
 */
export function endsOf(
  table: string,
  ids: readonly string[],
  guard: Guard,
  now: number,
): Statement {
  const params = new Params<MysqlParam>();
  const named = listOf(params, ids.map(escaped));
  const live = isLive(params.bind(String(now)));
  const isMet = meets(params, partsOf(guard));
  return {
    sql: `DELETE FROM ${table} WHERE id IN (${named})
AND CASE WHEN ${isMet} THEN ${IN_TIME} ELSE 0 END RETURNING id, ${live}`,
    values: params.values,
  };
}

/** How many rows that are due are looked at once: others wait for no more. */
export const MOST_COLLECTED = MOST_NAMED;

/** The rows that are due, the stalest first, and whether they are live; locks none. */
export function dueOf(table: string, now: number): Statement {
  return {
    sql: `SELECT id, ${isLive("$1")} FROM ${table}
WHERE collect_at <= ${numberOf("$1")} ORDER BY collect_at
LIMIT ${MOST_COLLECTED}`,
    values: [String(now)],
  };
}

/** Files those that are live under the deadline that they have. */
export function refilingOf(
  table: string,
  ids: readonly string[],
  now: number,
): Statement {
  const params = new Params<MysqlParam>();
  const named = listOf(params, ids);
  const live = isLive(params.bind(String(now)));
  return {
    sql: `UPDATE ${table} SET collect_at = ${REFILED} WHERE id IN (${named})
AND CASE WHEN ${live} THEN ${IN_TIME} ELSE 0 END`,
    values: params.values,
  };
}

/** The removal of those that are not live. */
export function collectionOf(
  table: string,
  ids: readonly string[],
  now: number,
  returns: boolean,
): Statement {
  const params = new Params<MysqlParam>();
  const named = listOf(params, ids);
  const live = isLive(params.bind(String(now)));
  return {
    sql: `DELETE FROM ${table} WHERE id IN (${named})
AND CASE WHEN ${live} THEN 0 ELSE ${IN_TIME} END${
      returns ? " RETURNING id" : ""
    }`,
    values: params.values,
  };
}

/** Which of some rows are there. */
export function presentOf(table: string, ids: readonly string[]): Statement {
  const params = new Params<MysqlParam>();
  const named = listOf(params, ids);
  return {
    sql: `SELECT id FROM ${table} WHERE id IN (${named})`,
    values: params.values,
  };
}

/** Whose sessions are removed but one, or `undefined` for all there are. */
export interface Removal {
  readonly principal: string;
  readonly except: string | undefined;
}

/** How many rows one statement removes at most: others wait for no more. */
export const MOST_REMOVED = 5000;

/** The removal of rows in the order of their ids, or two nodes could deadlock. */
export function removalOf(
  table: string,
  removal: Removal | undefined,
): Statement {
  const params = new Params<MysqlParam>();
  let found = "id >= ''";
  if (removal !== undefined) {
    const { principal, except } = removal;
    found = `principal = ${params.bind(escaped(principal))}`;
    if (except !== undefined) {
      found += ` AND id <> ${params.bind(escaped(except))}`;
    }
  }
  return {
    sql: `DELETE FROM ${table} WHERE ${found} AND ${IN_TIME}
ORDER BY id LIMIT ${MOST_REMOVED}`,
    values: params.values,
  };
}

/** The look-up of one live session. */
export function readOf(table: string, id: string, now: number): Statement {
  return {
    sql: `SELECT ${SESSION} FROM ${table} WHERE id = $1 AND ${isLive("$2")}`,
    values: [escaped(id), String(now)],
  };
}

/** The live sessions of one principal. */
export function listOfPrincipal(
  table: string,
  principal: string,
  now: number,
): Statement {
  return {
    sql: `SELECT ${SUMMARY} FROM ${table} WHERE principal = $1 AND ${
      isLive("$2")
    }`,
    values: [escaped(principal), String(now)],
  };
}

/** A page of live sessions, in the order of their ids. */
export function pageOf(
  table: string,
  cursor: string | undefined,
  limit: number,
  now: number,
): Statement {
  return {
    sql: `SELECT ${SESSION} FROM ${table} WHERE id > $1 AND ${isLive("$2")}
ORDER BY id LIMIT ${Math.trunc(limit)}`,
    values: [cursor ?? "", String(now)],
  };
}

/**
 * The statement that inserts a new row, filed under its deadline. The row is
 * selected twice, in time and then if it is not: while the first waits for another
 * of its id, the time can run out, and then the second one undoes both.
 */
export function insertionOf(
  table: string,
  id: string,
  record: NewSessionRecord,
): Statement {
  const params = new Params<MysqlParam>();
  const row: Record<string, ColumnValue> = {
    id: escaped(id),
    version: 1,
    created_at: record.createdAt,
    accessed_at: record.accessedAt,
    authenticated_at: null,
    ...columnsOf(record),
    data: encodeData(record.data),
  };
  const columns: Record<string, string> = {};
  for (const [name, value] of Object.entries(row)) {
    columns[name] = given(params, value);
  }
  const { created_at, accessed_at, authenticated_at, idle_timeout } = columns;
  const { absolute_timeout } = columns;
  columns["collect_at"] = expirySql(
    {
      created_at,
      accessed_at,
      authenticated_at,
      idle_timeout,
      absolute_timeout,
    } as typeof KEPT,
  );
  return {
    sql: `INSERT INTO ${table} (${Object.keys(columns).join()})
SELECT ${Object.values(columns).join()}
FROM (SELECT 1 AS turn UNION ALL SELECT 2) AS turns
WHERE CASE turn WHEN 1 THEN ${IN_TIME} ELSE NOT ${IN_TIME} END`,
    values: params.values,
  };
}

export function schemaOf(table: string): string {
  // Instants are doubles, as in JavaScript: a clock may have fractions.
  const columns = Object.entries(TYPES)
    .map(([name, type]) => `  ${name} ${type}`).join(",\n");
  return `CREATE TABLE IF NOT EXISTS ${table} (
  id VARBINARY(255) NOT NULL,
${columns},
  collect_at DOUBLE NOT NULL,
  PRIMARY KEY (id),
  KEY (collect_at),
  KEY (principal)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC COMMENT='${commentOf(SCHEMA_VERSION)}'`;
}

export function commentOf(version: number): string {
  return `cloakroom session schema ${version}`;
}

/** What a table's comment and engine are, if it is there. */
export function tableOf(names: TableName): Statement {
  return {
    sql: `SELECT table_comment, engine FROM information_schema.tables
WHERE table_schema = coalesce($1, database()) AND table_name = $2
AND (@@lower_case_table_names > 0
OR cast(table_name AS BINARY) = cast($2 AS BINARY))`,
    values: [names.database ?? null, names.table],
  };
}

/** What a connection has to be like. */
export const SETTINGS: Statement = {
  sql: `SHOW VARIABLES WHERE Variable_name IN ('autocommit', 'binlog_format',
'character_set_client', 'character_set_connection', 'character_set_results',
'in_transaction', 'log_bin', 'max_allowed_packet', 'sql_mode',
'sql_select_limit', 'version')`,
  values: [],
};

/** A table's name, and that of its database if it was given. */
export interface TableName {
  readonly database: string | undefined;
  readonly table: string;
  /** Both in SQL, each in quotes. */
  readonly quoted: string;
}

export function tableNameOf(given: string): TableName {
  if (!/^(?:[a-z_]\w{0,63}\.)?[a-z_]\w{0,63}$/i.test(given)) {
    throw new TypeError(
      `Cannot create MysqlProvider: table must be letters, digits and underscores, after a database and a dot or alone: received ${given}`,
    );
  }
  const parts = given.split(".");
  const [table, database] = parts.toReversed();
  const quoted = parts.map((part) => `\`${part}\``).join(".");
  return { database, table: table as string, quoted };
}
