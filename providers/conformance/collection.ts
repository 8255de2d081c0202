import { ok, strictEqual } from "node:assert/strict";
import { type Checks, IDLE_TIMEOUT } from "./stage.ts";

/**
 * That the collector takes all that has expired and nothing else. A store that
 * expires by itself answers 0, so counts are compared with both.
 */
export const collectionChecks: Checks = {
  "gc has nothing to do among live sessions": async (stage) => {
    const id = await stage.create();
    strictEqual(await stage.provider.gc(stage.now, 10), 0);
    await stage.live(id);
  },

  "gc removes what has expired and keeps what lives": async (stage) => {
    const later = stage.record().expiresAt;
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
    const later = stage.record().expiresAt;
    const first = await stage.provider.gc(later, 2);
    ok(first === 2 || first === 0, `removed ${first}`);
    const rest = await stage.collectAll(later, 2);
    ok(first + rest === 5 || first + rest === 0, `removed ${first + rest}`);
    strictEqual(await stage.provider.gc(later, 2), 0);
  },

  "a fresh session does not shield expired ones from gc": async (stage) => {
    await stage.create();
    const later = stage.record().expiresAt;
    const fresh = await stage.create({ createdAt: later });
    const removed = await stage.collectAll(later, 10);
    ok(removed === 1 || removed === 0, `removed ${removed}`);
    await stage.live(fresh, later);
  },

  "gc leaves a session that was touched until its new deadline": async (
    stage,
  ) => {
    const id = await stage.create();
    const { expiresAt } = stage.record();
    const now = expiresAt - 1;
    await stage.provider.touch(id, now + IDLE_TIMEOUT * 1000, now);
    strictEqual(await stage.provider.gc(expiresAt, 10), 0);
    await stage.live(id, expiresAt);
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
    const expiresAt = stage.now + 10_000;
    await stage.update(id, { idleTimeout: 10, expiresAt });
    const removed = await stage.collectAll(expiresAt, 10);
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
};
