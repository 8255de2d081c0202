import {
  attachCookie,
  canCarryCookie,
  clearSiteData,
  cookieCarrier,
} from "../carriage/response.ts";
import { clearCookie, setCookie } from "../carriage/cookie.ts";
import type { Draft, Host } from "./draft.ts";
import { SessionError } from "../errors.ts";
import { notify, type SessionEvent } from "../events.ts";
import type { Awaitable, SessionChange, UpdateResult } from "../provider.ts";
import { followRenewal, type Upkeep, upkeepOf } from "./renewal.ts";
import { SessionLimit } from "./session_limit.ts";
import { isPromise } from "../store/store.ts";

/**
 * Writes what a request did to its session, and puts the cookie on the
 * response. Whatever can fail without the store is tried before it is written
 * to; whatever the store refuses never reaches the browser.
 */
export class Committer {
  readonly #host: Host;
  readonly #limit: SessionLimit;
  /** Milliseconds after which an access is worth a touch. */
  readonly #touchAfter: number | undefined;

  /**
   * @param touchInterval In seconds; left out, it depends on the session's idle
   * timeout.
   */
  constructor(host: Host, touchInterval: number | undefined) {
    this.#host = host;
    this.#limit = new SessionLimit(host);
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
    if (draft.isDestroyed) return this.#commitDestroy(draft, response, now);
    if (!draft.isStored) return this.#commitUnstored(draft, response, now);
    const upkeep = upkeepOf(draft, now);
    return upkeep === undefined
      ? this.#commitStored(draft, response, now)
      : this.#commitUpkeep(draft, response, now, upkeep);
  }

