/** Session libraries, each set up as its README says, and this one beside them. */
import { randomBytes } from "node:crypto";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { SessionRequest } from "../../adapters/express.ts";
import type { SessionEnv } from "../../adapters/hono.ts";
import { Manager } from "../../mod.ts";

/** What one visitor's session holds. */
interface Visitor {
  visitor: string;
  visits: number;
}

/**
 * What a request asks for. Every answer but the last is the name that the
 * session holds, or `nobody`.
 *
 * - `bare` is the same framework without a session.
 * - `signUp` stores the name in the header `x-visitor`.
 * - `read` reads the name.
 * - `write` reads it and adds one to the visits.
 * - `visits` answers the visits.
 */
export type Action = "bare" | "signUp" | "read" | "write" | "visits";

/** What is answered to a visitor without a session. */
export const NOBODY = "nobody";

/** How long a session lives without a request, in seconds: our default. */
const IDLE_TIMEOUT = 3600;

/** A handler of standard requests. */
export type Handler = (request: Request) => Response | Promise<Response>;

/** A library in use; all that it serves shares one store. */
export interface Setup {
  /** Answers a handler, or where it is of `node:http`, a listening server. */
  readonly serve: (action: Action) => Handler | Server;
  /** The packages whose versions matter. */
  readonly packages?: readonly string[];
}

/** Imports what it needs: in a process of its own that is all there is. */
type Open = () => Setup | Promise<Setup>;

/** By framework and name: the first of a framework also serves it bare. */
export const SETUPS: Readonly<Record<string, Open>> = {
  "no framework, by hand: a cookie and a Map": byHand,
  "no framework, ours: handle": handle,
  "no framework, iron-session: data in the cookie": ironSession,
  "Hono, ours: adapter": adapterHono,
  "Hono, hono-sessions without a key": honoSessions,
  "Elysia, ours: adapter": adapterElysia,
  "Express, ours: adapter": adapterExpress,
  "Express, express-session": expressSession,
};

/** A session whose values are read and written by calls. */
interface Values {
  get(key: keyof Visitor): unknown;
  set<Key extends keyof Visitor>(key: Key, value: Visitor[Key]): unknown;
}

/** The same for a session that is an object. */
function valuesOf(session: Partial<Visitor>): Values {
  return {
    get: (key) => session[key],
    set: (key, value) => session[key] = value,
  };
}

/**
 * Does what a request asks for and answers the body.
 *
 * @param newcomer The header `x-visitor`.
 */
function perform(
  action: Action,
  session: Values,
  newcomer: string | null | undefined,
): string {
  if (action === "signUp") {
    session.set("visitor", newcomer ?? "");
    session.set("visits", 0);
  }
  const visitor = session.get("visitor");
  if (typeof visitor !== "string") return NOBODY;
  if (action !== "write" && action !== "visits") return visitor;
  const visits = Number(session.get("visits"));
  if (action === "visits") return `${visits}`;
  session.set("visits", visits + 1);
  return visitor;
}

function newcomerIn({ headers }: Request): string | null {
  return headers.get("x-visitor");
}

/** No library: an id in a cookie, and a `Map`. Nothing expires. */
function byHand(): Setup {
  const length = 24;
  const visitors = new Map<string, Visitor>();
  const signUp = (visitor: string) => {
    const id = randomBytes(length * 3 / 4).toString("base64url");
    visitors.set(id, { visitor, visits: 0 });
    const cookie = `id=${id}; Path=/; HttpOnly; SameSite=Lax`;
    return new Response(visitor, { headers: { "set-cookie": cookie } });
  };
  return {
    serve: (action) => (request) => {
      if (action === "bare") return new Response(NOBODY);
      if (action === "signUp") return signUp(newcomerIn(request) ?? "");
      const cookie = request.headers.get("cookie") ?? "";
      const start = cookie.indexOf("id=") + 3;
      const visitor = visitors.get(cookie.slice(start, start + length));
      if (visitor === undefined) return new Response(NOBODY);
      if (action === "visits") return new Response(`${visitor.visits}`);
      if (action === "write") visitor.visits++;
      return new Response(visitor.visitor);
    },
  };
}

function handle(): Setup {
  const manager = new Manager<Visitor>();
  return {
    serve: (action) =>
      manager.handle((request, session) =>
        new Response(perform(action, session, newcomerIn(request)))
      ),
  };
}

