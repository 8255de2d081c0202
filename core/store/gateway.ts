/** The one way to a provider: errors in one form, timeouts, checked answers. */
import { SessionError } from "../errors.ts";
import type { SessionEvent } from "../events.ts";
import type {
  Awaitable,
  DestroyResult,
  Guard,
  NewSessionRecord,
  Provider,
  SessionChange,
  SessionList,
  SessionRecord,
  UpdateResult,
} from "../provider.ts";
import { ownText } from "../secret/token.ts";
import { toRecord } from "./record.ts";

/** What a gateway needs to know beside its provider. */
export interface GatewayOptions {
  /** How long one call may take, in seconds. */
  readonly timeout: number;
  /** Is told of every call that fails. */
  readonly tell: (event: SessionEvent) => void;
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
export class Gateway {
  /** What is behind it, to tell whether two gateways lead to the same. */
  readonly provider: Provider;
  readonly #timeout: number;
  readonly #tell: (event: SessionEvent) => void;
  #isClosed = false;

  constructor(provider: Provider, { timeout, tell }: GatewayOptions) {
    this.provider = provider;
    this.#timeout = timeout;
    this.#tell = tell;
  }

  create(
    id: string,
    record: NewSessionRecord,
    now: number,
  ): Awaitable<boolean> {
    return this.#call(
      "create",
      () => this.provider.create(id, record, now),
      checkBoolean,
      id,
    );
  }

  read(id: string, now: number): Awaitable<SessionRecord | undefined> {
    // Written out, as `touch` is: every request comes through here, and a
    // closure for each costs more than the look-up.
    this.#checkOpen("read");
    try {
      const answer = this.provider.read(id, now);
      return isPromise(answer)
        ? this.#settle("read", answer.then(checkRecord), id)
        : checkRecord(answer);
    } catch (error) {
      throw this.#failure("read", error, id);
    }
  }

  update(
    id: string,
    change: SessionChange,
    guard: Guard,
    now: number,
  ): Awaitable<UpdateResult> {
    return this.#call(
      "update",
      () => this.provider.update(id, change, guard, now),
      checkUpdateResult,
      id,
    );
  }

  touch(id: string, now: number): Awaitable<boolean> {
    this.#checkOpen("touch");
    try {
      const answer = this.provider.touch(id, now);
      return isPromise(answer)
        ? this.#settle("touch", answer.then(checkBoolean), id)
        : checkBoolean(answer);
    } catch (error) {
      throw this.#failure("touch", error, id);
    }
  }

  destroy(id: string, guard: Guard, now: number): Awaitable<DestroyResult> {
    return this.#call(
      "destroy",
      () => this.provider.destroy(id, guard, now),
      checkDestroyResult,
      id,
    );
  }

  gc(now: number, limit: number): Awaitable<number> {
    return this.#call("gc", () => this.provider.gc(now, limit), checkCount);
  }

  list(principal: string, now: number): Awaitable<SessionList> {
    return this.#call(
      "list",
      () => this.provider.list(principal, now),
      checkList,
    );
  }

  destroyAll(principal: string, except?: string): Awaitable<number> {
    return this.#call(
      "destroyAll",
      () => this.provider.destroyAll(principal, except),
      checkCount,
    );
  }

  /** Without the timeout: there may be millions of sessions to go through. */
  async clear(): Promise<number> {
    this.#checkOpen("clear");
    try {
      return checkCount(await this.provider.clear());
    } catch (error) {
      throw this.#failure("clear", error);
    }
  }

  /** Refuses every later call; closes the provider too if `owned`. */
  async close(owned: boolean): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (owned) await this.provider.close();
  }

  #call<T>(
    operation: Operation,
    run: () => Awaitable<T>,
    check: (answer: T) => T,
    id?: string,
  ): Awaitable<T> {
    this.#checkOpen(operation);
    try {
      const answer = run();
      return isPromise(answer)
        ? this.#settle(operation, answer.then(check), id)
        : check(answer);
    } catch (error) {
      throw this.#failure(operation, error, id);
    }
  }

  #checkOpen(operation: Operation): void {
    if (!this.#isClosed) return;
    throw new SessionError(
      "closed",
      `Cannot ${DESCRIPTIONS[operation]}: the manager is closed`,
    );
  }

  async #settle<T>(
    operation: Operation,
    answer: Promise<T>,
    id?: string,
  ): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timedOut = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        reject(
          new SessionError(
            "timeout",
            `Cannot ${
              DESCRIPTIONS[operation]
            }: the provider did not answer within ${this.#timeout} seconds`,
            { id: id && ownText(id) },
          ),
        );
      }, this.#timeout * 1000);
    });
    try {
      return await Promise.race([answer, timedOut]);
    } catch (error) {
      throw this.#failure(operation, error, id);
    } finally {
      clearTimeout(timer);
    }
  }

  #failure(operation: Operation, cause: unknown, id?: string): SessionError {
    const error = cause instanceof SessionError ? cause : new SessionError(
      "store-failed",
      `Cannot ${DESCRIPTIONS[operation]}: the provider failed`,
      { id: id && ownText(id), cause },
    );
    this.#tell({ type: "store-error", operation, error });
    return error;
  }
}

