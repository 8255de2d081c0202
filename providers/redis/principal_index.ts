import type { UpdateResult } from "../../core/provider.ts";
import { digest } from "../../core/secret/token.ts";
import { type Connection, textOf } from "./client.ts";
import { corruptRecord, readPrincipal } from "./record_text.ts";
import { type Coverage, timeToLive } from "./script_args.ts";
import { INDEX, REPAIR } from "./scripts.ts";

const DAY = 86_400_000;

/** How often a write looks for its session under yet another principal. */
const MAX_ATTEMPTS = 10;

/** A write to a session. */
interface SessionWrite {
  readonly id: string;
  /** When the session is to end, in milliseconds since the Unix epoch. */
  readonly expiresAt: number;
  /** In milliseconds since the Unix epoch. */
  readonly now: number;
}

/**
 * Which sessions a principal has: one hash of their ids. What it names is only
 * where to look, since a session may have ended or changed hands.
 */
export class PrincipalIndex {
  readonly #redis: Connection;
  readonly #prefix: string;

  /** @param prefix What every key starts with. */
  constructor(redis: Connection, prefix: string) {
    this.#redis = redis;
    this.#prefix = prefix;
  }

  /**
   * Puts a session into its principal's index, before it becomes theirs and for
   * much longer than it lives, so that a touch need not do it again.
   */
  async cover(
    { id, expiresAt, now }: SessionWrite,
    principal: string,
  ): Promise<Coverage> {
    const until = expiresAt + Math.max(expiresAt - now, DAY);
    // The clocks of the servers in a cluster may differ by up to the extra day.
    const lifetime = timeToLive(until + DAY, now);
    await this.#redis.run(INDEX, this.#keyOf(principal), [id, lifetime]);
    return { principal, until };
  }

  /**
   * Writes to a session, and again with its principal's index brought up to date
   * as long as the script asks for that.
   *
   * @param session With the index entry that the first attempt relies on, if any.
   * @param write Runs the script, given the index entry.
   * @throws {SessionError} `corrupt` if the script cannot make out the record.
   */
  async covered(
    session: SessionWrite & { readonly coverage: Coverage | undefined },
    write: (coverage: Coverage | undefined) => Promise<unknown>,
  ): Promise<UpdateResult> {
    let { coverage } = session;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const reply = textOf(await write(coverage));
      if (isResult(reply)) return reply;
      if (reply?.startsWith("index") !== true) throw corruptRecord();
      const principal = readPrincipal(reply.slice("index".length));
      coverage = await this.cover(session, principal);
    }
    throw new Error(
      `Cannot write session: its principal changed ${MAX_ATTEMPTS} times meanwhile`,
    );
  }

  /** The ids that the index of a principal names, in no order. */
  async idsOf(principal: string): Promise<string[]> {
    const key = this.#keyOf(principal);
    const ids = await this.#redis.send("HKEYS", [key]) as unknown[];
    return ids.map((id) => textOf(id) as string);
  }

  /** Forgets sessions that are no more; an id never comes back. */
  remove(principal: string, ids: readonly string[]): Promise<unknown> {
    return this.#redis.send("HDEL", [this.#keyOf(principal), ...ids]);
  }

  /**
   * Forgets sessions that are not the principal's, but none whose entry is so
   * recent that it may be about to become theirs.
   */
  repair(principal: string, ids: readonly string[]): Promise<unknown> {
    return this.#redis.run(REPAIR, this.#keyOf(principal), ids);
  }

  /** A principal may be of any length and characters, and is nobody's business. */
  #keyOf(principal: string): string {
    return `${this.#prefix}${digest(principal)}:sessions`;
  }
}

function isResult(reply: string | undefined): reply is UpdateResult {
  return reply === "done" || reply === "gone" || reply === "conflict";
}
