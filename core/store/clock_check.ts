/** Compares this machine's clock with that of the store. */
import type { SessionEvent } from "../events.ts";
import type { Gateway } from "./gateway.ts";

/** How far apart the two may be, in milliseconds. */
const MAX_SKEW = 60_000;

/** What a clock check needs to know. */
export interface ClockCheckOptions {
  /** The clock that calls of the store are made with. */
  readonly now: () => number;
  readonly tell: (event: SessionEvent) => void;
}

/**
 * A node whose clock is off takes other nodes' sessions for expired. It cannot
 * know that by itself; a store that has a clock of its own can tell.
 */
export class ClockCheck {
  readonly #gateway: Gateway;
  readonly #now: () => number;
  readonly #tell: (event: SessionEvent) => void;

  constructor(gateway: Gateway, { now, tell }: ClockCheckOptions) {
    this.#gateway = gateway;
    this.#now = now;
    this.#tell = tell;
  }

  /** Whether the store has a clock to compare with. */
  get canTell(): boolean {
    return this.#gateway.provider.serverTime !== undefined;
  }

  /** Whether the clocks are more than a minute apart; an event tells. */
  async isOff(): Promise<boolean> {
    const before = this.#now();
    const server = await this.#gateway.serverTime();
    if (server === undefined) return false;
    // The answer took a while: the clocks differ by no less than this.
    const ahead = Math.max(0, before - server);
    const behind = Math.max(0, server - this.#now());
    if (Math.max(ahead, behind) <= MAX_SKEW) return false;
    const seconds = Math.round((ahead - behind) / 1000);
    this.#tell({ type: "clock-skew", seconds });
    return true;
  }
}
