/** Tests how the secrets that a request shows are judged. */
import { assert, assertEquals, assertFalse } from "@std/assert";
import fc from "fast-check";
import { describe, it } from "node:test";
import type { SessionRecord, Until } from "../core/provider.ts";
import { judge, type Judgement, opens } from "../core/request/judgement.ts";
import {
  hashFamily,
  hashSecret,
  mintSecret,
  mintSibling,
} from "../core/secret/token.ts";
import { toRecord } from "../core/store/record.ts";
import { makeRecord, START } from "./_records.ts";

const GRACE = 30;
const GRACE_MS = GRACE * 1000;

const ARRIVED = { at: START, grace: GRACE, audience: "" } as const;

/** The secret of the record, and others by what they are to it. */
const OLDER = mintSecret();
const REPLACED = mintSibling(OLDER);
const CURRENT = mintSibling(REPLACED);
/** What a store would know that has not lost a renewal. */
const NEWER = mintSibling(CURRENT);
const NEWEST = mintSibling(NEWER);
/** From before a sign-in, and another one of the same family. */
const BEFORE = mintSecret();
const LONG_BEFORE = mintSibling(BEFORE);
const FOREIGN = mintSecret();

const NAMES: ReadonlyMap<string, string> = new Map([
  [CURRENT, "current"],
  [REPLACED, "replaced"],
  [OLDER, "older"],
  [NEWER, "newer"],
  [NEWEST, "newest"],
  [BEFORE, "before"],
  [LONG_BEFORE, "long before"],
  [FOREIGN, "foreign"],
]);

function recordWith(previous: SessionRecord["previous"]): SessionRecord {
  const record = makeRecord({
    secretHash: hashSecret(CURRENT),
    family: hashFamily(CURRENT),
    previous,
  });
  return toRecord(record, 1);
}

function previousOf(secret: string, until: Until): SessionRecord["previous"] {
  return { secretHash: hashSecret(secret), family: hashFamily(secret), until };
}

/** A record whose secret was renewed at `START`. */
function renewed(until: Until): SessionRecord {
  return recordWith(previousOf(REPLACED, until));
}

/** A record whose user signed in at `START`. */
function signedIn(): SessionRecord {
  return recordWith(previousOf(BEFORE, "never"));
}

/** What secrets come to, in one word or two, with the one that it is about. */
function judged(
  record: SessionRecord,
  secrets: readonly string[],
  { at = START, grace = GRACE } = {},
): string {
  const judgement = judge(record, secrets, { at, grace, audience: "" });
  const word = judgement.opens ? "opens" : judgement.reason;
  return `${word}: ${NAMES.get(judgement.secret)}`;
}

describe("one secret", () => {
  it("opens the session if it is the record's own, whatever the time", () => {
    for (const record of [recordWith(undefined), renewed("never")]) {
      for (const at of [0, START, START + 1e12]) {
        assertEquals(judged(record, [CURRENT], { at }), "opens: current");
      }
    }
  });

  it("opens with its hash and its family", () => {
    const expected: Judgement = {
      opens: true,
      secret: CURRENT,
      secretHash: hashSecret(CURRENT),
      family: hashFamily(CURRENT),
    };
    assertEquals(judge(signedIn(), [CURRENT], ARRIVED), expected);
    // A store may hold one of another family that is still good.
    const record = recordWith(previousOf(BEFORE, START + 1));
    assertEquals(judge(record, [BEFORE], ARRIVED), {
      opens: true,
      secret: BEFORE,
      secretHash: hashSecret(BEFORE),
      family: hashFamily(BEFORE),
    });
  });

  it("opens if it was replaced by one that nobody has used, whatever the time", () => {
    const record = renewed("confirmed");
    for (const at of [0, START, START + 1e12]) {
      assertEquals(judged(record, [REPLACED], { at }), "opens: replaced");
    }
  });

  it("opens until its deadline, and at it no more", () => {
    const record = renewed(START + GRACE_MS);
    const at = (at: number) => judged(record, [REPLACED], { at });
    assertEquals(at(START), "opens: replaced");
    assertEquals(at(START + GRACE_MS - 0.5), "opens: replaced");
    assertEquals(at(START + GRACE_MS), "reused: replaced");
    assertEquals(at(START + GRACE_MS + 0.5), "reused: replaced");
  });

  it("opens nothing if it is never to, whatever the clocks say", () => {
    for (const at of [-Infinity, 0, START - 2000, START, START + 1e12]) {
      assert(!judged(signedIn(), [BEFORE], { at }).startsWith("opens"));
      assertEquals(
        judged(renewed("never"), [REPLACED], { at }),
        "reused: replaced",
      );
    }
  });

  it("is an alarm if it is of the same family, however old", () => {
    for (const record of [recordWith(undefined), renewed("confirmed")]) {
      for (const at of [START - 1000, START, START + 1e9]) {
        assertEquals(judged(record, [OLDER], { at }), "reused: older");
      }
    }
  });

  it("is an alarm by its family and generation alone", () => {
    const forged = CURRENT.slice(0, 20) + FOREIGN.slice(20);
    const record = recordWith(undefined);
    const judgement = judge(record, [forged], ARRIVED);
    assertEquals(judgement, { opens: false, reason: "reused", secret: forged });
  });

  it("is no alarm if it is newer than the record's, at any time", () => {
    for (const record of [recordWith(undefined), renewed("confirmed")]) {
      for (const at of [START - 1000, START, START + 1e9]) {
        assertEquals(judged(record, [NEWER], { at }), "rolled-back: newer");
        assertEquals(judged(record, [NEWEST], { at }), "rolled-back: newest");
      }
    }
  });

  it("is superseded until renewGrace after a sign-in, and then wrong", () => {
    const at = (at: number) => judged(signedIn(), [BEFORE], { at });
    assertEquals(at(START - 5000), "superseded: before");
    assertEquals(at(START), "superseded: before");
    assertEquals(at(START + GRACE_MS - 0.5), "superseded: before");
    assertEquals(at(START + GRACE_MS), "wrong-secret: before");
  });

  it("is superseded by its family alone, and no alarm", () => {
    assertEquals(judged(signedIn(), [LONG_BEFORE]), "superseded: long before");
    const at = START + GRACE_MS;
    assertEquals(
      judged(signedIn(), [LONG_BEFORE], { at }),
      "wrong-secret: long before",
    );
  });

  it("is never superseded without a grace", () => {
    assertEquals(
      judged(signedIn(), [BEFORE], { grace: 0 }),
      "wrong-secret: before",
    );
    // Parallel requests after a renewal may raise the alarm then.
    assertEquals(
      judged(renewed(START), [REPLACED], { grace: 0 }),
      "reused: replaced",
    );
  });

  it("is wrong if the session never had it", () => {
    for (const record of [recordWith(undefined), signedIn()]) {
      assertEquals(judged(record, [FOREIGN]), "wrong-secret: foreign");
    }
  });

  it("is wrong if only its second half is known", () => {
    const forged = FOREIGN.slice(0, 16) + CURRENT.slice(16);
    const judgement = judge(signedIn(), [forged], ARRIVED);
    assertFalse(judgement.opens);
    assert(!judgement.opens && judgement.reason === "wrong-secret");
  });
});

