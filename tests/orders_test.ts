import { assert, assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import {
  type Act,
  everyOrder,
  familyOf,
  GRACE,
  INTERVAL,
  type Outcome,
  type Part,
  type Play,
  type Scene,
  someOrders,
} from "./_orders.ts";

const ACTS: Readonly<Record<string, Act>> = {
  read: (session) => session.get("count"),
  write: (session, _play, name) => session.set(`k${name}`, 1),
  update: async (session, play, name) => {
    await session.update("count", (count) => count as number + 1);
    play.outcomes[Number(name)]!.counted++;
  },
  "sign in": (session) => session.signIn("ada"),
  "sign in as another": (session) => session.signIn("bob"),
  "renew now": (session) => session.regenerate(),
  "prove again": (session) => {
    if (session.principal === undefined) return;
    session.regenerate({ reauthenticated: true });
  },
  "sign out": (session) => session.destroy(),
  "change the lifetime": (session) => session.lifetime({ idleTimeout: 2400 }),
  "be remembered": (session) => session.lifetime({ persistent: true }),
  "sign out everywhere": (_session, play) => {
    play.table.destroyAll("ada");
  },
};

/** Those that begin a new family. */
const SIGN_INS = ["sign in", "sign in as another", "prove again"];

/** Those that end a session. */
const ENDS = ["sign out", "sign out everywhere"];

function part(act: string, rest: Partial<Part> = {}): Part {
  return {
    act,
    do: ACTS[act] as Act,
    by: "owner",
    on: 0,
    answer: "delivered",
    ...rest,
  };
}

const SCENES: Readonly<Record<string, Scene>> = {
  "of a visitor": { isSignedIn: false, age: 60 },
  "of a user": { isSignedIn: true, age: 60 },
  "due for a renewal": { isSignedIn: true, age: INTERVAL + 5 },
  "of a visitor, due for a renewal": { isSignedIn: false, age: INTERVAL + 5 },
  "whose new cookie was delivered": {
    isSignedIn: true,
    age: 60,
    waiting: "browser-has-new",
  },
  "whose new cookie was lost": {
    isSignedIn: true,
    age: INTERVAL + 5,
    waiting: "browser-has-old",
  },
};

function isAnswered({ response, error }: Outcome): boolean {
  return error === undefined && response !== undefined;
}

function isGone({ events }: Outcome): boolean {
  return events.some(({ type }) => type === "gone");
}

function hasAct({ part: { act } }: Outcome, acts: readonly string[]): boolean {
  return acts.includes(act);
}

/** Every cookie that anybody has seen. */
function cookiesOf(play: Play): string[] {
  const cookies = [play.oldCookie, play.jar];
  for (const outcome of play.outcomes) {
    cookies.push(outcome.cookie, outcome.setCookie);
  }
  return [...new Set(cookies)].filter((cookie) => cookie !== undefined);
}

/** What ended stays ended, whatever was stored of it. */
async function checkEnded(play: Play): Promise<void> {
  for (const outcome of play.outcomes) {
    const { part: { act }, wasOpened, cookie } = outcome;
    const isEnd = act === "sign out" && wasOpened && !isGone(outcome);
    if (!isEnd || outcome.answeredAt === -1 || cookie === undefined) continue;
    const family = familyOf(cookie);
    for (const shown of cookiesOf(play)) {
      if (familyOf(shown) !== family) continue;
      assert(!await play.isOpen(shown), `${act} ${outcome.name} ended nothing`);
    }
  }
}

/** After a sign-in is acknowledged no earlier secret opens, writes or ends. */
async function checkSignIns(play: Play): Promise<void> {
  for (const signIn of play.outcomes) {
    const { setCookie, cookie } = signIn;
    const isSignIn = hasAct(signIn, SIGN_INS) && signIn.signedInAt !== -1;
    if (!isSignIn || !isAnswered(signIn) || setCookie === undefined) continue;
    assert(setCookie !== cookie, "sent the same secret again");
    const family = familyOf(setCookie);
    const earlier = [play.oldCookie, cookie ?? play.oldCookie]
      .filter((shown) => familyOf(shown) !== family);
    for (const shown of earlier) {
      assert(!await play.isOpen(shown), "a secret of before still opens");
    }
    for (const other of play.outcomes) {
      const { cookie: shown, writtenAt, replacedAt, name } = other;
      if (other === signIn || signIn.replacedAt === -1) continue;
      const isEarlier = shown !== undefined &&
        earlier.some((cookie) => familyOf(cookie) === familyOf(shown));
      if (!isEarlier) continue;
      assert(writtenAt < signIn.replacedAt, `${name} wrote after the sign-in`);
      assert(replacedAt < signIn.replacedAt, `${name} took the session over`);
    }
  }
}

/** Whoever has a cookie from before never ends what the owner signed in to. */
async function checkOwner(play: Play): Promise<void> {
  const { outcomes, jar } = play;
  const own = outcomes.filter(({ part: { by } }) => by === "owner");
  const others = outcomes.filter(({ part: { by } }) => by !== "owner");
  const reused = outcomes.flatMap(({ events }) => events)
    .filter(({ type }) => type === "reused");
  if (others.length === 0) assertEquals(reused, [], "a false alarm");
  if (outcomes.some((outcome) => hasAct(outcome, ENDS))) {
    if (own.some((outcome) => hasAct(outcome, ENDS))) return;
    if (!own.some((outcome) => hasAct(outcome, SIGN_INS))) return;
    if (outcomes.some((outcome) => hasAct(outcome, ["sign out everywhere"]))) {
      return;
    }
  }
  const signIns = own.filter(({ signedInAt }) => signedInAt !== -1);
  if (signIns.length > 1) return;
  const [signIn] = signIns;
  if (signIn === undefined) {
    if (others.length > 0) return;
    const session = await play.open(jar);
    assert(!session.isNew, "the owner was signed out");
    return;
  }
  // A browser keeps the cookie that comes last, which may be an older one.
  if (signIn.setCookie === undefined || signIn.setCookie !== jar) return;
  if (others.some(({ signedInAt }) => signedInAt !== -1)) return;
  const session = await play.open(jar);
  assert(!session.isNew, "the sign-in was ended");
}

/** What was acknowledged is there, and each update counts once. */
function checkData({ id, outcomes, record }: Play): void {
  if (record === undefined) return;
  for (const outcome of outcomes) {
    if (outcome.writtenAt === -1) continue;
    assert(`k${outcome.name}` in record.data, `${outcome.name} was lost`);
  }
  for (const outcome of outcomes) {
    const { part: { act, by }, name, error, cookie } = outcome;
    const isKept = act === "write" && by === "owner" && outcome.wasOpened &&
      cookie?.includes(id) && error === undefined && !isGone(outcome);
    if (isKept) assert(`k${name}` in record.data, `${name} was not kept`);
  }
  const counted = outcomes.reduce((sum, { counted }) => sum + counted, 0);
  const unsure = outcomes.filter(({ part: { loses } }) => loses === "update")
    .length;
  const count = record.data["count"] as number;
  assert(
    count >= counted && count <= counted + unsure,
    `${count} instead of ${counted}`,
  );
}

/** Nothing that other requests write keeps the token from being seen to. */
function checkMaintenance({ scene, outcomes, record }: Play): void {
  if (record === undefined) return;
  if (outcomes.some((outcome) => hasAct(outcome, [...SIGN_INS, ...ENDS]))) {
    return;
  }
  if (outcomes.some(({ part: { loses } }) => loses === "update")) return;
  const seen = outcomes.filter((outcome) =>
    outcome.part.by === "owner" && outcome.part.answer !== "bare" &&
    outcome.wasOpened && isAnswered(outcome)
  );
  if (seen.length === 0) return;
  if (scene.age >= INTERVAL) {
    const isRenewed = outcomes.some(({ setCookie }) => setCookie !== undefined);
    assert(isRenewed, "nothing was renewed");
  }
  if (scene.waiting === "browser-has-new" && scene.jump === undefined) {
    assertEquals(typeof record.previous?.until, "number", "not confirmed");
  }
}

/** What was given of a lifetime stands, whatever other requests know of it. */
function checkLifetime({ outcomes, record }: Play): void {
  if (record === undefined) return;
  const isGiven = (act: string) =>
    outcomes.some((outcome) =>
      hasAct(outcome, [act]) && isAnswered(outcome) && outcome.wasOpened &&
      !isGone(outcome)
    );
  if (isGiven("change the lifetime")) assertEquals(record.idleTimeout, 2400);
  if (isGiven("be remembered")) assertEquals(record.persistent, true);
}

/** What the library does by itself fails no request. */
function checkHousekeeping({ outcomes }: Play): void {
  for (const { part: { act, loses, answer }, error } of outcomes) {
    if (act !== "read" || loses === undefined || answer === "bare") continue;
    assertEquals(error, undefined, "housekeeping failed the request");
  }
}

async function check(play: Play): Promise<void> {
  checkHousekeeping(play);
  await checkEnded(play);
  await checkSignIns(play);
  await checkOwner(play);
  checkData(play);
  checkMaintenance(play);
  checkLifetime(play);
}

/** Every pair, in both places; of many a part. */
function* pairs<T>(ones: readonly T[], others: readonly T[], stride = STRIDE) {
  let count = 0;
  for (const one of ones) {
    for (const other of others) {
      if (count++ % stride === 0) yield [one, other] as const;
    }
  }
}

async function playAll(
  scene: Scene,
  all: Iterable<readonly Part[]>,
): Promise<number> {
  let count = 0;
  for (const parts of all) count += await everyOrder(scene, parts, check);
  return count;
}

/**
 * Which pairs of requests are played. They are of the library alone, which is
 * the same text everywhere: one runtime plays all, and another a sample.
 */
const STRIDE = "Bun" in globalThis ? 9 : 1;
if (STRIDE > 1) {
  console.log("Of the orders of requests Deno plays all, and Bun a ninth");
}

const names = Object.keys(ACTS);
const scenes = Object.entries(SCENES);

/** What somebody does who has a cookie from before. */
const STRANGE = [
  "read",
  "write",
  "update",
  "sign in as another",
  "renew now",
  "prove again",
  "sign out",
];

describe("two requests of the owner in every order", () => {
  for (const [name, scene] of scenes) {
    it(`keep what they did, in a session ${name}`, async () => {
      const ones = names.map((act) => part(act));
      const others = names.map((act) => part(act, { on: 1 }));
      const count = await playAll(scene, pairs(ones, others));
      assert(count > 5000 / STRIDE, `${count} orders`);
    });
  }
});

describe("two requests of which one cannot tell the browser", () => {
  for (const [name, scene] of scenes) {
    it(`sign nobody out, in a session ${name}`, async () => {
      const ones = names.flatMap((act) => [
        part(act, { answer: "lost" }),
        part(act, { answer: "bare", on: 1 }),
      ]);
      const others = names.map((act) => part(act, { on: 1 }));
      await playAll(scene, pairs(ones, others));
    });
  }
});

describe("two requests while the store loses an answer", () => {
  for (const [name, scene] of scenes) {
    it(`get through what they did not ask for, in a session ${name}`, async () => {
      const ones = (["touch", "update"] as const).flatMap((loses) => [
        part("read", { loses }),
        part("update", { loses, on: 1 }),
      ]);
      await playAll(scene, pairs(ones, names.map((act) => part(act))));
    });
  }
});

describe("a request that takes longer than it should", () => {
  const long = ["read", "update", "sign in", "renew now"];
  const besides = ["read", "sign in", "renew now", "be remembered"];
  for (const jump of [GRACE + 1, 2 * INTERVAL]) {
    for (const [name, scene] of scenes) {
      it(`does no harm when ${jump} seconds pass, in a session ${name}`, async () => {
        const ones = long.map((act) => part(act, { isLong: true }));
        const others = besides.map((act) => part(act, { on: 1 }));
        await playAll({ ...scene, jump }, pairs(ones, others));
      });
    }
  }
});

describe("a request of the owner and one of somebody with a cookie of before", () => {
  // Copied before or planted before: it is the same cookie.
  const by = "copy";
  for (const [name, scene] of scenes) {
    it(`leave a sign-in alone, in a session ${name}`, async () => {
      const ones = names.map((act) => part(act));
      const others = STRANGE.flatMap((act) => [
        part(act, { by, on: 1 }),
        part(act, { by, isLong: true }),
      ]);
      await playAll(scene, pairs(ones, others));
    });
  }
});

describe("three requests in many orders", () => {
  const main = ["read", "update", "sign in", "renew now", "sign out"];
  const thirds = [part("write", { on: 1 }), part("sign out", { by: "copy" })];
  for (const [index, [name, scene]] of scenes.entries()) {
    it(`keep what they did, in a session ${name}`, async () => {
      for (const [one, two] of pairs(main, main, 1)) {
        if (one > two) continue;
        for (const third of thirds) {
          const parts = [part(one), part(two, { on: 1 }), third];
          const sample = { count: Math.ceil(120 / STRIDE), seed: index };
          await someOrders(scene, parts, check, sample);
        }
      }
    });
  }

  it("raise no alarm when one takes longer than the next interval", async () => {
    for (const jump of [GRACE + 1, INTERVAL, 2 * INTERVAL]) {
      for (const [index, [, scene]] of scenes.entries()) {
        const parts = [
          part("read", { isLong: true }),
          part("read", { on: 1 }),
          part("update"),
        ];
        const sample = { count: Math.ceil(600 / STRIDE), seed: jump + index };
        await someOrders({ ...scene, jump }, parts, check, sample);
      }
    }
  });
});
