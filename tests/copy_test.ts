import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import fc from "fast-check";
import { describe, it } from "node:test";
import { setImmediate } from "node:timers";
import { inspect } from "node:util";
import {
  copy,
  type CopyOptions,
  type CopyProgress,
} from "../core/store/copy.ts";
import { SessionError } from "../core/errors.ts";
import type {
  NewSessionRecord,
  Provider,
  ScanPage,
  SessionChange,
  SessionRecord,
} from "../core/provider.ts";
import { expiryOf } from "../core/store/record.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { shape, storedData } from "./_arbitraries.ts";
import { Browser, Site } from "./_browser.ts";
import { inheriting } from "./_pollution.ts";
import {
  makeData,
  makeFamily,
  makeHash,
  makeId,
  makeRecord,
  type RecordOptions,
  START,
} from "./_records.ts";

const ID = makeId(1);
const SECRET = makeHash("secret");

type Intercepted = "create" | "read" | "update";

/** Memory that can be interfered with, scanned in the order of its ids. */
class Store extends MemoryProvider {
  readonly #ids = new Set<string>();
  readonly #before: Partial<Record<Intercepted, () => void>> = {};

  /** Does something right before the next call of a method. */
  before(name: Intercepted, run: () => void): void {
    this.#before[name] = run;
  }

  override create(id: string, record: NewSessionRecord, now: number): boolean {
    this.#take("create");
    this.#ids.add(id);
    return super.create(id, record, now);
  }

  override read(id: string, now: number): SessionRecord | undefined {
    this.#take("read");
    return super.read(id, now);
  }

  override update(...args: Parameters<MemoryProvider["update"]>) {
    this.#take("update");
    return super.update(...args);
  }

