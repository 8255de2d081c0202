import type { IncomingMessage, ServerResponse } from "node:http";
import type { Action, Listener, NodeSetup } from "./contract.ts";

/** A request as far as middleware of `express` looks at it. */
export class Incoming {
  readonly method = "GET";
  readonly url = "/";
  readonly originalUrl = "/";
  readonly connection = {};
  readonly headers: Readonly<Record<string, string>>;

  constructor(headers: Readonly<Record<string, string>>) {
    this.headers = headers;
  }
}

/**
 * A response that is written nowhere, as far as middleware of `express` looks at
 * it: cheaper than the one of `node:http`, in favour of the peers.
 */
export class Outgoing {
  statusCode = 200;
  headersSent = false;
  body = "";
  /** Set as soon as the headers are, as in `node:http`. */
  _header: string | null = null;
  readonly #headers = new Map<string, unknown>();
  readonly #done: (outgoing: Outgoing) => void;

  constructor(done: (outgoing: Outgoing) => void) {
    this.#done = done;
  }

  getHeader(name: string): unknown {
    return this.#headers.get(name.toLowerCase());
  }

  getHeaderNames(): string[] {
    return [...this.#headers.keys()];
  }

  removeHeader(name: string): void {
    this.#headers.delete(name.toLowerCase());
  }

  setHeader(name: string, value: unknown): this {
    this.#headers.set(name.toLowerCase(), value);
    return this;
  }

  writeHead(statusCode: number): this {
    this.statusCode = statusCode;
    this.headersSent = true;
    this._header = `HTTP/1.1 ${statusCode}`;
    return this;
  }

  _implicitHeader(): void {
    this.writeHead(this.statusCode);
  }

  write(chunk: string): boolean {
    if (this._header === null) this._implicitHeader();
    this.body += chunk;
    return true;
  }

  end(chunk?: string): this {
    if (this._header === null) this._implicitHeader();
    if (chunk !== undefined) this.body += chunk;
    this.#done(this);
    return this;
  }
}

/** The middleware and the handler after it. */
export function listenerOf(setup: NodeSetup, action: Action): Listener {
  const { middleware } = setup;
  const handler = setup.handler(action);
  return (incoming, outgoing) =>
    middleware(incoming, outgoing, () => handler(incoming, outgoing));
}

/** Hands a request to a listener and ends with its response. */
export function exchange(
  listener: Listener,
  incoming: Incoming,
): Promise<Outgoing> {
  return new Promise((resolve) => {
    listener(
      incoming as unknown as IncomingMessage,
      new Outgoing(resolve) as unknown as ServerResponse,
    );
  });
}

/** Answers with a text: less work than `response.send`, which also makes an entity tag. */
export function send(outgoing: ServerResponse, body: string): void {
  outgoing.setHeader("content-length", body.length);
  outgoing.end(body);
}
