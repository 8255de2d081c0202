import { MemoryProvider } from "../../providers/memory.ts";
import { type BenchCase, expect, sizeName } from "./bench_case.ts";
import {
  idsOf,
  newRecord,
  randomNumbers,
  randomRows,
  START,
  Tape,
} from "./population.ts";

const FLOOD = 1_000_000;
const BOUND = 20_000;
const ESTABLISHED = 10_000;
const IDLE_TIMEOUT = 3600;

/** A million visitors who never come back, and ten thousand who did. */
export function floodCases(): BenchCase[] {
  const random = randomNumbers(FLOOD);
  const regulars = idsOf(randomRows(ESTABLISHED, random));
  const visitors = new Tape(randomRows(FLOOD, random));
  const record = newRecord("", START, IDLE_TIMEOUT);
  const base = {
    group: `flood, ${sizeName(FLOOD)}`,
    operations: FLOOD,
    calls: 1,
  };
  let map = new Map<string, unknown>();
  let provider = new MemoryProvider();
  return [
    {
      ...base,
      name: "Map.set, and Map.delete of the oldest",
      isFloor: true,
      prepare: () => {
        map = new Map(regulars.map((id) => [id, record]));
      },
      run: () => floodMap(map, visitors, record),
      verify: () => {
        expect(regulars.every((id) => map.has(id)), "flood of the Map");
      },
    },
    {
      ...base,
      name: "MemoryProvider.create",
      isFloor: false,
      prepare: () => {
        provider = new MemoryProvider({ maxSessions: BOUND });
        for (const id of regulars) {
          provider.create(id, record, START);
          provider.touch(id, record.expiresAt, START);
        }
      },
      run: () => {
        let created = 0;
        for (let left = FLOOD; left > 0; left--) {
          if (provider.create(visitors.nextId(), record, START)) created++;
        }
        return created;
      },
      verify: () => {
        const { sessions, evicted } = provider.stats();
        const areSpared = regulars.every((id) =>
          provider.read(id, START) !== undefined
        );
        expect(areSpared && sessions === BOUND, "flood of the provider");
        expect(evicted === FLOOD - (BOUND - ESTABLISHED), "eviction");
      },
    },
  ];
}

/** Keeps the latest ten thousand visitors beside the regulars. */
function floodMap(
  map: Map<string, unknown>,
  visitors: Tape,
  record: unknown,
): number {
  const recent: string[] = [];
  let created = 0;
  for (let index = 0; index < FLOOD; index++) {
    const id = visitors.nextId();
    const slot = index % (BOUND - ESTABLISHED);
    const oldest = recent[slot];
    if (oldest !== undefined) map.delete(oldest);
    map.set(id, record);
    recent[slot] = id;
    created++;
  }
  return created;
}
