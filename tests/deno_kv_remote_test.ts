/** Deno KV in a remote database, whose client sends a write again that was lost. */
import {
  assert,
  assertEquals,
  assertFalse,
  assertLess,
  assertRejects,
} from "@std/assert";
import { after, before, describe, it } from "node:test";
import { conformance } from "../providers/conformance.ts";
import { type DenoKv, DenoKvProvider } from "../providers/deno_kv.ts";
import { SessionError } from "../core/errors.ts";
import { Browser, Site } from "./_browser.ts";
import { KvServer } from "./_kv_server.ts";
import { makeData, makeId, makeRecord, START } from "./_records.ts";

type OpenKv = (path: string) => Promise<DenoKv>;

const openKv = (globalThis as { Deno?: { openKv?: OpenKv } }).Deno?.openKv;
const skip = openKv === undefined;
if (skip) {
  console.log("Tests of remote Deno KV are skipped: only Deno has a client");
}

describe("Deno KV at a distance", { skip }, () => {
  let server: KvServer;
  let kv: DenoKv;
  let prefixes = 0;

  before(async () => {
    server = new KvServer();
    kv = await (openKv as OpenKv)(server.url);
  });

  after(async () => {
    kv.close();
    await server.stop();
  });

  const makeProvider = () =>
    new DenoKvProvider(kv, { prefix: `test${prefixes++}` });

  for (
    const { name, run } of conformance(({ prefix }) =>
      new DenoKvProvider(kv, { prefix })
    )
  ) {
    it(name, run);
  }

  it("a create whose answer was lost is done, and no second one is", async () => {
    const provider = makeProvider();
    const id = makeId(1);
    server.lost = 1;
    assert(await provider.create(id, makeRecord(), START));
    assertFalse(await provider.create(id, makeRecord(), START));
  });

  it("an update whose answer was lost is done, and done once", async () => {
    const provider = makeProvider();
    const id = makeId(1);
    const { family } = makeRecord();
    await provider.create(id, makeRecord(), START);
    server.lost = 1;
    const change = { set: makeData([["city", "London"]]) };
    const guard = { family, version: 1 };
    assertEquals(await provider.update(id, change, guard, START), "done");
    assertEquals((await provider.read(id, START))?.version, 2);
  });

  it("an end whose answer was lost has ended the session, unknown by whom", async () => {
    const provider = makeProvider();
    const id = makeId(1);
    const { family } = makeRecord();
    await provider.create(id, makeRecord({ principal: "ada" }), START);
    server.lost = 1;
    assertEquals(await provider.destroy(id, { family }, START), "absent");
    assertEquals(await provider.read(id, START), undefined);
    assertEquals((await provider.list("ada", START)).sessions, []);
  });

  it("ends whose answer was lost have ended every session", async () => {
    const provider = makeProvider();
    const record = makeRecord({ principal: "ada" });
    for (const number of [1, 2, 3]) {
      await provider.create(makeId(number), record, START);
    }
    server.lost = 1;
    assertEquals(await provider.destroyAll("ada"), 0);
    for (const number of [1, 2, 3]) {
      assertEquals(await provider.read(makeId(number), START), undefined);
    }
  });

  it("an end after a read is one request to it", async () => {
    const provider = makeProvider();
    const id = makeId(1);
    const { family } = makeRecord();
    await provider.create(id, makeRecord({ principal: "ada" }), START);
    await provider.read(id, START);
    const before = server.requests;
    assertEquals(await provider.destroy(id, { family }, START), "done");
    assertEquals(server.requests - before, 1);
  });

  it("the end of 300 sessions is at most 40 requests to it", async () => {
    const provider = makeProvider();
    const record = makeRecord({ principal: "ada" });
    for (let number = 0; number < 300; number++) {
      await provider.create(makeId(number), record, START);
    }
    const before = server.requests;
    assertEquals(await provider.destroyAll("ada"), 300);
    assertLess(server.requests - before, 41);
  });

  it("a request whose answers are lost leaves nothing out", async () => {
    const browser = new Browser(new Site({ provider: makeProvider() }));
    server.lost = 1;
    await browser.visit((session) => session.set("count", 0));
    for (let count = 0; count < 3; count++) {
      await browser.visit(async (session) => {
        server.lost = 1;
        await session.update("count", (before) => before as number + 1);
      });
    }
    await browser.visit((session) => {
      server.lost = 1;
      session.signIn("ada");
    });
    assertEquals(
      await browser.look((session) => [
        session.get("count"),
        session.principal,
      ]),
      [3, "ada"],
    );
    assertEquals(server.lost, 0);
  });

  it("a database that is away fails the request, and is found again", async () => {
    const provider = makeProvider();
    const browser = new Browser(new Site({ provider }));
    await browser.visit((session) => session.set("name", "Ada"));
    const hasty = new Browser(
      new Site({ provider, timeout: 0.1 }),
      browser.cookie,
    );
    server.isAway = true;
    try {
      const error = await assertRejects(() => hasty.visit(), SessionError);
      assertEquals(error.code, "timeout");
    } finally {
      server.isAway = false;
    }
    assertEquals(hasty.cookie, browser.cookie);
    assertEquals(await browser.look((session) => session.get("name")), "Ada");
  });
});
