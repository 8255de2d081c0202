/** Servers that stand in for each other: sentinels, replicas, standbys, poolers. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { PostgresServer } from "../_postgres_server.ts";
import { RedisCluster, RedisServer } from "../_redis_server.ts";
import {
  Daemon,
  findProgram,
  freePort,
  makeFolder,
  removeFolder,
  runAsOwner,
  until,
} from "./daemon.ts";
import { Proxy } from "./proxy.ts";

const HOST = "127.0.0.1";

/** A Redis with a replica, and three sentinels that watch them. */
export class SentinelGroup {
  readonly master: RedisServer;
  readonly replica: RedisServer;
  /** Between the two; what it holds back, the replica lacks. */
  readonly link: Proxy;
  readonly ports: readonly number[];
  readonly #sentinels: readonly Daemon[];
  readonly #folder: string;

  private constructor(parts: {
    readonly master: RedisServer;
    readonly replica: RedisServer;
    readonly link: Proxy;
    readonly ports: readonly number[];
    readonly sentinels: readonly Daemon[];
    readonly folder: string;
  }) {
    this.master = parts.master;
    this.replica = parts.replica;
    this.link = parts.link;
    this.ports = parts.ports;
    this.#sentinels = parts.sentinels;
    this.#folder = parts.folder;
  }

  /** @param args Options of both servers, as on their command lines. */
  static async start(args: readonly string[] = []): Promise<SentinelGroup> {
    const quick = ["--repl-diskless-sync-delay", "0", ...args];
    const master = await RedisServer.start(quick);
    const link = await Proxy.start(master.port);
    const source = ["--replicaof", HOST, String(link.port)];
    const replica = await RedisServer.start([...quick, ...source]);
    await until(
      "a replica in sync",
      async () =>
        (await replica.command("INFO", "replication"))
          .includes("master_link_status:up"),
    );
    const folder = makeFolder("sentinels");
    const ports = [await freePort(), await freePort(), await freePort()];
    const sentinels = await Promise.all(
      ports.map((port) => startSentinel(join(folder, `${port}`), port, master)),
    );
    const group = { master, replica, link, ports, sentinels, folder };
    await until("sentinels that know all", () => isWatched(ports));
    return new SentinelGroup(group);
  }

  /** Keeps everything from the replica for so many seconds, five at most. */
  async fallBehind(seconds: number): Promise<void> {
    // Sentinels lead a replica past the link after eight seconds; they begin anew.
    for (const port of this.ports) ask(port, "sentinel", "reset", "site");
    await this.replica.command("REPLICAOF", HOST, this.link.port);
    await untilInStep(this.replica);
    await until("sentinels that know all", () => isWatched(this.ports));
    this.link.hold();
    await sleep(seconds * 1000);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#sentinels.map((sentinel) => sentinel.kill()));
    await Promise.all([this.link.stop(), this.master.stop()]);
    await this.replica.stop();
    removeFolder(this.#folder);
  }
}

async function startSentinel(
  folder: string,
  port: number,
  master: RedisServer,
): Promise<Daemon> {
  mkdirSync(folder);
  const file = join(folder, "sentinel.conf");
  writeFileSync(
    file,
    `port ${port}
bind ${HOST}
dir ${folder}
sentinel monitor site ${HOST} ${master.port} 2
sentinel down-after-milliseconds site 500
sentinel failover-timeout site 3000
`,
  );
  const args = [file, "--sentinel"];
  const ready = "+monitor master";
  return await Daemon.start({ command: "redis-server", args, ready });
}

async function isWatched(ports: readonly number[]): Promise<boolean> {
  const told = ports.map((port) => ask(port, "info", "sentinel"));
  return await Promise.resolve(
    told.every((text) => text.includes("slaves=1,sentinels=3")),
  );
}

/** What a sentinel answers. */
function ask(port: number, ...words: readonly string[]): string {
  const args = ["-p", String(port), ...words];
  return spawnSync("redis-cli", args, { encoding: "utf8" }).stdout;
}

async function untilInStep(replica: RedisServer): Promise<void> {
  await until("a replica in step", async () => {
    const info = await replica.command("INFO", "replication");
    return info.includes("master_link_status:up");
  });
}

/** A cluster of three masters, with a replica for each of them. */
export class ReplicatedCluster {
  readonly masters: RedisCluster;
  readonly replicas: readonly RedisServer[];

