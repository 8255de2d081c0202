/** Tests the adapter for SvelteKit on an application that Vite has built. */
import { assertEquals } from "@std/assert";
import { error, redirect, type RequestEvent, type Server } from "@sveltejs/kit";
import type { Handle } from "@sveltejs/kit/hooks";
import { describe, it } from "node:test";
import { SessionContext } from "../adapters/context.ts";
import { sveltekit } from "../adapters/sveltekit.ts";
import { Manager } from "../mod.ts";
import { type LocalServer, serve } from "./_server.ts";
import { build, missingCompiler } from "./adapters/_build.ts";
import { Client } from "./adapters/_client.ts";
import "./adapters/_locals.ts";
import { versionOf } from "./adapters/_packages.ts";
import {
  type App as Application,
  type Data,
  Gate,
  NESTED,
  parameter,
  responseOf,
  ROUTES,
} from "./adapters/_routes.ts";
import {
  describeFramework,
  skipFramework,
  withoutSockets,
} from "./adapters/_suite.ts";

declare global {
  namespace App {
    /** What the built files, which hold nothing themselves, are given. */
    interface Platform {
      readonly handle: Handle;
      readonly answer: Endpoint;
    }
  }
}

type Endpoint = (event: RequestEvent) => Response | Promise<Response>;

const ENDPOINT = "export const fallback = (e) => e.platform.answer(e);";

const FILES = {
  "package.json": '{ "type": "module", "private": true }',
  "vite.config.js": `import { sveltekit } from "@sveltejs/kit/vite";
export default { plugins: [sveltekit()], logLevel: "error" };`,
  "src/app.html": "<body>%sveltekit.head%%sveltekit.body%</body>",
  "src/hooks.server.js":
    `export const handle = (input) => input.event.platform.handle(input);
export const handleError = () => ({ message: "Internal Error" });`,
  "src/routes/[...path]/+server.js": ENDPOINT,
  [`src/routes${NESTED.prefix}${NESTED.path}/+server.js`]: ENDPOINT,
};

const missing = missingCompiler();
if (missing === undefined) await describeSvelteKit();
else skipFramework("SvelteKit", missing);

async function describeSvelteKit(): Promise<void> {
  const version = versionOf("@sveltejs/kit");
  const folder = build(`sveltekit-${version}`, FILES);
  const load = (file: string) =>
    import(new URL(`.svelte-kit/output/server/${file}`, folder).href);
  const { Server: Built } = await load("index.js") as {
    Server: new (manifest: unknown) => Server;
  };
  const { manifest } = await load("manifest-full.js");
  const start = async (app: Application): Promise<LocalServer> => {
    const server = new Built(manifest);
    await server.init({ env: {} });
    const platform = { handle: handleOf(app), answer: answerOf(app) };
    const getClientAddress = () => "127.0.0.1";
    return serve((request) =>
      server.respond(request, { getClientAddress, platform })
    );
  };
  describeFramework({
    ...{ name: "SvelteKit", version, serve: start, thrown4xx: "kept" },
    cannot: withoutSockets(
      "SvelteKit answers with responses of its own making only",
    ),
  });
  describeSubRequests(start);
}

function handleOf({ manager, context, mounts }: Application): Handle {
  const handles: Handle[] = [
    async ({ event, resolve }) => {
      const response = await resolve(event);
      response.headers.set("x-outer", "outer");
      return response;
    },
    ...Array.from({ length: mounts }, () => sveltekit(manager)),
    ({ event, resolve }) =>
      context.run(event.locals.session, () => resolve(event)),
    async ({ event, resolve }) => {
      if (event.url.pathname !== "/write") return await resolve(event);
      const name = event.locals.session.get("name") ?? "nobody";
      const response = await resolve(event);
      response.headers.set("x-inner", name);
      return response;
    },
  ];
  // `sequence` of "@sveltejs/kit/hooks" works in built code only.
  return handles.reduceRight((inner, outer): Handle => ({ event, resolve }) =>
    outer({
      event,
      resolve: async (own, options) =>
        await inner({ event: own, resolve: (last) => resolve(last, options) }),
    })
  );
}

function answerOf(app: Application): Endpoint {
  return (event) => {
    const { locals: { session }, url: { href, pathname } } = event;
    const endpoint = ENDPOINTS[pathname];
    if (endpoint !== undefined) return endpoint(event);
    const route = ROUTES[pathname as `/${string}`];
    return route === undefined
      ? error(404)
      : responseOf(route, { session, url: href, app });
  };
}

/** What SvelteKit does in its own way. */
const ENDPOINTS: Readonly<Record<string, Endpoint>> = {
  [NESTED.prefix + NESTED.path]: ({ locals, url }) => {
    locals.session.set("name", parameter(url.href, "name"));
    return new Response("nested");
  },
  "/redirect": ({ locals }) => {
    locals.session.set("name", "redirected");
    redirect(303, "/read");
  },
  "/refuse": ({ locals }) => {
    locals.session.set("name", "refused");
    error(418);
  },
  "/ask-itself": async ({ locals, fetch }) => {
    await (await fetch("/set?key=1")).text();
    locals.session.set("name", locals.session.get("key-1") ?? "nothing");
    return await fetch("/write?name=Ada");
  },
};

function describeSubRequests(
  start: (app: Application) => Promise<LocalServer>,
): void {
  describe("what a SvelteKit site asks itself", () => {
    it("shares the session of the request that asks", async () => {
      await using manager = new Manager<Data>();
      const context = new SessionContext<Data>();
      const server = await start({
        manager,
        context,
        mounts: 1,
        gate: new Gate(),
      });
      const client = new Client(server.url);
      const page = await client.open("/ask-itself");
      assertEquals([page.text, page.cookies.length], ["written", 1]);
      const { keys } = await client.read("/items") as { keys: string[] };
      assertEquals(keys.sort(), ["key-1", "name"]);
      await server.close();
    });
  });
}
