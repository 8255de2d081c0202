/** That every field of a record is kept, replaced and forgotten. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import type {
  NewSessionRecord,
  PreviousSecret,
  SessionChange,
  SessionRecord,
  Until,
} from "../../core/provider.ts";
import { toRecord } from "../../core/store/record.ts";
import {
  type Checks,
  dataOf,
  FAMILY,
  newId,
  OTHER_FAMILY,
  OTHER_HASH,
  SECRET_HASH,
  type Stage,
} from "./stage.ts";

/** What a check does with one field of a record. */
interface Field<Value> {
  /** What it is created with; a version is not given but begun with. */
  readonly created: Value;
  /**
   * A change as the manager makes it that replaces the field, and no other than
   * those it names.
   */
  readonly change: SessionChange;
  /** What the field is after that. */
  readonly changed: Value;
  /** A change that forgets it, for a field that can be missing. */
  readonly forget?: SessionChange;
}

/** Every field, named: a new one does not compile until it is here. */
type Fields = {
  readonly [Key in keyof Required<SessionRecord>]: Field<
    NonNullable<SessionRecord[Key]>
  >;
};

/** Values of `until` that a store could confuse. */
export const UNTILS: readonly (Until | undefined)[] = [
  undefined,
  "confirmed",
  "never",
  0,
  1_700_000_000_123,
  1_700_000_000_123.625,
  1_700_000_000_123.6252,
  Number.MAX_SAFE_INTEGER,
];

