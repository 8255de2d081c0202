/**
 * Starts Redis servers and clusters of its own for tests, on free ports of this
 * machine and in temporary folders.
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createConnection, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import process from "node:process";

const HOST = "127.0.0.1";
const SLOTS = 16_384;

/** Servers that must not outlive the tests, however these end. */
const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) signal(child, "SIGKILL");
});

/** What is missing to run these tests, or `undefined` if nothing is. */
export function missingRedis(): string | undefined {
  const { error } = spawnSync("redis-server", ["--version"]);
  return error === undefined ? undefined : "redis-server is not installed";
}

/** A Redis server that a test may flush, pause, kill and start again. */
export class RedisServer {
  readonly port: number;
  readonly #folder = mkdtempSync(joinPath(tmpdir(), "redis-test-"));
  readonly #args: readonly string[];
  #process: ChildProcess | undefined;

  private constructor(port: number, args: readonly string[]) {
    this.port = port;
    this.#args = args;
  }

  /** Starts a server; `args` are options as on its command line. */
  static async start(args: readonly string[] = []): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), args);
    await server.resume();
    return server;
  }

  get url(): string {
    return `redis://${HOST}:${this.port}`;
  }

  /** Starts the server again after a `kill`, or lets it go on after a `pause`. */
  async resume(): Promise<void> {
    if (this.#process !== undefined) {
      signal(this.#process, "SIGCONT");
      return;
    }
    const child = spawn("redis-server", [
      ...["--port", String(this.port), "--bind", HOST],
      ...["--dir", this.#folder, "--save", "", ...this.#args],
    ], { stdio: ["ignore", "pipe", "inherit"] });
    this.#process = child;
    running.add(child);
    await untilReady(child);
  }

  /** Stops the server from answering; its connections stay. */
  pause(): void {
    if (this.#process !== undefined) signal(this.#process, "SIGSTOP");
  }

  /** Ends the server without a chance to write anything down. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    this.#process = undefined;
    running.delete(child);
    const exited = once(child, "exit");
    signal(child, "SIGKILL");
    await exited;
  }

  /** Ends the server and removes its folder. */
  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Sends one command and returns the answer as it comes over the line. */
  async command(...words: readonly (string | number)[]): Promise<string> {
    const socket = createConnection(this.port, HOST);
    const args = words.map((word) => {
      const text = String(word);
      return `$${new TextEncoder().encode(text).length}\r\n${text}\r\n`;
    });
    const quit = "*1\r\n$4\r\nQUIT\r\n";
    socket.write(`*${words.length}\r\n${args.join("")}${quit}`);
    let answer = "";
    for await (const chunk of socket.setEncoding("utf8")) answer += chunk;
    return answer.replace(/\r\n\+OK\r\n$/, "").replace(/^\$\d+\r\n|^[:+]/, "");
  }
}

/** Three masters that share the slots of one cluster. */
export class RedisCluster {
  readonly nodes: readonly RedisServer[];

  private constructor(nodes: readonly RedisServer[]) {
    this.nodes = nodes;
  }

  /** Starts them; `args` are options as on the command line of each. */
  static async start(args: readonly string[] = []): Promise<RedisCluster> {
    const nodes: RedisServer[] = [];
    for (let count = 0; count < 3; count++) {
      nodes.push(
        await RedisServer.start([
          ...["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"],
          ...["--cluster-port", String(await freePort()), ...args],
        ]),
      );
    }
    await join(nodes);
    return new RedisCluster(nodes);
  }

  /** Moves a slot, and the keys in it, from one node to another. */
  async moveSlot(
    slot: number,
    { from, to }: { readonly from: RedisServer; readonly to: RedisServer },
  ): Promise<void> {
    const [source, target] = await Promise.all([idOf(from), idOf(to)]);
    await to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source);
    await from.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target);
    const listed = await from.command("CLUSTER", "GETKEYSINSLOT", slot, 100);
    const keys = listed.split("\r\n").filter((line) => !/^[*$]/.test(line));
    for (const key of keys) {
      await from.command("MIGRATE", HOST, to.port, key, 0, 5000);
    }
    for (const node of [to, from, ...this.nodes]) {
      await node.command("CLUSTER", "SETSLOT", slot, "NODE", target);
    }
  }

  /** Has a node start anew, with its keys if it writes them down. */
  async restart(node: RedisServer): Promise<void> {
    await node.kill();
    await node.resume();
    await untilJoined(node);
  }

  /** The node that has a slot. */
  async nodeOf(slot: number): Promise<RedisServer> {
    const nodes = await this.nodes[0]?.command("CLUSTER", "NODES") ?? "";
    const owner = nodes.split("\n").find((line) =>
      line.split(" ").slice(8).some((range) => {
        const [first, last = first] = range.split("-").map(Number);
        return slot >= (first as number) && slot <= (last as number);
      })
    );
    const port = Number(/:(\d+)@/.exec(owner ?? "")?.[1]);
    const node = this.nodes.find((candidate) => candidate.port === port);
    if (node === undefined) throw new Error(`nobody has slot ${slot}`);
    return node;
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }
}

