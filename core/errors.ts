/** The errors that a program can act on. */

/**
 * What went wrong, in a form a program can act on.
 *
 * | code | meaning | what to do |
 * | --- | --- | --- |
 * | `"closed"` | the manager or provider was closed before the call | stop sending requests first |
 * | `"committed"` | a change after the session was committed | use `session.update()` |
 * | `"conflict"` | a write lost against other writers again and again | try again later |
 * | `"corrupt"` | a stored value cannot be decoded | destroy the session that `id` names |
 * | `"destroyed"` | a change after `session.destroy()` | start over with the next request |
 * | `"gone"` | the session ended, or somebody signed in, while the request ran | sign in again |
 * | `"not-valid"` | `stillValid` of a sign-in answered `false` | ask for the password again |
 * | `"store-failed"` | the provider threw; `cause` says what | answer 503 |
 * | `"timeout"` | the provider did not answer in time | answer 503 |
 * | `"too-large"` | the data would exceed the size limit | store less, or raise `maxSize` |
 * | `"too-many-sessions"` | the user has `maxSessions` already and `onMaxSessions` is `"reject"` | let them sign out elsewhere |
 * | `"unavailable"` | calls have timed out and none is answered; nothing was sent | answer 503 |
 * | `"unsendable"` | the answer cannot carry the cookie that is due | answer with a fresh response |
 */
export type SessionErrorCode =
  | "closed"
  | "committed"
  | "conflict"
  | "corrupt"
  | "destroyed"
  | "gone"
  | "not-valid"
  | "store-failed"
  | "timeout"
  | "too-large"
  | "too-many-sessions"
  | "unavailable"
  | "unsendable";

/** What a {@linkcode SessionError} knows beside code and message. */
export interface SessionErrorOptions {
  /** The session that it concerns. */
  readonly id?: string | undefined;
  /**
   * The error behind this one. Only its name, message and code are kept:
   * clients hang whole statements with their data on their errors.
   */
  readonly cause?: unknown;
}

/**
 * An error of the session library that a program can act on. Neither its message
 * nor its cause holds a token, a secret or session data. Misuse is a plain
 * `TypeError` or `RangeError` instead.
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

  /** The id of the session that it concerns; opens nothing and may be logged. */
  readonly id: string | undefined;

  /**
   * An error with its code.
   *
   * @param code What went wrong.
   * @param message One sentence: `Cannot <verb> <thing>: <what is wrong>`.
   */
  constructor(
    code: SessionErrorCode,
    message: string,
    options: SessionErrorOptions = {},
  ) {
    const cause = Object.hasOwn(options, "cause") ? options.cause : undefined;
    super(message, cause === undefined ? undefined : { cause: bare(cause) });
    this.code = code;
    this.id = Object.hasOwn(options, "id") ? options.id : undefined;
  }

  /** What a log needs: name, code, message, id and the cause's message. */
  toJSON(): Record<string, string> {
    const { name, code, message, id, cause } = this;
    return {
      name,
      code,
      message,
      ...(id === undefined ? {} : { id }),
      ...(cause instanceof Error ? { cause: `${cause}` } : {}),
    };
  }
}

/** An error with the name, the message and the code of another, and no more. */
function bare(cause: unknown): Error {
  if (!(cause instanceof Error)) return new Error(`a thrown ${typeof cause}`);
  const error = new Error(messageOf(cause));
  // Its stack would tell where it was reduced, which helps nobody.
  error.name = cause.name;
  error.stack = `${error.name}: ${error.message}`;
  const { code } = cause as { readonly code?: unknown };
  return typeof code === "string" || typeof code === "number"
    ? Object.assign(error, { code })
    : error;
}

/** That of an `AggregateError`, as of a refused connection, is often empty. */
function messageOf(error: Error): string {
  const { message, errors } = error as Partial<AggregateError>;
  if (message !== "" || !Array.isArray(errors)) return message ?? "";
  return errors.map((inner) => inner instanceof Error ? inner.message : "")
    .filter((text) => text !== "").join("; ");
}
