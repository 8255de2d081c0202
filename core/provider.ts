/**
 * The contract between the library and a store: what a session is there, and
 * the calls that keep it. Read this before you write a provider.
 */
import type { StoredData } from "./value/types.ts";

/** A value, or the promise of one. A provider answers at once when it can. */
export type Awaitable<T> = T | Promise<T>;

/**
 * Until when a replaced secret still opens its session:
 *
 * | value | meaning |
 * | --- | --- |
 * | a number | until that instant, in milliseconds since the Unix epoch |
 * | `"confirmed"` | until the new secret is first used |
 * | `"never"` | it opens nothing, whatever the time is |
 *
 * Store it as text (`String(until)`) and compare it as text. The words are no
 * numbers so that no setting can round them.
 */
export type Until = number | "confirmed" | "never";

/** A secret that was replaced, and what it is still good for. */
export interface PreviousSecret {
  /** What was stored of it, as `SessionRecord.secretHash`. */
  readonly secretHash: string;
  /** What was stored of its family, as `SessionRecord.family`. */
  readonly family: string;
  /** Until when it opens the session. */
  readonly until: Until;
}

/**
 * A session as a provider keeps it. Frozen, `data` included: a later write
 * replaces the record and leaves this one as it was.
 *
 * When it ends follows from its fields and from nothing else, see
 * `expiryOf` and `isLive` in `core/store/record.ts`: at the earlier of
 * `accessedAt + idleTimeout` and `(authenticatedAt ?? createdAt) +
 * absoluteTimeout`. A provider may store that instant for its indexes; it is
 * never given one.
 */
export interface SessionRecord {
  /** The session's values by key; an object without prototype. */
  readonly data: StoredData;
  /** Starts at 1; every successful `update` adds one. */
  readonly version: number;
  /**
   * What is stored of the current secret: 4 characters that number it within its
   * family and 64 hexadecimal digits, to a provider an opaque text that is compared
   * as a whole.
   */
  readonly secretHash: string;
  /**
   * What is stored of its family, which all secrets from one sign-in to the next
   * have in common: 16 hexadecimal digits, to a provider an opaque text.
   */
  readonly family: string;
  /** When the secret was minted, in milliseconds since the Unix epoch. */
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
  /** What the session is bound to beside its secret, an opaque text. */
  readonly binding?: string | undefined;
  /** When the session was created, in milliseconds since the Unix epoch. */
  readonly createdAt: number;
  /**
   * When it was last used, in milliseconds since the Unix epoch. It only moves
   * forward.
   */
  readonly accessedAt: number;
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
  /**
   * What to store of the new secret, when the token is replaced. A change that
   * has it has `family`, `renewedAt` and `previous` too.
   */
  readonly secretHash?: string | undefined;
  /** What to store of the new secret's family. */
  readonly family?: string | undefined;
  /** When the new secret was minted. It replaces what was there. */
  readonly renewedAt?: number | undefined;
  /** The secret before; `null` forgets it. */
  readonly previous?: PreviousSecret | null | undefined;
  /** Who signed in; `null` forgets it. */
  readonly principal?: string | null | undefined;
  /** The name of the device; `null` forgets it. */
  readonly label?: string | null | undefined;
  /** When they signed in; replaces what was there; `null` forgets it. */
  readonly authenticatedAt?: number | null | undefined;
  /** What the client looks like; `null` forgets it. */
  readonly fingerprint?: string | null | undefined;
  /** What the session is bound to; `null` forgets it. */
  readonly binding?: string | null | undefined;
  /** A new idle timeout in seconds. */
  readonly idleTimeout?: number | undefined;
  /** A new absolute timeout in seconds. */
  readonly absoluteTimeout?: number | undefined;
  /** Whether the cookie outlives the browser from now on. */
  readonly persistent?: boolean | undefined;
  /**
   * Whether the change counts as a use of the session. `false` leaves
   * `accessedAt` as it is.
   *
   * @default {true}
   */
  readonly isUse?: boolean | undefined;
}

/** A token as it was read, to tell whether it has been replaced since. */
export interface TokenState {
  /** The record's `secretHash`. */
  readonly secretHash: string;
  /** `until` of the record's `previous`; `undefined` if there was none. */
  readonly until: Until | undefined;
}

