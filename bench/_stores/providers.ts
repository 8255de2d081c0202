/** What each provider takes of time, memory and disk on a real store. */
import process from "node:process";
import { setImmediate } from "node:timers/promises";
import type {
  Awaitable,
  NewSessionRecord,
  Provider,
} from "../../core/provider.ts";
import { emptyObject } from "../../core/value/types.ts";
import { hashOf, idOf } from "../_cases/ids.ts";
import { FAMILY, newRecord } from "../_cases/population.ts";
import { sizeName } from "../_harness/case.ts";
import { collectGarbage } from "../_harness/processes.ts";
import type { Job, Reporter, Section } from "../_harness/section.ts";
import { versionsOf } from "../_harness/versions.ts";
import { type Backend, BACKENDS, ENCRYPTED, STORES } from "./backends.ts";

/** How many calls are made at the same time where a store answers later. */
const IN_FLIGHT = 32;

/** How many sessions the manager lets a provider remove in one call. */
const GC_BATCH = 1000;

const HOUR = 3600;
const MONTH = 30 * 24 * HOUR;

/** On a real server, beside the bare client of the same. */
export const providers: Section = {
  name: "providers",
  about: "time, memory and disk of each store, beside its bare client",
  sizes: [1e5],
  trialSize: 200,
  parts: STORES,
  measure,
  minutes: 8,
  memory: 2,
};

/** Tables that do not fit into what a server keeps in memory by default. */
export const million: Section = {
  ...providers,
  name: "million",
  about: "the same with a million sessions on Postgres and on MariaDB",
  sizes: [1e6],
  parts: ["postgres", "mariadb"],
  minutes: 15,
};

/** What encryption adds to any store is seen best on the fastest. */
export const encryption: Section = {
  ...providers,
  name: "encryption",
  about: "the memory provider with its values encrypted, and all hidden",
  parts: ENCRYPTED,
  minutes: 4,
};

type Tell = (
  table: string,
  group: string,
  name: string,
  value: number,
  isFloor?: boolean,
) => void;

async function measure(job: Job, report: Reporter): Promise<void> {
  const { part, size } = job;
  collectGarbage();
  const before = process.memoryUsage();
  const store = await BACKENDS[part]?.(payloads());
  if (store === undefined || typeof store === "string") {
    return report(`Without ${part}: ${store ?? "there is none"}.`);
  }
  for (const text of await versionsOf(store.packages ?? [])) report(text);
  const tell: Tell = (unit, group, name, value, isFloor) => {
    const table = `${unit}, ${sizeName(size)} sessions`;
    report({ table, group, name, value, isFloor, column: part });
  };
  try {
    const sessions = new Sessions(store.provider, size);
    await fill(sessions, tell);
    collectGarbage();
    const after = process.memoryUsage();
    const footprint = {
      ...await store.footprint(),
      "heap of the process": after.heapUsed - before.heapUsed,
      "resident memory of the process": after.rss - before.rss,
    };
    for (const [name, bytes] of Object.entries(footprint)) {
      tell("bytes for each", "", name, Math.max(0, bytes) / size);
    }
    await store.fillBare();
    await measureCalls(store, { job, sessions, tell });
    if (!store.expires) await collect(sessions, tell);
  } finally {
    await store.close();
  }
}

/**
 * Those of a provider by their numbers. Half are signed in, two for each user; a
 * tenth of them expires after an hour.
 */
class Sessions {
  readonly provider: Provider;
  readonly filled: number;
  count = 0;

  constructor(provider: Provider, filled: number) {
    this.provider = provider;
    this.filled = filled;
  }

  /** One of those that the store was filled with. */
  any(): number {
    return Math.floor(Math.random() * this.filled);
  }

  create(): Awaitable<boolean> {
    const index = this.count++;
    const record = recordOf(index);
    return this.provider.create(idOf(index), record, record.createdAt);
  }
}

function userOf(index: number): string {
  return `user-${index >> 2}`;
}

function recordOf(index: number): NewSessionRecord {
  const now = Date.now();
  const cart = Object.freeze([
    Object.freeze({ article: `A-${index}`, count: 2, price: 1995 }),
    Object.freeze({ article: `B-${index}`, count: 1, price: 495 }),
  ]);
  const data = { visits: 1, locale: "en-GB", cart };
  const user = {
    principal: userOf(index),
    label: "Firefox on Linux",
    authenticatedAt: now,
  };
  return Object.freeze({
    ...newRecord(hashOf(index), now, index % 10 === 0 ? HOUR : MONTH),
    ...(index % 4 < 2 ? user : {}),
    data: Object.freeze(Object.assign(emptyObject(), data)),
    absoluteTimeout: MONTH,
  });
}

/**
 * What the bare client stores: as long as a session's values as JSON, and another
 * text each time, because SQLite writes nothing where nothing changes.
 */
