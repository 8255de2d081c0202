import { SessionError } from "../errors.ts";

/**
 * A response whose headers can be changed: the same one, or a copy if its
 * headers are immutable, as those of `Response.redirect()` and `fetch()` are.
 * Called before anything is written to the store, so that a session is never
 * changed for a response that cannot tell the browser.
 *
 * @param response What the handler answered, if anything.
 * @returns The response to send instead.
 * @throws {SessionError} With code `"unsendable"`, if there is no response, its
 * body was used, or it can be neither changed nor copied.
 */
export function cookieCarrier(response: Response | undefined): Response {
  if (response === undefined) {
    throw unsendable("there is no response: did the handler return it?");
  }
  if (response.bodyUsed) {
    throw unsendable("the response's body was already used");
  }
  if (isMutable(response.headers)) return response;
  if (response.status === 101) {
    throw unsendable("the headers of the upgrade response are immutable");
  }
  try {
    return new Response(response.body, response);
  } catch (cause) {
    throw unsendable("the response cannot be copied", cause);
  }
}

/** Whether {@linkcode cookieCarrier} would find a way. */
export function canCarryCookie(response: Response | undefined): boolean {
  return response !== undefined && !response.bodyUsed &&
    response.status !== 101 && response.type !== "error";
}

/** Adds the session's cookie, and keeps caches from handing it to others. */
export function attachCookie(response: Response, setCookie: string): void {
  const { headers } = response;
  headers.append("set-cookie", setCookie);
  const cacheControl = headers.get("cache-control") ?? "";
  if (!/(^|[\s,])no-store($|[\s,])/i.test(cacheControl)) {
    headers.set("cache-control", "no-store");
  }
}

/** Makes the browser forget whatever the site has stored (ASVS 14.3.1). */
export function clearSiteData({ headers }: Response): void {
  headers.set("clear-site-data", '"cache", "cookies", "storage"');
}

function isMutable(headers: Headers): boolean {
  try {
    // Immutable headers refuse this even though there is nothing to delete.
    headers.delete("x-no-such-header");
    return true;
  } catch {
    return false;
  }
}

function unsendable(problem: string, cause?: unknown): SessionError {
  return new SessionError(
    "unsendable",
    `Cannot commit session: its cookie cannot be sent: ${problem}`,
    cause === undefined ? undefined : { cause },
  );
}
