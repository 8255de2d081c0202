import { median, rounded, table } from "../compare/_table.ts";

/** What one round found of one kind of request to one server. */
export interface Measurement {
  /** Requests per second. */
  readonly rate: number;
  /** Milliseconds that half of the requests took at most. */
  readonly median: number;
  /** Milliseconds that 99 of 100 took at most. */
  readonly slowest: number;
  /** Microseconds that the server kept processors busy for each request. */
  readonly busy: number;
  /** The share of the time that the server kept one processor busy. */
  readonly share: number;
}

/** One row of a table: a kind of request to one server. */
export interface Row {
  readonly key: string;
  readonly title: string;
  readonly rounds: readonly Measurement[];
  /** The server's resident memory in bytes. */
  readonly memory: number;
}

const HEAD = [
  "",
  "requests/s",
  "capacity, of by hand",
  "p50 ms",
  "p99 ms",
  "server µs/request",
  "server busy",
  "server MB",
];

/**
 * The table of one runtime. Capacities are compared by the server's processor
 * time: the load is slower than the fastest servers, so its rates are not.
 */
export function printRows(rows: readonly Row[], reference: string): void {
  const floor = rows.find(({ key }) => key === reference);
  console.log(table(
    HEAD,
    rows.map((row) => [
      row.title,
      rounded(middle(row, "rate")),
      percent(floor === undefined ? NaN : ratio(floor, row, "busy")),
      rounded(middle(row, "median")),
      rounded(middle(row, "slowest")),
      rounded(middle(row, "busy")),
      percent(middle(row, "share")),
      rounded(row.memory / 2 ** 20),
    ]),
  ));
}

/** How one row compares to another, in the same rounds. */
export function printRatio(
  rows: readonly Row[],
  key: string,
  otherKey: string,
): void {
  const row = rows.find((row) => row.key === key);
  const other = rows.find((row) => row.key === otherKey);
  if (row === undefined || other === undefined) return;
  const rate = rounded(ratio(row, other, "rate"));
  const busy = rounded(ratio(other, row, "busy"));
  console.log(
    `- ${row.title} to ${other.title}: ${rate} times the requests per second; ` +
      `by the server's processor time, ${busy} times.`,
  );
}

function middle({ rounds }: Row, name: keyof Measurement): number {
  return median(rounds.map((round) => round[name]));
}

function ratio(
  row: Row,
  other: Row | undefined,
  name: keyof Measurement,
): number {
  return median(
    row.rounds.map((round, index) =>
      round[name] / (other?.rounds[index]?.[name] ?? NaN)
    ),
  );
}

function percent(share: number): string {
  return Number.isNaN(share) ? "–" : `${Math.round(share * 100)} %`;
}
