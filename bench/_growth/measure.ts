import { chosen } from "../compare/_options.ts";
import { median, sizeName } from "../compare/_table.ts";
import {
  availableMemory,
  type Collector,
  type Outcome,
  perform,
  type Task,
} from "./engine.ts";
import type { Expiry } from "./expiry.ts";
import type { ExpiryRow, Results } from "./results.ts";
import { type CreatesSummary, summaryOf } from "./rounds.ts";
import type { SizeReport } from "./sizes.ts";
import { OURS, STORES } from "./store.ts";

/** How much is measured. */
export interface MeasureOptions {
  /** Whether it only has to show that everything works. */
  readonly tiny: boolean;
  readonly rounds: number;
  /** The stores to measure; all if empty. */
  readonly stores: readonly string[];
}

/** How many sessions of what. */
interface Plan {
  readonly stores: readonly string[];
  readonly count: number;
  readonly expired: number;
  readonly sizes: readonly number[];
  /** Milliseconds for all sizes of one store. */
  readonly time: number;
}

const FULL: Plan = {
  stores: STORES,
  count: 1_200_000,
  expired: 1_000_000,
  sizes: [1e3, 1e4, 1e5, 1e6, 1e7, 2e7],
  time: 300_000,
};

/** No packages, nothing that takes long. */
const TINY: Plan = {
  stores: [OURS, "Map"],
  count: 24_000,
  expired: 10_000,
  sizes: [1e3, 1e4],
  time: 10_000,
};

/** Stores that remove what has expired by themselves, or when told. */
const EXPIRING: readonly string[] = [OURS, "Map", "lru-cache", "ttlcache"];

/** Bytes that creates take when nothing is collected. */
const MEMORY_WITHOUT_COLLECTOR = 4 * 2 ** 30;

/** Measures everything, each store in processes of its own. */
export async function measure(options: MeasureOptions): Promise<Results> {
  const all = options.tiny ? TINY : FULL;
  const plan = { ...all, stores: chosen(all.stores, options.stores) };
  const run = new Run(options.rounds);
  const collectors = run.collectors();
  const creates = {
    on: new Map<string, CreatesSummary>(),
    off: new Map<string, CreatesSummary>(),
  };
  for (const store of plan.stores) {
    for (const collector of collectors) {
      const task: Task = { kind: "creates", store, count: plan.count };
      const outcomes = await run.repeat(task, collector);
      if (outcomes.length === 0) break;
      creates[collector].set(store, summaryOf(outcomes));
    }
  }
  const { stores, sizes, expired, count } = plan;
  return {
    ...{ count, expired, sizes, creates, rounds: options.rounds },
    reports: await measureSizes(run, plan),
    expiries: await measureExpiries(run, stores, expired, collectors),
    failures: run.failures,
    isWrong: run.isWrong,
  };
}

async function measureSizes(
  run: Run,
  { stores, sizes, time }: Plan,
): Promise<Map<string, readonly SizeReport[]>> {
  const reports = new Map<string, readonly SizeReport[]>();
  for (const store of stores) {
    const memory = availableMemory();
    const task: Task = { kind: "sizes", store, sizes, time, memory };
    const { findings, failure } = await run.once(task, "on");
    const found = findings as SizeReport[];
    const size = sizes[found.length];
    if (failure !== undefined && size !== undefined) {
      found.push({ size, missing: failure });
    }
    reports.set(store, found);
  }
  return reports;
}

async function measureExpiries(
  run: Run,
  stores: readonly string[],
  count: number,
  collectors: readonly Collector[],
): Promise<ExpiryRow[]> {
  const rows: ExpiryRow[] = [];
  const tasks: [string, Task][] = EXPIRING
    .filter((store) => stores.includes(store))
    .map((store) => [store, { kind: "expiry", store, count }]);
  tasks.push(["turns of Manager.gc", { kind: "turns", count }]);
  for (const [what, task] of tasks) {
    for (const collector of collectors) {
      const outcomes = await run.repeat(task, collector);
      const found = outcomes.map(({ findings }) => findings[0] as Expiry);
      if (found.length === 0) continue;
      rows.push({
        what,
        collector,
        calls: median(found.map(({ calls }) => calls)),
        longest: median(found.map(({ longest }) => longest)),
        total: median(found.map(({ total }) => total)),
      });
    }
  }
  return rows;
}

/** Starts tasks and keeps what went wrong. */
class Run {
  readonly failures: string[] = [];
  /** Whether an answer was wrong, and not just a package or memory missing. */
  isWrong = false;
  readonly #rounds: number;

  constructor(rounds: number) {
    this.#rounds = rounds;
  }

  /** Both, if there is memory enough to collect nothing. */
  collectors(): readonly Collector[] {
    if (availableMemory() > MEMORY_WITHOUT_COLLECTOR) return ["on", "off"];
    this.failures.push(
      `runs without the engine's collections need ${
        MEMORY_WITHOUT_COLLECTOR / 2 ** 30
      } GB of memory`,
    );
    return ["on"];
  }

  /** As many rounds as succeed. */
  async repeat(task: Task, collector: Collector): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    for (let round = 0; round < this.#rounds; round++) {
      const outcome = await this.once(task, collector);
      if (outcome.failure !== undefined) break;
      outcomes.push(outcome);
    }
    return outcomes;
  }

  async once(task: Task, collector: Collector): Promise<Outcome> {
    const name = nameOf(task);
    console.error(`${name}, the engine's collector ${collector}`);
    const outcome = await perform(task, collector);
    const { failure } = outcome;
    if (failure === undefined) return outcome;
    this.failures.push(`${name}: ${failure}`);
    this.isWrong ||= failure.startsWith("Cannot measure");
    return outcome;
  }
}

function nameOf(task: Task): string {
  switch (task.kind) {
    case "creates":
      return `${sizeName(task.count)} creates in ${task.store}`;
    case "sizes":
      return `sizes of ${task.store}`;
    case "expiry":
      return `${sizeName(task.count)} expired sessions in ${task.store}`;
    case "turns":
      return `turns while ${sizeName(task.count)} expired sessions are removed`;
  }
}
