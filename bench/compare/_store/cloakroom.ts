import type { NewSessionRecord } from "../../../mod.ts";
import { MemoryProvider } from "../../../providers/memory.ts";
import type { Contestant, Store } from "./contract.ts";

/** As many as the manager collects with one call. */
const BATCH = 1000;

/** What every session's family is filed as. */
const FAMILY = "0123456789abcdef";

/** What every session without data has in common. */
const NO_DATA = Object.freeze({});

/** Our memory provider, called as the manager calls it. */
export const contestant: Contestant = {
  name: "@cloakroom/session",
  expires: true,
  open: (_capacity, ttl) => openStore(ttl, Date.now),
};

/** @param clock Answers the milliseconds since the Unix epoch. */
export function openStore(ttl: number, clock: () => number): Store {
  const provider = new MemoryProvider({
    maxSessions: Infinity,
    maxBytes: Infinity,
  });
  return {
    create(id, secretHash, answer) {
      const now = clock();
      answer(provider.create(id, newRecord(secretHash, now, ttl), now));
    },
    find: (id, answer) => answer(provider.read(id, clock()) !== undefined),
    touch(id, answer) {
      const now = clock();
      answer(provider.touch(id, now));
    },
    use(id, answer) {
      const now = clock();
      if (provider.read(id, now) === undefined) return answer(false);
      answer(provider.touch(id, now));
    },
    collect() {
      const now = Date.now();
      while (provider.gc(now, BATCH) === BATCH);
    },
    size: () => provider.stats().sessions,
  };
}

/** A record as the manager makes one for an empty session. */
function newRecord(
  secretHash: string,
  now: number,
  ttl: number,
): NewSessionRecord {
  return {
    data: NO_DATA,
    secretHash,
    family: FAMILY,
    renewedAt: now,
    previous: undefined,
    principal: undefined,
    label: undefined,
    authenticatedAt: undefined,
    fingerprint: undefined,
    binding: undefined,
    createdAt: now,
    accessedAt: now,
    idleTimeout: ttl / 1000,
    absoluteTimeout: 24 * ttl / 1000,
    persistent: false,
  };
}
