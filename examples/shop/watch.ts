/**
 * Notes what the library does for each request: the events that it raises, and
 * the calls that it makes of the store.
 */
import type { Provider, SessionChange, SessionEvent } from "@cloakroom/session";
import { AsyncLocalStorage } from "node:async_hooks";

/** Something that the library did. */
export interface Act {
  /** One word for it. */
  readonly name: string;
  /** The same as a sentence. */
  readonly text: string;
  /** Whether it is good to know, or something went wrong. */
  readonly tone: "plain" | "good" | "bad";
  /** The session's id. It opens nothing. */
  readonly id: string | undefined;
}

/** One request, and all that the library did for it. */
export interface Trace {
  /** Who sent it: a browser, or the thief of the play. */
  readonly client: "browser" | "thief";
  readonly method: string;
  readonly path: string;
  /** When it arrived, in milliseconds since the Unix epoch. */
  readonly at: number;
  readonly acts: Act[];
  /** Who was signed in when it was answered. */
  principal: string | undefined;
}

/** What happened in a few seconds. */
export interface Beat {
  readonly requests: number;
  /** Sessions that were used in the last minutes and have not ended. */
  readonly sessions: number;
}

/** How many requests are remembered. */
const MOST_TRACES = 200;

/** How long a beat of the chart is, in milliseconds. */
export const BEAT = 2000;

/** How many beats the chart shows: one minute. */
export const BEATS = 30;

/** How long ago a session may have been used to be counted, in milliseconds. */
const RECENT = 600_000;

/** How many sessions are counted at most. */
const MOST_SESSIONS = 10_000;

/** A session that was seen: whose it is, and when it was used last. */
interface Seen {
  readonly principal: string | undefined;
  readonly at: number;
}

/** Watches a manager by its events, and its store by standing before it. */
export class Watch {
  readonly #now: () => number;
  readonly #running = new AsyncLocalStorage<Trace>();
  readonly #traces: Trace[] = [];
  readonly #listeners = new Set<(trace: Trace) => void>();
  readonly #seen = new Map<string, Seen>();
  /** By the number of the beat. */
  readonly #beats = new Map<number, Beat>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The requests that were answered last, the newest at the end. */
  get traces(): readonly Trace[] {
    return this.#traces;
  }

  /** What was done so far for the request that runs here. */
  get acts(): readonly Act[] {
    return this.#running.getStore()?.acts ?? [];
  }

