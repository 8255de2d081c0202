/** That sessions come into being, last, and end when the contract says so. */
import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { SessionError } from "../../core/errors.ts";
import type { Provider } from "../../core/provider.ts";
import {
  type Checks,
  dataOf,
  IDLE_TIMEOUT,
  newId,
  OTHER_HASH,
  OWN,
  SECRET_HASH,
  type Stage,
} from "./stage.ts";

/** Checks by promise. */
export const existenceChecks: Checks = {
  "a session that was created is read as it was written, with version 1":
    async (
      stage,
    ) => {
      const written = stage.record({
        principal: "ada",
        label: "Laptop",
        authenticatedAt: stage.now - 1,
        fingerprint: "what it looks like",
      });
      const id = newId();
      strictEqual(await stage.provider.create(id, written, stage.now), true);
      const { data, version, ...rest } = await stage.live(id);
      deepStrictEqual({ ...data }, { name: "Ada" });
      strictEqual(version, 1);
      strictEqual(rest.secretHash, SECRET_HASH);
      strictEqual(rest.previous, undefined);
      strictEqual(rest.principal, "ada");
      strictEqual(rest.label, "Laptop");
      strictEqual(rest.authenticatedAt, stage.now - 1);
      strictEqual(rest.fingerprint, "what it looks like");
      strictEqual(rest.renewedAt, written.renewedAt);
      strictEqual(rest.createdAt, written.createdAt);
      strictEqual(rest.accessedAt, written.accessedAt);
      strictEqual(rest.idleTimeout, written.idleTimeout);
      strictEqual(rest.absoluteTimeout, written.absoluteTimeout);
      strictEqual(rest.persistent, false);
    },

  "create refuses an id that is taken and leaves the session as it is": async (
    stage,
  ) => {
    const id = await stage.create();
    const before = await stage.live(id);
    const other = stage.record({
      data: dataOf({ name: "Eve" }),
      secretHash: OTHER_HASH,
    });
    strictEqual(await stage.provider.create(id, other, stage.now), false);
    deepStrictEqual(await stage.live(id), before);
  },

  "two sessions keep to themselves": async (stage) => {
    const one = await stage.create({ data: dataOf({ name: "One" }) });
    const two = await stage.create({ data: dataOf({ name: "Two" }) });
    await stage.update(one, { set: dataOf({ name: "Uno" }) });
    strictEqual((await stage.live(one)).data["name"], "Uno");
    strictEqual((await stage.live(two)).data["name"], "Two");
  },

  "an unknown id reads as undefined and does not come into being": async (
    stage,
  ) => {
    const id = newId();
    strictEqual(await stage.read(id), undefined);
    strictEqual(
      await stage.provider.create(id, stage.record(), stage.now),
      true,
      "create after read",
    );
  },

  "a session is there until the millisecond before its deadline and not at it":
    async (stage) => {
      const { deadline } = stage;
      const id = await stage.create();
      await stage.live(id, deadline - 1);
      strictEqual(await stage.read(id, deadline), undefined);
      strictEqual(await stage.read(id, deadline + 1), undefined);
    },

  "the absolute deadline holds where it comes before the idle one": async (
    stage,
  ) => {
    const id = await stage.create({ absoluteTimeout: IDLE_TIMEOUT / 2 });
    const deadline = stage.now + IDLE_TIMEOUT * 500;
    await stage.live(id, deadline - 1);
    strictEqual(await stage.read(id, deadline), undefined);
  },

  "nothing revives a session that has expired": async (stage) => {
    await checkDead(stage, async (id, now) => {
      strictEqual(await stage.read(id, now), undefined);
    });
  },

  "touch moves the last access, and neither data nor version": async (
    stage,
  ) => {
    const id = await stage.create();
    const before = await stage.live(id);
    const now = stage.now + 5_000;
    strictEqual(await stage.touch(id, now), true);
    deepStrictEqual(
      await stage.live(id, now),
      Object.assign({}, before, { accessedAt: now }),
    );
  },

  "a session that is touched outlives its first deadline": async (stage) => {
    const id = await stage.create();
    const { deadline } = stage;
    await stage.touch(id, deadline - 1);
    await stage.live(id, deadline);
    await stage.live(id, deadline + IDLE_TIMEOUT * 1000 - 2);
    const end = deadline + IDLE_TIMEOUT * 1000 - 1;
    strictEqual(await stage.read(id, end), undefined);
  },

  "touch answers false for an unknown id and creates nothing": async (
    stage,
  ) => {
    const id = newId();
    strictEqual(await stage.touch(id), false);
    strictEqual(await stage.read(id), undefined);
  },

  "clear ends every session": async (stage) => {
    const ids = [await stage.create(), await stage.create()];
    ids.push(await stage.create({ principal: "ada" }));
    strictEqual(await stage.provider.clear(), 3);
    for (const id of ids) strictEqual(await stage.read(id), undefined);
    deepStrictEqual(await stage.listed("ada"), []);
    strictEqual(await stage.provider.clear(), 0);
  },

  "scan goes through every live session, page by page": async (stage) => {
    const { provider, now } = stage;
    if (provider.scan === undefined) return;
    const live = [];
    for (let count = 0; count < 7; count++) live.push(await stage.create());
    await stage.create({ idleTimeout: 10 });
    await stage.destroy(await stage.create());
    const later = now + 10_000;
    const found = new Map<string, unknown>();
    let cursor: string | undefined;
    for (let page = 0; page < 100; page++) {
      const { sessions, next } = await provider.scan(cursor, 2, later);
      for (const { id, record } of sessions) found.set(id, record);
      cursor = next;
      if (cursor === undefined) break;
    }
    strictEqual(cursor, undefined, "scan() does not come to an end");
    deepStrictEqual([...found.keys()].sort(), live.sort());
    for (const id of live) deepStrictEqual(found.get(id), await stage.live(id));
  },

  "an observer hears of a session that expired, and of none that was destroyed":
    async (
      stage,
    ) => {
      const { provider } = stage;
      const heard: string[] = [];
      const stop = provider.observe?.((reason, id) => {
        heard.push(`${reason} ${id}`);
      });
      const expired = await stage.create();
      await stage.destroy(await stage.create());
      const later = stage.deadline;
      const count = await stage.collectAll(later, 10);
      const isTold = stop !== undefined && count === 1;
      deepStrictEqual(heard, isTold ? [`expired ${expired}`] : []);
      stop?.();
      await stage.create();
      await stage.collectAll(later, 10);
      strictEqual(heard.length, isTold ? 1 : 0);
    },

  "providers with different prefixes do not see each other": async (stage) => {
    const other = await stage.openApart();
    const id = await stage.create({ principal: "ada" });
    const { now } = stage;
    const change = { set: dataOf({ a: 1 }) };
    strictEqual(await other.read(id, now), undefined);
    strictEqual(await other.update(id, change, OWN, now), "gone");
    strictEqual(await other.touch(id, now), false);
    deepStrictEqual([...(await other.list("ada", now)).sessions], []);
    strictEqual(await other.destroyAll("ada"), 0);
    strictEqual(await other.destroy(id, {}, now), "absent");
    strictEqual(await other.clear(), 0);
    const page = await other.scan?.(undefined, 10, now);
    deepStrictEqual([...page?.sessions ?? []], []);
    strictEqual(await other.gc(now + IDLE_TIMEOUT * 20_000, 10), 0);
    strictEqual((await stage.live(id)).version, 1);
    strictEqual(await other.create(id, stage.record(), now), true);
  },

  "close may be repeated, and every later call fails as closed": async (
    stage,
  ) => {
    const { provider, now } = stage;
    const id = await stage.create();
    await provider.close();
    await provider.close();
    for (const [name, call] of callsOf(provider, id, stage)) {
      // A provider that answers at once throws at once.
      const calling = async () => await call();
      await rejects(calling, (error) => {
        strictEqual(error instanceof SessionError && error.code, "closed");
        return true;
      }, `${name} at ${now}`);
    }
  },
};

/** Tries every call that could revive a session on one that has expired. */
async function checkDead(
  stage: Stage,
  check: (id: string, now: number) => Promise<void>,
): Promise<void> {
  const now = stage.deadline;
  const touched = await stage.create({ principal: "ada" });
  strictEqual(await stage.touch(touched, now), false);
  await check(touched, now);
  const updated = await stage.create({ principal: "ada" });
  const set = dataOf({ a: 1 });
  strictEqual(await stage.update(updated, { set }, {}, now), "gone");
  await check(updated, now);
  deepStrictEqual(await stage.listed("ada", now), []);
}

function callsOf(
  provider: Provider,
  id: string,
  stage: Stage,
): [string, () => unknown][] {
  const { now } = stage;
  return [
    ["create", () => provider.create(newId(), stage.record(), now)],
    ["read", () => provider.read(id, now)],
    ["update", () => provider.update(id, {}, OWN, now)],
    ["touch", () => provider.touch(id, now)],
    ["destroy", () => provider.destroy(id, OWN, now)],
    ["gc", () => provider.gc(now, 1)],
    ["list", () => provider.list("ada", now)],
    ["destroyAll", () => provider.destroyAll("ada")],
    ["clear", () => provider.clear()],
  ];
}
