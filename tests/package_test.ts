import { assert, assertEquals, assertFalse } from "@std/assert";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";

const ROOT = new URL("../", import.meta.url);

function readText(path: string): string {
  return readFileSync(new URL(path, ROOT), "utf8");
}

function readJson(path: string): Record<string, unknown> {
  return JSON.parse(readText(path));
}

const manifest = readJson("jsr.json");
const tooling = readJson("deno.json");
const exported = manifest.exports as Record<string, string>;

/**
 * Every module that a source text names, be it to import its values or its
 * types, to re-export it or to load it later. Relies on the formatter, which
 * starts statements at the line's first column.
 */
function importsOf(source: string): string[] {
  const code = source
    .replace(/^[ \t]*\/\*[\s\S]*?\*\//gm, "")
    .replace(/^[ \t]*\/\/.*$/gm, "");
  const statements = code.matchAll(
    /^(?:import|export)\b(?:[^"'`;]*?\bfrom)?\s*(["'])(.+?)\1/gm,
  );
  const expressions = code.matchAll(
    /\b(?:import|require)\s*\(\s*(?:(["'])([^"']+)\1\s*[,)])?/g,
  );
  return [...statements, ...expressions].map((found) =>
    found[2] ?? "something that is worked out at run time"
  );
}

function isRelative(specifier: string): boolean {
  return /^\.\.?\/.+\.ts$/.test(specifier);
}

/** The module that a relative import leads to, as a path from the root. */
function resolve(specifier: string, from: string): string {
  return new URL(specifier, new URL(from, "file:///")).pathname.slice(1);
}

/** The relative imports of one file, as paths from the root. */
function neighboursOf(file: string): string[] {
  return importsOf(readText(file))
    .filter(isRelative)
    .map((specifier) => resolve(specifier, file));
}

/** The relative imports of one file that are more than types. */
function valuesImportedBy(file: string): string[] {
  const withoutTypes = readText(file)
    .replace(/^import type\b[^;]*;/gm, "");
  return importsOf(withoutTypes)
    .filter(isRelative)
    .map((specifier) => resolve(specifier, file));
}

/** The folders of what is published. */
const LAYERS: readonly string[] = [
  "adapters/",
  "core/",
  "providers/",
  "testing/",
];

function publishedGraph(): Set<string> {
  const files = new Set(
    Object.values(exported).map((path) => resolve(path, "")),
  );
  // A set that grows while it is walked is walked to its end.
  for (const file of files) {
    for (const next of neighboursOf(file)) files.add(next);
  }
  return files;
}

function filesIn(folder: string): string[] {
  return readdirSync(new URL(folder, ROOT), { recursive: true })
    .map((name) => `${folder}${String(name).replaceAll("\\", "/")}`)
    .filter((name) => name.endsWith(".ts"));
}

/** Imports that lead out of a module and the folder of its own name. */
function importsFromOthers(file: string): string[] {
  const [folder = "", name = ""] = file.split("/");
  const own = `${folder}/${name.replace(/\.ts$/, "")}`;
  return neighboursOf(file).filter((next) =>
    next !== `${own}.ts` && !next.startsWith(`${own}/`)
  );
}

/** The specifier under which an entry of `exports` is imported. */
function publicName(entry: string): string {
  return String(manifest.name) + entry.slice(1);
}

describe("the search for imports", () => {
  it("finds every form in which a module can be named", () => {
    const source = `import "./a.ts";
import { b } from "./b.ts";
import type { C } from './c.ts';
import d, {
  type D,
  e as f,
} from "npm:d";
import * as g from "g";
export * from "./h.ts";
export { type I, j } from "jsr:@i/i";
export type { K } from "./k.ts";
const l = await import("./l.ts");
type M = typeof import("npm:m");
function late() {
  return import( "./n.ts", { with: {} });
}
const o = require("o");
`;
    assertEquals(importsOf(source), [
      "./a.ts",
      "./b.ts",
      "./c.ts",
      "npm:d",
      "g",
      "./h.ts",
      "jsr:@i/i",
      "./k.ts",
      "./l.ts",
      "npm:m",
      "./n.ts",
      "o",
    ]);
  });

  it("finds a dynamic import whose module is not written out", () => {
    const sources = [
      "import(name)",
      "import(`./${name}.ts`)",
      'import("a" + b)',
    ];
    for (const source of sources) {
      assertEquals(importsOf(source), [
        "something that is worked out at run time",
      ]);
    }
  });

  it("finds nothing in comments, strings and other exports", () => {
    const source = `/**
 * import { a } from "npm:a";
 * await import("npm:b");
 */
// import "npm:c";
export const d = "npm:d";
export function from() {
  /* import("npm:e") */
  return "from";
}
const message = "import the module that registers it first";
const url = import.meta.url;
`;
    assertEquals(importsOf(source), []);
  });
});

describe("the published package", () => {
  it("imports nothing but its own files and what is built in", () => {
    const foreign: string[] = [];
    for (const file of publishedGraph()) {
      for (const specifier of importsOf(readText(file))) {
        if (isRelative(specifier) || specifier.startsWith("node:")) continue;
        foreign.push(`${file} imports ${specifier}`);
      }
    }
    assertEquals(foreign, []);
  });

  it("reaches the core and the memory provider from its entry points", () => {
    const graph = publishedGraph();
    for (const file of ["mod.ts", "core/manager.ts", "providers/memory.ts"]) {
      assert(graph.has(file), file);
    }
  });

  it("reaches no file that is not published", () => {
    const { include } = manifest.publish as { include: string[] };
    const stray = [...publishedGraph()].filter((file) =>
      !include.some((path) =>
        path.endsWith("/") ? file.startsWith(path) : file === path
      )
    );
    assertEquals(stray, []);
  });

  it("has no module that no entry point reaches", () => {
    const graph = publishedGraph();
    const files = LAYERS.flatMap(filesIn);
    assertEquals(files.filter((file) => !graph.has(file)), []);
  });

  it("loads every entry point under its public name", async () => {
    for (const entry of Object.keys(exported)) {
      const module = await import(publicName(entry));
      assert(Object.keys(module).length > 0, entry);
    }
  });
});

describe("the layers", () => {
  it("keep the core from knowing any provider", () => {
    const breaches = filesIn("core/").flatMap((file) =>
      neighboursOf(file)
        .filter((next) => !next.startsWith("core/"))
        .map((next) => `${file} imports ${next}`)
    );
    assertEquals(breaches, []);
  });

  it("keep providers from knowing each other", () => {
    const breaches = filesIn("providers/").flatMap((file) =>
      importsFromOthers(file)
        .filter((next) => !next.startsWith("core/"))
        .map((next) => `${file} imports ${next}`)
    );
    assertEquals(breaches, []);
  });

  it("keep the kit for tests on top of the core alone", () => {
    const breaches = filesIn("testing/").flatMap((file) =>
      neighboursOf(file)
        .filter((next) => !/^(?:core|testing)\//.test(next))
        .map((next) => `${file} imports ${next}`)
    );
    assertEquals(breaches, []);
  });

  it("keep adapters from knowing each other and any provider", () => {
    const breaches = filesIn("adapters/").flatMap((file) =>
      neighboursOf(file)
        .filter((next) => !/^(?:core\/|adapters\/_)/.test(next))
        .map((next) => `${file} imports ${next}`)
    );
    assertEquals(breaches, []);
  });

  it("keep what adapters share out of the entry points", () => {
    const shared = Object.values(exported)
      .filter((path) => path.startsWith("./adapters/_"));
    assertEquals(shared, []);
  });

  it("keep carriage, secrets and values from knowing requests", () => {
    const folders = ["core/carriage/", "core/secret/", "core/value/"];
    const breaches = folders.flatMap(filesIn).flatMap((file) =>
      neighboursOf(file)
        .filter((next) => next.startsWith("core/request/"))
        .map((next) => `${file} imports ${next}`)
    );
    assertEquals(breaches, []);
  });

  it("keep deciding from any store and any response", () => {
    const values = valuesImportedBy("core/request/plan.ts");
    assertEquals(values, ["core/request/touch.ts"]);
    assertEquals(valuesImportedBy("core/request/touch.ts"), []);
  });

  it("keep the store in the hands of few", () => {
    const callers = filesIn("core/").filter((file) =>
      /\bgateway\s*\.\s*(?:create|update|destroy)\(/.test(readText(file))
    );
    assertEquals(callers.sort(), [
      "core/device/endpoint.ts",
      "core/manager.ts",
      "core/request/atomic_update.ts",
      "core/request/carry_out.ts",
      "core/request/opener.ts",
      "core/request/session_limit.ts",
    ]);
  });

  it("have no circle, be it between two files", () => {
    const files = LAYERS.flatMap(filesIn);
    const circles: string[] = [];
    const done = new Set<string>();
    const follow = (file: string, path: readonly string[]) => {
      if (path.includes(file)) circles.push([...path, file].join(" > "));
      if (path.includes(file) || done.has(file)) return;
      for (const next of neighboursOf(file)) follow(next, [...path, file]);
      done.add(file);
    };
    for (const file of files) follow(file, []);
    assertEquals(circles, []);
  });

  it("have no comment that editors show as it stands", () => {
    const literal = LAYERS.flatMap(filesIn).filter((file) =>
      /@inherit(?:Doc)?/i.test(readText(file))
    );
    assertEquals(literal, []);
  });

  it("open every file with a sentence that says what it is for", () => {
    const files = LAYERS.flatMap(filesIn);
    const bare = files.filter((file) => !readText(file).startsWith("/**"));
    assertEquals(bare, []);
  });

  it("keep every module from importing the main one", () => {
    const files = LAYERS.flatMap(filesIn);
    const back = files.filter((file) => neighboursOf(file).includes("mod.ts"));
    assertEquals(back, []);
  });
});

describe("the configuration", () => {
  const expected = Object.entries(exported)
    .map(([entry, path]) => [publicName(entry), path] as const);

  it("maps each public name to the file that jsr.json exports", () => {
    const imports = tooling.imports as Record<string, string>;
    const own = Object.entries(imports)
      .filter(([name]) => name.startsWith(String(manifest.name)));
    assertEquals(own.sort(), [...expected].sort());
  });

  it("maps each public name to the same file for Bun", () => {
    const { paths } = readJson("tsconfig.json").compilerOptions as {
      paths: Record<string, string[]>;
    };
    const own = Object.entries(paths)
      .filter(([name]) => name.startsWith(String(manifest.name)));
    const single = expected.map(([name, path]) => [name, [path]]);
    assertEquals(own.sort(), single.sort());
  });

  it("is the same without a network but for links and tasks", () => {
    const { links, ...offline } = readJson("deno.offline.json");
    const { tasks, ...online } = tooling;
    assertEquals(offline, online);
    assert(Array.isArray(links) && links.length > 0);
    assert(typeof tasks === "object");
  });

  it("is in deno.json or in jsr.json, never in both", () => {
    const shared = Object.keys(manifest).filter((key) => key in tooling);
    assertEquals(shared, []);
    for (const key of ["name", "version", "license", "exports", "publish"]) {
      assert(key in manifest, key);
    }
  });

  it("publishes no lock file and reads none", () => {
    assertEquals(tooling.lock, false);
    assertFalse("lock" in manifest);
  });
});
