/**
 * One thing to measure. It knows no runner, so that any can take it.
 *
 * Every call of `run` answers how many of its operations gave the right answer,
 * and the runner refuses any number but `operations`: so nothing is measured
 * that does not work, and no result goes unused.
 */
export interface BenchCase {
  /** What it is compared within. */
  readonly group: string;
  /** What varies between groups of that name: a number of sessions, a length. */
  readonly column?: string | undefined;
  /** What does it; starts with `ours: ` where that is this library. */
  readonly name: string;
  /** Whether the others of its group are compared with it. */
  readonly isFloor: boolean;
  /** How many operations one call of `run` is. */
  readonly operations: number;
  /** The measured body. */
  readonly run: () => number | Promise<number>;
  /** Brings everything to where `run` starts; not measured. */
  readonly prepare?: (() => void | Promise<void>) | undefined;
  /** Throws if `run` left something wrong behind; not measured. */
  readonly verify?: (() => void) | undefined;
  /** How many calls suffice, where one takes long. */
  readonly calls?: number | undefined;
}

/** What all cases of a group have in common. */
export type Task = Pick<BenchCase, "group" | "column" | "operations" | "calls">;

/** One way of doing a task. */
export type Candidate = Pick<BenchCase, "name" | "run" | "prepare" | "verify">;

/**
 * How many operations make one call of `run` where nothing else says: enough
 * that the timer and the call itself cost nothing beside them. Microseconds for
 * each call are then nanoseconds for each operation.
 */
export const CALLS = 1000;

/** The cases of one group; the first candidate is the floor. */
export function compare(
  task: Task,
  candidates: readonly Candidate[],
): BenchCase[] {
  return candidates.map((candidate, index) => ({
    ...task,
    ...candidate,
    isFloor: index === 0,
  }));
}

/** Throws unless a set-up gives the right answer. */
export function expect(isRight: boolean, what: string): void {
  if (!isRight) throw new Error(`Cannot measure: ${what} gave a wrong answer`);
}

/** `1e5` for 100,000. */
export function sizeName(size: number): string {
  return size.toExponential().replace("+", "");
}
