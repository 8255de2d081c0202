import Koa, { type Context } from "koa";
import { createSession } from "koa-session";
import { handleOf, IDLE, type Peer, REMEMBERED, SECRET } from "../contract.ts";
import { listen, sign } from "./_node.ts";

/** With a store; without one all is in a signed cookie. */
export const peer: Peer = {
  packages: ["koa-session"],
  framework: "Koa",
  stateless: "optional",
  async forge(id) {
    const signature = (await sign(`koa.sess=${id}`, "SHA-1"))
      .replaceAll("/", "_").replaceAll("+", "-");
    return `koa.sess=${id}; koa.sess.sig=${signature}`;
  },
  open(lab) {
    const app = new Koa();
    app.keys = [SECRET];
    app.silent = true;
    const store = {
      get: async (id: string) => JSON.parse(await lab.store.get(id) ?? "null"),
      set: (id: string, value: unknown, age: number) =>
        lab.store.set(id, JSON.stringify(value), age / 1000 || IDLE),
      destroy: (id: string) => lab.store.delete(id),
    };
    const options = { maxAge: IDLE * 1000, renew: true };
    app.use(
      createSession(lab.isStateless ? options : { ...options, store }, app),
    );
    app.use(async (context: Context) => {
      const handle = handleOf(() => context.session ?? {}, {
        async signIn(user, remember) {
          context.session.user = user;
          if (remember !== undefined) {
            context.session.maxAge = remember ? REMEMBERED * 1000 : "session";
          }
          await context.session.regenerate();
        },
        signOut: () => context.session = null,
      });
      context.body = await lab.serve(context.url, handle);
      context.set(lab.headers);
    });
    return listen(app.callback());
  },
};
