/**
 * That `destroyMany` ends each session as `destroy` does, and answers what it
 * ended. A provider may leave it out.
 */
import { deepStrictEqual } from "node:assert/strict";
import type { Guard } from "../../core/provider.ts";
import {
  type Check,
  type Checks,
  FAMILY,
  newId,
  OTHER_FAMILY,
  OTHER_HASH,
  OWN,
  SECRET_HASH,
  type Stage,
  together,
} from "./stage.ts";

/** More than any store ends in one step. */
const MANY = 1100;

/** Guards that hold for a session of Ada's, and those that do not. */
const HOLDING: readonly Guard[] = [
  {},
  OWN,
  { principal: "ada" },
  { version: 1 },
  { binding: null },
  { token: { secretHash: SECRET_HASH, until: undefined } },
  { family: FAMILY, principal: "ada", version: 1, binding: null },
];
const FAILING: readonly Guard[] = [
  { family: OTHER_FAMILY },
  { principal: "bob" },
  { version: 2 },
  { binding: "a key" },
  { token: { secretHash: OTHER_HASH, until: undefined } },
  { token: { secretHash: SECRET_HASH, until: "never" } },
  { family: FAMILY, principal: "bob" },
];

/** Checks by promise. */
export const manyChecks: Checks = where((ends) => ({
  "destroyMany ends the sessions that it names and no others": async (
    stage,
  ) => {
    const ids = await createAll(stage, 5, { principal: "ada" });
    const [first = "", , third = ""] = ids;
    deepStrictEqual(await ends(stage, [first, third]), sorted([first, third]));
    for (const id of [first, third]) {
      for (const now of [stage.now, stage.now - 2000]) {
        deepStrictEqual(await stage.read(id, now), undefined);
      }
    }
    const left = ids.filter((id) => id !== first && id !== third);
    for (const id of left) await stage.live(id);
    deepStrictEqual(await stage.listed("ada"), sorted(left));
    deepStrictEqual(await ends(stage, left), sorted(left));
    deepStrictEqual(await stage.listed("ada"), []);
    for (const id of ids) deepStrictEqual(await stage.read(id), undefined);
  },

  "destroyMany answers nothing of ids that no session has": async (stage) => {
    const [id = ""] = await createAll(stage, 1);
    deepStrictEqual(await ends(stage, []), []);
    deepStrictEqual(await ends(stage, [newId(), newId()]), []);
    deepStrictEqual(await ends(stage, [newId(), id, newId()]), [id]);
    deepStrictEqual(await ends(stage, [id]), []);
  },

  "destroyMany answers an id once that is given twice": async (stage) => {
    const [a = "", b = ""] = await createAll(stage, 2);
    deepStrictEqual(await ends(stage, [a, b, a, a]), sorted([a, b]));
  },

  "destroyMany ends each session that its guard holds for": async (stage) => {
    for (const guard of HOLDING) {
      const ids = await createAll(stage, 2, { principal: "ada" });
      deepStrictEqual(await ends(stage, ids, guard), sorted(ids));
      for (const id of ids) deepStrictEqual(await stage.read(id), undefined);
    }
  },

  "destroyMany changes nothing about what it refuses, and ends the rest":
    async (stage) => {
      for (const guard of FAILING) {
        const ids = await createAll(stage, 2, { principal: "ada" });
        const before = await stage.live(ids[0]!);
        deepStrictEqual(await ends(stage, ids, guard), []);
        deepStrictEqual(await stage.live(ids[0]!), before);
        await stage.live(ids[1]!);
      }
      const [bobs = ""] = await createAll(stage, 1, { principal: "bob" });
      const adas = await createAll(stage, 2, { principal: "ada" });
      const all = [adas[0]!, bobs, adas[1]!];
      const ended = await ends(stage, all, { principal: "ada" });
      deepStrictEqual(ended, sorted(adas));
      await stage.live(bobs);
    },

  "destroyMany answers nothing of what has expired": async (stage) => {
    const { deadline } = stage;
    const [old = ""] = await createAll(stage, 1);
    const [fresh = ""] = await createAll(stage, 1, {
      createdAt: stage.now + 1,
    });
    deepStrictEqual(await ends(stage, [old, fresh], OWN, deadline), [fresh]);
    deepStrictEqual(await stage.read(old, deadline), undefined);
  },

  "destroyMany takes any number of ids": async (stage) => {
    const ids = await createAll(stage, MANY, { principal: "ada" });
    const spared = ids.pop() as string;
    const ended = await ends(stage, [...ids, newId()], { principal: "ada" });
    deepStrictEqual(ended, sorted(ids));
    deepStrictEqual(await stage.listed("ada"), [spared]);
  },

  "of many ends of one session exactly one is told of it, by destroyMany too":
    async (stage) => {
      const ids = await createAll(stage, 3);
      const results = await together(
        6,
        async (index) =>
          index % 2 === 0
            ? await ends(stage, ids)
            : await stage.destroy(ids[0]!) === "done"
            ? [ids[0]!]
            : [],
      );
      deepStrictEqual(sorted(results.flat()), sorted(ids));
    },
}));

/** Ends sessions, and answers the ids that it was told of, in order. */
type Ends = (
  stage: Stage,
  ids: readonly string[],
  guard?: Guard,
  now?: number,
) => Promise<readonly string[]>;

/** Checks that pass where a provider leaves the call out. */
function where(checksOf: (ends: Ends) => Checks): Checks {
  const ends: Ends = async (stage, ids, guard = OWN, now = stage.now) =>
    sorted(await stage.provider.destroyMany!(ids, guard, now));
  const checks = Object.entries(checksOf(ends)).map(([name, check]) => {
    const ifThere: Check = async (stage) => {
      if (stage.provider.destroyMany !== undefined) await check(stage);
    };
    return [name, ifThere];
  });
  return Object.fromEntries(checks);
}

async function createAll(
  stage: Stage,
  count: number,
  record: Parameters<Stage["create"]>[0] = {},
): Promise<string[]> {
  const ids: string[] = [];
  for (let number = 0; number < count; number++) {
    ids.push(await stage.create(record));
  }
  return ids;
}

function sorted(ids: readonly string[]): string[] {
  return [...ids].sort();
}
