/**
 * Encrypts what any provider stores, so that whoever reads the database cannot
 * read the sessions in it: AES-256-GCM, each value by itself, bound to its session
 * and to its key.
 *
 * @example Nothing that the handler stored is in the file
 * ```ts
 * import { Manager } from "@cloakroom/session";
 * import { encrypted, generateKey } from "@cloakroom/session/encrypted";
 * import { SqliteProvider } from "@cloakroom/session/sqlite";
 * import { assertEquals } from "@std/assert";
 *
 * const store = new SqliteProvider(":memory:"); // or a file
 * const provider = encrypted(store, {
 *   keys: [generateKey()], // or [process.env.SESSION_KEY]: see docs/encryption.md
 *   hide: ["principal", "label", "key-names"],
 * });
 * await using manager = new Manager({ provider });
 *
 * const session = await manager.start(new Request("http://localhost/"));
 * session.set("iban", "DE02 1203 0000 0000 2020 51");
 * await manager.commit(session, new Response());
 * const [stored] = store.scan(undefined, 1, Date.now()).sessions;
 * assertEquals(JSON.stringify(stored).includes("DE02"), false);
 * ```
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { SessionError } from "../core/errors.ts";
import { ownOf, ownOptions } from "../core/option_names.ts";
import type {
  Awaitable,
  DestroyResult,
  Guard,
  NewSessionRecord,
  Patience,
  Provider,
  ScanPage,
  SessionChange,
  SessionList,
  SessionRecord,
  SessionSummary,
  StoredSession,
  UpdateResult,
} from "../core/provider.ts";
import { KEY_BYTES } from "./encrypted/cipher.ts";
import {
  type EncryptionKey,
  type ExtractableKey,
  MasterKey,
} from "./encrypted/key.ts";
import { type Hidden, Vault } from "./encrypted/vault.ts";

export type { EncryptionKey, ExtractableKey, Hidden };

/** How {@linkcode encrypted} encrypts. */
export interface EncryptedOptions {
  /**
   * One key or more, each of 32 random bytes: see {@linkcode generateKey}. The
   * first one encrypts, and each of them decrypts what it has encrypted.
   */
  readonly keys: readonly EncryptionKey[];
  /**
   * What is encrypted beside the values and the fingerprint:
   *
   * - `"principal"`: who is signed in. A keyed digest takes its place, so that
   *   their sessions can still be listed and ended.
   * - `"label"`: what a session is called in lists.
   * - `"key-names"`: what the session's keys are called. A keyed digest takes the
   *   place of each, another one in each session.
   *
   * It must be the same as long as the store is used: to change it, `copy` to
   * another store.
   *
   * @default {[]}
   */
  readonly hide?: readonly Hidden[] | undefined;
}

/**
 * Makes a provider that keeps its sessions encrypted in another one.
 *
 * A value that was changed in any bit, cut off, or moved to another session or
 * another key fails the requests of its session with the code `"corrupt"`, and
 * nothing else; so does one that was encrypted with a key that is not among
 * `keys`, or not at all. Nothing is removed for that: with the right key, the
 * session is there again.
 *
 * @param provider Where the sessions are kept. It is closed with the one that is
 * returned; hand it to nobody else.
 * @throws {TypeError} If there is no key, if one of them is not 32 bytes or is
 * there twice, or if there is an option of another name.
 */
export function encrypted(
  provider: Provider,
  options: EncryptedOptions,
): Provider {
  if (typeof provider?.read !== "function") {
    throw new TypeError(
      `Cannot encrypt sessions: the first argument must be a provider: received ${
        provider === null ? "null" : typeof provider
      }`,
    );
  }
  return new EncryptedProvider(provider, vaultOf(options));
}

/**
 * Makes a key for {@linkcode encrypted} from 32 random bytes.
 *
 * @returns 43 characters of base64url.
 *
 * @example
 * ```ts
 * import { generateKey } from "@cloakroom/session/encrypted";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(generateKey().length, 43);
 * ```
 */
export function generateKey(): string {
  const bytes = Buffer.alloc(KEY_BYTES);
  globalThis.crypto.getRandomValues(bytes);
  return bytes.toString("base64url");
}

