/** Tests the Redis provider with deno-redis, where that can be had. */
import { assertEquals } from "@std/assert";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { conformance } from "../providers/conformance.ts";
import { RedisProvider, type SendCommandClient } from "../providers/redis.ts";
import { Browser, Site } from "./_browser.ts";
import { missingRedis, RedisServer } from "./_redis_server.ts";

/** The part of deno-redis, which is on JSR alone, that is used. */
interface DenoRedis {
  connect(options: {
    readonly hostname: string;
    readonly port: number;
    readonly backoff: () => number;
  }): Promise<DenoRedisClient>;
}

interface DenoRedisClient extends SendCommandClient {
  close(): void;
}

// Not a literal: where JSR cannot be reached, checking types must not try to.
const specifier = "@db/redis";

const missing = missingRedis() ??
  ("Deno" in globalThis ? undefined : "it runs on Deno alone");
const denoRedis = missing === undefined ? await load() : undefined;
if (missing !== undefined) skipped(missing);
const describeIfLoaded = denoRedis === undefined ? describe.skip : describe;

describeIfLoaded("RedisProvider with deno-redis", () => {
  let server: RedisServer;
  let client: DenoRedisClient;

  before(async () => {
    server = await RedisServer.start([
      ...["--appendonly", "yes", "--appendfsync", "always"],
    ]);
    client = await (denoRedis as DenoRedis).connect({
      hostname: "127.0.0.1",
      port: server.port,
      backoff: () => 20,
    });
  });

  after(async () => {
    client.close();
    await server.stop();
  });

  for (
    const { name, run } of conformance(({ prefix }) =>
      new RedisProvider(client, { prefix })
    )
  ) {
    it(name, run);
  }

  it("finds the session again after the server was killed", async () => {
    const browser = new Browser(
      new Site({ provider: new RedisProvider(client) }),
    );
    await browser.visit((session) => session.set("name", "Ada"));
    await server.kill();
    await server.resume();
    await browser.visit((session) => session.set("city", "London"));
    assertEquals(
      await browser.look((
        session,
      ) => [session.get("name"), session.get("city")]),
      ["Ada", "London"],
    );
  });
});

async function load(): Promise<DenoRedis | undefined> {
  try {
    return await import(specifier);
  } catch (error) {
    if (process.env["SESSION_JSR"] === "reachable") throw error;
    skipped(String(error));
    return undefined;
  }
}

function skipped(reason: string): void {
  console.log(`Tests of deno-redis are skipped: ${reason.split("\n")[0]}`);
}
