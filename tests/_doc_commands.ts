/**
 * Looks at commands that pages tell users to type: whether the task, the file,
 * the flag and the module that they name are there.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { run } from "../cli.ts";
import { pathOf, textOf } from "./_doc_code.ts";

/** Programs whose commands are looked at. */
const RUNTIMES = ["deno", "bun", "bunx", "npx", "node"] as const;

type Runtime = typeof RUNTIMES[number];

/** Programs that a page may name beside them, and whose flags are their own. */
const OTHERS = ["git", "npm", "openssl", "tr"];

/** Files that a page has its reader write. */
const FILES_OF_READERS = [
  "app.ts",
  "app_test.ts",
  "app.test.ts",
  "main.ts",
  "serve.ts",
  "shop.ts",
];

const manifest = JSON.parse(textOf("jsr.json"));
const { tasks } = JSON.parse(textOf("deno.json"));

/** What the command line understands, as its own help says. */
const cliHelp: string[] = [];
await run(["help"], { print: (line) => cliHelp.push(...line.split("\n")) });
const CLI_COMMANDS = cliHelp.map((line) => /^ {2}([a-z]+) /.exec(line)?.[1]);
const CLI_OPTIONS: readonly string[] = cliHelp.join("\n").match(/--[a-z-]+/g) ??
  [];

