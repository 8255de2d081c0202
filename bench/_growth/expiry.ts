import { setImmediate } from "node:timers/promises";
import { Manager } from "../../mod.ts";
import { ownTime, timeOf, waits } from "./clock.ts";
import { BATCH, bringIds, mintIds, scattered } from "./ids.ts";
import {
  DEADLINE,
  newRecord,
  openStore,
  OURS,
  START,
  type Store,
  unboundedProvider,
} from "./store.ts";

/** How long sessions that have expired kept everybody else waiting. */
export interface Expiry {
  /** How many calls removed them. */
  readonly calls: number;
  /** The longest of these calls, in milliseconds. */
  readonly longest: number;
  /** All of them, in milliseconds. */
  readonly total: number;
}

/** Collects as many sessions, all expired, each call timed by itself. */
export async function measureExpiry(
  name: string,
  count: number,
): Promise<Expiry | undefined> {
  const store = await openStore(name, { capacity: count, isExpired: true });
  if (store.collect === undefined) return undefined;
  fill((id) => store.create(id, newRecord()), count);
  if (name === OURS) touchAll(store, count);
  waitForPeers();
  let calls = 0;
  let longest = 0;
  let total = 0;
  for (let left = count; left > 0; calls++) {
    let removed = 0;
    const elapsed = timeOf(() => removed = store.collect?.() ?? 0);
    if (removed === 0) throw new Error(`Cannot measure: ${name} kept ${left}`);
    left -= removed;
    total += elapsed;
    longest = Math.max(longest, elapsed);
  }
  if (store.collect() !== 0) {
    throw new Error(`Cannot measure: ${name} removed what was not there`);
  }
  return { calls, longest, total };
}

/**
 * Lets a manager collect as many sessions, and measures how long other work has
 * to wait for its turn.
 */
export async function measureTurns(count: number): Promise<Expiry> {
  const provider = unboundedProvider();
  fill((id) => provider.create(id, newRecord(), START), count);
  const manager = new Manager({
    provider,
    gcInterval: 0,
    now: () => DEADLINE,
  });
  let longest = 0;
  let turns = 0;
  let total = 0;
  let isDone = false;
  const pass = manager.gc().then((removed) => {
    isDone = true;
    return removed;
  });
  while (!isDone) {
    waits.next();
    const begin = performance.now();
    await setImmediate();
    const elapsed = ownTime(performance.now() - begin);
    longest = Math.max(longest, elapsed);
    total += elapsed;
    turns++;
  }
  const removed = await pass;
  if (removed !== count) {
    throw new Error(`Cannot measure: gc removed ${removed} of ${count}`);
  }
  await manager.close();
  return { calls: turns, longest, total };
}

/** Longer than their sessions live; a timer would let them collect on theirs. */
function waitForPeers(): void {
  const end = performance.now() + 20;
  while (performance.now() < end);
}

const ids: string[] = new Array(BATCH).fill("");

function fill(create: (id: string) => boolean, count: number): void {
  let created = 0;
  for (let first = 0; first < count; first += BATCH) {
    const length = Math.min(BATCH, count - first);
    mintIds(ids, length, (position) => first + position);
    for (let position = 0; position < length; position++) {
      if (create(ids[position] as string)) created++;
    }
  }
  if (created !== count) throw new Error("Cannot measure: a session is lost");
}

/** Or else the next one to go would always lie beside the last in memory. */
function touchAll(store: Store, count: number): void {
  for (let first = 0; first < count; first += BATCH) {
    const length = Math.min(BATCH, count - first);
    const batch = bringIds(
      length,
      (position) => scattered(first + position, count),
    );
    for (let position = 0; position < length; position++) {
      if (store.touch(batch.at(position))) continue;
      throw new Error("Cannot measure: a session is lost");
    }
  }
}
