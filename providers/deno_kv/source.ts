/** Reads what a provider is to open, and its prefix, from options and URLs. */

/** What to open, and with which options. */
export interface Source {
  /** A path or URL; `undefined` for the program's default database. */
  readonly path: string | undefined;
  readonly options: Readonly<Record<string, string>>;
}

/**
 * Reads `deno-kv:./sessions.db?prefix=admin`.
 *
 * @throws {TypeError} If it has a host or a fragment, or a percent sign that
 * stands for nothing.
 */
export function readUrl(url: URL | undefined): Source {
  if (url === undefined) return { path: undefined, options: {} };
  if (url.host !== "" || url.hash !== "") {
    throw new TypeError(
      "Cannot open provider deno-kv: its URL must be deno-kv: and a path, or deno-kv: and the URL of a database",
    );
  }
  const options = Object.fromEntries(url.searchParams);
  return { path: pathOf(url.pathname), options };
}

function pathOf(path: string): string | undefined {
  if (path === "") return undefined;
  if (/^https?:/.test(path)) return path;
  try {
    return decodeURIComponent(path);
  } catch {
    throw new TypeError(
      "Cannot open provider deno-kv: a percent sign in its path must be written %25",
    );
  }
}

/** @throws {TypeError} If it is not 1 to 256 characters. */
export function checkPrefix(prefix: unknown): string {
  const isPrefix = typeof prefix === "string" && prefix.length > 0 &&
    prefix.length <= 256;
  if (isPrefix) return prefix;
  throw new TypeError(
    `Cannot create DenoKvProvider: prefix must be 1 to 256 characters: received ${
      typeof prefix === "string" ? prefix.length : typeof prefix
    }`,
  );
}
