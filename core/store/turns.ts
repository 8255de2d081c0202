/** Does a long call in turns, so that other work gets its own in between. */
import { setImmediate } from "node:timers/promises";
import { SessionError } from "../errors.ts";
import type { Awaitable, Patience } from "../provider.ts";

/** A call that may take many turns. */
export interface Turns<T> {
  /** Does some of the work, and says whether there is more of it. */
  readonly turn: () => Awaitable<boolean>;
  /** What the call answers after the last turn. */
  readonly answer: () => T;
}

/**
 * Takes turns until one says that it was the last. A call of a single turn that
 * answers at once is over at once.
 *
 * @param patience Told of each turn.
 * @throws {SessionError} With code `"timeout"`, before a turn that nobody waits
 * for any more.
 */
export function inTurns<T>(
  { turn, answer }: Turns<T>,
  patience: Patience | undefined,
): Awaitable<T> {
  const hasMore = turn();
  if (hasMore === false) return answer();
  return otherTurns(hasMore, turn, patience).then(answer);
}

async function otherTurns(
  first: Awaitable<boolean>,
  turn: () => Awaitable<boolean>,
  patience: Patience | undefined,
): Promise<void> {
  let hasMore = await first;
  while (hasMore) {
    patience?.extend();
    await setImmediate();
    checkPatience(patience);
    hasMore = await turn();
  }
}

/**
 * Keeps a call from taking effect that was given up.
 *
 * @throws {SessionError} With code `"timeout"`, if nobody waits any more.
 */
export function checkPatience(patience: Patience | undefined): void {
  if (patience === undefined || performance.now() < patience.giveUpAt) return;
  throw new SessionError(
    "timeout",
    "Cannot go on with the call: its time is up, and nobody waits for it",
  );
}
