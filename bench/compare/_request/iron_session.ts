import { getIronSession } from "iron-session";
import { bareHandler, newcomerIn, performOn } from "./actions.ts";
import { type FetchSetup, IDLE_TIMEOUT, type Visitor } from "./contract.ts";

const options = {
  password: "password_at_least_32_characters_long",
  cookieName: "session",
  ttl: IDLE_TIMEOUT,
};

/** Keeps everything in an encrypted cookie. */
export const setup: FetchSetup = {
  name: "iron-session",
  packages: ["iron-session"],
  keeps: "cookie",
  kind: "fetch",
  bare: bareHandler,
  handler: (action) => async (request) => {
    // The cookie is appended to its headers.
    const carrier = new Response();
    const session = await getIronSession<Partial<Visitor>>(
      request,
      carrier,
      options,
    );
    const body = performOn(action, session, newcomerIn(request, action));
    const isChange = action === "signUp" || action === "write";
    if (!isChange || session.visitor === undefined) return new Response(body);
    await session.save();
    return new Response(body, { headers: carrier.headers });
  },
};
