import { LRUCache } from "lru-cache";
import type { Contestant, Store } from "./contract.ts";

/** A look-up that leaves the deadline alone. */
const WITHOUT_TOUCH = { updateAgeOnGet: false };

/** `lru-cache` with `ttl`, and `updateAgeOnGet` for a deadline that moves. */
export const contestant: Contestant = {
  name: "lru-cache",
  package: "lru-cache",
  expires: true,
  open: openStore,
};

function openStore(capacity: number, ttl: number): Store {
  const cache = new LRUCache<string, object>({
    max: capacity,
    ttl,
    updateAgeOnGet: true,
  });
  const touch: Store["touch"] = (id, answer) =>
    answer(cache.get(id) !== undefined);
  return {
    create(id, _secretHash, answer) {
      cache.set(id, { expiresAt: Date.now() + ttl, data: {} });
      answer(true);
    },
    find: (id, answer) => answer(cache.get(id, WITHOUT_TOUCH) !== undefined),
    touch,
    use: touch,
    collect: () => cache.purgeStale(),
    size: () => cache.size,
  };
}
