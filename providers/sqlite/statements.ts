/** The SQL of a `SqliteProvider`, and the parameters that it takes. */
import type { Guard, SessionChange } from "../../core/provider.ts";
import { untilText } from "../../core/store/record.ts";
import type { SqliteParameter } from "./driver.ts";
import {
  COLUMN_TYPES,
  keyOf,
  RECORD_COLUMNS,
  RECORD_PARAMETERS,
  SUMMARY_COLUMNS,
  toText,
} from "./row.ts";

/**
 * A table and its indexes; `@` is its name. What a touch changes keeps its
 * length, so that SQLite overwrites it where it is and leaves the pages with the
 * data alone; for the same reason the index is not on the deadline but on one
 * that the session had once, `collect_at`, which `gc` brings up to date when it
 * comes to it.
 *
 * The rowid is a hash of the id, so that a session is found by a single search,
 * where an index on the id would take a second one. A table without rowid would
 * hold long rows in the inner nodes of its tree, which makes it a deep one.
 */
export const TABLE: string = `
CREATE TABLE "@" (
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  collect_at REAL NOT NULL,
  ${COLUMN_TYPES}
) STRICT;
CREATE INDEX "@_collect_at" ON "@" (collect_at);
CREATE INDEX "@_principal" ON "@" (principal) WHERE principal IS NOT NULL;
`;

const FILED = "key = ? AND id = ?";

/** The parameters of `FILED`. */
export function filed(id: string): [bigint, string] {
  return [keyOf(id), id];
}

/** The columns that decide when a session ends, or what replaces them. */
interface Times {
  readonly accessedAt: string;
  readonly idleTimeout: string;
  readonly begin: string;
  readonly absoluteTimeout: string;
}

/** `expiryOf` of `core/store/record.ts`. */
function expiryOf(times: Times): string {
  const { accessedAt, idleTimeout, begin, absoluteTimeout } = times;
  return `min(${accessedAt} + ${idleTimeout} * 1000,
    ${begin} + ${absoluteTimeout} * 1000)`;
}

const TIMES: Times = {
  accessedAt: "accessed_at",
  idleTimeout: "idle_timeout",
  begin: "coalesce(authenticated_at, created_at)",
  absoluteTimeout: "absolute_timeout",
};

const EXPIRY = expiryOf(TIMES);

/** Whether the deadline can be made out: any text is more than any number. */
const HAS_EXPIRY = `ifnull(max(${Object.values(TIMES).join()}) < '', 0)`;

/** `isLive` of `core/store/record.ts`. */
const LIVE = `(${HAS_EXPIRY} AND ? < ${EXPIRY}
  AND ${TIMES.begin} - ? < ${TIMES.absoluteTimeout} * 1000)`;

/** The parameters of `LIVE`, and of what contains it. */
export function live(now: number): [number, number] {
  return [now, now];
}

/** The same, and also a row that must not be taken for one that has ended. */
const PRESENT = `(NOT ${HAS_EXPIRY} OR ${LIVE})`;

/**
 * What the collector leaves alone; takes `now` once. It goes by the deadline
 * only, so that one whose clock is behind takes no session for one of the
 * future.
 */
const KEPT = `(${HAS_EXPIRY} AND ? < ${EXPIRY})`;

const UNTIL = "coalesce(previous_until, previous_hash, previous_family, '')";

/** What an update is "gone" without. A parameter that is null asks nothing. */
const SAME = {
  family: "family IS coalesce(?, family)",
  principal: "principal IS coalesce(?, principal)",
};

/** What it is in "conflict" without. */
const UNCHANGED = {
  token: `secret_hash IS coalesce(?, secret_hash)
    AND ${UNTIL} IS coalesce(?, ${UNTIL})`,
  version: "version IS coalesce(?, version)",
  binding: "coalesce(binding, '') IS coalesce(?, binding, '')",
};

const GUARD_PARTS = { ...SAME, ...UNCHANGED } satisfies Record<
  keyof Guard,
  string
>;
const GUARD_NAMES = Object.keys(GUARD_PARTS) as (keyof Guard)[];

const IS_SAME = Object.values(SAME).join(" AND ");
const IS_UNCHANGED = Object.values(UNCHANGED).join(" AND ");

/**
 * Whether the data can be merged with a patch, if there is one: `json_patch`
 * would take JSON that is no object for an empty one.
 */
