import * as sessions from "@hono/session";
import { createEncryptionKey, jweEncrypt } from "@hono/session/cookies";
import { Hono } from "hono";
import { ABSOLUTE, type Peer, SECRET } from "../contract.ts";

const duration = { absolute: ABSOLUTE };

/** With a store; without one all is in an encrypted cookie. */
export const peer: Peer = {
  packages: ["@hono/session"],
  framework: "Hono",
  stateless: "optional",
  async forge(id) {
    const key = await createEncryptionKey(SECRET);
    return `sid=${(await jweEncrypt({ sid: id }, key, duration)).jwe}`;
  },
  open(lab) {
    const app = new Hono<sessions.SessionEnv>();
    app.onError(() => new Response(null, { status: 500 }));
    if (!lab.isStateless) {
      app.use(sessions.useSessionStorage({
        delete: (id) => lab.store.delete(id),
        get: async (id) => JSON.parse(await lab.store.get(id) ?? "null"),
        set: (id, value) =>
          lab.store.set(id, JSON.stringify(value), ABSOLUTE) as unknown as void,
      }));
    }
    app.use(sessions.useSession({ secret: SECRET, duration }));
    app.all("*", async (context) => {
      const { session } = context.var;
      const change = (key: string, next: (value: unknown) => unknown) =>
        session.update((data) => ({ ...data, [key]: next(data?.[key]) }));
      const body = await lab.serve(context.req.url, {
        user: async () => (await session.get())?.user,
        get: async (key) => (await session.get())?.[key],
        set: (key, value) => change(key, () => value),
        increment: (key) => change(key, (value) => Number(value ?? 0) + 1),
        signIn: (user) => change("user", () => user),
        async signOut() {
          // Otherwise it leaves the record behind.
          await session.get();
          session.delete();
        },
      });
      return context.body(body, 200, lab.headers);
    });
    return app;
  },
};
