/** Tells which versions of the frameworks are installed. */
import { readFileSync } from "node:fs";

/**
 * The version of a package that the tests import.
 *
 * @throws {Error} If it is not installed.
 */
export function versionOf(name: string): string {
  const file = new URL(
    `../../node_modules/${name}/package.json`,
    import.meta.url,
  );
  return JSON.parse(readFileSync(file, "utf8")).version;
}
