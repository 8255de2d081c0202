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
import { ownOptions } from "../core/option_names.ts";
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
import {
  expiryOf,
  guardFailure,
  summaryOf,
  toRecord,
} from "../core/store/record.ts";
import { KEPT_LENGTH, mintWriteId } from "../core/store/write_ids.ts";
import { Connection } from "./deno_kv/connection.ts";
import type { DenoKv, DenoKvEntry } from "./deno_kv/database.ts";
import { idOf, Keys } from "./deno_kv/keys.ts";
import { readPage } from "./deno_kv/page.ts";
import {
  inParts,
  MAX_CHECKS,
  PrincipalIndex,
  type Replacement,
} from "./deno_kv/principal_index.ts";
import { lifetime, type Put, withPuts } from "./deno_kv/put.ts";
import { RecentRecords } from "./deno_kv/recent_records.ts";
import {
  ABSENT,
  changed,
  dataBytes,
  isMet,
  isOver,
  isTheirs,
  readLive,
  readStored,
  recordOf,
  toBytes,
  type Version,
} from "./deno_kv/record.ts";
import { repeated } from "./deno_kv/repeated.ts";
import { checkPrefix, readUrl } from "./deno_kv/source.ts";
import {
  type Plan,
  type Planner,
  said,
  type Target,
  write,
} from "./deno_kv/write.ts";

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
const CLEAR_BATCH = 100;

/** How many sessions are ended at the same time, each by a write of its own. */
const TOGETHER = 10;

/**
 * Sessions in Deno KV, one key each, and one more in an index for each that has
 * a principal. Where a write needs both, they are one atomic operation. An entry
 * in the index is kept for what its session had left to live when the entry was
 * written, for as long again or an hour, whichever is more, and for another day,
 * because clocks differ: so it need not be written each time. One whose record is
 * no longer there is removed by the next `list` or `destroyAll`, which read the
 * records of all entries, a hundred at a time. The database hands out a value as
 * a whole, but the data in it is left as bytes there.
 *
 * Every write is checked against the versionstamp of the record that it was
 * worked out from, and goes around again if that has changed. A record that was
 * read shortly before is tried first, so that a request which reads and writes
 * costs two round trips.
 *
 * `destroyMany`, `destroyAll` and `clear` end a hundred sessions in one atomic
 * operation, one after another, so that other requests come in between. Where one
 * of the hundred changes in that moment, each is ended by itself.
 *
 * The client of a remote database may send a write again whose answer was lost:
 * each of a session's last four writes is known again and not done twice. Of an
 * end that was lost nothing is left to know it by, because ending leaves nothing
 * in the store: `destroy` may answer `"absent"` then, and `destroyMany` and
 * `destroyAll` name too few. The sessions have ended all the same.
 *
 * A call that was given up writes nothing any more, unless the write was on its
 * way already.
 *
 * The record's own fields decide whether it is there. Deno KV removes it at some
 * time after, so `gc` has nothing to do and answers 0.
 */
