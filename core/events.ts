/** What happened to sessions, for logs and alerts. */
import { channel } from "node:diagnostics_channel";
import type { SessionError } from "./errors.ts";

/**
 * Why a request's cookie did not open a session.
 *
 * | reason | meaning |
 * | --- | --- |
 * | `"malformed"` | it cannot be a token |
 * | `"unknown"` | no live session has its id: never issued, expired, ended or evicted |
 * | `"wrong-secret"` | the session lives, but never had this secret since its user signed in |
 * | `"superseded"` | somebody signed in a moment ago, and this is the cookie from before |
 * | `"reused"` | the secret was replaced long ago: somebody has a copy of the cookie |
 * | `"fingerprint"` | the client looks different, and `onFingerprintChange` is `"refuse"` |
 * | `"rolled-back"` | the secret is newer than the store knows: it has lost a renewal that it had acknowledged |
 * | `"ambiguous"` | the request has two cookies that open two sessions |
 * | `"unproven"` | the session is bound to a device that has not proved itself to this browser: a copy, or a proof that did not get through |
 * | `"unbound"` | the session had to be bound to a device by now, and is not |
 */
export type RefusalReason =
  | "malformed"
  | "unknown"
  | "wrong-secret"
  | "superseded"
  | "reused"
  | "fingerprint"
  | "rolled-back"
  | "ambiguous"
  | "unproven"
  | "unbound";

/** Why a browser asked for a page without a proof, in its own words. */
export type SkipReason = "unreachable" | "server_error" | "quota_exceeded";

/**
 * Why a key or a proof of a browser was refused.
 *
 * | reason | meaning |
 * | --- | --- |
 * | `"malformed"` | it cannot be one |
 * | `"unknown"` | there is no live session of that id that is bound, or may be |
 * | `"other-session"` | the browser has the cookie of another session by now |
 * | `"challenge"` | it answers no challenge of the session, or one that was answered before, or too late |
 * | `"signature"` | it was not made with the key |
 */
export type ProofRefusal =
  | "malformed"
  | "unknown"
  | "other-session"
  | "challenge"
  | "signature";

/**
 * Something that happened to a session, for logs and alerts. The id opens
 * nothing; no event holds a token, a secret or session data.
 *
 * | type | when |
 * | --- | --- |
 * | `created` | a new session was stored |
 * | `signed-in` | a session was bound to a user |
 * | `renewed` | a session got a new secret |
 * | `reused` | a secret that was replaced long ago was used again, or a second key was registered: somebody has a copy of the cookie. The session was ended, unless `onReuse` is `"report"` |
 * | `bound` | a browser has registered the key of its device for a session |
 * | `proved` | a browser has proved that the session is still on its device |
 * | `proof-refused` | a key or a proof was refused; the session stays as it is |
 * | `fingerprint-changed` | the client looks different from the one that the session began with |
 * | `expired` | a session was removed because its time was up |
 * | `evicted` | a session was removed to make room, or for a newer one of its user |
 * | `destroyed` | a session was ended by `destroy` |
 * | `destroyed-all` | all sessions of a user were ended but `except` |
 * | `destroyed-everything` | every session was ended |
 * | `refused` | a request's cookie opened nothing, or (`cross-origin`) another site made the request |
 * | `gone` | a session ended, or somebody signed in, while a request still used it |
 * | `conflict` | `session.update()` met another writer and goes around again |
 * | `unreadable` | a session of a user cannot be read; it neither counts nor is evicted |
 * | `value-refused` | a stored value does not fit the schema of its key: the request reads none, or what `migrate` made of it |
 * | `insecure` | a `Secure` cookie went out by plain HTTP, where browsers refuse it |
 * | `store-down` | a call of the provider failed or timed out; none had for a while. `store-error` goes on telling of each |
 * | `store-up` | a call succeeded, and none failed for 10 seconds |
 * | `clock-skew` | the store's clock and that of this machine differ by more than a minute; nothing is collected |
 * | `rolled-back` | a request has a newer cookie than the store knows: it has lost what it had acknowledged |
 * | `store-error` | a call of the provider failed, timed out, or met a corrupt record |
 */
