import { Manager, type NewSessionRecord, type Session } from "../mod.ts";
import { hashFamily, hashSecret } from "../core/secret/token.ts";
import { idOf, mintToken, secretOf } from "./_tokens.ts";
import { EMPTY_DATA } from "../core/value/types.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { requestWith, START } from "./_browser.ts";

/** What is to be explored; time goes in ticks of a second. */
export interface Theft {
  /** `renewInterval` in ticks. */
  readonly interval: number;
  /** `renewGrace` in ticks. */
  readonly grace: number;
  /** Ticks between two requests of the owner. */
  readonly gap: number;
  /**
   * Whether the thief goes on as a browser would, with a request in every tick
   * and the newest cookie, or does whatever helps them.
   */
  readonly thief: "goes on" | "does anything";
}

/** What the exploration found. */
export interface Thefts {
  /** The most ticks from the copy to the last request that opened the session. */
  readonly longest: number;
  /** How many ticks of different situations were played. */
  readonly plays: number;
}

/** A session, its owner, and a thief, between two ticks. */
interface State {
  readonly record: NewSessionRecord;
  readonly owner: string;
  /** Every token that the thief has seen, the newest last. */
  readonly known: readonly string[];
  /** A request that the thief has begun and not brought to an end. */
  readonly held: Held | undefined;
}

/** A request that was begun with a token, when the record was this. */
interface Held {
  readonly token: string;
  readonly record: NewSessionRecord;
  readonly at: number;
}

/** What the thief does: nothing, one of three with a token, or end what is held. */
type Deed = "wait" | "visit" | "renew now" | "begin" | "end";

/** How the thief's turn goes, and who comes first. */
interface Move {
  readonly deed: Deed;
  readonly shown: string;
  readonly isFirst: boolean;
}

/**
 * Follows an owner who makes a request every `gap` ticks, and a thief who copied the
 * cookie at some tick and then makes any request they can, before or after the
 * owner's in the same tick. Situations that only differ in random bytes are
 * followed once.
 */
export async function exploreThefts(theft: Theft): Promise<Thefts> {
  let longest = 0;
  let plays = 0;
  for (let copiedAt = 0; copiedAt < theft.interval; copiedAt++) {
    for (let phase = 0; phase < theft.gap; phase++) {
      let present: Iterable<State> = [copied()];
      for (let tick = copiedAt; present !== NOWHERE; tick++) {
        const isOwnersTurn = (tick - phase) % theft.gap === 0;
        const after = await playAll(present, tick, isOwnersTurn, theft);
        plays += after.plays;
        if (after.isOpened) longest = Math.max(longest, tick - copiedAt);
        present = after.states;
      }
    }
  }
  return { longest, plays };
}

const NOWHERE: Iterable<State> = [];

/** One tick of every situation that is left. */
async function playAll(
  present: Iterable<State>,
  tick: number,
  isOwnersTurn: boolean,
  theft: Theft,
): Promise<{ states: Iterable<State>; isOpened: boolean; plays: number }> {
  const next = new Map<string, State>();
  let isOpened = false;
  let plays = 0;
  for (const state of present) {
    for (const move of movesOf(state, theft)) {
      plays++;
      const after = await play(state, move, tick, { ...theft, isOwnersTurn });
      if (after.isOpened) isOpened = true;
      if (after.state !== undefined) next.set(keyOf(after.state), after.state);
    }
  }
  return { states: next.size === 0 ? NOWHERE : next.values(), isOpened, plays };
}

/** The record of a session in which Ada has just signed in with this token. */
export function signedInRecord(token: string): NewSessionRecord {
  return {
    data: EMPTY_DATA,
    secretHash: hashSecret(secretOf(token)),
    family: hashFamily(secretOf(token)),
    renewedAt: START,
    principal: "ada",
    createdAt: START,
    accessedAt: START,
    idleTimeout: 3600,
    absoluteTimeout: 43_200,
    persistent: false,
  };
}

/** A session that began at tick 0, and whose cookie has just been copied. */
function copied(): State {
  const token = mintToken();
  const record = signedInRecord(token);
  return { record, owner: token, known: [token], held: undefined };
}

function movesOf({ known, record, held }: State, { thief }: Theft): Move[] {
  const newest = known.at(-1) as string;
  if (thief === "goes on") return bothWays("visit", newest);
  const byRole = new Map(known.map((token) => [roleOf(token, record), token]));
  const moves = bothWays("wait", newest);
  for (const token of byRole.values()) {
    moves.push(...bothWays("visit", token), ...bothWays("renew now", token));
    if (held === undefined) moves.push(...bothWays("begin", token));
  }
  if (held !== undefined) moves.push(...bothWays("end", held.token));
  return moves;
}

