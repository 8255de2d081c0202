/** Checks what clients were told against what the library promises them. */

/** What a client asked for. */
export type DeedKind =
  | "sign-in"
  | "append"
  | "put"
  | "look"
  | "sign-out"
  | "sign-out-everywhere";

/**
 * How a request ended for whoever made it: acknowledged, refused with nothing
 * done, or failed, so that it may have been done or not. That is open too if its
 * session is gone in the meantime: what a client sends again finds none.
 */
export type Outcome = "acknowledged" | "refused" | "gone" | "failed";

/** What a request found in its session when it began. */
export interface Sight {
  readonly principal: string | undefined;
  /** The session's name, as its client called it when it signed in. */
  readonly session: unknown;
  /** The values appended so far. */
  readonly log: readonly string[];
  /** The values put so far, by key. */
  readonly puts: Readonly<Record<string, string>>;
}

/** One request of a client. Instants are milliseconds since the Unix epoch. */
export interface Deed {
  readonly kind: DeedKind;
  /** The client's own name of the session; no two have the same. */
  readonly session: string;
  /** Whose session it is. */
  readonly principal: string;
  /** The manager that answered. */
  readonly node: string;
  readonly began: number;
  readonly ended: number;
  readonly outcome: Outcome;
  /** The key that was put. */
  readonly key?: string;
  /** What was appended or put; no two deeds have the same. */
  readonly value?: string;
  /** The id that a sign-in got. */
  readonly id?: string;
  /** What it found: `null` for nothing, left out if it never came so far. */
  readonly saw?: Sight | null;
}

/** What a list told after all had become quiet. */
export interface Listing {
  readonly principal: string;
  /** The ids that it named. */
  readonly listed: readonly string[];
  /** The ids of those sessions of theirs that then opened. */
  readonly opened: readonly string[];
}

/** All that clients did and were told. */
export interface History {
  readonly deeds: readonly Deed[];
  readonly listings: readonly Listing[];
}

/**
 * What must not be.
 *
 * | kind | meaning |
 * | --- | --- |
 * | `lost` | an acknowledged write is not there |
 * | `twice` | an appended value is there more than once |
 * | `late` | a write that had failed took effect after a later one |
 * | `undone` | a write that was refused is there, or one that nobody made |
 * | `mixed` | somebody is answered as somebody else |
 * | `revived` | a session that was signed out opens again |
 * | `signed-out` | a session that nobody signed out opens nothing |
 * | `unlisted` | a session that opens is not in its user's list |
 * | `listed` | a session that opens nothing is in its user's list |
 * | `unserved` | a request failed that does not need what was in trouble |
 * | `stuck` | a request took longer than its calls can |
 * | `untold` | no event told of the trouble |
 */
export const VIOLATION_KINDS = [
  "lost",
  "twice",
  "late",
  "undone",
  "mixed",
  "revived",
  "signed-out",
  "unlisted",
  "listed",
  "unserved",
  "stuck",
  "untold",
] as const;

export type ViolationKind = typeof VIOLATION_KINDS[number];

/** Something that must not be, told once however often it was seen. */
export interface Violation {
  readonly kind: ViolationKind;
  /** The session, or the user of a list. */
  readonly subject: string;
  /** What was seen, in words. */
  readonly detail: string;
}

/** What the checker is to assume. */
export interface CheckOptions {
  /**
   * By how many milliseconds the clocks differ that the deeds were timed with:
   * those of two processes of one machine do.
   *
   * @default {0}
   */
  readonly margin?: number;
  /** The nodes whose clocks take other nodes' sessions for expired. */
  readonly ahead?: readonly string[];
  /** How long a request may take, in milliseconds. @default {Infinity} */
  readonly patience?: number;
  /** Which requests must not fail, and while. */
  readonly serves?: {
    readonly kinds: readonly DeedKind[];
    readonly from: number;
    readonly to: number;
  };
}

/** Goes through a history and tells of all that must not be. */
export function check(
  history: History,
  options: CheckOptions = {},
): Violation[] {
  const found = new Findings();
  const { margin = 0, ahead = [] } = options;
  const deeds = history.deeds.filter(({ node, saw }) =>
    saw !== null || !ahead.includes(node)
  );
  for (const life of livesOf(deeds, margin)) life.check(found);
  checkListings(history, found);
  checkService(history.deeds, options, found);
  return found.all;
}