function payloads(): () => string {
  const values = JSON.stringify(Object.values(recordOf(1)));
  let count = 10_000_000;
  return () => ++count + values.slice(8);
}

async function fill(sessions: Sessions, tell: Tell): Promise<void> {
  const start = performance.now();
  const lane = async () => {
    while (sessions.count < sessions.filled) {
      const answer = sessions.create();
      const isNew = answer instanceof Promise ? await answer : answer;
      if (!isNew) throw new Error("Cannot fill store: an id is taken");
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  const each = (performance.now() - start) * 1000 / sessions.filled;
  tell("µs for each", "filling", "ours: create, 32 in flight", each);
}

/** What is repeated, by group and name. */
type Calls = Readonly<
  Record<string, Readonly<Record<string, () => Awaitable<unknown>>>>
>;

const BARE = "bare client";

function callsOf({ provider, bare }: Backend, sessions: Sessions): Calls {
  const any = () => idOf(sessions.any());
  const read = (id: string) => provider.read(id, Date.now());
  const update = (id: string) => {
    const now = Date.now();
    const set = Object.assign(emptyObject(), { visits: now });
    return provider.update(id, { set }, { family: FAMILY }, now);
  };
  const { script } = bare;
  return {
    read: { [BARE]: () => bare.read(any()), "ours: read": () => read(any()) },
    write: {
      [BARE]: () => bare.write(any()),
      ...(script === undefined ? {} : { "bare script": () => script(any()) }),
      "ours: update": () => update(any()),
      "ours: touch": () => provider.touch(any(), Date.now()),
      "ours: create": () => sessions.create(),
    },
    "read and write": {
      [BARE]: () => {
        const id = any();
        return after(bare.read(id), () => bare.write(id));
      },
      "ours: read, then update": () => {
        const id = any();
        return after(read(id), () => update(id));
      },
    },
    list: {
      "ours: two of a user": () => {
        const page = provider.list(userOf(sessions.any()), Date.now());
        return after(page, ({ sessions }) => sessions.length);
      },
    },
  };
}

/** Does something with an answer, at once if it is there at once. */
function after<T, R>(
  answer: Awaitable<T>,
  use: (answer: T) => Awaitable<R>,
): Awaitable<R> {
  return answer instanceof Promise ? answer.then(use) : use(answer);
}

/** One after the other, each for a while, a bare client beside the provider. */
async function measureCalls(store: Backend, { job, sessions, tell }: {
  readonly job: Job;
  readonly sessions: Sessions;
  readonly tell: Tell;
}): Promise<void> {
  const calls = Object.entries(callsOf(store, sessions))
    .flatMap(([group, some]) =>
      Object.entries(some).map(([name, run]) => ({ group, name, run }))
    );
  const isLater = store.provider.list("nobody", Date.now()) instanceof Promise;
  const time = job.isTrial ? 10 : 300;
  for (const lanes of isLater ? [1, IN_FLIGHT] : [1]) {
    const unit = `µs for each${lanes > 1 ? ` of ${lanes} in flight` : ""}`;
    for (const { group, name, run } of calls) {
      const start = performance.now();
      const repeats = Array.from(
        { length: lanes },
        () => repeat(name, run, start + time),
      );
      const counts = await Promise.all(repeats);
      const count = counts.reduce((sum, some) => sum + some);
      const each = (performance.now() - start) * 1000 / count;
      tell(unit, group, name, each, name === BARE);
    }
  }
}

/** Answers how often it was done until then. */
async function repeat(
  name: string,
  run: () => Awaitable<unknown>,
  end: number,
): Promise<number> {
  for (let count = 1;; count++) {
    let answer = run();
    const isLater = answer instanceof Promise;
    if (isLater) answer = await answer;
    if (!answer || answer === "absent" || answer === "refused") {
      throw new Error(`Cannot measure ${name}: received ${answer}`);
    }
    // To look at the clock takes about as long as a look-up in memory.
    if ((isLater || count % 16 === 0) && performance.now() >= end) return count;
  }
}

/** Removes what expired, as the manager would two hours from now. */
async function collect(sessions: Sessions, tell: Tell): Promise<void> {
  const now = Date.now() + 2 * HOUR * 1000;
  const start = performance.now();
  let removed = 0;
  for (let count = GC_BATCH; count === GC_BATCH;) {
    count = await sessions.provider.gc(now, GC_BATCH);
    removed += count;
    await setImmediate();
  }
  const each = (performance.now() - start) * 1000 / removed;
  tell("µs for each", "gc of 10 %", "ours: gc", each);
  const due = Math.ceil(sessions.count / 10);
  if (removed === due) return;
  throw new Error(`Cannot collect: ${removed} of ${due} sessions were removed`);
}
