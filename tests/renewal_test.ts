import {
  assert,
  assertEquals,
  assertFalse,
  assertNotEquals,
} from "@std/assert";
import { describe, it } from "node:test";
import { Manager, type Provider, type SessionEvent } from "../mod.ts";
import { idOf, mintToken } from "./_tokens.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { Browser, requestWith, signedIn, Site, START } from "./_browser.ts";
import { exploreThefts, signedInRecord } from "./_thefts.ts";

function isSignedIn(browser: Browser): Promise<boolean> {
  return browser.look((session) => session.principal === "ada");
}

describe("renewal", () => {
  it("gives the first request after renewInterval a new secret and the same id", async () => {
    const browser = await signedIn();
    const { token } = browser;
    browser.site.pass(899);
    await browser.visit();
    assertEquals(browser.token, token);
    browser.site.pass(1);
    const response = await browser.visit();
    assertNotEquals(browser.token, token);
    assertEquals(browser.token.slice(0, 24), token.slice(0, 24));
    assertEquals(response.headers.get("cache-control"), "no-store");
    assertEquals(browser.site.takeEvents(), ["renewed"]);
    assert(await isSignedIn(browser));
  });

  it("happens once in each renewInterval", async () => {
    const browser = await signedIn();
    for (let minute = 0; minute < 60; minute++) {
      browser.site.pass(60);
      await browser.visit();
    }
    assertEquals(browser.site.takeEvents(), Array(4).fill("renewed"));
  });

  it("writes what the request did in the same step", async () => {
    const browser = await signedIn();
    browser.site.pass(900);
    await browser.visit((session) => session.set("name", "Ada"));
    assertEquals(await browser.look((session) => session.get("name")), "Ada");
    assertEquals(browser.site.takeEvents(), ["renewed"]);
  });

  it("does not move the absolute timeout", async () => {
    const browser = await signedIn(new Site({ absoluteTimeout: 3600 }));
    for (let visit = 0; visit < 3; visit++) {
      browser.site.pass(1100);
      await browser.visit();
    }
    browser.site.pass(300);
    assertFalse(await isSignedIn(browser));
  });

  it("can be turned off", async () => {
    const browser = await signedIn(new Site({ renewInterval: 0 }));
    const { token } = browser;
    browser.site.pass(3000);
    await browser.visit();
    assertEquals(browser.token, token);
  });

  it("waits for a response that can carry the cookie", async () => {
    const browser = await signedIn();
    browser.site.pass(900);
    const session = await browser.look((session) => session);
    assertEquals(
      await browser.site.manager.commit(session, undefined),
      undefined,
    );
    assertEquals(browser.site.takeEvents(), []);
    await browser.visit();
    assertEquals(browser.site.takeEvents(), ["renewed"]);
  });

  it("keeps the old secret working until renewGrace after the first use of the new one", async () => {
    const browser = await signedIn();
    const old = new Browser(browser.site, browser.cookie);
    browser.site.pass(900);
    await browser.visit();
    browser.site.pass(500);
    assert(await isSignedIn(old));
    await browser.visit();
    browser.site.pass(29.999);
    assert(await isSignedIn(old));
    browser.site.pass(0.001);
    assertFalse(await isSignedIn(old));
  });

  it("signs nobody out when the response with the new cookie is lost", async () => {
    const browser = await signedIn();
    browser.site.pass(900);
    await new Browser(browser.site, browser.cookie).visit();
    for (let visit = 0; visit < 14; visit++) {
      browser.site.pass(60);
      await browser.visit();
      assert(await isSignedIn(browser));
    }
    const { token } = browser;
    browser.site.pass(60);
    await browser.visit();
    assertNotEquals(browser.token, token);
    for (let visit = 0; visit < 20; visit++) {
      browser.site.pass(60);
      await browser.visit();
      assert(await isSignedIn(browser));
    }
  });

  it("leaves alone the secret that another request has renewed", async () => {
    const browser = await signedIn();
    browser.site.pass(900);
    const late = await browser.look((session) => session);
    late.set("late", true);
    await browser.visit();
    const response = await browser.site.commit(late);
    assertEquals(response.headers.getSetCookie(), []);
    assertEquals(await browser.look((session) => session.get("late")), true);
    assertEquals(browser.site.takeEvents(), ["renewed"]);
  });

  it("lets an atomic update of the same request go on", async () => {
    const browser = await signedIn();
    browser.site.pass(900);
    await browser.visit(async (session) => {
      await session.update("count", () => 1);
    });
    assertEquals(browser.site.takeEvents(), ["renewed"]);
    assertEquals(await browser.look((session) => session.get("count")), 1);
  });
});

