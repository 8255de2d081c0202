/** Holds the comparison to its data, and tries our own column again. */
import { assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import type { Provider } from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { SqliteProvider } from "../providers/sqlite.ts";
import { peerOn } from "./trials/peers/cloakroom.ts";
import { type Behaviour, tablesOf } from "./trials/table.ts";
import { groups, outcome } from "./trials/trials.ts";

function textOf(path: string): string {
  return readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
}

const data: Behaviour = JSON.parse(textOf("bench/results/behaviour.json"));

/** The rows of the tables below a heading, as trimmed cells. */
function rowsBelow(heading: string): string[][] {
  const [, after = ""] = textOf("docs/comparison.md").split(
    `\n### ${heading}\n`,
  );
  const [section = ""] = after.split(/\n#|\n<!--/);
  const rows = section.split("\n").filter((line) => line.startsWith("|"))
    .map((row) => row.split("|").slice(1, -1).map((cell) => cell.trim()));
  // The line below the head.
  return rows.toSpliced(1, 1);
}

const PROVIDERS: Readonly<Record<string, () => Provider>> = {
  memory: () => new MemoryProvider(),
  SQLite: () => new SqliteProvider(":memory:"),
};

describe("the comparison", () => {
  for (const [heading, rows] of tablesOf(data)) {
    it(`shows what was found: ${heading}`, () => {
      assertEquals(rowsBelow(heading), rows);
    });
  }

  const [ours] = data.libraries;
  for (const [name, provider] of Object.entries(PROVIDERS)) {
    for (const trial of Object.values(groups).flat()) {
      // The machine has a say in those.
      if (trial.isTimed) continue;
      it(`is true of this library, on ${name}: ${trial.row}`, async () => {
        const cell = await outcome(trial, peerOn(provider));
        assertEquals(cell, ours?.cells[trial.id]);
      });
    }
  }
});
