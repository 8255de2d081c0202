/** That whole requests through a `Manager` work on the provider. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { Manager } from "../../core/manager.ts";
import type { Session } from "../../core/session.ts";
import { type Checks, type Stage, together } from "./stage.ts";

/** Checks by promise. */
export const managerChecks: Checks = {
  "a request finds what the one before it stored": async (stage) => {
    const site = new Site(stage);
    const cookie = await site.visit(undefined, (session) => {
      session.set("name", "Ada");
    });
    await site.visit(cookie, (session) => {
      strictEqual(session.isNew, false);
      strictEqual(session.get("name"), "Ada");
    });
    await site.close();
  },

  "requests at the same time through two managers lose no work": async (
    stage,
  ) => {
    const sites = [new Site(stage), new Site(stage)];
    const cookie = await sites[0]!.visit(undefined, (session) => {
      session.set("count", 0);
    });
    await together(
      10,
      (index) =>
        sites[index % 2]!.visit(cookie, async (session) => {
          session.set(`key${index}`, index);
          await session.update("count", (count) => count as number + 1);
        }),
    );
    await sites[1]!.visit(cookie, (session) => {
      strictEqual(session.keys().length, 11);
      strictEqual(session.get("count"), 10);
    });
    await Promise.all(sites.map((site) => site.close()));
  },

  "a session destroyed by one request is not revived by another": async (
    stage,
  ) => {
    const site = new Site(stage);
    const cookie = await site.visit(undefined, (session) => {
      session.set("name", "Ada");
    });
    await site.visit(cookie, async (late) => {
      late.set("name", "Eve");
      await site.visit(cookie, (session) => session.destroy());
    });
    await site.visit(cookie, (session) => {
      strictEqual(session.isNew, true);
      strictEqual(session.get("name"), undefined);
    });
    await site.close();
  },

  "a cookie from before the sign-in opens nothing after it, whatever the clock":
    async (stage) => {
      const site = new Site(stage);
      const before = await site.visit(undefined, (session) => {
        session.set("cart", ["coat"]);
      });
      const after = await site.visit(
        before,
        (session) => session.signIn("ada"),
      );
      for (const skew of [0, -2000, 2000]) {
        const other = new Site(stage, skew);
        await other.visit(before, (session) => {
          deepStrictEqual([session.isNew, session.principal], [
            true,
            undefined,
          ]);
          session.destroy();
        });
        await other.visit(after, (session) => {
          strictEqual(session.principal, "ada");
          deepStrictEqual(session.get("cart"), ["coat"]);
        });
      }
      await site.close();
    },

  "a request that began before the sign-in neither writes nor ends after it":
    async (stage) => {
      const site = new Site(stage);
      const behind = new Site(stage, -2000);
      const before = await site.visit(undefined, (session) => {
        session.set("cart", ["coat"]);
      });
      let after: string | undefined;
      const lateWrite = behind.visit(before, async (late) => {
        late.set("cart", ["bomb"]);
        await behind.visit(before, async (later) => {
          after = await site.visit(before, (session) => session.signIn("ada"));
          later.destroy();
        });
      });
      // A write that was refused may fail its request; it must not be done.
      await lateWrite.catch(() => {});
      await site.visit(after, (session) => {
        strictEqual(session.principal, "ada");
        deepStrictEqual(session.get("cart"), ["coat"]);
      });
      await site.close();
    },

  "signing out everywhere spares the session that asks for it": async (
    stage,
  ) => {
    const site = new Site(stage);
    const signIn = (session: Session) => session.signIn("ada");
    const here = await site.visit(undefined, signIn);
    const there = await site.visit(undefined, signIn);
    strictEqual((await site.manager.list("ada")).length, 2);
    await site.visit(here, async (session) => {
      await site.manager.destroyAll("ada", { except: session });
    });
    await site.visit(there, (session) => strictEqual(session.isNew, true));
    await site.visit(here, (session) => strictEqual(session.isNew, false));
    await site.close();
  },
};

/** A site with one manager, visited by cookie. */
class Site {
  readonly manager: Manager;

  /** @param skew How far its clock is ahead, in milliseconds. */
  constructor({ provider, now }: Stage, skew = 0) {
    const clock = () => now + skew;
    this.manager = new Manager({ provider, now: clock, gcInterval: 0 });
  }

  /** Makes a request and returns the cookie that the browser then has. */
  async visit(
    cookie: string | undefined,
    handler: (session: Session) => unknown,
  ): Promise<string | undefined> {
    const request = new Request("http://localhost/", {
      headers: cookie === undefined ? {} : { cookie },
    });
    const handle = this.manager.handle(async (_request, session) => {
      await handler(session);
      return new Response();
    });
    const response = await handle(request);
    return response.headers.get("set-cookie")?.split(";")[0] ?? cookie;
  }

  close(): Promise<void> {
    return this.manager.close();
  }
}
