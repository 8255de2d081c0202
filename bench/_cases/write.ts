/** Update, create and destroy, on a population that is as large afterwards. */
import { emptyObject } from "../../core/value/types.ts";
import { MemoryProvider } from "../../providers/memory.ts";
import {
  CALLS,
  type Candidate,
  type Case,
  compare,
  expect,
  sizeName,
} from "../_harness/case.ts";
import { idOf, STRANGER, Tape } from "./ids.ts";
import { scattered } from "./random.ts";
import {
  FAMILY,
  IDLE_TIMEOUT,
  newRecord,
  type Population,
  START,
} from "./population.ts";
import { Stage } from "./stage.ts";

/** The least that are created or destroyed in one call. */
const LEAST = 1000;

/** What a request with the cookie of such a session ends it with. */
const GUARD = { family: FAMILY };

const CHANGE = Object.freeze({
  set: Object.freeze(Object.assign(emptyObject(), { visits: 2 })),
  delete: [],
});

const RECORD = newRecord("", START, IDLE_TIMEOUT);

/**
 * A tenth more sessions, at least 1,000, come and go. They go in another order
 * than they came, or else the next one to go would always lie beside the last one
 * in memory.
 */
export function writeCases(stage: Stage<Population>, size: number): Case[] {
  const count = Math.max(LEAST, size / 10);
  const arrivals = new Tape(count, (at) => size + at);
  const departures = new Tape(count, (at) => size + scattered(at, count));
  const calls = count > 10_000 ? 4 : undefined;
  const column = sizeName(size);
  const task = { column, operations: count, calls };
  const map = { come: setInMap, go: deleteFromMap };
  const provider = { come: createInProvider, go: destroyInProvider };
  const come = (name: string, { come, go }: typeof map) => ({
    name,
    prepare: async () => go(await stage.enter(), departures),
    run: () => come(stage.value, arrivals),
  });
  const go = (name: string, { come, go }: typeof map) => ({
    name,
    prepare: async () => come(await stage.enter(), arrivals),
    run: () => go(stage.value, departures),
  });
  const update = (name: string, run: (population: Population) => number) => ({
    name,
    prepare: () => stage.enter(),
    run: () => run(stage.value),
  });
  return [
    ...compare(
      { column, operations: CALLS, group: "update" },
      update("Map.set", updateMap),
      update("ours: MemoryProvider.update", updateProvider),
    ),
    ...compare(
      { ...task, group: "create" },
      come("Map.set", map),
      come("ours: MemoryProvider.create", provider),
      flood(size, count),
    ),
    ...compare(
      { ...task, group: "destroy" },
      go("Map.delete", map),
      go("ours: MemoryProvider.destroy", provider),
    ),
  ];
}

/**
 * Visitors who never come back, in a store that is full, half of whose sessions
 * did come back: each takes the place of another visitor.
 */
function flood(size: number, count: number): Candidate {
  const regulars = Array.from({ length: size / 2 }, (_, at) => idOf(at));
  const bounds = { maxSessions: size, maxBytes: Infinity };
  const stage = new Stage(() => {
    const provider = new MemoryProvider(bounds);
    for (const id of regulars) {
      provider.create(id, RECORD, START);
      provider.touch(id, START);
    }
    const ids = new Tape(2 * size, (at) => STRANGER + at);
    for (let left = size / 2; left > 0; left--) {
      provider.create(ids.nextId(), RECORD, START);
    }
    return { provider, ids };
  });
  return {
    name: "ours: MemoryProvider.create in a full store",
    prepare: () => stage.enter(),
    run: () => {
      const { provider, ids } = stage.value;
      let created = 0;
      for (let left = count; left > 0; left--) {
        if (provider.create(ids.nextId(), RECORD, START)) created++;
      }
      return created;
    },
    verify: () => {
      const { provider } = stage.value;
      const isSpared = (id: string) => provider.read(id, START) !== undefined;
      expect(regulars.every(isSpared), "a flood");
      expect(provider.stats().sessions === size, "eviction");
    },
  };
}

function updateMap({ map, requests, size }: Population): number {
  for (let call = 0; call < CALLS; call++) map.set(requests.nextId(), RECORD);
  return map.size === size ? CALLS : 0;
}

function updateProvider(population: Population): number {
  const { provider, requests } = population;
  let done = 0;
  for (let call = 0; call < CALLS; call++) {
    const now = population.tick();
    const result = provider.update(requests.nextId(), CHANGE, GUARD, now);
    if (result === "done") done++;
  }
  return done;
}

function setInMap({ map, size }: Population, ids: Tape): number {
  for (let left = ids.length; left > 0; left--) map.set(ids.nextId(), RECORD);
  return map.size - size;
}

function deleteFromMap({ map }: Population, ids: Tape): number {
  let deleted = 0;
  for (let left = ids.length; left > 0; left--) {
    if (map.delete(ids.nextId())) deleted++;
  }
  return deleted;
}

function createInProvider({ provider, now }: Population, ids: Tape): number {
  let created = 0;
  for (let left = ids.length; left > 0; left--) {
    if (provider.create(ids.nextId(), RECORD, now)) created++;
  }
  return created;
}

function destroyInProvider({ provider, now }: Population, ids: Tape): number {
  let destroyed = 0;
  for (let left = ids.length; left > 0; left--) {
    if (provider.destroy(ids.nextId(), GUARD, now) === "done") destroyed++;
  }
  return destroyed;
}
