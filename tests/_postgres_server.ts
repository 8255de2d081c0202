/**
 * Starts a Postgres server of the tests' own, and stands between it and a client
 * to count and to cut.
 *
 * @module
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chownSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
} from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

/** The server refuses to run as root; as anybody else it runs as it is. */
const RUN_AS = "postgres";

/** How often a start is tried that its predecessor's memory prevents. */
const MOST_LAUNCHES = 100;

const isRoot = process.getuid?.() === 0;

/** What is missing to start a server, or `undefined` if nothing is. */
export const missing: string | undefined = findMissing();

/** One server with a folder of its own, and the user `postgres` without password. */
export class PostgresServer {
  readonly port: number;
  readonly #folder: string;
  #process: ChildProcess | undefined;

  private constructor(folder: string, port: number) {
    this.#folder = folder;
    this.port = port;
  }

  /** Makes an empty database and starts its server. */
  static async start(): Promise<PostgresServer> {
    const folder = mkdtempSync(join(tmpdir(), "postgres-"));
    if (isRoot) chownSync(folder, idOf("-u"), idOf("-g"));
    const server = new PostgresServer(folder, await freePort());
    // Not even a runner that is interrupted leaves a server behind.
    process.once("exit", () => server.#remove());
    const options = ["--username=postgres", "--auth=trust", "--encoding=UTF8"];
    const [command, args] = asUser(binary("initdb"), [
      ...["--no-sync", "--no-locale", "--pgdata", join(folder, "data")],
      ...options,
    ]);
    execFileSync(command, args, { cwd: folder, stdio: "pipe" });
    await server.start();
    return server;
  }

  /** The URL of its database, through another port if one is given. */
  url(port = this.port): string {
    return `postgres://postgres@127.0.0.1:${port}/postgres`;
  }

  /** Starts it, after {@linkcode PostgresServer.kill} with what it had stored. */
  async start(): Promise<void> {
    for (let attempt = 1;; attempt++) {
      try {
        return await this.#launch();
      } catch (error) {
        // A killed child may hold the memory for a moment after the first is gone.
        const isHeld = String(error).includes("is still in use");
        if (!isHeld || attempt === MOST_LAUNCHES) throw error;
      }
    }
  }

  async #launch(): Promise<void> {
    const [command, args] = asUser(binary("postgres"), [
      ...["-D", join(this.#folder, "data"), "-p", String(this.port)],
      ...["-c", "listen_addresses=127.0.0.1"],
      ...["-c", "unix_socket_directories="],
      // What a killed process has written survives; only a machine's end needs it.
      ...["-c", "fsync=off", "-c", "max_connections=200"],
      // A test that waits for ever fails instead.
      ...["-c", "lock_timeout=10s"],
    ]);
    this.#process = spawn(command, args, {
      cwd: this.#folder,
      stdio: ["ignore", "ignore", "pipe"],
    });
    await ready(this.#process);
  }

  /** Kills every process of it in one go, as an accident would. */
  async kill(): Promise<void> {
    const ended = once(this.#process as ChildProcess, "exit");
    this.#signal("SIGKILL");
    await ended;
  }

  /** Stops every process of it where it is. */
  pause(): void {
    this.#signal("SIGSTOP");
  }

  /** Lets it go on after {@linkcode PostgresServer.pause}. */
  resume(): void {
    this.#signal("SIGCONT");
  }

  /** Ends it and removes its folder. */
  async stop(): Promise<void> {
    await this.kill();
    this.#remove();
  }

  #remove(): void {
    const { exitCode, signalCode } = this.#process ?? { exitCode: 0 };
    if (exitCode === null && signalCode === null) this.#signal("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Each connection has a process of its own, which is a child of the first. */
  #signal(name: NodeJS.Signals): void {
    const first = this.#process?.pid as number;
    // So that it starts none while they are looked up.
    process.kill(first, "SIGSTOP");
    const lines = execFileSync("ps", ["-A", "-o", "pid=,ppid="], {
      encoding: "utf8",
    }).split("\n");
    const pairs = lines.map((line) => line.trim().split(/\s+/).map(Number));
    const children = pairs.filter(([, parent]) => parent === first);
    for (const [pid] of [[first], ...children]) {
      try {
        process.kill(pid as number, name);
      } catch {
        // It has ended in the meantime.
      }
    }
  }
}

/** What a client of `pg` has, as far as these helpers need it. */
interface Client {
  query(
    query: { text: string; values?: unknown[]; rowMode: "array" },
  ): Promise<{ readonly rows: unknown[][] }>;
}

/** Adds so many copies of the only row of a table; answers their ids. */
export async function fill(
  client: Client,
  table: string,
  count: number,
): Promise<string[]> {
  const { rows: columns } = await client.query({
    text: `SELECT attname FROM pg_attribute
      WHERE attrelid = to_regclass($1) AND attnum > 0 AND attname <> 'id'`,
    values: [table],
    rowMode: "array",
  });
  const { rows } = await client.query({
    text: `INSERT INTO ${table} (id, ${columns.join()})
      SELECT id || number, ${columns.join()}
      FROM ${table}, generate_series(1, ${count}) AS number RETURNING id`,
    rowMode: "array",
  });
  return rows.map(([id]) => id as string);
}

/** A port that leads to the server, watched by a test. */
export class Wire {
  /** How often a client has asked something and waited for its answer. */
  roundTrips = 0;
  readonly port: number;
  readonly #sockets = new Set<Socket>();
  readonly #close: () => void;
  #isCutting = false;

