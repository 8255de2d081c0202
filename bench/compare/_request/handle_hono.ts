import { Hono } from "hono";
import { Manager, type Session } from "../../../mod.ts";
import { newcomerIn, perform } from "./actions.ts";
import type { FetchSetup, Visitor } from "./contract.ts";
import { bareHono } from "./hono.ts";

const manager = new Manager<Visitor>();

/** Ours, around the whole of Hono. */
export const setup: FetchSetup = {
  name: "ours, handle around Hono",
  packages: ["hono"],
  keeps: "server",
  kind: "fetch",
  bare: bareHono,
  handler(action) {
    const app = new Hono<{ Bindings: { session: Session<Visitor> } }>();
    app.get("/", (context) => {
      const newcomer = newcomerIn(context.req.raw, action);
      return context.text(perform(action, context.env.session, newcomer));
    });
    return manager.handle((request, session) =>
      app.fetch(request, { session })
    );
  },
};
