/** What servers of different kinds are told in the same SQL: lives and guards. */
import type { Guard, SessionChange, TokenState } from "../provider.ts";
import { untilText } from "./record.ts";
import {
  type Column,
  columnsOf,
  type ColumnValue,
  escaped,
} from "./sql_row.ts";

/** Where the values that decide about a life come from, in SQL. */
export interface Lifetime {
  readonly accessed_at: string;
  readonly idle_timeout: string;
  readonly authenticated_at: string;
  readonly created_at: string;
  readonly absolute_timeout: string;
}

/**
 * Those of a row.
 *
 * @param prefix What stands before the names of its columns.
 */
export function lifetimeOf(prefix: string): Lifetime {
  return {
    accessed_at: `${prefix}accessed_at`,
    idle_timeout: `${prefix}idle_timeout`,
    authenticated_at: `${prefix}authenticated_at`,
    created_at: `${prefix}created_at`,
    absolute_timeout: `${prefix}absolute_timeout`,
  };
}

/** What a change can replace of that. */
const DEADLINE = ["idle_timeout", "absolute_timeout", "authenticated_at"];

function beginOf({ authenticated_at, created_at }: Lifetime): string {
  return `coalesce(${authenticated_at}, ${created_at})`;
}

/**
 * Seconds as milliseconds. A sum or a product that overflows is an error of the
 * whole statement, so that one damaged row would fail the lists of all.
 */
function millisecondsOf(timeout: string): string {
  return `least(greatest(${timeout}, -1e100), 1e100) * 1000`;
}

/** `expiryOf` of `core/store/record.ts`. */
export function expirySql(from: Lifetime): string {
  return `least(${from.accessed_at} + ${millisecondsOf(from.idle_timeout)}, ${
    beginOf(from)
  } + ${millisecondsOf(from.absolute_timeout)})`;
}

/** `isLive` of `core/store/record.ts`, at an instant that is a number in SQL. */
export function liveSql(now: string, from: Lifetime): string {
  return `(${now} < ${expirySql(from)} AND ${beginOf(from)} - ${now} < ${
    millisecondsOf(from.absolute_timeout)
  })`;
}

/** Parameters by number, as they are needed. */
export class Params<T> {
  readonly values: T[] = [];

  /** The placeholder of one more value. */
  bind(value: T): string {
    return `$${this.values.push(value)}`;
  }
}

/** What columns have to be equal to; `undefined` for what is not asked. */
export type Expected = { readonly [Name in Column]?: ColumnValue | undefined };

/** Each part of a guard: a new one does not compile until it is here. */
export function partsOf(
  guard: Guard,
): { [Key in keyof Required<Guard>]: Expected } {
  const { family, principal, token, version, binding } = guard;
  return {
    family: { family },
    principal: {
      principal: principal === undefined ? undefined : escaped(principal),
    },
    token: {
      secret_hash: token?.secretHash,
      previous_until: token && untilOf(token),
    },
    version: { version },
    binding: {
      binding: typeof binding === "string" ? escaped(binding) : binding,
    },
  };
}

function untilOf({ until }: TokenState): string | null {
  return until === undefined ? null : untilText(until);
}

/** All of that in SQL, as true or false. */
export function conditionsOf(
  parts: readonly Expected[],
  isEqual: (column: string, value: ColumnValue) => string,
): string {
  const all = parts.flatMap((part) => Object.entries(part))
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => isEqual(name, value ?? null));
  return all.length === 0 ? "true" : `(${all.join(" AND ")})`;
}

/** How a change is put into SQL. */
export interface AssignmentOptions {
  /** What stands before the name of a column whose value is read. */
  readonly prefix: string;
  /** The instant of the change, as a number. */
  readonly now: string;
  /** The value that a column is given. */
  readonly bind: (column: string, value: ColumnValue) => string;
}

/**
 * What columns are set to, all but the data. The deadline comes first: some servers
 * assign in order, and would read what has been assigned already.
 */
export function assignmentsOf(
  change: SessionChange,
  { prefix, now, bind }: AssignmentOptions,
): Record<string, string> {
  const columns = columnsOf(change);
  const assigned: Record<string, string> = { version: `${prefix}version + 1` };
  if (change.isUse !== false) {
    assigned["accessed_at"] = `greatest(${prefix}accessed_at, ${now})`;
  }
  for (const [name, value] of Object.entries(columns)) {
    assigned[name] = bind(name, value);
  }
  // An update of an indexed column is dear, and most move no deadline back.
  const isDeadlineMoved = DEADLINE.some((name) => Object.hasOwn(columns, name));
  if (!isDeadlineMoved) return assigned;
  const expiry = expirySql({ ...lifetimeOf(prefix), ...assigned });
  return {
    collect_at: `least(${prefix}collect_at, ${expiry})`,
    ...assigned,
  };
}
