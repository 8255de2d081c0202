/** Answers the path to which browsers post keys and proofs. */
import { allTokens, type RequestLike } from "../carriage/arrival.ts";
import { type CookieTemplate, findCookie } from "../carriage/cookie.ts";
import { SessionError } from "../errors.ts";
import type { ProofRefusal } from "../events.ts";
import type { DeviceSettings } from "./options.ts";
import type { SessionRecord } from "../provider.ts";
import type { Context } from "../request/context.ts";
import { tokenStateOf } from "../store/record.ts";
import {
  type Binding,
  bindingText,
  boundValue,
  type Challenge,
  isMadeFrom,
  parseBinding,
  parseChallenge,
  proofChallenge,
} from "./binding.ts";
import {
  challengeHeader,
  type Header,
  instructions,
  parseId,
  setBoundCookie,
} from "./headers.ts";
import {
  type DeviceKey,
  isSignedBy,
  readProof,
  type UncheckedProof,
} from "./proof.ts";
import { lifetimeOf, OFFER_LIFETIME } from "./standing.ts";

/** How often a write is tried that others overtake. */
const MAX_TRIES = 5;

/** Whether a request is a browser's that registers a key, or proves it. */
export function isForDevice(
  { method, url }: RequestLike,
  { path }: DeviceSettings,
): boolean {
  return method === "POST" && url.includes(path) && URL.canParse(url) &&
    new URL(url).pathname === path;
}

/** A browser's request, and the session that it names. */
interface Asked {
  readonly id: string;
  /** The session cookie of the host that it came to. */
  readonly cookie: CookieTemplate;
}

/** A record that names what it is bound to. */
interface Found {
  readonly record: SessionRecord;
  readonly binding: Binding;
  /** The same as text, for guards. */
  readonly text: string;
}

/**
 * Registers keys and checks proofs. Browsers forget a binding at 404, 429 and at
 * any redirection, and keep it at 503; so nothing leaves here but 200, 400, 401,
 * 403 and 503.
 */
export class DeviceEndpoint {
  readonly #context: Context;
  readonly #device: DeviceSettings;

  constructor(context: Context, device: DeviceSettings) {
    this.#context = context;
    this.#device = device;
  }

  /** Answers a request that {@linkcode isForDevice}. */
  async answer(request: RequestLike): Promise<Response> {
    try {
      const id = request.headers.get("sec-secure-session-id");
      return id === null
        ? await this.#register(request)
        : await this.#prove(request, parseId(id));
    } catch (error) {
      // An event has told. The browser keeps what it has, and comes again.
      if (error instanceof SessionError) return plain(503, UNAVAILABLE);
      throw error;
    }
  }

