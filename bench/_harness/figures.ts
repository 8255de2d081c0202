/** What rounds find, put together as rows: medians, spread, multiples of a floor. */

/** One number that one round found. */
export interface Figure {
  /** The table that it stands in, named by its unit: `ns for each operation`. */
  readonly table: string;
  /** What it is compared within. */
  readonly group: string;
  readonly name: string;
  /** Such as a number of sessions. */
  readonly column: string;
  readonly value: number;
  /** Whether the others of its group and column are compared with it. */
  readonly isFloor?: boolean | undefined;
}

/**
 * The median of the rounds; half the distance between the slowest and the fastest,
 * or `null` if that is not known; the median of how many times the floor of the
 * same round it was.
 */
export type Cell = readonly [
  median: number,
  spread?: number | null,
  ratio?: number,
];

/** One row of a table, and of the data. */
export interface Row {
  readonly table: string;
  readonly group: string;
  readonly name: string;
  /** By column, such as `Deno 1e5`. */
  readonly cells: Readonly<Record<string, Cell>>;
}

/** The middle one, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const low = sorted[Math.ceil(middle) - 1] ?? NaN;
  const high = sorted[Math.floor(middle)] ?? NaN;
  return (low + high) / 2;
}

/** What a share of sorted values does not exceed. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? NaN;
}

/** `1,234`, `12.3` or `0.056`: three digits, or all before the point. */
export function rounded(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
}

/** Rows of figures; those of several rounds follow each other in their order. */
export function rowsOf(figures: readonly Figure[]): Row[] {
  const placeOf = ({ table, group, column }: Figure) =>
    [table, group, column].join("\n");
  const floors = figures.filter(({ isFloor }) => isFloor);
  const floorOf = Map.groupBy(floors, placeOf);
  const rows = Map.groupBy(
    figures,
    ({ table, group, name }) => [table, group, name].join("\n"),
  );
  return [...rows.values()].map((some) => {
    const { table, group, name } = some[0] as Figure;
    const columns = Map.groupBy(some, ({ column }) => column);
    const cells = [...columns].map(([column, found]) => {
      const floor = floorOf.get(placeOf(found[0] as Figure)) ?? [];
      return [column, cellOf(found, floor)];
    });
    return { table, group, name, cells: Object.fromEntries(cells) };
  });
}

function cellOf(some: readonly Figure[], floor: readonly Figure[]): Cell {
  const values = some.map(({ value }) => value);
  const ratios = values.map((value, round) =>
    value / (floor[round]?.value ?? NaN)
  );
  const spread = (Math.max(...values) - Math.min(...values)) / 2;
  const cell = [median(values), spread, median(ratios)]
    // No more digits than a measurement has.
    .map((value) => Number(value.toPrecision(4)));
  const isCompared = !some[0]?.isFloor && floor.length > 0;
  return cell.slice(0, isCompared ? 3 : 2) as unknown as Cell;
}

/** Those that have a text in them, with the first of their groups: the floor. */
export function rowsWith(rows: readonly Row[], text: string): Row[] {
  const groups = Map.groupBy(rows, ({ table, group }) => `${table}\n${group}`);
  return [...groups.values()].flatMap((some) => {
    const meant = some.filter(({ group, name }) =>
      `${group} ${name}`.includes(text)
    );
    const [floor] = some as [Row];
    return meant.length > 0 && !meant.includes(floor)
      ? [floor, ...meant]
      : meant;
  });
}
