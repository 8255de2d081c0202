/**
 * The contract at its plainest: a provider that is one `Map` of records, for
 * tests to compare with and to break.
 *
 * @module
 */
import { SessionError } from "../core/errors.ts";
import type {
  DestroyResult,
  Guard,
  NewSessionRecord,
  Provider,
  ScanPage,
  SessionChange,
  SessionList,
  SessionRecord,
  UpdateResult,
} from "../core/provider.ts";
import {
  applied,
  guardFailure,
  isLive,
  summaryOf,
  toRecord,
} from "../core/store/record.ts";

/** Records by id, each call one look and one assignment. */
export class ModelProvider implements Provider {
  /** Open to tests that break the provider. */
  readonly records = new Map<string, SessionRecord>();
  #isClosed = false;

  create(id: string, record: NewSessionRecord, now: number): boolean {
    if (this.read(id, now) !== undefined) return false;
    this.records.set(id, toRecord(record, 1));
    return true;
  }

  read(id: string, now: number): SessionRecord | undefined {
    this.#checkOpen();
    const record = this.records.get(id);
    return record !== undefined && isLive(record, now) ? record : undefined;
  }

  update(
    id: string,
    change: SessionChange,
    guard: Guard,
    now: number,
  ): UpdateResult {
    const record = this.read(id, now);
    if (record === undefined) return "gone";
    const failure = guardFailure(record, guard);
    if (failure !== undefined) return failure;
    this.records.set(id, applied(record, change, now));
    return "done";
  }

  touch(id: string, now: number): boolean {
    const record = this.read(id, now);
    if (record === undefined) return false;
    const accessedAt = Math.max(record.accessedAt, now);
    this.records.set(id, toRecord(record, record.version, accessedAt));
    return true;
  }

  destroy(id: string, guard: Guard, now: number): DestroyResult {
    this.#checkOpen();
    const record = this.records.get(id);
    if (record === undefined) return "absent";
    const isMet = guardFailure(record, guard) === undefined;
    // For a clock that is behind this one it may still live.
    if (isMet) this.records.delete(id);
    if (!isLive(record, now)) return "absent";
    return isMet ? "done" : "refused";
  }

  destroyMany(
    ids: readonly string[],
    guard: Guard,
    now: number,
  ): readonly string[] {
    return ids.filter((id) => this.destroy(id, guard, now) === "done");
  }

  gc(now: number, limit: number): number {
    this.#checkOpen();
    const dead = [...this.records].filter(([, record]) => !isLive(record, now));
    return this.#remove(dead.map(([id]) => id).slice(0, limit));
  }

  list(principal: string, now: number): SessionList {
    this.#checkOpen();
    const sessions = [...this.records]
      .filter(([, record]) => record.principal === principal)
      .filter(([, record]) => isLive(record, now))
      .map(([id, record]) => summaryOf(id, record));
    return { sessions, unreadable: [] };
  }

  destroyAll(principal: string, except?: string): number {
    this.#checkOpen();
    const ended = [...this.records]
      .filter(([id, record]) => record.principal === principal && id !== except)
      .map(([id]) => id);
    return this.#remove(ended);
  }

  clear(): number {
    this.#checkOpen();
    return this.#remove([...this.records.keys()]);
  }

  scan(cursor: string | undefined, limit: number, now: number): ScanPage {
    this.#checkOpen();
    const ids = [...this.records.keys()].sort()
      .filter((id) => cursor === undefined || id > cursor).slice(0, limit);
    const sessions = ids.flatMap((id) => {
      const record = this.read(id, now);
      return record === undefined ? [] : [{ id, record }];
    });
    return ids.length < limit ? { sessions } : { sessions, next: ids.at(-1)! };
  }

  close(): void {
    this.#isClosed = true;
  }

  #remove(ids: readonly string[]): number {
    for (const id of ids) this.records.delete(id);
    return ids.length;
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new SessionError("closed", "Cannot use provider");
  }
}
