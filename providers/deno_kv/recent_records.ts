import type { DenoKvEntry } from "./database.ts";

/** How many records are remembered between a request's read and its write. */
const MAX_REMEMBERED = 256;

/**
 * The records that were read last, each until it is asked for once. Of too many,
 * the one that was read the longest ago is forgotten.
 */
export class RecentRecords {
  readonly #entries = new Map<string, DenoKvEntry>();

  remember(id: string, entry: DenoKvEntry): void {
    this.#entries.delete(id);
    this.#entries.set(id, entry);
    if (this.#entries.size <= MAX_REMEMBERED) return;
    const [oldest] = this.#entries.keys();
    this.#entries.delete(oldest as string);
  }

  /** Hands out a record, and forgets it. */
  recall(id: string): DenoKvEntry | undefined {
    const entry = this.#entries.get(id);
    this.#entries.delete(id);
    return entry;
  }

  clear(): void {
    this.#entries.clear();
  }
}
