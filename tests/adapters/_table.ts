/**
 * Makes the table in docs/frameworks.md: what each adapter passed on which
 * runtime. `deno run -A tests/adapters/_table.ts` runs the suites and writes it;
 * name a folder of checkouts for Oak and Fresh, see `_checkouts.ts`.
 *
 * @module
 */
import { appendFileSync } from "node:fs";
import process from "node:process";
import { standardLibraryOptions } from "../_std/resolve.ts";

/** What one framework passed on one runtime. */
export interface Row {
  readonly name: string;
  readonly version: string;
  /** Such as `Deno 2.9.6`. */
  readonly runtime: string;
  readonly passed: number;
  readonly total: number;
  readonly thrown4xx: "dropped" | "kept";
  /** The checks that it cannot pass, with the reason. */
  readonly cannot: Readonly<Record<string, string>>;
}

/** Prints a row, and keeps it in the file that `SESSION_FRAMEWORKS` names. */
export function noteRow(row: Row): void {
  const { name, version, runtime, passed, total, cannot } = row;
  console.log(`${name} ${version} on ${runtime}: ${passed} of ${total}`);
  for (const [check, reason] of Object.entries(cannot)) {
    console.log(`${name} cannot pass "${check}": ${reason}`);
  }
  const file = process.env.SESSION_FRAMEWORKS;
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(row)}\n`);
}

const PAGE = "docs/frameworks.md";
const BEGIN = "<!-- table -->";
const END = "<!-- end of table -->";

if (import.meta.main) await main();

async function main(): Promise<void> {
  const rows = await measure(Deno.args[0]);
  const page = await Deno.readTextFile(PAGE);
  const [before, after] = [page.split(BEGIN)[0], page.split(END)[1]];
  if (after === undefined) throw new Error(`${PAGE} has no place for a table`);
  const text = `${before}${BEGIN}\n\n${markdownOf(rows)}\n${END}${after}`;
  await Deno.writeTextFile(PAGE, text);
  await run(Deno.execPath(), ["fmt", "-q", PAGE], {});
}

/** Runs all suites, and answers what they noted. */
async function measure(checkouts: string | undefined): Promise<Row[]> {
  const notes = await Deno.makeTempFile();
  const env = { SESSION_FRAMEWORKS: notes };
  const names = await Array.fromAsync(
    Deno.readDir("tests"),
    ({ name }) => name,
  );
  const files = names
    .filter((name) => /^adapter_.*_test\.ts$/.test(name))
    .map((name) => `./tests/${name}`);
  const options = await standardLibraryOptions();
  const deno = ["test", "-A", "--node-modules-dir=auto", ...options];
  await run(Deno.execPath(), [...deno, ...files], env);
  await run("bun", ["test", "--timeout=60000", ...files], env);
  if (checkouts !== undefined) {
    const args = ["run", "-A", "tests/adapters/_checkouts.ts", checkouts];
    await run(Deno.execPath(), args, env);
  }
  const lines = (await Deno.readTextFile(notes)).trim().split("\n");
  await Deno.remove(notes);
  return lines.map((line) => JSON.parse(line));
}

async function run(
  program: string,
  args: readonly string[],
  env: Record<string, string>,
): Promise<void> {
  const command = new Deno.Command(program, { args: [...args], env });
  const { code } = await command.spawn().status;
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} failed`);
}

function markdownOf(rows: readonly Row[]): string {
  const runtimes = [...new Set(rows.map(({ runtime }) => runtime))];
  const names = [...new Set(rows.map(({ name }) => name))].sort();
  const head = ["framework", "version", ...runtimes, "set before a thrown 4xx"];
  const lines = names.map((name) => {
    const own = rows.filter((row) => row.name === name);
    const [first] = own as [Row, ...Row[]];
    const passed = runtimes.map((runtime) => {
      const row = own.find((each) => each.runtime === runtime);
      return row === undefined ? "–" : `${row.passed} of ${row.total}`;
    });
    return [name, first.version, ...passed, first.thrown4xx];
  });
  const table = [head, head.map(() => "---"), ...lines]
    .map((cells) => `| ${cells.join(" | ")} |`);
  return [...table, "", ...reasonsOf(rows), ""].join("\n");
}

/** Why some pass fewer checks than there are. */
function reasonsOf(rows: readonly Row[]): string[] {
  const reasons = rows.flatMap(({ name, cannot }) =>
    Object.entries(cannot).map(([check, reason]) =>
      `- ${name}, "${check}": ${reason}.`
    )
  );
  return [...new Set(reasons)].sort();
}
