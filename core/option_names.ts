/** Reads options by what an object has itself, and refuses names that do not exist. */

/**
 * The options that an object has itself. What it inherits does not count: a
 * prototype that was tampered with must not switch anything on or off.
 *
 * @param doing What cannot be done, for the message.
 * @param options What was given, whatever it is.
 * @param known The names that exist.
 * @returns A copy without a prototype.
 * @throws {TypeError} If it is no object or has another name in it: where types
 * are not checked, a slip of the pen must not turn "this user's session" into
 * "anybody's".
 */
export function ownOptions<T extends object>(
  doing: string,
  options: T,
  known: readonly string[],
): T {
  checkOptionNames(doing, options, known);
  return ownOf({ ...options });
}

/** The same object, if it inherits nothing, or else a copy that does not. */
export function ownOf<T extends object>(source: T): T {
  if (Object.getPrototypeOf(source) === null) return source;
  return Object.setPrototypeOf({ ...source }, null);
}

/**
 * Refuses options of names that do not exist.
 *
 * @param doing What cannot be done, for the message.
 * @param options What was given, whatever it is.
 * @param known The names that exist.
 * @throws {TypeError} If it is no object or has another name in it.
 */
export function checkOptionNames(
  doing: string,
  options: object,
  known: readonly string[],
): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(
      `Cannot ${doing}: options must be an object: received ${
        options === null ? "null" : typeof options
      }`,
    );
  }
  // Makes no list of the names: some options are looked at for each request.
  for (const name in options) {
    if (known.includes(name) || !Object.hasOwn(options, name)) continue;
    const hint = HINTS.get(name);
    throw new TypeError(
      `Cannot ${doing}: unknown option: received ${name}${
        hint === undefined ? "" : `: ${hint}`
      }`,
    );
  }
}

const LIFETIME =
  "how long a session lives is idleTimeout and absoluteTimeout, and persistent has the cookie outlive the browser";

/** What to write instead of options that other libraries have. */
const HINTS: ReadonlyMap<string, string> = new Map([
  ["expires", LIFETIME],
  ["maxAge", LIFETIME],
  ["ttl", LIFETIME],
  ["httpOnly", "the cookie always is"],
  ["secret", "tokens are random and need none"],
  ["store", "it is called provider"],
]);

/**
 * One option that an object has itself, or `undefined`: where a copy of all of
 * them would cost too much.
 */
export function ownOption<T extends object, Name extends keyof T>(
  options: T | undefined,
  name: Name,
): T[Name] | undefined {
  return options !== undefined && Object.hasOwn(options, name)
    ? options[name]
    : undefined;
}
