/** Works out how many sessions one statement ends. */

/** How long a statement that ends sessions should take, in milliseconds. */
const WANTED = 15;

const FIRST = 100;
const LEAST = 10;
const MOST = 2000;

/** By how much the number changes at most from one statement to the next. */
const STEP = 4;

/**
 * How many sessions a call ends in one statement: as many as it takes some
 * milliseconds for, which depends on how much data they have and on the disk.
 */
export class Pace {
  /** How many the next statement is to end. */
  size = FIRST;

  /** Learns from how long a statement takes. */
  measure<T>(run: () => T): T {
    const begin = performance.now();
    const result = run();
    const factor = WANTED / Math.max(performance.now() - begin, 0.001);
    const step = Math.min(Math.max(factor, 1 / STEP), STEP);
    const size = Math.round(this.size * step);
    this.size = Math.min(Math.max(size, LEAST), MOST);
    return result;
  }
}
