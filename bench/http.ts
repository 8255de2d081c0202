/**
 * Puts real servers under load on loopback, with this library and with others,
 * on Deno and on Bun, in turns. Prints Markdown tables.
 *
 * ```sh
 * deno run -A bench/http.ts [--tiny] [--rounds N] [set-up …]
 * bun bench/http.ts …
 * ```
 *
 * With `--node-modules-dir=auto` Deno leaves the packages where Bun finds them;
 * without them Bun takes the newest of each.
 *
 * A set-up is a file of `compare/_request/`, such as `express_session`.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { chosen, readOptions } from "./compare/_options.ts";
import { NOBODY } from "./compare/_request/contract.ts";
import { sizeName, turned } from "./compare/_table.ts";
import type { Served } from "./_http/listen.ts";
import {
  findRuntime,
  runLoad,
  type Runtime,
  ServerProcess,
} from "./_http/processes.ts";
import {
  type Measurement,
  printRatio,
  printRows,
  type Row,
} from "./_http/report.ts";
import type { Ready } from "./_http/server.ts";

/** Set-ups, and which kinds of request to each are measured. */
const CELLS: Readonly<Record<string, readonly Served[]>> = {
  by_hand: ["bare", "read", "write"],
  cloakroom_commit: ["read", "write"],
  cloakroom_handle: ["read", "write"],
  remix: ["read", "write"],
  hono_sessions_plain: ["bare", "read", "write"],
  hono_session: ["read", "write"],
  express_session: ["bare", "read", "write"],
  express_memorystore: ["read", "write"],
  iron_session: ["read", "write"],
};

const CONNECTIONS = 64;

const { tiny, rounds, names } = readOptions(process.argv.slice(2));
const sessions = tiny ? 100 : 1e5;
const milliseconds = tiny ? 150 : 2000;
const folder = mkdtempSync(join(tmpdir(), "cloakroom-http-"));
const loader = findRuntime("bun") ?? findRuntime("deno") as Runtime;
/** The packages in use, with their versions. */
const versions = new Set<string>();
let failures = 0;

/** One kind of request to one server. */
interface Cell {
  readonly key: string;
  readonly title: string;
  readonly server: ServerProcess;
  readonly loadArguments: readonly string[];
  readonly rounds: Measurement[];
}

console.log(
  `${cpus().length} processors, of which the load takes one (${loader.name}); ` +
    `${CONNECTIONS} connections, ${sizeName(sessions)} sessions, medians of ` +
    `${rounds} rounds of ${milliseconds} ms. Where the server is busy for less ` +
    "than all of the time, the load or the machine was the limit: then " +
    "compare what a request takes of the server's processor time.\n",
);
try {
  for (const name of ["deno", "bun"] as const) {
    const runtime = findRuntime(name);
    if (runtime === undefined) console.log(`Left out: ${name} is not here.\n`);
    else await measureRuntime(runtime);
  }
} finally {
  rmSync(folder, { recursive: true });
}
if (versions.size > 0) console.log(`With ${[...versions].join(", ")}.`);
process.exit(failures === 0 ? 0 : 1);

async function measureRuntime(runtime: Runtime): Promise<void> {
  const servers: ServerProcess[] = [];
  try {
    console.log(`#### ${runtime.name}\n`);
    const cells: Cell[] = [];
    for (const file of chosen(Object.keys(CELLS), names)) {
      console.error(`${runtime.name}: ${file} signs visitors up`);
      cells.push(...await startServer(runtime, file, servers));
    }
    if (!tiny) {
      for (const cell of cells) await measure(cell, milliseconds / 2);
    }
    for (let round = 0; round < rounds; round++) {
      console.error(`${runtime.name}: round ${round + 1} of ${rounds}`);
      for (const cell of turned(cells, round)) {
        cell.rounds.push(await measure(cell, milliseconds));
      }
    }
    await print(cells);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    failures++;
  } finally {
    for (const server of servers) server.stop();
  }
}

async function startServer(
  runtime: Runtime,
  file: string,
  servers: ServerProcess[],
): Promise<Cell[]> {
  const visitors = join(folder, `${file}.jsonl`);
  const args = [file, `${sessions}`, visitors];
  const server = new ServerProcess(runtime, args);
  servers.push(server);
  const ready = await server.ready();
  if ("missing" in ready) {
    console.log(`Left out: ${file} cannot be resolved on ${runtime.name}.\n`);
    return [];
  }
  for (const version of ready.versions) versions.add(version);
  return (CELLS[file] ?? []).map((served) => ({
    key: `${file} ${served}`,
    title: titleOf(ready, served),
    server,
    loadArguments: [
      `${ready.ports[served]}`,
      visitors,
      `${CONNECTIONS}`,
      ...(served === "bare" ? [NOBODY] : []),
    ],
    rounds: [],
  }));
}

function titleOf({ name, kind }: Ready, served: Served): string {
  const framework = kind === "node" ? "express" : name.split(",")[0];
  if (served !== "bare") return `${name}, one ${served}`;
  return `bare handler (of ${framework})`;
}

async function measure(cell: Cell, duration: number): Promise<Measurement> {
  const [port = "", file = "", connections = "", ...body] = cell.loadArguments;
  const before = await cell.server.figures();
  const args = [port, file, connections, `${duration}`, ...body];
  const load = await runLoad(loader, args);
  const after = await cell.server.figures();
  const busy = after.busy - before.busy;
  return {
    rate: load.requests / load.elapsed * 1000,
    median: load.median,
    slowest: load.slowest,
    busy: busy / load.requests * 1000,
    share: busy / load.elapsed,
  };
}

async function print(cells: readonly Cell[]): Promise<void> {
  const rows: Row[] = [];
  for (const { key, title, server, rounds } of cells) {
    const { memory } = await server.figures();
    rows.push({ key, title, rounds, memory });
  }
  printRows(rows, "by_hand read");
  printRatio(rows, "cloakroom_commit read", "by_hand read");
  printRatio(rows, "cloakroom_handle read", "by_hand read");
  printRatio(rows, "cloakroom_handle read", "express_session read");
  printRatio(rows, "cloakroom_handle write", "express_session write");
  console.log();
}
