/** Remembers records between a request's read and its write. */
import { ownText } from "../../core/secret/token.ts";
import type { Version } from "./record.ts";

/** How many records are remembered. */
const MAX_REMEMBERED = 256;

/**
 * The records that were read last, each until it is asked for once. Of too many,
 * the one that was read the longest ago is forgotten.
 */
export class RecentRecords {
  readonly #versions = new Map<string, Version>();

  remember(id: string, { value, versionstamp }: Version): void {
    this.#versions.delete(id);
    // The id is a part of a `Cookie` header, and the key may be that same id.
    this.#versions.set(ownText(id), { value, versionstamp });
    if (this.#versions.size <= MAX_REMEMBERED) return;
    const [oldest] = this.#versions.keys();
    this.#versions.delete(oldest as string);
  }

  /** Hands out a record, and forgets it. */
  recall(id: string): Version | undefined {
    const version = this.#versions.get(id);
    this.#versions.delete(id);
    return version;
  }

  clear(): void {
    this.#versions.clear();
  }
}
