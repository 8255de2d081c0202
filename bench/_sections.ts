/** A part of the results, with a place of its own in README.md. */
export interface Section {
  /** What it is called on the command line and in the markers. */
  readonly name: string;
  /** The program that measures it, beside this file. */
  readonly file: string;
}

/** Cases that the runtime's own runner measures, in many rounds. */
export interface BenchSection extends Section {
  /** Numbers of sessions, each in a process of its own; none if it has none. */
  readonly sizes: readonly number[];
}

/** A program that does its own rounds and prints its own tables. */
export interface ProgramSection extends Section {
  /** Whether it draws; the folder follows then as `--svg`. */
  readonly draws?: boolean;
  /** Whether it starts both runtimes itself; others are run on each. */
  readonly startsRuntimes?: boolean;
}

const SIZES = [1e3, 1e5, 1e6];

/** The files that hand cases to a runner. */
export const BENCHES: readonly BenchSection[] = [
  { name: "list", file: "list_bench.ts", sizes: SIZES },
  { name: "memory", file: "memory_bench.ts", sizes: SIZES },
  { name: "manager", file: "manager_bench.ts", sizes: SIZES },
  { name: "cookie", file: "cookie_bench.ts", sizes: [] },
  { name: "value", file: "value_bench.ts", sizes: [] },
];

/**
 * The programs that print Markdown. Each takes `--rounds N`, `--tiny` and, if it
 * draws, `--svg FOLDER`, and fails when an answer was wrong.
 */
export const PROGRAMS: readonly ProgramSection[] = [
  { name: "store", file: "compare/store.ts" },
  { name: "request", file: "compare/request.ts" },
  { name: "adapters", file: "adapters.ts" },
  { name: "http", file: "http.ts", startsRuntimes: true },
  { name: "growth", file: "growth.ts", draws: true },
];