describe("several secrets of one session", () => {
  /** Each with those that are less, and what the two come to. */
  const ORDER = [
    [CURRENT, "opens: current"],
    [REPLACED, "opens: replaced"],
    [NEWER, "rolled-back: newer"],
    [OLDER, "reused: older"],
    [FOREIGN, "wrong-secret: foreign"],
  ] as const;

  it("come to what the best of them is, in any order", () => {
    for (const record of [renewed("confirmed"), renewed(START + 1)]) {
      for (const [at, [secret, verdict]] of ORDER.entries()) {
        for (const [lesser] of ORDER.slice(at + 1)) {
          assertEquals(judged(record, [secret, lesser]), verdict);
          assertEquals(judged(record, [lesser, secret]), verdict);
        }
      }
    }
  });

  it("come to the gravest reason if none opens, in any order", () => {
    const order = [
      [NEWER, "rolled-back: newer"],
      [OLDER, "reused: older"],
      [BEFORE, "superseded: before"],
      [FOREIGN, "wrong-secret: foreign"],
    ] as const;
    for (const [at, [secret, verdict]] of order.entries()) {
      for (const [lesser] of order.slice(at + 1)) {
        assertEquals(judged(signedIn(), [secret, lesser]), verdict);
        assertEquals(judged(signedIn(), [lesser, secret]), verdict);
      }
    }
  });

  it("raise no alarm if one of them opens", () => {
    const secrets = [OLDER, FOREIGN, BEFORE, CURRENT];
    assertEquals(judged(signedIn(), secrets), "opens: current");
  });

  it("name the first of those that are equally grave", () => {
    const record = recordWith(undefined);
    assertEquals(judged(record, [REPLACED, OLDER]), "reused: replaced");
    assertEquals(judged(record, [OLDER, REPLACED]), "reused: older");
    assertEquals(judged(record, [FOREIGN, BEFORE]), "wrong-secret: foreign");
  });

  it("come to the same as the best of them alone, for any of them", () => {
    const rank = (verdict: string) =>
      ["opens: current", "opens", "rolled", "reused", "superseded", "wrong"]
        .findIndex((start) => verdict.startsWith(start));
    const untils = fc.constantFrom<Until>(
      "confirmed",
      "never",
      START,
      START + 1,
      START + GRACE_MS,
    );
    const replaced = fc.constantFrom(REPLACED, BEFORE);
    const ats = fc.constantFrom(START - 1, START, START + 1, START + GRACE_MS);
    const secrets = fc.array(fc.constantFrom(...NAMES.keys()), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(fc.property(
      replaced,
      untils,
      ats,
      secrets,
      (secret, until, at, shown) => {
        const record = recordWith(previousOf(secret, until));
        const alone = shown.map((one) => judged(record, [one], { at }));
        const [best] = alone.toSorted((a, b) => rank(a) - rank(b));
        const both = judged(record, shown, { at });
        assertEquals(rank(both), rank(best as string));
        assert(alone.includes(both));
      },
    ));
  });
});

describe("whether a secret opens a record at a time", () => {
  it("agrees with how it is judged then", () => {
    const untils = ["confirmed", "never", START, START + 1] as const;
    for (const until of untils) {
      for (const secret of [REPLACED, BEFORE]) {
        const record = recordWith(previousOf(secret, until));
        for (const shown of NAMES.keys()) {
          for (const at of [START - 1, START, START + 1]) {
            const judgement = judge(record, [shown], { ...ARRIVED, at });
            assertEquals(opens(record, hashSecret(shown), at), judgement.opens);
          }
        }
      }
    }
  });
});
