/** Tests the adapter for h3 on its servers for Deno and for Bun. */
import { assertEquals } from "@std/assert";
import { H3, type H3Event, HTTPError, HTTPResponse, redirect } from "h3";
import { describe, it } from "node:test";
import { h3 } from "../adapters/h3.ts";
import { Manager } from "../mod.ts";
import { serve } from "./_server.ts";
import "./adapters/_locals.ts";
import { versionOf } from "./adapters/_packages.ts";
import {
  type App,
  type Data,
  NESTED,
  parameter,
  responseOf,
  type Route,
  ROUTES,
} from "./adapters/_routes.ts";
import { upgrade, websocket } from "./adapters/_sockets.ts";
import { describeFramework } from "./adapters/_suite.ts";

/** Bun's server, by request. */
const servers = new WeakMap<object, unknown>();

describeFramework({
  name: "h3",
  version: versionOf("h3"),
  serve(app) {
    const web = h3App(app);
    return serve((request, server) => {
      servers.set(request, server);
      return web.fetch(request);
    }, websocket);
  },
  thrown4xx: "dropped",
});

function h3App(app: App): H3 {
  const web = new H3({ silent: true });
  web.use((event, next) => {
    event.res.headers.set("x-outer", "outer");
    return next();
  });
  for (let mount = 0; mount < app.mounts; mount++) web.use(h3(app.manager));
  web.use((event, next) => app.context.run(event.context.session, next));
  web.use("/write", (event, next) => {
    const name = event.context.session.get("name") ?? "nobody";
    event.res.headers.set("x-inner", name);
    return next();
  });
  const bind = (route: Route) => ({ context, req }: H3Event) =>
    responseOf(route, { session: context.session, url: req.url, app });
  for (const [path, route] of Object.entries(ROUTES)) {
    web.all(path, bind(route));
  }
  const nested = new H3();
  nested.get(NESTED.path, ({ context, req }) => {
    context.session.set("name", parameter(req.url, "name"));
    return "nested";
  });
  web.mount(NESTED.prefix, nested);
  web.get("/redirect", ({ context }) => {
    context.session.set("name", "redirected");
    return redirect("/read");
  });
  web.get("/refuse", ({ context }) => {
    context.session.set("name", "refused");
    throw new HTTPError({ status: 418 });
  });
  web.get("/socket", ({ context, req }) => {
    const message = `Hello ${context.session.get("name")}`;
    return upgrade(req as Request, servers.get(req), message);
  });
  return web;
}

describe("the adapter for h3", () => {
  it("adds to the headers of a response instead of replacing them", async () => {
    await using manager = new Manager<Data>();
    const response = await answerTo(manager, ({ context }) => {
      context.session.set("name", context.session.principal ?? "nobody");
      const vary = "Accept";
      return new Response("", {
        headers: { vary, "set-cookie": "theme=dark" },
      });
    });
    assertEquals(response.headers.get("vary"), "Accept, Cookie");
    assertEquals(response.headers.getSetCookie().length, 2);
  });

  it("overrules a response that lets caches keep it", async () => {
    await using manager = new Manager<Data>();
    const response = await answerTo(manager, ({ context }) => {
      context.session.set("name", "Ada");
      const headers = { "cdn-cache-control": "max-age=300", expires: "never" };
      return new HTTPResponse("", { headers });
    });
    assertEquals(response.headers.getSetCookie().length, 1);
    assertEquals(response.headers.get("cache-control"), "no-store");
    assertEquals(response.headers.get("cdn-cache-control"), "no-store");
    assertEquals(response.headers.get("expires"), "0");
  });

  it("puts the cookie on an error that is returned", async () => {
    await using manager = new Manager<Data>();
    const response = await answerTo(manager, ({ context }) => {
      context.session.set("name", "Ada");
      return new HTTPError({ status: 403 });
    });
    assertEquals(response.status, 403);
    assertEquals(response.headers.getSetCookie().length, 1);
  });

  it("puts the cookie on a page that is not there", async () => {
    await using manager = new Manager<Data>();
    const web = new H3().use(h3(manager)).use((event, next) => {
      event.context.session.set("name", "Ada");
      return next();
    });
    const response = await web.request("/");
    assertEquals(response.status, 404);
    assertEquals(response.headers.getSetCookie().length, 1);
  });
});

async function answerTo(
  manager: Manager<Data>,
  handler: (event: H3Event) => unknown,
): Promise<Response> {
  return await new H3().use(h3(manager)).get("/", handler).request("/");
}
