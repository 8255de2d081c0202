/**
 * Providers that keep, change or date a session as real ones have done wrong.
 *
 * @module
 */
import { isLive, toRecord } from "../core/store/record.ts";
import {
  blank,
  type Faults,
  faulty,
  flat,
  indexed,
  rewritten,
  withoutField,
} from "./_faulty.ts";
import { ModelProvider } from "./_model_provider.ts";

/** Faults in how a session comes into being and is found. */
export const LIVES: Faults = {
  "adopts an unknown id on update": [
    "creates nothing",
    faulty((provider) => ({
      update(id, change, guard, now) {
        provider.create(id, blank(guard, now), now);
        return provider.update(id, change, guard, now);
      },
    })),
  ],
  "revives a session on touch": [
    "destroy ends a session for good",
    faulty((provider) => ({
      touch: (id, now) =>
        provider.create(id, blank({}, now), now) || provider.touch(id, now),
    })),
  ],
  "serves expired sessions until they are collected": [
    "a session is there until the millisecond before its deadline",
    faulty((provider) => ({ read: (id, now) => provider.read(id, now - 1) })),
  ],
  "replaces a live session on create": [
    "create refuses an id that is taken",
    faulty((provider) => ({
      create(id, record, now) {
        provider.destroy(id, {}, now);
        return provider.create(id, record, now);
      },
    })),
  ],
  "works on after it was closed": [
    "every later call fails as closed",
    faulty(() => ({ close() {} })),
  ],
  "shares its sessions with every other one": [
    "different prefixes do not see each other",
    () => {
      SHARED.close = () => {};
      return SHARED;
    },
  ],
  "skips sessions in a scan": [
    "scan goes through every live session",
    faulty((provider) => ({
      scan(cursor, limit, now) {
        const page = provider.scan(cursor, limit, now);
        return { ...page, sessions: page.sessions.slice(1) };
      },
    })),
  ],
};

const SHARED = new ModelProvider();

/** Faults in what a write keeps. */
export const CHANGES: Faults = {
  "rewrites the whole record on update": [
    "sets and deletes the keys it names",
    faulty((provider) => ({
      update(id, change, guard, now) {
        const data = provider.read(id, now)?.data ?? {};
        const removed = Object.keys(data).filter((key) =>
          !(key in (change.set ?? {}))
        );
        return provider.update(id, { ...change, delete: removed }, guard, now);
      },
    })),
  ],
  "reads and writes an update in two steps": [
    "many updates of different keys at the same time all last",
    faulty((provider) => ({
      async update(id, change, guard, now) {
        const data = provider.read(id, now)?.data ?? {};
        await Promise.resolve();
        const set = { ...data, ...change.set };
        return provider.update(id, { ...change, set }, guard, now);
      },
    })),
  ],
  "keeps no binding": [
    "every field of a record is read as it was created",
    faulty((provider) => ({
      create: (id, record, now) =>
        provider.create(id, { ...record, binding: undefined }, now),
      update: (id, change, guard, now) =>
        provider.update(id, { ...change, binding: undefined }, guard, now),
    })),
  ],
  ...withoutField("principal"),
  ...withoutField("label"),
  ...withoutField("authenticatedAt"),
  ...withoutField("fingerprint"),
  ...withoutField("binding"),
  ...withoutField("previous"),
  ...withoutField("family"),
  ...withoutField("renewedAt"),
  ...withoutField("persistent"),
  "forgets nothing that is null": [
    "every field that can be missing is forgotten by null",
    faulty((provider) => ({
      update(id, change, guard, now) {
        const given = Object.entries(change).filter(([, value]) =>
          value !== null
        );
        return provider.update(id, Object.fromEntries(given), guard, now);
      },
    })),
  ],
  "reads until as a number": [
    "a previous secret comes back as it was, in every state",
    faulty((provider) => ({
      create(id, { previous, ...record }, now) {
        if (previous === undefined) return provider.create(id, record, now);
        const until = previous.until === "never" ? 0 : previous.until;
        const stored = { ...record, previous: { ...previous, until } };
        return provider.create(id, stored, now);
      },
    })),
  ],
  "rounds until to 15 digits": [
    "a previous secret comes back as it was, in every state",
    faulty((provider) => ({
      create(id, { previous, ...record }, now) {
        if (typeof previous?.until !== "number") {
          return provider.create(id, { ...record, previous }, now);
        }
        const until = Number(previous.until.toPrecision(15));
        const stored = { ...record, previous: { ...previous, until } };
        return provider.create(id, stored, now);
      },
    })),
  ],
  "reads what a change inherits": [
    "read by their own properties only",
    faulty((provider) => ({
      update: (id, change, guard, now) =>
        provider.update(id, flat(change), guard, now),
    })),
  ],
  "reads what a record inherits": [
    "read by their own properties only",
    faulty((provider) => ({
      create: (id, record, now) => provider.create(id, flat(record), now),
    })),
  ],
  "reads what a guard inherits": [
    "a guard is read by its own properties only",
    faulty((provider) => ({
      destroy: (id, guard, now) => provider.destroy(id, flat(guard), now),
    })),
  ],
};

