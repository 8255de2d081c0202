/** Tests what helps when connections to Postgres fall silent, and new ones work. */
import { assertEquals, assertGreater, assertLess } from "@std/assert";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { Manager, type Provider, type SessionError } from "../mod.ts";
import { PostgresProvider } from "../providers/postgres.ts";
import { requestWith } from "./_browser.ts";
import { missing, PostgresServer } from "./_postgres_server.ts";
import { Proxy } from "./chaos/proxy.ts";

/** How long a call is waited for, in seconds. */
const TIMEOUT = 1;

const ON_BUN = "Bun" in globalThis;

/** A way to a store through a proxy, and what has to be closed in the end. */
interface Way {
  readonly provider: Provider;
  readonly close?: () => unknown;
}

/** Clients by name: those that the library owns, and those of which it says how. */
const CLIENTS: Record<string, (port: number) => Way> = {
  "pg with query_timeout": (port) => {
    const pool = new pg.Pool({
      connectionString: `postgres://postgres@127.0.0.1:${port}/postgres`,
      // Short enough for the connections of a pool to be found out one by one.
      query_timeout: TIMEOUT * 250,
      max: 4,
    });
    pool.on("error", () => {});
    // A pool that is ended waits for what a silent connection has not answered.
    return {
      provider: new PostgresProvider(pool),
      close: () => void pool.end(),
    };
  },
};
if (ON_BUN) {
  CLIENTS["a URL, on Bun"] = (port) => ({
    provider: new PostgresProvider(
      `postgres://postgres@127.0.0.1:${port}/postgres?max=4`,
    ),
  });
}

/** A manager on a way through a proxy, with a visitor who has a session. */
async function behind(port: number, open: (port: number) => Way) {
  const proxy = await Proxy.start(port);
  const { provider, close } = open(proxy.port);
  const manager = new Manager({
    provider,
    timeout: TIMEOUT,
    gcInterval: 0,
    onEvent: () => {},
  });
  const answer = await manager.run(requestWith(), (session) => {
    session.set("name", "Ada");
    return new Response();
  });
  const cookie = answer.headers.getSetCookie()[0]?.split(";")[0];
  const read = async (): Promise<unknown> => {
    try {
      const session = await manager.start(requestWith(cookie));
      return session.get("name");
    } catch (error) {
      return (error as SessionError).code;
    }
  };
  const end = async () => {
    await manager.close();
    await close?.();
    await provider.close();
    await proxy.stop();
  };
  return { proxy, read, end };
}

/** Reads again and again; answers how long it took until that worked, in ms. */
async function recovery(read: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  while (performance.now() - start < 20_000) {
    if (await read() === "Ada") return performance.now() - start;
    await sleep(20);
  }
  throw new Error("it did not recover");
}

function testsOf(
  store: string,
  clients: Record<string, (port: number) => Way>,
  portOf: () => number,
): void {
  for (const [name, open] of Object.entries(clients)) {
    it(`is over within two timeouts: ${store} by ${name}`, async () => {
      const { proxy, read, end } = await behind(portOf(), open);
      assertEquals(await read(), "Ada");
      proxy.silence();
      const took = await recovery(read);
      assertLess(took, 2 * TIMEOUT * 1000 + 500);
      assertEquals(await read(), "Ada");
      await end();
    });

    it(`leaves nothing waiting under load: ${store} by ${name}`, async () => {
      const { proxy, read, end } = await behind(portOf(), open);
      assertEquals(await read(), "Ada");
      proxy.silence();
      // A thousand requests a second; all but the first thousand fail at once.
      const codes: unknown[] = [];
      const pending: Promise<unknown>[] = [];
      for (let round = 0; round < 150; round++) {
        for (let call = 0; call < 10; call++) {
          pending.push(read().then((code) => codes.push(code)));
        }
        await sleep(10);
      }
      await Promise.all(pending);
      assertLess(await recovery(read), 2 * TIMEOUT * 1000 + 500);
      assertGreater(codes.filter((code) => code === "Ada").length, 0);
      await end();
    });
  }
}

describe("a Postgres connection that falls silent", {
  skip: missing !== undefined,
}, () => {
  let server: PostgresServer | undefined;
  it("has a server", async () => {
    server = await PostgresServer.start();
    assertGreater(server.port, 0);
  });
  testsOf("Postgres", CLIENTS, () => (server as PostgresServer).port);
  after(() => server?.stop());
});
