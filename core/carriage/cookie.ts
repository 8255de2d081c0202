/**
 * The session cookie: its options, its place in a `Cookie` header, and its
 * `Set-Cookie`.
 */
import { ownOptions } from "../option_names.ts";
import {
  type Audience,
  audienceOf,
  type Carrier,
  digest,
  TOKEN_LENGTH,
} from "../secret/token.ts";

/** The longest a browser keeps a cookie: 400 days, in seconds (RFC 6265bis §5.5). */
export const MAX_COOKIE_AGE = 34_560_000;

/** The most bytes of name and value together (RFC 6265bis §5.6). */
export const MAX_COOKIE_SIZE = 4096;

/** The most bytes of one attribute's value (RFC 6265bis §5.6). */
const MAX_ATTRIBUTE_SIZE = 1024;

/** What cannot be done when an option is wrong. */
const USING = "use option cookie";

/** How the session cookie is named and scoped. */
export interface CookieOptions {
  /**
   * The cookie's name. A name that starts with `__Host-` or `__Secure-` makes
   * browsers enforce what the prefix says.
   *
   * The default one carries the cookie's scope: with a `domain` or another
   * `path` it ends in eight digits that follow from the two, because browsers keep
   * the cookies of two scopes side by side, and send both.
   *
   * @default {"__Host-id"}, with a `domain` or another `path`
   * `"__Secure-id-"` and eight digits, and without the prefix if `secure` is
   * `false`
   */
  readonly name?: string | undefined;
  /**
   * The path below which browsers send it.
   *
   * @default {"/"}
   */
  readonly path?: string | undefined;
  /**
   * The domain whose subdomains get it too. Left out, only the host that set
   * the cookie gets it, which is safer.
   */
  readonly domain?: string | undefined;
  /**
   * Whether it travels over HTTPS alone. Chromium and Firefox treat
   * `http://localhost` as HTTPS, so that development needs no `false` but in
   * Safari. `false` also drops the prefix of the default name, and with it the
   * protection against cookies planted by a sibling domain or on the wire.
   *
   * @default {true}
   */
  readonly secure?: boolean | undefined;
  /**
   * Whether it comes along when another site links to or embeds yours:
   * `"strict"` never, `"lax"` on links, `"none"` always (needs `secure`).
   *
   * @default {"lax"}
   */
  readonly sameSite?: "strict" | "lax" | "none" | undefined;
  /**
   * Whether an embedding site gets a cookie jar of its own (CHIPS).
   *
   * @default {false}
   */
  readonly partitioned?: boolean | undefined;
  /**
   * Whether it outlives the browser. Its `Max-Age` is then what is left of the
   * session's absolute timeout; the idle timeout is kept by the server alone.
   *
   * @default {false}
   */
  readonly persistent?: boolean | undefined;
}

/** A cookie whose every attribute is settled. */
export interface CookieTemplate {
  /** Its name. */
  readonly name: string;
  /** Whether it outlives the browser by default. */
  readonly persistent: boolean;
  /** Whether browsers refuse it on plain HTTP. */
  readonly isSecure: boolean;
  /** Whether an embedding site gets a cookie jar of its own. */
  readonly isPartitioned: boolean;
  /** Whether it comes along when another site asks. */
  readonly sameSite: "strict" | "lax" | "none";
  /** Its attributes but `Max-Age`, as they follow the value. */
  readonly attributes: string;
  /** Where tokens are good that it carries, or a bearer header in its place. */
  readonly audiences: { readonly [C in Carrier]: Audience };
}

/**
 * Settles the defaults and refuses what a browser would ignore.
 *
 * @param scope What the hosts have in common on which its tokens are good; left
 * out, they are good on every host.
 * @throws {TypeError} If an option has the wrong type or form, or two of them
 * contradict each other.
 */
export function resolveCookie(
  given: CookieOptions = {},
  scope?: string,
): CookieTemplate {
  const options = ownOptions(USING, given, OPTION_NAMES);
  const { path = "/", domain, secure = true, sameSite = "lax" } = options;
  const { partitioned = false, persistent = false } = options;
  checkFlags({ secure, partitioned, persistent });
  checkPath(path);
  if (domain !== undefined) checkDomain(domain);
  const sameSiteText = SAME_SITE.get(sameSite);
  if (sameSiteText === undefined) {
    throw refusal('sameSite must be "strict", "lax" or "none"', sameSite);
  }
  if (sameSite === "none" && !secure) {
    throw refusal('sameSite "none" needs secure', secure);
  }
  if (partitioned && !secure) {
    throw refusal("partitioned needs secure", secure);
  }
  const isHostOnly = domain === undefined && path === "/";
  const { name = defaultName(secure, path, domain) } = options;
  checkName(name);
  checkPrefix(name, secure, isHostOnly);
  const attributes = `; Path=${path}` +
    (domain === undefined ? "" : `; Domain=${domain}`) +
    (secure ? "; Secure" : "") + "; HttpOnly" +
    `; SameSite=${sameSiteText}` +
    (partitioned ? "; Partitioned" : "");
  const audiences = {
    cookie: audienceOf("cookie", scope),
    bearer: audienceOf("bearer", scope),
  };
  return {
    name,
    persistent,
    isSecure: secure,
    isPartitioned: partitioned,
    sameSite,
    attributes,
    audiences,
  };
}

