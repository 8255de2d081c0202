/**
 * Compares what a request that only reads costs in two checkouts, in turns
 * within one run:
 *
 * `deno run -A bench/revisions.ts FOLDER_BEFORE FOLDER_AFTER`
 *
 * (or `bun bench/revisions.ts …`), for instance with folders of `git worktree`.
 *
 * @module
 */
import { resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import type * as Library from "../mod.ts";

const ROUNDS = 9;
const REQUESTS = 200_000;
const SESSIONS = 1000;

const folders = process.argv.slice(2);
if (folders.length !== 2) {
  throw new RangeError(
    `Cannot compare revisions: two folders are needed: received ${folders.length}`,
  );
}
const [before, after] = await Promise.all(folders.map(load)) as [Run, Run];
// Warms both up.
before();
after();
const times: [number, number][] = [];
for (let round = 0; round < ROUNDS; round++) times.push([before(), after()]);
console.log(`before ${median(times.map(([a]) => a)).toFixed(0)} ns`);
console.log(`after  ${median(times.map(([, b]) => b)).toFixed(0)} ns`);
console.log(`ratio  ${median(times.map(([a, b]) => b / a)).toFixed(2)}`);

/** Answers the nanoseconds for each request. */
type Run = () => number;

async function load(folder: string): Promise<Run> {
  const { href } = pathToFileURL(resolve(folder, "mod.ts"));
  const { Manager } = await import(href) as typeof Library;
  const manager = new Manager({ gcInterval: 0 });
  const requests: Request[] = [];
  for (let count = 0; count < SESSIONS; count++) {
    const session = await manager.start(new Request("http://localhost/"));
    session.set("count", count);
    const response = await manager.commit(session, new Response());
    const cookie = response.headers.get("set-cookie")?.split(";")[0] ?? "";
    requests.push(new Request("http://localhost/", { headers: { cookie } }));
  }
  const response = new Response();
  return () => {
    let right = 0;
    const start = performance.now();
    for (let count = 0; count < REQUESTS; count++) {
      const request = requests[count % SESSIONS] as Request;
      // On memory both answer at once.
      const session = manager.start(request) as Library.Session;
      if (session.get("count") !== undefined) right++;
      manager.commit(session, response);
    }
    const elapsed = performance.now() - start;
    if (right !== REQUESTS) {
      throw new Error("Cannot compare: a session is lost");
    }
    return elapsed / REQUESTS * 1e6;
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}
