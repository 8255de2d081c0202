/** Random games that are played with the memory provider and its model. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { SessionError } from "../core/errors.ts";
import type {
  Guard,
  NewSessionRecord,
  SessionChange,
  SessionRecord,
  Until,
} from "../core/provider.ts";
import type { StoredData, StoredValue } from "../core/value/types.ts";
import {
  MemoryProvider,
  type MemoryProviderOptions,
} from "../providers/memory.ts";
import { FAR_FUTURE } from "./_memory.ts";
import { idleDeadline, NaiveProvider } from "./_memory_model.ts";
import {
  makeData,
  makeFamily,
  makeHash,
  makeId,
  makeRecord,
  START,
} from "./_records.ts";

/** One move in a game: a call of the provider, or time that passes. */
type Step =
  | { readonly call: "create"; readonly id: string; readonly seed: Seed }
  | { readonly call: "update"; readonly id: string; readonly edit: Edit }
  | { readonly call: "read" | "touch"; readonly id: string }
  | { readonly call: "destroy"; readonly id: string; readonly guard: Guess }
  | { readonly call: "list"; readonly principal: string }
  | {
    readonly call: "destroyAll";
    readonly principal: string;
    readonly except: string | undefined;
  }
  | { readonly call: "look" }
  | { readonly call: "gc" | "collect"; readonly limit: number }
  | { readonly call: "wait"; readonly ms: number };

/** A step, and by whose clock it is taken if not by the right one. */
type Turn = readonly [step: Step, at: At];

/** An instant: beside an edge of a session, or beside the right time. */
interface At {
  readonly id: string | undefined;
  readonly edge: number;
  readonly offset: number;
}

/** What a step chooses of a record that is created. */
interface Seed extends
  Pick<
    NewSessionRecord,
    | "data"
    | "secretHash"
    | "family"
    | "principal"
    | "label"
    | "binding"
    | "idleTimeout"
    | "absoluteTimeout"
    | "persistent"
  > {
  /** How long before the call the session began, in milliseconds. */
  readonly age: number;
}

/** What a guard says of each part; `undefined` for nothing. */
interface Guess {
  readonly family: Answer;
  readonly principal: Answer;
  readonly token: Answer;
  readonly version: Answer;
  readonly binding: Answer;
}

type Answer = "right" | "wrong" | undefined;

/** What a step chooses of a change and its guard. */
interface Edit {
  readonly guard: Guess;
  readonly change: SessionChange;
  readonly removed: readonly string[];
  /** What becomes of the replaced secret; `null` forgets it. */
  readonly until: Until | null | undefined;
  /** When somebody signed in, from the call on, in milliseconds. */
  readonly signedIn: number | null | undefined;
}

/**
 * Time passes in units of ten seconds and an eighth of a millisecond each step,
 * and no two idle timeouts leave the same rest: so no two deadlines are the same,
 * and which session is the stalest is never left open.
 */
const TIME_UNIT = 10_000;
const TICK = 1 / 8;
const IDLE_TIMEOUTS = [30, 61, 122, 303] as const;
const ABSOLUTE_TIMEOUTS = [130, 400, 2000] as const;
const IDS = [1, 2, 3, 4, 5].map(makeId);
const KEYS = ["a", "b", "naïve", "__proto__"] as const;
const PRINCIPALS = ["ada", "bob"] as const;

/** Games in which all calls are made in order by one clock. */
export function arbitrarySteps(): fc.Arbitrary<Step[]> {
  return fc.array(arbitraryStep(), { maxLength: 80, size: "max" });
}

/** Games in which calls come from several clocks, and late. */
export function arbitraryTurns(): fc.Arbitrary<Turn[]> {
  const turn = fc.tuple(arbitraryStep(), arbitraryAt());
  return fc.array(turn, { maxLength: 60, size: "max" });
}

function arbitraryStep(): fc.Arbitrary<Step> {
  const id = fc.constantFrom(...IDS);
  const principal = fc.constantFrom(...PRINCIPALS);
  const guard = arbitraryGuess();
  return fc.oneof(
    { weight: 5, arbitrary: stepOf("create", { id, seed: arbitrarySeed() }) },
    { weight: 8, arbitrary: stepOf("update", { id, edit: arbitraryEdit() }) },
    { weight: 3, arbitrary: stepOf("read", { id }) },
    { weight: 3, arbitrary: stepOf("touch", { id }) },
    { weight: 1, arbitrary: stepOf("destroy", { id, guard }) },
    { weight: 2, arbitrary: stepOf("list", { principal }) },
    {
      weight: 1,
      arbitrary: stepOf("destroyAll", { principal, except: optional(id) }),
    },
    { weight: 2, arbitrary: stepOf("look", {}) },
    { weight: 2, arbitrary: stepOf("gc", { limit: fc.nat(3) }) },
    {
      weight: 1,
      arbitrary: stepOf("collect", { limit: fc.integer({ min: 1, max: 3 }) }),
    },
    { weight: 4, arbitrary: stepOf("wait", { ms: arbitraryTime(4) }) },
    { weight: 1, arbitrary: stepOf("wait", { ms: arbitraryTime(50) }) },
  );
}

