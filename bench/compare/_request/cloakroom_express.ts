import type { IncomingMessage, ServerResponse } from "node:http";
import { session, type SessionRequest } from "../../../adapters/express.ts";
import { Manager } from "../../../mod.ts";
import { perform } from "./actions.ts";
import {
  type Action,
  NOBODY,
  type NodeSetup,
  type Visitor,
} from "./contract.ts";
import { send } from "./node_exchange.ts";

const middleware = session(new Manager<Visitor>());

/** Ours, with its middleware for Express. */
export const setup: NodeSetup = {
  name: "ours, Express",
  packages: [],
  keeps: "server",
  kind: "node",
  bare: (_incoming, outgoing) => send(outgoing, NOBODY),
  middleware,
  handler: (action) => (incoming, outgoing) =>
    respond(action, incoming, outgoing),
};

function respond(
  action: Action,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): void {
  const { session } = incoming as unknown as SessionRequest<Visitor>;
  const newcomer = action === "signUp" ? incoming.headers["x-visitor"] : null;
  send(outgoing, perform(action, session, newcomer as string | null));
}
