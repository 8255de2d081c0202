/** That a user's sessions can be listed and ended together. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { summaryOf } from "../../core/store/record.ts";
import { type Checks, IDLE_TIMEOUT, newId, renew } from "./stage.ts";

/** Checks by promise. */
export const principalChecks: Checks = {
  "list names the sessions of one principal with their summaries": async (
    stage,
  ) => {
    const { now } = stage;
    const one = await stage.create({
      principal: "ada",
      label: "Laptop",
      binding: "a key of the device",
      authenticatedAt: now + 1,
      accessedAt: now + 2.5,
    });
    const two = await stage.create({ principal: "ada" });
    await stage.create({ principal: "bob" });
    await stage.create();
    deepStrictEqual(await stage.listed("ada"), [one, two].sort());
    for (const summary of (await stage.provider.list("ada", now)).sessions) {
      const { id } = summary;
      deepStrictEqual({ ...summary }, summaryOf(id, await stage.live(id)));
    }
  },

  "list leaves out what a clock set ahead has dated, and destroyAll ends it":
    async (stage) => {
      const ahead = stage.now + 365 * 24 * 60 * 60 * 1000;
      const id = newId();
      const record = stage.record({ createdAt: ahead, principal: "ada" });
      strictEqual(await stage.provider.create(id, record, ahead), true);
      deepStrictEqual(await stage.listed("ada"), []);
      deepStrictEqual(await stage.listed("ada", ahead), [id]);
      await stage.provider.destroyAll("ada");
      strictEqual(await stage.read(id, ahead), undefined);
      deepStrictEqual(await stage.listed("ada", ahead), []);
    },

  "a list follows renewals, touches and writes": async (stage) => {
    const id = await stage.create({ principal: "ada", label: "Laptop" });
    const now = stage.now + 1000.5;
    strictEqual(await renew(stage, id, stage.now), "done");
    const change = {
      label: null,
      authenticatedAt: now,
      idleTimeout: 300.5,
      absoluteTimeout: 3000.25,
    };
    strictEqual(await stage.update(id, change), "done");
    strictEqual(await stage.touch(id, now), true);
    const { sessions } = await stage.provider.list("ada", now);
    deepStrictEqual(sessions.map((summary) => ({ ...summary })), [{
      id,
      label: undefined,
      binding: undefined,
      authenticatedAt: now,
      createdAt: stage.now,
      accessedAt: now,
      idleTimeout: 300.5,
      absoluteTimeout: 3000.25,
    }]);
  },

  "list of a principal without sessions is empty": async (stage) => {
    await stage.create({ principal: "ada" });
    deepStrictEqual(await stage.listed("ad"), []);
    deepStrictEqual(await stage.listed("adam"), []);
  },

  "list leaves out what has expired or was destroyed": async (stage) => {
    const destroyed = await stage.create({ principal: "ada" });
    await stage.destroy(destroyed);
    await stage.create({ principal: "ada", idleTimeout: 10 });
    const live = await stage.create({ principal: "ada" });
    deepStrictEqual(await stage.listed("ada", stage.now + 10_000), [live]);
  },

  "a session is listed under the principal that an update gave it": async (
    stage,
  ) => {
    const id = await stage.create();
    await stage.update(id, { principal: "ada" });
    deepStrictEqual(await stage.listed("ada"), [id]);
    await stage.update(id, { principal: "bob" });
    deepStrictEqual(await stage.listed("ada"), []);
    deepStrictEqual(await stage.listed("bob"), [id]);
    await stage.update(id, { principal: null });
    deepStrictEqual(await stage.listed("bob"), []);
  },

  "a touch keeps a session in its principal's list": async (stage) => {
    const id = await stage.create({ principal: "ada" });
    const now = stage.deadline - 1;
    await stage.touch(id, now);
    const deadline = now + IDLE_TIMEOUT * 1000;
    deepStrictEqual(await stage.listed("ada", deadline - 1), [id]);
    deepStrictEqual(await stage.listed("ada", deadline), []);
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
    deepStrictEqual(await stage.listed("ada"), []);
    strictEqual(await stage.provider.destroyAll("ada"), 0);
  },

  "destroyAll spares the session that it is told to": async (stage) => {
    const spared = await stage.create({ principal: "ada" });
    const ended = await stage.create({ principal: "ada" });
    strictEqual(await stage.provider.destroyAll("ada", spared), 1);
    strictEqual(await stage.read(ended), undefined);
    deepStrictEqual(await stage.listed("ada"), [spared]);
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
