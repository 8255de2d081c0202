import type { SessionRecord } from "../../core/provider.ts";
import { LinkedList, ListElement } from "../linked_list.ts";

/** The sessions of one idle timeout, each list in the order of last use. */
export class Lane {
  readonly idleTimeout: number;
  /** Sessions that were created and have not come back. */
  readonly probation: LinkedList<Entry> = new LinkedList();
  /** Sessions that came back at least once. */
  readonly established: LinkedList<Entry> = new LinkedList();

  constructor(idleTimeout: number) {
    this.idleTimeout = idleTimeout;
  }

  get isEmpty(): boolean {
    return this.probation.size === 0 && this.established.size === 0;
  }
}

/**
 * A record in its list. A touch writes two numbers here; the frozen record
 * catches up when somebody reads it.
 */
export class Entry extends ListElement {
  readonly id: string;
  record: SessionRecord;
  accessedAt: number;
  expiresAt: number;
  bytes: number;
  lane: Lane;

  constructor(id: string, record: SessionRecord, bytes: number, lane: Lane) {
    super();
    this.id = id;
    this.record = record;
    this.accessedAt = record.accessedAt;
    this.expiresAt = record.expiresAt;
    this.bytes = bytes;
    this.lane = lane;
  }

  get idleDeadline(): number {
    return this.accessedAt + this.lane.idleTimeout * 1000;
  }

  upToDateRecord(): SessionRecord {
    const { record, accessedAt, expiresAt } = this;
    if (record.accessedAt === accessedAt && record.expiresAt === expiresAt) {
      return record;
    }
    const fresh = { ...record, accessedAt, expiresAt };
    this.record = Object.freeze(fresh);
    return fresh;
  }

  replace(record: SessionRecord): void {
    this.record = record;
    this.accessedAt = record.accessedAt;
    this.expiresAt = record.expiresAt;
  }
}

export function stalerOf(
  a: Entry | undefined,
  b: Entry | undefined,
): Entry | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.idleDeadline <= b.idleDeadline ? a : b;
}
