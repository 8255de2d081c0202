/** Tries a write again that another writer kept from happening. */
import { setTimeout } from "node:timers/promises";
import { SessionError } from "../../core/errors.ts";
import type { Patience } from "../../core/provider.ts";
import { checkPatience } from "../../core/store/turns.ts";

/** How often a call goes around before it gives up. */
const MAX_ATTEMPTS = 100;

/** The longest pause between two attempts, in milliseconds. */
const MAX_PAUSE = 32;

/** What is tried, and for whom. */
export interface Trial {
  /** The session that is written, if it is one. */
  readonly id?: string | undefined;
  /** How long somebody waits for it. */
  readonly patience: Patience | undefined;
}

/**
 * Tries until there is an answer. Other writers can change a record first, or,
 * in another process, hold the lock of a database file.
 *
 * @throws {SessionError} With code `"timeout"`, once nobody waits for it.
 */
export async function repeated<T>(
  attempt: (isFirst: boolean) => Promise<{ readonly answer: T } | undefined>,
  { id, patience }: Trial,
): Promise<T> {
  for (let count = 1; count <= MAX_ATTEMPTS; count++) {
    if (count > 2) await pause(count);
    checkPatience(patience);
    try {
      const done = await attempt(count === 1);
      if (done !== undefined) return done.answer;
    } catch (error) {
      if (!isLocked(error) || count === MAX_ATTEMPTS) throw error;
    }
  }
  throw new SessionError(
    "conflict",
    `Cannot write session: others changed it first, ${MAX_ATTEMPTS} times in a row`,
    { id },
  );
}

/** SQLite's word for a write that another process kept from happening. */
function isLocked(error: unknown): boolean {
  return error instanceof Error && error.message === "database is locked";
}

/** Lets one of several writers get ahead of the others. */
async function pause(attempt: number): Promise<void> {
  await setTimeout(Math.random() * Math.min(2 ** attempt, MAX_PAUSE));
}
