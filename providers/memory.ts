/**
 * Keeps sessions in the memory of one process: the fastest provider, and the
 * one that forgets everything when the process ends. Importing this module
 * registers it as `"memory"`; the main module does so already.
 *
 * @example Bound it
 * ```ts
 * import { Manager } from "@cloakroom/session";
 * import { MemoryProvider } from "@cloakroom/session/memory";
 * import { assertEquals } from "@std/assert";
 *
 * const provider = new MemoryProvider({ maxSessions: 20_000 });
 * await using manager = new Manager({ provider });
 * const session = await manager.start(new Request("http://localhost/"));
 * session.set("name", "Ada");
 * await manager.commit(session, new Response());
 * assertEquals(provider.stats().sessions, 1);
 * ```
 *
 * @module
 */
import { SessionError } from "../core/errors.ts";
import type {
  NewSessionRecord,
  Provider,
  RemovalObserver,
  ScanPage,
  SessionChange,
  SessionRecord,
  StoredSession,
  UpdateGuard,
  UpdateResult,
} from "../core/provider.ts";
import { applied, isGuardMet, toRecord } from "../core/record.ts";
import { register } from "../core/registry.ts";
import {
  dataSize,
  entrySize,
  type StoredData,
  type StoredValue,
} from "../core/value.ts";
import { Entry, Lane, stalerOf } from "./memory/lane.ts";
import { checkOptionNames } from "../core/option_names.ts";

/** How many scans can be under way without counting from the start again. */
const MAX_SCANS = 4;

/** How much a {@linkcode MemoryProvider} keeps. */
export interface MemoryProviderOptions {
  /**
   * The most sessions it keeps. A new one beyond that evicts the stalest of
   * those that were never used after their first request, and only if there are
   * none the stalest of the others.
   *
   * @default {1_000_000}
   */
  readonly maxSessions?: number | undefined;
  /**
   * The most bytes that the data of all sessions may take as text, keys
   * included. Enforced by eviction, as above.
   *
   * @default {268_435_456}
   */
  readonly maxBytes?: number | undefined;
}

/** What a {@linkcode MemoryProvider} holds and did. */
export interface MemoryProviderStats {
  /** Sessions held, those included that expired and await collection. */
  readonly sessions: number;
  /** Bytes that their data takes as text. */
  readonly bytes: number;
  /** Sessions created since the provider was made. */
  readonly created: number;
  /** Sessions removed because they had expired. */
  readonly expired: number;
  /** Sessions removed to make room. */
  readonly evicted: number;
}

/**
 * Sessions in a `Map`, linked by recency of use.
 *
 * `create`, `read`, `update`, `touch` and `destroy` take constant time beside
 * the size of what they write, and `gc` takes time in what it removes, not in
 * what it keeps. The lists are ordered because all sessions in one have the same
 * idle timeout; a distinct idle timeout costs two lists, so have a handful.
 */
export class MemoryProvider implements Provider {
  /** Every request is worth a touch: it costs no round trip. */
  readonly touchInterval = 0;

  readonly #maxSessions: number;
  readonly #maxBytes: number;
  readonly #entries = new Map<string, Entry>();
  readonly #lanes = new Map<number, Lane>();
  readonly #byPrincipal = new Map<string, Set<Entry>>();
  /** Where scans under way have come to; an iterator survives all changes. */
  readonly #scans = new Map<string, MapIterator<Entry>>();
  readonly #observers = new Set<RemovalObserver>();
  #bytes = 0;
  #created = 0;
  #expired = 0;
  #evicted = 0;
  #isClosed = false;

  /**
   * An empty provider.
   *
   * @throws {RangeError} If a bound is not a positive whole number or
   * `Infinity`.
   * @throws {TypeError} If there is an option of another name.
   */
  constructor(options: MemoryProviderOptions = {}) {
    const { maxSessions = 1_000_000, maxBytes = 268_435_456, ...others } =
      options;
    checkOptionNames("create MemoryProvider", others, []);
    this.#maxSessions = checkBound("maxSessions", maxSessions);
    this.#maxBytes = checkBound("maxBytes", maxBytes);
  }

