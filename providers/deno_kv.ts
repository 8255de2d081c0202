/**
 * Keeps sessions in Deno KV: in a local file, in memory, or in a database that
 * many machines share. Importing this module registers it as `"deno-kv"`.
 *
 * | URL | database |
 * | --- | --- |
 * | `deno-kv:` | the default one of the program |
 * | `deno-kv::memory:` | one in memory that ends with the provider |
 * | `deno-kv:./sessions.db` | a file; `%25` stands for a percent sign in its name |
 * | `deno-kv:https://…` | a remote one; its token is in `DENO_KV_ACCESS_TOKEN` |
 *
 * Deno has `Deno.openKv` only with `--unstable-kv`, or with
 * `"unstable": ["kv"]` in `deno.json`. An open database can be handed in
 * instead, on any runtime.
 *
 * A session takes one value, and Deno KV takes values of up to 65,536 bytes. A
 * few hundred of them are not data, so a manager on this provider does well
 * with `maxSize: 64_000`.
 *
 * @example
 * ```ts
 * import { Manager } from "@cloakroom/session";
 * import { DenoKvProvider } from "@cloakroom/session/deno-kv";
 * import { assertEquals } from "@std/assert";
 *
 * const provider = new DenoKvProvider(":memory:");
 * await using manager = new Manager<{ visits: number }>({
 *   provider,
 *   maxSize: 64_000,
 * });
 * const handler = manager.handle(async (_request, session) => {
 *   const visits = await session.update("visits", (visits = 0) => visits + 1);
 *   return new Response(`Visit ${visits}`);
 * });
 * const response = await handler(new Request("http://localhost/"));
 * assertEquals(await response.text(), "Visit 1");
 * ```
 *
 * @module
 */
import { setTimeout } from "node:timers/promises";
import { encode } from "../core/codec.ts";
import { SessionError } from "../core/errors.ts";
import type {
  NewSessionRecord,
  Provider,
  ScanPage,
  SessionChange,
  SessionRecord,
  StoredSession,
  UpdateGuard,
  UpdateResult,
} from "../core/provider.ts";
import { applied, isGuardMet } from "../core/record.ts";
import { register } from "../core/registry.ts";
import { digest } from "../core/token.ts";
import {
  checkKv,
  type DenoKv,
  type DenoKvAtomic,
  type DenoKvEntry,
  openKvOfRuntime,
} from "./deno_kv/database.ts";
import {
  ABSENT,
  type Header,
  principalOf,
  readLive,
  readStored,
  recordOf,
  type Stored,
  toBytes,
  type Version,
} from "./deno_kv/record.ts";
import { checkOptionNames } from "../core/option_names.ts";

export type {
  DenoKv,
  DenoKvAtomic,
  DenoKvEntry,
  DenoKvSelector,
} from "./deno_kv/database.ts";

/** How a {@linkcode DenoKvProvider} keeps sessions. */
export interface DenoKvProviderOptions {
  /**
   * The first part of every key, 1 to 256 characters. Providers with different
   * prefixes share a database without seeing each other.
   *
   * @default {"session"}
   */
  readonly prefix?: string | undefined;
}

const DAY = 86_400_000;

/** How many keys Deno KV reads in one go. */
const MAX_READS = 10;

/** How many sessions go into one atomic write of `clear`, two keys for each. */
const CLEAR_BATCH = 50;

/** How often a call goes around before it gives up. */
const MAX_ATTEMPTS = 100;

/** The longest pause between two attempts, in milliseconds. */
const MAX_PAUSE = 32;

/** How many records are remembered between a request's read and its write. */
const MAX_REMEMBERED = 256;

/** Longer than this is as good as for ever; Deno KV refuses what overflows. */
const MAX_EXPIRE_IN = 100 * 365 * 24 * 3600 * 1000;

