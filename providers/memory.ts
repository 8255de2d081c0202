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
import { applied, isGuardMet, toRecord } from "../core/store/record.ts";
import { register } from "../core/registry.ts";
import { dataSize } from "../core/value/size.ts";
import { LinkedList } from "./memory/linked_list.ts";
import {
  type MemoryProviderOptions,
  readUrl,
  resolveBounds,
} from "./memory/bounds.ts";
import { growthOf } from "./memory/growth.ts";
import { checkId, IdTable } from "./memory/id_table.ts";
import { Lanes } from "./memory/lanes.ts";
import { PrincipalIndex } from "./memory/principal_index.ts";
import {
  ACCESSED_AT,
  BYTES,
  ESTABLISHED,
  EXPIRES_AT,
  SIGNED_IN,
  Slots,
  TOUCHED,
} from "./memory/slots.ts";

/** The most slots that a scan walks for one page: most may be free. */
const MAX_WALK = 100_000;

/** The most bytes of one session: what a word of its slot can count. */
const MAX_SESSION_BYTES = 2 ** 31 - 1;

export type { MemoryProviderOptions };

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
 * Sessions in a table by id, linked by recency of use.
 *
 * `create`, `read`, `update`, `touch` and `destroy` take constant time beside
 * the size of what they write, and `gc` takes time in what it removes, not in
 * what it keeps. The lists are ordered because all sessions in one have the same
 * idle timeout; a distinct idle timeout costs two lists, so have a handful.
 *
 * Room once taken is kept: beside the records 80 bytes for each of the most
 * sessions that there were, from the 1,025th on in pages for 16,384.
 * Observers are told when a call has done all it does, so that they may call the
 * provider themselves.
 */
export class MemoryProvider implements Provider {
  /** Every request is worth a touch: it costs no round trip. */
  readonly touchInterval = 0;

