/**
 * Builds small applications of frameworks that have a compiler, once for each
 * version.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const MODULES = new URL("../../node_modules/", import.meta.url);

/** Where the framework's packages are found from. */
const CACHE = new URL(".cache/cloakroom/", MODULES);

/** The program that Vite starts with. */
const VITE = fileURLToPath(new URL("vite/bin/vite.js", MODULES));

/**
 * Builds an application with Vite, unless it has been already.
 *
 * @param name A name for what is built, with its version.
 * @param files What it consists of, by path.
 * @returns The folder that it was built in.
 * @throws {Error} If it cannot be built.
 */
export function build(
  name: string,
  files: Readonly<Record<string, string>>,
): URL {
  const folder = new URL(`${name}/`, CACHE);
  if (existsSync(folder)) return folder;
  const draft = new URL(`${name}-${process.pid}/`, CACHE);
  for (const [path, text] of Object.entries(files)) {
    const file = fileURLToPath(new URL(path, draft));
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  const [program = "bun", ...prefix] = COMPILERS.find(runs) ?? [];
  const { status, stderr, error } = spawnSync(
    program,
    [...prefix, VITE, "build"],
    { cwd: fileURLToPath(draft), encoding: "utf8" },
  );
  if (status !== 0) throw new Error(`Cannot build ${name}: ${error ?? stderr}`);
  try {
    renameSync(draft, folder);
  } catch (error) {
    // Another run was faster, and has built the same.
    if (!existsSync(folder)) throw error;
    rmSync(draft, { recursive: true });
  }
  return folder;
}

/** What a build needs that is not there, if anything. */
export function missingCompiler(): string | undefined {
  return COMPILERS.some(runs)
    ? undefined
    : "neither bun nor npx is on the PATH to build it with";
}

/** What Vite runs on; Deno does not run all of its plugins. */
const COMPILERS = [["bun"], ["npx", "-y", "bun@1.4.5"]];

function runs([program = "", ...args]: readonly string[]): boolean {
  return spawnSync(program, [...args, "--version"]).status === 0;
}
