/**
 * Makes one measurement in a process of its own, and appends what it finds to a
 * file, a line of JSON for each: what the process prints is the engine's.
 *
 * @module
 */
import { appendFileSync } from "node:fs";
import process from "node:process";
import { measureCreates } from "./creates.ts";
import type { Task } from "./engine.ts";
import { measureExpiry, measureTurns } from "./expiry.ts";
import { measureSizes } from "./sizes.ts";

const [file = "", text = "", collector] = process.argv.slice(2);
try {
  await perform(JSON.parse(text));
} catch (error) {
  report({ failure: error instanceof Error ? error.message : String(error) });
  process.exitCode = 1;
}

async function perform(task: Task): Promise<void> {
  switch (task.kind) {
    case "creates":
      return report(
        await measureCreates(task.store, task.count, collector === "off"),
      );
    case "expiry":
      return report(await measureExpiry(task.store, task.count));
    case "turns":
      return report(await measureTurns(task.count));
    case "sizes":
      return await measureSizes(task.store, task.sizes, task, report);
  }
}

/** What there is nothing to say of is left out. */
function report(finding: unknown): void {
  if (finding === undefined) return;
  appendFileSync(file, JSON.stringify(finding) + "\n");
}
