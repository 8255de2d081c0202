/**
 * Looks after the sessions of a store from the command line.
 *
 * ```sh
 * deno run -A jsr:@cloakroom/session/cli URL COMMAND
 * ```
 *
 * | command | what it does |
 * | --- | --- |
 * | `list [PRINCIPAL]` | the live sessions, of one user or of all |
 * | `show ID` | one session: its times, and its keys with their sizes |
 * | `revoke ID` | ends one session |
 * | `revoke --principal NAME` | ends all sessions of a user |
 * | `revoke --everything` | ends every session |
 * | `gc` | removes what has expired |
 * | `stats` | counts sessions, users and bytes |
 * | `copy URL` | copies everything live to another store |
 *
 * With `--json` the answer is JSON, one object a line. Progress goes to standard
 * error. Neither secrets nor their hashes nor values are ever printed.
 *
 * @example Use it from a program
 * ```ts
 * import { run } from "@cloakroom/session/cli";
 * import { assertEquals } from "@std/assert";
 *
 * const lines: string[] = [];
 * const code = await run(["memory:", "stats", "--json"], {
 *   print: (line) => lines.push(line),
 * });
 * assertEquals(code, 0);
 * assertEquals(lines, ['{"sessions":0,"users":0,"signedIn":0,"bytes":0}']);
 * ```
 *
 * @module
 */
import process from "node:process";
import { copy, type CopyProgress } from "./core/copy.ts";
import type { Provider, StoredSession } from "./core/provider.ts";
import { open } from "./core/registry.ts";
import { dataSize, entrySize } from "./core/value.ts";

/** Where the command line writes to. */
export interface CliOutput {
  /**
   * Takes a line of the answer.
   *
   * @default {console.log}
   */
  readonly print?: ((line: string) => void) | undefined;
  /**
   * Takes progress and errors.
   *
   * @default {console.error}
   */
  readonly printError?: ((line: string) => void) | undefined;
}

const USAGE = `Usage: cli URL COMMAND [--json]

  list [PRINCIPAL]            the live sessions, of one user or of all
  show ID                     one session
  revoke ID                   ends one session
  revoke --principal NAME     ends all sessions of a user
  revoke --everything         ends every session
  gc                          removes what has expired
  stats                       counts sessions, users and bytes
  copy URL                    copies everything live to another store

URL is that of the store, such as sqlite:./sessions.db`;

/** How many sessions are looked at before progress is shown. */
const PAGE = 500;

/** The module that registers each scheme. */
const MODULES = new Map<string, () => Promise<unknown>>([
  ["memory", () => import("./providers/memory.ts")],
  ["sqlite", () => import("./providers/sqlite.ts")],
  ["redis", () => import("./providers/redis.ts")],
  ["rediss", () => import("./providers/redis.ts")],
  ["valkey", () => import("./providers/redis.ts")],
  ["postgres", () => import("./providers/postgres.ts")],
  ["postgresql", () => import("./providers/postgres.ts")],
  ["deno-kv", () => import("./providers/deno_kv.ts")],
]);

/** What a command works with. */
interface Call {
  readonly provider: Provider;
  readonly args: readonly string[];
  readonly flags: ReadonlySet<string>;
  readonly print: (line: string) => void;
  readonly progress: (line: string) => void;
}

const COMMANDS: ReadonlyMap<string, (call: Call) => Promise<number>> = new Map([
  ["list", list],
  ["show", show],
  ["revoke", revoke],
  ["gc", collect],
  ["stats", stats],
  ["copy", copyTo],
]);

/**
 * Runs one command.
 *
 * @param args The URL, the command, and what follows it.
 * @returns The exit code: 0 for done, 1 for not found or failed, 2 for misuse.
 */
export async function run(
  args: readonly string[],
  output: CliOutput = {},
): Promise<number> {
  const { print = console.log, printError = console.error } = output;
  const flags = new Set(args.filter((arg) => arg.startsWith("--")));
  const [url, name = "", ...rest] = args.filter((arg) => !flags.has(arg));
  const command = COMMANDS.get(name);
  if (url === undefined || command === undefined) {
    printError(USAGE);
    return 2;
  }
  let provider: Provider | undefined;
  try {
    provider = await openUrl(url);
    const call = { provider, args: rest, flags, print, progress: printError };
    return await command(call);
  } catch (error) {
    printError(error instanceof Error ? error.message : String(error));
    return error instanceof TypeError ? 2 : 1;
  } finally {
    await provider?.close();
  }
}

async function openUrl(url: string): Promise<Provider> {
  const scheme = url.slice(0, url.indexOf(":"));
  await MODULES.get(scheme)?.();
  return open(url.includes(":") ? url : `${url}:`);
}

