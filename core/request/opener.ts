/** Opens a request: from its tokens to the draft of a session. */
import {
  allTokens,
  type Arrival,
  bearerOf,
  onlyToken,
  type RequestLike,
  type Tokens,
} from "../carriage/arrival.ts";
import { type CookieTemplate, findCookie } from "../carriage/cookie.ts";
import {
  type DeviceJudgement,
  judgeDevice,
  skipReasonOf,
} from "../device/standing.ts";
import { SessionError } from "../errors.ts";
import type { RefusalReason } from "../events.ts";
import type { Awaitable, SessionRecord } from "../provider.ts";
import {
  digest,
  isHashOf,
  isToken,
  ownText,
  parseToken,
  type Token,
} from "../secret/token.ts";
import { isPromise } from "../store/gateway.ts";
import { isLive } from "../store/record.ts";
import type { Context } from "./context.ts";
import { Draft } from "./draft.ts";
import type { Opening } from "./opening.ts";
import { judge } from "./judgement.ts";
import { isTouchDueAtStart } from "./touch.ts";

/**
 * How often secrets are judged, if another request has overtaken an alarm, or the
 * store answers with less than it knew.
 */
const MAX_JUDGEMENTS = 3;

/** Of several refusals the first of these is the one that is told. */
const GRAVEST: readonly RefusalReason[] = [
  "reused",
  "superseded",
  "unproven",
  "rolled-back",
  "ambiguous",
  "fingerprint",
  "wrong-secret",
  "unbound",
  "unknown",
  "malformed",
];

/** Why a request opens nothing, if there is no more to say about it. */
type Told = Exclude<RefusalReason, "unproven">;

type Refused = Extract<
  Opening,
  { readonly standing: "visitor" | "superseded" | "unproven" }
>;
type Opened = Extract<Opening, { readonly standing: "opened" }>;

/** Finds the session that a request's cookies open, if they open one. */
export class Opener {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  /**
   * The draft of a stored session, or of a new one.
   *
   * @param isUse Whether the request is a use of the session.
   */
  open(request: RequestLike, isUse: boolean): Awaitable<Draft> {
    const { settings } = this.#context;
    const cookie = settings.cookieOf(request);
    const bearer = settings.bearer ? bearerOf(request) : undefined;
    if (bearer !== undefined) {
      return this.#openBearer(bearer, cookie, request, isUse);
    }
    const { name } = cookie;
    const header = request.headers.get("cookie");
    const first = header === null ? -1 : findCookie(header, name);
    const arrival: Arrival = {
      at: settings.now(),
      request,
      carrier: "cookie",
      audience: cookie.audiences.cookie,
      cookie,
      hadCookie: first !== -1,
      fingerprint: this.#fingerprintOf(request),
      isUse,
    };
    if (header === null || first === -1) {
      return new Draft(this.#context, arrival, NOTHING_SHOWN);
    }
    const token = onlyToken(header, name, first);
    return token === undefined
      ? this.#openAny(allTokens(header, name, first), arrival)
      : this.#openOne(token, arrival);
  }

  /** By the token that the client itself has put there: no cookie is looked at. */
  #openBearer(
    shown: string,
    cookie: CookieTemplate,
    request: RequestLike,
    isUse: boolean,
  ): Awaitable<Draft> {
    const arrival: Arrival = {
      at: this.#context.settings.now(),
      request,
      carrier: "bearer",
      audience: cookie.audiences.bearer,
      cookie,
      hadCookie: false,
      fingerprint: this.#fingerprintOf(request),
      isUse,
    };
    return isToken(shown)
      ? this.#openOne(parseToken(shown), arrival)
      : this.#drafted(this.#refused("malformed"), arrival);
  }

  #openOne(token: Token, arrival: Arrival): Awaitable<Draft> {
    const record = this.#context.gateway.read(token.id, arrival.at);
    return isPromise(record)
      ? record.then((found) => this.#openOnly(token, found, arrival))
      : this.#openOnly(token, record, arrival);
  }

