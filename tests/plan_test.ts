/** Tests what the end of a request means for its session, row by row. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { describe, it } from "node:test";
import type { Reach } from "../core/carriage/response.ts";
import type { Intent, Plan } from "../core/request/plan.ts";
import {
  ADA,
  type Given,
  isFailed,
  merged,
  NOW,
  planOf,
  requests,
  SECOND,
  signInOf,
  standing,
  stored,
  until,
} from "./_plans.ts";

/** A request that fits a row, and what becomes of it by one thing more. */
interface Row {
  readonly row: Plan["row"];
  readonly given: Given;
  readonly plan: Plan;
  readonly turns: Readonly<Record<string, readonly [Given, Plan]>>;
}

const NOTHING: Plan = { row: 15, act: "nothing" };
const NOTHING_NEW: Plan = { row: 2, act: "nothing" };
const CREATE: Plan = { row: 4, act: "create" };
const END: Plan = { row: 5, act: "end" };
const WRITE: Plan = { row: 13, act: "write", isEssential: true };
const TOUCH: Plan = { row: 14, act: "touch" };

function renewal(
  row: 9 | 10 | 11,
  isEssential: boolean,
  until: number | "confirmed" = "confirmed",
): Plan {
  return { row, act: "renew", until, isEssential };
}

function confirmation(
  {
    hasData = false,
    isEssential = false,
    isToken = true,
    isDevice = false,
    grace = 30,
  } = {},
): Plan {
  const until = NOW + grace * SECOND;
  const about = { isToken, isDevice, hasData, isEssential };
  return { row: 12, act: "confirm", until, ...about };
}

const FAILED: Given = { answer: { isFailed: true } };
const DISCARDED: Given = { intent: { isDiscarded: true } };
const LOST: Given = { isTokenLost: true };
const NEVER_RENEWED: Given = { settings: { renewInterval: 0 } };
const NO_GRACE: Given = { settings: { renewGrace: 0 } };
const REPLACED: Given = { draft: { own: "previous" } };
const FORGOTTEN: Given = { draft: { own: "neither" } };
const SET: Given = { draft: { hasPendingKeys: true, hasValues: true } };
const OTHER_CLIENT: Given = { draft: { hasNewFingerprint: true } };
const POLL: Given = { draft: { isUse: false } };
const SIGN_IN: Given = { intent: { signIn: ADA } };
const ENDING: Given = { intent: { ending: "session" } };

function reaching(reach: Reach): Given {
  return { answer: { reach } };
}

function living(lifetime: NonNullable<Intent["lifetime"]>): Given {
  return { intent: { lifetime } };
}

/** A secret that was minted so long ago. */
function aged(seconds: number): Given {
  return stored({ renewedAt: NOW - seconds * SECOND });
}

