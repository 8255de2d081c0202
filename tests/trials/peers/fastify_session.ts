import { RedisStore } from "connect-redis";
import fastify from "fastify";
import { handleOf, IDLE, type Peer, REMEMBERED, SECRET } from "../contract.ts";
import { listen, signed } from "./_node.ts";

// Their types would say of every Fastify what a session is, of ours too.
const [NAME, COOKIE]: string[] = ["@fastify/session", "@fastify/cookie"];
const { default: session } = await import(NAME as string);
const { default: cookie } = await import(COOKIE as string);

/** With `connect-redis`, whose kind of store it takes. */
export const peer: Peer = {
  packages: ["@fastify/session", "@fastify/cookie", "connect-redis"],
  framework: "Fastify",
  stateless: "never",
  forge: async (id) => `sessionId=${await signed(id)}`,
  async open(lab) {
    const app = fastify();
    const client = lab.store.asRedis();
    app.register(cookie).register(session, {
      store: new RedisStore({ client, prefix: "", ttl: IDLE }),
      secret: SECRET,
      saveUninitialized: false,
      cookie: { secure: false },
    });
    // deno-lint-ignore no-explicit-any -- Fastify knows of no session
    app.all("/*", async (request: any, answer: any) => {
      const handle = handleOf(() => request.session, {
        async signIn(user, remember) {
          await request.session.regenerate();
          request.session.user = user;
          if (remember) request.session.cookie.maxAge = REMEMBERED * 1000;
        },
        signOut: () => request.session.destroy(),
      });
      const body = await lab.serve(request.url, handle);
      return answer.headers(lab.headers).send(body);
    });
    await app.ready();
    return listen((request, response) => app.routing(request, response));
  },
};
