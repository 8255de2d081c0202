/**
 * Starts a MariaDB server of the tests' own, and stands between it and a client to
 * count.
 *
 * @module
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { findProgram, freePort } from "./chaos/daemon.ts";

/** The server refuses to run as root; as anybody else it runs as it is. */
const RUN_AS = "mysql";

const isRoot = process.getuid?.() === 0;

const HOST = "127.0.0.1";

/** What is missing to start a server, or `undefined` if nothing is. */
export const missing: string | undefined = findMissing();

/** How a {@linkcode MariaServer} is started. */
export interface MariaOptions {
  /** Where its folder is made. */
  readonly root?: string;
  /** Arguments of the server. */
  readonly args?: readonly string[];
}

/** One server with a folder of its own, and the user `ada` without password. */
export class MariaServer {
  readonly port: number;
  readonly #folder: string;
  readonly #args: readonly string[];
  #process: ChildProcess | undefined;

  private constructor(folder: string, port: number, args: readonly string[]) {
    this.#folder = folder;
    this.port = port;
    this.#args = args;
  }

  /** Makes an empty database and starts its server. */
  static async start(
    { root = tmpdir(), args = [] }: MariaOptions = {},
  ): Promise<MariaServer> {
    const folder = mkdtempSync(join(root, "mariadb-"));
    if (isRoot) chownSync(folder, idOf("-u"), idOf("-g"));
    const server = new MariaServer(folder, await freePort(), args);
    // Not even a runner that is interrupted leaves a server behind.
    process.once("exit", () => server.#remove());
    const options = ["--auth-root-authentication-method=normal"];
    execFileSync(findProgram("mariadb-install-db") as string, [
      ...["--no-defaults", `--datadir=${join(folder, "data")}`],
      ...(isRoot ? [`--user=${RUN_AS}`] : []),
      ...["--skip-test-db", "--skip-name-resolve", ...options],
    ], { cwd: folder, stdio: "pipe" });
    await server.start();
    server.run(
      `CREATE DATABASE shop; CREATE USER ada@'127.0.0.1';
      GRANT ALL ON *.* TO ada@'127.0.0.1' WITH GRANT OPTION;
      REVOKE READ_ONLY ADMIN ON *.* FROM ada@'127.0.0.1'`,
    );
    return server;
  }

  /** The URL of its database, through another port if one is given. */
  url(port = this.port): string {
    return `mysql://ada@${HOST}:${port}/shop`;
  }

  /** Runs statements as an administrator. */
  run(sql: string): void {
    execFileSync(findProgram("mariadb") as string, [
      ...["--no-defaults", "--user=root", `--socket=${this.#socket}`],
      ...["--execute", sql],
    ], { stdio: "pipe" });
  }

  /** Starts it, after {@linkcode MariaServer.kill} with what it had stored. */
  async start(): Promise<void> {
    const [command, args] = asUser(findProgram("mariadbd") as string, [
      ...["--no-defaults", `--datadir=${join(this.#folder, "data")}`],
      ...[`--socket=${this.#socket}`, `--port=${this.port}`],
      ...[`--pid-file=${join(this.#folder, "pid")}`, `--bind-address=${HOST}`],
      ...["--skip-name-resolve", "--max-connections=200"],
      // A start removes the temporary files of whoever else has the same folder.
      `--tmpdir=${this.#folder}`,
      // What a killed process has written survives; only a machine's end needs it.
      "--innodb-flush-log-at-trx-commit=2",
      // A test that waits for ever fails instead.
      "--innodb-lock-wait-timeout=10",
      ...this.#args,
    ]);
    this.#process = spawn(command, args, {
      cwd: this.#folder,
      stdio: ["ignore", "ignore", "pipe"],
    });
    await ready(this.#process);
  }

  /** Its process, as long as it runs. */
  get pid(): number {
    return this.#process?.pid as number;
  }

  /** Kills it, as an accident would. */
  async kill(): Promise<void> {
    const child = this.#process as ChildProcess;
    const ended = once(child, "exit");
    process.kill(this.pid, "SIGKILL");
    await ended;
  }

  /** Stops it where it is. */
  pause(): void {
    process.kill(this.pid, "SIGSTOP");
  }

  /** Lets it go on after {@linkcode MariaServer.pause}. */
  resume(): void {
    process.kill(this.pid, "SIGCONT");
  }

  /** Ends it and removes its folder. */
  async stop(): Promise<void> {
    await this.kill();
    this.#remove();
  }

  get #socket(): string {
    return join(this.#folder, "socket");
  }

  #remove(): void {
    const { exitCode, signalCode } = this.#process ?? { exitCode: 0 };
    if (exitCode === null && signalCode === null) {
      process.kill(this.pid, "SIGKILL");
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** A port that leads to the server, watched by a test. */
export class Wire {
  /** How often a client has asked something and waited for its answer. */
  roundTrips = 0;
  readonly port: number;
  readonly #sockets = new Set<Socket>();
  readonly #close: () => void;

  private constructor(port: number, close: () => void) {
    this.port = port;
    this.#close = close;
  }

  static async open(to: number): Promise<Wire> {
    const listener = createServer((client) => wire.#join(client, to));
    listener.listen(0, HOST);
    await once(listener, "listening");
    const { port } = listener.address() as AddressInfo;
    const wire: Wire = new Wire(port, () => listener.close());
    return wire;
  }

  close(): void {
    this.#close();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** One that speaks after the other has spoken asks, or answers. */
  #join(client: Socket, port: number): void {
    const server = connect(port, HOST);
    let isAsking = false;
    const pair = [client, server];
    const cut = () => pair.forEach((socket) => socket.destroy());
    for (const socket of pair) {
      this.#sockets.add(socket);
      socket.setNoDelay(true).on("error", cut).on("close", cut);
    }
    client.on("data", (chunk: Uint8Array) => {
      if (!isAsking) this.roundTrips++;
      isAsking = true;
      server.write(chunk);
    });
    server.on("data", (chunk: Uint8Array) => {
      isAsking = false;
      client.write(chunk);
    });
  }
}

/** Waits for the line that says so; fails with the last words if it ends. */
function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = "";
    child.stderr?.on("data", (chunk: Uint8Array) => {
      said = (said + new TextDecoder().decode(chunk)).slice(-2000);
      if (said.includes("ready for connections")) resolve();
    });
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`MariaDB ended: ${said}`)));
  });
}

function findMissing(): string | undefined {
  for (const name of ["mariadbd", "mariadb-install-db", "mariadb"]) {
    const path = findProgram(name);
    if (path === undefined || !existsSync(path)) {
      return `${name} is not installed`;
    }
  }
  if (!isRoot) return undefined;
  try {
    execFileSync("setpriv", [...asOwner(), "true"], { stdio: "pipe" });
    return undefined;
  } catch {
    return `a server does not run as root, and setpriv cannot become ${RUN_AS}`;
  }
}

/** setpriv becomes the program, so that its process is the one to signal. */
function asUser(path: string, args: string[]): [string, string[]] {
  return isRoot ? ["setpriv", [...asOwner(), path, ...args]] : [path, args];
}

function asOwner(): string[] {
  return [`--reuid=${RUN_AS}`, `--regid=${RUN_AS}`, "--clear-groups", "--"];
}

function idOf(option: "-u" | "-g"): number {
  return Number(execFileSync("id", [option, RUN_AS], { encoding: "utf8" }));
}
