/** That what ends a session ends it for good, and ends no other. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import {
  type Checks,
  dataOf,
  IDLE_TIMEOUT,
  newId,
  OTHER_FAMILY,
  OWN,
  signInChange,
  together,
} from "./stage.ts";

/** Checks by promise. */
export const destroyChecks: Checks = {
  "destroy ends a session for good": async (stage) => {
    const { now } = stage;
    const id = await stage.create({ principal: "ada" });
    strictEqual(await stage.destroy(id, {}), "done");
    for (const at of [now, now - 2000, now + 2000]) {
      strictEqual(await stage.read(id, at), undefined);
      strictEqual(await stage.touch(id, at), false);
      const set = dataOf({ a: 1 });
      strictEqual(await stage.provider.update(id, { set }, {}, at), "gone");
      deepStrictEqual(await stage.listed("ada", at), []);
    }
    strictEqual(await stage.read(id), undefined);
  },

  "destroy may be repeated and answers absent when nothing was there": async (
    stage,
  ) => {
    const id = await stage.create();
    strictEqual(await stage.destroy(id), "done");
    for (const guard of [OWN, {}, { family: OTHER_FAMILY }]) {
      strictEqual(await stage.destroy(id, guard), "absent");
      strictEqual(await stage.destroy(newId(), guard), "absent");
    }
  },

  "destroy answers absent past the deadline, whatever its guard is": async (
    stage,
  ) => {
    const { deadline } = stage;
    for (const guard of [OWN, {}, { family: OTHER_FAMILY }]) {
      for (const end of [deadline, deadline + IDLE_TIMEOUT * 1000]) {
        const id = await stage.create();
        strictEqual(await stage.destroy(id, guard, end), "absent");
        strictEqual(await stage.read(id, end), undefined);
      }
    }
  },

  "destroy is done until the millisecond before the deadline": async (
    stage,
  ) => {
    const id = await stage.create();
    strictEqual(await stage.destroy(id, OWN, stage.deadline - 1), "done");
    strictEqual(await stage.read(id), undefined);
  },

  "destroy never removes or changes what it refuses": async (stage) => {
    const id = await stage.create({ principal: "ada" });
    const before = await stage.live(id);
    const guard = { family: OTHER_FAMILY };
    for (const now of [stage.now, stage.now + 5000, stage.now - 5000]) {
      strictEqual(await stage.destroy(id, guard, now), "refused");
      deepStrictEqual(await stage.live(id), before);
    }
    deepStrictEqual(await stage.listed("ada"), [id]);
    strictEqual(await stage.destroy(id), "done");
  },

  "destroy by the family of before a sign-in is refused after it": async (
    stage,
  ) => {
    const id = await stage.create();
    const change = signInChange("ada", await stage.live(id), stage.now);
    strictEqual(await stage.update(id, change), "done");
    strictEqual(await stage.destroy(id), "refused");
    strictEqual((await stage.live(id)).principal, "ada");
    const { family } = await stage.live(id);
    strictEqual(await stage.destroy(id, { family }), "done");
  },

  "destroy by principal is refused after the session changed hands": async (
    stage,
  ) => {
    const id = await stage.create({ principal: "ada" });
    const change = signInChange("bob", await stage.live(id), stage.now);
    strictEqual(await stage.update(id, change), "done");
    strictEqual(await stage.destroy(id, { principal: "ada" }), "refused");
    deepStrictEqual(await stage.listed("bob"), [id]);
    strictEqual(await stage.destroy(id, { principal: "bob" }), "done");
    deepStrictEqual(await stage.listed("bob"), []);
  },

  "of a sign-in and an end by the old family one takes effect": async (
    stage,
  ) => {
    for (const isEndFirst of [true, false]) {
      const id = await stage.create();
      const change = signInChange("ada", await stage.live(id), stage.now);
      const results = await together(
        2,
        (index) =>
          (index === 0) === isEndFirst
            ? stage.destroy(id)
            : stage.update(id, change),
      );
      const [end, signIn] = isEndFirst ? results : results.toReversed();
      const isSignedIn = signIn === "done";
      deepStrictEqual(
        [end, signIn],
        isSignedIn ? ["refused", "done"] : ["done", "gone"],
      );
      strictEqual((await stage.read(id)) !== undefined, isSignedIn);
    }
  },

  "of many ends of one session exactly one is done": async (stage) => {
    const id = await stage.create();
    const results = await together(8, () => stage.destroy(id));
    deepStrictEqual([...results].sort(), [
      ...Array.from({ length: 7 }, () => "absent"),
      "done",
    ]);
  },

  "an id whose session was destroyed can be created again": async (stage) => {
    const id = await stage.create({ principal: "ada" });
    strictEqual(await stage.destroy(id), "done");
    const record = stage.record({ data: dataOf({ name: "Eve" }) });
    strictEqual(await stage.provider.create(id, record, stage.now), true);
    const { data, version, principal } = await stage.live(id);
    deepStrictEqual([data["name"], version, principal], ["Eve", 1, undefined]);
  },
};
