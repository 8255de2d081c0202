/** Ids by which a store knows a write again that it has done already. */
import { mintId } from "../secret/token.ts";

/** A dot and 54 random bits: one of 16 kept is met by chance once in 10^15 writes. */
const ID_LENGTH = 10;

/** The characters that a session keeps of these ids: its last 16, latest first. */
export const KEPT_LENGTH: number = 16 * ID_LENGTH;

const FIRST = ".";

/**
 * Makes an id of a write, for stores whose client may send one again that was
 * done. Ids stand in a row without a separator, because each begins with a
 * character that none has elsewhere.
 *
 * All of it is random, each time: two processes restored from one snapshot have
 * every state in common, and would take each other's writes for repeats.
 */
export function mintWriteId(): string {
  return FIRST + mintId().slice(0, ID_LENGTH - FIRST.length);
}
