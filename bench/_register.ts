import type { BenchCase } from "./_bodies/bench_case.ts";

/** Hands cases to `Deno.bench`. */
export function registerBenches(cases: readonly BenchCase[]): void {
  for (const bench of cases) {
    const { group, name, isFloor, operations, calls } = bench;
    Deno.bench({
      group,
      name: `${name} (× ${operations})`,
      baseline: isFloor,
      ...(calls === undefined ? {} : { n: calls }),
      fn: async (context) => await measure(bench, context),
    });
  }
}

async function measure(
  bench: BenchCase,
  context: Deno.BenchContext,
): Promise<void> {
  bench.prepare?.();
  context.start();
  const answer = bench.run();
  // What is synchronous must not pay for an `await`.
  const right = typeof answer === "number" ? answer : await answer;
  context.end();
  // Uses the result, so that no engine can leave the work out.
  if (right !== bench.operations) {
    throw new Error(
      `Cannot measure ${bench.name} (${bench.group}): ${right} of ${bench.operations} answers are right`,
    );
  }
  bench.verify?.();
}
