/**
 * Sessions for Fastify: a plugin, and the session in `request.session`.
 *
 * @example
 * ```ts ignore
 * import { Manager } from "@cloakroom/session";
 * import { session, type SessionRequest } from "@cloakroom/session/fastify";
 * import { fastify } from "fastify";
 *
 * type Data = { visits: number };
 * declare module "fastify" { interface FastifyRequest extends SessionRequest<Data> {} }
 * const app = fastify();
 * await app.register(session(new Manager<Data>()));
 * app.get("/", async ({ session }) =>
 *   `Visit ${await session.update("visits", (n = 0) => n + 1)}`);
 * ```
 *
 * @module
 */
import type { HeaderSink } from "../core/carriage/response.ts";
import type { Manager } from "../core/manager.ts";
import {
  begin,
  type Begun,
  keptBy as keptByNode,
  type NodeRequest,
  type NodeResponse,
} from "./_node.ts";
import type { Kept } from "./_shared.ts";

export {
  type NodeRequest,
  type NodeResponse,
  type NodeSocket,
  type SessionRequest,
  upgrade,
} from "./_node.ts";

/** The part of Fastify's request that is used. */
export interface FastifySessionRequest {
  /** The request of `node:http`. */
  readonly raw: NodeRequest;
}

/** The part of Fastify's reply that is used. */
export interface FastifySessionReply {
  /** The answer of `node:http`. */
  readonly raw: NodeResponse;
  /** The status that will be sent. */
  readonly statusCode: number;
  /** The value of a header. */
  getHeader(name: string): number | string | string[] | undefined;
  /** The headers, by name. */
  getHeaders(): object;
  /** Sets a header, or adds a value to `set-cookie`. */
  header(name: string, value: string): unknown;
  /** Removes a header. */
  removeHeader(name: string): unknown;
  /** Sets the status. */
  code(status: number): unknown;
  /** Sends an answer. */
  send(text: string): unknown;
}

/** When Fastify calls a hook in the life of a request. */
export type FastifyMoment = "onRequest" | "onError" | "onSend" | "onResponse";

/** The part of a Fastify app that is used. */
export interface FastifyApp {
  /** Whether requests have a property. */
  hasRequestDecorator(name: string): boolean;
  /** Tells Fastify of a property that requests will have. */
  decorateRequest(name: string, value: null): unknown;
  /** Adds what is called at a moment in the life of each request. */
  addHook(
    name: FastifyMoment,
    hook: (
      request: FastifySessionRequest,
      reply: FastifySessionReply,
    ) => Promise<unknown>,
  ): unknown;
}

/**
 * A plugin that starts the session of each request and commits it before the
 * answer's head is sent. An error that a handler throws, one below 500 too, drops
 * what the request changed, whoever answers it. An answer that was sent after
 * `reply.hijack()` carries no cookie: an error is logged if one is due.
 *
 * @param manager The manager of the sessions.
 * @returns A plugin for `app.register`, for the whole app where it is registered.
 * What `manager.run` throws is an error of the request.
 */
export function session<Data extends object>(
  manager: Manager<Data>,
): (app: FastifyApp) => Promise<void> {
  const underWay = new WeakMap<FastifySessionRequest, Begun<Data>>();
  const failed = new WeakSet<FastifySessionRequest>();
  /** Once only: an error page is sent as any answer is. */
  const commit = async (request: FastifySessionRequest, kept: Kept) => {
    const begun = underWay.get(request);
    underWay.delete(request);
    const status = failed.has(request) ? FAILED : kept.status;
    await begun?.commit({ headers: kept.headers, status });
  };
  const plugin = (app: FastifyApp) => {
    if (!app.hasRequestDecorator("session")) {
      app.decorateRequest("session", null);
    }
    app.addHook("onRequest", async (request, reply) => {
      const begun = await begin(manager, request.raw);
      if (begun instanceof Response) return await refuse(reply, begun);
      underWay.set(request, begun);
      Object.assign(request, { session: begun.session });
      return undefined;
    });
    app.addHook("onError", (request) => {
      failed.add(request);
      return Promise.resolve();
    });
    app.addHook("onSend", (request, reply) => commit(request, keptBy(reply)));
    // Only now does an answer show that Fastify did not send.
    app.addHook(
      "onResponse",
      (request, reply) => commit(request, keptByNode(reply.raw)),
    );
    return Promise.resolve();
  };
  return Object.assign(plugin, { [SKIP_OVERRIDE]: true });
}

/** What Fastify calls a plugin for the app itself, and not a part of it. */
const SKIP_OVERRIDE = Symbol.for("skip-override");

/** The status that counts for what was thrown, whatever the answer's own is. */
const FAILED = 500;

function keptBy(reply: FastifySessionReply): Kept {
  const get = (name: string) => {
    const value = reply.getHeader(name);
    return value === undefined ? null : String(value);
  };
  const headers: HeaderSink = {
    get,
    set: (name, value) => reply.header(name, value),
    append(name, value) {
      const present = name === "set-cookie" ? null : get(name);
      reply.header(name, present === null ? value : `${present}, ${value}`);
    },
    delete: (name) => reply.removeHeader(name),
    keys: () => Object.keys(reply.getHeaders()),
  };
  return { headers, status: reply.statusCode };
}

async function refuse(
  reply: FastifySessionReply,
  answer: Response,
): Promise<unknown> {
  reply.code(answer.status);
  for (const [name, value] of answer.headers) reply.header(name, value);
  return reply.send(await answer.text());
}
