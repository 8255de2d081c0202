/** That a session's times and its end follow from its record alone. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type {
  NewSessionRecord,
  SessionChange,
  SessionRecord,
} from "../../core/provider.ts";
import { absoluteExpiryOf, isLive } from "../../core/store/record.ts";
import {
  type Checks,
  dataOf,
  IDLE_TIMEOUT,
  newId,
  OTHER_FAMILY,
  renew,
  signInChange,
  type Stage,
} from "./stage.ts";

/** How far a clock is off that was set to the wrong year. */
const YEAR = 365 * 24 * 60 * 60 * 1000;

/** How far two machines' clocks are apart, in milliseconds. */
const SKEW = 2000;

/** Checks by promise. */
export const timeChecks: Checks = {
  "a touch that arrives late moves nothing back": async (stage) => {
    const id = await stage.create();
    const now = stage.now + 5000;
    strictEqual(await stage.touch(id, now), true);
    const before = await stage.live(id, now);
    for (const late of [now - 0.25, stage.now, stage.now - SKEW]) {
      strictEqual(await stage.touch(id, late), true);
      deepStrictEqual(await stage.live(id, now), before);
    }
    await checkEnd(stage, id, now + IDLE_TIMEOUT * 1000);
  },

  "an update that arrives late is done and moves no last access back": async (
    stage,
  ) => {
    const id = await stage.create();
    const now = stage.now + 5000;
    strictEqual(await stage.touch(id, now), true);
    for (const late of [now - 0.25, stage.now, stage.now - SKEW]) {
      const set = dataOf({ [`at ${late}`]: late });
      strictEqual(await stage.update(id, { set }, {}, late), "done");
      strictEqual((await stage.live(id, now)).accessedAt, now);
    }
    const { data, version } = await stage.live(id, now);
    deepStrictEqual([Object.keys(data).length, version], [4, 4]);
    await checkEnd(stage, id, now + IDLE_TIMEOUT * 1000);
  },

  "an update that is no use leaves last access and deadline as they are":
    async (
      stage,
    ) => {
      const id = await stage.create();
      const later = stage.now + 5000;
      const change = { set: dataOf({ name: "Eve" }), isUse: false };
      strictEqual(await stage.update(id, change, {}, later), "done");
      const { data, version, accessedAt } = await stage.live(id, later);
      deepStrictEqual([data["name"], version, accessedAt], [
        "Eve",
        2,
        stage.now,
      ]);
      await checkEnd(stage, id, stage.deadline);
    },

  "an update that is a use, or says nothing of it, moves the deadline": async (
    stage,
  ) => {
    const now = stage.now + 5000;
    for (const change of [{}, { isUse: true }, { isUse: undefined }]) {
      const id = await stage.create();
      strictEqual(await stage.update(id, change, {}, now), "done");
      strictEqual((await stage.live(id, now)).accessedAt, now);
      await checkEnd(stage, id, now + IDLE_TIMEOUT * 1000);
    }
  },

  "a renewal without use leaves last access and deadline as they are": async (
    stage,
  ) => {
    const id = await stage.create();
    const later = stage.now + 5000;
    strictEqual(await renew(stage, id, later, { isUse: false }), "done");
    const { accessedAt, renewedAt, previous } = await stage.live(id, later);
    deepStrictEqual([accessedAt, renewedAt], [stage.now, later]);
    strictEqual(previous?.until, "confirmed");
    await checkEnd(stage, id, stage.deadline);
  },

  "renewal and sign-in are dated as told, also earlier than before": async (
    stage,
  ) => {
    const { now } = stage;
    const id = await stage.create({ authenticatedAt: now, renewedAt: now });
    for (const at of [now + 7.5, now - 3.25, now - 60_000]) {
      const change = { authenticatedAt: at, renewedAt: at };
      strictEqual(await stage.update(id, change), "done");
      const { authenticatedAt, renewedAt } = await stage.live(id);
      deepStrictEqual([authenticatedAt, renewedAt], [at, at]);
    }
  },

  "a created session lives exactly as long as its fields say": async (
    stage,
  ) => {
    for (const fields of lifetimes(stage.now)) {
      await checkLife(stage, await stage.create(fields));
    }
  },

  "an updated session lives exactly as long as its fields say": async (
    stage,
  ) => {
    for (const change of lifetimeChanges(stage.now)) {
      const id = await stage.create({ authenticatedAt: stage.now + 0.5 });
      const now = stage.now + 1000.625;
      strictEqual(await stage.update(id, change, {}, now), "done");
      await checkLife(stage, id, now);
    }
  },

  "a touched session lives exactly as long as its fields say": async (
    stage,
  ) => {
    for (const fields of [{}, { idleTimeout: 100.1 }]) {
      const id = await stage.create(fields);
      const now = stage.now + 1000.3;
      strictEqual(await stage.touch(id, now), true);
      await checkLife(stage, id, now);
    }
  },

  "no use prolongs a session beyond its absolute deadline": async (stage) => {
    const id = await stage.create({ absoluteTimeout: IDLE_TIMEOUT * 1.5 });
    const end = stage.now + IDLE_TIMEOUT * 1500;
    strictEqual(await stage.touch(id, stage.deadline - 1), true);
    strictEqual(await stage.update(id, {}, {}, end - 1), "done");
    strictEqual(await stage.touch(id, end - 0.25), true);
    await checkEnd(stage, id, end);
    strictEqual(await stage.touch(id, end), false);
    strictEqual(await stage.update(id, {}, {}, end), "gone");
  },

  "a write that knows an older idle timeout does not bring it back": async (
    stage,
  ) => {
    const id = await stage.create();
    const now = stage.now + SKEW;
    strictEqual(await stage.update(id, { idleTimeout: 50 }, {}, now), "done");
    strictEqual(await stage.update(id, { label: "Phone" }), "done");
    strictEqual(await stage.touch(id), true);
    strictEqual((await stage.live(id, now)).idleTimeout, 50);
    await checkEnd(stage, id, now + 50_000);
  },

  "two clocks that write in turn never shorten a session": async (stage) => {
    for (const ahead of [[true, false], [false, true]]) {
      const id = await stage.create();
      let accessedAt = stage.now;
      for (let step = 1; step < 9; step++) {
        const isAhead = ahead[step % 2]!;
        const now = stage.now + step * 500 + (isAhead ? SKEW : 0);
        accessedAt = Math.max(accessedAt, now);
        if (step % 4 < 2) strictEqual(await stage.touch(id, now), true);
        else strictEqual(await stage.update(id, {}, {}, now), "done");
        strictEqual((await stage.live(id, now)).accessedAt, accessedAt);
      }
      await checkEnd(stage, id, accessedAt + IDLE_TIMEOUT * 1000);
    }
  },

  "what one clock ended or collected no other clock revives": async (stage) => {
    const { deadline, provider } = stage;
    const early = deadline - SKEW;
    for (const ended of [true, false]) {
      const id = await stage.create({ principal: "ada" });
      if (ended) strictEqual(await stage.destroy(id, {}, early + 1), "done");
      else await stage.collectAll(deadline, 10);
      const isThere = await stage.read(id, early) !== undefined;
      ok(!(ended && isThere), "destroyed and there");
      strictEqual((await stage.listed("ada", early)).length, isThere ? 1 : 0);
      const result = await provider.update(id, {}, {}, early);
      strictEqual(result, isThere ? "done" : "gone");
      strictEqual(await stage.touch(id, early), isThere);
      strictEqual(await stage.read(id, early) !== undefined, isThere);
    }
  },

  "what is past its deadline for one clock is never touched by it": async (
    stage,
  ) => {
    const { deadline } = stage;
    const id = await stage.create();
    strictEqual(await stage.touch(id, deadline + SKEW), false);
    strictEqual(await stage.update(id, {}, {}, deadline + SKEW), "gone");
    const record = await stage.read(id, deadline - 1);
    if (record !== undefined) strictEqual(record.accessedAt, stage.now);
  },

  "a session dated a year ahead does not exist once the clock is right": async (
    stage,
  ) => {
    const ahead = stage.now + YEAR;
    const id = newId();
    const fields = { createdAt: ahead, principal: "ada" };
    const record = stage.record(fields);
    strictEqual(await stage.provider.create(id, record, ahead), true);
    strictEqual((await stage.live(id, ahead)).createdAt, ahead);
    await checkAbsent(stage, id);
  },

  "a sign-in dated a year ahead ends the session": async (stage) => {
    const id = await stage.create({ principal: "ada" });
    const change = signInChange("ada", await stage.live(id), stage.now + YEAR);
    strictEqual(await stage.update(id, change), "done");
    await checkAbsent(stage, id);
  },

  "a session dated ahead begins to exist one absolute timeout before": async (
    stage,
  ) => {
    const { now } = stage;
    const ahead = now + IDLE_TIMEOUT * 10_000;
    for (const field of ["createdAt", "authenticatedAt"] as const) {
      for (const at of [now + 1, now + 0.25, now, now - 1]) {
        const id = newId();
        const record = stage.record({ accessedAt: ahead, [field]: ahead });
        strictEqual(await stage.provider.create(id, record, ahead), true);
        const isThere = await stage.read(id, at) !== undefined;
        deepStrictEqual([at, isThere], [at, at > now]);
        strictEqual(await stage.touch(id, at), at > now);
      }
    }
  },
};

