import { createCookie } from "@remix-run/cookie";
import { createMemorySessionStorage } from "@remix-run/session/memory-storage";
import { bareHandler, newcomerIn, perform } from "./actions.ts";
import { type FetchSetup, IDLE_TIMEOUT } from "./contract.ts";

const cookie = createCookie("session", {
  httpOnly: true,
  secrets: ["s3cret1"],
  secure: true,
  sameSite: "Lax",
  path: "/",
  maxAge: IDLE_TIMEOUT,
});
const storage = createMemorySessionStorage();

/** The memory storage behind a signed cookie. Nothing expires on the server. */
export const setup: FetchSetup = {
  name: "@remix-run/session, memory",
  packages: ["@remix-run/session", "@remix-run/cookie"],
  keeps: "server",
  kind: "fetch",
  bare: bareHandler,
  handler: (action) => async (request) => {
    const value = await cookie.parse(request.headers.get("cookie"));
    const session = await storage.read(value);
    const body = perform(action, session, newcomerIn(request, action));
    const response = new Response(body);
    const saved = await storage.save(session);
    if (saved !== null) {
      response.headers.append("set-cookie", await cookie.serialize(saved));
    }
    return response;
  },
};
