/** Tells requests that pages of other sites made. */

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
  request: Request,
  trusted: ReadonlySet<string>,
): boolean {
  if (isSafe(request)) return false;
  const site = request.headers.get("sec-fetch-site") || null;
  if (site === "same-origin" || site === "none") return false;
  const origin = request.headers.get("origin") || null;
  if (site === null) {
    if (origin === null) return false;
    // A proxy may have taken TLS off, so that only the hosts can be compared.
    if (hostOf(origin) === new URL(request.url).host) return false;
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
function isSafe({ method, headers }: Request): boolean {
  return SAFE_METHODS.has(method) &&
    headers.get("upgrade")?.toLowerCase() !== "websocket";
}

function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}
