/** The data of `results/`: one file for each section, one line for each row. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, platform, totalmem } from "node:os";
import { join } from "node:path";
import type { Row } from "./figures.ts";
import { ROOT } from "./processes.ts";

/** What was found of a section. */
export interface Results {
  /** Such as `Deno 2.9.6`. */
  readonly runtimes: readonly string[];
  readonly machine: string;
  /** Such as `2026-11-24`. */
  readonly date: string;
  readonly rounds: number;
  /** Versions of packages, and what else a reader of the figures should know. */
  readonly notes: readonly string[];
  readonly rows: readonly Row[];
}

/** On what it is measured, and when. */
export function circumstances(): Pick<Results, "machine" | "date"> {
  const gigabytes = Math.round(totalmem() / 2 ** 30);
  const processor = `${cpus()[0]?.model.trim()}, ${cpus().length} cores`;
  return {
    machine: `${processor}, ${gigabytes} GB of memory, ${platform()}`,
    date: new Date().toISOString().slice(0, 10),
  };
}

/** What was found of a section, unless it was never measured. */
export function readResults(section: string): Results | undefined {
  const file = fileOf(section);
  if (!existsSync(file)) return undefined;
  return JSON.parse(readFileSync(file, "utf8"));
}

export function writeResults(section: string, results: Results): void {
  const { rows, ...others } = results;
  const head = JSON.stringify(others).slice(0, -1);
  const lines = rows.map((row) => JSON.stringify(row)).join(",\n");
  writeFileSync(fileOf(section), `${head},"rows":[\n${lines}\n]}\n`);
}

function fileOf(section: string): string {
  return join(ROOT, "bench/results", `${section}.json`);
}
