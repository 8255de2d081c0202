import { cookieValueAt, findCookie } from "../carriage/cookie.ts";
import { type Arrival, Draft, type Host } from "./draft.ts";
import { notify, type RefusalReason } from "../events.ts";
import type { Awaitable, SessionRecord } from "../provider.ts";
import { isPromise } from "../store/store.ts";
import {
  digest,
  isHashOf,
  isSameFamily,
  isToken,
  parseToken,
  type Token,
} from "../secret/token.ts";

/** Finds the session that a request's cookie opens, if it opens one. */
export class Opener {
  readonly #host: Host;

  constructor(host: Host) {
    this.#host = host;
  }

  /** The draft of a stored session, or of a new one. */
  open(request: Request): Awaitable<Draft> {
    const { settings, store } = this.#host;
    const header = request.headers.get("cookie");
    const at = header === null ? -1 : findCookie(header, settings.cookie.name);
    const arrival: Arrival = {
      at: settings.now(),
      hadCookie: at !== -1,
      fingerprint: this.#fingerprintOf(request),
    };
    if (header === null || at === -1) return new Draft(this.#host, arrival);
    const token = this.#tokenAt(header, at);
    if (token === undefined) return new Draft(this.#host, arrival);
    const record = store.read(token.id, arrival.at);
    return isPromise(record)
      ? record.then((found) => this.#opened(token, found, arrival))
      : this.#opened(token, record, arrival);
  }

  #tokenAt(header: string, first: number): Token | undefined {
    const { name } = this.#host.settings.cookie;
    let token: string | undefined;
    for (let at = first; at !== -1; at = findCookie(header, name, at)) {
      const value = cookieValueAt(header, at);
      if (!isToken(value) || value === token) continue;
      // One of the two was planted, and nothing tells which.
      if (token !== undefined) return this.#refused("duplicate");
      token = value;
    }
    return token === undefined ? this.#refused("malformed") : parseToken(token);
  }

  #opened(
    token: Token,
    record: SessionRecord | undefined,
    arrival: Arrival,
  ): Awaitable<Draft> {
    if (record === undefined || !isLive(record, arrival.at)) {
      this.#refused("unknown", token.id);
      return new Draft(this.#host, arrival);
    }
    const secretHash = acceptedHash(record, token, arrival.at);
    if (secretHash === undefined) {
      return this.#turnedAway(token, record, arrival);
    }
    if (this.#hasChanged(token, record, arrival)) {
      this.#refused("fingerprint", token.id);
      return new Draft(this.#host, arrival);
    }
    return new Draft(this.#host, arrival, { token, secretHash, record });
  }

  /** A request that names a live session but does not open it. */
  #turnedAway(
    token: Token,
    record: SessionRecord,
    arrival: Arrival,
  ): Awaitable<Draft> {
    const { id, secret } = token;
    const draft = new Draft(this.#host, arrival);
    // Knowing the id is not enough to end a session; having had its cookie is.
    if (isSameFamily(record.secretHash, secret)) {
      return this.#reused(token, record, draft);
    }
    const { renewGrace } = this.#host.settings;
    const isSuperseded = record.previous !== undefined &&
      isSameFamily(record.previous.secretHash, secret) &&
      draft.arrival.at < record.renewedAt + renewGrace * 1000;
    if (isSuperseded) {
      draft.superseded = token;
      draft.formerId = id;
    }
    this.#refused(isSuperseded ? "superseded" : "wrong-secret", id);
    return draft;
  }

  async #reused(
    token: Token,
    record: SessionRecord,
    draft: Draft,
  ): Promise<Draft> {
    const { settings, store } = this.#host;
    const { principal, secretHash, version } = record;
    const { id } = token;
    if (settings.onReuse === "destroy") {
      // Guarded, because the owner may be signing in again right now.
      const { at } = draft.arrival;
      const guard = { secretHash, version };
      const result = await store.update(id, { expiresAt: at }, guard, at);
      if (result !== "done") return await this.#reusedAgain(token, draft);
      await store.destroy(id);
    }
    notify(settings.onEvent, { type: "reused", id, principal });
    return draft;
  }

  /** The record has changed since it was read: looks at it again. */
  async #reusedAgain(token: Token, draft: Draft): Promise<Draft> {
    const record = await this.#host.store.read(token.id, draft.arrival.at);
    if (record === undefined) return draft;
    return await this.#turnedAway(token, record, draft.arrival);
  }

  #fingerprintOf(request: Request): string | undefined {
    const { fingerprint } = this.#host.settings;
    if (fingerprint === undefined) return undefined;
    const seen: unknown = fingerprint(request);
    if (typeof seen === "string") return digest(seen);
    throw new TypeError(
      `Cannot start session: fingerprint must return a string: received ${typeof seen}`,
    );
  }

  /** Whether the client looks different, and that is reason to refuse it. */
  #hasChanged(
    { id }: Token,
    { fingerprint, principal }: SessionRecord,
    arrival: Arrival,
  ): boolean {
    if (fingerprint === arrival.fingerprint) return false;
    if (fingerprint === undefined || arrival.fingerprint === undefined) {
      return false;
    }
    const { onEvent, onFingerprintChange } = this.#host.settings;
    notify(onEvent, { type: "fingerprint-changed", id, principal });
    return onFingerprintChange === "refuse";
  }

  #refused(reason: RefusalReason, id?: string): undefined {
    notify(this.#host.settings.onEvent, { type: "refused", reason, id });
  }
}

/** Whether a record is within both of its deadlines, whoever kept it. */
export function isLive(record: SessionRecord, now: number): boolean {
  return record.expiresAt > now &&
    record.accessedAt + record.idleTimeout * 1000 > now &&
    (record.authenticatedAt ?? record.createdAt) +
          record.absoluteTimeout * 1000 > now;
}

/** The record's hash of the token's secret, if it opens the session. */
function acceptedHash(
  record: SessionRecord,
  token: Token,
  now: number,
): string | undefined {
  const secretDigest = digest(token.secret);
  if (isHashOf(record.secretHash, secretDigest)) return record.secretHash;
  const { previous } = record;
  const isInGrace = previous !== undefined && previous.expiresAt > now &&
    isHashOf(previous.secretHash, secretDigest);
  return isInGrace ? previous.secretHash : undefined;
}
