/** Carries out what was decided: the calls of the store, the events, the headers. */
import type { Answer } from "../carriage/answer.ts";
import { isInsecure } from "../carriage/arrival.ts";
import { clearCookie, setCookie } from "../carriage/cookie.ts";
import { AUTHORIZATION, COOKIE, type Outcome } from "../carriage/response.ts";
import { SessionError } from "../errors.ts";
import type { RefusalReason } from "../events.ts";
import type {
  Awaitable,
  Guard,
  SessionChange,
  SessionRecord,
  UpdateResult,
} from "../provider.ts";
import { mintSibling, ownText } from "../secret/token.ts";
import { isPromise } from "../store/gateway.ts";
import { tokenStateOf } from "../store/record.ts";
import {
  authenticationChange,
  confirmationChange,
  dataChange,
  newRecord,
  renewalChange,
} from "./changes.ts";
import type { Context } from "./context.ts";
import type { Draft } from "./draft.ts";
import { opens } from "./judgement.ts";
import { isShutOut } from "./opening.ts";
import { type Confirmation, decide, type Plan, type Renewal } from "./plan.ts";
import { SessionLimit } from "./session_limit.ts";

/** How often a sign-in is tried whose token another request has replaced. */
const MAX_SIGN_INS = 5;

/** What answers depend on, where sessions have cookies alone, or both. */
const BY_COOKIE = [COOKIE];
const BY_BOTH = [COOKIE, AUTHORIZATION];

/** Of an answer that has nothing to do with its session. */
const NOTHING_DUE: Outcome = {
  setCookie: undefined,
  device: undefined,
  isSiteDataCleared: false,
  variesBy: [],
  isSecret: false,
};

/** Why sessions opened nothing that a sign-in ends all the same. */
const LEFT_BEHIND: ReadonlySet<RefusalReason | undefined> = new Set([
  "rolled-back",
  "unbound",
]);

/** The cookie that is due, or nothing. */
type Cookie = string | undefined;

/**
 * Ends a request: the only place that calls the store for it, tells events, and
 * puts headers on its answer.
 */
export class CarryOut {
  readonly #context: Context;
  readonly #limit: SessionLimit;

  constructor(context: Context) {
    this.#context = context;
    this.#limit = new SessionLimit(context);
  }

  /**
   * Does what the end of a request means for its session; see `Manager.commit`.
   *
   * @returns What to send.
   */
  commit<T>(draft: Draft, answer: Answer<T>): Awaitable<T> {
    draft.close();
    // What was begun belongs to the session as it is now. An end does not wait:
    // it ends that as well.
    return draft.isBusy && !draft.isEnding
      ? draft.settled().then(() => this.#commit(draft, answer))
      : this.#commit(draft, answer);
  }

  #commit<T>(draft: Draft, answer: Answer<T>): Awaitable<T> {
    const { settings } = this.#context;
    const now = settings.now();
    const plan = decide(draft, now, settings, answer);
    // What most requests come to, before anything is made for the others.
    if (plan.row === 15) return this.#finish(draft, answer, undefined);
    const { isDiscarded, ending } = draft.intent;
    // Who discards what they changed may still mean to end the session.
    const isQuiet = answer.isFailed || (isDiscarded && ending === undefined);
    const cookie = isQuiet
      ? this.#carryOutQuietly(plan, draft, answer, now)
      : this.#carryOut(plan, draft, answer, now);
    return isPromise(cookie)
      ? cookie.then((due) => this.#finish(draft, answer, due))
      : this.#finish(draft, answer, cookie);
  }

  #finish<T>(draft: Draft, answer: Answer<T>, cookie: Cookie): T {
    const isSecret = draft.carrier === "bearer";
    const { ending } = draft.intent;
    const device = draft.device?.header({
      isCleared: ending !== undefined && cookie !== undefined,
      isProofAsked: draft.intent.isProofAsked,
      reach: () => answer.reach,
    });
    if (
      cookie === undefined && device === undefined && !draft.isLookedInto &&
      !isSecret
    ) return answer.finish(NOTHING_DUE);
    return answer.finish({
      setCookie: cookie,
      device,
      isSiteDataCleared: ending === "session-and-site-data" &&
        cookie !== undefined,
      variesBy: !draft.isLookedInto
        ? NOTHING_DUE.variesBy
        : this.#context.settings.bearer
        ? BY_BOTH
        : BY_COOKIE,
      isSecret,
    });
  }

