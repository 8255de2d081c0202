/** One session as one request sees it: what was read, and what was done since. */
import type { Arrival } from "../carriage/arrival.ts";
import { RequestDevice } from "../device/request_device.ts";
import { SessionError } from "../errors.ts";
import type { RefusalReason } from "../events.ts";
import { checkLifetime, type Lifetime } from "../options.ts";
import type { SessionRecord, TokenState } from "../provider.ts";
import {
  type Audience,
  type Carrier,
  familyOf,
  hashFamily,
  hashSecret,
  mintId,
  mintSecret,
  mintSibling,
  ownText,
} from "../secret/token.ts";
import { absoluteExpiryOf, expiryOf, tokenStateOf } from "../store/record.ts";
import { quote } from "../value/intake.ts";
import {
  EMPTY_DATA,
  emptyObject,
  put,
  type StoredData,
  type StoredValue,
} from "../value/types.ts";
import { ownOf } from "../option_names.ts";
import { ChangeSet } from "./change_set.ts";
import type { Context } from "./context.ts";
import { isShutOut, type Opening } from "./opening.ts";
import type { Case, Intent, SignIn, Standing } from "./plan.ts";

/** The part of a stored record that an atomic update works from. */
export interface Base {
  readonly data: StoredData;
  readonly version: number;
}

/** What a handler that asks for nothing asks for. */
const NO_INTENT: Intent = Object.freeze({
  ending: undefined,
  signIn: undefined,
  token: "keep",
  lifetime: undefined,
  hasForm: false,
  handedOut: undefined,
  isProofAsked: false,
  isDiscarded: false,
});

/**
 * Who may change what: the methods under "The handler" replace the intent and
 * the values, until the commit; those under "The store" are called when the store
 * has answered, by carrying out and by atomic updates. Nothing else changes.
 */
export class Draft implements Case {
  readonly context: Context;
  readonly arrival: Arrival;
  readonly opening: Opening;
  /** Where sessions are bound to devices, what the request is to them. */
  readonly device: RequestDevice | undefined;

  /** What the request read; stays as it is until another session is begun. */
  #snapshot: SessionRecord | undefined;
  /** The record as it was last read: whose secrets and times are current. */
  #latest: SessionRecord | undefined;
  /** The data as last known, if its version is. */
  #base: Base | undefined;
  /** Made when the request first writes: most requests only read. */
  #values: ChangeSet | undefined;
  /** What was made of values whose keys have a schema. */
  #readings: Map<string, { stored: StoredValue; value: Read }> | undefined;
  #intent: Intent = NO_INTENT;
  #key: string | undefined;
  #id: string | undefined;
  #secret: string | undefined;
  #secretHash: string | undefined;
  #family: string | undefined;
  /** The secret that a sign-in puts in the place of the token's. */
  #nextSecret: string | undefined;
  #isStored: boolean;
  #isCommitted = false;
  #isLookedInto = false;
  #accessedAt: number;
  /** What was begun and has not come to an end. */
  #underWay: Set<Promise<unknown>> | undefined;

  constructor(context: Context, arrival: Arrival, opening: Opening) {
    this.context = context;
    this.arrival = arrival;
    this.opening = opening;
    this.device = RequestDevice.of(context.settings, arrival, opening);
    this.#isStored = opening.standing === "opened";
    this.#accessedAt = arrival.at;
    if (opening.standing !== "opened") return;
    const { token, record, secretHash, family } = opening;
    this.#snapshot = record;
    this.#latest = record;
    this.#base = record;
    this.#key = token.id;
    this.#secret = token.secret;
    this.#secretHash = secretHash;
    this.#family = family;
    this.#accessedAt = record.accessedAt;
  }

  // What is known

  /** What the session is filed under, for calls of the store. */
  get key(): string {
    return this.#key ??= mintId();
  }

  /** The same for everybody else: no slice of the header that it came in. */
  get id(): string {
    return this.#id ??= this.opening.standing === "opened"
      ? ownText(this.key)
      : this.key;
  }

