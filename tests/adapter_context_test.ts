/** Tests the context that finds the session of the request under way. */
import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { SessionContext } from "../adapters/context.ts";
import { Manager } from "../mod.ts";

describe("SessionContext", () => {
  it("has a session in what it calls, and in what that awaits", async () => {
    await using manager = new Manager();
    const session = await manager.start(new Request("http://localhost/"));
    const here = new SessionContext();
    const found = await here.run(session, async () => {
      await Promise.resolve();
      return here.current();
    });
    assertEquals(found === session, true);
  });

  it("fails where no request is under way", async () => {
    await using manager = new Manager();
    const session = await manager.start(new Request("http://localhost/"));
    const here = new SessionContext();
    here.run(session, () => {});
    assertThrows(() => here.current(), TypeError, "no request is under way");
  });

  it("does not see what another context has", async () => {
    await using manager = new Manager();
    const session = await manager.start(new Request("http://localhost/"));
    const here = new SessionContext();
    new SessionContext().run(session, () => {
      assertThrows(() => here.current(), TypeError);
    });
  });
});
