/**
 * Checks everything that is not a test: format, lint, types, documentation,
 * the benchmarks, and what would be published. The code in the documentation is
 * tested: see `docs_code_test.ts`.
 *
 * @module
 */
import { standardLibraryOptions } from "./_std/resolve.ts";

const manifest = JSON.parse(await Deno.readTextFile("jsr.json"));
const entryPoints: string[] = Object.values(manifest.exports);
console.log("The checks take some minutes on two cores.");
const options = await standardLibraryOptions();

await run("format", ["fmt", "--check"]);
await run("lint", ["lint"]);
await run("types", ["check", ...options, "."]);
await run("documentation", ["doc", "--lint", ...entryPoints]);
// Whether they work, not how fast anything is.
await run("benchmarks", ["run", "-A", "bench/run.ts", "--tiny"]);
await run("publish", [
  "publish",
  "--dry-run",
  "--allow-dirty",
  "--config",
  "jsr.json",
]);

async function run(what: string, args: readonly string[]): Promise<void> {
  console.log(`\n== ${what}: deno ${args.join(" ")}`);
  const command = new Deno.Command(Deno.execPath(), {
    args: [...args],
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  });
  const { code } = await command.spawn().status;
  if (code !== 0) Deno.exit(code);
}
