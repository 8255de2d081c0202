/**
 * Holds every block of code that users read against the code: types, a run where
 * nothing but this machine is needed, and the commands.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { session } from "../adapters/express.ts";
import { run as cli } from "../cli.ts";
import { Manager } from "../mod.ts";
import { SqliteProvider } from "../providers/sqlite.ts";
import { Jar } from "../testing.ts";
import {
  allBlocks,
  type Block,
  filesWithCode,
  pathOf,
  textOf,
} from "./_doc_code.ts";
import { missing as missingNginx, Nginx } from "./_nginx.ts";
import {
  commandsIn,
  inlineCommands,
  isInstalled,
  problemOf,
} from "./_doc_commands.ts";

const ON_BUN = "Bun" in globalThis;

/** What a block is written in; everything else is a mistake. */
const LANGUAGES: Readonly<Record<string, string>> = {
  ts: "types here, and a run",
  js: "a run here, or by the test that its note names",
  sh: "its commands",
  console: "its commands, and what they print",
  nginx: "`nginx -t`, where it is installed",
  sql: "tests/mysql_doc_test.ts",
  mermaid: "nothing: it is a picture",
};

/** What is said about a block that does not stand on its own. */
interface Note {
  readonly file: string;
  /** A piece of the block that is in no other of its file. */
  readonly has: string;
  /** The name that its neighbours import it by. */
  readonly name?: string;
  /** Why it is not run here, or what runs it instead. */
  readonly notRun?: string;
  /** Why it is not run on Bun. */
  readonly notOnBun?: string;
}

const SERVER = "it needs a server; the provider's tests run the same calls";

const NOTES: readonly Note[] = [
  // What a page prints in parts.
  {
    file: "docs/testing.md",
    has: "export const sessions = new Manager<{ cart: string[] }>();",
    name: "app.ts",
  },
  { file: "docs/first-site.md", has: "function makeSite", name: "app.ts" },
  { file: "docs/first-site.md", has: "await sessions.ready", name: "main.ts" },
  {
    file: "docs/first-site.md",
    has: 'from "node:test"',
    name: "app_test.ts",
    notRun: "it is run below, as a test",
  },
  ...["core/store/copy.ts", "providers/deno_kv.ts"].map((file) => ({
    file,
    has: "new DenoKvProvider(",
    notOnBun: "it has no Deno KV",
  })),
  // What runs elsewhere, or not on this machine.
  ...[
    'from "jsr:@std/assert"',
    'from "bun:test"',
    'from "node:test"',
  ].map((has) => ({
    file: "docs/testing.md",
    has,
    notRun: "tests/testing_doc_test.ts runs it",
  })),
  {
    file: "docs/testing.md",
    has: 'from "playwright"',
    notRun: "it starts a browser: tests/shop_browser_test.ts does the same",
  },
  {
    file: "docs/mysql.md",
    has: "export default {",
    notRun: "tests/mysql_doc_test.ts runs it",
  },
  { file: "docs/mysql.md", has: "socketTimeout: 1250", notRun: SERVER },
  { file: "docs/mysql.md", has: "?table=sessions", notRun: SERVER },
  {
    file: "docs/deploying.md",
    has: "Deno.serve(",
    name: "main.ts",
    notRun: "it is run below, until it is told to end",
  },
  {
    file: "cli.ts",
    has: "await main();",
    notRun: "tests/cli_test.ts runs it",
  },
  { file: "providers/mysql.ts", has: "createPool", notRun: SERVER },
  { file: "providers/postgres.ts", has: "new pg.Pool", notRun: SERVER },
  { file: "providers/redis.ts", has: "new Redis(", notRun: SERVER },
  { file: "providers/redis.ts", has: "?prefix=shop:", notRun: SERVER },
  ...["oak", "fresh"].flatMap((name) =>
    ["docs/frameworks.md", `adapters/${name}.ts`].map((file) => ({
      file,
      has: `@cloakroom/session/${name}"`,
      notRun: "its framework is on JSR alone; its types are a stand-in's",
    }))
  ),
  ...["connect-redis", "takeOver", "new Manager({ provider: new Redis"].map(
    (has) => ({
      file: "docs/express-store.md",
      has,
      notRun: "tests/express_store_doc_test.ts runs it",
    }),
  ),
];

