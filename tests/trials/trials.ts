/** Everything that is tried, in the words of the page. */
import type { Handle, Handler } from "./contract.ts";
import { Browser, clock, Lab } from "./lab.ts";

/** What came out: yes, no, or what is read. */
export type Cell = boolean | string | number;

/** One row of the page. */
export interface Trial {
  readonly id: string;
  /** What was done, and what counts as yes. */
  readonly row: string;
  /** Whether it makes no sense where there is no store. */
  readonly needsStore?: boolean;
  /** Whether the machine has a say in it. */
  readonly isTimed?: boolean;
  /** @param ada A browser whose user is signed in. */
  readonly run: (lab: Lab, ada: Browser) => Cell | Promise<Cell>;
}

const trial = (
  id: string,
  row: string,
  run: Trial["run"],
  flags: Pick<Trial, "needsStore" | "isTimed"> = {},
): Trial => ({ id, row, run, ...flags });

const stored = { needsStore: true }, slow = { ...stored, isTimed: true };

/** Has requests of one browser load their session, and go on together. */
async function together(browser: Browser, works: readonly Handler[]) {
  const all = Promise.withResolvers<void>();
  let missing = works.length;
  await Promise.all(works.map((work) =>
    browser.send(async (session) => {
      await session.user();
      if (--missing === 0) all.resolve();
      await all.promise;
      return await work(session);
    })
  ));
}

async function increment(session: Handle): Promise<unknown> {
  if (session.increment) return await session.increment("n");
  return session.set("n", Number(await session.get("n") ?? 0) + 1);
}

const set = (key: string, value: unknown): Handler => (session) =>
  session.set(key, value);

/** One request every five minutes, from each browser in turn. */
async function goOn(hours: number, ...browsers: Browser[]): Promise<void> {
  for (let count = 0; count < hours * 12; count++) {
    clock.pass(300);
    for (const browser of browsers) await browser.send(set("a", count));
  }
}

/** Seconds of twenty requests at once, on a store that takes 100 ms a call. */
async function timed(lab: Lab, ada: Browser, work: (index: number) => Handler) {
  lab.store.latency = 100;
  const start = performance.now();
  await together(ada, Array.from({ length: 20 }, (_, index) => work(index)));
  return Math.round((performance.now() - start) / 100) / 10;
}

async function keeps(ada: Browser, length: number): Promise<Cell> {
  const { status } = await ada.send(set("a", "x".repeat(length)));
  const found = await ada.send(async (session) =>
    String(await session.get("a")).length
  );
  if (found.value === length) return true;
  return status < 500 ? "lost" : "refused";
}

async function callsOf({ store }: Lab, ada: Browser, handler: Handler) {
  store.reads = store.writes = 0;
  await ada.send(handler);
  return store.reads + store.writes;
}

/** Whether a form of another origin changes nothing. */
async function isRefused(ada: Browser, from: "same" | "cross") {
  // The answer's cookies are kept: the browser is the same.
  await ada.send(set("a", 1), "POST", from);
  return await ada.isIn() && await ada.get("a") !== 1;
}

