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
 * instead, on any runtime, such as one of the npm package `@deno/kv`. On Bun,
 * open it with `encodeV8: serialize` and `decodeV8: deserialize` of `node:v8`;
 * only Bun can read such a database.
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
import { encode } from "../core/value/codec.ts";
import { checkOptionNames } from "../core/option_names.ts";
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
import { applied, isGuardMet } from "../core/store/record.ts";
import { register } from "../core/registry.ts";
import { KEPT_LENGTH, WriteIds } from "../core/store/write_ids.ts";
import { Connection } from "./deno_kv/connection.ts";
import type { DenoKv, DenoKvEntry } from "./deno_kv/database.ts";
import { idOf, Keys } from "./deno_kv/keys.ts";
import { PrincipalIndex, type Replacement } from "./deno_kv/principal_index.ts";
import { lifetime, type Put, withPuts } from "./deno_kv/put.ts";
import { RecentRecords } from "./deno_kv/recent_records.ts";
import {
  ABSENT,
  hasWrite,
  principalOf,
  readLive,
  readStored,
  recordOf,
  type Stored,
  toBytes,
  type Version,
} from "./deno_kv/record.ts";
import { repeated } from "./deno_kv/repeated.ts";

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

/** How many sessions go into one atomic write of `clear`, two keys for each. */
const CLEAR_BATCH = 50;

/**
 * Sessions in Deno KV, one key each, and one more in an index for each that has
 * a principal. Where a write needs both, they are one atomic operation. An entry
 * in the index is kept for what its session had left to live when the entry was
 * written, for as long again or an hour, whichever is more, and for another day,
 * because clocks differ: so it need not be written each time. One whose record is
 * no longer there is removed by the next `list` or `destroyAll`, which read the
 * records of all entries, ten in a round trip.
 *
 * Every write is checked against the versionstamp of the record that it was
 * worked out from, and goes around again if that has changed. A record that was
 * read shortly before is tried first, so that a request which reads and writes
 * costs two round trips.
 *
 * The client of a remote database may send a write again whose answer was lost:
 * each of a session's last four writes is known again and not done twice. Of an
 * end that was lost nothing is left to know it by: `destroy` may answer `false`
 * then, and `destroyAll` count too few.
 *
 * The record's own deadline decides whether it is there. Deno KV removes it at
 * some time after, so `gc` has nothing to do and answers 0.
 */
