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
  Awaitable,
  DestroyResult,
  Guard,
  NewSessionRecord,
  Patience,
  Provider,
  RemovalObserver,
  ScanPage,
  SessionChange,
  SessionList,
  SessionRecord,
  StoredSession,
  UpdateResult,
} from "../core/provider.ts";
import {
  absoluteExpiryOf,
  applied,
  guardFailure,
  isLive,
  summaryOf,
  toRecord,
} from "../core/store/record.ts";
import { inTurns } from "../core/store/turns.ts";
import { ownOf } from "../core/option_names.ts";
import { register } from "../core/registry.ts";
import { dataSize } from "../core/value/size.ts";
import {
  type MemoryProviderOptions,
  readUrl,
  resolveBounds,
} from "./memory/bounds.ts";
import { growthOf } from "./memory/growth.ts";
import { checkId, IdTable } from "./memory/id_table.ts";
import {
  ESTABLISHED,
  type Kind,
  Lanes,
  PROBATION,
  SIGNED_IN,
} from "./memory/lanes.ts";
import { PrincipalIndex } from "./memory/principal_index.ts";
import { type RemovalReason, Removals } from "./memory/removals.ts";
import { touchedAt } from "./memory/touched.ts";
import {
  ACCESSED_AT,
  AHEAD,
  BYTES,
  ENDS_AT,
  IDLE_TIME,
  Slots,
  TOUCHED,
} from "./memory/slots.ts";

/** The most slots that a scan walks for one page: most may be free. */
const MAX_WALK = 100_000;

