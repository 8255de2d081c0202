/** The errors that a program can act on. */

/**
 * What went wrong, in a form a program can act on.
 *
 * | code | meaning | what to do |
 * | --- | --- | --- |
 * | `"closed"` | the manager or provider was closed before the call | stop sending requests first |
 * | `"committed"` | a change after the session was committed | use `session.update()` |
 * | `"conflict"` | `session.update()` lost against other writers 100 times | try again later |
 * | `"corrupt"` | a stored value cannot be decoded | destroy that session |
 * | `"destroyed"` | a change after `session.destroy()` | start over with the next request |
 * | `"gone"` | the session ended, or its token was replaced, while the request ran | sign in again |
 * | `"store-failed"` | the provider threw; `cause` is what it threw | answer 503 |
 * | `"timeout"` | the provider did not answer in time | answer 503 |
 * | `"too-large"` | the data would exceed the size limit | store less, or raise `maxSize` |
 * | `"too-many-sessions"` | the user has `maxSessions` already and `onMaxSessions` is `"reject"` | let them sign out elsewhere |
 * | `"unsendable"` | the response cannot carry the cookie that is due | answer with a fresh response |
 */
export type SessionErrorCode =
  | "closed"
  | "committed"
  | "conflict"
  | "corrupt"
  | "destroyed"
  | "gone"
  | "store-failed"
  | "timeout"
  | "too-large"
  | "too-many-sessions"
  | "unsendable";

/**
 * An error of the session library that a program can act on. Its message never
 * holds a token, a secret or session data. Misuse is a plain `TypeError` or
 * `RangeError` instead.
 *
 * @example Answer a store that is down with 503
 * ```ts
 * import { SessionError } from "@cloakroom/session";
 * import { assertEquals } from "@std/assert";
 *
 * function respond(error: unknown): Response {
 *   if (error instanceof SessionError && error.code === "store-failed") {
 *     return new Response("Try again in a minute", { status: 503 });
 *   }
 *   throw error;
 * }
 *
 * const error = new SessionError("store-failed", "Cannot read session");
 * assertEquals(respond(error).status, 503);
 * ```
 */
export class SessionError extends Error {
  /** The class's name, `"SessionError"`. */
  override readonly name = "SessionError";

  /** What went wrong; stable across versions. */
  readonly code: SessionErrorCode;

  /**
   * An error with its code.
   *
   * @param code What went wrong.
   * @param message One sentence: `Cannot <verb> <thing>: <what is wrong>`.
   * @param options `cause` is the error behind this one.
   */
  constructor(code: SessionErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