/** What a specifier leads to that is not installed for the tests. */
const STAND_INS: readonly [specifier: string, other: string][] = [
  ["playwright", "playwright-core"],
  ["@oak/oak", "../_oak.ts"],
  ["@fresh/core", "../_fresh.ts"],
];

/** The parts that the blocks use of two frameworks which JSR alone has. */
const OAK = `interface Context<S> {
  readonly state: S;
  readonly response: { body: unknown };
}
export declare class Application<S> {
  use(run: (context: Context<S>) => unknown): void;
  use(run: (context: never, next: never) => unknown): void;
}
`;
const FRESH = `interface Context<S> {
  readonly state: S;
}
export declare class App<S> {
  use(run: (context: never) => unknown): void;
  get(path: string, run: (context: Context<S>) => Promise<Response>): void;
}
`;

const blocks = allBlocks();
const used = new Set<Note>();

function noteOn({ file, code }: Block): Note | undefined {
  const note = NOTES.find((note) =>
    note.file === file && code.includes(note.has)
  );
  if (note !== undefined) used.add(note);
  return note;
}

/** A block as a module. */
interface Module {
  readonly block: Block;
  /** The path of its file, from the folder of them all. */
  readonly path: string;
  readonly text: string;
  readonly notRun: string | undefined;
}

function moduleOf(block: Block): Module {
  const { name, notRun, notOnBun } = noteOn(block) ?? {};
  const folder = block.file.replaceAll(/[/.]/g, "_");
  const code = STAND_INS.reduce(
    (code, [from, to]) => code.replaceAll(`from "${from}"`, `from "${to}"`),
    block.code,
  );
  return {
    block,
    path: `${folder}/${name ?? `${block.line}.${block.language}`}`,
    // A module whatever it says, so that no two share their names.
    text: `${code}export {};\n`,
    notRun: notRun ?? (ON_BUN ? notOnBun : undefined),
  };
}

const modules = blocks.filter(({ language }) => /^[jt]s$/.test(language))
  .map(moduleOf);

/** Bun finds packages from a folder of the package alone. */
const folder = mkdtempSync(
  ON_BUN ? pathOf("tests/docs-code-") : join(tmpdir(), "docs-code-"),
);
after(() => rmSync(folder, { recursive: true }));

for (const { path, text } of modules) {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
}
writeFileSync(join(folder, "_oak.ts"), OAK);
writeFileSync(join(folder, "_fresh.ts"), FRESH);

/** Imports the modules one after the other, and says which worked. */
const RUNNER = `import process from "node:process";
let failures = 0;
for (const path of process.argv.slice(2)) {
  try {
    await import("./" + path);
    console.log("RAN " + path);
  } catch (error) {
    failures++;
    console.log("FAILED " + path, error);
  }
}
process.exit(failures === 0 ? 0 : 1);
`;

/** What blocks take from their environment; port 0 is any that is free. */
const env = {
  ...process.env,
  NO_COLOR: "1",
  PORT: "0",
  SESSION_SECRET: "keyboard cat",
};

/** Runs this runtime once more, and answers what it printed. */
function run(args: readonly string[]): Promise<[code: number, text: string]> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      args,
      { cwd: folder, env, maxBuffer: 1e8 },
      (_error, out, err) => resolve([child.exitCode ?? 1, named(out + err)]),
    );
  });
}

