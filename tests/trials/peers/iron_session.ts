import { getIronSession } from "iron-session";
import * as contract from "../contract.ts";

const options = {
  password: contract.SECRET,
  cookieName: "session",
  ttl: contract.ABSOLUTE,
};

/** All is in an encrypted cookie. */
export const peer: contract.Peer = {
  packages: ["iron-session"],
  framework: "none",
  stateless: "always",
  open: (lab) => ({
    async fetch(request) {
      const carrier = new Response(null, { headers: lab.headers });
      const session = await getIronSession<Record<string, unknown>>(
        request,
        carrier,
        options,
      );
      const handle = contract.handleOf(() => session, {
        set(key, value) {
          session[key] = value;
          return session.save();
        },
        signIn(user, remember) {
          session.user = user;
          session.updateConfig({
            ...options,
            ...remember ? { ttl: contract.REMEMBERED } : {},
            ...remember === false
              ? { cookieOptions: { maxAge: undefined } }
              : {},
          });
          return session.save();
        },
        signOut: () => session.destroy(),
      });
      const body = await lab.serve(request.url, handle);
      return new Response(body, { headers: carrier.headers });
    },
  }),
};
