/** What the scripts are given: guards, changes and times as texts. */
import { encode } from "../../core/value/codec.ts";
import type { Guard, SessionChange } from "../../core/provider.ts";
import { untilText } from "../../core/store/record.ts";
import type { StoredData } from "../../core/value/types.ts";
import {
  type Field,
  fieldNumber,
  fieldText,
  keyText,
  numberText,
} from "./record_text.ts";

/** The index entry that a write relies on. */
export interface Coverage {
  /** Whose session it is, or is about to be. */
  readonly principal: string;
  /** Up to when they have it, in milliseconds since the Unix epoch. */
  readonly until: number;
}

/** One request's update of a session. */
export interface Update {
  /** Without properties that it inherits. */
  readonly change: SessionChange;
  /** Without properties that it inherits. */
  readonly guard: Guard;
  readonly now: number;
  /** Tells it when it comes again. */
  readonly writeId: string;
}

/** A line of a record, by its number or as the version. */
type GuardedLine = Field | "version";

/** The longest time to live, in milliseconds: more than two thousand years. */
export const MAX_TIME_TO_LIVE = 9e13;

/**
 * The arguments of the script `UPDATE`, given the index entry. As few as can be:
 * each takes the client 0.2 µs and the server 0.15 µs.
 */
export function updateArgs(
  { change, guard, now, writeId }: Update,
  coverage: Coverage | undefined,
): string[] {
  const { family, ...others } = guard;
  const args = [
    numberText(now),
    family === undefined ? "" : `\n,${JSON.stringify(family)}\n`,
    writeId,
  ];
  for (const [name, line] of guardedLines(others)) {
    args.push(`?${numberOf(name)}`, line);
  }
  if (coverage !== undefined) {
    args.push("principal", JSON.stringify(coverage.principal));
    args.push("until", numberText(coverage.until));
  }
  for (const name of Object.keys(change) as (keyof SessionChange)[]) {
    pushChange(args, name, change);
  }
  for (const [key, value] of Object.entries(change.set ?? {} as StoredData)) {
    args.push(keyText(key) + encode(value));
  }
  for (const key of change.delete ?? []) args.push(keyText(key));
  return args;
}

/** The arguments of the script `TOUCH`, given the index entry. */
export function touchArgs(
  now: number,
  coverage: Coverage | undefined,
): string[] {
  const args = [numberText(now)];
  if (coverage === undefined) return args;
  args.push(JSON.stringify(coverage.principal), numberText(coverage.until));
  return args;
}

/**
 * The arguments of the script `DESTROY`.
 *
 * @param guard Without properties that it inherits.
 */
export function destroyArgs(guard: Guard, now: number): string[] {
  const args = [String(now)];
  for (const [name, line] of guardedLines(guard)) {
    args.push(numberOf(name), line);
  }
  return args;
}

/**
 * For how long the server keeps something, in milliseconds. Only a help to it:
 * what the record says is what counts, because the server has another clock than
 * the manager.
 */
export function timeToLive(deadline: number, now: number): string {
  const rest = Math.max(1, Math.ceil(deadline - now));
  return String(Math.min(rest, MAX_TIME_TO_LIVE));
}

/** The lines that a part of a guard compares: a new part needs some. */
const GUARDED: {
  readonly [Part in keyof Required<Guard>]: (
    expected: NonNullable<Guard[Part]> | (null & Guard[Part]),
  ) => readonly (readonly [GuardedLine, string])[];
} = {
  family: (family) => [["family", fieldText(family)]],
  principal: (principal) => [["principal", fieldText(principal)]],
  token: ({ secretHash, until }) => [
    ["secretHash", fieldText(secretHash)],
    ["previousUntil", fieldText(until === undefined ? null : untilText(until))],
  ],
  version: (version) => [["version", String(version)]],
  binding: (binding) => [["binding", fieldText(binding)]],
};

function guardedLines(guard: Guard): (readonly [GuardedLine, string])[] {
  const lines: (readonly [GuardedLine, string])[] = [];
  for (const part of Object.keys(guard) as (keyof Guard)[]) {
    const expected = guard[part];
    if (expected === undefined) continue;
    lines.push(...GUARDED[part](expected as never));
  }
  return lines;
}

function numberOf(name: GuardedLine): string {
  return name === "version" ? name : String(fieldNumber(name));
}

type Push<Value> = (args: string[], value: Value) => void;

/** The arguments that a part of a change becomes: a new part needs some. */
const CHANGED: {
  readonly [Name in keyof Required<SessionChange>]: Push<
    Exclude<SessionChange[Name], undefined>
  >;
} = {
  // The lines of keys come last.
  set: () => {},
  delete: () => {},
  secretHash: field("secretHash"),
  family: field("family"),
  renewedAt: field("renewedAt"),
  previous: (args, previous) => {
    pushField(args, "previousHash", previous?.secretHash);
    pushField(args, "previousFamily", previous?.family);
    pushField(args, "previousUntil", previous && untilText(previous.until));
  },
  principal: field("principal"),
  label: field("label"),
  authenticatedAt: field("authenticatedAt"),
  fingerprint: field("fingerprint"),
  binding: field("binding"),
  idleTimeout: (args, seconds) => args.push("idle", numberText(seconds)),
  absoluteTimeout: (args, seconds) =>
    args.push("absolute", numberText(seconds)),
  persistent: field("persistent"),
  isUse: (args, isUse) => {
    if (!isUse) args.push("unused", "");
  },
};

function pushChange(
  args: string[],
  name: keyof SessionChange,
  change: SessionChange,
): void {
  const value = change[name];
  if (value !== undefined) CHANGED[name](args, value as never);
}

function field(name: Field): Push<unknown> {
  return (args, value) => pushField(args, name, value);
}

function pushField(args: string[], name: Field, value: unknown): void {
  args.push(String(fieldNumber(name)), fieldText(value));
}
