import { type BenchCase, CALLS, expect, sizeName } from "./bench_case.ts";
import type { Population } from "./population.ts";

/** Reads, and the touch that follows each of them in a request. */
export function lookupCases(population: Population): BenchCase[] {
  checkLookups(population);
  const size = sizeName(population.size);
  const floor = {
    operations: CALLS,
    isFloor: true,
    name: "Map.get",
    run: () => mapHits(population),
  };
  const base = { operations: CALLS, isFloor: false };
  return [
    { ...floor, group: `read, hit, ${size}` },
    {
      ...base,
      group: `read, hit, ${size}`,
      name: "Map.get, deadline compared",
      run: () => mapLiveHits(population),
    },
    {
      ...base,
      group: `read, hit, ${size}`,
      name: "MemoryProvider.read",
      run: () => providerHits(population),
    },
    {
      ...floor,
      group: `read, miss, ${size}`,
      run: () => mapMisses(population),
    },
    {
      ...base,
      group: `read, miss, ${size}`,
      name: "MemoryProvider.read",
      run: () => providerMisses(population),
    },
    { ...floor, group: `touch, ${size}` },
    {
      ...base,
      group: `touch, ${size}`,
      name: "MemoryProvider.touch",
      run: () => providerTouches(population),
    },
    {
      ...base,
      group: `touch, ${size}`,
      name: "MemoryProvider.read, then .touch",
      run: () => providerReadsAndTouches(population),
    },
  ];
}

function checkLookups(population: Population): void {
  const { provider, map, requests, strangers, size, now } = population;
  expect(map.size === size, "filling the Map");
  expect(provider.stats().sessions === size, "filling the provider");
  const id = requests.nextId();
  const record = provider.read(id, now);
  expect(record?.secretHash === requests.secretHash(), "read of a session");
  expect(map.get(id)?.secretHash === record?.secretHash, "Map.get");
  expect(provider.read(strangers.nextId(), now) === undefined, "read, miss");
}

function mapHits({ map, requests }: Population): number {
  let found = 0;
  for (let call = 0; call < CALLS; call++) {
    if (map.get(requests.nextId()) !== undefined) found++;
  }
  return found;
}

function mapLiveHits({ map, requests, now }: Population): number {
  let found = 0;
  for (let call = 0; call < CALLS; call++) {
    const record = map.get(requests.nextId());
    if (record !== undefined && record.expiresAt > now) found++;
  }
  return found;
}

function providerHits({ provider, requests, now }: Population): number {
  let found = 0;
  for (let call = 0; call < CALLS; call++) {
    if (provider.read(requests.nextId(), now) !== undefined) found++;
  }
  return found;
}

function mapMisses({ map, strangers }: Population): number {
  let missed = 0;
  for (let call = 0; call < CALLS; call++) {
    if (map.get(strangers.nextId()) === undefined) missed++;
  }
  return missed;
}

function providerMisses({ provider, strangers, now }: Population): number {
  let missed = 0;
  for (let call = 0; call < CALLS; call++) {
    if (provider.read(strangers.nextId(), now) === undefined) missed++;
  }
  return missed;
}

function providerTouches(population: Population): number {
  const { provider, requests } = population;
  let touched = 0;
  for (let call = 0; call < CALLS; call++) {
    const now = population.tick();
    const expiresAt = now + population.idleTime;
    if (provider.touch(requests.nextId(), expiresAt, now)) touched++;
  }
  return touched;
}

function providerReadsAndTouches(population: Population): number {
  const { provider, requests } = population;
  let touched = 0;
  for (let call = 0; call < CALLS; call++) {
    const now = population.tick();
    const expiresAt = now + population.idleTime;
    const id = requests.nextId();
    if (provider.read(id, now) === undefined) continue;
    if (provider.touch(id, expiresAt, now)) touched++;
  }
  return touched;
}
