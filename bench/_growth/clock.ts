import { Buffer } from "node:buffer";
import { openSync, readSync } from "node:fs";

/**
 * What takes longer may have waited while the machine did something else, in
 * milliseconds. Linux takes a processor away for several of them.
 */
export const SUSPICIOUS = 0.2;

/** Attempts to read how long it waited without waiting meanwhile. */
const ATTEMPTS = 10;

/**
 * Tells how long this thread was ready to run and other programs had the
 * processor: a time that says nothing of what is measured. Linux counts it; on
 * other systems it is part of every figure.
 */
class Waits {
  readonly #file = openStatistics();
  readonly #buffer = Buffer.alloc(128);
  #before = 0;

  /** Whether the system tells. */
  get isKnown(): boolean {
    return this.#file !== undefined;
  }

  /** Milliseconds since the last call. */
  next(): number {
    if (this.#file === undefined) return 0;
    const before = this.#before;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const begin = performance.now();
      this.#before = this.#read(this.#file);
      if (performance.now() - begin < SUSPICIOUS) break;
    }
    return this.#before - before;
  }

  #read(file: number): number {
    const length = readSync(file, this.#buffer, 0, this.#buffer.length, 0);
    // Nanoseconds with the processor, nanoseconds without, and how often.
    const fields = this.#buffer.toString("latin1", 0, length).split(" ");
    return Number(fields[1]) / 1e6;
  }
}

/** Of this thread. */
export const waits: Waits = new Waits();

/**
 * How long an operation takes, in milliseconds. Whether other programs had the
 * processor meanwhile is not its fault.
 */
export function timeOf(operate: () => void): number {
  waits.next();
  const begin = performance.now();
  operate();
  return ownTime(performance.now() - begin);
}

/** What is left of a time, without that waited since `waits.next()`. */
export function ownTime(elapsed: number): number {
  return elapsed < SUSPICIOUS ? elapsed : Math.max(0, elapsed - waits.next());
}

function openStatistics(): number | undefined {
  try {
    return openSync("/proc/thread-self/schedstat", "r");
  } catch {
    return undefined;
  }
}
