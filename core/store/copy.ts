/**
 * Moves a site from one store to another without signing anyone out.
 *
 * 1. `copy(from, to)` while the site runs on `from`.
 * 2. Switch the site to `to`.
 * 3. `copy(from, to, { since })`, with the first run's `startedAt`, for what was
 *    created or changed between.
 *
 * @example
 * ```ts
 * import { copy } from "@cloakroom/session/copy";
 * import { DenoKvProvider } from "@cloakroom/session/deno-kv";
 * import { assertEquals } from "@std/assert";
 *
 * const from = new DenoKvProvider(":memory:");
 * const to = new DenoKvProvider(":memory:");
 * const first = await copy(from, to, {
 *   onProgress: ({ count, total = "?" }) => console.log(`${count} of ${total}`),
 * });
 * // When the site runs on the other store:
 * const second = await copy(from, to, { since: first.startedAt });
 * assertEquals(second.count, 0);
 * await from.close();
 * await to.close();
 * ```
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import { ownOf, ownOptions } from "../option_names.ts";
import { encode } from "../value/codec.ts";
import { SessionError } from "../errors.ts";
import { isLive, toRecord } from "./record.ts";
import type {
  NewSessionRecord,
  Provider,
  SessionChange,
  SessionRecord,
  StoredSession,
} from "../provider.ts";
import {
  emptyObject,
  put,
  type StoredData,
  type StoredValue,
} from "../value/types.ts";

/** How far a copy has come. */
export interface CopyProgress {
  /** When it began, in milliseconds since the Unix epoch: `since` of the next. */
  readonly startedAt: number;
  /** Sessions looked at so far; the other counts add up to it. */
  readonly count: number;
  /** About how many there are in `from`, if it knows. */
  readonly total?: number | undefined;
  /** Sessions that were not in `to`, and are now. */
  readonly copied: number;
  /** Copies of an earlier run that were brought up to date. */
  readonly refreshed: number;
  /** Sessions that `to` has as they are, or that are older than `since`. */
  readonly unchanged: number;
  /**
   * Sessions left as they are in `to` although they differ, because they have
   * been changed there, or ended on either side during the copy.
   */
  readonly kept: number;
  /** Sessions that cannot be copied; see {@linkcode CopyOptions.onSkip}. */
  readonly skipped: number;
  /**
   * Where to go on if it is broken off now; `undefined` at the start and at the
   * end.
   */
  readonly cursor?: string | undefined;
}

/** How to copy. */
export interface CopyOptions {
  /**
   * About how many sessions to copy at a time, before other work gets its turn.
   *
   * @default {100}
   */
  readonly batch?: number | undefined;
  /**
   * Leaves out sessions that were not used in `from` since then, in milliseconds
   * since the Unix epoch: `startedAt` of the last complete run, so that a
   * session which was copied then and ended in `to` does not come back. Five
   * minutes are taken off, because clocks differ.
   *
   * @default {0}
   */
  readonly since?: number | undefined;
  /** Where a run that was broken off has come to: its last `cursor`. */
  readonly cursor?: string | undefined;
  /**
   * Which copies runs have brought up to date, by id, with their version in
   * `to`. Hand in the same map at every run if there are more than two: a
   * session that is not in it is brought up to date once, then kept.
   *
   * @default {new Map()}
   */
  readonly refreshes?: Map<string, number> | undefined;
  /** Called after each batch. */
  readonly onProgress?: ((progress: CopyProgress) => void) | undefined;
  /**
   * Called for each session that cannot be copied: code `"corrupt"` if its
   * record cannot be read on either side, `"too-large"` if `to` has no room for
   * its data.
   */
  readonly onSkip?: ((id: string, error: SessionError) => void) | undefined;
  /** Stops it between two batches. */
  readonly signal?: AbortSignal | undefined;
  /**
   * The time in milliseconds since the Unix epoch.
   *
   * @default {() => Date.now()}
   */
  readonly now?: (() => number) | undefined;
}

/**
 * Copies every live session, with everything that its cookie needs to go on
 * working: secrets, sign-in, deadlines. Safe to break off and to repeat, and
 * while both stores are in use.
 *
 * A session that `to` has already is brought up to date only as long as nobody
 * but a copy has changed it there, its token included, and only from a state in
 * `from` that is later than the copy. All copies begin with version 1, which matters to nobody:
 * versions are compared within one request.
 *
 * What no copy can know: a session that ended in `from` after it was copied goes
 * on in `to`, and one that ended in `to` comes back if it is still in `from` and
 * was used there after `since`. So keep the runs close to the switch, and delete
 * `from` soon after.
 *
 * @param from What to copy; nothing in it is changed.
 * @param to Where to. Empty, or with what earlier runs copied.
 * @returns The counts at the end.
 * @throws {TypeError} If `from` has no `scan`, if both are the same, or if there
 * is an option of another name.
 * @throws {RangeError} If `batch` is not a positive whole number.
 * @throws {SessionError} If a provider fails; a `cause` says why. Go on later from
 * the `cursor` of the last progress.
 * @throws The reason of `signal`.
 */
