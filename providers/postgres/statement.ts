import type { NewSessionRecord, SessionChange } from "../../core/provider.ts";
import type { PostgresParam } from "./client.ts";
import { encodeData, escaped, escapedIfAny } from "./row.ts";

/** The layout of the table that this module reads and writes. */
export const SCHEMA_VERSION = 1;

/**
 * A session as one JSON text: numbers arrive as numbers and names as they are,
 * whatever the client does with columns.
 */
export const SESSION = `json_build_array(id, version, secret_hash, renewed_at,
previous_hash, previous_expires_at, principal, label, authenticated_at,
fingerprint, created_at, accessed_at, expires_at, idle_timeout,
absolute_timeout, persistent, data)::text`;

/** The live row `$1` at the instant `$2`, if `$3` is a secret that opens it. */
export const GUARD = `kept.id = $1 AND kept.expires_at > $2 AND (
  kept.secret_hash = $3 OR
  kept.previous_hash = $3 AND kept.previous_expires_at > $2
)`;

/**
 * Locks the row first: an update alone would tell "gone" from "conflict" by the
 * row as it was when the statement began, and not by the one that it waited for.
 */
export function guardedByVersion(
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

export function schemaOf(table: string): string {
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

/** The columns of a new row with their values. */
export function insertion(id: string, record: NewSessionRecord) {
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
export function alteration(
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

/** A table's name in SQL, each part in quotes. */
export function quoted(table: string): string {
  if (/^(?:[a-z_]\w{0,62}\.)?[a-z_]\w{0,62}$/i.test(table)) {
    return table.split(".").map((part) => `"${part}"`).join(".");
  }
  throw new TypeError(
    `Cannot create PostgresProvider: table must be letters, digits and underscores, after a schema and a dot or alone: received ${table}`,
  );
}
