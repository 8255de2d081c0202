import { setImmediate } from "node:timers/promises";
import { attachCookie, cookieCarrier } from "./carrier.ts";
import { clearCookie, cookieValueAt, findCookie, setCookie } from "./cookie.ts";
import { Draft, type Host } from "./draft.ts";
import { SessionError } from "./errors.ts";
import { notify, type RefusalReason, type SessionEvent } from "./events.ts";
import {
  type ManagerOptions,
  resolveOptions,
  type Settings,
} from "./options.ts";
import type { Awaitable, Provider, SessionRecord } from "./provider.ts";
import { open } from "./registry.ts";
import { type AnyData, draftOf, Session } from "./session.ts";
import { isPromise, Store } from "./store.ts";
import { hashesEqual, hashSecret, idOf, isToken, secretOf } from "./token.ts";

/** One of a user's sessions, as a list of signed-in devices shows it. */
export interface SessionInfo {
  /** Its id: names it in `destroy`, opens nothing. */
  readonly id: string;
  /** What `signIn` called it. */
  readonly label: string | undefined;
  /** When it was created, in milliseconds since the Unix epoch. */
  readonly createdAt: number;
  /** When it was last used, in milliseconds since the Unix epoch. */
  readonly accessedAt: number;
  /** When it ends unless it is used, in milliseconds since the Unix epoch. */
  readonly expiresAt: number;
}

/**
 * A request handler with a session.
 *
 * @typeParam Data What the session holds, by key.
 * @typeParam Args What the server passes beside the request.
 * @typeParam Answer What it answers: a response, or `undefined` after an
 * upgrade on Bun.
 */
export type SessionHandler<
  Data extends object,
  Args extends unknown[],
  Answer extends Response | undefined | void,
> = (
  request: Request,
  session: Session<Data>,
  ...args: Args
) => Awaitable<Answer>;

/** How many expired sessions are removed before other work gets its turn. */
const GC_BATCH = 1000;

/**
 * Starts a session for each request and commits it with the response.
 *
 * @typeParam Data What its sessions hold, by key.
 *
 * @example Serve with sessions
 * ```ts
 * import { Manager } from "@cloakroom/session";
 * import { assertEquals } from "@std/assert";
 *
 * await using manager = new Manager<{ visits: number }>();
 * const handler = manager.handle((_request, session) => {
 *   const visits = (session.get("visits") ?? 0) + 1;
 *   session.set("visits", visits);
 *   return new Response(`Visit ${visits}`);
 * });
 *
 * const first = await handler(new Request("http://localhost/"));
 * const cookie = first.headers.get("set-cookie")!.split(";")[0]!;
 * const second = await handler(
 *   new Request("http://localhost/", { headers: { cookie } }),
 * );
 * assertEquals(await second.text(), "Visit 2");
 * ```
 */
export class Manager<Data extends object = AnyData> {
  readonly #settings: Settings;
  readonly #host: Host;
  readonly #store: Store;
  readonly #ownsProvider: boolean;
  /** Milliseconds after which an access is worth a touch. */
  readonly #touchAfter: number | undefined;
  #timer: unknown;
  #collection: Promise<number> | undefined;

  /**
   * @param options See {@linkcode ManagerOptions}; none is required.
   * @throws {TypeError} If an option is unknown or of the wrong type, or no
   * such provider is registered.
   * @throws {RangeError} If a number is out of range.
   */
  constructor(options: ManagerOptions = {}) {
    const settings = resolveOptions(options);
    const { provider = "memory" } = options;
    this.#ownsProvider = typeof provider === "string" ||
      provider instanceof URL;
    const opened = this.#ownsProvider
      ? open(provider as string | URL)
      : checkProvider(provider as Provider);
    this.#settings = settings;
    this.#store = new Store(opened, settings);
    this.#host = { settings, store: this.#store };
    const touchInterval = settings.touchInterval ?? opened.touchInterval;
    this.#touchAfter = touchInterval === undefined
      ? undefined
      : touchInterval * 1000;
    this.#startTimer(settings.gcInterval);
  }

