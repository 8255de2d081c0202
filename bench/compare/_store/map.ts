import type { Contestant, Store } from "./contract.ts";

/** The floor: finds and stores, but compares no deadline and keeps no order. */
export const contestant: Contestant = {
  name: "Map",
  expires: false,
  open: (_capacity, ttl) => openStore(ttl),
};

function openStore(ttl: number): Store {
  const map = new Map<string, { expiresAt: number; data: unknown }>();
  const touch: Store["touch"] = (id, answer) => {
    const entry = map.get(id);
    if (entry !== undefined) entry.expiresAt = Date.now() + ttl;
    answer(entry !== undefined);
  };
  return {
    create(id, _secretHash, answer) {
      map.set(id, { expiresAt: Date.now() + ttl, data: {} });
      answer(true);
    },
    find: (id, answer) => answer(map.get(id) !== undefined),
    touch,
    use: touch,
    collect() {
      const now = Date.now();
      for (const [id, { expiresAt }] of map) {
        if (expiresAt <= now) map.delete(id);
      }
    },
    size: () => map.size,
  };
}
