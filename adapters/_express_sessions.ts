/** The calls of a store for express-session, without their callbacks. */
import type { EventEmitter } from "node:events";
import type { Provider, StoredSession } from "../core/provider.ts";
import {
  create,
  dataOf,
  type ExpressData,
  idOf,
  isOfExpress,
  Loaded,
  textsIn,
  update,
  type Written,
} from "./_express_records.ts";
import { type SidCookieOptions, sidIn } from "./_sid_cookie.ts";

/** The store that a site comes from, such as one of connect-redis. */
export interface PreviousStore {
  /** Finds a session. */
  get(
    sid: string,
    callback: (error?: unknown, session?: unknown) => void,
  ): unknown;
  /** Ends a session. */
  destroy(sid: string, callback: (error?: unknown) => void): unknown;
}

/** Options of `expressStore`. */
export interface ExpressStoreOptions<Base extends object = EventEmitter> {
  /**
   * The class `Store` of express-session, which express-session needs. Others do
   * without.
   *
   * @default an `EventEmitter` of `node:events`
   */
  readonly Store?: (abstract new () => Base) | undefined;
  /**
   * How long a session lives without a request, in seconds, when its cookie does
   * not say: when that ends with the browser.
   *
   * @default {86400}
   */
  readonly ttl?: number | undefined;
  /**
   * Says who is signed in, as a session tells it, so that `manager.list` and
   * `manager.destroyAll` find it on the same provider.
   *
   * @default {() => undefined}
   */
  readonly principal?:
    | ((session: Readonly<ExpressData>) => string | undefined)
    | undefined;
  /**
   * Where sessions are looked for that are not here. One that is found is moved.
   *
   * @default {undefined}
   */
  readonly previous?: PreviousStore | undefined;
  /**
   * The clock, in milliseconds since the Unix epoch.
   *
   * @default {Date.now}
   */
  readonly now?: (() => number) | undefined;
}

/** How long a session lives that was taken over, in seconds. */
const GRACE = 60;

const DAY = 86_400;

/** The calls of a store, without callbacks. */
export class Sessions {
  readonly #provider: Provider;
  readonly #ttl: number;
  readonly #principalOf: (session: ExpressData) => string | undefined;
  readonly #previous: PreviousStore | undefined;
  readonly #now: () => number;

  constructor(provider: Provider, options: ExpressStoreOptions<object>) {
    const { ttl = DAY, principal = () => undefined } = options;
    if (!(ttl > 0)) {
      throw new RangeError(
        `Cannot create store: ttl must be a positive number of seconds: received ${ttl}`,
      );
    }
    this.#provider = provider;
    this.#ttl = ttl;
    this.#principalOf = principal;
    this.#previous = options.previous;
    this.#now = options.now ?? (() => Date.now());
  }

  /** @param isShown Whether what was loaded is copied with the session's keys. */
  async get(sid: string, isShown: boolean): Promise<ExpressData | undefined> {
    const found = await this.#find(sid);
    return found && remember(found.data, found.loaded, isShown);
  }

