/** That a call takes effect exactly when its guard holds. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import type {
  Guard,
  NewSessionRecord,
  PreviousSecret,
  SessionChange,
  Until,
} from "../../core/provider.ts";
import { untilText } from "../../core/store/record.ts";
import { UNTILS } from "./fields.ts";
import {
  type Checks,
  dataOf,
  FAMILY,
  newSecretHash,
  OTHER_FAMILY,
  OTHER_HASH,
  OWN,
  renew,
  SECRET_HASH,
  signInChange,
  type Stage,
  together,
  tokenOf,
} from "./stage.ts";

/** What one part of a guard says of the session of {@linkcode guarded}. */
interface Part {
  readonly holds: Guard;
  /** Guards that differ in this part, each in another way. */
  readonly fails: readonly Guard[];
  readonly answer: "gone" | "conflict";
}

/** Every part of a guard: a new one does not compile until it is here. */
const PARTS = {
  family: {
    holds: { family: FAMILY },
    fails: [
      { family: OTHER_FAMILY },
      { family: "" },
      { family: FAMILY.slice(1) },
      { family: FAMILY.toUpperCase() },
      { family: SECRET_HASH },
    ],
    answer: "gone",
  },
  principal: {
    holds: { principal: "ada" },
    fails: [{ principal: "bob" }, { principal: "Ada" }, { principal: "" }, {
      principal: "ada ",
    }],
    answer: "gone",
  },
  token: {
    holds: { token: { secretHash: SECRET_HASH, until: "confirmed" } },
    fails: [
      { token: { secretHash: OTHER_HASH, until: "confirmed" } },
      { token: { secretHash: SECRET_HASH, until: "never" } },
      { token: { secretHash: SECRET_HASH, until: undefined } },
      { token: { secretHash: SECRET_HASH, until: 0 } },
    ],
    answer: "conflict",
  },
  version: {
    holds: { version: 1 },
    fails: [{ version: 0 }, { version: 2 }, { version: 11 }],
    answer: "conflict",
  },
  binding: {
    holds: { binding: "a key" },
    fails: [{ binding: null }, { binding: "another key" }, { binding: "" }],
    answer: "conflict",
  },
} satisfies Record<keyof Required<Guard>, Part>;

const LIST: readonly Part[] = Object.values(PARTS);

/** Texts that a store could take for something else. */
const AWKWARD_BINDINGS: readonly string[] = [
  "",
  " ",
  "null",
  "false",
  "0",
  "undefined",
  "a,b",
  '"quoted"',
  "'; --",
  "back\\slash",
  "line\nbreak",
  "\u{1F9E5} \u00fc \u4e2d",
  "k".repeat(2000),
];

