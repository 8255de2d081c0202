/** One way to talk to every known client, on one server or a cluster. */
import { setTimeout } from "node:timers/promises";
import { SessionError } from "../../core/errors.ts";
import type { Awaitable, Patience } from "../../core/provider.ts";
import { ServerClock } from "../../core/store/server_clock.ts";
import { type Send, textOf } from "./reply.ts";
import { CLOCK, LATE, type Script } from "./scripts.ts";
import { clusterMark, serverMark, UNSETTLED } from "./topology.ts";

/**
 * The least that a client must be able to do, and all that Bun's does here:
 * send one command.
 */
export interface RedisSender {
  /**
   * Sends one command.
   *
   * @param command Its name, such as `"GET"`.
   * @param args Its arguments.
   * @returns The server's answer; rejects with its error.
   */
  send(command: string, args: string[]): Promise<unknown>;
}

/** A client of ioredis or iovalkey, for one server or a cluster. */
export interface IoRedisClient {
  /** Sends one command. */
  call(command: string, args: string[]): Promise<unknown>;
}

/**
 * A client of node-redis, for one server, a pool, sentinels or a cluster, or
 * one of deno-redis. Their `sendCommand` takes different arguments, so they are
 * told apart by what else they have.
 */
export interface SendCommandClient {
  /** Sends one command, in the client's own way. */
  sendCommand(...args: never[]): Promise<unknown>;
}

/** A client of any of the known kinds. */
export type RedisClient = RedisSender | IoRedisClient | SendCommandClient;

/** One of the servers of a cluster. */
interface Node {
  /** Its address. */
  readonly name: string;
  readonly send: Send;
}

/** Something that {@linkcode Connection} can look through for methods. */
type Shape = Record<string, unknown>;

/** The parts of an ioredis cluster that are used. */
interface IoRedisCluster {
  nodes(role: "master"): IoRedisNode[];
}

interface IoRedisNode extends Shape {
  readonly options: { readonly host: string; readonly port: number };
}

/** The parts of a node-redis cluster that are used. */
interface NodeRedisCluster {
  readonly masters: readonly { readonly address: string }[];
  nodeClient(node: unknown): Awaitable<Shape>;
  sendCommand(
    key: string,
    isReadonly: boolean,
    command: string[],
  ): Promise<unknown>;
}

/** One way to talk to every known client. */
export class Connection {
  /** Sends one command; in a cluster, to whoever has its key. */
  readonly send: Send;
  /** How to reach every master of a cluster; left out for a single server. */
  readonly nodes: (() => Promise<Node[]>) | undefined;
  readonly #clock: ServerClock;

