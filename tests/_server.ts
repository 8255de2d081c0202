type Handler = (request: Request) => Response | Promise<Response>;

/** A server on a free port of this machine. */
export interface LocalServer {
  /** Where it listens, without a slash at the end. */
  readonly url: string;
  /** Stops it; does not wait for connections that are left open. */
  close(): Promise<void>;
}

/** The part of Bun that serves. */
interface BunServe {
  serve(options: { hostname: string; port: number; fetch: Handler }): {
    readonly port: number;
    stop(force: boolean): Promise<void>;
  };
}

const HOST = "127.0.0.1";

/** Serves a handler over HTTP, under Deno and under Bun. */
export function serve(handler: Handler): LocalServer {
  return "Bun" in globalThis ? serveOnBun(handler) : serveOnDeno(handler);
}

function serveOnDeno(handler: Handler): LocalServer {
  const stop = new AbortController();
  const server = Deno.serve({
    hostname: HOST,
    port: 0,
    signal: stop.signal,
    onListen: () => {},
  }, handler);
  const close = () => {
    stop.abort();
    return server.finished;
  };
  return { url: `http://${HOST}:${server.addr.port}`, close };
}

function serveOnBun(handler: Handler): LocalServer {
  const { Bun } = globalThis as unknown as { Bun: BunServe };
  const server = Bun.serve({ hostname: HOST, port: 0, fetch: handler });
  const close = () => server.stop(true);
  return { url: `http://${HOST}:${server.port}`, close };
}