/** Names the lines of pages in the place of those of files made for the run. */
function named(printed: string): string {
  const plain = printed.replaceAll("\\", "/");
  return modules.reduce((text, { path, block }) => {
    const place = path.replaceAll(/[.]/g, "\\.");
    return text.replaceAll(
      new RegExp(`[^\\s"'(]*${place}(?::(\\d+))?`, "g"),
      (_whole, line) => {
        return `${block.file}:${block.line + Number(line ?? 1) - 1}`;
      },
    );
  }, plain);
}

const CONFIG = ["--config", pathOf("deno.offline.json")];

/** Answers what the page does, once the program was told to end. */
const ANSWER = 'return new Response("Hello");';
const LATE_ANSWER = `if (!request.url.endsWith("/health")) {
    console.log("BEGUN");
    await new Promise((resolve) => process.on("SIGTERM", resolve));
  }
  ${ANSWER}`;

/** What a program prints, as it comes. */
class Printed {
  #text = "";
  #look: () => void = () => {};

  constructor(...streams: readonly NodeJS.ReadableStream[]) {
    for (const stream of streams) {
      stream.on("data", (data) => {
        this.#text += data;
        this.#look();
      });
    }
  }

  /** Waits until it has printed something. */
  match(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve) => {
      this.#look = () => {
        const found = pattern.exec(this.#text);
        if (found !== null) resolve(found);
      };
      this.#look();
    });
  }
}

describe("the code that users read", () => {
  it("is in languages that something here checks", () => {
    const others = blocks.filter(({ language }) => !(language in LANGUAGES));
    assertEquals(
      others.map(({ file, line, language }) => `${file}:${line} ${language}`),
      [],
    );
  });

  it("has no note that belongs to no block", () => {
    assertEquals(NOTES.filter((note) => !used.has(note)), []);
  });

  it(
    "has no wrong name, option or type",
    { skip: ON_BUN ? "Deno checks types" : false, timeout: 300_000 },
    async () => {
      const paths = modules.map(({ path }) => path)
        .filter((path) => path.endsWith(".ts"));
      const [code, printed] = await run(["check", ...CONFIG, ...paths]);
      assertEquals(code, 0, printed);
    },
  );

  it("works as it is printed", { timeout: 300_000 }, async () => {
    writeFileSync(join(folder, "run.ts"), RUNNER);
    const paths = modules.filter(({ notRun }) => notRun === undefined)
      .map(({ path }) => path);
    const flags = ["--quiet", "-A", "--unstable-kv", "--no-check", ...CONFIG];
    const args = ON_BUN ? [] : ["run", ...flags];
    const [code, printed] = await run([...args, "run.ts", ...paths]);
    assertEquals(code, 0, printed);
    const ran = printed.match(/^RAN /gm) ?? [];
    assertEquals(ran.length, paths.length, printed);
  });

  it("has a first site whose test passes", { timeout: 60_000 }, async () => {
    const file = "./docs_first-site_md/app_test.ts";
    const flags = ["--quiet", "-A", "--no-check", ...CONFIG];
    const [code, printed] = await run(["test", ...ON_BUN ? [] : flags, file]);
    assertEquals(code, 0, printed);
    assertMatch(printed, /\b2 pass(?:ed)?\b/);
  });

  it(
    "ends where the page on deploying says, and answers who asked before",
    { skip: ON_BUN || process.platform === "win32", timeout: 60_000 },
    async () => {
      const path = "docs_deploying_md/main.ts";
      const { text = "" } = modules.find((module) => module.path === path) ??
        {};
      assert(text.includes(ANSWER));
      writeFileSync(join(folder, path), text.replace(ANSWER, LATE_ANSWER));
      const args = ["run", "-A", "--no-check", ...CONFIG, path];
      const child = spawn(process.execPath, args, { cwd: folder, env });
      try {
        const ended = once(child, "exit");
        const printed = new Printed(child.stdout, child.stderr);
        const [url = ""] = await printed.match(/http:\S+/);
        assertEquals((await fetch(`${url}health`)).status, 200);
        const answer = fetch(url);
        await printed.match(/BEGUN/);
        // Deno tells of `child.kill` that the signal ended it, whatever happened.
        process.kill(child.pid as number, "SIGTERM");
        assertEquals(await (await answer).text(), "Hello");
        assertEquals(await ended, [0, null]);
      } finally {
        child.kill("SIGKILL");
      }
    },
  );
});

