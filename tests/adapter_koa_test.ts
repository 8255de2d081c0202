/** Tests the adapter for Koa on its server. */
// @ts-types="npm:@types/koa@^3"
import Koa from "koa";
import { createServer } from "node:http";
import { session, type SessionRequest } from "../adapters/koa.ts";
import { listen, streamOf, teapot } from "./adapters/_node_server.ts";
import { versionOf } from "./adapters/_packages.ts";
import {
  type App,
  type Data,
  NESTED,
  parameter,
  ROUTES,
} from "./adapters/_routes.ts";
import { describeFramework } from "./adapters/_suite.ts";

type State = Koa.DefaultState;
type Context = Koa.ParameterizedContext<State, SessionRequest<Data>>;

describeFramework({
  name: "Koa",
  version: versionOf("koa"),
  serve: (app) => listen(createServer(koaApp(app).callback()), app),
  thrown4xx: "dropped",
});

function koaApp(app: App): Koa<State, SessionRequest<Data>> {
  const web = new Koa<State, SessionRequest<Data>>();
  // The errors of this application are meant.
  web.silent = true;
  web.use((ctx, next) => {
    ctx.set("x-outer", "outer");
    return next();
  });
  for (let mount = 0; mount < app.mounts; mount++) {
    web.use(session(app.manager));
  }
  web.use((ctx, next) => app.context.run(ctx.session, next));
  web.use((ctx, next) => {
    if (ctx.path === "/write") {
      ctx.set("x-inner", ctx.session.get("name") ?? "nobody");
    }
    return next();
  });
  web.use((ctx) => respond(app, ctx));
  return web;
}

async function respond(app: App, ctx: Context): Promise<void> {
  const { session, path, url } = ctx;
  const route = Object.hasOwn(ROUTES, path) ? ROUTES[path as "/"] : undefined;
  if (route !== undefined) {
    const { status, headers, body } = await route({ session, url, app });
    ctx.body = body instanceof ReadableStream ? streamOf(body) : body;
    ctx.status = status;
    for (const [name, value] of headers) {
      if (name === "set-cookie") ctx.append(name, value);
      else ctx.set(name, value);
    }
  }
  if (path === NESTED.prefix + NESTED.path) {
    session.set("name", parameter(url, "name"));
    ctx.body = "nested";
  }
  if (path === "/redirect") {
    session.set("name", "redirected");
    ctx.redirect("/read");
  }
  if (path === "/refuse") {
    session.set("name", "refused");
    throw teapot();
  }
}
