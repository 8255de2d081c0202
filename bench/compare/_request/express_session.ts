import session from "express-session";
import type { IncomingMessage, ServerResponse } from "node:http";
import { performOn } from "./actions.ts";
import {
  type Action,
  IDLE_TIMEOUT,
  type Middleware,
  NOBODY,
  type NodeSetup,
  type Visitor,
} from "./contract.ts";
import { send } from "./node_exchange.ts";

/** With its own store, which it warns about in production. */
export const setup: NodeSetup = makeSetup(
  "express-session, MemoryStore",
  ["express-session"],
  undefined,
);

/** `express-session` with a store; its own if `undefined`. */
export function makeSetup(
  name: string,
  packages: readonly string[],
  store: unknown,
): NodeSetup {
  const middleware: Middleware = session({
    secret: "keyboard cat",
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge: IDLE_TIMEOUT * 1000 },
    ...(store === undefined ? {} : { store }),
  });
  return {
    name,
    packages,
    keeps: "server",
    kind: "node",
    bare: (_incoming, outgoing) => send(outgoing, NOBODY),
    middleware,
    handler: (action) => (incoming, outgoing) =>
      respond(action, incoming, outgoing),
  };
}

function respond(
  action: Action,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): void {
  const { session } = incoming as unknown as { session: Partial<Visitor> };
  const newcomer = action === "signUp" ? incoming.headers["x-visitor"] : null;
  send(outgoing, performOn(action, session, newcomer as string | null));
}