  readonly #maxSessions: number;
  readonly #maxBytes: number;
  readonly #observers = new Set<RemovalObserver>();
  /** Sessions removed of which the observers have not been told. */
  #untold: [reason: "expired" | "evicted", id: string][] = [];
  #slots = new Slots();
  #ids = new IdTable(this.#slots);
  #lanes = new Lanes(this.#slots);
  #principals = new PrincipalIndex();
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
    const { maxSessions, maxBytes } = resolveBounds(options);
    this.#maxSessions = maxSessions;
    this.#maxBytes = maxBytes;
  }

  /**
   * {@inheritDoc Provider.create}
   *
   * @throws {TypeError} If the id is not 24 characters of base64url.
   */
  create(id: string, record: NewSessionRecord, now: number): boolean {
    checkId(id);
    const created = toRecord(record, 1);
    if (this.#find(id, now) !== 0) return false;
    const bytes = dataSize(created.data);
    this.#checkFits(bytes);
    this.#makeRoom(1, bytes, now);
    const slot = this.#slots.allocate();
    this.#ids.add(id, slot);
    this.#lanes.admit(slot, created.idleTimeout);
    this.#slots.setWord(slot, BYTES, bytes);
    this.#store(slot, created);
    this.#bytes += bytes;
    this.#created++;
    this.#tellObservers();
    return true;
  }

  /** {@inheritDoc Provider.read} */
  read(id: string, now: number): SessionRecord | undefined {
    const slot = this.#find(id, now);
    if (slot !== 0) return this.#recordAt(slot);
    this.#tellObservers();
    return undefined;
  }

  /** {@inheritDoc Provider.update} */
  update(
    id: string,
    change: SessionChange,
    guard: UpdateGuard,
    now: number,
  ): UpdateResult {
    const slot = this.#find(id, now);
    if (slot === 0) {
      this.#tellObservers();
      return "gone";
    }
    const record = this.#slots.record(slot) as SessionRecord;
    if (!isGuardMet(record, guard, now)) return "gone";
    if (guard.version !== undefined && guard.version !== record.version) {
      return "conflict";
    }
    const bytes = this.#slots.word(slot, BYTES);
    const growth = growthOf(record.data, change);
    if (growth > 0) this.#checkFits(bytes + growth);
    this.#slots.setTime(slot, ACCESSED_AT, now);
    const next = applied(record, change, now);
    this.#lanes.promote(slot, record.idleTimeout, next.idleTimeout);
    this.#makeRoom(0, growth, now, slot);
    this.#unindex(slot);
    this.#store(slot, next);
    this.#slots.setWord(slot, BYTES, bytes + growth);
    this.#bytes += growth;
    this.#tellObservers();
    return "done";
  }

  /** {@inheritDoc Provider.touch} */
  touch(id: string, expiresAt: number, now: number): boolean {
    const slot = this.#find(id, now);
    if (slot === 0) {
      this.#tellObservers();
      return false;
    }
    const slots = this.#slots;
    slots.setTime(slot, ACCESSED_AT, now);
    if (slots.time(slot, EXPIRES_AT) < expiresAt) {
      slots.setTime(slot, EXPIRES_AT, expiresAt);
    }
    slots.raise(slot, TOUCHED);
    // Most came back before: no need to look at their record.
    if (slots.hasFlag(slot, ESTABLISHED)) LinkedList.moveToFront(slots, slot);
    else this.#lanes.promote(slot, this.#idleTimeoutOf(slot));
    return true;
  }

  /** {@inheritDoc Provider.destroy} */
  destroy(id: string): boolean {
    this.#checkOpen();
    const slot = this.#ids.find(id);
    if (slot === 0) return false;
    this.#remove(slot);
    return true;
  }

  /** {@inheritDoc Provider.gc} */
  gc(now: number, limit: number): number {
    this.#checkOpen();
    const removed = this.#collect(now, limit);
    this.#tellObservers();
    return removed;
  }

  /** {@inheritDoc Provider.list} */
  list(principal: string, now: number): readonly StoredSession[] {
    this.#checkOpen();
    return this.#principals.slotsOf(principal)
      .filter((slot) => this.#isLive(slot, now))
      .map((slot) => this.#sessionAt(slot));
  }

  /** {@inheritDoc Provider.destroyAll} */
  destroyAll(principal: string, except?: string): number {
    this.#checkOpen();
    let removed = 0;
    for (const slot of this.#principals.slotsOf(principal)) {
      if (this.#ids.idOf(slot) === except) continue;
      this.#remove(slot);
      removed++;
    }
    return removed;
  }

  /** {@inheritDoc Provider.clear} */
  clear(): number {
    this.#checkOpen();
    const count = this.#ids.size;
    this.#forget();
    return count;
  }

  /** {@inheritDoc Provider.scan} */
  scan(cursor: string | undefined, limit: number, now: number): ScanPage {
    this.#checkOpen();
    // A session stays in its slot, so what is to come is in the slots behind.
    let slot = slotOfCursor(cursor);
    const { end } = this.#slots;
    const stop = Math.min(end, slot + MAX_WALK);
    const sessions: StoredSession[] = [];
    for (let looked = 0; slot < stop && looked < limit; slot++) {
      if (this.#slots.record(slot) === undefined) continue;
      looked++;
      if (this.#isLive(slot, now)) sessions.push(this.#sessionAt(slot));
    }
    const page = { sessions, total: this.#ids.size };
    return slot < end ? { ...page, next: String(slot) } : page;
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
      sessions: this.#ids.size,
      bytes: this.#bytes,
      created: this.#created,
      expired: this.#expired,
      evicted: this.#evicted,
    };
  }

  /** The slot of a live session, or 0; an expired one is removed on the way. */
  #find(id: string, now: number): number {
    this.#checkOpen();
    const slot = this.#ids.find(id);
    if (slot === 0 || this.#isLive(slot, now)) return slot;
    this.#drop(slot, "expired");
    return 0;
  }

  #isLive(slot: number, now: number): boolean {
    return this.#slots.time(slot, EXPIRES_AT) > now;
  }

  /** In seconds. */
  #idleTimeoutOf(slot: number): number {
    return (this.#slots.record(slot) as SessionRecord).idleTimeout;
  }

  #sessionAt(slot: number): StoredSession {
    return { id: this.#ids.idOf(slot), record: this.#recordAt(slot) };
  }

  /**
   * The record of a slot. A touch writes two numbers and a flag, and whoever
   * reads gets a record of their own then: one that is kept would be garbage
   * with the next touch, but old by then, and so the dearest kind.
   */
  #recordAt(slot: number): SessionRecord {
    const slots = this.#slots;
    const record = slots.record(slot) as SessionRecord;
    if (!slots.hasFlag(slot, TOUCHED)) return record;
    return toRecord(
      record,
      record.version,
      slots.time(slot, ACCESSED_AT),
      slots.time(slot, EXPIRES_AT),
    );
  }

  /** Puts a record into a slot that is in no index by principal. */
  #store(slot: number, record: SessionRecord): void {
    const slots = this.#slots;
    const { principal } = record;
    slots.setRecord(slot, record);
    slots.setTime(slot, ACCESSED_AT, record.accessedAt);
    slots.setTime(slot, EXPIRES_AT, record.expiresAt);
    slots.lower(slot, TOUCHED | SIGNED_IN);
    if (principal === undefined) return;
    slots.raise(slot, SIGNED_IN);
    this.#principals.add(principal, slot);
  }

  #checkFits(bytes: number): void {
    const most = Math.min(this.#maxBytes, MAX_SESSION_BYTES);
    if (bytes <= most) return;
    this.#tellObservers();
    throw new SessionError(
      "too-large",
      `Cannot store session: its data exceeds maxBytes (${most}): received ${bytes} bytes`,
    );
  }

  /** Evicts until there is room for what comes; never `keep`. */
  #makeRoom(sessions: number, bytes: number, now: number, keep?: number): void {
    while (
      this.#ids.size + sessions > this.#maxSessions ||
      this.#bytes + bytes > this.#maxBytes
    ) {
      if (this.#collect(now, 1, keep) > 0) continue;
      const victim = this.#lanes.stalest("probation", keep) ||
        this.#lanes.stalest("established", keep);
      if (victim === 0) return;
      this.#drop(victim, "evicted");
    }
  }

  /** Removes sessions whose idle timeout has ended. */
  #collect(now: number, limit: number, keep?: number): number {
    const removed = this.#lanes.takeExpired(
      now,
      limit,
      (slot) => {
        this.#note("expired", slot);
        this.#forgetSession(slot);
      },
      keep,
    );
    this.#expired += removed;
    return removed;
  }

  #forget(): void {
    this.#slots = new Slots();
    this.#ids = new IdTable(this.#slots);
    this.#lanes = new Lanes(this.#slots);
    this.#principals = new PrincipalIndex();
    this.#bytes = 0;
  }

  /** Removes a session of its own accord. */
  #drop(slot: number, reason: "expired" | "evicted"): void {
    this.#note(reason, slot);
    this.#remove(slot);
    if (reason === "expired") this.#expired++;
    else this.#evicted++;
  }

  #note(reason: "expired" | "evicted", slot: number): void {
    if (this.#observers.size === 0) return;
    this.#untold.push([reason, this.#ids.idOf(slot)]);
  }

  #tellObservers(): void {
    if (this.#untold.length === 0) return;
    const untold = this.#untold;
    this.#untold = [];
    for (const [reason, id] of untold) {
      for (const observer of this.#observers) observer(reason, id);
    }
  }

  #remove(slot: number): void {
    this.#lanes.remove(slot, this.#idleTimeoutOf(slot));
    this.#forgetSession(slot);
    this.#slots.free(slot);
  }

  /** Forgets what its slot holds, but for the links of its list. */
  #forgetSession(slot: number): void {
    this.#bytes -= this.#slots.word(slot, BYTES);
    this.#unindex(slot);
    this.#ids.remove(slot);
    this.#slots.setRecord(slot, undefined);
  }

  #unindex(slot: number): void {
    if (!this.#slots.hasFlag(slot, SIGNED_IN)) return;
    const { principal } = this.#slots.record(slot) as SessionRecord;
    this.#principals.remove(principal as string, slot);
  }

  #checkOpen(): void {
    if (!this.#isClosed) return;
    throw new SessionError(
      "closed",
      "Cannot use MemoryProvider: it is closed",
    );
  }
}

function slotOfCursor(cursor = "0"): number {
  if (/^\d{1,15}$/.test(cursor)) return Number(cursor);
  throw new TypeError(
    `Cannot scan: a cursor is what the page before named as next: received ${
      JSON.stringify(cursor)
    }`,
  );
}

register("memory", (url) => new MemoryProvider(readUrl(url)));
