/** Decides what the end of a request means for its session: a pure function. */
import type { Reach } from "../carriage/response.ts";
import type { Lifetime, Settings } from "../options.ts";
import type { SessionRecord } from "../provider.ts";
import type { Carrier } from "../secret/token.ts";
import { isTouchDue } from "./touch.ts";

/**
 * What a request came with. Decided when it is opened, and never changed.
 *
 * | standing | meaning |
 * | --- | --- |
 * | `"visitor"` | nothing that opens a session |
 * | `"superseded"` | the cookie from before a sign-in of a moment ago |
 * | `"unproven"` | the secret of a session that is bound to a device, and no proof of that |
 * | `"ambiguous"` | cookies that open two sessions |
 * | `"opened"` | the secret of a live session |
 */
export type Standing =
  | "visitor"
  | "superseded"
  | "unproven"
  | "ambiguous"
  | "opened";

/** Who signs in. */
export interface SignIn {
  readonly principal: string;
  /** `null` forgets the label; `undefined` keeps it. */
  readonly label: string | null | undefined;
  readonly stillValid: (() => Promise<boolean> | boolean) | undefined;
}

/** What the handler asked for. Only the session's methods replace it. */
export interface Intent {
  /** How the session is to end. */
  readonly ending: "session" | "session-and-site-data" | undefined;
  readonly signIn: SignIn | undefined;
  /** What is to become of the token without a sign-in. */
  readonly token: "keep" | "renew" | "reauthenticate";
  /** The parts of the lifetime that were given, and no others. */
  readonly lifetime: Partial<Lifetime> | undefined;
  /** Whether a form was made whose token needs a session. */
  readonly hasForm: boolean;
  /** The secret of the bearer token that the handler has sent the client. */
  readonly handedOut: string | undefined;
  /** Whether the browser is to prove its device again. */
  readonly isProofAsked: boolean;
  /** Whether its changes are to be dropped. */
  readonly isDiscarded: boolean;
}

/** What deciding looks at of a draft. */
export interface Case {
  readonly standing: Standing;
  /** How the client shows its token, or will from now on. */
  readonly carrier: Carrier;
  readonly intent: Intent;
  /** Whether a session that is not stored has a key with a value. */
  readonly hasValues: boolean;
  /** Whether keys were set or deleted that the store has yet to hear of. */
  readonly hasPendingKeys: boolean;
  /** Whether the client looks different from before. */
  readonly hasNewFingerprint: boolean;
  /** Whether the request comes from the device that the session is bound to. */
  readonly isProven: boolean;
  /** Whether the store has yet to hear that the device got its cookie. */
  readonly isDeviceNew: boolean;
  readonly isUse: boolean;
  /** When the request arrived, in milliseconds since the Unix epoch. */
  readonly arrivedAt: number;
  /** The record as it was last read, if the request opened one. */
  readonly record: SessionRecord | undefined;
  /** Which of the record's secrets the request's own one is, as last read. */
  readonly own: "current" | "previous" | "neither";
  /** When the store last heard of an access, as far as the request knows. */
  readonly accessedAt: number;
}

/** What deciding looks at of an answer. */
export interface AnswerTraits {
  /** Whether the handler threw or answered 500 or above. */
  readonly isFailed: boolean;
  /** Whom a cookie on it would reach; looked at only where it matters. */
  readonly reach: Reach;
}

/** What deciding looks at of the options. */
export type PlanSettings = Pick<
  Settings,
  "renewInterval" | "renewGrace" | "touchInterval"
>;

/** What to do, and the row of the table that says so. */
export type Plan =
  | { readonly row: 1; readonly act: "clear" }
  | { readonly row: 1 | 2 | 15; readonly act: "nothing" }
  | { readonly row: 3; readonly act: "gone" }
  | { readonly row: 4; readonly act: "create" }
  | { readonly row: 5; readonly act: "end" }
  | { readonly row: 6; readonly act: "switch" }
  | { readonly row: 7 | 8; readonly act: "authenticate" }
  | { readonly row: 4 | 6 | 7 | 8; readonly act: "unsendable" }
  | Renewal
  | Confirmation
  | { readonly row: 13; readonly act: "write"; readonly isEssential: boolean }
  | { readonly row: 14; readonly act: "touch" };

/** A new secret of the same family. */
export interface Renewal {
  readonly row: 9 | 10 | 11;
  readonly act: "renew";
  /** Until when the present one goes on working. */
  readonly until: number | "confirmed";
  /** Whether the request fails if it fails. */
  readonly isEssential: boolean;
}