  /** What most requests come to: one token for one session. */
  #openOnly(
    token: Token,
    record: SessionRecord | undefined,
    arrival: Arrival,
  ): Awaitable<Draft> {
    const { id, secret } = token;
    if (record !== undefined && isLive(record, arrival.at)) {
      if (
        record.fingerprint === arrival.fingerprint &&
        isHashOf(record.secretHash, secret, arrival.audience)
      ) {
        // The record's own texts: they are compared with it again and again.
        const { family, secretHash } = record;
        const found = { token, record, secretHash, family };
        return this.#drafted(this.#opened(found, arrival), arrival);
      }
    }
    const opening = this.#judge({ id, secrets: [secret] }, record, arrival);
    return isPromise(opening)
      ? opening.then((settled) => this.#drafted(settled, arrival))
      : this.#drafted(opening, arrival);
  }

  async #openAny(
    all: readonly Tokens[],
    arrival: Arrival,
  ): Promise<Draft> {
    const openings: Opening[] = [];
    for (const tokens of all) {
      const record = await this.#context.gateway.read(tokens.id, arrival.at);
      openings.push(await this.#judge(tokens, record, arrival));
    }
    return this.#drafted(this.#together(openings), arrival);
  }

  /** What several openings of one request come to. */
  #together(openings: readonly Opening[]): Opening {
    if (openings.length === 0) return this.#refused("malformed");
    const opened = openings.filter(isOpened);
    if (opened.length > 1) {
      for (const { token } of opened) this.#tellRefusal("ambiguous", token.id);
      const rivals = opened.map(({ token, family }) => ({
        id: ownText(token.id),
        family,
      }));
      return { standing: "ambiguous", rivals, refusal: "ambiguous" };
    }
    const [only] = opened;
    if (only !== undefined) return only;
    const refused = openings as readonly Refused[];
    const refusal = gravest(refused);
    const shutOut = refused.find(isSuperseded) ?? refused.find(isUnproven);
    if (shutOut !== undefined && refusal !== undefined) {
      return { ...shutOut, refusal };
    }
    const unseen = refused.flatMap((opening) =>
      opening.standing === "visitor" ? opening.unseen ?? [] : []
    );
    return { standing: "visitor", refusal, unseen };
  }

  #drafted(opening: Opening, arrival: Arrival): Draft {
    const draft = new Draft(this.#context, arrival, opening);
    if (
      opening.standing === "opened" && arrival.isUse &&
      isTouchDueAtStart(opening.record, arrival.at)
    ) this.#touch(draft);
    return draft;
  }

  /** Nobody waits for it but the commit, and its failure has been an event. */
  #touch(draft: Draft): void {
    const { gateway } = this.#context;
    const { at } = draft.arrival;
    const touch = async () => {
      if (await gateway.touch(draft.key, at)) draft.touched(at);
    };
    draft.track(touch().catch(() => {}));
  }

  /** What the right secret comes to: where the session is bound, it takes a proof. */
  #opened(
    found: Omit<Opened, "standing" | "device">,
    arrival: Arrival,
  ): Opening {
    const { token, record } = found;
    const device = this.#deviceOf(token.id, record, arrival);
    switch (device?.standing) {
      case "unproven":
        return this.#unproven(token, device, arrival);
      case "overdue":
        return this.#unseen("unbound", token.id, [token.secret]);
      default:
        return { standing: "opened", ...found, device };
    }
  }

  #deviceOf(
    id: string,
    record: SessionRecord,
    arrival: Arrival,
  ): DeviceJudgement | undefined {
    const { settings } = this.#context;
    // A client without a cookie jar keeps its token, and no key, in its own way.
    return settings.deviceBound === undefined || arrival.carrier === "bearer"
      ? undefined
      : judgeDevice(record, id, arrival, settings);
  }

  #unproven(
    { id, secret }: Token,
    device: DeviceJudgement,
    arrival: Arrival,
  ): Refused {
    const reason = "unproven";
    const token = { id: ownText(id), secret };
    const skipped = skipReasonOf(arrival);
    this.#context.tell({ type: "refused", reason, id: token.id, skipped });
    return { standing: "unproven", token, device, refusal: reason };
  }

  /** What the secrets for one session come to. */
  #judge(
    tokens: Tokens,
    record: SessionRecord | undefined,
    arrival: Arrival,
    judgements = 1,
  ): Awaitable<Opening> {
    const { id, secrets } = tokens;
    if (record === undefined || !isLive(record, arrival.at)) {
      return this.#unseen("unknown", id, secrets);
    }
    const { at, audience } = arrival;
    const { renewGrace: grace } = this.#context.settings;
    const judgement = judge(record, secrets, { at, grace, audience });
    if (judgement.opens) {
      if (this.#isOtherClient(id, record, arrival)) {
        return this.#refused("fingerprint", id);
      }
      const { secret, secretHash, family } = judgement;
      const token = { id, secret };
      return this.#opened({ token, record, secretHash, family }, arrival);
    }
    const { reason, secret } = judgement;
    if (reason === "wrong-secret") return this.#refused(reason, id);
    if (reason === "superseded") return this.#superseded({ id, secret });
    if (reason === "rolled-back") {
      return this.#behind(tokens, record, arrival, judgements);
    }
    // Without the device an old cookie is worth no more than the present one.
    const device = this.#deviceOf(id, record, arrival);
    return device?.standing === "unproven"
      ? this.#unproven({ id, secret }, device, arrival)
      : this.#alarm(tokens, { id, secret }, record, arrival, judgements);
  }

  /** A secret that was replaced long ago: somebody has a copy of the cookie. */
  async #alarm(
    tokens: Tokens,
    token: Token,
    record: SessionRecord,
    arrival: Arrival,
    judgements: number,
  ): Promise<Opening> {
    const { settings, tell } = this.#context;
    const { family, principal } = record;
    const id = ownText(tokens.id);
    if (settings.onReuse === "destroy") {
      const result = await this.#endFamily(id, family);
      if (result === "absent") return this.#refused("unknown", id);
      if (result === "failed") return refusedAs("reused");
      if (result === "refused") {
        // Somebody signs in right now; it may have been the owner.
        if (judgements >= MAX_JUDGEMENTS) return this.#superseded(token);
        const latest = await this.#readAgain(id);
        if (latest === "failed") return refusedAs("reused");
        return this.#judge(tokens, latest, arrival, judgements + 1);
      }
    }
    tell({ type: "reused", id, principal });
    return refusedAs("reused");
  }

  /**
   * A secret that the store should know, and does not. A replica may be late;
   * one that took over without the last writes stays as it is. The session is
   * left alone: this is its owner, and what the store has lost may come back.
   */
  async #behind(
    tokens: Tokens,
    record: SessionRecord,
    arrival: Arrival,
    judgements: number,
  ): Promise<Opening> {
    const id = ownText(tokens.id);
    if (judgements < MAX_JUDGEMENTS) {
      const latest = await this.#readAgain(id);
      if (latest !== "failed") {
        return this.#judge(tokens, latest, arrival, judgements + 1);
      }
    }
    const { principal } = record;
    this.#context.tell({ type: "rolled-back", id, principal });
    return this.#unseen("rolled-back", id, tokens.secrets);
  }

  #endFamily(id: string, family: string) {
    const { settings, gateway } = this.#context;
    return unlessFailed(() => gateway.destroy(id, { family }, settings.now()));
  }

  #readAgain(id: string) {
    const { settings, gateway } = this.#context;
    return unlessFailed(() => gateway.read(id, settings.now()));
  }

  #fingerprintOf(request: RequestLike): string | undefined {
    const { fingerprint } = this.#context.settings;
    if (fingerprint === undefined) return undefined;
    const seen: unknown = fingerprint(request);
    if (typeof seen === "string") return digest(seen);
    throw new TypeError(
      `Cannot start session: fingerprint must return a string: received ${typeof seen}`,
    );
  }

  /** Whether the client looks different, and that is reason to refuse it. */
  #isOtherClient(
    id: string,
    { fingerprint, principal }: SessionRecord,
    arrival: Arrival,
  ): boolean {
    if (fingerprint === arrival.fingerprint) return false;
    if (fingerprint === undefined || arrival.fingerprint === undefined) {
      return false;
    }
    const { settings, tell } = this.#context;
    tell({ type: "fingerprint-changed", id: ownText(id), principal });
    return settings.onFingerprintChange === "refuse";
  }

  #superseded({ id, secret }: Token): Refused {
    this.#tellRefusal("superseded", id);
    const token = { id: ownText(id), secret };
    return { standing: "superseded", token, refusal: "superseded" };
  }

  /** A session may be there all the same, for a clock or a server that is right. */
  #unseen(
    reason: "unknown" | "rolled-back" | "unbound",
    id: string,
    secrets: readonly string[],
  ): Refused {
    this.#tellRefusal(reason, id);
    const unseen = secrets.map((secret) => ({ id, secret }));
    return { standing: "visitor", refusal: reason, unseen };
  }

  #refused(reason: Told, id?: string): Refused {
    this.#tellRefusal(reason, id);
    return refusedAs(reason);
  }

  #tellRefusal(reason: Told, id?: string): void {
    this.#context.tell({
      type: "refused",
      reason,
      id: id === undefined ? undefined : ownText(id),
    });
  }
}

const NOTHING_SHOWN: Opening = { standing: "visitor", refusal: undefined };

function refusedAs(refusal: RefusalReason): Refused {
  return { standing: "visitor", refusal };
}

function isOpened(opening: Opening): opening is Opened {
  return opening.standing === "opened";
}

function isSuperseded(
  opening: Refused,
): opening is Extract<Refused, { readonly standing: "superseded" }> {
  return opening.standing === "superseded";
}

function isUnproven(
  opening: Refused,
): opening is Extract<Refused, { readonly standing: "unproven" }> {
  return opening.standing === "unproven";
}

function gravest(refused: readonly Refused[]): RefusalReason | undefined {
  return GRAVEST.find((reason) =>
    refused.some(({ refusal }) => refusal === reason)
  );
}

/** An event has told of the failure. A thief gets in no more than before. */
async function unlessFailed<T>(
  call: () => Awaitable<T>,
): Promise<T | "failed"> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof SessionError) return "failed";
    throw error;
  }
}
