/** The distance between this process and the clock of a store. */
import type { Patience } from "../provider.ts";

/** How old a measurement may get before the next is made, in milliseconds. */
const MEASURED_ANEW = 60_000;

/**
 * Turns what is left of a caller's patience into an instant of the store's own
 * clock, so that the store can refuse by itself what reaches it later. Measured
 * against a clock of this process that nobody sets, and so that a call is rather
 * refused too early, by at most the time that the measurement took, than too late.
 */
export class ServerClock {
  readonly #ask: () => Promise<number>;
  /** What the store's clock is ahead of `performance.now()` at least. */
  #ahead: number | undefined;
  #measuredAt = -Infinity;
  #measuring: Promise<void> | undefined;

  /** @param ask Asks the store, in milliseconds since the Unix epoch. */
  constructor(ask: () => Promise<number>) {
    this.#ask = ask;
  }

  /**
   * The instant of the store's clock after which a call must not take effect.
   *
   * @returns `undefined` without patience, or if the store does not tell the time.
   */
  async limitOf(patience: Patience | undefined): Promise<number | undefined> {
    if (patience === undefined) return undefined;
    // Read at once: it is of this call, and moves with the next step.
    const { giveUpAt } = patience;
    const isDue = performance.now() - this.#measuredAt >= MEASURED_ANEW;
    const measuring = isDue ? this.#measure().catch(() => {}) : undefined;
    // Later measurements are made beside the call that they are due with.
    if (this.#ahead === undefined) await measuring;
    return this.#ahead === undefined ? undefined : giveUpAt + this.#ahead;
  }

  /** Learns what the store's clock says at this moment. */
  learn(serverTime: number): void {
    this.#measuredAt = performance.now();
    this.#ahead = serverTime - this.#measuredAt;
  }

  /** The store may be another one by now. */
  doubt(): void {
    this.#measuredAt = -Infinity;
  }

  #measure(): Promise<void> {
    return this.#measuring ??= this.#ask().then(
      (serverTime) => this.learn(serverTime),
    ).finally(() => {
      this.#measuring = undefined;
    });
  }
}
