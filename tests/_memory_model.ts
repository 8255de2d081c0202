import { assertEquals, assertExists } from "@std/assert";
import fc from "fast-check";
import { SessionError } from "../core/errors.ts";
import type {
  NewSessionRecord,
  PreviousSecret,
  SessionChange,
  SessionRecord,
  StoredSession,
  UpdateGuard,
  UpdateResult,
} from "../core/provider.ts";
import type { StoredData, StoredValue } from "../core/value/types.ts";
import {
  MemoryProvider,
  type MemoryProviderOptions,
  type MemoryProviderStats,
} from "../providers/memory.ts";
import {
  deadlineOf,
  makeData,
  makeHash,
  makeId,
  makeRecord,
  START,
} from "./_records.ts";

const FAR_FUTURE = START + 1e12;

type Provided = Pick<
  MemoryProvider,
  | "create"
  | "read"
  | "update"
  | "touch"
  | "destroy"
  | "gc"
  | "list"
  | "destroyAll"
  | "stats"
>;

/** A session of the model. */
interface Row {
  readonly id: string;
  record: SessionRecord;
  cameBack: boolean;
  /** Its place in the order of all creations, updates and touches. */
  lastUse: number;
}

/** The contract and the bounds in linear scans over one array. */
class NaiveProvider implements Provided {
  readonly #maxSessions: number;
  readonly #maxBytes: number;
  #rows: Row[] = [];
  #uses = 0;
  #created = 0;
  #expired = 0;
  #evicted = 0;

  constructor({ maxSessions, maxBytes }: MemoryProviderOptions) {
    this.#maxSessions = maxSessions ?? Infinity;
    this.#maxBytes = maxBytes ?? Infinity;
  }

  /** The record of an id, dead or alive; looking leaves no trace. */
  peek(id: string): SessionRecord | undefined {
    return this.#rows.find((row) => row.id === id)?.record;
  }

  /** How many sessions there are whose idle deadline has not passed. */
  countWithinIdleDeadline(now: number): number {
    return this.#rows.filter((row) => idleDeadline(row) > now).length;
  }

  create(id: string, record: NewSessionRecord, now: number): boolean {
    if (this.#live(id, now) !== undefined) return false;
    this.#checkFits(record.data);
    const row = {
      id,
      record: { ...NO_FIELDS, ...record, version: 1 },
      cameBack: false,
      lastUse: this.#uses++,
    };
    this.#rows.push(row);
    this.#created++;
    this.#makeRoom(row, now);
    return true;
  }

  read(id: string, now: number): SessionRecord | undefined {
    return this.#live(id, now)?.record;
  }

  update(
    id: string,
    change: SessionChange,
    guard: UpdateGuard,
    now: number,
  ): UpdateResult {
    const row = this.#live(id, now);
    if (row === undefined) return "gone";
    if (!acceptedSecrets(row.record, now).includes(guard.secretHash)) {
      return "gone";
    }
    const { version } = row.record;
    if ((guard.version ?? version) !== version) return "conflict";
    const next = changed(row.record, change, now);
    if (bytesOf(next.data) > bytesOf(row.record.data)) {
      this.#checkFits(next.data);
    }
    this.#use(row, next);
    this.#makeRoom(row, now);
    return "done";
  }

  touch(id: string, expiresAt: number, now: number): boolean {
    const row = this.#live(id, now);
    if (row === undefined) return false;
    this.#use(row, { ...row.record, expiresAt, accessedAt: now });
    return true;
  }

  destroy(id: string): boolean {
    return this.#drop((row) => row.id === id) === 1;
  }

  gc(now: number, limit: number): number {
    const stale = this.#rows
      .filter((row) => idleDeadline(row) <= now)
      .sort(byStaleness)
      .slice(0, limit);
    this.#expired += stale.length;
    return this.#drop((row) => stale.includes(row));
  }

  list(principal: string, now: number): readonly StoredSession[] {
    return this.#rows.filter(({ record }) =>
      record.principal === principal && record.expiresAt > now
    );
  }