/** Checks by promise. */
export const guardChecks: Checks = {
  "update and destroy take effect when each part of a guard holds": async (
    stage,
  ) => {
    const all = Object.assign({}, ...LIST.map(({ holds }) => holds));
    for (const guard of [{}, ...LIST.map(({ holds }) => holds), all]) {
      const id = await stage.create(guarded());
      strictEqual(await updated(stage, id, guard), "done", told(guard));
      const ended = await stage.create(guarded());
      strictEqual(await stage.destroy(ended, guard), "done", told(guard));
      strictEqual(await stage.read(ended), undefined);
    }
  },

  "a part of a guard that is undefined is not looked at": async (stage) => {
    const names = Object.keys(PARTS);
    const guard = Object.fromEntries(names.map((name) => [name, undefined]));
    const id = await stage.create(guarded());
    strictEqual(await updated(stage, id, guard), "done");
    strictEqual(await stage.destroy(id, guard), "done");
  },

  "an update is gone or conflicts as the part that differs says, and changes nothing":
    async (stage) => {
      const id = await stage.create(guarded());
      const before = await stage.live(id);
      for (const { fails, answer } of LIST) {
        for (const guard of fails) {
          strictEqual(await updated(stage, id, guard), answer, told(guard));
        }
      }
      deepStrictEqual(await stage.live(id), before);
      deepStrictEqual(await stage.listed("ada"), [id]);
    },

  "a destroy is refused whichever part differs, and removes nothing": async (
    stage,
  ) => {
    const id = await stage.create(guarded());
    const before = await stage.live(id);
    for (const guard of LIST.flatMap(({ fails }) => fails)) {
      strictEqual(await stage.destroy(id, guard), "refused", told(guard));
    }
    deepStrictEqual(await stage.live(id), before);
  },

  "all parts of a guard must hold": async (stage) => {
    const id = await stage.create(guarded());
    for (const [index, { fails, answer }] of LIST.entries()) {
      const others = LIST.filter((_, other) => other !== index);
      const holding = Object.assign({}, ...others.map(({ holds }) => holds));
      const guard: Guard = { ...holding, ...fails[0] };
      strictEqual(await updated(stage, id, guard), answer, told(guard));
      strictEqual(await stage.destroy(id, guard), "refused", told(guard));
    }
    strictEqual((await stage.live(id)).version, 1);
  },

  "an update is gone rather than in conflict": async (stage) => {
    const id = await stage.create(guarded());
    for (const gone of LIST.filter(({ answer }) => answer === "gone")) {
      for (const other of LIST.filter((part) => part.answer === "conflict")) {
        const guard: Guard = { ...other.fails[0], ...gone.fails[0] };
        strictEqual(await updated(stage, id, guard), "gone", told(guard));
      }
    }
  },

  "a guard by principal or binding fails on a session that has none": async (
    stage,
  ) => {
    const id = await stage.create();
    for (const principal of ["ada", ""]) {
      strictEqual(await updated(stage, id, { principal }), "gone");
      strictEqual(await stage.destroy(id, { principal }), "refused");
    }
    for (const binding of AWKWARD_BINDINGS) {
      strictEqual(await updated(stage, id, { binding }), "conflict");
      strictEqual(await stage.destroy(id, { binding }), "refused");
    }
    strictEqual(await updated(stage, id, { binding: null }), "done");
    strictEqual(await stage.destroy(id, { binding: null }), "done");
  },

  "a guard by token tells every state of the secret before": async (stage) => {
    for (const stored of UNTILS) {
      const id = await stage.create({ previous: previousOf(stored) });
      for (const until of UNTILS) {
        const isSame = untilText(until) === untilText(stored);
        const guard = { token: { secretHash: SECRET_HASH, until } };
        const answer = isSame ? "done" : "conflict";
        const message = `${stored} guarded by ${until}`;
        strictEqual(await updated(stage, id, guard), answer, message);
        if (isSame) continue;
        strictEqual(await stage.destroy(id, guard), "refused", message);
      }
      const guard = { token: { secretHash: SECRET_HASH, until: stored } };
      strictEqual(await stage.destroy(id, guard), "done", String(stored));
    }
  },

  "no guard compares an instant with a clock": async (stage) => {
    for (const until of [0, stage.now, stage.now + 1e9, "never"] as const) {
      const id = await stage.create({ previous: previousOf(until) });
      for (const at of [-2000, 0, 2000]) {
        const now = stage.now + at;
        const token = { secretHash: SECRET_HASH, until };
        const { provider } = stage;
        strictEqual(await provider.update(id, {}, { token }, now), "done");
        const family = OTHER_FAMILY;
        strictEqual(await provider.update(id, {}, { family }, now), "gone");
        strictEqual(await provider.destroy(id, { family }, now), "refused");
      }
    }
  },

  "bindings of any characters are kept, compared and guarded": async (
    stage,
  ) => {
    for (const binding of AWKWARD_BINDINGS) {
      const id = await stage.create({ binding });
      strictEqual((await stage.live(id)).binding, binding);
      for (const other of [`${binding} `, `${binding}0`, null]) {
        const guard = { binding: other };
        strictEqual(await updated(stage, id, guard), "conflict", binding);
      }
      strictEqual(await updated(stage, id, { binding }), "done", binding);
      const next = await stage.create({ binding: "a key" });
      const guard = { binding: "a key" };
      strictEqual(await stage.update(next, { binding }, guard), "done");
      strictEqual((await stage.live(next)).binding, binding);
      strictEqual(await updated(stage, next, guard), "conflict");
      strictEqual(await stage.destroy(next, { binding }), "done", binding);
    }
  },

  "a family is an opaque text": async (stage) => {
    for (const family of ["0000000000000000", "1e10000000000000", "f"]) {
      const id = await stage.create({ family });
      strictEqual((await stage.live(id)).family, family);
      strictEqual(await updated(stage, id, { family: `${family}0` }), "gone");
      strictEqual(await updated(stage, id, { family: "0" }), "gone");
      strictEqual(await updated(stage, id, { family }), "done");
    }
  },

  "a guard by family survives renewals and no sign-in": async (stage) => {
    for (const until of ["confirmed", "never", stage.now + 1e9] as const) {
      const id = await stage.create();
      strictEqual(await renew(stage, id, stage.now), "done");
      strictEqual(await stage.update(id, set("late", 1)), "done");
      strictEqual(await renew(stage, id, stage.now + 1), "done");
      strictEqual(await stage.update(id, set("later", 1)), "done");
      const change = signInChange("ada", await stage.live(id), stage.now);
      const previous = { ...change.previous, until };
      strictEqual(await stage.update(id, { ...change, previous }), "done");
      const before = await stage.live(id);
      // By clocks that are behind, and by calls that reach the store late.
      for (const now of [stage.now, stage.now - 30, stage.now - 2000]) {
        strictEqual(await stage.update(id, set("a", 1), {}, now), "gone");
        strictEqual(await stage.destroy(id, OWN, now), "refused");
      }
      deepStrictEqual(await stage.live(id), before);
    }
  },

  "of many renewals of one token exactly one is done": async (stage) => {
    const id = await stage.create();
    const record = await stage.live(id);
    const hashes = Array.from({ length: 8 }, () => newSecretHash());
    const results = await together(
      8,
      (index) => renew(stage, id, stage.now, { record, next: hashes[index]! }),
    );
    deepStrictEqual([...results].sort(), [
      ...Array.from({ length: 7 }, () => "conflict"),
      "done",
    ]);
    const { secretHash, previous, version } = await stage.live(id);
    deepStrictEqual([secretHash, version], [
      hashes[results.indexOf("done")],
      2,
    ]);
    strictEqual(previous?.until, "confirmed");
  },

  "of many equal proofs of one binding exactly one is done": async (stage) => {
    const id = await stage.create({ binding: "a key" });
    const { accessedAt } = await stage.live(id);
    const change = { binding: "a key, proved", isUse: false };
    const results = await together(
      8,
      () => stage.update(id, change, { binding: "a key" }, stage.now + 1000),
    );
    deepStrictEqual([...results].sort(), [
      ...Array.from({ length: 7 }, () => "conflict"),
      "done",
    ]);
    const after = await stage.live(id);
    deepStrictEqual(
      [after.binding, after.version, after.accessedAt],
      ["a key, proved", 2, accessedAt],
    );
  },

  "of a first key and a second one exactly one is stored": async (stage) => {
    const id = await stage.create({ binding: "offered" });
    const keys = ["one key", "another key"];
    const token = tokenOf(await stage.live(id));
    const results = await together(
      2,
      (index) =>
        stage.update(id, { binding: keys[index], isUse: false }, {
          token,
          binding: "offered",
        }),
    );
    deepStrictEqual([...results].sort(), ["conflict", "done"]);
    const { binding } = await stage.live(id);
    strictEqual(binding, keys[results.indexOf("done")]);
  },

  "a proof and a renewal of one session are both done": async (stage) => {
    const id = await stage.create({ binding: "a key" });
    const record = await stage.live(id);
    const next = newSecretHash();
    const results = await together(
      2,
      (index) =>
        index === 0
          ? stage.update(id, { binding: "a key, proved", isUse: false }, {
            binding: "a key",
          })
          : renew(stage, id, stage.now, { record, next }),
    );
    deepStrictEqual(results, ["done", "done"]);
    const { binding, secretHash } = await stage.live(id);
    deepStrictEqual([binding, secretHash], ["a key, proved", next]);
  },

  "of a renewal and a sign-in of one token exactly one is done": async (
    stage,
  ) => {
    const id = await stage.create();
    const record = await stage.live(id);
    const token = tokenOf(record);
    const change = signInChange("ada", record, stage.now);
    const results = await together(
      2,
      (index) =>
        index === 0
          ? renew(stage, id, stage.now, { record })
          : stage.provider.update(id, change, { token }, stage.now),
    );
    const isSignedIn = results[1] === "done";
    deepStrictEqual(
      results,
      isSignedIn ? ["gone", "done"] : [
        "done",
        "conflict",
      ],
    );
    strictEqual(
      (await stage.live(id)).principal,
      isSignedIn ? "ada" : undefined,
    );
  },

  "no write of data moves a token, so that none can starve a renewal": async (
    stage,
  ) => {
    const id = await stage.create();
    const record = await stage.live(id);
    await together(20, (index) => {
      if (index % 5 === 4) return stage.touch(id, stage.now + index);
      return stage.update(id, { ...set(`key${index}`, 1), label: "Phone" });
    });
    strictEqual(await renew(stage, id, stage.now, { record }), "done");
    const { data, secretHash } = await stage.live(id);
    strictEqual(Object.keys(data).length, 17);
    strictEqual(secretHash === SECRET_HASH, false);
  },

  "no write of data starves the note that a new secret has arrived": async (
    stage,
  ) => {
    const previous = previousOf("confirmed")!;
    const id = await stage.create({ previous });
    const token = tokenOf(await stage.live(id));
    for (let count = 0; count < 20; count++) {
      strictEqual(await stage.update(id, set("count", count)), "done");
    }
    const until = stage.now + 60_000;
    const confirm = () =>
      stage.update(id, { previous: { ...previous, until } }, { token });
    strictEqual(await confirm(), "done");
    const after = await stage.live(id);
    deepStrictEqual({ ...after.previous }, { ...previous, until });
    deepStrictEqual([after.secretHash, after.version], [SECRET_HASH, 22]);
    strictEqual(await confirm(), "conflict");
    const next = { record: after };
    strictEqual(await renew(stage, id, stage.now, next), "done");
  },
};

/** What {@linkcode PARTS} are about. */
function guarded(): Partial<NewSessionRecord> {
  const previous = previousOf("confirmed");
  return { principal: "ada", binding: "a key", previous };
}

function previousOf(until: Until | undefined): PreviousSecret | undefined {
  if (until === undefined) return undefined;
  return { secretHash: OTHER_HASH, family: FAMILY, until };
}

function set(key: string, value: unknown): SessionChange {
  return { set: dataOf({ [key]: value }) };
}

/** An update that has no other guard than the one given. */
async function updated(stage: Stage, id: string, guard: Guard) {
  const change = { label: "Phone" };
  return await stage.provider.update(id, change, guard, stage.now);
}

function told(guard: Guard): string {
  return JSON.stringify(guard);
}
