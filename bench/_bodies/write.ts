import { emptyObject, type StoredData } from "../../core/value/types.ts";
import { type BenchCase, CALLS, compare, sizeName } from "./bench_case.ts";
import {
  FAMILY,
  IDLE_TIMEOUT,
  newRecord,
  type Population,
} from "./population.ts";
import { randomNumbers } from "./random.ts";
import type { Stage } from "./stage.ts";
import { randomRows, shuffledRows, Tape } from "./tape.ts";

const NO_KEYS: readonly string[] = [];

/** Create, update and destroy. */
export function writeCases(
  stage: Stage<Population>,
  size: number,
): BenchCase[] {
  return [
    ...updateCases(stage, size),
    ...createCases(new Newcomers(stage, size)),
    ...destroyCases(new Newcomers(stage, size)),
  ];
}

function updateCases(stage: Stage<Population>, size: number): BenchCase[] {
  const record = newRecord("", 0, 1);
  const set = emptyObject();
  set.visits = 2;
  Object.freeze(set);
  const prepare = () => stage.enter();
  const task = { group: "update", column: sizeName(size), operations: CALLS };
  return compare(task, [
    {
      name: "Map.set",
      prepare,
      run: () => {
        const { map, requests } = stage.value;
        for (let call = 0; call < CALLS; call++) {
          map.set(requests.nextId(), record);
        }
        return map.size === size ? CALLS : 0;
      },
    },
    {
      name: "ours: MemoryProvider.update",
      prepare,
      run: () => providerUpdates(stage.value, set),
    },
  ]);
}

/** What a request with the cookie of such a session ends it with. */
const GUARD = { family: FAMILY };

function providerUpdates(population: Population, set: StoredData): number {
  const { provider, requests } = population;
  let done = 0;
  for (let call = 0; call < CALLS; call++) {
    const now = population.tick();
    const result = provider.update(
      requests.nextId(),
      { set, delete: NO_KEYS },
      GUARD,
      now,
    );
    if (result === "done") done++;
  }
  return done;
}

function createCases(newcomers: Newcomers): BenchCase[] {
  return compare({ ...newcomers.task, group: "create" }, [
    {
      name: "Map.set",
      prepare: async () => {
        await newcomers.enter();
        newcomers.deleteFromMap();
      },
      run: () => newcomers.setInMap(),
    },
    {
      name: "ours: MemoryProvider.create",
      prepare: async () => {
        await newcomers.enter();
        newcomers.destroyInProvider();
      },
      run: () => newcomers.createInProvider(),
    },
  ]);
}

function destroyCases(newcomers: Newcomers): BenchCase[] {
  return compare({ ...newcomers.task, group: "destroy" }, [
    {
      name: "Map.delete",
      prepare: async () => {
        await newcomers.enter();
        newcomers.setInMap();
      },
      run: () => newcomers.deleteFromMap(),
    },
    {
      name: "ours: MemoryProvider.destroy",
      prepare: async () => {
        await newcomers.enter();
        newcomers.createInProvider();
      },
      run: () => newcomers.destroyInProvider(),
    },
  ]);
}

/**
 * A tenth more sessions, at least 1,000, that come and go beside a population.
 * They go in another order than they came, or else the next one to go would
 * always lie beside the last one in memory.
 */
class Newcomers {
  readonly #stage: Stage<Population>;
  readonly #size: number;
  readonly #count: number;
  readonly #arrivals: Tape;
  readonly #departures: Tape;
  readonly #record = newRecord("", 0, 1);

  constructor(stage: Stage<Population>, size: number) {
    this.#stage = stage;
    this.#size = size;
    this.#count = Math.max(1000, size / 10);
    const random = randomNumbers(size + this.#count);
    const rows = randomRows(this.#count, random);
    this.#arrivals = new Tape(rows);
    this.#departures = new Tape(shuffledRows(rows, random));
  }

  get task() {
    return {
      column: sizeName(this.#size),
      operations: this.#count,
      calls: this.#count > 10_000 ? 4 : undefined,
    };
  }

  async enter(): Promise<void> {
    await this.#stage.enter();
  }

  setInMap(): number {
    const { map } = this.#stage.value;
    for (let left = this.#count; left > 0; left--) {
      map.set(this.#arrivals.nextId(), this.#record);
    }
    return map.size - this.#size;
  }

  deleteFromMap(): number {
    const { map } = this.#stage.value;
    let deleted = 0;
    for (let left = this.#count; left > 0; left--) {
      if (map.delete(this.#departures.nextId())) deleted++;
    }
    return deleted;
  }

  createInProvider(): number {
    const { provider, now } = this.#stage.value;
    const record = newRecord("", now, IDLE_TIMEOUT);
    let created = 0;
    for (let left = this.#count; left > 0; left--) {
      if (provider.create(this.#arrivals.nextId(), record, now)) created++;
    }
    return created;
  }

  destroyInProvider(): number {
    const { provider, now } = this.#stage.value;
    let destroyed = 0;
    for (let left = this.#count; left > 0; left--) {
      const id = this.#departures.nextId();
      if (provider.destroy(id, GUARD, now) === "done") destroyed++;
    }
    return destroyed;
  }
}
