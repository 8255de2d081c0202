/** The client that Bun has, as a sender. */
import type { RedisSender } from "./client.ts";

/** The parts of Bun's built-in client that are used. */
interface BunRedisClient extends RedisSender {
  readonly connected: boolean;
  connect(): Promise<void>;
  close(): void;
}

/** The part of Bun that makes one. */
interface BunRuntime {
  readonly RedisClient: new (
    url: string,
    options: { readonly autoReconnect: boolean },
  ) => BunRedisClient;
}

/**
 * Bun's built-in client, connected when it is needed. Left to itself it gives
 * up for good when a server stays away for some seconds.
 */
export class BunConnection implements RedisSender {
  readonly #make: () => BunRedisClient;
  #client: BunRedisClient;
  #connecting: Promise<void> | undefined;

  /**
   * @throws {TypeError} If the runtime is not Bun.
   */
  constructor(url: string) {
    const { Bun } = globalThis as { readonly Bun?: BunRuntime };
    if (Bun?.RedisClient === undefined) {
      throw new TypeError(
        "Cannot create RedisProvider: only Bun has a client of its own to open a URL with: pass a client of ioredis, node-redis or deno-redis instead",
      );
    }
    const { RedisClient } = Bun;
    this.#make = () => new RedisClient(url, { autoReconnect: false });
    this.#client = this.#make();
  }

  /** See {@linkcode RedisSender.send}. */
  async send(command: string, args: string[]): Promise<unknown> {
    if (!this.#client.connected) await this.#connect();
    return await this.#client.send(command, args);
  }

  /** Goes on with another connection. What waits for the present one fails. */
  reconnect(): void {
    const silent = this.#client;
    this.#client = this.#make();
    this.#connecting = undefined;
    silent.close();
  }

  /** Ends the connection. */
  close(): void {
    this.#client.close();
  }

  #connect(): Promise<void> {
    if (this.#connecting !== undefined) return this.#connecting;
    const connecting = this.#client.connect().finally(() => {
      if (this.#connecting === connecting) this.#connecting = undefined;
    });
    return this.#connecting = connecting;
  }
}
