/**
 * What the applications under test do, said once for all frameworks: each
 * framework binds these routes in its own idiom.
 *
 * @module
 */
import type { SessionContext } from "../../adapters/context.ts";
import type { Manager, Session } from "../../mod.ts";

/** What the sessions of the applications under test hold. */
export interface Data {
  name: string;
  items: string[];
  [numbered: `key-${number}`]: string;
}

/** What an application under test is made with. */
export interface App {
  readonly manager: Manager<Data>;
  readonly context: SessionContext<Data>;
  /** How often the adapter is put before the routes. */
  readonly mounts: 1 | 2;
  /** Holds the second half of a stream back until it is opened. */
  readonly gate: Gate;
}

/** A request as a route sees it. */
export interface Visit {
  readonly session: Session<Data>;
  /** Its URL, or the part of it from the path on. */
  readonly url: string;
  readonly app: App;
}

/** An answer that every framework can give. */
export interface Reply {
  readonly status: number;
  /** Headers by name, a name perhaps several times. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string | ReadableStream<Uint8Array> | null;
}

/** What is done under one path, whatever the method. */
export type Route = (visit: Visit) => Reply | Promise<Reply>;

/** Lets something go on once it is opened. */
export class Gate {
  readonly opened: Promise<void>;
  readonly open: () => void;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.opened = promise;
    this.open = resolve;
  }
}

/** The application's own cookies, to be kept beside the session's. */
export const OWN_COOKIES = ["theme=dark; Path=/", "lang=en; Path=/"];

/**
 * The routes, by path. A framework adds in its own idiom: `/nested/inner` in a
 * nested router, `/redirect`, `/refuse` with a thrown 4xx, `/socket`, a middleware
 * before the adapter that sets `x-outer`, and one after it that sets `x-inner`.
 */
export const ROUTES: Readonly<Record<`/${string}`, Route>> = {
  "/": () => reply(200, "hello"),
  "/read": ({ session }) => {
    const { principal } = session;
    return json({ name: session.get("name"), principal });
  },
  "/items": ({ session }) =>
    json({ items: session.get("items") ?? [], keys: session.keys() }),
  "/write": ({ session, url }) => {
    session.set("name", parameter(url, "name"));
    const cookies = OWN_COOKIES.map((value) => ["set-cookie", value] as const);
    return reply(200, "written", cookies);
  },
  "/set": async ({ session, url }) => {
    await turns();
    session.set(`key-${Number(parameter(url, "key"))}`, "kept");
    return reply(200, "set");
  },
  "/add": async ({ session, url }) => {
    const item = parameter(url, "item");
    await session.update("items", (items = []) => [...items, item]);
    return reply(200, "added");
  },
  "/sign-in": ({ session, url }) => {
    session.signIn(parameter(url, "user"));
    return reply(200, "welcome");
  },
  "/sign-out": ({ session }) => {
    session.destroy({ clearSiteData: true });
    return reply(200, "goodbye");
  },
  "/no-content": ({ session }) => {
    session.set("name", "Ada");
    return reply(204, null);
  },
  "/not-modified": ({ session }) => {
    session.set("name", "changed");
    return reply(304, null);
  },
  "/stream": ({ session, app }) => {
    session.set("name", "Ada");
    return reply(200, slowStream(app.gate), [["content-type", "text/plain"]]);
  },
  "/fail": ({ session }) => {
    session.set("name", "lost");
    return reply(503, "try again later");
  },
  "/throw-before": () => {
    throw new Error("thrown before anything was set");
  },
  "/throw-after": ({ session }) => {
    session.set("name", "lost");
    throw new Error("thrown after something was set");
  },
  "/end-and-throw": ({ session }) => {
    session.destroy();
    throw new Error("thrown after the session was ended");
  },
  "/here": async ({ session, url, app }) => {
    await turns();
    const name = parameter(url, "name");
    app.context.current().set("name", name);
    await turns();
    return reply(200, String(session.get("name") === name));
  },
};

/** The path of the route in a nested router, and its part after the prefix. */
export const NESTED = { prefix: "/nested", path: "/inner" } as const;

/** The answer of a route as a `Response`. */
export async function responseOf(
  route: Route,
  visit: Visit,
): Promise<Response> {
  const { status, headers, body } = await route(visit);
  const own = new Headers();
  for (const [name, value] of headers) own.append(name, value);
  return new Response(body, { status, headers: own });
}

/**
 * The value of a parameter in the query of a URL.
 *
 * @throws {Error} If it is not there.
 */
export function parameter(url: string, name: string): string {
  const value = new URL(url, "http://localhost").searchParams.get(name);
  if (value === null) throw new Error(`${url} has no ${name}`);
  return value;
}

function reply(
  status: number,
  body: Reply["body"],
  headers: Reply["headers"] = [],
): Reply {
  return { status, headers, body };
}

function json(value: unknown): Reply {
  const headers = [["content-type", "application/json"]] as const;
  return reply(200, JSON.stringify(value), headers);
}

/** Lets requests that came together run into each other. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) {
    await new Promise((resolve) => setTimeout(resolve));
  }
}

function slowStream(gate: Gate): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const parts = (async function* () {
    yield encoder.encode("first");
    await gate.opened;
    yield encoder.encode(" second");
  })();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await parts.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
  });
}
