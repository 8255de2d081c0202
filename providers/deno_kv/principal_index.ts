/** The index of a principal's sessions in Deno KV. */
import type { Patience, SessionRecord } from "../../core/provider.ts";
import { ownOf } from "../../core/option_names.ts";
import { expiryOf } from "../../core/store/record.ts";
import type { DenoKv, DenoKvEntry } from "./database.ts";
import { idOf, type Keys } from "./keys.ts";
import { lifetime, type Put } from "./put.ts";
import type { Fields } from "./record.ts";

/** How far the clocks of machines may differ, in milliseconds. */
const MAX_CLOCK_DIFFERENCE = 24 * 3600 * 1000;

/** For how long at least an entry in the index is not written again. */
const MIN_INDEXED = 3600 * 1000;

/** How many keys Deno KV reads in one go. */
const MAX_READS = 10;

/** How many entries of the index it lists in one go. */
const LIST_BATCH = 500;

/** How many keys Deno KV checks in one atomic operation. */
export const MAX_CHECKS = 100;

/**
 * How many records are asked for at once: up to 6 MiB. The requests of others
 * wait behind them.
 */
const READ_AHEAD = MAX_CHECKS;

/** A record about to take the place of another one, or of none. */
export interface Replacement {
  readonly id: string;
  readonly before: Fields | undefined;
  readonly after: Omit<SessionRecord, "data">;
  /** In milliseconds since the Unix epoch. */
  readonly now: number;
}

/** What a replacement means for the index. */
export interface IndexChange {
  /** What the new record is to say of itself. */
  readonly indexedUntil: number | undefined;
  /** What has to be written together with the new record. */
  readonly puts: readonly Put[];
}

/**
 * Which sessions a principal has: one key for each. What it leads to is only
 * where to look, since a record may have ended or changed hands.
 */
export class PrincipalIndex {
  readonly #keys: Keys;

  constructor(keys: Keys) {
    this.#keys = keys;
  }

  /**
   * What moves the entry of a session to its new principal, or renews it. An
   * entry is to outlast its record by far, so that few writes need to renew it.
   */
  changeFor({ id, before, after, now }: Replacement): IndexChange {
    const { principal } = after;
    const expiresAt = expiryOf(after);
    const isSame = before?.principal === principal;
    const puts: Put[] = [];
    if (before?.principal !== undefined && !isSame) {
      puts.push({ key: this.#keys.index(before.principal, id) });
    }
    if (principal === undefined) return { indexedUntil: undefined, puts };
    const known = isSame ? before?.indexedUntil : undefined;
    if (known !== undefined && known >= expiresAt) {
      return { indexedUntil: known, puts };
    }
    const indexedUntil = expiresAt + Math.max(expiresAt - now, MIN_INDEXED);
    const key = this.#keys.index(principal, id);
    const expireIn = lifetime(indexedUntil + MAX_CLOCK_DIFFERENCE, now);
    puts.push({ key, value: true, expireIn });
    return { indexedUntil, puts };
  }

  /**
   * What the index of a principal leads to, some records at a time: as many as
   * one atomic operation can check. Entries that lead to nothing are removed
   * after the last of them.
   *
   * @param patience Told of each step.
   */
  async *recordsOf(
    kv: DenoKv,
    principal: string,
    patience?: Patience,
  ): AsyncGenerator<readonly DenoKvEntry[]> {
    const ids = await this.#idsOf(kv, principal, patience);
    const ended: string[] = [];
    for (const some of inParts(ids, READ_AHEAD)) {
      const entries = await this.recordsAt(kv, some);
      yield entries.filter(({ versionstamp }) => versionstamp !== null);
      for (const entry of entries) {
        if (entry.versionstamp === null) ended.push(idOf(entry));
      }
      patience?.extend();
    }
    for (const some of inParts(ended, MAX_CHECKS)) {
      await this.#forget(kv, principal, some);
      patience?.extend();
    }
  }

  /** The records of some ids, in their order. */
  async recordsAt(
    kv: DenoKv,
    ids: readonly string[],
  ): Promise<readonly DenoKvEntry[]> {
    const reads = inParts(ids, MAX_READS).map((some) =>
      kv.getMany(some.map((id) => this.#keys.record(id)))
    );
    return (await Promise.all(reads)).flat();
  }

  async #idsOf(
    kv: DenoKv,
    principal: string,
    patience: Patience | undefined,
  ): Promise<readonly string[]> {
    const ids: string[] = [];
    const selector = ownOf({ prefix: this.#keys.index(principal) });
    const options = ownOf({ batchSize: LIST_BATCH });
    for await (const entry of kv.list(selector, options)) {
      ids.push(idOf(entry));
      if (ids.length % LIST_BATCH === 0) patience?.extend();
    }
    return ids;
  }

  /** Removes sessions from the index, unless they are back. */
  async #forget(
    kv: DenoKv,
    principal: string,
    ids: readonly string[],
  ): Promise<void> {
    const atomic = ids.reduce((writes, id) => {
      const key = this.#keys.record(id);
      return writes.check({ key, versionstamp: null })
        .delete(this.#keys.index(principal, id));
    }, kv.atomic());
    try {
      await atomic.commit();
    } catch {
      // Nobody asked for it, and the next call tries again.
    }
  }
}

/** Cuts a list into parts of at most `length`. */
export function inParts<T>(list: readonly T[], length: number): readonly T[][] {
  const parts: T[][] = [];
  for (let from = 0; from < list.length; from += length) {
    parts.push(list.slice(from, from + length));
  }
  return parts;
}