/** A store like the one that the page on the command line looks at. */
async function makeStore(path: string): Promise<void> {
  let instant = Date.now();
  const provider = new SqliteProvider(path);
  await using manager = new Manager({ provider, now: () => instant++ });
  const users = [["ada", "Laptop"], ["ada", "電話"], ["bob", "Phone"]] as const;
  for (const [name, label] of users) {
    const data = { cart: ["coat"] };
    await new Jar(manager.handle(() => new Response())).signIn(manager, name, {
      label,
      data,
    });
  }
}

/** What is another one each time, as anything. */
function masked(text: string): string {
  return text.replaceAll(/^[\w-]{24}(?= )/gm, "ID")
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:]+Z/g, "INSTANT");
}

describe("the commands that users read", () => {
  it("print what the page on the command line shows", async () => {
    const [{ code } = { code: "" }] = blocks
      .filter(({ language }) => language === "console");
    const place = mkdtempSync(join(tmpdir(), "docs-cli-"));
    await makeStore(join(place, "sessions.db"));
    const printed: string[] = [];
    for (const line of code.split("\n")) {
      if (!line.startsWith("$ npx cloakroom-session ")) continue;
      printed.push(line);
      const [, , , ...args] = line.split(" ");
      await cli(args.map((arg) => arg.replace(":./", `:${place}/`)), {
        print: (line) => printed.push(line),
        printError: (line) => printed.push(line),
      });
    }
    rmSync(place, { recursive: true });
    assertEquals(masked(printed.join("\n")), masked(code.trimEnd()));
  });

  it(
    "let nginx say the host and the port that the browser asked for",
    { skip: missingNginx ?? false, timeout: 60_000 },
    async () => {
      const [{ code } = { code: "" }] = blocks
        .filter(({ language }) => language === "nginx");
      const rules = code.split("\n")
        .filter((line) => line.includes("proxy_set_header"));
      assertEquals(rules.length, 2);
      await using manager = new Manager();
      const start = session(manager);
      const server = createServer((request, response) =>
        start(request, response, () => response.end("Signed in"))
      ).listen(0, "127.0.0.1");
      await once(server, "listening");
      const { port } = server.address() as AddressInfo;
      const origin = `http://127.0.0.1:${port}`;
      const nginx = await Nginx.start(origin, rules.join("\n"));
      // As a browser does that has no Sec-Fetch-Site.
      const headers = { origin: nginx.url };
      const answer = await fetch(nginx.url, { method: "POST", headers });
      const text = await answer.text();
      await nginx.stop();
      server.close();
      assertEquals([answer.status, text], [200, "Signed in"]);
    },
  );

  for (const program of ["deno", "bun", "node"]) {
    if (isInstalled(program)) continue;
    console.log(`Flags in the pages are not looked at: ${program} is missing`);
  }

  it("name tasks, files, flags and modules that are there", () => {
    const shown = blocks.filter(({ language }) => language === "sh")
      .flatMap(({ file, line, code }) =>
        commandsIn(code).map((command) => ({
          place: `${file}:${line}`,
          command,
        }))
      );
    const inline = filesWithCode().filter((file) => file.endsWith(".md"))
      .flatMap((file) =>
        inlineCommands(textOf(file))
          .map((command) => ({ place: file, command }))
      );
    const problems = [...shown, ...inline].flatMap(({ place, command }) => {
      const problem = problemOf(command);
      return problem === undefined ? [] : [`${place}: ${command}: ${problem}`];
    });
    assert(shown.length > 20 && inline.length > 20);
    assertEquals(problems, []);
  });
});
