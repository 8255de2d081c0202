/**
 * What the types of each framework make of its adapter: `deno check` reads it,
 * and nothing runs it.
 *
 * @module
 */
import { createMiddleware } from "@tanstack/react-start";
import type { MiddlewareHandler } from "astro";
import { Elysia } from "elysia";
import { H3 } from "h3";
import { Hono } from "hono";
import type { MiddlewareFunction } from "react-router";
import { createContext, RouterContextProvider } from "react-router";
import type { Handle } from "@sveltejs/kit/hooks";
import { astro } from "../../adapters/astro.ts";
import { SessionContext } from "../../adapters/context.ts";
import * as elysia from "../../adapters/elysia.ts";
import { h3 } from "../../adapters/h3.ts";
import * as hono from "../../adapters/hono.ts";
import { reactRouter } from "../../adapters/react_router.ts";
import { sveltekit } from "../../adapters/sveltekit.ts";
import { tanstack } from "../../adapters/tanstack_start.ts";
import { Manager, type Session } from "../../mod.ts";
import "./_locals.ts";
import type { Data } from "./_routes.ts";

const manager = new Manager<Data>();

/** Its keys are known, and so are their values. */
function use(session: Session<Data>): void {
  session.get("name") satisfies string | undefined;
  // @ts-expect-error There is no such key
  session.get("nome");
  // @ts-expect-error It is a text
  session.set("name", 1);
}

new Hono<hono.SessionEnv<Data>>().use(hono.session(manager)).get("/", (c) => {
  use(c.var.session);
  // @ts-expect-error There is no such key
  c.var.session.get("nome");
  return c.text("");
});
new Hono<hono.SessionEnv<Data> & { Variables: { own: number } }>()
  .use(hono.session(manager))
  .get("/", (c) => c.json(c.var.own satisfies number));
const { wrap, derive } = elysia.session(manager);
new Elysia().wrap(wrap).derive({ as: "global" }, derive)
  .get("/", ({ session }) => {
    use(session);
    // @ts-expect-error There is no such key
    session.get("nome");
  });

new H3().use(h3(manager)).get("/", ({ context }) => {
  use(context.session);
  // @ts-expect-error There is no such key
  context.session.get("nome");
});

const sessionContext = createContext<Session<Data>>();
reactRouter(manager, sessionContext) satisfies MiddlewareFunction<Response>;
use(new RouterContextProvider().get(sessionContext));
// @ts-expect-error The context is for other sessions
reactRouter(manager, createContext<Session<{ other: number }>>());

sveltekit(manager) satisfies Handle;
(({ event, resolve }) => {
  use(event.locals.session);
  // @ts-expect-error There is no such key
  event.locals.session.get("nome");
  return resolve(event);
}) satisfies Handle;

astro(manager) satisfies MiddlewareHandler;
(({ locals }, next) => {
  use(locals.session);
  // @ts-expect-error There is no such key
  locals.session.get("nome");
  return next();
}) satisfies MiddlewareHandler;

const sessions = createMiddleware().server(({ request, next }) =>
  tanstack(manager, request, (session) => next({ context: { session } }))
);
createMiddleware().middleware([sessions]).server(({ context, next }) => {
  use(context.session);
  // @ts-expect-error There is no such key
  context.session.get("nome");
  return next();
});

use(new SessionContext<Data>().current());
// @ts-expect-error The sessions hold something else
new SessionContext<{ other: number }>() satisfies SessionContext<Data>;
