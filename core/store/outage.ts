/** Tells of a store in trouble once, and not with every call. */
import type { SessionError } from "../errors.ts";
import type { SessionEvent } from "../events.ts";

/** How long no call may have failed for an outage to be over, in milliseconds. */
const CALM = 10_000;

/** What is a store's failure and no fault of one call. */
const FAILURES: ReadonlySet<string> = new Set([
  "store-failed",
  "timeout",
  "unavailable",
]);

/** From the first call that fails to the first that succeeds in calm. */
export class Outage {
  readonly #tell: (event: SessionEvent) => void;
  #beganAt: number | undefined;
  #failedAt = 0;

  constructor(tell: (event: SessionEvent) => void) {
    this.#tell = tell;
  }

  get isOn(): boolean {
    return this.#beganAt !== undefined;
  }

  failed(error: SessionError): void {
    if (!FAILURES.has(error.code)) return;
    this.#failedAt = performance.now();
    if (this.#beganAt !== undefined) return;
    this.#beganAt = this.#failedAt;
    this.#tell({ type: "store-down", error });
  }

  succeeded(): void {
    const now = performance.now();
    if (this.#beganAt === undefined || now - this.#failedAt < CALM) return;
    const seconds = Math.round((now - this.#beganAt) / 1000);
    this.#beganAt = undefined;
    this.#tell({ type: "store-up", seconds });
  }
}