const IS_MERGEABLE = "(NOT ? OR substr(data, 1, 1) IS '{')";

const GUARDED = `${IS_SAME} AND ${IS_UNCHANGED} AND ${IS_MERGEABLE}`;

/**
 * The parameters of `GUARDED`, and of its parts in their order.
 *
 * @param guard Without properties that it inherits.
 */
export function guarded(guard: Guard, hasPatch: boolean): SqliteParameter[] {
  const { family, principal, token, version, binding } = guard;
  const parts = {
    family: [family ?? null],
    principal: [toText(principal)],
    token: token === undefined
      ? [null, null]
      : [token.secretHash, untilText(token.until)],
    version: [version ?? null],
    binding: [binding === null ? "" : toText(binding)],
  } satisfies Record<keyof Guard, readonly SqliteParameter[]>;
  const all = GUARD_NAMES.flatMap((name): SqliteParameter[] => parts[name]);
  return [...all, Number(hasPatch)];
}

/** Never earlier than any instant. */
const LONG_AGO = -Number.MAX_VALUE;

/** Takes the instant of a use, whether there is a patch, and the patch. */
const UPDATE = `UPDATE "@" SET version = version + 1,
  accessed_at = max(accessed_at, ?),
  data = iif(?, json_patch(data, ?), data)`;

const UPDATABLE = `WHERE ${FILED} AND ${LIVE} AND ${GUARDED}`;

/** The parameters of `UPDATE`. */
export function merged(
  change: SessionChange,
  patch: string | undefined,
  now: number,
): SqliteParameter[] {
  return [usedAt(change, now), Number(patch !== undefined), patch ?? null];
}

function usedAt(change: SessionChange, now: number): number {
  return change.isUse === false ? LONG_AGO : now;
}

/** The fields that a change replaces as they are. */
type Replaced = Exclude<keyof SessionChange, "set" | "delete" | "isUse">;

const REPLACEMENTS = {
  secretHash: "secret_hash = coalesce(?, secret_hash)",
  family: "family = coalesce(?, family)",
  renewedAt: "renewed_at = coalesce(?, renewed_at)",
  previous: `previous_hash = iif(?, ?, previous_hash),
    previous_family = iif(?, ?, previous_family),
    previous_until = iif(?, ?, previous_until)`,
  principal: "principal = iif(?, ?, principal)",
  label: "label = iif(?, ?, label)",
  authenticatedAt: "authenticated_at = iif(?, ?, authenticated_at)",
  fingerprint: "fingerprint = iif(?, ?, fingerprint)",
  binding: "binding = iif(?, ?, binding)",
  idleTimeout: "idle_timeout = coalesce(?, idle_timeout)",
  absoluteTimeout: "absolute_timeout = coalesce(?, absolute_timeout)",
  persistent: "persistent = coalesce(?, persistent)",
} satisfies Record<Replaced, string>;

const REPLACED = Object.keys(REPLACEMENTS) as Replaced[];

/** The deadline that a change leaves a session with. */
const NEXT_EXPIRY = expiryOf({
  accessedAt: "max(accessed_at, ?)",
  idleTimeout: "coalesce(?, idle_timeout)",
  begin: "coalesce(iif(?, ?, authenticated_at), created_at)",
  absoluteTimeout: "coalesce(?, absolute_timeout)",
});

/** Whether a change is about data alone; without properties it inherits. */
export function isDataOnly(change: SessionChange): boolean {
  return REPLACED.every((field) => change[field] === undefined);
}

/** The parameters of `NEXT_EXPIRY` and of all that a change can replace. */
export function replaced(
  change: SessionChange,
  now: number,
): SqliteParameter[] {
  const { previous, persistent } = change;
  const { idleTimeout = null, absoluteTimeout = null } = change;
  const authenticatedAt = replacement(change.authenticatedAt);
  const fields = {
    secretHash: [change.secretHash ?? null],
    family: [change.family ?? null],
    renewedAt: [change.renewedAt ?? null],
    previous: [
      ...replacement(previous && previous.secretHash),
      ...replacement(previous && previous.family),
      ...replacement(previous && untilText(previous.until)),
    ],
    principal: replacement(textOf(change.principal)),
    label: replacement(textOf(change.label)),
    authenticatedAt,
    fingerprint: replacement(textOf(change.fingerprint)),
    binding: replacement(textOf(change.binding)),
    idleTimeout: [idleTimeout],
    absoluteTimeout: [absoluteTimeout],
    persistent: [persistent === undefined ? null : Number(persistent)],
  } satisfies Record<Replaced, readonly SqliteParameter[]>;
  const accessedAt = usedAt(change, now);
  return [
    accessedAt,
    idleTimeout,
    ...authenticatedAt,
    absoluteTimeout,
    ...REPLACED.flatMap((field): SqliteParameter[] => fields[field]),
  ];
}

