/**
 * Runs `deno bench` several times and prints the medians as tables, in
 * nanoseconds for each operation and as multiples of the floor of each group.
 * The number of rounds may follow as an argument.
 *
 * @module
 */

/** What `deno bench --json` prints, as far as it is used here. */
interface Report {
  readonly runtime: string;
  readonly cpu: string;
  readonly benches: readonly {
    readonly group: string;
    readonly name: string;
    readonly baseline: boolean;
    readonly results: readonly { readonly ok?: { readonly avg: number } }[];
  }[];
}

/** One row of a table: an operation done one way, at several sizes. */
interface Row {
  readonly operation: string;
  readonly name: string;
  readonly cells: Map<string, Cell>;
}

/** What each round measured. */
interface Cell {
  readonly nanoseconds: number[];
  readonly ratios: number[];
}

const rounds = Number(Deno.args[0] ?? 3);
const rows = new Map<string, Row>();
let report: Report | undefined;
for (let round = 1; round <= rounds; round++) {
  console.error(`round ${round} of ${rounds}`);
  report = await measure();
  collect(report);
}
if (report === undefined) {
  throw new RangeError(
    `Cannot run benches: rounds must be at least 1: received ${Deno.args[0]}`,
  );
}
printTables(report);

async function measure(): Promise<Report> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["bench", "-A", "--json", import.meta.dirname ?? "bench"],
    stdin: "null",
    stderr: "inherit",
  });
  const { success, stdout } = await command.output();
  const text = new TextDecoder().decode(stdout);
  if (success) return JSON.parse(text);
  throw new Error(`Cannot run benches: deno bench failed:\n${text}`);
}

function collect({ benches }: Report): void {
  let floor = NaN;
  for (const { group, name, baseline, results } of benches) {
    const [, label = name, operations] = /^(.*) \(× (\d+)\)$/.exec(name) ?? [];
    const nanoseconds = (results[0]?.ok?.avg ?? NaN) / Number(operations);
    if (baseline) floor = nanoseconds;
    const cell = cellOf(group, label);
    cell.nanoseconds.push(nanoseconds);
    cell.ratios.push(nanoseconds / floor);
  }
}

/** The cell of a group such as `gc of all, 1e6`. */
function cellOf(group: string, name: string): Cell {
  const comma = group.lastIndexOf(", ");
  const operation = group.slice(0, comma);
  const key = `${operation}\n${name}`;
  const row = rows.get(key) ?? { operation, name, cells: new Map() };
  rows.set(key, row);
  const size = group.slice(comma + 2);
  const cell = row.cells.get(size) ?? { nanoseconds: [], ratios: [] };
  row.cells.set(size, cell);
  return cell;
}

function printTables({ runtime, cpu }: Report): void {
  console.log(
    `${runtime}, V8 ${Deno.version.v8}, ${cpu}, ` +
      `${navigator.hardwareConcurrency} cores, medians of ${rounds} rounds\n`,
  );
  const bySizes = Map.groupBy(
    rows.values(),
    ({ cells }) => [...cells.keys()].join(" | "),
  );
  for (const [sizes, some] of bySizes) {
    printTable("ns for each operation", sizes, some, costOf);
  }
  for (const [sizes, some] of bySizes) {
    const passes = some.filter(({ operation }) =>
      /^gc of (?!none)/.test(operation)
    );
    if (passes.length === 0) continue;
    printTable("removed in a second", sizes, passes, throughputOf);
  }
}

function printTable(
  title: string,
  sizes: string,
  some: readonly Row[],
  textOf: (cell: Cell) => string,
): void {
  console.log(`| ${title} | | ${sizes} |`);
  console.log(`| --- | --- |${" --: |".repeat(sizes.split(" | ").length)}`);
  for (const { operation, name, cells } of some) {
    const texts = [...cells.values()].map(textOf);
    console.log(`| ${operation} | ${name} | ${texts.join(" | ")} |`);
  }
  console.log();
}

function costOf({ nanoseconds, ratios }: Cell): string {
  const spread = (Math.max(...nanoseconds) - Math.min(...nanoseconds)) / 2;
  const ratio = median(ratios);
  return `${rounded(median(nanoseconds))} ± ${rounded(spread)}` +
    (ratio === 1 ? "" : ` (${ratio.toFixed(ratio < 10 ? 2 : 0)} ×)`);
}

function throughputOf({ nanoseconds }: Cell): string {
  return `${(1000 / median(nanoseconds)).toFixed(1)} million`;
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
