/** Plays random games with the memory provider and a naive model. */
import fc from "fast-check";
import { describe, it } from "node:test";
import type { MemoryProviderOptions } from "../providers/memory.ts";
import {
  arbitrarySteps,
  arbitraryTurns,
  playAll,
  playApart,
} from "./_memory_game.ts";

describe("MemoryProvider against a naive model", () => {
  for (const [when, bounds] of boundsToPlay()) {
    it(`agrees with it after any sequence of calls${when}`, () => {
      fc.assert(
        fc.property(arbitrarySteps(), (steps) => playAll(steps, bounds)),
        { numRuns: 1000 },
      );
    });
  }

  it("agrees with it whatever the clocks of the callers say", () => {
    fc.assert(fc.property(arbitraryTurns(), playApart), { numRuns: 1000 });
  });
});

function boundsToPlay(): readonly (readonly [string, MemoryProviderOptions])[] {
  return [
    ["", {}],
    [" when it may hold three sessions only", { maxSessions: 3 }],
    [" when it may hold few bytes only", { maxBytes: 60 }],
  ];
}