  /** Whether no stored session stood behind the request. */
  get isNew(): boolean {
    return this.opening.standing !== "opened";
  }

  get refusal(): RefusalReason | undefined {
    return this.opening.standing === "opened"
      ? undefined
      : this.opening.refusal;
  }

  get isStored(): boolean {
    return this.#isStored;
  }

  get isCommitted(): boolean {
    return this.#isCommitted;
  }

  get isEnding(): boolean {
    return this.#intent.ending !== undefined;
  }

  /** Whether a device's key is registered for the session. */
  get isDeviceBound(): boolean {
    return this.#isStored && !this.isEnding &&
      this.device?.isRegistered === true;
  }

  /** When the device gave the proof that the request's cookie was made for. */
  get provedAt(): number | undefined {
    return this.isDeviceBound ? this.device?.provedAt : undefined;
  }

  /** Whether the handler looked into the session, so that its answer depends on it. */
  get isLookedInto(): boolean {
    return this.#isLookedInto;
  }

  /** The secret that the request came with, or that its session was given. */
  get secret(): string {
    return this.#secret ??= mintSecret();
  }

  /** What is stored of the secret that the request came with. */
  get ownHash(): string | undefined {
    return this.#secretHash;
  }

  /** What is stored of its family: the guard of all that the request does. */
  get family(): string {
    return this.#family ??= this.familyHash(this.secret);
  }

  /** How the client shows its token, or will show the one that it is handed. */
  get carrier(): Carrier {
    return this.#intent.handedOut === undefined
      ? this.arrival.carrier
      : "bearer";
  }

