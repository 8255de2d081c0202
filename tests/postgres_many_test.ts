/** Tests calls on many sessions in Postgres: their plans, and who waits meanwhile. */
import { assertEquals, assertGreater, assertLess } from "@std/assert";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import {
  type PostgresClient,
  PostgresProvider,
  type PostgresStatement,
} from "../providers/postgres.ts";
import { makePatience } from "./_patience.ts";
import { fill, missing, PostgresServer } from "./_postgres_server.ts";
import { makeId, makeRecord, START } from "./_records.ts";

if (missing !== undefined) {
  console.log(`Tests of many sessions in Postgres are skipped: ${missing}`);
}
const describeOnServer = missing === undefined ? describe : describe.skip;
const server = missing === undefined ? await PostgresServer.start() : undefined;
const pools: pg.Pool[] = [];
const admin = connect();

after(async () => {
  await Promise.all(pools.map((pool) => pool.end()));
  await server?.stop();
});

/** Has the server tell of each statement how many rows its plan went through. */
const EXPLAINING = Object.entries({
  session_preload_libraries: "auto_explain",
  "auto_explain.log_min_duration": "0",
  "auto_explain.log_analyze": "on",
  "auto_explain.log_timing": "off",
  "auto_explain.log_format": "json",
  "auto_explain.log_level": "notice",
}).map(([name, value]) => `-c ${name}=${value}`).join(" ");

const COUNT = 40_000;

/** The most ids that a test ends by one call. */
const LISTED = 5000;

/** What the collector asks for at once. */
const COLLECTED = 1000;

/**
 * How many rows a call may go through for each that it ends: the same row in each
 * node of a plan. A plan that begins anew for each row takes thousands.
 */
const MOST_ROWS = 100;

const LATER = START + 86_400_000;

/** A node of a plan as Postgres tells it. */
interface PlanNode {
  readonly "Actual Rows": number;
  readonly "Actual Loops": number;
  readonly "Rows Removed by Filter"?: number;
  readonly "Rows Removed by Join Filter"?: number;
  readonly "Rows Removed by Index Recheck"?: number;
  readonly Plans?: readonly PlanNode[];
}

/** How many rows a plan and the plans in it went through. */
function rowsOf(node: PlanNode): number {
  const { Plans = [] } = node;
  const rows = node["Actual Rows"] +
    (node["Rows Removed by Filter"] ?? 0) +
    (node["Rows Removed by Join Filter"] ?? 0) +
    (node["Rows Removed by Index Recheck"] ?? 0);
  const inner = Plans.map(rowsOf).reduce((sum, count) => sum + count, 0);
  return rows * node["Actual Loops"] + inner;
}

/** How many rows the statements of a pool go through during a call. */
async function rowsDuring(
  pool: pg.Pool,
  call: () => Promise<unknown>,
): Promise<number> {
  let rows = 0;
  let plans = 0;
  const count = (
    { message = "" }: { readonly message?: string | undefined },
  ) => {
    const [, json] = /^duration: .* plan:\n(.*)$/s.exec(message) ?? [];
    if (json === undefined) return;
    plans++;
    rows += rowsOf(JSON.parse(json).Plan);
  };
  const client = await pool.connect();
  client.on("notice", count);
  client.release();
  await call();
  client.off("notice", count);
  // Else nothing was counted because nothing was told.
  assertGreater(plans, 0);
  return rows;
}

function connect(options = ""): pg.Pool {
  const connectionString = server?.url() ?? "";
  // One connection, so that it plans each statement once.
  const pool = new pg.Pool({ connectionString, options, max: 1 });
  pools.push(pool);
  return pool;
}

let tables = 0;

/** A provider on a table of one session whose statistics stay as a test makes them. */
async function makeProvider(client: pg.Pool) {
  const table = `many_${tables++}`;
  const provider = new PostgresProvider(client, { table });
  await provider.clear();
  await admin.query(`ALTER TABLE ${table} SET (autovacuum_enabled = false)`);
  const renew = async (count: number) => {
    await admin.query(`TRUNCATE ${table}`);
    await provider.create(makeId(1), makeRecord({ principal: "ada" }), START);
    return await fill(admin, table, count - 1);
  };
  return { provider, table, renew };
}

async function collect(provider: PostgresProvider): Promise<number> {
  let total = 0;
  for (;;) {
    const count = await provider.gc(LATER, COLLECTED, makePatience());
    total += count;
    if (count < COLLECTED) return total;
  }
}

/** Each call on many, and how many it is to end. */
const CALLS: Record<
  string,
  (on: PostgresProvider, ids: readonly string[]) => Promise<number>
> = {
  gc: (on) => collect(on),
  clear: (on) => on.clear(makePatience()),
  destroyAll: (on) => on.destroyAll("ada", undefined, makePatience()),
  destroyMany: async (on, ids) => {
    const listed = ids.slice(0, LISTED);
    return (await on.destroyMany(listed, {}, START, makePatience())).length;
  },
};

