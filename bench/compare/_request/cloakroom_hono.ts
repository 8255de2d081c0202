import { Hono } from "hono";
import { session, type SessionEnv } from "../../../adapters/hono.ts";
import { Manager } from "../../../mod.ts";
import { newcomerIn, perform } from "./actions.ts";
import type { FetchSetup, Visitor } from "./contract.ts";
import { bareHono } from "./hono.ts";

const manager = new Manager<Visitor>();

/** Ours, with its adapter for Hono. */
export const setup: FetchSetup = {
  name: "ours, Hono",
  packages: ["hono"],
  keeps: "server",
  kind: "fetch",
  bare: bareHono,
  handler(action) {
    const app = new Hono<SessionEnv<Visitor>>().use(session(manager));
    app.get("/", (context) => {
      const newcomer = newcomerIn(context.req.raw, action);
      return context.text(perform(action, context.var.session, newcomer));
    });
    return (request) => app.fetch(request);
  },
};
