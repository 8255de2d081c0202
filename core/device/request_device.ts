/** What one request is to its session's device, and what the answer tells the browser. */
import type { Arrival } from "../carriage/arrival.ts";
import type { Reach } from "../carriage/response.ts";
import type { Settings } from "../options.ts";
import type { Opening } from "../request/opening.ts";
import { ownText, type Token } from "../secret/token.ts";
import { bindingText, newBinding, registrationChallenge } from "./binding.ts";
import {
  clearBoundCookie,
  type Header,
  registrationHeader,
} from "./headers.ts";
import type { DeviceSettings } from "./options.ts";
import { type DeviceJudgement, lifetimeOf } from "./standing.ts";

/** What the rest of the request came to. */
interface Ending {
  /** Whether the session's own cookie is taken away. */
  readonly isCleared: boolean;
  /** Whether the handler asked for a new proof. */
  readonly isProofAsked: boolean;
  /** Whom a cookie would reach. */
  readonly reach: () => Reach;
}

/** Made for a request only where sessions are bound to devices. */
export class RequestDevice {
  readonly #arrival: Arrival;
  readonly #settings: DeviceSettings;
  readonly #renewGrace: number;
  readonly #judgement: DeviceJudgement | undefined;
  /** The token that opened the session, or would have with a proof. */
  readonly #token: Token | undefined;
  readonly #isUnproven: boolean;
  /** What a browser is to be offered once it is stored, and what it is then. */
  #nextOffer: string | undefined;
  #offer: string | undefined;

  /**
   * What a binding has to be for a confirmation: as it was when it was judged;
   * `null` if there was none.
   */
  readonly state: string | null;

  /** @returns `undefined` where sessions are not bound to devices. */
  static of(
    { deviceBound, renewGrace }: Settings,
    arrival: Arrival,
    opening: Opening,
  ): RequestDevice | undefined {
    return deviceBound === undefined
      ? undefined
      : new RequestDevice(deviceBound, renewGrace, arrival, opening);
  }

  private constructor(
    settings: DeviceSettings,
    renewGrace: number,
    arrival: Arrival,
    opening: Opening,
  ) {
    const { standing } = opening;
    const isKnown = standing === "opened" || standing === "unproven";
    this.#arrival = arrival;
    this.#settings = settings;
    this.#renewGrace = renewGrace;
    this.#judgement = isKnown ? opening.device : undefined;
    this.#token = isKnown ? opening.token : undefined;
    this.#isUnproven = standing === "unproven";
    this.state = standing === "opened" ? opening.record.binding ?? null : null;
  }

  /** Whether a key is registered for the session. */
  get isRegistered(): boolean {
    return this.#judgement?.binding?.key !== undefined;
  }

  get isProven(): boolean {
    return this.#judgement?.standing === "proven";
  }

  /** Whether the browser shows for the first time what it got for its key. */
  get isNew(): boolean {
    return this.isProven && this.#judgement?.binding?.from === 0;
  }

  /** Whether the request came with a bound cookie, good or bad. */
  get hasCookie(): boolean {
    return this.#judgement?.hasCookie === true;
  }

  /** When the device gave the proof that the request's cookie was made for. */
  get provedAt(): number | undefined {
    const deadline = this.#judgement?.deadline;
    return deadline === undefined
      ? undefined
      : deadline - lifetimeOf(this.#renewGrace, this.#settings);
  }

  /** The text of the binding, enforced from an instant. */
  enforcedFrom(instant: number): string | undefined {
    const binding = this.#judgement?.binding;
    return binding && bindingText({ ...binding, from: Math.floor(instant) });
  }

  /**
   * A new binding for a session that somebody signs in to. The answer offers its
   * challenge, once it is stored.
   */
  offerBinding(now: number, key: string): string | undefined {
    if (this.#settings.mode === "keep") return undefined;
    const binding = newBinding(now);
    this.#nextOffer = registrationChallenge(binding, key);
    return bindingText(binding);
  }

  /** What was offered is stored. */
  stored(): void {
    this.#offer = this.#nextOffer;
  }

  /** The session that the offer was made for is not the request's any more. */
  forgetOffer(): void {
    this.#nextOffer = undefined;
  }

  /** What the answer tells the browser about its device. */
  header({ isCleared, isProofAsked, reach }: Ending): Header | undefined {
    if (this.#offer !== undefined) {
      return registrationHeader(this.#settings.path, this.#offer);
    }
    if (!this.hasCookie || this.#token === undefined) return undefined;
    // Without the stale one the browser proves anew, and is in again.
    const isTaken = isCleared ||
      (isProofAsked && reach() !== "none") ||
      (this.#isUnproven && reach() === "private");
    return isTaken
      ? clearBoundCookie(this.#arrival.cookie, ownText(this.#token.id))
      : undefined;
  }
}
