/** What the store is told at the end of a request, made from its draft. */
import type {
  NewSessionRecord,
  SessionChange,
  SessionRecord,
} from "../provider.ts";
import { emptyObject } from "../value/types.ts";
import type { Draft } from "./draft.ts";
import type { Confirmation } from "./plan.ts";

/** Every field named: a new one does not compile until it is. */
type Complete<T> = { [Key in keyof Required<T>]: T[Key] };

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/** The record that the commit of a new session creates. */
export function newRecord(
  draft: Draft,
  now: number,
  authenticatedAt: number | undefined,
): NewSessionRecord {
  const { idleTimeout, absoluteTimeout, persistent } = draft.lifetime;
  const isSignIn = draft.intent.signIn !== undefined;
  const record: Complete<NewSessionRecord> = {
    data: draft.values.toSet(),
    secretHash: draft.secretHash(draft.secret),
    family: draft.family,
    renewedAt: now,
    previous: undefined,
    principal: draft.principal,
    label: draft.label,
    authenticatedAt,
    fingerprint: draft.arrival.fingerprint,
    binding: isSignIn ? newBindingOf(draft, now) : undefined,
    createdAt: draft.arrival.at,
    accessedAt: now,
    idleTimeout,
    absoluteTimeout,
    persistent,
  };
  return Object.freeze(record);
}

/** What the request did to the data, and for how long it lives. */
export function dataChange(draft: Draft): SessionChange {
  const { intent: { lifetime }, touchedValues } = draft;
  const change: Writable<SessionChange> = emptyObject() as object;
  if (touchedValues !== undefined) {
    change.set = touchedValues.toSet();
    change.delete = touchedValues.toDelete();
  }
  if (!draft.isUse) change.isUse = false;
  if (draft.hasNewFingerprint) change.fingerprint = draft.arrival.fingerprint;
  if (lifetime !== undefined) Object.assign(change, lifetime);
  return change;
}

/**
 * The same, with the secret of a sign-in or of a new proof of identity.
 *
 * @param record The session as it was last read: its token is replaced.
 */
export function authenticationChange(
  draft: Draft,
  { secretHash, family }: SessionRecord,
  now: number,
  authenticatedAt: number,
): SessionChange {
  const { arrival, device, intent: { signIn }, nextSecret } = draft;
  const change: Writable<SessionChange> = dataChange(draft);
  change.isUse = true;
  change.secretHash = draft.secretHash(nextSecret);
  change.family = draft.familyHash(nextSecret);
  change.renewedAt = now;
  change.previous = { secretHash, family, until: "never" };
  change.authenticatedAt = authenticatedAt;
  // Who proves nothing may have somebody else's device in their session.
  if (device !== undefined && !device.isProven) {
    change.binding = newBindingOf(draft, now) ?? null;
  }
  if (arrival.fingerprint !== undefined) {
    change.fingerprint = arrival.fingerprint;
  }
  if (signIn !== undefined) {
    change.principal = signIn.principal;
    change.label = signIn.label;
  }
  return change;
}

/** The same as the first, with a new secret of the same family. */
export function renewalChange(
  draft: Draft,
  secret: string,
  until: number | "confirmed",
  now: number,
): SessionChange {
  const { family } = draft;
  const change: Writable<SessionChange> = dataChange(draft);
  change.secretHash = draft.secretHash(secret);
  change.family = family;
  change.renewedAt = now;
  change.previous = { secretHash: draft.ownHash as string, family, until };
  return change;
}

/**
 * The note that the present secret has arrived, or the device's cookie, and the
 * data if that goes along.
 */
export function confirmationChange(
  draft: Draft,
  { until, isToken, isDevice, hasData }: Confirmation,
): SessionChange {
  const change: Writable<SessionChange> = hasData
    ? dataChange(draft)
    : emptyObject() as object;
  if (!draft.isUse) change.isUse = false;
  const previous = draft.record?.previous;
  if (isToken && previous !== undefined) {
    change.previous = { ...previous, until };
  }
  const binding = isDevice ? draft.device?.enforcedFrom(until) : undefined;
  if (binding !== undefined) change.binding = binding;
  return change;
}

/** Only browsers keep a device's key. */
function newBindingOf(draft: Draft, now: number): string | undefined {
  return draft.carrier === "bearer"
    ? undefined
    : draft.device?.offerBinding(now, draft.key);
}