  private constructor(masters: RedisCluster, replicas: readonly RedisServer[]) {
    this.masters = masters;
    this.replicas = replicas;
  }

  static async start(): Promise<ReplicatedCluster> {
    const masters = await RedisCluster.start();
    const replicas: RedisServer[] = [];
    for (const master of masters.nodes) {
      const busPort = await freePort();
      const replica = await RedisServer.start([
        ...["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"],
        ...["--cluster-port", String(busPort)],
      ]);
      replicas.push(replica);
      await introduce(replica, { masters, busPort });
      await replicate(replica, master);
    }
    return new ReplicatedCluster(masters, replicas);
  }

  get ports(): number[] {
    return [...this.masters.nodes, ...this.replicas].map(({ port }) => port);
  }

  async stop(): Promise<void> {
    await Promise.all(this.replicas.map((replica) => replica.stop()));
    await this.masters.stop();
  }
}

async function introduce(
  replica: RedisServer,
  { masters, busPort }: {
    readonly masters: RedisCluster;
    readonly busPort: number;
  },
): Promise<void> {
  const [first] = masters.nodes;
  await first?.command("CLUSTER", "MEET", HOST, replica.port, busPort);
  const id = await replica.command("CLUSTER", "MYID");
  await until("a node that all know", async () => {
    const known = await Promise.all(
      masters.nodes.map((node) => node.command("CLUSTER", "NODES")),
    );
    const own = await replica.command("CLUSTER", "INFO");
    return own.includes("cluster_slots_assigned:16384") &&
      known.every((nodes) => nodes.includes(id));
  });
}

async function replicate(
  replica: RedisServer,
  master: RedisServer,
): Promise<void> {
  await master.command("CONFIG", "SET", "repl-diskless-sync-delay", 0);
  const id = await master.command("CLUSTER", "MYID");
  await replica.command("CLUSTER", "REPLICATE", id);
  await untilInStep(replica);
}

/** What is missing for a standby, or `undefined`. */
export const missingStandby: string | undefined =
  findProgram("pg_basebackup") === undefined
    ? "pg_basebackup is not installed"
    : undefined;

/** A Postgres with a standby, and the port that leads to whichever is in charge. */
export class StandbyPair {
  readonly primary: PostgresServer;
  /** Between the two; what it holds back, the standby lacks. */
  readonly link: Proxy;
  /** What clients connect to. */
  readonly front: Proxy;
  readonly #standby: Daemon;
  readonly #port: number;
  readonly #folder: string;
  #isPrimaryDead = false;

  private constructor(parts: {
    readonly primary: PostgresServer;
    readonly link: Proxy;
    readonly front: Proxy;
    readonly standby: Daemon;
    readonly port: number;
    readonly folder: string;
  }) {
    this.primary = parts.primary;
    this.link = parts.link;
    this.front = parts.front;
    this.#standby = parts.standby;
    this.#port = parts.port;
    this.#folder = parts.folder;
  }

  /** @param isSynchronous Whether a commit waits for the standby. */
  static async start(isSynchronous: boolean): Promise<StandbyPair> {
    const primary = await PostgresServer.start();
    const link = await Proxy.start(primary.port);
    const front = await Proxy.start(primary.port);
    const folder = makeFolder("standby");
    const port = await freePort();
    const standby = await startStandby({ folder, link, port });
    if (isSynchronous) {
      await setting(primary.port, "synchronous_standby_names", "'*'");
    }
    await until("a standby that keeps up", async () => {
      const [row] = await query(
        primary.port,
        "SELECT sync_state, state FROM pg_stat_replication",
      );
      return row?.["state"] === "streaming" &&
        row["sync_state"] === (isSynchronous ? "sync" : "async");
    });
    const parts = { primary, link, front, standby, port, folder };
    return new StandbyPair(parts);
  }

