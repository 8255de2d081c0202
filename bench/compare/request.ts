/**
 * Compares what a session costs a request in this library and in others, each
 * set up as its README says, in a process of its own, in turns, and without a
 * network. Prints Markdown tables.
 *
 * ```sh
 * deno run -A bench/compare/request.ts [--tiny] [--rounds N] [set-up …]
 * bun bench/compare/request.ts …
 * ```
 *
 * With `--node-modules-dir=auto` Deno leaves the packages where Bun finds them;
 * without them Bun takes the newest of each.
 *
 * A set-up is a file of `_request/`, such as `express_session`.
 *
 * @module
 */
import process from "node:process";
import { type Missing, runChild, RUNTIME } from "./_child.ts";
import { chosen, readOptions } from "./_options.ts";
import { median, rounded, sizeName, table, turned } from "./_table.ts";
import type { Cost } from "./_request/measure.ts";

const OURS = "cloakroom_commit";
const SETUPS = [
  OURS,
  "cloakroom_handle",
  "by_hand",
  "remix",
  "hono_sessions",
  "hono_sessions_plain",
  "hono_session",
  "express_session",
  "express_memorystore",
  "iron_session",
];

/** What the child calls its scenarios, and how the tables call them. */
const SCENARIOS: Readonly<Record<string, string>> = {
  none: "no cookie",
  read: "read",
  write: "write",
};

interface Measured {
  readonly name: string;
  readonly keeps: "server" | "cookie";
  readonly versions: readonly string[];
  readonly notes: readonly string[];
  readonly costs: Readonly<Record<string, Cost>>;
}

const { tiny, rounds, names } = readOptions(process.argv.slice(2));
const sizes = tiny ? [100] : [1e3, 1e5];
const milliseconds = tiny ? 20 : 400;

const child = new URL("./_request/child.ts", import.meta.url);
/** What the rounds measured, by size and set-up. */
const results = new Map<string, Measured[]>();
let present = [...chosen(SETUPS, names)];
let failures = 0;

for (let round = 0; round < rounds; round++) {
  for (const size of sizes) {
    console.error(`round ${round + 1} of ${rounds}: ${sizeName(size)}`);
    for (const file of turned(present, round)) await measureOne(file, size);
  }
}
console.log(
  `${RUNTIME}, medians of ${rounds} rounds: µs of processor time for each request, on top of the ` +
    "same framework's handler without a session, and in brackets how many " +
    "times ours (start and commit) in the same round.\n",
);
for (const size of sizes) printTable(size);
printNotes();
process.exit(failures === 0 ? 0 : 1);

async function measureOne(file: string, size: number): Promise<void> {
  const args = [file, `${size}`, `${milliseconds}`];
  try {
    const answer = await runChild<Measured | Missing>(child, args);
    if ("missing" in answer) {
      console.log(`Left out: ${file} cannot be resolved here.\n`);
      present = present.filter((other) => other !== file);
      return;
    }
    resultsOf(file, size).push(answer);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    present = present.filter((other) => other !== file);
    failures++;
  }
}

function resultsOf(file: string, size: number): Measured[] {
  const key = `${file} ${size}`;
  const found = results.get(key) ?? [];
  results.set(key, found);
  return found;
}

function printTable(size: number): void {
  console.log(`#### ${sizeName(size)} sessions\n`);
  const rows = present.map((file) => {
    const found = resultsOf(file, size);
    const bare = median(found.map(({ costs }) => costs.read?.bare ?? NaN));
    return [
      found[0]?.name ?? file,
      found[0]?.keeps ?? "",
      ...Object.keys(SCENARIOS).map((name) => cell(file, size, name)),
      rounded(bare),
    ];
  });
  const head = ["", "data in", ...Object.values(SCENARIOS), "bare handler"];
  console.log(table(head, rows, 2));
}

function cell(file: string, size: number, scenario: string): string {
  const costs = onTop(file, size, scenario);
  const ours = onTop(OURS, size, scenario);
  const ratios = costs.map((cost, round) => cost / (ours[round] ?? NaN));
  const text = rounded(median(costs));
  if (file === OURS || ours.length === 0) return text;
  return `${text} (${rounded(median(ratios))} ×)`;
}

function onTop(file: string, size: number, scenario: string): number[] {
  return resultsOf(file, size).map(({ costs }) => {
    const { whole = NaN, bare = NaN } = costs[scenario] ?? {};
    return whole - bare;
  });
}

/** The versions, and what the checks found that has to be known. */
function printNotes(): void {
  const found = present.flatMap((file) =>
    resultsOf(file, sizes[0] ?? 0).slice(0, 1)
  );
  const versions = new Set(found.flatMap(({ versions }) => versions));
  if (versions.size > 0) console.log(`With ${[...versions].join(", ")}.\n`);
  for (const { name, notes } of found) {
    for (const note of notes) console.log(`- ${name}: ${note}.`);
  }
}