const ROWS: readonly Row[] = [
  {
    row: 1,
    given: ENDING,
    plan: { row: 1, act: "clear" },
    turns: {
      "when it failed": [FAILED, { row: 1, act: "clear" }],
      "when it was discarded": [DISCARDED, { row: 1, act: "clear" }],
      "with two sessions": [standing("ambiguous"), { row: 1, act: "clear" }],
      "of somebody superseded": [standing("superseded"), {
        row: 1,
        act: "nothing",
      }],
      "of somebody unproven": [standing("unproven"), {
        row: 1,
        act: "nothing",
      }],
      "after a sign-in": [SIGN_IN, { row: 1, act: "clear" }],
      "with values": [SET, { row: 1, act: "clear" }],
      "without the end": [{ intent: { ending: undefined } }, NOTHING_NEW],
      "with a session": [stored({}), END],
    },
  },
  {
    row: 2,
    given: {},
    plan: NOTHING_NEW,
    turns: {
      "with a value": [SET, CREATE],
      "with a form": [{ intent: { hasForm: true } }, CREATE],
      "with a sign-in": [SIGN_IN, CREATE],
      "with a value of which nothing is left": [
        { draft: { hasPendingKeys: true } },
        NOTHING_NEW,
      ],
      "with a lifetime alone": [living({ idleTimeout: 60 }), NOTHING_NEW],
      "with a renewal alone": [{ intent: { token: "renew" } }, NOTHING_NEW],
      "with another client": [OTHER_CLIENT, NOTHING_NEW],
      "with a value, failed": [merged(SET, FAILED), NOTHING_NEW],
      "with a sign-in, failed": [merged(SIGN_IN, FAILED), NOTHING_NEW],
      "with a sign-in, discarded": [merged(SIGN_IN, DISCARDED), NOTHING_NEW],
      "of somebody superseded": [standing("superseded"), NOTHING_NEW],
      "of somebody unproven": [standing("unproven"), NOTHING_NEW],
      "with two sessions": [standing("ambiguous"), NOTHING_NEW],
      "without an answer": [reaching("none"), NOTHING_NEW],
      "long after the last access": [
        { draft: { accessedAt: NOW - 600 * SECOND } },
        NOTHING_NEW,
      ],
      "with a session": [stored({}), NOTHING],
    },
  },
  {
    row: 3,
    given: merged(standing("superseded"), SET),
    plan: { row: 3, act: "gone" },
    turns: {
      "with a form instead": [
        { draft: { hasValues: false }, intent: { hasForm: true } },
        { row: 3, act: "gone" },
      ],
      "without an answer": [reaching("none"), { row: 3, act: "gone" }],
      "with a sign-in": [SIGN_IN, CREATE],
      "without values": [{ draft: { hasValues: false } }, NOTHING_NEW],
      "when it failed": [FAILED, NOTHING_NEW],
      "when it was discarded": [DISCARDED, NOTHING_NEW],
      "to be ended": [ENDING, { row: 1, act: "nothing" }],
      "not superseded": [{ draft: { standing: "visitor" } }, CREATE],
      "but ambiguous": [standing("ambiguous"), CREATE],
    },
  },
  {
    row: 4,
    given: SIGN_IN,
    plan: CREATE,
    turns: {
      "without an answer": [reaching("none"), { row: 4, act: "unsendable" }],
      "on a page for caches": [reaching("shared"), CREATE],
      "on a 304": [reaching("not-modified"), CREATE],
      "of somebody superseded": [standing("superseded"), CREATE],
      "of somebody unproven": [standing("unproven"), CREATE],
      "with two sessions": [standing("ambiguous"), CREATE],
      "in a poll": [POLL, CREATE],
      "when it failed": [FAILED, NOTHING_NEW],
      "without the sign-in": [{ intent: { signIn: undefined } }, NOTHING_NEW],
      "failed and without an answer": [
        merged(FAILED, reaching("none")),
        NOTHING_NEW,
      ],
      "with a session": [stored({}), { row: 7, act: "authenticate" }],
    },
  },
  {
    row: 5,
    given: merged(stored({}), ENDING),
    plan: END,
    turns: {
      "with the site's data": [
        { intent: { ending: "session-and-site-data" } },
        END,
      ],
      "when it failed": [FAILED, END],
      "when it was discarded": [DISCARDED, END],
      "after a sign-in": [SIGN_IN, END],
      "after a sign-in of another": [
        { record: { principal: "eve" }, intent: { signIn: ADA } },
        END,
      ],
      "without an answer": [reaching("none"), END],
      "when the token was replaced meanwhile": [LOST, END],
      "with a secret that was replaced": [REPLACED, END],
      "when the token is due": [aged(900), END],
      "without the end": [{ intent: { ending: undefined } }, NOTHING],
    },
  },
  {
    row: 6,
    given: merged(stored({ principal: "eve" }), SIGN_IN),
    plan: { row: 6, act: "switch" },
    turns: {
      "without an answer": [reaching("none"), { row: 6, act: "unsendable" }],
      "on a page for caches": [reaching("shared"), { row: 6, act: "switch" }],
      "on a 304": [reaching("not-modified"), { row: 6, act: "switch" }],
      "with a new proof": [
        { intent: { token: "reauthenticate" } },
        { row: 6, act: "switch" },
      ],
      "when the token was replaced meanwhile": [
        LOST,
        { row: 6, act: "switch" },
      ],
      "with a secret that was replaced": [
        REPLACED,
        { row: 6, act: "switch" },
      ],
      "of the same user": [
        { intent: { signIn: signInOf("eve") } },
        { row: 7, act: "authenticate" },
      ],
      "of a visitor": [
        stored({ principal: undefined }),
        { row: 7, act: "authenticate" },
      ],
      "to be ended": [ENDING, END],
      "when it failed": [FAILED, NOTHING],
      "when it was discarded": [DISCARDED, NOTHING],
    },
  },
  {
    row: 7,
    given: merged(stored({}), SIGN_IN),
    plan: { row: 7, act: "authenticate" },
    turns: {
      "without an answer": [reaching("none"), { row: 7, act: "unsendable" }],
      "on a page for caches": [
        reaching("shared"),
        { row: 7, act: "authenticate" },
      ],
      "on a 304": [
        reaching("not-modified"),
        { row: 7, act: "authenticate" },
      ],
      "when the token is due": [aged(900), { row: 7, act: "authenticate" }],
      "when the token was replaced meanwhile": [
        LOST,
        { row: 7, act: "authenticate" },
      ],
      "with a new proof": [
        { intent: { token: "reauthenticate" } },
        { row: 7, act: "authenticate" },
      ],
      "of another's session": [
        stored({ principal: "eve" }),
        { row: 6, act: "switch" },
      ],
      "without the sign-in": [{ intent: { signIn: undefined } }, NOTHING],
      "to be ended": [ENDING, END],
      "when it failed": [FAILED, NOTHING],
      "failed and without an answer": [
        merged(FAILED, reaching("none")),
        NOTHING,
      ],
      "failed and with data": [merged(FAILED, SET), NOTHING],
    },
  },
  {
    row: 8,
    given: {
      record: { principal: "ada" },
      intent: { token: "reauthenticate" },
    },
    plan: { row: 8, act: "authenticate" },
    turns: {
      "without an answer": [reaching("none"), { row: 8, act: "unsendable" }],
      "on a page for caches": [
        reaching("shared"),
        { row: 8, act: "authenticate" },
      ],
      "when the token was replaced meanwhile": [
        LOST,
        { row: 8, act: "authenticate" },
      ],
      "with a sign-in": [SIGN_IN, { row: 7, act: "authenticate" }],
      "without a proof": [
        { intent: { token: "renew" } },
        renewal(9, true),
      ],
      "without a wish": [{ intent: { token: "keep" } }, NOTHING],
      "to be ended": [ENDING, END],
      "when it failed": [FAILED, NOTHING],
      "when it was discarded": [DISCARDED, NOTHING],
    },
  },
  {
    row: 9,
    given: { record: {}, intent: { token: "renew" } },
    plan: renewal(9, true),
    turns: {
      "on a page for caches": [reaching("shared"), renewal(9, true)],
      "on a 304": [reaching("not-modified"), NOTHING],
      "on a 304, with data": [merged(reaching("not-modified"), SET), WRITE],
      "without an answer": [reaching("none"), NOTHING],
      "with data": [SET, renewal(9, true)],
      "in a poll": [POLL, renewal(9, true)],
      "when the token is due as well": [aged(900), renewal(9, true)],
      "when tokens are never renewed": [NEVER_RENEWED, renewal(9, true)],
      "after renewGrace": [aged(30), renewal(9, true)],
      "just before renewGrace is over": [aged(29.999), NOTHING],
      "at once, without a grace": [merged(aged(0), NO_GRACE), renewal(9, true)],
      "after a sign-in": [stored(until("never")), renewal(9, true)],
      "when the grace of the one before is over": [
        stored(until(NOW)),
        renewal(9, true),
      ],
      "in the grace of the one before": [stored(until(NOW + 1)), NOTHING],
      "while the one before waits": [
        stored(until("confirmed")),
        confirmation(),
      ],
      "while the one before waits, with data": [
        merged(stored(until("confirmed")), SET),
        confirmation({ hasData: true, isEssential: true }),
      ],
      "with a secret that was replaced": [REPLACED, NOTHING],
      "with a secret that is forgotten": [FORGOTTEN, NOTHING],
      "when the token was replaced meanwhile": [LOST, NOTHING],
      "without the wish": [{ intent: { token: "keep" } }, NOTHING],
      "when it failed": [FAILED, NOTHING],
      "when it was discarded": [DISCARDED, NOTHING],
      "with a new proof": [
        { intent: { token: "reauthenticate" } },
        { row: 8, act: "authenticate" },
      ],
    },
  },
  {
    row: 9,
    given: { record: {}, intent: { lifetime: { persistent: true } } },
    plan: renewal(9, true),
    turns: {
      "that was so before": [stored({ persistent: true }), WRITE],
      "for longer": [
        living({ persistent: true, absoluteTimeout: 86_400 }),
        renewal(9, true),
      ],
      "while the secret is fresh": [aged(29.999), WRITE],
      "on a 304": [reaching("not-modified"), WRITE],
      "with a secret that was replaced": [REPLACED, WRITE],
      "when the token was replaced meanwhile": [LOST, WRITE],
      "when it failed": [FAILED, NOTHING],
      "of the browser session": [living({ persistent: false }), WRITE],
      "for longer, of the browser session": [
        living({ absoluteTimeout: 86_400 }),
        WRITE,
      ],
    },
  },
  {
    row: 9,
    given: {
      record: { persistent: true },
      intent: { lifetime: { absoluteTimeout: 86_400 } },
    },
    plan: renewal(9, true),
    turns: {
      "as long as before": [living({ absoluteTimeout: 43_200 }), WRITE],
      "with another idle timeout alone": [living({ idleTimeout: 60 }), WRITE],
      "no longer persistent": [
        living({ persistent: false }),
        renewal(9, true),
      ],
      "persistent as before": [
        living({ persistent: true, idleTimeout: 60 }),
        WRITE,
      ],
    },
  },
  {
    row: 10,
    given: aged(900),
    plan: renewal(10, false),
    turns: {
      "with data": [SET, renewal(10, true)],
      "with a lifetime": [living({ idleTimeout: 60 }), renewal(10, true)],
      "with another client": [OTHER_CLIENT, renewal(10, false)],
      "in a poll": [POLL, renewal(10, false)],
      "that arrived long ago": [
        { draft: { arrivedAt: NOW - 1000 * SECOND } },
        renewal(10, false),
      ],
      "while the one before waits": [
        stored(until("confirmed")),
        renewal(10, false),
      ],
      "just before it is due": [aged(899.999), NOTHING],
      "on a page for caches": [reaching("shared"), NOTHING],
      "on a page for caches, with data": [
        merged(reaching("shared"), SET),
        WRITE,
      ],
      "on a 304": [reaching("not-modified"), NOTHING],
      "without an answer": [reaching("none"), NOTHING],
      "on a page for caches, while the one before waits": [
        merged(reaching("shared"), stored(until("confirmed"))),
        confirmation(),
      ],
      "when tokens are never renewed": [NEVER_RENEWED, NOTHING],
      "from the session's device": [{ draft: { isProven: true } }, NOTHING],
      "with a secret that was replaced": [REPLACED, NOTHING],
      "with a secret that is forgotten": [FORGOTTEN, NOTHING],
      "when the token was replaced meanwhile": [LOST, NOTHING],
      "when it failed": [FAILED, NOTHING],
      "when it was discarded": [DISCARDED, NOTHING],
    },
  },
  {
    row: 11,
    given: merged(REPLACED, {
      record: { ...until("confirmed"), renewedAt: NOW - 900 * SECOND },
    }),
    plan: renewal(11, false, NOW + 30 * SECOND),
    turns: {
      "with data": [SET, renewal(11, true, NOW + 30 * SECOND)],
      "without a grace": [NO_GRACE, renewal(11, false, NOW)],
      "that arrived just before it was due": [
        { draft: { arrivedAt: NOW - 0.001 * SECOND } },
        NOTHING,
      ],
      "that arrived before it was due, with data": [
        merged({ draft: { arrivedAt: NOW - 600 * SECOND } }, SET),
        WRITE,
      ],
      "that asks to renew": [
        { intent: { token: "renew" } },
        renewal(11, false, NOW + 30 * SECOND),
      ],
      "when the new one was used": [stored(until(NOW + 1)), NOTHING],
      "when somebody has signed in": [stored(until("never")), NOTHING],
      "on a page for caches": [reaching("shared"), NOTHING],
      "on a 304": [reaching("not-modified"), NOTHING],
      "without an answer": [reaching("none"), NOTHING],
      "when tokens are never renewed": [NEVER_RENEWED, NOTHING],
      "with the current secret": [
        { draft: { own: "current" } },
        renewal(10, false),
      ],
      "with a secret that is forgotten": [FORGOTTEN, NOTHING],
      "when the token was replaced meanwhile": [LOST, NOTHING],
      "when it failed": [FAILED, NOTHING],
    },
  },
  {
    row: 12,
    given: merged(stored({}), { draft: { isProven: true, isDeviceNew: true } }),
    plan: confirmation({ isToken: false, isDevice: true }),
    turns: {
      "with data": [
        SET,
        confirmation({
          isToken: false,
          isDevice: true,
          hasData: true,
          isEssential: true,
        }),
      ],
      "when it failed": [
        FAILED,
        confirmation({ isToken: false, isDevice: true }),
      ],
      "when tokens are due": [
        aged(900),
        confirmation({ isToken: false, isDevice: true }),
      ],
      "that asks to renew": [
        { intent: { token: "renew" } },
        renewal(9, true),
      ],
      "when the binding was replaced meanwhile": [LOST, NOTHING],
      "seen before": [{ draft: { isDeviceNew: false } }, NOTHING],
    },
  },
  {
    row: 12,
    given: stored(until("confirmed")),
    plan: confirmation(),
    turns: {
      "with data": [SET, confirmation({ hasData: true, isEssential: true })],
      "with a lifetime": [
        living({ idleTimeout: 60 }),
        confirmation({ hasData: true, isEssential: true }),
      ],
      "with another client": [OTHER_CLIENT, confirmation({ hasData: true })],
      "when it failed": [FAILED, confirmation()],
      "failed and with data": [merged(FAILED, SET), confirmation()],
      "discarded and with data": [merged(DISCARDED, SET), confirmation()],
      "failed and due": [merged(FAILED, aged(900)), confirmation()],
      "with the first cookie of a device": [
        { draft: { isProven: true, isDeviceNew: true } },
        confirmation({ isDevice: true }),
      ],
      "in a poll": [POLL, confirmation()],
      "without an answer": [reaching("none"), confirmation()],
      "on a 304": [reaching("not-modified"), confirmation()],
      "without a grace": [NO_GRACE, confirmation({ grace: 0 })],
      "when tokens are never renewed": [NEVER_RENEWED, confirmation()],
      "when it is due": [aged(900), renewal(10, false)],
      "when it was used before": [stored(until(NOW + 1)), NOTHING],
      "after a sign-in": [stored(until("never")), NOTHING],
      "without one before": [stored({ previous: undefined }), NOTHING],
      "with a secret that was replaced": [REPLACED, NOTHING],
      "with a secret that is forgotten": [FORGOTTEN, NOTHING],
      "when the token was replaced meanwhile": [LOST, NOTHING],
      "when it was replaced meanwhile, with data": [merged(LOST, SET), WRITE],
    },
  },
  {
    row: 13,
    given: merged(stored({}), SET),
    plan: WRITE,
    turns: {
      "but a lifetime": [
        { draft: { hasPendingKeys: false }, ...living({ idleTimeout: 60 }) },
        WRITE,
      ],
      "but another client": [
        { draft: { hasPendingKeys: false, hasNewFingerprint: true } },
        { row: 13, act: "write", isEssential: false },
      ],
      "in a poll": [POLL, WRITE],
      "without an answer": [reaching("none"), WRITE],
      "with a secret that was replaced": [REPLACED, WRITE],
      "when the token was replaced meanwhile": [LOST, WRITE],
      "when a touch is due": [
        { draft: { accessedAt: NOW - 600 * SECOND } },
        WRITE,
      ],
      "but nothing pending": [{ draft: { hasPendingKeys: false } }, NOTHING],
      "when it failed": [FAILED, NOTHING],
      "when it was discarded": [DISCARDED, NOTHING],
    },
  },
  {
    row: 14,
    given: {
      record: {},
      draft: { accessedAt: NOW - 60 * SECOND },
    },
    plan: TOUCH,
    turns: {
      "when it failed": [FAILED, TOUCH],
      "when it was discarded": [DISCARDED, TOUCH],
      "failed and with data": [merged(FAILED, SET), TOUCH],
      "without an answer": [reaching("none"), TOUCH],
      "when the token was replaced meanwhile": [LOST, TOUCH],
      "of a session that lives half as long": [
        stored({ idleTimeout: 599 }),
        TOUCH,
      ],
      "in a poll": [POLL, NOTHING],
      "just before it is due": [
        { draft: { accessedAt: NOW - 59.999 * SECOND } },
        NOTHING,
      ],
      "whatever the record says": [stored({ accessedAt: NOW }), TOUCH],
      "with a longer interval": [{ settings: { touchInterval: 61 } }, NOTHING],
      "with a longer interval than half of what it lives": [
        { settings: { touchInterval: 100 }, record: { idleTimeout: 120 } },
        TOUCH,
      ],
      "with data": [SET, WRITE],
    },
  },
  {
    row: 15,
    given: stored({}),
    plan: NOTHING,
    turns: {
      "without a touch interval": [{ settings: { touchInterval: 0 } }, TOUCH],
      "without one, in a poll": [
        merged(POLL, { settings: { touchInterval: 0 } }),
        NOTHING,
      ],
      "a tenth of its idle timeout later": [
        { record: { idleTimeout: 10 }, draft: { accessedAt: NOW - SECOND } },
        TOUCH,
      ],
      "with a form": [{ intent: { hasForm: true } }, NOTHING],
      "with values it had": [{ draft: { hasValues: true } }, NOTHING],
      "when it failed": [FAILED, NOTHING],
    },
  },
];

