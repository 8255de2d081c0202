/** One program that is started once, out of all that a run consists of. */
export interface Step {
  /** What is measured: steps of the same name take about as long. */
  readonly name: string;
  /** Which of how many rounds, in words. */
  readonly round: string;
}

/** Says on the standard error where a run is and how long it will take. */
export class Progress {
  readonly #steps: readonly Step[];
  /** The latest duration of each step by name, in milliseconds. */
  readonly #durations = new Map<string, number>();
  #started = 0;

  /** @param steps In the order in which they will be run. */
  constructor(steps: readonly Step[]) {
    this.#steps = steps;
  }

  /** Runs the next step. */
  async run<T>({ name, round }: Step, work: () => Promise<T>): Promise<T> {
    const left = this.#timeLeft();
    this.#started++;
    console.error(
      `[${this.#started}/${this.#steps.length}${left}] ${name}, ${round}`,
    );
    const start = performance.now();
    const result = await work();
    this.#durations.set(name, performance.now() - start);
    return result;
  }

  /** From what each step took before, or what steps have taken on average. */
  #timeLeft(): string {
    const known = [...this.#durations.values()];
    if (known.length === 0) return "";
    const mean = known.reduce((sum, time) => sum + time) / known.length;
    const left = this.#steps.slice(this.#started)
      .map(({ name }) => this.#durations.get(name) ?? mean)
      .reduce((sum, time) => sum + time, 0);
    return `, about ${Math.ceil(left / 60_000)} min left`;
  }
}
