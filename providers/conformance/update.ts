/** That an update changes the data that it names and nothing else. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { type Checks, dataOf, newId } from "./stage.ts";

/** Checks by promise. */
export const updateChecks: Checks = {
  "update sets and deletes the keys it names and no others": async (stage) => {
    const id = await stage.create({
      data: dataOf({ kept: 1, changed: 1, removed: 1 }),
    });
    const change = {
      set: dataOf({ changed: 2, added: 2 }),
      delete: ["removed", "never there"],
    };
    strictEqual(await stage.update(id, change), "done");
    deepStrictEqual({ ...(await stage.live(id)).data }, {
      kept: 1,
      changed: 2,
      added: 2,
    });
  },

  "update adds one to the version and moves the last access": async (
    stage,
  ) => {
    const id = await stage.create();
    const now = stage.now + 3000;
    strictEqual(await stage.update(id, {}, {}, now), "done");
    const { version, accessedAt, createdAt } = await stage.live(id, now);
    deepStrictEqual([version, accessedAt, createdAt], [2, now, stage.now]);
    strictEqual(await stage.update(id, {}, {}, now), "done");
    strictEqual((await stage.live(id, now)).version, 3);
  },

  "an update of an id that is not there is gone and creates nothing": async (
    stage,
  ) => {
    const id = newId();
    strictEqual(await stage.update(id, { set: dataOf({ a: 1 }) }), "gone");
    strictEqual(await stage.read(id), undefined);
  },

  "an update that ends the session by its timeout is done": async (stage) => {
    const id = await stage.create({ principal: "ada" });
    const now = stage.now + 60_000;
    strictEqual(
      await stage.update(id, { absoluteTimeout: 60 }, {}, now),
      "done",
    );
    strictEqual(await stage.read(id, now), undefined);
    strictEqual(await stage.update(id, {}, {}, now), "gone");
    deepStrictEqual(await stage.listed("ada", now), []);
  },

  "an update that names no key leaves the data as it is": async (stage) => {
    const id = await stage.create();
    await stage.update(id, { set: dataOf({}), delete: [] });
    deepStrictEqual({ ...(await stage.live(id)).data }, { name: "Ada" });
  },

  "a key that was deleted can be set again": async (stage) => {
    const id = await stage.create();
    await stage.update(id, { delete: ["name"] });
    await stage.update(id, { set: dataOf({ name: "Eve" }) });
    deepStrictEqual({ ...(await stage.live(id)).data }, { name: "Eve" });
  },
};
