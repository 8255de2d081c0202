/** Goes through all records of a provider in Deno KV, some at a time. */
import { ownOf } from "../../core/option_names.ts";
import type { DenoKv, DenoKvEntry } from "./database.ts";
import { idOf, type Keys } from "./keys.ts";

/** Some records, in the order of their ids. */
export interface Page {
  readonly entries: readonly DenoKvEntry[];
  /** The last id, if others may follow. */
  readonly next: string | undefined;
}

/**
 * Reads the records that follow an id.
 *
 * @param after `undefined` to begin with the first one.
 */
export async function readPage(
  { kv, keys }: { readonly kv: DenoKv; readonly keys: Keys },
  after: string | undefined,
  limit: number,
): Promise<Page> {
  const prefix = keys.record();
  const selector = after === undefined
    ? { prefix }
    // Nothing comes between a text and itself with a zero behind it.
    : { prefix, start: keys.record(`${after}\0`) };
  const entries: DenoKvEntry[] = [];
  const found = kv.list(ownOf(selector), ownOf({ limit }));
  for await (const entry of found) entries.push(entry);
  const last = entries.length < limit ? undefined : entries.at(-1);
  return { entries, next: last && idOf(last) };
}
