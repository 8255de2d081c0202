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
  /** Goes on after that word. */
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
  readonly #running = new AsyncLocalStorage<Trace | undefined>();
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
    // What listeners ask of the store is done for no request.
    this.#running.run(undefined, () => {
      for (const listener of this.#listeners) listener(trace);
    });
  }

  #noteCall(name: string, args: unknown[], answer: unknown): void {
    const [id, given] = args as [string, unknown];
    const acts = callOf(name, given, answer);
    if (acts === undefined) return;
    const told = principalIn(name === "read" ? answer : given);
    const principal = told ?? this.#seen.get(id)?.principal;
    // The oldest stands first in a map.
    this.#seen.delete(id);
    this.#seen.set(id, { principal, at: this.#now() });
    const trace = this.#running.getStore();
    for (const [name, text] of acts) {
      trace?.acts.push({ name, text, tone: "plain", id });
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

type Told = readonly [name: string, text: string];

/** What a call came to, in words; `undefined` if it did nothing. */
function callOf(
  name: string,
  given: unknown,
  answer: unknown,
): readonly Told[] | undefined {
  // That a session was created, an event tells.
  if (name === "create" && answer === true) return [];
  if (name === "read" && answer !== undefined) {
    return [["found", "the session of the cookie"]];
  }
  if (name === "touch" && answer === true) {
    return [["touched", "its deadline moves on"]];
  }
  if (name !== "update" || answer !== "done") return undefined;
  return changeOf(given as SessionChange);
}

/** The keys of what was changed, never a value. */
function changeOf(change: SessionChange): Told[] {
  const told: Told[] = [];
  const set = Object.keys(change.set ?? {});
  const removed = change.delete ?? [];
  if (set.length > 0) told.push(["stored", set.join(", ")]);
  if (removed.length > 0) told.push(["removed", removed.join(", ")]);
  // That a secret was replaced, an event tells.
  if (change.previous != null && change.secretHash === undefined) {
    told.push(["confirmed", "the new cookie has arrived"]);
  }
  return told;
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
      return act("good", "a session in the store");
    case "signed-in":
      return act("good", `as ${event.principal}, with a new secret`);
    case "renewed":
      return act("good", "the secret: a new cookie goes out");
    case "reused":
      return act("bad", "an old cookie, so a copy: the session ends");
    case "evicted":
      return act("bad", "the oldest, to make room");
    case "destroyed":
      return act("bad", "a session, for good");
    case "destroyed-all":
      return act("bad", `${event.count} other sessions, for good`, "destroyed");
    case "refused":
      return act("bad", `a cookie that opens nothing: ${event.reason}`);
    case "gone":
      return act("bad", "it ended while the request ran");
    case "conflict":
      return act("plain", "with another request: it tries again");
    case "store-error":
      return act("bad", "a call failed");
    default:
      return undefined;
  }
}
