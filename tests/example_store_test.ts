/** Tests how the examples open the store that the environment names. */
import { assertEquals, assertRejects } from "@std/assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, afterEach, describe, it } from "node:test";
import { openStore } from "../examples/store.ts";
import { generateKey } from "../providers/encrypted.ts";
import { bytesBelow, found, IDS, leaveTraces, TRACES } from "./_traces.ts";

const NAMES = ["SESSION_STORE", "SESSION_KEYS", "SESSION_HIDE"];

describe("the store of the examples", () => {
  const folder = mkdtempSync(join(tmpdir(), "example-store-"));
  after(() => rmSync(folder, { recursive: true }));
  afterEach(() => {
    for (const name of NAMES) delete process.env[name];
  });

  it("is encrypted if the environment has keys for it", async () => {
    process.env["SESSION_STORE"] = `sqlite:${join(folder, "hidden.db")}`;
    // Written in each of the ways that the command line takes.
    process.env["SESSION_KEYS"] = `${generateKey()}, ${generateKey()}`;
    process.env["SESSION_HIDE"] = "principal label\nkey-names";
    const store = await openStore();
    await leaveTraces(store);
    assertEquals(found([...IDS, ...TRACES], bytesBelow(folder)), IDS);
    await store.close();
  });

  it("is not encrypted if it says that there are none", async () => {
    process.env["SESSION_STORE"] = `sqlite:${join(folder, "plain.db")}`;
    process.env["SESSION_KEYS"] = "none";
    const store = await openStore();
    await leaveTraces(store);
    assertEquals(found(TRACES, bytesBelow(folder)), TRACES);
    await store.close();
  });

  it("is not opened with a key that is none", async () => {
    process.env["SESSION_KEYS"] = "";
    await assertRejects(() => openStore(), TypeError, "keys");
  });
});
