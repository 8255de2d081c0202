import type { SessionChange, UpdateGuard } from "../../core/provider.ts";
import { changedLines, dataLines, numberText } from "./record_text.ts";

/** The index entry that a write relies on. */
export interface Coverage {
  /** Whose session it is, or is about to be. */
  readonly principal: string;
  /** Up to when they have it, in milliseconds since the Unix epoch. */
  readonly until: number;
}

/** One request's update of a session. */
export interface Update {
  readonly change: SessionChange;
  readonly guard: UpdateGuard;
  readonly now: number;
  /** Names it, so that it is known when it comes again. */
  readonly writeId: string;
}

/** The arguments of the script `UPDATE`, given the index entry. */
export function updateArgs(
  { change, guard, now, writeId }: Update,
): (coverage: Coverage | undefined) => string[] {
  const { expiresAt } = change;
  const lines = changedLines(change);
  const set = dataLines(change.set ?? {});
  const removed = change.delete ?? [];
  const before = [
    String(now),
    writeId,
    JSON.stringify(guard.secretHash),
    String(guard.version ?? ""),
    timeToLive(expiresAt, now),
    numberText(now),
    numberText(expiresAt),
  ];
  const after = [
    String(lines.length / 2),
    ...lines,
    String(set.length / 2),
    ...set,
    ...removed.map((key) => JSON.stringify(key)),
  ];
  return (coverage) => [...before, ...coverageArgs(coverage), ...after];
}

/** The arguments of the script `TOUCH`, given the index entry. */
export function touchArgs(
  expiresAt: number,
  now: number,
): (coverage: Coverage | undefined) => string[] {
  const args = [
    String(now),
    timeToLive(expiresAt, now),
    numberText(now),
    numberText(expiresAt),
  ];
  return (coverage) => [...args, ...coverageArgs(coverage)];
}

/**
 * For how long the server keeps something, in milliseconds. Only a help to it:
 * the deadline in the record is what counts, because the server has another
 * clock than the manager.
 */
export function timeToLive(expiresAt: number, now: number): string {
  return String(Math.max(1, Math.ceil(expiresAt - now)));
}

function coverageArgs(coverage: Coverage | undefined): readonly string[] {
  if (coverage === undefined) return ["", ""];
  return [JSON.stringify(coverage.principal), numberText(coverage.until)];
}
