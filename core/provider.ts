import type { StoredData } from "./value/types.ts";

/** A value, or the promise of one. A provider answers at once when it can. */
export type Awaitable<T> = T | Promise<T>;

/** A secret that was replaced and may still be used by requests in flight. */
export interface PreviousSecret {
  /** What was stored of the replaced secret, as `SessionRecord.secretHash`. */
  readonly secretHash: string;
  /**
   * The first instant at which it opens nothing, in milliseconds since the Unix
   * epoch; `Number.MAX_SAFE_INTEGER` as long as nobody has used the new one.
   */
  readonly expiresAt: number;
}

/**
 * A session as a provider keeps it. Frozen, `data` included: a later write
 * replaces the record and leaves this one as it was.
 */
export interface SessionRecord {
  /** The session's values by key; an object without prototype. */
  readonly data: StoredData;
  /** Starts at 1; every successful `update` adds one. */
  readonly version: number;
  /**
   * What is stored of the current secret: 80 hexadecimal digits, to a
   * provider an opaque text that is compared as a whole.
   */
  readonly secretHash: string;
  /** When it was minted, in milliseconds since the Unix epoch. */
  readonly renewedAt: number;
  /** The secret before the current one. */
  readonly previous?: PreviousSecret | undefined;
  /** Who is signed in, as the application names its users. */
  readonly principal?: string | undefined;
  /** What to call the session in a list of signed-in devices. */
  readonly label?: string | undefined;
  /** When they signed in, in milliseconds since the Unix epoch. */
  readonly authenticatedAt?: number | undefined;
  /** A digest of what the client looked like, if the manager asks for one. */
  readonly fingerprint?: string | undefined;
  /** When the session was created, in milliseconds since the Unix epoch. */
  readonly createdAt: number;
  /** When it was last used, in milliseconds since the Unix epoch. */
  readonly accessedAt: number;
  /**
   * The first instant at which it no longer exists, in milliseconds since the
   * Unix epoch: the earlier of the idle and the absolute deadline, worked out
   * by the manager.
   */
  readonly expiresAt: number;
  /** How long it lives without a request, in seconds. */
  readonly idleTimeout: number;
  /** How long it lives at most, in seconds from sign-in, else from creation. */
  readonly absoluteTimeout: number;
  /** Whether its cookie outlives the browser. */
  readonly persistent: boolean;
}

/** A record as it is created: without the version, which starts at 1. */
export type NewSessionRecord = Omit<SessionRecord, "version">;

/** What one request did to a session. A field left out stays as it is. */
export interface SessionChange {
  /** The keys written, with their values. */
  readonly set?: StoredData | undefined;
  /** The keys removed. No key is in both `set` and `delete`. */
  readonly delete?: readonly string[] | undefined;
  /** What to store of the new secret, when the token is replaced. */
  readonly secretHash?: string | undefined;
  /** When the new secret was minted. */
  readonly renewedAt?: number | undefined;
  /** The secret before; `null` forgets it. */
  readonly previous?: PreviousSecret | null | undefined;
  /** Who signed in; `null` forgets it. */
  readonly principal?: string | null | undefined;
  /** The name of the device; `null` forgets it. */
  readonly label?: string | null | undefined;
  /** When they signed in; `null` forgets it. */
  readonly authenticatedAt?: number | null | undefined;
  /** What the client looks like; `null` forgets it. */
  readonly fingerprint?: string | null | undefined;
  /** A new idle timeout in seconds. */
  readonly idleTimeout?: number | undefined;
  /** A new absolute timeout in seconds. */
  readonly absoluteTimeout?: number | undefined;
  /** Whether the cookie outlives the browser from now on. */
  readonly persistent?: boolean | undefined;
  /** The new deadline, in milliseconds since the Unix epoch. */
  readonly expiresAt: number;
}

/** What has to be true of a record for an `update` to apply. */
export interface UpdateGuard {
  /** The hash of the secret that the request came with. */
  readonly secretHash: string;
  /** The version that the change was worked out from, if it matters. */
  readonly version?: number | undefined;
}

/** How an `update` ended; see {@linkcode Provider.update}. */
export type UpdateResult = "done" | "gone" | "conflict";

/** A live session with the id it is filed under. */
export interface StoredSession {
  /** The session's id, 24 characters of base64url. */
  readonly id: string;
  /** Its record. */
  readonly record: SessionRecord;
}

/** Some of the sessions that a provider keeps. */
export interface ScanPage {
  /**
   * Live sessions: any number, none included. A store that cannot help it may
   * name one twice.
   */
  readonly sessions: readonly StoredSession[];
  /** The ids of those whose records cannot be decoded. */
  readonly unreadable?: readonly string[] | undefined;
  /** Where the next page begins; `undefined` on the last one. */
  readonly next?: string | undefined;
  /** About how many there are in all, if the store knows at once. */
  readonly total?: number | undefined;
}

