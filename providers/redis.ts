/**
 * Keeps sessions in Redis 7 or Valkey 8, on one server or a cluster, where many
 * machines find them. Importing this module registers it as `"redis"`,
 * `"rediss"` and `"valkey"`.
 *
 * It takes the client that you have: ioredis, iovalkey, node-redis, deno-redis,
 * `Bun.RedisClient`, or any object with `send(command, args)`. On Bun a URL is
 * enough, and the built-in client is used.
 *
 * @example With a client, on any runtime
 * ```ts ignore
 * import { Manager } from "@cloakroom/session";
 * import { RedisProvider } from "@cloakroom/session/redis";
 * import { Redis } from "ioredis";
 *
 * const provider = new RedisProvider(new Redis("redis://localhost"));
 * const sessions = new Manager({ provider });
 * ```
 *
 * @example With a URL, on Bun
 * ```ts ignore
 * import { Manager } from "@cloakroom/session";
 * import "@cloakroom/session/redis";
 *
 * const sessions = new Manager({ provider: "redis://localhost?prefix=shop:" });
 * ```
 *
 * A request that only reads costs one round trip, now and then a second one for
 * the touch. One that writes or signs out costs two, and so does the sign-in of a
 * visitor who has no session yet. One that signs in within a session, or whose
 * token is replaced, costs three. Each write is one script on one key.
 *
 * A session is one string of its own, which the server removes by itself. The
 * sessions of one user are listed in a sorted set of another key, written before
 * the session is, so that a crash between the two leaves a stale entry and never
 * an unlisted session. Such an entry ends by itself. One that the server lost is
 * written again when the token is replaced.
 *
 * ## What an answer is worth
 *
 * A call that failed, whatever the error is, leaves it open whether it was done:
 * its answer may be what was lost. What is certain is that it is not done later.
 * Each write tells the server until when its caller waits, by the server's own
 * clock, and comes to nothing after that: in the queue of a client whose server is
 * away, or in a network that delivers late. The distance to that clock is measured
 * with the first write and each minute. Until the next measurement, a clock that
 * is set back lets late writes pass for as long as it was set back; one that is
 * set forward costs a round trip. The clocks of a cluster's nodes should differ by
 * less than the manager's `timeout`.
 *
 * A client may send commands again whose answers were lost with the connection,
 * as ioredis does: each of a session's last 16 writes is known again and not done
 * twice. If the session ended in between, what was done is answered with "gone".
 *
 * What the server acknowledged survives its crash if it says so: with
 * `appendonly yes` up to a second is lost, with `appendfsync always` nothing. A
 * replica that takes over may lack the last writes. Let `maxmemory-policy` be
 * `noeviction`: a policy that evicts signs people out, and can evict the list of
 * a user's sessions while they live. A server that is full still reads sessions,
 * lists and ends them; it refuses to create, change and touch them. A client that
 * reads from replicas may read what was before; have it read from masters.
 *
 * ## Connections that fall silent
 *
 * A connection can stop to pass anything on while new ones work. On Bun, the
 * client of a URL is replaced when calls time out and none is answered. One that
 * you hand over is yours to set up:
 *
 * | client | helps | does not help |
 * | --- | --- | --- |
 * | ioredis | `socketTimeout` | `commandTimeout`, `connectTimeout`, `keepAlive`, `maxRetriesPerRequest` |
 * | node-redis | `socket.socketTimeout` of less than a second, together with a `socket.reconnectStrategy` of your own | `socketTimeout` alone, after which the client stays closed; `pingInterval`, `commandOptions.timeout`, `keepAliveInitialDelay` |
 *
 * node-redis takes what it sends for a sign of life, and a manager tries once a
 * second: that is why its limit has to be shorter.
 *
 * Bun's client knows nothing of clusters, and that of deno-redis cannot run
 * scripts on one. deno-redis waits longer with every attempt to connect again,
 * and all that was sent meanwhile waits its turn: give it a `backoff` such as
 * `() => 100`, or it can take half a minute after the server is back.
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import { SessionError } from "../core/errors.ts";
import { ownOf, ownOptions } from "../core/option_names.ts";
import type {
  DestroyResult,
  Guard,
  NewSessionRecord,
  Patience,
  Provider,
  ScanPage,
  SessionChange,
  SessionList,
  SessionRecord,
  SessionSummary,
  StoredSession,
  UpdateResult,
} from "../core/provider.ts";
import { register } from "../core/registry.ts";
import { absoluteExpiryOf, expiryOf } from "../core/store/record.ts";
import { mintWriteId } from "../core/store/write_ids.ts";
import { BunConnection } from "./redis/bun.ts";
import { Connection, type RedisClient } from "./redis/client.ts";
import { checkId, checkPrefix, isId } from "./redis/names.ts";
import { PrincipalIndex } from "./redis/principal_index.ts";
import {
  fieldText,
  HEAD_LENGTH,
  type Listed,
  readPrincipal,
  readRecord,
  readSummary,
  recordText,
} from "./redis/record_text.ts";
import { textOf } from "./redis/reply.ts";
import {
  type Coverage,
  destroyArgs,
  timeToLive,
  touchArgs,
  updateArgs,
} from "./redis/script_args.ts";
import { CLEAR, CREATE, DESTROY, END, TOUCH, UPDATE } from "./redis/scripts.ts";

export type {
  IoRedisClient,
  RedisClient,
  RedisSender,
  SendCommandClient,
} from "./redis/client.ts";

/** How a {@linkcode RedisProvider} names its keys. */
export interface RedisProviderOptions {
  /**
   * What the keys start with; not empty. Sessions are shared with providers of
   * the same prefix and hidden from all others.
   *
   * @default {"session:"}
   */
  readonly prefix?: string | undefined;
}

