import { LinkedList } from "./linked_list.ts";
import { ACCESSED_AT, ESTABLISHED, type Slots } from "./slots.ts";

/** The sessions of one idle timeout, each list in the order of last use. */
class Lane {
  /** In seconds. */
  readonly idleTimeout: number;
  /** Sessions that were created and have not come back. */
  readonly probation: LinkedList;
  /** Sessions that came back at least once. */
  readonly established: LinkedList;
  readonly lists: readonly LinkedList[];
  readonly #slots: Slots;

  constructor(idleTimeout: number, slots: Slots) {
    this.idleTimeout = idleTimeout;
    this.probation = new LinkedList(slots);
    this.established = new LinkedList(slots);
    this.lists = [this.probation, this.established];
    this.#slots = slots;
  }

  get isEmpty(): boolean {
    return this.probation.back === 0 && this.established.back === 0;
  }

  /** When the idle timeout of a slot in this lane ends. */
  deadlineOf(slot: number): number {
    return this.#slots.time(slot, ACCESSED_AT) + this.idleTimeout * 1000;
  }

  remove(slot: number): void {
    if (this.#slots.hasFlag(slot, ESTABLISHED)) this.established.remove(slot);
    else this.probation.remove(slot);
  }

  dispose(): void {
    this.probation.dispose();
    this.established.dispose();
  }
}

interface StaleList {
  readonly lane: Lane;
  readonly list: LinkedList;
  /** When the idle timeout of the last slot ends. */
  readonly deadline: number;
}

/**
 * All sessions, in as much of an order as it takes to tell which one goes next:
 * those of one idle timeout expire in the order of their last use.
 */
export class Lanes {
  readonly #slots: Slots;
  readonly #byTimeout = new Map<number, Lane>();
  /** The same lanes: an array is walked faster. */
  #all: readonly Lane[] = [];

  constructor(slots: Slots) {
    this.#slots = slots;
  }

  /** Puts a new session in front of the other new ones. */
  admit(slot: number, idleTimeout: number): void {
    this.#laneOf(idleTimeout).probation.pushFront(slot);
  }

  /**
   * Puts a session that came back in front of those that did before.
   *
   * @param from The idle timeout that it has, in seconds.
   * @param to The one that it is to have.
   */
  promote(slot: number, from: number, to = from): void {
    if (from === to && this.#slots.hasFlag(slot, ESTABLISHED)) {
      LinkedList.moveToFront(this.#slots, slot);
      return;
    }
    const lane = this.#byTimeout.get(from) as Lane;
    lane.remove(slot);
    this.#slots.raise(slot, ESTABLISHED);
    this.#laneOf(to).established.pushFront(slot);
    this.#disposeIfEmpty(lane);
  }

  /** @param idleTimeout The one that the session has, in seconds. */
  remove(slot: number, idleTimeout: number): void {
    const lane = this.#byTimeout.get(idleTimeout) as Lane;
    lane.remove(slot);
    this.#disposeIfEmpty(lane);
  }

  /**
   * The slot whose idle timeout ends first, or 0.
   *
   * @param except A slot to pass over. It is in front of its list, so there is
   * nothing else in that if it is at the back too.
   */
  stalest(kind: "probation" | "established", except = 0): number {
    let stalest = 0;
    let earliest = Infinity;
    for (const lane of this.#all) {
      const slot = lane[kind].back;
      if (slot === 0 || slot === except) continue;
      const deadline = lane.deadlineOf(slot);
      if (stalest !== 0 && deadline >= earliest) continue;
      stalest = slot;
      earliest = deadline;
    }
    return stalest;
  }

  /**
   * Takes out slots whose idle timeout has ended, the stalest first.
   *
   * @param limit The most to take out.
   * @param forget Is given each of them, before its slot is freed.
   * @param except A slot to leave alone, in front of its list.
   * @returns How many it took out.
   */
  takeExpired(
    now: number,
    limit: number,
    forget: (slot: number) => void,
    except?: number,
  ): number {
    let taken = 0;
    while (taken < limit) {
      const first = this.#stalestList();
      if (first === undefined || first.deadline > now) break;
      if (first.list.back === except) break;
      taken += this.#takeFrom(first, now, limit - taken, forget);
    }
    return taken;
  }

  /** Takes expired slots out of a list until one of another goes before. */
  #takeFrom(
    { lane, list }: StaleList,
    now: number,
    limit: number,
    forget: (slot: number) => void,
  ): number {
    const rival = this.#stalestList(list)?.deadline ?? Infinity;
    let taken = 0;
    let slot = list.back;
    let deadline: number;
    do {
      const before = list.before(slot);
      // Asks memory for the next slot while there is something else to do.
      deadline = lane.deadlineOf(before);
      forget(slot);
      slot = before;
      taken++;
    } while (
      slot !== 0 && taken < limit && deadline <= now && deadline < rival
    );
    // Cuts the links of all of them at once, and frees them.
    list.freeBehind(slot);
    this.#disposeIfEmpty(lane);
    return taken;
  }

  /** The list whose last slot expires before those of all others. */
  #stalestList(except?: LinkedList): StaleList | undefined {
    let stalest: StaleList | undefined;
    for (const lane of this.#all) {
      for (const list of lane.lists) {
        const { back } = list;
        if (back === 0 || list === except) continue;
        const deadline = lane.deadlineOf(back);
        if (stalest !== undefined && deadline >= stalest.deadline) continue;
        stalest = { lane, list, deadline };
      }
    }
    return stalest;
  }

  #laneOf(idleTimeout: number): Lane {
    return this.#byTimeout.get(idleTimeout) ?? this.#add(idleTimeout);
  }

  #add(idleTimeout: number): Lane {
    const lane = new Lane(idleTimeout, this.#slots);
    this.#byTimeout.set(idleTimeout, lane);
    this.#all = [...this.#byTimeout.values()];
    return lane;
  }

  #disposeIfEmpty(lane: Lane): void {
    if (!lane.isEmpty) return;
    lane.dispose();
    this.#byTimeout.delete(lane.idleTimeout);
    this.#all = [...this.#byTimeout.values()];
  }
}
