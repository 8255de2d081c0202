import session from "express-session";
import memorystore from "memorystore";
import type { Contestant, Store } from "./contract.ts";

/** What `express-session` hands to its store. */
interface ExpressSession {
  cookie: { originalMaxAge: number; maxAge: number };
}

/** The part of an `express-session` store that is compared. */
interface ExpressStore {
  get(id: string, done: (error: unknown, found?: unknown) => void): void;
  set(id: string, value: ExpressSession, done: () => void): void;
  touch(id: string, value: ExpressSession, done: () => void): void;
  prune(): void;
  /** The cache inside, for its number of entries: `length` answers later. */
  readonly store: { readonly itemCount: number };
}

const MemoryStore = memorystore(session);
const Cookie: new (options: { maxAge: number }) => ExpressSession["cookie"] =
  session.Cookie;

/** `memorystore`, the store for `express-session`, called as that calls it. */
export const contestant: Contestant = {
  name: "memorystore",
  package: "memorystore",
  expires: true,
  open: (_capacity, ttl) => openStore(ttl),
};

function openStore(ttl: number): Store {
  // Its types leave out what it inherits.
  const store = new MemoryStore({
    checkPeriod: 86_400_000,
  }) as unknown as ExpressStore;
  const current = { cookie: new Cookie({ maxAge: ttl }), data: {} };
  return {
    create(id, _secretHash, answer) {
      const created = { cookie: new Cookie({ maxAge: ttl }), data: {} };
      store.set(id, created, () => answer(true));
    },
    find(id, answer) {
      store.get(id, (_error, found) => answer(found !== undefined));
    },
    touch(id, answer) {
      current.cookie.maxAge = ttl;
      store.touch(id, current, () => answer(true));
    },
    use(id, answer) {
      store.get(id, (_error, found) => {
        if (found === undefined) return answer(false);
        current.cookie.maxAge = ttl;
        store.touch(id, current, () => answer(true));
      });
    },
    collect: () => store.prune(),
    size: () => store.store.itemCount,
  };
}