/** How many keys to look through at least, be they sessions or not. */
const MIN_SCAN = 100;

/** How many sessions a call works on before other work gets its turn. */
const BATCH = 250;

/** How many keys `clear` looks at before other work gets its turn. */
const CLEARED_AT_ONCE = 500;

/**
 * Sessions in Redis or Valkey. A call takes one round trip, but `create` and
 * `update` take two when they sign somebody in, and so does an `update` that
 * replaces the token of somebody who is. Calls on many sessions take one for each
 * 250 of them, and let others in between.
 *
 * `update` takes time in the size of the session, everything else of a single
 * session does not depend on it beside the transfer. A sign-in takes time in the
 * logarithm of the user's sessions, `list` and `destroyAll` in their number, and
 * `list` reads no more of each than its beginning; `clear` looks through every key
 * of the database.
 */
export class RedisProvider implements Provider {
  readonly #prefix: string;
  readonly #redis: Connection;
  readonly #index: PrincipalIndex;
  readonly #owned: BunConnection | undefined;
  /**
   * That of the session read last, in seconds: a sign-in is told none, and most
   * often this is right. If not, the script of the update says so.
   */
  #idleTimeout = 3600;
  #isClosed = false;

  /**
   * A provider on a client, or on Bun on a URL.
   *
   * @param client A client, which stays the caller's to connect and to close;
   * or, on Bun, the URL of a server, for a client that the provider closes.
   * @throws {TypeError} If the client is of no known kind, is an ioredis client
   * with a `keyPrefix`, or is a URL and the runtime is not Bun; if an option is
   * unknown or the prefix is empty.
   */
  constructor(
    client: RedisClient | string | URL,
    options: RedisProviderOptions = {},
  ) {
    const { prefix = "session:" } = ownOptions(
      "create RedisProvider",
      options,
      ["prefix"],
    );
    this.#prefix = checkPrefix(prefix);
    this.#owned = typeof client === "string" || client instanceof URL
      ? new BunConnection(String(client))
      : undefined;
    this.#redis = new Connection(
      this.#owned ?? client as RedisClient,
      this.#prefix,
    );
    this.#index = new PrincipalIndex(this.#redis, this.#prefix);
  }

  /**
   * See {@linkcode Provider.create}.
   *
   * @throws {TypeError} If the id is not 24 characters of base64url.
   */
  async create(
    id: string,
    record: NewSessionRecord,
    now: number,
    patience?: Patience,
  ): Promise<boolean> {
    this.#checkOpen();
    checkId(id);
    const own = ownOf(record);
    const { principal } = own;
    const deadline = expiryOf(own);
    const life = { deadline, latest: absoluteExpiryOf(own), now, patience };
    const coverage = principal === undefined
      ? undefined
      : await this.#index.cover(id, principal, life);
    const bookkeeping = {
      writeId: mintWriteId(),
      indexedUntil: coverage?.until,
    };
    const text = recordText(own, bookkeeping);
    const args = [text, timeToLive(deadline, now)];
    const key = this.#keyOf(id);
    const reply = await this.#redis.run(CREATE, key, args, patience);
    return textOf(reply) === "done";
  }

  /** See {@linkcode Provider.read}. */
  async read(id: string, now: number): Promise<SessionRecord | undefined> {
    this.#checkOpen();
    if (!isId(id)) return undefined;
    const text = await this.#redis.text("GET", [this.#keyOf(id)]);
    if (text === undefined) return undefined;
    const record = readRecord(id, text, now);
    if (record !== undefined) this.#idleTimeout = record.idleTimeout;
    return record;
  }

  /** See {@linkcode Provider.update}. */
  async update(
    id: string,
    change: SessionChange,
    guard: Guard,
    now: number,
    patience?: Patience,
  ): Promise<UpdateResult> {
    this.#checkOpen();
    if (!isId(id)) return "gone";
    const own = ownOf(change);
    const writeId = mintWriteId();
    const update = { change: own, guard: ownOf(guard), now, writeId };
    const coverage = await this.#coverSignIn(id, own, now, patience);
    const key = this.#keyOf(id);
    return await this.#index.covered(
      { id, now, coverage, patience },
      (indexed) =>
        this.#redis.run(UPDATE, key, updateArgs(update, indexed), patience),
    );
  }

  /** See {@linkcode Provider.touch}. */
  async touch(
    id: string,
    now: number,
    patience?: Patience,
  ): Promise<boolean> {
    this.#checkOpen();
    if (!isId(id)) return false;
    const key = this.#keyOf(id);
    const result = await this.#index.covered(
      { id, now, coverage: undefined, patience },
      (indexed) =>
        this.#redis.run(TOUCH, key, touchArgs(now, indexed), patience),
    );
    return result === "done";
  }

  /** See {@linkcode Provider.destroy}. */
  async destroy(
    id: string,
    guard: Guard,
    now: number,
    patience?: Patience,
  ): Promise<DestroyResult> {
    this.#checkOpen();
    const { result, principal } = await this.#end(id, guard, now, patience);
    // Nobody waits for it: the session has ended, and the entry is a hint.
    if (principal !== undefined) {
      tidy(() => this.#index.remove(principal, [id]));
    }
    return result;
  }

  /** See {@linkcode Provider.destroyMany}. */
  async destroyMany(
    ids: readonly string[],
    guard: Guard,
    now: number,
    patience?: Patience,
  ): Promise<readonly string[]> {
    this.#checkOpen();
    const ended: string[] = [];
    const ownedBy = new Map<string, string[]>();
    await inBatches([...new Set(ids)], patience, async (id) => {
      const { result, principal } = await this.#end(id, guard, now, patience);
      if (result === "done") ended.push(id);
      if (principal === undefined) return;
      const owned = ownedBy.get(principal);
      if (owned === undefined) ownedBy.set(principal, [id]);
      else owned.push(id);
    });
    for (const [principal, owned] of ownedBy) {
      await this.#unlist(principal, owned);
    }
    return ended;
  }

  /**
   * Answers 0: the server removes what has expired.
   *
   * @returns 0.
   */
  // deno-lint-ignore require-await
  async gc(_now: number, _limit: number): Promise<number> {
    this.#checkOpen();
    return 0;
  }

  /** See {@linkcode Provider.list}. */
  async list(principal: string, now: number): Promise<SessionList> {
    this.#checkOpen();
    const ids = await this.#index.idsOf(principal);
    const sessions: SessionSummary[] = [];
    const unreadable: string[] = [];
    await inBatches(ids, undefined, async (id) => {
      const listed = await this.#look(id, { principal, now });
      if (typeof listed === "string") unreadable.push(id);
      else if (listed !== undefined) sessions.push(listed);
    });
    return { sessions, unreadable };
  }

  /** See {@linkcode Provider.destroyAll}. */
  async destroyAll(
    principal: string,
    except?: string,
    patience?: Patience,
  ): Promise<number> {
    this.#checkOpen();
    const ids = await this.#index.idsOf(principal);
    const owner = [fieldText(principal)];
    const ended: string[] = [];
    await inBatches(ids, patience, async (id) => {
      if (id === except) return;
      const key = this.#keyOf(id);
      const reply = await this.#redis.run(END, key, owner, patience);
      if (textOf(reply) === "done") ended.push(id);
    });
    await this.#unlist(principal, ended);
    return ended.length;
  }

  /**
   * Ends every session with this prefix, in a cluster on every master that the
   * client knows. Looks through all keys of the database, some at a time, and
   * begins again if another server takes over meanwhile or keys move to another.
   * The lists of users' sessions are left to expire: one of them may be needed by
   * a sign-in under way.
   *
   * @returns How many there were; expired ones may or may not count.
   * @throws If the servers change all the time.
   */
  async clear(patience?: Patience): Promise<number> {
    this.#checkOpen();
    let count = 0;
    let cursor: string | undefined;
    do {
      checkPatience(patience);
      const { ids, next } = await this.#scanIds(cursor, CLEARED_AT_ONCE);
      if (ids.length > 0) count += await this.#endAll(ids, patience);
      cursor = next;
      patience?.extend();
    } while (cursor !== undefined);
    return count;
  }

  /** See {@linkcode Provider.scan}. */
  async scan(
    cursor: string | undefined,
    limit: number,
    now: number,
  ): Promise<ScanPage> {
    this.#checkOpen();
    const count = Math.max(limit, MIN_SCAN);
    const { ids, next } = await this.#scanIds(cursor, count);
    const sessions: StoredSession[] = [];
    const unreadable: string[] = [];
    await Promise.all(ids.map(async (id) => {
      const text = await this.#redis.text("GET", [this.#keyOf(id)]);
      const record = readable(id, text, now);
      if (record === "corrupt") unreadable.push(id);
      else if (record !== undefined) sessions.push({ id, record });
    }));
    return { sessions, unreadable, next };
  }

  /** See {@linkcode Provider.serverTime}. */
  async serverTime(): Promise<number> {
    this.#checkOpen();
    return await this.#redis.time();
  }

  /**
   * Opens another client in place of the one that the provider opened itself;
   * one that it was handed is the caller's to look after.
   */
  reconnect(): void {
    if (!this.#isClosed) this.#owned?.reconnect();
  }

  /** Closes the client if the provider opened it. Twice is safe. */
  // deno-lint-ignore require-await
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#owned?.close();
  }

  /** Ends a session, and says whose it was if the index is to forget it. */
  async #end(
    id: string,
    guard: Guard,
    now: number,
    patience: Patience | undefined,
  ): Promise<{ result: DestroyResult; principal?: string | undefined }> {
    if (!isId(id)) return { result: "absent" };
    const args = destroyArgs(ownOf(guard), now);
    const reply = textOf(
      await this.#redis.run(DESTROY, this.#keyOf(id), args, patience),
    ) as string;
    if (!reply.startsWith("done")) return { result: reply as DestroyResult };
    const principal = readPrincipal(reply.slice("done".length));
    return { result: "done", principal };
  }

  /** Has the index forget sessions that have ended, some at a time. */
  async #unlist(principal: string, ids: readonly string[]): Promise<void> {
    for (let at = 0; at < ids.length; at += BATCH) {
      const batch = ids.slice(at, at + BATCH);
      await tidy(() => this.#index.remove(principal, batch));
    }
  }

  /** Has the index name a session before an update signs somebody in. */
  async #coverSignIn(
    id: string,
    { principal, idleTimeout = this.#idleTimeout }: SessionChange,
    now: number,
    patience: Patience | undefined,
  ): Promise<Coverage | undefined> {
    if (typeof principal !== "string") return undefined;
    const deadline = now + idleTimeout * 1000;
    const life = { deadline, latest: Infinity, now, patience };
    return await this.#index.cover(id, principal, life);
  }

  /** What a list tells of a session. */
  async #look(
    id: string,
    owner: { readonly principal: string; readonly now: number },
  ): Promise<Listed> {
    const key = this.#keyOf(id);
    const range = [key, "0", String(HEAD_LENGTH - 1)];
    const head = await this.#redis.text("GETRANGE", range);
    if (!head) return undefined;
    const listed = readSummary(id, head, owner);
    if (listed !== "incomplete") return listed;
    const text = await this.#redis.text("GET", [key]);
    return text === undefined ? undefined : readSummary(id, text, owner);
  }

  async #scanIds(
    cursor: string | undefined,
    count: number,
  ): Promise<{ readonly ids: string[]; readonly next: string | undefined }> {
    const { keys, next } = await this.#redis.scan(this.#prefix, cursor, count);
    // The server may show a key twice, and those of longer prefixes too.
    const ids = keys.map((key) => key.slice(this.#prefix.length)).filter(isId);
    return { ids: [...new Set(ids)], next };
  }

  async #endAll(
    ids: readonly string[],
    patience: Patience | undefined,
  ): Promise<number> {
    const keys = ids.map((id) => this.#keyOf(id));
    // In a cluster, one script cannot name keys of different nodes.
    const isCluster = this.#redis.nodes !== undefined;
    const batches = isCluster ? keys.map((key) => [key]) : [keys];
    let count = 0;
    await inBatches(batches, patience, async (batch) => {
      const reply = await this.#redis.runOn(batch, CLEAR, [], patience);
      count += Number(reply);
    });
    return count;
  }

  // Because ids have one length, no key of one prefix is a key of another.
  #keyOf(id: string): string {
    return this.#prefix + id;
  }

  #checkOpen(): void {
    if (!this.#isClosed) return;
    throw new SessionError("closed", "Cannot use RedisProvider: it is closed");
  }
}