export class DenoKvProvider implements Provider {
  readonly #keys: Keys;
  readonly #index: PrincipalIndex;
  readonly #connection: Connection;
  readonly #recent = new RecentRecords();

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
    const doing = "create DenoKvProvider";
    const { prefix = "session" } = ownOptions(doing, options, ["prefix"]);
    this.#keys = new Keys(checkPrefix(prefix));
    this.#index = new PrincipalIndex(this.#keys);
    this.#connection = new Connection(source);
  }

  /**
   * See {@linkcode Provider.create}.
   *
   * @throws {SessionError} With code `"too-large"`, if it takes more bytes than
   * Deno KV stores under one key.
   */
  async create(
    id: string,
    record: NewSessionRecord,
    now: number,
    patience?: Patience,
  ): Promise<boolean> {
    const after = toRecord(record, 1);
    const data = dataBytes(after.data);
    const writeId = mintWriteId();
    const target = { id, guess: ABSENT, writeId, patience };
    return await this.#write(target, (entry, wasRefused) => {
      // Nobody else has this id: what is gone was this session, and has ended.
      if (wasRefused && entry.versionstamp === null) return said(true);
      if (readLive(id, entry, now) !== undefined) return said(false);
      const before = readStored(entry)?.fields;
      const puts = this.#puts({ id, before, after, writeId, now }, data);
      return { answer: true, puts };
    });
  }

  /** See {@linkcode Provider.read}. */
  async read(id: string, now: number): Promise<SessionRecord | undefined> {
    const kv = await this.#connection.open();
    const entry = await kv.get(this.#keys.record(id));
    const stored = readLive(id, entry, now);
    if (stored === undefined) return undefined;
    const record = recordOf(id, stored);
    this.#recent.remember(id, entry);
    return record;
  }

  /**
   * See {@linkcode Provider.update}.
   *
   * @throws {SessionError} With code `"too-large"`, if it then takes more bytes
   * than Deno KV stores under one key.
   */
  async update(
    id: string,
    change: SessionChange,
    guard: Guard,
    now: number,
    patience?: Patience,
  ): Promise<UpdateResult> {
    const writeId = mintWriteId();
    const guess = this.#recent.recall(id);
    const target = { id, guess, writeId, patience };
    return await this.#write<UpdateResult>(target, (entry) => {
      const stored = readLive(id, entry, now);
      if (stored === undefined) return said("gone");
      const { header, fields: before } = stored;
      const failure = guardFailure(header, guard);
      if (failure !== undefined) return said(failure);
      const { after, data } = changed(id, stored, change, now);
      const puts = this.#puts({ id, before, after, writeId, now }, data);
      return { answer: "done", puts };
    });
  }

  /** See {@linkcode Provider.touch}. */
  async touch(
    id: string,
    now: number,
    patience?: Patience,
  ): Promise<boolean> {
    const guess = this.#recent.recall(id);
    const writeId = undefined;
    const target = { id, guess, writeId, patience };
    return await this.#write(target, (entry) => {
      const stored = readLive(id, entry, now);
      if (stored === undefined) return said(false);
      const { header, fields: before, data } = stored;
      if (now <= header.accessedAt) return said(true);
      const after = { ...header, accessedAt: now };
      const puts = this.#puts({ id, before, after, writeId, now }, data);
      return { answer: true, puts };
    });
  }

  /** See {@linkcode Provider.destroy}. */
  async destroy(
    id: string,
    guard: Guard,
    now: number,
    patience?: Patience,
  ): Promise<DestroyResult> {
    const guess = this.#recent.recall(id);
    const target = { id, guess, writeId: undefined, patience };
    return await this.#write(
      target,
      (entry) => this.#endOf(entry, id, guard, now),
    );
  }

  /** See {@linkcode Provider.destroyMany}. */
  async destroyMany(
    ids: readonly string[],
    guard: Guard,
    now: number,
    patience?: Patience,
  ): Promise<readonly string[]> {
    const ended: string[] = [];
    const kv = await this.#connection.open();
    for (const some of inParts([...new Set(ids)], MAX_CHECKS)) {
      const entries = await this.#index.recordsAt(kv, some);
      const plan = (entry: Version, id: string) => {
        const { answer, puts } = this.#endOf(entry, id, guard, now);
        return { answer: answer === "done", puts };
      };
      ended.push(...await this.#endAll(kv, entries, plan, patience));
      patience?.extend();
    }
    return ended;
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

  /** See {@linkcode Provider.list}. */
  async list(principal: string, now: number): Promise<SessionList> {
    const sessions: SessionSummary[] = [];
    const unreadable: string[] = [];
    const kv = await this.#connection.open();
    for await (const entries of this.#index.recordsOf(kv, principal)) {
      for (const entry of entries) {
        const stored = readStored(entry);
        if (stored === undefined || isOver(stored, now)) continue;
        // It may have changed hands since its id was read.
        if (!isTheirs(stored, principal)) continue;
        const id = idOf(entry);
        if (stored.header === undefined) unreadable.push(id);
        else sessions.push(summaryOf(id, stored.header));
      }
    }
    return { sessions, unreadable };
  }

  /** See {@linkcode Provider.destroyAll}. */
  async destroyAll(
    principal: string,
    except?: string,
    patience?: Patience,
  ): Promise<number> {
    let count = 0;
    const kv = await this.#connection.open();
    const plan = (entry: Version, id: string) => {
      const stored = readStored(entry);
      const isMeant = stored !== undefined && id !== except &&
        isTheirs(stored, principal);
      return isMeant
        ? { answer: true, puts: this.#removals(id, principal) }
        : said(false);
    };
    const all = this.#index.recordsOf(kv, principal, patience);
    for await (const entries of all) {
      count += (await this.#endAll(kv, entries, plan, patience)).length;
    }
    return count;
  }

  /** See {@linkcode Provider.clear}. */
  async clear(patience?: Patience): Promise<number> {
    const kv = await this.#connection.open();
    let count = 0;
    let cursor: string | undefined;
    do {
      const page = await readPage(
        { kv, keys: this.#keys },
        cursor,
        CLEAR_BATCH,
      );
      const { entries } = page;
      const removals = entries.flatMap((entry) =>
        this.#removals(idOf(entry), readStored(entry)?.fields.principal)
      );
      await repeated(async () => {
        return { answer: await withPuts(kv.atomic(), removals).commit() };
      }, { patience });
      count += entries.length;
      cursor = page.next;
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
    const kv = await this.#connection.open();
    const page = await readPage({ kv, keys: this.#keys }, cursor, limit);
    const sessions: StoredSession[] = [];
    const unreadable: string[] = [];
    for (const entry of page.entries) {
      const id = idOf(entry);
      try {
        const stored = readLive(id, entry, now);
        if (stored === undefined) continue;
        sessions.push({ id, record: recordOf(id, stored) });
      } catch {
        unreadable.push(id);
      }
    }
    return { sessions, unreadable, next: page.next };
  }

  /** Closes the database if the provider opened it. Twice is safe. */
  async close(): Promise<void> {
    this.#recent.clear();
    await this.#connection.close();
  }

  async #write<T>(
    target: Omit<Target, "key">,
    planFor: Planner<T>,
  ): Promise<T> {
    const kv = await this.#connection.open();
    const key = this.#keys.record(target.id);
    return await write(kv, { ...target, key }, planFor);
  }

  /** How `destroy` answers, and what it removes. */
  #endOf(
    entry: Version,
    id: string,
    guard: Guard,
    now: number,
  ): Plan<DestroyResult> {
    const stored = readStored(entry);
    if (stored === undefined) return said("absent");
    const isAbsent = isOver(stored, now);
    if (!isMet(stored, guard)) return said(isAbsent ? "absent" : "refused");
    const puts = this.#removals(id, stored.fields.principal);
    // By another machine's clock it may still have some time to live.
    return { answer: isAbsent ? "absent" : "done", puts };
  }

  /**
   * Ends sessions in one step, or each by itself if any of them has changed.
   *
   * @param entries No more than one atomic operation checks.
   * @param planFor Says whether a session is to be named, and what to remove.
   * @returns The ids of those that it ended and that are to be named.
   */
  async #endAll(
    kv: DenoKv,
    entries: readonly DenoKvEntry[],
    planFor: (entry: Version, id: string) => Plan<boolean>,
    patience: Patience | undefined,
  ): Promise<readonly string[]> {
    const plans = entries
      .map((entry) => ({ entry, ...planFor(entry, idOf(entry)) }))
      .filter(({ puts }) => puts !== undefined);
    if (plans.length === 0) return [];
    const { ok } = await repeated(async () => {
      const atomic = plans.reduce((checks, { entry, puts = [] }) => {
        const { versionstamp } = entry;
        const key = this.#keys.record(idOf(entry));
        return withPuts(checks.check({ key, versionstamp }), puts);
      }, kv.atomic());
      return { answer: await atomic.commit() };
    }, { patience });
    if (ok) {
      return plans.flatMap(({ entry, answer }) => answer ? [idOf(entry)] : []);
    }
    return await this.#endEach(
      plans.map(({ entry }) => entry),
      planFor,
      patience,
    );
  }

  async #endEach(
    entries: readonly DenoKvEntry[],
    planFor: (entry: Version, id: string) => Plan<boolean>,
    patience: Patience | undefined,
  ): Promise<readonly string[]> {
    const ended: string[] = [];
    for (const some of inParts(entries, TOGETHER)) {
      const ends = some.map(async (guess) => {
        const id = idOf(guess);
        const target = { id, guess, writeId: undefined, patience };
        const isEnded = await this.#write(
          target,
          (entry) => planFor(entry, id),
        );
        if (isEnded) ended.push(id);
      });
      await Promise.all(ends);
      patience?.extend();
    }
    return ended;
  }

  /** What replaces a record, and keeps the index of principals true. */
  #puts(write: Write, data: Uint8Array): readonly Put[] {
    const { id, before, after, writeId = "", now } = write;
    const { indexedUntil, puts } = this.#index.changeFor(write);
    const key = this.#keys.record(id);
    const writeIds = (writeId + (before?.writeIds ?? "")).slice(0, KEPT_LENGTH);
    const value = toBytes(id, { ...after, indexedUntil, writeIds }, data);
    const expireIn = lifetime(expiryOf(after), now);
    return [{ key, value, expireIn }, ...puts];
  }

  #removals(id: string, principal: string | undefined): readonly Put[] {
    const record = { key: this.#keys.record(id) };
    if (principal === undefined) return [record];
    return [record, { key: this.#keys.index(principal, id) }];
  }
}

interface Write extends Replacement {
  /** `undefined` for a write that may as well be done twice. */
  readonly writeId: string | undefined;
}

register("deno-kv", (url) => {
  const { path, options } = readUrl(url);
  return new DenoKvProvider(path, options);
});
