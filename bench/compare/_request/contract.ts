import type { IncomingMessage, ServerResponse } from "node:http";

/** What one visitor's session holds. */
export interface Visitor {
  visitor: string;
  visits: number;
}

/**
 * What a request asks for. Every answer but the last is the name that the
 * session holds, or `nobody`.
 *
 * - `signUp` stores the name in the header `x-visitor`.
 * - `read` reads the name.
 * - `write` reads it and adds one to the visits, if there is a session.
 * - `visits` answers the visits.
 */
export type Action = "signUp" | "read" | "write" | "visits";

/** What is answered to a visitor without a session. */
export const NOBODY = "nobody";

/** How long a session lives without a request, in seconds: our default. */
export const IDLE_TIMEOUT = 3600;

/** A handler of standard requests. */
export type FetchHandler = (request: Request) => Response | Promise<Response>;

/** A handler of `node:http` requests. */
export type Listener = (
  incoming: IncomingMessage,
  outgoing: ServerResponse,
) => void;

/** Middleware of the kind that `express` takes. */
export type Middleware = (
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  next: () => void,
) => void;

interface AnySetup {
  /** How the tables call it. */
  readonly name: string;
  /** The packages whose versions matter. */
  readonly packages: readonly string[];
  /** Whether the server keeps the data, or the cookie does. */
  readonly keeps: "server" | "cookie";
}

/** A session library set up as its README says, for standard requests. */
export interface FetchSetup extends AnySetup {
  readonly kind: "fetch";
  /** The same framework without a session; answers `nobody`. */
  readonly bare: FetchHandler;
  /** All handlers share one store. */
  handler(action: Action): FetchHandler;
}

/** The same for `node:http`. */
export interface NodeSetup extends AnySetup {
  readonly kind: "node";
  readonly bare: Listener;
  readonly middleware: Middleware;
  /** What comes after the middleware. */
  handler(action: Action): Listener;
}

/** A session library set up as its README says. */
export type Setup = FetchSetup | NodeSetup;
