/** One thing to measure, and how one call of it is timed, whoever runs it. */

/**
 * Every call of `run` answers how many of its operations gave the right answer,
 * and any number but `operations` ends the measurement: so nothing is measured
 * that does not work, and no result goes unused.
 */
export interface Case {
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
  readonly run: () => number | Promise<number>;
  /** Brings everything to where `run` starts; not measured. */
  readonly prepare?: (() => unknown) | undefined;
  /** Throws if `run` left something wrong behind; not measured. */
  readonly verify?: (() => void) | undefined;
  /** How many calls suffice, where one takes long. */
  readonly calls?: number | undefined;
}

/** What all cases of a group have in common. */
export type Task = Pick<Case, "group" | "column" | "operations" | "calls">;

/** One way of doing a task. */
export type Candidate = Pick<Case, "name" | "run" | "prepare" | "verify">;

/**
 * How many operations make one call of `run` where nothing else says: enough
 * that the timer and the call itself cost nothing beside them.
 */
export const CALLS = 1000;

/** How long a case is warmed up and repeated, as `Deno.bench` does, in ms. */
const WARM_UP = 10;
const TIME = 500;

/** The fewest calls of a case, as with `Deno.bench`. */
const LEAST_CALLS = 10;

/** The cases of one group; the first candidate is the floor. */
export function compare(task: Task, ...candidates: Candidate[]): Case[] {
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

/**
 * One call.
 *
 * @throws {Error} If any of its answers is wrong.
 */
export async function callOnce(
  { name, group, operations, run, prepare, verify }: Case,
  watch: { readonly start: () => void; readonly end: () => void },
): Promise<void> {
  await prepare?.();
  watch.start();
  const answer = run();
  // What is synchronous must not pay for an `await`.
  const right = typeof answer === "number" ? answer : await answer;
  watch.end();
  verify?.();
  if (right === operations) return;
  throw new Error(
    `Cannot measure ${name} (${group}): ${right} of ${operations} answers are right`,
  );
}

/**
 * The nanoseconds for each operation: a mean of all calls, the slowest included,
 * because that is where an engine collects its garbage.
 */
export async function measureCase(
  some: Case,
  isTrial: boolean,
): Promise<number> {
  const { operations, calls = LEAST_CALLS } = some;
  const time = some.calls === undefined ? TIME : 0;
  if (isTrial) return await timeOf(some) / operations * 1e6;
  for (let spent = 0; spent < WARM_UP;) spent += await timeOf(some);
  // What is done in no time would take for ever.
  const deadline = performance.now() + 4 * TIME;
  let spent = 0;
  let count = 0;
  const isDue = () => spent < time && performance.now() < deadline;
  for (; count < calls || isDue(); count++) spent += await timeOf(some);
  return spent / count / operations * 1e6;
}

/** The milliseconds of one call. */
async function timeOf(some: Case): Promise<number> {
  let start = 0;
  let end = 0;
  await callOnce(some, {
    start: () => start = performance.now(),
    end: () => end = performance.now(),
  });
  return end - start;
}
