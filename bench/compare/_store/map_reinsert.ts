import type { Contestant, Store } from "./contract.ts";

/** A `Map` in order of use: what is touched is deleted and set again. */
export const contestant: Contestant = {
  name: "Map, delete and set",
  expires: true,
  open: (_capacity, ttl) => openStore(ttl),
};

function openStore(ttl: number): Store {
  const map = new Map<string, { expiresAt: number; data: unknown }>();
  const touch: Store["touch"] = (id, answer) => {
    const now = Date.now();
    const entry = map.get(id);
    if (entry === undefined || entry.expiresAt <= now) return answer(false);
    entry.expiresAt = now + ttl;
    map.delete(id);
    map.set(id, entry);
    answer(true);
  };
  return {
    create(id, _secretHash, answer) {
      map.set(id, { expiresAt: Date.now() + ttl, data: {} });
      answer(true);
    },
    find(id, answer) {
      const entry = map.get(id);
      answer(entry !== undefined && entry.expiresAt > Date.now());
    },
    touch,
    use: touch,
    collect() {
      const now = Date.now();
      for (const [id, { expiresAt }] of map) {
        if (expiresAt > now) break;
        map.delete(id);
      }
    },
    size: () => map.size,
  };
}
