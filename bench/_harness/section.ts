/** A part of what is measured, with a place of its own in README.md. */
import { type Case, measureCase } from "./case.ts";
import type { Figure } from "./figures.ts";

/** What a run measures under one name. */
export interface Section {
  /** Its name on the command line, in the page, and in `results/`. */
  readonly name: string;
  /** What it measures, for `--help`. */
  readonly about: string;
  /** Numbers of sessions, each in a process of its own; none if it has none. */
  readonly sizes?: readonly number[];
  /** The number of sessions of a trial. */
  readonly trialSize?: number;
  /** What it compares, each in a process of its own. */
  readonly parts?: readonly string[];
  /** How long a round takes on both runtimes, and its memory in gigabytes. */
  readonly minutes: number;
  readonly memory: number;
  /** Whether the engine must not collect garbage in the process of a part. */
  readonly isWithoutCollector?: (part: string) => boolean;
  readonly measure: (job: Job, report: Reporter) => Promise<void>;
}

/** What one process is to do. */
export interface Job {
  readonly section: string;
  /** One of the section's; empty if it has none. */
  readonly part: string;
  /** How many sessions; 0 if the section has no sizes. */
  readonly size: number;
  /** Whether it only has to show that everything works. */
  readonly isTrial: boolean;
  /** What the rows that are wanted have in them. */
  readonly only: string;
}

/** Takes what a process finds: a figure, or what a reader should know. */
export type Reporter = (finding: Figure | string) => void;

/** Measures cases one after the other: those that are wanted, and their floors. */
export async function measureCases(
  cases: readonly Case[],
  { only, isTrial }: Job,
  report: Reporter,
): Promise<void> {
  const isMeant = ({ group, name }: Case) => `${group} ${name}`.includes(only);
  const groups = new Set(cases.filter(isMeant).map(({ group }) => group));
  for (const some of cases) {
    const { group, name, column = "", isFloor } = some;
    if (!groups.has(group) || !isMeant(some) && !isFloor) continue;
    const value = await measureCase(some, isTrial);
    const table = `ns for each ${column === "" ? "call" : "operation"}`;
    report({ table, group, name, column, value, isFloor });
  }
}
