/**
 * Puts a server under load, in a process of its own:
 * `load.ts PORT FILE CONNECTIONS MILLISECONDS [BODY]`. The file has a `Cookie`
 * header and the body that must come back, unless it is given, as JSON in every
 * line; requests are spread over all of them. Each connection sends its next
 * request when the answer to the one before is there and is right. Prints JSON.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import process from "node:process";
import { setImmediate } from "node:timers";
import { isWhole, readAnswer } from "./answer.ts";

/** What a run of the load found. */
export interface Load {
  readonly requests: number;
  /** How long it took, in milliseconds. */
  readonly elapsed: number;
  /** Half of the requests took longer, in milliseconds. */
  readonly median: number;
  /** One of a hundred took longer, in milliseconds. */
  readonly slowest: number;
}

interface Visitor {
  readonly request: Buffer;
  readonly body: string;
}

const [port, file, connections, milliseconds, onlyBody] = process.argv.slice(2);
const visitors = readVisitors(file ?? "");
const latencies: number[] = [];

stayAwake();
const start = performance.now();
const deadline = start + Number(milliseconds);
await Promise.all(Array.from({ length: Number(connections) }, drive));
const elapsed = performance.now() - start;
latencies.sort((a, b) => a - b);
const load: Load = {
  requests: latencies.length,
  elapsed,
  median: latencies[Math.floor(latencies.length * 0.5)] ?? NaN,
  slowest: latencies[Math.floor(latencies.length * 0.99)] ?? NaN,
};
console.log(JSON.stringify(load));
process.exit(0);

/**
 * Keeps this process from sleeping. To wake it would cost a server up to a
 * microsecond with each answer, and the slower the server, the more often.
 */
function stayAwake(): void {
  setImmediate(stayAwake);
}

function readVisitors(path: string): readonly Visitor[] {
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  return lines.map((line) => {
    const { cookie, body }: Record<string, string> = JSON.parse(line);
    const header = cookie === "" ? "" : `Cookie: ${cookie}\r\n`;
    const text = `GET / HTTP/1.1\r\nHost: localhost\r\n${header}\r\n`;
    return {
      request: Buffer.from(text, "latin1"),
      body: onlyBody ?? body ?? "",
    };
  });
}

/** One connection, kept open. */
function drive(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ port: Number(port), host: "127.0.0.1" });
    let visitor = visitors[0] as Visitor;
    let sent = 0;
    let received = "";
    const next = () => {
      visitor = visitors[
        Math.floor(Math.random() * visitors.length)
      ] as Visitor;
      received = "";
      sent = performance.now();
      socket.write(visitor.request);
    };
    socket.setNoDelay(true);
    socket.setEncoding("latin1");
    socket.on("connect", next);
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("Cannot load: connection lost")));
    socket.on("data", (chunk: string) => {
      received += chunk;
      if (!isWhole(received)) return;
      const now = performance.now();
      latencies.push(now - sent);
      const { status, body } = readAnswer(received);
      if (status !== 200 || body !== visitor.body) {
        return reject(
          new Error(
            `Cannot load: the answer must be ${visitor.body}: received ${status} ${body}`,
          ),
        );
      }
      if (now < deadline) return next();
      resolve();
    });
  });
}
