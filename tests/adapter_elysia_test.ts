/** Tests the adapter for Elysia on its servers for Deno and for Bun. */
import { assertEquals, assertThrows } from "@std/assert";
import { Elysia } from "elysia";
import { describe, it } from "node:test";
import { type ElysiaSession, session } from "../adapters/elysia.ts";
import { Manager, type Session } from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { failCall } from "./_providers.ts";
import { serve } from "./_server.ts";
import { versionOf } from "./adapters/_packages.ts";
import {
  type App,
  type Data,
  NESTED,
  parameter,
  responseOf,
  type Route,
  ROUTES,
  type Visit,
} from "./adapters/_routes.ts";
import { upgrade } from "./adapters/_sockets.ts";
import { describeFramework } from "./adapters/_suite.ts";

describeFramework({
  name: "Elysia",
  version: versionOf("elysia"),
  serve(app) {
    const elysia = elysiaApp(app);
    if (!("Bun" in globalThis)) {
      return serve((request) => elysia.fetch(request));
    }
    elysia.listen({ hostname: "127.0.0.1", port: 0 });
    return {
      url: `http://127.0.0.1:${elysia.server?.port}`,
      close: async () => void await elysia.stop(true),
    };
  },
  thrown4xx: "kept",
});

/** Elysia's types say that what is wrapped returns a function. */
type Fetch = (request: Request) => Promise<Response | undefined>;

/** A handler's context, as far as the routes need it. */
type Context = Pick<Visit, "session"> & { readonly request: Request };

function elysiaApp({ manager, context, mounts, ...rest }: App) {
  const app = { manager, context, mounts, ...rest };
  const { wrap, derive } = session(manager);
  const elysia = new Elysia()
    .wrap((fetch) => {
      const answer = fetch as unknown as Fetch;
      return (request: Request) =>
        manager.run(
          request,
          (session) => context.run(session, () => answer(request)),
        );
    })
    .wrap(wrap)
    .derive({ as: "global" }, derive)
    .onBeforeHandle(({ path, session, set }) => {
      if (path !== "/write") return;
      set.headers["x-inner"] = session.get("name") ?? "nobody";
    });
  if (mounts === 2) elysia.wrap(session(manager).wrap);
  elysia.wrap((fetch) => async (request: Request) => {
    const response = await (fetch as unknown as Fetch)(request);
    response?.headers.set("x-outer", "outer");
    return response;
  });
  const bind = (route: Route) => ({ session, request }: Context) =>
    responseOf(route, { session, url: request.url, app });
  for (const [path, route] of Object.entries(ROUTES)) {
    elysia.all(path, bind(route));
  }
  const nested = new Elysia({ prefix: NESTED.prefix })
    .derive(derive)
    .get(NESTED.path, ({ session, request }) => {
      session.set("name", parameter(request.url, "name"));
      return "nested";
    });
  return elysia
    .use(nested)
    .get("/redirect", ({ session, redirect, request }) => {
      session.set("name", "redirected");
      return redirect(new URL("/read", request.url).href);
    })
    .get("/refuse", ({ session, status }) => {
      session.set("name", "refused");
      throw status(418);
    })
    .use(socketApp(derive));
}

/** Elysia's own WebSockets are for Bun alone. */
function socketApp(derive: ElysiaSession<Data>["derive"]) {
  const greeting = (session: Session<Data>) => `Hello ${session.get("name")}`;
  const elysia = new Elysia().derive(derive);
  return "Bun" in globalThis
    ? elysia.ws("/socket", {
      open: (socket) => void socket.send(greeting(socket.data.session)),
    })
    : elysia.get(
      "/socket",
      ({ session, request }) => upgrade(request, undefined, greeting(session)),
    );
}

describe("the adapter for Elysia", () => {
  it("says what is missing where requests are not wrapped", async () => {
    await using manager = new Manager<Data>();
    const { derive } = session(manager);
    assertThrows(
      () => derive({ request: new Request("http://localhost/") }),
      TypeError,
      "the app has no .wrap() of this session(manager)",
    );
  });

  it("answers a failing store with 503 or as the manager says", async () => {
    const provider = new MemoryProvider();
    failCall(provider, "create");
    await using manager = new Manager<Data>({ provider });
    const { wrap, derive } = session(manager);
    const app = new Elysia().wrap(wrap).derive({ as: "global" }, derive)
      .get("/", ({ session }) => session.set("name", "Ada"));
    const response = await app.handle(new Request("http://localhost/"));
    assertEquals([response.status, response.headers.has("retry-after")], [
      503,
      true,
    ]);
  });
});
