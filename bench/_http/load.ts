/**
 * Puts a server under load, in a process of its own:
 * `load.ts PORT FILE MILLISECONDS [BODY]`. The file has a `Cookie` header and the
 * body that must come back, unless it is given, as JSON in every line; requests
 * are spread over all of them. Each connection sends its next request when the
 * answer to the one before is there and is right. Prints JSON.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import process from "node:process";
import { setImmediate } from "node:timers";
import { percentile } from "../_harness/figures.ts";

/** What a run of the load found. */
export interface Load {
  readonly requests: number;
  /** How long it took, in milliseconds. */
  readonly elapsed: number;
  /** What 99 of 100 requests took at most, in milliseconds. */
  readonly p99: number;
}

interface Visitor {
  readonly cookie: string;
  readonly body: string;
}

const CONNECTIONS = 64;
const END_OF_HEAD = "\r\n\r\n";

const [port, file = "", milliseconds, onlyBody] = process.argv.slice(2);
const visitors: Visitor[] = readFileSync(file, "utf8").trimEnd().split("\n")
  .map((line) => JSON.parse(line));
const latencies: number[] = [];

stayAwake();
const start = performance.now();
const deadline = start + Number(milliseconds);
await Promise.all(Array.from({ length: CONNECTIONS }, drive));
const elapsed = performance.now() - start;
const sorted = latencies.toSorted((a, b) => a - b);
const load: Load = {
  requests: sorted.length,
  elapsed,
  p99: percentile(sorted, 0.99),
};
console.log(JSON.stringify(load));
process.exit();

/**
 * Keeps this process from sleeping. To wake it would cost a server up to a
 * microsecond with each answer, and the slower the server, the more often.
 */
function stayAwake(): void {
  setImmediate(stayAwake);
}

/** One connection, kept open. */
function drive(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port: Number(port), host: "127.0.0.1" });
    let expected = "";
    let sent = 0;
    let received = "";
    const next = () => {
      const index = Math.floor(Math.random() * visitors.length);
      const { cookie, body } = visitors[index] as Visitor;
      const header = cookie === "" ? "" : `Cookie: ${cookie}\r\n`;
      expected = onlyBody ?? body;
      received = "";
      sent = performance.now();
      socket.write(`GET / HTTP/1.1\r\nHost: localhost\r\n${header}\r\n`);
    };
    socket.setNoDelay(true);
    socket.setEncoding("latin1");
    socket.on("connect", next);
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("Cannot load: connection lost")));
    socket.on("data", (chunk: string) => {
      received += chunk;
      const body = bodyOf(received);
      if (body === undefined) return;
      const now = performance.now();
      latencies.push(now - sent);
      if (received.slice(9, 12) !== "200" || body !== expected) {
        const message = `the answer must be ${expected}: received ${received}`;
        return reject(new Error(`Cannot load: ${message}`));
      }
      if (now < deadline) return next();
      resolve();
    });
  });
}

/** The body of a response with a `Content-Length`, once all of it is there. */
function bodyOf(text: string): string | undefined {
  const end = text.indexOf(END_OF_HEAD);
  if (end < 0) return undefined;
  const length = /\r\ncontent-length: (\d+)\r\n/i.exec(text)?.[1];
  const body = text.slice(end + END_OF_HEAD.length);
  if (length !== undefined) {
    return body.length < Number(length) ? undefined : body;
  }
  throw new Error("Cannot load: the response has no Content-Length");
}
