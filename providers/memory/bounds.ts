import { checkOptionNames } from "../../core/option_names.ts";

/** How much a `MemoryProvider` keeps. */
export interface MemoryProviderOptions {
  /**
   * The most sessions it keeps. A new one beyond that evicts the stalest of
   * those that were never used after their first request, and only if there are
   * none the stalest of the others.
   *
   * @default {1_000_000}
   */
  readonly maxSessions?: number | undefined;
  /**
   * The most bytes that the data of all sessions may take as text, keys
   * included. Enforced by eviction, as above. One session alone can take no more
   * than 2 GiB.
   *
   * @default {268_435_456}
   */
  readonly maxBytes?: number | undefined;
}

/**
 * Settles the defaults.
 *
 * @throws {RangeError} If a bound is not a positive whole number or `Infinity`.
 * @throws {TypeError} If there is an option of another name.
 */
export function resolveBounds(
  options: MemoryProviderOptions,
): { readonly maxSessions: number; readonly maxBytes: number } {
  const { maxSessions = 1_000_000, maxBytes = 268_435_456, ...others } =
    options;
  checkOptionNames("create MemoryProvider", others, []);
  checkBound("maxSessions", maxSessions);
  checkBound("maxBytes", maxBytes);
  return { maxSessions, maxBytes };
}

/** Reads `memory:?maxSessions=1000&maxBytes=1000000`. */
export function readUrl(url: URL | undefined): MemoryProviderOptions {
  if (url !== undefined && url.pathname !== "") {
    throw new TypeError(
      `Cannot open provider memory: options start with a question mark: received ${url.pathname}`,
    );
  }
  const options: Record<string, number> = {};
  for (const [name, value] of url?.searchParams ?? []) {
    options[name] = Number(value);
  }
  return options;
}

function checkBound(name: string, value: number): void {
  const isBound = Number.isSafeInteger(value) || value === Infinity;
  if (isBound && value > 0) return;
  throw new RangeError(
    `Cannot create MemoryProvider: ${name} must be a positive whole number or Infinity: received ${value}`,
  );
}
