import { deepStrictEqual, strictEqual } from "node:assert/strict";
import {
  type Checks,
  dataOf,
  newId,
  newSecretHash,
  OTHER_HASH,
  SECRET_HASH,
} from "./stage.ts";

/** That an update changes what it names, and only if its guard is met. */
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

  "update adds one to the version and moves deadline and last access": async (
    stage,
  ) => {
    const id = await stage.create();
    const now = stage.now + 3000;
    await stage.update(id, { expiresAt: now + 7000 }, {}, now);
    const record = await stage.live(id, now);
    deepStrictEqual(
      [record.version, record.accessedAt, record.expiresAt, record.createdAt],
      [2, now, now + 7000, stage.now],
    );
    await stage.update(id, { expiresAt: now + 7000 }, {}, now);
    strictEqual((await stage.live(id, now)).version, 3);
  },

  "a field that an update leaves out stays as it is": async (stage) => {
    const previous = { secretHash: OTHER_HASH, expiresAt: stage.now + 1000 };
    const id = await stage.create({
      principal: "ada",
      label: "Laptop",
      previous,
      authenticatedAt: stage.now - 1,
      fingerprint: "what it looks like",
      persistent: true,
    });
    const before = await stage.live(id);
    await stage.update(id, { set: dataOf({ name: "Eve" }) });
    const after = await stage.live(id);
    deepStrictEqual(after, {
      ...before,
      data: after.data,
      version: 2,
      accessedAt: stage.now,
      expiresAt: after.expiresAt,
    });
  },

  "update replaces the fields it gives": async (stage) => {
    const id = await stage.create();
    const change = {
      secretHash: newSecretHash(),
      previous: { secretHash: SECRET_HASH, expiresAt: stage.now + 1000 },
      principal: "ada",
      label: "Laptop",
      renewedAt: stage.now + 1,
      authenticatedAt: stage.now + 2,
      fingerprint: "what it looks like",
      idleTimeout: 60,
      absoluteTimeout: 120,
      persistent: true,
      expiresAt: stage.now + 60_000,
    };
    strictEqual(await stage.update(id, change), "done");
    const record = await stage.live(id);
    for (const [name, value] of Object.entries(change)) {
      deepStrictEqual(record[name as keyof typeof change], value, name);
    }
  },

  "update forgets what it gives as null": async (stage) => {
    const id = await stage.create({
      principal: "ada",
      label: "Laptop",
      previous: { secretHash: OTHER_HASH, expiresAt: stage.now + 1000 },
      authenticatedAt: stage.now,
      fingerprint: "what it looks like",
    });
    const names = [
      "principal",
      "label",
      "previous",
      "authenticatedAt",
      "fingerprint",
    ] as const;
    await stage.update(
      id,
      Object.fromEntries(names.map((name) => [name, null])),
    );
    const record = await stage.live(id);
    for (const name of names) strictEqual(record[name], undefined, name);
  },

  "an update of an id that is not there is gone and creates nothing": async (
    stage,
  ) => {
    const id = newId();
    strictEqual(await stage.update(id, { set: dataOf({ a: 1 }) }), "gone");
    strictEqual(await stage.read(id), undefined);
  },

  "an update with a wrong secret is gone and changes nothing": async (
    stage,
  ) => {
    const id = await stage.create();
    const before = await stage.live(id);
    const change = { set: dataOf({ name: "Eve" }), secretHash: OTHER_HASH };
    strictEqual(
      await stage.update(id, change, { secretHash: OTHER_HASH }),
      "gone",
    );
    deepStrictEqual(await stage.live(id), before);
  },

  "a previous secret without an end to its grace is good for ever": async (
    stage,
  ) => {
    const expiresAt = Number.MAX_SAFE_INTEGER;
    const id = await stage.create({
      previous: { secretHash: OTHER_HASH, expiresAt },
    });
    const now = stage.record().expiresAt - 1;
    strictEqual(
      await stage.update(id, {}, { secretHash: OTHER_HASH }, now),
      "done",
    );
    strictEqual((await stage.live(id, now)).previous?.expiresAt, expiresAt);
  },

  "an update with the previous secret is done until its grace ends": async (
    stage,
  ) => {
    const expiresAt = stage.now + 1000;
    const id = await stage.create({
      previous: { secretHash: OTHER_HASH, expiresAt },
    });
    const guard = { secretHash: OTHER_HASH };
    strictEqual(await stage.update(id, {}, guard, expiresAt - 1), "done");
    strictEqual(await stage.update(id, {}, guard, expiresAt), "gone");
    strictEqual((await stage.live(id, expiresAt)).version, 2);
  },

  "an update from the present version is done": async (stage) => {
    const id = await stage.create();
    strictEqual(await stage.update(id, {}, { version: 1 }), "done");
    strictEqual(await stage.update(id, {}, { version: 2 }), "done");
  },

  "an update from another version conflicts and changes nothing": async (
    stage,
  ) => {
    const id = await stage.create();
    await stage.update(id, {});
    const before = await stage.live(id);
    const change = { set: dataOf({ name: "Eve" }), principal: "eve" };
    strictEqual(await stage.update(id, change, { version: 1 }), "conflict");
    strictEqual(await stage.update(id, change, { version: 3 }), "conflict");
    deepStrictEqual(await stage.live(id), before);
  },

  "a wrong secret is gone even where the version differs too": async (
    stage,
  ) => {
    const id = await stage.create();
    strictEqual(
      await stage.update(id, {}, { secretHash: OTHER_HASH, version: 7 }),
      "gone",
    );
  },

  "an update whose deadline is now ends the session": async (stage) => {
    const id = await stage.create({ principal: "ada" });
    const now = stage.now + 1;
    strictEqual(await stage.update(id, { expiresAt: now }, {}, now), "done");
    strictEqual(await stage.read(id, now), undefined);
    strictEqual(await stage.update(id, {}, {}, now), "gone");
    deepStrictEqual([...await stage.provider.list("ada", now)], []);
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
