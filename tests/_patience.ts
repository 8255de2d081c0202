/** How long a test waits for a call, and what it is told meanwhile. */
import type { Patience } from "../core/provider.ts";

/** A wait that counts its extensions. */
export interface TestPatience extends Patience {
  giveUpAt: number;
  /** How often the wait began anew. */
  extensions: number;
}

/**
 * Waits for a minute after each step, and not at all after some of them.
 *
 * @param onExtend Called with each extension, which it may take back.
 */
export function makePatience(
  onExtend: (patience: TestPatience) => void = () => {},
): TestPatience {
  return {
    giveUpAt: performance.now() + 60_000,
    extensions: 0,
    extend() {
      this.extensions++;
      this.giveUpAt = performance.now() + 60_000;
      onExtend(this);
    },
  };
}

/** Gives up at once after so many steps. */
export function impatientAfter(steps: number): TestPatience {
  return makePatience((patience) => {
    if (patience.extensions >= steps) patience.giveUpAt = performance.now();
  });
}
