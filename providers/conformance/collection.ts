/**
 * That the collector takes all that has expired and nothing else. A store that
 * expires by itself answers 0, so counts are compared with both.
 */
import { ok, strictEqual } from "node:assert/strict";
import type { SessionRecord } from "../../core/provider.ts";
import { isLive } from "../../core/store/record.ts";
import { type Checks, IDLE_TIMEOUT, type Stage } from "./stage.ts";

/** Checks by promise. */
export const collectionChecks: Checks = {
  "gc has nothing to do among live sessions": async (stage) => {
    const id = await stage.create();
    strictEqual(await stage.provider.gc(stage.now, 10), 0);
    await stage.live(id);
  },

  "gc removes what has expired and keeps what lives": async (stage) => {
    const later = stage.deadline;
    for (let count = 0; count < 7; count++) await stage.create();
    const live = [];
    for (let count = 0; count < 4; count++) {
      live.push(await stage.create({ createdAt: stage.now + 1 }));
    }
    const removed = await stage.collectAll(later, 3);
    ok(removed === 7 || removed === 0, `removed ${removed} of 7`);
    for (const id of live) await stage.live(id, later);
  },

  "gc removes at most its limit and comes to an end": async (stage) => {
    for (let count = 0; count < 5; count++) await stage.create();
    const later = stage.deadline;
    const first = await stage.provider.gc(later, 2);
    ok(first === 2 || first === 0, `removed ${first}`);
    const rest = await stage.collectAll(later, 2);
    ok(first + rest === 5 || first + rest === 0, `removed ${first + rest}`);
    strictEqual(await stage.provider.gc(later, 2), 0);
  },

  "a fresh session does not shield expired ones from gc": async (stage) => {
    await stage.create();
    const later = stage.deadline;
    const fresh = await stage.create({ createdAt: later });
    const removed = await stage.collectAll(later, 10);
    ok(removed === 1 || removed === 0, `removed ${removed}`);
    await stage.live(fresh, later);
  },

  "gc leaves a session that was touched until its new deadline": async (
    stage,
  ) => {
    const id = await stage.create();
    const { deadline } = stage;
    const now = deadline - 1;
    strictEqual(await stage.touch(id, now), true);
    strictEqual(await stage.provider.gc(deadline, 10), 0);
    await stage.live(id, deadline);
    const removed = await stage.collectAll(now + IDLE_TIMEOUT * 1000, 10);
    ok(removed === 1 || removed === 0, `removed ${removed}`);
  },

  "gc collects each session at the deadline of its own idle timeout": async (
    stage,
  ) => {
    const brief = await stage.create({ idleTimeout: 10 });
    const long = await stage.create({ idleTimeout: 1000 });
    const removed = await stage.collectAll(stage.now + 10_000, 10);
    ok(removed === 1 || removed === 0, `removed ${removed}`);
    strictEqual(await stage.read(brief, stage.now + 10_000), undefined);
    await stage.live(long, stage.now + 10_000);
  },

  "gc follows an idle timeout that was changed": async (stage) => {
    await stage.create({ idleTimeout: 10 });
    const id = await stage.create({ idleTimeout: 1000 });
    strictEqual(await stage.update(id, { idleTimeout: 10 }), "done");
    const removed = await stage.collectAll(stage.now + 10_000, 10);
    ok(removed === 2 || removed === 0, `removed ${removed} of 2`);
  },

  "gc takes a session past its absolute deadline when it is idle too": async (
    stage,
  ) => {
    await stage.create({ absoluteTimeout: 10 });
    const later = stage.now + IDLE_TIMEOUT * 1000;
    const early = await stage.collectAll(stage.now + 10_000, 10);
    const late = await stage.collectAll(later, 10);
    ok(early + late === 1 || early + late === 0, `removed ${early + late}`);
  },

  "gc goes by the record alone, to a fraction of a millisecond": async (
    stage,
  ) => {
    for (const fraction of [0, 0.2, 0.625]) {
      const id = await stage.create({
        createdAt: stage.now + fraction,
        idleTimeout: 60.0005,
      });
      const { accessedAt, idleTimeout } = await stage.live(id);
      const deadline = accessedAt + idleTimeout * 1000;
      for (const at of [deadline - 1, deadline - 0.25]) {
        strictEqual(await stage.provider.gc(at, 10), 0);
        await stage.live(id, at);
      }
      await checkCollected(stage, [id], deadline);
    }
  },

  "gc removes nothing that is live and all that is idle": async (stage) => {
    const { now } = stage;
    const fields = [100, 200, 300, 400].flatMap((timeout) => [
      { idleTimeout: timeout },
      { idleTimeout: timeout + 0.0005, createdAt: now + 0.625 },
      { idleTimeout: timeout * 2, accessedAt: now - timeout * 1000 },
      { idleTimeout: timeout, absoluteTimeout: 150, principal: "ada" },
      { idleTimeout: timeout, authenticatedAt: now + timeout * 1000 },
    ]);
    const ids: string[] = [];
    for (const field of fields) ids.push(await stage.create(field));
    const records = new Map<string, SessionRecord>();
    for (const id of ids) records.set(id, await stage.live(id));
    for (
      const at of [100_000, 100_000.75, 150_000, 200_001, 300_000, 400_001]
    ) {
      await stage.collectAll(now + at, 3);
      for (const [id, record] of records) {
        const isThere = await stage.read(id, now + at) !== undefined;
        strictEqual(isThere, isLive(record, now + at), `${id} at ${at}`);
      }
    }
    // Counted apart, because a read may remove what it finds too old.
    await stage.provider.clear();
    for (const field of fields) await stage.create(field);
    // Those that were created with a time in the past may stay longer.
    const removed = await stage.collectAll(now + 1_000_000, 3);
    ok(removed === ids.length || removed === 0, `removed ${removed}`);
  },

  "gc takes what is idle when a late touch or update came in between": async (
    stage,
  ) => {
    const touched = await stage.create();
    const updated = await stage.create();
    const now = stage.now + 5000;
    for (const at of [now, stage.now]) {
      strictEqual(await stage.touch(touched, at), true);
      strictEqual(await stage.update(updated, {}, {}, at), "done");
    }
    const end = now + IDLE_TIMEOUT * 1000;
    strictEqual(await stage.provider.gc(end - 1, 10), 0);
    await stage.live(touched, end - 1);
    await stage.live(updated, end - 1);
    await checkCollected(stage, [touched, updated], end);
  },

  "gc takes a session at the deadline that a write without use left it": async (
    stage,
  ) => {
    const id = await stage.create();
    const later = stage.now + 5000;
    strictEqual(await stage.update(id, { isUse: false }, {}, later), "done");
    strictEqual(await stage.provider.gc(stage.deadline - 1, 10), 0);
    await checkCollected(stage, [id], stage.deadline);
  },
};

/** That all of these sessions are collected, or expired by themselves. */
async function checkCollected(
  stage: Stage,
  ids: readonly string[],
  now: number,
): Promise<void> {
  const removed = await stage.collectAll(now, 10);
  ok(removed === ids.length || removed === 0, `removed ${removed}`);
  for (const id of ids) {
    strictEqual(await stage.read(id, now), undefined);
    // A clock that is behind tells what was removed from what is only too old.
    const isThere = await stage.read(id, now - 1) !== undefined;
    ok(removed === 0 || !isThere, "counted and still there");
  }
}