  /** Runs a request, and tells the listeners when it is answered. */
  async run(
    request: Request,
    client: Trace["client"],
    answer: () => Promise<Response>,
  ): Promise<{ readonly response: Response; readonly trace: Trace }> {
    const trace: Trace = {
      client,
      method: request.method,
      path: new URL(request.url).pathname,
      at: this.#now(),
      acts: [],
      principal: undefined,
    };
    try {
      return { response: await this.#running.run(trace, answer), trace };
    } finally {
      this.#keep(trace);
    }
  }

  /** Notes who is signed in. */
  meet(principal: string | undefined): void {
    const trace = this.#running.getStore();
    if (trace !== undefined) trace.principal = principal;
  }

  /** Calls a listener with every request that has been answered. */
  listen(listener: (trace: Trace) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Takes an event of the manager. */
  readonly hear = (event: SessionEvent): void => {
    if ("id" in event && event.id !== undefined) {
      if (ENDINGS.has(event.type)) this.#seen.delete(event.id);
    }
    if (event.type === "destroyed-all") this.#forgetAll(event);
    const act = actOf(event);
    if (act !== undefined) this.#running.getStore()?.acts.push(act);
  };

  /** The same store, whose calls are noted. */
  over(provider: Provider): Provider {
    return new Proxy(provider, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name);
        if (typeof member !== "function") return member;
        if (!NOTED.has(name)) return member.bind(target);
        return async (...args: unknown[]) => {
          const answer: unknown = await member.apply(target, args);
          this.#noteCall(String(name), args, answer);
          return answer;
        };
      },
    });
  }

  /** The last minute, beat by beat. */
  chart(): Beat[] {
    const last = Math.floor(this.#now() / BEAT);
    let sessions = 0;
    return Array.from({ length: BEATS }, (_, at) => {
      const beat = this.#beats.get(last - BEATS + 1 + at);
      sessions = beat?.sessions ?? sessions;
      if (at === BEATS - 1) sessions = this.#count();
      return { requests: beat?.requests ?? 0, sessions };
    });
  }

  #keep(trace: Trace): void {
    this.#traces.push(trace);
    if (this.#traces.length > MOST_TRACES) this.#traces.shift();
    const now = Math.floor(this.#now() / BEAT);
    const requests = (this.#beats.get(now)?.requests ?? 0) + 1;
    this.#beats.set(now, { requests, sessions: this.#count() });
    for (const at of this.#beats.keys()) {
      if (at <= now - BEATS) this.#beats.delete(at);
    }
    for (const listener of this.#listeners) listener(trace);
  }

  #noteCall(name: string, args: unknown[], answer: unknown): void {
    const [id, given] = args as [string, unknown];
    const act = callOf(name, given, answer);
    if (act === undefined) return;
    const principal = principalIn(given) ?? this.#seen.get(id)?.principal;
    // The oldest stands first in a map.
    this.#seen.delete(id);
    this.#seen.set(id, { principal, at: this.#now() });
    if (act !== "created") {
      this.#running.getStore()?.acts.push({ ...CALLS[act], id });
    }
  }

  #count(): number {
    const since = this.#now() - RECENT;
    for (const [id, { at }] of this.#seen) {
      if (at > since && this.#seen.size <= MOST_SESSIONS) break;
      this.#seen.delete(id);
    }
    return this.#seen.size;
  }

  #forgetAll(
    event: { readonly principal: string; readonly except: string | undefined },
  ): void {
    for (const [id, { principal }] of this.#seen) {
      if (principal === event.principal && id !== event.except) {
        this.#seen.delete(id);
      }
    }
  }
}

const ENDINGS: ReadonlySet<SessionEvent["type"]> = new Set([
  "reused",
  "expired",
  "evicted",
  "destroyed",
]);

/** The calls of the store that say something about one request. */
const NOTED: ReadonlySet<string | symbol> = new Set([
  "create",
  "read",
  "update",
  "touch",
]);

/** What a call of the store is called here, by its outcome. */
type Call = keyof typeof CALLS | "created";

const CALLS = {
  found: { name: "found", text: "found the session", tone: "plain" },
  touched: { name: "touched", text: "moved its deadline", tone: "plain" },
  stored: { name: "stored", text: "stored what changed", tone: "plain" },
  confirmed: {
    name: "confirmed",
    text: "saw the new cookie for the first time",
    tone: "plain",
  },
} as const;

/** What a call came to; `undefined` for one that says nothing new. */
function callOf(
  name: string,
  given: unknown,
  answer: unknown,
): Call | undefined {
  if (name === "create" && answer === true) return "created";
  if (name === "read" && answer !== undefined) return "found";
  if (name === "touch" && answer === true) return "touched";
  if (name !== "update" || answer !== "done") return undefined;
  const change = given as SessionChange;
  if (change.set !== undefined || change.delete !== undefined) return "stored";
  // That a secret was replaced, an event tells.
  const isConfirmed = change.previous != null &&
    change.secretHash === undefined;
  return isConfirmed ? "confirmed" : undefined;
}

/** Whose session a record or a change is of, if it says so. */
function principalIn(given: unknown): string | undefined {
  const { principal } = Object(given) as { principal?: unknown };
  return typeof principal === "string" ? principal : undefined;
}

/** An event in words; `undefined` for one that the panel does not show. */
function actOf(event: SessionEvent): Act | undefined {
  const id = "id" in event ? event.id : undefined;
  const act = (tone: Act["tone"], text: string, name: string = event.type) => ({
    name,
    text,
    tone,
    id,
  });
  switch (event.type) {
    case "created":
      return act("good", "stored a new session");
    case "signed-in":
      return act("good", `bound the session to ${event.principal}`);
    case "renewed":
      return act("good", "replaced the secret: a new cookie went out");
    case "reused":
      return act("bad", "met a copied cookie, and ended the session");
    case "evicted":
      return act("bad", "ended the oldest session to make room");
    case "destroyed":
      return act("bad", "ended a session");
    case "destroyed-all":
      return act("bad", `ended ${event.count} other sessions`, "destroyed");
    case "refused":
      return act("bad", `opened nothing: ${event.reason}`);
    case "gone":
      return act("bad", "the session ended meanwhile");
    case "conflict":
      return act("plain", "met another writer, and tried again");
    case "store-error":
      return act("bad", "the store failed");
    default:
      return undefined;
  }
}
