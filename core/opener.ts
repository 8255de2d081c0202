import { cookieValueAt, findCookie } from "./cookie.ts";
import { Draft, type Host } from "./draft.ts";
import { notify, type RefusalReason } from "./events.ts";
import type { Awaitable, SessionRecord } from "./provider.ts";
import { isPromise } from "./store.ts";
import { hashesEqual, hashSecret, idOf, isToken, secretOf } from "./token.ts";

/** Finds the session that a request's cookie opens, if it opens one. */
export class Opener {
  readonly #host: Host;

  constructor(host: Host) {
    this.#host = host;
  }

  /** The draft of a stored session, or of a new one. */
  open(request: Request): Awaitable<Draft> {
    const { settings, store } = this.#host;
    const now = settings.now();
    const header = request.headers.get("cookie");
    if (header === null) return new Draft(this.#host, now, false);
    const at = findCookie(header, settings.cookie.name);
    if (at === -1) return new Draft(this.#host, now, false);
    const token = this.#tokenAt(header, at);
    if (token === undefined) return new Draft(this.#host, now, true);
    const record = store.read(idOf(token), now);
    return isPromise(record)
      ? record.then((found) => this.#opened(token, found, now))
      : this.#opened(token, record, now);
  }

  #tokenAt(header: string, first: number): string | undefined {
    const { name } = this.#host.settings.cookie;
    let token: string | undefined;
    for (let at = first; at !== -1; at = findCookie(header, name, at)) {
      const value = cookieValueAt(header, at);
      if (!isToken(value) || value === token) continue;
      // One of the two was planted, and nothing tells which.
      if (token !== undefined) return this.#refused("duplicate");
      token = value;
    }
    return token ?? this.#refused("malformed");
  }

  #opened(
    token: string,
    record: SessionRecord | undefined,
    now: number,
  ): Draft {
    if (record === undefined || !isLive(record, now)) {
      this.#refused("unknown", idOf(token));
      return new Draft(this.#host, now, true);
    }
    const secretHash = hashSecret(secretOf(token));
    if (!isAccepted(record, secretHash, now)) {
      this.#refused("wrong-secret", idOf(token));
      return new Draft(this.#host, now, true);
    }
    return new Draft(this.#host, now, true, { token, secretHash, record });
  }

  #refused(reason: RefusalReason, id?: string): undefined {
    notify(this.#host.settings.onEvent, { type: "refused", reason, id });
  }
}

/** Whether a record is within both of its deadlines, whoever kept it. */
export function isLive(record: SessionRecord, now: number): boolean {
  return record.expiresAt > now &&
    record.accessedAt + record.idleTimeout * 1000 > now &&
    record.createdAt + record.absoluteTimeout * 1000 > now;
}

function isAccepted(
  record: SessionRecord,
  secretHash: string,
  now: number,
): boolean {
  if (hashesEqual(record.secretHash, secretHash)) return true;
  const { previous } = record;
  return previous !== undefined && previous.expiresAt > now &&
    hashesEqual(previous.secretHash, secretHash);
}
