/** The tables of the page, made of what `behaviour.json` holds. */
import { type Cell, groups } from "./trials.ts";

/** What came of all trials. */
export interface Behaviour {
  readonly versions: Readonly<Record<string, string>>;
  readonly libraries: readonly {
    /** As the tables call it. */
    readonly name: string;
    readonly cells: Readonly<Record<string, Cell>>;
  }[];
}

/** Rows of the last table that are measured from outside of a library. */
const OUTSIDE: readonly (readonly [id: string, row: string])[] = [
  ["runtimes", "Signs in and out on Deno, Bun and Node 24"],
  ["edge", "The same without `node:` modules, as on some edges"],
  ["framework", "Framework it needs"],
  ["packages", "Packages that an installation brings, without that"],
  ["kilobytes", "Their size in kB"],
];

/** The rows of each table by its heading: first the head, as cells. */
export function tablesOf(
  { libraries }: Behaviour,
): readonly (readonly [heading: string, rows: readonly string[][]])[] {
  return Object.entries(groups).map(([heading, trials], index, all) => {
    const rows = trials.map(({ id, row }) => [id, row] as const);
    if (index === all.length - 1) rows.push(...OUTSIDE);
    return [heading, [
      ["", ...libraries.map(({ name }) => name)],
      ...rows.map(([id, row]) => [
        row,
        ...libraries.map(({ cells }) => textOf(cells[id])),
      ]),
    ]];
  });
}

/** The same as Markdown, before it is formatted. */
export function markdownOf(data: Behaviour): string {
  return tablesOf(data).map(([heading, [head = [], ...rows]]) => {
    const line = head.map((_, index) => index === 0 ? "---" : ":-:");
    const lines = [head, line, ...rows].map((row) => `| ${row.join(" | ")} |`);
    return `\n### ${heading}\n\n${lines.join("\n")}\n`;
  }).join("");
}

function textOf(cell: Cell = ""): string {
  if (cell === "no store") return "–";
  if (typeof cell === "boolean") return cell ? "✓" : "✗";
  return String(cell);
}
