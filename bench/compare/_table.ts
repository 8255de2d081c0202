/** The middle one, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const low = sorted[Math.ceil(middle) - 1] ?? NaN;
  const high = sorted[Math.floor(middle)] ?? NaN;
  return (low + high) / 2;
}

/** A Markdown table whose columns after the first `texts` are numbers. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  texts = 1,
): string {
  const rule = head.map((_, index) => index < texts ? "---" : "--:");
  const lines = [head, rule, ...rows].map((cells) =>
    `| ${cells.join(" | ")} |`
  );
  return `${lines.join("\n")}\n`;
}

/** `1,234`, `12.3` or `1.23`. */
export function rounded(value: number): string {
  if (Number.isNaN(value)) return "–";
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en");
  return value.toFixed(Math.abs(value) < 10 ? 2 : 1);
}

/** `1e5` for 100,000. */
export function sizeName(size: number): string {
  return size.toExponential().replace("+", "");
}

/**
 * The median of the rounds, and behind it the median of the ratios to ours in
 * the same round.
 */
export function withRatio(
  values: readonly number[],
  ours: readonly number[],
): string {
  if (values.length === 0) return "–";
  const ratios = values.map((value, round) => value / (ours[round] ?? NaN));
  const ratio = median(ratios);
  const text = rounded(median(values));
  return values === ours || Number.isNaN(ratio)
    ? text
    : `${text} (${rounded(ratio)} ×)`;
}

/** The same items with another one first in every round. */
export function turned<T>(items: readonly T[], round: number): T[] {
  const at = round % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}
