/**
 * Requests for the tests of the plan: a quiet one, and what differs from it.
 *
 * @module
 */
import fc from "fast-check";
import type { SessionRecord } from "../core/provider.ts";
import {
  type AnswerTraits,
  type Case,
  decide,
  type Intent,
  type Plan,
  type PlanSettings,
  type SignIn,
} from "../core/request/plan.ts";
import { toRecord } from "../core/store/record.ts";
import { makeFamily, makeHash, makeRecord, START } from "./_records.ts";

/** What differs from a quiet request whose answer is the browser's alone. */
export interface Given {
  readonly draft?: Partial<Omit<Case, "intent" | "record">>;
  readonly intent?: Partial<Intent>;
  /** With it the request opened a session. */
  readonly record?: Partial<SessionRecord>;
  readonly settings?: Partial<PlanSettings>;
  readonly answer?: Partial<AnswerTraits>;
  readonly isTokenLost?: boolean;
}

export const SECOND = 1000;
export const NOW = START + 10_000 * SECOND;

/** The secret is this old: settled, and not due. */
const AGE = 100 * SECOND;

const INTENT: Intent = {
  ending: undefined,
  signIn: undefined,
  token: "keep",
  lifetime: undefined,
  hasForm: false,
  handedOut: undefined,
  isProofAsked: false,
  isDiscarded: false,
};

const SETTINGS: PlanSettings = {
  renewInterval: 900,
  renewGrace: 30,
  touchInterval: undefined,
};

const RECORD: SessionRecord = toRecord(
  makeRecord({ now: NOW, renewedAt: NOW - AGE }),
  1,
);

export const ADA: SignIn = {
  principal: "ada",
  label: undefined,
  stillValid: undefined,
};

export function signInOf(principal: string): SignIn {
  return { ...ADA, principal };
}

/** The record's `previous` with this deadline. */
export function until(
  until: number | "confirmed" | "never",
): Pick<SessionRecord, "previous"> {
  const family = makeFamily("secret");
  return { previous: { secretHash: makeHash("before"), family, until } };
}

export function merged(one: Given, other: Given): Given {
  const record = one.record ?? other.record;
  return {
    draft: { ...one.draft, ...other.draft },
    intent: { ...one.intent, ...other.intent },
    ...(record === undefined
      ? {}
      : { record: { ...one.record, ...other.record } }),
    settings: { ...one.settings, ...other.settings },
    answer: { ...one.answer, ...other.answer },
    isTokenLost: other.isTokenLost ?? one.isTokenLost ?? false,
  };
}

function caseOf({ draft, intent, record }: Given): Case {
  const stored = record === undefined ? undefined : { ...RECORD, ...record };
  return Object.freeze({
    standing: stored === undefined ? "visitor" : "opened",
    carrier: "cookie",
    intent: Object.freeze({ ...INTENT, ...intent }),
    hasValues: false,
    hasPendingKeys: false,
    hasNewFingerprint: false,
    isProven: false,
    isDeviceNew: false,
    isUse: true,
    arrivedAt: NOW,
    record: stored && Object.freeze(stored),
    own: stored === undefined ? "neither" : "current",
    accessedAt: NOW,
    ...draft,
  });
}

export function planOf(given: Given): Plan {
  return decide(
    caseOf(given),
    NOW,
    { ...SETTINGS, ...given.settings },
    { isFailed: false, reach: "private", ...given.answer },
    given.isTokenLost,
  );
}

/** A request whose cookies opened nothing for this reason. */
export function standing(
  standing: "superseded" | "unproven" | "ambiguous",
): Given {
  return { draft: { standing } };
}

/** A request that opened this record. */
export function stored(record: Partial<SessionRecord>): Given {
  return { record };
}

/** The first of two values, four times out of five. */
function mostly<T>(usual: T, other: T): fc.Arbitrary<T> {
  return fc.constantFrom(usual, usual, usual, usual, other);
}

/** Instants around those that matter. */
const instants = fc.tuple(
  fc.constantFrom(0, 29_999, 30_000, 60_000, 899_999, 900_000, 1_800_000),
  fc.constantFrom(-1, 0, 0, 1),
).map(([ago, more]) => NOW - ago + more);

const intents: fc.Arbitrary<Partial<Intent>> = fc.record({
  ending: fc.constantFrom(undefined, undefined, undefined, "session" as const),
  signIn: fc.constantFrom(undefined, undefined, ADA, signInOf("eve")),
  token: fc.constantFrom("keep" as const, "renew", "reauthenticate"),
  lifetime: fc.constantFrom(undefined, { persistent: true }, {
    idleTimeout: 60,
  }, { absoluteTimeout: 86_400 }),
  hasForm: fc.boolean(),
  isDiscarded: mostly(false, true),
});

const records: fc.Arbitrary<Partial<SessionRecord>> = fc.record({
  principal: fc.constantFrom(undefined, "ada", "eve"),
  persistent: fc.boolean(),
  idleTimeout: fc.constantFrom(10, 3600),
  renewedAt: instants,
  previous: fc.oneof(
    fc.constant(undefined),
    fc.oneof(
      mostly<"confirmed" | "never">("confirmed", "never"),
      instants,
    ).map((deadline) => until(deadline).previous),
  ),
});

const drafts = fc.record({
  hasValues: fc.boolean(),
  hasPendingKeys: fc.boolean(),
  hasNewFingerprint: fc.boolean(),
  isUse: fc.boolean(),
  arrivedAt: fc.oneof(fc.constant(NOW), instants),
  accessedAt: instants,
  own: fc.constantFrom("current" as const, "current", "previous", "neither"),
});

const visitors = fc.constantFrom(
  {},
  standing("superseded"),
  standing("ambiguous"),
);

/** Any request with any answer. */
export const requests: fc.Arbitrary<Given> = fc.record({
  draft: drafts,
  intent: intents,
  who: fc.oneof(visitors, records.map(stored)),
  settings: fc.record({
    renewInterval: mostly(900, 0),
    renewGrace: fc.constantFrom(0, 30),
    touchInterval: fc.constantFrom(undefined, 0, 60),
  }),
  answer: fc.record({
    isFailed: mostly(false, true),
    reach: fc.constantFrom(
      "private" as const,
      "private",
      "shared",
      "not-modified",
      "none",
    ),
  }),
  isTokenLost: mostly(false, true),
}).map(({ who, ...given }) => merged(given, who));

export function isFailed({ answer, intent }: Given): boolean {
  return answer?.isFailed === true || intent?.isDiscarded === true;
}
