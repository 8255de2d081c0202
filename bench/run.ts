/** Measures what the library costs, and prints tables: `deno task bench --help`. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { sizeName } from "./_harness/case.ts";
import { type Figure, rowsOf, rowsWith } from "./_harness/figures.ts";
import { helpText, partsOf, readOptions } from "./_harness/options.ts";
import { pageWith, resultsText } from "./_harness/page.ts";
import {
  findRuntime,
  perform,
  ROOT,
  runDeno,
  type Runtime,
} from "./_harness/processes.ts";
import {
  circumstances,
  readResults,
  type Results,
  writeResults,
} from "./_harness/results.ts";
import type { Job, Section } from "./_harness/section.ts";
import { SECTIONS } from "./sections.ts";

/** One process on one runtime in one round. */
interface Step {
  readonly runtime: Runtime;
  readonly job: Job;
}

const options = readOrExit();
/** How long a step took the last time, in milliseconds. */
const durations = new Map<string, number>();
let failures = 0;

if (options.help) console.log(helpText(SECTIONS));
else if (options.tables) makePage();
else await runAll();
process.exitCode = failures > 0 ? 1 : 0;

function readOrExit() {
  try {
    return readOptions(process.argv.slice(2), SECTIONS);
  } catch (error) {
    console.error((error as Error).message);
    process.exit(2);
  }
}

async function runAll(): Promise<void> {
  const runtimes = options.runtimes.flatMap((name) => findRuntime(name) ?? []);
  for (const name of options.runtimes) {
    if (runtimes.some((runtime) => runtime.name === name)) continue;
    console.error(`without ${name}: neither it nor npx is on the PATH`);
  }
  if (options.runtimes.includes("Bun")) {
    // Leaves the packages where Bun finds them.
    const child = "bench/_harness/child.ts";
    runDeno("cache", "--quiet", "--node-modules-dir=auto", child);
  }
  for (const section of options.sections) {
    const found = await runSection(section, runtimes);
    console.log(`## ${section.name}\n`);
    if (options.tiny) console.log("A trial: these figures say nothing.\n");
    console.log(`${resultsText(found)}\n`);
    if (options.write && failures === 0) {
      writeResults(section.name, found);
      makePage();
    }
  }
}

/** Every round does every job on every runtime, in turns. */
async function runSection(
  section: Section,
  runtimes: readonly Runtime[],
): Promise<Results> {
  const steps = stepsOf(section, runtimes);
  const figures: Figure[] = [];
  const notes = new Set<string>();
  const failed = new Set<string>();
  for (const [index, step] of steps.entries()) {
    const name = nameOf(step);
    // One that fails once is not measured again.
    if (failed.has(name)) continue;
    console.error(`${timeLeft(steps.slice(index))}${name}`);
    const begin = performance.now();
    const { job, runtime } = step;
    const isWithoutCollector = section.isWithoutCollector?.(job.part);
    const outcome = await perform(runtime, job, isWithoutCollector);
    durations.set(name, performance.now() - begin);
    for (const figure of outcome.figures) {
      const column = `${runtime.name} ${figure.column}`.trim();
      figures.push({ ...figure, column });
    }
    for (const note of outcome.notes) notes.add(note);
    if (outcome.failure === undefined) continue;
    console.error(`${name} failed: ${outcome.failure}`);
    failed.add(name);
    failures++;
  }
  return {
    runtimes: runtimes.map(({ version }) => version),
    ...circumstances(),
    rounds: options.rounds,
    notes: [...notes],
    rows: rowsWith(rowsOf(figures), options.only),
  };
}

function stepsOf(section: Section, runtimes: readonly Runtime[]): Step[] {
  const { name, sizes = [0], trialSize = 1000 } = section;
  const { only, tiny: isTrial, rounds } = options;
  const chosen = options.sizes.length > 0 ? options.sizes : sizes;
  const meant = isTrial ? [trialSize] : chosen;
  const parts = partsOf(section, options.parts);
  const steps: Step[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const size of sizes[0] === 0 ? sizes : meant) {
      for (let index = 0; index < parts.length; index++) {
        // Another one comes first in every round.
        const part = parts[(index + round) % parts.length] as string;
        const job = { section: name, part, size, isTrial, only };
        for (const runtime of runtimes) steps.push({ runtime, job });
      }
    }
  }
  return steps;
}

function nameOf({ runtime, job: { section, part, size } }: Step): string {
  const words = [section, part, size === 0 ? "" : sizeName(size)];
  return [...words, runtime.name].filter((word) => word !== "").join(", ");
}

/** From what each step took before, or what steps have taken on average. */
function timeLeft(left: readonly Step[]): string {
  const known = [...durations.values()];
  const mean = known.reduce((sum, time) => sum + time, 0) / known.length;
  const time = left.map((step) => durations.get(nameOf(step)) ?? mean)
    .reduce((sum, some) => sum + some, 0);
  const minutes = known.length === 0 ? "" : `, ${Math.ceil(time / 6e4)} min`;
  return `[${left.length} left${minutes}] `;
}

function makePage(): void {
  const file = join(ROOT, "bench/README.md");
  const page = SECTIONS.reduce(
    (text, { name }) => pageWith(text, name, resultsText(readResults(name))),
    readFileSync(file, "utf8"),
  );
  writeFileSync(file, page);
  runDeno("fmt", "-q", file);
}
