/** Tests what helps when connections to MariaDB fall silent, and new ones work. */
import { assertGreater } from "@std/assert";
import * as mariadb from "mariadb";
import { after, describe, it } from "node:test";
import { MysqlProvider } from "../providers/mysql.ts";
import { MariaServer, missing } from "./_mariadb_server.ts";
import { testsOfSilence, TIMEOUT, type Way } from "./_silence.ts";

const ON_BUN = "Bun" in globalThis;

/** Clients by name: those that the library owns, and those of which it says how. */
const CLIENTS: Record<string, (port: number) => Way> = {
  "mariadb with socketTimeout": (port) => {
    const pool = mariadb.createPool({
      ...{ host: "127.0.0.1", port, user: "ada", database: "shop" },
      // Short enough for the connections of a pool to be found out one by one.
      ...{ socketTimeout: TIMEOUT * 250, connectionLimit: 4 },
    });
    // A pool that is ended waits for what a silent connection has not answered.
    const close = () => void pool.end().catch(() => {});
    return { provider: new MysqlProvider(pool), close };
  },
};
if (ON_BUN) {
  CLIENTS["a URL, on Bun"] = (port) => ({
    provider: new MysqlProvider(`mysql://ada@127.0.0.1:${port}/shop?max=4`),
  });
}

describe("a connection to MariaDB that falls silent", {
  skip: missing !== undefined,
}, () => {
  let server: MariaServer | undefined;
  it("has a server", async () => {
    server = await MariaServer.start();
    assertGreater(server.port, 0);
  });
  testsOfSilence("MariaDB", CLIENTS, () => (server as MariaServer).port);
  after(() => server?.stop());
});
