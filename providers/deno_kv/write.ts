/** Works out a write from a record, and does it unless the record has changed. */
import type { Patience } from "../../core/provider.ts";
import { checkPatience } from "../../core/store/turns.ts";
import type { DenoKv } from "./database.ts";
import { type Put, withPuts } from "./put.ts";
import { hasWrite, type Version } from "./record.ts";
import { repeated } from "./repeated.ts";

/** What a write is about. */
export interface Target {
  readonly id: string;
  /** The key of its record. */
  readonly key: readonly string[];
  /** What the record may be, from a read before. */
  readonly guess: Version | undefined;
  /** `undefined` for a write that may as well be done twice. */
  readonly writeId: string | undefined;
  /** How long somebody waits for it. */
  readonly patience: Patience | undefined;
}

/** How to answer a call, and what has to be written for that. */
export interface Plan<T> {
  readonly answer: T;
  readonly puts: readonly Put[] | undefined;
}

/** Makes a plan from what a key holds now. */
export type Planner<T> = (entry: Version, wasRefused: boolean) => Plan<T>;

/** An answer for which nothing has to be written. */
export function said<T>(answer: T): Plan<T> {
  return { answer, puts: undefined };
}

/**
 * Works out a write from a record and does it, unless the record has changed in
 * between: then all over again. To write nothing, or to fail, is no answer to a
 * record that may be outdated, so a guess counts only if its write succeeds.
 *
 * The client of a remote database sends a write again whose answer was lost, and
 * then refuses one that was done, because the record has changed.
 */
export async function write<T>(
  kv: DenoKv,
  { id, key, guess, writeId, patience }: Target,
  planFor: Planner<T>,
): Promise<T> {
  let refused: { readonly answer: T } | undefined;
  const attempt = async ({ versionstamp }: Version, plan: Plan<T>) => {
    const { answer, puts } = plan;
    if (puts === undefined) return { answer };
    // The record that it was worked out from may have been long in coming.
    checkPatience(patience);
    const atomic = kv.atomic().check({ key, versionstamp });
    const { ok } = await withPuts(atomic, puts).commit();
    if (ok) return { answer };
    refused = { answer };
    return undefined;
  };
  return await repeated(async (isFirst) => {
    if (isFirst && guess !== undefined) {
      const plan = guessed(guess, planFor);
      return plan && await attempt(guess, plan);
    }
    const entry = await kv.get(key);
    if (refused !== undefined && writeId !== undefined) {
      if (hasWrite(entry, writeId)) return refused;
    }
    return await attempt(entry, planFor(entry, refused !== undefined));
  }, { id, patience });
}

/** A plan that writes something, if there is one for a guess. */
function guessed<T>(guess: Version, planFor: Planner<T>): Plan<T> | undefined {
  try {
    const plan = planFor(guess, false);
    return plan.puts === undefined ? undefined : plan;
  } catch {
    return undefined;
  }
}
