/** Tests the adapter for Astro on the application that its servers run. */
import type { APIRoute, MiddlewareHandler, SSRManifest } from "astro";
import { App as AstroApp } from "astro/app";
import { sequence } from "astro/middleware";
import { assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import { astro } from "../adapters/astro.ts";
import { Manager } from "../mod.ts";
import { serve } from "./_server.ts";
import "./adapters/_locals.ts";
import { versionOf } from "./adapters/_packages.ts";
import {
  type App as Application,
  type Data,
  NESTED,
  parameter,
  responseOf,
  ROUTES,
} from "./adapters/_routes.ts";
import { upgrade, websocket } from "./adapters/_sockets.ts";
import { describeFramework } from "./adapters/_suite.ts";

/** Bun's server, by request. */
const servers = new WeakMap<Request, unknown>();

describeFramework({
  name: "Astro",
  version: versionOf("astro"),
  serve(app) {
    const site = new AstroApp(manifestOf(app));
    return serve((request, server) => {
      servers.set(request, server);
      return site.render(request);
    }, websocket);
  },
  thrown4xx: "kept",
});

function endpointsOf(app: Application): Record<string, APIRoute> {
  const endpoints: Record<string, APIRoute> = {
    [NESTED.prefix + NESTED.path]: ({ locals, url }) => {
      locals.session.set("name", parameter(url.href, "name"));
      return new Response("nested");
    },
    "/redirect": ({ locals, redirect }) => {
      locals.session.set("name", "redirected");
      return redirect("/read");
    },
    // Astro has no error with a status: an endpoint answers with one.
    "/refuse": ({ locals }) => {
      locals.session.set("name", "refused");
      return new Response(null, { status: 418 });
    },
    "/socket": ({ locals, request }) => {
      const message = `Hello ${locals.session.get("name")}`;
      return upgrade(request, servers.get(request), message);
    },
  };
  for (const [path, route] of Object.entries(ROUTES)) {
    endpoints[path] = ({ locals, url }) =>
      responseOf(route, { session: locals.session, url: url.href, app });
  }
  return endpoints;
}

function middlewareOf({ manager, context, mounts }: Application) {
  const before: MiddlewareHandler = async (_context, next) => {
    const response = await next();
    response.headers.set("x-outer", "outer");
    return response;
  };
  const after: MiddlewareHandler = async ({ locals, url }, next) => {
    if (url.pathname !== "/write") return await next();
    const name = locals.session.get("name") ?? "nobody";
    const response = await next();
    response.headers.set("x-inner", name);
    return response;
  };
  return sequence(
    before,
    ...Array.from({ length: mounts }, () => astro(manager)),
    ({ locals }, next) => context.run(locals.session, next),
    after,
  );
}

/** A manifest as Astro's compiler makes it. */
function manifestOf(app: Application): SSRManifest {
  const endpoints = Object.entries(endpointsOf(app));
  const manifest = {
    routes: endpoints.map(([path]) => routeOf(path)),
    pageMap: new Map(
      endpoints.map(([path, ALL]) =>
        [path, () => Promise.resolve({ page: () => ({ ALL }) })] as const
      ),
    ),
    middleware: () => ({ onRequest: middlewareOf(app) }),
    ...{ base: "/", trailingSlash: "ignore", buildFormat: "directory" },
    ...{ serverLike: true, middlewareMode: "classic", checkOrigin: false },
    ...{ renderers: [], clientDirectives: new Map(), entryModules: {} },
    ...{ inlinedScripts: new Map(), assets: new Set() },
    ...{ componentMetadata: new Map(), logLevel: "silent" },
    rootDir: new URL("file:///"),
  };
  return manifest as unknown as SSRManifest;
}

function routeOf(path: string) {
  const content = path.slice(1);
  const routeData = {
    ...{ route: path, component: path, pathname: path, type: "endpoint" },
    ...{ params: [], distURL: [], fallbackRoutes: [], isIndex: false },
    ...{ prerender: false, origin: "project" },
    pattern: new RegExp(`^${path}/?$`),
    segments: [[{ content, dynamic: false, spread: false }]],
  };
  return { routeData, file: "", links: [], scripts: [], styles: [] };
}

describe("the adapter for Astro", () => {
  it("gives no session to a page that is made when the site is built", async () => {
    await using manager = new Manager<Data>();
    const page = new Response("for everybody");
    const locals = {};
    const request = new Request("http://localhost/");
    const context = { request, locals, isPrerendered: true };
    const answer = await astro(manager)(context, () => Promise.resolve(page));
    assertEquals(answer, page);
    assertEquals(locals, {});
  });
});
