/** Lets writes wait for a lock while the process goes on with other work. */
import { setImmediate, setTimeout } from "node:timers/promises";
import { SessionError } from "../../core/errors.ts";
import type { Awaitable, Patience } from "../../core/provider.ts";
import { checkPatience } from "../../core/store/turns.ts";

/** How long to wait before the lock is tried again, in milliseconds. */
const PAUSE = 5;

/**
 * For how long a write stops the process for the lock before it waits without
 * doing so, in milliseconds. Most writes of other processes take less.
 */
export const STOPPED = 10;

/** Does a write that stops the process for at most so many milliseconds. */
type Attempt = <T>(most: number, write: () => T) => T;

/** A write that waits for the lock. */
interface Waiting {
  /** Tries it, and says whether it is over: done, failed or given up. */
  readonly attempt: () => boolean;
}

/**
 * The writes of one provider. One that finds the database free is done at once.
 * One that does not waits in a queue with all that come after it, which is tried
 * from its head every few milliseconds, so that nothing else has to wait with it:
 * not even the transaction of this process that has the lock.
 */
export class Writes {
  /** In milliseconds. */
  readonly #timeout: number;
  readonly #attempt: Attempt;
  readonly #queue: Waiting[] = [];

  /** @param busyTimeout How long a write waits, in seconds. */
  constructor(busyTimeout: number, attempt: Attempt) {
    this.#timeout = busyTimeout * 1000;
    this.#attempt = attempt;
  }

  /**
   * Does a write, or has it wait for the lock.
   *
   * @throws {SessionError} With code `"store-failed"`, if the lock is not free in
   * time.
   */
  run<T>(write: () => T, patience: Patience | undefined): Awaitable<T> {
    if (this.#queue.length > 0) return this.#later(write, patience);
    try {
      return this.#attempt(Math.min(STOPPED, this.#timeout), write);
    } catch (error) {
      if (!isLocked(error)) throw error;
      if (this.#timeout === 0) throw locked(this.#timeout, error);
      return this.#later(write, patience);
    }
  }

  #later<T>(write: () => T, patience: Patience | undefined): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const giveUpAt = performance.now() + this.#timeout;
    const attempt = () => {
      try {
        checkPatience(patience);
        resolve(this.#attempt(0, write));
      } catch (error) {
        if (!isLocked(error)) reject(error);
        else if (performance.now() < giveUpAt) return false;
        else reject(locked(this.#timeout, error));
      }
      return true;
    };
    if (this.#queue.push({ attempt }) === 1) this.#serve();
    return promise;
  }

  async #serve(): Promise<void> {
    for (;;) {
      const [first] = this.#queue;
      if (first === undefined) return;
      if (!first.attempt()) await setTimeout(PAUSE);
      else {
        this.#queue.shift();
        await setImmediate();
      }
    }
  }
}

/** Whether another connection had the lock that a call needed. */
export function isLocked(error: unknown): boolean {
  return error instanceof Error &&
    error.message.includes("database is locked");
}

function locked(timeout: number, cause: unknown): SessionError {
  return new SessionError(
    "store-failed",
    `Cannot write to SQLite: the database is locked by another connection, and was not free within ${
      timeout / 1000
    } seconds: end its transaction sooner, or raise busyTimeout`,
    { cause },
  );
}
