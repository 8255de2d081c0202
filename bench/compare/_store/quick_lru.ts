import QuickLRU from "quick-lru";
import type { Contestant, Store } from "./contract.ts";

/** `quick-lru` with `maxAge`; it cannot be told to remove what has expired. */
export const contestant: Contestant = {
  name: "quick-lru",
  package: "quick-lru",
  expires: true,
  open: openStore,
};

function openStore(capacity: number, ttl: number): Store {
  const cache = new QuickLRU<string, object>({
    // It begins a new generation when it holds `maxSize`.
    maxSize: capacity + 1,
    maxAge: ttl,
  });
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
