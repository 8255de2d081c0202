import { ChangeSet } from "./change_set.ts";
import { SessionError } from "../errors.ts";
import { checkLifetime, type Lifetime, type Settings } from "../options.ts";
import type {
  NewSessionRecord,
  SessionChange,
  SessionRecord,
} from "../provider.ts";
import type { Store } from "../store/store.ts";
import {
  familyOf,
  hashSecret,
  mintId,
  mintSecret,
  type Token,
} from "../secret/token.ts";
import { quote } from "../value/intake.ts";
import {
  EMPTY_DATA,
  emptyObject,
  put,
  type StoredData,
  type StoredValue,
} from "../value/types.ts";

/** What all sessions of one manager share. */
export interface Host {
  readonly settings: Settings;
  readonly store: Store;
}

/** The part of a stored record that an atomic update works from. */
export interface Base {
  readonly data: StoredData;
  readonly version: number;
}

/** How a request came by a stored session. */
export interface Opened {
  readonly token: Token;
  readonly record: SessionRecord;
  /** The record's hash of the secret in the token. */
  readonly secretHash: string;
}

/** What a request is, beside the session that it opens. */
export interface Arrival {
  /** When it arrived, in milliseconds since the Unix epoch. */
  readonly at: number;
  /** Whether it came with a cookie of the session's name, good or bad. */
  readonly hadCookie: boolean;
  /** What its client looks like, if the manager asks for it. */
  readonly fingerprint: string | undefined;
}

/**
 * One session as one request sees it: the record that was read, and what the
 * request did since. Reads see both; the store sees only the second, when the
 * manager commits it.
 */
export class Draft {
  readonly host: Host;
  readonly arrival: Arrival;
  /** Whether no stored session stood behind the request. */
  readonly isNew: boolean;

  /** No more changes but through `update`. */
  isCommitted = false;
  isDestroyed = false;
  /** Whether the response also tells the browser to forget what it has stored. */
  isSiteDataCleared = false;
  /**
   * The token that the request came with, if it was superseded a moment ago. A
   * session of its own would take the place of what the browser got meanwhile.
   */
  superseded: Token | undefined;
  /** Whether the commit replaces the token. */
  isRenewed = false;
  /** Whether another user signed in: what they do goes into another session. */
  isSwitched = false;
  /** The id of the session that this one was begun in place of. */
  formerId: string | undefined;
  /** Who signed in during this request. */
  signedIn: string | undefined;
  /** When the store last heard of an access, as far as this request knows. */
  accessedAt: number;

  /** What the request read; stays as it is for the request's whole life. */
  #record: SessionRecord | undefined;
  /** Made when the request first writes: most requests only read. */
  #values: ChangeSet | undefined;
  #isStored: boolean;
  #id: string | undefined;
  #secret: string | undefined;
  /** The hash under which the store knows this request's secret. */
  #secretHash: string | undefined;
  /** The hash of the secret that took its place, as far as the store is concerned. */
  #followedHash: string | undefined;
  /** The secret that takes the place of the token's. */
  #nextSecret: string | undefined;
  /** The record as last known, if its version is. */
  #base: Base | undefined;
  /** The record as it was last read: whose secrets and times are current. */
  #latest: SessionRecord | undefined;
  #label: string | null | undefined;
  #lifetime: Lifetime | undefined;
  #isAuthenticated = false;
  #hasForm = false;

  constructor(host: Host, arrival: Arrival, opened?: Opened) {
    this.host = host;
    this.arrival = arrival;
    this.isNew = opened === undefined;
    this.#isStored = opened !== undefined;
    this.#record = opened?.record;
    this.#base = opened?.record;
    this.#latest = opened?.record;
    this.#id = opened?.token.id;
    this.#secret = opened?.token.secret;
    this.#secretHash = opened?.secretHash;
    this.accessedAt = opened?.record.accessedAt ?? arrival.at;
  }

  /** Minted when it is first needed, as the secret is. */
  get id(): string {
    return this.#id ??= mintId();
  }

  /** The secret that the request came with, or that the commit hands out. */
  get secret(): string {
    return this.#secret ??= mintSecret();
  }

  /** The cookie's value. */
  get token(): string {
    return this.id + this.secret;
  }

  get isStored(): boolean {
    return this.#isStored;
  }

  get principal(): string | undefined {
    if (this.isDestroyed) return undefined;
    return this.signedIn ?? this.#record?.principal;
  }

