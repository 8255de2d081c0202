/** Takes a provider's own options out of the URL that its client is opened by. */

/** A URL for a client, and what in it is for the provider. */
export interface Address {
  readonly url: URL;
  readonly options: Readonly<Record<string, string>>;
}

/**
 * Reads `scheme://user@host/database?table=shop.sessions`.
 *
 * @param provider Its name, for messages.
 * @param given A URL, whatever it is.
 * @param names Those of the options that may stand in it.
 * @throws {TypeError} If it is no URL, or an option stands in it twice.
 */
export function addressOf(
  provider: string,
  given: URL | string,
  names: readonly string[],
): Address {
  if (!URL.canParse(String(given))) {
    // It may hold a password, so it is not quoted.
    throw new TypeError(`Cannot create ${provider}: its URL is none`);
  }
  const url = new URL(given);
  const options: Record<string, string> = Object.create(null);
  for (const name of names) {
    const [value, another] = url.searchParams.getAll(name);
    if (value === undefined) continue;
    if (another !== undefined) {
      throw new TypeError(
        `Cannot create ${provider}: ${name} stands twice in its URL`,
      );
    }
    url.searchParams.delete(name);
    options[name] = value;
  }
  return { url, options };
}

/**
 * Refuses an option that stands in the URL and apart from it.
 *
 * @throws {TypeError} If there is one.
 */
export function checkGivenOnce(
  provider: string,
  given: object,
  { options }: Address,
): void {
  for (const name of Object.keys(options)) {
    if (Reflect.get(given, name) === undefined) continue;
    throw new TypeError(
      `Cannot create ${provider}: ${name} is given twice, in the URL and as an option`,
    );
  }
}
