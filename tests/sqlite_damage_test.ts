/** That a row in SQLite that cannot be read harms itself alone. */
import {
  assert,
  assertEquals,
  assertExists,
  assertFalse,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { SessionError } from "../core/errors.ts";
import type { Guard } from "../core/provider.ts";
import { SqliteProvider } from "../providers/sqlite.ts";
import { Browser, Site } from "./_browser.ts";
import { START } from "./_records.ts";
import {
  A,
  assertCorrupt,
  B,
  closeAll,
  corrupted,
  countIn,
  create,
  GUARD,
  HOLDING,
  HOUR,
  listed,
  setting,
  whole,
} from "./_sqlite.ts";

const OF_LIST: readonly string[] = [
  "label",
  "binding",
  "authenticated_at",
  "created_at",
  "accessed_at",
  "idle_timeout",
  "absolute_timeout",
];

describe("a row that cannot be decoded", () => {
  const corruptions: Record<string, string> = {
    "is no JSON": '{"name":["Ada"',
    "is empty": "",
    "is JSON but no object": '[["Ada"]]',
    "lacks the array around a value": '{"name":"Ada"}',
    "has two values in one array": '{"name":["Ada","Eve"]}',
    "has a type of a newer version": '{"name":[{"$":["Instant","1"]}]}',
    "has a number that is none": '{"name":[1e999]}',
  };
  for (const [how, text] of Object.entries(corruptions)) {
    it(`is refused by read and listed all the same when its data ${how}`, () => {
      const { provider, database } = corrupted(text);
      assertCorrupt(() => provider.read(A, START));
      assertEquals(listed(provider, "ada"), [A]);
      closeAll(provider, database);
    });
  }

  for (const text of ['{"name":["Ada"', "", '[["Ada"]]', "null", " {}"]) {
    it(`is refused by update and left as it is: ${text || "empty"}`, () => {
      const { provider, database } = corrupted(text);
      const change = setting({ name: "Eve" });
      assertCorrupt(() => provider.update(A, change, GUARD, START));
      const guard = { ...GUARD, version: 1 };
      assertCorrupt(() => provider.update(A, change, guard, START));
      const row = database.prepare("SELECT data, version FROM sessions").get();
      assertEquals({ ...row }, { data: text, version: 1 });
      closeAll(provider, database);
    });
  }

  it("says nothing of the data in the error", () => {
    const { provider, database } = corrupted('{"secret thing');
    const error = assertThrows(() => provider.read(A, START), SessionError);
    assertFalse(`${error.stack} ${error.cause}`.includes("secret thing"));
    closeAll(provider, database);
  });

  it("makes each request fail and can still be ended", async () => {
    const database = new DatabaseSync(":memory:");
    const provider = new SqliteProvider(database);
    const site = new Site({ provider });
    const browser = new Browser(site);
    await browser.visit((session) => session.set("name", "Ada"));
    const id = browser.token.slice(0, A.length);
    database.exec("UPDATE sessions SET data = '{'");
    for (let request = 0; request < 2; request++) {
      site.takeEvents();
      const error = await assertRejects(
        () => browser.look(() => {}),
        SessionError,
      );
      assertEquals(error.code, "corrupt");
      assertEquals(site.takeEvents(), ["store-error"]);
    }
    assertEquals(provider.destroy(id, {}, site.now), "done");
    assert(await browser.look((session) => session.isNew));
    closeAll(provider, database);
  });

  it("does not keep others from being collected or signed out", async () => {
    const { provider, database } = corrupted("{");
    create(provider, B, {}, { principal: "ada" });
    assertEquals(provider.destroyAll("ada", B), 1);
    database.exec("UPDATE sessions SET data = '{'");
    assertEquals(await provider.gc(START + HOUR, 10), 1);
    closeAll(provider, database);
  });
});

describe("a damaged row in SQLite", () => {
  const damages: readonly (readonly [string, string | number | null])[] = [
    ["version", "one"],
    ["accessed_at", "soon"],
    ["accessed_at", null],
    ["created_at", "soon"],
    ["created_at", Infinity],
    ["authenticated_at", "soon"],
    ["idle_timeout", "long"],
    ["idle_timeout", Infinity],
    ["absolute_timeout", "long"],
    ["absolute_timeout", null],
    ["secret_hash", null],
    ["family", null],
    ["renewed_at", "soon"],
    ["previous_hash", null],
    ["previous_family", null],
    ["previous_until", null],
    ["previous_until", ""],
    ["previous_until", "soon"],
    ["persistent", "yes"],
    ["principal", "5"],
    ["label", "5"],
    ["label", '"'],
    ["fingerprint", "{"],
    ["binding", "ada"],
    ["data", null],
    ["data", "{"],
  ];
  for (const [column, value] of damages) {
    const how = `whose ${column} is ${JSON.stringify(value) ?? value}`;
    it(`${how} fails nothing else, and can be ended`, async () => {
      const { provider, database } = damaged(column, value);
      create(provider, B, {}, whole());
      assertCorrupt(() => provider.read(A, START));
      const { sessions, unreadable } = provider.scan(undefined, 9, START);
      assertEquals([sessions.map(({ id }) => id), unreadable], [[B], [A]]);
      assertEquals(provider.destroy(A, {}, START), "done");
      assertEquals(provider.read(A, START), undefined);
      assertEquals(provider.destroyAll("ada"), 1);
      closeAll(provider, database);

      const next = damaged(column, value);
      create(next.provider, B, {}, whole());
      const isFiled = column !== "principal";
      assertEquals(next.provider.destroyAll("ada", B), Number(isFiled));
      assertExists(next.provider.read(B, START));
      closeAll(next.provider, next.database);

      const last = damaged(column, value);
      create(last.provider, B, {}, whole());
      assertEquals(await last.provider.gc(START + 12 * HOUR, 9), 2);
      closeAll(last.provider, last.database);
    });

    it(`${how} is ${isOfList(column) ? "named" : "listed"} by list`, () => {
      const { provider, database } = damaged(column, value);
      create(provider, B, {}, whole());
      const { sessions, unreadable } = provider.list("ada", START);
      const readable = column === "principal" ? [B] : [B, A];
      const ids = sessions.map(({ id }) => id).sort();
      assertEquals(ids, isOfList(column) ? [B] : readable.sort());
      assertEquals(unreadable, isOfList(column) ? [A] : []);
      closeAll(provider, database);
    });
  }

  const guarded: readonly (readonly [string, string | null, Guard])[] = [
    ["family", null, { family: HOLDING.family }],
    ["principal", "5", { principal: "ada" }],
    ["principal", "5", { principal: "5" }],
    ["secret_hash", null, { token: HOLDING.token }],
    ["previous_until", "soon", { token: HOLDING.token }],
    ["previous_until", null, { token: HOLDING.token }],
    ["previous_until", null, {
      token: { ...HOLDING.token, until: undefined },
    }],
    ["version", "one", { version: 1 }],
    ["binding", "ada", { binding: "a key" }],
    ["binding", "ada", { binding: "ada" }],
    ["binding", "ada", { binding: null }],
  ];
  for (const [column, value, guard] of guarded) {
    it(`whose ${column} is ${value} is kept by ${JSON.stringify(guard)}`, () => {
      const { provider, database } = damaged(column, value);
      const isGone = column === "family" || column === "principal";
      const change = setting({ name: "Eve" });
      assertEquals(
        provider.update(A, change, guard, START),
        isGone ? "gone" : "conflict",
      );
      assertEquals(provider.destroy(A, guard, START), "refused");
      assertEquals(countIn(database), 1);
      assertEquals(provider.destroy(A, guard, START + 12 * HOUR), "absent");
      assertEquals(provider.destroy(A, {}, START), "done");
      closeAll(provider, database);
    });
  }

  it("is ended under a guard that can be made out", () => {
    for (const column of ["label", "data", "accessed_at"] as const) {
      const { provider, database } = damaged(column, "{");
      assertEquals(provider.destroy(A, { family: "other" }, START), "refused");
      assertEquals(provider.destroy(A, HOLDING, START), "done");
      closeAll(provider, database);
    }
  });

  it("is absent to a destroy past its deadline", () => {
    const { provider, database } = damaged("data", "{");
    assertEquals(provider.destroy(A, {}, START + HOUR), "absent");
    closeAll(provider, database);
  });

  it("is not taken for one that has ended when its times are damaged", () => {
    const { provider, database } = damaged("accessed_at", "soon");
    const change = setting({ name: "Eve" });
    assertCorrupt(() => provider.touch(A, START));
    assertCorrupt(() => provider.update(A, change, GUARD, START));
    const other = { family: "other" };
    assertEquals(provider.update(A, change, other, START), "gone");
    closeAll(provider, database);
  });

  it("takes a change that has nothing to do with the damage", () => {
    const { provider, database } = damaged("data", "{");
    assertEquals(provider.update(A, { label: "x" }, HOLDING, START), "done");
    const { sessions } = provider.list("ada", START);
    assertEquals(sessions.map(({ label }) => label), ["x"]);
    closeAll(provider, database);
  });
});

/**
 * A database with a session of Ada's, of which one column was overwritten, in a
 * table that takes any value in any column, as a damaged file does.
 */
function damaged(column: string, value: string | number | null) {
  const database = new DatabaseSync(":memory:");
  const maker = new SqliteProvider(database);
  maker.clear();
  const made = database.prepare("SELECT sql FROM sqlite_master").all()
    .map(({ sql }) => String(sql)).filter((sql) => sql.includes("sessions"));
  const lax = made.join(";").replace("STRICT", "")
    .replaceAll(/(TEXT|REAL|INTEGER) NOT NULL/g, "$1");
  database.exec(`DROP TABLE sessions; ${lax}`);
  const provider = new SqliteProvider(database);
  create(provider, A, { name: "Ada" }, whole());
  const set = `UPDATE sessions SET ${column} = ?`;
  assertEquals(Number(database.prepare(set).run(value).changes), 1);
  closeAll(maker);
  return { provider, database };
}

function isOfList(column: string): boolean {
  return OF_LIST.includes(column);
}
