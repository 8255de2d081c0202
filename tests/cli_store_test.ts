/** Tests what the command line finds out about a store before it opens it. */
import { assert, assertEquals, assertFalse } from "@std/assert";
import mysql from "mysql2/promise";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import pg from "pg";
import { run } from "../cli.ts";
import { isCursor, isSame } from "../cli/store.ts";
import { MysqlProvider } from "../providers/mysql.ts";
import { PostgresProvider } from "../providers/postgres.ts";
import { MariaServer, missing as missingMaria } from "./_mariadb_server.ts";
import {
  missing as missingPostgres,
  PostgresServer,
} from "./_postgres_server.ts";
import { makeId, makeRecord } from "./_records.ts";
import { describeOnServer, useServer } from "./_redis_rig.ts";

const folder = mkdtempSync(join(tmpdir(), "cli-store-"));
after(() => rmSync(folder, { recursive: true }));

describe("two URLs of one store", () => {
  mkdirSync(join(folder, "a"));
  symlinkSync(join(folder, "a"), join(folder, "b"));
  const file = join(folder, "a", "new.db");
  const near = relative(process.cwd(), file);
  /** Each line names one store, in several ways. */
  const stores: readonly (readonly string[])[] = [
    [
      `sqlite:${file}`,
      `SQLITE:${file}?table=sessions`,
      `sqlite:${file}?table=Sessions&busyTimeout=2`,
      `sqlite:${near}`,
      `sqlite:./${near}`,
      `sqlite:${join(folder, "b", "new.db")}`,
      `sqlite:${folder}/a/../a//new.db`,
    ],
    [`sqlite:${file}?table=other`],
    [`deno-kv:${file}`, `deno-kv:${near}`, `deno-kv:${file}?prefix=session`],
    [`deno-kv:${file}?prefix=other`],
    ["deno-kv:https://host/x/connect", "deno-kv:https://host/x/connect/"],
    [
      "redis://localhost",
      "redis://localhost/",
      "redis://localhost/0",
      "redis://127.0.0.1:6379",
      "redis://[::1]/0/",
      "rediss://LOCALHOST",
      "valkey://ada:pass@localhost?prefix=session:",
    ],
    ["redis://localhost/1"],
    ["redis://localhost?prefix=shop:"],
    ["redis://localhost:6380"],
    [
      "postgres://ada@localhost/shop",
      "postgresql://127.0.0.1:5432/shop/",
      "postgres://localhost/shop?table=cloakroom_sessions",
      "postgres://localhost/shop?table=public.cloakroom_sessions&prepare=false",
    ],
    [
      "postgres://shop@localhost",
      "postgres://localhost/shop?table=cloakroom_sessions",
    ],
    ["postgres://localhost/shop?table=Cloakroom_Sessions"],
    ["postgres://localhost/shop?table=other.cloakroom_sessions"],
    ["postgres://localhost/shop2"],
    ["postgres://db.example/shop", "postgres://DB.example:5432/shop"],
    [
      "mysql://ada@localhost/shop",
      "mariadb://localhost:3306/shop",
      "mariadb://127.0.0.1/shop/?table=cloakroom_sessions",
      "mysql://localhost/shop?table=shop.cloakroom_sessions",
      "mysql://localhost/?table=shop.cloakroom_sessions",
    ],
    ["mysql://localhost/shop?table=other"],
    ["mysql://localhost:3307/shop"],
    ["mysql://localhost/shop?table=coats.cloakroom_sessions"],
  ];
  const groups = stores.filter((store) => !store[0]?.includes("shop@"));

  it("are known as such, whatever is left out in one of them", () => {
    for (const [first = "", ...others] of stores) {
      for (const other of others) {
        assert(isSame(first, other), `${first} ${other}`);
        assert(isSame(other, first), `${other} ${first}`);
      }
    }
  });

  it("are told from those of any other", () => {
    for (const [at, store] of groups.entries()) {
      for (const other of groups.slice(at + 1)) {
        for (const [a, b] of pairs(store, other)) {
          assertFalse(isSame(a, b), `${a} ${b}`);
        }
      }
    }
  });

  it("are refused by copy before anything is opened", async () => {
    const errors: string[] = [];
    const path = join(folder, "self.db");
    const from = `sqlite:${path}`;
    const { DatabaseSync } = await import("node:sqlite");
    const database = new DatabaseSync(path);
    database.exec("CREATE TABLE sessions (id)");
    database.close();
    const to = `sqlite:${relative(process.cwd(), path)}?table=SESSIONS`;
    const code = await run([from, "copy", to], {
      print() {},
      printError: (line) => errors.push(line),
    });
    assertEquals(code, 2);
    assertEquals(errors[0], "Cannot copy: both URLs name the same store");
  });
});

function pairs(
  some: readonly string[],
  others: readonly string[],
): [string, string][] {
  return some.flatMap((a) => others.map((b): [string, string] => [a, b]));
}

