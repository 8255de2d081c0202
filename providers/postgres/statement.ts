/** The statements that a `PostgresProvider` sends, and their parameters. */
import { createHash } from "node:crypto";
import type {
  Guard,
  NewSessionRecord,
  SessionChange,
} from "../../core/provider.ts";
import { columnsOf, encodeData, escaped } from "../../core/store/sql_row.ts";
import {
  assignmentsOf,
  conditionsOf,
  type Expected,
  expirySql,
  lifetimeOf,
  liveSql,
  Params,
  partsOf,
} from "../../core/store/sql_terms.ts";
import type { PostgresParam } from "./client.ts";
import { TYPES } from "./row.ts";

/** The layout of the table that this module reads and writes. */
export const SCHEMA_VERSION = 2;

const KEPT = lifetimeOf("kept.");

/** Whether the row `kept` tells when it ends; what it does not tell is not past. */
const IS_DECIDABLE = `greatest(${
  Object.values(KEPT).map((name) => `abs(${name})`).join(", ")
}) < 'Infinity'`;

/** Whether the row `kept` is live at an instant. */
export function isLiveSql(now: string): string {
  return liveSql(`${now}::float8`, KEPT);
}

/** Files a row under the deadline that it has. */
const REFILED: string = expirySql(KEPT);

/** What the server's clock says, in milliseconds since the Unix epoch. */
export const PRESENT = "(extract(epoch FROM clock_timestamp()) * 1000)::float8";

/** What a statement answers that came too late, before what the clock says. */
export const LATE = "late at ";

/** Where the instant goes after which a statement does nothing. */
const LIMIT = "$limit";

/** Asked anew for each row, behind the lock on it. */
const IS_IN_TIME =
  `(${LIMIT}::float8 IS NULL OR ${PRESENT} <= ${LIMIT}::float8)`;

/** Undoes its statement: a row that waited for another of its id came too late. */
const UNDO = `('${LATE}' || ${PRESENT})::boolean::text`;

/** A statement: steps that others can refer to, and a query for what it answers. */
export interface Statement {
  /** Names of steps, and their SQL. */
  readonly steps?: Readonly<Record<string, string>>;
  /** A query with one column of text. */
  readonly answer: string;
  /** The values of `$1`, `$2`, … */
  readonly values?: readonly PostgresParam[];
}

/** How many characters of a digest tell one statement from another. */
const TAG_LENGTH = 8;

const texts = new Map<
  string,
  { readonly text: string; readonly tag: string }
>();

/**
 * A statement as it is sent. It answers at least one row, which names it: a pooler
 * that hands connections on can run the statement that another client prepared
 * under the same name, and no rows of that would look like an answer.
 */
export function textOf(
  { steps = {}, answer, values = [] }: Statement,
  limit: number | null,
): {
  readonly text: string;
  readonly tag: string;
  readonly values: PostgresParam[];
} {
  const named = Object.entries(steps).map(([name, sql]) =>
    `${name} AS (${sql})`
  );
  const source = named.length === 0
    ? answer
    : `WITH ${named.join(",\n")}\n${answer}`;
  const isLimited = source.includes(LIMIT);
  let known = texts.get(source);
  if (known === undefined) {
    texts.set(source, known = tagged(named, answer, values.length + 1));
  }
  return { ...known, values: isLimited ? [...values, limit] : [...values] };
}

function tagged(steps: readonly string[], answer: string, last: number) {
  const source = [...steps, answer].join("\n");
  const digest = createHash("sha256").update(source).digest("base64url");
  const tag = digest.slice(0, TAG_LENGTH);
  const selects = [`SELECT '${tag}'::text AS answer`, `(${answer})`];
  if (source.includes(LIMIT)) {
    selects.push(`SELECT '${LATE}' || ${PRESENT} WHERE NOT ${IS_IN_TIME}`);
  }
  const query = selects.join("\nUNION ALL\n");
  const text = steps.length === 0
    ? query
    : `WITH ${steps.join(",\n")}\n${query}`;
  return { text: text.replaceAll(LIMIT, `$${last}`), tag };
}

