import { spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** What a child says when its package is not there. */
export interface Missing {
  readonly missing: string;
}

const isDeno = "Deno" in globalThis;

/** The name and version of this runtime. */
export const RUNTIME: string = isDeno
  ? `Deno ${process.versions.deno}`
  : `Bun ${process.versions.bun}`;

/** The arguments that run a script on this runtime, collector exposed. */
export function runArguments(script: URL): string[] {
  const path = fileURLToPath(script);
  if (!isDeno) return ["run", path];
  return ["run", "-A", "--v8-flags=--expose-gc", path];
}

/**
 * Runs a script in a process of its own, so that it shares neither heap nor
 * compiled code with anything else, and answers what it printed as JSON.
 *
 * @throws {Error} If it failed.
 */
export function runChild<Result>(
  script: URL,
  args: readonly string[],
): Promise<Result> {
  const child = spawn(process.execPath, [...runArguments(script), ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (part: string) => text += part);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code: number | null) => {
      if (code === 0) return resolve(JSON.parse(text));
      reject(new Error(`Cannot measure ${args.join(" ")}: it failed`));
    });
  });
}

/** The error of a package that was not found, or not reached. */
export function isMissing(error: unknown): boolean {
  const text = error instanceof Error ? error.message : String(error);
  return /JSR package|Cannot find (?:package|module)|not a dependency|not in import map/i
    .test(text);
}
