/**
 * Measures what takes many sessions at once, through a manager with its defaults,
 * and how long everybody else waits meanwhile: another request reads its session
 * every 5 ms. The stores may follow as arguments (all if not).
 *
 * ```sh
 * deno run -A --unstable-kv bench/scale.ts redis postgres
 * bun bench/scale.ts sqlite
 * ```
 *
 * @module
 */
import { Redis } from "ioredis";
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { NewSessionRecord, Provider } from "../core/provider.ts";
import { mintId } from "../core/secret/token.ts";
import { emptyObject } from "../core/value/types.ts";
import { Manager } from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { RedisProvider } from "../providers/redis.ts";
import {
  MariaServer,
  missing as missingMaria,
} from "../tests/_mariadb_server.ts";
import { missing, PostgresServer } from "../tests/_postgres_server.ts";
import { missingRedis, RedisServer } from "../tests/_redis_server.ts";
import { openStore } from "../tests/_stores.ts";

const TOO_MANY = 5_000;
const EVERYWHERE = 16_000;
const LARGE = 1_000;
const LARGE_BYTES = 60_000;
const ALL = 200_000;
const INDEXED = 100_000;

const IN_FLIGHT = 64;
const DAY = 24 * 3600;

/** A store that the run has made for itself. */
interface Store {
  readonly provider: Provider;
  close(): Promise<unknown>;
}

const STORES: Readonly<Record<string, () => Promise<Store | string>>> = {
  // deno-lint-ignore require-await
  async memory() {
    const provider = new MemoryProvider({
      maxSessions: Infinity,
      maxBytes: Infinity,
    });
    return { provider, close: async () => await provider.close() };
  },
  sqlite: () => inFolder("sqlite", "sessions.db"),
  "deno-kv": () =>
    "Deno" in globalThis
      ? inFolder("deno-kv", "sessions.kv")
      : Promise.resolve("it needs Deno with --unstable-kv"),
  async redis() {
    const reason = missingRedis();
    if (reason !== undefined) return reason;
    const server = await RedisServer.start();
    return opened("redis", server.url, () => server.stop());
  },
  async postgres() {
    if (missing !== undefined) return missing;
    const server = await PostgresServer.start();
    return opened("postgres", server.url(), () => server.stop());
  },
  async mariadb() {
    if (missingMaria !== undefined) return missingMaria;
    const server = await MariaServer.start();
    return opened("mariadb", server.url(), () => server.stop());
  },
};

// deno-lint-ignore require-await
async function inFolder(
  kind: "sqlite" | "deno-kv",
  name: string,
): Promise<Store> {
  const folder = mkdtempSync(join(tmpdir(), "session-scale-"));
  // deno-lint-ignore require-await
  return opened(kind, join(folder, name), async () => {
    rmSync(folder, { recursive: true });
  });
}

function opened(
  kind: Parameters<typeof openStore>[0]["kind"],
  at: string,
  after: () => Promise<unknown>,
): Store {
  const { provider, close } = openStore({ kind, at });
  return {
    provider,
    async close() {
      await close();
      await after();
    },
  };
}

function recordOf(principal: string, bytes: number): NewSessionRecord {
  const now = Date.now();
  const text = "x".repeat(bytes);
  return Object.freeze({
    data: Object.freeze(Object.assign(emptyObject(), { text })),
    secretHash: mintId().padEnd(68, "0"),
    family: mintId().slice(0, 16),
    renewedAt: now,
    principal,
    authenticatedAt: now,
    createdAt: now,
    accessedAt: now,
    idleTimeout: DAY,
    absoluteTimeout: DAY,
    persistent: false,
  });
}

/** Stores so many sessions of a user, some at a time. */
async function fill(
  provider: Provider,
  count: number,
  userOf: (index: number) => string,
  bytes = 100,
): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < count) {
      const record = recordOf(userOf(next++), bytes);
      await provider.create(mintId(), record, record.createdAt);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
}

/** Somebody who reads their session every 5 ms. */
class Bystander {
  readonly #manager: Manager;
  readonly #request: Request;
  #isStopped = false;
  #longest = 0;

  private constructor(manager: Manager, request: Request) {
    this.#manager = manager;
    this.#request = request;
  }

  static async join(manager: Manager): Promise<Bystander> {
    const answer = await manager.run(
      new Request("http://localhost/"),
      (session) => {
        session.signIn("bystander");
        return new Response();
      },
    );
    const cookie = answer.headers.getSetCookie()[0]?.split(";")[0] ?? "";
    const request = new Request("http://localhost/", { headers: { cookie } });
    return new Bystander(manager, request);
  }

