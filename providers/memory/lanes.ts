import { LinkedList } from "../linked_list.ts";
import { ACCESSED_AT, LIST, type Slots } from "./slots.ts";

/** The sessions of one idle timeout, each list in the order of last use. */
class Lane {
  /** At least 1. Its lists have this number doubled, and one more. */
  readonly number: number;
  /** In seconds. */
  readonly idleTimeout: number;
  /** Sessions that were created and have not come back. */
  readonly probation: LinkedList;
  /** Sessions that came back at least once. */
  readonly established: LinkedList;
  readonly lists: readonly LinkedList[];
  readonly #slots: Slots;

  constructor(number: number, idleTimeout: number, slots: Slots) {
    this.number = number;
    this.idleTimeout = idleTimeout;
    this.probation = new LinkedList(slots, number * 2);
    this.established = new LinkedList(slots, number * 2 + 1);
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
    if (this.established.has(slot)) this.established.remove(slot);
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
  readonly #byNumber: (Lane | undefined)[] = [undefined];

  constructor(slots: Slots) {
    this.#slots = slots;
  }

  /** Puts a new session in front of the other new ones. */
  admit(slot: number, idleTimeout: number): void {
    this.#laneOf(idleTimeout).probation.pushFront(slot);
  }

  /** Puts a session that came back in front of those that did before. */
  promote(slot: number, idleTimeout?: number): void {
    const lane = this.#laneAt(slot);
    idleTimeout ??= lane.idleTimeout;
    if (lane.idleTimeout === idleTimeout && lane.established.has(slot)) {
      lane.established.moveToFront(slot);
      return;
    }
    lane.remove(slot);
    this.#laneOf(idleTimeout).established.pushFront(slot);
    this.#disposeIfEmpty(lane);
  }

  remove(slot: number): void {
    const lane = this.#laneAt(slot);
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
    for (const lane of this.#byNumber) {
      const slot = lane === undefined ? 0 : lane[kind].back;
      if (slot === 0 || slot === except) continue;
      const deadline = (lane as Lane).deadlineOf(slot);
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
   * @param free Is given each of them.
   * @param except A slot to leave alone, in front of its list.
   * @returns How many it took out.
   */
  takeExpired(
    now: number,
    limit: number,
    free: (slot: number) => void,
    except?: number,
  ): number {
    let taken = 0;
    while (taken < limit) {
      const first = this.#stalestList();
      if (first === undefined || first.deadline > now) break;
      if (first.list.back === except) break;
      taken += this.#takeFrom(first, now, limit - taken, free);
    }
    return taken;
  }

  /** Takes expired slots out of a list until one of another goes before. */
  #takeFrom(
    { lane, list }: StaleList,
    now: number,
    limit: number,
    free: (slot: number) => void,
  ): number {
    const rival = this.#stalestList(list)?.deadline ?? Infinity;
    let taken = 0;
    let slot = list.back;
    let deadline: number;
    do {
      const before = list.before(slot);
      // Asks memory for the next slot while there is something else to do.
      deadline = lane.deadlineOf(before);
      free(slot);
      slot = before;
      taken++;
    } while (
      slot !== 0 && taken < limit && deadline <= now && deadline < rival
    );
    // Cuts the links of all of them at once.
    list.removeBehind(slot);
    this.#disposeIfEmpty(lane);
    return taken;
  }

  /** The list whose last slot expires before those of all others. */
  #stalestList(except?: LinkedList): StaleList | undefined {
    let stalest: StaleList | undefined;
    for (const lane of this.#byNumber) {
      if (lane === undefined) continue;
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

  #laneAt(slot: number): Lane {
    return this.#byNumber[this.#slots.word(slot, LIST) >> 1] as Lane;
  }

  #laneOf(idleTimeout: number): Lane {
    return this.#byTimeout.get(idleTimeout) ?? this.#add(idleTimeout);
  }

  #add(idleTimeout: number): Lane {
    const vacant = this.#byNumber.indexOf(undefined, 1);
    const number = vacant === -1 ? this.#byNumber.length : vacant;
    const lane = new Lane(number, idleTimeout, this.#slots);
    this.#byNumber[number] = lane;
    this.#byTimeout.set(idleTimeout, lane);
    return lane;
  }

  #disposeIfEmpty(lane: Lane): void {
    if (!lane.isEmpty) return;
    lane.dispose();
    this.#byTimeout.delete(lane.idleTimeout);
    this.#byNumber[lane.number] = undefined;
    while (this.#byNumber.length > 1 && this.#byNumber.at(-1) === undefined) {
      this.#byNumber.pop();
    }
  }
}