/** How the server comes to believe something of a table of so many rows. */
const BELIEFS: Record<string, (table: string) => string> = {
  "nothing yet": () => "SELECT",
  "few rows on many pages": (table) =>
    `UPDATE pg_class SET reltuples = 1, relpages = 14286
     WHERE oid = to_regclass('${table}')`,
  "no rows": (table) =>
    `UPDATE pg_class SET reltuples = 0, relpages = 1
     WHERE oid = to_regclass('${table}')`,
  "one row each of many users": (table) =>
    `CREATE TABLE was AS SELECT * FROM ${table};
     UPDATE ${table} SET principal = id, collect_at = collect_at + random() * 1e9;
     ANALYZE ${table};
     TRUNCATE ${table};
     INSERT INTO ${table} SELECT * FROM was;
     DROP TABLE was`,
};

/** Its connection keeps one plan of a statement for whatever values. */
function connectWithOnePlan(): pg.Pool {
  return connect(`${EXPLAINING} -c plan_cache_mode=force_generic_plan`);
}

describeOnServer("the end of many sessions in Postgres", () => {
  for (const [belief, sql] of Object.entries(BELIEFS)) {
    it(`looks at each row a few times if the server believes: ${belief}`, async () => {
      const client = connectWithOnePlan();
      const { provider, table, renew } = await makeProvider(client);
      for (const [name, call] of Object.entries(CALLS)) {
        const ids = await renew(COUNT);
        await admin.query(sql(table));
        let ended = 0;
        const rows = await rowsDuring(client, async () => {
          ended = await call(provider, ids);
        });

        assertLess(rows, MOST_ROWS * COUNT, name);
        assertEquals(ended, name === "destroyMany" ? LISTED : COUNT, name);
      }
    });
  }

  const plans = {
    "the plans of an empty table": connectWithOnePlan,
    "the plans of a table that is new": () => connect(EXPLAINING),
  };
  for (const [what, connection] of Object.entries(plans)) {
    it(`looks at each row a few times by ${what}`, async () => {
      const client = connection();
      const { provider, table } = await makeProvider(client);
      for (const [name, call] of Object.entries(CALLS)) {
        await call(provider, [makeId(1)]);
        const record = makeRecord({ principal: "ada" });
        await provider.create(makeId(1), record, START);
        const ids = await fill(admin, table, LISTED);
        const rows = await rowsDuring(client, () => call(provider, ids));

        assertLess(rows, MOST_ROWS * LISTED, name);
        await provider.clear();
      }
    });
  }

  it("reads the ids that it is given once, and not for each row", async () => {
    const client = connect();
    const { table, renew } = await makeProvider(client);
    const ids = await renew(1000);
    let sent = { text: "", values: [] as unknown[] };
    const watched = {
      query(statement: PostgresStatement) {
        sent = statement;
        return client.query(statement);
      },
    };
    const provider = new PostgresProvider(watched as PostgresClient, { table });
    assertEquals((await provider.destroyMany(ids, {}, START)).length, 999);
    await renew(1000);
    const { rows } = await client.query({
      text: `EXPLAIN ${sent.text}`,
      values: sent.values,
      rowMode: "array",
    });
    assertEquals(
      rows.filter(([line]: string[]) => /ANY \(\('/.test(line as string)),
      [],
    );
  });
});

describeOnServer("somebody else's read on Postgres", () => {
  for (const [name, call] of Object.entries(CALLS)) {
    it(`is answered in the middle of ${name}`, async () => {
      const { provider, table, renew } = await makeProvider(connect());
      const ids = await renew(16_000);
      const other = new PostgresProvider(connect(), { table });
      await other.read(makeId(2), START);
      let reads = 0;
      let isOver = false;
      const reading = (async () => {
        while (!isOver) {
          await other.read(makeId(2), START);
          reads++;
          await sleep(5);
        }
      })();
      assertGreater(await call(provider, ids), 0);
      const meanwhile = reads;
      isOver = true;
      await reading;
      assertGreater(meanwhile, 3);
    });
  }

  it("is answered while a long list is decoded", async () => {
    const client = connect();
    const { provider, table, renew } = await makeProvider(client);
    await renew(16_000);
    await provider.list("ada", START);
    const other = new PostgresProvider(connect(), { table });
    await other.read(makeId(2), START);
    const order: string[] = [];
    let reading: Promise<unknown> | undefined;
    const watched = {
      async query(statement: never) {
        const answer = await client.query(statement) as { rows: unknown[] };
        if (answer.rows.length > 1000) {
          reading = other.read(makeId(2), START).then(() => order.push("read"));
        }
        return answer;
      },
    };
    const listing = new PostgresProvider(watched, { table });
    const { sessions } = await listing.list("ada", START);
    order.push("list");
    assertEquals(sessions.length, 16_000);
    await reading;
    assertEquals(order, ["read", "list"]);
  });
});
