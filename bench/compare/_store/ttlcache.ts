import { TTLCache } from "@isaacs/ttlcache";
import type { Contestant, Store } from "./contract.ts";

/** A look-up that leaves the deadline alone. */
const WITHOUT_TOUCH = { updateAgeOnGet: false };

/**
 * `@isaacs/ttlcache`; `checkAgeOnGet`, or else it hands out what has expired
 * until its timer fires.
 */
export const contestant: Contestant = {
  name: "@isaacs/ttlcache",
  package: "@isaacs/ttlcache",
  expires: true,
  open: openStore,
};

function openStore(capacity: number, ttl: number): Store {
  const cache = new TTLCache<string, object>({
    max: capacity,
    ttl,
    updateAgeOnGet: true,
    checkAgeOnGet: true,
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