/** Fields that put the deadlines at instants that a store could round. */
function lifetimes(now: number): Partial<NewSessionRecord>[] {
  return [
    {},
    { absoluteTimeout: IDLE_TIMEOUT / 2 },
    { createdAt: now + 0.625, idleTimeout: 60.0005 },
    { createdAt: now + 0.625, absoluteTimeout: 60.0005 },
    { createdAt: now - 0.375, accessedAt: now + 0.1, idleTimeout: 100.1 },
    { createdAt: now - 5000, authenticatedAt: now + 0.3, absoluteTimeout: 300 },
    { authenticatedAt: now - 5000.3, absoluteTimeout: 300.7 },
    // A last access ahead of the clock, so that a store which expires by its own
    // clock does not do so during the check.
    { accessedAt: now + 60_000.625, idleTimeout: 0.5 },
    { accessedAt: now + 60_000.3, idleTimeout: 1.0005 },
    { idleTimeout: 34_560_000, absoluteTimeout: 34_560_000.5 },
  ];
}

function lifetimeChanges(now: number): SessionChange[] {
  return [
    {},
    { idleTimeout: 50 },
    { idleTimeout: 60.0005 },
    { idleTimeout: IDLE_TIMEOUT * 2 },
    { absoluteTimeout: 60.0005 },
    { absoluteTimeout: IDLE_TIMEOUT * 20, idleTimeout: IDLE_TIMEOUT * 15 },
    { authenticatedAt: now + 2000.1, absoluteTimeout: 300 },
    { authenticatedAt: now - 2000.1, absoluteTimeout: 300 },
    { authenticatedAt: null, absoluteTimeout: 300.25 },
    { idleTimeout: 50, isUse: false },
  ];
}

