/** Requests and answers of `node:http`, in the form that managers take. */
import type { RequestLike } from "../core/carriage/arrival.ts";
import type { HeaderSink } from "../core/carriage/response.ts";
import type { Manager } from "../core/manager.ts";
import type { Awaitable } from "../core/provider.ts";
import type { AnyData, Session } from "../core/session.ts";
import { isOurs, type Kept } from "./_shared.ts";

/** The part of an `IncomingMessage` that is used. */
export interface NodeRequest {
  /** Such as `GET`. */
  readonly method?: string | undefined;
  /** The path with its query; in a nested router perhaps the rest of it. */
  readonly url?: string | undefined;
  /** The path with its query, where a router cuts `url`. */
  readonly originalUrl?: string | undefined;
  /** The headers, by name in lowercase. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The connection, which knows whether it is encrypted. */
  readonly socket?: object | undefined;
}

/** The part of a `ServerResponse` that is used. */
export interface NodeResponse {
  /** The status that will be sent. */
  statusCode: number;
  /** Whether its head is on its way. */
  readonly headersSent: boolean;
  /** The value of a header. */
  getHeader(name: string): number | string | readonly string[] | undefined;
  /** The names of the headers, in lowercase. */
  getHeaderNames(): string[];
  /** Replaces the values of a header. */
  setHeader(name: string, value: string | readonly string[]): unknown;
  /** Removes a header. */
  removeHeader(name: string): unknown;
  /** Sends the rest. */
  end(text: string): unknown;
}

/** What a request has after its session was started. */
export interface SessionRequest<Data extends object = AnyData> {
  /** The session of the request. */
  session: Session<Data>;
}

const requests = new WeakMap<NodeRequest, RequestLike>();

/** The request as managers take it; always the same for the same one. */
export function requestOf(incoming: NodeRequest): RequestLike {
  const known = requests.get(incoming);
  if (known !== undefined) return known;
  const request: RequestLike = {
    method: incoming.method ?? "GET",
    url: urlOf(incoming),
    headers: { get: (name) => headerOf(incoming, name.toLowerCase()) },
  };
  requests.set(incoming, request);
  return request;
}

function urlOf(incoming: NodeRequest): string {
  const { encrypted } = Object(incoming.socket) as { encrypted?: unknown };
  const scheme = encrypted === true ? "https" : "http";
  const host = headerOf(incoming, ":authority") ?? headerOf(incoming, "host");
  const path = incoming.originalUrl ?? incoming.url ?? "/";
  // `OPTIONS *`, and whole URLs as proxies get them, have no path to show.
  return `${scheme}://${host ?? "localhost"}${path[0] === "/" ? path : "/"}`;
}

function headerOf({ headers }: NodeRequest, name: string): string | null {
  const value = Object.hasOwn(headers, name) ? headers[name] : undefined;
  return value === undefined ? null : String(value);
}

/**
 * The headers and the status of an answer. What its methods are when this is
 * called they are later: it does not matter who replaces them meanwhile.
 */
export function keptBy(
  response: NodeResponse,
  status: number = response.statusCode,
): Kept {
  return response.headersSent
    ? { headers: SENT, status: 101 }
    : { headers: headersOf(response), status };
}

/** As good as an upgrade: nothing can be added any more. */
const SENT: HeaderSink = { get: () => null, set() {}, append() {} };

function headersOf(response: NodeResponse): HeaderSink {
  const setHeader = response.setHeader.bind(response);
  const removeHeader = response.removeHeader.bind(response);
  return {
    get: (name) => valueOf(response, name),
    set: (name, value) => setHeader(name, value),
    append(name, value) {
      const present = response.getHeader(name);
      if (present === undefined) setHeader(name, value);
      else if (name !== "set-cookie") setHeader(name, `${present}, ${value}`);
      else setHeader(name, [...[present].flat().map(String), value]);
    },
    delete: removeHeader,
    keys: () => response.getHeaderNames(),
  };
}

function valueOf(response: NodeResponse, name: string): string | null {
  const value = response.getHeader(name);
  return value === undefined ? null : String(value);
}

/** A request that is run until its headers are due. */
export interface Begun<Data extends object> {
  readonly session: Session<Data>;
  /** Commits the session to the answer, and ends the run; at once if it can. */
  commit(kept: Kept): Awaitable<void>;
}

/**
 * `manager.run` for a framework that calls at the begin of a request, and once
 * more when its headers are due.
 *
 * @returns The answer instead, to a request that never reaches the application.
 */
export function begin<Data extends object>(
  manager: Manager<Data>,
  incoming: NodeRequest,
): Promise<Begun<Data> | Response> {
  let isCommitted = false;
  return new Promise((resolve, reject) => {
    const run = (session: Session<Data>) =>
      new Promise<undefined>((end) => {
        const isOuter = isOurs(session);
        const commit = ({ headers, status }: Kept) => {
          if (!isOuter) return end(undefined);
          isCommitted = true;
          try {
            const done = manager.commitTo(session, headers, status);
            end(done as Promise<undefined> | undefined);
            return done;
          } catch (error) {
            end(undefined);
            throw error;
          }
        };
        resolve({ session, commit });
      });
    // A request that has failed is left alone once its session is committed.
    const options = { failed: () => isCommitted };
    manager.run<Response | undefined>(requestOf(incoming), run, options)
      .then((answer) => answer && resolve(answer), reject);
  });
}

/** Sends the answer to a request that never reaches the application. */
export async function send(
  response: NodeResponse,
  answer: Response,
): Promise<void> {
  const text = await answer.text();
  response.statusCode = answer.status;
  for (const [name, value] of answer.headers) response.setHeader(name, value);
  response.end(text);
}

/** The part of a connection that is used. */
export interface NodeSocket {
  /** Sends the last of it. */
  end(text: string): unknown;
}

/**
 * Starts the session of a request for a WebSocket, in a listener of a server's
 * `upgrade` event, which no middleware is called for. One that another site's page
 * made is answered with 403.
 *
 * @param socket The connection, as the listener gets it.
 * @returns The session, whose `update` and `isAlive` work for as long as the
 * socket is open; `undefined` if the request is answered already.
 * @throws {SessionError} As `manager.start` does. Close the connection then.
 */
export async function upgrade<Data extends object>(
  manager: Manager<Data>,
  request: NodeRequest,
  socket: NodeSocket,
): Promise<Session<Data> | undefined> {
  const started: Session<Data>[] = [];
  const refusal = await manager.run<Response | undefined>(
    requestOf(request),
    (session) => void started.push(session),
  );
  if (refusal !== undefined) socket.end(await textOf(refusal));
  return started[0];
}

/** A whole answer as it goes over a connection. */
async function textOf(answer: Response): Promise<string> {
  const lines = Array.from(
    answer.headers,
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  const head = `HTTP/1.1 ${answer.status} Refused\r\nconnection: close\r\n`;
  return `${head}${lines.join("")}\r\n${await answer.text()}`;
}