  async set(sid: string, session: object, maxAge?: unknown): Promise<void> {
    const id = idOf(sid);
    const written = this.#written(session, maxAge);
    if (!(written.idleTimeout > 0)) return await this.destroy(sid);
    const known = loadedOf(session);
    const loaded = known?.id === id ? known : undefined;
    if (loaded !== undefined) {
      await update(this.#provider, loaded, written, this.#now());
      return;
    }
    const stored = await this.#create(id, written);
    remember(session, stored, false);
  }

  /** Never creates one; what a cookie says of its lifetime may have changed. */
  async touch(sid: string, session: object): Promise<void> {
    const id = idOf(sid);
    const idleTimeout = this.#idleTimeoutOf(session);
    const known = loadedOf(session);
    const loaded = known?.id === id ? known : (await this.#read(id))?.loaded;
    if (loaded === undefined) return;
    const { texts, principal } = loaded;
    const written = { texts, idleTimeout, principal };
    await update(this.#provider, loaded, written, this.#now());
  }

  async destroy(sid: string): Promise<void> {
    // First: what is still there would be moved here again.
    await this.#destroyPrevious(sid);
    await this.#provider.destroy(idOf(sid), {}, this.#now());
  }

  async all(): Promise<ExpressData[]> {
    const all: ExpressData[] = [];
    for await (const { record } of this.#scan()) all.push(dataOf(record));
    return all;
  }

  async clear(): Promise<void> {
    for await (const { id, record: { family } } of this.#scan()) {
      await this.#provider.destroy(id, { family }, this.#now());
    }
  }

  async takeOver(
    header: string | null | undefined,
    options: SidCookieOptions,
  ): Promise<ExpressData | undefined> {
    const sid = sidIn(header, options);
    const found = sid === undefined ? undefined : await this.#find(sid);
    if (found === undefined) return undefined;
    const { data: { cookie: _, ...data }, loaded, accessedAt } = found;
    const { id, family } = loaded;
    // Once only: whoever comes again with the cookie does not prolong it.
    const idleTimeout = (this.#now() - accessedAt) / 1000 + GRACE;
    if (idleTimeout < loaded.idleTimeout) {
      const change = { idleTimeout, isUse: false };
      await this.#provider.update(id, change, { family }, this.#now());
    }
    return data;
  }

  async #find(sid: string): Promise<Found | undefined> {
    const id = idOf(sid);
    return await this.#read(id) ?? await this.#move(sid, id);
  }

  async #read(id: string): Promise<Found | undefined> {
    const record = await this.#provider.read(id, this.#now());
    if (record === undefined || !isOfExpress(record)) return undefined;
    const { accessedAt } = record;
    return { data: dataOf(record), loaded: new Loaded(id, record), accessedAt };
  }

  /** Two requests may move one session: what has ended meanwhile stays so. */
  async #move(sid: string, id: string): Promise<Found | undefined> {
    const session = await this.#readPrevious(sid);
    if (session === undefined) return undefined;
    const written = this.#written(session);
    if (!(written.idleTimeout > 0)) return undefined;
    const now = this.#now();
    const moved = await create(this.#provider, id, written, now);
    if (moved !== undefined && await this.#readPrevious(sid) === undefined) {
      await this.#provider.destroy(id, { family: moved.family }, now);
      return undefined;
    }
    if (moved !== undefined) await this.#destroyPrevious(sid);
    return await this.#read(id);
  }

  #readPrevious(sid: string): Promise<object | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#previous === undefined) return resolve(undefined);
      this.#previous.get(sid, (error, session) => {
        if (error) reject(error);
        else resolve((session ?? undefined) as object | undefined);
      });
    });
  }

  #destroyPrevious(sid: string): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#previous === undefined) return resolve();
      this.#previous.destroy(sid, (error) => error ? reject(error) : resolve());
    });
  }

  /** Stores a session that was never loaded, in the place of one that was there. */
  async #create(id: string, written: Written): Promise<Loaded | undefined> {
    const now = this.#now();
    const created = await create(this.#provider, id, written, now);
    if (created !== undefined) return created;
    const present = await this.#read(id);
    if (present === undefined) return undefined;
    await update(this.#provider, present.loaded, written, now);
    return present.loaded;
  }

  #written(session: object, maxAge?: unknown): Written {
    const idleTimeout = this.#idleTimeoutOf(session, maxAge);
    const principal = this.#principalOf(session as ExpressData);
    return { texts: textsIn(session), idleTimeout, principal };
  }

  /** In seconds; none are left to a session whose cookie has expired. */
  #idleTimeoutOf(session: object, maxAge?: unknown): number {
    if (typeof maxAge === "number") return maxAge / 1000;
    const { cookie } = session as { cookie?: CookieTimes };
    const { originalMaxAge, expires } = cookie ?? {};
    if (!expires) return this.#ttl;
    const left = new Date(expires).getTime() - this.#now();
    return left > 0 ? (originalMaxAge ?? left) / 1000 : 0;
  }

  async *#scan(): AsyncGenerator<StoredSession> {
    if (this.#provider.scan === undefined) {
      throw new TypeError(
        "Cannot go through sessions: the provider has no scan",
      );
    }
    let cursor: string | undefined;
    do {
      const page = await this.#provider.scan(cursor, PAGE, this.#now());
      yield* page.sessions.filter(({ record }) => isOfExpress(record));
      cursor = page.next;
    } while (cursor !== undefined);
  }
}

/** About how many sessions are looked at together. */
const PAGE = 100;

interface Found {
  readonly data: ExpressData;
  readonly loaded: Loaded;
  /** When it was last used, in milliseconds since the Unix epoch. */
  readonly accessedAt: number;
}

/** What a cookie of express-session says about its end. */
interface CookieTimes {
  /** In milliseconds. */
  readonly originalMaxAge?: number | null;
  readonly expires?: Date | string | null;
}

/** The name under which a session carries what was loaded. */
const LOADED = "$loaded";

/** What a session was loaded with, if it was. */
export function loadedOf(session: object): Loaded | undefined {
  const { [LOADED]: loaded } = session as { [LOADED]?: unknown };
  return loaded instanceof Loaded ? loaded : undefined;
}

/** @param enumerable Whether it is copied with the session's keys. */
export function remember<Session extends object>(
  session: Session,
  value: Loaded | undefined,
  enumerable: boolean,
): Session {
  if (value === undefined) return session;
  return Object.defineProperty(session, LOADED, {
    value,
    enumerable,
    configurable: true,
    writable: true,
  });
}
