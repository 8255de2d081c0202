import { parseArgs } from "node:util";

/** How a comparison is run. */
export interface Options {
  /** Whether it only has to show that everything works, in a few seconds. */
  readonly tiny: boolean;
  /** How often everything is measured. */
  readonly rounds: number;
  /** The contestants to compare; all if empty. */
  readonly names: readonly string[];
}

/**
 * Reads `[--tiny] [--rounds N] [contestant …]`.
 *
 * @throws {TypeError} If there is another option.
 * @throws {RangeError} If the number of rounds is not a positive whole number.
 */
export function readOptions(args: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { tiny: { type: "boolean" }, rounds: { type: "string" } },
    allowPositionals: true,
  });
  const { tiny = false, rounds = tiny ? "1" : "3" } = values;
  const count = Number(rounds);
  if (!Number.isSafeInteger(count) || count < 1) {
    throw new RangeError(
      `Cannot compare: rounds must be a positive whole number: received ${rounds}`,
    );
  }
  return { tiny, rounds: count, names: positionals };
}

/**
 * The contestants that were named, or all.
 *
 * @throws {RangeError} If one is not known.
 */
export function chosen(
  all: readonly string[],
  names: readonly string[],
): readonly string[] {
  const unknown = names.find((name) => !all.includes(name));
  if (unknown === undefined) return names.length > 0 ? names : all;
  throw new RangeError(
    `Cannot compare: the contestants are ${
      all.join(", ")
    }: received ${unknown}`,
  );
}
