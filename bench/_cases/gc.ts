/** Passes of the collector that remove a tenth of the sessions, or all. */
import type { NewSessionRecord } from "../../core/provider.ts";
import { type Case, compare, expect, sizeName } from "../_harness/case.ts";
import { idOf } from "./ids.ts";
import { scattered } from "./random.ts";
import { newRecord, START, unboundedProvider } from "./population.ts";
import { Stage } from "./stage.ts";

/** How many sessions the manager lets a provider remove in one call. */
const BATCH = 1000;

/** The idle timeout of sessions that expire while they are measured, in seconds. */
const IDLE_TIMEOUT = 3600;

/** Where sessions come and expire. */
interface AgingStore {
  /** Stores sessions, and uses them in another order. */
  fill(ids: readonly string[], idsByUse: readonly string[], now: number): void;
  /** Removes those that have expired, which have these ids. */
  collect(idsByUse: readonly string[], now: number): number;
  has(id: string): boolean;
  size(): number;
}

function agingMap(): AgingStore {
  const map = new Map<string, NewSessionRecord>();
  const record = newRecord("", START, IDLE_TIMEOUT);
  return {
    fill(ids) {
      for (const id of ids) map.set(id, record);
    },
    collect(idsByUse) {
      let removed = 0;
      for (const id of idsByUse) if (map.delete(id)) removed++;
      return removed;
    },
    has: (id) => map.has(id),
    size: () => map.size,
  };
}

function agingProvider(): AgingStore {
  const provider = unboundedProvider();
  return {
    fill(ids, idsByUse, now) {
      const record = newRecord("", now, IDLE_TIMEOUT);
      for (const id of ids) provider.create(id, record, now);
      for (const id of idsByUse) provider.touch(id, now);
    },
    collect(_idsByUse, now) {
      let total = 0;
      for (;;) {
        const removed = provider.gc(now, BATCH);
        total += removed;
        if (removed < BATCH) return total;
      }
    },
    has: (id) => provider.read(id, START) !== undefined,
    size: () => provider.stats().sessions,
  };
}

/**
 * Passes that remove one of as many generations: 1 for all sessions at once, 10
 * for a tenth beside nine tenths that live on. The oldest expires, is collected,
 * and comes back as the youngest. In each, the order of last use is not that of
 * creation, or else the next one to go would always lie beside the last one in
 * memory.
 */
export function gcCases(size: number, generations: number): Case[] {
  const length = size / generations;
  const ids = Array.from(
    { length: generations },
    (_, generation) =>
      Array.from({ length }, (_, at) => idOf(generation * length + at)),
  );
  const idsByUse = ids.map((some) =>
    some.map((_, at) => some[scattered(at, length)] as string)
  );
  const candidate = (name: string, open: () => AgingStore) => {
    let now = START;
    let oldest = 0;
    const fill = (store: AgingStore) => {
      store.fill(ids[oldest] ?? [], idsByUse[oldest] ?? [], now);
      now += IDLE_TIMEOUT * 1000 / generations;
      oldest = (oldest + 1) % generations;
    };
    const stage = new Stage(() => {
      const store = open();
      for (let made = 1; made < generations; made++) fill(store);
      return store;
    });
    return {
      name,
      prepare: async () => {
        const store = await stage.enter();
        fill(store);
        expect(store.size() === size, "filling a store");
      },
      run: () => stage.value.collect(idsByUse[oldest] ?? [], now),
      verify: () => {
        const { value: store } = stage;
        expect(store.size() === size - length, "what gc left");
        expect(!ids[oldest]?.some((id) => store.has(id)), "gc");
      },
    };
  };
  const task = {
    group: `gc of ${generations === 1 ? "all" : `${100 / generations} %`}`,
    column: sizeName(size),
    operations: length,
    calls: size > 1e3 ? (size < 1e6 ? 4 : 1) : undefined,
  };
  return compare(
    task,
    candidate("Map.delete", agingMap),
    candidate("ours: MemoryProvider.gc", agingProvider),
  );
}
