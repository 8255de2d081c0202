/** Keeps a user from having more than `maxSessions` sessions. */
import { setImmediate } from "node:timers/promises";
import { SessionError } from "../errors.ts";
import type { SessionSummary } from "../provider.ts";
import type { Context } from "./context.ts";
import type { Draft } from "./draft.ts";

/**
 * How much later than now a sign-in may be dated, in milliseconds, to come after
 * those of machines whose clocks are ahead. One dated later than that is not
 * believed, and counts as the oldest.
 */
const MAX_AHEAD = 60_000;

/** How often a sign-in looks whether others have given way. */
const MAX_LOOKS = 5;

/** How many sessions are evicted before other work gets its turn. */
const BATCH = 500;

/**
 * A sign-in is stored first and counted then: of several at the same time each
 * sees all that were stored before it looked.
 */
export class SessionLimit {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  /** Whether a sign-in is refused for which there is no room. */
  get #isStrict(): boolean {
    const { maxSessions, onMaxSessions } = this.#context.settings;
    return maxSessions !== Infinity && onMaxSessions === "reject";
  }

  /** Whether one more session of a user would be refused. */
  async isFull(principal: string, now: number): Promise<boolean> {
    if (!this.#isStrict) return false;
    const { maxSessions } = this.#context.settings;
    return (await this.#sessionsOf(principal, now)).length >= maxSessions;
  }

  /**
   * Refuses a sign-in for which there is no room, before anything is stored.
   *
   * @returns The instant to date the sign-in with.
   * @throws {SessionError} With code `"too-many-sessions"`.
   */
  async before(draft: Draft, principal: string, now: number): Promise<number> {
    const { maxSessions } = this.#context.settings;
    if (maxSessions === Infinity) return now;
    if (this.#isStrict) {
      const others = await this.#othersOf(draft, principal, now);
      if (others.length >= maxSessions) throw this.#refusal();
      return now;
    }
    try {
      const others = await this.#othersOf(draft, principal, now);
      const newest = Math.max(...others.map((other) => rankOf(other, now)));
      return Math.min(Math.max(now, newest + 1), now + MAX_AHEAD);
    } catch (error) {
      return passOver(error) ?? now;
    }
  }

  /**
   * Ends the sessions that are too many after a sign-in was stored: the oldest,
   * or this one alone. Whoever was told yes stays.
   *
   * @throws {SessionError} With code `"too-many-sessions"`.
   */
  async after(draft: Draft, principal: string, now: number): Promise<void> {
    const { maxSessions } = this.#context.settings;
    if (maxSessions === Infinity) return;
    if (this.#isStrict) return await this.#reject(draft, principal);
    try {
      const sessions = await this.#sessionsOf(principal, now);
      sessions.sort((a, b) => byRank(a, b, now, draft.id));
      const excess = Math.max(0, sessions.length - maxSessions);
      const ids = sessions.slice(0, excess).map(({ id }) => id);
      await this.#evict(ids, principal, now);
    } catch (error) {
      // Better one session too many than a browser whose cookie was just made
      // worth nothing.
      passOver(error);
    }
  }

  /** Ends this session if there are too many, unless others do so first. */
  async #reject(draft: Draft, principal: string): Promise<void> {
    const { settings, gateway } = this.#context;
    const { key, family } = draft;
    const end = async (): Promise<void> => {
      await gateway.destroy(key, { family }, settings.now());
    };
    let isIn: boolean;
    try {
      isIn = await this.#isIn(draft, principal);
    } catch (error) {
      await end().catch(() => {});
      throw error;
    }
    if (isIn) return;
    await end();
    throw this.#refusal();
  }

  /**
   * Whether there is room for a session that is stored. Of several that are too
   * many at the same moment, those that signed in last give way, and the others
   * look again. None counts on that: who finds too many to the end gives way too.
   */
  async #isIn(draft: Draft, principal: string): Promise<boolean> {
    const { maxSessions, now } = this.#context.settings;
    for (let look = 0; look < MAX_LOOKS; look++) {
      const sessions = await this.#sessionsOf(principal, now());
      if (sessions.length <= maxSessions) return true;
      sessions.sort((a, b) => byRank(a, b, now(), draft.id));
      const place = sessions.findIndex(({ id }) => id === draft.id);
      if (place >= maxSessions) return false;
    }
    return false;
  }

  async #evict(
    ids: readonly string[],
    principal: string,
    now: number,
  ): Promise<void> {
    const { gateway, tell } = this.#context;
    for (let at = 0; at < ids.length; at += BATCH) {
      if (at > 0) await setImmediate();
      const batch = ids.slice(at, at + BATCH);
      const evicted = await gateway.destroyMany(batch, { principal }, now);
      for (const id of evicted) tell({ type: "evicted", id });
    }
  }

  async #othersOf(
    draft: Draft,
    principal: string,
    now: number,
  ): Promise<SessionSummary[]> {
    const sessions = await this.#sessionsOf(principal, now);
    return sessions.filter(({ id }) => id !== draft.id);
  }

  /** Those that can be read: a newer release may own the others. */
  async #sessionsOf(
    principal: string,
    now: number,
  ): Promise<SessionSummary[]> {
    const { gateway, tell } = this.#context;
    const { sessions, unreadable } = await gateway.list(principal, now);
    for (const id of unreadable) tell({ type: "unreadable", id, principal });
    return [...sessions];
  }

  #refusal(): SessionError {
    const { maxSessions } = this.#context.settings;
    return new SessionError(
      "too-many-sessions",
      `Cannot sign in: the user has ${maxSessions} sessions already`,
    );
  }
}

/** What the library does by itself fails no sign-in: an event has told. */
function passOver(error: unknown): undefined {
  if (!(error instanceof SessionError)) throw error;
}

/**
 * When a session signed in, or before all others if that cannot be believed:
 * there has to be room after it for the one that signs in now.
 */
function rankOf(session: SessionSummary, now: number, own?: string): number {
  const signedInAt = session.authenticatedAt ?? session.createdAt;
  return session.id !== own && signedInAt > now + MAX_AHEAD - 1
    ? -Infinity
    : signedInAt;
}

function byRank(
  a: SessionSummary,
  b: SessionSummary,
  now: number,
  own: string,
): number {
  const [rankA, rankB] = [rankOf(a, now, own), rankOf(b, now, own)];
  if (rankA !== rankB) return rankA < rankB ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}