  #commitUnstored(
    draft: Draft,
    response: Response | undefined,
    now: number,
  ): Awaitable<Response | undefined> {
    if (!draft.isWorthStoring) return response;
    if (draft.superseded !== undefined && draft.signedIn === undefined) {
      this.#notify({ type: "gone", id: draft.superseded.id });
      return response;
    }
    return this.#commitNew(draft, response, now);
  }

  async #commitNew(
    draft: Draft,
    response: Response | undefined,
    now: number,
  ): Promise<Response> {
    const carrier = cookieCarrier(response);
    if (this.#limit.appliesTo(draft)) await this.#limit.check(draft, now);
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
    if (this.#limit.appliesTo(draft)) await this.#limit.enforce(draft, now);
    this.#announceSignIn(draft);
    return this.#withCookie(draft, carrier, now);
  }

  #commitStored(
    draft: Draft,
    response: Response | undefined,
    now: number,
  ): Awaitable<Response | undefined> {
    return draft.isChanged
      ? this.#commitChange(draft, response, now)
      : this.#commitAccess(draft, response, now);
  }

  async #commitChange(
    draft: Draft,
    response: Response | undefined,
    now: number,
  ): Promise<Response | undefined> {
    // A request with the old secret would put the old cookie back.
    const isCookieDue = draft.isRenewed ||
      (draft.isLifetimeChanged && draft.isCurrent);
    const carrier = isCookieDue ? cookieCarrier(response) : response;
    if (draft.isSwitched) return this.#commitSwitch(draft, carrier, now);
    const secret = draft.isRenewed ? draft.nextSecret : undefined;
    if (this.#limit.appliesTo(draft)) await this.#limit.check(draft, now);
    const written = this.#write(draft, draft.change(now), now);
    const result = isPromise(written) ? await written : written;
    if (result !== "done") {
      this.#notify({ type: "gone", id: draft.id });
      if (draft.signedIn === undefined) return response;
      draft.startOver();
      return this.#commitNew(draft, carrier, now);
    }
    draft.stored(now, secret);
    if (secret !== undefined) this.#notify({ type: "renewed", id: draft.id });
    if (this.#limit.appliesTo(draft)) await this.#limit.enforce(draft, now);
    this.#announceSignIn(draft);
    return isCookieDue
      ? this.#withCookie(draft, carrier as Response, now)
      : response;
  }

  /**
   * Renews the secret, or notes that the new one has arrived, together with what
   * the request did. Of several requests that try, one comes first; the others
   * leave the secret alone.
   */
  async #commitUpkeep(
    draft: Draft,
    response: Response | undefined,
    now: number,
    { secret, change }: Upkeep,
  ): Promise<Response | undefined> {
    const version = draft.base?.version;
    const isPossible = version !== undefined &&
      (secret === undefined || canCarryCookie(response));
    if (!isPossible) return this.#commitStored(draft, response, now);
    const isCookieDue = secret !== undefined ||
      (draft.isLifetimeChanged && draft.isCurrent);
    const carrier = isCookieDue ? cookieCarrier(response) : response;
    const merged = { ...draft.change(now), ...change };
    const written = this.#write(draft, merged, now, version);
    const result = isPromise(written) ? await written : written;
    if (result === "conflict") return this.#commitLate(draft, carrier, now);
    if (result === "gone") {
      this.#notify({ type: "gone", id: draft.id });
      return response;
    }
    draft.stored(now, secret);
    if (secret !== undefined) this.#notify({ type: "renewed", id: draft.id });
    return isCookieDue
      ? this.#withCookie(draft, carrier as Response, now)
      : response;
  }

  /** Writes under the request's secret, or the one that it was renewed to. */
  #write(
    draft: Draft,
    change: SessionChange,
    now: number,
    version?: number,
  ): Awaitable<UpdateResult> {
    const rewrite = (): Promise<UpdateResult> =>
      this.#writeRenewed(draft, change, now, version);
    const guard = { secretHash: draft.guardHash, version };
    const updated = this.#host.store.update(draft.id, change, guard, now);
    if (!isPromise(updated)) return updated === "gone" ? rewrite() : updated;
    return updated.then((result) => result === "gone" ? rewrite() : result);
  }

  /** Once more, if the request's secret was merely renewed meanwhile. */
  async #writeRenewed(
    draft: Draft,
    change: SessionChange,
    now: number,
    version?: number,
  ): Promise<UpdateResult> {
    if (!await followRenewal(draft)) return "gone";
    const guard = { secretHash: draft.guardHash, version };
    return await this.#host.store.update(draft.id, change, guard, now);
  }

  /** Ends the session of the user before, and begins one for the next. */
  async #commitSwitch(
    draft: Draft,
    carrier: Response | undefined,
    now: number,
  ): Promise<Response> {
    // Before the end of the one: a sign-in that is refused leaves all as it was.
    if (this.#limit.appliesTo(draft)) await this.#limit.check(draft, now);
    await this.#isEnded(draft, now);
    draft.startOver();
    return this.#commitNew(draft, carrier, now);
  }

  /** The other request may have renewed: look whose secret is current now. */
  async #commitLate(
    draft: Draft,
    response: Response | undefined,
    now: number,
  ): Promise<Response | undefined> {
    const record = await this.#host.store.read(draft.id, now);
    if (record !== undefined) draft.reread(record);
    return this.#commitStored(draft, response, now);
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
    now: number,
  ): Promise<Response | undefined> {
    if (!await this.#isEnded(draft, now)) {
      this.#notify({ type: "gone", id: draft.id });
      return response;
    }
    const isTold = draft.arrival.hadCookie || draft.isSiteDataCleared;
    // Ending the session matters more than telling the browser.
    if (!isTold || !canCarryCookie(response)) return response;
    const carrier = cookieCarrier(response);
    attachCookie(carrier, clearCookie(this.#host.settings.cookie));
    if (draft.isSiteDataCleared) clearSiteData(carrier);
    return carrier;
  }

  /**
   * Ends a stored session, unless its token was replaced meanwhile: a request
   * from before a sign-in must not end what came of it, or remove its cookie.
   */
  async #isEnded(draft: Draft, now: number): Promise<boolean> {
    const { store } = this.#host;
    if (!draft.isStored) return draft.superseded === undefined;
    const { id } = draft;
    const result = await this.#write(draft, { expiresAt: now }, now);
    if (result !== "done") {
      const record = await store.read(id, now);
      return record === undefined;
    }
    await store.destroy(id);
    this.#notify({ type: "destroyed", id });
    return true;
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
    // A session may have a shorter idle timeout than the manager's.
    return Math.min(
      this.#touchAfter ?? 60_000,
      draft.lifetime.idleTimeout * (this.#touchAfter === undefined ? 100 : 500),
    );
  }

  #withCookie(draft: Draft, carrier: Response, now: number): Response {
    const maxAge = draft.lifetime.persistent
      ? draft.secondsLeft(now)
      : undefined;
    const header = setCookie(this.#host.settings.cookie, draft.token, maxAge);
    attachCookie(carrier, header);
    return carrier;
  }

  #announceSignIn({ id, signedIn }: Draft): void {
    if (signedIn === undefined) return;
    this.#notify({ type: "signed-in", id, principal: signedIn });
  }

  #notify(event: SessionEvent): void {
    notify(this.#host.settings.onEvent, event);
  }
}
