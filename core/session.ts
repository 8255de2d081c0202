/** What a handler reads and changes of a visitor's session. */
import type { RefusalReason } from "./events.ts";
import type { Lifetime } from "./options.ts";
import { ownOptions } from "./option_names.ts";
import { quote } from "./value/intake.ts";
import { isPromise } from "./store/gateway.ts";
import { type REMOVED, updateAtomically } from "./request/atomic_update.ts";
import { Draft } from "./request/draft.ts";
import { isShutOut } from "./request/opening.ts";
import { checkFormToken, makeFormToken } from "./secret/form_token.ts";
import { type Changeable, type ReadonlyDeep, viewed } from "./value/types.ts";

/** What a session holds unless `Manager<Data>` says: any value under any key. */
export type AnyData = Record<string, unknown>;

/** The keys of a session's data. */
export type KeyOf<Data> = keyof Data & string;

/** What can be written under a key: its type, or the read-only form of it. */
export type Input<Data, Key extends keyof Data> =
  | Exclude<Data[Key], undefined>
  | ReadonlyDeep<Exclude<Data[Key], undefined>>;

/** What is read under a key: the read-only form of its type, or nothing. */
export type Output<Data, Key extends keyof Data> =
  | ReadonlyDeep<Exclude<Data[Key], undefined>>
  | undefined;

/** What the change of {@linkcode Session.update} is given: the value, or nothing. */
export type Present<Data, Key extends keyof Data> =
  | Changeable<Exclude<Data[Key], undefined>>
  | undefined;

/** Options of {@linkcode Session.signIn}. */
export interface SignInOptions {
  /**
   * What to call this session in a list of the user's devices. Cut after 256
   * characters.
   *
   * @default {undefined}
   */
  readonly label?: string | undefined;
  /**
   * Asked when the sign-in is stored, and before its cookie leaves: whether what
   * the user proved still holds, such as whether the password is still the same.
   * Anything but `true` ends the session again, and the commit fails with
   * `"not-valid"`; so does an error, which the commit then fails with. With the
   * new password stored before `manager.destroyAll`, no sign-in with the old one
   * outlives it, whatever the order.
   *
   * @default {undefined}
   */
  readonly stillValid?: (() => Promise<boolean> | boolean) | undefined;
}

/** The most characters of a principal or a label. */
const MAX_NAME_LENGTH = 256;

/**
 * The draft behind a session. Only `core/` can look behind it, so that no code
 * that gets hold of a session can read its token.
 */
export let draftOf: (session: object) => Draft;

/**
 * A visitor's session as one request sees it. Values read are a snapshot taken
 * when the request began, overlaid with what the request itself changed; they
 * cannot be assigned to. Changes reach the store when the session is committed.
 *
 * A session is made by `manager.start()` or `manager.handle()`, never by `new`.
 *
 * @typeParam Data What it holds, by key.
 *
 * @example
 * ```ts
 * import { Manager } from "@cloakroom/session";
 * import { assertEquals } from "@std/assert";
 *
 * await using manager = new Manager<{ cart: string[] }>();
 * const session = await manager.start(new Request("http://localhost/"));
 * session.set("cart", ["hat"]);
 * session.set("cart", [...session.get("cart") ?? [], "coat"]);
 * assertEquals(session.get("cart"), ["hat", "coat"]);
 * ```
 */
export class Session<Data extends object = AnyData> {
  readonly #draft: Draft;

