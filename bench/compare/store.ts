/**
 * Compares the memory provider with other stores and caches that expire what
 * they hold, each in a process of its own, in turns. Prints Markdown tables.
 *
 * ```sh
 * deno run -A bench/compare/store.ts [--tiny] [--rounds N] [contestant …]
 * bun bench/compare/store.ts …
 * ```
 *
 * With `--node-modules-dir=auto` Deno leaves the packages where Bun finds them;
 * without them Bun takes the newest of each.
 *
 * A contestant is a file of `_store/`, such as `lru_cache`.
 *
 * @module
 */
import process from "node:process";
import { type Missing, runChild, RUNTIME } from "./_child.ts";
import { chosen, readOptions } from "./_options.ts";
import {
  median,
  rounded,
  sizeName,
  table,
  turned,
  withRatio,
} from "./_table.ts";

const OURS = "cloakroom";
const CONTESTANTS = [
  OURS,
  "cloakroom_clock",
  "map",
  "map_reinsert",
  "lru_cache",
  "tiny_lru",
  "ttlcache",
  "quick_lru",
  "memorystore",
  "std_cache",
];

/** What the child calls its figures, and how the tables call them. */
const OPERATIONS: Readonly<Record<string, string>> = {
  find: "look-up",
  touch: "touch",
  use: "look-up and touch",
  skewed: "touch, zipf 0.99",
  create: "create",
  collect: "collect",
};

interface Measured {
  readonly name: string;
  readonly figures: Readonly<Record<string, number>>;
}

const { tiny, rounds, names } = readOptions(process.argv.slice(2));
const sizes = tiny ? [1000] : [1e3, 1e5, 1e6];
const heapSize = tiny ? 2e4 : 1e5;

const child = new URL("./_store/child.ts", import.meta.url);
const titles = new Map<string, string>();
/** The rounds' figures by contestant, size and operation. */
const results = new Map<string, number[]>();
let present = [...chosen(CONTESTANTS, names)];
let failures = 0;

for (let round = 0; round < rounds; round++) {
  for (const size of sizes) await measureAll("operations", size, round);
  for (const size of sizes) await measureAll("collect", size, round);
  await measureAll("heap", heapSize, round);
}
print();
process.exit(failures === 0 ? 0 : 1);

async function measureAll(
  mode: string,
  size: number,
  round: number,
): Promise<void> {
  console.error(`round ${round + 1} of ${rounds}: ${mode}, ${sizeName(size)}`);
  for (const file of turned(present, round)) {
    try {
      keep(file, size, await measureOne(file, size, mode));
    } catch (error) {
      console.error(error instanceof Error ? error.message : error);
      present = present.filter((other) => other !== file);
      failures++;
    }
  }
}

function measureOne(
  file: string,
  size: number,
  mode: string,
): Promise<Measured | Missing> {
  // A machine has moods that last longer than it takes to ask a small store.
  const operations = tiny ? 2000 : size === 1e3 ? 1e6 : 2e5;
  return runChild(child, [file, `${size}`, mode, `${operations}`]);
}

function keep(file: string, size: number, answer: Measured | Missing): void {
  if ("missing" in answer) {
    console.log(`Left out: ${file} cannot be resolved here.\n`);
    present = present.filter((other) => other !== file);
    return;
  }
  titles.set(file, answer.name);
  for (const [operation, figure] of Object.entries(answer.figures)) {
    figuresOf(file, size, operation).push(figure);
  }
}

function figuresOf(file: string, size: number, operation: string): number[] {
  const key = `${file} ${size} ${operation}`;
  const figures = results.get(key) ?? [];
  results.set(key, figures);
  return figures;
}

function print(): void {
  console.log(
    `${RUNTIME}, medians of ${rounds} rounds: ns for each ` +
      "operation, and in brackets how many times as long as ours takes in the same round.\n",
  );
  for (const size of sizes) {
    console.log(`#### ${sizeName(size)} sessions\n`);
    const rows = present.map((file) => [
      titles.get(file) ?? file,
      ...Object.keys(OPERATIONS).map((operation) =>
        withRatio(
          figuresOf(file, size, operation),
          figuresOf(OURS, size, operation),
        )
      ),
    ]);
    console.log(table(["", ...Object.values(OPERATIONS)], rows));
  }
  console.log(`#### Bytes for each of ${sizeName(heapSize)} empty sessions\n`);
  const rows = present.map((file) => {
    const heap = figuresOf(file, heapSize, "heap");
    const external = figuresOf(file, heapSize, "external");
    const both = heap.map((bytes, round) => bytes + (external[round] ?? 0));
    const cells = [heap, external, both].map((some) => rounded(median(some)));
    return [titles.get(file) ?? file, ...cells];
  });
  console.log(table(["", "heap", "external", "both"], rows));
}
