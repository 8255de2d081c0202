/** The version that is fetched where no other is on the PATH. */
const BUN = "bun@1.4.5";

/** Deno or Bun, and how to start it. */
export interface Runtime {
  readonly name: "Deno" | "Bun";
  /** Its version, and that of its engine where it tells. */
  readonly version: string;
  readonly command: readonly string[];
}

/** What is to be run, and in which circumstances. */
export interface Job {
  readonly runtime: Runtime;
  /** The program and its arguments, as they follow the runtime's name. */
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Deno, and Bun unless neither it nor `npx` is there. */
export async function findRuntimes(root: string): Promise<Runtime[]> {
  const deno: Runtime = {
    name: "Deno",
    version: `Deno ${Deno.version.deno} (V8 ${Deno.version.v8})`,
    command: [Deno.execPath()],
  };
  const bun = await findBun();
  if (bun === undefined) {
    console.error("without Bun: neither bun nor npx is on the PATH");
    return [deno];
  }
  // Bun finds its packages in the folder that this leaves behind.
  await output({
    runtime: deno,
    args: ["cache", "--quiet", "--node-modules-dir=auto", "bench/_mitata.ts"],
  }, root);
  return [deno, bun];
}

async function findBun(): Promise<Runtime | undefined> {
  for (const command of [["bun"], ["npx", "-y", BUN]]) {
    const runtime: Runtime = { name: "Bun", version: "", command };
    try {
      const version = await output({ runtime, args: ["--version"] }, ".");
      return { ...runtime, version: `Bun ${version.trim()}` };
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return undefined;
}

/**
 * What a program prints on its standard output.
 *
 * @throws {Error} If it fails.
 */
export async function output(
  { runtime, args, env = {} }: Job,
  folder: string,
): Promise<string> {
  const [command, ...prefix] = runtime.command;
  const { success, stdout } = await new Deno.Command(command as string, {
    args: [...prefix, ...args],
    cwd: folder,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).output();
  const text = new TextDecoder().decode(stdout);
  if (success) return text;
  throw new Error(
    `Cannot measure: ${runtime.name} ${args.join(" ")} failed:\n${text}`,
  );
}
