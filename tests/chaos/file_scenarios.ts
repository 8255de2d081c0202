/** What can happen to a store in a file: SQLite and Deno KV. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { openStore, type StoreAddress } from "../_stores.ts";
import { makeFolder, removeFolder } from "./daemon.ts";
import type { Deed } from "./history.ts";
import type { Scenario } from "./scenario.ts";
import { missingTinyDisk, TinyDisk } from "./tiny_disk.ts";
import type { Report, Stage } from "./stage.ts";
import type { LifeText, WorkerLine, WorkerTask } from "./worker.ts";
import { Life } from "./workload.ts";

const IS_DENO = "Deno" in globalThis;

const WITHOUT_KV = IS_DENO ? undefined : "only Deno has Deno KV";

/** How far the clocks of two processes may differ, in milliseconds. */
const MARGIN = 20;

/** How many processes there are beside this one. */
const WORKERS = 3;

/** How many sessions they all use. */
const SHARED = 2;

/** A folder that is removed with the stage. */
function folderOf(stage: Stage): string {
  const folder = makeFolder("chaos");
  stage.own({ stop: () => removeFolder(folder) });
  return folder;
}

/** A process that uses a store beside this one. */
class Worker {
  readonly lives: Life[] = [];
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown>;

  constructor(task: WorkerTask, stage: Stage) {
    const file = fileURLToPath(new URL("./worker.ts", import.meta.url));
    const words = IS_DENO ? ["run", "-A", "--unstable-kv"] : ["run"];
    const child = spawn(process.execPath, [
      ...words,
      file,
      JSON.stringify(task),
    ], { stdio: ["ignore", "pipe", "inherit"] });
    this.#process = child;
    this.#ended = once(child, "close");
    createInterface({ input: child.stdout }).on("line", (line) => {
      this.#hear(line, task.name, stage);
    });
  }

  kill(): void {
    if (this.#process.exitCode !== null) return;
    process.kill(this.#process.pid as number, "SIGKILL");
  }

  async ended(): Promise<void> {
    await this.#ended;
  }

  #hear(text: string, name: string, stage: Stage): void {
    const line = lineOf(text);
    if (line === undefined) return;
    if ("life" in line) {
      const { life } = line;
      this.lives.push(new Life(life.name, life.principal, life.cookie));
    } else stage.note(`${name} ${line.number}`, endless(line.deed));
  }
}

/** A kill can cut the last line off. */
function lineOf(text: string): WorkerLine | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** JSON knows no infinity. */
function endless(deed: Deed): Deed {
  return { ...deed, ended: deed.ended ?? Infinity };
}

/** Lets processes use a store, kills one after the other, and starts others. */
async function playKills(stage: Stage, store: StoreAddress): Promise<Report> {
  await stage.begin({ open: () => openStore(store), users: 2 });
  const shared = (await stage.share(SHARED)).map(textOf);
  let count = 0;
  const start = () => {
    const seed = Math.floor(stage.random() * 2 ** 32);
    const name = `worker-${++count}`;
    const milliseconds = MILLISECONDS * stage.seconds;
    return new Worker({ store, name, seed, milliseconds, shared }, stage);
  };
  const workers = Array.from({ length: WORKERS }, start);
  await stage.trouble(async () => {
    for (const worker of workers.slice(0, -1)) {
      await sleep(MILLISECONDS * stage.seconds / WORKERS);
      worker.kill();
      workers.push(start());
    }
  });
  await Promise.all(workers.map((worker) => worker.ended()));
  const lives = workers.flatMap((worker) => worker.lives);
  return await stage.end({ margin: MARGIN }, [
    ...lives,
    ...shared.map(({ name, principal, cookie }) =>
      new Life(name, principal, cookie)
    ),
  ]);
}

/** How long a worker works, in milliseconds for each second of a calm. */
const MILLISECONDS = 2000;

function textOf({ name, principal, cookie = "" }: Life): LifeText {
  return { name, principal, cookie };
}

/** Does something to the file of three managers that goes on for a while. */
function onFile(
  { seconds = 0, trouble, ...scenario }: Omit<Scenario, "store" | "play"> & {
    readonly trouble: (path: string) => void;
    /** How much longer it goes on, in seconds. */
    readonly seconds?: number;
  },
): Scenario {
  return {
    ...scenario,
    store: "sqlite",
    async play(stage) {
      const at = join(folderOf(stage), "sessions.db");
      await stage.begin({ open: () => openStore({ kind: "sqlite", at }) });
      await stage.trouble(() => Promise.resolve(trouble(at)));
      await stage.calm(stage.seconds + seconds);
      return await stage.end();
    },
  };
}

function killed(kind: "sqlite" | "deno-kv"): Scenario {
  const missing = kind === "deno-kv" ? WITHOUT_KV : undefined;
  return {
    store: kind,
    name: "processes killed",
    isShort: true,
    missing,
    play: (stage) =>
      playKills(stage, { kind, at: join(folderOf(stage), "sessions.db") }),
  };
}

/** No room is left, and later there is. */
function full(kind: "sqlite" | "deno-kv"): Scenario {
  const isSqlite = kind === "sqlite";
  return {
    store: kind,
    name: "disk full",
    isShort: isSqlite,
    missing: missingTinyDisk() ?? (isSqlite ? undefined : WITHOUT_KV),
    tells: ["store-error"],
    async play(stage) {
      const disk = stage.own(new TinyDisk(16));
      const at = join(disk.folder, "sessions.db");
      await stage.begin({ open: () => openStore({ kind, at }) });
      await stage.trouble(async () => {
        if (isSqlite) shrinkLog(at);
        disk.fill();
        await stage.calm();
        disk.clear();
      }, ["look"]);
      await stage.calm();
      return await stage.end();
    },
  };
}

/** What the names of a database's files end with. */
const ENDINGS: readonly string[] = ["", "-wal", "-shm"];

/** Leaves no room in the write-ahead log that the next writes could use. */
function shrinkLog(path: string): void {
  const database = new DatabaseSync(path);
  database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  database.close();
}

/** All scenarios of stores in files. */
export const FILE_SCENARIOS: readonly Scenario[] = [
  killed("sqlite"),
  killed("deno-kv"),
  full("sqlite"),
  full("deno-kv"),
  onFile({
    name: "file deleted",
    isShort: true,
    // Whoever opens it anew finds an empty one.
    expects: ["signed-out"],
    tells: ["store-down"],
    isHopeless: true,
    // Within a pass of the collector.
    seconds: 1,
    trouble: (path) => ENDINGS.forEach((ending) => rmSync(path + ending)),
  }),
  onFile({
    name: "file deleted, its -wal left behind",
    expects: ["signed-out", "lost", "revived", "late", "listed"],
    tells: ["store-down"],
    isHopeless: true,
    seconds: 1,
    trouble: (path) => rmSync(path),
  }),
  onFile({
    name: "file moved",
    expects: ["signed-out"],
    isHopeless: true,
    tells: ["store-down"],
    seconds: 1,
    trouble: (path) =>
      ENDINGS.forEach((ending) =>
        renameSync(path + ending, `${path}.old${ending}`)
      ),
  }),
];