export type SessionEvent =
  | { readonly type: "created"; readonly id: string }
  | {
    readonly type: "signed-in";
    readonly id: string;
    readonly principal: string;
  }
  | { readonly type: "renewed"; readonly id: string }
  | {
    readonly type: "reused";
    readonly id: string;
    readonly principal: string | undefined;
  }
  | {
    readonly type: "bound";
    readonly id: string;
    readonly principal: string | undefined;
  }
  | { readonly type: "proved"; readonly id: string }
  | {
    readonly type: "proof-refused";
    readonly reason: ProofRefusal;
    readonly id: string | undefined;
  }
  | {
    readonly type: "fingerprint-changed";
    readonly id: string;
    readonly principal: string | undefined;
  }
  | { readonly type: "expired"; readonly id: string }
  | { readonly type: "evicted"; readonly id: string }
  | { readonly type: "destroyed"; readonly id: string }
  | {
    readonly type: "destroyed-all";
    readonly principal: string;
    readonly except: string | undefined;
    readonly count: number;
  }
  | { readonly type: "destroyed-everything"; readonly count: number }
  | {
    readonly type: "refused";
    readonly reason: Exclude<RefusalReason, "unproven">;
    readonly id: string | undefined;
  }
  | {
    readonly type: "refused";
    readonly reason: "unproven";
    readonly id: string;
    /** Why the browser has not proved anything, if it says so. */
    readonly skipped: SkipReason | undefined;
  }
  | {
    readonly type: "refused";
    readonly reason: "cross-origin";
    readonly id: undefined;
    /** What the request names as its origin. */
    readonly origin: string | undefined;
  }
  | { readonly type: "gone"; readonly id: string }
  | { readonly type: "conflict"; readonly id: string }
  | {
    readonly type: "unreadable";
    readonly id: string;
    readonly principal: string;
  }
  | {
    readonly type: "value-refused";
    readonly id: string;
    /** What the value is stored under. */
    readonly key: string;
    /** Whether `migrate` made one of it that fits. */
    readonly isMigrated: boolean;
  }
  | { readonly type: "insecure"; readonly id: string }
  | { readonly type: "store-down"; readonly error: SessionError }
  | {
    readonly type: "store-up";
    /** How long it was in trouble. */
    readonly seconds: number;
  }
  | {
    readonly type: "clock-skew";
    /** How far this machine is ahead; negative if it is behind. */
    readonly seconds: number;
  }
  | {
    readonly type: "rolled-back";
    readonly id: string;
    readonly principal: string | undefined;
  }
  | {
    readonly type: "store-error";
    readonly operation: string;
    readonly error: SessionError;
  };

/** Receives events; what it throws or rejects with is ignored. */
export type SessionListener = (event: SessionEvent) => void;

/** Every event of every manager is published here. */
const CHANNEL = "@cloakroom/session";

/** Calls a listener so that its failure harms nothing. */
export function notify(
  listener: SessionListener | undefined,
  event: SessionEvent,
): void {
  // By name each time: under Bun a channel object that outlives a reload of this
  // module may no longer be the one that listeners get.
  const events = channel(CHANNEL);
  if (events.hasSubscribers) events.publish(event);
  else if (listener === undefined) speak(event);
  if (listener === undefined) return;
  try {
    const answer: unknown = listener(event);
    if (answer instanceof Promise) answer.catch(() => {});
  } catch {
    // A broken logger must not sign anybody out.
  }
}

/** Once a process: it would be true of each request. */
let hasSpokenOfInsecure = false;

/**
 * A line for whoever listens to nothing: a site whose store is down should not
 * have to guess.
 */
function speak(event: SessionEvent): void {
  if (event.type === "store-down") {
    const { message, cause } = event.error;
    const reason = cause instanceof Error ? `: ${cause.message}` : "";
    console.error(`@cloakroom/session: ${message}${reason}`);
  } else if (event.type === "store-up") {
    console.error(
      `@cloakroom/session: the store works again, after ${event.seconds} s`,
    );
  } else if (event.type === "insecure" && !hasSpokenOfInsecure) {
    hasSpokenOfInsecure = true;
    console.error(
      "@cloakroom/session: a Secure cookie goes out by plain HTTP, where browsers refuse it: use HTTPS, or cookie: { secure: false } for development",
    );
  } else if (event.type === "clock-skew") {
    console.error(
      `@cloakroom/session: this machine's clock is ${event.seconds} s ahead of the store's: nothing is collected`,
    );
  }
}
