/** How a manager works: its options, their checks and their defaults. */
import type { RequestLike } from "./carriage/arrival.ts";
import {
  type CookieOptions,
  type CookieTemplate,
  MAX_COOKIE_AGE,
  resolveCookie,
} from "./carriage/cookie.ts";
import {
  type CookieByHost,
  cookieByHost,
  type CookieOf,
} from "./carriage/cookie_by_host.ts";
import { resolveOrigins } from "./carriage/cross_origin.ts";
import {
  checkBindable,
  type DeviceBoundOptions,
  type DeviceSettings,
  resolveDeviceBound,
} from "./device/options.ts";
import type { SessionListener } from "./events.ts";
import type { SessionError } from "./errors.ts";
import type { Awaitable, Provider } from "./provider.ts";
import {
  checkChoice,
  checkCount,
  checkFlag,
  checkFunction,
  checkSeconds,
  MAKING,
} from "./option_checks.ts";
import { ownOptions } from "./option_names.ts";
import {
  resolveSchemas,
  type SchemaOptions,
  type Schemas,
} from "./value/schema.ts";

/** The idle timeout unless the options say otherwise: one hour, in seconds. */
export const DEFAULT_IDLE_TIMEOUT = 3600;

/** The absolute timeout unless the options say otherwise: 12 hours, in seconds. */
export const DEFAULT_ABSOLUTE_TIMEOUT = 43_200;

/** The age at which a secret is replaced unless the options say otherwise, in seconds. */
export const DEFAULT_RENEW_INTERVAL = 900;

/** The grace of a replaced secret unless the options say otherwise, in seconds. */
export const DEFAULT_RENEW_GRACE = 30;