describe("the plan for the end of a request", () => {
  for (const { row, given, plan, turns } of ROWS) {
    it(`of row ${row} is to ${plan.act}`, () => {
      assertEquals(plan.row, row);
      assertEquals(planOf(given), plan);
    });

    for (const [how, [change, other]] of Object.entries(turns)) {
      it(`of row ${row} ${how} is to ${other.act} by row ${other.row}`, () => {
        assertEquals(planOf(merged(given, change)), other);
      });
    }
  }

  it("is told of every row of the table", () => {
    const rows = [...new Set(ROWS.map(({ row }) => row))];
    assertEquals(rows, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
  });
});

/** Checks a promise against the plans of many requests. */
function check(
  holds: (plan: Plan, given: Given) => boolean,
  options: fc.Parameters<[Given]> = {},
): void {
  fc.assert(
    fc.property(requests, (given) => holds(planOf(given), given)),
    { numRuns: 3000, ...options },
  );
}

describe("the plan for any request", () => {
  it("that failed is of rows 1, 2, 5, 12, 14 and 15 alone", () => {
    check(({ row }, given) =>
      !isFailed(given) || [1, 2, 5, 12, 14, 15].includes(row)
    );
  });

  it("that failed takes no data along and cannot fail it once more", () => {
    check((plan, given) =>
      !isFailed(given) || plan.act !== "confirm" ||
      (!plan.hasData && !plan.isEssential)
    );
  });

  it("is unsendable only if nobody could see a cookie", () => {
    check(({ act }, { answer }) =>
      act !== "unsendable" || answer?.reach === "none"
    );
  });

  it("hands out no cookie if nobody could see it", () => {
    const acts = ["create", "switch", "authenticate", "renew"];
    check(({ act }, { answer }) =>
      answer?.reach !== "none" || !acts.includes(act)
    );
  });

  it("renews by itself only on an answer that no cache keeps", () => {
    check(({ row }, { answer }) =>
      (row !== 10 && row !== 11) || answer?.reach === "private"
    );
  });

  it("renews nothing on a 304", () => {
    check(({ act }, { answer }) =>
      act !== "renew" || answer?.reach !== "not-modified"
    );
  });

  it("leaves the token alone once another request has seen to it", () => {
    check(({ row }, { isTokenLost }) => !isTokenLost || row < 9 || row > 12);
  });

  it("that is no use of its session touches nothing", () => {
    check(({ act }, { draft }) => act !== "touch" || draft?.isUse === true);
  });

  it("ends the session whenever it was asked to", () => {
    check(({ row }, { intent }) =>
      (intent?.ending !== undefined) === (row === 1 || row === 5)
    );
  });

  it("loses nothing of what a request that went well has changed", () => {
    const acts = ["write", "renew", "create", "switch", "authenticate"];
    check((plan, given) => {
      const { draft, intent, record } = given;
      if (isFailed(given) || intent?.ending !== undefined) return true;
      if (record === undefined || draft?.hasPendingKeys !== true) return true;
      return acts.includes(plan.act) || plan.act === "unsendable" ||
        (plan.act === "confirm" && plan.hasData);
    });
  });

  it("comes about in every way", () => {
    const seen = new Set<string>();
    check(({ row, act }) => {
      seen.add(`${row} ${act}`);
      return true;
    }, { seed: 1 });
    // Two acts each in row 1, and in rows 4, 6, 7 and 8.
    assert(seen.size === 20, [...seen].sort().join(", "));
  });
});
