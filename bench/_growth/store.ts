import type { NewSessionRecord } from "../../core/provider.ts";
import { emptyObject } from "../../core/value/types.ts";
import { MemoryProvider } from "../../providers/memory.ts";
import { openPeer, PEERS } from "./peers.ts";

/**
 * What is measured: something that finds a session by its id. Every call tells
 * whether it did what it must, and a run in which one did not fails.
 */
export interface Store {
  create(id: string, record: NewSessionRecord): boolean;
  /** Finds the session, as every request does. */
  read(id: string): boolean;
  /** Moves the deadline of the session to the end of its idle timeout. */
  touch(id: string): boolean;
  destroy(id: string): boolean;
  /** Removes sessions that have expired; left out if it never does so. */
  collect?(): number;
}

/** What a store has to be told beforehand. */
export interface StoreOptions {
  /** The most sessions that it will hold. */
  readonly capacity: number;
  /** Whether its sessions have expired as soon as they are there. */
  readonly isExpired?: boolean;
}

/** Ours. */
export const OURS = "MemoryProvider";

/** How many sessions the manager lets a provider remove in one call. */
const GC_BATCH = 1000;

/** How many sessions the control keeps in one array. */
const ROW_LENGTH = 1024;

/** What has no index at all: what is left is the engine's own work. */
export const CONTROL = "array, no index";

/** All stores, in the order of the tables. */
export const STORES: readonly string[] = [OURS, "Map", ...PEERS, CONTROL];

/** Whether a store can look a session up by its id. */
export function hasIndex(name: string): boolean {
  return name !== CONTROL;
}

/** The instant at which every session is created. */
export const START = 1_750_000_000_000;

const IDLE_TIMEOUT = 3600;

/** The instant at which a session has expired that nobody came back to. */
export const DEADLINE: number = START + IDLE_TIMEOUT * 1000;

const DATA = Object.freeze(Object.assign(emptyObject(), { visits: 1 }));
const SECRET_HASH = "0123456789abcdef".repeat(4);
const FAMILY = "0123456789abcdef";

/** A record of its own; what hangs on it is shared, to make room for more. */
export function newRecord(): NewSessionRecord {
  return {
    data: DATA,
    secretHash: SECRET_HASH,
    family: FAMILY,
    renewedAt: START,
    previous: undefined,
    principal: undefined,
    label: undefined,
    authenticatedAt: undefined,
    fingerprint: undefined,
    binding: undefined,
    createdAt: START,
    accessedAt: START,
    idleTimeout: IDLE_TIMEOUT,
    absoluteTimeout: 24 * IDLE_TIMEOUT,
    persistent: false,
  };
}

/** An empty store. */
export function openStore(
  name: string,
  options: StoreOptions,
): Store | Promise<Store> {
  const now = options.isExpired ? DEADLINE : START;
  if (name === OURS) return openMemoryProvider(now);
  if (name === "Map") return openMap(now);
  if (name === CONTROL) return openArray();
  return openPeer(name, {
    capacity: options.capacity,
    // A peer has the clock of the machine: what lives so short has expired.
    lifetime: options.isExpired ? 1 : IDLE_TIMEOUT * 1000,
  });
}

/** A provider without bounds. */
export function unboundedProvider(): MemoryProvider {
  return new MemoryProvider({ maxSessions: Infinity, maxBytes: Infinity });
}

/** Collects the engine's garbage, all of it. */
export function collectGarbage(): void {
  const { gc, Bun } = globalThis as {
    gc?: () => void;
    Bun?: { gc(isSynchronous: boolean): void };
  };
  if (Bun !== undefined) return Bun.gc(true);
  if (gc === undefined) throw new Error("Cannot measure: --expose-gc is off");
  gc();
}

function openMemoryProvider(now: number): Store {
  const provider = unboundedProvider();
  return {
    create: (id, record) => provider.create(id, record, START),
    read: (id) => provider.read(id, now) !== undefined,
    touch: (id) => provider.touch(id, START),
    destroy: (id) => provider.destroy(id, {}, START) === "done",
    collect: () => provider.gc(now, GC_BATCH),
  };
}

/** What one writes by hand: no order, so that collecting looks at them all. */
function openMap(now: number): Store {
  const sessions = new Map<string, { expiresAt: number }>();
  return {
    create: (id, record) =>
      sessions.set(id, { ...record, expiresAt: DEADLINE }) === sessions,
    read: (id) => (sessions.get(id)?.expiresAt ?? 0) > now,
    touch: (id) => {
      const session = sessions.get(id);
      if (session === undefined) return false;
      session.expiresAt = DEADLINE;
      return true;
    },
    destroy: (id) => sessions.delete(id),
    collect: () => {
      let removed = 0;
      for (const [id, { expiresAt }] of sessions) {
        if (expiresAt > now) continue;
        sessions.delete(id);
        removed++;
      }
      return removed;
    },
  };
}

/** Short arrays, because a long one would have to move when it grows. */
function openArray(): Store {
  const rows: unknown[][] = [[]];
  const missing = () => false;
  return {
    create: (id, record) => {
      const row = rows.at(-1) as unknown[];
      row.push({ id, record });
      if (row.length === ROW_LENGTH) rows.push([]);
      return true;
    },
    read: missing,
    touch: missing,
    destroy: missing,
  };
}
