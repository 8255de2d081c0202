import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { promisify } from "node:util";
import { handleOf, IDLE, type Peer, REMEMBERED, SECRET } from "../contract.ts";
import { listen, signed } from "./_node.ts";

/** With `connect-redis`, as both guides say. */
export const peer: Peer = {
  packages: ["express-session", "connect-redis"],
  framework: "Express",
  stateless: "never",
  forge: async (id) => `connect.sid=s%3A${await signed(id)}`,
  open(lab) {
    const app = express().set("env", "test"); // prints no stack
    const store = new RedisStore({
      client: lab.store.asRedis(),
      prefix: "",
      ttl: IDLE,
    });
    app.use(session({
      store,
      secret: SECRET,
      resave: false,
      saveUninitialized: false,
    }));
    // deno-lint-ignore no-explicit-any -- Express knows of no session
    app.use(async (request: any, response: any) => {
      const call = (name: string) =>
        promisify(request.session[name]).call(request.session);
      const handle = handleOf(() => request.session, {
        async signIn(user, remember) {
          await call("regenerate");
          request.session.user = user;
          if (remember) request.session.cookie.maxAge = REMEMBERED * 1000;
        },
        signOut: () => call("destroy"),
      });
      const body = await lab.serve(request.url, handle);
      response.set(lab.headers).send(body);
    });
    return listen(app);
  },
};
