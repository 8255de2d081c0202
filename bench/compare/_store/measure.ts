import { setImmediate } from "node:timers/promises";
import type { Tape } from "../../_bodies/tape.ts";
import type { Answer, Store } from "./contract.ts";
import type { Visitors } from "./visitors.ts";

/** Operations between two looks at the clock. */
const BATCH = 1000;

/** Counts the answers; a store that defers its callbacks is waited for. */
class Tally {
  #answers = 0;
  #right = 0;
  readonly count: Answer = (isRight) => {
    this.#answers++;
    if (isRight) this.#right++;
  };

  /** Ends when `operations` were answered, and throws unless all are right. */
  async settle(operations: number): Promise<void> {
    while (this.#answers < operations) await setImmediate();
    if (this.#right === operations) return;
    throw new Error(
      `Cannot measure: ${this.#right} of ${operations} answers are right`,
    );
  }
}

type Operation = (id: string, answer: Answer) => void;

/** Nanoseconds for each operation on the sessions of a tape. */
export async function measureRequests(
  operation: Operation,
  tape: Tape,
  operations: number,
): Promise<number> {
  let elapsed = 0;
  for (let left = operations; left > 0; left -= BATCH) {
    const tally = new Tally();
    const { count } = tally;
    const start = performance.now();
    for (let call = 0; call < BATCH; call++) operation(tape.nextId(), count);
    await tally.settle(BATCH);
    elapsed += performance.now() - start;
  }
  return elapsed / operations * 1e6;
}

/**
 * Nanoseconds for each session that an empty store is filled with, the growth
 * of its tables included and the making of the ids not.
 */
export async function fill(store: Store, visitors: Visitors): Promise<number> {
  const { size } = visitors;
  let elapsed = 0;
  for (let at = 0; at < size; at += BATCH) {
    const length = Math.min(BATCH, size - at);
    const ids = Array.from({ length }, (_, index) => visitors.id(at + index));
    const hashes = ids.map((_, index) => visitors.secretHash(at + index));
    const tally = new Tally();
    const start = performance.now();
    for (let index = 0; index < length; index++) {
      const secretHash = hashes[index] as string;
      store.create(ids[index] as string, secretHash, tally.count);
    }
    await tally.settle(length);
    elapsed += performance.now() - start;
  }
  if (store.size() !== size) {
    throw new Error(
      `Cannot measure: the store holds ${store.size()} of ${size} sessions`,
    );
  }
  return elapsed / size * 1e6;
}

/** Ends when an operation was answered. */
export function answerOf(
  operation: Operation,
  id: string,
): Promise<boolean> {
  return new Promise((resolve) => operation(id, resolve));
}