async function list({ provider, args, flags, ...out }: Call): Promise<number> {
  const [principal] = args;
  const sessions = principal === undefined
    ? everySession(provider, out.progress)
    : await provider.list(principal, Date.now());
  if (!flags.has("--json")) out.print(row(HEADINGS));
  for await (const { id, record } of sessions) {
    const { createdAt, accessedAt, expiresAt, label } = record;
    const times = { createdAt, accessedAt, expiresAt };
    out.print(
      flags.has("--json")
        ? JSON.stringify({ id, principal: record.principal, label, ...times })
        : row([
          id,
          record.principal ?? "-",
          label ?? "-",
          ...Object.values(times).map(instant),
        ]),
    );
  }
  return 0;
}

const HEADINGS = ["id", "user", "device", "created", "last used", "expires"];

/** The width of each column of a list but the last. */
const WIDTHS = [24, 16, 24, 20, 20];

async function show({ provider, args, flags, print }: Call): Promise<number> {
  const id = required(args[0], "show", "an id");
  const record = await provider.read(id, Date.now());
  if (record === undefined) {
    throw new Error(`Cannot show ${id}: no such session`);
  }
  const { data, secretHash: _hash, previous: _previous, ...rest } = record;
  const keys = Object.entries(data).map(([key, value]) => [
    key,
    entrySize(key, value),
  ]);
  const shown = { id, ...rest, keys: Object.fromEntries(keys) };
  print(flags.has("--json") ? JSON.stringify(shown) : described(shown));
  return 0;
}

async function revoke({ provider, args, flags, print }: Call): Promise<number> {
  const count = await revoked(provider, args, flags);
  print(
    flags.has("--json")
      ? JSON.stringify({ revoked: count })
      : `${count} revoked`,
  );
  return count > 0 ? 0 : 1;
}

async function revoked(
  provider: Provider,
  args: readonly string[],
  flags: ReadonlySet<string>,
): Promise<number> {
  if (flags.has("--everything")) return await provider.clear();
  if (flags.has("--principal")) {
    const principal = required(args[0], "revoke", "a principal");
    return await provider.destroyAll(principal);
  }
  return Number(await provider.destroy(required(args[0], "revoke", "an id")));
}

async function collect({ provider, flags, ...out }: Call): Promise<number> {
  let removed = 0;
  for (;;) {
    const count = await provider.gc(Date.now(), PAGE);
    removed += count;
    if (count < PAGE) break;
    out.progress(`${removed} removed`);
  }
  out.print(
    flags.has("--json") ? JSON.stringify({ removed }) : `${removed} removed`,
  );
  return 0;
}

async function stats({ provider, flags, ...out }: Call): Promise<number> {
  let [sessions, signedIn, bytes] = [0, 0, 0];
  const users = new Set<string>();
  for await (const { record } of everySession(provider, out.progress)) {
    sessions++;
    bytes += dataSize(record.data);
    if (record.principal === undefined) continue;
    signedIn++;
    users.add(record.principal);
  }
  const counts = { sessions, users: users.size, signedIn, bytes };
  out.print(flags.has("--json") ? JSON.stringify(counts) : described(counts));
  return 0;
}

async function copyTo(
  { provider, args, flags, ...out }: Call,
): Promise<number> {
  const to = await openUrl(required(args[0], "copy", "a URL to copy to"));
  try {
    const { cursor: _cursor, ...done } = await copy(provider, to, {
      batch: PAGE,
      onProgress: (progress) => out.progress(progressLine(progress)),
      onSkip: (id, { code }) => out.progress(`${id} skipped: ${code}`),
    });
    out.print(flags.has("--json") ? JSON.stringify(done) : described(done));
    return done.skipped === 0 ? 0 : 1;
  } finally {
    await to.close();
  }
}

function progressLine({ count, total }: CopyProgress): string {
  return total === undefined ? `${count} sessions` : `${count} of ${total}`;
}

async function* everySession(
  provider: Provider,
  progress: (line: string) => void,
): AsyncGenerator<StoredSession> {
  if (provider.scan === undefined) {
    throw new Error("Cannot go through sessions: the provider has no scan()");
  }
  let count = 0;
  let cursor: string | undefined;
  do {
    const page = await provider.scan(cursor, PAGE, Date.now());
    yield* page.sessions;
    for (const id of page.unreadable ?? []) progress(`${id} cannot be read`);
    count += page.sessions.length;
    cursor = page.next;
    if (cursor !== undefined) progress(`${count} sessions`);
  } while (cursor !== undefined);
}

function required(
  value: string | undefined,
  command: string,
  what: string,
): string {
  if (value !== undefined) return value;
  throw new TypeError(`Cannot ${command}: ${what} is missing`);
}

function row(cells: readonly string[]): string {
  return cells
    .map((cell, index) => cell.padEnd(WIDTHS[index] ?? 0))
    .join("  ");
}

function instant(time: number): string {
  return new Date(time).toISOString().slice(0, 19) + "Z";
}

function described(values: object): string {
  return Object.entries(values)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name.padEnd(18)}${text(name, value)}`)
    .join("\n");
}

function text(name: string, value: unknown): string {
  if (typeof value === "number" && name.endsWith("At")) return instant(value);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

if (import.meta.main) process.exitCode = await run(process.argv.slice(2));
