import { type BenchCase, CALLS, compare, sizeName } from "./bench_case.ts";
import type { Population } from "./population.ts";
import type { Stage } from "./stage.ts";

/**
 * What a request does that only reads: the session becomes the most recent one.
 * The floor is how a `Map` alone keeps that order.
 */
export function touchCases(
  stage: Stage<Population>,
  size: number,
  drawn: string,
): BenchCase[] {
  const group = `touch, ${drawn}`;
  const prepare = () => stage.enter();
  return compare({ group, column: sizeName(size), operations: CALLS }, [
    {
      name: "Map.delete, then .set",
      prepare,
      run: () => mapMoves(stage.value),
    },
    { name: "Map.get", prepare, run: () => mapGets(stage.value) },
    {
      name: "ours: MemoryProvider.touch",
      prepare,
      run: () => providerTouches(stage.value),
    },
    {
      name: "ours: MemoryProvider.read, then .touch",
      prepare,
      run: () => providerReadsAndTouches(stage.value),
    },
  ]);
}

function mapMoves({ map, requests }: Population): number {
  let moved = 0;
  for (let call = 0; call < CALLS; call++) {
    const id = requests.nextId();
    const record = map.get(id);
    if (record === undefined || !map.delete(id)) continue;
    map.set(id, record);
    moved++;
  }
  return moved;
}

function mapGets({ map, requests }: Population): number {
  let found = 0;
  for (let call = 0; call < CALLS; call++) {
    if (map.get(requests.nextId()) !== undefined) found++;
  }
  return found;
}

function providerTouches(population: Population): number {
  const { provider, requests } = population;
  let touched = 0;
  for (let call = 0; call < CALLS; call++) {
    const now = population.tick();
    if (provider.touch(requests.nextId(), now)) touched++;
  }
  return touched;
}

function providerReadsAndTouches(population: Population): number {
  const { provider, requests } = population;
  let touched = 0;
  for (let call = 0; call < CALLS; call++) {
    const now = population.tick();
    const id = requests.nextId();
    if (provider.read(id, now) === undefined) continue;
    if (provider.touch(id, now)) touched++;
  }
  return touched;
}
