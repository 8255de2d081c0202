import { Hono } from "hono";
import * as sessions from "hono-sessions";
import { IDLE, type Peer, SECRET } from "../contract.ts";

/** With a store; its `CookieStore` keeps all in an encrypted cookie. */
export const peer: Peer = {
  packages: ["hono-sessions"],
  framework: "Hono",
  stateless: "optional",
  forge: async (id) =>
    `session=${encodeURIComponent(await sessions.encrypt(SECRET, id))}`,
  open(lab) {
    const write = (id: string, data: sessions.SessionData) =>
      lab.store.set(id, JSON.stringify(data));
    const store = {
      getSessionById: async (id = "") =>
        JSON.parse(await lab.store.get(id) ?? "null"),
      createSession: write,
      persistSessionData: write,
      deleteSession: (id: string) => lab.store.delete(id),
    };
    const app = new Hono<{
      Variables: { session: sessions.Session; session_key_rotation: boolean };
    }>();
    app.onError(() => new Response(null, { status: 500 }));
    app.use(sessions.sessionMiddleware({
      store: lab.isStateless ? new sessions.CookieStore() : store,
      encryptionKey: SECRET,
      expireAfterSeconds: IDLE,
      cookieOptions: { sameSite: "Lax", path: "/", httpOnly: true },
    }));
    app.all("*", async (context) => {
      const session = context.get("session");
      const body = await lab.serve(context.req.url, {
        user: () => session.get("user"),
        get: (key) => session.get(key),
        set: (key, value) => session.set(key, value),
        signIn(user) {
          session.set("user", user);
          context.set("session_key_rotation", true);
        },
        signOut: () => session.deleteSession(),
      });
      return context.body(body, 200, lab.headers);
    });
    return app;
  },
};
