/** Tells which versions of packages are measured. */
import { readFileSync } from "node:fs";
import * as modules from "node:module";

type Find = (name: string, from: string) => string | undefined;

/** Packages that have been imported, with their versions. */
export async function versionsOf(names: readonly string[]): Promise<string[]> {
  const find = (modules as { findPackageJSON?: Find }).findPackageJSON;
  const versions: string[] = [];
  for (const name of names) {
    // Bun has no such function, but imports any package's package.json.
    const manifest = find === undefined
      ? (await import(`${name}/package.json`, { with: { type: "json" } }))
        .default
      : JSON.parse(readFileSync(find(name, import.meta.url) ?? "", "utf8"));
    versions.push(`With ${name} ${manifest.version}.`);
  }
  return versions;
}
