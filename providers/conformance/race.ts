/** That requests at the same time never undo each other's work. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import {
  type Checks,
  dataOf,
  newId,
  renew,
  signInChange,
  type Stage,
  together,
} from "./stage.ts";

/** Checks by promise. */
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

  "a request that began before sign-in cannot write after it": async (
    stage,
  ) => {
    const id = await stage.create();
    const change = signInChange("ada", await stage.live(id), stage.now);
    strictEqual(await stage.update(id, change), "done");
    const late = { set: dataOf({ name: "Eve" }), principal: "eve" };
    strictEqual(await stage.update(id, late), "gone");
    const { data, principal } = await stage.live(id);
    deepStrictEqual([data["name"], principal], ["Ada", "ada"]);
  },

  "a session destroyed in the middle of updates stays destroyed": async (
    stage,
  ) => {
    const id = await stage.create({ principal: "ada" });
    await together(9, (index) => {
      if (index === 4) return stage.destroy(id);
      return index % 2 === 0
        ? stage.update(id, { set: dataOf({ [`k${index}`]: 1 }) })
        : stage.touch(id);
    });
    strictEqual(await stage.read(id), undefined);
    strictEqual(await stage.update(id, {}), "gone");
    deepStrictEqual(await stage.listed("ada"), []);
  },

  "a touch in the middle of updates loses none of them": async (stage) => {
    const id = await stage.create({ data: dataOf({}) });
    await together(
      10,
      (index) =>
        index % 2 === 0
          ? stage.update(id, { set: dataOf({ [`key${index}`]: 1 }) })
          : stage.touch(id),
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

  "destroyAll in the middle of renewals leaves none of the sessions": async (
    stage,
  ) => {
    const ids = [
      await stage.create({ principal: "ada" }),
      await stage.create({ principal: "ada" }),
    ];
    const record = await stage.live(ids[0]!);
    await together(5, (index) => {
      if (index === 2) return stage.provider.destroyAll("ada");
      return renew(stage, ids[index % 2]!, stage.now, { record });
    });
    for (const id of ids) strictEqual(await stage.read(id), undefined);
    deepStrictEqual(await stage.listed("ada"), []);
  },

  "clear in the middle of updates and touches leaves no session": async (
    stage,
  ) => {
    const ids = [await stage.create(), await stage.create()];
    await together(9, (index) => {
      const id = ids[index % 2]!;
      if (index === 4) return stage.provider.clear();
      if (index % 3 === 0) return stage.touch(id);
      return stage.update(id, { set: dataOf({ a: index }) });
    });
    for (const id of ids) strictEqual(await stage.read(id), undefined);
  },

  "of an end and a renewal at the same time the session is ended": async (
    stage,
  ) => {
    for (const isEndFirst of [true, false]) {
      const id = await stage.create();
      const record = await stage.live(id);
      const results = await together(
        2,
        (index) =>
          (index === 0) === isEndFirst
            ? stage.destroy(id)
            : renew(stage, id, stage.now, { record }),
      );
      strictEqual(results[isEndFirst ? 0 : 1], "done");
      strictEqual(await stage.read(id), undefined);
    }
  },

  "gc at the same time as updates removes no live session": async (stage) => {
    const id = await stage.create();
    const now = stage.deadline - 1;
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
    if (await stage.update(id, { set }, { version }) === "done") return;
  }
  throw new Error("update() conflicts for ever");
}
