/** Decides which cookies a browser keeps, and which it sends along (RFC 6265bis). */
import { isLoopback } from "../core/carriage/arrival.ts";
import { MAX_COOKIE_AGE, MAX_COOKIE_SIZE } from "../core/carriage/cookie.ts";

/**
 * A cookie as a jar keeps it. It has the shape that `context.addCookies` of
 * Playwright takes and `context.cookies` gives.
 */
export interface JarCookie {
  /** Its name. */
  readonly name: string;
  /** Its value. */
  readonly value: string;
  /** The host that gets it; with a leading dot, its subdomains as well. */
  readonly domain: string;
  /** The path below which it is sent. */
  readonly path: string;
  /**
   * When it expires, in **seconds** since the Unix epoch, as Playwright has it;
   * -1 for one that ends with the browser.
   */
  readonly expires: number;
  /** Whether scripts cannot read it. */
  readonly httpOnly: boolean;
  /** Whether it travels over HTTPS alone, or to this machine. */
  readonly secure: boolean;
  /** Whether other sites' requests bring it along; the jar does not look at it. */
  readonly sameSite: "Strict" | "Lax" | "None";
}

/** A `Set-Cookie` that a browser would not keep. */
export interface RefusedCookie {
  /** The cookie's name. */
  readonly name: string;
  /** Why, in a sentence without its value. */
  readonly reason: string;
}

/** The attributes of a `Set-Cookie`, by name in small letters. */
type Attributes = ReadonlyMap<string, string>;

/**
 * Reads a `Set-Cookie` header as a browser does.
 *
 * @param url Where the answer came from.
 * @param now When it came, in milliseconds since the Unix epoch.
 * @returns The cookie, expired if it is to be removed, or why there is none.
 */
export function readSetCookie(
  header: string,
  url: URL,
  now: number,
): JarCookie | RefusedCookie {
  const [pair = "", ...rest] = header.split(";");
  const { name, value } = splitPair(pair);
  const attributes: Attributes = new Map(rest.map((text) => {
    const [attribute = "", ...parts] = text.split("=");
    return [attribute.trim().toLowerCase(), parts.join("=").trim()];
  }));
  const cookie: JarCookie = {
    name,
    value,
    domain: domainOf(attributes, url.hostname),
    path: pathOf(attributes, url.pathname),
    expires: expiryOf(attributes, now),
    httpOnly: attributes.has("httponly"),
    secure: attributes.has("secure"),
    sameSite: sameSiteOf(attributes),
  };
  const reason = objectionTo(cookie, attributes, url);
  return reason === undefined ? cookie : { name, reason };
}

/** Whether a cookie's time is over. */
export function isExpired({ expires }: JarCookie, now: number): boolean {
  return expires !== -1 && Math.round(expires * 1000) <= now;
}

/** Whether a browser sends a cookie along with a request for a URL. */
export function isSentTo(cookie: JarCookie, url: URL): boolean {
  return isForHost(cookie.domain, url.hostname) &&
    isForPath(cookie.path, url.pathname) &&
    (!cookie.secure || isSecure(url));
}

/** What tells a cookie from others: one that agrees in it replaces it. */
export function identityOf({ name, domain, path }: JarCookie): string {
  return `${name};${domain};${path}`;
}

/** A text without `=` is a value without a name. */
function splitPair(pair: string): { name: string; value: string } {
  const at = pair.indexOf("=");
  const name = at === -1 ? "" : pair.slice(0, at).trim();
  return { name, value: pair.slice(at + 1).trim() };
}

function domainOf(attributes: Attributes, host: string): string {
  const domain = (attributes.get("domain") ?? "").replace(/^\./, "")
    .toLowerCase();
  // An address and a name such as localhost have no subdomains to share it with.
  const isAlone = domain === host && (!host.includes(".") || isAddress(host));
  return domain === "" || isAlone ? host : `.${domain}`;
}

function pathOf(attributes: Attributes, pathname: string): string {
  const path = attributes.get("path") ?? "";
  if (path.startsWith("/")) return path;
  return pathname.slice(0, pathname.lastIndexOf("/")) || "/";
}

/** In seconds since the Unix epoch, or -1. `Max-Age` comes before `Expires`. */
function expiryOf(attributes: Attributes, now: number): number {
  const seconds = now / 1000;
  const most = seconds + MAX_COOKIE_AGE;
  const maxAge = attributes.get("max-age") ?? "";
  if (/^-?\d+$/.test(maxAge)) {
    const age = Number(maxAge);
    return age <= 0 ? EXPIRED : Math.min(seconds + age, most);
  }
  const expires = Date.parse(attributes.get("expires") ?? "") / 1000;
  if (Number.isNaN(expires)) return -1;
  return expires <= seconds ? EXPIRED : Math.min(expires, most);
}

const EXPIRED = 0;

function sameSiteOf(attributes: Attributes): JarCookie["sameSite"] {
  const sameSite = attributes.get("samesite")?.toLowerCase();
  if (sameSite === "strict") return "Strict";
  return sameSite === "none" ? "None" : "Lax";
}

/** Why a browser does not keep a cookie, if it does not. */
function objectionTo(
  { name, value, domain, path, httpOnly, secure, sameSite }: JarCookie,
  attributes: Attributes,
  url: URL,
): string | undefined {
  if (name === "" && value === "") return "it has neither name nor value";
  if (name.length + value.length > MAX_COOKIE_SIZE) {
    return `name and value exceed ${MAX_COOKIE_SIZE} bytes`;
  }
  if (!isForHost(domain, url.hostname) || isPublic(domain)) {
    return `Domain=${domain.slice(1)} is not a domain of ${url.hostname}`;
  }
  if (secure && !isSecure(url)) {
    return `it is Secure, and ${url.origin} is neither HTTPS nor this machine`;
  }
  if (!secure && (sameSite === "None" || attributes.has("partitioned"))) {
    return "SameSite=None and Partitioned need Secure";
  }
  const prefix = /^__(?:host-http|host|secure|http)-/i.exec(name)?.[0]
    .toLowerCase();
  if (prefix === undefined) return undefined;
  if (!secure) return `the prefix ${prefix} needs Secure`;
  if (prefix.includes("http") && !httpOnly) {
    return `the prefix ${prefix} needs HttpOnly`;
  }
  const isHostOnly = path === "/" && attributes.get("path") === "/" &&
    !attributes.get("domain");
  return prefix.startsWith("__host-") && !isHostOnly
    ? `the prefix ${prefix} needs Path=/ and no Domain`
    : undefined;
}

function isForHost(domain: string, host: string): boolean {
  if (!domain.startsWith(".")) return host === domain;
  return host === domain.slice(1) ||
    (host.endsWith(domain) && !isAddress(host));
}

/** Whether all of a top-level domain would get it. Longer suffixes are unknown. */
function isPublic(domain: string): boolean {
  return domain.startsWith(".") && !domain.includes(".", 1);
}

function isAddress(host: string): boolean {
  return /^[\d.]+$|^\[/.test(host);
}

function isForPath(path: string, pathname: string): boolean {
  if (!pathname.startsWith(path)) return false;
  return pathname.length === path.length || path.endsWith("/") ||
    pathname[path.length] === "/";
}

/** Chromium and Firefox trust the way to this machine as they do HTTPS. */
function isSecure({ protocol, hostname }: URL): boolean {
  return protocol === "https:" || isLoopback(hostname);
}
