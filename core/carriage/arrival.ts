/** What a request brings along: when it came, what its client is, its tokens. */
import {
  type Audience,
  type Carrier,
  isToken,
  parseToken,
  type Token,
} from "../secret/token.ts";
import { type CookieTemplate, cookieValueAt, findCookie } from "./cookie.ts";

/** The parts of a request that the library looks at. A `Request` has them. */
export interface RequestLike {
  /** Such as `GET`, in capitals. */
  readonly method: string;
  /** The whole URL. */
  readonly url: string;
  /** The headers; `get` answers `null` for one that is not there. */
  readonly headers: { get(name: string): string | null };
}

/** What a request is, beside the session that it opens. */
export interface Arrival {
  /** When it arrived, in milliseconds since the Unix epoch. */
  readonly at: number;
  readonly request: RequestLike;
  /** Where its token is looked for: in a cookie, unless it has a bearer token. */
  readonly carrier: Carrier;
  /** Where that token has to be good. */
  readonly audience: Audience;
  /** The session cookie of the host that it came to. */
  readonly cookie: CookieTemplate;
  /** Whether it came with a cookie of the session's name, good or bad. */
  readonly hadCookie: boolean;
  /** What its client looks like, if the manager asks for it. */
  readonly fingerprint: string | undefined;
  /** Whether it is a use of the session, and prolongs it. */
  readonly isUse: boolean;
}

/** All secrets that came for one session. */
export interface Tokens {
  readonly id: string;
  readonly secrets: readonly string[];
}

/**
 * How many sessions one request can ask for. A browser sends several cookies of
 * one name if their scopes differ, or if somebody has planted some.
 */
const MAX_IDS = 3;

/**
 * The only token of a header, as most headers have it.
 *
 * @param first Where the value of the first cookie starts.
 * @returns `undefined` if there are more cookies of the name, or no token.
 */
export function onlyToken(
  header: string,
  name: string,
  first: number,
): Token | undefined {
  if (findCookie(header, name, first) !== -1) return undefined;
  const value = cookieValueAt(header, first);
  return isToken(value) ? parseToken(value) : undefined;
}

/**
 * What stands behind `Bearer` in the header `Authorization` (RFC 6750).
 *
 * @returns `undefined` if the request has none, or one of another scheme.
 */
export function bearerOf({ headers }: RequestLike): string | undefined {
  const header = headers.get("authorization");
  return header === null ? undefined : /^bearer +(.*)$/i.exec(header)?.[1];
}

/** The tokens in a header, by session, of the first three sessions named. */
export function allTokens(
  header: string,
  name: string,
  first: number,
): readonly Tokens[] {
  const secretsById = new Map<string, string[]>();
  for (let at = first; at !== -1; at = findCookie(header, name, at)) {
    const value = cookieValueAt(header, at);
    if (!isToken(value)) continue;
    const { id, secret } = parseToken(value);
    const secrets = secretsById.get(id);
    if (secrets === undefined) {
      if (secretsById.size < MAX_IDS) secretsById.set(id, [secret]);
    } else if (!secrets.includes(secret)) secrets.push(secret);
  }
  return Array.from(secretsById, ([id, secrets]) => ({ id, secrets }));
}

/**
 * Whether a browser refuses a `Secure` cookie in answer to a request: it came by
 * plain HTTP to a host that is not this machine. Behind a proxy that takes TLS
 * off, headers tell: browsers send `Sec-Fetch-Site` by HTTPS alone.
 */
export function isInsecure({ url, headers }: RequestLike): boolean {
  if (!url.startsWith("http:") || headers.get("sec-fetch-site") !== null) {
    return false;
  }
  const isSecureBefore =
    /^https\b/i.test(headers.get("x-forwarded-proto") ?? "") ||
    /\bproto="?https\b/i.test(headers.get("forwarded") ?? "") ||
    headers.get("origin")?.startsWith("https:") === true;
  if (isSecureBefore || !URL.canParse(url)) return false;
  return !isLoopback(new URL(url).hostname);
}

/** Whether a host is this machine, the way to which browsers trust like HTTPS. */
export function isLoopback(hostname: string): boolean {
  return LOOPBACK.test(hostname);
}

const LOOPBACK = /^(?:localhost|.+\.localhost|127(?:\.\d+){3}|\[::1\])$/;
