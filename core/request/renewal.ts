import type { Draft } from "./draft.ts";
import type { SessionChange, SessionRecord } from "../provider.ts";
import { hashSecret, isSameFamily, renewSecret } from "../secret/token.ts";

/** A change that a session needs by itself, whatever the handler did. */
export interface Upkeep {
  /** The new secret, if there is one. */
  readonly secret?: string;
  readonly change: Partial<SessionChange>;
}

/** The grace of a replaced secret as long as nobody has used the new one. */
const UNTIL_CONFIRMED = Number.MAX_SAFE_INTEGER;

/**
 * What a session needs by itself: a new secret when this one is old, or the note
 * that the new one has arrived. Worked out from the record as it was read, so
 * it must not be written over a later version.
 */
export function upkeepOf(draft: Draft, now: number): Upkeep | undefined {
  const { latest: record, isCurrent } = draft;
  if (record === undefined || draft.isRenewed) return undefined;
  const { renewInterval, renewGrace } = draft.host.settings;
  const graceEnd = now + renewGrace * 1000;
  if (renewInterval > 0 && now - record.renewedAt >= renewInterval * 1000) {
    // Who still comes with the old secret gets a second chance, but no third:
    // else a thief who throws every new cookie away could keep the old one.
    return renewal(draft, now, isCurrent ? UNTIL_CONFIRMED : graceEnd);
  }
  const fingerprint = changedFingerprint(draft, record);
  const { previous } = record;
  const isArrived = isCurrent && previous?.expiresAt === UNTIL_CONFIRMED;
  if (fingerprint === undefined && !isArrived) return undefined;
  return {
    change: {
      ...(isArrived ? { previous: { ...previous, expiresAt: graceEnd } } : {}),
      ...(fingerprint === undefined ? {} : { fingerprint }),
    },
  };
}

function renewal(draft: Draft, now: number, expiresAt: number): Upkeep {
  const secret = renewSecret(draft.secret);
  return {
    secret,
    change: {
      secretHash: hashSecret(secret),
      previous: { secretHash: draft.secretHash, expiresAt },
      renewedAt: now,
    },
  };
}

/** What the client looks like now, so that the change is told once. */
function changedFingerprint(
  { arrival }: Draft,
  record: SessionRecord,
): string | undefined {
  const isChanged = record.fingerprint !== undefined &&
    record.fingerprint !== arrival.fingerprint;
  return isChanged ? arrival.fingerprint : undefined;
}

/**
 * Whether the secret of a request that takes long was merely renewed meanwhile,
 * and not replaced by a sign-in: its writes go on under the new one then.
 */
export async function followRenewal(draft: Draft): Promise<boolean> {
  const { store, settings } = draft.host;
  const record = await store.read(draft.id, settings.now());
  if (record === undefined || record.secretHash === draft.guardHash) {
    return false;
  }
  if (!isSameFamily(record.secretHash, draft.secret)) return false;
  draft.follow(record);
  return true;
}
