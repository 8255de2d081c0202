/**
 * One of several processes that use one store, to be killed at any moment. Prints
 * every request when it begins and when it ends, as a line of JSON.
 *
 * @module
 */
import { writeSync } from "node:fs";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { randomNumbers } from "../../bench/_cases/random.ts";
import { Manager } from "../../mod.ts";
import { openStore, type StoreAddress } from "../_stores.ts";
import type { Deed } from "./history.ts";
import { Life, Workload } from "./workload.ts";

/** What a worker is told. */
export interface WorkerTask {
  readonly store: StoreAddress;
  readonly name: string;
  readonly seed: number;
  readonly milliseconds: number;
  /** Sessions that all workers use. */
  readonly shared: readonly LifeText[];
}

/** A session as it goes from one process to another. */
export interface LifeText {
  readonly name: string;
  readonly principal: string;
  readonly cookie: string;
}

/** One line of what a worker prints. */
export type WorkerLine =
  | { readonly number: number; readonly deed: Deed }
  | { readonly life: LifeText };

/** Does as it is told. */
async function work(task: WorkerTask): Promise<void> {
  const { provider, close } = openStore(task.store);
  const manager = new Manager({
    provider,
    touchInterval: 0.2,
    gcInterval: 0.5,
    // Whoever looks at its sessions afterwards has the cookies of the beginning.
    renewInterval: 0,
  });
  const numbers = randomNumbers(task.seed);
  const workload = new Workload({
    nodes: [{ name: task.name, manager }],
    name: task.name,
    users: 2,
    random: () => numbers() / 2 ** 32,
    pause: 20,
    shared: task.shared.map(({ name, principal, cookie }) =>
      new Life(name, principal, cookie)
    ),
    note: (number, deed) => print({ number, deed }),
    onSignIn: ({ name, principal, cookie = "" }) =>
      print({ life: { name, principal, cookie } }),
  });
  workload.start();
  await sleep(task.milliseconds);
  await workload.stop();
  await manager.close();
  await close();
}

/** At once, so that a kill cannot take back what has been said. */
function print(line: WorkerLine): void {
  const bytes = new TextEncoder().encode(`${JSON.stringify(line)}\n`);
  for (let written = 0; written < bytes.length;) {
    written += writeSync(1, bytes, written);
  }
}

if (import.meta.main) {
  await work(JSON.parse(process.argv[2] as string) as WorkerTask);
  process.exit(0);
}