  destroyAll(principal: string, except?: string): number {
    return this.#drop((row) =>
      row.record.principal === principal && row.id !== except
    );
  }

  stats(): MemoryProviderStats {
    return {
      sessions: this.#rows.length,
      bytes: this.#bytes(),
      created: this.#created,
      expired: this.#expired,
      evicted: this.#evicted,
    };
  }

  #live(id: string, now: number): Row | undefined {
    this.#expired += this.#drop((row) =>
      row.id === id && row.record.expiresAt <= now
    );
    return this.#rows.find((row) => row.id === id);
  }

  #use(row: Row, record: SessionRecord): void {
    row.record = record;
    row.cameBack = true;
    row.lastUse = this.#uses++;
  }

  #drop(isDoomed: (row: Row) => boolean): number {
    const before = this.#rows.length;
    this.#rows = this.#rows.filter((row) => !isDoomed(row));
    return before - this.#rows.length;
  }

  #bytes(): number {
    return this.#rows.reduce((sum, row) => sum + bytesOf(row.record.data), 0);
  }

  #checkFits(data: StoredData): void {
    if (bytesOf(data) <= this.#maxBytes) return;
    throw new SessionError("too-large", "too large for the model");
  }

  /** Drops rows that stand in the way of `keep`, expired ones first. */
  #makeRoom(keep: Row, now: number): void {
    while (
      this.#rows.length > this.#maxSessions || this.#bytes() > this.#maxBytes
    ) {
      const others = this.#rows.filter((row) => row !== keep);
      const [stalest] = others.sort(byStaleness);
      const [victim] = others.sort(byEviction);
      assertExists(stalest);
      assertExists(victim);
      const isExpired = idleDeadline(stalest) <= now;
      if (isExpired) this.#expired++;
      else this.#evicted++;
      this.#drop((row) => row === (isExpired ? stalest : victim));
    }
  }
}

/** The fields that a record may be created without. */
const NO_FIELDS = {
  previous: undefined,
  principal: undefined,
  label: undefined,
  authenticatedAt: undefined,
  fingerprint: undefined,
};

function idleDeadline({ record }: Row): number {
  return record.accessedAt + record.idleTimeout * 1000;
}

function byStaleness(a: Row, b: Row): number {
  return idleDeadline(a) - idleDeadline(b) ||
    Number(a.cameBack) - Number(b.cameBack) || a.lastUse - b.lastUse;
}

function byEviction(a: Row, b: Row): number {
  return Number(a.cameBack) - Number(b.cameBack) || byStaleness(a, b);
}

function acceptedSecrets(record: SessionRecord, now: number): string[] {
  const { secretHash, previous } = record;
  return previous !== undefined && previous.expiresAt > now
    ? [secretHash, previous.secretHash]
    : [secretHash];
}

/** The record after a change: what is `undefined` stays, `null` goes. */
function changed(
  record: SessionRecord,
  change: SessionChange,
  now: number,
): SessionRecord {
  const { set = {}, delete: removed = [], ...fields } = change;
  const entries = new Map(Object.entries({ ...record.data }));
  for (const [key, value] of Object.entries(set)) entries.set(key, value);
  for (const key of removed) entries.delete(key);
  const given = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [name, value ?? undefined]);
  return {
    ...record,
    ...Object.fromEntries(given),
    data: Object.fromEntries(entries),
    accessedAt: now,
    version: record.version + 1,
  };
}

/** One move in a game: a call of the provider, or time that passes. */
type Step =
  | { readonly call: "create"; readonly id: string; readonly seed: Seed }
  | { readonly call: "update"; readonly id: string; readonly edit: Edit }
  | { readonly call: "read" | "touch" | "destroy"; readonly id: string }
  | { readonly call: "list"; readonly principal: string }
  | {
    readonly call: "destroyAll";
    readonly principal: string;
    readonly except: string | undefined;
  }
  | { readonly call: "gc" | "collect"; readonly limit: number }
  | { readonly call: "wait"; readonly ms: number };

/** What a step chooses of a record that is created. */
interface Seed {
  readonly data: StoredData;
  readonly secretHash: string;
  readonly principal: string | undefined;
  readonly label: string | undefined;
  readonly idleTimeout: number;
  readonly absoluteTimeout: number;
  readonly persistent: boolean;
  /** How long before the call the session began, in milliseconds. */
  readonly age: number;
}

/** What a step chooses of a change and its guard. */
interface Edit {
  readonly set: StoredData;
  readonly removed: readonly string[];
  readonly secretHash: string | undefined;
  /** How long the replaced secret lives, in milliseconds; `null` forgets it. */
  readonly grace: number | null | undefined;
  readonly principal: string | null | undefined;
  readonly label: string | null | undefined;
  readonly idleTimeout: number | undefined;
  readonly absoluteTimeout: number | undefined;
  readonly persistent: boolean | undefined;
  readonly secret: "own" | "previous" | "wrong";
  readonly version: "any" | "right" | "wrong";
}

/**
 * Time passes in units of ten seconds, and no two idle timeouts leave the same
 * rest: so no two idle timeouts lead to the same deadline, and which session is
 * the stalest is never left open.
 */
const TIME_UNIT = 10_000;
const IDLE_TIMEOUTS = [30, 61, 122, 303] as const;
const ABSOLUTE_TIMEOUTS = [130, 400, 2000] as const;
const IDS = [1, 2, 3, 4, 5].map(makeId);
const KEYS = ["a", "b", "naïve", "__proto__"] as const;
const PRINCIPALS = ["ada", "bob"] as const;
const WRONG_HASH = makeHash("wrong");

