/** Where a provider keeps what in its database. */
import { digest } from "../../core/secret/token.ts";
import type { DenoKvEntry } from "./database.ts";

/** The keys of one provider. */
export class Keys {
  readonly #prefix: string;

  /** @param prefix The first part of every key. */
  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** The key of a record; without an id, what the keys of all begin with. */
  record(...id: readonly string[]): readonly string[] {
    return [this.#prefix, "id", ...id];
  }

  /**
   * The key of an entry in the index of a principal; without an id, what the
   * keys of all its entries begin with.
   *
   * The principal is digested, because a key is short. Strings that UTF-8
   * cannot tell apart share a digest; what counts is the principal in the
   * record.
   */
  index(principal: string, ...id: readonly string[]): readonly string[] {
    const name = digest(principal);
    return [this.#prefix, "principal", name, ...id];
  }
}

/** The id of the session that a record or an entry in the index belongs to. */
export function idOf(entry: DenoKvEntry): string {
  return entry.key.at(-1) as string;
}
