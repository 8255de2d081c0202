import { median } from "../compare/_table.ts";
import { type Call, type Creates, SHARES } from "./creates.ts";
import type { Collection, Outcome } from "./engine.ts";

/** Several rounds of creates in one store, as one. */
export interface CreatesSummary {
  /** Milliseconds at each of `SHARES`, medians of the rounds. */
  readonly percentiles: readonly number[];
  /** The longest call of all rounds, in milliseconds. */
  readonly longest: number;
  /** The longest call of each bucket, the median of the rounds. */
  readonly buckets: readonly number[];
  /**
   * The longest call of each bucket in the round in which it was shortest: what
   * comes every time is the store's own, and not the machine's.
   */
  readonly lasting: readonly Call[];
  /** How often the engine collected, and the longest stop, as medians. */
  readonly collections: number;
  readonly pause: number;
}

/** Puts rounds together. */
export function summaryOf(outcomes: readonly Outcome[]): CreatesSummary {
  const rounds = outcomes.map(({ findings }) => findings[0] as Creates);
  const stops = outcomes.map(({ collections }, index) =>
    duringCreates(collections, rounds[index] as Creates)
  );
  const [{ buckets }] = rounds as [Creates];
  return {
    percentiles: SHARES.map((_, index) =>
      median(rounds.map(({ percentiles }) => percentiles[index] as number))
    ),
    longest: Math.max(
      ...rounds.map(({ percentiles }) => percentiles.at(-1) ?? 0),
    ),
    buckets: buckets.map((_, bucket) =>
      median(
        rounds.map((round) => (round.buckets[bucket] as Call).milliseconds),
      )
    ),
    lasting: buckets.map((_, bucket) => lastingCall(rounds, bucket)),
    collections: median(stops.map(({ length }) => length)),
    pause: median(stops.map(longestPause)),
  };
}

/** The longest stop, in milliseconds. */
export function longestPause(collections: readonly Collection[]): number {
  return collections.reduce((most, { pause }) => Math.max(most, pause), 0);
}

function lastingCall(rounds: readonly Creates[], bucket: number): Call {
  return rounds
    .map(({ buckets }) => buckets[bucket] as Call)
    .reduce((a, b) => a.milliseconds <= b.milliseconds ? a : b);
}

/** Bun does not say when a collection was; there are few before and after. */
function duringCreates(
  collections: readonly Collection[],
  { begin, end }: Creates,
): Collection[] {
  return collections.filter(({ at = begin }) => at >= begin && at <= end);
}
