/** Tests the adapter for Fresh, where that can be had. */
import { assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import { fresh } from "../adapters/fresh.ts";
import { Manager } from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { noteCalls } from "./_providers.ts";
import { load } from "./adapters/_checkouts.ts";
import {
  type App as Application,
  type Data,
  NESTED,
  parameter,
  responseOf,
  ROUTES,
} from "./adapters/_routes.ts";
import { upgrade } from "./adapters/_sockets.ts";
import { describeFramework, skipFramework } from "./adapters/_suite.ts";
import { serve } from "./_server.ts";

/** The part of Fresh, which is on JSR alone, that is used. */
interface Fresh {
  readonly App: new () => App;
  readonly HttpError: new (status: number) => Error;
}

interface App {
  use(middleware: Middleware): App;
  all(path: string, middleware: Middleware): App;
  onError(path: string, answer: () => Response): App;
  mountApp(path: string, app: App): App;
  handler(): (request: Request) => Promise<Response>;
}

type Middleware = (ctx: Context) => Response | Promise<Response>;

type Context = Parameters<ReturnType<typeof fresh<Data>>>[0] & {
  readonly url: URL;
  redirect(path: string): Response;
};

const found = "Deno" in globalThis
  ? await load("@fresh/core", "fresh/packages/fresh")
  : undefined;
if (found === undefined) {
  skipFramework("Fresh", "JSR cannot be reached, or this is Bun");
} else {
  const framework = found.module as unknown as Fresh;
  describeFramework({
    ...{ name: "Fresh", version: found.version, thrown4xx: "dropped" },
    serve(app) {
      const handler = appOf(framework, app).handler();
      return serve((request) => handler(request));
    },
  });
  describeErrorPages(framework);
}

function describeErrorPages({ App }: Fresh): void {
  describe("the adapter for Fresh", () => {
    it("drops what was set before an error page answers below 500", async () => {
      const provider = new MemoryProvider();
      await using manager = new Manager<Data>({ provider });
      const calls = noteCalls(provider);
      const app = new App().use(fresh(manager));
      app.onError("/shop", () => new Response("Sorry", { status: 403 }));
      app.all("/shop/cart", ({ state }) => {
        state.session.set("name", "lost");
        throw new Error("thrown after something was set");
      });
      const request = new Request("http://localhost/shop/cart");
      const response = await app.handler()(request);
      assertEquals([response.status, await response.text()], [403, "Sorry"]);
      assertEquals(calls, []);
    });
  });
}

function appOf({ App, HttpError }: Fresh, app: Application): App {
  const site = new App().use(async (ctx) => {
    const response = await ctx.next();
    response.headers.set("x-outer", "outer");
    return response;
  });
  for (let mount = 0; mount < app.mounts; mount++) site.use(fresh(app.manager));
  site.use((ctx) => app.context.run(ctx.state.session, () => ctx.next()));
  site.use(async (ctx) => {
    if (ctx.url.pathname !== "/write") return await ctx.next();
    const name = ctx.state.session.get("name") ?? "nobody";
    const response = await ctx.next();
    response.headers.set("x-inner", name);
    return response;
  });
  for (const [path, route] of Object.entries(ROUTES)) {
    site.all(
      path,
      ({ state, url }) =>
        responseOf(route, { session: state.session, url: url.href, app }),
    );
  }
  const nested = new App().all(NESTED.path, ({ state, url }) => {
    state.session.set("name", parameter(url.href, "name"));
    return new Response("nested");
  });
  return site
    .mountApp(NESTED.prefix, nested)
    .all("/redirect", (ctx) => {
      ctx.state.session.set("name", "redirected");
      return ctx.redirect("/read");
    })
    .all("/refuse", ({ state }) => {
      state.session.set("name", "refused");
      throw new HttpError(418);
    })
    .all(
      "/socket",
      ({ state, req }) =>
        upgrade(req, undefined, `Hello ${state.session.get("name")}`),
    );
}
