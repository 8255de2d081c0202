/** Refuses options of names that do not exist. */

/**
 * Refuses options of names that do not exist. Where types are not checked, a
 * slip of the pen must not turn "this user's session" into "anybody's".
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
  const other = Object.keys(options).find((name) => !known.includes(name));
  if (other === undefined) return;
  throw new TypeError(`Cannot ${doing}: unknown option: received ${other}`);
}