/** Checks by promise. */
export const fieldChecks: Checks = {
  "every field of a record is read as it was created": async (stage) => {
    const { version, ...record } = recordAt(stage.now);
    const id = newId();
    strictEqual(await stage.provider.create(id, record, stage.now), true);
    deepStrictEqual(await readAll(stage, id), toRecord(record, version));
  },

  "every field that was not written is missing": async (stage) => {
    const id = await stage.create();
    deepStrictEqual(await readAll(stage, id), toRecord(stage.record(), 1));
  },

  "every field is replaced by a change that gives it, and by no other": async (
    stage,
  ) => {
    for (const [name, { change, changed }] of fieldsAt(stage.now)) {
      const id = await stage.create(newRecordAt(stage.now));
      const before = await readAll(stage, id);
      strictEqual(await stage.update(id, change), "done", name);
      const after = await readAll(stage, id);
      deepStrictEqual(after[name], changed, name);
      deepStrictEqual(others(after, change), others(before, change), name);
    }
  },

  "every field is replaced by one change that gives them all": async (
    stage,
  ) => {
    const id = await stage.create(newRecordAt(stage.now));
    const fields = fieldsAt(stage.now);
    const changes = fields.map(([, { change }]) => change);
    const change: SessionChange = Object.assign({}, ...changes);
    strictEqual(await stage.update(id, change), "done");
    const record = await readAll(stage, id);
    for (const [name, { changed }] of fields) {
      deepStrictEqual(record[name], changed, name);
    }
  },

  "every field that can be missing is forgotten by null, and by no other":
    async (stage) => {
      for (const [name, { forget }] of fieldsAt(stage.now)) {
        if (forget === undefined) continue;
        const id = await stage.create(newRecordAt(stage.now));
        const before = await readAll(stage, id);
        strictEqual(await stage.update(id, forget), "done", name);
        const after = await readAll(stage, id);
        strictEqual(after[name], undefined, name);
        deepStrictEqual(others(after, forget), others(before, forget), name);
      }
    },

  "every field that was forgotten can be written again": async (stage) => {
    const fields = fieldsAt(stage.now);
    const forgets = fields.map(([, { forget }]) => forget ?? {});
    for (const [name, { forget, change, changed }] of fields) {
      if (forget === undefined) continue;
      const id = await stage.create(newRecordAt(stage.now));
      const all: SessionChange = Object.assign({}, ...forgets);
      strictEqual(await stage.update(id, all), "done");
      strictEqual((await stage.live(id))[name], undefined, name);
      strictEqual(await stage.update(id, change), "done", name);
      deepStrictEqual((await stage.live(id))[name], changed, name);
    }
  },

  "every field stays as it is on an update that names none": async (stage) => {
    const id = await stage.create(newRecordAt(stage.now));
    const before = await readAll(stage, id);
    const nothing = Object.fromEntries(
      fieldsAt(stage.now).flatMap(([, { change }]) =>
        Object.keys(change).map((name) => [name, undefined])
      ),
    );
    for (const change of [{}, nothing]) {
      strictEqual(await stage.update(id, change), "done");
    }
    const after = await readAll(stage, id);
    deepStrictEqual(
      after,
      toRecord(before, before.version + 2, stage.now),
    );
  },

  "every field but the last access stays as it is on a touch": async (
    stage,
  ) => {
    const id = await stage.create(newRecordAt(stage.now));
    const before = await readAll(stage, id);
    const now = stage.now + 5000.25;
    strictEqual(await stage.touch(id, now), true);
    const after = await readAll(stage, id, now);
    deepStrictEqual(after, toRecord(before, before.version, now));
  },

  "a previous secret comes back as it was, in every state": async (stage) => {
    for (const until of UNTILS) {
      const previous = until === undefined ? undefined : previousOf(until);
      const created = await stage.create({ previous });
      deepStrictEqual((await readAll(stage, created)).previous, previous);
      const id = await stage.create({ previous: previousOf("confirmed") });
      const change = { previous: previous ?? null };
      strictEqual(await stage.update(id, change), "done");
      deepStrictEqual((await readAll(stage, id)).previous, previous);
    }
  },

  "instants and timeouts with fractions come back as they were": async (
    stage,
  ) => {
    const { now } = stage;
    const fields = {
      renewedAt: now + 0.625,
      authenticatedAt: now + 0.1,
      createdAt: now + 0.2,
      accessedAt: now + 0.3001,
      idleTimeout: 600.0005,
      absoluteTimeout: 6000.1,
    };
    const id = await stage.create(fields);
    deepStrictEqual(await picked(stage, id, fields), fields);
    const later = now + 7.7;
    const changed = {
      renewedAt: now + 1.7,
      authenticatedAt: now - 3.3,
      idleTimeout: 700.0007,
      absoluteTimeout: 7000.2,
    };
    strictEqual(await stage.update(id, changed, {}, later), "done");
    deepStrictEqual(await picked(stage, id, changed), changed);
    strictEqual((await stage.live(id, later)).accessedAt, later);
    strictEqual(await stage.touch(id, now + 8.1), true);
    strictEqual((await stage.live(id, now + 9)).accessedAt, now + 8.1);
  },

  "a record and a change are read by their own properties only": async (
    stage,
  ) => {
    const inherited = {
      principal: "admin",
      label: "inherited",
      fingerprint: "inherited",
      binding: "inherited",
    };
    const created = await inheriting(inherited, () => stage.create());
    deepStrictEqual(
      await readAll(stage, created),
      toRecord(stage.record(), 1),
    );
    const id = await stage.create();
    const now = stage.now + 1000;
    await inheriting({ ...inherited, isUse: false }, async () => {
      const change = { set: dataOf({ name: "Eve" }) };
      strictEqual(await stage.update(id, change, {}, now), "done");
    });
    const record = stage.record({
      data: dataOf({ name: "Eve" }),
      accessedAt: now,
    });
    deepStrictEqual(await readAll(stage, id, now), toRecord(record, 2));
    deepStrictEqual(await stage.listed("admin"), []);
  },

  "a guard is read by its own properties only": async (stage) => {
    const id = await stage.create();
    const inherited = {
      family: OTHER_FAMILY,
      principal: "admin",
      token: { secretHash: OTHER_HASH, until: undefined },
      version: 7,
      binding: "inherited",
    };
    await inheriting(inherited, async () => {
      const { provider, now } = stage;
      strictEqual(await provider.update(id, {}, {}, now), "done");
      strictEqual(await provider.destroy(id, {}, now), "done");
    });
  },
};

/** The fields by name, in any order. */
function fieldsAt(now: number): [keyof SessionRecord, Field<unknown>][] {
  return Object.entries(tableAt(now)) as [
    keyof SessionRecord,
    Field<unknown>,
  ][];
}