export function arbitrarySteps(): fc.Arbitrary<Step[]> {
  const id = fc.constantFrom(...IDS);
  const principal = fc.constantFrom(...PRINCIPALS);
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 5, arbitrary: stepOf("create", { id, seed: arbitrarySeed() }) },
    { weight: 6, arbitrary: stepOf("update", { id, edit: arbitraryEdit() }) },
    { weight: 3, arbitrary: stepOf("read", { id }) },
    { weight: 3, arbitrary: stepOf("touch", { id }) },
    { weight: 1, arbitrary: stepOf("destroy", { id }) },
    { weight: 2, arbitrary: stepOf("list", { principal }) },
    {
      weight: 1,
      arbitrary: stepOf("destroyAll", { principal, except: optional(id) }),
    },
    { weight: 2, arbitrary: stepOf("gc", { limit: fc.nat(3) }) },
    {
      weight: 1,
      arbitrary: stepOf("collect", { limit: fc.integer({ min: 1, max: 3 }) }),
    },
    { weight: 4, arbitrary: stepOf("wait", { ms: arbitraryTime(4) }) },
    { weight: 1, arbitrary: stepOf("wait", { ms: arbitraryTime(50) }) },
  );
  return fc.array(step, { maxLength: 80, size: "max" });
}

function stepOf<Call extends string, Fields extends object>(
  call: Call,
  fields: { [Name in keyof Fields]: fc.Arbitrary<Fields[Name]> },
): fc.Arbitrary<{ call: Call } & Fields> {
  return fc.record(fields).map((values) =>
    ({ call, ...values }) as { call: Call } & Fields
  );
}

function arbitrarySeed(): fc.Arbitrary<Seed> {
  return fc.record({
    data: arbitraryData(),
    secretHash: arbitraryHash(),
    principal: optional(fc.constantFrom(...PRINCIPALS)),
    label: optional(fc.constantFrom("Laptop", "Phone")),
    idleTimeout: fc.constantFrom(...IDLE_TIMEOUTS),
    absoluteTimeout: fc.constantFrom(...ABSOLUTE_TIMEOUTS),
    persistent: fc.boolean(),
    age: arbitraryTime(3),
  });
}

function arbitraryEdit(): fc.Arbitrary<Edit> {
  const keys = fc.uniqueArray(fc.constantFrom(...KEYS), { maxLength: 2 });
  return fc.record({
    set: arbitraryData(),
    removed: keys,
    secretHash: optional(arbitraryHash()),
    grace: fc.oneof(
      fc.constantFrom(undefined, null),
      arbitraryTime(4),
    ),
    principal: fc.constantFrom(undefined, null, ...PRINCIPALS),
    label: fc.constantFrom(undefined, null, "Laptop", "Phone"),
    idleTimeout: fc.constantFrom(undefined, undefined, ...IDLE_TIMEOUTS),
    absoluteTimeout: fc.constantFrom(undefined, ...ABSOLUTE_TIMEOUTS),
    persistent: fc.constantFrom(undefined, true, false),
    secret: fc.constantFrom("own", "own", "own", "previous", "wrong"),
    version: fc.constantFrom("any", "any", "right", "wrong"),
  });
}

function arbitraryData(): fc.Arbitrary<StoredData> {
  const value: fc.Arbitrary<StoredValue> = fc.oneof(
    fc.integer(),
    fc.string({ unit: "grapheme", maxLength: 6 }),
    fc.array(fc.boolean(), { maxLength: 4 }),
  );
  const entry = fc.tuple(fc.constantFrom(...KEYS), value);
  return fc.array(entry, { maxLength: 3 }).map(makeData);
}

function arbitraryHash(): fc.Arbitrary<string> {
  return fc.constantFrom(makeHash("one"), makeHash("two"));
}

function arbitraryTime(maxUnits: number): fc.Arbitrary<number> {
  return fc.nat(maxUnits).map((units) => units * TIME_UNIT);
}

function optional<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.option(arbitrary, { nil: undefined });
}

/** Plays the same game with the provider and the model, side by side. */
export function playAll(
  steps: readonly Step[],
  bounds: MemoryProviderOptions,
): void {
  const provider = new MemoryProvider(bounds);
  const model = new NaiveProvider(bounds);
  let now = START;
  for (const step of steps) {
    if (step.call === "wait") now += step.ms;
    const play = playOf(step, model, now);
    assertEquals(play(provider), play(model), step.call);
    assertEquals(provider.stats(), model.stats(), step.call);
    if (step.call === "collect") {
      const left = model.countWithinIdleDeadline(now);
      assertEquals(provider.stats().sessions, left);
    }
  }
  for (const id of IDS) {
    assertEquals(provider.read(id, now), model.read(id, now));
  }
  assertNothingIsLeft(provider);
}

