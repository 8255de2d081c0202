/**
 * Serves applications of `node:http`, and answers on it as the routes say.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { Readable } from "node:stream";
import type { Duplex } from "node:stream";
import { upgrade } from "../../adapters/express.ts";
import type { LocalServer } from "../_server.ts";
import type { App, Reply, Route } from "./_routes.ts";

const HOST = "127.0.0.1";

/** Lets a server listen on a free port, with WebSockets under `/socket`. */
export async function listen(server: Server, app: App): Promise<LocalServer> {
  server.on(
    "upgrade",
    (request, socket) => void greet(app, request, socket as Duplex),
  );
  // What became a WebSocket is no connection of the server's any more.
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  const { port } = server.address() as AddressInfo;
  const close = () => {
    const closed = new Promise<void>((resolve) =>
      server.close(() => resolve())
    );
    for (const socket of sockets) socket.destroy();
    return closed;
  };
  return { url: `http://${HOST}:${port}`, close };
}

/** Opens a WebSocket by hand, and says whose session it is. */
async function greet(
  app: App,
  request: IncomingMessage,
  socket: Duplex,
): Promise<void> {
  const session = await upgrade(app.manager, request, socket);
  if (session === undefined) return;
  const key = `${request.headers["sec-websocket-key"]}${WEBSOCKET}`;
  const accept = createHash("sha1").update(key).digest("base64");
  const head = [
    "HTTP/1.1 101 Switching Protocols",
    "upgrade: websocket",
    "connection: Upgrade",
    `sec-websocket-accept: ${accept}`,
  ];
  socket.write(`${head.join("\r\n")}\r\n\r\n`);
  const text = Buffer.from(`Hello ${session.get("name")}`);
  socket.write(Buffer.concat([Buffer.from([0x81, text.length]), text]));
}

/** What a server proves that it has read (RFC 6455 §1.3). */
const WEBSOCKET = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** Answers with what a route says. */
export function answer(
  outgoing: ServerResponse,
  { status, headers, body }: Reply,
): void {
  outgoing.statusCode = status;
  for (const [name, value] of headers) outgoing.appendHeader(name, value);
  if (body instanceof ReadableStream) streamOf(body).pipe(outgoing);
  else outgoing.end(body ?? undefined);
}

/** The body of an answer, for what takes streams of `node:stream`. */
export function streamOf(body: ReadableStream<Uint8Array>): Readable {
  return Readable.from(body);
}

/** Answers with a route; an error goes to `fail`. */
export async function run(
  route: Route,
  visit: Parameters<Route>[0],
  outgoing: ServerResponse,
  fail: (error: unknown) => void,
): Promise<void> {
  try {
    answer(outgoing, await route(visit));
  } catch (error) {
    fail(error);
  }
}

/** An error that frameworks answer with 418. */
export function teapot(): Error {
  return Object.assign(new Error("I am a teapot"), {
    status: 418,
    statusCode: 418,
    expose: true,
  });
}
