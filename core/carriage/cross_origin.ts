/** Tells requests that pages of other sites made. */

import type { RequestLike } from "./arrival.ts";

/** The methods that must not change anything (RFC 9110 §9.2.1). */
const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

/**
 * Whether a request that may change something comes from a page of another
 * origin, as browsers tell by `Sec-Fetch-Site` and older ones by `Origin`. The
 * rules are those of `http.CrossOriginProtection` in Go 1.25. A request with
 * neither header comes from no browser, and nobody's cookies ride on it.
 *
 * @param trusted Origins that may send such requests all the same.
 */
export function isCrossOrigin(
  request: RequestLike,
  trusted: ReadonlySet<string>,
): boolean {
  if (isSafe(request)) return false;
  const site = request.headers.get("sec-fetch-site") || null;
  if (site === "same-origin" || site === "none") return false;
  const origin = request.headers.get("origin") || null;
  if (site === null) {
    if (origin === null) return false;
    // A proxy may have taken TLS off, so that only the hosts can be compared.
    const host = hostOf(origin);
    if (host !== undefined && host === hostOf(request.url)) return false;
  }
  return origin === null || !trusted.has(origin);
}

/**
 * Checks a list of origins.
 *
 * @throws {TypeError} If one of them is not `scheme://host` or
 * `scheme://host:port` as browsers write it.
 */
export function resolveOrigins(
  origins: readonly string[],
): ReadonlySet<string> {
  if (!Array.isArray(origins)) {
    throw new TypeError(
      `Cannot create Manager: trustedOrigins must be an array: received ${typeof origins}`,
    );
  }
  for (const origin of origins) {
    if (isOrigin(origin)) continue;
    throw new TypeError(
      `Cannot create Manager: trustedOrigins must be origins such as https://example.org: received ${
        String(origin)
      }`,
    );
  }
  return new Set(origins);
}

/** Whether a text is an origin as browsers write it, in an app's scheme too. */
function isOrigin(text: unknown): boolean {
  if (typeof text !== "string") return false;
  if (!/^[a-z][a-z\d+.-]*:\/\/[^/*?#@\s]+$/.test(text)) return false;
  if (!/^https?:/.test(text)) return true;
  return URL.canParse(text) && new URL(text).origin === text;
}

/** A WebSocket is opened with GET, and lets the page do whatever it allows. */
function isSafe({ method, headers }: RequestLike): boolean {
  return SAFE_METHODS.has(method) &&
    headers.get("upgrade")?.toLowerCase() !== "websocket";
}

/** Host name and port; of both protocols, the default ports are the same. */
function hostOf(url: string): string | undefined {
  if (!URL.canParse(url)) return undefined;
  const { hostname, port } = new URL(url);
  return DEFAULT_PORTS.has(port) ? hostname : `${hostname}:${port}`;
}

const DEFAULT_PORTS: ReadonlySet<string> = new Set(["", "80", "443"]);

/** The origin that a request names, to be shown: cut where it is too long. */
export function originOf({ headers }: RequestLike): string | undefined {
  return headers.get("origin")?.slice(0, MAX_SHOWN);
}

const MAX_SHOWN = 256;

/** What a request is answered that {@linkcode isCrossOrigin}. */
export function forbidden(origin: string | undefined): Response {
  const from = origin === undefined ? "" : ` (${origin})`;
  return new Response(
    `Forbidden: the request comes from another site${from}. If that site is yours, name its origin in trustedOrigins.\n`,
    {
      status: 403,
      headers: {
        "cache-control": "no-store",
        "content-type": "text/plain; charset=utf-8",
        "x-content-type-options": "nosniff",
      },
    },
  );
}