  /**
   * @param prefix What the keys start with that are its to touch.
   * @throws {TypeError} If the client is of no known kind, or rewrites keys.
   */
  constructor(client: RedisClient, prefix: string) {
    this.#clock = new ServerClock(async () =>
      Number(textOf(await this.#eval(CLOCK, [prefix], [])))
    );
    const shape = client as unknown as Shape;
    this.send = senderOf(shape);
    this.nodes = nodesOf(shape);
  }

  /** What the server's clock says, in milliseconds; in a cluster, that of one. */
  time(): Promise<number> {
    return this.#clock.read();
  }

  /** Reads a string: what is none becomes a text that is no session. */
  async text(
    command: "GET" | "GETRANGE",
    args: string[],
  ): Promise<string | undefined> {
    try {
      return textOf(await this.send(command, args));
    } catch (error) {
      if (tells(error, "WRONGTYPE")) return NO_SESSION;
      throw error;
    }
  }

  /** Runs a script on the one key that it works on, as `runOn` does. */
  run(
    script: Script,
    key: string,
    args: readonly string[],
    patience: Patience | undefined,
  ): Promise<unknown> {
    return this.runOn([key], script, args, patience);
  }

  /**
   * Runs a script on keys of one server, unless that gets it when the caller has
   * given up.
   *
   * @throws {SessionError} With code `"timeout"`, if that was so.
   */
  async runOn(
    keys: readonly string[],
    script: Script,
    args: readonly string[],
    patience: Patience | undefined,
  ): Promise<unknown> {
    // Twice: it is not late but the clock was set if somebody still waits.
    for (let attempt = 1;; attempt++) {
      const limit = await this.#clock.limitOf(patience);
      const reply = await this.#limited(script, keys, [
        ...args,
        limit === undefined ? "" : limit.toFixed(3),
      ]);
      const late = lateness(reply);
      if (late === undefined) return reply;
      this.#clock.learn(late);
      if (attempt === 2 || performance.now() >= (patience?.giveUpAt ?? 0)) {
        throw new SessionError(
          "timeout",
          "Cannot write to Redis: the command came to the server when it had been given up, and was refused",
        );
      }
    }
  }

  async #limited(
    script: Script,
    keys: readonly string[],
    args: readonly string[],
  ): Promise<unknown> {
    try {
      return await this.#eval(script, keys, args);
    } catch (error) {
      // It may be another server that answers next.
      this.#clock.doubt();
      throw error;
    }
  }

  async #eval(
    { source, sha }: Script,
    keys: readonly string[],
    args: readonly string[],
  ): Promise<unknown> {
    const rest = [String(keys.length), ...keys, ...args];
    try {
      return await this.send("EVALSHA", [sha, ...rest]);
    } catch (error) {
      if (!tells(error, "NOSCRIPT")) throw error;
      return await this.send("EVAL", [source, ...rest]);
    }
  }

  /**
   * Looks through some of the keys with a prefix, one node of a cluster after the
   * other, and through all of them again if keys changed hands meanwhile.
   *
   * @param cursor `next` of the call before; `undefined` for the first one.
   * @throws If the servers change all the time.
   */
  async scan(
    prefix: string,
    cursor: string | undefined,
    count: number,
  ): Promise<KeyPage> {
    const nodes = await this.nodes?.() ?? [{ name: "", send: this.send }];
    nodes.sort((a, b) => a.name < b.name ? -1 : 1);
    const [round = "1", mark = await this.#mark(), name = "", place = "0"] =
      cursor?.split(" ") ?? [];
    // A node may be gone since then: the one behind it is looked at whole.
    const node = nodes.find((candidate) => candidate.name >= name);
    if (node === undefined) {
      return { keys: [], next: await this.#nextRound(prefix, round, mark) };
    }
    const from = node.name === name ? place : "0";
    const pattern = `${escaped(prefix)}*`;
    const args = [from, "MATCH", pattern, "COUNT", String(count)];
    const [reply, found] = await node.send("SCAN", args) as [
      unknown,
      unknown[],
    ];
    const keys = found.map((key) => textOf(key) as string);
    const next = nextPlace(node.name, textOf(reply) as string, nodes);
    return {
      keys,
      next: next === undefined
        ? await this.#nextRound(prefix, round, mark)
        : `${round} ${mark} ${next}`,
    };
  }

  /** Tells whether keys may have changed hands since. */
  async #mark(): Promise<string> {
    const nodes = await this.nodes?.();
    return nodes === undefined
      ? await serverMark(this.send)
      : await clusterMark(nodes.map(({ send }) => send));
  }

  /** The beginning of another round, if one is needed. */
  async #nextRound(
    prefix: string,
    round: string,
    mark: string,
  ): Promise<string | undefined> {
    const present = await this.#mark();
    if (present === mark && present !== UNSETTLED) return undefined;
    if (Number(round) >= MAX_ROUNDS) {
      throw new Error(
        `Cannot go through all sessions: the servers changed in each of ${MAX_ROUNDS} rounds: try again when they have settled`,
      );
    }
    await setTimeout(PAUSE);
    // Whoever is redirected learns what there is now.
    await Promise.all(
      PROBES.map((probe) => this.send("EXISTS", [prefix + probe])),
    );
    return `${Number(round) + 1} ${await this.#mark()}`;
  }
}

/** Said of a list, a hash or the like in the place of a session. */
const NO_SESSION = "no session";