  static {
    draftOf = (session) => {
      if (#draft in session) return (session as Session).#draft;
      throw new TypeError(
        session instanceof Promise
          ? "Cannot use session: it is a Promise: await manager.start() first"
          : "Cannot use session: it is not a Session",
      );
    };
  }

  /** @ignore Made by a manager. */
  constructor(draft: Draft) {
    if (!(draft instanceof Draft)) {
      throw new TypeError(
        "Cannot create Session: sessions come from manager.start()",
      );
    }
    this.#draft = draft;
  }

  /**
   * What the session is filed under: 24 characters of base64url, the same for
   * its whole life. It opens nothing and may be logged.
   */
  get id(): string {
    return this.#look().id;
  }

  /** Whether the request came without a session that still lives. */
  get isNew(): boolean {
    return this.#look().isNew;
  }

  /** Who is signed in, or `undefined`. */
  get principal(): string | undefined {
    return this.#look().principal;
  }

  /** What the session is called in the list of the user's devices. */
  get label(): string | undefined {
    return this.#look().label;
  }

  /** When the session was created, in milliseconds since the Unix epoch. */
  get createdAt(): number {
    return this.#look().createdAt;
  }

  /**
   * When it was last used before this request, as far as the store knows, in
   * milliseconds since the Unix epoch.
   */
  get accessedAt(): number {
    return this.#look().accessedAt;
  }

  /**
   * When it ends unless another request comes, in milliseconds since the Unix
   * epoch.
   */
  get expiresAt(): number {
    return this.#look().expiresAt;
  }

  /**
   * When the user signed in or last proved who they are, in milliseconds since
   * the Unix epoch; `undefined` for a visitor.
   */
  get authenticatedAt(): number | undefined {
    return this.#look().authenticatedAt;
  }

  /**
   * Why the request's cookie did not open a session: for a page that says "your
   * session has expired" (`"unknown"`) or "somebody had a copy of your cookie"
   * (`"reused"`). `undefined` if there was no cookie, or it opened one.
   */
  get refusal(): RefusalReason | undefined {
    return this.#look().refusal;
  }

  /**
   * Whether a device's key is registered for the session; see
   * `ManagerOptions.deviceBound`. From the first use of what the browser got for
   * it, and `renewGrace` seconds after, a copied cookie opens nothing without the
   * device.
   */
  get isDeviceBound(): boolean {
    return this.#look().isDeviceBound;
  }

  /**
   * When the session's device last proved itself to this browser, in milliseconds
   * since the Unix epoch; `undefined` without a proof that is still good.
   */
  get provedAt(): number | undefined {
    return this.#look().provedAt;
  }

  /**
   * Whether the request has the cookie of a session that is bound to a device, and
   * no proof of that device, so that it opens nothing: for a page that offers to
   * try again, or to sign in. It is a copy, or the proof did not get through.
   */
  get isUnproven(): boolean {
    return this.#look().standing === "unproven";
  }

  /**
   * Has the browser prove the session's device once more, before something
   * delicate: its proof is taken away with this answer. Answer with 307 to the
   * same URL, and the browser proves before the request comes again, body included.
   *
   * @returns Whether it will. `false` if the request came without a proof, so that
   * it is not sent round for ever: then ask for the password.
   * @throws {SessionError} With code `"committed"` or `"destroyed"`, if it is
   * too late.
   *
   * @example Pay with a proof of a minute ago
   * ```ts
   * import type { Session } from "@cloakroom/session";
   *
   * function pay(request: Request, session: Session): Response {
   *   const isRecent = Date.now() - (session.provedAt ?? 0) < 60_000;
   *   if (!isRecent && session.proveAgain()) {
   *     return new Response(null, {
   *       status: 307,
   *       headers: { location: request.url },
   *     });
   *   }
   *   return new Response(isRecent ? "Paid" : "Your password, please");
   * }
   * ```
   */
  proveAgain(): boolean {
    return this.#look().askForProof();
  }

  /**
   * Whether the user proved who they are not long ago: ask for the password
   * again before something delicate if not (step-up authentication, ASVS 7.5).
   *
   * @param seconds How long ago it may be.
   * @throws {TypeError} If `seconds` is no number.
   * @throws {RangeError} If `seconds` exceeds the session's absolute timeout, as
   * milliseconds would.
   */
  isFresh(seconds: number): boolean {
    const { authenticatedAt, arrivedAt, lifetime } = this.#look();
    checkFreshness(seconds, lifetime.absoluteTimeout);
    return authenticatedAt !== undefined &&
      arrivedAt - authenticatedAt < seconds * 1000;
  }

  /**
   * Whether the session still lives: not after a sign-out here or elsewhere, a
   * sign-in, an alarm, or a timeout; through renewals it does. Asks the store
   * without showing a secret, so that a WebSocket or a stream that was begun long
   * ago can ask, and prolongs nothing. A session that is not stored does not.
   *
   * @throws {SessionError} With code `"store-failed"`, `"timeout"` or
   * `"corrupt"`, if the store cannot tell.
   */
  async isAlive(): Promise<boolean> {
    const draft = this.#look();
    if (!draft.isStored || draft.isEnding) return false;
    const { gateway, settings } = draft.context;
    const { family } = draft;
    const found = gateway.read(draft.key, settings.now());
    const record = isPromise(found) ? await found : found;
    return record?.family === family;
  }

  /**
   * Reads a value.
   *
   * @param key The key, any string.
   * @returns The value in read-only form, or `undefined`. A `Date`, `Map`,
   * `Set` or `Uint8Array` is a copy: changing it changes nothing.
   */
  get<Key extends KeyOf<Data>>(key: Key): Output<Data, Key> {
    return viewed(this.#look().read(key)) as Output<Data, Key>;
  }

  /** Whether there is a value under a key. */
  has(key: KeyOf<Data>): boolean {
    return this.#look().read(key) !== undefined;
  }

  /** The keys that have a value, in no promised order. */
  keys(): KeyOf<Data>[] {
    return this.#look().keys() as KeyOf<Data>[];
  }

  /**
   * Writes a value. It is copied: changing `value` afterwards changes nothing.
   * Two requests that set different keys both keep their work; of two that set
   * the same key the later commit wins, so use {@linkcode Session.update} for
   * what depends on the old value.
   *
   * @param key The key, any string.
   * @param value JSON values, `bigint`, `Date`, `Map`, `Set` and `Uint8Array`.
   * `undefined` inside objects is left out.
   * @throws {TypeError} If some part of it cannot be stored; the path is named.
   * @throws {SessionError} With code `"too-large"`, if the session would exceed
   * `maxSize`; `"committed"` or `"destroyed"`, if it is too late.
   */
  set<Key extends KeyOf<Data>>(key: Key, value: Input<Data, Key>): void {
    this.#draft.write(checkKey(key), value);
  }

  /**
   * Removes a value.
   *
   * @returns Whether there was one.
   * @throws {SessionError} With code `"committed"` or `"destroyed"`, if it is
   * too late.
   */
  delete(key: KeyOf<Data>): boolean {
    return this.#draft.remove(key);
  }

  /**
   * Removes every value that this request sees. A key that another request adds
   * meanwhile stays.
   *
   * @throws {SessionError} With code `"committed"` or `"destroyed"`, if it is
   * too late.
   */
  clear(): void {
    this.#draft.clear();
  }

  /**
   * Reads a value and removes it: for a message that is shown once.
   *
   * @returns What {@linkcode Session.get} would return.
   * @throws {SessionError} With code `"committed"` or `"destroyed"`, if it is
   * too late and there was a value.
   */
  take<Key extends KeyOf<Data>>(key: Key): Output<Data, Key> {
    const value = this.get(key);
    if (value !== undefined) this.#draft.remove(key);
    return value;
  }

  /**
   * Changes a value in one atomic step: reads it from the store, calls
   * `change`, writes what it returns, and goes around again if another request
   * wrote in between. Takes effect at once, also after the session was
   * committed. On a session that is not stored yet it is the same as `set`.
   *
   * One that is not awaited is waited for by the commit. An event tells if the
   * store fails it, or the session has gone; what `change` throws, or what cannot
   * be stored, only its promise says.
   *
   * @param key The key, any string.
   * @param change Gets the present value and returns the new one, or `REMOVED`
   * to remove it. Synchronous; may be called several times. A `Map`, a `Set`, a
   * `Date` or a `Uint8Array` that it gets is a copy, to be changed and returned.
   * @returns The new value.
   * @throws {TypeError} If `change` returns nothing, a promise, or what cannot be
   * stored.
   * @throws {SessionError} With code `"gone"`, if the session has ended;
   * `"conflict"`, if it lost 100 times in a row; `"too-large"`.
   *
   * @example Count in parallel
   * ```ts
   * import { Manager } from "@cloakroom/session";
   * import { assertEquals } from "@std/assert";
   *
   * await using manager = new Manager<{ hits: number }>();
   * const session = await manager.start(new Request("http://localhost/"));
   * await session.update("hits", (hits = 0) => hits + 1);
   * assertEquals(session.get("hits"), 1);
   * ```
   */
  update<Key extends KeyOf<Data>>(
    key: Key,
    change: (
      value: Present<Data, Key>,
    ) => Input<Data, Key> | typeof REMOVED,
  ): Promise<Output<Data, Key>> {
    const draft = this.#look();
    const update = async () =>
      await updateAtomically(
        draft,
        checkUpdate(key, change),
        (stored) => change(stored as Present<Data, Key>),
      );
    return draft.track(update()) as Promise<Output<Data, Key>>;
  }

  /**
   * Replaces the secret in the cookie.
   *
   * With `reauthenticated` the user has just proven again who they are: whatever
   * cookie there was before opens nothing from the commit on, `authenticatedAt`
   * is now, and the absolute timeout starts anew.
   *
   * Without, it is "renew now": the old secret goes on working until the new one
   * is first used and for `renewGrace` seconds after, so that requests under way
   * are not lost, and who else holds it is found out by its next use. It does
   * nothing while a renewal is under way already or is that fresh.
   *
   * @throws {TypeError} If nobody is signed in to be `reauthenticated`.
   * @throws {SessionError} With code `"committed"` or `"destroyed"`, if it is
   * too late.
   */
  regenerate(options: { readonly reauthenticated?: boolean } = {}): void {
    const { reauthenticated = false } = ownOptions(
      "regenerate session",
      options,
      ["reauthenticated"],
    );
    if (reauthenticated && this.#draft.principal === undefined) {
      throw new TypeError(
        "Cannot regenerate session: nobody is signed in who could be reauthenticated",
      );
    }
    this.#draft.renew(reauthenticated ? "reauthenticate" : "renew");
  }

  /**
   * Binds the session to a user and replaces its token, so that a cookie
   * planted or seen before is worth nothing after (session fixation, OWASP).
   * The absolute timeout starts anew.
   * Keeps data and lifetime of a visitor who was not signed in; drops those of
   * another user.
   *
   * @param principal The user, as the application names it: 1 to 256
   * characters.
   * @throws {TypeError} If `principal` has the wrong form.
   * @throws {SessionError} With code `"committed"` or `"destroyed"`, if it is
   * too late.
   */
  signIn(principal: string, options: SignInOptions = {}): void {
    checkPrincipal(principal);
    const { label, stillValid } = ownOptions("sign in", options, SIGN_IN_NAMES);
    if (stillValid !== undefined && typeof stillValid !== "function") {
      throw new TypeError(
        `Cannot sign in: stillValid must be a function: received ${typeof stillValid}`,
      );
    }
    if (label !== undefined && typeof label !== "string") {
      throw new TypeError(
        `Cannot sign in: label must be a string: received ${typeof label}`,
      );
    }
    // A label is often what a client calls itself, so no text of any kind fails.
    const shown = label?.slice(0, MAX_NAME_LENGTH).toWellFormed();
    this.#draft.signIn({
      principal,
      label: shown === "" ? undefined : shown,
      stillValid,
    });
  }

