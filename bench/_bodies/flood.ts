import type { NewSessionRecord } from "../../core/provider.ts";
import { MemoryProvider } from "../../providers/memory.ts";
import { type BenchCase, compare, expect, sizeName } from "./bench_case.ts";
import { newRecord, START } from "./population.ts";
import { randomNumbers } from "./random.ts";
import { Stage } from "./stage.ts";
import { idsOf, randomRows, Tape } from "./tape.ts";

const MAX_FLOOD = 1_000_000;
const IDLE_TIMEOUT = 3600;

/**
 * Visitors who never come back, against a store that is full at `size` sessions,
 * half of which did come back: each visitor takes the place of another one.
 */
export function floodCases(size: number): BenchCase[] {
  const visitors = Math.min(MAX_FLOOD, size * 10);
  const map = new Stage(() => new FloodedMap(size, visitors));
  const provider = new Stage(() => new FloodedProvider(size, visitors));
  const task = {
    group: "flood",
    column: sizeName(size),
    operations: visitors,
    calls: visitors > 10_000 ? 1 : undefined,
  };
  return compare(task, [
    {
      name: "Map.set, and Map.delete of the oldest",
      prepare: () => map.enter(),
      run: () => map.value.flood(),
      verify: () => map.value.verify(),
    },
    {
      name: "ours: MemoryProvider.create",
      prepare: () => provider.enter(),
      run: () => provider.value.flood(),
      verify: () => provider.value.verify(),
    },
  ]);
}

/** Those who came back, and those who will not. */
class Crowd {
  readonly size: number;
  readonly regulars: readonly string[];
  readonly visitors: Tape;
  readonly visitorCount: number;
  readonly record: NewSessionRecord = newRecord("", START, IDLE_TIMEOUT);

  constructor(size: number, visitorCount: number) {
    const random = randomNumbers(size);
    this.size = size;
    this.visitorCount = visitorCount;
    this.regulars = idsOf(randomRows(size / 2, random));
    this.visitors = new Tape(randomRows(visitorCount, random));
  }
}

class FloodedMap {
  readonly #crowd: Crowd;
  readonly #map: Map<string, NewSessionRecord>;
  /** The latest visitors, in a ring. */
  readonly #recent: string[] = [];
  #at = 0;

  constructor(size: number, visitors: number) {
    this.#crowd = new Crowd(size, visitors);
    const { regulars, record } = this.#crowd;
    this.#map = new Map(regulars.map((id) => [id, record]));
    while (this.#map.size < size) {
      const id = this.#crowd.visitors.nextId();
      this.#map.set(id, record);
      this.#recent.push(id);
    }
  }

  flood(): number {
    const { visitors, visitorCount, record } = this.#crowd;
    let replaced = 0;
    for (let left = visitorCount; left > 0; left--) {
      const id = visitors.nextId();
      if (this.#map.delete(this.#recent[this.#at] as string)) replaced++;
      this.#map.set(id, record);
      this.#recent[this.#at] = id;
      this.#at = (this.#at + 1) % this.#recent.length;
    }
    return replaced;
  }

  verify(): void {
    const { regulars, size } = this.#crowd;
    const areSpared = regulars.every((id) => this.#map.has(id));
    expect(areSpared && this.#map.size === size, "flood of the Map");
  }
}

class FloodedProvider {
  readonly #crowd: Crowd;
  readonly #provider: MemoryProvider;
  #evicted = 0;

  constructor(size: number, visitors: number) {
    this.#crowd = new Crowd(size, visitors);
    this.#provider = new MemoryProvider({
      maxSessions: size,
      maxBytes: Infinity,
    });
    const { regulars, record } = this.#crowd;
    for (const id of regulars) {
      this.#provider.create(id, record, START);
      this.#provider.touch(id, START);
    }
    while (this.#provider.stats().sessions < size) {
      this.#provider.create(this.#crowd.visitors.nextId(), record, START);
    }
  }

  flood(): number {
    const { visitors, visitorCount, record } = this.#crowd;
    let created = 0;
    for (let left = visitorCount; left > 0; left--) {
      if (this.#provider.create(visitors.nextId(), record, START)) created++;
    }
    return created;
  }

  /** Whether each visitor took the place of another, and nobody else's. */
  verify(): void {
    const { regulars, size, visitorCount } = this.#crowd;
    const { sessions, evicted } = this.#provider.stats();
    this.#evicted += visitorCount;
    expect(sessions === size && evicted === this.#evicted, "eviction");
    const areSpared = regulars.every((id) =>
      this.#provider.read(id, START) !== undefined
    );
    expect(areSpared, "flood of the provider");
  }
}
