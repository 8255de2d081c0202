/** Stores of sessions in memory: ours, what one writes by hand, and lru-cache. */
import { hashOf } from "../_cases/ids.ts";
import { newRecord, unboundedProvider } from "../_cases/population.ts";

/**
 * Sessions without data in one of the stores compared. Every call tells whether it did what it
 * must, and a run in which one did not fails.
 */
export interface Store {
  /** Stores the session of a number under its id. */
  create(id: string, number: number): boolean;
  /** Looks a session up, for as little as the store allows. */
  read(id: string): boolean;
  /** Moves its deadline and makes it the most recently used. */
  touch(id: string): boolean;
  /** What a request that only reads does: looks it up and touches it. */
  use(id: string): boolean;
  /** Removes some or all that have expired; answers how many. */
  collect(): number;
  size(): number;
}

/** What a store has to be told. */
export interface StoreOptions {
  /** It holds that many without evicting one. */
  readonly capacity: number;
  /** How long a session lives without a touch, in milliseconds. */
  readonly ttl: number;
}

export const FLOOR = "Map";
export const OURS = "ours: MemoryProvider";

type Open = (options: StoreOptions) => Store | Promise<Store>;

/** All stores, the floor first. */
export const STORES: Readonly<Record<string, Open>> = {
  [FLOOR]: openMap,
  "lru-cache": openLruCache,
  [OURS]: openProvider,
};

/**
 * An empty store.
 *
 * @throws {TypeError} If there is none of that name.
 */
export async function openStore(
  name: string,
  options: StoreOptions,
): Promise<Store> {
  const open = STORES[name];
  if (open !== undefined) return await open(options);
  throw new TypeError(`Cannot open store: there is none: received ${name}`);
}

/** How many sessions the manager lets a provider remove in one call. */
const GC_BATCH = 1000;

/** What every session without data has in common. */
const NO_DATA = Object.freeze({});

function openProvider({ ttl }: StoreOptions): Store {
  const provider = unboundedProvider();
  return {
    create(id, number) {
      const now = Date.now();
      const record = newRecord(hashOf(number), now, ttl / 1000);
      return provider.create(id, { ...record, data: NO_DATA }, now);
    },
    read: (id) => provider.read(id, Date.now()) !== undefined,
    touch: (id) => provider.touch(id, Date.now()),
    use(id) {
      const now = Date.now();
      return provider.read(id, now) !== undefined && provider.touch(id, now);
    },
    collect: () => provider.gc(Date.now(), GC_BATCH),
    size: () => provider.stats().sessions,
  };
}

interface Entry {
  expiresAt: number;
  readonly data: unknown;
}

function entryFor(ttl: number): Entry {
  return { expiresAt: Date.now() + ttl, data: {} };
}

/** The floor: compares no deadline and keeps no order. */
function openMap({ ttl }: StoreOptions): Store {
  const map = new Map<string, Entry>();
  const touch = (id: string) => {
    const entry = map.get(id);
    if (entry !== undefined) entry.expiresAt = Date.now() + ttl;
    return entry !== undefined;
  };
  return {
    create: (id) => map.set(id, entryFor(ttl)) === map,
    read: (id) => map.get(id) !== undefined,
    touch,
    use: touch,
    collect() {
      const now = Date.now();
      const { size } = map;
      for (const [id, { expiresAt }] of map) {
        if (expiresAt <= now) map.delete(id);
      }
      return size - map.size;
    },
    size: () => map.size,
  };
}

/** With `ttl`, and `updateAgeOnGet` for a deadline that moves. */
async function openLruCache({ capacity, ttl }: StoreOptions): Promise<Store> {
  const { LRUCache } = await import("lru-cache");
  const options = { max: capacity, ttl, updateAgeOnGet: true };
  const cache = new LRUCache<string, Entry>(options);
  const withoutTouch = { updateAgeOnGet: false };
  const touch = (id: string) => cache.get(id) !== undefined;
  return {
    create: (id) => cache.set(id, entryFor(ttl)) === cache,
    read: (id) => cache.get(id, withoutTouch) !== undefined,
    touch,
    use: touch,
    collect() {
      const { size } = cache;
      cache.purgeStale();
      return size - cache.size;
    },
    size: () => cache.size,
  };
}
