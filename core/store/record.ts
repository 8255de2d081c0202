/**
 * When a session lives, whether a guard holds, and what a change makes of a
 * record: one function each, for the manager and for every provider that works
 * it out by itself.
 */
import type {
  Guard,
  NewSessionRecord,
  PreviousSecret,
  SessionChange,
  SessionRecord,
  SessionSummary,
  TokenState,
  Until,
} from "../provider.ts";
import { ownOf } from "../option_names.ts";
import {
  EMPTY_DATA,
  emptyObject,
  put,
  type StoredData,
} from "../value/types.ts";

/** The fields of a record that decide when it ends. */
export type Deadlines = Pick<
  SessionRecord,
  | "accessedAt"
  | "idleTimeout"
  | "authenticatedAt"
  | "createdAt"
  | "absoluteTimeout"
>;

/** The fields of a record that a guard looks at. */
export type Guarded = Pick<
  SessionRecord,
  "family" | "principal" | "secretHash" | "previous" | "version" | "binding"
>;

/**
 * The first instant at which a record no longer exists, in milliseconds since
 * the Unix epoch.
 */
export function expiryOf(record: Deadlines): number {
  return Math.min(
    record.accessedAt + record.idleTimeout * 1000,
    absoluteExpiryOf(record),
  );
}

/** The instant beyond which no use prolongs a record, in the same unit. */
export function absoluteExpiryOf(record: Deadlines): number {
  return (record.authenticatedAt ?? record.createdAt) +
    record.absoluteTimeout * 1000;
}

/**
 * Whether a record exists at an instant. One that claims to begin later than its
 * absolute timeout from now comes from a clock that was wrong: it would live for
 * ever, and so it does not live at all.
 */
export function isLive(record: Deadlines, now: number): boolean {
  const lifetime = record.absoluteTimeout * 1000;
  const begin = record.authenticatedAt ?? record.createdAt;
  return now < record.accessedAt + record.idleTimeout * 1000 &&
    now < begin + lifetime && begin - now < lifetime;
}

/** What an update answers because of its guard, or `undefined` if that holds. */
export function guardFailure(
  record: Guarded,
  guard: Guard,
): "gone" | "conflict" | undefined {
  const { family, principal, token, version, binding } = ownOf(guard);
  if (family !== undefined && family !== record.family) return "gone";
  if (principal !== undefined && principal !== record.principal) return "gone";
  if (token !== undefined) {
    if (token.secretHash !== record.secretHash) return "conflict";
    if (untilText(token.until) !== untilText(record.previous?.until)) {
      return "conflict";
    }
  }
  if (version !== undefined && version !== record.version) return "conflict";
  if (binding !== undefined && binding !== (record.binding ?? null)) {
    return "conflict";
  }
  return undefined;
}

/** The token of a record, to tell later whether it was replaced. */
export function tokenStateOf(record: SessionRecord): TokenState {
  const { secretHash, previous } = record;
  return { secretHash, until: previous?.until };
}

/** `until` as it is stored and compared; empty for none. */
export function untilText(until: Until | undefined): string {
  return until === undefined ? "" : String(until);
}

/**
 * What {@linkcode untilText} wrote.
 *
 * @returns `undefined` if it is none of that.
 */
export function parseUntil(text: string): Until | undefined {
  if (text === "confirmed" || text === "never") return text;
  const instant = Number(text);
  return Number.isFinite(instant) && String(instant) === text
    ? instant
    : undefined;
}

