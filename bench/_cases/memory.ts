/** Every call of the memory provider that a request makes, and its gc. */
import type { Case } from "../_harness/case.ts";
import { gcCases } from "./gc.ts";
import { lookupCases, touchCases } from "./lookup.ts";
import { Population } from "./population.ts";
import { Stage } from "./stage.ts";
import { writeCases } from "./write.ts";

export function memoryCases(size: number): Case[] {
  const stage = new Stage(() => new Population(size));
  return [
    ...lookupCases(stage, size),
    ...writeCases(stage, size),
    // Last on its stage: the order of the `Map` is not what it was then.
    ...touchCases(stage, size),
    ...gcCases(size, 10),
    ...gcCases(size, 1),
  ];
}
