/** Starts a session for each request, and commits it with the answer. */
import { ResponseAnswer, SinkAnswer } from "./carriage/answer.ts";
import { bearerOf, type RequestLike } from "./carriage/arrival.ts";
import { forbidden, isCrossOrigin, originOf } from "./carriage/cross_origin.ts";
import { type HeaderSink, isResponse } from "./carriage/response.ts";
import { isBound } from "./device/binding.ts";
import { DeviceEndpoint, isForDevice } from "./device/endpoint.ts";
import { SessionError, type SessionErrorCode } from "./errors.ts";
import { notify, type SessionEvent } from "./events.ts";
import {
  checkOptionNames,
  ownOf,
  ownOption,
  ownOptions,
} from "./option_names.ts";
import {
  type ManagerOptions,
  readOptions,
  resolveOptions,
  type Settings,
} from "./options.ts";
import type { Awaitable, Provider } from "./provider.ts";
import { open } from "./registry.ts";
import { CarryOut } from "./request/carry_out.ts";
import type { Context } from "./request/context.ts";
import type { Draft } from "./request/draft.ts";
import { Opener } from "./request/opener.ts";
import { mintId } from "./secret/token.ts";
import { type AnyData, draftOf, Session } from "./session.ts";
import { ClockCheck } from "./store/clock_check.ts";
import { Collector } from "./store/collector.ts";
import { Gateway, isPromise } from "./store/gateway.ts";
import { expiryOf, isLive } from "./store/record.ts";
import type { SchemaOptions } from "./value/schema.ts";

/** One of a user's sessions, as a list of signed-in devices shows it. */
export interface SessionInfo {
  /** Its id: names it in `destroy`, opens nothing. */
  readonly id: string;
  /** What `signIn` called it. */
  readonly label: string | undefined;
  /** Whether it is the session given as `current`. */
  readonly isCurrent: boolean;
  /** Whether it is bound to a device; see `ManagerOptions.deviceBound`. */
  readonly isDeviceBound: boolean;
  /** When it was created, in milliseconds since the Unix epoch. */
  readonly createdAt: number;
  /** When the user signed in, in milliseconds since the Unix epoch. */
  readonly authenticatedAt: number | undefined;
  /** When it was last used, in milliseconds since the Unix epoch. */
  readonly accessedAt: number;
  /** When it ends unless it is used, in milliseconds since the Unix epoch. */
  readonly expiresAt: number;
}

/**
 * A request handler with a session.
 *
 * @typeParam Data What the session holds, by key.
 * @typeParam Args What the server passes beside the request.
 * @typeParam Answer What it answers: a response, or `undefined` after an
 * upgrade on Bun.
 * @typeParam Req The request, which in a route of Bun also has `params`.
 */
export type SessionHandler<
  Data extends object,
  Args extends unknown[],
  Answer extends Response | undefined | void,
  Req extends Request = Request,
> = (
  request: Req,
  session: Session<Data>,
  ...args: Args
) => Awaitable<Answer>;

/** How a request is started; see {@linkcode Manager.start}. */
export interface StartOptions {
  /**
   * Whether the request is a use of the session, and prolongs it. A poll is none.
   *
   * @default what the manager's option of the same name says, else {true}
   */
  readonly isUse?: boolean | undefined;
}

/** How a request is run; see {@linkcode Manager.run}. */
export interface RunOptions extends StartOptions {
  /**
   * Whether the request has failed although there is an answer below 500: for
   * frameworks that make an answer of an error before `next` comes to its end.
   *
   * @default {() => false}
   */
  readonly failed?: (() => boolean) | undefined;
}

/**
 * Starts a session for each request and commits it with the response.
 *
 * @typeParam Data What its sessions hold, by key.
 *
 * @example Serve with sessions
 * ```ts
 * import { Manager } from "@cloakroom/session";
 * import { assertEquals } from "@std/assert";
 *
 * await using manager = new Manager<{ visits: number }>();
 * const handler = manager.handle((_request, session) => {
 *   const visits = (session.get("visits") ?? 0) + 1;
 *   session.set("visits", visits);
 *   return new Response(`Visit ${visits}`);
 * });
 *
 * const first = await handler(new Request("http://localhost/"));
 * const cookie = first.headers.get("set-cookie")!.split(";")[0]!;
 * const second = await handler(
 *   new Request("http://localhost/", { headers: { cookie } }),
 * );
 * assertEquals(await second.text(), "Visit 2");
 * ```
 */
