/** What stands behind a Postgres and before it: a standby, and PgBouncer. */
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { PostgresServer } from "../_postgres_server.ts";
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
