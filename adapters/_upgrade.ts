/** Tells answers that are sent from those that only stand for an upgrade. */

/**
 * The answer, unless the connection was upgraded and the answer stands for
 * nothing: on Bun, frameworks answer an upgrade with an empty response which
 * nobody sends, and which can carry no cookie.
 */
export function sentBy(
  request: Request,
  response: Response,
): Response | undefined {
  const isForNothing = response.status === 200 && response.body === null &&
    request.headers.get("upgrade")?.toLowerCase() === "websocket";
  return isForNothing ? undefined : response;
}
