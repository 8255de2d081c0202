import { expiryOf } from "../../core/store/record.ts";
import { type BenchCase, CALLS, compare, sizeName } from "./bench_case.ts";
import type { Population } from "./population.ts";
import type { Stage } from "./stage.ts";
import type { Visits } from "./tape.ts";

/** Reads that find a session and reads that do not. */
export function lookupCases(
  stage: Stage<Population>,
  size: number,
): BenchCase[] {
  return [
    ...hitCases(stage, size, "fresh ids", ({ requests }) => requests),
    ...hitCases(stage, size, "cached ids", ({ repeated }) => repeated),
    ...missCases(stage, size, "fresh ids", ({ strangers }) => strangers),
    ...missCases(
      stage,
      size,
      "cached ids",
      ({ repeatedStrangers }) => repeatedStrangers,
    ),
  ];
}

type Choice = (population: Population) => Visits;

function hitCases(
  stage: Stage<Population>,
  size: number,
  ids: string,
  choose: Choice,
): BenchCase[] {
  const group = `read, hit, ${ids}`;
  const prepare = () => stage.enter();
  return compare({ group, column: sizeName(size), operations: CALLS }, [
    {
      name: "Map.get",
      prepare,
      run: () => mapHits(stage.value, choose(stage.value)),
    },
    {
      name: "Map.get, deadline compared",
      prepare,
      run: () => liveMapHits(stage.value, choose(stage.value)),
    },
    {
      name: "ours: MemoryProvider.read",
      prepare,
      run: () => providerHits(stage.value, choose(stage.value)),
    },
  ]);
}

function missCases(
  stage: Stage<Population>,
  size: number,
  ids: string,
  choose: Choice,
): BenchCase[] {
  const group = `read, miss, ${ids}`;
  const prepare = () => stage.enter();
  return compare({ group, column: sizeName(size), operations: CALLS }, [
    {
      name: "Map.get",
      prepare,
      run: () => CALLS - mapHits(stage.value, choose(stage.value)),
    },
    {
      name: "ours: MemoryProvider.read",
      prepare,
      run: () => CALLS - providerHits(stage.value, choose(stage.value)),
    },
  ]);
}

function mapHits({ map }: Population, visits: Visits): number {
  let found = 0;
  for (let call = 0; call < CALLS; call++) {
    if (map.get(visits.nextId()) !== undefined) found++;
  }
  return found;
}

function liveMapHits({ map, now }: Population, visits: Visits): number {
  let found = 0;
  for (let call = 0; call < CALLS; call++) {
    const record = map.get(visits.nextId());
    if (record !== undefined && expiryOf(record) > now) found++;
  }
  return found;
}

function providerHits({ provider, now }: Population, visits: Visits): number {
  let found = 0;
  for (let call = 0; call < CALLS; call++) {
    if (provider.read(visits.nextId(), now) !== undefined) found++;
  }
  return found;
}
