/** Hands cases to the runner that a reader knows: `deno bench`, or `bun FILE`. */
import process from "node:process";
import { callOnce, type Case, measureCase, sizeName } from "./case.ts";
import { rounded } from "./figures.ts";

/**
 * How many sessions a bench is to store: `BENCH_SIZE` in the environment,
 * 100,000 without it, or without leave to read it.
 *
 * @throws {RangeError} If it is no power of ten from 1e3 to 1e7.
 */
export function benchSize(): number {
  let text = "1e5";
  try {
    text = process.env.BENCH_SIZE ?? text;
  } catch {
    // `deno bench` without `-A`.
  }
  const size = Number(text);
  if (/^1e[3-7]$/.test(sizeName(size))) return size;
  throw new RangeError(
    `Cannot run bench: BENCH_SIZE must be a power of ten from 1e3 to 1e7: received ${text}`,
  );
}

/** Registers cases with `Deno.bench`; on Bun, measures and prints them. */
export async function register(cases: readonly Case[]): Promise<void> {
  for (const some of cases) {
    const { name, operations, calls, column = "", isFloor } = some;
    const group = `${some.group} ${column}`.trim();
    if ("Deno" in globalThis) {
      Deno.bench({
        group,
        name: `${name} (× ${operations})`,
        baseline: isFloor,
        ...(calls === undefined ? {} : { n: calls, warmup: 1 }),
        fn: async (context) => {
          const start = () => context.start();
          await callOnce(some, { start, end: () => context.end() });
        },
      });
    } else {
      if (isFloor) console.log(`\n${group}`);
      const time = rounded(await measureCase(some, false));
      console.log(`${time.padStart(12)} ns  ${name}`);
    }
  }
}
