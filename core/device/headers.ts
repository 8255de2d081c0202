/** What browsers and servers tell each other about bound sessions, as headers. */
import type { CookieTemplate } from "../carriage/cookie.ts";
import type { DeviceSettings } from "./options.ts";
import { ID_LENGTH } from "../secret/token.ts";
import { boundName } from "./binding.ts";

/** What goes on an answer: a name and its value. */
export type Header = readonly [name: string, value: string];

/** The first algorithm that a browser can do is taken. */
const ALGORITHMS = "(ES256 RS256)";

/** An id, bare or as a String of RFC 9651. */
const ID = new RegExp(`^("?)([\\w-]{${ID_LENGTH}})\\1$`);

/** Has the browser make a key and post it to the path. */
export function registrationHeader(path: string, challenge: string): Header {
  return [
    "secure-session-registration",
    `${ALGORITHMS};path="${path}";challenge="${challenge}"`,
  ];
}

/** What the next proof has to answer. */
export function challengeHeader(id: string, challenge: string): Header {
  return ["secure-session-challenge", `"${challenge}";id="${id}"`];
}

/** The id in `Sec-Secure-Session-Id`; `undefined` if it cannot be one. */
export function parseId(value: string): string | undefined {
  return ID.exec(value)?.[2];
}

/** The `Set-Cookie` that hands out a bound cookie, for so many seconds. */
export function setBoundCookie(
  { name, attributes }: CookieTemplate,
  id: string,
  value: string,
  maxAge: number,
): string {
  return `${boundName(name, id)}=${value}${attributes}; Max-Age=${maxAge}`;
}

/** The `Set-Cookie` that takes it away, so that the browser has to prove again. */
export function clearBoundCookie(
  { name, attributes }: CookieTemplate,
  id: string,
): Header {
  return [
    "set-cookie",
    `${boundName(name, id)}=${attributes}; Max-Age=0` +
    "; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
  ];
}

/** What a browser has to know to keep a session bound. */
export function instructions(
  { name, attributes, sameSite }: CookieTemplate,
  id: string,
  { path, trustedHosts }: DeviceSettings,
): string {
  return JSON.stringify({
    session_identifier: id,
    refresh_url: path,
    scope: { include_site: false },
    credentials: [{
      type: "cookie",
      name: boundName(name, id),
      attributes: attributes.replace(/^; /, ""),
    }],
    // By default a link from another site is followed without a proof.
    allowed_refresh_initiators: sameSite === "lax" ? ["*"] : trustedHosts,
  });
}