/** Faults in when a session lives. */
export const TIMES: Faults = {
  "moves no deadline on touch": [
    "a session that is touched outlives its first deadline",
    faulty((provider) => ({
      touch: (id, now) => provider.read(id, now) !== undefined,
    })),
  ],
  "counts a touch as a version": [
    "touch moves the last access, and neither data nor version",
    faulty((provider) => ({
      touch: (id, now) => provider.update(id, {}, {}, now) === "done",
    })),
  ],
  "moves the last access back on a late touch": [
    "a touch that arrives late moves nothing back",
    faulty((provider) => ({
      touch(id, now) {
        const record = provider.read(id, now);
        if (record === undefined) return false;
        provider.records.set(id, toRecord(record, record.version, now));
        return true;
      },
    })),
  ],
  "moves the last access back on a late update": [
    "an update that arrives late is done",
    faulty((provider) => ({
      update: (id, change, guard, now) =>
        rewritten(provider, id, () => {
          return provider.update(id, change, guard, now);
        }, () => change.isUse === false ? {} : { accessedAt: now }),
    })),
  ],
  "counts every update as a use": [
    "an update that is no use leaves last access and deadline",
    faulty((provider) => ({
      update: (id, change, guard, now) =>
        provider.update(id, { ...change, isUse: true }, guard, now),
    })),
  ],
  "counts no update as a use": [
    "an update that is a use",
    faulty((provider) => ({
      update: (id, change, guard, now) =>
        provider.update(id, { ...change, isUse: false }, guard, now),
    })),
  ],
  "dates renewals forward only": [
    "dated as told, also earlier than before",
    faulty((provider) => ({
      update(id, change, guard, now) {
        const before = provider.read(id, now)?.renewedAt ?? 0;
        const { renewedAt = before } = change;
        const later = { ...change, renewedAt: Math.max(renewedAt, before) };
        return provider.update(id, later, guard, now);
      },
    })),
  ],
  "goes by a deadline that was written before": [
    "an updated session lives exactly as long as its fields say",
    indexed((record) => record.accessedAt + record.idleTimeout * 1000),
  ],
  "rounds the deadline to whole milliseconds": [
    "a created session lives exactly as long as its fields say",
    faulty((provider) => ({
      read(id, now) {
        const record = provider.read(id, Math.floor(now));
        return record;
      },
    })),
  ],
  "counts the absolute timeout from creation alone": [
    "a created session lives exactly as long as its fields say",
    faulty((provider) => ({
      read(id, now) {
        const record = provider.records.get(id);
        if (record === undefined) return provider.read(id, now);
        const fields = { ...record, authenticatedAt: undefined };
        return isLive(fields, now) ? record : undefined;
      },
    })),
  ],
  "answers a session that a wrong clock has dated": [
    "a session dated a year ahead does not exist",
    faulty((provider) => ({
      read(id, now) {
        const record = provider.records.get(id);
        const { createdAt = now } = record ?? {};
        return provider.read(id, Math.max(now, createdAt));
      },
    })),
  ],
  "destroys a session that a wrong clock has dated": [
    "a session dated a year ahead does not exist",
    faulty((provider) => ({
      destroy: (id, guard, now) =>
        provider.records.has(id) && provider.read(id, now) === undefined
          ? "done"
          : provider.destroy(id, guard, now),
    })),
  ],
  "lets a touch prolong a session past its absolute deadline": [
    "no use prolongs a session beyond its absolute deadline",
    faulty((provider) => ({
      touch(id) {
        const record = provider.records.get(id);
        return record !== undefined && provider.touch(id, record.accessedAt);
      },
    })),
  ],
};
