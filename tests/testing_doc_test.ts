/** Runs the first tests of docs/testing.md as a new user would, in a folder of their own. */
import { assert, assertMatch } from "@std/assert";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const IS_BUN = "Bun" in globalThis;

function pathOf(file: string): string {
  return fileURLToPath(new URL(`../${file}`, import.meta.url));
}

/** The blocks of code below a heading, in order. */
function blocksBelow(heading: string): string[] {
  const [, part = ""] = readFileSync(pathOf("docs/testing.md"), "utf8")
    .split(`\n## ${heading}\n`);
  const [section = ""] = part.split("\n## ");
  return Array.from(
    section.matchAll(/```ts(?: ignore)?\n([\s\S]*?)```/g),
    ([, code = ""]) => code,
  );
}

/** What makes the package's name lead here, on Deno and on Bun. */
function configuration(): [file: string, content: object] {
  const kit = "@cloakroom/session/testing";
  const [main, testing] = [pathOf("mod.ts"), pathOf("testing.ts")];
  if (IS_BUN) {
    const paths = { "@cloakroom/session": [main], [kit]: [testing] };
    return ["tsconfig.json", { compilerOptions: { paths } }];
  }
  const imports = {
    "@cloakroom/session": main,
    [kit]: testing,
    "jsr:@std/assert": pathOf("tests/_std/assert/mod.ts"),
  };
  return ["deno.json", { imports }];
}

/** Runs one test file beside the program, and answers what was printed. */
async function run(file: string, app: string, test: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "testing-doc-"));
  try {
    const [name, content] = configuration();
    writeFileSync(join(folder, name), JSON.stringify(content));
    writeFileSync(join(folder, "app.ts"), app);
    writeFileSync(join(folder, file), test);
    const env = { ...process.env, NO_COLOR: "1" };
    return await new Promise((resolve) => {
      execFile(
        process.execPath,
        // The types are checked where the kit's own are.
        IS_BUN ? ["test", `./${file}`] : ["test", "--no-check", file],
        { cwd: folder, env },
        (_error, out, err) => resolve(out + err),
      );
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("the page on testing", () => {
  const [app = "", onDeno = "", onBun = "", onBoth = ""] = blocksBelow(
    "A first test",
  );

  it("has a first test for this runtime, and it passes as printed", async () => {
    const [file, test] = IS_BUN
      ? ["app.test.ts", onBun]
      : ["app_test.ts", onDeno];
    assert(test.includes(IS_BUN ? "bun:test" : "Deno.test"), test);
    assertMatch(await run(file, app, test), /\b2 pass(?:ed)?\b/);
  });

  it("has one for both runtimes, and it passes as printed", async () => {
    assert(onBoth.includes("node:test"), onBoth);
    assertMatch(await run("app_test.ts", app, onBoth), /\b1 pass(?:ed)?\b/);
  });

  it("has a first test that fails when the page is another", async () => {
    const other = app.replace("Hello", "Goodbye");
    const printed = await run("app_test.ts", other, onBoth);
    assertMatch(printed, /\b1 fail(?:ed)?\b/);
  });
});
