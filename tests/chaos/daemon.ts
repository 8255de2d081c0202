/** A program of some other kind that runs beside the tests. */
import {
  type ChildProcess,
  execFile,
  execFileSync,
  spawn,
  spawnSync,
} from "node:child_process";
import { once } from "node:events";
import {
  chownSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
} from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";

const HOST = "127.0.0.1";

/** Some servers refuse to run as root. */
const RUN_AS = "postgres";

const IS_ROOT = process.getuid?.() === 0;

/** Programs that must not outlive a run, however it ends. */
const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) signal(child, "SIGKILL");
});

/** What is started and how to know that it is ready. */
export interface DaemonOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** Some words of what it prints once it is ready. */
  readonly ready: string;
  /** Whether it refuses to run as root. @default {false} */
  readonly isNoRoot?: boolean;
}

/** A program that is started, stopped where it is, killed and started again. */
export class Daemon {
  readonly #options: DaemonOptions;
  #process: ChildProcess | undefined;

  private constructor(options: DaemonOptions) {
    this.#options = options;
  }

  static async start(options: DaemonOptions): Promise<Daemon> {
    const daemon = new Daemon(options);
    await daemon.start();
    return daemon;
  }

  /** Starts it, again after a `kill`. */
  async start(): Promise<void> {
    const { command, args, ready, isNoRoot = false } = this.#options;
    const [path, words] = isNoRoot ? asOwner(command, args) : [command, args];
    const child = spawn(path as string, words as string[], {
      cwd: "/",
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process = child;
    running.add(child);
    await untilSaid(child, ready);
  }

  /** Stops it where it is; its connections stay. */
  pause(): void {
    signal(this.#process, "SIGSTOP");
  }

  /** Lets it go on. */
  resume(): void {
    signal(this.#process, "SIGCONT");
  }

  /** Ends it without a chance to write anything down. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null) return;
    const ended = once(child, "exit");
    signal(child, "SIGKILL");
    await ended;
    running.delete(child);
    this.#process = undefined;
  }
}

function signal(child: ChildProcess | undefined, name: NodeJS.Signals): void {
  const { pid, exitCode, signalCode } = child ?? {};
  if (pid === undefined || exitCode !== null || signalCode !== null) return;
  process.kill(pid, name);
}

/** A folder that is removed by {@linkcode removeFolder}. */
export function makeFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `${name}-`));
  if (IS_ROOT && canBeOwned()) chownSync(folder, idOf("-u"), idOf("-g"));
  return folder;
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}

/** A port that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/**
 * Runs a program to its end, as somebody who is not root. It may talk to a proxy
 * of this process, which therefore goes on.
 */
export async function runAsOwner(
  command: string,
  args: readonly string[],
): Promise<void> {
  const [path, words] = asOwner(command, args);
  await promisify(execFile)(path, words, { cwd: "/" });
}

/** Where a program is; Debian keeps those of Postgres off the PATH. */
export function findProgram(name: string): string | undefined {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root) : [];
  const folders = [
    ...(process.env["PATH"] ?? "").split(":"),
    "/usr/sbin",
    ...versions.map((version) => join(root, version, "bin")),
  ];
  return folders.map((folder) => join(folder, name)).findLast(existsSync);
}

/** Does something again and again until it answers, for ten seconds. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined | false>,
): Promise<T> {
  const end = performance.now() + 10_000;
  while (performance.now() < end) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`Cannot go on: ${what} did not come about in 10 seconds`);
}

/** setpriv becomes the program, so that its process is the one to signal. */
function asOwner(
  command: string,
  args: readonly string[],
): [string, string[]] {
  if (!IS_ROOT) return [command, [...args]];
  const owner = [`--reuid=${RUN_AS}`, `--regid=${RUN_AS}`, "--clear-groups"];
  return ["setpriv", [...owner, "--", command, ...args]];
}

function canBeOwned(): boolean {
  return spawnSync("id", [RUN_AS]).status === 0;
}

function idOf(option: "-u" | "-g"): number {
  return Number(execFileSync("id", [option, RUN_AS], { encoding: "utf8" }));
}

/** Reads on after that: a program whose output nobody takes comes to a stop. */
function untilSaid(child: ChildProcess, ready: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = "";
    const hear = (chunk: Uint8Array) => {
      said = (said + new TextDecoder().decode(chunk)).slice(-4000);
      if (said.includes(ready)) resolve();
    };
    child.stdout?.on("data", hear);
    child.stderr?.on("data", hear);
    child.once("error", reject);
    child.once(
      "exit",
      () =>
        reject(
          new Error(`Cannot start ${child.spawnfile}: it ended:\n${said}`),
        ),
    );
  });
}