  /**
   * Gives this session a lifetime of its own, as for "remember me". What is
   * left out stays as it is.
   *
   * @throws {RangeError} If a timeout is out of range, as for `ManagerOptions`.
   * @throws {SessionError} With code `"committed"` or `"destroyed"`, if it is
   * too late.
   */
  lifetime(changes: Partial<Lifetime>): void {
    const given = Object.entries(
      ownOptions("change lifetime", changes, LIFETIME_NAMES),
    ).filter(([, value]) => value !== undefined);
    if (given.length > 0) this.#draft.setLifetime(Object.fromEntries(given));
  }

  /**
   * Ends the session for good, for whoever holds its cookie. Reads find nothing
   * from now on. It is carried out even when the handler fails after it. Safe to
   * repeat.
   *
   * @param options `clearSiteData` also makes the browser forget its cache, all
   * cookies and whatever scripts have stored for the site.
   * @throws {SessionError} With code `"committed"`, if it is too late.
   */
  destroy(options: { readonly clearSiteData?: boolean } = {}): void {
    const { clearSiteData = false } = ownOptions("destroy session", options, [
      "clearSiteData",
    ]);
    this.#draft.end(clearSiteData ? "session-and-site-data" : "session");
  }

  /**
   * The session's token for a client that keeps it itself, to be sent in the body
   * of the answer and shown as `Authorization: Bearer`. It opens the session once
   * this request is committed.
   *
   * In a request without a cookie that opens one it begins a session: call it
   * after `signIn`, or without. In a request of a bearer session it is a new token,
   * on the client's demand: the old one goes on working until the new one is first
   * used and for `renewGrace` seconds after; a client that still uses it later looks
   * like a thief. After `regenerate({ reauthenticated: true })` it has to be called,
   * and the old one opens nothing any more.
   *
   * @returns 60 characters of base64url. Keep them secret, and out of logs.
   * @throws {TypeError} If the manager's option `bearer` is not set, if the request
   * came with a session's cookie, or a second time in one request.
   * @throws {SessionError} With code `"conflict"`, if the client has used a newer
   * token already; `"committed"` or `"destroyed"`, if it is too late.
   */
  bearerToken(): string {
    return this.#draft.bearerToken();
  }

