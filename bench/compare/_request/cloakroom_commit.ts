import { Manager, type Session } from "../../../mod.ts";
import { bareHandler, newcomerIn, perform } from "./actions.ts";
import type { Action, FetchSetup, Visitor } from "./contract.ts";

const manager = new Manager<Visitor>();

/** Ours, found before and committed after. */
export const setup: FetchSetup = {
  name: "ours, start and commit",
  packages: [],
  keeps: "server",
  kind: "fetch",
  bare: bareHandler,
  handler: (action) => (request) => {
    const session = manager.start(request);
    // On memory it is there at once.
    if (session instanceof Promise) {
      return session.then((session) => respond(action, request, session));
    }
    return respond(action, request, session);
  },
};

function respond(
  action: Action,
  request: Request,
  session: Session<Visitor>,
): Response | Promise<Response> {
  const body = perform(action, session, newcomerIn(request, action));
  return manager.commit(session, new Response(body));
}
