/**
 * Runs cases where there is no `Deno.bench`. Imported only there.
 *
 * @module
 */
import { measure as sample } from "mitata";
import process from "node:process";
import type { BenchCase } from "./_bodies/bench_case.ts";
import { groupName, measure } from "./_register.ts";

/** How long a case is warmed up and repeated, as `Deno.bench` does, in ns. */
const WARM_UP_TIME = 10e6;
const TIME = 500e6;

/** The fewest calls of a case, as with `Deno.bench`. */
const MIN_CALLS = 10;

/** A case and what it took, in the shape of `deno bench --json`. */
interface Measured {
  readonly group: string;
  readonly name: string;
  readonly baseline: boolean;
  readonly results: readonly { readonly ok: { readonly avg: number } }[];
}

/**
 * Measures cases one after the other and prints them: as JSON, in the shape of
 * `deno bench --json`, if the program was started with `--json`.
 */
export async function runBenches(
  cases: readonly BenchCase[],
  isTrial: boolean,
): Promise<void> {
  const isJson = process.argv.includes("--json");
  const benches: Measured[] = [];
  for (const bench of cases) {
    const avg = await averageOf(bench, isTrial);
    const { name, operations, isFloor } = bench;
    benches.push({
      group: groupName(bench),
      name: `${name} (× ${operations})`,
      baseline: isFloor,
      results: [{ ok: { avg } }],
    });
    if (!isJson) print(bench, avg);
  }
  if (isJson) console.log(JSON.stringify({ benches }));
}

/**
 * The mean time of a call in nanoseconds. mitata's own parameters would be set
 * up for thousands of calls at once, so each call takes its time itself.
 */
async function averageOf(bench: BenchCase, isTrial: boolean): Promise<number> {
  const call = () => timeOf(bench);
  if (!isTrial) await warmUp(call);
  const calls = isTrial ? 1 : bench.calls;
  const { avg } = await sample(
    function* () {
      yield { manual: call };
    },
    {
      min_cpu_time: TIME,
      min_samples: calls ?? MIN_CALLS,
      ...(calls === undefined ? {} : { max_samples: calls }),
      // The slowest calls count: that is where the garbage is collected.
      samples_threshold: Infinity,
    },
  );
  return avg;
}

async function warmUp(call: () => Promise<number>): Promise<void> {
  for (let spent = 0; spent < WARM_UP_TIME;) spent += await call();
}

async function timeOf(bench: BenchCase): Promise<number> {
  let start = 0;
  let end = 0;
  await measure(bench, {
    start: () => start = performance.now(),
    end: () => end = performance.now(),
  });
  return (end - start) * 1e6;
}

function print(bench: BenchCase, average: number): void {
  const { name, operations, isFloor } = bench;
  if (isFloor) console.log(`\n${groupName(bench)}`);
  const time = (average / operations).toLocaleString("en", {
    maximumFractionDigits: 1,
  });
  console.log(`${time.padStart(12)} ns  ${name}`);
}
