import { rounded, sizeName, table } from "../compare/_table.ts";
import { waits } from "./clock.ts";
import { SHARES } from "./creates.ts";
import { type Collector, runtime } from "./engine.ts";
import { durationName, type Results } from "./results.ts";
import type { CreatesSummary } from "./rounds.ts";
import type { Costs, SizeReport } from "./sizes.ts";

/** The shares that stand in the tables. */
const COLUMNS: readonly (readonly [name: string, share: number])[] = [
  ["p50", 0.5],
  ["p90", 0.9],
  ["p99", 0.99],
  ["p99.9", 0.999],
  ["p99.99", 0.9999],
  ["p99.999", 0.99999],
  ["longest", 1],
];

/** How many of the longest calls of each store are told one by one. */
const STEPS = 5;

/** What is shorter may be the machine's. */
const STEP_MILLISECONDS = 1;

/** How a table is named after what the engine's collector did. */
const COLLECTOR_NAMES: Readonly<Record<Collector, string>> = {
  on: "as it comes, with the engine's collections",
  off: "apart from the engine's collections",
};

/** All tables of a run, as Markdown. `images` stand where they belong. */
export function tablesOf(results: Results, images: Images): string {
  const { count, expired, rounds } = results;
  const sections = [
    `#### ${runtime}: each \`create\` from 0 to ${counted(count)} sessions`,
    introduction(rounds),
    images.percentiles,
    createsTable(results, "on"),
    createsTable(results, "off"),
    images.steps,
    "The longest calls apart from the engine's collections that came in " +
    "every round, and how many sessions there were:",
    stepsTable(results),
    `#### ${runtime}: cost for each operation, in nanoseconds`,
    images.costs,
    ...(["create", "read", "touch", "destroy"] as const).map((operation) =>
      costsTable(results, operation)
    ),
    missingSizes(results),
    `#### ${runtime}: bytes for each session`,
    heapTable(results),
    `#### ${runtime}: collecting ${counted(expired)} expired sessions`,
    expiryTable(results),
    ...results.failures.map((failure) => `Not measured: ${failure}`),
  ];
  return sections.map((section) => section.trim())
    .filter((section) => section !== "").join("\n\n");
}

function introduction(rounds: number): string {
  const medians = rounds === 1 ? "One round" : `Medians of ${rounds} rounds`;
  return waits.isKnown
    ? `${medians}, without the time in which other programs had the processor.`
    : `${medians}, the time in which other programs had the processor included.`;
}

/** Links to plots; empty if there are none. */
export interface Images {
  readonly percentiles: string;
  readonly steps: string;
  readonly costs: string;
}

function createsTable({ creates }: Results, collector: Collector): string {
  const summaries = creates[collector];
  if (summaries.size === 0) return "";
  const head = [COLLECTOR_NAMES[collector], ...COLUMNS.map(([name]) => name)];
  head.push("longest of all rounds", "collections, the longest");
  const rows = [...summaries].map(([name, summary]) => [
    name,
    ...COLUMNS.map(([, share]) => durationName(percentile(summary, share))),
    durationName(summary.longest),
    summary.collections === 0
      ? "none"
      : `${summary.collections}, ${durationName(summary.pause)}`,
  ]);
  return table(head, rows);
}

function percentile({ percentiles }: CreatesSummary, share: number): number {
  return percentiles[SHARES.indexOf(share)] as number;
}

function stepsTable({ creates }: Results): string {
  const rows = [...creates.off].map(([name, { lasting }]) => {
    const steps = lasting
      .filter(({ milliseconds }) => milliseconds >= STEP_MILLISECONDS)
      .toSorted((a, b) => b.milliseconds - a.milliseconds)
      .slice(0, STEPS)
      .map(({ at, milliseconds }) =>
        `${durationName(milliseconds)} at ${counted(at)}`
      );
    return [name, steps.join("; ") || `none of ${STEP_MILLISECONDS} ms`];
  });
  return rows.length === 0 ? "" : table(["", "longest first"], rows, 2);
}

function costsTable(results: Results, operation: keyof Costs): string {
  return sizesTable(results, `\`${operation}\``, ({ costs }) => {
    const cost = costs?.[operation];
    return cost === undefined ? "" : rounded(cost);
  });
}

function heapTable(results: Results): string {
  return sizesTable(
    results,
    "heap + outside of it",
    ({ heap, external }) =>
      heap === undefined || external === undefined
        ? ""
        : `${heap.toFixed(0)} + ${Math.max(0, external).toFixed(0)}`,
  );
}

/** A row for each store that has something to show, a column for each size. */
function sizesTable(
  { reports, sizes }: Results,
  title: string,
  cellOf: (report: SizeReport) => string,
): string {
  const rows = [...reports].map(([name, some]) => [
    name,
    ...sizes.map((size) => {
      const report = some.find((report) => report.size === size);
      return (report === undefined ? "" : cellOf(report)) || "–";
    }),
  ]);
  const filled = rows.filter((cells) => cells.slice(1).some((c) => c !== "–"));
  return table([title, ...sizes.map(sizeName)], filled);
}

function missingSizes({ reports }: Results): string {
  const lines: string[] = [];
  for (const [name, some] of reports) {
    for (const { size, missing } of some) {
      if (missing === undefined) continue;
      lines.push(`- ${name} at ${sizeName(size)}: ${missing}`);
    }
  }
  return lines.join("\n");
}

function expiryTable({ expiries }: Results): string {
  const head = ["", "collector of the engine", "calls", "longest", "all"];
  const rows = expiries.map(({ what, collector, calls, longest, total }) => [
    what,
    collector,
    counted(calls),
    durationName(longest),
    durationName(total),
  ]);
  return table(head, rows, 2);
}

function counted(count: number): string {
  return count.toLocaleString("en");
}
