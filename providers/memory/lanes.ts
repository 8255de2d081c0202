/** Knows which session expires next, and which one is evicted next. */
import { DeadlineHeap } from "./deadline_heap.ts";
import { LinkedList } from "./linked_list.ts";
import { ACCESSED_AT, IDLE_TIME, KIND, type Slots } from "./slots.ts";

/** Visitors that were created and have not come back: the first to be evicted. */
export const PROBATION = 0;
/** Visitors that came back at least once. */
export const ESTABLISHED = 1;
/** Sessions that somebody is signed in with: the last to be evicted. */
export const SIGNED_IN = 2;

/** What an eviction ranks by before it looks at times. */
export type Kind = typeof PROBATION | typeof ESTABLISHED | typeof SIGNED_IN;

/** The sessions of one kind, in the order of eviction of the kinds. */
class KindLanes {
  readonly kind: Kind;
  readonly heap: DeadlineHeap;
  /** By idle timeout in milliseconds; each in the order of last use. */
  readonly byIdleTime = new Map<number, LinkedList>();

  constructor(kind: Kind, slots: Slots) {
    this.kind = kind;
    this.heap = new DeadlineHeap(slots);
  }
}

/**
 * All sessions, in as much of an order as it takes to tell which one goes next:
 * those of one kind and idle timeout are in one list and expire in the order of
 * their last use, and the lists are in a heap.
 *
 * A move within a list takes constant time; what makes or empties a list, and
 * each search for the next session, takes logarithmic time in the number of
 * lists.
 */
export class Lanes {
  readonly #slots: Slots;
  readonly #kinds: readonly [KindLanes, KindLanes, KindLanes];