  override scan(cursor = "", limit: number, now: number): ScanPage {
    const ids = [...this.#ids].sort().filter((id) => id > cursor);
    const page = ids.slice(0, limit);
    const sessions = page.flatMap((id) => {
      const record = super.read(id, now);
      return record === undefined ? [] : [{ id, record }];
    });
    const next = ids.length > limit ? page.at(-1) : undefined;
    return { sessions, next, total: this.#ids.size };
  }

  /** The record as a request would find it now. */
  live(id = ID, now = START): SessionRecord {
    const record = super.read(id, now);
    assert(record !== undefined);
    return record;
  }

  /** Changes a session as a request would. */
  change(change: SessionChange, { id = ID, now = START } = {}): void {
    const { family } = this.live(id, now);
    assertEquals(super.update(id, change, { family }, now), "done");
  }

  /** Ends a session as an administrator would. */
  end(id = ID): void {
    assertEquals(super.destroy(id, {}, START), "done");
  }

  #take(name: Intercepted): void {
    const run = this.#before[name];
    delete this.#before[name];
    run?.();
  }
}

function storeOf(count: number, options: RecordOptions = {}): Store {
  const store = new Store();
  for (let number = 1; number <= count; number++) {
    store.create(makeId(number), makeRecord(options), START);
  }
  return store;
}

/** A copy at the instant `START`, unless told. */
function copyNow(
  from: Provider,
  to: Store,
  options: CopyOptions = {},
): Promise<CopyProgress> {
  return copy(from, to, { now: () => START, ...options });
}

/** The counts that are not zero. */
function countsOf(progress: CopyProgress): Record<string, number> {
  const { copied, refreshed, unchanged, kept, skipped } = progress;
  const counts = { copied, refreshed, unchanged, kept, skipped };
  return Object.fromEntries(
    Object.entries(counts).filter(([, count]) => count > 0),
  );
}

/** A store and its copy, one session in each. */
async function copiedPair(
  options: RecordOptions = {},
): Promise<[Store, Store]> {
  const pair: [Store, Store] = [storeOf(1, options), new Store()];
  await copyNow(...pair);
  return pair;
}

/** A record with every field that there is, none as it would be by default. */
function fullRecord(): Required<NewSessionRecord> {
  return {
    secretHash: makeHash("full"),
    family: makeFamily("full"),
    data: makeData([["cart", ["coat"]], ["at", new Date(0)]]),
    previous: {
      secretHash: makeHash("old"),
      family: makeFamily("secret"),
      until: START + 1000,
    },
    renewedAt: START - 1,
    principal: "ada",
    label: "Laptop",
    authenticatedAt: START - 2,
    fingerprint: "what it looks like",
    binding: "bound",
    createdAt: START - 3,
    accessedAt: START - 1,
    idleTimeout: 60,
    absoluteTimeout: 120,
    persistent: true,
  };
}

describe("a copy into an empty store", () => {
  it("brings every session with everything that it holds", async () => {
    const from = storeOf(3, fullRecord());
    const to = new Store();
    assertEquals(countsOf(await copyNow(from, to)), { copied: 3 });
    for (const number of [1, 2, 3]) {
      const id = makeId(number);
      assertEquals(to.live(id), from.live(id));
    }
  });

  it("begins with version 1 whatever the original's is", async () => {
    const from = storeOf(1);
    from.change({});
    const to = new Store();
    await copyNow(from, to);
    assertEquals([from.live().version, to.live().version], [2, 1]);
  });

  it("brings whatever data there is", async () => {
    await fc.assert(fc.asyncProperty(storedData, async (data) => {
      const [from, to] = await copiedPair({ data });
      assertEquals(shape(to.live().data), shape(data));
      assertEquals(countsOf(await copyNow(from, to)), { unchanged: 1 });
    }));
  });

  it("leaves out what has expired", async () => {
    const from = storeOf(2);
    from.change({ idleTimeout: 0.001 });
    const to = new Store();
    const progress = await copyNow(from, to, { now: () => START + 1 });
    assertEquals(countsOf(progress), { copied: 1 });
    assertStrictEquals(to.read(ID, START), undefined);
  });

  it("leaves out what expires while it is under way", async () => {
    const from = storeOf(1, { idleTimeout: 0.002 });
    const to = new Store();
    let now = START;
    const progress = await copyNow(from, to, { now: () => now++ });
    assertEquals(countsOf(progress), { kept: 1 });
    assertStrictEquals(to.read(ID, START), undefined);
  });

  it("leaves out what a wrong clock dated a year ahead", async () => {
    const ahead = START + 365 * 86_400_000;
    const from = storeOf(1, { createdAt: ahead, accessedAt: ahead });
    // A store that answers it all the same.
    const record = Object.freeze({
      ...makeRecord({ createdAt: ahead, accessedAt: ahead }),
      version: 1,
    });
    from.scan = () => ({ sessions: [{ id: ID, record }] });
    assertEquals(countsOf(await copyNow(from, new Store())), { kept: 1 });
  });

  it("changes nothing in the other one", async () => {
    const from = storeOf(1, fullRecord());
    const before = from.live();
    await copyNow(from, new Store());
    assertStrictEquals(from.live(), before);
  });

  it("copies a session once that the store names twice", async () => {
    const from = storeOf(1);
    const scan = from.scan.bind(from);
    from.scan = (...args) => {
      const page = scan(...args);
      return { ...page, sessions: [...page.sessions, ...page.sessions] };
    };
    const progress = await copyNow(from, new Store());
    assertEquals(countsOf(progress), { copied: 1, unchanged: 1 });
  });
});

describe("a browser whose session was moved", () => {
  /** Moves a browser's session as it is now. */
  async function moved(browser: Browser, from: Store): Promise<Browser> {
    const to = new Store();
    const { now } = browser.site;
    await copy(from, to, { now: () => now });
    const site = new Site({ provider: to });
    site.now = now;
    return new Browser(site, browser.cookie);
  }

  async function signedIn(): Promise<[Browser, Store]> {
    const from = new Store();
    const browser = new Browser(new Site({ provider: from }));
    await browser.visit((session) => {
      session.signIn("ada");
      session.set("cart", ["coat"]);
    });
    return [browser, from];
  }

  it("is signed in with all its data", async () => {
    const browser = await moved(...await signedIn());
    await browser.visit((session) => {
      assertEquals(session.principal, "ada");
      assertEquals(session.get("cart"), ["coat"]);
    });
  });

  it("may come with the old secret while the new one is unused", async () => {
    const [browser, from] = await signedIn();
    const { cookie } = browser;
    browser.site.pass(900);
    await browser.visit();
    browser.cookie = cookie;
    const after = await moved(browser, from);
    await after.visit((session) => assertEquals(session.principal, "ada"));
    assertEquals(after.site.takeEvents(), []);
  });

  it("is still recognised by a copied cookie", async () => {
    const [browser, from] = await signedIn();
    const { cookie } = browser;
    browser.site.pass(900);
    await browser.visit();
    await browser.visit();
    browser.site.pass(300);
    browser.cookie = cookie;
    const after = await moved(browser, from);
    await after.visit((session) => assert(session.isNew));
    assert(after.site.takeEvents().includes("reused"));
  });

  it("ends when it would have ended", async () => {
    const [browser, from] = await signedIn();
    browser.site.pass(1000);
    for (const [seconds, isOver] of [[2599, false], [2600, true]] as const) {
      const after = await moved(browser, from);
      after.site.pass(seconds);
      assertEquals(await after.look((session) => session.isNew), isOver);
    }
  });
});

describe("a copy into a store that has the session", () => {
  it("leaves a copy as it is when nothing has changed", async () => {
    const [from, to] = await copiedPair(fullRecord());
    const before = to.live();
    assertEquals(countsOf(await copyNow(from, to)), { unchanged: 1 });
    assertStrictEquals(to.live(), before);
  });

  it("brings every change of the original", async () => {
    const [from, to] = await copiedPair({
      data: makeData([["kept", 1], ["changed", 1], ["removed", 1]]),
    });
    from.change({
      set: makeData([["changed", 2], ["added", 2]]),
      delete: ["removed"],
      ...fullChange(),
    }, { now: START + 1 });
    assertEquals(countsOf(await copyNow(from, to)), { refreshed: 1 });
    assertEquals(to.live(), from.live());
  });

  it("forgets what the original has forgotten", async () => {
    const [from, to] = await copiedPair(fullRecord());
    const forgotten: Forgotten = {
      previous: null,
      principal: null,
      label: null,
      authenticatedAt: null,
      fingerprint: null,
      binding: null,
    };
    from.change(forgotten);
    await copyNow(from, to);
    assertEquals(to.live(), from.live());
  });

  it("moves the deadline when the original was only read", async () => {
    const [from, to] = await copiedPair();
    from.touch(ID, START + 1);
    assertEquals(countsOf(await copyNow(from, to)), { refreshed: 1 });
    assertEquals(to.live(), from.live());
  });

  it("keeps what was changed there, even when the original is newer", async () => {
    const [from, to] = await copiedPair();
    to.change({ set: makeData([["name", "Ada"]]) });
    from.change({ set: makeData([["name", "Eve"]]) }, { now: START + 5 });
    const before = to.live();
    assertEquals(countsOf(await copyNow(from, to)), { kept: 1 });
    assertStrictEquals(to.live(), before);
  });

  it("keeps the later use of a copy that was read there", async () => {
    const [from, to] = await copiedPair();
    from.change({ set: makeData([["name", "Ada"]]) }, { now: START + 1 });
    to.touch(ID, START + 5);
    assertEquals(countsOf(await copyNow(from, to)), { refreshed: 1 });
    const { data, accessedAt } = to.live();
    assertEquals([data["name"], accessedAt], ["Ada", START + 5]);
  });

  it("dates a copy with the original's last use, not with its own clock", async () => {
    const [from, to] = await copiedPair();
    from.change({ set: makeData([["name", "Ada"]]) }, { now: START + 1 });
    await copyNow(from, to, { now: () => START + 9000 });
    assertEquals(to.live().accessedAt, START + 1);
  });

  it("brings an idle timeout that is shorter than the copy's", async () => {
    const [from, to] = await copiedPair();
    from.change({ idleTimeout: 60 });
    to.touch(ID, START + 5);
    await copyNow(from, to);
    assertEquals(expiryOf(to.live()), START + 60_005);
  });

  it("keeps a token that was confirmed there in the middle of it", async () => {
    const waiting = {
      secretHash: makeHash("old"),
      family: makeFamily("secret"),
      until: "confirmed",
    } as const;
    const [from, to] = await copiedPair({ previous: waiting });
    from.change({ set: makeData([["name", "Eve"]]) });
    // The version is that of another instance which began at 1 again.
    const { version } = to.live();
    to.before("update", () => {
      to.end();
      const previous = { ...waiting, until: START + 1000 };
      to.create(ID, makeRecord({ previous }), START);
      assertEquals(to.live().version, version);
    });
    assertEquals(countsOf(await copyNow(from, to)), { kept: 1 });
    assertEquals(to.live().previous?.until, START + 1000);
  });

  it("keeps a token that was renewed there in the middle of it", async () => {
    const [from, to] = await copiedPair();
    from.change({ ...fullChange(), set: makeData([["name", "Eve"]]) });
    const { version } = to.live();
    to.before("update", () => {
      to.end();
      to.create(ID, makeRecord({ secretHash: makeHash("renewed") }), START);
      assertEquals(to.live().version, version);
    });
    assertEquals(countsOf(await copyNow(from, to)), { kept: 1 });
    assertEquals(to.live().secretHash, makeHash("renewed"));
  });

  it("keeps what is changed there in the middle of it", async () => {
    const [from, to] = await copiedPair();
    from.change({ set: makeData([["name", "Eve"]]) });
    to.before("update", () => {
      to.change({ set: makeData([["name", "Ada"]]) });
    });
    assertEquals(countsOf(await copyNow(from, to)), { kept: 1 });
    assertEquals(to.live().data["name"], "Ada");
  });

  it("does not revive what is destroyed there in the middle of it", async () => {
    for (const call of ["read", "update"] as const) {
      const [from, to] = await copiedPair();
      from.change({ set: makeData([["name", "Eve"]]) });
      to.before(call, () => to.end());
      assertEquals(countsOf(await copyNow(from, to)), { kept: 1 });
      assertStrictEquals(to.read(ID, START), undefined);
    }
  });

  it("leaves it alone when the original ends in the middle of it", async () => {
    const [from, to] = await copiedPair();
    from.change({ set: makeData([["name", "Eve"]]) });
    from.before("read", () => from.end());
    assertEquals(countsOf(await copyNow(from, to)), { kept: 1 });
    assertEquals(to.live().version, 1);
  });

  it("brings no state older than what another run has brought", async () => {
    const from = storeOf(1);
    const to = new Store();
    to.before("create", () => {
      // The other run reads and writes after this one has read.
      from.change({ set: makeData([["name", "Ada"]]) });
      to.create(ID, makeRecord({ ...from.live(), now: START }), START);
    });
    assertEquals(countsOf(await copyNow(from, to)), { unchanged: 1 });
    assertEquals(to.live().data["name"], "Ada");
  });

  it("keeps another session of the same id", async () => {
    const from = storeOf(1);
    const to = storeOf(1, { createdAt: START - 1, principal: "bob" });
    assertEquals(countsOf(await copyNow(from, to)), { kept: 1 });
    assertEquals(to.live().principal, "bob");
  });

  it("copies it anew when the copy has expired there", async () => {
    const [from, to] = await copiedPair({ idleTimeout: 0.001 });
    from.change({ idleTimeout: 9 });
    const progress = await copyNow(from, to, { now: () => START + 1 });
    assertEquals(countsOf(progress), { copied: 1 });
    assertEquals(to.live(ID, START + 1).idleTimeout, 9);
  });
});

/** A change of every field that a change can have. */
function fullChange(): Complete {
  return {
    secretHash: makeHash("new"),
    family: makeFamily("new"),
    previous: {
      secretHash: SECRET,
      family: makeFamily("secret"),
      until: "never",
    },
    renewedAt: START + 1,
    principal: "ada",
    label: "Laptop",
    authenticatedAt: START + 1,
    fingerprint: "what it looks like",
    binding: "bound",
    idleTimeout: 60,
    absoluteTimeout: 120,
    persistent: true,
  };
}

/** A change that forgets every field that can be forgotten. */
type Forgotten = {
  readonly [
    Key in keyof SessionChange as null extends SessionChange[Key] ? Key : never
  ]-?: null;
};

/** Every field named: a new one does not compile until it is copied. */
type Complete = {
  readonly [
    Key in Exclude<
      keyof SessionRecord,
      "data" | "version" | "createdAt" | "accessedAt"
    >
  ]-?: NonNullable<SessionRecord[Key]>;
};

describe("a copy that is repeated", () => {
  it("brings every change if it knows what earlier ones did", async () => {
    const [from, to] = await copiedPair();
    const refreshes = new Map<string, number>();
    for (const name of ["Ada", "Eve", "Bob"]) {
      from.change({ set: makeData([["name", name]]) });
      const progress = await copyNow(from, to, { refreshes });
      assertEquals(countsOf(progress), { refreshed: 1 });
    }
    assertEquals(to.live().data["name"], "Bob");
  });

  it("keeps what was changed there although it knows that", async () => {
    const [from, to] = await copiedPair();
    const refreshes = new Map<string, number>();
    from.change({ set: makeData([["name", "Eve"]]) });
    await copyNow(from, to, { refreshes });
    to.change({ set: makeData([["name", "Ada"]]) });
    from.change({ set: makeData([["name", "Bob"]]) });
    const progress = await copyNow(from, to, { refreshes });
    assertEquals(countsOf(progress), { kept: 1 });
    assertEquals(to.live().data["name"], "Ada");
  });

  it("keeps a copy of unknown history rather than lose work", async () => {
    const [from, to] = await copiedPair();
    from.change({ set: makeData([["name", "Ada"]]) });
    await copyNow(from, to);
    from.change({ set: makeData([["name", "Eve"]]) });
    assertEquals(countsOf(await copyNow(from, to)), { kept: 1 });
    assertEquals(to.live().data["name"], "Ada");
  });

  it("leaves out what was not used since five minutes before the last one", async () => {
    const from = storeOf(3, { accessedAt: START - 900_000 });
    const to = new Store();
    const { startedAt } = await copyNow(from, to, { now: () => START + 10 });
    const margin = startedAt - 5 * 60_000;
    from.touch(makeId(2), margin);
    from.touch(makeId(3), margin - 1);
    const progress = await copyNow(from, to, { since: startedAt });
    assertEquals(startedAt, START + 10);
    assertEquals(countsOf(progress), { refreshed: 1, unchanged: 2 });
    assertEquals(to.live(makeId(2)).accessedAt, margin);
  });

  it("does not revive what ended there and was not used since", async () => {
    const [from, to] = await copiedPair();
    to.end();
    const since = START + 5 * 60_000 + 1;
    assertEquals(countsOf(await copyNow(from, to, { since })), {
      unchanged: 1,
    });
    assertStrictEquals(to.read(ID, START), undefined);
  });
});

/** A signal that is given after some calls of `onProgress`. */
function stopAfter(batches: number): CopyOptions {
  const controller = new AbortController();
  let count = 0;
  return {
    signal: controller.signal,
    onProgress() {
      if (++count === batches) controller.abort(new Error("enough"));
    },
  };
}

describe("the progress of a copy", () => {
  it("is told after each batch, with what there is to do", async () => {
    const told: CopyProgress[] = [];
    await copyNow(storeOf(5), new Store(), {
      batch: 2,
      onProgress: (progress) => told.push(progress),
    });
    assertEquals(told.map(({ count }) => count), [2, 4, 5]);
    assertEquals(told.map(({ total }) => total), [5, 5, 5]);
    assertEquals(told.map(({ cursor }) => cursor), [
      makeId(2),
      makeId(4),
      undefined,
    ]);
  });

  it("counts each session once, whatever became of it", async () => {
    const from = storeOf(4);
    const to = new Store();
    to.create(makeId(2), makeRecord(), START);
    to.create(makeId(3), makeRecord({ createdAt: START - 1 }), START);
    const progress = await copyNow(from, to);
    assertEquals(countsOf(progress), { copied: 2, unchanged: 1, kept: 1 });
    assertEquals(progress.count, 4);
  });

  it("lets other work have its turn between two batches", async () => {
    const from = storeOf(3);
    const order: string[] = [];
    const next = () => {
      order.push("other work");
      if (order.length < 20) setImmediate(next);
    };
    setImmediate(next);
    await copyNow(from, new Store(), {
      batch: 1,
      onProgress: () => order.push("batch"),
    });
    const text = order.join(", ");
    assert(
      text.startsWith("batch, other work, batch, other work, batch"),
      text,
    );
  });

  it("ends where a signal stops it", async () => {
    const to = new Store();
    const options = { batch: 2, ...stopAfter(1) };
    const copying = () => copyNow(storeOf(5), to, options);
    await assertRejects(copying, Error, "enough");
    assertEquals(to.stats().sessions, 2);
  });

  it("says where to go on", async () => {
    const from = storeOf(5);
    const to = new Store();
    let cursor: string | undefined;
    const { signal, onProgress } = stopAfter(1);
    const options: CopyOptions = {
      batch: 2,
      signal,
      onProgress(progress) {
        cursor = progress.cursor;
        onProgress?.(progress);
      },
    };
    await assertRejects(() => copyNow(from, to, options), Error, "enough");
    const progress = await copyNow(from, to, { cursor });
    assertEquals(countsOf(progress), { copied: 3 });
    assertEquals(to.stats().sessions, 5);
  });

  it("does not go past a batch in which a store failed", async () => {
    const from = storeOf(5);
    const to = new Store();
    let cursor: string | undefined;
    const onProgress = (progress: CopyProgress) => {
      cursor = progress.cursor;
      to.before("create", () => {
        const query = "INSERT … 'hunter2'";
        throw Object.assign(new Error("disk on fire"), { query });
      });
    };
    const copying = () => copyNow(from, to, { batch: 2, onProgress });
    const error = await assertRejects(copying, SessionError, "disk on fire");
    assertEquals(error.code, "store-failed");
    // Clients hang what was written on their errors.
    assertFalse(inspect(error, { depth: 9 }).includes("hunter2"));
    assertEquals(cursor, makeId(2));
    await copyNow(from, to, { cursor });
    assertEquals(to.stats().sessions, 5);
  });
});

describe("a session that cannot be copied", () => {
  it("is named and skipped when it does not fit", async () => {
    const from = storeOf(3);
    const to = new Store({ maxBytes: 100 });
    from.change({ set: makeData([["a", "x".repeat(100)]]) });
    const skipped: unknown[] = [];
    const onSkip = (id: string, { code }: SessionError) => {
      skipped.push([id, code]);
    };
    const progress = await copyNow(from, to, { onSkip });
    assertEquals(countsOf(progress), { copied: 2, skipped: 1 });
    assertEquals(skipped, [[ID, "too-large"]]);
  });

  it("is named and skipped when it cannot be read", async () => {
    const from = storeOf(1);
    const scan = from.scan.bind(from);
    from.scan = (...args) => ({ ...scan(...args), unreadable: ["broken"] });
    const skipped: unknown[] = [];
    const onSkip = (id: string, { code }: SessionError) => {
      skipped.push([id, code]);
    };
    const progress = await copyNow(from, new Store(), { onSkip });
    assertEquals(countsOf(progress), { copied: 1, skipped: 1 });
    assertEquals(skipped, [["broken", "corrupt"]]);
  });

  it("is named and skipped when what is there cannot be read", async () => {
    const [from, to] = await copiedPair();
    from.change({ set: makeData([["name", "Ada"]]) });
    to.before("read", () => {
      throw new SessionError("corrupt", "Cannot decode session", { id: ID });
    });
    const skipped: unknown[] = [];
    const onSkip = (id: string, { code }: SessionError) => {
      skipped.push([id, code]);
    };
    const progress = await copyNow(from, to, { onSkip });
    assertEquals(countsOf(progress), { skipped: 1 });
    assertEquals(skipped, [[ID, "corrupt"]]);
  });

  it("is not skipped when the store fails in another way", async () => {
    const to = new Store();
    to.before("create", () => {
      throw new SessionError("closed", "Cannot use it: it is closed");
    });
    const copying = () => copyNow(storeOf(1), to);
    assertEquals((await assertRejects(copying, SessionError)).code, "closed");
  });
});

describe("a copy that makes no sense", () => {
  const refusals: Record<string, [CopyOptions, typeof TypeError]> = {
    "an option of another name": [{ size: 1 } as CopyOptions, TypeError],
    "a batch of none": [{ batch: 0 }, RangeError],
    "half a batch": [{ batch: 1.5 }, RangeError],
  };
  for (const [what, [options, errorClass]] of Object.entries(refusals)) {
    it(`is refused for ${what}`, async () => {
      const copying = () => copyNow(new Store(), new Store(), options);
      await assertRejects(copying, errorClass, "Cannot copy sessions");
    });
  }

  it("reads nothing from a prototype that was tampered with", async () => {
    const from = storeOf(2);
    const bare = { ...makeRecord(), version: 1 };
    const to = new Store();
    from.scan = () => ({ sessions: [{ id: ID, record: bare }] });
    const inherited = { since: Infinity, next: "more", principal: "admin" };
    // `copy` would go round for ever if it believed in a next page.
    const signal = AbortSignal.timeout(5000);
    const progress = await inheriting(
      { ...inherited, unreadable: ["nobody"], total: 9 },
      () => copyNow(from, to, { signal }),
    );
    assertEquals(countsOf(progress), { copied: 1 });
    assertStrictEquals(progress.total, undefined);
    assertStrictEquals(to.live().principal, undefined);
    const isSameAgain = await inheriting(
      { principal: "admin" },
      () => copyNow(from, to),
    );
    assertEquals(countsOf(isSameAgain), { unchanged: 1 });
  });

  it("is refused from a provider that cannot be gone through", async () => {
    const from = Object.assign(new Store(), { scan: undefined });
    const copying = () => copyNow(from, new Store());
    await assertRejects(copying, TypeError, "has no scan()");
  });

  it("is refused from a store to itself", async () => {
    const store = new Store();
    await assertRejects(() => copyNow(store, store), TypeError, "copy from");
  });
});
