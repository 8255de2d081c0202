/** Counts the sessions that a provider removed by itself, and tells of them. */
import type { RemovalObserver } from "../../core/provider.ts";

/** Why a session was removed. */
export type RemovalReason = Parameters<RemovalObserver>[0];

/**
 * What was removed, and whom to tell. They are told when a call has done all it
 * does, so that they may call the provider themselves.
 */
export class Removals {
  readonly #observers = new Set<RemovalObserver>();
  readonly #counts: Record<RemovalReason, number> = { expired: 0, evicted: 0 };
  #untold: Parameters<RemovalObserver>[] = [];

  /** How many there were for a reason. */
  count(reason: RemovalReason): number {
    return this.#counts[reason];
  }

  /** @returns Stops it. */
  observe(observer: RemovalObserver): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  /** @param idOf Is called if somebody wants to know. */
  note(reason: RemovalReason, idOf: () => string): void {
    this.#counts[reason]++;
    if (this.#observers.size > 0) this.#untold.push([reason, idOf()]);
  }

  /** Tells what was not told yet. */
  tell(): void {
    if (this.#untold.length === 0) return;
    const untold = this.#untold;
    this.#untold = [];
    for (const [reason, id] of untold) {
      for (const observer of this.#observers) observer(reason, id);
    }
  }
}