  /** Without a session. */
  constructor(slots: Slots) {
    this.#slots = slots;
    this.#kinds = [
      new KindLanes(PROBATION, slots),
      new KindLanes(ESTABLISHED, slots),
      new KindLanes(SIGNED_IN, slots),
    ];
  }

  /** The kind of a session, which is in a list. */
  kindOf(slot: number): Kind {
    return this.#slots.word(this.#slots.list(slot), KIND) as Kind;
  }

  /**
   * Puts a session that is in no list in front of those used before.
   *
   * @param idleTime Its idle timeout, in milliseconds.
   */
  admit(slot: number, kind: Kind, idleTime: number): void {
    const { byIdleTime } = this.#kinds[kind];
    const list = byIdleTime.get(idleTime);
    if (list !== undefined) return list.pushFront(slot);
    byIdleTime.set(idleTime, this.#open(slot, kind, idleTime));
  }

  /** Puts a session that was just used in front of those used before. */
  use(slot: number): void {
    const list = this.#slots.list(slot);
    if (this.#slots.word(list, KIND) !== PROBATION) {
      LinkedList.moveToFront(this.#slots, slot);
      return;
    }
    const idleTime = this.#slots.time(list, IDLE_TIME);
    this.remove(slot);
    this.admit(slot, ESTABLISHED, idleTime);
  }

  /**
   * Puts a session where it belongs after a change.
   *
   * @param idleTime Its idle timeout, in milliseconds.
   * @param isUse Whether it was just used.
   */
  place(slot: number, kind: Kind, idleTime: number, isUse: boolean): void {
    const list = this.#slots.list(slot);
    const isInPlace = list !== 0 && this.#slots.word(list, KIND) === kind &&
      this.#slots.time(list, IDLE_TIME) === idleTime;
    if (isInPlace) {
      if (isUse) LinkedList.moveToFront(this.#slots, slot);
      return;
    }
    if (list !== 0) this.remove(slot);
    // In front of sessions that were used later it would be collected late.
    if (isUse || !this.#isBehind(slot, kind, idleTime)) {
      this.admit(slot, kind, idleTime);
    } else this.#open(slot, kind, idleTime);
  }

  /** Takes a session out of its list. */
  remove(slot: number): void {
    const sentinel = this.#slots.list(slot);
    const lanes = this.#kinds[this.kindOf(slot)];
    const list = lanes.heap.listOf(sentinel);
    list.remove(slot);
    this.#disposeIfEmpty(lanes, list);
  }

  /**
   * The slot to evict: the first kind that there is, and the one of it whose
   * idle timeout ends first; or 0.
   */
  nextVictim(): number {
    for (const { heap } of this.#kinds) {
      const list = heap.first;
      if (list !== undefined) return list.back;
    }
    return 0;
  }

  /**
   * Takes out slots whose idle timeout has ended, the stalest first.
   *
   * @param limit The most to take out.
   * @param forget Is given each of them, before its slot is freed.
   * @returns How many it took out.
   */
  takeExpired(
    now: number,
    limit: number,
    forget: (slot: number) => void,
  ): number {
    let taken = 0;
    while (taken < limit) {
      const lanes = this.#stalestKind(now);
      if (lanes === undefined) break;
      taken += this.#takeFrom(lanes, now, limit - taken, forget);
    }
    return taken;
  }

  /** The kind that the stalest session is of, if its idle timeout has ended. */
  #stalestKind(now: number): KindLanes | undefined {
    let stalest: KindLanes | undefined;
    let earliest = Infinity;
    for (const lanes of this.#kinds) {
      if (lanes.heap.earliest > now) continue;
      const list = lanes.heap.first;
      if (list === undefined) continue;
      const deadline = this.#deadlineOf(list.back);
      if (deadline > now || deadline >= earliest) continue;
      stalest = lanes;
      earliest = deadline;
    }
    return stalest;
  }

  /** Takes expired slots out of a list until one of another goes before. */
  #takeFrom(
    lanes: KindLanes,
    now: number,
    limit: number,
    forget: (slot: number) => void,
  ): number {
    const list = lanes.heap.first as LinkedList;
    const rival = this.#earliestBeside(lanes);
    let taken = 0;
    let slot = list.back;
    let deadline: number;
    do {
      const before = list.before(slot);
      // Asks memory for the next slot while there is something else to do.
      deadline = before === 0 ? Infinity : this.#deadlineOf(before);
      forget(slot);
      slot = before;
      taken++;
    } while (taken < limit && deadline <= now && deadline < rival);
    // Cuts the links of all of them at once, and frees them.
    list.freeBehind(slot);
    this.#disposeIfEmpty(lanes, list);
    return taken;
  }

  /** An instant before which no list expires but the first one of a kind. */
  #earliestBeside(lanes: KindLanes): number {
    let earliest = lanes.heap.secondEarliest;
    for (const { heap } of this.#kinds) {
      if (heap !== lanes.heap) earliest = Math.min(earliest, heap.earliest);
    }
    return earliest;
  }

  #deadlineOf(slot: number): number {
    const slots = this.#slots;
    return slots.time(slot, ACCESSED_AT) +
      slots.time(slots.list(slot), IDLE_TIME);
  }

  /** Whether others in the list that it is to go to were used later. */
  #isBehind(slot: number, kind: Kind, idleTime: number): boolean {
    const front = this.#kinds[kind].byIdleTime.get(idleTime)?.front ?? 0;
    return front !== 0 &&
      this.#slots.time(front, ACCESSED_AT) >
        this.#slots.time(slot, ACCESSED_AT);
  }

  /** Makes a list of one session. */
  #open(slot: number, kind: Kind, idleTime: number): LinkedList {
    const list = new LinkedList(this.#slots);
    this.#slots.setTime(list.sentinel, IDLE_TIME, idleTime);
    this.#slots.setWord(list.sentinel, KIND, kind);
    list.pushFront(slot);
    this.#kinds[kind].heap.add(list);
    return list;
  }

  #disposeIfEmpty({ heap, byIdleTime }: KindLanes, list: LinkedList): void {
    if (list.back !== 0) return;
    const idleTime = this.#slots.time(list.sentinel, IDLE_TIME);
    // A list of one that stood aside was never entered.
    if (byIdleTime.get(idleTime) === list) byIdleTime.delete(idleTime);
    heap.remove(list);
    list.dispose();
  }
}
