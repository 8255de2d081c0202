/** How much a memory provider may keep, and how that is said. */
import { ownOptions } from "../../core/option_names.ts";

/** How much a `MemoryProvider` keeps. */
export interface MemoryProviderOptions {
  /**
   * The most sessions it keeps. A new one beyond that evicts the stalest visitor
   * that never came back; if there is none, the stalest that did; and only if
   * there is no visitor, the stalest session that somebody is signed in with.
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

const NAMES = Object.keys(
  { maxSessions: 1, maxBytes: 1 } satisfies Record<
    keyof MemoryProviderOptions,
    1
  >,
);

/**
 * Settles the defaults.
 *
 * @throws {RangeError} If a bound is not a positive whole number or `Infinity`.
 * @throws {TypeError} If there is an option of another name.
 */
export function resolveBounds(
  options: MemoryProviderOptions,
): { readonly maxSessions: number; readonly maxBytes: number } {
  const { maxSessions = 1_000_000, maxBytes = 268_435_456 } = ownOptions(
    "create MemoryProvider",
    options,
    NAMES,
  );
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
  const options: Record<string, number> = Object.create(null);
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
