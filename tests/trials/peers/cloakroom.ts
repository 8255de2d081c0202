import type { Provider } from "../../../core/provider.ts";
import { Manager } from "../../../mod.ts";
import { MemoryProvider } from "../../../providers/memory.ts";
import { type Peer, REMEMBERED } from "../contract.ts";
import { clock, type Store } from "../lab.ts";

/** Ours on any provider, as far away as the stores of the others. */
export const peerOn = (provider: () => Provider): Peer => ({
  packages: ["@cloakroom/session"],
  framework: "none",
  stateless: "never",
  forge: (id) => `__Host-id=${id}`,
  open(lab) {
    const sessions = new Manager({
      provider: distant(provider(), lab.store),
      now: clock.now,
      onEvent: () => {},
    });
    const fetch = sessions.handle(async (request, session) => {
      const body = await lab.serve(request.url, {
        user: () => session.principal,
        get: (key) => session.get(key),
        set: (key, value) => session.set(key, value as string),
        increment: (key) => session.update(key, (n = 0) => Number(n) + 1),
        signIn(user, remember) {
          session.signIn(user);
          if (!remember) return;
          const [idleTimeout, absoluteTimeout] = [REMEMBERED, REMEMBERED];
          session.lifetime({ idleTimeout, absoluteTimeout, persistent: true });
        },
        signOut: () => session.destroy(),
        async endOthers() {
          const user = session.principal ?? "";
          const { length } = await sessions.list(user);
          await sessions.destroyAll(user, { except: session });
          return length;
        },
      });
      return new Response(body, { headers: lab.headers });
    });
    return { fetch, close: () => sessions.close() };
  },
});

/** With everything as it comes. */
export const peer = peerOn(() => new MemoryProvider());

const READS = ["read", "list"];
const WRITES = ["create", "update", "touch", "destroy", "destroyAll"];

/** Each call of a provider takes as long, counts and fails as one of the store. */
function distant(provider: Provider, store: Store): Provider {
  return new Proxy(provider, {
    get(target, key) {
      // Memory's own is for what is in this process.
      if (key === "touchInterval") return undefined;
      const value = Reflect.get(target, key);
      const isWrite = WRITES.includes(String(key));
      if (!isWrite && !READS.includes(String(key))) {
        return typeof value === "function" ? value.bind(target) : value;
      }
      return async (...given: unknown[]) => {
        await store.call(...isWrite ? [JSON.stringify(given, plain)] : []);
        return value.apply(target, given);
      };
    },
  });
}

const plain = (_key: string, value: unknown) =>
  value instanceof Map ? [...value] : value;
