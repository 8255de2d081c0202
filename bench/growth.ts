/**
 * Shows what a store of sessions costs as it grows: how long the slowest
 * operations take, what each costs, and the memory for each session.
 *
 * `deno run -A bench/growth.ts [--tiny] [--rounds N] [--svg FOLDER]
 * [store …]`, or `bun bench/growth.ts …`. Prints Markdown; `--svg` writes plots
 * too; `--tiny` only shows that everything works.
 *
 * @module
 */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { runtime } from "./_growth/engine.ts";
import { plotsOf } from "./_growth/figures.ts";
import { measure } from "./_growth/measure.ts";
import { type Images, tablesOf } from "./_growth/tables.ts";
import type { Results } from "./_growth/results.ts";

const { folder, ...options } = readOptions(process.argv.slice(2));
const results = await measure(options);
const images = folder === undefined
  ? { percentiles: "", steps: "", costs: "" }
  : await writePlots(results, folder);
console.log(tablesOf(results, images));
if (results.isWrong) process.exitCode = 1;

function readOptions(args: readonly string[]) {
  const { values, positionals: stores } = parseArgs({
    args: [...args],
    options: {
      tiny: { type: "boolean", default: false },
      rounds: { type: "string" },
      svg: { type: "string" },
    },
    allowPositionals: true,
  });
  const { tiny, rounds = tiny ? "1" : "3", svg: folder } = values;
  const count = Number(rounds);
  if (Number.isSafeInteger(count) && count >= 1) {
    return { tiny, rounds: count, folder, stores };
  }
  throw new RangeError(
    `Cannot measure growth: rounds must be a positive whole number: received ${rounds}`,
  );
}

/** Answers links that lead there from the page beside this file. */
async function writePlots(results: Results, folder: string): Promise<Images> {
  await mkdir(folder, { recursive: true });
  const plots = plotsOf(results);
  const write = async (name: keyof Images, words: string) => {
    const prefix = runtime.split(" ")[0]?.toLowerCase();
    const file = join(folder, `growth-${prefix}-${name}.svg`);
    await writeFile(file, plots[name]);
    const page = dirname(fileURLToPath(import.meta.url));
    const link = relative(page, file).replaceAll("\\", "/");
    return `![${runtime}: ${words}](${link})`;
  };
  return {
    percentiles: await write("percentiles", "how long one create takes"),
    steps: await write("steps", "the longest create while a store grows"),
    costs: await write("costs", "the cost of each operation by size"),
  };
}
