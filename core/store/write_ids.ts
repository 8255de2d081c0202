/** Ids by which a store knows a write again that it has done already. */
import { mintSecret } from "../secret/token.ts";

const ID_LENGTH = 16;

/** The characters that a session keeps of these ids: its last four, latest first. */
export const KEPT_LENGTH: number = 4 * ID_LENGTH;

const FIRST = ".";
const WRITER_LENGTH = 8;

/**
 * Ids of writes, for stores whose client may send one again that was done: the
 * store knows it by its id then. Ids stand in a row without a separator, because
 * each begins with a character that none has elsewhere.
 */
export class WriteIds {
  /** Random, so that no two writers are one. */
  readonly #writer = FIRST + mintSecret().slice(0, WRITER_LENGTH);
  #count = 0;

  /** An id that no write had before. */
  next(): string {
    const count = (this.#count++).toString(36);
    const { length } = this.#writer;
    return this.#writer + count.padStart(ID_LENGTH - length, "0");
  }
}