function stepOf<Call extends string, Fields extends object>(
  call: Call,
  fields: { [Name in keyof Fields]: fc.Arbitrary<Fields[Name]> },
): fc.Arbitrary<{ call: Call } & Fields> {
  return fc.record(fields).map((values) =>
    ({ call, ...values }) as { call: Call } & Fields
  );
}

function arbitraryAt(): fc.Arbitrary<At> {
  return fc.record({
    id: fc.constantFrom(undefined, ...IDS),
    edge: fc.nat(4),
    offset: fc.oneof(
      fc.constantFrom(0, 2 ** -12, -(2 ** -12), 0.25, -0.25, 1, -1),
      arbitraryTime(60),
      arbitraryTime(60).map((ms) => -ms),
    ),
  });
}

function arbitrarySeed(): fc.Arbitrary<Seed> {
  return fc.record({
    data: arbitraryData(),
    secretHash: arbitraryHash(),
    family: arbitraryFamily(),
    principal: optional(fc.constantFrom(...PRINCIPALS)),
    label: optional(fc.constantFrom("Laptop", "Phone")),
    binding: optional(fc.constant("key")),
    idleTimeout: fc.constantFrom(...IDLE_TIMEOUTS),
    absoluteTimeout: fc.constantFrom(...ABSOLUTE_TIMEOUTS),
    persistent: fc.boolean(),
    age: arbitraryTime(3),
  });
}

function arbitraryGuess(): fc.Arbitrary<Guess> {
  const answer = fc.constantFrom<Answer[]>(
    undefined,
    undefined,
    "right",
    "right",
    "right",
    "right",
    "right",
    "right",
    "wrong",
  );
  return fc.record({
    family: answer,
    principal: answer,
    token: answer,
    version: answer,
    binding: answer,
  });
}