/**
 * Sessions in Deno KV, one key each, and one more in an index for each that has
 * a principal. Where a write needs both, they are one atomic operation. The entry
 * in the index lasts as long again as its session and two days more, so that it
 * need not be written each time; one whose session has expired is passed over.
 *
 * Every write is checked against the versionstamp of the record that it was
 * worked out from, and goes around again if that has changed. A record that was
 * read shortly before is tried first, so that a request which reads and writes
 * costs two round trips.
 *
 * The record's own deadline decides whether it is there. Deno KV removes it at
 * some time after, so `gc` has nothing to do and answers 0.
 */
export class DenoKvProvider implements Provider {
  readonly #source: string | undefined;
  readonly #given: DenoKv | undefined;
  readonly #prefix: string;
  readonly #remembered = new Map<string, DenoKvEntry>();
  #opened: Promise<DenoKv> | undefined;
  #isClosed = false;

  /**
   * A provider on a database.
   *
   * @param source An open database, which stays open when the provider is
   * closed; or what to open at the first call: a path, `":memory:"`, the URL of
   * a remote database, or `undefined` for the program's default one.
   * @throws {TypeError} If something is to be opened and this runtime has no
   * `Deno.openKv`, if the prefix is not 1 to 256 characters, or if there is an
   * option of another name.
   */
  constructor(
    source?: DenoKv | string | undefined,
    options: DenoKvProviderOptions = {},
  ) {
    const { prefix = "session", ...others } = options;
    checkOptionNames("create DenoKvProvider", others, []);
    this.#prefix = checkPrefix(prefix);
    if (typeof source === "object") this.#given = checkKv(source);
    else this.#source = checkSource(source);
  }