  /** Where its token is good. */
  get #audience(): Audience {
    return this.#intent.handedOut === undefined
      ? this.arrival.audience
      : this.arrival.cookie.audiences.bearer;
  }

  /** What is stored of a secret, as this session's client shows it. */
  secretHash(secret: string): string {
    return hashSecret(secret, this.#audience);
  }

  /** What is stored of its family. */
  familyHash(secret: string): string {
    return hashFamily(secret, this.#audience);
  }

  /** The secret of a sign-in: minted once, because forms may depend on it. */
  get nextSecret(): string {
    return this.#nextSecret ??= mintSecret();
  }

  get principal(): string | undefined {
    if (this.isEnding) return undefined;
    return this.#intent.signIn?.principal ?? this.#snapshot?.principal;
  }

  get label(): string | undefined {
    if (this.isEnding) return undefined;
    const label = this.#intent.signIn?.label;
    return label === undefined ? this.#snapshot?.label : label ?? undefined;
  }

  get createdAt(): number {
    return this.#snapshot?.createdAt ?? this.arrival.at;
  }

  get authenticatedAt(): number | undefined {
    if (this.isEnding) return undefined;
    const { signIn, token } = this.#intent;
    return signIn !== undefined || token === "reauthenticate"
      ? this.arrival.at
      : this.#snapshot?.authenticatedAt;
  }

  /** When the session ends unless another request comes. */
  get expiresAt(): number {
    const { createdAt, authenticatedAt } = this;
    const accessedAt = this.isUse
      ? Math.max(this.#accessedAt, this.arrival.at)
      : this.#accessedAt;
    return expiryOf({
      ...this.lifetime,
      accessedAt,
      createdAt,
      authenticatedAt,
    });
  }

  /** How long a session lives that begins on this host. */
  get #lifetimeOfNew(): Lifetime {
    const { persistent } = this.arrival.cookie;
    return { ...this.context.settings.lifetime, persistent };
  }

  get lifetime(): Lifetime {
    const { idleTimeout, absoluteTimeout, persistent } = this.#snapshot ??
      this.#lifetimeOfNew;
    const given = this.#intent.lifetime;
    return {
      idleTimeout: given?.idleTimeout ?? idleTimeout,
      absoluteTimeout: given?.absoluteTimeout ?? absoluteTimeout,
      persistent: given?.persistent ?? persistent,
    };
  }

  read(key: string): StoredValue | undefined {
    if (this.isEnding) return undefined;
    const value = this.#values === undefined
      ? this.#snapshot?.data[key]
      : this.#values.read(key);
    return this.fitting(key, value);
  }

  keys(): string[] {
    if (this.isEnding) return [];
    const keys = this.values.keys();
    return this.context.settings.schemas === undefined
      ? keys
      : keys.filter((key) => this.read(key) !== undefined);
  }

  /** What a handler may read of a value, where the key has a schema. */
  fitting(
    key: string,
    value: StoredValue | undefined,
  ): StoredValue | undefined {
    const { schemas } = this.context.settings;
    if (value === undefined || !schemas?.has(key)) return value;
    const known = this.#readings?.get(key);
    if (known?.stored === value) return known.value;
    const reading = schemas.read(key, value);
    this.#readings ??= new Map();
    this.#readings.set(key, { stored: value, value: reading.value });
    if (!reading.fits) {
      const isMigrated = reading.value !== undefined;
      this.context.tell({
        type: "value-refused",
        id: this.id,
        key,
        isMigrated,
      });
    }
    return reading.value;
  }

  /** What the request did to its values, if it did anything. */
  get touchedValues(): ChangeSet | undefined {
    return this.#values;
  }

  get values(): ChangeSet {
    return this.#values ??= new ChangeSet(
      this.#snapshot?.data ?? EMPTY_DATA,
      this.context.settings.maxSize,
    );
  }

  // What deciding looks at, see `plan.ts`

  get standing(): Standing {
    return this.opening.standing;
  }

  get intent(): Intent {
    return this.#intent;
  }

  get hasValues(): boolean {
    return this.#values !== undefined && this.#values.keys().length > 0;
  }

  get hasPendingKeys(): boolean {
    return this.#values?.isChanged === true;
  }

  get hasNewFingerprint(): boolean {
    const before = this.#latest?.fingerprint;
    const { fingerprint } = this.arrival;
    return before !== undefined && fingerprint !== undefined &&
      before !== fingerprint;
  }

  get isProven(): boolean {
    return this.device?.isProven === true;
  }

  get isDeviceNew(): boolean {
    return this.device?.isNew === true;
  }

  get isUse(): boolean {
    return this.arrival.isUse;
  }

  get arrivedAt(): number {
    return this.arrival.at;
  }

  get record(): SessionRecord | undefined {
    return this.#latest;
  }

  /** The token as it was last read. */
  get tokenState(): TokenState {
    return tokenStateOf(this.#latest as SessionRecord);
  }

  get own(): "current" | "previous" | "neither" {
    if (this.#latest?.secretHash === this.#secretHash) return "current";
    const previous = this.#latest?.previous?.secretHash;
    return previous !== undefined && previous === this.#secretHash
      ? "previous"
      : "neither";
  }

  /** Whether the request's secret is current, or its successor was never used. */
  get isRenewable(): boolean {
    const { own } = this;
    return own === "current" ||
      (own === "previous" && this.tokenState.until === "confirmed");
  }

  get accessedAt(): number {
    return this.#accessedAt;
  }

  // The handler

  /** Notes that the answer will depend on the session. */
  look(): this {
    this.#isLookedInto = true;
    return this;
  }

  write(key: string, value: unknown): void {
    this.checkChangeable("set", key);
    this.context.settings.schemas?.check(key, value);
    this.values.write(key, value);
  }

  remove(key: string): boolean {
    this.checkChangeable("delete", key);
    return this.values.remove(key);
  }

  clear(): void {
    this.checkChangeable("clear session");
    this.values.clear();
  }

  renew(token: "renew" | "reauthenticate"): void {
    this.checkChangeable("regenerate session");
    this.#checkNotHandedOut("regenerate session");
    if (this.#intent.token === "reauthenticate") return;
    this.#intent = { ...this.#intent, token };
  }

  signIn({ principal, label, stillValid }: SignIn): void {
    this.checkChangeable("sign in");
    if (this.isStored) this.#checkNotHandedOut("sign in");
    const { principal: before } = this;
    const isSame = before === principal;
    if (!isSame && before !== undefined && this.arrival.carrier === "bearer") {
      throw new TypeError(
        "Cannot sign in: the bearer session is another user's: begin one in a request without its token",
      );
    }
    let { lifetime } = this.#intent;
    // What one user left behind is none of the next one's business.
    if (before !== undefined && !isSame) {
      this.clear();
      lifetime = this.#lifetimeOfNew;
    }
    const former = isSame ? this.#intent.signIn?.label : null;
    const again = isSame ? this.#intent.signIn : undefined;
    const signIn = {
      principal,
      label: label ?? former,
      stillValid: stillValid ?? again?.stillValid,
    };
    this.#intent = { ...this.#intent, signIn, lifetime };
  }

  setLifetime(given: Partial<Lifetime>): void {
    this.checkChangeable("change lifetime");
    const lifetime = ownOf({ ...this.#intent.lifetime, ...ownOf(given) });
    checkLifetime("change lifetime", { ...this.lifetime, ...lifetime });
    this.#intent = { ...this.#intent, lifetime };
  }

  end(ending: "session" | "session-and-site-data"): void {
    if (!this.isEnding) this.checkChangeable("destroy session");
    if (this.#intent.ending === "session-and-site-data") return;
    this.#intent = { ...this.#intent, ending };
  }

  /** @returns Whether there is a proof to be asked for. */
  askForProof(): boolean {
    this.checkChangeable("ask for proof");
    if (this.device?.hasCookie !== true) return false;
    this.#intent = { ...this.#intent, isProofAsked: true };
    return true;
  }

  discard(): void {
    this.checkChangeable("discard changes");
    this.#intent = { ...this.#intent, isDiscarded: true };
  }

  /**
   * The token for a client that keeps it itself: of the session that begins, of a
   * sign-in or proof of identity, or a new one for the one that it came with.
   */
  bearerToken(): string {
    this.checkChangeable("hand out bearer token");
    if (!this.context.settings.bearer) {
      throw new TypeError(
        "Cannot hand out bearer token: the manager's option bearer is not true",
      );
    }
    this.#checkNotHandedOut("hand out bearer token");
    const { arrival, opening, isStored } = this;
    if (arrival.carrier === "cookie" && opening.standing !== "visitor") {
      throw new TypeError(
        "Cannot hand out bearer token: the request came with a session's cookie: begin one in a request without",
      );
    }
    const handedOut = isStored ? this.#renewedSecret() : this.secret;
    // What was worked out so far is of a session with a cookie.
    if (!isStored) this.#family = undefined;
    this.#intent = { ...this.#intent, handedOut };
    return this.key + handedOut;
  }

  /** The secret that takes the place of the one that the request came with. */
  #renewedSecret(): string {
    const { signIn, token } = this.#intent;
    if (signIn !== undefined || token === "reauthenticate") {
      return this.nextSecret;
    }
    if (!this.isRenewable) {
      throw new SessionError(
        "conflict",
        "Cannot hand out bearer token: the client has used a newer one already",
        { id: this.id },
      );
    }
    return mintSibling(this.secret, this.tokenState.secretHash);
  }

  /** What form tokens are derived from; a new session is stored for it. */
  formFamily(): string {
    const { opening } = this;
    const { signIn, token } = this.#intent;
    if (isShutOut(opening) && signIn === undefined) {
      return familyOf(opening.token.secret);
    }
    if (!this.#intent.hasForm) {
      this.#intent = { ...this.#intent, hasForm: true };
    }
    const isReplaced = this.#isStored && !this.#isCommitted &&
      (signIn !== undefined || token === "reauthenticate");
    return familyOf(isReplaced ? this.nextSecret : this.secret);
  }

  #checkNotHandedOut(doing: string): void {
    if (this.#intent.handedOut === undefined) return;
    throw new TypeError(
      `Cannot ${doing}: the request's bearer token was handed out already`,
    );
  }

  /** Refuses a change that could not reach the store any more. */
  checkChangeable(doing: string, key?: string): void {
    if (!this.isEnding && !this.#isCommitted) return;
    const what = key === undefined ? doing : `${doing} ${quote(key)}`;
    throw this.isEnding
      ? new SessionError(
        "destroyed",
        `Cannot ${what}: the session was destroyed in this request`,
        { id: this.id },
      )
      : new SessionError(
        "committed",
        key === undefined
          ? `Cannot ${what}: the session is already committed: do it before, or in the next request`
          : `Cannot ${what}: the session is already committed: use session.update() instead`,
        { id: this.id },
      );
  }

  /** Seconds that the browser keeps the cookie; `undefined` for until it closes. */
  maxAge(now: number, authenticatedAt: number | undefined): number | undefined {
    const { absoluteTimeout, idleTimeout, persistent } = this.lifetime;
    if (!persistent) return undefined;
    const end = absoluteExpiryOf({
      createdAt: this.createdAt,
      authenticatedAt,
      accessedAt: now,
      idleTimeout,
      absoluteTimeout,
    });
    return Math.floor((end - now) / 1000);
  }

  // The store

  /** No more changes but through `update`. */
  close(): void {
    this.#isCommitted = true;
  }

  /** The commit has been stored; `secret` is the new one, if it was replaced. */
  stored(now: number, secret?: string): void {
    if (secret !== undefined) {
      this.#secret = secret;
      this.#secretHash = undefined;
      this.#family = this.familyHash(secret);
    }
    this.#isStored = true;
    this.device?.stored();
    this.#base = undefined;
    this.#values?.settleAll();
    if (this.isUse) this.touched(now);
  }

  /**
   * Turns to a new session that holds only what this request did. For a sign-in
   * whose old session ended: the user has proven who they are, and nothing of the
   * old session may come along.
   */
  startOver(): void {
    this.values.forgetStored();
    this.#snapshot = undefined;
    this.#base = undefined;
    this.#latest = undefined;
    this.#key = mintId();
    this.#id = this.#key;
    // A form of this request was made from the next secret already.
    this.#secret = this.nextSecret;
    this.#secretHash = undefined;
    this.#family = undefined;
    this.device?.forgetOffer();
    this.#isStored = false;
  }

  /** The store has heard of an access. */
  touched(now: number): void {
    this.#accessedAt = Math.max(this.#accessedAt, now);
  }

  /** The data as last known, to work an atomic update out from. */
  get base(): Base | undefined {
    return this.#base;
  }

  /** The record was read again, because another request has written. */
  reread(record: SessionRecord): void {
    this.#base = record;
    this.#latest = record;
  }

  /** One key was updated in the store, which holds `base` since then. */
  updated(base: Base, now: number): void {
    this.#base = base;
    if (this.isUse) this.touched(now);
  }

  /** Another request has written: what is known is out of date. */
  outdated(): void {
    this.#base = undefined;
  }

  /**
   * Keeps a promise until it is settled, so that the commit can wait for it, and
   * so that one which nobody looks at never ends the process.
   */
  track<T>(promise: Promise<T>): Promise<T> {
    const underWay = this.#underWay ??= new Set();
    underWay.add(promise);
    const forget = () => underWay.delete(promise);
    promise.then(forget, forget);
    return promise;
  }

  /** Whether anything tracked is under way. */
  get isBusy(): boolean {
    return this.#underWay !== undefined && this.#underWay.size > 0;
  }

  /** Waits for all that is tracked, and for what is begun meanwhile. */
  async settled(): Promise<void> {
    while (this.isBusy) await Promise.allSettled([...this.#underWay ?? []]);
  }
}

/** The data before and after one key changed. */
export function baseAfter(
  base: Base,
  key: string,
  value: StoredValue | undefined,
): Base {
  const data = Object.assign(emptyObject(), base.data);
  if (value === undefined) delete data[key];
  else put(data, key, value);
  return { data: Object.freeze(data), version: base.version + 1 };
}

type Read = StoredValue | undefined;
