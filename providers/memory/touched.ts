/** Makes the record of a session that was used since its record was written. */
import type { SessionRecord } from "../../core/provider.ts";

/** Every field of a record, named: a new one does not compile until it is. */
type Fields = { [Key in keyof Required<SessionRecord>]: SessionRecord[Key] };

/**
 * A record of the provider's own with another `accessedAt`. Every request comes
 * through here: nothing is checked that was checked when it was stored, and a
 * spread would take V8 twice as long.
 */
export function touchedAt(
  record: SessionRecord,
  accessedAt: number,
): SessionRecord {
  const fields: Fields = {
    data: record.data,
    version: record.version,
    secretHash: record.secretHash,
    family: record.family,
    renewedAt: record.renewedAt,
    previous: record.previous,
    principal: record.principal,
    label: record.label,
    authenticatedAt: record.authenticatedAt,
    fingerprint: record.fingerprint,
    binding: record.binding,
    createdAt: record.createdAt,
    accessedAt,
    idleTimeout: record.idleTimeout,
    absoluteTimeout: record.absoluteTimeout,
    persistent: record.persistent,
  };
  return Object.freeze(fields);
}