  /** {@inheritDoc Provider.create} */
  create(id: string, record: NewSessionRecord, now: number): boolean {
    if (this.#find(id, now) !== undefined) return false;
    const bytes = dataSize(record.data);
    this.#checkFits(bytes);
    this.#makeRoom(1, bytes, now);
    const lane = this.#laneOf(record.idleTimeout);
    const entry = new Entry(id, toRecord(record, 1), bytes, lane);
    lane.probation.pushFront(entry);
    this.#entries.set(id, entry);
    this.#index(entry);
    this.#bytes += bytes;
    this.#created++;
    return true;
  }

  /** {@inheritDoc Provider.read} */
  read(id: string, now: number): SessionRecord | undefined {
    return this.#find(id, now)?.upToDateRecord();
  }

  /** {@inheritDoc Provider.update} */
  update(
    id: string,
    change: SessionChange,
    guard: UpdateGuard,
    now: number,
  ): UpdateResult {
    const entry = this.#find(id, now);
    if (entry === undefined) return "gone";
    const { record } = entry;
    if (!isGuardMet(record, guard, now)) return "gone";
    if (guard.version !== undefined && guard.version !== record.version) {
      return "conflict";
    }
    const growth = growthOf(record.data, change);
    if (growth > 0) this.#checkFits(entry.bytes + growth);
    entry.accessedAt = now;
    this.#promote(entry, change.idleTimeout ?? record.idleTimeout);
    this.#makeRoom(0, growth, now, entry);
    this.#unindex(entry);
    entry.replace(applied(record, change, now));
    this.#index(entry);
    entry.bytes += growth;
    this.#bytes += growth;
    return "done";
  }

  /** {@inheritDoc Provider.touch} */
  touch(id: string, expiresAt: number, now: number): boolean {
    const entry = this.#find(id, now);
    if (entry === undefined) return false;
    entry.accessedAt = now;
    entry.expiresAt = Math.max(entry.expiresAt, expiresAt);
    this.#promote(entry, entry.record.idleTimeout);
    return true;
  }

  /** {@inheritDoc Provider.destroy} */
  destroy(id: string): boolean {
    this.#checkOpen();
    const entry = this.#entries.get(id);
    if (entry === undefined) return false;
    this.#remove(entry);
    return true;
  }

  /** {@inheritDoc Provider.gc} */
  gc(now: number, limit: number): number {
    this.#checkOpen();
    let removed = 0;
    while (removed < limit && this.#collectStalest(now)) removed++;
    // An iterator keeps what was removed since it was made.
    if (removed > 0) this.#scans.clear();
    return removed;
  }

  /** {@inheritDoc Provider.list} */
  list(principal: string, now: number): readonly StoredSession[] {
    this.#checkOpen();
    const live: StoredSession[] = [];
    for (const entry of this.#byPrincipal.get(principal) ?? []) {
      if (entry.expiresAt <= now) continue;
      live.push({ id: entry.id, record: entry.upToDateRecord() });
    }
    return live;
  }

  /** {@inheritDoc Provider.destroyAll} */
  destroyAll(principal: string, except?: string): number {
    this.#checkOpen();
    let removed = 0;
    for (const entry of this.#byPrincipal.get(principal) ?? []) {
      if (entry.id === except) continue;
      this.#remove(entry);
      removed++;
    }
    return removed;
  }

  /** {@inheritDoc Provider.clear} */
  clear(): number {
    this.#checkOpen();
    const count = this.#entries.size;
    this.#forget();
    return count;
  }

  /** {@inheritDoc Provider.scan} */
  scan(cursor: string | undefined, limit: number, now: number): ScanPage {
    this.#checkOpen();
    const entries = this.#scans.get(cursor ?? "") ?? this.#entriesAfter(cursor);
    this.#scans.delete(cursor ?? "");
    const sessions: StoredSession[] = [];
    let last: Entry | undefined;
    for (let looked = 0; looked < limit; looked++) {
      const { value: entry, done } = entries.next();
      if (done) return { sessions, total: this.#entries.size };
      last = entry;
      if (entry.expiresAt <= now) continue;
      sessions.push({ id: entry.id, record: entry.upToDateRecord() });
    }
    const next = last?.id as string;
    this.#keepScan(next, entries);
    return { sessions, next, total: this.#entries.size };
  }

  /** {@inheritDoc Provider.observe} */
  observe(observer: RemovalObserver): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  /** {@inheritDoc Provider.close} */
  close(): void {
    this.#isClosed = true;
    this.#forget();
  }

  /** What it holds and did, worked out in constant time. */
  stats(): MemoryProviderStats {
    return {
      sessions: this.#entries.size,
      bytes: this.#bytes,
      created: this.#created,
      expired: this.#expired,
      evicted: this.#evicted,
    };
  }

  /** The live entry of an id; one that has expired is removed on the way. */
  #find(id: string, now: number): Entry | undefined {
    this.#checkOpen();
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.expiresAt > now) return entry;
    this.#drop(entry, "expired");
    return undefined;
  }

  /** Puts a session that came back in front of those that did before. */
  #promote(entry: Entry, idleTimeout: number): void {
    const { lane } = entry;
    if (lane.idleTimeout === idleTimeout && entry.list === lane.established) {
      lane.established.moveToFront(entry);
      return;
    }
    this.#unlink(entry);
    entry.lane = this.#laneOf(idleTimeout);
    entry.lane.established.pushFront(entry);
  }

  #checkFits(bytes: number): void {
    if (bytes <= this.#maxBytes) return;
    throw new SessionError(
      "too-large",
      `Cannot store session: its data exceeds maxBytes (${this.#maxBytes}): received ${bytes} bytes`,
    );
  }

  /** Evicts until there is room for what comes; never `keep`. */
  #makeRoom(sessions: number, bytes: number, now: number, keep?: Entry): void {
    while (
      this.#entries.size + sessions > this.#maxSessions ||
      this.#bytes + bytes > this.#maxBytes
    ) {
      if (this.#collectStalest(now)) continue;
      const victim = this.#stalest("probation", keep) ??
        this.#stalest("established", keep);
      if (victim === undefined) return;
      this.#drop(victim, "evicted");
    }
  }

  #collectStalest(now: number): boolean {
    const entry = stalerOf(
      this.#stalest("probation"),
      this.#stalest("established"),
    );
    if (entry === undefined || entry.idleDeadline > now) return false;
    this.#drop(entry, "expired");
    return true;
  }