/** All trials by the headings of the page, in its order. */
export const groups: Readonly<Record<string, readonly Trial[]>> = {
  "Requests at the same time": [
    trial("keys", "Two write two keys: both are kept", async (_, ada) => {
      await together(ada, [set("a", 1), set("b", 1)]);
      return await ada.get("a") === 1 && await ada.get("b") === 1;
    }),
    trial(
      "increments",
      "Ten increment a number by the library's own means: none is lost",
      async (_, ada) => {
        await together(ada, Array.from({ length: 10 }, () => increment));
        return await ada.get("n") === 10;
      },
    ),
    trial(
      "sign-out",
      "One signs out, another writes after that: signed out",
      async (_, ada) => {
        const copy = ada.copy();
        await ada.send(async (session) => {
          await session.user();
          await ada.send((other) => other.signOut());
          await session.set("a", 1);
        });
        return !(await ada.isIn()) && !(await copy.isIn());
      },
    ),
    trial(
      "slow-writes",
      "Twenty write a key each, each call of the store takes 0.1 s: seconds",
      (lab, ada) => timed(lab, ada, (index) => set(`key${index}`, 1)),
      slow,
    ),
    trial(
      "slow-increments",
      "The same with increments of one number: seconds",
      (lab, ada) => timed(lab, ada, () => increment),
      slow,
    ),
  ],
  "Cookies that somebody else has": [
    trial(
      "old-cookie",
      "A copy opens nothing after sign-out",
      async (_, ada) => {
        const copy = ada.copy();
        await ada.send((session) => session.signOut());
        return !(await copy.isIn());
      },
    ),
    trial(
      "fixation",
      "One planted before sign-in opens nothing after it",
      async (lab) => {
        const planter = new Browser(lab);
        await planter.send(set("a", 1));
        const ada = planter.copy();
        await ada.send((session) => session.signIn("ada", undefined));
        return await ada.isIn() && !(await planter.isIn());
      },
    ),
    trial(
      "kept-copy",
      "A copy is first used when its owner has gone on for three hours: refused",
      async (_, ada) => {
        const thief = ada.copy();
        await goOn(3, ada);
        return await ada.isIn() && !(await thief.isIn());
      },
    ),
    trial(
      "used-copy",
      "A copy is used beside its owner for three hours: refused in the end",
      async (_, ada) => {
        const thief = ada.copy();
        await goOn(3, ada, thief);
        return !(await thief.isIn());
      },
    ),
    trial(
      "leaked",
      "Whoever copied the store and every secret cannot sign in",
      async (lab) => {
        const { store, peer } = lab;
        const found = store.seen.flatMap((text) =>
          text.length < 64 ? [text] : text.match(/[\w-]{16,}/g) ?? []
        );
        const words = [...new Set(found)];
        const pairs = words.flatMap((a) => words.map((b) => a + b));
        for (const word of [...words, ...pairs]) {
          const cookie = await peer.forge?.(word);
          if (await new Browser(lab, cookie).isIn()) return false;
        }
        return true;
      },
      stored,
    ),
    trial(
      "forged",
      "With one letter changed it opens nothing, and is no server error",
      async (lab, { cookie }) => {
        for (const share of [0.3, 0.5, 0.7, 0.9]) {
          const at = Math.floor(cookie.length * share);
          const letter = cookie[at] === "x" ? "y" : "x";
          const changed = cookie.slice(0, at) + letter + cookie.slice(at + 1);
          const forger = new Browser(lab, changed);
          const { status, value } = await forger.send((it) => it.user());
          if (status >= 500 || value === "ada") return false;
        }
        return true;
      },
    ),
    trial(
      "cross-site",
      "A form of another site changes nothing",
      (_, ada) => isRefused(ada, "cross"),
    ),
    trial(
      "same-site",
      "Nor does one of another subdomain",
      (_, ada) => isRefused(ada, "same"),
    ),
  ],
  "Something fails": [
    trial(
      "down",
      "The store: status of a signed-in user's page",
      async ({ store }, ada) => {
        store.isDown = () => true;
        return (await ada.send((session) => session.user())).status;
      },
      stored,
    ),
    trial(
      "up-again",
      "Its reads, once: signed in again after that",
      async ({ store }, ada) => {
        store.isDown = (isWrite) => !isWrite;
        await ada.send((session) => session.user());
        store.isDown = () => false;
        return await ada.isIn();
      },
      stored,
    ),
    trial(
      "unwritten",
      "A write: the answer is an error",
      async ({ store }, ada) => {
        store.isDown = (isWrite) => isWrite;
        return (await ada.send(set("a", 1))).status >= 500;
      },
      stored,
    ),
    trial(
      "failed",
      "The handler, after a write: nothing is stored",
      async (_, ada) => {
        await ada.send(async (session) => {
          await session.set("a", 1);
          throw new Error("The handler fails");
        });
        return await ada.get("a") !== 1;
      },
    ),
  ],
  "Visitors, users and time": [
    trial(
      "visitor",
      "A visitor without data gets no cookie and no record",
      async (lab) => {
        lab.store.writes = 0;
        const visitor = new Browser(lab);
        await visitor.get("a");
        return visitor.cookie === "" && lab.store.writes === 0;
      },
    ),
    trial(
      "devices",
      "A user's sessions are listed, and all but one ended",
      async (lab, ada) => {
        const laptop = await lab.signedIn();
        const { value } = await ada.send((it) => it.endOthers?.());
        return value === 2 && await ada.isIn() && !(await laptop.isIn());
      },
    ),
    trial(
      "absolute",
      "A session in use all the time ends after twelve hours",
      async (_, ada) => {
        await goOn(11, ada);
        const isIn = await ada.isIn();
        await goOn(2, ada);
        return isIn && !(await ada.isIn());
      },
    ),
    trial(
      "remember",
      "One user is remembered for twenty days, another until the browser closes",
      async (lab) => {
        const ada = await lab.signedIn(true), bob = await lab.signedIn(false);
        const isRight = ada.isRemembered && !bob.isRemembered;
        clock.pass(20 * 86_400);
        return isRight && await ada.isIn();
      },
    ),
    trial(
      "cached",
      "A new cookie takes `public` off the answer",
      async (lab) => {
        lab.headers = { "cache-control": "public, max-age=60" };
        const { headers } = await new Browser(lab).send(set("a", 1));
        const says = headers.get("cache-control") ?? "";
        return headers.has("set-cookie") && !says.includes("public");
      },
    ),
    trial(
      "vary",
      "A page that looked into the session says so to caches",
      async (_, ada) => {
        const { headers } = await ada.send((session) => session.user());
        return /cookie/i.test(headers.get("vary") ?? "") ||
          /private|no-store/.test(headers.get("cache-control") ?? "");
      },
    ),
  ],
  "Values": [
    trial(
      "mutated",
      "A change inside a stored list, with no other call, is",
      async (_, ada) => {
        await ada.send(set("a", ["one"]));
        const { status } = await ada.send(async (session) => {
          (await session.get("a") as string[]).push("two");
        });
        if (status >= 500) return "refused";
        return (await ada.get("a") as string[]).length === 2 ? "kept" : "lost";
      },
    ),
    trial(
      "function",
      "A function is refused, not dropped",
      async (_, ada) =>
        (await ada.send(set("a", { call: () => 1 }))).status >= 500,
    ),
    trial("date", "A `Date` comes back as a `Date`", async (_, ada) => {
      const { status } = await ada.send(set("a", new Date(0)));
      if (status >= 500) return "refused";
      const found = await ada.send(async (session) =>
        await session.get("a") instanceof Date
      );
      return found.value === true;
    }),
    trial("5k", "5 kB stay", (_, ada) => keeps(ada, 5e3)),
    trial("100k", "100 kB stay", (_, ada) => keeps(ada, 1e5)),
  ],
  "What it costs, and where it runs": [
    trial(
      "read-calls",
      "Calls of the store by a page that reads",
      (lab, ada) => callsOf(lab, ada, (session) => session.user()),
      stored,
    ),
    trial(
      "write-calls",
      "By one that writes",
      (lab, ada) => callsOf(lab, ada, set("a", 1)),
      stored,
    ),
    trial(
      "cookie",
      "Bytes of a signed-in user's cookie",
      (_, { cookie }) => cookie.length,
    ),
    trial(
      "no-store",
      "No store needed: a second server knows the user",
      async ({ peer }) => {
        if (peer.stateless === "never") return false;
        await using one = await Lab.open(peer, true);
        await using two = await Lab.open(peer, true);
        return await new Browser(two, (await one.signedIn()).cookie).isIn();
      },
    ),
  ],
};

/** Runs a trial on a library, from nothing. */
export async function outcome(trial: Trial, peer: Lab["peer"]): Promise<Cell> {
  if (trial.needsStore && peer.stateless === "always") return "no store";
  clock.ahead = 0;
  await using lab = await Lab.open(peer, peer.stateless === "always");
  return await trial.run(lab, await lab.signedIn());
}

/** Whether a user is signed in, known and signed out. */
export async function works(peer: Lab["peer"]): Promise<boolean> {
  await using lab = await Lab.open(peer);
  const ada = await lab.signedIn();
  const isIn = await ada.isIn();
  await ada.send((session) => session.signOut());
  return isIn && !(await ada.isIn());
}
