/** Starts the runtimes, and what is measured in processes of their own. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { freemem, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Figure } from "./figures.ts";
import type { Job } from "./section.ts";

/** The root of the repository. */
export const ROOT: string = fileURLToPath(new URL("../../", import.meta.url));

/** Deno or Bun, and how to start it. */
export interface Runtime {
  readonly name: "Deno" | "Bun";
  /** Such as `Deno 2.9.6`. */
  readonly version: string;
  readonly command: readonly string[];
}

/** What is taken from npm when a runtime is not installed. */
const PACKAGES = { Deno: "deno@2.9.6", Bun: "bun@1.4.5" };

const CHILD = new URL("./child.ts", import.meta.url);

/** For V8 without its collector: all garbage stays in the young generation. */
const YOUNG = ["min-semi-space-size=4096", "max-semi-space-size=4096"];

/** A runtime, unless it cannot be started. */
export function findRuntime(name: Runtime["name"]): Runtime | undefined {
  const isOwn = (name === "Deno") === "Deno" in globalThis;
  const commands = isOwn
    ? [[process.execPath]]
    : [[name.toLowerCase()], ["npx", "-y", PACKAGES[name]]];
  for (const command of commands) {
    const [program = "", ...prefix] = command;
    const { status, stdout } = spawnSync(program, [...prefix, "--version"]);
    if (status !== 0) continue;
    const version = /\d+\.\d+\.\d+/.exec(stdout.toString())?.[0];
    return { name, version: `${name} ${version}`, command };
  }
  return undefined;
}

/** Runs a command of Deno, if it is there: to format, or to install. */
export function runDeno(...args: readonly string[]): void {
  const [program = "", ...prefix] = findRuntime("Deno")?.command ?? ["deno"];
  spawnSync(program, [...prefix, ...args], { cwd: ROOT, stdio: "inherit" });
}

/** What a process is started with. */
export interface StartOptions {
  readonly script: URL;
  readonly args: readonly string[];
  /** Whether anyone reads what it prints. */
  readonly isHeard?: boolean;
  readonly isWithoutCollector?: boolean | undefined;
}

/** Starts a script on a runtime. */
export function start(
  { name, command: [program = "", ...prefix] }: Runtime,
  { script, args, isHeard = false, isWithoutCollector = false }: StartOptions,
): ChildProcess {
  const megabytes = Math.floor(freemem() * 0.9 / 2 ** 20);
  const flags = ["expose-gc", `max-old-space-size=${megabytes}`];
  if (isWithoutCollector) {
    flags.push(...YOUNG, `initial-old-space-size=${megabytes}`);
  }
  const v8 = flags.map((flag) => `--${flag}`).join();
  const run = name === "Bun" ? ["run"] : ["run", "-A", `--v8-flags=${v8}`];
  const collector = isWithoutCollector ? { BUN_JSC_useGC: "0" } : {};
  return spawn(program, [...prefix, ...run, fileURLToPath(script), ...args], {
    cwd: ROOT,
    env: { ...process.env, NO_COLOR: "1", ...collector },
    stdio: ["ignore", isHeard ? "pipe" : "ignore", "inherit"],
  });
}

/** Collects the engine's garbage, all of it, where that can be asked for. */
export function collectGarbage(): void {
  const { gc, Bun } = globalThis as {
    gc?: () => void;
    Bun?: { gc(isSynchronous: boolean): void };
  };
  gc?.();
  Bun?.gc(true);
}

/** The code that a process ends with. */
export function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
}

/** What a job found, and why it failed, if it did. */
export interface Outcome {
  readonly figures: readonly Figure[];
  readonly notes: readonly string[];
  readonly failure: string | undefined;
}

/** Does a job in a process of its own. */
export async function perform(
  runtime: Runtime,
  job: Job,
  isWithoutCollector?: boolean,
): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), "cloakroom-bench-"));
  const file = join(folder, "findings");
  try {
    writeFileSync(file, "");
    const args = [file, JSON.stringify(job)];
    const child = start(runtime, { script: CHILD, args, isWithoutCollector });
    const code = await ended(child);
    const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
    const findings = lines.map((line) => JSON.parse(line));
    const failure = findings.find((some) => "failure" in Object(some))?.failure;
    const ending = `the process ended with code ${code}`;
    return {
      figures: findings.filter((some) => "value" in Object(some)),
      notes: findings.filter((some) => typeof some === "string"),
      failure: failure ?? (code === 0 ? undefined : ending),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
