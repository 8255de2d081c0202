/** The memory provider's contract and bounds in linear scans over one array. */
import { assertExists } from "@std/assert";
import { SessionError } from "../core/errors.ts";
import type {
  DestroyResult,
  Guard,
  NewSessionRecord,
  SessionChange,
  SessionRecord,
  SessionSummary,
  StoredSession,
  UpdateResult,
} from "../core/provider.ts";
import { isLive } from "../core/store/record.ts";
import type { StoredData } from "../core/value/types.ts";
import type {
  MemoryProviderOptions,
  MemoryProviderStats,
} from "../providers/memory.ts";
import { bytesOf } from "./_memory.ts";

/** A session of the model. */
interface Row {
  readonly id: string;
  record: SessionRecord;
  cameBack: boolean;
  /** Its place in the order of all uses. */
  lastUse: number;
}

/** Answers what the provider has to answer. */
export class NaiveProvider {
  readonly #maxSessions: number;
  readonly #maxBytes: number;
  #rows: Row[] = [];
  #uses = 0;
  #created = 0;
  #expired = 0;
  #evicted = 0;

  /** A model with the bounds of a provider. */
  constructor({ maxSessions, maxBytes }: MemoryProviderOptions) {
    this.#maxSessions = maxSessions ?? Infinity;
    this.#maxBytes = maxBytes ?? Infinity;
  }

  /** The record of an id, dead or alive; looking leaves no trace. */
  peek(id: string): SessionRecord | undefined {
    return this.#rows.find((row) => row.id === id)?.record;
  }

  /** How many sessions there are whose idle deadline has not passed. */
  countWithinIdleDeadline(now: number): number {
    return this.#rows.filter((row) => idleDeadline(row) > now).length;
  }

  create(id: string, record: NewSessionRecord, now: number): boolean {
    this.#dropIfEnded(id, now);
    if (this.peek(id) !== undefined) return false;
    this.#checkFits(record.data);
    const row = {
      id,
      record: { ...NO_FIELDS, ...record, version: 1 },
      cameBack: false,
      lastUse: this.#uses++,
    };
    this.#rows.push(row);
    this.#created++;
    this.#makeRoom(row, now);
    return true;
  }

  read(id: string, now: number): SessionRecord | undefined {
    return this.#live(id, now)?.record;
  }

  update(
    id: string,
    change: SessionChange,
    guard: Guard,
    now: number,
  ): UpdateResult {
    const row = this.#live(id, now);
    if (row === undefined) return "gone";
    const refused = refusal(row.record, guard);
    if (refused !== undefined) return refused;
    const next = changed(row.record, change, now);
    if (bytesOf(next.data) > bytesOf(row.record.data)) {
      this.#checkFits(next.data);
    }
    const wasSignedIn = row.record.principal !== undefined;
    row.record = next;
    if (change.isUse !== false) this.#use(row);
    else if (wasSignedIn) row.cameBack = true;
    this.#makeRoom(row, now);
    return "done";
  }

  touch(id: string, now: number): boolean {
    const row = this.#live(id, now);
    if (row === undefined) return false;
    const accessedAt = Math.max(row.record.accessedAt, now);
    row.record = { ...row.record, accessedAt };
    this.#use(row);
    return true;
  }

  destroy(id: string, guard: Guard, now: number): DestroyResult {
    const row = this.#live(id, now);
    if (row === undefined) return "absent";
    if (refusal(row.record, guard) !== undefined) return "refused";
    this.#drop((each) => each === row);
    return "done";
  }

  gc(now: number, limit: number): number {
    const stale = this.#rows
      .filter((row) => idleDeadline(row) <= now)
      .sort(byStaleness)
      .slice(0, limit);
    this.#expired += stale.length;
    return this.#drop((row) => stale.includes(row));
  }

  /** Removes one that is said to have expired. */
  expire(id: string): void {
    this.#expired += this.#drop((row) => row.id === id);
  }

  list(principal: string, now: number): SessionSummary[] {
    return this.scan(now)
      .filter(({ record }) => record.principal === principal)
      .map(({ id, record }) => ({
        id,
        label: record.label,
        binding: record.binding,
        authenticatedAt: record.authenticatedAt,
        createdAt: record.createdAt,
        accessedAt: record.accessedAt,
        idleTimeout: record.idleTimeout,
        absoluteTimeout: record.absoluteTimeout,
      }));
  }

  scan(now: number): StoredSession[] {
    return this.#rows
      .filter(({ record }) => isLive(record, now))
      .map(({ id, record }) => ({ id, record }));
  }

