/** Holds the page of the benchmarks, and what is quoted of it, to their data. */
import { assert, assertEquals } from "@std/assert";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { type Figure, rowsOf, rowsWith } from "../bench/_harness/figures.ts";
import { readOptions } from "../bench/_harness/options.ts";
import { pageWith, resultsText } from "../bench/_harness/page.ts";
import { readResults } from "../bench/_harness/results.ts";
import { SECTIONS } from "../bench/sections.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

function textOf(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

/** Without what the formatter decides: where lines end, and how wide cells are. */
function squeezed(text: string): string {
  return text.replaceAll(/\s+/g, " ").replaceAll(/-{3,}/g, "---");
}

function cellOf(section: string, [group, name, column]: readonly string[]) {
  const rows = readResults(section)?.rows ?? [];
  const row = rows.find((row) => row.group === group && row.name === name);
  const cell = row?.cells[column ?? ""];
  assert(cell !== undefined, `${section} has no ${group}, ${name}, ${column}`);
  return cell;
}

describe("the page of the benchmarks", () => {
  const page = textOf("bench/README.md");

  for (const { name } of SECTIONS) {
    it(`shows the data: ${name}`, () => {
      const made = pageWith(page, name, resultsText(readResults(name)));
      assertEquals(squeezed(page), squeezed(made));
    });
  }

  it("is made from figures that are put together in one place", () => {
    const files = readdirSync(join(ROOT, "bench"), { recursive: true })
      .map((file) => `${file}`)
      .filter((file) => file.endsWith(".ts") && !/behaviour/.test(file));
    for (const name of ["median", "percentile"]) {
      const definition = new RegExp(`(?:function|const) ${name}\\w*\\b`);
      const found = files.filter((file) =>
        definition.test(textOf(`bench/${file}`))
      );
      assertEquals(found, [join("_harness", "figures.ts")], name);
    }
  });

  it("backs what the README quotes of the memory provider", () => {
    const readme = squeezed(textOf("README.md"));
    const bytes = ["heap", "outside of it"].map((group) =>
      cellOf("stores", [group, "ours: MemoryProvider", "Deno 1e5"])[0]
    );
    const sum = Math.round((bytes[0] ?? 0) + (bytes[1] ?? 0));
    assert(
      readme.includes(`without data takes ${sum} bytes on Deno`),
      `${sum}`,
    );
    const [, least, most] =
      /takes ([\d.]+) to ([\d.]+) of a bare/.exec(readme) ??
        [];
    for (const runtime of ["Deno", "Bun"]) {
      const row = ["read, hit, fresh ids", "ours: MemoryProvider.read"];
      const [, , ratio = NaN] = cellOf("memory", [...row, `${runtime} 1e5`]);
      const rounded = Number(ratio.toFixed(1));
      assert(rounded >= Number(least) && rounded <= Number(most), `${ratio}`);
    }
  });

  it("backs what the guide quotes of encryption", () => {
    const guide = textOf("docs/encryption.md");
    const calls = {
      "`read`": ["read", "ours: read"],
      "`update` of a key": ["write", "ours: update"],
      "`create`": ["write", "ours: create"],
      "`list` of two": ["list", "ours: two of a user"],
      "`touch`": ["write", "ours: touch"],
    };
    const columns = ["Deno", "Bun"].flatMap((runtime) =>
      ["memory", "memory-encrypted", "memory-hidden"].map((store) =>
        `${runtime} ${store}`
      )
    );
    for (const [call, row] of Object.entries(calls)) {
      const line = guide.split("\n").find((line) =>
        line.startsWith(`| ${call} `)
      );
      const quoted = line?.split("|").slice(2, -1).map(Number);
      const measured = columns.map((column) =>
        cellOf("encryption", [...row, column])[0]
      );
      assertEquals(quoted, measured, call);
    }
  });
});

describe("rows of figures", () => {
  const figure = (name: string, value: number, isFloor = false): Figure => {
    return { table: "ns", group: "read", name, column: "1e3", value, isFloor };
  };
  const rows = rowsOf([
    figure("Map", 10, true),
    figure("ours", 30),
    figure("Map", 20, true),
    figure("ours", 20),
    figure("other", 1),
  ]);

  it("have the median, half the distance of the rounds, and the ratios' median", () => {
    assertEquals(rows.map(({ name, cells }) => [name, cells["1e3"]]), [
      ["Map", [15, 5]],
      ["ours", [25, 5, 2]],
      ["other", [1, 0, 0.1]],
    ]);
  });

  it("keep their floor when they are filtered", () => {
    const names = rowsWith(rows, "ours").map(({ name }) => name);
    assertEquals(names, ["Map", "ours"]);
  });
});

describe("the command line of the benchmarks", () => {
  const read = (...args: string[]) => readOptions(args, SECTIONS);

  it("takes sections, sizes and parts in any order", () => {
    const options = read("1e6", "providers", "postgres", "--rounds", "2");
    assertEquals(options.sections.map(({ name }) => name), ["providers"]);
    assertEquals([options.sizes, options.parts], [[1e6], ["postgres"]]);
    assertEquals(options.rounds, 2);
  });

  it("takes a word for a part of a section that stands before it", () => {
    const { sections, parts } = read("providers", "memory");
    assertEquals(sections.map(({ name }) => name), ["providers"]);
    assertEquals(parts, ["memory"]);
    const named = read("redis").sections.map(({ name }) => name);
    assertEquals(named, ["providers", "scale"]);
  });

  it("says which sections and options there are", () => {
    const messageOf = (...args: string[]) => {
      try {
        read(...args);
      } catch (error) {
        return (error as Error).message;
      }
      throw new Error("Cannot find a message: there was no error");
    };
    assert(/sections are memory, .*: received foo$/.test(messageOf("foo")));
    assert(/options are .*--tiny/.test(messageOf("--foo")));
    assert(/whole number: received 0$/.test(messageOf("--rounds", "0")));
  });

  it("writes nothing that is not a whole section", () => {
    for (const option of ["--tiny", "--only=read", "--on=bun", "postgres"]) {
      try {
        read("--write", option);
      } catch (error) {
        assert((error as Error).message.startsWith("Cannot write results"));
        continue;
      }
      throw new Error(`It took ${option}`);
    }
  });
});