/** Keeps everything in an encrypted cookie. */
async function ironSession(): Promise<Setup> {
  const { getIronSession } = await import("iron-session");
  const options = {
    password: "password_at_least_32_characters_long",
    cookieName: "session",
    ttl: IDLE_TIMEOUT,
  };
  return {
    packages: ["iron-session"],
    serve: (action) => async (request) => {
      // The cookie is appended to its headers.
      const carrier = new Response();
      const session = await getIronSession<Partial<Visitor>>(
        request,
        carrier,
        options,
      );
      const body = perform(action, valuesOf(session), newcomerIn(request));
      const isChange = action === "signUp" || action === "write";
      if (!isChange || session.visitor === undefined) return new Response(body);
      await session.save();
      return new Response(body, { headers: carrier.headers });
    },
  };
}

async function adapterHono(): Promise<Setup> {
  const { Hono } = await import("hono");
  const { session } = await import("../../adapters/hono.ts");
  const manager = new Manager<Visitor>();
  return {
    packages: ["hono"],
    serve(action) {
      if (action === "bare") {
        const app = new Hono().get("/", (context) => context.text(NOBODY));
        return (request) => app.fetch(request);
      }
      const app = new Hono<SessionEnv<Visitor>>().use(session(manager));
      app.get("/", (context) => {
        const newcomer = newcomerIn(context.req.raw);
        return context.text(perform(action, context.var.session, newcomer));
      });
      return (request) => app.fetch(request);
    },
  };
}

/** Without the key that its README recommends: several times as fast. */
async function honoSessions(): Promise<Setup> {
  const { Hono } = await import("hono");
  const { MemoryStore, sessionMiddleware } = await import("hono-sessions");
  const middleware = sessionMiddleware({
    store: new MemoryStore(),
    expireAfterSeconds: IDLE_TIMEOUT,
    cookieOptions: { sameSite: "Lax", path: "/", httpOnly: true },
  });
  return {
    packages: ["hono-sessions"],
    serve(action) {
      const app = new Hono<{ Variables: { session: Values } }>();
      app.use("*", middleware).get("/", (context) => {
        const newcomer = newcomerIn(context.req.raw);
        return context.text(perform(action, context.get("session"), newcomer));
      });
      return (request) => app.fetch(request);
    },
  };
}

async function adapterElysia(): Promise<Setup> {
  const { Elysia } = await import("elysia");
  const { session } = await import("../../adapters/elysia.ts");
  const manager = new Manager<Visitor>();
  return {
    packages: ["elysia"],
    serve(action) {
      if (action === "bare") {
        const app = new Elysia().get("/", () => NOBODY);
        return (request) => app.fetch(request);
      }
      const { wrap, derive } = session(manager);
      const app = new Elysia().wrap(wrap).derive({ as: "global" }, derive)
        .get(
          "/",
          ({ request, session }) =>
            perform(action, session, newcomerIn(request)),
        );
      return (request) => app.fetch(request);
    },
  };
}

async function adapterExpress(): Promise<Setup> {
  const { session } = await import("../../adapters/express.ts");
  return await expressSetup(
    session(new Manager<Visitor>()),
    (request: SessionRequest<Visitor>) => request.session,
  );
}

/** With its own store, which it warns about in production. */
async function expressSession(): Promise<Setup> {
  const { default: session } = await import("express-session");
  const middleware = session({
    secret: "keyboard cat",
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge: IDLE_TIMEOUT * 1000 },
  });
  const setup = await expressSetup(
    middleware,
    (request: { session: Partial<Visitor> }) => valuesOf(request.session),
  );
  return { ...setup, packages: ["express-session"] };
}

async function expressSetup<Extended>(
  middleware: unknown,
  valuesIn: (request: Extended) => Values,
): Promise<Setup> {
  const { default: express } = await import("express");
  return {
    packages: ["express"],
    serve(action) {
      const app = express();
      if (action !== "bare") app.use(middleware as () => void);
      app.get("/", (request: IncomingMessage, response: ServerResponse) => {
        const newcomer = request.headers["x-visitor"] as string | undefined;
        const body = action === "bare"
          ? NOBODY
          : perform(action, valuesIn(request as Extended), newcomer);
        // Less work than `response.send`, which also makes an entity tag.
        response.setHeader("content-length", body.length);
        response.end(body);
      });
      return app.listen(0, "127.0.0.1");
    },
  };
}
