import type { Store } from "./store.ts";

/** Packages that keep values by key for some time. */
export const PEERS: readonly string[] = [
  "lru-cache",
  "tiny-lru",
  "ttlcache",
  "quick-lru",
];

/** What a peer has to be told. */
interface PeerOptions {
  /** The most sessions that it will hold. */
  readonly capacity: number;
  /** How long a session lives, in milliseconds. */
  readonly lifetime: number;
}

/** An empty peer. */
export function openPeer(name: string, options: PeerOptions): Promise<Store> {
  switch (name) {
    case "lru-cache":
      return openLruCache(options);
    case "tiny-lru":
      return openTinyLru(options);
    case "ttlcache":
      return openTtlCache(options);
    case "quick-lru":
      return openQuickLru(options);
  }
  throw new TypeError(`Cannot open store: there is none: received ${name}`);
}

async function openLruCache({ capacity, lifetime }: PeerOptions) {
  const { LRUCache } = await import("lru-cache");
  // Without `max` it warns that it may grow without bound.
  const cache = new LRUCache<string, object>({ max: capacity, ttl: lifetime });
  const moveDeadline = { updateAgeOnGet: true };
  return {
    create: (id, record) => cache.set(id, record) === cache,
    read: (id) => cache.get(id) !== undefined,
    touch: (id) => cache.get(id, moveDeadline) !== undefined,
    destroy: (id) => cache.delete(id),
    collect: () => purge(cache),
  } satisfies Store;
}

async function openTinyLru({ lifetime }: PeerOptions) {
  const { lru } = await import("tiny-lru");
  const cache = lru<object>(0, lifetime, true);
  return {
    create: (id, record) => cache.set(id, record) === cache,
    read: (id) => cache.get(id) !== undefined,
    touch: (id) => {
      const record = cache.get(id);
      return record !== undefined && cache.set(id, record) === cache;
    },
    destroy: (id) => {
      const { size } = cache;
      return cache.delete(id).size < size;
    },
  } satisfies Store;
}

async function openTtlCache({ lifetime }: PeerOptions) {
  const { TTLCache } = await import("@isaacs/ttlcache");
  const cache = new TTLCache<string, object>({ ttl: lifetime });
  const moveDeadline = { updateAgeOnGet: true };
  return {
    create: (id, record) => cache.set(id, record) === cache,
    read: (id) => cache.get(id) !== undefined,
    touch: (id) => cache.get(id, moveDeadline) !== undefined,
    destroy: (id) => cache.delete(id),
    collect: () => purge(cache),
  } satisfies Store;
}

async function openQuickLru({ capacity, lifetime }: PeerOptions) {
  const { default: QuickLRU } = await import("quick-lru");
  const cache = new QuickLRU<string, object>({
    maxSize: capacity,
    maxAge: lifetime,
  });
  return {
    create: (id, record) => cache.set(id, record) === cache,
    read: (id) => cache.get(id) !== undefined,
    touch: (id) => {
      const record = cache.get(id);
      return record !== undefined && cache.set(id, record) === cache;
    },
    destroy: (id) => cache.delete(id),
  } satisfies Store;
}

function purge(cache: { readonly size: number; purgeStale(): unknown }) {
  const { size } = cache;
  cache.purgeStale();
  return size - cache.size;
}
