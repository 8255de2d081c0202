/** Tests the adapter for Fastify on its server. */
import {
  fastify,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from "fastify";
import { session, type SessionRequest } from "../adapters/fastify.ts";
import { listen, streamOf, teapot } from "./adapters/_node_server.ts";
import { versionOf } from "./adapters/_packages.ts";
import {
  type App,
  type Data,
  NESTED,
  parameter,
  type Reply,
  ROUTES,
} from "./adapters/_routes.ts";
import type { Session } from "../mod.ts";
import { describeFramework } from "./adapters/_suite.ts";

describeFramework({
  name: "Fastify",
  version: versionOf("fastify"),
  async serve(app) {
    const web = await fastifyApp(app);
    await web.ready();
    return listen(web.server, app);
  },
  thrown4xx: "dropped",
});

async function fastifyApp(app: App): Promise<FastifyInstance> {
  const web = fastify();
  web.addHook("onRequest", (_request, reply, done) => {
    reply.header("x-outer", "outer");
    done();
  });
  for (let mount = 0; mount < app.mounts; mount++) {
    await web.register(session(app.manager));
  }
  web.addHook("onRequest", (request, reply, done) => {
    if (request.url.startsWith("/write")) {
      reply.header("x-inner", sessionOf(request).get("name") ?? "nobody");
    }
    app.context.run(sessionOf(request), done);
  });
  for (const [path, route] of Object.entries(ROUTES)) {
    web.all(path, async (request, reply) => {
      const visit = { session: sessionOf(request), url: request.url, app };
      return await answer(reply, await route(visit));
    });
  }
  await web.register((nested, _options, done) => {
    nested.get(NESTED.path, (request) => {
      sessionOf(request).set("name", parameter(request.url, "name"));
      return Promise.resolve("nested");
    });
    done();
  }, { prefix: NESTED.prefix });
  web.get("/redirect", (request, reply) => {
    sessionOf(request).set("name", "redirected");
    return reply.redirect("/read");
  });
  web.get("/refuse", (request) => {
    sessionOf(request).set("name", "refused");
    throw teapot();
  });
  return web;
}

/** Typed as an application does it once, in `adapters/examples/fastify.ts`. */
function sessionOf(request: FastifyRequest): Session<Data> {
  return (request as unknown as SessionRequest<Data>).session;
}

function answer(
  reply: FastifyReply,
  { status, headers, body }: Reply,
): FastifyReply {
  reply.code(status);
  for (const [name, value] of headers) reply.header(name, value);
  return reply.send(
    body instanceof ReadableStream ? streamOf(body) : body ?? undefined,
  );
}
