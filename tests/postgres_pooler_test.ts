/** Tests the Postgres provider behind a pooler that knows no prepared statements. */
import { assertEquals, assertGreater } from "@std/assert";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import pg from "pg";
import postgres from "postgres";
import {
  type PostgresClient,
  PostgresProvider,
} from "../providers/postgres.ts";
import { missing, PostgresServer } from "./_postgres_server.ts";
import { makeData, makeFamily, makeId, makeRecord, START } from "./_records.ts";

/** PgBouncer from 1.21 on carries prepared statements over. */
const LAST_WITHOUT = 20;

const reason = missing ?? missingPooler();
if (reason !== undefined) {
  console.log(`Tests of a pooler before Postgres are skipped: ${reason}`);
}
/** How many sessions each client uses. */
const ROUNDS = 40;

const CLIENTS = 4;

const GUARD = { family: makeFamily("secret") };

interface BuiltInClient {
  unsafe(text: string, params: unknown[]): Promise<object[]>;
  close(options: { timeout: number }): Promise<void>;
}

const { Bun } = globalThis as {
  readonly Bun?: {
    readonly SQL: new (url: string, options: object) => BuiltInClient;
  };
};

/** A client, and what closes it. */
interface Way {
  readonly client: PostgresClient;
  readonly close: () => Promise<unknown>;
}

const WAYS: Record<string, (url: string, prepare: boolean) => Way> = {
  pg: (url) => {
    const pool = new pg.Pool({ connectionString: url, max: 4 });
    pool.on("error", () => {});
    return { client: pool, close: () => pool.end() };
  },
  "postgres.js": (url, prepare) => {
    const sql = postgres(url, { max: 4, prepare });
    return { client: sql, close: () => sql.end({ timeout: 0 }) };
  },
};
if (Bun !== undefined) {
  WAYS["Bun.SQL"] = (url, prepare) => {
    const sql = new Bun.SQL(url, { max: 4, prepare });
    return { client: sql, close: () => sql.close({ timeout: 0 }) };
  };
}

function missingPooler(): string | undefined {
  try {
    const said = execFileSync("pgbouncer", ["--version"], { encoding: "utf8" });
    const [, minor] = /PgBouncer 1\.(\d+)/.exec(said) ?? [];
    return Number(minor) <= LAST_WITHOUT
      ? undefined
      : `this one knows them: ${said.split("\n")[0]}`;
  } catch {
    return "pgbouncer is not installed";
  }
}

/** One PgBouncer with fewer connections to the server than clients have to it. */
class Pooler {
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly port: number;

  private constructor(child: ChildProcess, folder: string, port: number) {
    this.#process = child;
    this.#folder = folder;
    this.port = port;
  }

  static async start(server: PostgresServer): Promise<Pooler> {
    const folder = mkdtempSync(join(tmpdir(), "pgbouncer-"));
    chmodSync(folder, 0o755);
    const port = await freePort();
    const path = join(folder, "pgbouncer.ini");
    writeFileSync(
      path,
      `[databases]
postgres = host=127.0.0.1 port=${server.port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
ignore_startup_parameters = extra_float_digits
`,
    );
    const user = process.getuid?.() === 0 ? ["-u", "postgres"] : [];
    const child = spawn("pgbouncer", [...user, path], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const pooler = new Pooler(child, folder, port);
    process.once("exit", () => child.kill("SIGKILL"));
    await new Promise<void>((resolve, reject) => {
      let said = "";
      child.stderr?.on("data", (chunk: Uint8Array) => {
        said += new TextDecoder().decode(chunk);
        if (said.includes("process up")) resolve();
      });
      child.once("exit", () => reject(new Error(`PgBouncer ended: ${said}`)));
    });
    return pooler;
  }

  async stop(): Promise<void> {
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await ended;
    rmSync(this.#folder, { recursive: true });
  }
}

async function freePort(): Promise<number> {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  listener.close();
  await once(listener, "close");
  return port;
}

let tables = 0;

/** A table that no other test has left sessions in. */
async function newTable(server: PostgresServer): Promise<string> {
  const table = `pooled_${tables++}`;
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  await client.query(PostgresProvider.schema(table));
  await client.end();
  return table;
}

/** Every call on a session from its beginning to its end, and what it answers. */
function stepsOf(provider: PostgresProvider, id: string) {
  const change = { set: makeData([["a", 1]]) };
  const read = () => provider.read(id, START + 1);
  return [
    [true, () => provider.create(id, makeRecord(), START)],
    ["done", () => provider.update(id, change, GUARD, START)],
    [true, () => provider.touch(id, START + 1)],
    [2, async () => (await read())?.version],
    ["done", () => provider.destroy(id, GUARD, START)],
    [undefined, read],
  ] as const;
}

/** How many answers were right and which were not, and the errors. */
interface Outcome {
  right: number;
  readonly wrong: unknown[];
  readonly errors: unknown[];
}

/** Has several clients use sessions at the same time, each those of its own table. */
async function useByAll(
  open: (url: string, prepare: boolean) => Way,
  { server, pooler, prepare }: {
    readonly server: PostgresServer;
    readonly pooler: Pooler;
    readonly prepare: boolean;
  },
): Promise<Outcome> {
  const outcome: Outcome = { right: 0, wrong: [], errors: [] };
  const use = async (_: unknown, number: number) => {
    const table = await newTable(server);
    const { client, close } = open(server.url(pooler.port), prepare);
    const provider = new PostgresProvider(client, { table, prepare });
    for (let round = 0; round < ROUNDS; round++) {
      // What another client's statement does is done to this session in its table.
      await useOne(provider, makeId(ROUNDS * number + round), outcome);
    }
    await close();
  };
  await Promise.all(Array.from({ length: CLIENTS }, use));
  return outcome;
}

/** Goes on until a call fails: nothing is known of the session from then on. */
async function useOne(
  provider: PostgresProvider,
  id: string,
  outcome: Outcome,
): Promise<void> {
  for (const [expected, call] of stepsOf(provider, id)) {
    try {
      const answer = await call();
      if (answer === expected) outcome.right++;
      else outcome.wrong.push([expected, answer]);
    } catch (error) {
      outcome.errors.push(error);
      return;
    }
  }
}

describe("a pooler that knows no prepared statements", {
  skip: reason !== undefined,
}, () => {
  let server: PostgresServer;
  let pooler: Pooler;
  before(async () => {
    server = await PostgresServer.start();
    pooler = await Pooler.start(server);
  });
  after(async () => {
    await pooler.stop();
    await server.stop();
  });

  for (const [name, open] of Object.entries(WAYS)) {
    it(`is used without them by ${name}`, async () => {
      const { right, ...rest } = await useByAll(open, {
        server,
        pooler,
        prepare: false,
      });
      assertEquals(rest, { wrong: [], errors: [] });
      assertEquals(right, CLIENTS * ROUNDS * 6);
    });

    it(`has no answer taken for another's with them by ${name}`, async () => {
      const { wrong, errors } = await useByAll(open, {
        server,
        pooler,
        prepare: true,
      });
      assertEquals(wrong, []);
      // Of postgres.js, which names statements at random, not even that.
      if (name !== "postgres.js") assertGreater(errors.length, 0);
    });
  }
});
