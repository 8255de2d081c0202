import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import {
  type Checks,
  dataOf,
  newId,
  newSecretHash,
  OTHER_HASH,
  SECRET_HASH,
  type Stage,
  together,
} from "./stage.ts";

/** That requests at the same time never undo each other's work. */
export const raceChecks: Checks = {
  "of many creates of one id exactly one wins": async (stage) => {
    const id = newId();
    const won = await together(8, (index) => {
      const record = stage.record({ data: dataOf({ by: index }) });
      return stage.provider.create(id, record, stage.now);
    });
    strictEqual(won.filter((isCreated) => isCreated).length, 1);
    strictEqual((await stage.live(id)).data["by"], won.indexOf(true));
  },

  "two requests that change different keys both keep their work": async (
    stage,
  ) => {
    const id = await stage.create({ data: dataOf({ a: 0, b: 0, c: 0 }) });
    // Both have read the same record by now.
    await stage.update(id, { set: dataOf({ a: 1 }), delete: ["c"] });
    await stage.update(id, { set: dataOf({ b: 2 }) });
    deepStrictEqual({ ...(await stage.live(id)).data }, { a: 1, b: 2 });
  },

  "many updates of different keys at the same time all last": async (stage) => {
    const keys = Array.from({ length: 20 }, (_, index) => `key${index}`);
    const before = Object.fromEntries(keys.map((key) => [key, "before"]));
    const id = await stage.create({ data: dataOf(before) });
    const results = await together(
      20,
      (index) => stage.update(id, { set: dataOf({ [keys[index]!]: "after" }) }),
    );
    deepStrictEqual(new Set(results), new Set(["done"]));
    const { data, version } = await stage.live(id);
    deepStrictEqual(new Set(Object.values(data)), new Set(["after"]));
    deepStrictEqual([Object.keys(data).length, version], [20, 21]);
  },

  "of two updates of one key the later one lasts": async (stage) => {
    const id = await stage.create();
    await stage.update(id, { set: dataOf({ name: "first" }) });
    await stage.update(id, { set: dataOf({ name: "second" }) });
    strictEqual((await stage.live(id)).data["name"], "second");
  },

  "of many updates from one version exactly one is done": async (stage) => {
    const id = await stage.create();
    const results = await together(8, (index) =>
      stage.update(
        id,
        { set: dataOf({ by: index }) },
        { version: 1 },
      ));
    strictEqual(results.filter((result) => result === "done").length, 1);
    strictEqual(results.filter((result) => result === "conflict").length, 7);
    const { data, version } = await stage.live(id);
    strictEqual(data["by"], results.indexOf("done"));
    strictEqual(version, 2);
  },

  "a counter that many increment by compare and set is exact": async (
    stage,
  ) => {
    const id = await stage.create({ data: dataOf({ count: 0 }) });
    await together(12, () => increment(stage, id));
    strictEqual((await stage.live(id)).data["count"], 12);
  },

  "of two replacements of the secret exactly one wins": async (stage) => {
    const id = await stage.create();
    const hashes = [newSecretHash(), newSecretHash()];
    const results = await together(
      2,
      (index) =>
        stage.update(id, { secretHash: hashes[index], previous: null }),
    );
    deepStrictEqual([...results].sort(), ["done", "gone"]);
    strictEqual(
      (await stage.live(id)).secretHash,
      hashes[results.indexOf("done")],
    );
  },

  "a request that began before sign-in cannot write after it": async (
    stage,
  ) => {
    const id = await stage.create();
    const signIn = {
      principal: "ada",
      secretHash: OTHER_HASH,
      previous: null,
    };
    strictEqual(await stage.update(id, signIn), "done");
    const late = { set: dataOf({ name: "Eve" }), principal: "eve" };
    strictEqual(await stage.update(id, late), "gone");
    const { data, principal } = await stage.live(id);
    deepStrictEqual([data["name"], principal], ["Ada", "ada"]);
  },

  "a session destroyed in the middle of updates stays destroyed": async (
    stage,
  ) => {
    const id = await stage.create({ principal: "ada" });
    const { expiresAt } = stage.record();
    await together(9, (index) => {
      if (index === 4) return stage.provider.destroy(id);
      return index % 2 === 0
        ? stage.update(id, { set: dataOf({ [`k${index}`]: 1 }) })
        : stage.provider.touch(id, expiresAt, stage.now);
    });
    strictEqual(await stage.read(id), undefined);
    strictEqual(await stage.update(id, {}), "gone");
    deepStrictEqual([...await stage.provider.list("ada", stage.now)], []);
  },

  "a touch in the middle of updates loses none of them": async (stage) => {
    const id = await stage.create({ data: dataOf({}) });
    const { expiresAt } = stage.record();
    await together(
      10,
      (index) =>
        index % 2 === 0
          ? stage.update(id, { set: dataOf({ [`key${index}`]: 1 }) })
          : stage.provider.touch(id, expiresAt, stage.now),
    );
    const { data, version } = await stage.live(id);
    deepStrictEqual([Object.keys(data).length, version], [5, 6]);
  },

  "destroyAll in the middle of updates leaves none of the sessions": async (
    stage,
  ) => {
    const ids = [
      await stage.create({ principal: "ada" }),
      await stage.create({ principal: "ada" }),
    ];
    await together(
      5,
      (index) =>
        index === 2
          ? stage.provider.destroyAll("ada")
          : stage.update(ids[index % 2] as string, {
            set: dataOf({ a: index }),
          }),
    );
    for (const id of ids) strictEqual(await stage.read(id), undefined);
  },

  "gc at the same time as updates removes no live session": async (stage) => {
    const id = await stage.create();
    const now = stage.record().expiresAt - 1;
    const results = await together(
      6,
      (index) =>
        index % 2 === 0 ? stage.provider.gc(now + 1, 10) : stage.update(
          id,
          {
            set: dataOf({ [`key${index}`]: 1 }),
          },
          {},
          now,
        ),
    );
    const record = await stage.read(id, now + 1);
    const done = results.filter((result) => result === "done").length;
    // The collector may come first, but never between.
    ok(record === undefined ? done === 0 : done > 0, `${done} updates done`);
    ok(record === undefined || record.version === done + 1);
  },
};

async function increment(stage: Stage, id: string): Promise<void> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    const { data, version } = await stage.live(id);
    const set = dataOf({ count: data["count"] as number + 1 });
    const guard = { secretHash: SECRET_HASH, version };
    if (await stage.update(id, { set }, guard) === "done") return;
  }
  throw new Error("update() conflicts for ever");
}
