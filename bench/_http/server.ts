/**
 * Serves one set-up on free ports, in a process of its own:
 * `server.ts SETUP SESSIONS FILE`. First signs visitors up and writes what they
 * send and get into the file. Prints its ports, and its figures for every line
 * on standard input, as JSON.
 *
 * @module
 */
import { writeFileSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { busyTime } from "../compare/_clock.ts";
import { isMissing } from "../compare/_child.ts";
import { versionsOf } from "../compare/_version.ts";
import { check } from "../compare/_request/check.ts";
import { nameOf, signUp } from "../compare/_request/client.ts";
import type { Setup } from "../compare/_request/contract.ts";
import { listen, type Served } from "./listen.ts";

/** What a server says when it listens. */
export interface Ready {
  readonly name: string;
  readonly kind: Setup["kind"];
  readonly versions: readonly string[];
  /** One port for each kind of request: all are of one process. */
  readonly ports: Readonly<Record<Served, number>>;
}

/** What a server says when it is asked. */
export interface Figures {
  /** How long it has kept processors busy, in milliseconds. */
  readonly busy: number;
  /** Its resident memory in bytes. */
  readonly memory: number;
}

/** No more cookies are needed where the server keeps nothing. */
const COOKIES = 1000;

const [setupFile, sessions, file = ""] = process.argv.slice(2);

const setup = await load();
if (setup === undefined) {
  console.log(JSON.stringify({ missing: setupFile }));
  process.exit(0);
}
await check(setup);
await writeVisitors(setup);
const ready: Ready = {
  name: setup.name,
  kind: setup.kind,
  versions: await versionsOf(setup.packages),
  ports: {
    bare: await listen(setup, "bare"),
    read: await listen(setup, "read"),
    write: await listen(setup, "write"),
  },
};
console.log(JSON.stringify(ready));
for await (const _line of createInterface({ input: process.stdin })) {
  const memory = process.memoryUsage().rss;
  console.log(JSON.stringify({ busy: busyTime(), memory }));
}
process.exit(0);

async function load(): Promise<Setup | undefined> {
  try {
    return (await import(`../compare/_request/${setupFile}.ts`)).setup;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function writeVisitors(setup: Setup): Promise<void> {
  const most = setup.keeps === "cookie" ? COOKIES : Infinity;
  const cookies = await signUp(setup, Math.min(Number(sessions), most));
  const lines = cookies.map((cookie, index) => {
    return `${JSON.stringify({ cookie, body: nameOf(index) })}\n`;
  });
  writeFileSync(file, lines.join(""));
}