export class DenoKvProvider implements Provider {
  readonly #keys: Keys;
  readonly #index: PrincipalIndex;
  readonly #connection: Connection;
  readonly #recent = new RecentRecords();
  readonly #writeIds = new WriteIds();

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
    this.#keys = new Keys(checkPrefix(prefix));
    this.#index = new PrincipalIndex(this.#keys);
    this.#connection = new Connection(source);
  }

  /** {@inheritDoc Provider.create} */
  async create(
    id: string,
    record: NewSessionRecord,
    now: number,
  ): Promise<boolean> {
    const after = { ...record, version: 1 };
    const data = encode(record.data);
    return await this.#write(id, ABSENT, (entry, writeId, wasRefused) => {
      // Nobody else has this id: what is gone was this session, and has ended.
      if (wasRefused && entry.versionstamp === null) return { answer: true };
      const before = readStored(entry)?.header;
      if (before !== undefined && before.expiresAt > now) {
        return { answer: false };
      }
      const puts = this.#puts({ id, before, after, writeId, now }, data);
      return { answer: true, puts };
    });
  }

  /** {@inheritDoc Provider.read} */
  async read(id: string, now: number): Promise<SessionRecord | undefined> {
    const kv = await this.#connection.open();
    const entry = await kv.get(this.#keys.record(id));
    const record = readLive(entry, now);
    if (record !== undefined) this.#recent.remember(id, entry);
    return record;
  }

  /** {@inheritDoc Provider.update} */
  async update(
    id: string,
    change: SessionChange,
    guard: UpdateGuard,
    now: number,
  ): Promise<UpdateResult> {
    return await this.#write(id, this.#recent.recall(id), (entry, writeId) => {
      const stored = readStored(entry);
      if (!isLive(stored, now)) return { answer: "gone" };
      const before = stored.header;
      if (!isGuardMet(before, guard, now)) return { answer: "gone" };
      if (guard.version !== undefined && guard.version !== before.version) {
        return { answer: "conflict" };
      }
      const after = applied(recordOf(stored), change, now);
      const data = encode(after.data);
      const puts = this.#puts({ id, before, after, writeId, now }, data);
      return { answer: "done", puts };
    });
  }

  /** {@inheritDoc Provider.touch} */
  async touch(id: string, expiresAt: number, now: number): Promise<boolean> {
    return await this.#write(id, this.#recent.recall(id), (entry) => {
      const stored = readStored(entry);
      if (!isLive(stored, now)) return { answer: false };
      const { header: before, data } = stored;
      const after = {
        ...before,
        accessedAt: now,
        expiresAt: Math.max(before.expiresAt, expiresAt),
      };
      const puts = this.#puts({ id, before, after, now }, data);
      return { answer: true, puts };
    });
  }

  /** {@inheritDoc Provider.destroy} */
  async destroy(id: string): Promise<boolean> {
    return await this.#write(id, this.#recent.recall(id), (entry) => {
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
    await this.#connection.open();
    return 0;
  }

  /** {@inheritDoc Provider.list} */
  async list(
    principal: string,
    now: number,
  ): Promise<readonly StoredSession[]> {
    const live: StoredSession[] = [];
    const kv = await this.#connection.open();
    for await (const entries of this.#index.recordsOf(kv, principal)) {
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
    let count = 0;
    const kv = await this.#connection.open();
    for await (const entries of this.#index.recordsOf(kv, principal)) {
      const others = entries.filter((entry) => idOf(entry) !== except);
      const ended = await Promise.all(
        others.map((entry) => this.#destroyOf(entry, principal)),
      );
      count += ended.filter((isEnded) => isEnded).length;
    }
    return count;
  }

  /** {@inheritDoc Provider.clear} */
  async clear(): Promise<number> {
    const kv = await this.#connection.open();
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
    const kv = await this.#connection.open();
    const entries = await this.#page(kv, cursor, limit);
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
    this.#recent.clear();
    await this.#connection.close();
  }

  /**
   * Works out a write from a record and does it, unless the record has changed
   * in between: then all over again. To write nothing is no answer to a record
   * that may be outdated, so `guess` counts only if its write succeeds.
   *
   * The client of a remote database sends a write again whose answer was lost,
   * and then refuses one that was done, because the record has changed.
   */
  async #write<T>(
    id: string,
    guess: Version | undefined,
    plan: (entry: Version, writeId: string, wasRefused: boolean) => Plan<T>,
  ): Promise<T> {
    const kv = await this.#connection.open();
    const key = this.#keys.record(id);
    const writeId = this.#writeIds.next();
    let refused: { readonly answer: T } | undefined;
    return await repeated(async (isFirst) => {
      const isGuess = isFirst && guess !== undefined;
      const entry = isGuess ? guess : await kv.get(key);
      if (refused !== undefined && hasWrite(entry, writeId)) return refused;
      const { answer, puts } = plan(entry, writeId, refused !== undefined);
      if (puts === undefined) return isGuess ? undefined : { answer };
      const { versionstamp } = entry;
      const atomic = kv.atomic().check({ key, versionstamp });
      const { ok } = await withPuts(atomic, puts).commit();
      if (ok) return { answer };
      refused = { answer };
      return undefined;
    });
  }

  /** Ends a session unless it has changed hands. */
  async #destroyOf(found: DenoKvEntry, principal: string): Promise<boolean> {
    const id = idOf(found);
    return await this.#write(id, found, (entry) => {
      // One that cannot be read is theirs as far as anybody knows.
      const owner = principalOf(entry, principal);
      if (entry.versionstamp === null || owner !== principal) {
        return { answer: false };
      }
      return { answer: true, puts: this.#removals(id, principal) };
    });
  }

  /** What replaces a record, and keeps the index of principals true. */
  #puts(write: Write, data: string): readonly Put[] {
    const { id, before, after, writeId = "", now } = write;
    const { indexedUntil, puts } = this.#index.changeFor(write);
    const key = this.#keys.record(id);
    const writeIds = (writeId + (before?.writeIds ?? "")).slice(0, KEPT_LENGTH);
    const value = toBytes({ ...after, indexedUntil, writeIds }, data);
    const expireIn = lifetime(after.expiresAt, now);
    return [{ key, value, expireIn }, ...puts];
  }

  #removals(id: string, principal: string | undefined): readonly Put[] {
    const record = { key: this.#keys.record(id) };
    if (principal === undefined) return [record];
    return [record, { key: this.#keys.index(principal, id) }];
  }

  /** The records that follow an id, in the order of their ids. */
  async #page(
    kv: DenoKv,
    after: string | undefined,
    limit: number,
  ): Promise<readonly DenoKvEntry[]> {
    const prefix = this.#keys.record();
    const selector = after === undefined
      ? { prefix }
      // Nothing comes between a text and itself with a zero behind it.
      : { prefix, start: this.#keys.record(`${after}\0`) };
    const entries: DenoKvEntry[] = [];
    for await (const entry of kv.list(selector, { limit })) entries.push(entry);
    return entries;
  }
}

interface Write extends Replacement {
  /** Left out for a write that may as well be done twice. */
  readonly writeId?: string;
}

/** How to answer a call, and what has to be written for that. */
interface Plan<T> {
  readonly answer: T;
  readonly puts?: readonly Put[];
}

function isLive(stored: Stored | undefined, now: number): stored is Stored {
  return stored !== undefined && stored.header.expiresAt > now;
}

/** Where the next page begins; `undefined` after the last one. */
function lastId(
  entries: readonly DenoKvEntry[],
  limit: number,
): string | undefined {
  const last = entries.length < limit ? undefined : entries.at(-1);
  return last === undefined ? undefined : idOf(last);
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