  /**
   * Drops what this request changed, as a handler that throws does: `set`,
   * `delete`, `signIn`, `regenerate`, `lifetime`, and a new session. `destroy` is
   * carried out, and an `update` of a stored session has been already.
   *
   * @throws {SessionError} With code `"committed"` or `"destroyed"`, if it is
   * too late.
   */
  discard(): void {
    this.#draft.discard();
  }

  /**
   * A value for a hidden field of a form, which shows that the form came from a
   * page of this session. Different in each response, valid until the user signs
   * in or proves again who they are. A new session is stored for it.
   *
   * @returns 86 characters of base64url.
   * @throws {SessionError} With code `"committed"` or `"destroyed"`, if it is
   * too late for a session that is not stored.
   */
  formToken(): string {
    const draft = this.#look();
    if (!draft.isStored) draft.checkChangeable("make form token");
    return makeFormToken(draft.formFamily());
  }

  /**
   * Checks what came back in the hidden field, in constant time.
   *
   * @param value The field's value, whatever it is.
   */
  checkFormToken(value: unknown): boolean {
    const draft = this.#look();
    const { opening } = draft;
    const hasCookie = opening.standing === "opened" || isShutOut(opening);
    return hasCookie && checkFormToken(draft.formFamily(), value);
  }

  /** What may be known of the session: never its data, never its token. */
  toJSON(): { id: string; isNew: boolean } {
    return { id: this.#draft.id, isNew: this.#draft.isNew };
  }

  /** `Session` and the id. */
  toString(): string {
    return `Session ${this.#draft.id}`;
  }

  /** @ignore The form that `console.log` prints on Node and Bun. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  /** @ignore The form that `console.log` prints on Deno. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }

  /** The draft, and the note that the answer will depend on it. */
  #look(): Draft {
    return this.#draft.look();
  }
}

