/** Tests the adapter for Hono on Hono's own servers. */
import { assertEquals } from "@std/assert";
import { type Context, Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import { describe, it } from "node:test";
import { session, type SessionEnv } from "../adapters/hono.ts";
import type { UpgradeWebSocket } from "hono/ws";
import { Manager } from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { failCall } from "./_providers.ts";
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
import { describeFramework } from "./adapters/_suite.ts";
import { serve } from "./_server.ts";

type Env = SessionEnv<Data>;

// Each fails to load on the other runtime.
const { upgradeWebSocket, websocket } = await (
  "Bun" in globalThis ? import("hono/bun") : import("hono/deno")
) as { upgradeWebSocket: UpgradeWebSocket; websocket?: unknown };

describeFramework({
  name: "Hono",
  version: versionOf("hono"),
  serve(app) {
    const hono = honoApp(app);
    return serve(
      (request, server) => hono.fetch(request, server as object),
      websocket,
    );
  },
  thrown4xx: "dropped",
});

function honoApp(app: App): Hono<Env> {
  const hono = new Hono<Env>();
  hono.use(async (c, next) => {
    await next();
    c.header("x-outer", "outer");
  });
  for (let mount = 0; mount < app.mounts; mount++) {
    hono.use(session(app.manager));
  }
  hono.use((c, next) => app.context.run(c.var.session, next));
  hono.use("/write", async (c, next) => {
    const name = c.var.session.get("name") ?? "nobody";
    await next();
    c.header("x-inner", name);
  });
  const bind = (route: Route) => (c: Context<Env>) =>
    responseOf(route, { session: c.var.session, url: c.req.url, app });
  for (const [path, route] of Object.entries(ROUTES)) {
    hono.all(path, bind(route));
  }
  const nested = new Hono<Env>();
  nested.get(NESTED.path, (c) => {
    c.var.session.set("name", parameter(c.req.url, "name"));
    return c.text("nested");
  });
  hono.route(NESTED.prefix, nested);
  hono.get("/redirect", (c) => {
    c.var.session.set("name", "redirected");
    return c.redirect("/read");
  });
  hono.get("/refuse", (c) => {
    c.var.session.set("name", "refused");
    throw new HTTPException(418);
  });
  hono.get(
    "/socket",
    upgradeWebSocket((c) => {
      const name = c.var.session.get("name");
      return { onOpen: (_event, socket) => socket.send(`Hello ${name}`) };
    }),
  );
  return hono;
}

describe("the adapter for Hono", () => {
  it("keeps the headers of a dropped answer from the error page", async () => {
    const provider = new MemoryProvider();
    failCall(provider, "create");
    await using manager = new Manager<Data>({ provider });
    const app = new Hono<Env>().use(session(manager));
    app.get("/", (c) => {
      c.var.session.set("name", "Ada");
      return new Response("Hello", { headers: { "x-own": "dropped" } });
    });
    app.onError((_error, c) => c.text("Sorry", 500));
    const response = await app.request("/");
    assertEquals([response.status, await response.text()], [500, "Sorry"]);
    assertEquals(response.headers.get("x-own"), null);
  });

  it("keeps the app's own cookies on an answer that cannot be changed", async () => {
    await using manager = new Manager<Data>();
    const app = new Hono<Env>().use(session(manager));
    const own = new Headers({ location: "/", "set-cookie": "theme=dark" });
    const home = new Response(null, { status: 303, headers: own });
    app.get("/", (c) => {
      c.var.session.set("name", "Ada");
      return home;
    });
    for (let visit = 0; visit < 2; visit++) {
      const { headers } = await app.request("/");
      assertEquals(headers.getSetCookie().length, 2);
    }
    assertEquals(home.headers.getSetCookie(), ["theme=dark"]);
  });
});
