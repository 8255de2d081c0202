/**
 * The contract of a provider as checks that any test runner can run. A provider
 * that passes them all keeps every promise of the library, whatever store is
 * behind it.
 *
 * @example Test a provider of your own
 * ```ts
 * import { conformance } from "@cloakroom/session/conformance";
 * import { MemoryProvider } from "@cloakroom/session/memory";
 *
 * for (const check of conformance(() => new MemoryProvider())) {
 *   // In a test file: it(check.name, check.run);
 *   await check.run();
 * }
 * ```
 *
 * @module
 */
import type { Awaitable, Provider } from "../core/provider.ts";
import { collectionChecks } from "./conformance/collection.ts";
import { destroyChecks } from "./conformance/destroy.ts";
import { existenceChecks } from "./conformance/existence.ts";
import { fieldChecks } from "./conformance/fields.ts";
import { guardChecks } from "./conformance/guard.ts";
import { managerChecks } from "./conformance/manager.ts";
import { manyChecks } from "./conformance/many.ts";
import { principalChecks } from "./conformance/principal.ts";
import { raceChecks } from "./conformance/race.ts";
import { type Checks, Stage } from "./conformance/stage.ts";
import { timeChecks } from "./conformance/times.ts";
import { updateChecks } from "./conformance/update.ts";
import { valueChecks } from "./conformance/value.ts";

/** What a provider is made with for a check. */
export interface ConformanceSetup {
  /**
   * What its keys start with: a random name, new for each provider that a check
   * asks for. Two providers with different prefixes must not see each other's
   * sessions, and with the same prefix they share them. A provider whose
   * instances share nothing can ignore it.
   */
  readonly prefix: string;
}

/**
 * Makes a provider for a check, which closes it. Called once or more by each.
 */
export type MakeProvider = (setup: ConformanceSetup) => Awaitable<Provider>;

/** One promise of the contract. */
export interface ConformanceCheck {
  /** The promise, as a sentence. */
  readonly name: string;
  /** Rejects, saying what differs, if the provider breaks it. */
  readonly run: () => Promise<void>;
}

/**
 * The contract as a list of checks. They do not sleep, share nothing with one
 * another, and leave nothing behind but sessions that expire.
 *
 * @param makeProvider Makes the provider to be checked.
 * @returns The checks, in the order of the contract.
 */
export function conformance(makeProvider: MakeProvider): ConformanceCheck[] {
  const all: Checks = {
    ...existenceChecks,
    ...valueChecks,
    ...fieldChecks,
    ...updateChecks,
    ...timeChecks,
    ...guardChecks,
    ...destroyChecks,
    ...manyChecks,
    ...collectionChecks,
    ...principalChecks,
    ...raceChecks,
    ...managerChecks,
  };
  return Object.entries(all).map(([name, check]) => ({
    name,
    run: () => Stage.run(makeProvider, check),
  }));
}
