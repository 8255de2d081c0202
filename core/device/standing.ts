/** Judges whether a request comes from the device that its session is bound to. */
import type { Arrival } from "../carriage/arrival.ts";
import { cookieValueAt, findCookie } from "../carriage/cookie.ts";
import type { SkipReason } from "../events.ts";
import type { Settings } from "../options.ts";
import type { SessionRecord } from "../provider.ts";
import {
  type Binding,
  boundName,
  deadlineOf,
  parseBinding,
} from "./binding.ts";
import type { DeviceSettings } from "./options.ts";

/**
 * What a request with the right secret is to its session's device:
 *
 * | standing | meaning |
 * | --- | --- |
 * | `"proven"` | it has the cookie that the device got for a proof |
 * | `"unbound"` | it has not, and the session opens without |
 * | `"unproven"` | it has not, and the session does not open without |
 * | `"overdue"` | the session is signed in, and had to be bound by now |
 */
export type DeviceStanding = "proven" | "unbound" | "unproven" | "overdue";

/** What is known of a request's device. */
export interface DeviceJudgement {
  readonly standing: DeviceStanding;
  /** What the record says, as it was read; `undefined` if that is nothing. */
  readonly binding: Binding | undefined;
  /** Until when the bound cookie is good, in milliseconds since the Unix epoch. */
  readonly deadline: number | undefined;
  /** Whether the request came with a bound cookie, good or bad. */
  readonly hasCookie: boolean;
}

/**
 * How long a browser has to register a key, from the offer, in milliseconds: it
 * does so at once, and tries again when a connection breaks.
 */
export const OFFER_LIFETIME = 120_000;

/** How long a proof is worth something, in milliseconds. */
export function lifetimeOf(
  renewGrace: number,
  { interval }: DeviceSettings,
): number {
  return Math.floor((interval + renewGrace) * 1000);
}

type Bound = Pick<SessionRecord, "binding" | "authenticatedAt" | "principal">;

/**
 * Judges a request by the time it arrived. Its secret has opened the session
 * already, or did once.
 *
 * @param id The session's id.
 */
export function judgeDevice(
  record: Bound,
  id: string,
  { at, request, cookie }: Arrival,
  { deviceBound }: Settings,
): DeviceJudgement {
  const isRequired = deviceBound?.mode === "require";
  if (record.binding === undefined) {
    const isOverdue = isRequired && isSignedInFor(OFFER_LIFETIME, record, at);
    return isOverdue ? OVERDUE : UNBOUND;
  }
  const binding = parseBinding(record.binding);
  if (binding?.key === undefined) {
    // What cannot be made out binds to something that nobody can prove.
    if (binding === undefined) return UNREADABLE;
    const isOverdue = isRequired && at >= binding.stamp + OFFER_LIFETIME;
    return { ...(isOverdue ? OVERDUE : UNBOUND), binding };
  }
  const header = request.headers.get("cookie") ?? "";
  const found = findCookie(header, boundName(cookie.name, id));
  const hasCookie = found !== -1;
  const deadline = hasCookie
    ? deadlineOf(binding, id, cookieValueAt(header, found), at)
    : undefined;
  if (deadline !== undefined) {
    return { standing: "proven", binding, deadline, hasCookie };
  }
  const standing = standingWithout(binding, at, isRequired);
  return { standing, binding, deadline, hasCookie };
}

/** What a request without a good cookie is to a registered key. */
function standingWithout(
  { stamp, from }: Binding,
  at: number,
  isRequired: boolean,
): DeviceStanding {
  if (from !== 0) return at < from ? "unbound" : "unproven";
  // A browser that got the answer to its registration would have the cookie.
  return isRequired && at >= stamp + OFFER_LIFETIME ? "overdue" : "unbound";
}

function isSignedInFor(
  duration: number,
  { principal, authenticatedAt }: Bound,
  at: number,
): boolean {
  return principal !== undefined && authenticatedAt !== undefined &&
    at >= authenticatedAt + duration;
}

const NOTHING = {
  binding: undefined,
  deadline: undefined,
  hasCookie: false,
} as const;
const UNBOUND: DeviceJudgement = { standing: "unbound", ...NOTHING };
const OVERDUE: DeviceJudgement = { standing: "overdue", ...NOTHING };
const UNREADABLE: DeviceJudgement = { standing: "unproven", ...NOTHING };

const SKIP_REASON = /\b(unreachable|server_error|quota_exceeded)\b/;

/** What the browser says of that, if it is one of three known words. */
export function skipReasonOf(
  { request: { headers } }: Arrival,
): SkipReason | undefined {
  const said = headers.get("secure-session-skipped")?.slice(0, 256) ?? "";
  return SKIP_REASON.exec(said)?.[1] as SkipReason | undefined;
}