export async function copy(
  from: Provider,
  to: Provider,
  given: CopyOptions = {},
): Promise<CopyProgress> {
  const options = checkOptions(given);
  const run = new CopyRun(from, to, options);
  const { signal, onProgress } = options;
  for (;;) {
    signal?.throwIfAborted();
    const isLast = await run.copyPage().catch(rethrow);
    onProgress?.(run.progress());
    if (isLast) return run.progress();
    await setImmediate();
  }
}

/** How much the clock of a machine may be ahead of another's, in milliseconds. */
const CLOCK_MARGIN = 5 * 60_000;

/** What concerns one session alone: no room for it, or a record beyond reading. */
const SKIPPED: ReadonlySet<string> = new Set(["too-large", "corrupt"]);

type Outcome = "copied" | "refreshed" | "unchanged" | "kept" | "skipped";

/** A provider that can be copied from. */
type Scannable = Provider & Required<Pick<Provider, "scan">>;

class CopyRun {
  readonly #from: Scannable;
  readonly #to: Provider;
  readonly #now: () => number;
  readonly #batch: number;
  readonly #since: number;
  readonly #refreshes: Map<string, number>;
  readonly #onSkip: CopyOptions["onSkip"];
  readonly #startedAt: number;
  readonly #counts: Record<Outcome, number> = {
    copied: 0,
    refreshed: 0,
    unchanged: 0,
    kept: 0,
    skipped: 0,
  };
  #cursor: string | undefined;
  #total: number | undefined;

  constructor(from: Provider, to: Provider, options: CopyOptions) {
    this.#from = checkProviders(from, to);
    this.#to = to;
    this.#now = options.now ?? (() => Date.now());
    this.#batch = options.batch ?? 100;
    this.#since = (options.since ?? 0) - CLOCK_MARGIN;
    this.#refreshes = options.refreshes ?? new Map();
    this.#onSkip = options.onSkip;
    this.#cursor = options.cursor;
    this.#startedAt = this.#now();
  }

  progress(): CopyProgress {
    const count = Object.values(this.#counts).reduce((sum, n) => sum + n, 0);
    return {
      startedAt: this.#startedAt,
      count,
      total: this.#total,
      ...this.#counts,
      cursor: this.#cursor,
    };
  }

  /** @returns Whether it was the last page. */
  async copyPage(): Promise<boolean> {
    const { sessions, unreadable, next, total } = ownOf(
      await this.#from.scan(this.#cursor, this.#batch, this.#now()),
    );
    // Counted when all are done: a page that fails is gone through again.
    const outcomes = await Promise.all(
      sessions.map(({ id, record }) =>
        this.#outcomeOf({ id, record: ownFields(record) })
      ),
    );
    for (const id of unreadable ?? []) {
      outcomes.push(this.#skip(id, unreadableError(id)));
    }
    for (const outcome of outcomes) this.#counts[outcome]++;
    this.#cursor = next;
    this.#total = total ?? this.#total;
    return next === undefined;
  }

  async #outcomeOf(session: StoredSession): Promise<Outcome> {
    if (session.record.accessedAt < this.#since) return "unchanged";
    try {
      return await this.#copy(session);
    } catch (error) {
      // One session that cannot be copied holds up none of the others.
      if (!(error instanceof SessionError) || !SKIPPED.has(error.code)) {
        throw error;
      }
      return this.#skip(session.id, error);
    }
  }

  #skip(id: string, error: SessionError): Outcome {
    this.#onSkip?.(id, error);
    return "skipped";
  }

  async #copy({ id, record }: StoredSession): Promise<Outcome> {
    const now = this.#now();
    if (!isLive(record, now)) return "kept";
    if (await this.#to.create(id, toNewRecord(record), now)) return "copied";
    const found = await this.#to.read(id, now);
    if (found === undefined) return "kept";
    const copied = ownFields(found);
    if (isUpToDate(copied, record)) return "unchanged";
    return await this.#refresh(id, copied);
  }

  async #refresh(id: string, copied: SessionRecord): Promise<Outcome> {
    if (copied.version !== (this.#refreshes.get(id) ?? 1)) return "kept";
    // Read after the copy was, and therefore no older: the one at hand may be,
    // if another run has copied the session since.
    const found = await this.#from.read(id, this.#now());
    if (found?.createdAt !== copied.createdAt) return "kept";
    const record = ownFields(found);
    if (isSame(copied, record)) return await this.#touch(id, copied, record);
    const { secretHash, previous, version } = copied;
    const token = { secretHash, until: previous?.until };
    const change = changeBetween(copied, record);
    // Last used when it was last used in `from`: the later one stands.
    const used = record.accessedAt;
    const result = await this.#to.update(id, change, { token, version }, used);
    if (result !== "done") return "kept";
    this.#refreshes.set(id, version + 1);
    return "refreshed";
  }

  async #touch(
    id: string,
    copied: SessionRecord,
    { accessedAt }: SessionRecord,
  ): Promise<Outcome> {
    if (accessedAt <= copied.accessedAt) return "unchanged";
    const isThere = await this.#to.touch(id, accessedAt);
    return isThere ? "refreshed" : "kept";
  }
}

