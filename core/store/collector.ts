/** Removes expired sessions from time to time. */
import { setImmediate } from "node:timers/promises";
import type { ClockCheck } from "./clock_check.ts";
import type { Gateway } from "./gateway.ts";

/** How many expired sessions are removed before other work gets its turn. */
const BATCH = 1000;

/** What a collector needs to know beside its store. */
export interface CollectorOptions {
  readonly now: () => number;
  /** Seconds between two passes; 0 for none by itself. */
  readonly interval: number;
  /** Asked before each pass. */
  readonly clocks: ClockCheck;
}

/** Removes expired sessions from time to time, until it is stopped. */
export class Collector {
  readonly #gateway: Gateway;
  readonly #now: () => number;
  readonly #clocks: ClockCheck;
  #timer: unknown;
  #pass: Promise<number> | undefined;

  constructor(gateway: Gateway, { now, interval, clocks }: CollectorOptions) {
    this.#gateway = gateway;
    this.#now = now;
    this.#clocks = clocks;
    if (interval > 0) this.#start(interval);
  }

  /**
   * One pass; a pass under way is joined. None is made by a clock that the store's
   * does not agree with: it would remove what lives for everybody else.
   */
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
    unref(this.#timer);
  }

  async #collect(): Promise<number> {
    let total = 0;
    if (this.#clocks.canTell && await this.#clocks.isOff()) return total;
    for (;;) {
      const count = await this.#gateway.gc(this.#now(), BATCH);
      total += count;
      if (count < BATCH) return total;
      await setImmediate();
    }
  }
}

/** Lets a process end that has nothing left but this timer. */
function unref(timer: unknown): void {
  if (typeof timer !== "number") (timer as { unref(): void }).unref();
  // A number on Deno before 2.8, and where tests stand in for the clock.
  else (globalThis as Partial<Unref>).Deno?.unrefTimer?.(timer);
}

interface Unref {
  readonly Deno: { readonly unrefTimer?: (timer: number) => void };
}
