/** Which sessions a principal has. */
import type { Patience, UpdateResult } from "../../core/provider.ts";
import { digest } from "../../core/secret/token.ts";
import type { Connection } from "./client.ts";
import { corruptRecord, readPrincipal } from "./record_text.ts";
import { textOf } from "./reply.ts";
import { type Coverage, timeToLive } from "./script_args.ts";
import { INDEX } from "./scripts.ts";

/**
 * How much longer an entry stays at least than its session, in milliseconds, and
 * how far the clocks of the servers in a cluster may differ.
 */
const MARGIN = 3_600_000;

/** How often a write looks for its session under yet another principal. */
const MAX_ATTEMPTS = 10;

/** When a session ends. All are milliseconds since the Unix epoch. */
interface Life {
  /** If nobody uses it any more. */
  readonly deadline: number;
  /** However much it is used. */
  readonly latest: number;
  readonly now: number;
  readonly patience: Patience | undefined;
}

/** A write to a session. */
interface SessionWrite {
  readonly id: string;
  /** In milliseconds since the Unix epoch. */
  readonly now: number;
  readonly patience: Patience | undefined;
}

/**
 * A sorted set of a principal's sessions by the instant at which the entry ends.
 * What it names is only where to look, since a session may have ended or changed
 * hands. An entry takes time in the logarithm of those there.
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
   * longer than it lives, so that a touch need not do it again.
   */
  async cover(
    id: string,
    principal: string,
    { deadline, latest, now, patience }: Life,
  ): Promise<Coverage> {
    const longer = deadline + Math.max(deadline - now, MARGIN);
    const until = Math.min(longer, latest);
    const lifetime = timeToLive(until + MARGIN, now);
    const key = this.#keyOf(principal);
    await this.#redis.run(INDEX, key, [id, lifetime], patience);
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
    const { id, now, patience } = session;
    let { coverage } = session;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const reply = textOf(await write(coverage));
      if (isResult(reply)) return reply;
      const asked = /^(index|done)(\d+) (\d+) (.*)$/s.exec(reply ?? "");
      const [, word, deadline, latest, text = ""] = asked ?? [];
      const principal = readPrincipal(text);
      if (principal === undefined) throw corruptRecord(id);
      const covering = this.cover(id, principal, {
        deadline: Number(deadline),
        latest: Number(latest),
        now,
        patience,
      });
      if (word === "done") {
        // What was asked for is done, and the entry most often there.
        await covering.catch(() => {});
        return "done";
      }
      coverage = await covering;
    }
    throw new Error(
      `Cannot write session: its principal changed ${MAX_ATTEMPTS} times meanwhile`,
    );
  }

  /** The ids that the index of a principal names, in no order. */
  async idsOf(principal: string): Promise<string[]> {
    const args = [this.#keyOf(principal), "0", "-1"];
    const ids = await this.#redis.send("ZRANGE", args) as unknown[];
    return ids.map((id) => textOf(id) as string);
  }

  /** Forgets sessions that are no more; an id never comes back. */
  remove(principal: string, ids: readonly string[]): Promise<unknown> {
    return this.#redis.send("ZREM", [this.#keyOf(principal), ...ids]);
  }

  /** A principal may be of any length and characters, and is nobody's business. */
  #keyOf(principal: string): string {
    return `${this.#prefix}${digest(principal)}:sessions`;
  }
}

function isResult(reply: string | undefined): reply is UpdateResult {
  return reply === "done" || reply === "gone" || reply === "conflict";
}
