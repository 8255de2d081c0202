/** The distance between this process and the clock of a store. */
import type { Patience } from "../provider.ts";

/** How old a measurement may get before the next is made, in milliseconds. */
const MEASURED_ANEW = 60_000;

/**
 * How long a measurement may take, in milliseconds. One that takes longer says
 * little, and one that is never answered must not keep others from being made.
 */
const LONGEST_MEASUREMENT = 1000;

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
  #measuring: Promise<unknown> | undefined;
  #measuringSince = -Infinity;

  /** @param ask Asks the store, in milliseconds since the Unix epoch. */
  constructor(ask: () => Promise<number>) {
    this.#ask = ask;
  }

  /**
   * The instant of the store's clock after which a call must not take effect.
   *
   * @returns `undefined` without patience.
   * @throws What the store does, if its clock was never read: a call without a
   * limit could wait in a client's queue and take effect at any time.
   */
  async limitOf(patience: Patience | undefined): Promise<number | undefined> {
    if (patience === undefined) return undefined;
    // Read at once: it is of this call, and moves with the next step.
    const { giveUpAt } = patience;
    const isDue = performance.now() - this.#measuredAt >= MEASURED_ANEW;
    const measuring = isDue ? this.#measure() : undefined;
    if (this.#ahead === undefined) await measuring;
    // Later measurements are made beside the call that they are due with.
    else measuring?.catch(() => {});
    return giveUpAt + (this.#ahead as number);
  }

  /** What the store's clock says, asked anew; a measurement like any other. */
  async read(): Promise<number> {
    const askedAt = performance.now();
    const serverTime = await this.#ask();
    const took = performance.now() - askedAt;
    if (this.#ahead === undefined || took <= LONGEST_MEASUREMENT) {
      this.learn(serverTime);
    }
    return serverTime;
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

  #measure(): Promise<unknown> {
    const now = performance.now();
    const isHanging = now - this.#measuringSince > LONGEST_MEASUREMENT;
    if (this.#measuring !== undefined && !isHanging) return this.#measuring;
    this.#measuringSince = now;
    const measuring = this.read().finally(() => {
      if (this.#measuring === measuring) this.#measuring = undefined;
    });
    return this.#measuring = measuring;
  }
}