/** An update of one session, judged on the row as it is once it is locked. */
export function updateOf(
  table: string,
  id: string,
  change: SessionChange,
  guard: Guard,
  now: number,
): Statement {
  const params = new Params<PostgresParam>();
  const found = `kept.id = ${params.bind(escaped(id))}`;
  const instant = params.bind(now);
  const { family, principal, ...rest } = partsOf(guard);
  const owner = conditions(params, [family, principal]);
  const state = conditions(params, Object.values(rest));
  const assignments = assignmentsIn(params, change, `${instant}::float8`);
  const where = `${found} AND ${isLiveSql(instant)} AND ${owner}`;
  // An update alone would tell "gone" from "conflict" by the row as it was when
  // the statement began, and not by the one that it waited for. Nor would it look
  // at the clock again after it waited in vain.
  return {
    steps: {
      found: `SELECT kept.id, ${state} AS is_met FROM ${table} AS kept
WHERE ${where} FOR NO KEY UPDATE`,
      meant: `SELECT id, is_met FROM found WHERE ${IS_IN_TIME}`,
      changed: `UPDATE ${table} AS kept SET ${assignments}
FROM meant WHERE kept.id = meant.id AND meant.is_met RETURNING 1`,
    },
    answer:
      `SELECT CASE WHEN EXISTS (SELECT FROM changed) THEN 'done' ELSE 'conflict' END
FROM meant`,
    values: params.values,
  };
}

/** The move of an access, forward only. */
export function touchOf(table: string, id: string, now: number): Statement {
  return {
    steps: {
      found: `SELECT kept.id FROM ${table} AS kept
WHERE kept.id = $1 AND ${isLiveSql("$2")} FOR NO KEY UPDATE`,
      meant: `SELECT id FROM found WHERE ${IS_IN_TIME}`,
      touched: `UPDATE ${table} AS kept
SET accessed_at = greatest(kept.accessed_at, $2::float8)
FROM meant WHERE kept.id = meant.id RETURNING 'touched'`,
    },
    answer: "SELECT * FROM touched",
    values: [escaped(id), now],
  };
}

/** The end of one session, if its row meets the guard once it is locked. */
export function endOf(
  table: string,
  id: string,
  guard: Guard,
  now: number,
): Statement {
  const params = new Params<PostgresParam>();
  const found = `kept.id = ${params.bind(escaped(id))}`;
  const steps = endingOf(table, found, { params, guard, now });
  return {
    steps,
    answer: `SELECT CASE WHEN NOT is_live THEN 'absent'
WHEN EXISTS (SELECT FROM ended) THEN 'done' ELSE 'refused' END FROM meant`,
    values: params.values,
  };
}

/** The end of several sessions in the same way; answers the ids of those. */
export function endsOf(
  table: string,
  ids: readonly string[],
  guard: Guard,
  now: number,
): Statement {
  const params = new Params<PostgresParam>();
  // In a query of its own, or the text would be read anew for each row.
  const given = `SELECT unnest(${params.bind(arrayOf(ids))}::text::text[])`;
  const found = `kept.id = ANY(ARRAY(${given}))`;
  const steps = endingOf(table, found, { params, guard, now });
  return {
    steps,
    answer: "SELECT id FROM meant WHERE is_live AND is_met",
    values: params.values,
  };
}

function endingOf(
  table: string,
  found: string,
  { params, guard, now }: {
    readonly params: Params<PostgresParam>;
    readonly guard: Guard;
    readonly now: number;
  },
) {
  const isLive = `(${isLiveSql(params.bind(now))} OR NOT ${IS_DECIDABLE})`;
  const isMet = conditions(params, Object.values(partsOf(guard)));
  return {
    // In the order of ids, or two nodes could deadlock.
    found: `SELECT kept.id, ${isLive} AS is_live, ${isMet} AS is_met
FROM ${table} AS kept WHERE ${found} ORDER BY kept.id FOR UPDATE`,
    meant: `SELECT id, is_live, is_met FROM found WHERE ${IS_IN_TIME}`,
    // An array and no join, which would compare each row with every other where
    // the statistics are wrong.
    ended: `DELETE FROM ${table} AS kept
WHERE id = ANY(ARRAY(SELECT id FROM meant WHERE is_met)) RETURNING id`,
  };
}

