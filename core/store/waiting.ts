/** How long calls of a provider are waited for, and which are spared the wait. */
import type { Patience } from "../provider.ts";

/** How many calls in a row time out before others are refused. */
const MOST_TIMEOUTS = 3;

/** How many calls can wait at once while none is answered for a second. */
const MOST_WAITING = 1000;

/** That second, in milliseconds. */
const QUIET = 1000;

/** How long calls are refused before one tries again, in milliseconds. */
export const PAUSE = 1000;

/** The wait for one call. */
export class Waiting implements Patience {
  readonly #timeout: number;
  #giveUpAt = 0;
  #isExtended = false;

  /** @param timeout In milliseconds. */
  constructor(timeout: number) {
    this.#timeout = timeout;
  }

  /** Worked out when it is first asked for: a store at hand never asks. */
  get giveUpAt(): number {
    return this.#giveUpAt ||= performance.now() + this.#timeout;
  }

  extend(): void {
    this.#giveUpAt = performance.now() + this.#timeout;
    this.#isExtended = true;
  }

  /**
   * Calls back when the time is up, extensions included.
   *
   * @returns Stops it.
   */
  onEnd(callback: () => void): () => void {
    let timer: ReturnType<typeof setTimeout>;
    const wait = () => {
      const rest = this.giveUpAt - performance.now();
      timer = setTimeout(check, Math.max(0, rest));
    };
    const check = () => {
      if (!this.#isExtended) return callback();
      this.#isExtended = false;
      wait();
    };
    wait();
    return () => clearTimeout(timer);
  }
}

/**
 * Keeps calls from piling up before a store that has fallen silent: each would
 * wait for its timeout, and clients keep what they have sent. Now and then one
 * call tries whether the store is back. Any answer, an error too, ends it.
 */
export class Silence {
  /** How many calls wait. */
  #waiting = 0;
  /** When a call was last answered, or began when no other waited. */
  #heardAt = -Infinity;
  /** How many have timed out since that began later. */
  #timeouts = 0;
  /** When the next call may try. */
  #tryAt = -Infinity;
  /** When connections were last replaced. */
  #replacedAt = -Infinity;

  /** Whether a call would wait in vain, and is not the one that tries. */
  refuses(): boolean {
    if (this.#timeouts < MOST_TIMEOUTS && this.#waiting < MOST_WAITING) {
      return false;
    }
    const now = performance.now();
    const isSilent = this.#timeouts >= MOST_TIMEOUTS ||
      now - this.#heardAt >= QUIET;
    if (!isSilent) return false;
    if (now < this.#tryAt) return true;
    this.#tryAt = now + PAUSE;
    return false;
  }

  /** A call waits from now on. */
  begin(): number {
    const now = performance.now();
    if (this.#waiting === 0) this.#heardAt = now;
    this.#waiting++;
    return now;
  }

  /** A call waits no longer, for whatever reason. */
  end(): void {
    this.#waiting--;
  }

  /** A call was answered, in time or not. */
  heard(): void {
    this.#heardAt = performance.now();
    this.#timeouts = 0;
  }

  /**
   * A call was given up.
   *
   * @param beganAt What {@linkcode begin} answered.
   * @returns Whether connections are worth replacing: it was the first in vain
   * since they were.
   */
  gaveUp(beganAt: number): boolean {
    if (beganAt < this.#heardAt) return false;
    this.#timeouts++;
    const now = performance.now();
    if (beganAt < this.#replacedAt) return false;
    this.#replacedAt = now;
    return true;
  }
}
