import { SessionError } from "./errors.ts";
import { checkLifetime, type Lifetime, type Settings } from "./options.ts";
import type {
  NewSessionRecord,
  SessionChange,
  SessionRecord,
} from "./provider.ts";
import type { Store } from "./store.ts";
import { hashSecret, idOf, mintSecret, mintToken, secretOf } from "./token.ts";
import {
  EMPTY_DATA,
  emptyObject,
  entrySize,
  put,
  quote,
  type StoredData,
  type StoredValue,
  takeIn,
  view,
} from "./value.ts";

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

/**
 * One session as one request sees it: the record that was read, and what the
 * request did since. Reads see both; the store sees only the second, when the
 * manager commits it.
 */
export class Draft {
  readonly host: Host;
  /** Whether no stored session stood behind the request. */
  readonly isNew: boolean;
  /** When the request began, in milliseconds since the Unix epoch. */
  readonly startedAt: number;
  /** Whether the request came with a cookie of this name, good or bad. */
  readonly hadCookie: boolean;

  /** No more changes but through `update`. */
  isCommitted = false;
  isDestroyed = false;
  /** Whether the commit replaces the token. */
  isRenewed = false;
  /** Who signed in during this request. */
  signedIn: string | undefined;
  /** When the store last heard of an access, as far as this request knows. */
  accessedAt: number;

  /** What the request read; stays as it is for the request's whole life. */
  #record: SessionRecord | undefined;
  #isStored: boolean;
  #token: string | undefined;
  /** The hash under which the store knows this request's secret. */
  #secretHash: string | undefined;
  /** The record as last known, if its version is. */
  #base: Base | undefined;

  /** Keys written and, as `undefined`, removed by this request. */
  #overlay: Map<string, StoredValue | undefined> | undefined;
  /** The keys of the overlay that the store has yet to hear of. */
  #dirty: Set<string> | undefined;
  #sizes: Map<string, number> | undefined;
  #label: string | null | undefined;
  #lifetime: Lifetime | undefined;

  constructor(
    host: Host,
    startedAt: number,
    hadCookie: boolean,
    opened?: { token: string; secretHash: string; record: SessionRecord },
  ) {
    this.host = host;
    this.startedAt = startedAt;
    this.hadCookie = hadCookie;
    this.isNew = opened === undefined;
    this.#isStored = opened !== undefined;
    this.#record = opened?.record;
    this.#base = opened?.record;
    this.#token = opened?.token;
    this.#secretHash = opened?.secretHash;
    this.accessedAt = opened?.record.accessedAt ?? startedAt;
  }

  get id(): string {
    return idOf(this.token);
  }