/** How a `Manager` works. Every option is checked when the manager is made. */
export interface ManagerOptions {
  /**
   * Where sessions are kept: a provider, the name of a registered one, or a
   * URL whose scheme is such a name. A provider made from a name or URL belongs
   * to the manager and is closed with it.
   *
   * @default {"memory"}
   */
  readonly provider?: Provider | string | URL | undefined;
  /**
   * How the session cookie is named and scoped. For a manager that serves several
   * hosts, a function that says so for the one that a request came to: sessions
   * of one host then open nothing on another, unless both have a `domain` or a
   * `scope` in common. It is asked for each request, and its answers are checked
   * as this option is.
   */
  readonly cookie?: CookieOptions | CookieByHost | undefined;
  /**
   * How long a session lives without a request, in seconds.
   *
   * @default {3600}
   */
  readonly idleTimeout?: number | undefined;
  /**
   * How long a session lives at most, in seconds from the last sign-in, else
   * from its creation; at least `idleTimeout`, and at most 34,560,000 (400 days) for a persistent cookie.
   *
   * @default {43200}
   */
  readonly absoluteTimeout?: number | undefined;
  /**
   * How old a secret must be, in seconds, for the next request to get a new one;
   * 0 for never. The shorter, the sooner a copied cookie is found out.
   *
   * @default {900}
   */
  readonly renewInterval?: number | undefined;
  /**
   * How long the old secret goes on working, in seconds after the first use of
   * the new one, for requests that were on their way. At most half of
   * `renewInterval`. With 0, requests that overlap a renewal may look like those
   * of a copy, and end the session.
   *
   * @default {30}
   */
  readonly renewGrace?: number | undefined;
  /**
   * What happens when a replaced secret is used after its grace, which is the
   * mark of a copied cookie: the session is destroyed for whoever holds it, or
   * only a `reused` event tells.
   *
   * @default {"destroy"}
   */
  readonly onReuse?: "destroy" | "report" | undefined;
  /**
   * How many sessions one user can have at a time.
   *
   * @default {Infinity}
   */
  readonly maxSessions?: number | undefined;
  /**
   * What happens when a user with `maxSessions` sessions signs in: the one that
   * signed in first ends, or the commit fails with `"too-many-sessions"` and
   * leaves the visitor as they were. Of several that sign in for the last place
   * at the same moment, those refused lose the session they had as a visitor, and
   * all of them may be refused. Whoever was told yes stays.
   *
   * @default {"evict-oldest"}
   */
  readonly onMaxSessions?: "evict-oldest" | "reject" | undefined;
  /**
   * Whether clients without a cookie jar, such as apps and command lines, can have
   * sessions: `session.bearerToken()` hands out the token of one, and a request
   * with `Authorization: Bearer` is of the session whose token it shows, and of no
   * cookie's.
   *
   * @default {false}
   */
  readonly bearer?: boolean | undefined;
  /**
   * Whether sessions of signed-in users are bound to a key that their browser
   * keeps in the machine's hardware and proves whenever a cookie of ten minutes
   * has run out (Device Bound Session Credentials), so that a copied cookie is
   * worth nothing after that. `{}` is enough. A browser that cannot do it goes
   * on as before.
   *
   * @default {undefined}
   */
  readonly deviceBound?: DeviceBoundOptions | undefined;
  /**
   * Whether `handle` answers 403 to requests of other sites that could change
   * something, as browsers tell by `Sec-Fetch-Site` and `Origin`.
   *
   * @default {true}
   */
  readonly crossOriginProtection?: boolean | undefined;
  /**
   * Origins that may send such requests all the same, such as
   * `https://accounts.example.org`.
   *
   * @default {[]}
   */
  readonly trustedOrigins?: readonly string[] | undefined;
  /**
   * Describes the client, for instance by its `User-Agent`. A change raises a
   * `fingerprint-changed` event. A signal, no defence: whoever copies a cookie
   * can copy a header. What it returns is stored as a digest.
   *
   * @default {undefined}
   */
  readonly fingerprint?: ((request: RequestLike) => string) | undefined;
  /**
   * What else happens when the fingerprint changes: nothing, or the request gets
   * a new session, so that the user has to sign in again.
   *
   * @default {"report"}
   */
  readonly onFingerprintChange?: "report" | "refuse" | undefined;
  /**
   * What `handle` answers when the store fails, in place of a plain 503 with
   * `Retry-After`. Whether what the request wrote was stored is open then.
   *
   * @default {undefined}
   */
  readonly onUnavailable?:
    | ((error: SessionError, request: RequestLike) => Awaitable<Response>)
    | undefined;
  /**
   * Whether a request is a use of its session, and prolongs it. One that a page
   * makes by itself, such as a poll, is none. What `start` and `run` are told
   * comes before it.
   *
   * @default {() => true}
   */
  readonly isUse?: ((request: RequestLike) => boolean) | undefined;
  /**
   * How long ago the last access must be, in seconds, for a request that only
   * reads to be worth a write. The idle timeout may end that much too early.
   *
   * @default {0} on the memory provider, elsewhere `min(idleTimeout / 10, 60)`
   */
  readonly touchInterval?: number | undefined;
  /**
   * The seconds between two passes of the collector; 0 for none. Its timer
   * never keeps the process alive.
   *
   * @default {60}
   */
  readonly gcInterval?: number | undefined;
  /**
   * How long one call of the provider may take, in seconds; `destroyEverything`
   * takes as long as it needs.
   *
   * @default {5}
   */
  readonly timeout?: number | undefined;
  /**
   * The most bytes that one session's data may take as text.
   *
   * @default {65536}
   */
  readonly maxSize?: number | undefined;
  /**
   * The clock, in milliseconds since the Unix epoch.
   *
   * @default {() => Date.now()}
   */
  readonly now?: (() => number) | undefined;
  /** Receives every event; see `SessionEvent`. */
  readonly onEvent?: SessionListener | undefined;
}

/** How long a session lives, and whether its cookie outlives the browser. */
export interface Lifetime {
  /** How long it lives without a request, in seconds. */
  readonly idleTimeout: number;
  /** How long it lives at most, in seconds from sign-in, else from creation. */
  readonly absoluteTimeout: number;
  /** Whether its cookie outlives the browser. */
  readonly persistent: boolean;
}