type Calls = Required<Provider>;

/** The calls that another provider may lack: this one lacks the same. */
type OptionalCalls = Partial<
  Pick<
    Calls,
    "destroyMany" | "scan" | "observe" | "serverTime" | "reconnect"
  >
>;

class EncryptedProvider implements Provider {
  readonly touchInterval: number | undefined;
  declare readonly destroyMany?: Calls["destroyMany"];
  declare readonly scan?: Calls["scan"];
  declare readonly observe?: Calls["observe"];
  declare readonly serverTime?: Calls["serverTime"];
  declare readonly reconnect?: Calls["reconnect"];
  readonly #inner: Provider;
  readonly #vault: Vault;

  constructor(inner: Provider, vault: Vault) {
    this.#inner = inner;
    this.#vault = vault;
    this.touchInterval = inner.touchInterval;
    Object.assign(this, this.#optionalCalls());
  }

  create(
    id: string,
    record: NewSessionRecord,
    now: number,
    patience?: Patience,
  ): Awaitable<boolean> {
    const sealed = this.#vault.sealRecord(id, record);
    return this.#inner.create(id, sealed, now, patience);
  }

  read(id: string, now: number): Awaitable<SessionRecord | undefined> {
    return then(
      this.#inner.read(id, now),
      (record) => record && this.#vault.openRecord(id, record),
    );
  }

  update(
    id: string,
    change: SessionChange,
    guard: Guard,
    now: number,
    patience?: Patience,
  ): Awaitable<UpdateResult> {
    const sealed = this.#vault.sealChange(id, change);
    return oneByOne(
      this.#guardsLike(guard),
      (guard) => this.#inner.update(id, sealed, guard, now, patience),
      (result) => result !== "gone",
    );
  }

  touch(id: string, now: number, patience?: Patience): Awaitable<boolean> {
    return this.#inner.touch(id, now, patience);
  }

  destroy(
    id: string,
    guard: Guard,
    now: number,
    patience?: Patience,
  ): Awaitable<DestroyResult> {
    return oneByOne(
      this.#guardsLike(guard),
      (guard) => this.#inner.destroy(id, guard, now, patience),
      (result) => result === "done",
    );
  }

  gc(now: number, limit: number, patience?: Patience): Awaitable<number> {
    return this.#inner.gc(now, limit, patience);
  }

  list(principal: string, now: number): Awaitable<SessionList> {
    const lists: SessionList[] = [];
    const listed = oneByOne(
      this.#vault.digestsOf(principal),
      (digest) =>
        then(this.#inner.list(digest, now), (list) => lists.push(list)),
    );
    return then(listed, () => this.#openLists(lists));
  }

  destroyAll(
    principal: string,
    except?: string,
    patience?: Patience,
  ): Awaitable<number> {
    let count = 0;
    return oneByOne(
      this.#vault.digestsOf(principal),
      (digest) =>
        then(
          this.#inner.destroyAll(digest, except, patience),
          (some) => count += some,
        ),
    );
  }

  clear(patience?: Patience): Awaitable<number> {
    return this.#inner.clear(patience);
  }

  close(): Awaitable<void> {
    return this.#inner.close();
  }

  #optionalCalls(): OptionalCalls {
    const inner = this.#inner;
    return {
      ...(inner.destroyMany && {
        destroyMany: (ids, guard, now, patience) =>
          this.#destroyMany(ids, guard, now, patience),
      }),
      ...(inner.scan && {
        scan: (cursor, limit, now) =>
          then(
            (inner as Calls).scan(cursor, limit, now),
            (page) => this.#openPage(page),
          ),
      }),
      ...(inner.observe && { observe: inner.observe.bind(inner) }),
      ...(inner.serverTime && { serverTime: inner.serverTime.bind(inner) }),
      ...(inner.reconnect && { reconnect: inner.reconnect.bind(inner) }),
    };
  }

  #destroyMany(
    ids: readonly string[],
    guard: Guard,
    now: number,
    patience: Patience | undefined,
  ): Awaitable<readonly string[]> {
    const ended = new Set<string>();
    const done = oneByOne(this.#guardsLike(guard), (guard) => {
      const { destroyMany } = this.#inner as Calls;
      return then(
        destroyMany.call(this.#inner, ids, guard, now, patience),
        (some) => some.forEach((id) => ended.add(id)),
      );
    });
    return then(done, () => [...ended]);
  }

  /** The same guard for each key that the principal may be stored with. */
  #guardsLike(guard: Guard): readonly Guard[] {
    const { principal, ...others } = ownOf(guard);
    if (principal === undefined) return [guard];
    return this.#vault.digestsOf(principal)
      .map((digest) => ({ ...others, principal: digest }));
  }

