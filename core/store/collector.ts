/** Removes expired sessions from time to time. */
import { setImmediate } from "node:timers/promises";
import type { Store } from "./store.ts";

/** How many expired sessions are removed before other work gets its turn. */
const BATCH = 1000;

/** Removes expired sessions from time to time, until it is stopped. */
export class Collector {
  readonly #store: Store;
  readonly #now: () => number;
  #timer: unknown;
  #pass: Promise<number> | undefined;

  /**
   * @param interval Seconds between two passes; 0 for none by itself.
   */
  constructor(store: Store, now: () => number, interval: number) {
    this.#store = store;
    this.#now = now;
    if (interval > 0) this.#start(interval);
  }

  /** One pass; a pass under way is joined. */
  collect(): Promise<number> {
    return this.#pass ??= this.#collect().finally(() => {
      this.#pass = undefined;
    });
  }

  stop(): void {
    clearInterval(this.#timer as number);
  }

  #start(interval: number): void {
    this.#timer = setInterval(() => {
      // The failure has been an event; the next pass tries again.
      this.collect().catch(() => {});
    }, interval * 1000);
    (this.#timer as { unref?(): void }).unref?.();
  }

  async #collect(): Promise<number> {
    let total = 0;
    for (;;) {
      const count = await this.#store.gc(this.#now(), BATCH);
      total += count;
      if (count < BATCH) return total;
      await setImmediate();
    }
  }
}
