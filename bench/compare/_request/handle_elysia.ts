import { Elysia } from "elysia";
import { Manager, type Session } from "../../../mod.ts";
import { newcomerIn, perform } from "./actions.ts";
import { bareElysia } from "./elysia.ts";
import type { FetchSetup, Visitor } from "./contract.ts";

const manager = new Manager<Visitor>();
const sessions = new WeakMap<Request, Session<Visitor>>();

/** Ours, around the whole of Elysia. */
export const setup: FetchSetup = {
  name: "ours, handle around Elysia",
  packages: ["elysia"],
  keeps: "server",
  kind: "fetch",
  bare: bareElysia,
  handler(action) {
    const app = new Elysia().get("/", ({ request }) => {
      const session = sessions.get(request) as Session<Visitor>;
      return perform(action, session, newcomerIn(request, action));
    });
    return manager.handle((request, session) => {
      sessions.set(request, session);
      return app.fetch(request);
    });
  },
};
