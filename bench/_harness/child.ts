/** Does one job in a process of its own; a line of a file for each finding. */
import { appendFileSync } from "node:fs";
import process from "node:process";
import { SECTIONS } from "../sections.ts";
import type { Job } from "./section.ts";

const [file = "", text = ""] = process.argv.slice(2);
const job: Job = JSON.parse(text);
// At once, because the process may end for want of memory.
const tell = (finding: unknown) =>
  appendFileSync(file, `${JSON.stringify(finding)}\n`);
try {
  const section = SECTIONS.find(({ name }) => name === job.section);
  await section?.measure(job, tell);
} catch (error) {
  tell({ failure: error instanceof Error ? error.message : String(error) });
}
// Some clients and servers would keep it alive.
process.exit();