function tableAt(now: number): Fields {
  const token: SessionChange = {
    secretHash: OTHER_HASH,
    family: OTHER_FAMILY,
    renewedAt: now + 2.5,
    previous: { secretHash: SECRET_HASH, family: FAMILY, until: "never" },
  };
  return {
    data: {
      created: dataOf({ name: "Ada", kept: 1 }),
      change: { set: dataOf({ name: "Eve" }) },
      changed: dataOf({ name: "Eve", kept: 1 }),
    },
    version: { created: 1, change: {}, changed: 2 },
    secretHash: { created: SECRET_HASH, change: token, changed: OTHER_HASH },
    family: { created: FAMILY, change: token, changed: OTHER_FAMILY },
    renewedAt: { created: now - 7, change: token, changed: now + 2.5 },
    previous: {
      created: { secretHash: OTHER_HASH, family: FAMILY, until: "confirmed" },
      change: token,
      changed: { secretHash: SECRET_HASH, family: FAMILY, until: "never" },
      forget: { previous: null },
    },
    principal: optional("principal", "ada", "bob"),
    label: optional("label", "Laptop", "Phone"),
    authenticatedAt: optional("authenticatedAt", now - 5.5, now + 1.25),
    fingerprint: optional("fingerprint", "what it looks like", "else"),
    binding: optional("binding", "a key of the device", "another key"),
    createdAt: { created: now - 9.5, change: {}, changed: now - 9.5 },
    accessedAt: { created: now - 1.5, change: {}, changed: now },
    idleTimeout: {
      created: 900,
      change: { idleTimeout: 1800 },
      changed: 1800,
    },
    absoluteTimeout: {
      created: 9000,
      change: { absoluteTimeout: 18_000 },
      changed: 18_000,
    },
    persistent: {
      created: true,
      change: { persistent: false },
      changed: false,
    },
  };
}

/** A field that `null` forgets, replaced by a change that names it alone. */
function optional<
  Name extends
    | "principal"
    | "label"
    | "fingerprint"
    | "binding"
    | "authenticatedAt",
>(
  name: Name,
  created: NonNullable<SessionRecord[Name]>,
  changed: NonNullable<SessionRecord[Name]>,
): Field<NonNullable<SessionRecord[Name]>> {
  return {
    created,
    change: { [name]: changed },
    changed,
    forget: { [name]: null },
  };
}

/** A record of which every field is written. */
function recordAt(now: number): SessionRecord {
  const created = fieldsAt(now).map(([name, field]) => [name, field.created]);
  return Object.fromEntries(created);
}

function newRecordAt(now: number): NewSessionRecord {
  const { version: _, ...record } = recordAt(now);
  return record;
}

/** A live record in which what is missing is `undefined`. */
async function readAll(
  stage: Stage,
  id: string,
  now = stage.now,
): Promise<SessionRecord> {
  const record = await stage.live(id, now);
  return toRecord(record, record.version);
}

/** The fields of a session of which another object has the names. */
async function picked(
  stage: Stage,
  id: string,
  names: object,
): Promise<Partial<SessionRecord>> {
  const record = await stage.live(id, stage.now + 10);
  const fields = Object.entries(record).filter(([name]) => name in names);
  return Object.fromEntries(fields);
}

/** What a change has no business with. */
function others(
  record: SessionRecord,
  change: SessionChange,
): Partial<SessionRecord> {
  const named = new Set([...Object.keys(change), "version", "accessedAt"]);
  if (named.has("set")) named.add("data");
  const kept = Object.entries(record).filter(([name]) => !named.has(name));
  return Object.fromEntries(kept);
}

function previousOf(until: Until): PreviousSecret {
  return { secretHash: OTHER_HASH, family: OTHER_FAMILY, until };
}

/** Calls with properties that every object inherits meanwhile. */
async function inheriting<T>(
  properties: Readonly<Record<string, unknown>>,
  call: () => Promise<T>,
): Promise<T> {
  const prototype = Object.prototype as unknown as Record<string, unknown>;
  Object.assign(prototype, properties);
  try {
    return await call();
  } finally {
    for (const name of Object.keys(properties)) delete prototype[name];
  }
}
