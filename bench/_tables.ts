/** What a runner measured in one round, as `deno bench --json` prints it. */
export interface Report {
  readonly benches: readonly {
    readonly group: string;
    readonly name: string;
    readonly baseline: boolean;
    readonly results: readonly { readonly ok?: { readonly avg: number } }[];
  }[];
}

/** One row of a table: an operation done one way, in several columns. */
interface Row {
  readonly operation: string;
  readonly name: string;
  readonly isFloor: boolean;
  readonly cells: Map<string, Cell>;
}

/** What each round measured. */
interface Cell {
  readonly nanoseconds: number[];
  /** How many times as long as the floor of its group. */
  readonly ratios: number[];
}

/** How many of the highest ratios are repeated below the tables. */
const WORST = 5;

/** Collects the rounds of one runtime and makes tables of their medians. */
export class Tables {
  readonly #rows = new Map<string, Row>();

  /** @throws {Error} If something was not measured. */
  add({ benches }: Report): void {
    let floor = NaN;
    for (const { group, name, baseline, results } of benches) {
      const [, label = name, operations] = /^(.*) \(× (\d+)\)$/.exec(name) ??
        [];
      const nanoseconds = (results[0]?.ok?.avg ?? NaN) / Number(operations);
      if (baseline) floor = nanoseconds;
      const ratio = nanoseconds / floor;
      if (Number.isNaN(ratio)) {
        throw new Error(`Cannot make tables: ${name} of ${group} is missing`);
      }
      const cell = this.#cell(group, label, baseline);
      cell.nanoseconds.push(nanoseconds);
      cell.ratios.push(ratio);
    }
  }

  /** The tables in Markdown, and what is farthest from its floor. */
  toString(): string {
    const byColumns = Map.groupBy(
      this.#rows.values(),
      ({ cells }) => [...cells.keys()].join(" | "),
    );
    const parts: string[] = [];
    for (const [columns, rows] of byColumns) {
      parts.push(tableOf("ns for each operation", columns, rows, costOf));
    }
    for (const [columns, rows] of byColumns) {
      const passes = rows.filter(({ operation }) =>
        /^gc of (?!none)/.test(operation)
      );
      if (passes.length === 0) continue;
      parts.push(
        tableOf("removed in a second", columns, passes, throughputOf),
      );
    }
    return [...parts, this.#losses()].join("\n\n");
  }

  /** The cell of a group such as `gc of all @ 1e6`. */
  #cell(group: string, name: string, isFloor: boolean): Cell {
    const [operation = "", column = ""] = group.split(" @ ");
    const key = `${operation}\n${name}`;
    const row = this.#rows.get(key) ??
      { operation, name, isFloor, cells: new Map() };
    this.#rows.set(key, row);
    const cell = row.cells.get(column) ?? { nanoseconds: [], ratios: [] };
    row.cells.set(column, cell);
    return cell;
  }

  #losses(): string {
    const worst = [...this.#rows.values()]
      .filter(({ name }) => name.startsWith("ours: "))
      .flatMap(({ operation, name, cells }) =>
        [...cells].map(([column, { ratios }]) => ({
          text: `${operation} | ${name} | ${column}`,
          ratio: median(ratios),
        }))
      )
      .filter(({ ratio }) => ratio > 1)
      .sort((a, b) => b.ratio - a.ratio)
      .slice(0, WORST)
      .map(({ text, ratio }) => `| ${text} | ${ratioText(ratio)} |`);
    if (worst.length === 0) return "Nothing of ours is above its floor.";
    return [
      "| farthest above the floor | | | |",
      "| --- | --- | --: | --: |",
      ...worst,
    ].join("\n");
  }
}

function tableOf(
  title: string,
  columns: string,
  rows: readonly Row[],
  textOf: (cell: Cell, isFloor: boolean) => string,
): string {
  const lines = rows.map(({ operation, name, isFloor, cells }) => {
    const texts = [...cells.values()].map((cell) => textOf(cell, isFloor));
    return `| ${operation} | ${name} | ${texts.join(" | ")} |`;
  });
  return [
    `| ${title} | | ${columns} |`,
    `| --- | --- |${" --: |".repeat(columns.split(" | ").length)}`,
    ...lines,
  ].join("\n");
}

function costOf({ nanoseconds, ratios }: Cell, isFloor: boolean): string {
  const range = Math.max(...nanoseconds) - Math.min(...nanoseconds);
  const spread = nanoseconds.length > 1 ? ` ± ${rounded(range / 2)}` : "";
  const ratio = isFloor ? "" : ` (${ratioText(median(ratios))})`;
  return `${rounded(median(nanoseconds))}${spread}${ratio}`;
}

function throughputOf({ nanoseconds }: Cell): string {
  return `${(1000 / median(nanoseconds)).toFixed(1)} million`;
}

function ratioText(ratio: number): string {
  const digits = ratio < 0.1 ? 3 : ratio < 10 ? 2 : 0;
  return `${ratio.toFixed(digits)} ×`;
}

function rounded(value: number): string {
  return value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en");
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const low = sorted[Math.ceil(middle) - 1] as number;
  const high = sorted[Math.floor(middle)] as number;
  return (low + high) / 2;
}
