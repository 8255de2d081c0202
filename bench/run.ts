/**
 * Measures, on Deno and on Bun, and writes the results into README.md:
 *
 * `deno task bench [SECTION…] [--rounds N] [--dry-run] [--tiny]`
 *
 * A section is called by its name or by its file; without one, all are run.
 * `--dry-run` prints the results and leaves the page alone; `--tiny` runs
 * everything once on the smallest sizes, to see that it works.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { sizeName } from "./_bodies/bench_case.ts";
import { circumstances, withResults } from "./_page.ts";
import { Progress, type Step } from "./_progress.ts";
import { findRuntimes, output, type Runtime } from "./_runtimes.ts";
import {
  BENCHES,
  type BenchSection,
  PROGRAMS,
  type ProgramSection,
  type Section,
} from "./_sections.ts";
import { type Report, Tables } from "./_tables.ts";

/** A step, and what it adds to the results of its section. */
interface PlannedStep extends Step {
  readonly run: () => Promise<void>;
}

/** A section, what has to be run for it, and its results after that. */
interface PlannedSection {
  readonly name: string;
  readonly steps: readonly PlannedStep[];
  readonly results: () => string;
  /** The files and folders that are written then. */
  readonly paths: readonly string[];
}

/** The smallest number of sessions, for trials. */
const TRIAL_SIZE = 1e3;

const ROOT = `${import.meta.dirname}/..`;
const PAGE = "bench/README.md";
const PLOTS = "bench/plots";

const { values: options, positionals: names } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "3" },
    "dry-run": { type: "boolean", default: false },
    tiny: { type: "boolean", default: false },
  },
});
const isTrial = options.tiny;
const rounds = isTrial ? 1 : countOf(options.rounds);
checkNames();
const runtimes = await findRuntimes(ROOT);
const plan = [
  ...BENCHES.filter(isWanted).map(planBenches),
  ...PROGRAMS.filter(isWanted).map(planProgram),
];
const progress = new Progress(plan.flatMap(({ steps }) => steps));
for (const section of plan) {
  if (isTrial) {
    await tryOut(section);
  } else {
    for (const step of section.steps) await progress.run(step, step.run);
  }
  await publish(section);
}

/** Nothing is timed, so the runtimes may share the processor. */
async function tryOut({ steps }: PlannedSection): Promise<void> {
  const ends = await Promise.allSettled(
    steps.map((step) => progress.run(step, step.run)),
  );
  const failure = ends.find((end) => end.status === "rejected");
  if (failure !== undefined) throw failure.reason;
}

/** Every round runs every size on every runtime, in turns. */
function planBenches({ name, file, sizes }: BenchSection): PlannedSection {
  const tables = new Map(runtimes.map((runtime) => [runtime, new Tables()]));
  const steps: PlannedStep[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const size of sizesOf(sizes)) {
      for (const [runtime, table] of tables) {
        steps.push({
          name: size === undefined
            ? `${name}, ${runtime.name}`
            : `${name}, ${sizeName(size)}, ${runtime.name}`,
          round: `round ${round} of ${rounds}`,
          run: async () => table.add(await bench(runtime, file, size)),
        });
      }
    }
  }
  return { name, steps, results: () => resultsOf(tables), paths: [PAGE] };
}

/** One `undefined` where there is no size to choose. */
function sizesOf(sizes: readonly number[]): readonly (number | undefined)[] {
  if (sizes.length === 0) return [undefined];
  return isTrial ? [TRIAL_SIZE] : sizes;
}

async function bench(
  runtime: Runtime,
  file: string,
  size: number | undefined,
): Promise<Report> {
  const path = `bench/${file}`;
  const args = runtime.name === "Deno"
    ? ["bench", "-A", "--no-check", "--json", path]
    : [path, "--json"];
  const env = {
    ...(size === undefined ? {} : { BENCH_SIZE: String(size) }),
    BENCH_TRIAL: isTrial ? "1" : "0",
  };
  return JSON.parse(await output({ runtime, args, env }, ROOT));
}

/** A program does its rounds itself. */
function planProgram(section: ProgramSection): PlannedSection {
  const { name, file, draws = false, startsRuntimes = false } = section;
  const texts = new Map<Runtime, string>();
  // A trial must not replace what was measured.
  const isDrawn = draws && !isTrial && !options["dry-run"];
  const args = [
    `bench/${file}`,
    ...(isTrial ? ["--tiny"] : ["--rounds", String(rounds)]),
    ...(isDrawn ? ["--svg", PLOTS] : []),
  ];
  const hosts = startsRuntimes ? runtimes.slice(0, 1) : runtimes;
  const steps = hosts.map((runtime) => ({
    name: startsRuntimes ? name : `${name}, ${runtime.name}`,
    round: "all rounds",
    run: async () => {
      const runner = runtime.name === "Deno" ? ["run", "-A"] : [];
      const text = await output({ runtime, args: [...runner, ...args] }, ROOT);
      texts.set(runtime, text.trim());
    },
  }));
  const paths = isDrawn ? [PAGE, PLOTS] : [PAGE];
  const results = () =>
    startsRuntimes
      ? [circumstances(runtimes, rounds), ...texts.values()].join("\n\n")
      : resultsOf(texts);
  return { name, steps, results, paths };
}

function resultsOf(texts: ReadonlyMap<Runtime, Tables | string>): string {
  const parts = [...texts].map(([{ name }, text]) => `### ${name}\n\n${text}`);
  return [circumstances(runtimes, rounds), ...parts].join("\n\n");
}

/** Writes the results of a section as soon as it is done. */
async function publish(
  { name, results, paths }: PlannedSection,
): Promise<void> {
  const text = results();
  const file = `${ROOT}/${PAGE}`;
  const page = withResults(await Deno.readTextFile(file), name, text);
  if (isTrial) return;
  if (options["dry-run"]) return console.log(`## ${name}\n\n${text}\n`);
  await Deno.writeTextFile(file, page);
  const [deno] = runtimes;
  const args = ["fmt", "-q", ...paths];
  await output({ runtime: deno as Runtime, args }, ROOT);
}

function isWanted(section: Section): boolean {
  return names.length === 0 || names.some((name) => isCalled(section, name));
}

function isCalled({ name, file }: Section, wanted: string): boolean {
  return wanted === name || wanted === file || wanted === `bench/${file}`;
}

function checkNames(): void {
  const sections: readonly Section[] = [...BENCHES, ...PROGRAMS];
  for (const wanted of names) {
    if (sections.some((section) => isCalled(section, wanted))) continue;
    const known = sections.map(({ name }) => name).join(", ");
    throw new RangeError(
      `Cannot run benches: sections are ${known}: received ${wanted}`,
    );
  }
}

function countOf(text: string): number {
  const count = Number(text);
  if (Number.isSafeInteger(count) && count > 0) return count;
  throw new RangeError(
    `Cannot run benches: rounds must be a positive whole number: received ${text}`,
  );
}
