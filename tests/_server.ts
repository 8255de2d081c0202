/** A request handler; on Bun it also gets the server, which upgrades. */
export type Handler = (
  request: Request,
  server?: unknown,
) => Response | undefined | Promise<Response | undefined>;

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
    websocket?: unknown;
  }): {
    readonly port: number;
    stop(force: boolean): Promise<void>;
  };
}

const HOST = "127.0.0.1";

/**
 * Serves a handler over HTTP, under Deno and under Bun.
 *
 * @param websocket What handles WebSockets on Bun, which needs to know before.
 */
export function serve(handler: Handler, websocket?: unknown): LocalServer {
  return "Bun" in globalThis
    ? serveOnBun(handler, websocket)
    : serveOnDeno(handler);
}

function serveOnDeno(handler: Handler): LocalServer {
  const stop = new AbortController();
  const server = Deno.serve(
    {
      hostname: HOST,
      port: 0,
      signal: stop.signal,
      onListen: () => {},
    },
    // Only on Bun is there an answer that is none.
    (request) => handler(request) as Response | Promise<Response>,
  );
  const close = () => {
    stop.abort();
    return server.finished;
  };
  return { url: `http://${HOST}:${server.addr.port}`, close };
}

function serveOnBun(fetch: Handler, websocket: unknown): LocalServer {
  const { Bun } = globalThis as unknown as { Bun: BunServe };
  const sockets = websocket === undefined ? {} : { websocket };
  const server = Bun.serve({ hostname: HOST, port: 0, fetch, ...sockets });
  const close = () => server.stop(true);
  return { url: `http://${HOST}:${server.port}`, close };
}
