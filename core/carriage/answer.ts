/** What a request is answered with, as far as its session is concerned. */
import {
  addOutcome,
  type HeaderSink,
  type Outcome,
  type Reach,
  reachOfResponse,
  reachOfSink,
  unsendable,
  withOutcome,
} from "./response.ts";
import type { SessionError } from "../errors.ts";

/** An answer that may carry a cookie. */
export interface Answer<T> {
  /** Whether the request failed: the handler threw, or it says 500 or above. */
  readonly isFailed: boolean;
  /** Whom a cookie on it would reach. */
  readonly reach: Reach;
  /** What to send, with an outcome on it. */
  finish(outcome: Outcome): T;
  /** Says that a cookie is due and cannot be sent. */
  unsendable(): SessionError;
}

/** The status from which on a request has failed. */
const FAILED = 500;

/** A response, or none, as after an upgrade on Bun. */
export class ResponseAnswer implements Answer<Response | undefined> {
  readonly isFailed: boolean;
  readonly #response: Response | undefined;

  /** @param hasThrown Whether the handler threw, so that this is no answer of its own. */
  constructor(response: Response | undefined, hasThrown = false) {
    this.#response = response;
    this.isFailed = hasThrown ||
      (response !== undefined && response.status >= FAILED);
  }

  get reach(): Reach {
    return reachOfResponse(this.#response);
  }

  finish(outcome: Outcome): Response | undefined {
    return this.#response && withOutcome(this.#response, outcome);
  }

  unsendable(): SessionError {
    return unsendable(this.#response);
  }
}

/** The headers and the status of an answer that a framework makes. */
export class SinkAnswer implements Answer<void> {
  readonly isFailed: boolean;
  readonly #sink: HeaderSink;
  readonly #status: number;

  constructor(sink: HeaderSink, status: number) {
    this.#sink = sink;
    this.#status = status;
    this.isFailed = status >= FAILED;
  }

  get reach(): Reach {
    return reachOfSink(this.#sink, this.#status);
  }

  finish(outcome: Outcome): void {
    addOutcome(this.#sink, outcome);
  }

  unsendable(): SessionError {
    return unsendable(undefined);
  }
}