  /** A failed request has an error of its own already. */
  async #carryOutQuietly(
    plan: Plan,
    draft: Draft,
    answer: Answer<unknown>,
    now: number,
  ): Promise<Cookie> {
    try {
      return await this.#carryOut(plan, draft, answer, now);
    } catch (error) {
      if (error instanceof SessionError) return undefined;
      throw error;
    }
  }

  #carryOut(
    plan: Plan,
    draft: Draft,
    answer: Answer<unknown>,
    now: number,
  ): Awaitable<Cookie> {
    // Compared alone: an engine may hash the word for a switch.
    if (plan.act === "touch") return this.#touch(draft, now);
    switch (plan.act) {
      case "nothing":
        return undefined;
      case "gone":
        return this.#gone(draft);
      case "clear":
        return this.#clear(draft, answer, now);
      case "create":
        return this.#create(draft, now);
      case "end":
        return this.#end(draft, answer, now);
      case "switch":
        return this.#switch(draft, now);
      case "authenticate":
        return this.#authenticate(draft, now);
      case "unsendable":
        throw draft.carrier === "bearer"
          ? notSent(draft.id)
          : answer.unsendable();
      case "renew":
        return this.#renew(draft, answer, now, plan);
      case "confirm":
        return this.#confirm(draft, answer, now, plan);
      case "write":
        return this.#write(draft, now, plan.isEssential);
    }
  }

  // Rows 1 and 3: nothing is stored

  #gone({ id, opening }: Draft): undefined {
    const { tell } = this.#context;
    tell({
      type: "gone",
      id: isShutOut(opening) ? opening.token.id : id,
    });
  }

  async #clear(
    draft: Draft,
    answer: Answer<unknown>,
    now: number,
  ): Promise<Cookie> {
    await this.#endRivals(draft, now);
    return this.#cleared(draft, answer);
  }

  // Row 4: a session begins

  async #create(draft: Draft, now: number, dated?: number): Promise<Cookie> {
    const { gateway, tell } = this.#context;
    const { signIn } = draft.intent;
    await this.#endRivals(draft, now);
    const authenticatedAt = signIn === undefined
      ? undefined
      : dated ?? await this.#dateOf(draft, signIn.principal, now);
    const created = gateway.create(
      draft.key,
      newRecord(draft, now, authenticatedAt),
      now,
    );
    if (!(isPromise(created) ? await created : created)) {
      throw new SessionError(
        "store-failed",
        "Cannot create session: its random id is already taken",
        { id: draft.id },
      );
    }
    draft.stored(now);
    draft.touched(now);
    tell({ type: "created", id: draft.id });
    await this.#confirmSignIn(draft, now);
    return this.#cookie(draft, draft.secret, now, authenticatedAt);
  }

  // Row 5: the session ends

  async #end(
    draft: Draft,
    answer: Answer<unknown>,
    now: number,
  ): Promise<Cookie> {
    const { gateway, tell } = this.#context;
    const { id, family } = draft;
    const result = await gateway.destroy(draft.key, { family }, now);
    if (result === "refused") {
      // Somebody signed in since: that session and its cookie stay.
      tell({ type: "gone", id });
      return undefined;
    }
    if (result === "done") tell({ type: "destroyed", id });
    return this.#cleared(draft, answer);
  }

  // Rows 6 to 8: somebody proved who they are

  async #switch(draft: Draft, now: number): Promise<Cookie> {
    const { gateway, tell } = this.#context;
    const { id, family, intent: { signIn } } = draft;
    // Before the end of the one: a sign-in that is refused leaves all as it was.
    const dated = await this.#dateOf(draft, signIn!.principal, now);
    const result = await gateway.destroy(draft.key, { family }, now);
    if (result === "done") tell({ type: "destroyed", id });
    draft.startOver();
    return await this.#create(draft, now, dated);
  }

  async #authenticate(draft: Draft, now: number): Promise<Cookie> {
    const { tell } = this.#context;
    const { signIn } = draft.intent;
    const dated = signIn === undefined
      ? now
      : await this.#dateOf(draft, signIn.principal, now);
    const result = await this.#replaceFamily(draft, now, dated);
    if (result !== "done") {
      tell({ type: "gone", id: draft.id });
      if (draft.carrier === "bearer") throw notHandedOut(draft.id, result);
      if (signIn === undefined) return undefined;
      // The second click on "Sign in" is not refused because of the first.
      const { principal } = signIn;
      if (
        result === "superseded" && await this.#limit.isFull(principal, now)
      ) await this.#endOther(draft.id, { principal }, now);
      draft.startOver();
      return await this.#create(draft, now, dated);
    }
    draft.stored(now, draft.nextSecret);
    draft.touched(now);
    tell({ type: "renewed", id: draft.id });
    await this.#confirmSignIn(draft, now);
    return this.#cookie(draft, draft.secret, now, dated);
  }

  /**
   * Begins a new family, in place of the token as it is. Other requests may renew
   * and confirm it meanwhile: as long as the request's secret opens the session,
   * it tries again.
   *
   * @returns Whether it did, or found no session, or one that somebody else had
   * signed in to.
   * @throws {SessionError} With code `"conflict"`, if that goes on.
   */
  async #replaceFamily(
    draft: Draft,
    now: number,
    authenticatedAt: number,
  ): Promise<"done" | "gone" | "superseded"> {
    const { gateway, settings } = this.#context;
    const secretHash = draft.secretHash(draft.secret);
    let record = draft.record as SessionRecord;
    for (let attempt = 0; attempt < MAX_SIGN_INS; attempt++) {
      const change = authenticationChange(draft, record, now, authenticatedAt);
      const result = await this.#update(draft, change, {
        token: tokenStateOf(record),
      }, now);
      if (result !== "conflict") return result;
      const latest = await gateway.read(draft.key, settings.now());
      if (latest === undefined) return "gone";
      if (!opens(latest, secretHash, settings.now())) return "superseded";
      record = latest;
    }
    throw new SessionError(
      "conflict",
      `Cannot ${
        draft.intent.signIn === undefined ? "regenerate session" : "sign in"
      }: other requests replaced the token first, ${MAX_SIGN_INS} times in a row`,
      { id: draft.id },
    );
  }

  // Rows 9 to 12: the token

  async #renew(
    draft: Draft,
    answer: Answer<unknown>,
    now: number,
    { until, isEssential }: Renewal,
  ): Promise<Cookie> {
    const { handedOut } = draft.intent;
    if (handedOut !== undefined && !draft.isRenewable) {
      throw notHandedOut(draft.id, "conflict");
    }
    const secret = handedOut ??
      mintSibling(draft.secret, draft.tokenState.secretHash);
    const change = renewalChange(draft, secret, until, now);
    const result = await this.#updateToken(draft, change, now, isEssential);
    if (handedOut !== undefined && result !== "done") {
      throw notHandedOut(draft.id, result);
    }
    if (result === "conflict") {
      return await this.#withoutToken(draft, answer, now);
    }
    if (result !== "done") return undefined;
    draft.stored(now, secret);
    this.#context.tell({ type: "renewed", id: draft.id });
    return this.#cookie(draft, secret, now, draft.authenticatedAt);
  }

  async #confirm(
    draft: Draft,
    answer: Answer<unknown>,
    now: number,
    confirmation: Confirmation,
  ): Promise<Cookie> {
    const change = confirmationChange(draft, confirmation);
    const { isToken, isDevice, isEssential } = confirmation;
    const guard = {
      family: draft.family,
      token: isToken ? draft.tokenState : undefined,
      binding: isDevice ? draft.device?.state : undefined,
    };
    const result = await this.#updateOrTell(
      draft,
      change,
      guard,
      now,
      isEssential,
    );
    if (result === "conflict") {
      return await this.#withoutToken(draft, answer, now);
    }
    if (result === "done") draft.stored(now);
    return undefined;
  }

  /** Another request has seen to the token: the rest is still to be done. */
  #withoutToken(
    draft: Draft,
    answer: Answer<unknown>,
    now: number,
  ): Awaitable<Cookie> {
    const { settings } = this.#context;
    const plan = decide(draft, now, settings, answer, true);
    return this.#carryOut(plan, draft, answer, now);
  }

  #updateToken(
    draft: Draft,
    change: SessionChange,
    now: number,
    isEssential: boolean,
  ): Promise<UpdateResult | "failed"> {
    const guard = { family: draft.family, token: draft.tokenState };
    return this.#updateOrTell(draft, change, guard, now, isEssential);
  }

  // Rows 13 and 14: the data and the access

  async #write(
    draft: Draft,
    now: number,
    isEssential: boolean,
  ): Promise<undefined> {
    const guard = { family: draft.family };
    const change = dataChange(draft);
    const result = await this.#updateOrTell(
      draft,
      change,
      guard,
      now,
      isEssential,
    );
    if (result === "done") draft.stored(now);
  }

  #touch(draft: Draft, now: number): Awaitable<undefined> {
    const { gateway } = this.#context;
    try {
      const touched = gateway.touch(draft.key, now);
      if (!isPromise(touched)) return this.#touched(draft, touched, now);
      return touched.then(
        (isLive) => this.#touched(draft, isLive, now),
        passOver,
      );
    } catch (error) {
      return passOver(error);
    }
  }

  #touched(draft: Draft, isLive: boolean, now: number): undefined {
    if (isLive) draft.touched(now);
    else this.#context.tell({ type: "gone", id: draft.id });
  }

  // What several rows have in common

  /** An update whose end is an event, and which may fail if it is not essential. */
  async #updateOrTell(
    draft: Draft,
    change: SessionChange,
    guard: Guard,
    now: number,
    isEssential: boolean,
  ): Promise<UpdateResult | "failed"> {
    try {
      const result = await this.#update(draft, change, guard, now);
      if (result === "gone") {
        this.#context.tell({ type: "gone", id: draft.id });
      }
      return result;
    } catch (error) {
      if (isEssential) throw error;
      passOver(error);
      return "failed";
    }
  }

  #update(
    draft: Draft,
    change: SessionChange,
    guard: Guard,
    now: number,
  ): Awaitable<UpdateResult> {
    return this.#context.gateway.update(draft.key, change, guard, now);
  }

  /** Ends what stands in the way of a new session of the same browser. */
  async #endRivals(draft: Draft, now: number): Promise<void> {
    const { opening, intent } = draft;
    const ends: { readonly id: string; readonly guard: Guard }[] = [];
    const isMeant = intent.signIn !== undefined || intent.ending !== undefined;
    if (opening.standing === "ambiguous" && isMeant) {
      for (const { id, family } of opening.rivals) {
        ends.push({ id, guard: { family } });
      }
    }
    // A clock that is ahead sees no session where others do, and a server that
    // took over may not know the secret: an end is meant for it all the same.
    if (
      opening.standing === "visitor" &&
      (intent.ending !== undefined ||
        (isMeant && LEFT_BEHIND.has(opening.refusal)))
    ) {
      for (const { id, secret } of opening.unseen ?? []) {
        const guard = { family: draft.familyHash(secret) };
        ends.push({ id: ownText(id), guard });
      }
    }
    // The second click on "Sign in" takes the place of the first, and whoever
    // could not prove anything leaves nothing behind.
    if (isShutOut(opening) && intent.signIn !== undefined) {
      const { principal } = intent.signIn;
      ends.push({ id: opening.token.id, guard: { principal } });
    }
    // One that fails must not spare the others.
    const results = await Promise.allSettled(
      ends.map(({ id, guard }) => this.#endOther(id, guard, now)),
    );
    const failed = results.find(({ status }) => status === "rejected");
    if (failed?.status === "rejected") throw failed.reason;
  }

  async #endOther(id: string, guard: Guard, now: number): Promise<void> {
    const { gateway, tell } = this.#context;
    const result = await gateway.destroy(id, guard, now);
    if (result === "done") tell({ type: "destroyed", id });
  }

  /** The instant to date a sign-in with, if there is room for it. */
  #dateOf(draft: Draft, principal: string, now: number): Promise<number> {
    return this.#limit.before(draft, principal, now);
  }

  /** Asks, once a sign-in is stored, whether it may stay. */
  async #confirmSignIn(draft: Draft, now: number): Promise<void> {
    const { signIn } = draft.intent;
    if (signIn === undefined) return;
    const { principal, stillValid } = signIn;
    if (stillValid !== undefined) await this.#checkValid(draft, stillValid);
    await this.#limit.after(draft, principal, now);
    this.#context.tell({ type: "signed-in", id: draft.id, principal });
  }

  async #checkValid(
    draft: Draft,
    stillValid: () => Promise<boolean> | boolean,
  ): Promise<void> {
    const { gateway, settings, tell } = this.#context;
    const { id, family } = draft;
    const refusal = await stateOf(stillValid, id);
    if (refusal === undefined) return;
    try {
      const now = settings.now();
      const result = await gateway.destroy(draft.key, { family }, now);
      if (result === "done") tell({ type: "destroyed", id });
    } catch (error) {
      // An event has told; why it has to end is what the caller should hear.
      passOver(error);
    }
    throw refusal.error;
  }

  #cookie(
    draft: Draft,
    secret: string,
    now: number,
    authenticatedAt: number | undefined,
  ): Cookie {
    if (draft.carrier === "bearer") return undefined;
    const { cookie, request } = draft.arrival;
    if (cookie.isSecure && isInsecure(request)) {
      this.#context.tell({ type: "insecure", id: draft.id });
    }
    const maxAge = draft.maxAge(now, authenticatedAt);
    return setCookie(cookie, draft.key + secret, maxAge);
  }

  /** Makes the browser forget the cookie, if it has one and can be told. */
  #cleared(
    { arrival, intent, carrier }: Draft,
    answer: Answer<unknown>,
  ): Cookie {
    if (carrier === "bearer") return undefined;
    const isTold = arrival.hadCookie ||
      intent.ending === "session-and-site-data";
    // Ending the session matters more than telling the browser.
    return isTold && answer.reach !== "none"
      ? clearCookie(arrival.cookie)
      : undefined;
  }
}