/** Clients hang whole statements with their data on their errors. */
function rethrow(error: unknown): never {
  if (error instanceof SessionError) throw error;
  const reason = error instanceof Error ? error.message : typeof error;
  const message = `Cannot copy sessions: a provider failed: ${reason}`;
  throw new SessionError("store-failed", message, { cause: error });
}

/** The record with all its fields, and none that it inherits. */
function ownFields(record: SessionRecord): SessionRecord {
  return toRecord(record, record.version);
}

function toNewRecord(record: SessionRecord): NewSessionRecord {
  const { version: _, ...rest } = record;
  return Object.freeze(rest);
}

function isUpToDate(copied: SessionRecord, record: SessionRecord): boolean {
  return record.accessedAt <= copied.accessedAt && isSame(copied, record);
}

/** Whether two records differ in nothing but version and last use. */
function isSame(a: SessionRecord, b: SessionRecord): boolean {
  return a.createdAt === b.createdAt &&
    JSON.stringify(fieldsOf(a)) === JSON.stringify(fieldsOf(b)) &&
    Object.keys(differing(a.data, b.data)).length === 0 &&
    Object.keys(a.data).length === Object.keys(b.data).length;
}

/** What makes the copy equal to the original. */
function changeBetween(
  copied: SessionRecord,
  record: SessionRecord,
): SessionChange {
  return ownOf({
    ...fieldsOf(record),
    set: differing(record.data, copied.data),
    delete: Object.keys(copied.data)
      .filter((key) => !Object.hasOwn(record.data, key)),
  });
}

/** What an update replaces: every field but those that it cannot or need not. */
type Replaced = Exclude<
  keyof SessionRecord,
  "data" | "version" | "createdAt" | "accessedAt"
>;

/** Everything that an update can replace, but data; `null` for what is not there. */
function fieldsOf(
  record: SessionRecord,
): { [Key in Replaced]-?: SessionRecord[Key] | null } & SessionChange {
  const { previous } = record;
  return {
    secretHash: record.secretHash,
    family: record.family,
    renewedAt: record.renewedAt,
    previous: previous === undefined ? null : {
      secretHash: previous.secretHash,
      family: previous.family,
      until: previous.until,
    },
    principal: record.principal ?? null,
    label: record.label ?? null,
    authenticatedAt: record.authenticatedAt ?? null,
    fingerprint: record.fingerprint ?? null,
    binding: record.binding ?? null,
    idleTimeout: record.idleTimeout,
    absoluteTimeout: record.absoluteTimeout,
    persistent: record.persistent,
  };
}

/** The entries of `data` that `other` has not, or not with that value. */
function differing(data: StoredData, other: StoredData): StoredData {
  const found = emptyObject();
  for (const key of Object.keys(data)) {
    const value = data[key] as StoredValue;
    const counterpart: StoredValue | undefined = other[key];
    if (counterpart !== undefined && encode(counterpart) === encode(value)) {
      continue;
    }
    put(found, key, value);
  }
  return Object.freeze(found);
}

function unreadableError(id: string): SessionError {
  return new SessionError(
    "corrupt",
    "Cannot copy session: its record cannot be read",
    { id },
  );
}

function checkProviders(from: Provider, to: Provider): Scannable {
  if (from === to) {
    throw new TypeError(
      "Cannot copy sessions: the provider to copy to is the one to copy from",
    );
  }
  if (typeof from?.scan === "function") return from as Scannable;
  throw new TypeError(
    "Cannot copy sessions: the provider to copy from has no scan()",
  );
}

const OPTIONS: readonly string[] = Object.keys(
  {
    batch: 1,
    since: 1,
    cursor: 1,
    refreshes: 1,
    onProgress: 1,
    onSkip: 1,
    signal: 1,
    now: 1,
  } satisfies Record<keyof CopyOptions, 1>,
);

function checkOptions(given: CopyOptions): CopyOptions {
  const options = ownOptions("copy sessions", given, OPTIONS);
  const { batch = 100 } = options;
  if (Number.isSafeInteger(batch) && batch > 0) return options;
  throw new RangeError(
    `Cannot copy sessions: batch must be a positive whole number: received ${batch}`,
  );
}
