/** How long single calls take while a store grows, and while it is collected. */
import { openSync, readSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { idOf } from "../_cases/ids.ts";
import { scattered } from "../_cases/random.ts";
import { expect, sizeName } from "../_harness/case.ts";
import { percentile } from "../_harness/figures.ts";
import type { Job, Reporter, Section } from "../_harness/section.ts";
import { FLOOR, openStore, OURS, type Store } from "./_contestants.ts";

const WITHOUT = "without the engine's collector";

/** The most, in milliseconds, that is not looked into: see `ownTime`. */
const SUSPICIOUS = 0.2;

/** Ids that are made ready before the clock starts. */
const BATCH = 4096;

/** Batches between two collections that are asked for, where one can ask. */
const COLLECTED = 32;

const SHARES = {
  p50: 0.5,
  p90: 0.9,
  p99: 0.99,
  "p99.9": 0.999,
  "p99.99": 0.9999,
  "p99.999": 0.99999,
  longest: 1,
};

const COMPARED = [FLOOR, "lru-cache", OURS];

/** With the engine's own collections and without them: these are not ours. */
export const tails: Section = {
  name: "tails",
  about: "the slowest calls of create and of gc",
  sizes: [1_200_000],
  trialSize: 24_000,
  parts: ["as it comes", WITHOUT].flatMap((engine) => [
    ...COMPARED.map((store) => `create, ${store}, ${engine}`),
    ...COMPARED.map((store) => `collect, ${store}, ${engine}`),
  ]),
  isWithoutCollector: (part) => part.endsWith(WITHOUT),
  measure,
  minutes: 8,
  memory: 8,
};

async function measure(job: Job, report: Reporter): Promise<void> {
  const [kind, name = "", group = ""] = job.part.split(", ");
  if (kind === "create") {
    const times = await timeCreates(name, job.size, group === WITHOUT);
    const table = "µs for each create";
    for (const [column, share] of Object.entries(SHARES)) {
      const value = percentile(times, share) * 1000;
      report({ table, group, name, column, value });
    }
    return;
  }
  const times = await timeCollection(name, job);
  const table = `ms to collect ${sizeName(job.size)} expired sessions`;
  const row = { table, group, name };
  report({ ...row, column: "calls", value: times.length });
  report({ ...row, column: "longest", value: Math.max(...times) });
  const value = times.reduce((sum, time) => sum + time, 0);
  report({ ...row, column: "all", value });
}

/** The sorted milliseconds of every `create` in a store that is empty at first. */
async function timeCreates(
  name: string,
  count: number,
  isWithoutCollector: boolean,
): Promise<Float64Array> {
  const open = () => openStore(name, { capacity: count, ttl: 3_600_000 });
  // Lets the compiler see everything before it counts.
  createBatch(await open(), 0, new Float64Array(8 * BATCH));
  const store = await open();
  // Written to, so that no memory is fetched while the clock runs.
  const times = new Float64Array(count).fill(NaN);
  const { gc } = globalThis as { gc?: () => void };
  for (let first = 0; first < count; first += BATCH) {
    if (isWithoutCollector && first % (COLLECTED * BATCH) === 0) gc?.();
    createBatch(store, first, times.subarray(first, first + BATCH));
  }
  expect(store.size() === count, "create");
  return times.toSorted();
}

/** The record is made while the clock runs. */
function createBatch(store: Store, first: number, times: Float64Array): void {
  const ids = Array.from(times, (_, at) => idOf(first + at));
  waited();
  let end = performance.now();
  for (let at = 0; at < times.length; at++) {
    const id = ids[at] as string;
    const begin = performance.now();
    // What was waited before does not count for what comes.
    if (begin - end > SUSPICIOUS) waited();
    store.create(id, first + at);
    end = performance.now();
    times[at] = ownTime(end - begin);
  }
}

/** The milliseconds of every call that removes some that have expired. */
async function timeCollection(name: string, { size, isTrial }: Job) {
  // Long enough to fill it and to touch every session.
  const ttl = isTrial ? 2000 : 20_000;
  const store = await openStore(name, { capacity: size, ttl });
  for (let at = 0; at < size; at++) store.create(idOf(at), at);
  let touched = 0;
  // Or else the next one to go would always lie beside the last in memory.
  for (let at = 0; at < size; at++) {
    if (store.touch(idOf(scattered(at, size)))) touched++;
  }
  expect(touched === size, "touch");
  await setTimeout(ttl + 100);
  const times: number[] = [];
  for (let left = size; left > 0;) {
    waited();
    const begin = performance.now();
    const removed = store.collect();
    times.push(ownTime(performance.now() - begin));
    expect(removed > 0, "collect");
    left -= removed;
  }
  return times;
}

/** What is left of a time, without that waited since the last `waited()`. */
function ownTime(elapsed: number): number {
  return elapsed < SUSPICIOUS ? elapsed : Math.max(0, elapsed - waited());
}

const statistics = openStatistics();
const buffer = new Uint8Array(128);
let before = 0;

/**
 * The milliseconds since the last call in which this thread was ready to run and
 * other programs had the processor: a time that says nothing of what is measured.
 * Linux counts it; on other systems it is part of every figure.
 */
function waited(): number {
  if (statistics === undefined) return 0;
  const last = before;
  // It may have to wait while it reads: then it reads again.
  for (let attempt = 0; attempt < 10; attempt++) {
    const begin = performance.now();
    const length = readSync(statistics, buffer, 0, buffer.length, 0);
    const text = new TextDecoder().decode(buffer.subarray(0, length));
    // Nanoseconds with the processor, nanoseconds without, and how often.
    before = Number(text.split(" ")[1]) / 1e6;
    if (performance.now() - begin < SUSPICIOUS) break;
  }
  return before - last;
}

function openStatistics(): number | undefined {
  try {
    return openSync("/proc/thread-self/schedstat", "r");
  } catch {
    return undefined;
  }
}