/** What is played is of the library alone: Deno plays all of it, Bun a part. */
const IS_PART = "Bun" in globalThis;

describe("renewal in every interleaving of three requests", () => {
  for (const jumpBefore of IS_PART ? [undefined] : [undefined, 1, 2]) {
    const when = jumpBefore === undefined
      ? "close together"
      : `with a pause longer than the grace before request ${jumpBefore + 1}`;
    it(`${when} signs nobody out and renews at most once`, async () => {
      const outcomes = await explore(jumpBefore);
      // The numbers only show that the search is not empty by mistake.
      assert(outcomes.runs > 5000, `${outcomes.runs} runs`);
      assert(outcomes.renewedRuns > 0 && outcomes.lostRuns > 0);
      assertEquals(outcomes.failures, []);
    });
  }
});

describe("a thief who copied the cookie", () => {
  /** Ticks between two requests of the owner, and the manager's options. */
  const sites = [
    { interval: 6, grace: 2, gap: 1 },
    { interval: 8, grace: 3, gap: 2 },
    { interval: 9, grace: 3, gap: 3 },
  ];

  it("and goes on as a browser would is out after renewInterval + renewGrace + one gap", async () => {
    for (const site of sites) {
      const { longest, plays } = await exploreThefts({
        ...site,
        thief: "goes on",
      });
      assert(plays > 100, `${plays} plays`);
      assertEquals(longest, site.interval + site.grace + site.gap);
    }
  });

  it("is out after 2 renewInterval + renewGrace + two gaps, whatever they do", async () => {
    // Smaller ones: there is more to do, and each situation is played.
    const smaller = [
      { interval: 4, grace: 1, gap: 1 },
      { interval: 5, grace: 2, gap: 1 },
      { interval: 4, grace: 2, gap: 2 },
    ];
    for (const site of IS_PART ? smaller.slice(0, 1) : smaller) {
      const { longest, plays } = await exploreThefts({
        ...site,
        thief: "does anything",
      });
      assert(plays > 1000, `${plays} plays`);
      const bound = 2 * site.interval + site.grace;
      assert(longest <= bound + 2 * site.gap, `${longest} of ${bound}`);
      // Nothing shorter would be true: some thief comes close.
      assert(longest >= bound - site.gap, `${longest} of ${bound}`);
    }
  });
});

interface Outcomes {
  runs: number;
  renewedRuns: number;
  lostRuns: number;
  readonly failures: string[];
}

/** Follows every order in which the steps of three requests can happen. */
async function explore(jumpBefore: number | undefined): Promise<Outcomes> {
  const outcomes: Outcomes = {
    runs: 0,
    renewedRuns: 0,
    lostRuns: 0,
    failures: [],
  };
  const race = new Race(jumpBefore);
  const choices: { taken: number; of: number }[] = [];
  for (;;) {
    let depth = 0;
    await race.run((of) => {
      if (depth === choices.length) choices.push({ taken: 0, of });
      return choices[depth++]!.taken;
    });
    outcomes.runs++;
    if (race.renewals > 0) outcomes.renewedRuns++;
    if (race.isLost) outcomes.lostRuns++;
    const failure = await race.failure();
    if (failure !== undefined) {
      outcomes.failures.push(`${failure}: ${race.trace.join(", ")}`);
    }
    while (
      choices.length > 0 && choices.at(-1)!.taken + 1 === choices.at(-1)!.of
    ) {
      choices.pop();
    }
    if (choices.length === 0 || outcomes.failures.length > 5) return outcomes;
    choices.at(-1)!.taken++;
  }
}

interface Actor {
  readonly manager: Manager;
  /** The provider call that waits for its turn. */
  turn: (() => void) | undefined;
  response: Response | undefined;
  state: "unsent" | "sent" | "answered" | "over";
}

/**
 * Three requests of one browser over one renewal, each through a manager of its
 * own on one provider. Every call of the provider waits until it is chosen.
 */
class Race {
  readonly trace: string[] = [];
  renewals = 0;
  isLost = false;
  readonly #jumpBefore: number | undefined;
  readonly #provider = new MemoryProvider();
  readonly #actors: readonly Actor[];
  readonly #observer: Manager;
  readonly #refused: SessionEvent[] = [];
  #now = 0;
  #cookie = "";

