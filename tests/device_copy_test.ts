import { assertEquals, assertFalse } from "@std/assert";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { copy } from "../core/store/copy.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { SqliteProvider } from "../providers/sqlite.ts";
import { Site } from "./_browser.ts";
import { DeviceBrowser, offeredIn } from "./_device.ts";
import { DeviceSigner } from "./_device_proofs.ts";

describe("a bound session that is copied to another store", () => {
  it("goes on by its cookies and by its key (DBSC 22)", async () => {
    const from = new MemoryProvider();
    const to = new SqliteProvider(":memory:");
    const before = new Site({ provider: from, deviceBound: {} });
    const browser = await new DeviceBrowser(before).signIn();
    await browser.visit();
    before.pass(60);
    await copy(from, to, { now: before.clock.now });
    const after = new Site({
      provider: to,
      deviceBound: {},
      now: before.clock.now,
    });
    const moved = browser.movedTo(after);
    assertEquals(await moved.principal(), "ada");
    assertEquals(moved.posts.length, 1);
    moved.forgetProofs();
    assertEquals(await moved.principal(), "ada");
    assertEquals(moved.posts.at(-1), "/device-bound-session 200");
    const bare = browser.copy();
    bare.forgetProofs();
    bare.jar.clear();
    bare.jar.add(
      moved.jar.cookies().filter(({ name }) => name === "__Host-id"),
    );
    assertEquals(await bare.movedTo(after).principal(), undefined);
    await to.close();
  });
});

describe("what happens to a bound session", () => {
  it("shows no proof, key, seed or secret, in events, errors or print-outs (DBSC 21)", async () => {
    const provider = new MemoryProvider();
    const site = new Site({ provider, deviceBound: {} });
    const browser = new DeviceBrowser(site);
    const shown: unknown[] = [];
    let challenge = "";
    browser.canBind = false;
    const answer = await browser.visit((session) => {
      session.signIn("ada");
      shown.push(inspect(session), JSON.stringify(session), String(session));
    });
    challenge = offeredIn(answer) ?? "";
    const id = challenge.slice(0, 24);
    const signers = [new DeviceSigner(), new DeviceSigner()];
    const proofs = signers.map((signer) => signer.register(challenge));
    const { update } = provider;
    provider.update = () => {
      throw new Error("disk on fire");
    };
    await browser.post({ "secure-session-response": proofs[0] ?? "" });
    provider.update = update;
    await browser.post({ "secure-session-response": proofs[0] ?? "" });
    const { binding = "" } = provider.read(id, site.now) ?? {};
    const refresh = signers[1]?.refresh(challenge) ?? "";
    for (const proof of [refresh, "", "nonsense"]) {
      await browser.post({
        "sec-secure-session-id": id,
        "secure-session-response": proof,
      });
    }
    shown.push(await site.manager.list("ada"));
    await browser.post({ "secure-session-response": proofs[1] ?? "" });
    shown.push(...site.events);
    const text = inspect(shown, { depth: 9 }) + JSON.stringify(shown);
    const [seed = "", stamp = "", , key = ""] = binding.split(".");
    const secret = /__Host-id=.{24}([\w-]+)/.exec(browser.cookie ?? "")?.[1];
    const hidden = [
      ...[...proofs, refresh].flatMap((proof) => proof.split(".")),
      seed,
      key.slice(1, 20),
      secret ?? "",
      challenge.split(".")[2] ?? "",
    ];
    assertEquals(stamp, challenge.split(".")[1]);
    for (const part of hidden) {
      assertEquals(part.length > 8, true);
      assertFalse(text.includes(part), part);
    }
    assertEquals(
      site.events.filter(({ type }) => type === "proof-refused").length,
      3,
    );
  });
});
