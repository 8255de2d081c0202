/** Makes providers that break one promise each, to try the checker on. */
import { setTimeout as sleep } from "node:timers/promises";
import type {
  Guard,
  Provider,
  SessionChange,
  SessionList,
  SessionRecord,
  StoredSession,
} from "../../core/provider.ts";
import { MemoryProvider } from "../../providers/memory.ts";
import { around, type Call } from "../_providers.ts";
import type { ViolationKind } from "./history.ts";

/** A provider, with the violation that it is sure to commit. */
export interface Broken {
  readonly kind: ViolationKind;
  readonly make: () => Provider;
}

/** How often a fault shows, in calls of its kind. */
const EVERY = 10;

/** Providers by what they do. */
export const BROKEN: Readonly<Record<string, Broken>> = {
  "loses one of two writes that overlap": {
    kind: "lost",
    make: () => replacing({ update: overlapping }),
  },
  "acknowledges a write and drops it": {
    kind: "lost",
    make: () => replacing({ update: nowAndThen(() => "done") }),
  },
  "says that a write met another, and does it": {
    kind: "twice",
    make: () =>
      replacing({
        update: nowAndThen((call) => (call(), "conflict"), isGuarded),
      }),
  },
  "does a write long after it has failed": {
    kind: "late",
    make: () => replacing({ update: nowAndThen(procrastinate, isPut) }),
  },
  "does a write and says that it was refused": {
    kind: "undone",
    make: () => replacing({ update: misreporting() }),
  },
  "answers with the session of somebody else": {
    kind: "mixed",
    make: () => replacing({ read: confusing }),
  },
  "says that it ended a session, and does not": {
    kind: "revived",
    make: () => replacing({ destroy: () => "done" }),
  },
  "forgets a session": {
    kind: "signed-out",
    make: () => replacing({ read: nowAndThen(() => undefined) }),
  },
  "leaves a session out of the list": {
    kind: "unlisted",
    make: () =>
      replacing({
        list: (call) => {
          const { sessions } = call() as SessionList;
          return { sessions: sessions.slice(1), unreadable: [] };
        },
      }),
  },
  "lists a session that was ended": {
    kind: "listed",
    make: () => replacing(remembering()),
  },
};

type Replacement = (
  call: () => unknown,
  args: readonly unknown[],
  memory: MemoryProvider,
) => unknown;

function replacing(
  replacements: Partial<Record<Call, Replacement>>,
): Provider {
  const memory = new MemoryProvider();
  return around(memory, (name, call, args) => {
    const replacement = replacements[name];
    return replacement === undefined ? call() : replacement(call, args, memory);
  });
}

/** Does something else now and then, with those calls that it is done to. */
function nowAndThen(
  other: Replacement,
  isOne: (args: readonly unknown[]) => boolean = () => true,
): Replacement {
  let count = 0;
  return (call, args, memory) => {
    if (!isOne(args) || ++count % EVERY !== 0) return call();
    return other(call, args, memory);
  };
}

/** Writes what it had read, whatever was written meanwhile. */
async function overlapping(
  _call: () => unknown,
  args: readonly unknown[],
  memory: MemoryProvider,
): Promise<unknown> {
  const [id, change, , now] = args as UpdateArgs;
  const before = memory.read(id, now);
  await sleep(2);
  const result = memory.update(id, change, {}, now);
  const { data = {} } = before ?? {};
  const keys = Object.keys(data).filter((key) => !(key in (change.set ?? {})));
  const set = Object.fromEntries(keys.map((key) => [key, data[key]!]));
  memory.update(id, { set: Object.assign(Object.create(null), set) }, {}, now);
  return result;
}

type UpdateArgs = readonly [
  id: string,
  change: SessionChange,
  guard: Guard,
  now: number,
];

/** Whether an update is one of `session.update`, which goes around again. */
function isGuarded(args: readonly unknown[]): boolean {
  return (args as UpdateArgs)[2].version !== undefined;
}

function isPut(args: readonly unknown[]): boolean {
  const { set = {} } = (args as UpdateArgs)[1];
  return Object.keys(set).some((key) => key.includes("-tab-"));
}

function procrastinate(call: () => unknown): never {
  setTimeout(call, 300);
  throw new Error("disk on fire");
}

/** A session's append is done once, and from then on nothing but refused. */
function misreporting(): Replacement {
  const refused = new Set<string>();
  let count = 0;
  return (call, args) => {
    const [id] = args as UpdateArgs;
    if (!isGuarded(args)) return call();
    if (refused.has(id)) return "conflict";
    if (++count % EVERY !== 0) return call();
    refused.add(id);
    call();
    return "conflict";
  };
}

let latest: SessionRecord | undefined;

/** The data and the user of the session that was read before. */
function confusing(call: () => unknown): unknown {
  const record = call() as SessionRecord | undefined;
  const other = latest;
  latest = record ?? latest;
  if (record === undefined || other === undefined) return record;
  const { data, principal } = other;
  return { ...record, data, principal };
}

/** Lists sessions that were ended beside those that live. */
function remembering(): Partial<Record<Call, Replacement>> {
  const ended: StoredSession[] = [];
  return {
    destroy(call, args, memory) {
      const [id, , now] = args as [string, Guard, number];
      const record = memory.read(id, now);
      if (record !== undefined) ended.push({ id, record });
      return call();
    },
    list(call, [principal]) {
      const { sessions } = call() as SessionList;
      const theirs = ended.filter(({ record }) =>
        record.principal === principal
      );
      const summaries = theirs.map(({ id, record }) => ({ id, ...record }));
      return { sessions: [...sessions, ...summaries], unreadable: [] };
    },
  };
}
