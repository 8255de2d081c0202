import {
  type CookieOptions,
  type CookieTemplate,
  MAX_COOKIE_AGE,
  resolveCookie,
} from "./cookie.ts";
import type { SessionListener } from "./events.ts";
import type { Provider } from "./provider.ts";

/** The idle timeout unless the options say otherwise: one hour, in seconds. */
export const DEFAULT_IDLE_TIMEOUT = 3600;

/** The absolute timeout unless the options say otherwise: 12 hours, in seconds. */
export const DEFAULT_ABSOLUTE_TIMEOUT = 43_200;

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
  /** How the session cookie is named and scoped. */
  readonly cookie?: CookieOptions | undefined;
  /**
   * How long a session lives without a request, in seconds.
   *
   * @default {3600}
   */
  readonly idleTimeout?: number | undefined;
  /**
   * How long a session lives at most, in seconds from its creation; at least
   * `idleTimeout`, and at most 34,560,000 (400 days) for a persistent cookie.
   *
   * @default {43200}
   */
  readonly absoluteTimeout?: number | undefined;
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
   * How long one call of the provider may take, in seconds.
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
   * @default {Date.now}
   */
  readonly now?: (() => number) | undefined;
  /** Receives every event; see `SessionEvent`. */
  readonly onEvent?: SessionListener | undefined;
}

/** How long a session lives, and whether its cookie outlives the browser. */
export interface Lifetime {
  /** How long it lives without a request, in seconds. */
  readonly idleTimeout: number;
  /** How long it lives at most, in seconds from its creation. */
  readonly absoluteTimeout: number;
  /** Whether its cookie outlives the browser. */
  readonly persistent: boolean;
}

/** A manager's options with every default settled. */
export interface Settings {
  readonly cookie: CookieTemplate;
  readonly lifetime: Lifetime;
  readonly touchInterval: number | undefined;
  readonly gcInterval: number;
  readonly timeout: number;
  readonly maxSize: number;
  readonly now: () => number;
  readonly onEvent: SessionListener | undefined;
}

/** The longest delay of a timer, in seconds: 2^31 - 1 ms. */
const MAX_TIMER = 2_147_483;

const OPTION_NAMES: ReadonlySet<string> = new Set([
  "provider",
  "cookie",
  "idleTimeout",
  "absoluteTimeout",
  "touchInterval",
  "gcInterval",
  "timeout",
  "maxSize",
  "now",
  "onEvent",
]);

/**
 * Checks a manager's options and settles their defaults.
 *
 * @throws {TypeError} If an option is unknown or of the wrong type.
 * @throws {RangeError} If a number is out of range.
 */
export function resolveOptions(options: ManagerOptions): Settings {
  const doing = "create Manager";
  for (const name of Object.keys(options)) {
    if (!OPTION_NAMES.has(name)) {
      throw new TypeError(`Cannot ${doing}: unknown option: received ${name}`);
    }
  }
  const {
    idleTimeout = DEFAULT_IDLE_TIMEOUT,
    absoluteTimeout = DEFAULT_ABSOLUTE_TIMEOUT,
    touchInterval,
    gcInterval = 60,
    timeout = 5,
    maxSize = 65_536,
    now = Date.now,
    onEvent,
  } = options;
  const cookie = resolveCookie(options.cookie);
  const lifetime = {
    idleTimeout,
    absoluteTimeout,
    persistent: cookie.persistent,
  };
  checkLifetime(doing, lifetime);
  if (touchInterval !== undefined) {
    checkSeconds(doing, "touchInterval", touchInterval, { zero: true });
    if (touchInterval >= idleTimeout) {
      throw new RangeError(
        `Cannot ${doing}: touchInterval must be below idleTimeout: received ${touchInterval} and ${idleTimeout}`,
      );
    }
  }
  checkSeconds(doing, "gcInterval", gcInterval, { zero: true, max: MAX_TIMER });
  checkSeconds(doing, "timeout", timeout, { max: MAX_TIMER });
  if (!Number.isSafeInteger(maxSize) || maxSize <= 0) {
    throw new RangeError(
      `Cannot ${doing}: maxSize must be a positive whole number of bytes: received ${maxSize}`,
    );
  }
  checkFunction(doing, "now", now);
  if (onEvent !== undefined) checkFunction(doing, "onEvent", onEvent);
  return {
    cookie,
    lifetime,
    touchInterval,
    gcInterval,
    timeout,
    maxSize,
    now,
    onEvent,
  };
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
      `Cannot ${doing}: absoluteTimeout must be at least idleTimeout: received ${absoluteTimeout} and ${idleTimeout}`,
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

function checkSeconds(
  doing: string,
  name: string,
  value: number,
  { zero = false, max = Number.MAX_SAFE_INTEGER / 1000 } = {},
): void {
  const isInRange = zero ? value >= 0 : value > 0;
  if (typeof value === "number" && isInRange && value <= max) return;
  const kind = zero ? "zero or a positive number" : "a positive number";
  throw new RangeError(
    `Cannot ${doing}: ${name} must be ${kind} of seconds: received ${value}`,
  );
}

function checkFunction(doing: string, name: string, value: unknown): void {
  if (typeof value === "function") return;
  throw new TypeError(
    `Cannot ${doing}: ${name} must be a function: received ${typeof value}`,
  );
}