/** A manager's options with every default settled. */
export interface Settings {
  /** The session cookie of the host that a request came to. */
  readonly cookieOf: CookieOf;
  /** How long sessions live; whether they are persistent, the cookie says. */
  readonly lifetime: Omit<Lifetime, "persistent">;
  readonly renewInterval: number;
  readonly renewGrace: number;
  readonly onReuse: "destroy" | "report";
  readonly maxSessions: number;
  readonly onMaxSessions: "evict-oldest" | "reject";
  readonly bearer: boolean;
  readonly deviceBound: DeviceSettings | undefined;
  readonly crossOriginProtection: boolean;
  readonly trustedOrigins: ReadonlySet<string>;
  readonly fingerprint: ((request: RequestLike) => string) | undefined;
  readonly isUse: ((request: RequestLike) => boolean) | undefined;
  readonly onUnavailable: ManagerOptions["onUnavailable"];
  readonly onFingerprintChange: "report" | "refuse";
  /** In seconds, as the options or the provider say, if they do. */
  readonly touchInterval: number | undefined;
  readonly gcInterval: number;
  readonly timeout: number;
  readonly maxSize: number;
  /** What values are checked against, if anything. */
  readonly schemas: Schemas | undefined;
  readonly now: () => number;
  readonly onEvent: SessionListener | undefined;
}

/** Every option of a manager, whatever its sessions hold. */
export type AllOptions = ManagerOptions & SchemaOptions<object>;

const OPTION_NAMES: readonly string[] = Object.keys(
  {
    provider: 1,
    cookie: 1,
    idleTimeout: 1,
    absoluteTimeout: 1,
    renewInterval: 1,
    renewGrace: 1,
    onReuse: 1,
    maxSessions: 1,
    onMaxSessions: 1,
    bearer: 1,
    deviceBound: 1,
    crossOriginProtection: 1,
    trustedOrigins: 1,
    fingerprint: 1,
    onFingerprintChange: 1,
    onUnavailable: 1,
    isUse: 1,
    touchInterval: 1,
    gcInterval: 1,
    timeout: 1,
    maxSize: 1,
    schema: 1,
    migrate: 1,
    now: 1,
    onEvent: 1,
  } satisfies Record<keyof AllOptions, 1>,
);

/** The longest delay of a timer, in seconds: 2^31 - 1 ms. */
const MAX_TIMER = 2_147_483;

/**
 * The options that were given, and nothing that they inherit.
 *
 * @throws {TypeError} If one of them is unknown.
 */
export function readOptions(options: AllOptions): AllOptions {
  return ownOptions(MAKING, options, OPTION_NAMES);
}

/**
 * Checks a manager's options and settles their defaults.
 *
 * @param options What {@linkcode readOptions} answered.
 * @throws {TypeError} If an option is of the wrong type.
 * @throws {RangeError} If a number is out of range.
 */