  /** Does something, and answers how long it and the longest read took, in ms. */
  async during(
    work: () => Promise<unknown>,
  ): Promise<{ readonly took: number; readonly waited: number }> {
    this.#isStopped = false;
    this.#longest = 0;
    const reading = this.#read();
    await pause();
    const start = performance.now();
    await work();
    const took = performance.now() - start;
    this.#isStopped = true;
    await reading;
    return { took, waited: this.#longest };
  }

  async #read(): Promise<void> {
    while (!this.#isStopped) {
      // From when it should have begun: a process that stands still delays that.
      const due = performance.now() + 5;
      await pause();
      await this.#manager.start(this.#request);
      this.#longest = Math.max(this.#longest, performance.now() - due);
    }
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}

async function signIn(manager: Manager, principal: string): Promise<void> {
  await manager.run(new Request("http://localhost/"), (session) => {
    session.signIn(principal);
    return new Response();
  });
}

async function measure(name: string): Promise<void> {
  const store = await STORES[name]!();
  if (typeof store === "string") return console.log(`\n${name}: ${store}`);
  const { provider } = store;
  const manager = new Manager({ provider, gcInterval: 0 });
  const limited = new Manager({ provider, gcInterval: 0, maxSessions: 3 });
  console.log(`\n## ${name}\n`);
  console.log("| what | took, ms | longest wait of another, ms |");
  console.log("| :-- | --: | --: |");
  const bystander = await Bystander.join(manager);
  const row = async (what: string, work: () => Promise<unknown>) => {
    const { took, waited } = await bystander.during(work);
    console.log(`| ${what} | ${took.toFixed(0)} | ${waited.toFixed(0)} |`);
  };
  await row(
    "nothing, for a second",
    () => new Promise((resolve) => setTimeout(resolve, 1000)),
  );
  await fill(provider, LARGE, () => "large", LARGE_BYTES);
  await row(
    `list of ${LARGE} sessions of ${LARGE_BYTES} bytes`,
    () => manager.list("large"),
  );
  await fill(provider, TOO_MANY, () => "too-many");
  await row(
    `sign-in that evicts ${TOO_MANY}`,
    () => signIn(limited, "too-many"),
  );
  await fill(provider, EVERYWHERE, () => "everywhere");
  await row(
    `destroyAll of ${EVERYWHERE}`,
    () => manager.destroyAll("everywhere"),
  );
  await fill(provider, ALL, (index) => `user-${index >> 1}`);
  let others = 0;
  await row(`destroyEverything of ${ALL}`, async () => {
    // Their own session ends as well: they are then a visitor whose read finds none.
    others = await manager.destroyEverything();
  });
  if (others < ALL) throw new Error(`Cannot clear: ${others} of ${ALL} were`);
  await limited.close();
  await manager.close();
  await store.close();
}

/** What a sign-in costs the server, beside how many entries its user's index has. */
async function measureIndex(): Promise<void> {
  const reason = missingRedis();
  if (reason !== undefined) return console.log(`\nredis index: ${reason}`);
  const server = await RedisServer.start();
  const redis = new Redis(server.url);
  const provider = new RedisProvider(redis);
  const manager = new Manager({ provider, gcInterval: 0 });
  const serverTime = async (principal: string) => {
    for (let count = 0; count < 20; count++) await signIn(manager, principal);
    await redis.call("CONFIG", ["RESETSTAT"]);
    for (let count = 0; count < 500; count++) await signIn(manager, principal);
    const info = String(await redis.call("INFO", ["commandstats"]));
    const scripts = /cmdstat_evalsha:calls=\d+,usec=(\d+)/.exec(info);
    return Number(scripts?.[1]) / 500;
  };
  const alone = await serverTime("alone");
  await fill(provider, INDEXED, () => "indexed");
  const indexed = await serverTime("indexed");
  console.log(
    `\nScripts of a sign-in on Redis, server time: ${
      alone.toFixed(1)
    } µs with ` +
      `520 sessions of the user, ${indexed.toFixed(1)} µs with ${INDEXED}: ` +
      `${(indexed / alone).toFixed(2)} times`,
  );
  await manager.close();
  redis.disconnect();
  await server.stop();
}

const names = process.argv.slice(2);
const unknown = names.find((name) => !Object.hasOwn(STORES, name));
if (unknown !== undefined) {
  throw new TypeError(
    `Cannot run bench: stores are ${
      Object.keys(STORES).join()
    }: received ${unknown}`,
  );
}
const { deno, bun, v8 } = process.versions;
console.log(
  `${deno === undefined ? `Bun ${bun}` : `Deno ${deno}, V8 ${v8}`}, ` +
    `${cpus()[0]?.model}, ${cpus().length} cores`,
);
for (const name of names.length > 0 ? names : Object.keys(STORES)) {
  await measure(name);
}
if (names.length === 0 || names.includes("redis")) await measureIndex();
process.exit();
