/** Tests the adapter for Express on Express, connect, polka and `node:http`. */
// @ts-types="npm:@types/express@^5"
import express, { type Request, type Response } from "express";
import connect from "connect";
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";
import polka from "polka";
import process from "node:process";
import { session, type SessionRequest } from "../adapters/express.ts";
import { answer, listen, run, teapot } from "./adapters/_node_server.ts";
import { versionOf } from "./adapters/_packages.ts";
import {
  type App,
  type Data,
  NESTED,
  parameter,
  ROUTES,
} from "./adapters/_routes.ts";
import type { Session } from "../mod.ts";
import { describeFramework } from "./adapters/_suite.ts";

type Incoming = IncomingMessage & SessionRequest<Data>;
type Next = (error?: unknown) => void;
type Step = (req: Incoming, res: ServerResponse, next: Next) => unknown;

describeFramework({
  name: "Express",
  version: versionOf("express"),
  serve: (app) => listen(createServer(expressApp(app)), app),
  thrown4xx: "kept",
});

describeFramework({
  name: "connect",
  version: versionOf("connect"),
  serve: (app) => listen(createServer(connectApp(app)), app),
  thrown4xx: "kept",
});

describeFramework({
  name: "polka",
  version: versionOf("polka"),
  serve: (app) => listen(createServer(polkaApp(app)), app),
  thrown4xx: "kept",
});

describeFramework({
  name: "node:http",
  version: process.versions.node,
  serve: (app) => listen(plainServer(app), app),
  thrown4xx: "kept",
});

function expressApp(app: App): express.Express {
  const web = express();
  // The errors of this application are meant.
  web.set("env", "test");
  web.use(outer);
  for (let mount = 0; mount < app.mounts; mount++) {
    web.use(session(app.manager));
  }
  web.use((req, _res, next) => app.context.run(sessionOf(req), next));
  web.use("/write", (req, res, next) => {
    inner({ session: sessionOf(req) }, res, next);
  });
  for (const [path, route] of Object.entries(ROUTES)) {
    // An async function whose error Express takes, as from 5 on it does.
    web.all(path, async (req: Request, res: Response) => {
      const visit = { session: sessionOf(req), url: req.originalUrl, app };
      answer(res, await route(visit));
    });
  }
  const nested = express.Router();
  nested.get(NESTED.path, (req, res) => {
    sessionOf(req).set("name", parameter(req.url, "name"));
    res.json("nested");
  });
  web.use(NESTED.prefix, nested);
  web.get("/redirect", (req, res) => {
    sessionOf(req).set("name", "redirected");
    res.redirect("/read");
  });
  web.get("/refuse", (req) => {
    sessionOf(req).set("name", "refused");
    throw teapot();
  });
  return web;
}

/** Typed as an application does it once, in `adapters/examples/express.ts`. */
function sessionOf(req: Request): Session<Data> {
  return (req as unknown as SessionRequest<Data>).session;
}

function connectApp(app: App): connect.Server {
  const web = connect();
  for (const step of stepsOf(app)) web.use(step as connect.NextHandleFunction);
  // Without a handler of its own, connect prints errors that are meant.
  web.use(
    (
      error: unknown,
      _req: IncomingMessage,
      res: ServerResponse,
      _next: unknown,
    ) => showError(error, res),
  );
  return web;
}

function polkaApp(app: App): RequestListener {
  const web = polka();
  for (const step of stepsOf(app)) web.use(step as polka.Middleware);
  return web.handler.bind(web) as unknown as RequestListener;
}

/** What connect, polka and `node:http` have no words of their own for. */
function stepsOf(app: App): readonly Step[] {
  const mounts = Array.from({ length: app.mounts }, () => session(app.manager));
  return [
    outer,
    ...mounts,
    (req, _res, next) => app.context.run(req.session, next),
    (req, res, next) =>
      pathOf(req) === "/write" ? inner(req, res, next) : next(),
    (req, res, next) => router(app, req, res, next),
  ] as Step[];
}

function router(
  app: App,
  req: Incoming,
  res: ServerResponse,
  next: Next,
): void {
  const url = (req as { originalUrl?: string }).originalUrl ?? req.url ?? "/";
  const path = pathOf(req);
  const route = Object.hasOwn(ROUTES, path) ? ROUTES[path as "/"] : undefined;
  if (route !== undefined) {
    return void run(route, { session: req.session, url, app }, res, next);
  }
  switch (path) {
    case NESTED.prefix + NESTED.path:
      req.session.set("name", parameter(url, "name"));
      res.end("nested");
      return;
    case "/redirect":
      req.session.set("name", "redirected");
      res.writeHead(302, { location: "/read" }).end();
      return;
    case "/refuse":
      req.session.set("name", "refused");
      next(teapot());
      return;
    default:
      next();
  }
}

/** The middleware one after the other, and an error page of its own. */
function plainServer(app: App): Server {
  const steps = stepsOf(app);
  return createServer((incoming, outgoing) => {
    const req = incoming as Incoming;
    const from = (at: number) => (error?: unknown): void => {
      if (error !== undefined) return showError(error, outgoing);
      const step = steps[at];
      if (step !== undefined) step(req, outgoing, from(at + 1));
      else outgoing.writeHead(404).end("not found");
    };
    from(0)();
  });
}

function showError(error: unknown, outgoing: ServerResponse): void {
  outgoing.statusCode = (error as { status?: number }).status ?? 500;
  outgoing.end("error");
}

function outer(_req: unknown, res: ServerResponse, next: Next): void {
  res.setHeader("x-outer", "outer");
  next();
}

function inner(
  { session }: SessionRequest<Data>,
  res: ServerResponse,
  next: Next,
): void {
  res.setHeader("x-inner", session.get("name") ?? "nobody");
  next();
}

function pathOf({ url = "/" }: IncomingMessage): string {
  return new URL(url, "http://localhost").pathname;
}
