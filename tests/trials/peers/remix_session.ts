import { createCookie } from "@remix-run/cookie";
import { createSession, type SessionStorage } from "@remix-run/session";
import { createCookieSessionStorage } from "@remix-run/session/cookie-storage";
import { IDLE, type Peer, REMEMBERED, SECRET } from "../contract.ts";
import type { Store } from "../lab.ts";

const cookie = createCookie("session", {
  httpOnly: true,
  secrets: [SECRET],
  secure: true,
  sameSite: "Lax",
  path: "/",
});

/** With a storage on the store; another storage keeps all in a signed cookie. */
export const peer: Peer = {
  packages: ["@remix-run/session", "@remix-run/cookie"],
  framework: "none",
  stateless: "optional",
  forge: async (id) => (await cookie.serialize(id)).split(";")[0] ?? "",
  open: (lab) => {
    const storage = lab.isStateless
      ? createCookieSessionStorage()
      : storageOn(lab.store);
    return {
      async fetch(request) {
        const given = await cookie.parse(request.headers.get("cookie"));
        const session = await storage.read(given);
        const body = await lab.serve(request.url, {
          user: () => session.get("user"),
          get: (key) => session.get(key),
          set: (key, value) => session.set(key, value),
          signIn(user, remember) {
            session.set("user", user);
            if (remember) session.set("remember", true);
            session.regenerateId(true);
          },
          signOut: () => session.destroy(),
        });
        const options = session.get("remember") ? { maxAge: REMEMBERED } : {};
        const response = new Response(body, { headers: lab.headers });
        const saved = await storage.save(session);
        if (saved === null) return response;
        const text = await cookie.serialize(saved, options);
        response.headers.append("set-cookie", text);
        return response;
      },
    };
  },
};

function storageOn(store: Store): SessionStorage {
  return {
    async read(id) {
      const text = id ? await store.get(id) : null;
      if (id === null || text === null) return createSession();
      return createSession(id, JSON.parse(text));
    },
    async save(session) {
      if (session.deleteId) await store.delete(session.deleteId);
      if (session.destroyed) await store.delete(session.id);
      if (session.destroyed || !session.dirty) {
        return session.destroyed ? "" : null;
      }
      const seconds = session.get("remember") ? REMEMBERED : IDLE;
      await store.set(session.id, JSON.stringify(session.data), seconds);
      return session.id;
    },
  };
}
