import { type Missing, runChild } from "../_child.ts";
import { sizeName, turned } from "../_table.ts";
import type { Cost } from "./measure.ts";

/** What one set-up took. */
export interface Measured {
  readonly name: string;
  readonly keeps: "server" | "cookie";
  readonly versions: readonly string[];
  readonly notes: readonly string[];
  readonly costs: Readonly<Record<string, Cost>>;
}

/** How set-ups are measured. */
export interface RoundsOptions {
  /** How many sessions there are. */
  readonly sizes: readonly number[];
  readonly rounds: number;
  /** How long each is measured. */
  readonly milliseconds: number;
}

const child = new URL("./child.ts", import.meta.url);

/**
 * Measures set-ups in rounds, each in a process of its own, with another one first
 * in every round. One that fails once is not measured again.
 */
export class Rounds {
  readonly #options: RoundsOptions;
  readonly #results = new Map<string, Measured[]>();
  #present: readonly string[];
  #failures = 0;

  /** @param setups Files of this folder, such as `express_session`. */
  constructor(setups: readonly string[], options: RoundsOptions) {
    this.#present = setups;
    this.#options = options;
  }

  /** Those that could be measured so far. */
  get present(): readonly string[] {
    return this.#present;
  }

  /** How many failed. */
  get failures(): number {
    return this.#failures;
  }

  async run(): Promise<void> {
    const { sizes, rounds } = this.#options;
    for (let round = 0; round < rounds; round++) {
      for (const size of sizes) {
        console.error(`round ${round + 1} of ${rounds}: ${sizeName(size)}`);
        for (const file of turned(this.#present, round)) {
          await this.#measure(file, size);
        }
      }
    }
  }

  /** What the rounds measured of a set-up. */
  of(file: string, size: number): readonly Measured[] {
    return this.#results.get(`${file} ${size}`) ?? [];
  }

  /** Microseconds on top of the bare handler, by round. */
  onTop(file: string, size: number, scenario: string): number[] {
    return this.of(file, size).map(({ costs }) => {
      const { whole = NaN, bare = NaN } = costs[scenario] ?? {};
      return whole - bare;
    });
  }

  /** Prints the versions, and what the checks found that has to be known. */
  printNotes(): void {
    const [size = 0] = this.#options.sizes;
    const found = this.#present.flatMap((file) =>
      this.of(file, size).slice(0, 1)
    );
    const versions = new Set(found.flatMap(({ versions }) => versions));
    if (versions.size > 0) console.log(`With ${[...versions].join(", ")}.\n`);
    for (const { name, notes } of found) {
      for (const note of notes) console.log(`- ${name}: ${note}.`);
    }
  }

  async #measure(file: string, size: number): Promise<void> {
    const args = [file, `${size}`, `${this.#options.milliseconds}`];
    try {
      const answer = await runChild<Measured | Missing>(child, args);
      if ("missing" in answer) {
        console.log(`Left out: ${file} cannot be resolved here.\n`);
        return this.#leaveOut(file);
      }
      const key = `${file} ${size}`;
      this.#results.set(key, [...this.#results.get(key) ?? [], answer]);
    } catch (error) {
      console.error(error instanceof Error ? error.message : error);
      this.#failures++;
      this.#leaveOut(file);
    }
  }

  #leaveOut(file: string): void {
    this.#present = this.#present.filter((other) => other !== file);
  }
}