  /** The cookie's value; minted when it is first needed. */
  get token(): string {
    return this.#token ??= mintToken();
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
    return this.#record?.createdAt ?? this.startedAt;
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
      (this.#dirty !== undefined && this.#dirty.size > 0);
  }

  /** Whether a session that is not stored yet holds anything worth storing. */
  get isWorthStoring(): boolean {
    return this.signedIn !== undefined || this.keys().length > 0;
  }

  /** The deadline that an access at `now` leads to, in milliseconds. */
  deadline(now: number): number {
    const { idleTimeout, absoluteTimeout } = this.lifetime;
    return Math.min(
      now + idleTimeout * 1000,
      this.createdAt + absoluteTimeout * 1000,
    );
  }

  /** What is left of the absolute timeout, in whole seconds. */
  secondsLeft(now: number): number {
    const { absoluteTimeout } = this.lifetime;
    return Math.floor((this.createdAt - now) / 1000 + absoluteTimeout);
  }

  read(key: string): StoredValue | undefined {
    if (this.isDestroyed) return undefined;
    const overlay = this.#overlay;
    if (overlay !== undefined) {
      const value = overlay.get(key);
      if (value !== undefined || overlay.has(key)) return value;
    }
    return this.#record?.data[key];
  }

  keys(): string[] {
    if (this.isDestroyed) return [];
    const stored = Object.keys(this.#record?.data ?? EMPTY_DATA);
    if (this.#overlay === undefined) return stored;
    const keys = new Set(stored);
    for (const [key, value] of this.#overlay) {
      if (value === undefined) keys.delete(key);
      else keys.add(key);
    }
    return [...keys];
  }

  write(key: string, value: unknown): void {
    this.checkChangeable(`set ${quote(key)}`);
    const room = this.host.settings.maxSize - this.#sizeWithout(key);
    const intake = takeIn(key, value, room);
    this.#entrySizes().set(key, intake.size);
    this.#lay(key, intake.value);
  }

  remove(key: string): boolean {
    this.checkChangeable(`delete ${quote(key)}`);
    if (this.read(key) === undefined) return false;
    this.#sizes?.delete(key);
    this.#lay(key, undefined);
    return true;
  }

  clear(): void {
    this.checkChangeable("clear session");
    for (const key of this.keys()) this.remove(key);
  }

  renew(): void {
    this.checkChangeable("regenerate session");
    this.isRenewed = true;
  }

  signIn(principal: string, label: string | undefined): void {
    this.checkChangeable("sign in");
    const current = this.principal;
    // What one user left behind is none of the next one's business.
    if (current !== undefined && current !== principal) {
      this.clear();
      this.#lifetime = this.host.settings.lifetime;
    }
    this.signedIn = principal;
    this.#label = label ?? (current === principal ? this.#label : null);
    this.isRenewed = true;
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

  destroy(): void {
    if (this.isDestroyed) return;
    this.checkChangeable("destroy session");
    this.isDestroyed = true;
  }

  /** Refuses a change that could not reach the store any more. */
  checkChangeable(doing: string): void {
    if (this.isDestroyed) {
      throw new SessionError(
        "destroyed",
        `Cannot ${doing}: the session was destroyed in this request`,
      );
    }
    if (this.isCommitted) {
      throw new SessionError(
        "committed",
        `Cannot ${doing}: the session is already committed: use session.update() instead`,
      );
    }
  }

  /** The record that the commit of a new session creates. */
  newRecord(now: number): NewSessionRecord {
    const data = emptyObject();
    for (const key of this.#dirty ?? []) {
      const value = this.#overlay?.get(key);
      if (value !== undefined) put(data, key, value);
    }
    return Object.freeze({
      data: Object.freeze(data),
      secretHash: hashSecret(secretOf(this.token)),
      principal: this.principal,
      label: this.label,
      createdAt: this.startedAt,
      accessedAt: now,
      expiresAt: this.deadline(now),
      ...this.lifetime,
    });
  }

  /** What the commit of a stored session tells the store. */
  change(now: number, secret: string | undefined): SessionChange {
    const set = emptyObject();
    const removed: string[] = [];
    for (const key of this.#dirty ?? []) {
      const value = this.#overlay?.get(key);
      if (value === undefined) removed.push(key);
      else put(set, key, value);
    }
    return {
      set: Object.freeze(set),
      delete: removed,
      ...(secret === undefined ? {} : {
        secretHash: hashSecret(secret),
        previous: null,
      }),
      ...(this.signedIn === undefined ? {} : {
        principal: this.signedIn,
        label: this.#label,
      }),
      ...this.#lifetime,
      expiresAt: this.deadline(now),
    };
  }

  /** The hash that the request's own writes are guarded with. */
  get secretHash(): string {
    if (this.#secretHash === undefined) {
      this.#secretHash = hashSecret(secretOf(this.token));
    }
    return this.#secretHash;
  }

  /** A new secret for the token, to be taken over once it is stored. */
  mintSecret(): string {
    return mintSecret();
  }

  /** The commit has been stored; `secret` is the new one, if it was replaced. */
  stored(now: number, secret: string | undefined): void {
    if (secret !== undefined) {
      this.#token = this.id + secret;
      this.#secretHash = undefined;
    }
    this.#isStored = true;
    this.#base = undefined;
    this.#dirty = undefined;
    this.accessedAt = now;
  }

  /**
   * Turns to a new session that holds only what this request did. For a sign-in
   * whose old session ended meanwhile: the user has proven who they are, and
   * nothing of the old session may come along.
   */
  startOver(): void {
    this.#record = undefined;
    this.#base = undefined;
    this.#token = undefined;
    this.#secretHash = undefined;
    this.#isStored = false;
  }

  /** The record as last known, to work an atomic update out from. */
  get base(): Base | undefined {
    return this.#base;
  }

  /** What this request has written under a key and not committed yet. */
  pending(
    key: string,
  ): { readonly value: StoredValue | undefined } | undefined {
    const isPending = this.#dirty?.has(key) ?? false;
    return isPending ? { value: this.#overlay?.get(key) } : undefined;
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
    this.#lay(key, value);
    this.#dirty?.delete(key);
    this.#sizes = undefined;
    this.accessedAt = now;
  }

  /** Another request has written: what is known is out of date. */
  outdated(): void {
    this.#base = undefined;
  }

  #lay(key: string, value: StoredValue | undefined): void {
    this.#overlay ??= new Map();
    this.#dirty ??= new Set();
    this.#overlay.set(key, value);
    this.#dirty.add(key);
  }

  /** The size of each entry, measured when the first one is written. */
  #entrySizes(): Map<string, number> {
    if (this.#sizes !== undefined) return this.#sizes;
    this.#sizes = new Map();
    for (const key of this.keys()) {
      this.#sizes.set(key, entrySize(key, this.read(key) as StoredValue));
    }
    return this.#sizes;
  }

  #sizeWithout(key: string): number {
    let size = 0;
    for (const [other, bytes] of this.#entrySizes()) {
      if (other !== key) size += bytes;
    }
    return size;
  }
}

/** The form of a value, or of none, that a handler may see. */
export function viewed(
  value: StoredValue | undefined,
): StoredValue | undefined {
  return value === undefined ? undefined : view(value);
}