  /**
   * Finds the session of a request by its cookie. A request without a cookie
   * that opens one gets a new, empty session, which exists nowhere until
   * something is set in it and it is committed.
   *
   * @param request Only its `Cookie` header is read.
   * @returns The session; without a promise if the provider answers without.
   * @throws {SessionError} With code `"store-failed"`, `"timeout"` or
   * `"corrupt"`, if the store cannot tell; `"closed"` after `close()`.
   */
  start(request: Request): Awaitable<Session<Data>> {
    const now = this.#settings.now();
    const header = request.headers.get("cookie");
    const { name } = this.#settings.cookie;
    const at = header === null ? -1 : findCookie(header, name);
    if (header === null || at === -1) return this.#fresh(now, false);
    const token = this.#tokenAt(header, at);
    if (token === undefined) return this.#fresh(now, true);
    const record = this.#store.read(idOf(token), now);
    return isPromise(record)
      ? record.then((found) => this.#opened(token, found, now))
      : this.#opened(token, record, now);
  }

  /**
   * Writes what a request did to its session, and hands out the cookie if that
   * changed. Nothing is written for a new session left empty.
   *
   * A session that ended, or got a new token, while the request ran stays as it
   * is: the changes are dropped, the response is left alone, and a `gone` event
   * tells. Only a sign-in goes on, in a new session.
   *
   * @param session A session that this manager started; once only.
   * @param response The response, or `undefined` when there is none to send, as
   * after an upgrade on Bun.
   * @returns The response to send: the same one, or a copy if its headers were
   * immutable.
   * @throws {SessionError} With code `"store-failed"` or `"timeout"`, if it may
   * not have been written; `"unsendable"`, before anything is written, if a
   * cookie is due and the response cannot carry it.
   * @throws {TypeError} If the session is another manager's or was committed.
   */
  commit<Answer extends Response | undefined>(
    session: Session<Data>,
    response: Answer,
  ): Awaitable<Answer> {
    const draft = draftOf(session);
    if (draft.host !== this.#host) {
      throw new TypeError("Cannot commit session: another manager started it");
    }
    if (draft.isCommitted) {
      throw new TypeError("Cannot commit session: it is already committed");
    }
    draft.isCommitted = true;
    // A copy is made of a response only, never of `undefined`.
    return this.#commit(draft, response) as Awaitable<Answer>;
  }

  /**
   * Wraps a handler: starts the session, calls the handler, commits. When the
   * handler throws, its changes are discarded and the error goes on.
   *
   * @param handler Gets the request, the session, and whatever else the server
   * passes: Deno's `info`, Bun's `server`.
   * @returns A handler for `Deno.serve`, `Bun.serve` or `export default`.
   */
  handle<
    Args extends unknown[],
    Answer extends Response | undefined | void = Response,
  >(
    handler: SessionHandler<Data, Args, Answer>,
  ): (request: Request, ...args: Args) => Promise<Answer> {
    return async (request, ...args) => {
      const started = this.start(request);
      const session = isPromise(started) ? await started : started;
      try {
        const answered = handler(request, session, ...args);
        const answer = isPromise(answered) ? await answered : answered;
        const committed = this.commit(
          session,
          answer as Response | undefined,
        );
        return (isPromise(committed) ? await committed : committed) as Answer;
      } finally {
        draftOf(session).isCommitted = true;
      }
    };
  }

  /**
   * Removes what has expired, in one pass that lets other work in between. Runs
   * by itself every `gcInterval` seconds; a pass under way is joined.
   *
   * @returns How many sessions were removed; 0 on a store that expires by
   * itself.
   * @throws {SessionError} With code `"store-failed"` or `"timeout"`.
   */
  gc(): Promise<number> {
    return this.#collection ??= this.#collect().finally(() => {
      this.#collection = undefined;
    });
  }

  /**
   * Lists a user's live sessions, the latest used first.
   *
   * @param principal The user, as given to `signIn`.
   */
  async list(principal: string): Promise<SessionInfo[]> {
    const found = await this.#store.list(principal, this.#settings.now());
    return found
      .map(({ id, record }) => ({
        id,
        label: record.label,
        createdAt: record.createdAt,
        accessedAt: record.accessedAt,
        expiresAt: record.expiresAt,
      }))
      .sort((a, b) => b.accessedAt - a.accessedAt);
  }

  /**
   * Ends one session by its id.
   *
   * @param id Its id.
   * @param options With `principal`, only a session of that user is ended: give
   * it whenever the id comes from a request.
   * @returns Whether there was such a session.
   */
  async destroy(
    id: string,
    options: { readonly principal?: string | undefined } = {},
  ): Promise<boolean> {
    const { principal } = options;
    if (principal !== undefined) {
      const record = await this.#store.read(id, this.#settings.now());
      if (record?.principal !== principal) return false;
    }
    const isDestroyed = await this.#store.destroy(id);
    if (isDestroyed) this.#notify({ type: "destroyed", id });
    return isDestroyed;
  }

  /**
   * Ends all sessions of a user: sign out everywhere.
   *
   * @param principal The user, as given to `signIn`.
   * @param options `except` spares one session, given itself or by its id.
   * @returns How many there were.
   */
  async destroyAll(
    principal: string,
    options: { readonly except?: Session<Data> | string | undefined } = {},
  ): Promise<number> {
    const except = options.except instanceof Session
      ? options.except.id
      : options.except;
    const count = await this.#store.destroyAll(principal, except);
    this.#notify({ type: "destroyed-all", principal, except, count });
    return count;
  }

  /**
   * Stops the collector and refuses every later call. Closes the provider if
   * the manager made it from a name or URL; one that was handed in belongs to
   * the caller. Twice is safe.
   */
  async close(): Promise<void> {
    clearInterval(this.#timer as number);
    await this.#store.close(this.#ownsProvider);
  }

  /** {@linkcode Manager.close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #startTimer(seconds: number): void {
    if (seconds === 0) return;
    this.#timer = setInterval(() => {
      // The failure has been an event; the next pass tries again.
      this.gc().catch(() => {});
    }, seconds * 1000);
    (this.#timer as { unref?(): void }).unref?.();
  }

  async #collect(): Promise<number> {
    let total = 0;
    for (;;) {
      const count = await this.#store.gc(this.#settings.now(), GC_BATCH);
      total += count;
      if (count < GC_BATCH) return total;
      await setImmediate();
    }
  }

  #fresh(now: number, hadCookie: boolean): Session<Data> {
    return new Session(new Draft(this.#host, now, hadCookie));
  }

  #tokenAt(header: string, first: number): string | undefined {
    const { name } = this.#settings.cookie;
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
  ): Session<Data> {
    if (record === undefined || !isLive(record, now)) {
      this.#refused("unknown", idOf(token));
      return this.#fresh(now, true);
    }
    const secretHash = hashSecret(secretOf(token));
    if (!isAccepted(record, secretHash, now)) {
      this.#refused("wrong-secret", idOf(token));
      return this.#fresh(now, true);
    }
    return new Session(
      new Draft(this.#host, now, true, { token, secretHash, record }),
    );
  }

  #commit(
    draft: Draft,
    response: Response | undefined,
  ): Awaitable<Response | undefined> {
    const now = this.#settings.now();
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
    const created = this.#store.create(draft.id, draft.newRecord(now), now);
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
    const updated = this.#store.update(
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
    const touched = this.#store.touch(draft.id, draft.deadline(now), now);
    return isPromise(touched)
      ? touched.then((isLive) => this.#touched(draft, isLive, response))
      : this.#touched(draft, touched, response);
  }

  async #commitDestroy(
    draft: Draft,
    response: Response | undefined,
  ): Promise<Response | undefined> {
    if (draft.isStored && await this.#store.destroy(draft.id)) {
      this.#notify({ type: "destroyed", id: draft.id });
    }
    if (!draft.hadCookie || response === undefined) return response;
    // Ending the session matters more than telling the browser.
    if (response.status === 101) return response;
    const carrier = cookieCarrier(response);
    attachCookie(carrier, clearCookie(this.#settings.cookie));
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
    const header = setCookie(this.#settings.cookie, draft.token, maxAge);
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

  #refused(reason: RefusalReason, id?: string): undefined {
    this.#notify({ type: "refused", reason, id });
  }

  #notify(event: SessionEvent): void {
    notify(this.#settings.onEvent, event);
  }
}

/** Whether a record is within both of its deadlines, whoever kept it. */
function isLive(record: SessionRecord, now: number): boolean {
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

const PROVIDER_CALLS = [
  "create",
  "read",
  "update",
  "touch",
  "destroy",
  "gc",
  "list",
  "destroyAll",
  "close",
] as const;

function checkProvider(provider: Provider): Provider {
  for (const name of PROVIDER_CALLS) {
    if (typeof provider?.[name] !== "function") {
      throw new TypeError(
        `Cannot create Manager: provider must be a Provider, its name or its URL: ${name} is not a function`,
      );
    }
  }
  return provider;
}
