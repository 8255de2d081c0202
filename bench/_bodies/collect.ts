import { expiryOf } from "../../core/store/record.ts";
import type { NewSessionRecord } from "../../core/provider.ts";
import { MemoryProvider } from "../../providers/memory.ts";
import { type BenchCase, compare, expect, sizeName } from "./bench_case.ts";
import { newRecord, type Population, START } from "./population.ts";
import { randomNumbers, shuffled } from "./random.ts";
import { Stage } from "./stage.ts";
import { idsOf, randomRows } from "./tape.ts";

/** How many sessions the manager lets a provider remove in one call. */
const BATCH = 1000;

/** Empty passes that are measured together. */
const PASSES = 10_000;

/** The idle timeout of sessions that expire while they are measured. */
const IDLE_TIMEOUT = 3600;

/** A pass that finds nothing to remove. */
export function idleGcCases(
  stage: Stage<Population>,
  size: number,
): BenchCase[] {
  const prepare = () => stage.enter();
  const column = sizeName(size);
  return compare({ group: "gc of none", column, operations: PASSES }, [
    { name: "Map, first value", prepare, run: () => mapPasses(stage.value) },
    {
      name: "ours: MemoryProvider.gc",
      prepare,
      run: () => providerPasses(stage.value),
    },
  ]);
}

/** All that a `Map` kept in order of expiry would have to look at. */
function mapPasses({ map, now }: Population): number {
  let live = 0;
  for (let pass = 0; pass < PASSES; pass++) {
    for (const record of map.values()) {
      if (expiryOf(record) > now) live++;
      break;
    }
  }
  return live;
}

function providerPasses({ provider, now }: Population): number {
  let idle = 0;
  for (let pass = 0; pass < PASSES; pass++) {
    if (provider.gc(now, BATCH) === 0) idle++;
  }
  return idle;
}

/**
 * Passes that remove `generations`-th parts of `size` sessions: 1 for all of
 * them at once, 10 for a tenth beside nine tenths that live on.
 */
export function gcCases(size: number, generations: number): BenchCase[] {
  const map = new Stage(() => new AgingMap(size, generations));
  const provider = new Stage(() => new AgingProvider(size, generations));
  const share = generations === 1 ? "all" : `${100 / generations} %`;
  const task = {
    group: `gc of ${share}`,
    column: sizeName(size),
    operations: size / generations,
    calls: size > 1e3 ? (size < 1e6 ? 4 : 1) : undefined,
  };
  return compare(task, [
    {
      name: "Map.delete",
      prepare: async () => {
        await map.enter();
        map.value.age();
      },
      run: () => map.value.collect(),
    },
    {
      name: "ours: MemoryProvider.gc",
      prepare: async () => {
        await provider.enter();
        provider.value.age();
      },
      run: () => provider.value.collect(),
      verify: () => provider.value.verify(),
    },
  ]);
}

/**
 * Sessions in generations of which the oldest expires, is collected, and comes
 * back as the youngest. In each, the order of last use is not that of creation,
 * or else the next one to go would always lie beside the last one in memory.
 */
class Generations {
  readonly size: number;
  readonly #generations: readonly (readonly string[])[];
  readonly #uses: readonly (readonly string[])[];
  #oldest = 0;

  constructor(size: number, count: number) {
    this.size = size;
    const random = randomNumbers(size);
    const ids = idsOf(randomRows(size, random));
    const length = size / count;
    this.#generations = Array.from(
      { length: count },
      (_, index) => ids.slice(index * length, (index + 1) * length),
    );
    this.#uses = this.#generations.map((some) => shuffled(some, random));
  }

  get count(): number {
    return this.#generations.length;
  }

  /** The oldest generation in order of creation. */
  get ids(): readonly string[] {
    return this.#generations[this.#oldest] ?? [];
  }

  /** The oldest generation in order of last use. */
  get idsByUse(): readonly string[] {
    return this.#uses[this.#oldest] ?? [];
  }

  goOn(): void {
    this.#oldest = (this.#oldest + 1) % this.count;
  }
}

class AgingMap {
  readonly #map = new Map<string, NewSessionRecord>();
  readonly #generations: Generations;

  constructor(size: number, generations: number) {
    this.#generations = new Generations(size, generations);
    for (let made = 1; made < generations; made++) this.#refill();
  }

  /** Fills what was collected; the next generation is the oldest now. */
  age(): void {
    this.#refill();
    expect(this.#map.size === this.#generations.size, "filling the Map");
  }

  collect(): number {
    let removed = 0;
    for (const id of this.#generations.idsByUse) {
      if (this.#map.delete(id)) removed++;
    }
    return removed;
  }

  #refill(): void {
    const record = newRecord("", START, IDLE_TIMEOUT);
    for (const id of this.#generations.ids) this.#map.set(id, record);
    this.#generations.goOn();
  }
}

class AgingProvider {
  readonly #provider = new MemoryProvider({
    maxSessions: Infinity,
    maxBytes: Infinity,
  });
  readonly #generations: Generations;
  /** Milliseconds between two generations. */
  readonly #step: number;
  #now = START;

  constructor(size: number, generations: number) {
    this.#generations = new Generations(size, generations);
    this.#step = IDLE_TIMEOUT * 1000 / generations;
    for (let made = 1; made < generations; made++) this.#refill();
  }

  /** Fills what was collected; the next generation has just expired then. */
  age(): void {
    this.#refill();
    const { sessions } = this.#provider.stats();
    expect(sessions === this.#generations.size, "filling the provider");
  }

  collect(): number {
    let total = 0;
    for (;;) {
      const removed = this.#provider.gc(this.#now, BATCH);
      total += removed;
      if (removed < BATCH) return total;
    }
  }

  /** Whether just the oldest generation is gone. */
  verify(): void {
    const { sessions } = this.#provider.stats();
    const { size, count, ids } = this.#generations;
    expect(sessions === size - size / count, "what gc left");
    if (sessions === 0) return;
    const isGone = ids.every((id) =>
      this.#provider.destroy(id, {}, this.#now) === "absent"
    );
    expect(isGone, "what gc removed");
  }

  #refill(): void {
    const record = newRecord("", this.#now, IDLE_TIMEOUT);
    for (const id of this.#generations.ids) {
      this.#provider.create(id, record, this.#now);
    }
    for (const id of this.#generations.idsByUse) {
      this.#provider.touch(id, this.#now);
    }
    this.#now += this.#step;
    this.#generations.goOn();
  }
}
