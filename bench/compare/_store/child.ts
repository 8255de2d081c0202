/**
 * Measures one contestant with one number of sessions, in a process of its own:
 * `child.ts CONTESTANT SIZE operations|collect|heap OPERATIONS`. Prints JSON.
 *
 * @module
 */
import process from "node:process";
import { isMissing } from "../_child.ts";
import { versionOf } from "../_version.ts";
import { check } from "./check.ts";
import type { Contestant } from "./contract.ts";
import { fill, measureRequests } from "./measure.ts";
import { Visitors } from "./visitors.ts";

/** What every measurement answers: numbers by the name of what was measured. */
type Figures = Record<string, number>;

/** Nothing expires while it is measured: an hour, in milliseconds. */
const TTL = 3_600_000;

const [file, sizeText, mode, operationsText] = process.argv.slice(2);
const size = Number(sizeText);
const operations = Number(operationsText);

const contestant = await load();
if (contestant === undefined) {
  console.log(JSON.stringify({ missing: file }));
} else {
  const figures = await measure(contestant);
  const { name, package: origin } = contestant;
  const version = origin === undefined ? "" : ` ${await versionOf(origin)}`;
  console.log(JSON.stringify({ name: name + version, figures }));
}
process.exit(0);

async function load(): Promise<Contestant | undefined> {
  try {
    return (await import(`./${file}.ts`)).contestant;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function measure(contestant: Contestant): Promise<Figures> {
  if (mode === "heap") return await measureHeap(contestant);
  if (mode === "collect") return await measureCollection(contestant);
  // Checks it, and has the engine compile it.
  await check(contestant, new Visitors(1000));
  return await measureOperations(contestant);
}

async function measureOperations(contestant: Contestant): Promise<Figures> {
  const visitors = new Visitors(size);
  const create = await meanOf(
    operations / 2,
    () => fill(contestant.open(size, TTL), visitors),
  );
  const store = contestant.open(size, TTL);
  await fill(store, visitors);
  const run = async (operation: "find" | "touch" | "use", skewed = false) => {
    const draw = () =>
      skewed ? visitors.skewed(operations) : visitors.uniform(operations);
    // As many before, because engines compile what they meet anew; and others,
    // because a store that was asked in some order would lie in that order.
    await measureRequests(store[operation], draw(), operations);
    return await measureRequests(store[operation], draw(), operations);
  };
  return {
    find: await run("find"),
    touch: await run("touch"),
    use: await run("use"),
    skewed: await run("touch", true),
    create,
  };
}

/** Nanoseconds for each session removed when all of them have expired. */
async function measureCollection(contestant: Contestant): Promise<Figures> {
  const visitors = new Visitors(size);
  if (contestant.open(size, TTL).collect === undefined) return {};
  const collect = await meanOf(operations / 50, async () => {
    const store = contestant.open(size, 50);
    await fill(store, visitors);
    // Blocks, so that no timer of the store's own gets there first.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 80);
    const start = performance.now();
    store.collect?.();
    const elapsed = performance.now() - start;
    if (store.size() > 0) {
      throw new Error(
        `Cannot measure ${contestant.name}: ${store.size()} are left`,
      );
    }
    return elapsed / size * 1e6;
  });
  return { collect };
}

/**
 * What takes no time with a small store is done several times, for as many
 * sessions in all; the mean of the second half counts.
 */
async function meanOf(
  sessions: number,
  measure: () => Promise<number>,
): Promise<number> {
  const figures: number[] = [];
  for (let done = 0; done < sessions; done += size) {
    figures.push(await measure());
  }
  const counted = figures.slice(figures.length >> 1);
  return counted.reduce((sum, figure) => sum + figure, 0) / counted.length;
}

/** Bytes that the engine keeps for each session. */
async function measureHeap(contestant: Contestant): Promise<Figures> {
  const visitors = new Visitors(size);
  const before = await memory();
  const store = contestant.open(size, TTL);
  await fill(store, visitors);
  const after = await memory();
  if (store.size() !== size) {
    throw new Error("Cannot measure: a session is lost");
  }
  return {
    heap: (after.heapUsed - before.heapUsed) / size,
    external: (after.external - before.external) / size,
  };
}

async function memory(): Promise<ReturnType<typeof process.memoryUsage>> {
  const { gc, Bun } = globalThis as {
    gc?: () => void;
    Bun?: { gc(wait: boolean): void };
  };
  for (let pass = 0; pass < 3; pass++) {
    Bun?.gc(true);
    gc?.();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return process.memoryUsage();
}
