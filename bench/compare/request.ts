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
import { RUNTIME } from "./_child.ts";
import { chosen, readOptions } from "./_options.ts";
import { Rounds } from "./_request/rounds.ts";
import { median, rounded, sizeName, table } from "./_table.ts";

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

const { tiny, rounds, names } = readOptions(process.argv.slice(2));
const sizes = tiny ? [100] : [1e3, 1e5];
const milliseconds = tiny ? 20 : 400;

const measured = new Rounds(chosen(SETUPS, names), {
  sizes,
  rounds,
  milliseconds,
});
await measured.run();
console.log(
  `${RUNTIME}, medians of ${rounds} rounds: µs of processor time for each request, on top of the ` +
    "same framework's handler without a session, and in brackets how many " +
    "times ours (start and commit) in the same round.\n",
);
for (const size of sizes) printTable(size);
measured.printNotes();
process.exit(measured.failures === 0 ? 0 : 1);

function printTable(size: number): void {
  console.log(`#### ${sizeName(size)} sessions\n`);
  const rows = measured.present.map((file) => {
    const found = measured.of(file, size);
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
  const costs = measured.onTop(file, size, scenario);
  const ours = measured.onTop(OURS, size, scenario);
  const ratios = costs.map((cost, round) => cost / (ours[round] ?? NaN));
  const text = rounded(median(costs));
  if (file === OURS || ours.length === 0) return text;
  return `${text} (${rounded(median(ratios))} ×)`;
}
