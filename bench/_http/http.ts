/** What a session costs a server under load, in this library and in others. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { expect } from "../_harness/case.ts";
import {
  ended,
  findRuntime,
  type Runtime,
  start,
} from "../_harness/processes.ts";
import type { Job, Reporter, Section } from "../_harness/section.ts";
import { versionsOf } from "../_harness/versions.ts";
import type { Load } from "./load.ts";
import { type Action, NOBODY, type Setup, SETUPS } from "./setups.ts";

const LOAD = new URL("./load.ts", import.meta.url);
const HOST = "127.0.0.1";

/** How many sign up at the same time. */
const TOGETHER = 64;

/** A server in each process, and its load in another one. */
export const http: Section = {
  name: "http",
  about: "servers under load: other session libraries, and our adapters",
  sizes: [1e4],
  trialSize: 64,
  parts: Object.keys(SETUPS),
  measure,
  minutes: 4,
  memory: 1,
};

async function measure(job: Job, report: Reporter): Promise<void> {
  const [group = "", name = ""] = job.part.split(", ");
  const setup = await SETUPS[job.part]?.() as Setup;
  for (const text of await versionsOf(setup.packages ?? [])) report(text);
  await check(setup);
  const folder = mkdtempSync(join(tmpdir(), "cloakroom-http-"));
  const file = join(folder, "visitors");
  try {
    writeFileSync(file, await signUp(setup, job.size));
    const first = Object.keys(SETUPS).find((some) => some.startsWith(group));
    const actions = ["bare", "read", "write"] as const;
    for (const action of job.part === first ? actions : actions.slice(1)) {
      const port = await listen(setup, action);
      // Has the engine compile it.
      await load(port, file, action, job.isTrial ? 50 : 1000);
      const before = process.cpuUsage();
      const { requests, elapsed, p99 } = await load(
        port,
        file,
        action,
        job.isTrial ? 100 : 2000,
      );
      const { user, system } = process.cpuUsage(before);
      const isBare = action === "bare";
      const title = isBare ? "bare handler" : `${name}, one ${action}`;
      const tell = (column: string, value: number, isFloor = false) => {
        const row = { table: "under load", group, name: title };
        report({ ...row, column, value, isFloor });
      };
      tell("requests/s", requests / elapsed * 1000);
      tell("p99 ms", p99);
      tell("µs/request", (user + system) / requests, isBare);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Runs the load, on Bun if it is there: its clients take less. */
async function load(
  port: number,
  file: string,
  action: Action,
  time: number,
): Promise<Load> {
  const runtime = findRuntime("Bun") ?? findRuntime("Deno") as Runtime;
  const body = action === "bare" ? [NOBODY] : [];
  const args = [`${port}`, file, `${time}`, ...body];
  const child = start(runtime, { script: LOAD, args, isHeard: true });
  let text = "";
  child.stdout?.on("data", (chunk) => text += chunk);
  if (await ended(child) === 0) return JSON.parse(text);
  throw new Error("Cannot measure: the load has failed");
}

/** As each runtime's documentation has it; answers the port. */
async function listen({ serve }: Setup, action: Action): Promise<number> {
  const served = serve(action);
  if (typeof served !== "function") {
    await once(served, "listening");
    return (served.address() as AddressInfo).port;
  }
  const options = { port: 0, hostname: HOST, onListen: () => {} };
  const { Bun } = globalThis as {
    Bun?: { serve(options: object): { port: number } };
  };
  if (Bun !== undefined) return Bun.serve({ ...options, fetch: served }).port;
  return Deno.serve(options, served).addr.port;
}

/** Signs visitors up; answers what they send and get, a line of JSON for each. */
async function signUp(setup: Setup, count: number): Promise<string> {
  const port = await listen(setup, "signUp");
  const lines: string[] = [];
  while (lines.length < count) {
    const length = Math.min(TOGETHER, count - lines.length);
    const names = Array.from(
      { length },
      (_, at) => `visitor${`${lines.length + at}`.padStart(7, "0")}`,
    );
    lines.push(
      ...await Promise.all(names.map(async (name) => {
        const { cookie, body } = await ask(port, "", name);
        expect(body === name, "signing up");
        return `${JSON.stringify({ cookie, body })}\n`;
      })),
    );
  }
  return lines.join("");
}

/** Sends a request, and keeps the cookies as a browser does. */
async function ask(port: number, cookie = "", visitor = "") {
  const headers = { cookie, "x-visitor": visitor };
  const response = await fetch(`http://${HOST}:${port}/`, { headers });
  const kept = response.headers.getSetCookie()
    .map((text) => text.split(";")[0]).join("; ");
  return { cookie: kept === "" ? cookie : kept, body: await response.text() };
}

/** Whether writes are kept, each with its own session, and strangers have none. */
async function check(setup: Setup): Promise<void> {
  const signUp = await listen(setup, "signUp");
  const ada = await ask(signUp, "", "ada");
  const bob = await ask(signUp, "", "bob");
  const written = await ask(await listen(setup, "write"), ada.cookie);
  const visits = await listen(setup, "visits");
  expect((await ask(visits, written.cookie)).body === "1", "a write");
  expect((await ask(visits, bob.cookie)).body === "0", "no write");
  expect((await ask(visits)).body === NOBODY, "a stranger");
}
