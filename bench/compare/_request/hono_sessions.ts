import { Hono } from "hono";
import { MemoryStore, type Session, sessionMiddleware } from "hono-sessions";
import { newcomerIn, perform } from "./actions.ts";
import { type FetchSetup, IDLE_TIMEOUT, type Visitor } from "./contract.ts";
import { bareHono } from "./hono.ts";

/** With the encryption of the cookie that its README recommends. */
export const setup: FetchSetup = makeSetup(
  "hono-sessions, MemoryStore",
  "password_at_least_32_characters_long",
);

/** `hono-sessions` with or without the key. Its store collects nothing. */
export function makeSetup(
  name: string,
  encryptionKey: string | undefined,
): FetchSetup {
  const middleware = sessionMiddleware({
    store: new MemoryStore(),
    ...(encryptionKey === undefined ? {} : { encryptionKey }),
    expireAfterSeconds: IDLE_TIMEOUT,
    cookieOptions: { sameSite: "Lax", path: "/", httpOnly: true },
  });
  return {
    name,
    packages: ["hono-sessions", "hono"],
    keeps: "server",
    kind: "fetch",
    bare: bareHono,
    handler(action) {
      const app = new Hono<{ Variables: { session: Session<Visitor> } }>();
      app.use("*", middleware);
      app.get("/", (context) => {
        const newcomer = newcomerIn(context.req.raw, action);
        return context.text(perform(action, context.get("session"), newcomer));
      });
      return (request) => app.fetch(request);
    },
  };
}
