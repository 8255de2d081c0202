import { Collector } from "./store/collector.ts";
import { Committer } from "./request/carry_out.ts";
import { isCrossOrigin } from "./carriage/cross_origin.ts";
import type { Host } from "./request/draft.ts";
import { notify, type SessionEvent } from "./events.ts";
import { isLive, Opener } from "./request/opener.ts";
import {
  type ManagerOptions,
  resolveOptions,
  type Settings,
} from "./options.ts";
import type { Awaitable, Provider } from "./provider.ts";
import { open } from "./registry.ts";
import { type AnyData, draftOf, Session } from "./session.ts";
import { isPromise, Store } from "./store/store.ts";
import { checkOptionNames } from "./option_names.ts";

/** One of a user's sessions, as a list of signed-in devices shows it. */
export interface SessionInfo {
  /** Its id: names it in `destroy`, opens nothing. */
  readonly id: string;
  /** What `signIn` called it. */
  readonly label: string | undefined;
  /** Whether it is the session given as `current`. */
  readonly isCurrent: boolean;
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
  readonly #store: Store;
  readonly #host: Host;
  readonly #opener: Opener;
  readonly #committer: Committer;
  readonly #collector: Collector;
  readonly #ownsProvider: boolean;
  readonly #stopObserving: (() => void) | undefined;