/** How many violations there are of each kind. */
export function countByKind(
  violations: readonly Violation[],
): Partial<Record<ViolationKind, number>> {
  const counts: Partial<Record<ViolationKind, number>> = {};
  for (const { kind } of violations) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

class Findings {
  readonly #found = new Map<string, Violation>();

  get all(): Violation[] {
    return [...this.#found.values()];
  }

  /** `about` tells one violation of a kind from another of the same session. */
  add(
    kind: ViolationKind,
    subject: string,
    about: string,
    detail: string,
  ): void {
    const key = `${kind} ${subject} ${about}`;
    if (this.#found.has(key)) return;
    this.#found.set(key, { kind, subject, detail });
  }
}

/** All that was done to one session. */
class Life {
  readonly #name: string;
  readonly #margin: number;
  readonly #signIn: Deed | undefined;
  readonly #deeds: readonly Deed[];
  /** Those that end it, acknowledged or not. */
  readonly #endings: readonly Deed[];
  readonly #appends: ReadonlyMap<string, Deed>;
  readonly #puts: ReadonlyMap<string, Deed>;

  constructor(
    name: string,
    deeds: readonly Deed[],
    { everywhere, margin }: {
      readonly everywhere: readonly Deed[];
      readonly margin: number;
    },
  ) {
    this.#name = name;
    this.#deeds = deeds;
    this.#margin = margin;
    this.#signIn = deeds.find(({ kind }) => kind === "sign-in");
    const ofUser = everywhere.filter((deed) => this.#isEndedBy(deed));
    const own = deeds.filter(({ kind }) => kind === "sign-out");
    this.#endings = [...own, ...ofUser].filter(({ outcome }) =>
      outcome !== "refused"
    );
    this.#appends = byValue(deeds, "append");
    this.#puts = byValue(deeds, "put");
  }

  check(found: Findings): void {
    for (const deed of this.#deeds) {
      if (deed.saw === undefined || deed.kind === "sign-in") continue;
      if (deed.saw === null) this.#checkAbsence(deed, found);
      else this.#checkSight(deed, deed.saw, found);
    }
  }

  /** A sign-out of all a user's sessions ends those that may be there by then. */
  #isEndedBy(everywhere: Deed): boolean {
    const signIn = this.#signIn;
    return signIn !== undefined && everywhere.principal === signIn.principal &&
      !this.#isBefore(everywhere, signIn);
  }

  #isBefore(first: Deed, second: Deed): boolean {
    return first.ended + this.#margin < second.began;
  }

  #checkAbsence(deed: Deed, found: Findings): void {
    const signIn = this.#signIn;
    if (signIn?.outcome !== "acknowledged" || !this.#isBefore(signIn, deed)) {
      return;
    }
    const isExcused = this.#endings.some((ending) =>
      !this.#isBefore(deed, ending)
    );
    if (isExcused) return;
    const detail = `opened nothing at ${deed.node}, and nobody signed out`;
    found.add("signed-out", this.#name, "", detail);
  }

  #checkSight(deed: Deed, saw: Sight, found: Findings): void {
    if (saw.principal !== deed.principal || saw.session !== this.#name) {
      const detail = `${deed.principal} was answered as ${saw.principal}`;
      found.add("mixed", this.#name, deed.node, detail);
      return;
    }
    const ending = this.#endings.find((candidate) =>
      this.#isOver(candidate, deed)
    );
    if (ending !== undefined) {
      const detail = `opened at ${deed.node} after its ${ending.kind}`;
      found.add("revived", this.#name, "", detail);
    }
    this.#checkLog(deed, saw.log, found);
    this.#checkPuts(deed, saw.puts, found);
  }

  /** Whether a session was ended for good before a deed began. */
  #isOver(ending: Deed, deed: Deed): boolean {
    if (ending.outcome !== "acknowledged" || !this.#isBefore(ending, deed)) {
      return false;
    }
    // Who signed in while all were signed out may stay.
    const signIn = this.#signIn as Deed;
    return ending.kind === "sign-out" || this.#isBefore(signIn, ending);
  }

  #checkLog(deed: Deed, log: readonly string[], found: Findings): void {
    const seen = new Set<string>();
    for (const value of log) {
      if (seen.has(value)) {
        found.add("twice", this.#name, value, `${value} was appended twice`);
      }
      seen.add(value);
      this.#checkMade(value, this.#appends.get(value), found);
    }
    for (const [value, append] of this.#appends) {
      const isDue = append.outcome === "acknowledged" &&
        this.#isBefore(append, deed);
      if (!isDue || seen.has(value)) continue;
      const detail = `${value} was acknowledged and is not there`;
      found.add("lost", this.#name, value, detail);
    }
  }

  #checkMade(value: string, write: Deed | undefined, found: Findings): void {
    if (write !== undefined && write.outcome !== "refused") return;
    const why = write === undefined ? "nobody wrote" : "was refused";
    found.add("undone", this.#name, value, `${value} is there: ${why}`);
  }

  #checkPuts(deed: Deed, puts: Sight["puts"], found: Findings): void {
    for (const [key, value] of Object.entries(puts)) {
      const write = this.#puts.get(value);
      this.#checkMade(value, write?.key === key ? write : undefined, found);
    }
    for (const last of this.#lastPuts(deed)) {
      this.#checkPut(last, puts[last.key as string], found);
    }
  }

  /** The last acknowledged write of each key before a deed began. */
  #lastPuts(deed: Deed): Deed[] {
    const last = new Map<string, Deed>();
    for (const write of this.#puts.values()) {
      const { key = "", outcome } = write;
      if (outcome !== "acknowledged" || !this.#isBefore(write, deed)) continue;
      const other = last.get(key);
      if (other === undefined || other.began < write.began) {
        last.set(key, write);
      }
    }
    return [...last.values()];
  }

  /** Whether a key holds an acknowledged value or one written after it. */
  #checkPut(last: Deed, value: string | undefined, found: Findings): void {
    const there = value === undefined ? undefined : this.#puts.get(value);
    if (there === last) return;
    if (there !== undefined && !this.#isBefore(there, last)) return;
    const name = `${last.key} is ${value}, not ${last.value}`;
    // A failed write is overwritten by what comes after it, unless it comes late.
    const kind = there?.outcome === "failed" ? "late" : "lost";
    found.add(kind, this.#name, last.value as string, name);
  }
}

