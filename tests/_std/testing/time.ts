/**
 * What the tests use of `@std/testing/time`, for machines that cannot reach
 * JSR. Must agree with the real package in all that it has.
 *
 * @module
 */
interface Timer {
  readonly id: number;
  readonly callback: () => void;
  readonly interval: number | undefined;
  due: number;
}

const real = { ...pickTimers(globalThis), DateNow: Date.now };

/** Time that stands still until `tick`. */
export class FakeTime {
  #now: number;
  #lastId = 0;
  readonly #timers = new Map<number, Timer>();

  constructor(start: number = Date.now()) {
    this.#now = start;
    Date.now = () => this.#now;
    Object.assign(globalThis, {
      setTimeout: (callback: () => void, delay = 0) =>
        this.#add(callback, delay, undefined),
      setInterval: (callback: () => void, delay = 0) =>
        this.#add(callback, delay, delay),
      clearTimeout: (id: number) => this.#timers.delete(id),
      clearInterval: (id: number) => this.#timers.delete(id),
    });
  }

  get now(): number {
    return this.#now;
  }

  /** Moves on by `ms` and runs what falls due, in order. */
  tick(ms = 0): void {
    const end = this.#now + ms;
    for (;;) {
      const [next] = [...this.#timers.values()]
        .filter((timer) => timer.due <= end)
        .sort((a, b) => a.due - b.due || a.id - b.id);
      if (next === undefined) break;
      this.#now = next.due;
      if (next.interval === undefined) this.#timers.delete(next.id);
      else next.due += next.interval;
      next.callback();
    }
    this.#now = end;
  }

  restore(): void {
    const { DateNow, ...timers } = real;
    Date.now = DateNow;
    Object.assign(globalThis, timers);
  }

  [Symbol.dispose](): void {
    this.restore();
  }

  #add(
    callback: () => void,
    delay: number,
    interval: number | undefined,
  ): number {
    const id = ++this.#lastId;
    this.#timers.set(id, { id, callback, interval, due: this.#now + delay });
    return id;
  }
}

function pickTimers(scope: typeof globalThis) {
  const { setTimeout, setInterval, clearTimeout, clearInterval } = scope;
  return { setTimeout, setInterval, clearTimeout, clearInterval };
}