/** The record after a change, sharing everything that stayed as it was. */
export function applied(
  record: SessionRecord,
  given: SessionChange,
  now: number,
): SessionRecord {
  const change = ownOf(given);
  const next: Fields = {
    data: appliedData(record.data, change),
    version: record.version + 1,
    secretHash: change.secretHash ?? record.secretHash,
    family: change.family ?? record.family,
    renewedAt: change.renewedAt ?? record.renewedAt,
    previous: changed(record.previous, change.previous),
    principal: changed(record.principal, change.principal),
    label: changed(record.label, change.label),
    authenticatedAt: changed(record.authenticatedAt, change.authenticatedAt),
    fingerprint: changed(record.fingerprint, change.fingerprint),
    binding: changed(record.binding, change.binding),
    createdAt: record.createdAt,
    accessedAt: change.isUse === false
      ? record.accessedAt
      : Math.max(record.accessedAt, now),
    idleTimeout: change.idleTimeout ?? record.idleTimeout,
    absoluteTimeout: change.absoluteTimeout ?? record.absoluteTimeout,
    persistent: change.persistent ?? record.persistent,
  };
  return toRecord(next, next.version);
}

/** Every field of a record, named: a new one does not compile until it is. */
type Fields = { [Key in keyof Required<SessionRecord>]: SessionRecord[Key] };

/** A field that a change may leave out, or forget by `null`. */
function changed<T>(
  before: T | undefined,
  after: T | null | undefined,
): T | undefined {
  return after === undefined ? before : after ?? undefined;
}

function appliedData(data: StoredData, change: SessionChange): StoredData {
  const { set = EMPTY_DATA, delete: removed = [] } = change;
  const written = Object.keys(set);
  const kept = removed.length === 0 ? data : without(data, new Set(removed));
  if (written.length === 0) return kept;
  const copy = Object.assign(emptyObject(), kept);
  for (const key of written) put(copy, key, set[key]);
  return Object.freeze(copy);
}

/** Copied key by key: V8 keeps an object that lost a key as a hash table. */
function without(data: StoredData, removed: ReadonlySet<string>): StoredData {
  const kept = Object.keys(data).filter((key) => !removed.has(key));
  if (kept.length === 0) return EMPTY_DATA;
  const copy = emptyObject();
  for (const key of kept) put(copy, key, data[key]);
  return Object.freeze(copy);
}

/**
 * A frozen record whose fields always stand in the same order.
 *
 * @param accessedAt When it was last used, if not as the source says.
 */
export function toRecord(
  given: NewSessionRecord,
  version: number,
  accessedAt: number = given.accessedAt,
): SessionRecord {
  const source = isComplete(given) ? given : ownOf(given);
  const fields: Fields = {
    data: source.data,
    version,
    secretHash: source.secretHash,
    family: source.family,
    renewedAt: source.renewedAt,
    previous: source.previous && frozenPrevious(source.previous),
    principal: source.principal,
    label: source.label,
    authenticatedAt: source.authenticatedAt,
    fingerprint: source.fingerprint,
    binding: source.binding,
    createdAt: source.createdAt,
    accessedAt,
    idleTimeout: source.idleTimeout,
    absoluteTimeout: source.absoluteTimeout,
    persistent: source.persistent,
  };
  return Object.freeze(fields);
}

/** Whether a record has every field itself, and inherits none. */
function isComplete(record: NewSessionRecord): boolean {
  return OPTIONAL.every((name) => Object.hasOwn(record, name));
}

type OptionalKey = {
  [Key in keyof SessionRecord]-?: undefined extends SessionRecord[Key] ? Key
    : never;
}[keyof SessionRecord];

const OPTIONAL = Object.keys(
  {
    previous: 1,
    principal: 1,
    label: 1,
    authenticatedAt: 1,
    fingerprint: 1,
    binding: 1,
  } satisfies Record<OptionalKey, 1>,
);

function frozenPrevious(previous: PreviousSecret): PreviousSecret {
  if (Object.isFrozen(previous)) return previous;
  const { secretHash, family, until } = previous;
  return Object.freeze({ secretHash, family, until });
}

/** What a list tells of a session. */
export function summaryOf(
  id: string,
  record: Omit<SessionSummary, "id">,
): SessionSummary {
  return {
    id,
    label: record.label,
    binding: record.binding,
    authenticatedAt: record.authenticatedAt,
    createdAt: record.createdAt,
    accessedAt: record.accessedAt,
    idleTimeout: record.idleTimeout,
    absoluteTimeout: record.absoluteTimeout,
  };
}
