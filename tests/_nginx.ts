/**
 * Starts an nginx of the tests' own, as a cache in front of an origin.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import process from "node:process";

/** Where Debian has it, which is not on every user's path. */
const PLACES = [
  ...(process.env["PATH"] ?? "").split(delimiter),
  "/usr/sbin",
];

const binary = PLACES.map((place) => join(place, "nginx")).find(existsSync);

/** What is missing to start it, or `undefined` if nothing is. */
export const missing: string | undefined = binary === undefined
  ? "nginx is not installed"
  : undefined;

/** One nginx with a folder of its own. */
export class Nginx {
  /** Where it listens, without a slash at the end. */
  readonly url: string;
  readonly #folder: string;
  readonly #process: ChildProcess;

  private constructor(url: string, folder: string, child: ChildProcess) {
    this.url = url;
    this.#folder = folder;
    this.#process = child;
  }

  /**
   * Starts it in front of an origin.
   *
   * @param rules What its `location` says about caching, beside the cache.
   */
  static async start(origin: string, rules: string): Promise<Nginx> {
    const folder = mkdtempSync(join(tmpdir(), "nginx-"));
    mkdirSync(join(folder, "temp"));
    const port = await freePort();
    const file = join(folder, "nginx.conf");
    writeFileSync(file, configuration(folder, port, origin, rules));
    const log = join(folder, "error.log");
    const args = ["-p", folder, "-c", file, "-e", log];
    const child = spawn(binary as string, args, { stdio: "ignore" });
    const nginx = new Nginx(`http://127.0.0.1:${port}`, folder, child);
    // Not even a runner that is interrupted leaves a server behind.
    process.once("exit", () => nginx.#remove());
    if (!await isReached(child, port)) {
      const said = existsSync(log) ? readFileSync(log, "utf8") : "";
      nginx.#remove();
      throw new Error(`nginx does not start: ${said}`);
    }
    return nginx;
  }

  /** Ends it and removes its folder. */
  async stop(): Promise<void> {
    const ended = once(this.#process, "exit");
    this.#process.kill();
    await ended;
    this.#remove();
  }

  #remove(): void {
    this.#process.kill("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function configuration(
  folder: string,
  port: number,
  origin: string,
  rules: string,
): string {
  const temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((kind) => `${kind}_temp_path ${folder}/temp/${kind};`).join("\n");
  // A single process: workers would outlive a first one that is killed.
  return `
daemon off;
master_process off;
pid ${folder}/nginx.pid;
events {}
http {
  access_log off;
  ${temp}
  proxy_cache_path ${folder}/cache keys_zone=all:1m;
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass ${origin};
      proxy_cache all;
      ${rules}
      add_header X-Cache $upstream_cache_status always;
    }
  }
}
`;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Waits until it answers, which it never does once it has ended. */
async function isReached(child: ChildProcess, port: number): Promise<boolean> {
  for (let attempt = 0; attempt < 500; attempt++) {
    if (child.exitCode !== null) return false;
    const socket = connect(port, "127.0.0.1");
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    socket.destroy();
    if (isOpen) return true;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return false;
}