/** How many rows that are due one statement looks at: others wait for no more. */
export const MOST_COLLECTED = 1000;

/*
 * Rows are found again by `ctid`, which costs the same whatever the statistics
 * say: just after a large table was emptied, a join or a look-up by id compares
 * each row with every other. What a row must be is asked twice, because two
 * partitions of a table can have the same `ctid`.
 */

/**
 * The removal of those that are not live among so many rows that are due. The
 * others are filed anew, so that each is looked at once. It answers how many rows
 * were due, and the ids of those that are removed.
 */
export function collectionOf(
  table: string,
  now: number,
  limit: number,
): Statement {
  const isLive = isLiveSql("$1");
  return {
    steps: {
      // The number says to the planner that there are few, which $2 does not.
      found: `SELECT * FROM (
  SELECT ctid AS place, ${isLive} AS is_live FROM ${table} AS kept
  WHERE collect_at <= $1::float8 AND ${IS_IN_TIME}
  ORDER BY collect_at LIMIT ${MOST_COLLECTED} FOR UPDATE SKIP LOCKED
) AS due LIMIT $2`,
      refiled: `UPDATE ${table} AS kept SET collect_at = ${REFILED}
WHERE ctid = ANY(ARRAY(SELECT place FROM found WHERE is_live)) AND ${isLive}`,
      removed: `DELETE FROM ${table} AS kept
WHERE ctid = ANY(ARRAY(SELECT place FROM found WHERE NOT is_live))
AND NOT ${isLive} RETURNING id`,
    },
    answer: `SELECT json_build_array((SELECT count(*) FROM found),
(SELECT coalesce(json_agg(id), '[]') FROM removed))::text
WHERE ${IS_IN_TIME} OR EXISTS (SELECT FROM found)`,
    values: [now, limit],
  };
}

/** Whose sessions are removed but one, or `undefined` for all there are. */
export interface Removal {
  readonly principal: string;
  readonly except: string | undefined;
}

/** How many rows one statement removes at most: others wait for no more. */
export const MOST_REMOVED = 5000;

/**
 * The same for rows by their ids: where the statistics are wrong, each row is
 * compared with all of these.
 */
export const MOST_ENDED = 1000;

/**
 * The removal of rows in the order of their ids, or two nodes could deadlock.
 * It answers how many rows were found and how many of those are removed: one
 * that was written while it was waited for is at a place that this statement
 * does not see.
 */
export function removalOf(
  table: string,
  removal: Removal | undefined,
): Statement {
  const params = new Params<PostgresParam>();
  let found = "true";
  let removed = "true";
  if (removal !== undefined) {
    const { principal, except } = removal;
    const whose = `${params.bind(escaped(principal))}::text`;
    const spared = except === undefined ? null : escaped(except);
    const isOther = `id IS DISTINCT FROM ${params.bind(spared)}::text`;
    found = `principal = ${whose} AND ${isOther}`;
    // Not by "=", or an index could take the place of ctid.
    removed = `principal IS NOT DISTINCT FROM ${whose} AND ${isOther}`;
  }
  return {
    steps: {
      found: `SELECT ctid AS place FROM ${table} WHERE ${found}
ORDER BY id LIMIT ${MOST_REMOVED} FOR UPDATE`,
      meant: `SELECT place FROM found WHERE ${IS_IN_TIME}`,
      removed: `DELETE FROM ${table}
WHERE ctid = ANY(ARRAY(SELECT place FROM meant)) AND ${removed} RETURNING 1`,
    },
    answer: `SELECT json_build_array((SELECT count(*) FROM found),
(SELECT count(*) FROM removed))::text
WHERE ${IS_IN_TIME} OR EXISTS (SELECT FROM removed)`,
    values: params.values,
  };
}

/** True or false, and never unknown. */
function conditions(
  params: Params<PostgresParam>,
  parts: readonly Expected[],
): string {
  return conditionsOf(parts, (column, value) => {
    const type = typeof value === "number" ? "bigint" : "text";
    return `kept.${column} IS NOT DISTINCT FROM ${params.bind(value)}::${type}`;
  });
}

