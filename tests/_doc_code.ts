/**
 * Finds every block of code of the pages and of the doc comments.
 *
 * @module
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of the package. */
export const ROOT: string = fileURLToPath(new URL("../", import.meta.url));

/** Where users read: pages, and modules whose comments become pages. */
const SOURCES = [
  "README.md",
  "SECURITY.md",
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "docs",
  "examples/README.md",
  "bench/README.md",
  "mod.ts",
  "cli.ts",
  "testing.ts",
  "adapters",
  "core",
  "providers",
  "testing",
];

/** A block between two fences. */
export interface Block {
  /** The file that has it, from the folder of the package. */
  readonly file: string;
  /** The line of its first line in that file. */
  readonly line: number;
  /** What it is written in, as its fence says. */
  readonly language: string;
  readonly code: string;
}

/** The path of a file of the package. */
export function pathOf(file: string): string {
  return join(ROOT, file);
}

/** The text of a file of the package. */
export function textOf(file: string): string {
  return readFileSync(pathOf(file), "utf8");
}

/** All files that users read. */
export function filesWithCode(): string[] {
  return SOURCES.flatMap((source) => filesIn(pathOf(source)))
    .filter((path) => /\.(md|ts)$/.test(path))
    .map((path) => relative(ROOT, path).replaceAll("\\", "/"));
}

function filesIn(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path).sort()
    .flatMap((name) => filesIn(join(path, name)));
}

/** All blocks that users read. */
export function allBlocks(): Block[] {
  return filesWithCode().flatMap((file) => blocksOf(file, textOf(file)));
}

/**
 * The blocks of one text; those of a module stand in its doc comments. Nothing
 * here obeys `ignore`, which is for `deno test --doc` alone.
 */
export function blocksOf(file: string, text: string): Block[] {
  const margin = file.endsWith(".ts") ? /^ *\* ?/ : /^/;
  const blocks: Block[] = [];
  let open: Omit<Block, "code"> | undefined;
  let code: string[] = [];
  for (const [index, whole] of text.split("\n").entries()) {
    if (!margin.test(whole)) continue;
    const line = whole.replace(margin, "");
    const [fence, indent = "", info = ""] = /^( *)```(.*)$/.exec(line) ?? [];
    if (fence === undefined) {
      if (open !== undefined) code.push(line);
    } else if (open === undefined) {
      const [language = ""] = info.trim().split(" ");
      open = { file, line: index + 2, language };
      code = [];
    } else {
      const trimmed = code.map((line) => line.slice(indent.length));
      blocks.push({ ...open, code: trimmed.join("\n") + "\n" });
      open = undefined;
    }
  }
  if (open !== undefined) {
    throw new Error(`${file}:${open.line}: a block of code does not end`);
  }
  return blocks;
}
