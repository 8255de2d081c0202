/** Makes the tables of README.md, and those that a run prints, from data. */
import { type Cell, median, rounded, type Row } from "./figures.ts";
import type { Results } from "./results.ts";

/** As many columns stand beside each other; a runtime has its own table above. */
const MOST_COLUMNS = 6;

/** How many of the highest ratios are repeated below the tables. */
const WORST = 3;

/**
 * Puts what was found of a section into a page, between its markers.
 *
 * @throws {Error} If the page has no such markers.
 */
export function pageWith(page: string, section: string, text: string): string {
  const start = `<!-- results of ${section} -->`;
  const end = `<!-- end of ${section} -->`;
  const [before, rest] = page.split(start);
  const after = rest?.split(end)[1];
  if (before !== undefined && after !== undefined) {
    return `${before}${start}\n\n${text}\n\n${end}${after}`;
  }
  throw new Error(`Cannot write results: the page has no "${start}"`);
}

/** Everything that was found of a section, as Markdown. */
export function resultsText(results: Results | undefined): string {
  if (results === undefined) return "Not measured yet.";
  const { rows, runtimes, machine, date, rounds, notes } = results;
  const tables = Map.groupBy(rows, ({ table }) => table);
  return [
    `${runtimes.join(" and ")} on ${machine}; ${date}, rounds: ${rounds}.`,
    ...[...tables].flatMap(([title, some]) => tablesOf(title, some)),
    `${spreadOf(rows)} ${worstOf(rows)}`.trim(),
    notes.join(" "),
  ].filter((part) => part !== "").join("\n\n");
}

/** One table with all columns beside each other, or one for each runtime. */
function tablesOf(title: string, rows: readonly Row[]): string[] {
  const columns = [...new Set(rows.flatMap(({ cells }) => Object.keys(cells)))];
  if (columns.length <= MOST_COLUMNS) return [tableOf(title, rows, columns)];
  const runtimes = Map.groupBy(columns, (column) => column.split(" ")[0] ?? "");
  return [...runtimes.values()].map((some) => tableOf(title, rows, some));
}

function tableOf(
  title: string,
  rows: readonly Row[],
  columns: readonly string[],
): string {
  const hasGroups = rows.some(({ group }) => group !== "");
  const texts = hasGroups ? 2 : 1;
  const meant = rows.filter(({ cells }) => columns.some((some) => cells[some]));
  const lines = meant.map(({ group, name, cells }, index) => [
    ...(hasGroups ? [group === meant[index - 1]?.group ? "" : group] : []),
    name,
    ...columns.map((column) => cellText(cells[column])),
  ]);
  const all = [[title, ...(hasGroups ? [""] : []), ...columns], ...lines];
  const widths =
    all[0]?.map((_, index) =>
      Math.max(3, ...all.map((cells) => cells[index]?.length ?? 0))
    ) ?? [];
  const padded = all.map((cells) =>
    cells.map((cell, index) =>
      index < texts
        ? cell.padEnd(widths[index] ?? 0)
        : cell.padStart(widths[index] ?? 0)
    )
  );
  const rule = widths.map((width, index) =>
    index < texts ? "-".repeat(width) : `${"-".repeat(width - 1)}:`
  );
  return padded.toSpliced(1, 0, rule)
    .map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function cellText(cell: Cell | undefined): string {
  if (cell === undefined) return "–";
  const [value, , ratio] = cell;
  return ratio === undefined
    ? rounded(value)
    : `${rounded(value)} (${rounded(ratio)} ×)`;
}

/** How far the rounds are apart. */
function spreadOf(rows: readonly Row[]): string {
  const shares = rows.flatMap(({ cells }) => Object.values(cells))
    .flatMap(([value, spread]) => spread ? Math.abs(spread / value) : []);
  if (shares.length === 0) return "";
  const percent = (share: number) => `± ${Math.round(share * 100)} %`;
  return `Rounds differ by ${percent(median(shares))} in the middle, ${
    percent(Math.max(...shares))
  } at most.`;
}

/** Where this library is the farthest above its floor. */
function worstOf(rows: readonly Row[]): string {
  const worst = rows.filter(({ name }) => name.startsWith("ours"))
    .flatMap(({ group, name, cells }) => {
      const [column, [, , ratio = 0]] = Object.entries(cells)
        .toSorted(([, a], [, b]) => (b[2] ?? 0) - (a[2] ?? 0))[0] ?? ["", [0]];
      const what = [group, name.replace("ours: ", "")]
        .filter((word) => word !== "").join(", ");
      return { text: `${what} (${column}) ${rounded(ratio)} ×`, ratio };
    })
    .filter(({ ratio }) => ratio > 1)
    .toSorted((a, b) => b.ratio - a.ratio).slice(0, WORST);
  if (worst.length === 0) return "";
  const texts = worst.map(({ text }) => text).join("; ");
  return `Farthest above the floor: ${texts}.`;
}
