import { ownTime, SUSPICIOUS, waits } from "./clock.ts";
import { BATCH, mintIds } from "./ids.ts";
import { newRecord, openStore, type Store } from "./store.ts";

/** How long each of many calls of `create` took, summed up. */
export interface Creates {
  /** Milliseconds at each of {@linkcode SHARES}. */
  readonly percentiles: readonly number[];
  /** The longest call of each of {@linkcode BUCKETS} parts of the run. */
  readonly buckets: readonly Call[];
  /** From the first create to the last, in milliseconds of the process. */
  readonly begin: number;
  readonly end: number;
}

/** One call of `create`. */
export interface Call {
  /** How many sessions there were before. */
  readonly at: number;
  readonly milliseconds: number;
}

/** The shares of calls that were at least as fast: 0.1, … 0.999999, and all. */
export const SHARES: readonly number[] = sharesOfNines();

/** How many parts a run is cut into. */
export const BUCKETS = 120;

/** How many batches are made between two collections that are asked for. */
const COLLECTED = 32;

/**
 * Creates sessions in an empty store, each `create` timed by itself.
 *
 * @param isCollected Whether to collect garbage where V8 lets a program ask for
 * it, between two creates, so that it does not in one.
 */
export async function measureCreates(
  name: string,
  count: number,
  isCollected: boolean,
): Promise<Creates> {
  await warmUp(name);
  const store = await openStore(name, { capacity: count });
  // Written to, so that no memory is fetched while the clock runs.
  const times = new Float64Array(count).fill(NaN);
  const begin = performance.now();
  for (let first = 0; first < count; first += BATCH) {
    const some = times.subarray(first, first + BATCH);
    if (isCollected && first % (COLLECTED * BATCH) === 0) {
      (globalThis as { gc?: () => void }).gc?.();
    }
    if (createBatch(store, first, some) !== some.length) {
      throw new Error(`Cannot measure: ${name} lost a session it created`);
    }
  }
  const end = performance.now();
  return { ...summaryOf(times), begin, end };
}

/** Lets the compiler see everything before it counts. */
async function warmUp(name: string): Promise<void> {
  const times = new Float64Array(BATCH);
  const store = await openStore(name, { capacity: 8 * BATCH });
  for (let batch = 0; batch < 8; batch++) {
    createBatch(store, batch * BATCH, times);
  }
}

const ids: string[] = new Array(BATCH).fill("");

/** Answers how many were created. The record is made while the clock runs. */
function createBatch(store: Store, first: number, times: Float64Array): number {
  mintIds(ids, times.length, (position) => first + position);
  let created = 0;
  waits.next();
  let end = performance.now();
  for (let position = 0; position < times.length; position++) {
    const id = ids[position] as string;
    const begin = performance.now();
    // What was waited before does not count for what comes.
    if (begin - end > SUSPICIOUS) waits.next();
    const isCreated = store.create(id, newRecord());
    end = performance.now();
    times[position] = ownTime(end - begin);
    if (isCreated) created++;
  }
  return created;
}

function summaryOf(
  times: Float64Array,
): Pick<Creates, "percentiles" | "buckets"> {
  const sorted = times.toSorted();
  const length = Math.ceil(times.length / BUCKETS);
  const buckets: Call[] = [];
  for (let start = 0; start < times.length; start += length) {
    buckets.push(longestOf(times, start, start + length));
  }
  const percentiles = SHARES.map((share) => percentileOf(sorted, share));
  return { percentiles, buckets };
}

function longestOf(times: Float64Array, start: number, end: number): Call {
  let at = start;
  for (let index = start; index < Math.min(end, times.length); index++) {
    if ((times[index] as number) > (times[at] as number)) at = index;
  }
  return { at, milliseconds: times[at] as number };
}

function percentileOf(sorted: Float64Array, share: number): number {
  const rank = Math.ceil(share * sorted.length);
  return sorted[Math.max(0, rank - 1)] as number;
}

/** Five steps to each nine, and the longest call last. */
function sharesOfNines(): number[] {
  const shares = [0.1, 0.2, 0.3, 0.4, 0.5];
  for (let nines = 1; nines < 6; nines++) {
    for (const rest of [1, 0.7, 0.5, 0.3, 0.2]) {
      shares.push(Number((1 - rest * 10 ** -nines).toFixed(8)));
    }
  }
  return [...shares, 0.999999, 1];
}
