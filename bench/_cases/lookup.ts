/** Reads that find a session and reads that do not, and touches. */
import { expiryOf } from "../../core/store/record.ts";
import { CALLS, type Case, compare, sizeName } from "../_harness/case.ts";
import { type Ids, Population } from "./population.ts";
import { zipf } from "./random.ts";
import { Stage } from "./stage.ts";

type Choice = (population: Population) => Ids;
type Loop = (population: Population, ids: Ids) => number;

/** Reads with ids whose hashes the engine has to compute, and with others. */
export function lookupCases(stage: Stage<Population>, size: number): Case[] {
  const candidate = (name: string, loop: Loop, choose: Choice) => ({
    name,
    prepare: () => stage.enter(),
    run: () => loop(stage.value, choose(stage.value)),
  });
  const task = { column: sizeName(size), operations: CALLS };
  const cases = (ids: string, known: Choice, unknown: Choice) => [
    ...compare(
      { ...task, group: `read, hit, ${ids}` },
      candidate("Map.get", mapHits, known),
      candidate("Map.get, deadline compared", liveMapHits, known),
      candidate("ours: MemoryProvider.read", providerHits, known),
    ),
    ...compare(
      { ...task, group: `read, miss, ${ids}` },
      candidate("Map.get", missesOf(mapHits), unknown),
      candidate("ours: MemoryProvider.read", missesOf(providerHits), unknown),
    ),
  ];
  return [
    ...cases("fresh ids", (some) => some.requests, (some) => some.strangers),
    ...cases(
      "cached ids",
      (some) => some.repeated,
      (some) => some.repeatedStrangers,
    ),
  ];
}

/**
 * What a request does that only reads: the session becomes the most recent one.
 * The floor is how a `Map` alone keeps that order.
 */
export function touchCases(stage: Stage<Population>, size: number): Case[] {
  const skewed = new Stage(() => new Population(size, zipf));
  const cases = (drawn: string, stage: Stage<Population>) => {
    const candidate = (name: string, loop: Loop) => ({
      name,
      prepare: () => stage.enter(),
      run: () => loop(stage.value, stage.value.requests),
    });
    const task = { column: sizeName(size), operations: CALLS };
    return compare(
      { ...task, group: `touch, ${drawn}` },
      candidate("Map.delete, then .set", mapMoves),
      candidate("Map.get", mapHits),
      candidate("ours: MemoryProvider.touch", providerTouches),
      candidate("ours: MemoryProvider.read, then .touch", providerUses),
    );
  };
  return [...cases("uniform", stage), ...cases("zipf 0.99", skewed)];
}

function missesOf(hits: Loop): Loop {
  return (population, ids) => CALLS - hits(population, ids);
}

const mapHits: Loop = ({ map }, ids) => {
  let found = 0;
  for (let call = 0; call < CALLS; call++) {
    if (map.get(ids.nextId()) !== undefined) found++;
  }
  return found;
};

const liveMapHits: Loop = ({ map, now }, ids) => {
  let found = 0;
  for (let call = 0; call < CALLS; call++) {
    const record = map.get(ids.nextId());
    if (record !== undefined && expiryOf(record) > now) found++;
  }
  return found;
};

const providerHits: Loop = ({ provider, now }, ids) => {
  let found = 0;
  for (let call = 0; call < CALLS; call++) {
    if (provider.read(ids.nextId(), now) !== undefined) found++;
  }
  return found;
};

const mapMoves: Loop = ({ map }, ids) => {
  let moved = 0;
  for (let call = 0; call < CALLS; call++) {
    const id = ids.nextId();
    const record = map.get(id);
    if (record === undefined || !map.delete(id)) continue;
    map.set(id, record);
    moved++;
  }
  return moved;
};

const providerTouches: Loop = (population, ids) => {
  const { provider } = population;
  let touched = 0;
  for (let call = 0; call < CALLS; call++) {
    if (provider.touch(ids.nextId(), population.tick())) touched++;
  }
  return touched;
};

const providerUses: Loop = (population, ids) => {
  const { provider } = population;
  let touched = 0;
  for (let call = 0; call < CALLS; call++) {
    const now = population.tick();
    const id = ids.nextId();
    if (provider.read(id, now) === undefined) continue;
    if (provider.touch(id, now)) touched++;
  }
  return touched;
};
