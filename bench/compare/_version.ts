import { readFileSync } from "node:fs";
import * as modules from "node:module";

type Find = (name: string, from: string) => string | undefined;

/** The installed version of a package that has been imported. */
export async function versionOf(name: string): Promise<string> {
  const find = (modules as { findPackageJSON?: Find }).findPackageJSON;
  // Bun has no such function, but imports any package's package.json.
  const manifest = find === undefined
    ? (await import(`${name}/package.json`, { with: { type: "json" } })).default
    : JSON.parse(readFileSync(find(name, import.meta.url) ?? "", "utf8"));
  return manifest.version;
}

/** The names of packages with their versions. */
export async function versionsOf(
  names: readonly string[],
): Promise<readonly string[]> {
  const versions: string[] = [];
  for (const name of names) versions.push(`${name} ${await versionOf(name)}`);
  return versions;
}
