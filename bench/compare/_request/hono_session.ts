import {
  type Session,
  type SessionData,
  type SessionEnv,
  useSession,
  useSessionStorage,
} from "@hono/session";
import { Hono } from "hono";
import { newcomerIn } from "./actions.ts";
import {
  type Action,
  type FetchSetup,
  IDLE_TIMEOUT,
  NOBODY,
} from "./contract.ts";
import { bareHono } from "./hono.ts";

const stored = new Map<string, SessionData>();

/** The data in a `Map`, the id in an encrypted token. */
export const setup: FetchSetup = {
  name: "@hono/session, Map",
  packages: ["@hono/session", "hono"],
  keeps: "server",
  kind: "fetch",
  bare: bareHono,
  handler(action) {
    const app = new Hono<SessionEnv>();
    app.use(
      useSessionStorage({
        delete: (id) => void stored.delete(id),
        get: (id) => stored.get(id) ?? null,
        set: (id, value) => void stored.set(id, value),
      }),
      useSession({
        secret: "0123456789abcdef0123456789abcdef",
        duration: { absolute: IDLE_TIMEOUT },
      }),
    );
    app.get("/", async (context) => {
      const newcomer = newcomerIn(context.req.raw, action);
      return context.text(await respond(action, context.var.session, newcomer));
    });
    return (request) => app.fetch(request);
  },
};

async function respond(
  action: Action,
  session: Session<SessionData>,
  newcomer: string | null,
): Promise<string> {
  if (newcomer !== null) {
    await session.update({ visitor: newcomer, visits: 0 });
    return newcomer;
  }
  const data = await session.get();
  if (data === null) return NOBODY;
  if (action === "visits") return `${data.visits}`;
  if (action === "write") {
    await session.update({ ...data, visits: Number(data.visits) + 1 });
  }
  return `${data.visitor}`;
}