  #stalest(
    kind: "probation" | "established",
    except?: Entry,
  ): Entry | undefined {
    let stalest: Entry | undefined;
    for (const lane of this.#lanes.values()) {
      const { back } = lane[kind];
      if (back !== except) stalest = stalerOf(stalest, back);
    }
    return stalest;
  }

  /** The entries behind a cursor that is not at hand: counts from the start. */
  #entriesAfter(cursor: string | undefined): MapIterator<Entry> {
    const entries = this.#entries.values();
    if (cursor === undefined || !this.#entries.has(cursor)) return entries;
    while (entries.next().value?.id !== cursor);
    return entries;
  }

  #keepScan(cursor: string, entries: MapIterator<Entry>): void {
    this.#scans.set(cursor, entries);
    if (this.#scans.size <= MAX_SCANS) return;
    const [oldest] = this.#scans.keys();
    this.#scans.delete(oldest as string);
  }

  #forget(): void {
    this.#scans.clear();
    this.#entries.clear();
    this.#lanes.clear();
    this.#byPrincipal.clear();
    this.#bytes = 0;
  }

  /** Removes a session of its own accord. */
  #drop(entry: Entry, reason: "expired" | "evicted"): void {
    this.#remove(entry);
    if (reason === "expired") this.#expired++;
    else this.#evicted++;
    for (const observer of this.#observers) observer(reason, entry.id);
  }

  #remove(entry: Entry): void {
    this.#entries.delete(entry.id);
    this.#unlink(entry);
    this.#unindex(entry);
    this.#bytes -= entry.bytes;
  }

  #unlink(entry: Entry): void {
    const { lane } = entry;
    if (entry.list === lane.established) lane.established.remove(entry);
    else lane.probation.remove(entry);
    if (lane.isEmpty) this.#lanes.delete(lane.idleTimeout);
  }

  #laneOf(idleTimeout: number): Lane {
    let lane = this.#lanes.get(idleTimeout);
    if (lane === undefined) {
      lane = new Lane(idleTimeout);
      this.#lanes.set(idleTimeout, lane);
    }
    return lane;
  }

  #index(entry: Entry): void {
    const { principal } = entry.record;
    if (principal === undefined) return;
    const entries = this.#byPrincipal.get(principal);
    if (entries !== undefined) entries.add(entry);
    else this.#byPrincipal.set(principal, new Set([entry]));
  }

  #unindex(entry: Entry): void {
    const { principal } = entry.record;
    if (principal === undefined) return;
    const entries = this.#byPrincipal.get(principal);
    entries?.delete(entry);
    if (entries?.size === 0) this.#byPrincipal.delete(principal);
  }

  #checkOpen(): void {
    if (!this.#isClosed) return;
    throw new SessionError(
      "closed",
      "Cannot use MemoryProvider: it is closed",
    );
  }
}

/** By how many bytes a change makes the data longer; negative if shorter. */
function growthOf(data: StoredData, change: SessionChange): number {
  let growth = 0;
  for (const [key, value] of Object.entries(change.set ?? {})) {
    growth += entrySize(key, value) - storedSize(data, key);
  }
  for (const key of new Set(change.delete)) growth -= storedSize(data, key);
  return growth;
}

function storedSize(data: StoredData, key: string): number {
  const value: StoredValue | undefined = data[key];
  return value === undefined ? 0 : entrySize(key, value);
}

function checkBound(name: string, value: number): number {
  const isBound = Number.isSafeInteger(value) || value === Infinity;
  if (isBound && value > 0) return value;
  throw new RangeError(
    `Cannot create MemoryProvider: ${name} must be a positive whole number or Infinity: received ${value}`,
  );
}

/** Reads `memory:?maxSessions=1000&maxBytes=1000000`. */
function fromUrl(url: URL | undefined): MemoryProvider {
  if (url !== undefined && url.pathname !== "") {
    throw new TypeError(
      `Cannot open provider memory: options start with a question mark: received ${url.pathname}`,
    );
  }
  const options: Record<string, number> = {};
  for (const [name, value] of url?.searchParams ?? []) {
    options[name] = Number(value);
  }
  return new MemoryProvider(options);
}

register("memory", fromUrl);
