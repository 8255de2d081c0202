/** Reads the command line of `run.ts`, and says what can stand there. */
import { parseArgs } from "node:util";
import { sizeName } from "./case.ts";
import type { Section } from "./section.ts";

const KNOWN = {
  rounds: { type: "string" },
  on: { type: "string" },
  only: { type: "string", default: "" },
  tiny: { type: "boolean", default: false },
  write: { type: "boolean", default: false },
  tables: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

const HELP = `deno task bench [SECTION…] [SIZE…] [PART…] [OPTION…]

Measures on Deno and on Bun, and prints tables. Without a section, all of them.
A SIZE is a number of sessions, such as 1e6 or 5000, in place of the section's.
A PART is one of those that a section compares, such as a store or a library.

  --rounds N     everything N times, in turns; 3 if it is not given
  --only TEXT    only rows that have TEXT in them, and the floors of their groups
  --on RUNTIME   deno or bun, not both
  --tiny         everything once at the smallest size: shows that all works
  --write        into results/SECTION.json and README.md
  --tables       makes README.md from results/, measures nothing

Environment: BENCH_SIZE is the number of sessions of \`deno bench\`, see README.md.
Without bun on the PATH, npx fetches it. redis-server, postgres and mariadbd are
started where they are installed; a store whose server is missing is left out.

`;

/**
 * Reads a command line.
 *
 * @throws {Error} If a word or an option means nothing.
 */
export function readOptions(args: string[], all: readonly Section[]) {
  const { values, positionals } = parse(args);
  const { only, on = "", tiny, write, tables, help } = values;
  const sizes = positionals.filter((word) => /^\d/.test(word)).map(countOf);
  const words = positionals.filter((word) => !/^\d/.test(word));
  // `providers memory` means that store, not the section of that name.
  const isPart = (word: string, at: number) =>
    !all.some(({ name }) => name === word) ||
    all.some((some) =>
      words.slice(0, at).includes(some.name) && has(some, word)
    );
  const parts = words.filter(isPart);
  const names = words.filter((word) => !parts.includes(word));
  const unknown = parts.find((part) => !all.some((some) => has(some, part)));
  if (unknown !== undefined) {
    const known = all.map(({ name }) => name).join(", ");
    throw new RangeError(
      `Cannot run benches: sections are ${known}, and --help has their parts: received ${unknown}`,
    );
  }
  if (!["", "deno", "bun"].includes(on)) {
    throw new RangeError(
      `Cannot run benches: --on must be deno or bun: received ${on}`,
    );
  }
  if (write && (tiny || only + on !== "" || parts.length > 0)) {
    throw new RangeError(
      "Cannot write results: --tiny, --only, --on or a part leaves no whole section",
    );
  }
  const isMeant = (section: Section) =>
    names.length > 0
      ? names.includes(section.name)
      : parts.length === 0 || parts.some((part) => has(section, part));
  return {
    sections: all.filter(isMeant),
    ...{ sizes, parts, only, tiny, write, tables, help },
    rounds: tiny ? 1 : countOf(values.rounds ?? "3"),
    runtimes: (["Deno", "Bun"] as const)
      .filter((name) => on === "" || on === name.toLowerCase()),
  };
}

/** The parts of a section that were named, or all. */
export function partsOf(
  { parts = [""] }: Section,
  names: readonly string[],
): readonly string[] {
  const meant = parts.filter((part) =>
    part.split(", ").some((word) => names.includes(word))
  );
  return meant.length > 0 ? meant : parts;
}

/** What can stand on the command line. */
export function helpText(all: readonly Section[]): string {
  const lines = all.map(({ name, about, sizes, parts, minutes, memory }) => {
    const words = new Set(parts?.flatMap((part) => part.split(", ")));
    const details = [
      sizes?.map(sizeName).join(", "),
      [...words].join(", "),
      `${minutes} min a round, ${memory} GB`,
    ].filter((text) => text).map((text) => `\n             ${text}`);
    return `  ${name.padEnd(10)} ${about}${details.join("")}\n`;
  });
  const minutes = all.reduce((sum, section) => sum + section.minutes, 0);
  return `${HELP}Sections, with sizes, parts, and about what they take on two busy cores:

${lines.join("")}
All of them take about ${minutes} minutes a round.`;
}

function has(section: Section, part: string): boolean {
  return section.parts?.some((some) => some.split(", ").includes(part)) ??
    false;
}

function parse(args: string[]) {
  try {
    return parseArgs({ args, options: KNOWN, allowPositionals: true });
  } catch (error) {
    const options = Object.keys(KNOWN).map((name) => `--${name}`).join(", ");
    const [message] = (error as Error).message.split(". ");
    throw new RangeError(
      `Cannot run benches: options are ${options}: ${message}`,
    );
  }
}

function countOf(text: string): number {
  const count = Number(text);
  if (Number.isSafeInteger(count) && count > 0) return count;
  throw new RangeError(
    `Cannot run benches: a count must be a positive whole number: received ${text}`,
  );
}