  /** Kills the primary, puts the standby in charge, and leads clients there. */
  async promote(): Promise<void> {
    this.#isPrimaryDead = true;
    await this.primary.kill();
    await query(this.#port, "SELECT pg_promote()");
    this.front.target = this.#port;
    this.front.cut();
  }

  async stop(): Promise<void> {
    await Promise.all([this.link.stop(), this.front.stop()]);
    await this.#standby.kill();
    // What is dead cannot be stopped.
    if (this.#isPrimaryDead) await this.primary.start();
    await this.primary.stop();
    removeFolder(this.#folder);
  }
}

async function startStandby({ folder, link, port }: {
  readonly folder: string;
  readonly link: Proxy;
  readonly port: number;
}): Promise<Daemon> {
  const data = join(folder, "data");
  await runAsOwner(findProgram("pg_basebackup") as string, [
    ...["--pgdata", data, "--write-recovery-conf", "--checkpoint=fast"],
    ...["--host", HOST, "--port", String(link.port), "--username=postgres"],
    ...["--no-sync"],
  ]);
  return await Daemon.start({
    command: findProgram("postgres") as string,
    args: [
      ...["-D", data, "-p", String(port), "-c", `listen_addresses=${HOST}`],
      ...["-c", "unix_socket_directories=", "-c", "fsync=off"],
      ...["-c", "max_connections=200", "-c", "wal_retrieve_retry_interval=100"],
    ],
    ready: "ready to accept read-only connections",
    isNoRoot: true,
  });
}

/** Changes a setting of a server for good. */
export async function setting(
  port: number,
  name: string,
  value: string,
): Promise<void> {
  await query(port, `ALTER SYSTEM SET ${name} = ${value}`);
  await query(port, "SELECT pg_reload_conf()");
}

/** Sends one statement on a connection of its own. */
export async function query(
  port: number,
  sql: string,
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ host: HOST, port, user: "postgres" });
  client.on("error", () => {});
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

/** What is missing for PgBouncer, or `undefined`. */
export const missingPgBouncer: string | undefined =
  findProgram("pgbouncer") === undefined
    ? "pgbouncer is not installed"
    : undefined;

/** PgBouncer before a Postgres, which hands a connection on per transaction. */
export class PgBouncer {
  readonly port: number;
  readonly #daemon: Daemon;
  readonly #folder: string;

  private constructor(port: number, daemon: Daemon, folder: string) {
    this.port = port;
    this.#daemon = daemon;
    this.#folder = folder;
  }

  /** @param options Lines of its configuration. */
  static async start(
    target: number,
    options: readonly string[] = [],
  ): Promise<PgBouncer> {
    const folder = makeFolder("pgbouncer");
    const port = await freePort();
    const file = join(folder, "pgbouncer.ini");
    writeFileSync(
      file,
      `[databases]
postgres = host=${HOST} port=${target} user=postgres
[pgbouncer]
listen_addr = ${HOST}
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
ignore_startup_parameters = extra_float_digits,search_path
${options.join("\n")}
`,
    );
    chmodSync(file, 0o644);
    const daemon = await Daemon.start({
      command: findProgram("pgbouncer") as string,
      args: [file],
      ready: "process up",
      isNoRoot: true,
    });
    return new PgBouncer(port, daemon, folder);
  }

  async stop(): Promise<void> {
    await this.#daemon.kill();
    removeFolder(this.#folder);
  }
}

/** What is missing for a disk of a megabyte, or `undefined`. */
export function missingTinyDisk(): string | undefined {
  const folder = makeFolder("disk");
  try {
    const { status } = mount(folder, 1);
    if (status !== 0) return "only root can mount a file system";
    spawnSync("umount", [folder]);
    return undefined;
  } finally {
    removeFolder(folder);
  }
}

/** A disk of its own that is soon full. */
export class TinyDisk {
  readonly folder = makeFolder("disk");

  /** @param megabytes Its size. */
  constructor(megabytes: number) {
    const { status, stderr } = mount(this.folder, megabytes);
    if (status !== 0) throw new Error(`Cannot mount a disk: ${stderr}`);
  }

  /** Leaves no room on it. */
  fill(): void {
    const block = new Uint8Array(65_536);
    for (let size = block.length; size >= 1; size = Math.floor(size / 16)) {
      this.#fillWith(block.subarray(0, size));
    }
  }

  /** Leaves the room that there was. */
  clear(): void {
    rmSync(join(this.folder, "rest"), { force: true });
  }

  stop(): void {
    spawnSync("umount", ["--lazy", this.folder]);
    removeFolder(this.folder);
  }

  #fillWith(block: Uint8Array): void {
    try {
      for (;;) writeFileSync(join(this.folder, "rest"), block, { flag: "a" });
    } catch (error) {
      const { code } = error as { readonly code?: string };
      if (code !== "ENOSPC") throw error;
    }
  }
}

function mount(folder: string, megabytes: number) {
  const size = ["-o", `size=${megabytes}m`];
  return spawnSync("mount", ["-t", "tmpfs", ...size, "tmpfs", folder], {
    encoding: "utf8",
  });
}