/** A provider in plain JavaScript may answer anything; nothing is taken for no. */
function checkRecord(
  record: SessionRecord | undefined,
): SessionRecord | undefined {
  if (record === undefined) return undefined;
  const isRecord = typeof record?.secretHash === "string" &&
    typeof record.family === "string" &&
    typeof record.data === "object" && record.data !== null &&
    typeof record.version === "number" &&
    typeof record.renewedAt === "number" &&
    typeof record.createdAt === "number" &&
    typeof record.accessedAt === "number" &&
    typeof record.idleTimeout === "number" &&
    typeof record.absoluteTimeout === "number";
  if (!isRecord) throw nonsense("a record or undefined", record);
  // One that leaves fields out would inherit them.
  return inheritsNothing() ? record : toRecord(record, record.version);
}

/** What every object has, so that nothing has to be looked up in each record. */
const PLAIN: Partial<SessionRecord> = {};

/** Whether a record that leaves fields out has none of them from elsewhere. */
function inheritsNothing(): boolean {
  return PLAIN.previous === undefined && PLAIN.principal === undefined &&
    PLAIN.label === undefined && PLAIN.authenticatedAt === undefined &&
    PLAIN.fingerprint === undefined && PLAIN.binding === undefined;
}

function checkBoolean(answer: boolean): boolean {
  if (typeof answer === "boolean") return answer;
  throw nonsense("true or false", answer);
}

function checkCount(answer: number): number {
  if (Number.isSafeInteger(answer) && answer >= 0) return answer;
  throw nonsense("a count", answer);
}

function checkUpdateResult(result: UpdateResult): UpdateResult {
  if (result === "done" || result === "gone" || result === "conflict") {
    return result;
  }
  throw nonsense("done, gone or conflict", result);
}

function checkDestroyResult(result: DestroyResult): DestroyResult {
  if (result === "done" || result === "absent" || result === "refused") {
    return result;
  }
  throw nonsense("done, absent or refused", result);
}

function checkList(list: SessionList): SessionList {
  if (Array.isArray(list?.sessions) && Array.isArray(list.unreadable)) {
    return list;
  }
  throw nonsense("sessions and unreadable ids", list);
}

function nonsense(expected: string, received: unknown): TypeError {
  return new TypeError(
    `Cannot use the provider's answer: it must be ${expected}: received ${typeof received}`,
  );
}

const DESCRIPTIONS = {
  create: "create session",
  read: "read session",
  update: "update session",
  touch: "touch session",
  destroy: "destroy session",
  gc: "collect expired sessions",
  list: "list sessions",
  destroyAll: "destroy sessions",
  clear: "destroy every session",
} as const;

type Operation = keyof typeof DESCRIPTIONS;