  get label(): string | undefined {
    if (this.isDestroyed) return undefined;
    if (this.#label !== undefined) return this.#label ?? undefined;
    return this.#record?.label;
  }

  get createdAt(): number {
    return this.#record?.createdAt ?? this.arrival.at;
  }

  get authenticatedAt(): number | undefined {
    if (this.isDestroyed) return undefined;
    if (this.#isAuthenticated) return this.arrival.at;
    return this.#record?.authenticatedAt;
  }

  /** What form tokens are derived from; a new session is stored for it. */
  formFamily(): string {
    if (this.superseded !== undefined && this.signedIn === undefined) {
      return familyOf(this.superseded.secret);
    }
    this.#hasForm = true;
    return familyOf(
      this.isRenewed && this.#isStored ? this.nextSecret : this.secret,
    );
  }

  get lifetime(): Lifetime {
    return this.#lifetime ?? this.#record ?? this.host.settings.lifetime;
  }

  get isLifetimeChanged(): boolean {
    return this.#lifetime !== undefined;
  }

  /** Whether the store has anything to hear but the time of the access. */
  get isChanged(): boolean {
    return this.isRenewed || this.#lifetime !== undefined ||
      this.#values?.isChanged === true;
  }

  /** Whether a session that is not stored yet holds anything worth storing. */
  get isWorthStoring(): boolean {
    return this.signedIn !== undefined || this.#hasForm ||
      (this.#values !== undefined && this.keys().length > 0);
  }

  /** The deadline that an access at `now` leads to, in milliseconds. */
  deadline(now: number): number {
    return Math.min(
      now + this.lifetime.idleTimeout * 1000,
      this.#absoluteDeadline,
    );
  }

  /** What is left of the absolute timeout, in whole seconds. */
  secondsLeft(now: number): number {
    return Math.floor((this.#absoluteDeadline - now) / 1000);
  }

  get #absoluteDeadline(): number {
    const { absoluteTimeout } = this.lifetime;
    return (this.authenticatedAt ?? this.createdAt) + absoluteTimeout * 1000;
  }

  get values(): ChangeSet {
    return this.#values ??= new ChangeSet(
      this.#record?.data ?? EMPTY_DATA,
      this.host.settings.maxSize,
    );
  }

  read(key: string): StoredValue | undefined {
    if (this.isDestroyed) return undefined;
    return this.#values === undefined
      ? this.#record?.data[key]
      : this.#values.read(key);
  }

  keys(): string[] {
    return this.isDestroyed ? [] : this.values.keys();
  }

  write(key: string, value: unknown): void {
    this.checkChangeable("set", key);
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

  renew(isAuthenticated: boolean): void {
    this.checkChangeable("regenerate session");
    this.isRenewed = true;
    if (isAuthenticated) this.#isAuthenticated = true;
  }

  signIn(principal: string, label: string | undefined): void {
    this.checkChangeable("sign in");
    const current = this.principal;
    // What one user left behind is none of the next one's business.
    if (current !== undefined && current !== principal) {
      this.clear();
      this.#lifetime = this.host.settings.lifetime;
      this.isSwitched = this.#isStored;
    }
    this.signedIn = principal;
    this.#label = label ?? (current === principal ? this.#label : null);
    this.isRenewed = true;
    this.#isAuthenticated = true;
  }

  live(changes: Partial<Lifetime>): void {
    this.checkChangeable("change lifetime");
    const { idleTimeout, absoluteTimeout, persistent } = this.lifetime;
    const lifetime = {
      idleTimeout: changes.idleTimeout ?? idleTimeout,
      absoluteTimeout: changes.absoluteTimeout ?? absoluteTimeout,
      persistent: changes.persistent ?? persistent,
    };
    checkLifetime("change lifetime", lifetime);
    this.#lifetime = lifetime;
  }

  destroy(isSiteDataCleared: boolean): void {
    if (!this.isDestroyed) this.checkChangeable("destroy session");
    this.isDestroyed = true;
    if (isSiteDataCleared) this.isSiteDataCleared = true;
  }

  /** Refuses a change that could not reach the store any more. */
  checkChangeable(doing: string, key?: string): void {
    if (!this.isDestroyed && !this.isCommitted) return;
    const what = key === undefined ? doing : `${doing} ${quote(key)}`;
    throw this.isDestroyed
      ? new SessionError(
        "destroyed",
        `Cannot ${what}: the session was destroyed in this request`,
      )
      : new SessionError(
        "committed",
        `Cannot ${what}: the session is already committed: use session.update() instead`,
      );
  }

  /** The record that the commit of a new session creates. */
  newRecord(now: number): NewSessionRecord {
    const { idleTimeout, absoluteTimeout, persistent } = this.lifetime;
    return Object.freeze({
      data: this.values.toSet(),
      secretHash: this.secretHash,
      renewedAt: now,
      principal: this.principal,
      label: this.label,
      authenticatedAt: this.#isAuthenticated ? now : undefined,
      fingerprint: this.arrival.fingerprint,
      createdAt: this.createdAt,
      accessedAt: now,
      expiresAt: this.deadline(now),
      idleTimeout,
      absoluteTimeout,
      persistent,
    });
  }

  /** What the commit of a stored session tells the store. */
  change(now: number): SessionChange {
    const change = {
      set: this.values.toSet(),
      delete: this.values.toDelete(),
      expiresAt: this.deadline(now),
    };
    // Nothing else most of the time, and spreading takes its time.
    if (!this.isRenewed && !this.isLifetimeChanged) return change;
    return {
      ...change,
      ...(this.isRenewed ? this.#renewal(now) : {}),
      ...(this.signedIn === undefined ? {} : {
        principal: this.signedIn,
        label: this.#label,
      }),
      ...this.#lifetime,
    };
  }

  /** A new secret of a new family; the old one is dead, but remembered. */
  #renewal(now: number): Partial<SessionChange> {
    const { fingerprint } = this.arrival;
    return {
      secretHash: hashSecret(this.nextSecret),
      previous: { secretHash: this.secretHash, expiresAt: now },
      renewedAt: now,
      ...(this.#isAuthenticated ? { authenticatedAt: now } : {}),
      ...(fingerprint === undefined ? {} : { fingerprint }),
    };
  }

  /** The record as it was last read, if the request came with a session. */
  get latest(): SessionRecord | undefined {
    return this.#latest;
  }

  /** Whether the request's secret was the current one when last looked at. */
  get isCurrent(): boolean {
    return this.#latest?.secretHash === this.secretHash;
  }

  /** The record was read again, because another request has written. */
  reread(record: SessionRecord): void {
    this.#base = record;
    this.#latest = record;
  }

  /** The secret was renewed meanwhile: writes go on under the new one. */
  follow(record: SessionRecord): void {
    this.#followedHash = record.secretHash;
    this.reread(record);
  }

  /** The hash that the request's own writes are guarded with. */
  get guardHash(): string {
    return this.#followedHash ?? this.secretHash;
  }

  /** The hash of the secret in the request's token. */
  get secretHash(): string {
    return this.#secretHash ??= hashSecret(this.secret);
  }

  /** The secret that the commit puts in the place of the token's. */
  get nextSecret(): string {
    return this.#nextSecret ??= mintSecret();
  }

  /** The commit has been stored; `secret` is the new one, if it was replaced. */
  stored(now: number, secret: string | undefined): void {
    if (secret !== undefined) {
      this.#secret = secret;
      this.#secretHash = undefined;
      this.#followedHash = undefined;
    }
    this.#isStored = true;
    this.isRenewed = false;
    this.#base = undefined;
    this.#values?.settleAll();
    this.accessedAt = now;
  }

  /**
   * Turns to a new session that holds only what this request did. For a sign-in
   * whose old session ended meanwhile: the user has proven who they are, and
   * nothing of the old session may come along.
   */
  startOver(): void {
    this.formerId = this.id;
    this.values.forgetStored();
    this.#record = undefined;
    this.#base = undefined;
    this.#latest = undefined;
    // A form token of this request was made from the next secret already.
    this.#id = mintId();
    this.#secret = this.nextSecret;
    this.#secretHash = undefined;
    this.#followedHash = undefined;
    this.#isStored = false;
    this.isSwitched = false;
  }

  /** The record as last known, to work an atomic update out from. */
  get base(): Base | undefined {
    return this.#base;
  }

  /** One key was updated in the store, from a base that it had just then. */
  updated(
    key: string,
    value: StoredValue | undefined,
    base: Base,
    now: number,
  ): void {
    const data = Object.assign(emptyObject(), base.data);
    if (value === undefined) delete data[key];
    else put(data, key, value);
    this.#base = { data: Object.freeze(data), version: base.version + 1 };
    this.values.settle(key, value);
    this.accessedAt = now;
  }

  /** Another request has written: what is known is out of date. */
  outdated(): void {
    this.#base = undefined;
  }
}
