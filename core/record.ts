/**
 * What a change does to a record, for providers that work it out themselves.
 */
import type {
  NewSessionRecord,
  SessionChange,
  SessionRecord,
  UpdateGuard,
} from "./provider.ts";
import { hashesEqual } from "./token.ts";
import { emptyObject, put, type StoredData } from "./value.ts";

/**
 * Whether a request's secret is the record's own, or its previous one still in
 * grace.
 */
export function isGuardMet(
  record: Pick<SessionRecord, "secretHash" | "previous">,
  guard: UpdateGuard,
  now: number,
): boolean {
  if (hashesEqual(record.secretHash, guard.secretHash)) return true;
  const { previous } = record;
  return previous !== undefined && previous.expiresAt > now &&
    hashesEqual(previous.secretHash, guard.secretHash);
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
  const set = Object.entries(change.set ?? {});
  const removed = change.delete ?? [];
  if (set.length === 0 && removed.length === 0) return data;
  const copy = Object.assign(emptyObject(), data);
  for (const [key, value] of set) put(copy, key, value);
  for (const key of removed) delete copy[key];
  return Object.freeze(copy);
}

/** A frozen record whose fields always stand in the same order. */
export function toRecord(
  source: NewSessionRecord,
  version: number,
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
    accessedAt: source.accessedAt,
    expiresAt: source.expiresAt,
    idleTimeout: source.idleTimeout,
    absoluteTimeout: source.absoluteTimeout,
    persistent: source.persistent,
  });
}