/**
 * Hears of sessions that a provider removed by itself.
 *
 * @param reason Whether its time was up, or room was needed.
 * @param id The id of the session that is gone.
 */
export type RemovalObserver = (
  reason: "expired" | "evicted",
  id: string,
) => void;

/**
 * Where sessions are kept. Implement these calls, put the result through
 * `@cloakroom/session/conformance`, and every promise of the library holds on
 * your store.
 *
 * Every call is one atomic step. Not finding something is an answer; an error
 * is for a store that failed, and a failed store never looks like an empty one.
 * A provider has no clock: `now` is the instant of the call in milliseconds
 * since the Unix epoch, and a record whose `expiresAt <= now` does not exist.
 * A provider sees only its own sessions: those of another `prefix`, table or
 * instance do not exist either. Values handed to a provider are already copied,
 * and nobody else changes them.
 */
export interface Provider {
  /**
   * How often a session that is only read is worth a `touch`, in seconds, when
   * the manager's options do not say. Leave it out where a touch costs a round
   * trip.
   *
   * @default {min(idleTimeout / 10, 60)}
   */
  readonly touchInterval?: number | undefined;

  /**
   * Stores a new session with version 1; the only call that can bring an id
   * into being.
   *
   * @returns `false`, and changes nothing, when the id is taken by a live
   * record. An expired record in its place may be replaced or refused.
   */
  create(id: string, record: NewSessionRecord, now: number): Awaitable<boolean>;

  /**
   * Looks up a session. Never creates one, and never returns an expired one,
   * whether or not it was collected.
   *
   * @returns The record, or `undefined`.
   * @throws If the store cannot be read or the record cannot be decoded.
   */
  read(id: string, now: number): Awaitable<SessionRecord | undefined>;

  /**
   * Applies one request's change to a live record: sets and deletes the keys
   * named and no others, replaces the fields given, sets `accessedAt` to `now`
   * and adds one to the version. Two updates of different keys both last.
   *
   * @returns `"gone"` when there is no live record, or when `guard.secretHash`
   * is neither the record's own nor that of its `previous` still in grace
   * (`previous.expiresAt > now`); else `"conflict"` when `guard.version` is
   * given and differs; else `"done"`. Only `"done"` changed anything.
   */
  update(
    id: string,
    change: SessionChange,
    guard: UpdateGuard,
    now: number,
  ): Awaitable<UpdateResult>;

  /**
   * Moves a live record's `expiresAt`, but never back, and its `accessedAt` to
   * `now`; neither data nor version. A request that began before a sign-in or a
   * longer lifetime knows only an earlier deadline.
   *
   * @returns `false`, and revives nothing, when there is no live record.
   */
  touch(id: string, expiresAt: number, now: number): Awaitable<boolean>;

  /**
   * Ends a session for good. Safe to repeat.
   *
   * @returns `false` when it was not there.
   */
  destroy(id: string): Awaitable<boolean>;

  /**
   * Removes expired records and no others, about the stalest first. Called until
   * it answers less than `limit`, it leaves none whose idle deadline
   * (`accessedAt + idleTimeout`) has passed, as long as `now` never ran
   * backwards and no record was created with a time before it, as `copy` does:
   * then it may leave some for as long as that time lies back.
   *
   * @param limit The most records to remove in this call.
   * @returns How many it removed; a store that expires by itself answers 0.
   */
  gc(now: number, limit: number): Awaitable<number>;

  /** Lists the live sessions of one principal, in no particular order. */
  list(principal: string, now: number): Awaitable<readonly StoredSession[]>;

  /**
   * Ends all sessions of one principal.
   *
   * @param except The id of one session to spare.
   * @returns How many there were; expired ones may or may not count.
   */
  destroyAll(principal: string, except?: string): Awaitable<number>;

  /**
   * Ends every session that the provider keeps.
   *
   * @returns How many there were; expired ones may or may not count.
   */
  clear(): Awaitable<number>;

  /**
   * Goes through all sessions, page by page. One that is there from the first
   * page to the last is on one of them, whatever comes and goes meanwhile. Leave
   * it out if the store cannot; then nothing can be copied from it.
   *
   * @param cursor `next` of the page before; `undefined` for the first one.
   * @param limit About how many sessions to look at.
   */
  scan?(
    cursor: string | undefined,
    limit: number,
    now: number,
  ): Awaitable<ScanPage>;

  /**
   * Tells somebody of each session that it removes because it has expired or
   * was evicted. Leave it out if the store does that by itself.
   *
   * @param observer Called after each removal; must not throw.
   * @returns Stops it.
   */
  observe?(observer: RemovalObserver): () => void;

  /**
   * Releases timers, statements and the connections that it opened itself.
   * Twice is safe. Every later call fails with a `SessionError` whose code is
   * `"closed"`.
   */
  close(): Awaitable<void>;
}