  #openLists(lists: readonly SessionList[]): SessionList {
    const sessions = new Map<string, SessionSummary>();
    const unreadable = new Set<string>();
    for (const list of lists) {
      for (const id of list.unreadable) unreadable.add(id);
      for (const summary of list.sessions) {
        const opened = orCorrupt(() => this.#vault.openSummary(summary));
        if (opened === undefined) unreadable.add(summary.id);
        else sessions.set(summary.id, opened);
      }
    }
    return { sessions: [...sessions.values()], unreadable: [...unreadable] };
  }

  #openPage(page: ScanPage): ScanPage {
    const sessions: StoredSession[] = [];
    const unreadable = [...page.unreadable ?? []];
    for (const { id, record } of page.sessions) {
      const opened = orCorrupt(() => this.#vault.openRecord(id, record));
      if (opened === undefined) unreadable.push(id);
      else sessions.push({ id, record: opened });
    }
    return { ...page, sessions, unreadable };
  }
}

const OPTIONS: readonly string[] = Object.keys(
  { keys: 1, hide: 1 } satisfies Record<keyof EncryptedOptions, 1>,
);

const HIDDEN: readonly string[] = Object.keys(
  { principal: 1, label: 1, "key-names": 1 } satisfies Record<Hidden, 1>,
);

function vaultOf(given: EncryptedOptions): Vault {
  const { keys, hide = [] } = ownOptions("encrypt sessions", given, OPTIONS);
  for (const name of listOf(hide, "hide")) {
    if (HIDDEN.includes(name)) continue;
    throw new TypeError(
      `Cannot encrypt sessions: hide knows ${
        HIDDEN.join(", ")
      }: received ${name}`,
    );
  }
  const [first, ...others] = listOf(keys, "keys")
    .map((key, index) => new MasterKey(key, `keys[${index}]`));
  if (first === undefined) {
    throw new TypeError(
      "Cannot encrypt sessions: keys must have at least one key: received none",
    );
  }
  const all = [first, ...others] as const;
  if (new Set(all.map(({ id }) => id)).size < all.length) {
    throw new TypeError(
      "Cannot encrypt sessions: keys must differ: received one of them twice",
    );
  }
  return new Vault([...all], new Set(hide));
}

function listOf<T>(list: readonly T[], name: string): readonly T[] {
  if (Array.isArray(list)) return list;
  throw new TypeError(
    `Cannot encrypt sessions: ${name} must be an array: received ${typeof list}`,
  );
}

/** `undefined` where a session cannot be decrypted. */
function orCorrupt<T>(open: () => T): T | undefined {
  try {
    return open();
  } catch (error) {
    if (error instanceof SessionError && error.code === "corrupt") return;
    throw error;
  }
}

/** Does something with an answer, at once if it is there at once. */
function then<T, R>(
  answer: Awaitable<T>,
  use: (answer: T) => Awaitable<R>,
): Awaitable<R> {
  return isPromise(answer) ? answer.then(use) : use(answer);
}

function isPromise<T>(answer: Awaitable<T>): answer is Promise<T> {
  return typeof (answer as Promise<T> | undefined)?.then === "function";
}

/**
 * Calls with one item after the other, until an answer is the last one needed.
 *
 * @param items One or more.
 */
function oneByOne<T, R>(
  items: readonly T[],
  call: (item: T) => Awaitable<R>,
  isEnough: (answer: R) => boolean = () => false,
): Awaitable<R> {
  const [item, ...rest] = items as [T, ...T[]];
  return then(
    call(item),
    (answer) =>
      rest.length === 0 || isEnough(answer)
        ? answer
        : oneByOne(rest, call, isEnough),
  );
}