/** Compares a session around both deadlines with what its record says. */
async function checkLife(
  stage: Stage,
  id: string,
  now = stage.now,
): Promise<void> {
  const record = await stage.live(id, now);
  strictEqual(
    await stage.update(id, { principal: id, isUse: false }, {}, now),
    "done",
  );
  const idleEnd = record.accessedAt + record.idleTimeout * 1000;
  const instants = [idleEnd, absoluteExpiryOf(record)].flatMap((end) =>
    [-1, -0.25, 0, 0.25, 1].map((offset) => end + offset)
  );
  // In order: whoever finds a session too old may remove it.
  for (const at of [now, ...instants].sort((a, b) => a - b)) {
    await checkAt(stage, id, record, at);
  }
}

/** Compares every call that changes nothing on a live session. */
async function checkAt(
  stage: Stage,
  id: string,
  record: SessionRecord,
  at: number,
): Promise<void> {
  const isThere = isLive(record, at);
  const message = `at ${at}: ${JSON.stringify({ ...record, data: undefined })}`;
  strictEqual(await stage.read(id, at) !== undefined, isThere, message);
  const listed = await stage.listed(id, at);
  deepStrictEqual(listed, isThere ? [id] : [], message);
  const result = await stage.update(id, {}, { version: 0 }, at);
  strictEqual(result, isThere ? "conflict" : "gone", message);
  const end = await stage.destroy(id, { family: OTHER_FAMILY }, at);
  strictEqual(end, isThere ? "refused" : "absent", message);
}

async function checkEnd(stage: Stage, id: string, end: number): Promise<void> {
  await stage.live(id, end - 0.25);
  strictEqual(await stage.read(id, end), undefined);
}

/** That a session does not exist now, whichever call asks. */
async function checkAbsent(stage: Stage, id: string): Promise<void> {
  for (const now of [stage.now, stage.now + 5000, stage.now - SKEW]) {
    strictEqual(await stage.read(id, now), undefined);
    strictEqual(await stage.touch(id, now), false);
    strictEqual(await stage.provider.update(id, {}, {}, now), "gone");
    deepStrictEqual(await stage.listed("ada", now), []);
  }
  strictEqual(await stage.destroy(id, {}), "absent");
  strictEqual(await stage.read(id), undefined);
}