describe("a cursor that is none", () => {
  const id = makeId(7);
  const none: Record<string, readonly string[]> = {
    "memory:": ["", "x", "-1", "1 ", id],
    "sqlite:x": ["", "7", `${id} `, `${id}\n`, `${id}0`, "1 mark"],
    "postgres://h/d": ["", "1", `'${id}'`],
    "mariadb://h/d": ["", "1", `${id};`],
    "deno-kv:x": ["", "1", `${id}\0`],
    "redis://h": ["", "7", "x 1", "1", "1 a b", "1 a b c", "1 a b 2 c", id],
    "VALKEY://h": ["", "7", "1 mark name x"],
  };
  for (const [url, texts] of Object.entries(none)) {
    it(`is known by its form: ${url}`, () => {
      for (const text of texts) assertFalse(isCursor(url, text), text);
    });
  }

  it("is refused before anything is read", async () => {
    const errors: string[] = [];
    const code = await run(
      ["memory:", "copy", `sqlite:${join(folder, "to.db")}`, "--cursor=soon"],
      { print() {}, printError: (line) => errors.push(line) },
    );
    assertEquals(code, 2);
    assertEquals(
      errors[0],
      "Cannot copy: --cursor must be what a run that broke off printed: received soon",
    );
  });
});

describeOnServer("a cursor of Redis", () => {
  const rig = useServer();

  it("is known by its form, in each round", async () => {
    const provider = rig.make();
    for (let number = 0; number < 300; number++) {
      const record = makeRecord({ now: Date.now() });
      await provider.create(makeId(number), record, Date.now());
    }
    const cursors: string[] = [];
    let cursor: string | undefined;
    do {
      cursor = (await provider.scan(cursor, 10, Date.now())).next;
      if (cursor !== undefined) cursors.push(cursor);
      // Once everything was looked at, another server answers.
      if (cursors.length === 1) cursor = cursors[0]?.replace(/ \S+/, " other");
    } while (cursor !== undefined);
    assert(cursors.length > 2);
    assert(cursors.some((text) => text.startsWith("2 ")));
    for (const text of cursors) assert(isCursor("redis://h", text), text);
  });
});

/** The clients that open a URL are built into Bun, and nowhere else. */
const notOnBun = "Bun" in globalThis ? undefined : "only Bun opens its URL";

/** What a server of databases has to show. */
interface Database {
  readonly url: string;
  /** How many tables there are. */
  readonly count: () => Promise<number>;
  readonly make: (table: string) => Promise<unknown>;
}

async function checkMissing({ url, count, make }: Database): Promise<void> {
  const id = makeId(1);
  const commands = [
    ["list"],
    ["list", "ada"],
    ["show", id],
    ["stats"],
    ["gc"],
    ["revoke", id],
    ["revoke", "--principal", "ada", "--dry-run"],
    ["revoke", "--everything", "--yes"],
    ["copy", `sqlite:${join(folder, "copied.db")}`],
  ];
  const before = await count();
  const tables = { "": "cloakroom_sessions", "?table=Coats": "Coats" };
  for (const [query, table] of Object.entries(tables)) {
    for (const command of commands) {
      const errors: string[] = [];
      const code = await run([url + query, ...command], {
        print() {},
        printError: (line) => errors.push(line),
      });
      const said = `Cannot open store: it has no such table: received ${table}`;
      assertEquals([code, errors[0]], [2, said]);
    }
  }
  assertEquals(await count(), before);
  await make("Coats");
  const options = { print() {}, printError() {} };
  assertEquals(await run([`${url}?table=Coats`, "stats"], options), 0);
}

describe("a table that is not there", () => {
  it("is not made by a command on Postgres", {
    skip: notOnBun ?? missingPostgres ?? false,
  }, async () => {
    const server = await PostgresServer.start();
    const client = new pg.Client({ connectionString: server.url() });
    try {
      await client.connect();
      await checkMissing({
        url: server.url(),
        async count() {
          const { rows } = await client.query(
            "SELECT 1 FROM pg_tables WHERE schemaname = 'public'",
          );
          return rows.length;
        },
        make: (table) => new PostgresProvider(client, { table }).clear(),
      });
    } finally {
      await client.end();
      await server.stop();
    }
  });

  it("is not made by a command on MariaDB", {
    skip: notOnBun ?? missingMaria ?? false,
  }, async () => {
    const server = await MariaServer.start();
    const client = await mysql.createConnection(server.url());
    try {
      await checkMissing({
        url: server.url(),
        async count() {
          const [rows] = await client.query("SHOW TABLES");
          return (rows as unknown[]).length;
        },
        make: (table) => new MysqlProvider(client, { table }).clear(),
      });
    } finally {
      await client.end();
      await server.stop();
    }
  });
});
