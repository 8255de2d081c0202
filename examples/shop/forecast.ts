/** What the next request of a session will do, as far as the record tells. */
import type { SessionRecord } from "@cloakroom/session";

/** The manager's options that it depends on, in seconds. */
export interface Pace {
  readonly renewInterval: number;
  readonly renewGrace: number;
  readonly touchInterval: number;
}

/** What a request does if it comes at that time or later. */
export interface Outlook {
  /** How far from now, in milliseconds. */
  readonly from: number;
  /** Goes on after "The next request will …". */
  readonly text: string;
}

/** What the outlook needs of a record. */
export type Facts = Pick<
  SessionRecord,
  "renewedAt" | "accessedAt" | "previous" | "idleTimeout"
>;

/**
 * What a request with the newest cookie will do, from now on.
 *
 * @param now In milliseconds since the Unix epoch.
 */
export function forecast(facts: Facts, now: number, pace: Pace): Outlook[] {
  const { renewInterval, touchInterval } = pace;
  const turns = [
    facts.accessedAt + touchInterval * 1000,
    facts.renewedAt + renewInterval * 1000,
  ].map((at) => at - now).filter((from) => from > 0);
  return [0, ...turns.sort((a, b) => a - b)].map((from) => ({
    from,
    text: textAt(facts, now + from, pace),
  }));
}

/** The first that fits, as the library decides it. */
function textAt(facts: Facts, at: number, pace: Pace): string {
  const { renewInterval, renewGrace, touchInterval } = pace;
  if (at - facts.renewedAt >= renewInterval * 1000) {
    return "replace the secret: this browser gets a new cookie";
  }
  if (facts.previous?.until === "confirmed") {
    return `confirm the new cookie. The one before then works ${renewGrace} seconds more`;
  }
  if (at - facts.accessedAt >= touchInterval * 1000) {
    return `move the deadline: ${facts.idleTimeout / 60} minutes from then`;
  }
  return "only read. Nothing is written";
}