/**
 * What has to be true of a record for a call to take effect. All that is given
 * must hold. No guard compares an instant with a clock.
 */
export interface Guard {
  /** The family of the secret that the request came with. */
  readonly family?: string | undefined;
  /** Whose session it must be. */
  readonly principal?: string | undefined;
  /**
   * The token as it was read. It guards whatever replaces or confirms a token,
   * and no write of data moves it, so nothing can starve that.
   */
  readonly token?: TokenState | undefined;
  /** The version that the change was worked out from. */
  readonly version?: number | undefined;
  /** The binding as it was read; `null` for none. */
  readonly binding?: string | null | undefined;
}

/** How an `update` ended; see {@linkcode Provider.update}. */
export type UpdateResult = "done" | "gone" | "conflict";

/** How a `destroy` ended; see {@linkcode Provider.destroy}. */
export type DestroyResult = "done" | "absent" | "refused";

/** A live session with the id it is filed under. */
export interface StoredSession {
  /** The session's id, 24 characters of base64url. */
  readonly id: string;
  /** Its record. */
  readonly record: SessionRecord;
}

/** What a list tells of a session: nothing that has to be decoded from data. */
export interface SessionSummary {
  /** The session's id. */
  readonly id: string;
  /** What to call it; see `SessionRecord.label`. */
  readonly label?: string | undefined;
  /** What it is bound to; see `SessionRecord.binding`. */
  readonly binding?: string | undefined;
  /** When its user signed in, in milliseconds since the Unix epoch. */
  readonly authenticatedAt?: number | undefined;
  /** When it was created, in milliseconds since the Unix epoch. */
  readonly createdAt: number;
  /** When it was last used, in milliseconds since the Unix epoch. */
  readonly accessedAt: number;
  /** How long it lives without a request, in seconds. */
  readonly idleTimeout: number;
  /** How long it lives at most, in seconds from sign-in, else from creation. */
  readonly absoluteTimeout: number;
}

/** The live sessions of one principal. */
export interface SessionList {
  /** Those that can be made out, in no particular order. */
  readonly sessions: readonly SessionSummary[];
  /** The ids of those whose summary cannot be made out. */
  readonly unreadable: readonly string[];
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

/** How long the caller of a provider waits. */
export interface Patience {
  /**
   * The instant of `performance.now()`, in milliseconds, after which nobody waits
   * any longer. A call must not take effect later: read it when the call begins.
   */
  readonly giveUpAt: number;
  /** Told by a call of many steps after each of them: the wait begins anew. */
  extend(): void;
}

/**
 * Where sessions are kept. Implement these calls, put the result through
 * `@cloakroom/session/conformance`, and every promise of the library holds on
 * your store.
 *
 * - Every call on one id is one atomic step on its record. An index is a hint,
 *   written before the record; `list`, `destroyAll`, `gc`, `clear` and `scan`
 *   are one step a session.
 * - Not finding something is an answer. An error is for a store that failed, and
 *   a failed store never looks like an empty one. An error that concerns one
 *   session names its `id`, and never holds data, hashes or what a client hung
 *   on its own error.
 * - A provider has no clock: `now` is the instant of the call in milliseconds
 *   since the Unix epoch, with fractions perhaps. Two calls may come from
 *   machines whose clocks differ, and a call may reach the store late.
 * - A record is live while `isLive` of `core/store/record.ts` says so; one that
 *   is not does not exist, and any call may remove it on the way. A store that
 *   works it out by itself repeats that function in one expression.
 * - A record that cannot be decoded fails the calls that need what cannot be
 *   made out, and nothing else.
 * - What the caller has given up does not take effect later, as far as the store
 *   can see to it: every call that writes is told by its {@linkcode Patience}.
 *   One that ends many sessions does so in batches, lets other work in between,
 *   and tells of each batch.
 * - A provider sees only its own sessions: those of another `prefix`, table or
 *   instance do not exist either. Values handed to a provider are already
 *   copied, and nobody else changes them.
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
   * record. A record in its place that is not live may be replaced or refused.
   */
  create(
    id: string,
    record: NewSessionRecord,
    now: number,
    patience?: Patience,
  ): Awaitable<boolean>;