  /**
   * A manager with a provider and a collector of its own.
   *
   * @param options See {@linkcode ManagerOptions}; none is required.
   * @throws {TypeError} If an option is unknown or of the wrong type, or no
   * such provider is registered.
   * @throws {RangeError} If a number is out of range.
   */
  constructor(options: ManagerOptions = {}) {
    const settings = resolveOptions(options);
    const { provider = "memory" } = options;
    this.#ownsProvider = typeof provider === "string" ||
      provider instanceof URL;
    const opened = this.#ownsProvider
      ? open(provider as string | URL)
      : checkProvider(provider as Provider);
    const store = new Store(opened, settings);
    const { now, gcInterval } = settings;
    this.#settings = settings;
    this.#store = store;
    this.#host = { settings, store };
    this.#opener = new Opener(this.#host);
    this.#committer = new Committer(
      this.#host,
      settings.touchInterval ?? opened.touchInterval,
    );
    this.#collector = new Collector(store, now, gcInterval);
    this.#stopObserving = opened.observe?.((type, id) => {
      this.#notify({ type, id });
    });
  }

  /**
   * Finds the session of a request by its cookie. A request without a cookie
   * that opens one gets a new, empty session, which exists nowhere until
   * something is set in it and it is committed.
   *
   * @param request Only its `Cookie` header is read.
   * @returns The session; without a promise if the provider answers without.
   * @throws {SessionError} With code `"store-failed"`, `"timeout"` or
   * `"corrupt"`, if the store cannot tell; `"closed"` after `close()`.
   */
  start(request: Request): Awaitable<Session<Data>> {
    if (typeof request?.headers?.get !== "function") {
      throw new TypeError(
        `Cannot start session: it takes a Request: received ${typeof request}`,
      );
    }
    const draft = this.#opener.open(request);
    return isPromise(draft)
      ? draft.then((opened) => new Session<Data>(opened))
      : new Session<Data>(draft);
  }

  /**
   * Writes what a request did to its session, and hands out the cookie if that
   * changed. Nothing is written for a new session left empty.
   *
   * A session that ended, or got a new token, while the request ran stays as it
   * is: the changes are dropped, the response is left alone, and a `gone` event
   * tells. Only a sign-in goes on, in a new session.
   *
   * @param session A session that this manager started; once only.
   * @param response The response, or `undefined` when there is none to send, as
   * after an upgrade on Bun.
   * @returns The response to send: the same one, or a copy if its headers were
   * immutable.
   * @throws {SessionError} With code `"store-failed"` or `"timeout"`, if it may
   * not have been written; `"unsendable"`, before anything is written, if a
   * cookie is due and the response cannot carry it.
   * @throws {TypeError} If the session is another manager's or was committed.
   */
  commit<Answer extends Response | undefined>(
    session: Session<Data>,
    response: Answer,
  ): Awaitable<Answer> {
    const draft = draftOf(session);
    if (draft.host !== this.#host) {
      throw new TypeError("Cannot commit session: another manager started it");
    }
    if (draft.isCommitted) {
      throw new TypeError("Cannot commit session: it is already committed");
    }
    draft.isCommitted = true;
    // A copy is made of a response only, never of `undefined`.
    return this.#committer.commit(draft, response) as Awaitable<Answer>;
  }

  /**
   * Wraps a handler: starts the session, calls the handler, commits. When the
   * handler throws, its changes are discarded and the error goes on. A request
   * that another site's page made and that could change something is answered
   * with 403 (see `crossOriginProtection`).
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
    const { crossOriginProtection, trustedOrigins } = this.#settings;
    return async (request, ...args) => {
      if (crossOriginProtection && isCrossOrigin(request, trustedOrigins)) {
        this.#notify({
          type: "refused",
          reason: "cross-origin",
          id: undefined,
        });
        return forbidden() as Answer;
      }
      const started = this.start(request);
      const session = isPromise(started) ? await started : started;
      let response: Response | undefined;
      try {
        const answered = handler(request, session, ...args);
        const answer = isPromise(answered) ? await answered : answered;
        response = answer as Response | undefined;
        const committed = this.commit(session, response);
        return (isPromise(committed) ? await committed : committed) as Answer;
      } catch (error) {
        // It cannot be sent: nobody will read it.
        response?.body?.cancel().catch(() => {});
        throw error;
      } finally {
        draftOf(session).isCommitted = true;
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
   * Lists a user's live sessions, the latest used first.
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
    checkOptionNames("list sessions", options, ["current"]);
    const now = this.#settings.now();
    const found = await this.#store.list(principal, now);
    return found
      .filter(({ record }) => isLive(record, now))
      .map(({ id, record }) => ({
        id,
        label: record.label,
        isCurrent: id === options.current?.id,
        createdAt: record.createdAt,
        authenticatedAt: record.authenticatedAt,
        accessedAt: record.accessedAt,
        expiresAt: record.expiresAt,
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
   * @throws {TypeError} If `principal` is given but names nobody, as
   * `session.principal` does before sign-in.
   */
  async destroy(
    id: string,
    options: { readonly principal?: string } = {},
  ): Promise<boolean> {
    checkOptionNames("destroy session", options, ["principal"]);
    if ("principal" in options) {
      const principal = checkPrincipal("destroy session", options.principal);
      const record = await this.#store.read(id, this.#settings.now());
      if (record?.principal !== principal) return false;
    }
    const isDestroyed = await this.#store.destroy(id);
    if (isDestroyed) this.#notify({ type: "destroyed", id });
    return isDestroyed;
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
    checkOptionNames("destroy sessions", options, ["except"]);
    const except = options.except instanceof Session
      ? options.except.id
      : options.except;
    const count = await this.#store.destroyAll(principal, except);
    this.#notify({ type: "destroyed-all", principal, except, count });
    return count;
  }

  /**
   * Ends every session of the provider, whoever's it is: after a leak, or a
   * change that no old session may survive.
   *
   * @returns How many there were.
   */
  async destroyEverything(): Promise<number> {
    const count = await this.#store.clear();
    this.#notify({ type: "destroyed-everything", count });
    return count;
  }

  /**
   * Stops the collector and refuses every later call. Closes the provider if
   * the manager made it from a name or URL; one that was handed in belongs to
   * the caller. Twice is safe.
   */
  async close(): Promise<void> {
    this.#collector.stop();
    this.#stopObserving?.();
    await this.#store.close(this.#ownsProvider);
  }

  /** {@linkcode Manager.close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #notify(event: SessionEvent): void {
    notify(this.#settings.onEvent, event);
  }
}

function forbidden(): Response {
  return new Response("Forbidden: the request comes from another site\n", {
    status: 403,
    headers: { "content-type": "text/plain" },
  });
}

function checkPrincipal(doing: string, principal: string | undefined): string {
  if (typeof principal === "string" && principal !== "") return principal;
  throw new TypeError(
    `Cannot ${doing}: principal must be a string that is not empty: is the visitor signed in?`,
  );
}

const PROVIDER_CALLS = [
  "create",
  "read",
  "update",
  "touch",
  "destroy",
  "gc",
  "list",
  "destroyAll",
  "clear",
  "close",
] as const;

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
