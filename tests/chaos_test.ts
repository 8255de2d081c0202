/** Tests the checker of histories, and what it says of the library in trouble. */
import { assert, assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import { MemoryProvider } from "../providers/memory.ts";
import { BROKEN } from "./chaos/broken.ts";
import {
  check,
  type CheckOptions,
  type Deed,
  type Listing,
  type Sight,
  type Violation,
} from "./chaos/history.ts";
import { play, type Scenario, titleOf } from "./chaos/scenario.ts";
import { SCENARIOS } from "./chaos/scenarios.ts";
import { type Report, Stage } from "./chaos/stage.ts";

/** How long a calm of the short run lasts, in seconds. */
const CALM = 1;

const SIGNED_IN = deed("sign-in", 0, { id: "a" });

/** One request of Ada's, a millisecond long unless told. */
function deed(
  kind: Deed["kind"],
  began: number,
  fields: Partial<Deed> = {},
): Deed {
  return {
    kind,
    session: "laptop",
    principal: "ada",
    node: "one",
    began,
    ended: began + 1,
    outcome: "acknowledged",
    ...fields,
  };
}

/** A look at Ada's session. */
function look(began: number, sight: Partial<Sight> = {}): Deed {
  const saw = {
    principal: "ada",
    session: "laptop",
    log: [],
    puts: {},
    ...sight,
  };
  return deed("look", began, { saw });
}

function found(
  deeds: readonly Deed[],
  options: CheckOptions & { readonly listings?: readonly Listing[] } = {},
): string[] {
  const { listings = [], ...rest } = options;
  const history = { deeds: [SIGNED_IN, ...deeds], listings };
  return check(history, rest).map(({ kind }) => kind);
}

describe("the checker of histories", () => {
  const append = deed("append", 10, { value: "x" });
  const failed = { outcome: "failed" } as const;
  const nothing = { saw: null, outcome: "refused" } as const;

  it("finds an acknowledged append that is not there", () => {
    assertEquals(found([append, look(20)]), ["lost"]);
    assertEquals(found([append, look(20, { log: ["x"] })]), []);
  });

  it("tells of one violation once", () => {
    assertEquals(found([append, look(20), look(30)]), ["lost"]);
  });

  it("leaves open what failed, and what is under way", () => {
    const open = deed("append", 10, { value: "x", ...failed });
    assertEquals(found([open, look(20)]), []);
    assertEquals(found([open, look(20, { log: ["x"] })]), []);
    assertEquals(found([append, look(10.5)]), []);
    assertEquals(found([append, look(20)], { margin: 50 }), []);
  });

  it("finds what was appended twice, acknowledged or not", () => {
    const twice = look(20, { log: ["x", "x"] });
    const open = deed("append", 10, { value: "x", ...failed });
    assertEquals(found([append, twice]), ["twice"]);
    assertEquals(found([open, twice]), ["twice"]);
  });

  it("finds what was refused and is there, and what nobody wrote", () => {
    const refused = deed("append", 10, { value: "x", outcome: "refused" });
    assertEquals(found([refused, look(20, { log: ["x"] })]), ["undone"]);
    assertEquals(found([look(20, { puts: { tab: "y" } })]), ["undone"]);
  });

  const put = (began: number, value: string, fields: Partial<Deed> = {}) =>
    deed("put", began, { key: "tab", value, ...fields });
  const holds = (began: number, tab: string) => look(began, { puts: { tab } });

  it("finds a key that was overwritten by an older value", () => {
    assertEquals(found([put(10, "x"), put(20, "y"), holds(30, "x")]), ["lost"]);
    assertEquals(found([put(10, "x"), put(20, "y"), holds(30, "y")]), []);
    assertEquals(found([put(10, "x"), look(30)]), ["lost"]);
  });

  it("finds a write that comes after it was given up", () => {
    const writes = [put(10, "x", failed), put(20, "y")];
    assertEquals(found([...writes, holds(30, "x")]), ["late"]);
    assertEquals(
      found([put(20, "y"), put(25, "x", failed), holds(30, "x")]),
      [],
    );
  });

  it("finds an answer that is somebody else's", () => {
    assertEquals(found([look(10, { principal: "bob" })]), ["mixed"]);
    assertEquals(found([look(10, { session: "phone" })]), ["mixed"]);
  });

  it("finds a session that opens after it was signed out", () => {
    assertEquals(found([deed("sign-out", 10), look(20)]), ["revived"]);
    assertEquals(found([deed("sign-out", 10, failed), look(20)]), []);
    assertEquals(found([deed("sign-out", 10), look(10.5)]), []);
    const everywhere = { session: "phone" };
    assertEquals(
      found([deed("sign-out-everywhere", 10, everywhere), look(20)]),
      ["revived"],
    );
    // Of the moment of the sign-in: it may be one of them or not.
    assertEquals(
      found([deed("sign-out-everywhere", 0.5, everywhere), look(20)]),
      [],
    );
  });

  it("finds a session that nobody ended and that opens nothing", () => {
    assertEquals(found([deed("look", 10, nothing)]), ["signed-out"]);
    const over = deed("sign-out", 5, failed);
    assertEquals(found([over, deed("look", 10, nothing)]), []);
    const ahead = { ahead: ["one"] };
    assertEquals(found([deed("look", 10, nothing)], ahead), []);
    // It was over before there was anything to end.
    const before = deed("sign-out-everywhere", -10, failed);
    assertEquals(found([before, deed("look", 10, nothing)]), ["signed-out"]);
  });

  it("finds lists that do not agree with what opens", () => {
    const lists = (listed: string[], opened: string[]) =>
      found([], { listings: [{ principal: "ada", listed, opened }] });
    assertEquals(lists(["a"], ["a"]), []);
    assertEquals(lists([], ["a"]), ["unlisted"]);
    assertEquals(lists(["a"], []), ["listed"]);
    assertEquals(lists(["b"], []), ["listed"]);
  });

  it("allows for a session of each sign-in that failed", () => {
    const signIn = deed("sign-in", 1, { session: "phone", ...failed });
    const listings = [{ principal: "ada", listed: ["b"], opened: [] }];
    assertEquals(found([signIn], { listings }), []);
  });

  it("finds requests that fail though they need not, or take too long", () => {
    const kinds = ["look"] as const;
    const serves = { kinds, from: 0, to: 20 };
    assertEquals(found([deed("look", 10, failed)], { serves }), ["unserved"]);
    assertEquals(found([deed("put", 10, failed)], { serves }), []);
    assertEquals(found([deed("look", 30, failed)], { serves }), []);
    assertEquals(found([deed("look", 30)], { patience: 0.5 }), [
      "stuck",
      "stuck",
    ]);
  });
});

/** What is found out about a provider when nothing else is wrong. */
async function reportOn(
  provider: MemoryProvider | object,
  seed = 1,
): Promise<Report> {
  const stage = new Stage(0.4, seed);
  try {
    await stage.begin({
      open: () => ({
        provider: provider as MemoryProvider,
        close: () => Promise.resolve(),
      }),
    });
    return await stage.end();
  } finally {
    await stage.close();
  }
}

/** How often browsers try to find out what is wrong with a provider. */
const MAX_RUNS = 10;

describe("browsers on a provider in memory", () => {
  it("find nothing wrong with one that is right", async () => {
    const { violations, failed, acknowledged } = await reportOn(
      new MemoryProvider(),
    );
    assertEquals(violations, []);
    assertEquals([failed, acknowledged > 100], [0, true]);
  });

  for (const [name, { kind, make }] of Object.entries(BROKEN)) {
    it(`find out one that ${name}`, async () => {
      // What some of them do wrong takes two requests that happen to meet.
      const kinds = new Set<string>();
      for (let run = 1; run <= MAX_RUNS && !kinds.has(kind); run++) {
        const { violations } = await reportOn(make(), run);
        for (const violation of violations) kinds.add(violation.kind);
      }
      assert(kinds.has(kind), [...kinds].join());
    });
  }
});

const short = SCENARIOS.filter(({ isShort }) => isShort);
const missing = short.flatMap(({ missing = [] }) => missing);
for (const what of new Set(missing)) {
  console.log(`Tests of stores in trouble are skipped: ${what}`);
}

/** What a machine can bring about that stops for a second at the wrong moment. */
const OF_TIME: ReadonlySet<string> = new Set(["stuck", "unserved", "untold"]);

/** What is wrong with a scenario; what only took too long has to do so again. */
async function faultsOf(scenario: Scenario): Promise<readonly Violation[]> {
  const { faults } = await play(scenario, { seconds: CALM, seed: 1 });
  if (faults.length === 0 || faults.some(({ kind }) => !OF_TIME.has(kind))) {
    return faults;
  }
  console.log(`Played again: ${titleOf(scenario)}`, faults);
  return (await play(scenario, { seconds: CALM, seed: 2 })).faults;
}

describe("the library on a store in trouble", () => {
  for (const scenario of short) {
    const options = { skip: scenario.missing ?? false };
    it(`keeps its promises: ${titleOf(scenario)}`, options, async () => {
      assertEquals(await faultsOf(scenario), []);
    });
  }
});