export class Manager<Data extends object = AnyData> {
  readonly #settings: Settings;
  readonly #gateway: Gateway;
  readonly #context: Context;
  readonly #opener: Opener;
  readonly #carryOut: CarryOut;
  readonly #devices: DeviceEndpoint | undefined;
  readonly #collector: Collector;
  readonly #clocks: ClockCheck;
  /** Whether the clocks are still to be compared for the first time. */
  #areClocksNew: boolean;
  readonly #ownsProvider: boolean;
  readonly #stopObserving: (() => void) | undefined;
  /** The sessions of requests that are run, by request. */
  readonly #running = new WeakMap<RequestLike, Session<Data>>();
  /** How many requests are run. */
  #runs = 0;
  #isClosing = false;
  #closing: Promise<void> | undefined;
  #whenIdle: (() => void) | undefined;

  /**
   * A manager with a provider and a collector of its own.
   *
   * @param options See {@linkcode ManagerOptions} and {@linkcode SchemaOptions};
   * none is required.
   * @throws {TypeError} If an option is unknown or of the wrong type, or no
   * such provider is registered.
   * @throws {RangeError} If a number is out of range.
   */
  constructor(options: ManagerOptions & SchemaOptions<Data> = {}) {
    const given = readOptions(options);
    const settings = resolveOptions(given);
    const { provider = "memory" } = given;
    this.#ownsProvider = typeof provider === "string" ||
      provider instanceof URL;
    const opened = this.#ownsProvider
      ? open(provider as string | URL)
      : checkProvider(provider as Provider);
    const tell = (event: SessionEvent) => notify(settings.onEvent, event);
    const { timeout, now, gcInterval: interval } = settings;
    this.#settings = {
      ...settings,
      touchInterval: settings.touchInterval ?? opened.touchInterval,
    };
    this.#gateway = new Gateway(opened, { timeout, tell });
    this.#context = { settings: this.#settings, gateway: this.#gateway, tell };
    this.#opener = new Opener(this.#context);
    this.#carryOut = new CarryOut(this.#context);
    const { deviceBound } = settings;
    this.#devices = deviceBound &&
      new DeviceEndpoint(this.#context, deviceBound);
    const clocks = new ClockCheck(this.#gateway, { now, tell });
    this.#clocks = clocks;
    this.#areClocksNew = clocks.canTell;
    this.#collector = new Collector(this.#gateway, { now, interval, clocks });
    this.#stopObserving = opened.observe?.((type, id) => tell({ type, id }));
  }

  /**
   * Opens the store and makes one round trip: at the start of a program, and for
   * a health check. Without it, a store that cannot be reached shows with the
   * first request.
   *
   * @throws {SessionError} With code `"store-failed"` or `"timeout"`, and a
   * `cause` that says why.
   */
  async ready(): Promise<void> {
    await this.#gateway.read(mintId(), this.#settings.now());
    if (this.#areClocksNew) await this.#compareClocks();
  }

  /**
   * Finds the session of a request by its cookie. A request without a cookie
   * that opens one gets a new, empty session, which exists nowhere until
   * something is set in it and it is committed.
   *
   * @param request A `Request`, or anything with a method, a URL and headers.
   * @returns The session; without a promise if the provider answers without.
   * @throws {TypeError} If it is no request, or one that `intercept` answers
   * because of `deviceBound`.
   * @throws {SessionError} With code `"store-failed"`, `"timeout"` or
   * `"corrupt"`, if the store cannot tell; `"closed"` after `close()`.
   */
  start(
    request: RequestLike,
    options?: StartOptions,
  ): Awaitable<Session<Data>> {
    if (
      typeof request?.headers?.get !== "function" ||
      typeof request.url !== "string"
    ) throw notStarted(request);
    const { deviceBound } = this.#settings;
    if (deviceBound !== undefined && isForDevice(request, deviceBound)) {
      throw new TypeError(
        `Cannot start session: POST to ${deviceBound.path} is a browser's proof of its device: answer with what manager.intercept() returns, before start()`,
      );
    }
    if (this.#isClosing) {
      throw new SessionError(
        "closed",
        "Cannot start session: the manager is closed",
      );
    }
    if (this.#areClocksNew) this.#compareClocks().catch(() => {});
    const draft = this.#opener.open(request, this.#isUse(request, options));
    return isPromise(draft)
      ? draft.then((opened) => new Session<Data>(opened))
      : new Session<Data>(draft);
  }

  /**
   * Answers what never reaches the application: a request that another site's
   * page made and that could change something gets 403, see
   * `crossOriginProtection`; with `deviceBound`, a browser's key or proof of its
   * device gets what follows from it.
   *
   * @returns The answer, or `undefined` for the application to answer.
   */
  intercept(request: RequestLike): Awaitable<Response | undefined> {
    const { crossOriginProtection, trustedOrigins, bearer, deviceBound } =
      this.#settings;
    if (deviceBound !== undefined && isForDevice(request, deviceBound)) {
      return this.#devices?.answer(request);
    }
    if (!crossOriginProtection || !isCrossOrigin(request, trustedOrigins)) {
      return undefined;
    }
    // No browser adds this header by itself, and no cookie is looked at then.
    if (bearer && bearerOf(request) !== undefined) return undefined;
    const origin = originOf(request);
    const reason = "cross-origin";
    this.#context.tell({ type: "refused", reason, id: undefined, origin });
    return forbidden(origin);
  }

  /**
   * Writes what a request did to its session, and hands out the cookie if that
   * changed. Nothing is written for a new session left empty.
   *
   * A response of 500 or above drops the changes, as a handler that throws does;
   * `destroy` is carried out all the same. A session that ended, or that somebody
   * signed in to, while the request ran stays as it is: the changes are dropped,
   * and a `gone` event tells. Only a sign-in goes on, in a new session. What the
   * library does by itself never fails the commit.
   *
   * @param session A session that this manager started; once only.
   * @param response The response, or `undefined` when there is none to send, as
   * after an upgrade on Bun.
   * @returns The response to send: a new one if it carries a cookie. Only `Vary`
   * is added to the one that was given, where its headers can be changed.
   * @throws {SessionError} With code `"store-failed"` or `"timeout"`, if it may
   * not have been written; `"unsendable"`, before anything is written, if a
   * cookie is due and the response cannot carry it; `"too-many-sessions"`,
   * `"not-valid"` or `"conflict"`, if a sign-in was refused.
   * @throws {TypeError} If the session is another manager's or was committed, or
   * `response` is none.
   */
  commit<Answer extends Response | undefined>(
    session: Session<Data>,
    response: Answer,
  ): Awaitable<Answer> {
    if (response !== undefined && !isResponse(response)) {
      throw notAnswered("commit session", response);
    }
    const draft = this.#draftToCommit(session);
    const answer = new ResponseAnswer(response);
    // A copy is made of a response only, never of `undefined`.
    return this.#carryOut.commit(draft, answer) as Awaitable<Answer>;
  }

  /**
   * The same for a framework that keeps headers and a status instead of a
   * response. Call it before they are sent.
   *
   * @param headers Where cookie, `Cache-Control`, `Vary` and `Clear-Site-Data` go.
   * @param status The answer's status.
   * @throws As {@linkcode Manager.commit} does.
   */
  commitTo(
    session: Session<Data>,
    headers: HeaderSink,
    status: number,
  ): Awaitable<void> {
    if (typeof headers?.append !== "function" || typeof status !== "number") {
      throw new TypeError(
        `Cannot commit session: it takes headers with append and set, and a status: received ${typeof headers} and ${typeof status}`,
      );
    }
    const draft = this.#draftToCommit(session);
    return this.#carryOut.commit(draft, new SinkAnswer(headers, status));
  }

  /**
   * Runs the rest of a request with its session: intercepts, starts, calls
   * `next`, commits. When `next` throws or answers 500 or above, its changes are
   * dropped, `destroy` is carried out, and an error goes on. A request that is
   * run already keeps its session: mounted twice, it is committed once.
   *
   * @param next Gets the session; answers with a response, or with `undefined`
   * after an upgrade on Bun.
   * @throws What `next` throws; what {@linkcode Manager.start} and
   * {@linkcode Manager.commit} throw.
   * @throws {TypeError} If `next` answers with anything else.
   */
  async run<Answer extends Response | undefined | void>(
    request: RequestLike,
    next: (session: Session<Data>) => Awaitable<Answer>,
    options?: RunOptions,
  ): Promise<Answer> {
    if (typeof next !== "function") {
      throw new TypeError(
        `Cannot run request: next must be a function of the session: received ${typeof next}`,
      );
    }
    const outer = this.#running.get(request);
    if (outer !== undefined) return await next(outer);
    if (options !== undefined) {
      checkOptionNames("run request", options, RUN_NAMES);
    }
    const failed = ownOption(options, "failed");
    const isUse = ownOption(options, "isUse");
    const intercepted = this.intercept(request);
    const refusal = isPromise(intercepted) ? await intercepted : intercepted;
    if (refusal !== undefined) return refusal as Answer;
    const started = this.start(
      request,
      isUse === undefined ? undefined : { isUse },
    );
    this.#runs++;
    try {
      const session = isPromise(started) ? await started : started;
      this.#running.set(request, session);
      return await this.#answered(session, next, failed) as Answer;
    } finally {
      this.#running.delete(request);
      this.#runs--;
      if (this.#runs === 0) this.#whenIdle?.();
    }
  }

  /**
   * Wraps a handler: see {@linkcode Manager.run}. A request that fails because the
   * store does is answered with 503 and `Retry-After`, or as `onUnavailable` says;
   * whether what it wrote was stored is open then.
   *
   * @param handler Gets the request, the session, and whatever else the server
   * passes: Deno's `info`, Bun's `server`.
   * @returns A handler for `Deno.serve`, `Bun.serve` or `export default`.
   */
  handle<
    Args extends unknown[],
    Answer extends Response | undefined | void = Response,
    Req extends Request = Request,
  >(
    handler: SessionHandler<Data, Args, Answer, Req>,
  ): (request: Req, ...args: Args) => Promise<Answer> {
    if (typeof handler !== "function") {
      throw new TypeError(
        `Cannot handle requests: the handler must be a function: received ${typeof handler}`,
      );
    }
    return async (request, ...args) => {
      try {
        return await this.run(
          request,
          (session) => handler(request, session, ...args),
        );
      } catch (error) {
        return await this.#unavailable(error, request) as Answer;
      }
    };
  }

  /**
   * Removes what has expired, in one pass that lets other work in between. Runs
   * by itself every `gcInterval` seconds; a pass under way is joined.
   *
   * @returns How many sessions were removed; 0 on a store that expires by
   * itself.
   * @throws {SessionError} With code `"store-failed"` or `"timeout"`.
   */
  gc(): Promise<number> {
    return this.#collector.collect();
  }

  /**
   * Lists a user's live sessions, the latest used first. An `unreadable` event
   * names each that cannot be read; `destroy` can end it all the same.
   *
   * @param principal The user, as given to `signIn`.
   * @param options `current` marks one of them, the one that asks.
   * @throws {TypeError} If `principal` names nobody.
   */
  async list(
    principal: string,
    options: { readonly current?: Session<Data> } = {},
  ): Promise<SessionInfo[]> {
    checkPrincipal("list sessions", principal);
    const { current } = ownOptions("list sessions", options, ["current"]);
    const now = this.#settings.now();
    const { sessions, unreadable } = await this.#gateway.list(principal, now);
    for (const id of unreadable) {
      this.#context.tell({ type: "unreadable", id, principal });
    }
    const currentId = current === undefined ? undefined : draftOf(current).id;
    return sessions
      .filter((session) => isLive(session, now))
      .map((session) => ({
        id: session.id,
        label: session.label,
        isCurrent: session.id === currentId,
        isDeviceBound: isBound(session.binding),
        createdAt: session.createdAt,
        authenticatedAt: session.authenticatedAt,
        accessedAt: session.accessedAt,
        expiresAt: expiryOf(session),
      }))
      .sort((a, b) => b.accessedAt - a.accessedAt);
  }

  /**
   * Ends one session by its id.
   *
   * @param id Its id.
   * @param options With `principal`, only a session of that user is ended: give
   * it whenever the id comes from a request.
   * @returns Whether there was such a session.
   * @throws {TypeError} If `id` is no text, or `principal` is given but names
   * nobody, as `session.principal` does before sign-in.
   */
  async destroy(
    id: string,
    options: { readonly principal?: string } = {},
  ): Promise<boolean> {
    checkId(id);
    const { principal } = ownOptions("destroy session", options, [
      "principal",
    ]);
    if (Object.hasOwn(options, "principal")) {
      checkPrincipal("destroy session", principal);
    }
    const guard = principal === undefined ? {} : { principal };
    const now = this.#settings.now();
    const result = await this.#gateway.destroy(id, ownOf(guard), now);
    if (result === "done") this.#context.tell({ type: "destroyed", id });
    return result === "done";
  }

  /**
   * Ends all sessions of a user: sign out everywhere.
   *
   * @param principal The user, as given to `signIn`.
   * @param options `except` spares one session, given itself or by its id.
   * @returns How many there were.
   * @throws {TypeError} If `principal` names nobody.
   */
  async destroyAll(
    principal: string,
    options: { readonly except?: Session<Data> | string | undefined } = {},
  ): Promise<number> {
    checkPrincipal("destroy sessions", principal);
    const { except: spared } = ownOptions("destroy sessions", options, [
      "except",
    ]);
    const except = spared instanceof Session ? draftOf(spared).id : spared;
    if (except !== undefined && typeof except !== "string") {
      throw new TypeError(
        `Cannot destroy sessions: except must be a session or its id: received ${
          isPromise(except) ? "a promise" : typeof except
        }`,
      );
    }
    const count = await this.#gateway.destroyAll(principal, except);
    this.#context.tell({ type: "destroyed-all", principal, except, count });
    return count;
  }

  /**
   * Ends every session of the provider, whoever's it is: after a leak, or a
   * change that no old session may survive.
   *
   * @returns How many there were.
   */
  async destroyEverything(): Promise<number> {
    const count = await this.#gateway.clear();
    this.#context.tell({ type: "destroyed-everything", count });
    return count;
  }

  /**
   * Stops the collector, refuses to start sessions, waits for the requests that
   * are run, for `timeout` seconds at most, and then refuses every later call.
   * Closes the provider if the manager made it from a name or URL; one that was
   * handed in belongs to the caller. Twice is safe.
   */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /** {@linkcode Manager.close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The answer to a request whose store fails. */
  #unavailable(error: unknown, request: RequestLike): Awaitable<Response> {
    if (!(error instanceof SessionError) || !UNAVAILABLE.has(error.code)) {
      throw error;
    }
    const { onUnavailable } = this.#settings;
    return onUnavailable === undefined
      ? unavailable()
      : onUnavailable(error, request);
  }

  /** Nobody waits for it but `ready`; an event tells. */
  async #compareClocks(): Promise<void> {
    this.#areClocksNew = false;
    await this.#clocks.isOff();
  }

  #isUse(request: RequestLike, options: StartOptions | undefined): boolean {
    const { isUse: ask } = this.#settings;
    if (options === undefined && ask === undefined) return true;
    const { isUse } = ownOptions("start session", options ?? {}, START_NAMES);
    const answer = isUse ?? (ask === undefined ? true : ask(request));
    if (typeof answer === "boolean") return answer;
    throw new TypeError(
      `Cannot start session: isUse must be true or false: received ${typeof answer}`,
    );
  }

  #draftToCommit(session: Session<Data>): Draft {
    const draft = draftOf(session);
    if (draft.context !== this.#context) {
      throw new TypeError("Cannot commit session: another manager started it");
    }
    if (draft.isCommitted) {
      throw new TypeError("Cannot commit session: it is already committed");
    }
    return draft;
  }

