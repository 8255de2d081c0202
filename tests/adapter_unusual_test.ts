/** Tests what Fastify and Koa can do besides answering in the usual way. */
import { assertEquals } from "@std/assert";
import { fastify, type FastifyInstance } from "fastify";
// @ts-types="npm:@types/koa@^3"
import Koa from "koa";
import { createServer } from "node:http";
import { afterEach, describe, it } from "node:test";
import { session as fastifySession } from "../adapters/fastify.ts";
import { session as koaSession, type SessionRequest } from "../adapters/koa.ts";
import { SessionContext } from "../adapters/context.ts";
import { Manager, type Session } from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { later } from "./_providers.ts";
import { Client } from "./adapters/_client.ts";
import { listen, teapot } from "./adapters/_node_server.ts";
import { type Data, Gate, parameter } from "./adapters/_routes.ts";

const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

function newManager(): Manager<Data> {
  const provider = later(new MemoryProvider());
  return new Manager<Data>({ provider, onEvent: () => {} });
}

/** `/write` writes in the usual way, `/read` reads. */
function respond(session: Session<Data>, url: string): string {
  if (!url.startsWith("/write")) return session.get("name") ?? "nobody";
  session.set("name", parameter(url, "name"));
  return "written";
}

async function serve(
  manager: Manager<Data>,
  server: Parameters<typeof listen>[0],
): Promise<Client> {
  const { url, close } = await listen(server, {
    manager,
    context: new SessionContext<Data>(),
    mounts: 1,
    gate: new Gate(),
  });
  closing.push(close, () => manager.close());
  return new Client(url);
}

describe("Fastify", () => {
  async function open(extend: (app: FastifyInstance) => void) {
    const manager = newManager();
    const app = fastify();
    extend(app);
    await app.register(fastifySession(manager));
    app.get(
      "/write",
      (request) => Promise.resolve(respond(sessionOf(request), request.url)),
    );
    app.get(
      "/read",
      (request) => Promise.resolve(respond(sessionOf(request), request.url)),
    );
    app.get("/refuse", (request) => {
      sessionOf(request).set("name", "refused");
      throw teapot();
    });
    app.get("/hijack", (request, reply) => {
      sessionOf(request).set("name", "hijacked");
      reply.hijack();
      reply.raw.end("sent without Fastify");
    });
    await app.ready();
    return await serve(manager, app.server);
  }

  function sessionOf(request: object): Session<Data> {
    return (request as SessionRequest<Data>).session;
  }

  it("drops what was changed before an error, whoever answers it", async () => {
    const client = await open((app) =>
      app.setErrorHandler((_error, _request, reply) =>
        reply.code(418).send("the app's own page")
      )
    );
    await client.open("/write?name=Ada");
    const page = await client.open("/refuse");
    assertEquals([page.status, page.text], [418, "the app's own page"]);
    assertEquals((await client.open("/read")).text, "Ada");
  });

  it("stores what belongs to an answer that was sent without it", async () => {
    const client = await open(() => {});
    await client.open("/write?name=Ada");
    assertEquals((await client.open("/hijack")).text, "sent without Fastify");
    assertEquals((await client.open("/read")).text, "hijacked");
  });

  it("gives no cookie to an answer that was sent without it", async () => {
    const client = await open(() => {});
    const page = await client.open("/hijack");
    assertEquals([page.text, page.cookies], ["sent without Fastify", []]);
    assertEquals((await client.open("/read")).text, "nobody");
  });
});

describe("Koa", () => {
  async function open(codes: unknown[] = []) {
    const manager = newManager();
    const app = new Koa<Koa.DefaultState, SessionRequest<Data>>();
    app.on("error", ({ code }) => codes.push(code));
    app.use(koaSession(manager));
    app.use((ctx) => {
      if (ctx.path !== "/respond") {
        ctx.body = respond(ctx.session, ctx.url);
        return;
      }
      ctx.session.set("name", `${ctx.session.get("name")} by hand`);
      ctx.respond = false;
      ctx.res.end("sent without Koa");
    });
    return await serve(manager, createServer(app.callback()));
  }

  it("stores what belongs to an answer that was sent without it", async () => {
    const codes: unknown[] = [];
    const client = await open(codes);
    await client.open("/write?name=Ada");
    assertEquals((await client.open("/respond")).text, "sent without Koa");
    assertEquals((await client.open("/read")).text, "Ada by hand");
    assertEquals(codes, []);
  });

  it("tells of a cookie that is due to an answer sent without it", async () => {
    const codes: unknown[] = [];
    const client = await open(codes);
    const page = await client.open("/respond");
    assertEquals([page.text, page.cookies], ["sent without Koa", []]);
    assertEquals((await client.open("/read")).text, "nobody");
    assertEquals(codes, ["unsendable"]);
  });
});