/** A server's stand-in that can lose its answers, and its connections. */
export class LossyProxy {
  /** Those on which nothing is passed on any more, and nothing is said. */
  readonly #silent = new WeakSet<Socket>();
  readonly #server = createServer((socket) => this.#accept(socket));
  readonly #target: RedisServer;
  readonly #sockets = new Set<Socket>();
  /** How many of the next requests are passed on and cut off unanswered. */
  cuts = 0;

  private constructor(target: RedisServer) {
    this.#target = target;
  }

  static async start(target: RedisServer): Promise<LossyProxy> {
    const proxy = new LossyProxy(target);
    proxy.#server.listen(0, HOST);
    await once(proxy.#server, "listening");
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** Has the connections that there are fall silent; new ones work. */
  silence(): void {
    for (const socket of this.#sockets) this.#silent.add(socket);
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #accept(socket: Socket): void {
    const upstream = createConnection(this.#target.port, HOST);
    const pair = [socket, upstream];
    for (const end of pair) {
      this.#sockets.add(end);
      end.on("error", () => {});
      end.on("close", () => {
        this.#sockets.delete(end);
        for (const other of pair) other.destroy();
      });
    }
    socket.on("data", (chunk: Uint8Array) => {
      if (!this.#silent.has(socket)) upstream.write(chunk);
    });
    upstream.on("data", (chunk: Uint8Array) => {
      if (this.#silent.has(socket)) return;
      if (this.cuts === 0) {
        socket.write(chunk);
        return;
      }
      this.cuts--;
      socket.destroy();
    });
  }
}

/** Shares the slots out and introduces the nodes to each other. */
async function join(nodes: readonly RedisServer[]): Promise<void> {
  const share = SLOTS / nodes.length;
  for (const [index, node] of nodes.entries()) {
    const from = Math.ceil(share * index);
    const to = Math.ceil(share * (index + 1)) - 1;
    await node.command("CLUSTER", "ADDSLOTSRANGE", from, to);
    await node.command("CLUSTER", "SET-CONFIG-EPOCH", index + 1);
    const config = await node.command("CONFIG", "GET", "cluster-port");
    const busPort = config.split("\r\n").at(-1) as string;
    await nodes[0]?.command("CLUSTER", "MEET", HOST, node.port, busPort);
  }
  for (const node of nodes) await untilJoined(node);
}

/** Unlike the `kill` of a child in Deno, this does more than one. */
function signal(child: ChildProcess, name: NodeJS.Signals): void {
  process.kill(child.pid as number, name);
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, HOST);
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

async function untilReady(child: ChildProcess): Promise<void> {
  let log = "";
  for await (const chunk of child.stdout ?? []) {
    log += chunk;
    if (!log.includes("Ready to accept connections")) continue;
    return;
  }
  throw new Error(`redis-server did not start:\n${log}`);
}

async function untilJoined(node: RedisServer): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt++) {
    const info = await node.command("CLUSTER", "INFO");
    const isWhole = info.includes("cluster_state:ok") &&
      info.includes("cluster_known_nodes:3");
    if (isWhole) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("the cluster did not come together");
}

function idOf(node: RedisServer): Promise<string> {
  return node.command("CLUSTER", "MYID");
}