  /** Calls the rest of a request, and commits its session. */
  async #answered(
    session: Session<Data>,
    next: (session: Session<Data>) => Awaitable<unknown>,
    failed: (() => boolean) | undefined,
  ): Promise<unknown> {
    let response: Response | undefined;
    try {
      const answered = next(session);
      const answer = isPromise(answered) ? await answered : answered;
      if (answer !== undefined && !isResponse(answer)) {
        throw notAnswered("answer request", answer);
      }
      response = answer;
      if (failed?.()) return await this.#commitFailed(session, response);
    } catch (error) {
      await this.#commitFailed(session, undefined);
      throw error;
    }
    try {
      const committed = this.commit(session, response);
      return isPromise(committed) ? await committed : committed;
    } catch (error) {
      // It cannot be sent: nobody will read it.
      response?.body?.cancel().catch(() => {});
      throw error;
    }
  }

  /** What is left to do when a request has failed. Never fails by itself. */
  #commitFailed(
    session: Session<Data>,
    response: Response | undefined,
  ): Awaitable<Response | undefined> {
    const draft = draftOf(session);
    if (draft.isCommitted) return response;
    return this.#carryOut.commit(draft, new ResponseAnswer(response, true));
  }

  async #close(): Promise<void> {
    this.#isClosing = true;
    this.#collector.stop();
    if (this.#runs > 0) await this.#idle(this.#settings.timeout);
    try {
      this.#stopObserving?.();
    } finally {
      await this.#gateway.close(this.#ownsProvider);
    }
  }

  /** Waits until no request is run, and for so many seconds at most. */
  async #idle(seconds: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#whenIdle = resolve;
      timer = setTimeout(resolve, seconds * 1000);
    });
    clearTimeout(timer);
  }
}

