import { assert, assertEquals } from "@std/assert";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { Manager, type Provider } from "../mod.ts";
import { generateKey } from "../providers/encrypted.ts";
import type { HammerReport, HammerTask } from "./_hammer_worker.ts";
import { MariaServer, missing as missingMaria } from "./_mariadb_server.ts";
import { missing, PostgresServer } from "./_postgres_server.ts";
import { missingRedis, RedisServer } from "./_redis_server.ts";
import { openStore, type StoreAddress } from "./_stores.ts";

const WORKERS = 4;

/** `HAMMER_SECONDS=20` for the long version. */
const MILLISECONDS = 1000 * Number(process.env.HAMMER_SECONDS ?? 1);

const IS_DENO = "Deno" in globalThis;

describe("four processes on one store", () => {
  const folder = mkdtempSync(join(tmpdir(), "hammer-"));
  after(() => rmSync(folder, { recursive: true }));

  const keys = [generateKey(), generateKey()];

  it("lose nothing on SQLite", async () => {
    await hammer({ kind: "sqlite", at: join(folder, "sessions.db") });
  });

  it("lose nothing on SQLite, encrypted", async () => {
    await hammer({ kind: "sqlite", at: join(folder, "encrypted.db"), keys });
  });

  const kv = { skip: IS_DENO ? false : "Deno KV exists in Deno only" };
  it("lose nothing on Deno KV", kv, async () => {
    await hammer({ kind: "deno-kv", at: join(folder, "sessions.kv") });
  });

  it("lose nothing on Redis, encrypted or not", {
    skip: missingRedis() ?? false,
  }, async () => {
    const server = await RedisServer.start();
    try {
      const at = server.url;
      await hammer({ kind: "redis", at });
      await hammer({ kind: "redis", at, keys });
    } finally {
      await server.stop();
    }
  });

  it("lose nothing on Postgres", { skip: missing ?? false }, async () => {
    const server = await PostgresServer.start();
    try {
      await hammer({ kind: "postgres", at: server.url() });
    } finally {
      await server.stop();
    }
  });

  it("lose nothing on MariaDB, encrypted or not", {
    skip: missingMaria ?? false,
  }, async () => {
    const server = await MariaServer.start();
    try {
      const at = server.url();
      await hammer({ kind: "mariadb", at });
      await hammer({ kind: "mariadb", at, keys });
    } finally {
      await server.stop();
    }
  });
});

/** Lets the processes loose on a store, and checks what they leave behind. */
async function hammer(store: StoreAddress): Promise<void> {
  const { provider, close } = openStore(store);
  const cookie = await sharedCookie(provider);
  const reports = await Promise.all(
    Array.from(
      { length: WORKERS },
      (_, worker) =>
        runWorker({ store, worker, cookie, milliseconds: MILLISECONDS }),
    ),
  );
  assertEquals(reports.flatMap(({ faults }) => faults), []);
  for (const { increments } of reports) assert(increments > 0);
  // A second on a busy machine is not enough for each of them to renew.
  assert(reports.some(({ renewals }) => renewals > 0), JSON.stringify(reports));
  await checkShared(provider, cookie, reports);
  await checkListed(provider, reports);
  await close();
  const requests = reports.reduce((sum, report) => sum + report.requests, 0);
  const how = store.keys === undefined
    ? store.kind
    : `${store.kind}, encrypted`;
  console.log(`${how}: ${requests} requests of ${WORKERS} processes`);
}

async function sharedCookie(provider: Provider): Promise<string> {
  const manager = new Manager({ provider, gcInterval: 0 });
  const session = await manager.start(new Request("http://localhost/"));
  session.set("count", 0);
  const response = await manager.commit(session, new Response());
  return response.headers.getSetCookie()[0]!.split(";")[0]!;
}

async function checkShared(
  provider: Provider,
  cookie: string,
  reports: readonly HammerReport[],
): Promise<void> {
  const manager = new Manager({ provider, gcInterval: 0 });
  const request = new Request("http://localhost/", { headers: { cookie } });
  const session = await manager.start(request);
  const sum = reports.reduce((total, { increments }) => total + increments, 0);
  assertEquals(session.get("count"), sum);
  const written = Object.assign({}, ...reports.map((report) => report.written));
  const keys = session.keys().filter((key) => key !== "count");
  assertEquals(
    Object.fromEntries(keys.map((key) => [key, session.get(key)])),
    written,
  );
}

async function checkListed(
  provider: Provider,
  reports: readonly HammerReport[],
): Promise<void> {
  const manager = new Manager({ provider, gcInterval: 0 });
  const listed = (await manager.list("ada")).map(({ id }) => id);
  const signedIn = reports.flatMap((report) => report.signedIn);
  assertEquals(listed.sort(), signedIn.sort());
}

async function runWorker(task: HammerTask): Promise<HammerReport> {
  const file = fileURLToPath(new URL("./_hammer_worker.ts", import.meta.url));
  const runtime = IS_DENO ? ["run", "-A", "--unstable-kv"] : [];
  const child = spawn(process.execPath, [
    ...runtime,
    file,
    JSON.stringify(task),
  ], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk) => output += chunk);
  await new Promise((resolve) => child.once("close", resolve));
  return JSON.parse(output);
}