function byValue(
  deeds: readonly Deed[],
  kind: DeedKind,
): ReadonlyMap<string, Deed> {
  const writes = deeds.filter((deed) => deed.kind === kind);
  return new Map(writes.map((deed) => [deed.value as string, deed]));
}

function livesOf(deeds: readonly Deed[], margin: number): Life[] {
  const everywhere = deeds.filter(({ kind }) => kind === "sign-out-everywhere");
  const bySession = Map.groupBy(deeds, ({ session }) => session);
  return [...bySession].map(([name, own]) =>
    new Life(name, own, { everywhere, margin })
  );
}

function checkListings({ deeds, listings }: History, found: Findings): void {
  const signIns = deeds.filter(({ kind }) => kind === "sign-in");
  const known = new Set(signIns.map(({ id }) => id));
  for (const { principal, listed, opened } of listings) {
    for (const id of opened) {
      if (listed.includes(id)) continue;
      found.add("unlisted", principal, id, `${id} opens and is not listed`);
    }
    const idle = listed.filter((id) => known.has(id) && !opened.includes(id));
    for (const id of idle) {
      found.add("listed", principal, id, `${id} is listed and opens nothing`);
    }
    // Whoever failed to sign in may have a session that they know nothing of.
    const most = signIns.filter((deed) =>
      deed.principal === principal && deed.outcome === "failed"
    ).length;
    const strange = listed.filter((id) =>
      !known.has(id)
    ).length;
    if (strange <= most) continue;
    const detail = `${strange} are listed that nobody knows, at most ${most}`;
    found.add("listed", principal, "", detail);
  }
}

function checkService(
  deeds: readonly Deed[],
  { patience = Infinity, serves }: CheckOptions,
  found: Findings,
): void {
  for (const { kind, session, node, began, ended, outcome } of deeds) {
    const took = Math.round(ended - began);
    if (Number.isFinite(ended) && took > patience) {
      found.add("stuck", session, String(began), `${kind} took ${took} ms`);
    }
    const isServed = serves === undefined || outcome !== "failed" ||
      !serves.kinds.includes(kind) || began < serves.from || ended > serves.to;
    if (isServed) continue;
    found.add("unserved", session, kind, `${kind} failed at ${node}`);
  }
}
