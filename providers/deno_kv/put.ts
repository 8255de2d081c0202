import type { DenoKvAtomic } from "./database.ts";

/** Longer than this is as good as for ever; Deno KV refuses what overflows. */
const MAX_EXPIRE_IN = 100 * 365 * 24 * 3600 * 1000;

/** One key to store, or to remove if there is no value. */
export interface Put {
  readonly key: readonly string[];
  readonly value?: unknown;
  /** For how long at least to keep it, in milliseconds. */
  readonly expireIn?: number;
}

export function withPuts(
  atomic: DenoKvAtomic,
  puts: readonly Put[],
): DenoKvAtomic {
  return puts.reduce((writes, { key, value, expireIn = 0 }) => {
    return value === undefined
      ? writes.delete(key)
      : writes.set(key, value, { expireIn });
  }, atomic);
}

/** For how long Deno KV keeps something, in milliseconds. */
export function lifetime(expiresAt: number, now: number): number {
  const remaining = Math.ceil(expiresAt - now);
  return Math.min(Math.max(remaining, 0), MAX_EXPIRE_IN);
}
