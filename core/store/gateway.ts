/** The one way to a provider: errors in one form, timeouts, checked answers. */
import { SessionError } from "../errors.ts";
import type { SessionEvent } from "../events.ts";
import type {
  Awaitable,
  DestroyResult,
  Guard,
  NewSessionRecord,
  PreviousSecret,
  Provider,
  SessionChange,
  SessionList,
  SessionRecord,
  UpdateResult,
} from "../provider.ts";
import { ownText } from "../secret/token.ts";
import { Outage } from "./outage.ts";
import { toRecord } from "./record.ts";
import { PAUSE, Silence, Waiting } from "./waiting.ts";

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
 * `SessionError` and an event, no call waits longer than the timeout for an
 * answer or for word of a step, and none waits for a store that has fallen
 * silent. Answers that come at once stay synchronous.
 */
export class Gateway {
  /** What is behind it, to tell whether two gateways lead to the same. */
  readonly provider: Provider;
  /** In milliseconds. */
  readonly #timeout: number;
  readonly #tell: (event: SessionEvent) => void;
  readonly #silence = new Silence();
  readonly #outage: Outage;
  #isClosed = false;

  constructor(provider: Provider, { timeout, tell }: GatewayOptions) {
    this.provider = provider;
    this.#timeout = timeout * 1000;
    this.#tell = tell;
    this.#outage = new Outage(tell);
  }

