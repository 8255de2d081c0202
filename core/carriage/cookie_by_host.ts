/** One session cookie for each host, where a manager serves many. */
import { ownOf } from "../option_names.ts";
import type { RequestLike } from "./arrival.ts";
import {
  type CookieOptions,
  type CookieTemplate,
  resolveCookie,
} from "./cookie.ts";

/** The session cookie of the host that a request came to. */
export interface HostCookieOptions extends CookieOptions {
  /**
   * What the hosts have in common that share their sessions: with the same text,
   * a session of one opens on the other as well. Any text.
   *
   * @default {domain}, and without one the sessions are those of the host in the
   * request's URL alone
   */
  readonly scope?: string | undefined;
}

/** Says how the session cookie of a request's host is named and scoped. */
export type CookieByHost = (request: RequestLike) => HostCookieOptions;

/** The cookie of a request's host, settled. */
export type CookieOf = (request: RequestLike) => CookieTemplate;

/**
 * The most templates that are kept. Hosts come from outside, where the
 * application does not look at them.
 */
const MAX_TEMPLATES = 1000;

/**
 * Asks for each request, and settles each answer once.
 *
 * @param check Refuses a template, by what it throws.
 */
export function cookieByHost(
  ask: CookieByHost,
  check: (template: CookieTemplate) => void,
): CookieOf {
  const templates = new Map<string, CookieTemplate>();
  return (request) => {
    const answer = checked(ask(request));
    const { scope, ...options } = answer;
    const shared = scope ?? answer.domain?.toLowerCase();
    // No host can take the name of what others share for its own.
    const place = shared === undefined
      ? `host ${hostOf(request)}`
      : `scope ${shared}`;
    const key = JSON.stringify([place, options]);
    const known = templates.get(key);
    if (known !== undefined) return known;
    const template = resolveCookie(options, place);
    check(template);
    if (templates.size >= MAX_TEMPLATES) templates.clear();
    templates.set(key, template);
    return template;
  };
}

/** What was answered, as far as the answer has it itself. */
function checked(given: HostCookieOptions): HostCookieOptions {
  const answer = typeof given === "object" && given !== null
    ? ownOf({ ...given })
    : given;
  if (
    typeof answer !== "object" || answer === null || given instanceof Promise
  ) {
    throw new TypeError(
      `Cannot use option cookie: its function must return options: received ${
        answer === null
          ? "null"
          : typeof answer === "object"
          ? "a promise"
          : typeof answer
      }`,
    );
  }
  const { scope } = answer;
  if (scope === undefined || typeof scope === "string") return answer;
  throw new TypeError(
    `Cannot use option cookie: scope must be a string: received ${typeof scope}`,
  );
}

function hostOf({ url }: RequestLike): string {
  if (URL.canParse(url)) return new URL(url).hostname;
  throw new TypeError(
    "Cannot use option cookie: the request's url names no host: give the whole URL, or return a scope",
  );
}