function textOf(value: string | null | undefined): string | null | undefined {
  return typeof value === "string" ? toText(value) : value;
}

/** Whether a field that can be forgotten is given, and what it is then. */
function replacement(
  value: SqliteParameter | undefined,
): [number, SqliteParameter] {
  return value === undefined ? [0, null] : [1, value];
}

/** Takes keys as an array in JSON, since there may be any number of them. */
const CHOSEN = "WHERE key IN (SELECT value FROM json_each(?))";

/** Takes the key to begin after, and how many. */
const NEXT = "key > ? ORDER BY key LIMIT ?";

/** Why a call changed nothing. */
export type Standing =
  | "absent"
  | "gone"
  | "conflict"
  | "unreadable"
  | "as-guarded";

/** The statements by what they are for. */
export const STATEMENTS = {
  create: `INSERT INTO "@" (key, id, collect_at, ${RECORD_COLUMNS})
    VALUES (?, ?, ?, ${RECORD_PARAMETERS})
    ON CONFLICT (key) DO NOTHING`,
  read: `SELECT ${RECORD_COLUMNS} FROM "@" WHERE ${FILED} AND ${PRESENT}`,
  updateData: `${UPDATE} ${UPDATABLE}`,
  updateAll: `${UPDATE}, collect_at = min(collect_at, ${NEXT_EXPIRY}),
    ${Object.values(REPLACEMENTS).join(", ")} ${UPDATABLE}`,
  touch: `UPDATE "@" SET accessed_at = max(accessed_at, ?)
    WHERE ${FILED} AND ${LIVE}`,
  destroy: `DELETE FROM "@" WHERE ${FILED} AND ${GUARDED}
    RETURNING ${PRESENT}`,
  destroyMany: `DELETE FROM "@" ${CHOSEN}
    AND id IN (SELECT value FROM json_each(?)) AND ${GUARDED}
    RETURNING id, ${PRESENT}`,
  standing: `SELECT CASE
    WHEN NOT ${PRESENT} THEN 'absent'
    WHEN NOT (${IS_SAME}) THEN 'gone'
    WHEN NOT (${IS_UNCHANGED}) THEN 'conflict'
    WHEN NOT (${HAS_EXPIRY} AND ${IS_MERGEABLE}) THEN 'unreadable'
    ELSE 'as-guarded' END
    FROM "@" WHERE ${FILED}`,
  due: `SELECT CAST(key AS TEXT), collect_at, ${KEPT} FROM "@"
    WHERE collect_at <= ? AND (collect_at, key) > (?, ?)
    ORDER BY collect_at, key LIMIT ?`,
  refile: `UPDATE "@" SET collect_at = ${EXPIRY} ${CHOSEN} AND ${KEPT}`,
  gc: `DELETE FROM "@" ${CHOSEN} AND NOT ${KEPT} RETURNING id`,
  list: `SELECT ${SUMMARY_COLUMNS} FROM "@"
    WHERE principal = ? AND ${PRESENT}`,
  scan: `SELECT ${RECORD_COLUMNS}, id FROM "@"
    WHERE key > ? AND ${PRESENT} ORDER BY key LIMIT ?`,
  destroyAll: `DELETE FROM "@" WHERE key IN (
      SELECT key FROM "@" WHERE principal = ? AND id IS NOT ? AND ${NEXT}
    ) RETURNING CAST(key AS TEXT)`,
  clear: `DELETE FROM "@" WHERE key IN (
      SELECT key FROM "@" WHERE ${NEXT}
    ) RETURNING CAST(key AS TEXT)`,
} as const;

/** The statements that change nothing. */
export const READS: ReadonlySet<string> = new Set<keyof typeof STATEMENTS>([
  "read",
  "standing",
  "due",
  "list",
  "scan",
]);