  /**
   * Looks up a session. Never creates one, and never answers one that is not
   * live, whether or not it was collected.
   *
   * @returns The record, or `undefined`.
   * @throws {SessionError} With code `"corrupt"` and the `id`, if the record
   * cannot be decoded.
   * @throws If the store cannot be read.
   */
  read(id: string, now: number): Awaitable<SessionRecord | undefined>;

  /**
   * Applies one request's change to a live record: sets and deletes the keys
   * named and no others, replaces the fields given, moves `accessedAt` to the
   * later of its own and `now` unless `change.isUse` is `false`, and adds one to
   * the version. Two updates of different keys both last.
   *
   * @returns `"gone"` when there is no live record, or when `guard.family` or
   * `guard.principal` is given and differs; else `"conflict"` when
   * `guard.token`, `guard.version` or `guard.binding` is given and differs; else
   * `"done"`. Only `"done"` changed anything.
   */
  update(
    id: string,
    change: SessionChange,
    guard: Guard,
    now: number,
    patience?: Patience,
  ): Awaitable<UpdateResult>;

  /**
   * Moves a live record's `accessedAt` forward to `now`, never back, and with it
   * its deadline. Nothing else: neither data nor version.
   *
   * @returns `false`, and revives nothing, when there is no live record.
   */
  touch(id: string, now: number, patience?: Patience): Awaitable<boolean>;

  /**
   * Ends a session for good, in one step that needs no room in the store and
   * decodes no data. Safe to repeat.
   *
   * @returns `"absent"` when there is no live record: one that is not live by this
   * clock, and meets the guard, is removed all the same, because it may live by
   * another one. Else `"refused"`, and
   * changes nothing, when anything in `guard` differs or cannot be made out;
   * else `"done"`. Without a guard a record that cannot be read is ended too, and
   * that is `"done"`.
   */
  destroy(
    id: string,
    guard: Guard,
    now: number,
    patience?: Patience,
  ): Awaitable<DestroyResult>;

  /**
   * Ends several sessions, each as {@linkcode Provider.destroy} does. Leave it out
   * where that costs no less than one after the other.
   *
   * @param ids Any number of ids.
   * @returns The ids of those for which `destroy` would have answered `"done"`.
   */
  destroyMany?(
    ids: readonly string[],
    guard: Guard,
    now: number,
    patience?: Patience,
  ): Awaitable<readonly string[]>;

  /**
   * Removes records that are not live, and no others, about the stalest first.
   *
   * Called until it answers less than `limit`, it leaves no record that was idle
   * for too long. There are two exceptions:
   *
   * - `now` ran backwards, or a record was created with a time in the past, as
   *   `copy` does. Such a record may stay longer, by how far in the past it was.
   * - A record's times lie in the future. It may stay until its own deadline.
   *
   * @param limit The most records to remove in this call.
   * @returns How many it removed; a store that expires by itself answers 0.
   */
  gc(now: number, limit: number, patience?: Patience): Awaitable<number>;

  /**
   * Lists the live sessions of one principal, without decoding their data: one
   * of which only the data is damaged is listed like any other.
   */
  list(principal: string, now: number): Awaitable<SessionList>;

  /**
   * Ends all sessions of one principal that were acknowledged before the call,
   * those included that the principal's index names and whose principal cannot
   * be made out.
   *
   * @param except The id of one session to spare.
   * @returns How many there were; those that are not live may or may not count.
   */
  destroyAll(
    principal: string,
    except?: string,
    patience?: Patience,
  ): Awaitable<number>;

  /**
   * Ends every session that was acknowledged before the call. A provider that
   * sees its servers change meanwhile begins again, and fails rather than answer
   * if that goes on.
   *
   * @returns How many there were; those that are not live may or may not count.
   */
  clear(patience?: Patience): Awaitable<number>;

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
   * What the store's own clock says, in milliseconds since the Unix epoch, asked
   * anew. Leave it out where the store has none but this machine's.
   */
  serverTime?(): Awaitable<number>;

  /**
   * Replaces the connections that the provider opened itself. Called when calls
   * time out and none is answered: a connection can fall silent for good while
   * new ones work. Must not wait, nor throw. Leave it out where there are none.
   */
  reconnect?(): void;

  /**
   * Releases timers, statements and the connections that it opened itself.
   * Twice is safe. Every later call fails with a `SessionError` whose code is
   * `"closed"`.
   */
  close(): Awaitable<void>;
}
