import { Hono } from "hono";
import { Manager, type Session } from "../../../mod.ts";
import { newcomerIn, perform } from "./actions.ts";
import type { FetchSetup, Visitor } from "./contract.ts";
import { bareHono } from "./hono.ts";

const manager = new Manager<Visitor>();

/** The same, with a middleware in the app that does nothing. */
export const setup: FetchSetup = {
  name: "ours, handle around Hono with an empty middleware",
  packages: ["hono"],
  keeps: "server",
  kind: "fetch",
  bare: bareHono,
  handler(action) {
    const app = new Hono<{ Bindings: { session: Session<Visitor> } }>();
    app.use(async (_context, next) => await next());
    app.get("/", (context) => {
      const newcomer = newcomerIn(context.req.raw, action);
      return context.text(perform(action, context.env.session, newcomer));
    });
    return manager.handle((request, session) =>
      app.fetch(request, { session })
    );
  },
};
