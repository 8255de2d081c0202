import process from "node:process";
import { type BenchCase, sizeName } from "./_bodies/bench_case.ts";

/** Whether each case is to run just once, to see that it works. */
const IS_TRIAL = process.env.BENCH_TRIAL === "1";

/**
 * How many sessions a bench is to store: `BENCH_SIZE` in the environment,
 * 100,000 without it.
 *
 * @throws {RangeError} If it is no power of ten from 1e3 to 1e7.
 */
export function benchSize(): number {
  const { BENCH_SIZE = "1e5" } = process.env;
  const size = Number(BENCH_SIZE);
  if (/^1e[3-7]$/.test(sizeName(size))) return size;
  throw new RangeError(
    `Cannot run bench: BENCH_SIZE must be a power of ten from 1e3 to 1e7: received ${BENCH_SIZE}`,
  );
}

/** Hands cases to `Deno.bench`, and where there is none to mitata. */
export async function registerBenches(
  cases: readonly BenchCase[],
): Promise<void> {
  if (!("Deno" in globalThis)) {
    // Deno needs no package for this.
    const { runBenches } = await import("./_mitata.ts");
    return await runBenches(cases, IS_TRIAL);
  }
  for (const bench of cases) {
    const { name, operations, calls, isFloor } = bench;
    Deno.bench({
      group: groupName(bench),
      name: `${name} (× ${operations})`,
      baseline: isFloor,
      ...callCounts(calls),
      fn: async (context) => {
        await measure(bench, {
          start: () => context.start(),
          end: () => context.end(),
        });
      },
    });
  }
}

/** The name of a group as runners show it. */
export function groupName({ group, column }: BenchCase): string {
  return column === undefined ? group : `${group} @ ${column}`;
}

function callCounts(calls: number | undefined) {
  if (IS_TRIAL) return { n: 1, warmup: 1 };
  return calls === undefined ? {} : { n: calls, warmup: 1 };
}

/** What takes the time. */
export interface Stopwatch {
  readonly start: () => void;
  readonly end: () => void;
}

/**
 * One call of a case.
 *
 * @throws {Error} If any of its answers is wrong.
 */
export async function measure(
  bench: BenchCase,
  watch: Stopwatch,
): Promise<void> {
  await bench.prepare?.();
  watch.start();
  const answer = bench.run();
  // What is synchronous must not pay for an `await`.
  const right = typeof answer === "number" ? answer : await answer;
  watch.end();
  // Uses the result, so that no engine can leave the work out.
  if (right !== bench.operations) {
    throw new Error(
      `Cannot measure ${bench.name} (${
        groupName(bench)
      }): ${right} of ${bench.operations} answers are right`,
    );
  }
  bench.verify?.();
}
