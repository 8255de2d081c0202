/**
 * Runs the test files under Deno and under Bun and adds up the results.
 * Name test files to run only those.
 *
 * @module
 */
import { standardLibraryOptions } from "./_std/resolve.ts";

/** Loaded before the tests: finds secrets in what they print, throw and emit. */
const WATCH = "./tests/_leaks.ts";

/** Longer than any run takes: what hangs has failed. */
const TIMEOUT = 2_400_000;

/** The version that the tests are known to pass on. */
const BUN = "bun@1.4.5";

interface Result {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** What was missing, in the words of the tests. */
  readonly missing: readonly string[];
}

const files = Deno.args.length > 0 ? Deno.args : ["tests/"];
const options = await standardLibraryOptions();
/** Where it can be reached, what comes from it must not be left out. */
const jsr = options.length === 0 ? "reachable" : "unreachable";
const leaks = await Deno.makeTempFile();

console.log(
  "All test files take 6 to 18 minutes on two cores; most of it is waiting for servers that the tests start.",
);
console.log("\n== Deno");
const deno = readDeno(
  // Bun finds its packages in the folder that this leaves behind.
  await run(Deno.execPath(), [
    "test",
    "-A",
    "--node-modules-dir=auto",
    "--preload",
    WATCH,
    ...options,
    ...files,
  ]),
);
console.log("\n== Bun");
const bun = await runBun();

const leaked = await Deno.readTextFile(leaks);
await Deno.remove(leaks);
console.log(
  leaked === ""
    ? "\nNo secret was printed, thrown or emitted"
    : `\nSecrets were\n${leaked}`,
);

const passed = deno.passed + bun.passed;
const failed = deno.failed + bun.failed + (leaked === "" ? 0 : 1);
const skipped = deno.skipped + bun.skipped;
console.log(`\nDeno: ${inWords(deno)}; Bun: ${inWords(bun)}`);
for (const line of new Set([...deno.missing, ...bun.missing])) {
  console.log(line);
}
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
Deno.exit(failed === 0 ? 0 : 1);

function inWords({ passed, failed, skipped }: Result): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

async function runBun(): Promise<Result> {
  const paths = files.map((file) => `./${file}`);
  for (const [command, ...prefix] of [["bun"], ["npx", "-y", BUN]]) {
    try {
      return readBun(
        await run(command as string, [
          ...prefix,
          "test",
          // Not too little for a machine with other work.
          "--timeout=60000",
          "--preload",
          WATCH,
          ...paths,
        ]),
      );
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  const line =
    "Tests under Bun are skipped: neither bun nor npx is on the PATH";
  return { passed: 0, failed: 0, skipped: 0, missing: [line] };
}

interface Run {
  readonly success: boolean;
  readonly text: string;
}

/** Runs a command, shows what it prints, and keeps it. */
async function run(command: string, args: readonly string[]): Promise<Run> {
  const child = new Deno.Command(command, {
    args: [...args],
    env: { NO_COLOR: "1", SESSION_LEAKS: leaks, SESSION_JSR: jsr },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(TIMEOUT),
  }).spawn();
  const [out, err, status] = await Promise.all([
    echo(child.stdout),
    echo(child.stderr),
    child.status,
  ]);
  return { success: status.success, text: out + err };
}

async function echo(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    const part = decoder.decode(chunk, { stream: true });
    Deno.stdout.writeSync(new TextEncoder().encode(part));
    text += part;
  }
  return text;
}

/** Every `it` stands in one `describe`, and Deno counts it as a step. */
function readDeno({ success, text }: Run): Result {
  const found =
    /^(?:ok|FAILED) \| \d+ passed(?: \((\d+) steps?\))? \| (\d+) failed(?: \((\d+) steps?\))?(?: \| (\d+) ignored(?: \((\d+) steps?\))?)?/m
      .exec(text);
  const passed = Number(found?.[1] ?? 0);
  const failed = Number(found?.[3] ?? found?.[2] ?? 0);
  const skipped = Number(found?.[4] ?? 0) + Number(found?.[5] ?? 0);
  return checked(
    { passed, failed, skipped, missing: missingIn(text) },
    success,
  );
}

/** The lines in which tests say what they lack. */
function missingIn(text: string): string[] {
  return text.split("\n").filter((line) => /^Tests .* are skipped:/.test(line));
}

function readBun({ success, text }: Run): Result {
  const passed = Number(/^ *(\d+) pass$/m.exec(text)?.[1] ?? 0);
  const failed = Number(/^ *(\d+) fail$/m.exec(text)?.[1] ?? 0);
  const skipped = Number(/^ *(\d+) skip$/m.exec(text)?.[1] ?? 0);
  return checked(
    { passed, failed, skipped, missing: missingIn(text) },
    success,
  );
}

/** A run that failed, or ran nothing, has at least one failure. */
function checked(result: Result, success: boolean): Result {
  if (result.passed === 0) console.log("The tests did not come to an end");
  const isFailure = !success || result.passed === 0;
  return isFailure ? { ...result, failed: Math.max(1, result.failed) } : result;
}