const START_NAMES: readonly string[] = Object.keys(
  { isUse: 1 } satisfies Record<keyof StartOptions, 1>,
);

const RUN_NAMES: readonly string[] = Object.keys(
  { failed: 1, isUse: 1 } satisfies Record<keyof RunOptions, 1>,
);

/** What fails a request through no fault of its own. */
const UNAVAILABLE: ReadonlySet<SessionErrorCode> = new Set([
  "closed",
  "store-failed",
  "timeout",
  "unavailable",
]);

/** After how many seconds a client should ask again. */
const RETRY_AFTER = 5;

function unavailable(): Response {
  const headers = {
    "content-type": "text/plain; charset=utf-8",
    "cache-control": "no-store",
    "retry-after": String(RETRY_AFTER),
  };
  const text = "The service is unavailable. Try again in a few seconds.\n";
  return new Response(text, { status: 503, headers });
}

function notStarted(request: RequestLike): TypeError {
  const missing = typeof request?.headers?.get !== "function"
    ? "headers with get"
    : "a url";
  return new TypeError(
    `Cannot start session: it takes a Request, or an object with method, url and headers: received ${
      request === null ? "null" : typeof request
    } without ${missing}`,
  );
}

function notAnswered(doing: string, received: unknown): TypeError {
  const kind = received === null ? "null" : typeof received;
  return new TypeError(
    `Cannot ${doing}: the answer must be a Response: received ${kind}`,
  );
}