/** The note that the new secret has arrived, or the device's first cookie. */
export interface Confirmation {
  readonly row: 12;
  readonly act: "confirm";
  /** Until when it goes on without: by the secret before, or without the device. */
  readonly until: number;
  /** Whether a new secret has arrived. */
  readonly isToken: boolean;
  /** Whether the device's first cookie has. */
  readonly isDevice: boolean;
  /** Whether what the handler changed goes along. */
  readonly hasData: boolean;
  readonly isEssential: boolean;
}

/**
 * What the end of a request means for its session: the first row that fits.
 *
 * | row | draft | plan |
 * | --- | --- | --- |
 * | 1 | not opened, to be ended | clear the cookie, unless superseded or unproven |
 * | 2 | not opened, failed or nothing worth storing | nothing |
 * | 3 | superseded or unproven, no sign-in | nothing; it is gone |
 * | 4 | not opened, else | create |
 * | 5 | opened, to be ended, also failed | end |
 * | 6 | sign-in of another user than the record's | end, then create |
 * | 7 | sign-in of a visitor or the same user | new family, guarded by the token |
 * | 8 | proof of identity without a sign-in | as 7 |
 * | 9 | "renew now", or another `Max-Age`; own secret current and settled | renew at once |
 * | 10 | own secret current and due | renew |
 * | 11 | own secret replaced, the new one never used, and due | renew, with an end |
 * | 12 | own secret current, the one before still waiting | confirm |
 * | 13 | keys, lifetime or fingerprint changed | write |
 * | 14 | a use, and a touch is due | touch |
 * | 15 | else | nothing |
 *
 * Rows 4, 6, 7 and 8 need an answer that can carry a cookie, row 9 one that is
 * no 304 either, rows 10 and 11 one that no cache keeps. A failed request drops
 * what it changed: it gets to rows 1, 2, 5, 12, 14 and 15 alone.
 *
 * @param isTokenLost Whether another request has replaced or confirmed the token
 * meanwhile: rows 9 to 12 are passed over then.
 */
export function decide(
  given: Case,
  now: number,
  settings: PlanSettings,
  cookieAnswer: AnswerTraits,
  isTokenLost = false,
): Plan {
  const answer = given.carrier === "cookie"
    ? cookieAnswer
    : bearerAnswer(given.intent, cookieAnswer);
  const isFailed = answer.isFailed || given.intent.isDiscarded;
  if (given.standing !== "opened") {
    return decideUnopened(given, isFailed, answer);
  }
  if (given.intent.ending !== undefined) return END;
  const authentication = isFailed
    ? undefined
    : decideAuthentication(given, answer);
  if (authentication !== undefined) return authentication;
  const upkeep = isTokenLost
    ? undefined
    : decideUpkeep(given, now, settings, isFailed, answer);
  if (upkeep !== undefined) return upkeep;
  if (!isFailed && hasData(given)) {
    return { row: 13, act: "write", isEssential: isEssential(given) };
  }
  return given.isUse && isAccessWorthTelling(given, now, settings)
    ? TOUCH
    : NOTHING;
}

/**
 * A new token reaches a client without a cookie jar if the handler has sent it,
 * and in no other way.
 */
function bearerAnswer(
  { handedOut }: Intent,
  { isFailed }: AnswerTraits,
): AnswerTraits {
  return { isFailed, reach: handedOut === undefined ? "none" : "private" };
}

// Most requests end with one of these, so they are made once.
const NOTHING: Plan = { row: 15, act: "nothing" };
const TOUCH: Plan = { row: 14, act: "touch" };
const END: Plan = { row: 5, act: "end" };

/** Rows 1 to 4. */
function decideUnopened(
  { standing, intent, hasValues }: Case,
  isFailed: boolean,
  answer: AnswerTraits,
): Plan {
  const isShutOut = standing === "superseded" || standing === "unproven";
  if (intent.ending !== undefined) {
    return { row: 1, act: isShutOut ? "nothing" : "clear" };
  }
  const isSignIn = intent.signIn !== undefined;
  const isWorthStoring = isSignIn || intent.hasForm || hasValues ||
    intent.handedOut !== undefined;
  if (isFailed || !isWorthStoring) return { row: 2, act: "nothing" };
  if (isShutOut && !isSignIn) return { row: 3, act: "gone" };
  return { row: 4, act: answer.reach === "none" ? "unsendable" : "create" };
}

/** Rows 6 to 8. */
function decideAuthentication(
  { intent, record }: Case,
  answer: AnswerTraits,
): Plan | undefined {
  if (intent.signIn === undefined && intent.token !== "reauthenticate") {
    return undefined;
  }
  const owner = record?.principal;
  const isOther = intent.signIn !== undefined && owner !== undefined &&
    owner !== intent.signIn.principal;
  const row = isOther ? 6 : intent.signIn !== undefined ? 7 : 8;
  if (answer.reach === "none") return { row, act: "unsendable" };
  return row === 6 ? { row, act: "switch" } : { row, act: "authenticate" };
}

