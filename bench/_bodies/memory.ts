import type { BenchCase } from "./bench_case.ts";
import { gcCases, idleGcCases } from "./collect.ts";
import { floodCases } from "./flood.ts";
import { lookupCases } from "./lookup.ts";
import { Population } from "./population.ts";
import { Stage } from "./stage.ts";
import { touchCases } from "./touch.ts";
import { writeCases } from "./write.ts";

/** Every call of the memory provider that a request makes, and its gc. */
export function memoryCases(size: number): BenchCase[] {
  const evenly = new Stage(() => new Population(size));
  const skewed = new Stage(() => new Population(size, "zipf"));
  return [
    ...lookupCases(evenly, size),
    ...idleGcCases(evenly, size),
    ...writeCases(evenly, size),
    // Last on its stage: the order of the `Map` is not what it was then.
    ...touchCases(evenly, size, "uniform"),
    ...touchCases(skewed, size, "zipf 0.99"),
    ...gcCases(size, 10),
    ...gcCases(size, 1),
    ...floodCases(size),
  ];
}
