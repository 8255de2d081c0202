/**
 * Finds out where `@std/*` comes from: JSR, or the stand-ins beside this file
 * when JSR cannot be reached.
 *
 * @module
 */

/** The options that make `deno` find `@std/*` on this machine. */
export async function standardLibraryOptions(): Promise<readonly string[]> {
  const isReachable = await canReachJsr();
  console.log(
    isReachable
      ? "@std/assert and @std/testing: from JSR"
      : "@std/assert and @std/testing: JSR cannot be reached, using the stand-ins in tests/_std",
  );
  return isReachable ? [] : ["--config", "deno.offline.json"];
}

async function canReachJsr(): Promise<boolean> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["cache", "-q", "jsr:@std/assert@^1", "jsr:@std/testing@^1/time"],
    stdout: "null",
    stderr: "null",
    signal: AbortSignal.timeout(10_000),
  });
  return (await command.output()).success;
}
