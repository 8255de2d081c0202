import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { freemem, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** What a child process is to measure. */
export type Task =
  | {
    readonly kind: "creates" | "expiry";
    readonly store: string;
    readonly count: number;
  }
  | { readonly kind: "turns"; readonly count: number }
  | {
    readonly kind: "sizes";
    readonly store: string;
    readonly sizes: readonly number[];
    /** The most it may take, in milliseconds and in bytes. */
    readonly time: number;
    readonly memory: number;
  };

/** How the engine collects garbage. */
export type Collector = "on" | "off";

/** What a child process told, and what its engine did. */
export interface Outcome {
  /** What it found, in the order in which it found it. */
  readonly findings: readonly unknown[];
  readonly collections: readonly Collection[];
  /** Why it ended early, if it did. */
  readonly failure?: string;
}

/** One stop of the program for the engine's collector. */
export interface Collection {
  /** When it ended, in milliseconds of the process; Bun does not say. */
  readonly at: number | undefined;
  /** How long it was, in milliseconds. */
  readonly pause: number;
}

const isBun = process.versions.bun !== undefined;
const child = fileURLToPath(new URL("./child.ts", import.meta.url));

/** What children that never collect need: all garbage stays. */
const YOUNG_MEGABYTES = 4096;

/** The runtime and its version, such as `Deno 2.9.6`. */
export const runtime: string = isBun
  ? `Bun ${process.versions.bun}`
  : `Deno ${process.versions.deno}`;

/** Bytes that a child may take: what is left to the machine, less a tenth. */
export function availableMemory(): number {
  return freemem() * 0.9;
}

/** Performs a task in a process of its own. */
export async function perform(
  task: Task,
  collector: Collector,
): Promise<Outcome> {
  const folder = await mkdtemp(join(tmpdir(), "growth-"));
  const file = join(folder, "findings");
  try {
    const { code, output } = await run(
      [file, JSON.stringify(task), collector],
      collector,
    );
    const findings = await readFindings(file);
    const collections = collectionsOf(output);
    if (code === 0) return { findings, collections };
    const failed = findings.find(isFailure);
    return {
      findings: findings.filter((finding) => finding !== failed),
      collections,
      failure: failed?.failure ?? causeOf(code, output),
    };
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function readFindings(file: string): Promise<unknown[]> {
  const text = await readFile(file, "utf8").catch(() => "");
  const lines = text.split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line));
}

function isFailure(finding: unknown): finding is { failure: string } {
  return typeof finding === "object" && finding !== null &&
    "failure" in finding;
}

/** Why a process ended that did not say so itself. */
function causeOf(code: number | null, output: string): string {
  return /out of memory/i.test(output)
    ? "out of memory"
    : `the process ended with code ${code}`;
}

function run(
  args: readonly string[],
  collector: Collector,
): Promise<{ code: number | null; output: string }> {
  const [flags, env] = isBun ? bunOptions(collector) : denoOptions(collector);
  const { promise, resolve, reject } = Promise.withResolvers<
    { code: number | null; output: string }
  >();
  const started = spawn(process.execPath, [...flags, child, ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const hear = (chunk: Uint8Array) => void (output += chunk);
  started.stdout?.on("data", hear);
  started.stderr?.on("data", hear);
  started.on("error", reject);
  started.on("close", (code) => resolve({ code, output }));
  return promise;
}

type Options = readonly [string[], Record<string, string>];

function denoOptions(collector: Collector): Options {
  const megabytes = Math.floor(availableMemory() / 2 ** 20);
  const flags = ["--expose-gc", "--trace-gc"];
  flags.push(`--max-old-space-size=${megabytes}`);
  if (collector === "off") {
    // Nothing is collected before the young generation is full, or has 64 MB of
    // array buffers, which `creates.ts` sees to.
    flags.push(`--min-semi-space-size=${YOUNG_MEGABYTES}`);
    flags.push(`--max-semi-space-size=${YOUNG_MEGABYTES}`);
    flags.push(`--initial-old-space-size=${megabytes}`);
  }
  return [["run", "-A", `--v8-flags=${flags.join(",")}`], { NO_COLOR: "1" }];
}

function bunOptions(collector: Collector): Options {
  const env: Record<string, string> = { BUN_JSC_logGC: "1" };
  if (collector === "off") env.BUN_JSC_useGC = "0";
  return [["--install=fallback"], env];
}

/**
 * V8: `[7:0x5c]  102 ms: Scavenge 16.8 (21.7) -> …, 6.41 / 0.00 ms (…`;
 * JavaScriptCore: `[GC<0x4f>: … p=1.20ms (max 1.20), … END]`, with a `p=` for
 * each of the stops that make up one collection. Those that were asked for say
 * `testing` in V8, and do not count.
 */
function collectionsOf(output: string): Collection[] {
  const pattern = isBun
    ? /()\bp=([\d.]+)ms/g
    : /^\[\d+:0x\w+\] +(\d+) ms: .*? ([\d.]+) \/ [\d.]+ ms(?!.* testing)/gm;
  return [...output.matchAll(pattern)].map(([, at, pause]) => ({
    at: at ? Number(at) : undefined,
    pause: Number(pause),
  }));
}
