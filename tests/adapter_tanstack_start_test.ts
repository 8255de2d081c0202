/** Tests the adapter for TanStack Start on an application that Vite has built. */
import { redirect } from "@tanstack/react-router";
import {
  type AnyRequestMiddleware,
  createMiddleware,
} from "@tanstack/react-start";
import { AsyncLocalStorage } from "node:async_hooks";
import { tanstack } from "../adapters/tanstack_start.ts";
import type { Session } from "../mod.ts";
import { serve } from "./_server.ts";
import { build, missingCompiler } from "./adapters/_build.ts";
import { versionOf } from "./adapters/_packages.ts";
import {
  type App,
  type Data,
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

/** What a server route gets. */
interface Input {
  readonly request: Request;
  readonly context: { readonly session: Session<Data> };
}

type Answer = (input: Input) => Response | Promise<Response>;

/** What the built files, which hold nothing themselves, ask for. */
interface Parts {
  readonly middleware: readonly AnyRequestMiddleware[];
  readonly answer: Answer;
}

const parts = new AsyncLocalStorage<Parts>();
const PARTS = "cloakroom.tests.parts";
Object.assign(globalThis, { [Symbol.for(PARTS)]: () => parts.getStore() });
const OWN = `globalThis[Symbol.for("${PARTS}")]()`;

const FILES = {
  "package.json": '{ "type": "module", "private": true }',
  "vite.config.js":
    `import { tanstackStart } from "@tanstack/react-start/plugin/vite";
export default { plugins: [tanstackStart()], logLevel: "error" };`,
  "src/router.js": `import { createRouter } from "@tanstack/react-router";
import { routeTree } from "./routeTree.gen";
export const getRouter = () => createRouter({ routeTree });`,
  "src/start.js": `import { createStart } from "@tanstack/react-start";
export const startInstance = createStart(() => ({
  requestMiddleware: ${OWN}.middleware,
}));`,
  "src/routes/__root.js":
    `import { createRootRoute, Outlet } from "@tanstack/react-router";
export const Route = createRootRoute({ component: Outlet });`,
  "src/routes/$.js": routeFile("/$"),
  [`src/routes${NESTED.prefix}${NESTED.path}.js`]: routeFile(
    NESTED.prefix + NESTED.path,
  ),
};

function routeFile(path: string): string {
  return `import { createFileRoute } from "@tanstack/react-router";
export const Route = createFileRoute("${path}")({
  server: { handlers: { ANY: (input) => ${OWN}.answer(input) } },
});`;
}

const missing = missingCompiler();
if (missing === undefined) await describeTanStackStart();
else skipFramework("TanStack Start", missing);

async function describeTanStackStart(): Promise<void> {
  const version = versionOf("@tanstack/react-start");
  const folder = build(`tanstack-start-${version}`, FILES);
  const { default: built } = await import(
    new URL("dist/server/server.js", folder).href
  ) as { default: { fetch(request: Request): Promise<Response> } };
  describeFramework({
    ...{ name: "TanStack Start", version, thrown4xx: "kept" },
    serve(app) {
      const own = { middleware: middlewareOf(app), answer: answerOf(app) };
      return serve((request) => parts.run(own, () => built.fetch(request)));
    },
    cannot: withoutSockets(
      "TanStack Start answers with responses of its own making only",
    ),
  });
}

function middlewareOf(
  { manager, context: here, mounts }: App,
): AnyRequestMiddleware[] {
  const before = createMiddleware().server(async ({ next }) => {
    const result = await next();
    result.response.headers.set("x-outer", "outer");
    return result;
  });
  const sessions = createMiddleware().server(({ request, next }) =>
    tanstack(manager, request, (session) => next({ context: { session } }))
  );
  const inContext = createMiddleware().middleware([sessions])
    .server(({ next, context }) => here.run(context.session, () => next()));
  const after = createMiddleware().middleware([sessions])
    .server(async ({ next, context, pathname }) => {
      if (pathname !== "/write") return await next();
      const name = context.session.get("name") ?? "nobody";
      const result = await next();
      result.response.headers.set("x-inner", name);
      return result;
    });
  const mounted = [
    sessions,
    createMiddleware().server(sessions.options.server!),
  ];
  return [before, ...mounted.slice(0, mounts), inContext, after];
}

function answerOf(app: App): Answer {
  return (input) => {
    const { context: { session }, request: { url } } = input;
    const { pathname } = new URL(url);
    const own = OWN_ROUTES[pathname];
    if (own !== undefined) return own(input);
    const route = ROUTES[pathname as `/${string}`];
    return route === undefined
      ? new Response("not found", { status: 404 })
      : responseOf(route, { session, url, app });
  };
}

/** What TanStack Start does in its own way. */
const OWN_ROUTES: Readonly<Record<string, Answer>> = {
  [NESTED.prefix + NESTED.path]: ({ context, request }) => {
    context.session.set("name", parameter(request.url, "name"));
    return new Response("nested");
  },
  "/redirect": ({ context }) => {
    context.session.set("name", "redirected");
    throw redirect({ href: "/read" });
  },
  "/refuse": ({ context }) => {
    context.session.set("name", "refused");
    throw new Response(null, { status: 418 });
  },
};
