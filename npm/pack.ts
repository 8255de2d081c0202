/**
 * Packs the tarball for npm, with the command line as `cloakroom-session`:
 * `deno run -A npm/pack.ts FILE`.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** The name of the command, and the file that it runs. */
const NAME = "cloakroom-session";
const FILE = "bin.js";

/** The oldest Node that it runs on; npm warns on others. */
const ENGINES = { node: ">=22.13" };

/** It calls `main` itself: not every Node knows which module is the main one. */
const PROGRAM = `#!/usr/bin/env node
import { main } from "./cli.js";

await main();
`;

/** Adds what `deno pack` cannot write: the command, and the oldest Node. */
function addCommand(folder: string): void {
  const path = join(folder, "package.json");
  const manifest = JSON.parse(readFileSync(path, "utf8"));
  const bin = { [NAME]: `./${FILE}` };
  const whole = { ...manifest, bin, engines: ENGINES };
  writeFileSync(path, JSON.stringify(whole, undefined, 2) + "\n");
  writeFileSync(join(folder, FILE), PROGRAM, { mode: 0o755 });
}

function pack(output: string): void {
  const folder = mkdtempSync(join(tmpdir(), "pack-"));
  const cwd = fileURLToPath(new URL("..", import.meta.url));
  const packed = join(folder, "packed.tgz");
  // Maps would be three times the code, and that is as it was written but for types.
  const args = [
    ...["pack", "--config", "jsr.json", "--allow-dirty"],
    "--no-source-maps",
  ];
  try {
    // It warns of each file that has no types because nobody outside needs them.
    const stdio = "pipe";
    execFileSync(process.execPath, [...args, "--output", packed], {
      cwd,
      stdio,
    });
    execFileSync("tar", ["-xzf", packed, "-C", folder]);
    addCommand(join(folder, "package"));
    execFileSync("tar", ["-czf", output, "-C", folder, "package"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (import.meta.main) {
  const [output] = process.argv.slice(2);
  if (output === undefined) {
    throw new TypeError("Cannot pack: the name of the file is missing");
  }
  pack(resolve(output));
}
