import type { Draft, Host } from "./draft.ts";
import { SessionError } from "../errors.ts";
import { notify } from "../events.ts";
import type { StoredSession } from "../provider.ts";

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

  /** Whether there is a sign-in to count. */
  appliesTo(draft: Draft): boolean {
    return draft.signedIn !== undefined &&
      this.#host.settings.maxSessions !== Infinity;
  }

  /**
   * Refuses a sign-in for which there is no room, before anything is stored.
   *
   * @throws {SessionError} With code `"too-many-sessions"`.
   */
  async check(draft: Draft, now: number): Promise<void> {
    const { settings } = this.#host;
    if (settings.onMaxSessions !== "reject") return;
    const others = (await this.#sessionsOf(draft.signedIn as string, now))
      .filter(({ id }) => id !== draft.id);
    if (others.length < settings.maxSessions) return;
    // The second click on "Sign in" takes the place of the first.
    const former = others.find(({ id }) => id === draft.formerId);
    if (former === undefined || others.length > settings.maxSessions) {
      throw this.#refusal();
    }
    await this.#evict(former);
  }

  /**
   * Ends the sessions that are too many after a sign-in was stored.
   *
   * @throws {SessionError} With code `"too-many-sessions"`, if this one is among
   * them and the latest have to go.
   */
  async enforce(draft: Draft, now: number): Promise<void> {
    try {
      await this.#enforce(draft, now);
    } catch (error) {
      // The sign-in is stored: better one session too many than a browser whose
      // cookie was just made worth nothing.
      if (this.#host.settings.onMaxSessions === "evict-oldest") return;
      await this.#evictQuietly(draft.id);
      throw error;
    }
  }

  async #enforce(draft: Draft, now: number): Promise<void> {
    const { maxSessions, onMaxSessions } = this.#host.settings;
    const sessions = await this.#sessionsOf(draft.signedIn as string, now);
    sessions.sort(bySignIn);
    const isOldestOut = onMaxSessions === "evict-oldest";
    const excess = Math.max(0, sessions.length - maxSessions);
    const out = isOldestOut
      ? sessions.slice(0, excess)
      : sessions.slice(sessions.length - excess);
    for (const session of out) await this.#evict(session);
    // Another sign-in may have counted first, and have ended this one already.
    const isIn = sessions.some((session) =>
      session.id === draft.id && !out.includes(session)
    );
    if (!isIn && !isOldestOut) throw this.#refusal();
  }

  async #evict({ id }: StoredSession): Promise<void> {
    const { store, settings } = this.#host;
    if (await store.destroy(id)) {
      notify(settings.onEvent, { type: "evicted", id });
    }
  }

  async #evictQuietly(id: string): Promise<void> {
    try {
      await this.#host.store.destroy(id);
    } catch {
      // The failure has been an event, and there is a better error to tell.
    }
  }

  async #sessionsOf(principal: string, now: number): Promise<StoredSession[]> {
    return [...await this.#host.store.list(principal, now)];
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
