import type { Draft, Host } from "./draft.ts";
import { SessionError } from "./errors.ts";
import { notify } from "./events.ts";
import type { StoredSession } from "./provider.ts";

/**
 * Keeps a user from having more than `maxSessions` sessions. A sign-in is
 * stored first and counted then: of several at the same time each sees all that
 * were stored before it looked, and all agree which ones are too many.
 */
export class SessionLimit {
  readonly #host: Host;

  constructor(host: Host) {
    this.#host = host;
  }

  /**
   * Refuses a sign-in for which there is no room, before anything is stored.
   *
   * @throws {SessionError} With code `"too-many-sessions"`.
   */
  async check(draft: Draft, now: number): Promise<void> {
    const { settings } = this.#host;
    if (draft.signedIn === undefined || settings.onMaxSessions !== "reject") {
      return;
    }
    const others = (await this.#sessionsOf(draft.signedIn, now))
      .filter(({ id }) => id !== draft.id);
    if (others.length >= settings.maxSessions) throw this.#refusal();
  }

  /**
   * Ends the sessions that are too many after a sign-in was stored.
   *
   * @throws {SessionError} With code `"too-many-sessions"`, if this one is among
   * them and the latest have to go.
   */
  async enforce(draft: Draft, now: number): Promise<void> {
    const { store, settings } = this.#host;
    const { maxSessions, onMaxSessions } = settings;
    if (maxSessions === Infinity) return;
    const sessions = await this.#sessionsOf(draft.signedIn as string, now);
    sessions.sort(bySignIn);
    const isOldestOut = onMaxSessions === "evict-oldest";
    const excess = Math.max(0, sessions.length - maxSessions);
    const out = isOldestOut
      ? sessions.slice(0, excess)
      : sessions.slice(sessions.length - excess);
    for (const { id } of out) {
      if (await store.destroy(id)) {
        notify(settings.onEvent, { type: "evicted", id });
      }
    }
    // Another sign-in may have counted first, and have ended this one already.
    const isIn = sessions.some((session) =>
      session.id === draft.id && !out.includes(session)
    );
    if (!isIn && !isOldestOut) throw this.#refusal();
  }

  async #sessionsOf(principal: string, now: number): Promise<StoredSession[]> {
    const { store, settings } = this.#host;
    if (settings.maxSessions === Infinity) return [];
    return [...await store.list(principal, now)];
  }

  #refusal(): SessionError {
    const { maxSessions } = this.#host.settings;
    return new SessionError(
      "too-many-sessions",
      `Cannot sign in: the user has ${maxSessions} sessions already`,
    );
  }
}

function bySignIn(a: StoredSession, b: StoredSession): number {
  const difference = signedInAt(a) - signedInAt(b);
  if (difference !== 0) return difference;
  return a.id < b.id ? -1 : 1;
}

function signedInAt({ record }: StoredSession): number {
  return record.authenticatedAt ?? record.createdAt;
}
