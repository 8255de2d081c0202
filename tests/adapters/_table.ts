/**
 * Makes the table in docs/frameworks.md: what each adapter passed on which
 * runtime. `deno run -A tests/adapters/_table.ts` runs the suites and writes it.
 *
 * @module
 */
import { appendFileSync } from "node:fs";
import process from "node:process";

/** What one framework passed on one runtime. */
export interface Row {
  readonly name: string;
  readonly version: string;
  readonly runtime: string;
  readonly passed: number;
  readonly total: number;
  readonly thrown4xx: "dropped" | "kept";
  /** The checks that it cannot pass, with the reason. */
  readonly cannot: Readonly<Record<string, string>>;
}

/** Prints a row, and keeps it in the file that `SESSION_FRAMEWORKS` names. */
export function noteRow(row: Row): void {
  console.log(markdownOf(row));
  const file = process.env.SESSION_FRAMEWORKS;
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(row)}\n`);
}

function markdownOf({ name, version, runtime, ...row }: Row): string {
  return `| ${name} | ${version} | ${runtime} | ${row.passed} of ${row.total} | ${row.thrown4xx} |`;
}
