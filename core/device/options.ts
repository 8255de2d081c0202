/** How sessions are bound to devices: the option, its checks and its defaults. */
import { type CookieTemplate, MAX_COOKIE_AGE } from "../carriage/cookie.ts";
import { checkChoice, checkSeconds, MAKING } from "../option_checks.ts";
import { ownOptions } from "../option_names.ts";

/** How long a browser keeps a proof unless the options say otherwise, in seconds. */
export const DEFAULT_PROOF_INTERVAL = 600;

/** Browsers prove ahead of time when less is left, in seconds: without end, below. */
const MIN_PROOF_INTERVAL = 120;

/** How sessions are bound to devices: a manager's option `deviceBound`. */
export interface DeviceBoundOptions {
  /**
   * Which sessions are bound:
   *
   * | mode | meaning |
   * | --- | --- |
   * | `"prefer"` | those of browsers that can |
   * | `"require"` | all: one that is not bound 120 seconds after the sign-in opens nothing any more |
   * | `"keep"` | those that are already, and no others: for switching it on and off |
   *
   * Switch it on by `"keep"` on every machine first, and off by way of it: one
   * machine that does not know the path signs out whoever proves there.
   *
   * @default {"prefer"}
   */
  readonly mode?: "prefer" | "require" | "keep" | undefined;
  /**
   * The path of the site to which browsers post keys and proofs. `handle` and
   * the adapters answer it. A proxy must leave it as it is.
   *
   * @default {"/device-bound-session"}
   */
  readonly path?: string | undefined;
  /**
   * How long a browser keeps a proof, in seconds, from 120 to 34,560,000. A copy
   * of both cookies works that long and for `renewGrace` after it. A browser
   * proves ahead of time when less than 120 seconds are left, and makes six
   * proofs for a site in nine minutes at most.
   *
   * @default {600}
   */
  readonly interval?: number | undefined;
}

/** How sessions are bound to devices, with every default settled. */
export interface DeviceSettings {
  readonly mode: "prefer" | "require" | "keep";
  readonly path: string;
  /** In seconds. */
  readonly interval: number;
  /** Those of `trustedOrigins`. */
  readonly trustedHosts: readonly string[];
}

const DEVICE_OPTION_NAMES: readonly string[] = Object.keys(
  { mode: 1, path: 1, interval: 1 } satisfies Record<
    keyof DeviceBoundOptions,
    1
  >,
);

/**
 * Checks how sessions are to be bound.
 *
 * @throws {TypeError} If an option has the wrong type or form.
 */
export function resolveDeviceBound(
  given: DeviceBoundOptions,
  trusted: ReadonlySet<string>,
): DeviceSettings {
  const doing = `${MAKING}: deviceBound`;
  const {
    mode = "prefer",
    path = "/device-bound-session",
    interval = DEFAULT_PROOF_INTERVAL,
  } = ownOptions(doing, given, DEVICE_OPTION_NAMES);
  checkChoice("deviceBound.mode", mode, ["prefer", "require", "keep"]);
  // What browsers make of it must be what the requests have.
  if (typeof path !== "string" || !/^\/[\w.~/-]*$/.test(path)) {
    throw new TypeError(
      `Cannot ${doing}: path must start with / and have letters, digits and - . _ ~ / only: received ${path}`,
    );
  }
  if (new URL(path, "https://host").pathname !== path) {
    throw new TypeError(
      `Cannot ${doing}: path must have no . or .. between two /, and not start with //: received ${path}`,
    );
  }
  checkSeconds(MAKING, "deviceBound.interval", interval, {
    max: MAX_COOKIE_AGE,
  });
  if (interval < MIN_PROOF_INTERVAL) {
    throw new RangeError(
      `Cannot ${MAKING}: deviceBound.interval must be at least ${MIN_PROOF_INTERVAL} seconds: received ${interval}`,
    );
  }
  const trustedHosts = Array.from(
    trusted,
    (origin) => origin.replace(/^.*:\/\//, ""),
  );
  return { mode, path, interval, trustedHosts };
}

/** Whether the bound cookies beside this one are of this host alone. */
export function checkBindable({ name, isPartitioned }: CookieTemplate): void {
  if (/^__host-/i.test(name) && !isPartitioned) return;
  throw new TypeError(
    `Cannot use option deviceBound: it takes a cookie whose name starts with __Host-, and which is not partitioned: received ${
      isPartitioned ? "a partitioned one" : name
    }`,
  );
}
