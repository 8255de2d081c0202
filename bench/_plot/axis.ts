/** One axis of a panel. */
export interface Axis {
  /** What it shows, with the unit. */
  readonly label: string;
  readonly kind: "linear" | "log";
  /** The values at both ends. */
  readonly from: number;
  readonly to: number;
  readonly ticks: readonly Tick[];
}

/** A value that is written beside its axis. */
export interface Tick {
  readonly at: number;
  readonly label: string;
}

/** Where a value lies on an axis: 0 at its beginning, 1 at its end. */
export function placeOn(axis: Axis, value: number): number {
  const scale = axis.kind === "log" ? Math.log10 : (number: number) => number;
  const from = scale(axis.from);
  const place = (scale(value) - from) / (scale(axis.to) - from);
  return Math.min(1, Math.max(0, place));
}

/** A logarithmic axis over all values, with a tick at each power of ten. */
export function logAxis(
  label: string,
  values: readonly number[],
  tickLabel: (value: number) => string,
): Axis {
  const positive = values.filter((value) => value > 0);
  const least = positive.reduce((a, b) => Math.min(a, b), positive[0] ?? 1);
  const most = positive.reduce((a, b) => Math.max(a, b), least);
  const first = Math.floor(Math.log10(least));
  const last = Math.max(first + 1, Math.ceil(Math.log10(most)));
  const ticks: Tick[] = [];
  for (let power = first; power <= last; power++) {
    ticks.push({ at: 10 ** power, label: tickLabel(10 ** power) });
  }
  return { label, kind: "log", from: 10 ** first, to: 10 ** last, ticks };
}
