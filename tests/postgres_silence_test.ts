/** Tests what helps when connections to Postgres fall silent, and new ones work. */
import { assertGreater } from "@std/assert";
import { after, describe, it } from "node:test";
import pg from "pg";
import { PostgresProvider } from "../providers/postgres.ts";
import { missing, PostgresServer } from "./_postgres_server.ts";
import { testsOfSilence, TIMEOUT, type Way } from "./_silence.ts";

const ON_BUN = "Bun" in globalThis;

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

describe("a Postgres connection that falls silent", {
  skip: missing !== undefined,
}, () => {
  let server: PostgresServer | undefined;
  it("has a server", async () => {
    server = await PostgresServer.start();
    assertGreater(server.port, 0);
  });
  testsOfSilence("Postgres", CLIENTS, () => (server as PostgresServer).port);
  after(() => server?.stop());
});
