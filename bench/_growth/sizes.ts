import process from "node:process";
import { timeOf } from "./clock.ts";
import { BATCH, bringIds, mintIds, scattered } from "./ids.ts";
import {
  collectGarbage,
  hasIndex,
  newRecord,
  openStore,
  type Store,
} from "./store.ts";

/** What a store costs at one size, or why that is not known. */
export interface SizeReport {
  readonly size: number;
  /** Nanoseconds for each operation. */
  readonly costs?: Costs;
  /** Bytes for each session. */
  readonly heap?: number;
  /** The same, outside the engine's heap: typed arrays and buffers. */
  readonly external?: number;
  /** Why the size was not measured. */
  readonly missing?: string;
}

/** Nanoseconds for each operation. */
export interface Costs {
  readonly create: number;
  readonly read?: number;
  readonly touch?: number;
  readonly destroy?: number;
}

/** What a run may take. */
export interface Bounds {
  /** Milliseconds. */
  readonly time: number;
  /** Bytes. */
  readonly memory: number;
}

/** How many look-ups make a figure, in batches of which the median counts. */
const OPERATIONS = 32 * BATCH;

/** Small stores are filled again and again until as many are created. */
const CREATES = 200_000;

/** An index that grows holds two copies of itself, and garbage comes on top. */
const HEADROOM = 2;

/**
 * Fills a store anew for each size and measures it there. Calls `report` as
 * soon as a size is done, because the next one may end the process.
 */
export async function measureSizes(
  name: string,
  sizes: readonly number[],
  bounds: Bounds,
  report: (report: SizeReport) => void,
): Promise<void> {
  // Lets the compiler see everything before it counts.
  await measureSize(name, 4 * BATCH, Infinity);
  const deadline = performance.now() + bounds.time;
  let bytes = 0;
  for (const size of sizes) {
    const needed = HEADROOM * bytes * size;
    if (needed > bounds.memory) {
      const gigabytes = Math.ceil(needed / 2 ** 30);
      return report({ size, missing: `needs about ${gigabytes} GB` });
    }
    try {
      const measured = await measureSize(name, size, deadline);
      // Of few sessions, most of it is something else.
      if (size >= 1e5) bytes = measured.heap + measured.external;
      report(measured);
    } catch (error) {
      if (!(error instanceof LimitReached)) throw error;
      return report({ size, missing: error.message });
    }
  }
}

/** A store that holds no more, or a time that is up. */
class LimitReached extends Error {}

/** Everything at one size. */
async function measureSize(name: string, size: number, deadline: number) {
  const creates: number[] = [];
  for (let left = CREATES; left > size; left -= size) {
    creates.push(await fillAnother(name, size, deadline));
  }
  collectGarbage();
  const before = process.memoryUsage();
  const store = await openStore(name, { capacity: size });
  creates.push(fill(store, size, deadline));
  const heap = heapOf(size, before);
  const others = hasIndex(name) ? costsOf(store, size) : {};
  // Or else the engine might collect what is being weighed.
  store.read("");
  return { size, costs: { create: medianOf(creates), ...others }, ...heap };
}

/** Leaves nothing behind on the stack that would hold the store. */
async function fillAnother(name: string, size: number, deadline: number) {
  const store = await openStore(name, { capacity: size });
  return fill(store, size, deadline);
}

/** Nanoseconds for each `create`, the growing and the collections included. */
function fill(store: Store, size: number, deadline: number): number {
  let elapsed = 0;
  for (let first = 0; first < size; first += BATCH) {
    if (performance.now() > deadline) {
      const at = first === 0 ? "" : ` at ${countName(first)} sessions`;
      throw new LimitReached(`time was up${at}`);
    }
    elapsed += createBatch(store, first, Math.min(BATCH, size - first));
  }
  return elapsed / size * 1e6;
}

const ids: string[] = new Array(BATCH).fill("");

/** Milliseconds that it took to create `count` sessions from the `first` on. */
function createBatch(store: Store, first: number, count: number): number {
  mintIds(ids, count, (position) => first + position);
  let position = 0;
  const elapsed = timeOf(() => {
    try {
      for (; position < count; position++) {
        if (!store.create(ids[position] as string, newRecord())) break;
      }
    } catch (error) {
      const at = countName(first + position);
      throw new LimitReached(`"${messageOf(error)}" at ${at} sessions`);
    }
  });
  expectAll(position, count, "create");
  return elapsed;
}

/** Look-ups go to sessions all over the store, each equally often. */
function costsOf(store: Store, size: number): Omit<Costs, "create"> {
  return {
    read: costOf(size, "read", (id) => store.read(id)),
    touch: costOf(size, "touch", (id) => store.touch(id)),
    destroy: costOfDestroy(store, size),
  };
}

function costOf(
  size: number,
  what: string,
  operate: (id: string) => boolean,
): number {
  const costs: number[] = [];
  for (let first = 0; first < OPERATIONS; first += BATCH) {
    const elapsed = timeBatch(
      BATCH,
      (position) => scattered(first + position, size),
      what,
      operate,
    );
    costs.push(elapsed / BATCH * 1e6);
  }
  return medianOf(costs);
}

/** What goes comes back, so that the store stays as large as it is. */
function costOfDestroy(store: Store, size: number): number {
  const count = Math.min(BATCH, size >> 1);
  const costs: number[] = [];
  for (let first = 0; first < OPERATIONS; first += BATCH) {
    const numberOf = (position: number) => scattered(first + position, size);
    const destroy = (id: string) => store.destroy(id);
    const elapsed = timeBatch(count, numberOf, "destroy", destroy);
    costs.push(elapsed / count * 1e6);
    mintIds(ids, count, numberOf);
    for (const id of ids.slice(0, count)) store.create(id, newRecord());
  }
  return medianOf(costs);
}

function timeBatch(
  count: number,
  numberOf: (position: number) => number,
  what: string,
  operate: (id: string) => boolean,
): number {
  const batch = bringIds(count, numberOf);
  let right = 0;
  const elapsed = timeOf(() => {
    for (let position = 0; position < count; position++) {
      if (operate(batch.at(position))) right++;
    }
  });
  expectAll(right, count, what);
  return elapsed;
}

function expectAll(right: number, count: number, what: string): void {
  if (right === count) return;
  throw new Error(`Cannot measure: ${count - right} wrong answers of ${what}`);
}

function heapOf(size: number, before: ReturnType<typeof process.memoryUsage>) {
  collectGarbage();
  const after = process.memoryUsage();
  const external = after.external - before.external;
  const heap = after.heapUsed - before.heapUsed;
  // Bun counts what is external as part of the heap.
  const isPart = process.versions.bun !== undefined;
  return {
    heap: (isPart ? heap - external : heap) / size,
    external: external / size,
  };
}

function countName(count: number): string {
  return count.toLocaleString("en");
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}