/** Nothing hands out a bearer token by itself. */
function notSent(id: string): SessionError {
  return new SessionError(
    "unsendable",
    "Cannot commit session: its client keeps its token itself and has not been sent the new one: send it what session.bearerToken() returns",
    { id },
  );
}

/** What the client has been sent opens nothing, and it must not be told so. */
function notHandedOut(
  id: string,
  result: UpdateResult | "superseded" | "failed",
): SessionError {
  const isConflict = result === "conflict";
  return new SessionError(
    isConflict ? "conflict" : "gone",
    `Cannot hand out bearer token: ${
      isConflict
        ? "another request has replaced it meanwhile"
        : "the session has ended, or somebody signed in"
    }`,
    { id },
  );
}

/** What `stillValid` came to, unless it is `true`. */
async function stateOf(
  stillValid: () => Promise<boolean> | boolean,
  id: string,
): Promise<{ readonly error: unknown } | undefined> {
  try {
    if (await stillValid() === true) return undefined;
  } catch (error) {
    return { error };
  }
  const message = "Cannot sign in: stillValid did not answer true";
  return { error: new SessionError("not-valid", message, { id }) };
}

/** What the library does by itself fails no request: an event has told. */
function passOver(error: unknown): undefined {
  if (!(error instanceof SessionError)) throw error;
}
