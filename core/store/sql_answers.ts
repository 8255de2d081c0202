/** Makes lists and pages of rows, for providers that speak SQL. */
import { setTimeout } from "node:timers/promises";
import type {
  ScanPage,
  SessionList,
  SessionSummary,
  StoredSession,
} from "../provider.ts";

/** How many rows of a list are decoded before other work has its turn. */
const DECODED_AT_ONCE = 500;

/** How rows are read. */
export interface Reading<Row, Item> {
  /** `undefined` for a row that cannot be decoded. */
  readonly decode: (row: Row) => Item | undefined;
  /** The id in a row whose columns may all be beyond reading. */
  readonly idOf: (row: Row) => string;
}

/** The list of one principal's rows. */
export async function listFrom<Row>(
  rows: readonly Row[],
  { decode, idOf }: Reading<Row, SessionSummary>,
): Promise<SessionList> {
  const sessions: SessionSummary[] = [];
  const unreadable: string[] = [];
  for (const [index, row] of rows.entries()) {
    // A timer lets the network in, which setImmediate does not.
    if (index > 0 && index % DECODED_AT_ONCE === 0) await setTimeout(0);
    const summary = decode(row);
    if (summary === undefined) unreadable.push(idOf(row));
    else sessions.push(summary);
  }
  return { sessions, unreadable };
}

/**
 * The page that some rows are, in the order of their keys.
 *
 * @param limit How many there are at most; fewer are the last ones.
 * @param keyOf The key of a row as it is stored.
 */
export function pageFrom<Row>(
  rows: readonly Row[],
  limit: number,
  { decode, idOf, keyOf }: Reading<Row, StoredSession> & {
    readonly keyOf: (row: Row) => string;
  },
): ScanPage {
  const sessions: StoredSession[] = [];
  const unreadable: string[] = [];
  for (const row of rows) {
    const session = decode(row);
    if (session === undefined) unreadable.push(idOf(row));
    else sessions.push(session);
  }
  const last = rows.at(-1);
  const isLast = rows.length < limit || last === undefined;
  return { sessions, unreadable, next: isLast ? undefined : keyOf(last) };
}
