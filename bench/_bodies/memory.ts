import type { BenchCase } from "./bench_case.ts";
import { idleGcCases } from "./collect.ts";
import { lookupCases } from "./lookup.ts";
import { Population } from "./population.ts";
import { writeCases } from "./write.ts";

/** Every call of the memory provider, `size` sessions stored. */
export function memoryCases(size: number): BenchCase[] {
  const population = new Population(size);
  return [
    ...lookupCases(population),
    ...idleGcCases(population),
    ...writeCases(population),
  ];
}
