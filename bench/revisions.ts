/**
 * Compares what requests cost in two checkouts, in turns within one run, for
 * instance in folders of `git worktree`:
 *
 * `deno run -A bench/revisions.ts FOLDER_BEFORE FOLDER_AFTER`, or with `bun`.
 *
 * @module
 */
import { resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { requestCases } from "./_cases/request.ts";
import { type Case, measureCase } from "./_harness/case.ts";
import { median } from "./_harness/figures.ts";

const ROUNDS = 5;

const [before, after] = await Promise.all(process.argv.slice(2).map(load));
if (before === undefined || after === undefined) {
  throw new RangeError("Cannot compare revisions: two folders are needed");
}
for (const [index, old] of before.entries()) {
  const times: (readonly [number, number])[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const first = await measureCase(old, false);
    times.push([first, await measureCase(after[index] as Case, false)]);
  }
  const ratio = median(times.map(([first, second]) => second / first));
  const [first, second] = [0, 1].map((at) =>
    median(times.map((some) => some[at] as number)).toFixed(0)
  );
  console.log(`${first} ns, ${second} ns (${ratio.toFixed(2)} ×) ${old.name}`);
}
process.exit();

async function load(folder: string): Promise<Case[]> {
  return await requestCases(
    await import(pathToFileURL(resolve(folder, "mod.ts")).href),
  );
}