export function resolveOptions(options: AllOptions): Settings {
  const {
    cookie,
    idleTimeout = DEFAULT_IDLE_TIMEOUT,
    absoluteTimeout = DEFAULT_ABSOLUTE_TIMEOUT,
    renewInterval = DEFAULT_RENEW_INTERVAL,
    renewGrace = DEFAULT_RENEW_GRACE,
    onReuse = "destroy",
    maxSessions = Infinity,
    onMaxSessions = "evict-oldest",
    bearer = false,
    deviceBound,
    crossOriginProtection = true,
    trustedOrigins = [],
    fingerprint,
    onFingerprintChange = "report",
    onUnavailable,
    isUse,
    touchInterval,
    gcInterval = 60,
    timeout = 5,
    maxSize = 65_536,
    // Asked anew each time, so that a clock set in a test later counts.
    now = () => Date.now(),
    onEvent,
  } = options;
  const lifetime = { idleTimeout, absoluteTimeout };
  checkLifetime(MAKING, { ...lifetime, persistent: false });
  const cookieOf = resolveCookies(cookie, (template) => {
    const { persistent } = template;
    checkLifetime(MAKING, { ...lifetime, persistent });
    if (deviceBound !== undefined) checkBindable(template);
  });
  checkRenewal(renewInterval, renewGrace);
  checkChoice("onReuse", onReuse, ["destroy", "report"]);
  if (maxSessions !== Infinity) {
    checkCount("maxSessions", maxSessions, "sessions");
  }
  checkChoice("onMaxSessions", onMaxSessions, ["evict-oldest", "reject"]);
  checkFlag("bearer", bearer);
  checkFlag("crossOriginProtection", crossOriginProtection);
  checkFunction("fingerprint", fingerprint);
  checkChoice("onFingerprintChange", onFingerprintChange, ["report", "refuse"]);
  checkFunction("onUnavailable", onUnavailable);
  checkFunction("isUse", isUse);
  checkTouchInterval(touchInterval, idleTimeout);
  checkSeconds(MAKING, "gcInterval", gcInterval, {
    zero: true,
    max: MAX_TIMER,
  });
  checkSeconds(MAKING, "timeout", timeout, { max: MAX_TIMER });
  checkCount("maxSize", maxSize, "bytes");
  const schemas = resolveSchemas(MAKING, options);
  checkFunction("now", now);
  checkFunction("onEvent", onEvent);
  const origins = resolveOrigins(trustedOrigins);
  return {
    cookieOf,
    lifetime,
    renewInterval,
    renewGrace,
    onReuse,
    maxSessions,
    onMaxSessions,
    bearer,
    deviceBound: deviceBound === undefined
      ? undefined
      : resolveDeviceBound(deviceBound, origins),
    crossOriginProtection,
    trustedOrigins: origins,
    fingerprint,
    onFingerprintChange,
    onUnavailable,
    isUse,
    touchInterval,
    gcInterval,
    timeout,
    maxSize,
    schemas,
    now,
    onEvent,
  };
}

function resolveCookies(
  given: CookieOptions | CookieByHost | undefined,
  check: (template: CookieTemplate) => void,
): CookieOf {
  if (typeof given === "function") return cookieByHost(given, check);
  const cookie = resolveCookie(given);
  check(cookie);
  return () => cookie;
}

/**
 * Checks the three parts of a lifetime, each and against each other.
 *
 * @param doing What cannot be done if they are wrong, for the message.
 * @throws {TypeError} If `persistent` is not a boolean.
 * @throws {RangeError} If a timeout is out of range.
 */
export function checkLifetime(doing: string, lifetime: Lifetime): void {
  const { idleTimeout, absoluteTimeout, persistent } = lifetime;
  checkSeconds(doing, "idleTimeout", idleTimeout);
  checkSeconds(doing, "absoluteTimeout", absoluteTimeout);
  if (absoluteTimeout < idleTimeout) {
    throw new RangeError(
      `Cannot ${doing}: absoluteTimeout (${absoluteTimeout}) must be at least idleTimeout (${idleTimeout}): both are in seconds: set both`,
    );
  }
  if (typeof persistent !== "boolean") {
    throw new TypeError(
      `Cannot ${doing}: persistent must be true or false: received ${persistent}`,
    );
  }
  if (persistent && absoluteTimeout > MAX_COOKIE_AGE) {
    throw new RangeError(
      `Cannot ${doing}: absoluteTimeout of a persistent cookie must not exceed ${MAX_COOKIE_AGE} seconds (400 days): received ${absoluteTimeout}`,
    );
  }
}

function checkRenewal(interval: number, grace: number): void {
  checkSeconds(MAKING, "renewInterval", interval, { zero: true });
  checkSeconds(MAKING, "renewGrace", grace, { zero: true });
  if (interval === 0 || grace <= interval / 2) return;
  throw new RangeError(
    `Cannot ${MAKING}: renewGrace must be at most half of renewInterval: received ${grace} and ${interval}`,
  );
}

function checkTouchInterval(
  touchInterval: number | undefined,
  idleTimeout: number,
): void {
  if (touchInterval === undefined) return;
  checkSeconds(MAKING, "touchInterval", touchInterval, { zero: true });
  if (touchInterval < idleTimeout) return;
  throw new RangeError(
    `Cannot ${MAKING}: touchInterval must be below idleTimeout: received ${touchInterval} and ${idleTimeout}`,
  );
}
