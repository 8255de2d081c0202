import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { type Checks, newId, type Stage } from "./stage.ts";

/** That a user's sessions can be listed and ended together. */
export const principalChecks: Checks = {
  "list names the sessions of one principal with their records": async (
    stage,
  ) => {
    const one = await stage.create({ principal: "ada", label: "Laptop" });
    const two = await stage.create({ principal: "ada" });
    await stage.create({ principal: "bob" });
    await stage.create();
    deepStrictEqual(await idsOf(stage, "ada"), [one, two].sort());
    for (const { id, record } of await stage.provider.list("ada", stage.now)) {
      deepStrictEqual(record, await stage.live(id));
    }
  },

  "list of a principal without sessions is empty": async (stage) => {
    await stage.create({ principal: "ada" });
    deepStrictEqual(await idsOf(stage, "ad"), []);
    deepStrictEqual(await idsOf(stage, "adam"), []);
  },

  "list leaves out what has expired or was destroyed": async (stage) => {
    const destroyed = await stage.create({ principal: "ada" });
    await stage.provider.destroy(destroyed);
    await stage.create({ principal: "ada", idleTimeout: 10 });
    const live = await stage.create({ principal: "ada" });
    deepStrictEqual(await idsOf(stage, "ada", stage.now + 10_000), [live]);
  },

  "a session is listed under the principal that an update gave it": async (
    stage,
  ) => {
    const id = await stage.create();
    await stage.update(id, { principal: "ada" });
    deepStrictEqual(await idsOf(stage, "ada"), [id]);
    await stage.update(id, { principal: "bob" });
    deepStrictEqual(await idsOf(stage, "ada"), []);
    deepStrictEqual(await idsOf(stage, "bob"), [id]);
    await stage.update(id, { principal: null });
    deepStrictEqual(await idsOf(stage, "bob"), []);
  },

  "a touch keeps a session in its principal's list": async (stage) => {
    const id = await stage.create({ principal: "ada" });
    const now = stage.record().expiresAt - 1;
    await stage.provider.touch(id, now + 10_000, now);
    deepStrictEqual(await idsOf(stage, "ada", now + 9_999), [id]);
  },

  "destroyAll ends the sessions of one principal and counts them": async (
    stage,
  ) => {
    const one = await stage.create({ principal: "ada" });
    const two = await stage.create({ principal: "ada" });
    const other = await stage.create({ principal: "bob" });
    const nobody = await stage.create();
    strictEqual(await stage.provider.destroyAll("ada"), 2);
    strictEqual(await stage.read(one), undefined);
    strictEqual(await stage.read(two), undefined);
    await stage.live(other);
    await stage.live(nobody);
    deepStrictEqual(await idsOf(stage, "ada"), []);
    strictEqual(await stage.provider.destroyAll("ada"), 0);
  },

  "destroyAll spares the session that it is told to": async (stage) => {
    const spared = await stage.create({ principal: "ada" });
    const ended = await stage.create({ principal: "ada" });
    strictEqual(await stage.provider.destroyAll("ada", spared), 1);
    strictEqual(await stage.read(ended), undefined);
    deepStrictEqual(await idsOf(stage, "ada"), [spared]);
    strictEqual(await stage.provider.destroyAll("ada", newId()), 1);
    strictEqual(await stage.read(spared), undefined);
  },

  "destroyAll does not touch a session that has changed hands": async (
    stage,
  ) => {
    const id = await stage.create({ principal: "ada" });
    await stage.update(id, { principal: "bob" });
    strictEqual(await stage.provider.destroyAll("ada"), 0);
    await stage.live(id);
  },
};

async function idsOf(
  stage: Stage,
  principal: string,
  now = stage.now,
): Promise<string[]> {
  const sessions = await stage.provider.list(principal, now);
  return sessions.map(({ id }) => id).sort();
}