  /** {@inheritDoc Provider.create} */
  async create(
    id: string,
    record: NewSessionRecord,
    now: number,
  ): Promise<boolean> {
    const after = { ...record, version: 1 };
    const data = encode(record.data);
    return await this.#write(id, ABSENT, (entry) => {
      const before = readStored(entry)?.header;
      if (before !== undefined && before.expiresAt > now) {
        return { answer: false };
      }
      const puts = this.#puts({ id, before, after, data, now });
      return { answer: true, puts };
    });
  }

  /** {@inheritDoc Provider.read} */
  async read(id: string, now: number): Promise<SessionRecord | undefined> {
    const kv = await this.#open();
    const entry = await kv.get(this.#recordKey(id));
    const record = readLive(entry, now);
    if (record !== undefined) this.#remember(id, entry);
    return record;
  }

  /** {@inheritDoc Provider.update} */
  async update(
    id: string,
    change: SessionChange,
    guard: UpdateGuard,
    now: number,
  ): Promise<UpdateResult> {
    return await this.#write(id, this.#recall(id), (entry) => {
      const stored = readStored(entry);
      if (!isLive(stored, now)) return { answer: "gone" };
      const before = stored.header;
      if (!isGuardMet(before, guard, now)) return { answer: "gone" };
      if (guard.version !== undefined && guard.version !== before.version) {
        return { answer: "conflict" };
      }
      const after = applied(recordOf(stored), change, now);
      const data = encode(after.data);
      const puts = this.#puts({ id, before, after, data, now });
      return { answer: "done", puts };
    });
  }

  /** {@inheritDoc Provider.touch} */
  async touch(id: string, expiresAt: number, now: number): Promise<boolean> {
    return await this.#write(id, this.#recall(id), (entry) => {
      const stored = readStored(entry);
      if (!isLive(stored, now)) return { answer: false };
      const { header: before, data } = stored;
      const after = {
        ...before,
        accessedAt: now,
        expiresAt: Math.max(before.expiresAt, expiresAt),
      };
      const puts = this.#puts({ id, before, after, data, now });
      return { answer: true, puts };
    });
  }

  /** {@inheritDoc Provider.destroy} */
  async destroy(id: string): Promise<boolean> {
    return await this.#write(id, this.#recall(id), (entry) => {
      if (entry.versionstamp === null) return { answer: false };
      return { answer: true, puts: this.#removals(id, principalOf(entry)) };
    });
  }

  /**
   * Removes nothing, because Deno KV does so by itself.
   *
   * @returns 0
   */
  async gc(_now: number, _limit: number): Promise<number> {
    await this.#open();
    return 0;
  }

  /** {@inheritDoc Provider.list} */
  async list(
    principal: string,
    now: number,
  ): Promise<readonly StoredSession[]> {
    const kv = await this.#open();
    const ids = await this.#idsOf(kv, principal);
    const live: StoredSession[] = [];
    for (let from = 0; from < ids.length; from += MAX_READS) {
      const some = ids.slice(from, from + MAX_READS);
      const entries = await kv.getMany(some.map((id) => this.#recordKey(id)));
      for (const entry of entries) {
        const record = readLive(entry, now);
        // It may have changed hands since its id was read.
        if (record?.principal !== principal) continue;
        live.push({ id: idOf(entry), record });
      }
    }
    return live;
  }

  /** {@inheritDoc Provider.destroyAll} */
  async destroyAll(principal: string, except?: string): Promise<number> {
    const ids = await this.#idsOf(await this.#open(), principal);
    let count = 0;
    for (let from = 0; from < ids.length; from += MAX_READS) {
      const some = ids.slice(from, from + MAX_READS);
      const ended = await Promise.all(
        some.map((id) => id !== except && this.#destroyOf(id, principal)),
      );
      count += ended.filter((isEnded) => isEnded).length;
    }
    return count;
  }

  /** {@inheritDoc Provider.clear} */
  async clear(): Promise<number> {
    const kv = await this.#open();
    let count = 0;
    let cursor: string | undefined;
    do {
      const entries = await this.#page(kv, cursor, CLEAR_BATCH);
      const removals = entries.flatMap((entry) =>
        this.#removals(idOf(entry), principalOf(entry))
      );
      await repeated(async () => {
        return { answer: await withPuts(kv.atomic(), removals).commit() };
      });
      count += entries.length;
      cursor = lastId(entries, CLEAR_BATCH);
    } while (cursor !== undefined);
    return count;
  }

  /** {@inheritDoc Provider.scan} */
  async scan(
    cursor: string | undefined,
    limit: number,
    now: number,
  ): Promise<ScanPage> {
    const entries = await this.#page(await this.#open(), cursor, limit);
    const sessions: StoredSession[] = [];
    const unreadable: string[] = [];
    for (const entry of entries) {
      const id = idOf(entry);
      try {
        const record = readLive(entry, now);
        if (record !== undefined) sessions.push({ id, record });
      } catch {
        unreadable.push(id);
      }
    }
    return { sessions, unreadable, next: lastId(entries, limit) };
  }

  /** Closes the database if the provider opened it. Twice is safe. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#remembered.clear();
    // Who asked for a database that cannot be opened has heard of it.
    const opened = await this.#opened?.catch(() => undefined);
    opened?.close();
  }

  /**
   * Works out a write from a record and does it, unless the record has changed
   * in between: then all over again. To write nothing is no answer to a record
   * that may be outdated, so `guess` counts only if its write succeeds.
   */
  async #write<T>(
    id: string,
    guess: Version | undefined,
    plan: (entry: Version) => Plan<T>,
  ): Promise<T> {
    const kv = await this.#open();
    const key = this.#recordKey(id);
    return await repeated(async (isFirst) => {
      const isGuess = isFirst && guess !== undefined;
      const entry = isGuess ? guess : await kv.get(key);
      const { answer, puts } = plan(entry);
      if (puts === undefined) return isGuess ? undefined : { answer };
      const { versionstamp } = entry;
      const atomic = kv.atomic().check({ key, versionstamp });
      const { ok } = await withPuts(atomic, puts).commit();
      return ok ? { answer } : undefined;
    });
  }

  /** Ends a session unless it has changed hands. */
  async #destroyOf(id: string, principal: string): Promise<boolean> {
    return await this.#write(id, undefined, (entry) => {
      // One that cannot be read is theirs as far as anybody knows.
      const owner = principalOf(entry, principal);
      if (entry.versionstamp === null || owner !== principal) {
        return { answer: false };
      }
      return { answer: true, puts: this.#removals(id, principal) };
    });
  }

  /**
   * What replaces a record, and moves its entry in the index of principals. An
   * entry is to outlast its record by far, so that few writes need to renew it.
   */
  #puts({ id, before, after, data, now }: Replacement): readonly Put[] {
    const { principal, expiresAt } = after;
    const isSame = before?.principal === principal;
    const known = isSame ? before?.indexedUntil : undefined;
    const isIndexed = known !== undefined && known >= expiresAt;
    const until = expiresAt + Math.max(expiresAt - now, DAY);
    const indexedUntil = isIndexed ? known : until;
    const value = principal === undefined
      ? toBytes({ ...after, indexedUntil: undefined }, data)
      : toBytes({ ...after, indexedUntil }, data);
    const expireIn = lifetime(expiresAt, now);
    const puts: Put[] = [{ key: this.#recordKey(id), value, expireIn }];
    if (before?.principal !== undefined && !isSame) {
      puts.push({ key: this.#indexKey(before.principal, id) });
    }
    if (principal !== undefined && !isIndexed) {
      const key = this.#indexKey(principal, id);
      // The clocks of machines may differ by up to the extra day.
      puts.push({ key, value: true, expireIn: lifetime(until + DAY, now) });
    }
    return puts;
  }

  #removals(id: string, principal: string | undefined): readonly Put[] {
    const record = { key: this.#recordKey(id) };
    if (principal === undefined) return [record];
    return [record, { key: this.#indexKey(principal, id) }];
  }

  async #idsOf(kv: DenoKv, principal: string): Promise<readonly string[]> {
    const ids: string[] = [];
    const prefix = this.#indexKey(principal);
    for await (const entry of kv.list({ prefix })) ids.push(idOf(entry));
    return ids;
  }

  /** The records that follow an id, in the order of their ids. */
  async #page(
    kv: DenoKv,
    after: string | undefined,
    limit: number,
  ): Promise<readonly DenoKvEntry[]> {
    const prefix = this.#recordKey();
    const selector = after === undefined
      ? { prefix }
      // Nothing comes between a text and itself with a zero behind it.
      : { prefix, start: this.#recordKey(`${after}\0`) };
    const entries: DenoKvEntry[] = [];
    for await (const entry of kv.list(selector, { limit })) entries.push(entry);
    return entries;
  }

  #recordKey(...id: readonly string[]): readonly string[] {
    return [this.#prefix, "id", ...id];
  }

  /**
   * Digested, because a key is short. Strings that UTF-8 cannot tell apart
   * share a digest; what counts is the principal in the record.
   */
  #indexKey(principal: string, ...id: readonly string[]): readonly string[] {
    const name = digest(principal);
    return [this.#prefix, "principal", name, ...id];
  }

  #remember(id: string, entry: DenoKvEntry): void {
    this.#remembered.delete(id);
    this.#remembered.set(id, entry);
    if (this.#remembered.size <= MAX_REMEMBERED) return;
    const [oldest] = this.#remembered.keys();
    this.#remembered.delete(oldest as string);
  }

  #recall(id: string): DenoKvEntry | undefined {
    const entry = this.#remembered.get(id);
    this.#remembered.delete(id);
    return entry;
  }

  async #open(): Promise<DenoKv> {
    this.#checkOpen();
    if (this.#given !== undefined) return this.#given;
    const opening = this.#opened ??= openKvOfRuntime()(this.#source);
    try {
      const kv = await opening;
      this.#checkOpen();
      return kv;
    } catch (error) {
      // What failed once is tried anew by the next call.
      if (!this.#isClosed && this.#opened === opening) this.#opened = undefined;
      throw error;
    }
  }

  #checkOpen(): void {
    if (!this.#isClosed) return;
    throw new SessionError("closed", "Cannot use DenoKvProvider: it is closed");
  }
}

/** One key to store, or to remove if there is no value. */
interface Put {
  readonly key: readonly string[];
  readonly value?: unknown;
  readonly expireIn?: number;
}

/** How to answer a call, and what has to be written for that. */
interface Plan<T> {
  readonly answer: T;
  readonly puts?: readonly Put[];
}

interface Replacement {
  readonly id: string;
  readonly before: Header | undefined;
  readonly after: Header;
  /** The data of the new record. */
  readonly data: string;
  readonly now: number;
}

function isLive(stored: Stored | undefined, now: number): stored is Stored {
  return stored !== undefined && stored.header.expiresAt > now;
}

/** For how long Deno KV keeps something, in milliseconds. */
function lifetime(expiresAt: number, now: number): number {
  const remaining = Math.ceil(expiresAt - now);
  return Math.min(Math.max(remaining, 0), MAX_EXPIRE_IN);
}

function withPuts(atomic: DenoKvAtomic, puts: readonly Put[]): DenoKvAtomic {
  return puts.reduce((writes, { key, value, expireIn = 0 }) => {
    return value === undefined
      ? writes.delete(key)
      : writes.set(key, value, { expireIn });
  }, atomic);
}

/**
 * Tries until there is an answer. Other writers can change a record first, or,
 * in another process, hold the lock of a database file.
 */
async function repeated<T>(
  attempt: (isFirst: boolean) => Promise<{ readonly answer: T } | undefined>,
): Promise<T> {
  for (let count = 1; count <= MAX_ATTEMPTS; count++) {
    if (count > 2) await pause(count);
    try {
      const done = await attempt(count === 1);
      if (done !== undefined) return done.answer;
    } catch (error) {
      if (!isLocked(error) || count === MAX_ATTEMPTS) throw error;
    }
  }
  throw new SessionError(
    "conflict",
    `Cannot write session: others changed it first, ${MAX_ATTEMPTS} times in a row`,
  );
}

/** SQLite's word for a write that another process kept from happening. */
function isLocked(error: unknown): boolean {
  return error instanceof Error && error.message === "database is locked";
}

/** Lets one of several writers get ahead of the others. */
async function pause(attempt: number): Promise<void> {
  await setTimeout(Math.random() * Math.min(2 ** attempt, MAX_PAUSE));
}

function idOf(entry: DenoKvEntry): string {
  return entry.key.at(-1) as string;
}

/** Where the next page begins; `undefined` after the last one. */
function lastId(
  entries: readonly DenoKvEntry[],
  limit: number,
): string | undefined {
  const last = entries.length < limit ? undefined : entries.at(-1);
  return last === undefined ? undefined : idOf(last);
}

function checkSource(source: unknown): string | undefined {
  if (source !== undefined && (typeof source !== "string" || source === "")) {
    throw new TypeError(
      `Cannot create DenoKvProvider: source must be an open Deno KV, a path or a URL: received ${
        source === "" ? "an empty string" : typeof source
      }`,
    );
  }
  openKvOfRuntime();
  return source;
}

function checkPrefix(prefix: unknown): string {
  const isPrefix = typeof prefix === "string" && prefix.length > 0 &&
    prefix.length <= 256;
  if (isPrefix) return prefix;
  throw new TypeError(
    `Cannot create DenoKvProvider: prefix must be 1 to 256 characters: received ${
      typeof prefix === "string" ? prefix.length : typeof prefix
    }`,
  );
}

/** Reads `deno-kv:./sessions.db?prefix=admin`. */
function fromUrl(url: URL | undefined): DenoKvProvider {
  if (url === undefined) return new DenoKvProvider();
  if (url.host !== "" || url.hash !== "") {
    throw new TypeError(
      "Cannot open provider deno-kv: its URL must be deno-kv: and a path, or deno-kv: and the URL of a database",
    );
  }
  const options = Object.fromEntries(url.searchParams);
  return new DenoKvProvider(sourceOf(url.pathname), options);
}

function sourceOf(path: string): string | undefined {
  if (path === "") return undefined;
  if (/^https?:/.test(path)) return path;
  try {
    return decodeURIComponent(path);
  } catch {
    throw new TypeError(
      "Cannot open provider deno-kv: a percent sign in its path must be written %25",
    );
  }
}

register("deno-kv", fromUrl);