function checkId(id: unknown): void {
  if (typeof id === "string") return;
  throw new TypeError(
    `Cannot destroy session: it takes a session's id: received ${
      id instanceof Session ? "a session: give session.id" : typeof id
    }`,
  );
}

function checkPrincipal(doing: string, principal: string | undefined): string {
  if (typeof principal === "string" && principal !== "") return principal;
  throw new TypeError(
    `Cannot ${doing}: principal must be a string that is not empty: is the visitor signed in?`,
  );
}

const PROVIDER_CALLS = Object.keys(
  {
    create: 1,
    read: 1,
    update: 1,
    touch: 1,
    destroy: 1,
    gc: 1,
    list: 1,
    destroyAll: 1,
    clear: 1,
    close: 1,
  } satisfies Record<RequiredCall, 1>,
) as RequiredCall[];

/** The calls that no provider can leave out. */
type RequiredCall = {
  [Name in keyof Provider]-?: undefined extends Provider[Name] ? never : Name;
}[keyof Provider];

function checkProvider(provider: Provider): Provider {
  for (const name of PROVIDER_CALLS) {
    if (typeof provider?.[name] !== "function") {
      throw new TypeError(
        `Cannot create Manager: provider must be a Provider, its name or its URL: ${name} is not a function`,
      );
    }
  }
  return provider;
}
