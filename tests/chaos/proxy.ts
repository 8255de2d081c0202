/** Stands between a client and a server, and does what networks do. */
import { once } from "node:events";
import {
  type AddressInfo,
  createConnection,
  createServer,
  type Socket,
} from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const HOST = "127.0.0.1";

/** One client's connection and the one made for it. */
interface Pair {
  readonly ends: readonly [client: Socket, server: Socket];
  /** Nothing is passed on, and nothing is said. */
  isSilent: boolean;
  /** What waits until it is let through, while something does. */
  held: (() => void)[] | undefined;
}

/** A port that leads to another one, more or less. */
export class Proxy {
  /** How long everything takes each way, in milliseconds. */
  delay = 0;
  /** The part of the answers that are lost, and their connections with them. */
  cutFraction = 0;
  /** Whether new connections are ended at once. */
  isRefusing = false;
  /** The port that new connections lead to. */
  target: number;
  readonly #server = createServer((socket) => this.#accept(socket));
  readonly #random: () => number;
  readonly #pairs = new Set<Pair>();
  /** Whether new connections are kept back too. */
  #isHolding = false;

  private constructor(target: number, random: () => number) {
    this.target = target;
    this.#random = random;
  }

  /**
   * @param target The port of the server.
   * @param random Numbers below 1, for what is lost.
   */
  static async start(target: number, random = Math.random): Promise<Proxy> {
    const proxy = new Proxy(target, random);
    proxy.#server.listen(0, HOST);
    await once(proxy.#server, "listening");
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Lets no byte through on the connections that there are; new ones work. */
  silence(): void {
    for (const pair of this.#pairs) pair.isSilent = true;
  }

  /**
   * Keeps back what comes from now on, in order, until it is released.
   *
   * @param part On what part of the connections there are; 1 for new ones too.
   */
  hold(part = 1): void {
    this.#isHolding = part === 1;
    const count = Math.ceil(this.#pairs.size * part);
    for (const pair of [...this.#pairs].slice(0, count)) pair.held ??= [];
  }

  /** Lets through what was kept back. */
  release(): void {
    this.#isHolding = false;
    for (const pair of this.#pairs) {
      const held = pair.held ?? [];
      pair.held = undefined;
      for (const send of held) send();
    }
  }

  /** Ends every connection. */
  cut(): void {
    for (const { ends } of this.#pairs) {
      for (const end of ends) end.destroy();
    }
  }

  async stop(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }

  #accept(client: Socket): void {
    if (this.isRefusing) return void client.destroy();
    const server = createConnection(this.target, HOST);
    const pair: Pair = {
      ends: [client, server],
      isSilent: false,
      held: this.#isHolding ? [] : undefined,
    };
    this.#pairs.add(pair);
    for (const end of pair.ends) {
      end.setNoDelay(true).on("error", () => {});
      end.on("close", () => this.#ended(pair));
    }
    const up = new Line((chunk) => this.#pass(pair, server, chunk));
    const down = new Line((chunk) => this.#pass(pair, client, chunk));
    client.on("data", (chunk: Uint8Array) => up.send(chunk, this.delay));
    server.on("data", (chunk: Uint8Array) => {
      if (this.cutFraction > 0 && this.#random() < this.cutFraction) {
        for (const end of pair.ends) end.destroy();
      } else down.send(chunk, this.delay);
    });
  }

  /** A silent connection tells nobody that its other end is gone. */
  #ended(pair: Pair): void {
    this.#pairs.delete(pair);
    if (pair.isSilent && !pair.ends[0].destroyed) {
      this.#pairs.add(pair);
      return;
    }
    for (const end of pair.ends) end.destroy();
  }

  #pass(pair: Pair, to: Socket, chunk: Uint8Array): void {
    const send = () => {
      if (!pair.isSilent && !to.destroyed) to.write(chunk);
    };
    if (pair.held === undefined) send();
    else pair.held.push(send);
  }
}

/** One direction of a connection: what is sent later arrives later. */
class Line {
  readonly #arrive: (chunk: Uint8Array) => void;
  #last: Promise<void> = Promise.resolve();
  #isEmpty = true;

  constructor(arrive: (chunk: Uint8Array) => void) {
    this.#arrive = arrive;
  }

  /** @param delay How long it takes, in milliseconds. */
  send(chunk: Uint8Array, delay: number): void {
    if (delay === 0 && this.#isEmpty) return this.#arrive(chunk);
    this.#isEmpty = false;
    const due = sleep(delay);
    const last = this.#last.then(() => due).then(() => {
      if (this.#last === last) this.#isEmpty = true;
      this.#arrive(chunk);
    });
    this.#last = last;
  }
}

/** How long a call is waited for where calls are held up, in seconds. */
export const IMPATIENCE = 0.2;

/**
 * Holds up the connections of one node of three, again and again and each time so
 * long that it gives up: what its users do next, they do at another one.
 */
export async function holdUp(proxy: Proxy, seconds: number): Promise<void> {
  // So that there is something on its way whenever it begins.
  proxy.delay = 20;
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    proxy.hold(1 / 3);
    await sleep(IMPATIENCE * 3000);
    proxy.release();
    await sleep(IMPATIENCE * 1000);
  }
  proxy.delay = 0;
}
