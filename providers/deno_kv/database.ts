/** What sessions need of a Deno KV database, and where one comes from. */

/** A key and what is stored under it, as Deno KV answers. */
export interface DenoKvEntry {
  /** The key. */
  readonly key: readonly unknown[];
  /** The value, `null` if there is none. */
  readonly value: unknown;
  /** Changes with every write of the key; `null` if there is none. */
  readonly versionstamp: string | null;
}

/** Which keys to list. */
export type DenoKvSelector =
  | { readonly prefix: readonly string[] }
  | { readonly prefix: readonly string[]; readonly start: readonly string[] };

/** Writes that happen all or not at all. */
export interface DenoKvAtomic {
  /** Lets it happen only if the key has this versionstamp. */
  check(entry: {
    readonly key: readonly string[];
    readonly versionstamp: string | null;
  }): DenoKvAtomic;
  /** Stores a value, to be removed at the earliest in `expireIn` milliseconds. */
  set(
    key: readonly string[],
    value: unknown,
    options?: { expireIn?: number },
  ): DenoKvAtomic;
  /** Removes a value. */
  delete(key: readonly string[]): DenoKvAtomic;
  /** Does it; `ok` is `false` if a check failed and nothing was written. */
  commit(): Promise<{ readonly ok: boolean }>;
}

/**
 * A Deno KV database as far as sessions need it. What `Deno.openKv()` resolves
 * to is one.
 */
export interface DenoKv {
  /** Reads one key. */
  get(key: readonly string[]): Promise<DenoKvEntry>;
  /** Reads up to ten keys. */
  getMany(
    keys: readonly (readonly string[])[],
  ): Promise<readonly DenoKvEntry[]>;
  /** Reads all keys that begin with a prefix, in order. */
  list(
    selector: DenoKvSelector,
    options?: { limit?: number; batchSize?: number },
  ): AsyncIterable<DenoKvEntry>;
  /** Begins a write. */
  atomic(): DenoKvAtomic;
  /** Closes the database. */
  close(): void;
}

type OpenKv = (path?: string) => Promise<DenoKv>;

export function openKvOfRuntime(): OpenKv {
  const { Deno } = globalThis as unknown as { Deno?: { openKv?: OpenKv } };
  if (Deno === undefined) {
    throw new TypeError(
      "Cannot open Deno KV: this runtime has none: run on Deno, or hand in an open database",
    );
  }
  if (Deno.openKv === undefined) {
    throw new TypeError(
      'Cannot open Deno KV: Deno.openKv is missing: run with --unstable-kv, or with "unstable": ["kv"] in deno.json',
    );
  }
  return Deno.openKv;
}

export function checkKv(kv: DenoKv): DenoKv {
  if (typeof kv?.atomic === "function") return kv;
  throw new TypeError(
    "Cannot create DenoKvProvider: source must be an open Deno KV, a path or a URL",
  );
}
