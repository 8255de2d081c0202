/** Tests the adapter for React Router on its request handler. */
import {
  createContext,
  createRequestHandler,
  data,
  type LoaderFunctionArgs,
  type MiddlewareFunction,
  redirect,
  type ServerBuild,
} from "react-router";
import { reactRouter } from "../adapters/react_router.ts";
import type { Session } from "../mod.ts";
import { serve } from "./_server.ts";
import { versionOf } from "./adapters/_packages.ts";
import {
  type App,
  type Data,
  NESTED,
  parameter,
  responseOf,
  ROUTES,
} from "./adapters/_routes.ts";
import { describeFramework, withoutSockets } from "./adapters/_suite.ts";

const sessionContext = createContext<Session<Data>>();

describeFramework({
  name: "React Router",
  version: versionOf("react-router"),
  serve(app) {
    const handler = createRequestHandler(buildOf(app), "production");
    return serve((request) => handler(request));
  },
  thrown4xx: "kept",
  cannot: withoutSockets(
    "React Router answers with responses of its own making only",
  ),
});

/** What a route does for every method. */
type Loader = (args: LoaderFunctionArgs) => unknown;

type Routes = ServerBuild["routes"];

type ServerRoute = NonNullable<Routes[string]>;

/** A build as the framework's compiler makes it. */
function buildOf(app: App): ServerBuild {
  const routes: Routes = { root: rootOf(app) };
  const add = (path: string, loader: Loader, parent = "root") => {
    const module = { loader, action: loader } as ServerRoute["module"];
    routes[parent + path] = {
      ...{ id: parent + path, parentId: parent },
      path: path.slice(1),
      ...(path === "/" ? { index: true } : {}),
      module,
    };
  };
  for (const [path, loader] of Object.entries(loadersOf(app))) {
    add(path, loader);
  }
  add(NESTED.prefix, () => null);
  // Without a route there would be no middleware to answer there.
  add("/device-bound-session", () => null);
  add(NESTED.path, ({ context, request }) => {
    context.get(sessionContext).set("name", parameter(request.url, "name"));
    return new Response("nested");
  }, `root${NESTED.prefix}`);
  return {
    routes,
    entry: { module: { default: documentOf, handleError: () => {} } },
    assets: {
      entry: { imports: [], module: "" },
      routes: {},
      url: "",
      version: "",
    },
    ...{ publicPath: "/", assetsBuildDirectory: "", basename: "/" },
    ...{ ssr: true, isSpaMode: false, prerender: [], future: {} },
    routeDiscovery: { mode: "initial", manifestPath: "/__manifest" },
  };
}

/** The page that an error becomes. */
function documentOf(
  _request: Request,
  status: number,
  headers: Headers,
): Response {
  return new Response("a page", { status, headers });
}

function rootOf({ manager, context: here, mounts }: App): Routes[string] {
  const middleware: MiddlewareFunction<Response>[] = [
    async (_args, next) => {
      const response = await next();
      response.headers.set("x-outer", "outer");
      return response;
    },
  ];
  for (let mount = 0; mount < mounts; mount++) {
    middleware.push(reactRouter(manager, sessionContext));
  }
  middleware.push(
    ({ context }, next) => here.run(context.get(sessionContext), next),
    async ({ context, request }, next) => {
      if (!new URL(request.url).pathname.endsWith("/write")) return next();
      const name = context.get(sessionContext).get("name") ?? "nobody";
      const response = await next();
      response.headers.set("x-inner", name);
      return response;
    },
  );
  return { id: "root", path: "", module: { middleware, default: () => null } };
}

function loadersOf(app: App): Record<string, Loader> {
  const loaders: Record<string, Loader> = {
    "/redirect": ({ context }) => {
      context.get(sessionContext).set("name", "redirected");
      return redirect("/read");
    },
    "/refuse": ({ context }) => {
      context.get(sessionContext).set("name", "refused");
      throw data(null, { status: 418 });
    },
  };
  loaders["/socket"] = () => new Response("no sockets here");
  for (const [path, route] of Object.entries(ROUTES)) {
    loaders[path] = ({ context, request }) => {
      const session = context.get(sessionContext);
      return responseOf(route, { session, url: request.url, app });
    };
  }
  return loaders;
}