/**
 * Does something for each of many, so many at a time that others get their turn in
 * between.
 */
async function inBatches<T>(
  items: readonly T[],
  patience: Patience | undefined,
  work: (item: T) => Promise<void>,
): Promise<void> {
  for (let at = 0; at < items.length; at += BATCH) {
    if (at > 0) await setImmediate();
    checkPatience(patience);
    await Promise.all(items.slice(at, at + BATCH).map(work));
    patience?.extend();
  }
}

/** What was given up does not go on behind its caller's back. */
function checkPatience(patience: Patience | undefined): void {
  if (patience === undefined || performance.now() < patience.giveUpAt) return;
  throw new SessionError("timeout", "Cannot go on: the call has been given up");
}

/** A record that is live, if it can be made out. */
function readable(
  id: string,
  text: string | undefined,
  now: number,
): SessionRecord | "corrupt" | undefined {
  try {
    return text === undefined ? undefined : readRecord(id, text, now);
  } catch {
    return "corrupt";
  }
}

/** Does what may be left undone: what was asked for has been done by now. */
async function tidy(work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch {
    // A stale entry does no harm, and ends by itself.
  }
}

/** Reads `redis://host:6379/0?prefix=shop:`. */
function fromUrl(url: URL | undefined): RedisProvider {
  if (url === undefined) {
    throw new TypeError(
      "Cannot open provider redis: it needs a URL, such as redis://localhost, or a client: pass new RedisProvider(client) instead",
    );
  }
  const options = Object.fromEntries(url.searchParams);
  const server = new URL(url);
  server.search = "";
  return new RedisProvider(server, options);
}

register("redis", fromUrl);
register("rediss", fromUrl);
register("valkey", fromUrl);
