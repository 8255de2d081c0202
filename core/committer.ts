import { attachCookie, cookieCarrier } from "./carrier.ts";
import { clearCookie, setCookie } from "./cookie.ts";
import type { Draft, Host } from "./draft.ts";
import { SessionError } from "./errors.ts";
import { notify, type SessionEvent } from "./events.ts";
import type { Awaitable } from "./provider.ts";
import { isPromise } from "./store.ts";

/**
 * Writes what a request did to its session, and puts the cookie on the
 * response. Whatever can fail without the store is tried before it is written
 * to; whatever the store refuses never reaches the browser.
 */
export class Committer {
  readonly #host: Host;
  /** Milliseconds after which an access is worth a touch. */
  readonly #touchAfter: number | undefined;

  /**
   * @param touchInterval In seconds; left out, it depends on the session's idle
   * timeout.
   */
  constructor(host: Host, touchInterval: number | undefined) {
    this.#host = host;
    this.#touchAfter = touchInterval === undefined
      ? undefined
      : touchInterval * 1000;
  }

  /** The response to send; see `Manager.commit`. */
  commit(
    draft: Draft,
    response: Response | undefined,
  ): Awaitable<Response | undefined> {
    const now = this.#host.settings.now();
    if (draft.isDestroyed) return this.#commitDestroy(draft, response);
    if (!draft.isStored) {
      return draft.isWorthStoring
        ? this.#commitNew(draft, response, now)
        : response;
    }
    return draft.isChanged
      ? this.#commitChange(draft, response, now)
      : this.#commitAccess(draft, response, now);
  }

  async #commitNew(
    draft: Draft,
    response: Response | undefined,
    now: number,
  ): Promise<Response> {
    const carrier = cookieCarrier(response);
    const created = this.#host.store.create(
      draft.id,
      draft.newRecord(now),
      now,
    );
    const isCreated = isPromise(created) ? await created : created;
    if (!isCreated) {
      throw new SessionError(
        "store-failed",
        "Cannot create session: its random id is already taken",
      );
    }
    draft.stored(now, undefined);
    this.#notify({ type: "created", id: draft.id });
    this.#announce(draft, undefined);
    return this.#withCookie(draft, carrier, now);
  }

  async #commitChange(
    draft: Draft,
    response: Response | undefined,
    now: number,
  ): Promise<Response | undefined> {
    const isCookieDue = draft.isRenewed || draft.isLifetimeChanged;
    const carrier = isCookieDue ? cookieCarrier(response) : response;
    const secret = draft.isRenewed ? draft.mintSecret() : undefined;
    const updated = this.#host.store.update(
      draft.id,
      draft.change(now, secret),
      { secretHash: draft.secretHash },
      now,
    );
    const result = isPromise(updated) ? await updated : updated;
    if (result !== "done") {
      this.#notify({ type: "gone", id: draft.id });
      if (draft.signedIn === undefined) return response;
      draft.startOver();
      return this.#commitNew(draft, carrier, now);
    }
    draft.stored(now, secret);
    this.#announce(draft, secret);
    return isCookieDue
      ? this.#withCookie(draft, carrier as Response, now)
      : response;
  }

  #commitAccess(
    draft: Draft,
    response: Response | undefined,
    now: number,
  ): Awaitable<Response | undefined> {
    if (now - draft.accessedAt < this.#touchAfterOf(draft)) return response;
    const touched = this.#host.store.touch(draft.id, draft.deadline(now), now);
    return isPromise(touched)
      ? touched.then((isLive) => this.#touched(draft, isLive, response))
      : this.#touched(draft, touched, response);
  }

  async #commitDestroy(
    draft: Draft,
    response: Response | undefined,
  ): Promise<Response | undefined> {
    if (draft.isStored && await this.#host.store.destroy(draft.id)) {
      this.#notify({ type: "destroyed", id: draft.id });
    }
    if (!draft.hadCookie || response === undefined) return response;
    // Ending the session matters more than telling the browser.
    if (response.status === 101) return response;
    const carrier = cookieCarrier(response);
    attachCookie(carrier, clearCookie(this.#host.settings.cookie));
    return carrier;
  }

  #touched(
    draft: Draft,
    isLive: boolean,
    response: Response | undefined,
  ): Response | undefined {
    if (!isLive) this.#notify({ type: "gone", id: draft.id });
    return response;
  }

  #touchAfterOf(draft: Draft): number {
    return this.#touchAfter ??
      Math.min(draft.lifetime.idleTimeout * 100, 60_000);
  }

  #withCookie(draft: Draft, carrier: Response, now: number): Response {
    const maxAge = draft.lifetime.persistent
      ? draft.secondsLeft(now)
      : undefined;
    const header = setCookie(this.#host.settings.cookie, draft.token, maxAge);
    attachCookie(carrier, header);
    return carrier;
  }

  #announce(draft: Draft, secret: string | undefined): void {
    const { id, signedIn } = draft;
    if (secret !== undefined) this.#notify({ type: "renewed", id });
    if (signedIn !== undefined) {
      this.#notify({ type: "signed-in", id, principal: signedIn });
    }
  }

  #notify(event: SessionEvent): void {
    notify(this.#host.settings.onEvent, event);
  }
}
