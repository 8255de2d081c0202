import type { Collector } from "./engine.ts";
import type { CreatesSummary } from "./rounds.ts";
import type { SizeReport } from "./sizes.ts";

/** Everything that a run found out. */
export interface Results {
  /** How many sessions were created in one go. */
  readonly count: number;
  /** How many sessions expired at once. */
  readonly expired: number;
  readonly rounds: number;
  readonly sizes: readonly number[];
  /** By the name of the store. */
  readonly creates: Readonly<Record<Collector, Map<string, CreatesSummary>>>;
  readonly reports: Map<string, readonly SizeReport[]>;
  readonly expiries: ExpiryRow[];
  /** Whether an answer was wrong. */
  readonly isWrong: boolean;
  /** What could not be measured, and why. */
  readonly failures: string[];
}

/** How long collecting what has expired kept others waiting. */
export interface ExpiryRow {
  readonly what: string;
  readonly collector: Collector;
  readonly calls: number;
  /** Milliseconds, medians of the rounds. */
  readonly longest: number;
  readonly total: number;
}

/** `1.2 µs`, `640 ns`, `64 ms`, `1.1 s`. */
export function durationName(milliseconds: number): string {
  if (milliseconds >= 1000) return `${digits(milliseconds / 1000)} s`;
  if (milliseconds >= 1) return `${digits(milliseconds)} ms`;
  if (milliseconds >= 1e-3) return `${digits(milliseconds * 1e3)} µs`;
  return `${digits(milliseconds * 1e6)} ns`;
}

/** Two or three digits that count, or all before the point. */
function digits(value: number): string {
  return value < 10
    ? Number(value.toFixed(1)).toString()
    : Math.round(value).toLocaleString("en");
}