function bothWays(deed: Deed, shown: string): Move[] {
  return [true, false].map((isFirst) => ({ deed, shown, isFirst }));
}

interface After {
  /** Whether the thief saw the owner's session. */
  readonly isOpened: boolean;
  /** How it goes on, if the thief can still hope. */
  readonly state: State | undefined;
}

/** One tick: the owner's request and the thief's, in either order. */
async function play(
  state: State,
  move: Move,
  tick: number,
  theft: Theft & { readonly isOwnersTurn: boolean },
): Promise<After> {
  const now = START + tick * 1000;
  const site = new TheftSite(idOf(state.owner), state.record, now, theft);
  let { owner, known, held } = state;
  let isOpened = false;
  const learn = (token: string) => {
    if (token !== move.shown) known = [...known, token];
  };
  const steal = async () => {
    const { deed, shown } = move;
    if (deed === "wait") return;
    if (deed === "end") {
      if (held !== undefined) learn(await site.end(held));
      held = undefined;
      return;
    }
    const seen = await site.visit(shown, deed);
    isOpened = seen.isOpened;
    if (deed === "begin") held = seen.held;
    learn(seen.token);
  };
  if (move.isFirst) await steal();
  if (theft.isOwnersTurn) owner = (await site.visit(owner, "visit")).token;
  if (!move.isFirst) await steal();
  const { record } = site;
  const hasHope = record !== undefined &&
    (isOfUse(held, record) ||
      known.some((token) => roleOf(token, record) !== "stale"));
  return {
    isOpened,
    state: hasHope ? { record, owner, known, held } : undefined,
  };
}

/** Whether a request held can still replace the token that it was begun with. */
function isOfUse(held: Held | undefined, record: NewSessionRecord): boolean {
  return held !== undefined &&
    held.record.secretHash === record.secretHash &&
    held.record.previous?.until === record.previous?.until;
}

/** The site within one tick. */
class TheftSite {
  readonly #id: string;
  readonly #provider = new MemoryProvider();
  readonly #manager: Manager;
  #now: number;

  constructor(
    id: string,
    record: NewSessionRecord,
    now: number,
    { interval, grace }: Theft,
  ) {
    this.#id = id;
    this.#now = now;
    this.#provider.create(id, record, now);
    this.#manager = new Manager({
      provider: this.#provider,
      gcInterval: 0,
      renewInterval: interval,
      renewGrace: grace,
      now: () => this.#now,
    });
  }

  get record(): NewSessionRecord | undefined {
    return this.#provider.read(this.#id, this.#now);
  }

  async visit(token: string, deed: Deed) {
    const { record } = this;
    const session = await this.#start(token);
    const isOpened = session.principal === "ada";
    if (deed === "renew now") session.regenerate();
    const held = deed === "begin" && isOpened && record !== undefined
      ? { token, record, at: this.#now }
      : undefined;
    if (deed === "begin") return { isOpened, token, held };
    return { isOpened, token: await this.#commit(session, token), held };
  }

  /** Begins a request as it was begun then, and ends it now. */
  async end({ token, record, at }: Held): Promise<string> {
    const present = this.record;
    const { now } = { now: this.#now };
    this.#provider.clear();
    this.#now = at;
    this.#provider.create(this.#id, record, at);
    const session = await this.#start(token);
    this.#provider.clear();
    this.#now = now;
    if (present !== undefined) this.#provider.create(this.#id, present, now);
    return await this.#commit(session, token);
  }

  async #start(token: string): Promise<Session> {
    return await this.#manager.start(requestWith(`__Host-id=${token}`));
  }

  /** The token that the browser has afterwards. */
  async #commit(session: Session, token: string): Promise<string> {
    const response = await this.#manager.commit(session, new Response());
    const [cookie] = response.headers.getSetCookie();
    return cookie?.split(";")[0]?.split("=")[1] ?? token;
  }
}

function roleOf(
  token: string,
  { secretHash, previous }: NewSessionRecord,
): "current" | "previous" | "stale" {
  const hash = hashSecret(secretOf(token));
  if (hash === secretHash) return "current";
  return hash === previous?.secretHash ? "previous" : "stale";
}

/** What two situations have in common that go on in the same way. */
function keyOf({ record, owner, known, held }: State): string {
  const roles = known.map((token) => roleOf(token, record));
  return JSON.stringify([
    record.renewedAt,
    record.previous?.until,
    roleOf(owner, record),
    [...new Set(roles)].sort(),
    roles.at(-1),
    held && [
      held.at,
      held.record.renewedAt,
      held.record.previous?.until,
      roleOf(held.token, held.record),
      roleOf(held.token, record),
    ],
  ]);
}
