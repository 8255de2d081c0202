/** Judges the secrets that a request shows for a live record. */
import type { RefusalReason } from "../events.ts";
import type { SessionRecord } from "../provider.ts";
import {
  areEqual,
  type Audience,
  hashFamily,
  hashSecret,
  isNewer,
} from "../secret/token.ts";

/** What a request's secrets are to a record. */
export type Judgement =
  | {
    readonly opens: true;
    readonly secret: string;
    readonly secretHash: string;
    /** The secret's family, as it is stored. */
    readonly family: string;
  }
  | {
    readonly opens: false;
    readonly reason: Extract<
      RefusalReason,
      "reused" | "superseded" | "wrong-secret" | "rolled-back"
    >;
    /** The secret that is the reason. */
    readonly secret: string;
  };

/** What a judgement depends on, beside the record and the secrets. */
export interface Circumstances {
  /** When the request arrived, in milliseconds since the Unix epoch. */
  readonly at: number;
  /** How long a replaced secret is no more than superseded, in seconds. */
  readonly grace: number;
  /** How the request shows its secrets. */
  readonly audience: Audience;
}

/**
 * Judges secrets by the time the request arrived: see "The token" of the design
 * in SECURITY.md. Of several, one that opens counts, and the current one first;
 * if none does, the gravest reason.
 */
export function judge(
  record: SessionRecord,
  secrets: readonly string[],
  { at, grace, audience }: Circumstances,
): Judgement {
  const hashes = secrets.map((secret) => hashSecret(secret, audience));
  const { previous } = record;
  const current = hashes.findIndex((hash) => areEqual(record.secretHash, hash));
  if (current !== -1) {
    return opening(secrets[current]!, hashes[current]!, record.family);
  }
  if (previous !== undefined && isOpen(previous.until, at)) {
    const replaced = hashes
      .findIndex((hash) => areEqual(previous.secretHash, hash));
    if (replaced !== -1) {
      return opening(secrets[replaced]!, hashes[replaced]!, previous.family);
    }
  }
  return refusal(record, secrets, hashes, { at, grace, audience });
}

/** Whether a secret is the record's own, or still in grace at that time. */
export function opens(
  record: SessionRecord,
  secretHash: string,
  at: number,
): boolean {
  const { previous } = record;
  return record.secretHash === secretHash ||
    (previous?.secretHash === secretHash && isOpen(previous.until, at));
}

function isOpen(until: number | "confirmed" | "never", at: number): boolean {
  return until === "confirmed" || (until !== "never" && until > at);
}

function opening(
  secret: string,
  secretHash: string,
  family: string,
): Judgement {
  return { opens: true, secret, secretHash, family };
}

function refusal(
  record: SessionRecord,
  secrets: readonly string[],
  hashes: readonly string[],
  { at, grace, audience }: Circumstances,
): Judgement {
  const families = secrets.map((secret) => hashFamily(secret, audience));
  // Knowing the id is not enough to end a session; having had its cookie is.
  const related = families
    .flatMap((own, index) => areEqual(record.family, own) ? [index] : []);
  const [reused] = related;
  if (reused !== undefined) {
    // One that the store has never heard of is no copy of one that it has
    // replaced: the store has lost a renewal, and the owner shows its cookie.
    const newer = related
      .find((index) => isNewer(hashes[index]!, record.secretHash));
    return newer === undefined
      ? { opens: false, reason: "reused", secret: secrets[reused]! }
      : { opens: false, reason: "rolled-back", secret: secrets[newer]! };
  }
  const { previous } = record;
  const isRecent = previous !== undefined &&
    at < record.renewedAt + grace * 1000;
  const superseded = isRecent
    ? families.findIndex((own) => areEqual(previous.family, own))
    : -1;
  return superseded !== -1
    ? { opens: false, reason: "superseded", secret: secrets[superseded]! }
    : { opens: false, reason: "wrong-secret", secret: secrets[0]! };
}