  /**
   * Stores a new key. The request may have no cookie: one that began on another
   * site has none with it. The answer to the sign-in, which has the challenge, is
   * what shows whose it is.
   */
  async #register(request: RequestLike): Promise<Response> {
    const proof = proofIn(request, "registration");
    if (proof?.key === undefined) return this.#refuse(400, "malformed");
    const challenge = parseChallenge(proof.challenge);
    if (challenge === undefined) return this.#refuse(401, "challenge");
    const { id } = challenge;
    const asked = { id, cookie: this.#context.settings.cookieOf(request) };
    for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
      const found = await this.#find(id);
      if (found === undefined) return this.#refuse(401, "unknown", id);
      const { binding } = found;
      if (!this.#isOffered(binding, challenge)) {
        return this.#refuse(401, "challenge", id);
      }
      if (!isSignedBy(proof, proof.key)) {
        return this.#refuse(401, "signature", id);
      }
      // A browser whose connection broke sends the same once more.
      if (binding.key === proof.key) return this.#registered(asked, binding);
      const answer = binding.key === undefined
        ? await this.#store(asked, found, proof.key)
        : await this.#alarm(id, found);
      if (answer !== undefined) return answer;
    }
    return plain(503, UNAVAILABLE);
  }

  #isOffered(binding: Binding, challenge: Challenge): boolean {
    const age = this.#context.settings.now() - binding.stamp;
    return challenge.time === binding.stamp && age < OFFER_LIFETIME &&
      isMadeFrom(binding, "registration", challenge);
  }

  /** @returns Nothing if another request has overtaken it. */
  async #store(
    asked: Asked,
    { record, binding, text }: Found,
    key: DeviceKey,
  ): Promise<Response | undefined> {
    const { gateway, settings, tell } = this.#context;
    const { id } = asked;
    const bound = { ...binding, key };
    const result = await gateway.update(
      id,
      { binding: bindingText(bound), isUse: false },
      { token: tokenStateOf(record), binding: text },
      settings.now(),
    );
    if (result !== "done") return undefined;
    tell({ type: "bound", id, principal: record.principal });
    return this.#registered(asked, bound);
  }

  /**
   * A second key: somebody else has had the answer to the sign-in, and nobody
   * knows which of the two is the user.
   *
   * @returns Nothing if another request has overtaken it.
   */
  async #alarm(id: string, found: Found): Promise<Response | undefined> {
    const { gateway, settings, tell } = this.#context;
    const { record: { family, principal }, text } = found;
    if (settings.onReuse === "destroy") {
      const guard = { family, binding: text };
      const result = await gateway.destroy(id, guard, settings.now());
      if (result === "refused") return undefined;
      if (result === "absent") return this.#refuse(401, "unknown", id);
    }
    tell({ type: "reused", id, principal });
    return plain(401, REFUSED);
  }

  /**
   * The same whenever it is asked for, so that whoever repeats a registration gets
   * no cookie that is good for longer than the first one.
   */
  #registered(asked: Asked, binding: Binding): Response {
    return this.#confirmed(asked, binding, binding.stamp);
  }

  /** Takes a proof, or hands out a challenge for the next one. */
  async #prove(
    request: RequestLike,
    id: string | undefined,
  ): Promise<Response> {
    if (id === undefined) return this.#refuse(401, "malformed");
    if (this.#isOfOther(request, id)) {
      return this.#refuse(401, "other-session", id);
    }
    const asked = { id, cookie: this.#context.settings.cookieOf(request) };
    for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
      const found = await this.#find(id);
      const key = found?.binding.key;
      if (found === undefined || key === undefined) {
        return this.#refuse(401, "unknown", id);
      }
      if (request.headers.get(RESPONSE) === null) {
        return this.#challenge(id, found.binding);
      }
      const proof = proofIn(request, "refresh");
      const refusal = this.#refusalOf(id, found.binding, key, proof);
      if (refusal !== undefined) {
        this.#tellRefusal(refusal, id);
        return this.#challenge(id, found.binding);
      }
      const time = parseChallenge(proof?.challenge ?? "")?.time as number;
      const answer = await this.#accept(asked, found, time);
      if (answer !== undefined) return answer;
    }
    return plain(503, UNAVAILABLE);
  }

  /** Whether the browser has the session cookie of another session by now. */
  #isOfOther(request: RequestLike, id: string): boolean {
    const header = request.headers.get("cookie");
    if (header === null) return false;
    const { name } = this.#context.settings.cookieOf(request);
    const tokens = allTokens(header, name, findCookie(header, name));
    return tokens.length > 0 && !tokens.some((token) => token.id === id);
  }

  #refusalOf(
    id: string,
    binding: Binding,
    key: DeviceKey,
    proof: UncheckedProof | undefined,
  ): ProofRefusal | undefined {
    if (proof === undefined) return "malformed";
    const challenge = parseChallenge(proof.challenge);
    if (challenge === undefined) return "challenge";
    const age = this.#context.settings.now() - challenge.time;
    const isOurs = challenge.id === id && challenge.time > binding.stamp &&
      age <= this.#lifetime && isMadeFrom(binding, "proof", challenge);
    if (!isOurs) return "challenge";
    return isSignedBy(proof, key) ? undefined : "signature";
  }

  /**
   * Notes which challenge was answered, so that none up to it works again.
   *
   * @returns Nothing if another request has overtaken it.
   */
  async #accept(
    asked: Asked,
    { binding, text }: Found,
    stamp: number,
  ): Promise<Response | undefined> {
    const { gateway, settings, tell } = this.#context;
    const now = Math.floor(settings.now());
    const { id } = asked;
    const { from } = binding;
    const proved = {
      ...binding,
      stamp,
      from: from === 0 ? now + settings.renewGrace * 1000 : from,
    };
    // No use of the session: a proof by itself prolongs nothing.
    const result = await gateway.update(
      id,
      { binding: bindingText(proved), isUse: false },
      { binding: text },
      now,
    );
    if (result !== "done") return undefined;
    tell({ type: "proved", id });
    return this.#confirmed(asked, proved, now);
  }

  /** The cookie of a proof, and the challenge for the next one. */
  #confirmed(
    { id, cookie }: Asked,
    binding: Binding,
    provedAt: number,
  ): Response {
    const { now } = this.#context.settings;
    const value = boundValue(binding, id, provedAt + this.#lifetime);
    const end = provedAt + this.#device.interval * 1000;
    const maxAge = Math.max(1, Math.floor((end - now()) / 1000));
    return answerWith(200, instructions(cookie, id, this.#device), [
      ["content-type", "application/json"],
      ["set-cookie", setBoundCookie(cookie, id, value, maxAge)],
      challengeHeader(id, proofChallenge(binding, id, now())),
    ]);
  }

  #challenge(id: string, binding: Binding): Response {
    const { now } = this.#context.settings;
    const challenge = proofChallenge(binding, id, now());
    return answerWith(403, PROVE, [TEXT, challengeHeader(id, challenge)]);
  }

  /** How long a challenge may be answered, and a bound cookie is good. */
  get #lifetime(): number {
    return lifetimeOf(this.#context.settings.renewGrace, this.#device);
  }

  async #find(id: string): Promise<Found | undefined> {
    const { gateway, settings } = this.#context;
    const record = await gateway.read(id, settings.now());
    const text = record?.binding;
    const binding = text === undefined ? undefined : parseBinding(text);
    return record === undefined || text === undefined || binding === undefined
      ? undefined
      : { record, binding, text };
  }

  #refuse(status: 400 | 401, reason: ProofRefusal, id?: string): Response {
    this.#tellRefusal(reason, id);
    return plain(status, REFUSED);
  }

  #tellRefusal(reason: ProofRefusal, id: string | undefined): void {
    this.#context.tell({ type: "proof-refused", reason, id });
  }
}

const RESPONSE = "secure-session-response";

function proofIn({ headers }: RequestLike, kind: "registration" | "refresh") {
  return readProof(headers.get(RESPONSE) ?? "", kind);
}

const TEXT: Header = ["content-type", "text/plain; charset=utf-8"];

const REFUSED = "The session is not bound to this device.\n";
const PROVE = "Answer the challenge.\n";
const UNAVAILABLE = "The service is unavailable. Try again in a few seconds.\n";

function plain(status: 400 | 401 | 503, text: string): Response {
  return answerWith(status, text, [TEXT]);
}

function answerWith(
  status: number,
  body: string,
  headers: readonly Header[],
): Response {
  const response = new Response(body, { status });
  response.headers.set("cache-control", "no-store");
  for (const [name, value] of headers) response.headers.set(name, value);
  return response;
}
