/** The clock of a test, which stands still until it is moved. */

/**
 * A clock that stands still until it is moved. It is nobody's but those who are
 * handed its `now`: timers, and the timeouts of calls, go by the real one.
 *
 * @example
 * ```ts
 * import { Clock } from "@cloakroom/session/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const clock = new Clock(Date.UTC(2030, 0, 1));
 * clock.advance(60);
 * assertEquals(clock.now(), Date.UTC(2030, 0, 1, 0, 1));
 * ```
 */
export class Clock {
  #instant: number;

  /**
   * The clock's instant, in milliseconds since the Unix epoch. Needs no `this`:
   * hand it to `new Manager({ now: clock.now })`.
   */
  readonly now: () => number = () => this.#instant;

  /**
   * A clock that stands at an instant.
   *
   * @param start The instant, in milliseconds since the Unix epoch; by default
   * that of the real clock.
   * @throws {RangeError} If it is not a finite number.
   */
  constructor(start: number = Date.now()) {
    checkFinite("create Clock: start", start, "milliseconds");
    this.#instant = start;
  }

  /**
   * Moves the clock on, to the millisecond.
   *
   * @param seconds How far; a negative number moves it back, as on a machine
   * whose clock is set.
   * @throws {RangeError} If it is not a finite number.
   */
  advance(seconds: number): void {
    checkFinite("advance Clock: it", seconds, "seconds");
    this.#instant += Math.round(seconds * 1000);
  }
}

function checkFinite(doing: string, value: number, unit: string): void {
  if (Number.isFinite(value)) return;
  throw new RangeError(
    `Cannot ${doing} must be a finite number of ${unit}: received ${
      typeof value === "number" ? value : typeof value
    }`,
  );
}