function arbitraryEdit(): fc.Arbitrary<Edit> {
  const change: fc.Arbitrary<SessionChange> = fc.record(
    {
      set: arbitraryData(),
      secretHash: optional(arbitraryHash()),
      family: optional(arbitraryFamily()),
      renewedAt: optional(arbitraryTime(4).map((ms) => START + ms)),
      principal: fc.constantFrom(undefined, null, ...PRINCIPALS),
      label: fc.constantFrom(undefined, null, "Laptop", "Phone"),
      fingerprint: fc.constantFrom(undefined, null, "print"),
      binding: fc.constantFrom(undefined, null, "key", "other"),
      idleTimeout: fc.constantFrom(undefined, undefined, ...IDLE_TIMEOUTS),
      absoluteTimeout: fc.constantFrom(undefined, ...ABSOLUTE_TIMEOUTS),
      persistent: fc.constantFrom(undefined, true, false),
      isUse: fc.constantFrom(undefined, true, false),
    } satisfies Record<
      Exclude<keyof SessionChange, "delete" | "previous" | "authenticatedAt">,
      unknown
    >,
  );
  return fc.record({
    guard: arbitraryGuess(),
    change,
    removed: fc.uniqueArray(fc.constantFrom(...KEYS), { maxLength: 2 }),
    until: fc.constantFrom<(Until | null | undefined)[]>(
      undefined,
      null,
      "confirmed",
      "never",
      START + 0.5,
    ),
    signedIn: fc.oneof(
      fc.constantFrom(undefined, undefined, null, 0, 0.25),
      arbitraryTime(50),
    ),
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

function arbitraryFamily(): fc.Arbitrary<string> {
  return fc.constantFrom(makeFamily("one"), makeFamily("two"));
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
    now += TICK + (step.call === "wait" ? step.ms : 0);
    assertSameAnswer(step, provider, model, now);
    if (step.call === "gc") {
      assertEquals(provider.gc(now, step.limit), model.gc(now, step.limit));
    }
    if (step.call === "collect") {
      assertEquals(collect(provider, now, step.limit), collect(model, now, 1));
      const left = model.countWithinIdleDeadline(now);
      assertEquals(provider.stats().sessions, left);
    }
    assertEquals(provider.stats(), model.stats(), step.call);
  }
  assertSameSessions(provider, model, now);
  assertNothingIsLeft(provider);
}

/** The same with a clock for each call. */
export function playApart(turns: readonly Turn[]): void {
  const provider = new MemoryProvider();
  const model = new NaiveProvider({});
  let collected: string[] = [];
  provider.observe((_reason, id) => collected.push(id));
  let now = START;
  for (const [step, at] of turns) {
    now += TICK + (step.call === "wait" ? step.ms : 0);
    const instant = instantOf(at, model, now);
    assertSameAnswer(step, provider, model, instant);
    if (step.call === "gc" || step.call === "collect") {
      collected = [];
      provider.gc(instant, step.limit);
      // Which it finds is open as long as clocks differ, but not what it takes.
      for (const id of collected) {
        const record = model.peek(id) as SessionRecord;
        assert(idleDeadline({ record }) <= instant, "collected a live session");
        model.expire(id);
      }
    }
    assertEquals(provider.stats(), model.stats(), step.call);
    assertSameSessions(provider, model, instant);
  }
  assertNothingIsLeft(provider);
}

function instantOf(at: At, model: NaiveProvider, now: number): number {
  const record = at.id === undefined ? undefined : model.peek(at.id);
  if (record === undefined) return now + at.offset;
  const begin = record.authenticatedAt ?? record.createdAt;
  const lifetime = record.absoluteTimeout * 1000;
  const edges = [
    idleDeadline({ record }),
    begin + lifetime,
    begin - lifetime,
    record.accessedAt,
    begin,
  ];
  return (edges[at.edge] as number) + at.offset;
}

/** Plays one step on both, but for collecting. */
function assertSameAnswer(
  step: Step,
  provider: MemoryProvider,
  model: NaiveProvider,
  now: number,
): void {
  switch (step.call) {
    case "create": {
      const { age, ...fields } = step.seed;
      const record = makeRecord({ ...fields, now, createdAt: now - age });
      const play = (each: MemoryProvider | NaiveProvider) =>
        orErrorCode(() => each.create(step.id, record, now));
      return assertEquals(play(provider), play(model), "create");
    }
    case "update": {
      const record = model.peek(step.id) ?? ANY_RECORD;
      const change = changeOf(step.edit, record, now);
      const guard = guardOf(step.edit.guard, record);
      const play = (each: MemoryProvider | NaiveProvider) =>
        orErrorCode(() => each.update(step.id, change, guard, now));
      return assertEquals(play(provider), play(model), "update");
    }
    case "destroy": {
      const guard = guardOf(step.guard, model.peek(step.id) ?? ANY_RECORD);
      const answer = provider.destroy(step.id, guard, now);
      return assertEquals(answer, model.destroy(step.id, guard, now));
    }
    case "read":
      return assertEquals(
        provider.read(step.id, now),
        model.read(step.id, now),
      );
    case "touch":
      return assertEquals(
        provider.touch(step.id, now),
        model.touch(step.id, now),
      );
    case "list": {
      const { sessions } = provider.list(step.principal, now);
      return assertEquals(
        sorted(sessions),
        sorted(model.list(step.principal, now)),
      );
    }
    case "destroyAll":
      return assertEquals(
        provider.destroyAll(step.principal, step.except),
        model.destroyAll(step.principal, step.except),
      );
    case "look":
      return assertSameSessions(provider, model, now);
  }
}

/** A scan takes nothing out, whatever the time is. */
function assertSameSessions(
  provider: MemoryProvider,
  model: NaiveProvider,
  now: number,
): void {
  const { sessions } = provider.scan(undefined, 1000, now);
  assertEquals(sorted(sessions), sorted(model.scan(now)));
}

function assertNothingIsLeft(provider: MemoryProvider): void {
  const held = provider.stats().sessions;
  assertEquals(provider.gc(FAR_FUTURE, 1000), held);
  assertEquals(provider.stats().sessions, 0);
  assertEquals(provider.stats().bytes, 0);
  for (const principal of PRINCIPALS) {
    assertEquals(provider.destroyAll(principal), 0);
  }
}

const ANY_RECORD: SessionRecord = { ...makeRecord(), version: 1 };

function changeOf(
  { change, removed, until, signedIn }: Edit,
  { secretHash, family }: SessionRecord,
  now: number,
): SessionChange {
  const set = change.set ?? {};
  return {
    ...change,
    delete: removed.filter((key) => !Object.hasOwn(set, key)),
    previous: typeof until === "object" || until === undefined
      ? until
      : Object.freeze({ secretHash, family, until }),
    authenticatedAt: typeof signedIn === "number" ? now + signedIn : signedIn,
  };
}

function guardOf(guess: Guess, record: SessionRecord): Guard {
  const { secretHash, previous, version } = record;
  const until = previous?.until;
  const binding = record.binding ?? null;
  return {
    family: chosen(guess.family, record.family, makeFamily("wrong")),
    principal: chosen(guess.principal, record.principal, "eve"),
    token: chosen(
      guess.token,
      { secretHash, until },
      { secretHash, until: until === "never" ? "confirmed" : "never" },
    ),
    version: chosen(guess.version, version, version - 1),
    binding: chosen(guess.binding, binding, binding === null ? "key" : null),
  };
}

function chosen<T>(answer: Answer, right: T, wrong: T): T | undefined {
  if (answer === undefined) return undefined;
  return answer === "right" ? right : wrong;
}

function orErrorCode<T>(call: () => T): T | string {
  try {
    return call();
  } catch (error) {
    if (error instanceof SessionError) return error.code;
    throw error;
  }
}

function collect(
  provider: MemoryProvider | NaiveProvider,
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

/** By id alone, so that answers in any order compare. */
function sorted<T extends { readonly id: string }>(answer: readonly T[]): T[] {
  return answer.toSorted((a, b) => a.id < b.id ? -1 : 1);
}