/** How often all keys are looked through if servers change meanwhile. */
const MAX_ROUNDS = 5;

/** How long they are given to settle in between, in milliseconds. */
const PAUSE = 100;

/** Ends of keys that are spread over a cluster. */
const PROBES: readonly string[] = Array.from("0123456789abcdef");

/** Some of the keys, and where the next ones are. */
interface KeyPage {
  readonly keys: string[];
  readonly next: string | undefined;
}

function nextPlace(
  name: string,
  place: string,
  nodes: readonly Node[],
): string | undefined {
  if (place !== "0") return `${name} ${place}`;
  const following = nodes.find((node) => node.name > name);
  return following === undefined ? undefined : `${following.name} 0`;
}

/** A text as a pattern that matches nothing else. */
function escaped(text: string): string {
  return text.replace(/[\\*?[\]]/g, "\\$&");
}

function senderOf(client: Shape): Send {
  if (isMethod(client, "send")) {
    const { send } = client as unknown as RedisSender;
    return (command, args) => send.call(client, command, args);
  }
  if (isMethod(client, "call")) return ioRedisSender(client);
  if (isMethod(client, "sendCommand")) return sendCommandSender(client);
  throw new TypeError(
    "Cannot create RedisProvider: its client must have send(command, args), or be of ioredis, node-redis or deno-redis: " +
      `received ${client === null ? "null" : typeof client}`,
  );
}

function ioRedisSender(client: Shape): Send {
  const { keyPrefix } = (client["options"] ?? {}) as Shape;
  // It would be put in front of keys, but not of the pattern of SCAN.
  if (typeof keyPrefix === "string" && keyPrefix !== "") {
    throw new TypeError(
      `Cannot create RedisProvider: its client must not have a keyPrefix: use the option prefix instead: received ${keyPrefix}`,
    );
  }
  const caller = client as unknown as IoRedisClient;
  return (command, args) => caller.call(command, args);
}

function sendCommandSender(client: Shape): Send {
  const sender = client as unknown as {
    sendCommand(...args: unknown[]): Promise<unknown>;
  };
  if (isNodeRedisCluster(client)) {
    return (command, args) =>
      client.sendCommand(keyOf(command, args), false, [command, ...args]);
  }
  if (isMethod(client, "getSentinelNode")) {
    return (command, args) => sender.sendCommand(false, [command, ...args]);
  }
  if ("isConnected" in client) {
    return (command, args) => sender.sendCommand(command, args);
  }
  return (command, args) => sender.sendCommand([command, ...args]);
}

function nodesOf(client: Shape): Connection["nodes"] {
  if (isNodeRedisCluster(client)) {
    return () =>
      Promise.all(client.masters.map(async (master) => {
        const node = await client.nodeClient(master);
        return { name: master.address, send: senderOf(node) };
      }));
  }
  if (!isMethod(client, "call") || !isMethod(client, "nodes")) return undefined;
  const cluster = client as unknown as IoRedisCluster;
  return () => {
    const nodes = cluster.nodes("master").map((node) => ({
      name: `${node.options.host}:${node.options.port}`,
      send: senderOf(node),
    }));
    return Promise.resolve(nodes);
  };
}

function isNodeRedisCluster(
  client: unknown,
): client is NodeRedisCluster & Shape {
  return isMethod(client as Shape, "nodeClient");
}

function isMethod(client: Shape | null | undefined, name: string): boolean {
  return typeof client === "object" && typeof client?.[name] === "function";
}

/** What the server's clock said, if a script came too late. */
function lateness(reply: unknown): number | undefined {
  const text = textOf(reply);
  return text?.startsWith(LATE) ? Number(text.slice(LATE.length)) : undefined;
}

/** The key of a command, which tells in a cluster where to send it. */
function keyOf(command: string, args: readonly string[]): string {
  return args[command.startsWith("EVAL") ? 2 : 0] as string;
}

/** Whether an error is the server's of this kind. */
function tells(error: unknown, kind: string): boolean {
  return error instanceof Error && error.message.includes(kind);
}
