/** The memory provider beside other stores of sessions in memory. */
import process from "node:process";
import { idOf, STRANGER, Tape } from "../_cases/ids.ts";
import { randomNumbers, uniform, zipf } from "../_cases/random.ts";
import { expect, sizeName } from "../_harness/case.ts";
import { collectGarbage } from "../_harness/processes.ts";
import type { Job, Reporter, Section } from "../_harness/section.ts";
import { FLOOR, openStore, type Store, STORES } from "./_contestants.ts";

/** Nothing expires while it is measured: an hour, in milliseconds. */
const TTL = 3_600_000;

/** Ids that are made ready before the clock starts. */
const BATCH = 4096;

/** What each operation takes, and how much memory. */
export const stores: Section = {
  name: "stores",
  about: "the memory provider beside other stores in memory",
  sizes: [1e3, 1e5, 1e6, 1e7, 2e7],
  parts: Object.keys(STORES),
  measure,
  minutes: 15,
  memory: 14,
};

async function measure(job: Job, report: Reporter): Promise<void> {
  const { part, size, isTrial } = job;
  const column = sizeName(size);
  await check(part);
  const tell: Tell = (group, value, table = "ns for each operation") =>
    report({
      ...{ table, group, name: part, column, value },
      isFloor: part === FLOOR,
    });
  const operations = isTrial ? 2000 : size === 1e3 ? 1e6 : 2e5;
  const store = await fill(job, operations / 2, tell);
  if (store === undefined) {
    const runtime = "Bun" in globalThis ? "Bun" : "Deno";
    return report(`On ${runtime}, ${part} cannot hold ${column} sessions.`);
  }
  const random = randomNumbers(size);
  const evenly = uniform(size, random);
  const run = (operation: Operation, pick = evenly) => {
    // As many before, because engines compile what they meet anew; and others,
    // because a store that was asked in some order would lie in that order.
    timeRequests(store, operation, new Tape(operations, pick));
    return timeRequests(store, operation, new Tape(operations, pick));
  };
  tell("read", run("read"));
  tell("touch", run("touch"));
  tell("read and touch", run("use"));
  tell("touch, zipf 0.99", run("touch", zipf(size, random)));
}

type Operation = "read" | "touch" | "use";
type Tell = (group: string, value: number, table?: string) => void;

/** Fills a store, several times if it is small, and weighs it the last time. */
async function fill(
  { part, size }: Job,
  sessions: number,
  tell: Tell,
): Promise<Store | undefined> {
  const open = () => openStore(part, { capacity: size, ttl: TTL });
  try {
    const times: number[] = [];
    for (let done = size; done < sessions; done += size) {
      times.push(timeFill(await open(), size));
    }
    collectGarbage();
    const before = process.memoryUsage();
    const store = await open();
    times.push(timeFill(store, size));
    collectGarbage();
    const after = process.memoryUsage();
    tell("create", meanOfSecondHalf(times));
    // Of few sessions, most of it is something else.
    if (size < 1e5) return store;
    const external = (after.external - before.external) / size;
    const all = (after.heapUsed - before.heapUsed) / size;
    // Bun counts what is external as part of the heap.
    const heap = "Bun" in globalThis ? all - external : all;
    tell("heap", heap, "bytes for each session");
    tell("outside of it", Math.max(0, external), "bytes for each session");
    return store;
  } catch (error) {
    // `Map maximum size exceeded`, and how others say that.
    if (!(error instanceof RangeError)) throw error;
    return undefined;
  }
}

/** Nanoseconds for each session, its table's growth included, its id's not. */
function timeFill(store: Store, size: number): number {
  const ids: string[] = [];
  let elapsed = 0;
  let created = 0;
  for (let first = 0; first < size; first += BATCH) {
    const count = Math.min(BATCH, size - first);
    for (let at = 0; at < count; at++) ids[at] = idOf(first + at);
    const start = performance.now();
    for (let at = 0; at < count; at++) {
      if (store.create(ids[at] as string, first + at)) created++;
    }
    elapsed += performance.now() - start;
  }
  expect(created === size && store.size() === size, "create");
  return elapsed / size * 1e6;
}

/** Nanoseconds for each operation on the sessions of a tape. */
function timeRequests(store: Store, operation: Operation, tape: Tape): number {
  let right = 0;
  const { length } = tape;
  const start = performance.now();
  for (let left = length; left > 0; left--) {
    if (store[operation](tape.nextId())) right++;
  }
  const elapsed = performance.now() - start;
  expect(right === length, operation);
  return elapsed / length * 1e6;
}

/** The first half is for the engine to compile what it meets. */
function meanOfSecondHalf(times: readonly number[]): number {
  const counted = times.slice(times.length >> 1);
  return counted.reduce((sum, time) => sum + time, 0) / counted.length;
}

/** Puts a store through what the figures take for granted. */
async function check(name: string): Promise<void> {
  const store = await openStore(name, { capacity: 1000, ttl: TTL });
  timeFill(store, 1000);
  const [id, stranger] = [idOf(0), idOf(STRANGER)];
  expect(store.read(id) && store.use(id), "a session");
  expect(!store.read(stranger) && !store.use(stranger), "a stranger");
  expect(store.collect() === 0 && store.size() === 1000, "collect of none");
}
