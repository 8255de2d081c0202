import { SessionError } from "../errors.ts";
import { notify, type SessionListener } from "../events.ts";
import type {
  Awaitable,
  NewSessionRecord,
  Provider,
  SessionChange,
  SessionRecord,
  StoredSession,
  UpdateGuard,
  UpdateResult,
} from "../provider.ts";

/** What a store needs to know beside its provider. */
export interface StoreOptions {
  /** How long one call may take, in seconds. */
  readonly timeout: number;
  /** Receives `store-error` events. */
  readonly onEvent: SessionListener | undefined;
}

/** Whether an answer is still to come. */
export function isPromise<T>(value: Awaitable<T>): value is Promise<T> {
  return typeof (value as Promise<T> | undefined)?.then === "function";
}

/**
 * A provider behind one gate: whatever goes wrong in a call becomes a
 * `SessionError` and an event, and no call but `clear` takes longer than the
 * timeout. Answers that come at once stay synchronous.
 */
export class Store {
  readonly #provider: Provider;
  readonly #timeout: number;
  readonly #onEvent: SessionListener | undefined;
  #isClosed = false;

  constructor(provider: Provider, options: StoreOptions) {
    this.#provider = provider;
    this.#timeout = options.timeout;
    this.#onEvent = options.onEvent;
  }

  create(
    id: string,
    record: NewSessionRecord,
    now: number,
  ): Awaitable<boolean> {
    return this.#call(
      "create",
      () => this.#provider.create(id, record, now),
      checkBoolean,
    );
  }

  read(id: string, now: number): Awaitable<SessionRecord | undefined> {
    // Written out, as `touch` is: every request comes through here, and a
    // closure for each costs more than the look-up.
    this.#checkOpen("read");
    try {
      const answer = this.#provider.read(id, now);
      return isPromise(answer)
        ? this.#settle("read", answer.then(checkRecord))
        : checkRecord(answer);
    } catch (error) {
      throw this.#failure("read", error);
    }
  }

  update(
    id: string,
    change: SessionChange,
    guard: UpdateGuard,
    now: number,
  ): Awaitable<UpdateResult> {
    return this.#call(
      "update",
      () => this.#provider.update(id, change, guard, now),
      checkResult,
    );
  }

  touch(id: string, expiresAt: number, now: number): Awaitable<boolean> {
    this.#checkOpen("touch");
    try {
      const answer = this.#provider.touch(id, expiresAt, now);
      return isPromise(answer)
        ? this.#settle("touch", answer.then(checkBoolean))
        : checkBoolean(answer);
    } catch (error) {
      throw this.#failure("touch", error);
    }
  }

  destroy(id: string): Awaitable<boolean> {
    return this.#call(
      "destroy",
      () => this.#provider.destroy(id),
      checkBoolean,
    );
  }

  gc(now: number, limit: number): Awaitable<number> {
    return this.#call("gc", () => this.#provider.gc(now, limit));
  }

  list(principal: string, now: number): Awaitable<readonly StoredSession[]> {
    return this.#call("list", () => this.#provider.list(principal, now));
  }

  destroyAll(principal: string, except?: string): Awaitable<number> {
    return this.#call(
      "destroyAll",
      () => this.#provider.destroyAll(principal, except),
    );
  }

  /** Without the timeout: there may be millions of sessions to go through. */
  async clear(): Promise<number> {
    this.#checkOpen("clear");
    try {
      return await this.#provider.clear();
    } catch (error) {
      throw this.#failure("clear", error);
    }
  }

  /** Refuses every later call; closes the provider too if `owned`. */
  async close(owned: boolean): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (owned) await this.#provider.close();
  }

  #call<T>(
    operation: string,
    run: () => Awaitable<T>,
    check: (answer: T) => T = (answer) => answer,
  ): Awaitable<T> {
    this.#checkOpen(operation);
    try {
      const answer = run();
      return isPromise(answer)
        ? this.#settle(operation, answer.then(check))
        : check(answer);
    } catch (error) {
      throw this.#failure(operation, error);
    }
  }

  #checkOpen(operation: string): void {
    if (!this.#isClosed) return;
    throw new SessionError(
      "closed",
      `Cannot ${DESCRIPTIONS[operation]}: the manager is closed`,
    );
  }

  async #settle<T>(operation: string, answer: Promise<T>): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timedOut = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        reject(
          new SessionError(
            "timeout",
            `Cannot ${
              DESCRIPTIONS[operation]
            }: the provider did not answer within ${this.#timeout} seconds`,
          ),
        );
      }, this.#timeout * 1000);
    });
    try {
      return await Promise.race([answer, timedOut]);
    } catch (error) {
      throw this.#failure(operation, error);
    } finally {
      clearTimeout(timer);
    }
  }

  #failure(operation: string, cause: unknown): SessionError {
    const error = cause instanceof SessionError ? cause : new SessionError(
      "store-failed",
      `Cannot ${DESCRIPTIONS[operation]}: the provider failed`,
      { cause },
    );
    notify(this.#onEvent, { type: "store-error", operation, error });
    return error;
  }
}

/** A provider in plain JavaScript may answer anything; nothing is taken for no. */
function checkRecord(
  record: SessionRecord | undefined,
): SessionRecord | undefined {
  const isRecord = record === undefined ||
    typeof record?.secretHash === "string" &&
      typeof record.data === "object" && record.data !== null &&
      typeof record.version === "number" &&
      typeof record.renewedAt === "number" &&
      typeof record.createdAt === "number" &&
      typeof record.accessedAt === "number" &&
      typeof record.expiresAt === "number" &&
      typeof record.idleTimeout === "number" &&
      typeof record.absoluteTimeout === "number";
  if (isRecord) return record;
  throw nonsense("a record or undefined", record);
}

function checkBoolean(answer: boolean): boolean {
  if (typeof answer === "boolean") return answer;
  throw nonsense("true or false", answer);
}

function checkResult(result: UpdateResult): UpdateResult {
  if (result === "done" || result === "gone" || result === "conflict") {
    return result;
  }
  throw nonsense("done, gone or conflict", result);
}

function nonsense(expected: string, received: unknown): TypeError {
  return new TypeError(
    `Cannot use the provider's answer: it must be ${expected}: received ${typeof received}`,
  );
}

const DESCRIPTIONS: Readonly<Record<string, string>> = {
  create: "create session",
  read: "read session",
  update: "update session",
  touch: "touch session",
  destroy: "destroy session",
  gc: "collect expired sessions",
  list: "list sessions",
  destroyAll: "destroy sessions",
  clear: "destroy every session",
};
