/**
 * Tries what session libraries do: each trial on each library, set up as its own
 * guide says. Prints the tables of docs/comparison.md.
 *
 * ```sh
 * deno run -A --node-modules-dir=auto bench/compare/behaviour.ts [--json] [--write] [library …]
 * ```
 *
 * A library is a file of `tests/trials/peers/`, such as `express_session`. `--json`
 * prints the data instead, `--write` stores them and makes the page. It needs
 * `npm`, `npx` and `bun`.
 *
 * @module
 */
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as modules from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { clock } from "../../tests/trials/lab.ts";
import type { Peer } from "../../tests/trials/contract.ts";
import { type Behaviour, markdownOf } from "../../tests/trials/table.ts";
import {
  type Cell,
  groups,
  outcome,
  works,
} from "../../tests/trials/trials.ts";

/** Each library's file, and its name in the tables. */
const LIBRARIES: Readonly<Record<string, string>> = {
  cloakroom: "this library",
  express_session: "express-session",
  fastify_session: "@fastify/session",
  koa_session: "koa-session",
  hono_sessions: "hono-sessions",
  hono_session: "@hono/session",
  remix_session: "@remix-run/session",
  iron_session: "iron-session",
  h3_session: "h3",
};
const OURS = "@cloakroom/session";

const root = fileURLToPath(new URL("../../", import.meta.url));
const self = fileURLToPath(import.meta.url);
const { argv, exit, execPath } = process;
const args = argv.slice(2);

// Late: what one of them imports may be forbidden by then.
const peerOf = async (file: string): Promise<Peer> =>
  (await import(`../../tests/trials/peers/${file}.ts`)).peer;

if (args[0] === "--child") await runChild(args[1] ?? "", args[2] ?? "");
else await runAll();
exit(0);

/** Answers in the last line. */
async function runChild(file: string, mode: string): Promise<void> {
  let unhandled = false;
  process.on("unhandledRejection", () => unhandled = true);
  if (mode === "trials") clock.install();
  if (mode === "edge") forbidNode();
  const peer = await peerOf(file);
  if (mode !== "trials") return console.log(`\n${await works(peer)}`);
  const cells: Record<string, Cell> = {};
  for (const trial of Object.values(groups).flat()) {
    const late = setTimeout(() => {
      console.error(`Cannot end ${trial.id} of ${file} in time`);
      exit(1);
    }, 60_000);
    unhandled = false;
    const cell = await outcome(trial, peer);
    await new Promise((resolve) => setTimeout(resolve, 10));
    cells[trial.id] = unhandled ? "process ends" : cell;
    clearTimeout(late);
  }
  console.log(`\n${JSON.stringify(cells)}`);
}

/** From here on as where there is no `node:` and no `process`. */
function forbidNode(): void {
  // Node loads its own of these late.
  void [fetch, new Request("http://localhost/"), crypto.subtle];
  modules.registerHooks({
    resolve(name, context, next) {
      if (modules.isBuiltin(name)) {
        throw new Error(`Cannot import ${name}: it is not here`);
      }
      const conditions = ["workerd", "worker", "import", "default"];
      return next(name, { ...context, conditions });
    },
  });
  for (const name of ["process", "global", "setImmediate"]) {
    Reflect.deleteProperty(globalThis, name);
  }
}

/** What another process answers for a library; `undefined` if it fails. */
function ask(command: readonly string[], file: string, mode: string) {
  const [program = "", ...before] = command;
  const { status, stdout } = spawnSync(
    program,
    [...before, self, "--child", file, mode],
    { cwd: root, encoding: "utf8", timeout: 300_000 },
  );
  if (status !== 0) return undefined;
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
}

async function runAll(): Promise<void> {
  const flags = args.filter((text) => text.startsWith("--"));
  const named = args.filter((text) => !text.startsWith("--"));
  const node = execFileSync("npx", ["-y", "node@24", "-p", "process.execPath"]);
  const deno = [execPath, "run", "-A", "--node-modules-dir=auto"];
  const onNode = [node.toString().trim(), "--no-warnings"];
  const commands = { Deno: deno, Bun: ["bun"], Node: onNode };
  const versions: Record<string, string> = {};
  const libraries: Behaviour["libraries"][number][] = [];
  for (const file of named.length > 0 ? named : Object.keys(LIBRARIES)) {
    console.error(file);
    const { packages, framework } = await peerOf(file);
    const trials = ask(deno, file, "trials");
    if (trials === undefined) throw new Error(`Cannot try ${file}: it failed`);
    const where = Object.entries(commands)
      .filter(([, command]) => ask(command, file, "works") === true)
      .map(([name]) => name);
    const installed = install(packages);
    for (const name of packages) {
      if (name !== OURS) versions[name] = versionOf(name);
    }
    libraries.push({
      name: LIBRARIES[file] ?? file,
      cells: {
        ...trials,
        runtimes: where.length === 3 || where.join(", "),
        edge: ask(onNode, file, "edge") === true,
        framework,
        packages: installed.count,
        kilobytes: Math.round(installed.bytes / 1000),
      },
    });
  }
  const data = { versions, libraries };
  if (flags.includes("--write")) write(data);
  console.log(
    flags.includes("--json")
      ? JSON.stringify(data, undefined, 2)
      : markdownOf(data),
  );
}

/** Installs packages with npm in a folder of their own, without frameworks. */
function install(packages: readonly string[]) {
  const cwd = fs.mkdtempSync(join(tmpdir(), "behaviour-"));
  try {
    fs.writeFileSync(join(cwd, "package.json"), "{}");
    const packed = join(cwd, "ours.tgz");
    if (packages[0] === OURS) {
      const pack = join(root, "npm/pack.ts");
      execFileSync(execPath, ["run", "-A", pack, packed], { cwd: root });
    }
    const wanted = packages.map((name) =>
      name === OURS ? packed : `${name}@${versionOf(name)}`
    );
    const options = ["--omit=peer", "--no-audit", "--no-fund", "--silent"];
    execFileSync("npm", ["install", ...options, ...wanted], { cwd });
    const folder = join(cwd, "node_modules");
    const lock = fs.readFileSync(join(folder, ".package-lock.json"), "utf8");
    const files = fs.readdirSync(folder, { recursive: true })
      .map((name) => fs.lstatSync(join(folder, String(name))))
      .filter((stat) => stat.isFile());
    return {
      count: Object.keys(JSON.parse(lock).packages).length,
      bytes: files.reduce((sum, { size }) => sum + size, 0),
    };
  } finally {
    fs.rmSync(cwd, { recursive: true });
  }
}

/** The version of a package that is tried. */
function versionOf(name: string): string {
  const path = join(root, "node_modules", name, "package.json");
  return JSON.parse(fs.readFileSync(path, "utf8")).version;
}

function write({ versions, libraries }: Behaviour): void {
  const page = join(root, "docs/comparison.md");
  const text = fs.readFileSync(page, "utf8").replace(
    /(?<=<!-- trials -->\n)[^]*(?=<!-- \/trials -->)/,
    () => `${markdownOf({ versions, libraries })}\n`,
  );
  fs.writeFileSync(page, text);
  execFileSync(execPath, ["fmt", "--quiet", page]);
  // A line for each library.
  const lines = libraries.map((library) => JSON.stringify(library));
  fs.writeFileSync(
    join(root, "bench/results/behaviour.json"),
    `{"versions":${JSON.stringify(versions)},"libraries":[\n${
      lines.join(",\n")
    }\n]}\n`,
  );
}