  destroyAll(principal: string, except?: string): number {
    return this.#drop((row) =>
      row.record.principal === principal && row.id !== except
    );
  }

  stats(): MemoryProviderStats {
    return {
      sessions: this.#rows.length,
      bytes: this.#bytes(),
      created: this.#created,
      expired: this.#expired,
      evicted: this.#evicted,
    };
  }

  #live(id: string, now: number): Row | undefined {
    this.#dropIfEnded(id, now);
    const row = this.#rows.find((each) => each.id === id);
    return row !== undefined && isLive(row.record, now) ? row : undefined;
  }

  #dropIfEnded(id: string, now: number): void {
    const row = this.#rows.find((each) => each.id === id);
    if (row === undefined || isLive(row.record, now)) return;
    const { authenticatedAt, createdAt, absoluteTimeout } = row.record;
    const end = (authenticatedAt ?? createdAt) + absoluteTimeout * 1000;
    if (idleDeadline(row) <= now || end <= now) this.expire(id);
  }

  #use(row: Row): void {
    row.cameBack = true;
    row.lastUse = this.#uses++;
  }

  #drop(isDoomed: (row: Row) => boolean): number {
    const before = this.#rows.length;
    this.#rows = this.#rows.filter((row) => !isDoomed(row));
    return before - this.#rows.length;
  }

  #bytes(): number {
    return this.#rows.reduce((sum, row) => sum + bytesOf(row.record.data), 0);
  }

  #checkFits(data: StoredData): void {
    if (bytesOf(data) <= this.#maxBytes) return;
    throw new SessionError("too-large", "too large for the model");
  }

  /** Drops rows that stand in the way of `keep`, expired ones first. */
  #makeRoom(keep: Row, now: number): void {
    while (
      this.#rows.length > this.#maxSessions || this.#bytes() > this.#maxBytes
    ) {
      const others = this.#rows.filter((row) => row !== keep);
      const [stalest] = others.sort(byStaleness);
      const [victim] = others.sort(byEviction);
      assertExists(stalest);
      assertExists(victim);
      const isExpired = idleDeadline(stalest) <= now;
      if (isExpired) this.#expired++;
      else this.#evicted++;
      this.#drop((row) => row === (isExpired ? stalest : victim));
    }
  }
}

/** The fields that a record may be created without. */
const NO_FIELDS = {
  previous: undefined,
  principal: undefined,
  label: undefined,
  authenticatedAt: undefined,
  fingerprint: undefined,
  binding: undefined,
};

/** When the idle timeout of a session ends. */
export function idleDeadline(
  { record }: { readonly record: SessionRecord },
): number {
  return record.accessedAt + record.idleTimeout * 1000;
}

/** Newcomers, visitors that came back, and the signed-in. */
function kindOf({ record, cameBack }: Row): number {
  return record.principal === undefined ? Number(cameBack) : 2;
}

function byStaleness(a: Row, b: Row): number {
  return idleDeadline(a) - idleDeadline(b) || kindOf(a) - kindOf(b) ||
    a.lastUse - b.lastUse;
}

function byEviction(a: Row, b: Row): number {
  return kindOf(a) - kindOf(b) || byStaleness(a, b);
}

function refusal(
  record: SessionRecord,
  guard: Guard,
): "gone" | "conflict" | undefined {
  const { family = record.family, principal = record.principal } = guard;
  if (family !== record.family || principal !== record.principal) return "gone";
  const state = {
    secretHash: record.secretHash,
    until: record.previous?.until,
  };
  const { token = state, version = record.version } = guard;
  const { binding = record.binding ?? null } = guard;
  const isMet = token.secretHash === state.secretHash &&
    token.until === state.until && version === record.version &&
    binding === (record.binding ?? null);
  return isMet ? undefined : "conflict";
}

/** The record after a change: what is `undefined` stays, `null` goes. */
function changed(
  record: SessionRecord,
  change: SessionChange,
  now: number,
): SessionRecord {
  const { set = {}, delete: removed = [], isUse = true, ...fields } = change;
  const entries = new Map(Object.entries({ ...record.data }));
  for (const [key, value] of Object.entries(set)) entries.set(key, value);
  for (const key of removed) entries.delete(key);
  const given = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [name, value ?? undefined]);
  return {
    ...record,
    ...Object.fromEntries(given),
    data: Object.fromEntries(entries),
    accessedAt: isUse ? Math.max(record.accessedAt, now) : record.accessedAt,
    version: record.version + 1,
  };
}
