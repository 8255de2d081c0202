import { Manager } from "../../../mod.ts";
import { bareHandler, newcomerIn, perform } from "./actions.ts";
import type { FetchSetup, Visitor } from "./contract.ts";

const manager = new Manager<Visitor>();

/** Ours, around the handler. */
export const setup: FetchSetup = {
  name: "ours, handle",
  packages: [],
  keeps: "server",
  kind: "fetch",
  bare: bareHandler,
  handler: (action) =>
    manager.handle((request, session) =>
      new Response(perform(action, session, newcomerIn(request, action)))
    ),
};