/** Rows 9 to 12: what happens to the token by itself, or because it was asked. */
function decideUpkeep(
  given: Case,
  now: number,
  settings: PlanSettings,
  isFailed: boolean,
  answer: AnswerTraits,
): Renewal | Confirmation | undefined {
  const { record, own } = given;
  if (record === undefined) return undefined;
  if (!isFailed && given.intent.handedOut !== undefined) {
    return handedOutRenewal(given, now, settings);
  }
  if (!isFailed) {
    const renewal = isRenewalAsked(given) && isSettled(given, now, settings) &&
        (answer.reach === "private" || answer.reach === "shared")
      ? { row: 9, until: "confirmed", isEssential: true } as const
      : decideRenewal(given, now, settings, answer);
    if (renewal !== undefined) return { act: "renew", ...renewal };
  }
  const isToken = own === "current" && record.previous?.until === "confirmed";
  if (!isToken && !given.isDeviceNew) return undefined;
  return {
    row: 12,
    act: "confirm",
    until: now + settings.renewGrace * 1000,
    isToken,
    isDevice: given.isDeviceNew,
    hasData: !isFailed && hasData(given),
    isEssential: !isFailed && isEssential(given),
  };
}

/**
 * Row 9 on a client's demand, which has the new token by now. One whose answer was
 * lost may ask again with the one before, and that goes on working for a while.
 */
function handedOutRenewal(
  { own }: Case,
  now: number,
  { renewGrace }: PlanSettings,
): Renewal {
  const until = own === "current" ? "confirmed" : now + renewGrace * 1000;
  return { row: 9, act: "renew", until, isEssential: true };
}

/** Rows 10 and 11. */
function decideRenewal(
  given: Case,
  now: number,
  settings: PlanSettings,
  answer: AnswerTraits,
): Omit<Renewal, "act"> | undefined {
  const { record, own, arrivedAt } = given;
  const interval = settings.renewInterval * 1000;
  if (interval === 0 || record === undefined) return undefined;
  // A copy is worth nothing without the device: no owner needs to be signed out
  // over one.
  if (given.isProven) return undefined;
  const age = (own === "current" ? now : arrivedAt) - record.renewedAt;
  if (age < interval) return undefined;
  if (own !== "current" && !isUnconfirmed(given)) return undefined;
  if (answer.reach !== "private") return undefined;
  if (own === "current") {
    return { row: 10, until: "confirmed", isEssential: isEssential(given) };
  }
  // Who still comes with the old secret gets a second chance, but no third: else
  // a thief who throws every new cookie away could keep the old one.
  const until = now + settings.renewGrace * 1000;
  return { row: 11, until, isEssential: isEssential(given) };
}

/** Whether the request's secret was replaced by one that nobody has used. */
function isUnconfirmed({ record, own }: Case): boolean {
  return own === "previous" && record?.previous?.until === "confirmed";
}

function isRenewalAsked({ intent, record, own }: Case): boolean {
  if (own !== "current") return false;
  return intent.token === "renew" ||
    (intent.lifetime !== undefined && isMaxAgeNew(intent.lifetime, record));
}

/** Whether the browser has to keep its cookie for another time than it does. */
function isMaxAgeNew(
  lifetime: Partial<Lifetime>,
  record: SessionRecord | undefined,
): boolean {
  const persistent = lifetime.persistent ?? record?.persistent;
  if (persistent !== record?.persistent) return true;
  const { absoluteTimeout = record?.absoluteTimeout } = lifetime;
  return persistent === true && absoluteTimeout !== record?.absoluteTimeout;
}

/** Whether no secret is in grace, and the present one is not that fresh already. */
function isSettled(
  { record }: Case,
  now: number,
  { renewGrace }: PlanSettings,
): boolean {
  if (record === undefined) return false;
  const until = record.previous?.until ?? "never";
  const isOver = until === "never" || (until !== "confirmed" && until <= now);
  return isOver && now - record.renewedAt >= renewGrace * 1000;
}

function hasData(given: Case): boolean {
  return given.hasNewFingerprint || isEssential(given);
}

/** Whether the handler asked for something that has to reach the store. */
function isEssential({ hasPendingKeys, intent }: Case): boolean {
  return hasPendingKeys || intent.lifetime !== undefined;
}

function isAccessWorthTelling(
  { accessedAt, record }: Case,
  now: number,
  { touchInterval }: PlanSettings,
): boolean {
  if (record === undefined) return false;
  const { idleTimeout } = record;
  return isTouchDue({ accessedAt, idleTimeout }, now, touchInterval);
}
