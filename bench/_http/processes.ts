import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Missing } from "../compare/_child.ts";
import type { Load } from "./load.ts";
import type { Figures, Ready } from "./server.ts";

/** How to start a runtime. */
export interface Runtime {
  /** Such as `Deno 2.9.6`. */
  readonly name: string;
  readonly command: readonly string[];
}

/** The versions that are taken from npm when the runtime is not installed. */
const PACKAGES = { deno: "deno@2.9.6", bun: "bun@1.4.5" };

/** This runtime, or another if it can be started. */
export function findRuntime(name: "deno" | "bun"): Runtime | undefined {
  const isOwn = (name === "deno") === "Deno" in globalThis;
  const commands = isOwn
    ? [[process.execPath]]
    : [[name], ["npx", "-y", PACKAGES[name]]];
  for (const command of commands) {
    const [program = "", ...prefix] = command;
    const found = spawnSync(program, [...prefix, "--version"]);
    if (found.status !== 0) continue;
    const version = /\d+\.\d+\.\d+/.exec(found.stdout.toString())?.[0];
    const title = name === "deno" ? "Deno" : "Bun";
    const run = name === "deno" ? ["run", "-A"] : ["run"];
    return { name: `${title} ${version}`, command: [...command, ...run] };
  }
  return undefined;
}

function start(
  { command: [program = "", ...prefix] }: Runtime,
  script: string,
  args: readonly string[],
): ChildProcess {
  const path = fileURLToPath(new URL(script, import.meta.url));
  return spawn(program, [...prefix, path, ...args], {
    stdio: ["pipe", "pipe", "inherit"],
  });
}

/** A server in a process of its own. */
export class ServerProcess {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(runtime: Runtime, args: readonly string[]) {
    this.#child = start(runtime, "./server.ts", args);
    const { stdout } = this.#child;
    if (stdout === null) throw new Error("Cannot start server: no output");
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  }

  /** Ends when it listens, or cannot. */
  async ready(): Promise<Ready | Missing> {
    return await this.#line<Ready | Missing>();
  }

  async figures(): Promise<Figures> {
    this.#child.stdin?.write("figures\n");
    return await this.#line<Figures>();
  }

  stop(): void {
    this.#child.kill();
  }

  async #line<Answer>(): Promise<Answer> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error("Cannot go on: a server has ended");
    return JSON.parse(value);
  }
}

/** Runs the load against a server. */
export async function runLoad(
  runtime: Runtime,
  args: readonly string[],
): Promise<Load> {
  const child = start(runtime, "./load.ts", args);
  let text = "";
  child.stdout?.on("data", (part) => text += part);
  const code = await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  if (code !== 0) throw new Error("Cannot measure: the load has failed");
  return JSON.parse(text);
}