  constructor(jumpBefore: number | undefined) {
    this.#jumpBefore = jumpBefore;
    this.#actors = [0, 1, 2].map((index) => this.#actor(index));
    this.#observer = this.#managerOf(this.#provider);
  }

  async run(choose: (of: number) => number): Promise<void> {
    this.#reset();
    for (;;) {
      const steps = this.#steps();
      if (steps.length === 0) return;
      const [name, step] = steps[choose(steps.length)]!;
      this.trace.push(name);
      this.#now += 1000;
      await step();
    }
  }

  /** What went wrong: the browser must go on being signed in, for hours. */
  async failure(): Promise<string | undefined> {
    if (this.renewals > 1) return `${this.renewals} renewals`;
    for (const pause of [0, 1, 31, 60, 900, 31, 900, 31]) {
      this.#now += pause * 1000;
      const session = await this.#observer.start(requestWith(this.#cookie));
      if (session.principal !== "ada") return `signed out after ${pause} s`;
      this.#keep(await this.#observer.commit(session, new Response()));
    }
    return this.#refused.length > 0 ? "refused" : undefined;
  }

  #steps(): [string, () => Promise<void> | void][] {
    const steps: [string, () => Promise<void> | void][] = [];
    for (const [index, actor] of this.#actors.entries()) {
      if (actor.state === "unsent") {
        steps.push([`send ${index}`, () => this.#send(index)]);
        // The requests are alike, so one order of sending stands for all.
        break;
      }
      if (actor.turn !== undefined) {
        steps.push([`store ${index}`, () => this.#takeTurn(actor)]);
      }
      if (actor.state === "answered") {
        steps.push([`deliver ${index}`, () => this.#deliver(actor, true)]);
        steps.push([`lose ${index}`, () => this.#deliver(actor, false)]);
      }
    }
    return steps;
  }

  #reset(): void {
    const token = mintToken();
    this.#now = START;
    this.#provider.clear();
    this.#provider.create(idOf(token), signedInRecord(token), START);
    this.#now = START + 900_000;
    this.#cookie = `__Host-id=${token}`;
    this.trace.length = 0;
    this.renewals = 0;
    this.isLost = false;
    this.#refused.length = 0;
    for (const actor of this.#actors) actor.state = "unsent";
  }

  async #send(index: number): Promise<void> {
    if (index === this.#jumpBefore) this.#now += 40_000;
    const actor = this.#actors[index]!;
    actor.state = "sent";
    const handle = actor.manager.handle(() => new Response());
    handle(requestWith(this.#cookie)).then((response) => {
      actor.response = response;
      const isCarrying = response.headers.has("set-cookie");
      actor.state = isCarrying ? "answered" : "over";
    });
    await this.#settle(actor);
  }

  async #takeTurn(actor: Actor): Promise<void> {
    const { turn } = actor;
    actor.turn = undefined;
    turn?.();
    await this.#settle(actor);
  }

  #deliver(actor: Actor, arrives: boolean): void {
    actor.state = "over";
    if (arrives) this.#keep(actor.response!);
    else this.isLost = true;
  }

  /** Waits until a request needs its next turn, or has its answer. */
  async #settle(actor: Actor): Promise<void> {
    for (let turn = 0; turn < 100; turn++) {
      if (actor.turn !== undefined || actor.state !== "sent") return;
      await Promise.resolve();
    }
    throw new Error("a request hangs");
  }

  #keep(response: Response): void {
    const [cookie] = response.headers.getSetCookie();
    if (cookie !== undefined) this.#cookie = cookie.split(";")[0]!;
  }

  #actor(index: number): Actor {
    const gated = new Proxy(this.#provider, {
      get: (provider, name) => {
        const method = (provider as Provider)[name as keyof Provider];
        if (typeof method !== "function" || name === "observe") {
          return undefined;
        }
        return (...args: never[]) =>
          new Promise((resolve) => {
            this.#actors[index]!.turn = () =>
              resolve((method as (...args: never[]) => unknown).apply(
                provider,
                args,
              ));
          });
      },
    });
    return {
      manager: this.#managerOf(gated, true),
      turn: undefined,
      response: undefined,
      state: "over",
    };
  }

  #managerOf(provider: Provider, isCounted = false): Manager {
    return new Manager({
      provider,
      gcInterval: 0,
      touchInterval: 0,
      // Far beyond the test: a call waits for its turn, not for the clock.
      timeout: 2_000_000,
      now: () => this.#now,
      onEvent: (event) => {
        if (event.type === "renewed") this.renewals += isCounted ? 1 : 0;
        else this.#refused.push(event);
      },
    });
  }
}
