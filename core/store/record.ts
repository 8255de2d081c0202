/**
 * What a change does to a record, for providers that work it out themselves.
 */
import type {
  NewSessionRecord,
  SessionChange,
  SessionRecord,
  UpdateGuard,
} from "../provider.ts";
import {
  EMPTY_DATA,
  emptyObject,
  put,
  type StoredData,
} from "../value/types.ts";

/**
 * Whether a request's secret is the record's own, or its previous one still in
 * grace. Takes any time, as a store does that compares hashes by itself: the
 * manager has compared them with the secret before.
 */
export function isGuardMet(
  record: Pick<SessionRecord, "secretHash" | "previous">,
  guard: UpdateGuard,
  now: number,
): boolean {
  if (record.secretHash === guard.secretHash) return true;
  const { previous } = record;
  return previous !== undefined && previous.expiresAt > now &&
    previous.secretHash === guard.secretHash;
}

/** The record after a change, sharing everything that stayed as it was. */
export function applied(
  record: SessionRecord,
  change: SessionChange,
  now: number,
): SessionRecord {
  return toRecord({
    data: appliedData(record.data, change),
    secretHash: change.secretHash ?? record.secretHash,
    renewedAt: change.renewedAt ?? record.renewedAt,
    previous: changed(record.previous, change.previous),
    principal: changed(record.principal, change.principal),
    label: changed(record.label, change.label),
    authenticatedAt: changed(record.authenticatedAt, change.authenticatedAt),
    fingerprint: changed(record.fingerprint, change.fingerprint),
    createdAt: record.createdAt,
    accessedAt: now,
    expiresAt: change.expiresAt,
    idleTimeout: change.idleTimeout ?? record.idleTimeout,
    absoluteTimeout: change.absoluteTimeout ?? record.absoluteTimeout,
    persistent: change.persistent ?? record.persistent,
  }, record.version + 1);
}

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

/** A frozen record whose fields always stand in the same order. */
export function toRecord(
  source: NewSessionRecord,
  version: number,
  accessedAt: number = source.accessedAt,
  expiresAt: number = source.expiresAt,
): SessionRecord {
  return Object.freeze({
    data: source.data,
    version,
    secretHash: source.secretHash,
    renewedAt: source.renewedAt,
    previous: source.previous && Object.freeze({ ...source.previous }),
    principal: source.principal,
    label: source.label,
    authenticatedAt: source.authenticatedAt,
    fingerprint: source.fingerprint,
    createdAt: source.createdAt,
    accessedAt,
    expiresAt,
    idleTimeout: source.idleTimeout,
    absoluteTimeout: source.absoluteTimeout,
    persistent: source.persistent,
  });
}
