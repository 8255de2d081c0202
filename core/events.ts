/** What happened to sessions, for logs and alerts. */
import { channel } from "node:diagnostics_channel";
import type { SessionError } from "./errors.ts";

/** Why a request's cookie did not open a session. */
export type RefusalReason =
  /** It cannot be a token. */
  | "malformed"
  /** The request has two different tokens under the cookie's name. */
  | "duplicate"
  /** No live session has its id: never issued, expired, destroyed or evicted. */
  | "unknown"
  /** The session lives, but under another secret. */
  | "wrong-secret"
  /** The session got a new secret a moment ago, by sign-in or `regenerate`. */
  | "superseded"
  /** The client looks different, and `onFingerprintChange` is `"refuse"`. */
  | "fingerprint"
  /** The request comes from another site; it never reached the handler. */
  | "cross-origin";

/**
 * Something that happened to a session, for logs and alerts. The id opens
 * nothing; no event holds a token, a secret or session data.
 */
export type SessionEvent =
  /** A new session was stored. */
  | { readonly type: "created"; readonly id: string }
  /** A session was bound to a user. */
  | {
    readonly type: "signed-in";
    readonly id: string;
    readonly principal: string;
  }
  /** A session got a new secret. */
  | { readonly type: "renewed"; readonly id: string }
  /**
   * A secret that was replaced long ago was used again: somebody has a copy of
   * the cookie. The session was destroyed, unless `onReuse` is `"report"`.
   */
  | {
    readonly type: "reused";
    readonly id: string;
    readonly principal: string | undefined;
  }
  /** The client looks different from the one that the session began with. */
  | {
    readonly type: "fingerprint-changed";
    readonly id: string;
    readonly principal: string | undefined;
  }
  /** A session was removed because its time was up. */
  | { readonly type: "expired"; readonly id: string }
  /** A session was removed to make room, or for a newer one of its user. */
  | { readonly type: "evicted"; readonly id: string }
  /** A session was ended by `destroy`. */
  | { readonly type: "destroyed"; readonly id: string }
  /** All sessions of a user were ended but `except`. */
  | {
    readonly type: "destroyed-all";
    readonly principal: string;
    readonly except: string | undefined;
    readonly count: number;
  }
  /** Every session was ended. */
  | { readonly type: "destroyed-everything"; readonly count: number }
  /** A request's cookie opened nothing; the request got a new, empty session. */
  | {
    readonly type: "refused";
    readonly reason: RefusalReason;
    readonly id: string | undefined;
  }
  /** A session ended, or got a new secret, while a request still used it. */
  | { readonly type: "gone"; readonly id: string }
  /** `session.update()` met another writer and goes around again. */
  | { readonly type: "conflict"; readonly id: string }
  /** A call of the provider failed, timed out, or met a corrupt record. */
  | {
    readonly type: "store-error";
    readonly operation: string;
    readonly error: SessionError;
  };

/** Receives events; what it throws or rejects with is ignored. */
export type SessionListener = (event: SessionEvent) => void;

/** Every event of every manager is published here, under the package's name. */
const events = channel("@cloakroom/session");

/** Calls a listener so that its failure harms nothing. */
export function notify(
  listener: SessionListener | undefined,
  event: SessionEvent,
): void {
  if (events.hasSubscribers) events.publish(event);
  if (listener === undefined) return;
  try {
    const answer: unknown = listener(event);
    if (answer instanceof Promise) answer.catch(() => {});
  } catch {
    // A broken logger must not sign anybody out.
  }
}
