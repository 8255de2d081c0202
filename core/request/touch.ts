/** When an access is worth telling the store. */
import type { SessionRecord } from "../provider.ts";

/** How long ago the last access is at most without an interval, in milliseconds. */
const USUAL_INTERVAL = 60_000;

/** And how much of the idle timeout may have passed. */
const USUAL_SHARE = 1 / 10;

/** How much of the idle timeout may have passed whatever the interval is. */
const MAX_SHARE = 1 / 2;

type Access = Pick<SessionRecord, "accessedAt" | "idleTimeout">;

/**
 * Whether a request that only reads is worth a touch when it ends.
 *
 * @param interval In seconds, as the options or the provider say, if they do. A
 * session may have a shorter idle timeout than the manager's.
 */
export function isTouchDue(
  { accessedAt, idleTimeout }: Access,
  now: number,
  interval: number | undefined,
): boolean {
  const longest = interval === undefined ? USUAL_INTERVAL : interval * 1000;
  const share = interval === undefined ? USUAL_SHARE : MAX_SHARE;
  return now - accessedAt >= Math.min(longest, idleTimeout * 1000 * share);
}

/**
 * Whether a request is worth a touch when it starts: it may take longer than
 * what is left of the idle timeout.
 */
export function isTouchDueAtStart(
  { accessedAt, idleTimeout }: Access,
  arrivedAt: number,
): boolean {
  return arrivedAt - accessedAt > idleTimeout * 1000 * MAX_SHARE;
}