const SIGN_IN_NAMES: readonly string[] = Object.keys(
  { label: 1, stillValid: 1 } satisfies Record<keyof SignInOptions, 1>,
);

const LIFETIME_NAMES: readonly string[] = Object.keys(
  {
    idleTimeout: 1,
    absoluteTimeout: 1,
    persistent: 1,
  } satisfies Record<keyof Lifetime, 1>,
);

function checkFreshness(seconds: number, most: number): void {
  if (typeof seconds !== "number" || Number.isNaN(seconds)) {
    throw new TypeError(
      `Cannot tell whether session is fresh: it takes a number of seconds: received ${
        typeof seconds === "number" ? seconds : typeof seconds
      }`,
    );
  }
  if (seconds <= most) return;
  throw new RangeError(
    `Cannot tell whether session is fresh: it takes seconds, at most the absolute timeout (${most}): received ${seconds}`,
  );
}

function checkKey<Key extends string>(key: Key): Key {
  if (typeof key === "string") return key;
  throw new TypeError(
    `Cannot set value: its key must be a string: received ${typeof key}`,
  );
}

function checkUpdate<Key extends string>(key: Key, change: unknown): Key {
  if (typeof key === "string" && typeof change === "function") return key;
  throw new TypeError(
    typeof key === "string"
      ? `Cannot update ${
        quote(key)
      }: it takes a function of the present value: received ${typeof change}`
      : `Cannot update value: its key must be a string: received ${typeof key}`,
  );
}

function checkPrincipal(principal: string): void {
  if (typeof principal !== "string" || principal === "") {
    throw new TypeError(
      `Cannot sign in: principal must be a string that is not empty: received ${
        principal === "" ? "an empty one" : typeof principal
      }`,
    );
  }
  if (!principal.isWellFormed()) {
    throw new TypeError(
      "Cannot sign in: principal must be well-formed Unicode: received one with a lone surrogate",
    );
  }
  if (principal.length > MAX_NAME_LENGTH) {
    throw new TypeError(
      `Cannot sign in: principal must not exceed ${MAX_NAME_LENGTH} characters: received ${principal.length}`,
    );
  }
}