/** A name that no cookie of another scope has. */
function defaultName(
  secure: boolean,
  path: string,
  domain: string | undefined,
): string {
  if (domain === undefined && path === "/") return secure ? "__Host-id" : "id";
  const scope = digest(`${domain?.toLowerCase() ?? ""} ${path}`).slice(0, 8);
  return secure ? `__Secure-id-${scope}` : `id-${scope}`;
}

/**
 * Writes the `Set-Cookie` header that hands out a token.
 *
 * @param maxAge Seconds that the browser keeps it; left out, until it closes.
 */
export function setCookie(
  template: CookieTemplate,
  token: string,
  maxAge?: number,
): string {
  const age = maxAge === undefined ? "" : `; Max-Age=${maxAge}`;
  return `${template.name}=${token}${template.attributes}${age}`;
}

/** Writes the `Set-Cookie` header that removes the cookie from the browser. */
export function clearCookie(template: CookieTemplate): string {
  return `${template.name}=${template.attributes}; Max-Age=0` +
    "; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
}

/**
 * Finds the next cookie of one name in a `Cookie` header.
 *
 * Only `;` separates cookies. A comma does not, or else a cookie that a sibling
 * domain may set could smuggle in one whose prefix forbids just that.
 *
 * @param header The header's value, any text.
 * @param name The cookie's exact name.
 * @param from Where to start, 0 or what an earlier call ended at.
 * @returns Where its value starts, or -1.
 */
export function findCookie(header: string, name: string, from = 0): number {
  let at = header.indexOf(name, from);
  while (at !== -1) {
    const end = at + name.length;
    if (header[end] === "=" && startsPair(header, at)) return end + 1;
    at = header.indexOf(name, end);
  }
  return -1;
}

/** Reads the cookie value that starts at `at`. */
export function cookieValueAt(header: string, at: number): string {
  const end = header.indexOf(";", at);
  return (end === -1 ? header.slice(at) : header.slice(at, end)).trim();
}

function startsPair(header: string, at: number): boolean {
  let before = at - 1;
  // Engines are slow to find that there is nothing at -1.
  while (before >= 0 && isBlank(header[before])) before--;
  return before < 0 || header[before] === ";";
}

function isBlank(character: string | undefined): boolean {
  return character === " " || character === "\t";
}

const SAME_SITE: ReadonlyMap<unknown, string> = new Map([
  ["strict", "Strict"],
  ["lax", "Lax"],
  ["none", "None"],
]);

const OPTION_NAMES: readonly string[] = Object.keys(
  {
    name: 1,
    path: 1,
    domain: 1,
    secure: 1,
    sameSite: 1,
    partitioned: 1,
    persistent: 1,
  } satisfies Record<keyof CookieOptions, 1>,
);

function checkFlags(flags: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(flags)) {
    if (typeof value !== "boolean") {
      throw refusal(`${name} must be true or false`, value);
    }
  }
}

function checkName(name: string): void {
  if (typeof name !== "string" || !/^[\w!#$%&'*+.^`|~-]+$/.test(name)) {
    throw refusal("name must be a token of RFC 9110", name);
  }
  if (name.length + TOKEN_LENGTH > MAX_COOKIE_SIZE) {
    throw refusal(
      `name and value must not exceed ${MAX_COOKIE_SIZE} bytes`,
      `a name of ${name.length} bytes`,
    );
  }
}

function checkPrefix(name: string, secure: boolean, isHostOnly: boolean): void {
  // Browsers compare prefixes without regard to case.
  const prefix = /^__(?:host-http|host|secure|http)-/i.exec(name)?.[0];
  if (prefix === undefined) return;
  if (!secure) throw refusal(`a name with ${prefix} needs secure`, secure);
  if (/^__host-/i.test(prefix) && !isHostOnly) {
    throw refusal(
      `a name with ${prefix} allows no domain and no path but /`,
      name,
    );
  }
}

function checkPath(path: string): void {
  if (typeof path !== "string" || !/^\/[ -:<-~]*$/.test(path)) {
    throw refusal("path must start with / and be ASCII without ;", path);
  }
  checkAttributeSize("path", path);
}

function checkDomain(domain: string): void {
  if (typeof domain !== "string" || !/^[a-z\d.-]+$/i.test(domain)) {
    throw refusal("domain must be a host name", domain);
  }
  checkAttributeSize("domain", domain);
}

function checkAttributeSize(name: string, value: string): void {
  if (value.length > MAX_ATTRIBUTE_SIZE) {
    throw refusal(
      `${name} must not exceed ${MAX_ATTRIBUTE_SIZE} bytes`,
      `${value.length} bytes`,
    );
  }
}

function refusal(problem: string, received: unknown): TypeError {
  return new TypeError(
    `Cannot ${USING}: ${problem}: received ${String(received)}`,
  );
}
