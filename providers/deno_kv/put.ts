/** What one atomic operation of Deno KV stores and removes. */
import type { DenoKvAtomic } from "./database.ts";

/** Longer than this is as good as for ever; Deno KV refuses what overflows. */
const MAX_EXPIRE_IN = 100 * 365 * 24 * 3600 * 1000;

/** One key to store. */
interface Entry {
  readonly key: readonly string[];
  readonly value: unknown;
  /** For how long at least to keep it, in milliseconds. */
  readonly expireIn: number;
}

/** One key to store, or to remove if there is no value. */
export type Put = Entry | Pick<Entry, "key">;

export function withPuts(
  atomic: DenoKvAtomic,
  puts: readonly Put[],
): DenoKvAtomic {
  return puts.reduce((writes, put) => {
    if (!isEntry(put)) return writes.delete(put.key);
    const { key, value, expireIn } = put;
    return writes.set(key, value, { expireIn });
  }, atomic);
}

function isEntry(put: Put): put is Entry {
  return Object.hasOwn(put, "value");
}

/**
 * For how long Deno KV keeps something, in milliseconds: at least one, because
 * `@deno/kv` refuses 0.
 */
export function lifetime(expiresAt: number, now: number): number {
  const remaining = Math.ceil(expiresAt - now);
  return Math.min(Math.max(remaining, 1), MAX_EXPIRE_IN);
}