function assignmentsIn(
  params: Params<PostgresParam>,
  change: SessionChange,
  now: string,
): string {
  const assigned = assignmentsOf(change, {
    prefix: "kept.",
    now,
    bind: (name, value) => `${params.bind(value)}::${typeOf(name)}`,
  });
  const data = dataExpression(change, (value) => params.bind(value));
  if (data !== "kept.data") assigned["data"] = data;
  return Object.entries(assigned)
    .map(([name, sql]) => `${name} = ${sql}`).join(", ");
}

/** Texts as an array in SQL: what is escaped is quoted there as it is in JSON. */
function arrayOf(texts: readonly string[]): string {
  return `{${texts.map((text) => JSON.stringify(escaped(text))).join()}}`;
}

function typeOf(name: string): string {
  const type = TYPES[name as keyof typeof TYPES];
  return type.replace(/ NOT NULL| COLLATE .*/, "");
}

/** The data with some keys less and some more, merged by the server. */
function dataExpression(
  { set, delete: removed = [] }: SessionChange,
  bind: (value: PostgresParam) => string,
): string {
  let data = "kept.data";
  if (removed.length > 0) {
    data = `${data} - ${bind(arrayOf(removed))}::text::text[]`;
  }
  if (set !== undefined && Object.keys(set).length > 0) {
    data = `${data} || ${bind(encodeData(set))}::text::jsonb`;
  }
  return data;
}

/** The statement that inserts a new row, filed under its deadline. */
export function insertionOf(
  table: string,
  id: string,
  record: NewSessionRecord,
): Statement {
  const params = new Params<PostgresParam>();
  const row = {
    version: 1,
    created_at: record.createdAt,
    accessed_at: record.accessedAt,
    authenticated_at: null,
    ...columnsOf(record),
  };
  const columns: Record<string, string> = {
    id: `${params.bind(escaped(id))}::text`,
  };
  for (const [name, value] of Object.entries(row)) {
    columns[name] = `${params.bind(value)}::${typeOf(name)}`;
  }
  // Text is what every client can send.
  columns["data"] = `${params.bind(encodeData(record.data))}::text::jsonb`;
  const given = Object.entries(columns)
    .map(([name, sql]) => `${sql} AS ${name}`);
  return {
    steps: {
      created: `INSERT INTO ${table} (${
        Object.keys(columns).join()
      }, collect_at)
SELECT kept.*, ${REFILED} FROM (SELECT ${given.join(", ")}) AS kept
WHERE ${IS_IN_TIME} ON CONFLICT (id) DO NOTHING
RETURNING CASE WHEN ${IS_IN_TIME} THEN 'created' ELSE ${UNDO} END`,
    },
    answer: "SELECT * FROM created",
    values: params.values,
  };
}

export function schemaOf(table: string): string {
  // Instants are doubles, as in JavaScript: a clock may have fractions.
  const columns = Object.entries(TYPES)
    .map(([name, type]) => `  ${name} ${type}`).join(",\n");
  return `CREATE TABLE ${table} (
  id text COLLATE "C" PRIMARY KEY,
${columns},
  collect_at double precision NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX ON ${table} (collect_at);
CREATE INDEX ON ${table} (principal);
COMMENT ON TABLE ${table} IS '${commentOf(SCHEMA_VERSION)}';
`;
}

export function commentOf(version: number): string {
  return `cloakroom session schema ${version}`;
}

/**
 * One statement, so that a node that fails half-way leaves nothing behind. Of
 * several at once the first makes the table, and each of the others waits for it
 * at one of the catalog's unique indexes or finds what it has made.
 */
export function creationOf(table: string): string {
  return `DO $body$ BEGIN
${schemaOf(table)}EXCEPTION
WHEN duplicate_table OR duplicate_object OR unique_violation THEN NULL;
END $body$`;
}

/** A table's name in SQL, each part in quotes. */
export function quoted(table: string): string {
  if (/^(?:[a-z_]\w{0,62}\.)?[a-z_]\w{0,62}$/i.test(table)) {
    return table.split(".").map((part) => `"${part}"`).join(".");
  }
  throw new TypeError(
    `Cannot create PostgresProvider: table must be letters, digits and underscores, after a schema and a dot or alone: received ${table}`,
  );
}