  create(
    id: string,
    record: NewSessionRecord,
    now: number,
  ): Awaitable<boolean> {
    return this.#call(
      "create",
      (waiting) => this.provider.create(id, record, now, waiting),
      checkBoolean,
      id,
    );
  }

  read(id: string, now: number): Awaitable<SessionRecord | undefined> {
    // Written out, as `touch` is: every request comes through here, and a
    // closure for each costs more than the look-up.
    this.#checkOpen("read", id);
    try {
      const answer = this.provider.read(id, now);
      return isPromise(answer)
        ? this.#settle("read", answer.then(checkRecord), id)
        : this.#came(checkRecord(answer));
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
      (waiting) => this.provider.update(id, change, guard, now, waiting),
      checkUpdateResult,
      id,
    );
  }

  touch(id: string, now: number): Awaitable<boolean> {
    this.#checkOpen("touch", id);
    try {
      const waiting = new Waiting(this.#timeout);
      const answer = this.provider.touch(id, now, waiting);
      return isPromise(answer)
        ? this.#settle("touch", answer.then(checkBoolean), id, waiting)
        : this.#came(checkBoolean(answer));
    } catch (error) {
      throw this.#failure("touch", error, id);
    }
  }

  destroy(id: string, guard: Guard, now: number): Awaitable<DestroyResult> {
    return this.#call(
      "destroy",
      (waiting) => this.provider.destroy(id, guard, now, waiting),
      checkDestroyResult,
      id,
    );
  }

  /** Ends several sessions, and answers the ids of those that it ended. */
  destroyMany(
    ids: readonly string[],
    guard: Guard,
    now: number,
  ): Awaitable<readonly string[]> {
    return this.#call(
      "destroyMany",
      (waiting) =>
        this.provider.destroyMany?.(ids, guard, now, waiting) ??
          this.#destroyEach(ids, guard, now, waiting),
      checkIds,
    );
  }

  gc(now: number, limit: number): Awaitable<number> {
    return this.#call(
      "gc",
      (waiting) => this.provider.gc(now, limit, waiting),
      checkCount,
    );
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
      (waiting) => this.provider.destroyAll(principal, except, waiting),
      checkCount,
    );
  }

  clear(): Awaitable<number> {
    return this.#call(
      "clear",
      (waiting) => this.provider.clear(waiting),
      checkCount,
    );
  }

  /** The store's own clock, or `undefined` if it has none. */
  serverTime(): Awaitable<number | undefined> {
    if (this.provider.serverTime === undefined) return undefined;
    return this.#call<number>(
      "serverTime",
      () => this.provider.serverTime!(),
      checkInstant,
    );
  }

  /** Refuses every later call; closes the provider too if `owned`. */
  async close(owned: boolean): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (!owned) return;
    const waiting = new Waiting(this.#timeout);
    try {
      const closing = this.provider.close();
      if (isPromise(closing)) await this.#inTime("close", closing, waiting);
    } catch (error) {
      throw this.#failure("close", error);
    }
  }

  async #destroyEach(
    ids: readonly string[],
    guard: Guard,
    now: number,
    waiting: Waiting,
  ): Promise<readonly string[]> {
    const ended: string[] = [];
    for (const id of ids) {
      const result = await this.provider.destroy(id, guard, now, waiting);
      if (checkDestroyResult(result) === "done") ended.push(id);
      waiting.extend();
    }
    return ended;
  }

  #call<T>(
    operation: Operation,
    run: (waiting: Waiting) => Awaitable<T>,
    check: (answer: T) => T,
    id?: string,
  ): Awaitable<T> {
    this.#checkOpen(operation, id);
    try {
      const waiting = new Waiting(this.#timeout);
      const answer = run(waiting);
      return isPromise(answer)
        ? this.#settle(operation, answer.then(check), id, waiting)
        : this.#came(check(answer));
    } catch (error) {
      throw this.#failure(operation, error, id);
    }
  }

  #checkOpen(operation: Operation, id?: string): void {
    if (this.#isClosed) {
      throw new SessionError(
        "closed",
        `Cannot ${DESCRIPTIONS[operation]}: the manager is closed`,
      );
    }
    if (!this.#silence.refuses()) return;
    const error = new SessionError(
      "unavailable",
      `Cannot ${
        DESCRIPTIONS[operation]
      }: the provider answers no call; one tries every ${PAUSE / 1000} s`,
      { id: id && ownText(id) },
    );
    throw this.#failure(operation, error, id);
  }

  async #settle<T>(
    operation: Operation,
    answer: Promise<T>,
    id: string | undefined,
    waiting: Waiting = new Waiting(this.#timeout),
  ): Promise<T> {
    const beganAt = this.#silence.begin();
    const heard = () => this.#silence.heard();
    answer.then(heard, heard);
    const givenUp = () => {
      if (this.#silence.gaveUp(beganAt)) this.provider.reconnect?.();
    };
    try {
      return this.#came(
        await this.#inTime(operation, answer, waiting, { id, givenUp }),
      );
    } catch (error) {
      throw this.#failure(operation, error, id);
    } finally {
      this.#silence.end();
    }
  }

  /** An answer, unless the wait is over before it. */
  async #inTime<T>(
    operation: Operation,
    answer: Promise<T>,
    waiting: Waiting,
    { id, givenUp }: { readonly id?: string | undefined; givenUp?(): void } =
      {},
  ): Promise<T> {
    const { promise: end, reject } = Promise.withResolvers<never>();
    const stop = waiting.onEnd(() => {
      givenUp?.();
      reject(
        new SessionError(
          "timeout",
          `Cannot ${
            DESCRIPTIONS[operation]
          }: the provider did not answer within ${
            this.#timeout / 1000
          } seconds`,
          { id: id && ownText(id) },
        ),
      );
    });
    try {
      return await Promise.race([answer, end]);
    } finally {
      stop();
    }
  }

  /** Passes on an answer, the first of which can be the end of an outage. */
  #came<T>(answer: T): T {
    if (this.#outage.isOn) this.#outage.succeeded();
    return answer;
  }

  #failure(operation: Operation, cause: unknown, id?: string): SessionError {
    const error = cause instanceof SessionError ? cause : new SessionError(
      "store-failed",
      `Cannot ${DESCRIPTIONS[operation]}: the provider failed`,
      { id: id && ownText(id), cause },
    );
    this.#tell({ type: "store-error", operation, error });
    this.#outage.failed(error);
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
    typeof record.absoluteTimeout === "number" &&
    isTextOrNothing(record.principal) && isTextOrNothing(record.label) &&
    isTextOrNothing(record.fingerprint) && isTextOrNothing(record.binding) &&
    (record.authenticatedAt === undefined ||
      typeof record.authenticatedAt === "number") &&
    (record.previous === undefined || isPrevious(record.previous));
  if (!isRecord) throw nonsense("a record or undefined", record);
  // One that leaves fields out would inherit them.
  return inheritsNothing() ? record : toRecord(record, record.version);
}

function isTextOrNothing(value: unknown): boolean {
  return value === undefined || typeof value === "string";
}

function isPrevious(previous: PreviousSecret | null): boolean {
  if (typeof previous !== "object" || previous === null) return false;
  const { secretHash, family, until } = previous;
  return typeof secretHash === "string" && typeof family === "string" &&
    (typeof until === "number" || until === "confirmed" || until === "never");
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

function checkInstant(answer: number): number {
  if (Number.isFinite(answer)) return answer;
  throw nonsense("an instant", answer);
}

function checkIds(ids: readonly string[]): readonly string[] {
  if (Array.isArray(ids)) return ids;
  throw nonsense("a list of ids", ids);
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
  destroyMany: "destroy sessions",
  gc: "collect expired sessions",
  list: "list sessions",
  destroyAll: "destroy sessions",
  clear: "destroy every session",
  serverTime: "read the store's clock",
  close: "close the provider",
} as const;

type Operation = keyof typeof DESCRIPTIONS;
