import type { Contestant, Store } from "./contract.ts";

interface TtlCache {
  get(key: string): object | undefined;
  set(key: string, value: object): void;
  readonly size: number;
}

// Not a literal: where JSR cannot be reached, checking types must not try to.
const specifier = "@std/cache/ttl-cache";
const { TtlCache }: { TtlCache: new (ttl: number) => TtlCache } = await import(
  specifier
);

/** `TtlCache` of the standard library, which has a timer for every entry. */
export const contestant: Contestant = {
  name: "@std/cache",
  package: "@std/cache",
  expires: true,
  open: (_capacity, ttl) => openStore(ttl),
};

function openStore(ttl: number): Store {
  const cache = new TtlCache(ttl);
  const touch: Store["touch"] = (id, answer) => {
    const session = cache.get(id);
    if (session === undefined) return answer(false);
    cache.set(id, session);
    answer(true);
  };
  return {
    create(id, _secretHash, answer) {
      cache.set(id, { expiresAt: Date.now() + ttl, data: {} });
      answer(true);
    },
    find: (id, answer) => answer(cache.get(id) !== undefined),
    touch,
    use: touch,
    size: () => cache.size,
  };
}
