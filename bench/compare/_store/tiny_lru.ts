import { lru } from "tiny-lru";
import type { Contestant, Store } from "./contract.ts";

/** `tiny-lru` with a ttl that `set` starts again (`resetTtl`). */
export const contestant: Contestant = {
  name: "tiny-lru",
  package: "tiny-lru",
  expires: true,
  open: openStore,
};

function openStore(capacity: number, ttl: number): Store {
  const cache = lru<object>(capacity, ttl, true);
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
    collect: () => cache.cleanup(),
    size: () => cache.size,
  };
}
