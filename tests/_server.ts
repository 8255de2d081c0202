type Handler = (
  request: Request,
) => Response | undefined | Promise<Response | undefined>;

/** What Bun takes for WebSockets. */
interface BunSockets {
  // Bun alone knows what its sockets are.
  // deno-lint-ignore no-explicit-any
  message(socket: any, text: unknown): unknown;
}

/** A server on a free port of this machine. */
export interface LocalServer {
  /** Where it listens, without a slash at the end. */
  readonly url: string;
  /** Stops it; does not wait for connections that are left open. */
  close(): Promise<void>;
}

/** The part of Bun that serves. */
interface BunServe {
  serve(options: {
    hostname: string;
    port: number;
    fetch: Handler;
    websocket?: BunSockets;
  }): {
    readonly port: number;
    stop(force: boolean): Promise<void>;
  };
}

const HOST = "127.0.0.1";

/**
 * Serves a handler over HTTP, under Deno and under Bun.
 *
 * @param websocket What the handler upgrades to on Bun.
 */
export function serve(handler: Handler, websocket?: BunSockets): LocalServer {
  return "Bun" in globalThis
    ? serveOnBun(handler, websocket)
    : serveOnDeno(handler);
}

function serveOnDeno(handler: Handler): LocalServer {
  const stop = new AbortController();
  const server = Deno.serve({
    hostname: HOST,
    port: 0,
    signal: stop.signal,
    onListen: () => {},
    // An upgrade has a response here.
  }, handler as (request: Request) => Response | Promise<Response>);
  const close = () => {
    stop.abort();
    return server.finished;
  };
  return { url: `http://${HOST}:${server.addr.port}`, close };
}

function serveOnBun(handler: Handler, websocket?: BunSockets): LocalServer {
  const { Bun } = globalThis as unknown as { Bun: BunServe };
  const server = Bun.serve({
    hostname: HOST,
    port: 0,
    fetch: handler,
    ...websocket === undefined ? {} : { websocket },
  });
  const close = () => server.stop(true);
  return { url: `http://${HOST}:${server.port}`, close };
}
