/**
 * Runs the tests of Oak and Fresh, which are on JSR alone, from checkouts where
 * JSR cannot be reached: `deno run -A tests/adapters/_checkouts.ts FOLDER`, with
 * the repositories `oak`, `commons`, `fresh` and `std` in the folder. None of
 * their code belongs into this repository.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { pathToFileURL } from "node:url";

/** A framework from JSR or from a checkout. */
export interface Checkout {
  readonly module: Record<string, unknown>;
  readonly version: string;
}

/**
 * Loads a framework.
 *
 * @param specifier What it is imported as.
 * @param path The folder of its `deno.json`, from the folder of checkouts.
 * @returns `undefined` where it cannot be had.
 */
export async function load(
  specifier: string,
  path: string,
): Promise<Checkout | undefined> {
  const folder = process.env.SESSION_CHECKOUTS;
  const isReachable = process.env.SESSION_JSR === "reachable";
  if (folder === undefined && !isReachable) return undefined;
  const module = await import(specifier);
  if (folder === undefined) return { module, version: "from JSR" };
  const text = readFileSync(`${folder}/${path}/deno.json`, "utf8");
  return { module, version: JSON.parse(text).version };
}

if (import.meta.main) await main();

async function main(): Promise<void> {
  const [folder] = Deno.args;
  if (folder === undefined) throw new Error("Name the folder of the checkouts");
  const path = await Deno.realPath(folder);
  const config = `${path}/deno.json`;
  await Deno.writeTextFile(config, JSON.stringify(await configOf(path)));
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["test", "-A", "--no-check", "--node-modules-dir=auto"],
      ...["--config", config],
      ...["tests/adapter_oak_test.ts", "tests/adapter_fresh_test.ts"],
    ],
    env: { SESSION_CHECKOUTS: path },
  }).spawn().status;
  Deno.exit(code);
}

/** What the tests are configured with elsewhere, and the checkouts for JSR. */
async function configOf(folder: string): Promise<Record<string, unknown>> {
  const root = new URL("../../", import.meta.url);
  const file = new URL("deno.offline.json", root);
  const config = JSON.parse(await Deno.readTextFile(file));
  const imports = Object.entries<string>(config.imports)
    .map(([name, path]) => [
      name,
      path.startsWith("./") ? new URL(path, root).href : path,
    ]);
  const std = await Array.fromAsync(packagesIn(`${folder}/std`));
  const links = [
    ...["oak", "commons", "fresh/packages/fresh", "fresh/packages/build-id"]
      .map((name) => `${folder}/${name}`),
    ...std,
  ];
  return {
    ...config,
    imports: Object.fromEntries(imports),
    links: links.map((path) => pathToFileURL(path).href),
  };
}

async function* packagesIn(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (!isDirectory) continue;
    const path = `${folder}/${name}`;
    const hasConfig = await Deno.stat(`${path}/deno.json`)
      .then(() => true, () => false);
    if (hasConfig) yield path;
  }
}
