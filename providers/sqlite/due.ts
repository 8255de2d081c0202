/** What a collection of `SqliteProvider` does at a time. */

/** A session whose turn to be looked at by `gc` has come. */
export type Due = readonly [key: string, collectAt: number, isLive: number];

/** How many of them `gc` looks at before other work gets its turn. */
export const DUE_AT_ONCE = 200;

/** How many expired ones `gc` removes in one statement. */
export const REMOVED_AT_ONCE = 50;

/** How many live ones `gc` files anew in one statement. */
export const REFILED_AT_ONCE = 100;

/**
 * How many live ones one `gc` files anew at most. The rest stays due, and costs
 * the next call a look at each.
 */
export const MOST_REFILED = 10_000;

/** The keys of those that have expired, or of those that have not. */
export function keysOf(
  due: readonly Due[],
  state: "expired" | "live",
): string[] {
  const wanted = Number(state === "live");
  return due.filter(([, , isLive]) => isLive === wanted).map(([key]) => key);
}

/** Keys as arrays in JSON, of so many each; as numbers they would lose digits. */
export function* chunked(
  keys: readonly string[],
  size: number,
): Generator<string> {
  for (let from = 0; from < keys.length; from += size) {
    yield `[${keys.slice(from, from + size).join()}]`;
  }
}