/** The commands that stand between backticks in the text of a page. */
export function inlineCommands(page: string): string[] {
  const prose = page.replaceAll(/^ *```[\s\S]*?^ *```$/gm, "");
  return Array.from(prose.matchAll(/`([^`]+)`/g), ([, code = ""]) => code)
    .map((code) => code.replaceAll(/\s+/g, " "))
    .filter((code) => isCommand(code.split(" ")));
}

/** Whether somebody would type it: a flag, a task or a file follows the name. */
function isCommand(words: readonly string[]): boolean {
  const [program] = withoutSettings(words);
  return RUNTIMES.includes(program as Runtime) && words.length > 1;
}

/** The commands of a block for a shell, one a line. */
export function commandsIn(code: string): string[] {
  return code.replaceAll("\\\n", " ").split("\n")
    .map((line) => line.replace(/(^|\s)#.*$/, "").trim())
    .filter((line) => line !== "")
    .flatMap((line) => split(line, "|"));
}

/** Cuts where quotes do not protect. */
function split(text: string, mark: string): string[] {
  const parts = [""];
  let quote = "";
  for (const letter of text) {
    if (quote === "" && letter === mark) parts.push("");
    else parts[parts.length - 1] += letter;
    if (letter === quote) quote = "";
    else if (quote === "" && /["']/.test(letter)) quote = letter;
  }
  return parts.map((part) => part.trim()).filter((part) => part !== "");
}

/** Leaves out `NAME=value` before a program. */
function withoutSettings(words: readonly string[]): readonly string[] {
  const start = words.findIndex((word) => !/^[A-Z_]+=/.test(word));
  return words.slice(Math.max(start, 0));
}

/** What is wrong with a command, or `undefined`. */
export function problemOf(command: string): string | undefined {
  const [program = "", ...words] = withoutSettings(split(command, " "));
  switch (program) {
    case "deno":
      return problemOfDeno(words);
    case "bun":
      return problemOfBun(words);
    case "node":
      return problemOfFlags("node", [], words);
    case "npx":
    case "bunx":
      return problemOfPackage(program, words);
  }
  return OTHERS.includes(program) ? undefined : `unknown program ${program}`;
}

function problemOfDeno(words: readonly string[]): string | undefined {
  const [subcommand = "", ...rest] = words;
  if (subcommand === "task") {
    const [task = ""] = rest;
    return task in tasks ? undefined : `there is no task ${task}`;
  }
  if (subcommand === "eval") return undefined;
  const until = rest.findIndex((word) => !word.startsWith("-"));
  const own = until === -1 ? rest : rest.slice(0, until + 1);
  return problemOfFlags("deno", [subcommand], own) ??
    problemOfTargets(rest) ?? problemOfCli(rest);
}

function problemOfBun(words: readonly string[]): string | undefined {
  const [first = ""] = words;
  if (first === "-e") return undefined;
  const subcommand = /^(test|run|add|install|x)$/.test(first) ? [first] : [];
  const rest = words.slice(subcommand.length);
  const until = rest.findIndex((word) => !word.startsWith("-"));
  return problemOfFlags("bun", subcommand, rest.slice(0, until + 1)) ??
    problemOfTargets(rest);
}

function problemOfPackage(
  program: string,
  words: readonly string[],
): string | undefined {
  const rest = words.filter((word) => word !== "-y" && word !== "--bun");
  const [name = ""] = rest;
  if (/^deno@\d+\.\d+\.\d+$/.test(name)) return problemOfDeno(rest.slice(1));
  if (name === "jsr") {
    return rest[2] === manifest.name ? undefined : `no package ${rest[2]}`;
  }
  return name === "cloakroom-session"
    ? problemOfCli(rest)
    : `unknown package ${name} for ${program}`;
}

/** A file of this repository or of the reader, or an entry of the package. */
function problemOfTargets(words: readonly string[]): string | undefined {
  for (const word of words) {
    const entry = /^jsr:@cloakroom\/session(\/.*)?$/.exec(word);
    if (entry !== null) {
      const name = `.${entry[1] ?? ""}`;
      if (!(name in manifest.exports)) return `no entry point ${name}`;
    } else if (/^[\w./-]+\.[jt]s$/.test(word)) {
      const isKnown = FILES_OF_READERS.includes(word) ||
        existsSync(pathOf(word));
      if (!isKnown) return `there is no file ${word}`;
    }
  }
  return undefined;
}

/** What follows the URL of a store. */
function problemOfCli(words: readonly string[]): string | undefined {
  const start = words.findIndex((word) =>
    word === "cloakroom-session" || word.endsWith("/session/cli")
  );
  if (start === -1) return undefined;
  const [, command = "COMMAND", ...rest] = words.slice(start + 1);
  if (command !== "COMMAND" && !CLI_COMMANDS.includes(command)) {
    return `the command line has no ${command}`;
  }
  const wrong = rest.find((word) =>
    word.startsWith("--") && !CLI_OPTIONS.includes(word)
  );
  return wrong && `the command line has no ${wrong}`;
}

/** Whether a program is on this machine. */
export function isInstalled(program: string): boolean {
  const names = [program, `${program}.exe`];
  return (process.env["PATH"] ?? "").split(delimiter)
    .some((place) => names.some((name) => existsSync(join(place, name))));
}

const helps = new Map<string, string>();

function helpOf(program: string, subcommand: readonly string[]): string {
  const args = [...subcommand, "--help"];
  const name = [program, ...args].join(" ");
  let help = helps.get(name);
  if (help === undefined) {
    const env = { ...process.env, NO_COLOR: "1" };
    help = execFileSync(program, args, { env, encoding: "utf8" });
    helps.set(name, help);
  }
  return help;
}

function problemOfFlags(
  program: string,
  subcommand: readonly string[],
  words: readonly string[],
): string | undefined {
  const flags = words.filter((word) => word.startsWith("-"));
  if (flags.length === 0 || !isInstalled(program)) return undefined;
  const help = helpOf(program, subcommand);
  const wrong = flags.map((flag) => flag.split("=")[0] ?? "")
    .find((flag) => !isIn(help, flag));
  return wrong && `${program} ${subcommand.join(" ")} has no ${wrong}`;
}

function isIn(help: string, flag: string): boolean {
  // Those are left out of the help: `deno help unstable` lists some of them.
  if (/^--(unstable-|v8-flags)/.test(flag)) return true;
  return new RegExp(`(^|[\\s,[])${flag}(?![a-z-])`, "m").test(help);
}
