/**
 * Measures one set-up with one number of sessions, in a process of its own:
 * `child.ts SETUP SESSIONS MILLISECONDS`. Prints JSON.
 *
 * @module
 */
import process from "node:process";
import { isMissing } from "../_child.ts";
import { versionsOf } from "../_version.ts";
import { check } from "./check.ts";
import { Client, nameOf, signUp } from "./client.ts";
import type { Setup } from "./contract.ts";
import { type Cost, measure } from "./measure.ts";

/** No more are needed where the server keeps nothing. */
const COOKIES = 1000;

const [file, sizeText, millisecondsText] = process.argv.slice(2);
const milliseconds = Number(millisecondsText);

const setup = await load();
if (setup === undefined) {
  console.log(JSON.stringify({ missing: file }));
} else {
  const notes = await check(setup);
  const costs = await measureAll(setup, Number(sizeText));
  const versions = await versionsOf(setup.packages);
  const { name, keeps } = setup;
  console.log(JSON.stringify({ name, keeps, versions, notes, costs }));
}
process.exit(0);

async function load(): Promise<Setup | undefined> {
  try {
    return (await import(`./${file}.ts`)).setup;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function measureAll(
  setup: Setup,
  size: number,
): Promise<Record<string, Cost>> {
  const count = setup.keeps === "cookie" ? Math.min(size, COOKIES) : size;
  const cookies = await signUp(setup, count);
  const costs = {
    none: await measure(setup, { action: "read", cookies: [] }, milliseconds),
    read: await measure(setup, { action: "read", cookies }, milliseconds),
    write: await measure(setup, { action: "write", cookies }, milliseconds),
  };
  for (let index = 0; index < count; index += Math.ceil(count / 10)) {
    await expectVisitor(setup, index, cookies[index] ?? "");
  }
  return costs;
}

/** Throws unless a visitor's session is still theirs. */
async function expectVisitor(
  setup: Setup,
  index: number,
  cookie: string,
): Promise<void> {
  const client = Client.withCookie(setup, cookie);
  const { body } = await client.send("read");
  if (body === nameOf(index)) return;
  throw new Error(
    `Cannot measure ${setup.name}: ${nameOf(index)} is answered ${body}`,
  );
}
