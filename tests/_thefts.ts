import { Manager, type NewSessionRecord } from "../mod.ts";
import { hashSecret, idOf, mintToken, secretOf } from "../core/secret/token.ts";
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
}

/** How the thief's turn goes: the token shown, or none, and who comes first. */
interface Move {
  readonly shown: string | undefined;
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
    renewedAt: START,
    principal: "ada",
    createdAt: START,
    accessedAt: START,
    expiresAt: START + 3_600_000,
    idleTimeout: 3600,
    absoluteTimeout: 43_200,
    persistent: false,
  };
}

/** A session that began at tick 0, and whose cookie has just been copied. */
function copied(): State {
  const token = mintToken();
  return { record: signedInRecord(token), owner: token, known: [token] };
}

function movesOf({ known, record }: State, { thief }: Theft): Move[] {
  const byRole = new Map(known.map((token) => [roleOf(token, record), token]));
  const shown = thief === "goes on"
    ? known.slice(-1)
    : [undefined, ...byRole.values()];
  return shown.flatMap((token) => [
    { shown: token, isFirst: true },
    { shown: token, isFirst: false },
  ]);
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
  const provider = new MemoryProvider();
  const id = idOf(state.owner);
  provider.create(id, state.record, now);
  const manager = new Manager({
    provider,
    gcInterval: 0,
    renewInterval: theft.interval,
    renewGrace: theft.grace,
    now: () => now,
  });
  const visit = (token: string) => visitWith(manager, token);
  let { owner } = state;
  let known = state.known;
  let isOpened = false;
  const steal = async () => {
    if (move.shown === undefined) return;
    const seen = await visit(move.shown);
    isOpened = seen.isOpened;
    if (seen.token !== move.shown) known = [...known, seen.token];
  };
  if (move.isFirst) await steal();
  if (theft.isOwnersTurn) owner = (await visit(owner)).token;
  if (!move.isFirst) await steal();
  const record = provider.read(id, now);
  const hasHope = record !== undefined &&
    known.some((token) => roleOf(token, record) !== "stale");
  return {
    isOpened,
    state: hasHope ? { record, owner, known } : undefined,
  };
}

async function visitWith(
  manager: Manager,
  token: string,
): Promise<{ isOpened: boolean; token: string }> {
  const session = await manager.start(requestWith(`__Host-id=${token}`));
  const isOpened = session.principal === "ada";
  const response = await manager.commit(session, new Response());
  const cookie = response.headers.getSetCookie()[0]?.split(";")[0];
  return { isOpened, token: cookie?.split("=")[1] ?? token };
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
function keyOf({ record, owner, known }: State): string {
  const roles = known.map((token) => roleOf(token, record));
  return JSON.stringify([
    record.renewedAt,
    record.previous?.expiresAt,
    roleOf(owner, record),
    [...new Set(roles)].sort(),
    roles.at(-1),
  ]);
}
