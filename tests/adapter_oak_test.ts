/** Tests the adapter for Oak, where that can be had. */
import { assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import { oak } from "../adapters/oak.ts";
import { Manager, type Session, type SessionError } from "../mod.ts";
import { load } from "./adapters/_checkouts.ts";
import {
  type App,
  type Data,
  NESTED,
  parameter,
  type Route,
  ROUTES,
} from "./adapters/_routes.ts";
import { describeFramework, skipFramework } from "./adapters/_suite.ts";

/** The part of Oak, which is on JSR alone, that is used. */
interface Oak {
  readonly Application: new () => Application;
  readonly Router: new () => Router;
}

interface Application {
  use(...middleware: Middleware[]): void;
  handle(request: Request): Promise<Response | undefined>;
  listen(options: object): Promise<void>;
  addEventListener(
    type: "listen",
    listener: (event: { readonly port: number }) => void,
  ): void;
  addEventListener(
    type: "error",
    listener: (event: { preventDefault(): void }) => void,
  ): void;
}

interface Router {
  all(path: string, middleware: Middleware): Router;
  use(path: string, middleware: Middleware): Router;
  routes(): Middleware;
}

type Middleware = (
  ctx: Context,
  next: () => Promise<unknown>,
) => unknown;

type Context = Parameters<ReturnType<typeof oak<Data>>>[0] & {
  readonly response: {
    status: number;
    body: unknown;
    redirect(to: string): void;
  };
  throw(status: number): never;
  upgrade(): WebSocket;
};

const found = "Deno" in globalThis ? await load("@oak/oak", "oak") : undefined;
if (found === undefined) {
  skipFramework("Oak", "JSR cannot be reached, or this is Bun");
} else {
  const framework = found.module as unknown as Oak;
  describeFramework({
    ...{ name: "Oak", version: found.version, thrown4xx: "dropped" },
    async serve(app) {
      const stop = new AbortController();
      const application = applicationOf(framework, app);
      const { promise, resolve } = Promise.withResolvers<number>();
      application.addEventListener("listen", ({ port }) => resolve(port));
      application.addEventListener("error", (event) => event.preventDefault());
      // Its promise waits for one more request after the server has stopped.
      application.listen({
        ...{ hostname: "127.0.0.1", port: 0, signal: stop.signal },
      });
      const close = () => Promise.resolve(stop.abort());
      return { url: `http://127.0.0.1:${await promise}`, close };
    },
  });
  describeWith(framework);
}

function describeWith({ Application }: Oak): void {
  describe("the adapter for Oak", () => {
    it("fails where Oak would send an answer without its cookie", async () => {
      await using manager = new Manager<Data>();
      const application = new Application();
      let thrown: unknown;
      application.use(async (_ctx, next) => {
        try {
          await next();
        } catch (error) {
          thrown = error;
        }
      });
      application.use(oak(manager), ({ response, state }) => {
        state.session.set("name", "Ada");
        response.with(new Response("as it is"));
      });
      await application.handle(new Request("http://localhost/"));
      assertEquals((thrown as SessionError)?.code, "unsendable");
    });
  });
}

function applicationOf(
  { Application, Router }: Oak,
  app: App,
): Application {
  const application = new Application();
  application.use(async ({ response }, next) => {
    await next();
    if (response.writable) response.headers.set("x-outer", "outer");
  });
  for (let mount = 0; mount < app.mounts; mount++) {
    application.use(oak(app.manager));
  }
  application.use(({ state }, next) => app.context.run(state.session, next));
  application.use(async ({ request, response, state }, next) => {
    const isWrite = request.url.pathname === "/write";
    const name = isWrite ? nameIn(state.session) : undefined;
    await next();
    if (name !== undefined) response.headers.set("x-inner", name);
  });
  application.use(routerOf(new Router(), new Router(), app).routes());
  return application;
}

function routerOf(router: Router, nested: Router, app: App): Router {
  for (const [path, route] of Object.entries(ROUTES)) {
    router.all(path, (ctx) => answer(ctx, route, app));
  }
  nested.all(NESTED.path, ({ request, response, state }) => {
    state.session.set("name", parameter(request.url.href, "name"));
    response.body = "nested";
  });
  return router
    .use(NESTED.prefix, nested.routes())
    .all("/redirect", ({ response, state }) => {
      state.session.set("name", "redirected");
      response.redirect("/read");
    })
    .all("/refuse", (ctx) => {
      ctx.state.session.set("name", "refused");
      ctx.throw(418);
    })
    .all("/socket", (ctx) => {
      const message = `Hello ${nameIn(ctx.state.session)}`;
      const socket = ctx.upgrade();
      socket.onopen = () => socket.send(message);
    });
}

async function answer(
  { request: { url }, response, state: { session } }: Context,
  route: Route,
  app: App,
): Promise<void> {
  const { status, headers, body } = await route({
    session,
    url: url.href,
    app,
  });
  response.status = status;
  for (const [name, value] of headers) response.headers.append(name, value);
  response.body = body;
}

function nameIn(session: Session<Data>): string {
  return session.get("name") ?? "nobody";
}
