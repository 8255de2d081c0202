/** Redis servers that stand in for each other: sentinels, and replicas of a cluster. */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { RedisCluster, RedisServer } from "../_redis_server.ts";
import { Daemon, freePort, makeFolder, removeFolder, until } from "./daemon.ts";
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