/** How many sessions a call ends before other work gets its turn: some 5 ms. */
const TURN = 2000;

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
 * idle timeout. Each distinct idle timeout costs up to three lists, and a call
 * that makes, empties or looks for a list takes logarithmic time in how many
 * there are.
 *
 * When there is no room, sessions that expired go first, then visitors that
 * never came back, then visitors that did, and those that somebody is signed in
 * with go last; of each kind the stalest first.
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
  readonly #removals = new Removals();
  #slots = new Slots();
  #ids = new IdTable(this.#slots);
  #lanes = new Lanes(this.#slots);
  #principals = new PrincipalIndex();
  #bytes = 0;
  #created = 0;
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
   * See {@linkcode Provider.create}.
   *
   * @throws {TypeError} If the id is not 24 characters of base64url.
   */
  create(id: string, record: NewSessionRecord, now: number): boolean {
    checkId(id);
    const created = toRecord(record, 1);
    this.#checkOpen();
    const taken = this.#ids.find(id);
    if (taken !== 0 && !this.#dropIfEnded(taken, now)) return false;
    const bytes = dataSize(created.data);
    this.#checkFits(bytes);
    this.#makeRoom(1, bytes, now);
    const slot = this.#slots.allocate();
    this.#ids.add(id, slot);
    this.#slots.setWord(slot, BYTES, bytes);
    this.#slots.setTime(slot, ACCESSED_AT, created.accessedAt);
    this.#store(slot, created);
    this.#lanes.admit(slot, kindOf(created, PROBATION), idleTimeOf(created));
    this.#index(created.principal, slot);
    this.#bytes += bytes;
    this.#created++;
    this.#removals.tell();
    return true;
  }

  /** See {@linkcode Provider.read}. */
  read(id: string, now: number): SessionRecord | undefined {
    const slot = this.#live(id, now);
    return slot === 0 ? undefined : this.#recordAt(slot);
  }

  /** See {@linkcode Provider.update}. */
  update(
    id: string,
    change: SessionChange,
    guard: Guard,
    now: number,
  ): UpdateResult {
    const slot = this.#live(id, now);
    if (slot === 0) return "gone";
    const record = this.#slots.record(slot) as SessionRecord;
    return guardFailure(record, guard) ??
      this.#change(slot, record, ownOf(change), now);
  }

  /** See {@linkcode Provider.touch}. */
  touch(id: string, now: number): boolean {
    const slot = this.#live(id, now);
    if (slot === 0) return false;
    const slots = this.#slots;
    if (slots.time(slot, ACCESSED_AT) < now) {
      slots.setTime(slot, ACCESSED_AT, now);
      slots.raise(slot, TOUCHED);
    }
    this.#lanes.use(slot);
    return true;
  }

  /** See {@linkcode Provider.destroy}. */
  destroy(id: string, guard: Guard, now: number): DestroyResult {
    const slot = this.#live(id, now);
    if (slot === 0) return "absent";
    const record = this.#slots.record(slot) as SessionRecord;
    if (guardFailure(record, guard) !== undefined) return "refused";
    this.#remove(slot);
    return "done";
  }

  /**
   * See {@linkcode Provider.destroyMany}.
   *
   * Answers at once for up to 2,000.
   */
  destroyMany(
    ids: readonly string[],
    guard: Guard,
    now: number,
    patience?: Patience,
  ): Awaitable<readonly string[]> {
    this.#checkOpen();
    const ended: string[] = [];
    let at = 0;
    const turn = () => {
      for (const id of ids.slice(at, at + TURN)) {
        if (this.destroy(id, guard, now) === "done") ended.push(id);
      }
      at += TURN;
      return at < ids.length;
    };
    return inTurns({ turn, answer: () => ended }, patience);
  }

  /** See {@linkcode Provider.gc}. */
  gc(now: number, limit: number): number {
    this.#checkOpen();
    const removed = this.#collect(now, limit);
    this.#removals.tell();
    return removed;
  }

  /** See {@linkcode Provider.list}. */
  list(principal: string, now: number): SessionList {
    this.#checkOpen();
    const sessions = [...this.#principals.slotsOf(principal)]
      .filter((slot) => this.#isLive(slot, now))
      .map((slot) => ({
        ...summaryOf(
          this.#ids.idOf(slot),
          this.#slots.record(slot) as SessionRecord,
        ),
        accessedAt: this.#slots.time(slot, ACCESSED_AT),
      }));
    return { sessions, unreadable: [] };
  }

  /**
   * See {@linkcode Provider.destroyAll}.
   *
   * Answers at once for up to 2,000.
   */
  destroyAll(
    principal: string,
    except?: string,
    patience?: Patience,
  ): Awaitable<number> {
    this.#checkOpen();
    const principals = this.#principals;
    // Whoever signs in meanwhile comes last, and is not waited for.
    const slots = principals.slotsOf(principal)[Symbol.iterator]();
    let left = principals.countOf(principal);
    let removed = 0;
    const turn = () => {
      for (let count = 0; count < TURN && left > 0; count++, left--) {
        const { value: slot, done: isOver } = slots.next();
        // Cleared or closed in between, it has none of these slots.
        if (isOver || this.#principals !== principals) return false;
        if (this.#ids.idOf(slot) === except) continue;
        this.#remove(slot);
        removed++;
      }
      return left > 0;
    };
    return inTurns({ turn, answer: () => removed }, patience);
  }

  /** See {@linkcode Provider.clear}. */
  clear(): number {
    this.#checkOpen();
    const count = this.#ids.size;
    this.#forget();
    return count;
  }

  /** See {@linkcode Provider.scan}. */
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

  /** See {@linkcode Provider.observe}. */
  observe(observer: RemovalObserver): () => void {
    return this.#removals.observe(observer);
  }

  /** See {@linkcode Provider.close}. */
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
      expired: this.#removals.count("expired"),
      evicted: this.#removals.count("evicted"),
    };
  }

  /** The slot of a live session for a call that ends if there is none; or 0. */
  #live(id: string, now: number): number {
    const slot = this.#find(id, now);
    if (slot === 0) this.#removals.tell();
    return slot;
  }

  /** The slot of a live session, or 0; one that has ended is removed. */
  #find(id: string, now: number): number {
    this.#checkOpen();
    const slot = this.#ids.find(id);
    if (slot === 0 || this.#isLive(slot, now)) return slot;
    this.#dropIfEnded(slot, now);
    return 0;
  }

  /** Leaves one that has not begun: it may be this call's clock that is wrong. */
  #dropIfEnded(slot: number, now: number): boolean {
    const hasEnded = this.#hasEnded(slot, now);
    if (hasEnded) this.#drop(slot, "expired");
    return hasEnded;
  }

  /** What `isLive` says of the record, mostly without a look at it. */
  #isLive(slot: number, now: number): boolean {
    if (this.#hasEnded(slot, now)) return false;
    const accessedAt = this.#slots.time(slot, ACCESSED_AT);
    // It began no later than it was last used.
    if (accessedAt <= now && !this.#slots.hasFlag(slot, AHEAD)) return true;
    const record = this.#slots.record(slot) as SessionRecord;
    return isLive({ ...record, accessedAt }, now);
  }

  #hasEnded(slot: number, now: number): boolean {
    const slots = this.#slots;
    const idleTime = slots.time(slots.list(slot), IDLE_TIME);
    return !(now < slots.time(slot, ACCESSED_AT) + idleTime &&
      now < slots.time(slot, ENDS_AT));
  }

  #sessionAt(slot: number): StoredSession {
    return { id: this.#ids.idOf(slot), record: this.#recordAt(slot) };
  }

  /**
   * The record of a slot. A touch writes a number and a flag, and no record. Who
   * reads after that gets a new record, which is not kept: the next touch would
   * replace it, and by then it would be old, and slow to collect as garbage.
   */
  #recordAt(slot: number): SessionRecord {
    const slots = this.#slots;
    const record = slots.record(slot) as SessionRecord;
    if (!slots.hasFlag(slot, TOUCHED)) return record;
    return touchedAt(record, slots.time(slot, ACCESSED_AT));
  }

  /** Puts a change into effect whose guard holds. */
  #change(
    slot: number,
    record: SessionRecord,
    change: SessionChange,
    now: number,
  ): "done" {
    const slots = this.#slots;
    const bytes = slots.word(slot, BYTES);
    const growth = growthOf(record.data, change);
    if (growth > 0) this.#checkFits(bytes + growth);
    const isUse = change.isUse !== false;
    const usedAt = Math.max(slots.time(slot, ACCESSED_AT), now);
    const next = applied(record, change, usedAt);
    const kind = kindOf(next, this.#kindAfter(slot, isUse));
    if (growth > 0 && this.#bytes + growth > this.#maxBytes) {
      // What is in no list is not evicted.
      this.#lanes.remove(slot);
      this.#makeRoom(0, growth, now);
    }
    if (isUse) {
      slots.setTime(slot, ACCESSED_AT, usedAt);
      slots.lower(slot, TOUCHED);
    }
    this.#store(slot, next);
    this.#lanes.place(slot, kind, idleTimeOf(next), isUse);
    if (next.principal !== record.principal) {
      this.#unindex(record.principal, slot);
      this.#index(next.principal, slot);
    }
    slots.setWord(slot, BYTES, bytes + growth);
    this.#bytes += growth;
    this.#removals.tell();
    return "done";
  }

  /** The kind of a session after a change, if nobody is signed in then. */
  #kindAfter(slot: number, isUse: boolean): Kind {
    if (isUse) return ESTABLISHED;
    return Math.min(this.#lanes.kindOf(slot), ESTABLISHED) as Kind;
  }

  /** Puts a record into a slot whose time of last use is set. */
  #store(slot: number, record: SessionRecord): void {
    const slots = this.#slots;
    slots.setRecord(slot, record);
    slots.setTime(slot, ENDS_AT, absoluteExpiryOf(record));
    const begin = record.authenticatedAt ?? record.createdAt;
    if (begin > slots.time(slot, ACCESSED_AT)) slots.raise(slot, AHEAD);
    else slots.lower(slot, AHEAD);
  }

  #checkFits(bytes: number): void {
    const most = Math.min(this.#maxBytes, MAX_SESSION_BYTES);
    if (bytes <= most) return;
    this.#removals.tell();
    throw new SessionError(
      "too-large",
      `Cannot store session: its data exceeds maxBytes (${most}): received ${bytes} bytes`,
    );
  }

  /** Evicts until there is room for what comes. */
  #makeRoom(sessions: number, bytes: number, now: number): void {
    while (
      this.#ids.size + sessions > this.#maxSessions ||
      this.#bytes + bytes > this.#maxBytes
    ) {
      if (this.#collect(now, 1) > 0) continue;
      const victim = this.#lanes.nextVictim();
      if (victim === 0) return;
      this.#drop(victim, "evicted");
    }
  }

  /** Removes sessions whose idle timeout has ended. */
  #collect(now: number, limit: number): number {
    return this.#lanes.takeExpired(now, limit, (slot) => {
      this.#note("expired", slot);
      this.#forgetSession(slot);
    });
  }

  #forget(): void {
    this.#slots = new Slots();
    this.#ids = new IdTable(this.#slots);
    this.#lanes = new Lanes(this.#slots);
    this.#principals = new PrincipalIndex();
    this.#bytes = 0;
  }

  /** Removes a session of its own accord. */
  #drop(slot: number, reason: RemovalReason): void {
    this.#note(reason, slot);
    this.#remove(slot);
  }

  #note(reason: RemovalReason, slot: number): void {
    this.#removals.note(reason, () => this.#ids.idOf(slot));
  }

  #remove(slot: number): void {
    this.#forgetSession(slot);
    this.#lanes.remove(slot);
    this.#slots.free(slot);
  }

  /** Forgets what its slot holds, but for the links of its list. */
  #forgetSession(slot: number): void {
    this.#bytes -= this.#slots.word(slot, BYTES);
    // Most are visitors: no need to look at their records.
    if (this.#lanes.kindOf(slot) === SIGNED_IN) {
      this.#unindex(this.#slots.record(slot)?.principal, slot);
    }
    this.#ids.remove(slot);
    this.#slots.setRecord(slot, undefined);
  }

  #index(principal: string | undefined, slot: number): void {
    if (principal !== undefined) this.#principals.add(principal, slot);
  }

  #unindex(principal: string | undefined, slot: number): void {
    if (principal !== undefined) this.#principals.remove(principal, slot);
  }

  #checkOpen(): void {
    if (!this.#isClosed) return;
    throw new SessionError(
      "closed",
      "Cannot use MemoryProvider: it is closed",
    );
  }
}

/** @param visitor Its kind if nobody is signed in. */
function kindOf({ principal }: SessionRecord, visitor: Kind): Kind {
  return principal === undefined ? visitor : SIGNED_IN;
}

/** In milliseconds. */
function idleTimeOf({ idleTimeout }: SessionRecord): number {
  return idleTimeout * 1000;
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