  private constructor(port: number, close: () => void) {
    this.port = port;
    this.#close = close;
  }

  static async open(server: PostgresServer): Promise<Wire> {
    const listener = createServer((client) => wire.#join(client, server.port));
    listener.listen(0, "127.0.0.1");
    await once(listener, "listening");
    const { port } = listener.address() as AddressInfo;
    const wire: Wire = new Wire(port, () => listener.close());
    return wire;
  }

  /** Cuts the next connection on which the server answers, before it does. */
  cutNextAnswer(): void {
    this.#isCutting = true;
  }

  close(): void {
    this.#close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #join(client: Socket, port: number): void {
    const server = connect(port, "127.0.0.1");
    const frames = new FrameReader();
    const pair = [client, server];
    const cut = () => pair.forEach((socket) => socket.destroy());
    for (const socket of pair) {
      this.#sockets.add(socket);
      socket.setNoDelay(true).on("error", cut).on("close", cut);
    }
    client.on("data", (chunk: Uint8Array) => {
      for (const type of frames.read(chunk)) {
        if ("QSH".includes(type)) this.roundTrips++;
      }
      server.write(chunk);
    });
    server.on("data", (chunk: Uint8Array) => {
      if (!this.#isCutting) return void client.write(chunk);
      this.#isCutting = false;
      cut();
    });
  }
}

/**
 * Reads the types of a client's messages. Query, Sync and Flush are those after
 * which it waits.
 */
class FrameReader {
  #rest = new Uint8Array(0);
  #isStarted = false;

  read(chunk: Uint8Array): string[] {
    let bytes = new Uint8Array([...this.#rest, ...chunk]);
    const types: string[] = [];
    for (;;) {
      const head = this.#isStarted ? 1 : 0;
      const size = sizeOf(bytes, head);
      if (size === undefined) break;
      if (head === 1) types.push(String.fromCharCode(bytes[0] as number));
      // Eight bytes before the start ask for encryption.
      else this.#isStarted = size !== 8;
      bytes = bytes.slice(head + size);
    }
    this.#rest = bytes;
    return types;
  }
}

/** The length of a message without its type, if the whole of it is there. */
function sizeOf(bytes: Uint8Array, head: number): number | undefined {
  if (bytes.length < head + 4) return undefined;
  const size = new DataView(bytes.buffer).getInt32(head);
  return bytes.length < head + size ? undefined : size;
}

/** Waits for the line that says so; fails with the last words if it ends. */
function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = "";
    child.stderr?.on("data", (chunk: Uint8Array) => {
      said = (said + new TextDecoder().decode(chunk)).slice(-2000);
      if (said.includes("ready to accept connections")) resolve();
    });
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`Postgres ended: ${said}`)));
  });
}

async function freePort(): Promise<number> {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  listener.close();
  await once(listener, "close");
  return port;
}

function findMissing(): string | undefined {
  for (const name of ["initdb", "postgres"]) {
    if (findBinary(name) === undefined) return `${name} is not installed`;
  }
  if (!isRoot) return undefined;
  try {
    execFileSync("setpriv", [...asOwner(), "true"], { stdio: "pipe" });
    return undefined;
  } catch {
    return `a server does not run as root, and setpriv cannot become ${RUN_AS}`;
  }
}

function binary(name: string): string {
  const path = findBinary(name);
  if (path === undefined) throw new Error(`${name} is not installed`);
  return path;
}

/** Debian keeps a server's programs off the PATH, in a folder per version. */
function findBinary(name: string): string | undefined {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root) : [];
  const folders = [
    ...(process.env["PATH"] ?? "").split(":"),
    ...versions.sort((a, b) => Number(b) - Number(a)).map((version) =>
      join(root, version, "bin")
    ),
  ];
  return folders.map((folder) => join(folder, name)).find(existsSync);
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
