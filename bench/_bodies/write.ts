import type { Buffer } from "node:buffer";
import type { NewSessionRecord } from "../../core/provider.ts";
import { emptyObject, type StoredData } from "../../core/value.ts";
import { type BenchCase, CALLS, sizeName } from "./bench_case.ts";
import {
  IDLE_TIMEOUT,
  newRecord,
  type Population,
  randomNumbers,
  randomRows,
  shuffledRows,
  Tape,
} from "./population.ts";

const NO_KEYS: readonly string[] = [];

/** Create, update and destroy. */
export function writeCases(population: Population): BenchCase[] {
  return [
    ...updateCases(population),
    ...createCases(new Newcomers(population)),
    ...destroyCases(new Newcomers(population)),
  ];
}

function updateCases(population: Population): BenchCase[] {
  const base = {
    group: `update, ${sizeName(population.size)}`,
    operations: CALLS,
  };
  const record = newRecord("", population.now, 1);
  const set = emptyObject();
  set.visits = 2;
  Object.freeze(set);
  return [
    {
      ...base,
      name: "Map.set",
      isFloor: true,
      run: () => mapUpdates(population, record),
    },
    {
      ...base,
      name: "MemoryProvider.update",
      isFloor: false,
      run: () => providerUpdates(population, set),
    },
  ];
}

function mapUpdates(population: Population, record: NewSessionRecord): number {
  const { map, requests, size } = population;
  for (let call = 0; call < CALLS; call++) map.set(requests.nextId(), record);
  return map.size === size ? CALLS : 0;
}

function providerUpdates(population: Population, set: StoredData): number {
  const { provider, requests } = population;
  let done = 0;
  for (let call = 0; call < CALLS; call++) {
    const now = population.tick();
    const result = provider.update(
      requests.nextId(),
      { set, delete: NO_KEYS, expiresAt: now + population.idleTime },
      { secretHash: requests.secretHash() },
      now,
    );
    if (result === "done") done++;
  }
  return done;
}

function createCases(newcomers: Newcomers): BenchCase[] {
  const { count, size } = newcomers;
  const base = {
    group: `create, ${sizeName(size)}`,
    operations: count,
    ...(count > 10_000 ? { calls: 4 } : {}),
  };
  return [
    {
      ...base,
      name: "Map.set",
      isFloor: true,
      prepare: () => void newcomers.deleteFromMap(),
      run: () => newcomers.setInMap(),
    },
    {
      ...base,
      name: "MemoryProvider.create",
      isFloor: false,
      prepare: () => void newcomers.destroyInProvider(),
      run: () => newcomers.createInProvider(),
    },
  ];
}

function destroyCases(newcomers: Newcomers): BenchCase[] {
  const { count, size } = newcomers;
  const base = {
    group: `destroy, ${sizeName(size)}`,
    operations: count,
    ...(count > 10_000 ? { calls: 4 } : {}),
  };
  return [
    {
      ...base,
      name: "Map.delete",
      isFloor: true,
      prepare: () => void newcomers.setInMap(),
      run: () => newcomers.deleteFromMap(),
    },
    {
      ...base,
      name: "MemoryProvider.destroy",
      isFloor: false,
      prepare: () => void newcomers.createInProvider(),
      run: () => newcomers.destroyInProvider(),
    },
  ];
}

/**
 * A tenth more sessions, at least 1,000, that come and go beside a population.
 * They go in another order than they came, or else the next one to go would
 * always lie beside the last one in memory.
 */
class Newcomers {
  readonly size: number;
  readonly count: number;
  readonly #population: Population;
  readonly #arrivals: Tape;
  readonly #departures: Tape;
  readonly #record = newRecord("", 0, 1);

  constructor(population: Population) {
    this.#population = population;
    this.size = population.size;
    this.count = Math.max(1000, population.size / 10);
    const random = randomNumbers(this.size + this.count);
    const rows: Buffer = randomRows(this.count, random);
    this.#arrivals = new Tape(rows);
    this.#departures = new Tape(shuffledRows(rows, random));
  }

  setInMap(): number {
    const { map } = this.#population;
    for (let left = this.count; left > 0; left--) {
      map.set(this.#arrivals.nextId(), this.#record);
    }
    return map.size - this.size;
  }

  deleteFromMap(): number {
    const { map } = this.#population;
    let deleted = 0;
    for (let left = this.count; left > 0; left--) {
      if (map.delete(this.#departures.nextId())) deleted++;
    }
    return deleted;
  }

  createInProvider(): number {
    const { provider, now } = this.#population;
    const record = newRecord("", now, IDLE_TIMEOUT);
    let created = 0;
    for (let left = this.count; left > 0; left--) {
      if (provider.create(this.#arrivals.nextId(), record, now)) created++;
    }
    return created;
  }

  destroyInProvider(): number {
    const { provider } = this.#population;
    let destroyed = 0;
    for (let left = this.count; left > 0; left--) {
      if (provider.destroy(this.#departures.nextId())) destroyed++;
    }
    return destroyed;
  }
}