function assertNothingIsLeft(provider: MemoryProvider): void {
  const held = provider.stats().sessions;
  assertEquals(provider.gc(FAR_FUTURE, 1000), held);
  assertEquals(provider.stats().sessions, 0);
  assertEquals(provider.stats().bytes, 0);
  for (const principal of PRINCIPALS) {
    assertEquals(provider.list(principal, 0), []);
    assertEquals(provider.destroyAll(principal), 0);
  }
}

/** What a step comes to on any provider, worked out from the model once. */
function playOf(
  step: Step,
  model: NaiveProvider,
  now: number,
): (provider: Provided) => unknown {
  switch (step.call) {
    case "create":
      return playOfCreate(step.id, step.seed, now);
    case "update":
      return playOfUpdate(step.id, step.edit, model.peek(step.id), now);
    case "touch": {
      const deadline = deadlineOf(model.peek(step.id) ?? makeRecord(), now);
      return (provider) => provider.touch(step.id, deadline, now);
    }
    case "read":
      return (provider) => provider.read(step.id, now);
    case "destroy":
      return (provider) => provider.destroy(step.id);
    case "list":
      return (provider) => sorted(provider.list(step.principal, now));
    case "destroyAll":
      return (provider) => provider.destroyAll(step.principal, step.except);
    case "gc":
      return (provider) => provider.gc(now, step.limit);
    case "collect":
      return (provider) => collect(provider, now, step.limit);
    case "wait":
      return () => now;
  }
}

function playOfCreate(
  id: string,
  { age, ...fields }: Seed,
  now: number,
): (provider: Provided) => unknown {
  const record = makeRecord({ ...fields, now, createdAt: now - age });
  return (provider) => orErrorCode(() => provider.create(id, record, now));
}

function playOfUpdate(
  id: string,
  edit: Edit,
  record: SessionRecord | undefined,
  now: number,
): (provider: Provided) => unknown {
  const change = changeOf(edit, record, now);
  const guard = guardOf(edit, record);
  return (provider) =>
    orErrorCode(() => provider.update(id, change, guard, now));
}

function changeOf(
  edit: Edit,
  record: SessionRecord = { ...makeRecord(), version: 1 },
  now: number,
): SessionChange {
  const { set, removed, secret: _secret, version: _version, grace, ...fields } =
    edit;
  const lifetime = {
    createdAt: record.createdAt,
    idleTimeout: edit.idleTimeout ?? record.idleTimeout,
    absoluteTimeout: edit.absoluteTimeout ?? record.absoluteTimeout,
  };
  return {
    ...fields,
    set,
    delete: removed.filter((key) => !Object.hasOwn(set, key)),
    previous: previousOf(grace, record, now),
    expiresAt: deadlineOf(lifetime, now),
  };
}

function previousOf(
  grace: number | null | undefined,
  { secretHash }: SessionRecord,
  now: number,
): PreviousSecret | null | undefined {
  if (grace === null || grace === undefined) return grace;
  return Object.freeze({ secretHash, expiresAt: now + grace });
}

function guardOf(edit: Edit, record: SessionRecord | undefined): UpdateGuard {
  const secrets = {
    own: record?.secretHash,
    previous: record?.previous?.secretHash,
    wrong: undefined,
  };
  const version = record?.version ?? 1;
  const versions = { any: undefined, right: version, wrong: version - 1 };
  return {
    secretHash: secrets[edit.secret] ?? WRONG_HASH,
    version: versions[edit.version],
  };
}

function orErrorCode<T>(call: () => T): T | string {
  try {
    return call();
  } catch (error) {
    if (error instanceof SessionError) return error.code;
    throw error;
  }
}

export function collect(
  provider: Provided,
  now: number,
  limit: number,
): number {
  let total = 0;
  for (;;) {
    const count = provider.gc(now, limit);
    total += count;
    if (count < limit) return total;
  }
}

/** Sessions by id alone, so that answers in any order compare. */
function sorted(sessions: readonly StoredSession[]): StoredSession[] {
  return sessions
    .map(({ id, record }) => ({ id, record }))
    .sort((a, b) => a.id < b.id ? -1 : 1);
}

/** How long data is as JSON in UTF-8, with a comma after each entry. */
export function bytesOf(data: StoredData): number {
  let bytes = 0;
  for (const [key, value] of Object.entries(data)) {
    const text = `${JSON.stringify(key)}:${JSON.stringify(value)},`;
    bytes += new TextEncoder().encode(text).length;
  }
  return bytes;
}
