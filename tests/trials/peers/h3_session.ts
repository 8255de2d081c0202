import * as h3 from "h3";
import { ABSOLUTE, IDLE, type Peer, REMEMBERED, SECRET } from "../contract.ts";

const config = { password: SECRET, maxAge: ABSOLUTE, idleTimeout: IDLE };
const remembered = { ...config, maxAge: REMEMBERED, idleTimeout: REMEMBERED };

/** The sessions that come with it: all is in an encrypted cookie. */
export const peer: Peer = {
  packages: ["h3"],
  framework: "h3",
  stateless: "always",
  open(lab) {
    const app = new h3.H3({ silent: true });
    app.all("/**", async (event) => {
      const session = await h3.getSession(event, config);
      const change = (key: string, next: (value: unknown) => unknown) =>
        h3.updateSession(event, config, (data) => ({ [key]: next(data[key]) }));
      const body = await lab.serve(event.req.url, {
        user: () => session.data.user,
        get: (key) => session.data[key],
        set: (key, value) => change(key, () => value),
        increment: (key) => change(key, (value) => Number(value ?? 0) + 1),
        signIn: (user, remember) =>
          h3.updateSession(event, remember ? remembered : config, { user }),
        signOut: () => h3.clearSession(event, config),
      });
      for (const name in lab.headers) {
        event.res.headers.set(name, lab.headers[name] ?? "");
      }
      return body;
    });
    return { fetch: (request) => app.fetch(request) };
  },
};
