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
 * | `stats` | counts sessions, users and bytes of data |
 * | `copy URL` | copies everything live to another store |
 *
 * URL is that of the store, such as `sqlite:./sessions.db`. In Deno, `deno-kv:`
 * needs `--unstable-kv` besides. `redis:`, `postgres:`, `mysql:` and `mariadb:` need
 * the clients that Bun has built in, so run the module with Bun for those.
 *
 * With `--json` the answer is JSON, one object a line, with instants in
 * milliseconds since the Unix epoch. Progress, errors, and the ids of records
 * that cannot be read go to standard error. Neither secrets nor their hashes
 * nor values are ever printed.
 *
 * An id is taken for one although it begins with `-`; another word that does
 * comes after `--`, or after `=` if it belongs to an option.
 *
 * The exit code is 0 for done, 1 for not found, failed or copied in part, 2 for
 * misuse and 130 for interrupted.
 *
 * ## Copying
 *
 * A copy that fails or is interrupted prints its `cursor`: `copy URL --cursor
 * CURSOR` goes on from there. When the site runs on the other store, `copy URL
 * --since INSTANT` brings what was used in between; INSTANT is the `startedAt`
 * that the first run printed, the one without `--cursor`, in ISO 8601 such as
 * `2030-01-31T12:00:00Z`, or in milliseconds as in JSON. See
 * {@linkcode copy} for what no copy can know.
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
import { existsSync } from "node:fs";
import process from "node:process";
import { isBound } from "./core/device/binding.ts";
import { copy, type CopyProgress } from "./core/store/copy.ts";
import type {
  Provider,
  SessionRecord,
  SessionSummary,
  StoredSession,
} from "./core/provider.ts";
import { ownOf, ownOptions } from "./core/option_names.ts";
import { open, registered } from "./core/registry.ts";
import { expiryOf, summaryOf } from "./core/store/record.ts";
import { ID_LENGTH } from "./core/secret/token.ts";
import { dataSize, entrySize } from "./core/value/size.ts";

/** Where the command line writes to, and what stops it. */
export interface CliOptions {
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
  /** Stops what takes long at the next opportunity. */
  readonly signal?: AbortSignal | undefined;
}

const USAGE = `Usage: cli URL COMMAND [--json]

  list [PRINCIPAL]            the live sessions, of one user or of all
  show ID                     one session
  revoke ID                   ends one session
  revoke --principal NAME     ends all sessions of a user
  revoke --everything         ends every session
  gc                          removes what has expired
  stats                       counts sessions, users and bytes of data
  copy URL                    copies everything live to another store
    --since INSTANT             only what was used since then
    --cursor CURSOR             goes on where another run broke off

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
  ["mariadb", () => import("./providers/mysql.ts")],
  ["mysql", () => import("./providers/mysql.ts")],
  ["postgres", () => import("./providers/postgres.ts")],
  ["postgresql", () => import("./providers/postgres.ts")],
  ["deno-kv", () => import("./providers/deno_kv.ts")],
]);

/** The options that there are, and whether a value belongs to them. */
const OPTIONS: ReadonlyMap<string, boolean> = new Map([
  ["--help", false],
  ["--json", false],
  ["--principal", true],
  ["--everything", false],
  ["--since", true],
  ["--cursor", true],
]);

/** What was asked for. */
interface Arguments {
  readonly words: readonly string[];
  /** By name; those that take no value have an empty one. */
  readonly options: ReadonlyMap<string, string>;
}

/** What a command works with. */
interface Call extends Arguments {
  readonly provider: Provider;
  readonly isJson: boolean;
  readonly signal: AbortSignal | undefined;
  readonly print: (line: string) => void;
  readonly progress: (line: string) => void;
}

interface Command {
  readonly run: (call: Call) => Promise<number>;
  /** What may follow it: how many words at most, and which options. */
  readonly words: number;
  readonly options: readonly string[];
}

const COMMANDS: ReadonlyMap<string, Command> = new Map([
  ["list", { run: list, words: 1, options: [] }],
  ["show", { run: show, words: 1, options: [] }],
  ["revoke", {
    run: revoke,
    words: 1,
    options: ["--principal", "--everything"],
  }],
  ["gc", { run: collect, words: 0, options: [] }],
  ["stats", { run: stats, words: 0, options: [] }],
  ["copy", { run: copyTo, words: 1, options: ["--since", "--cursor"] }],
]);

const CLI_OPTIONS: readonly string[] = Object.keys(
  { print: 1, printError: 1, signal: 1 } satisfies Record<keyof CliOptions, 1>,
);

/** It was asked for something that cannot be meant. */
class Misuse extends TypeError {}

/**
 * Runs one command.
 *
 * @param args The URL, the command, and what follows it.
 * @param given See {@linkcode CliOptions}.
 * @returns The exit code: 0 for done, 1 for not found, failed or copied in part,
 * 2 for misuse, 130 for stopped by `signal`.
 * @throws {TypeError} If there is an option of another name.
 */
export async function run(
  args: readonly string[],
  given: CliOptions = {},
): Promise<number> {
  const options = ownOptions("run command", given, CLI_OPTIONS);
  const { signal, printError = console.error } = options;
  const complain = (line: string) => printError(visible(line));
  try {
    return await perform(parse(args), options);
  } catch (error) {
    if (signal?.aborted) {
      complain("Interrupted");
      return 130;
    }
    complain(error instanceof Error ? error.message : String(error));
    if (!(error instanceof Misuse)) return 1;
    complain("Run it with --help to see how it is used");
    return 2;
  }
}

async function perform(
  { words, options }: Arguments,
  { print = console.log, printError = console.error, signal }: CliOptions,
): Promise<number> {
  if (options.has("--help")) {
    for (const line of USAGE.split("\n")) print(line);
    return 0;
  }
  const [url, name, ...rest] = words;
  const command = commandFor(name, { words: rest, options });
  const provider = await openUrl(url as string, { isNew: false });
  try {
    return await command.run({
      provider,
      words: rest,
      options,
      signal,
      isJson: options.has("--json"),
      print: (line) => print(visible(line)),
      progress: (line) => printError(visible(line)),
    });
  } finally {
    await provider.close();
  }
}

function parse(args: readonly string[]): Arguments {
  const words: string[] = [];
  const options = new Map<string, string>();
  const rest = args.values();
  for (const arg of rest) {
    if (arg === "--") words.push(...rest);
    else if (isWord(arg)) words.push(arg);
    else options.set(...parseOption(arg, rest));
  }
  return { words, options };
}

/** One id in 64 begins with a hyphen. */
function isWord(arg: string): boolean {
  return !arg.startsWith("-") ||
    arg.length === ID_LENGTH && /^[\w-]+$/.test(arg);
}

function parseOption(
  arg: string,
  rest: Iterator<string, unknown>,
): [name: string, value: string] {
  const [name = arg, ...parts] = arg.split("=");
  const hasValue = OPTIONS.get(name);
  if (hasValue === undefined || (!hasValue && parts.length > 0)) {
    throw new Misuse(`Cannot run command: unknown option: received ${arg}`);
  }
  if (!hasValue) return [name, ""];
  if (parts.length > 0) return [name, parts.join("=")];
  const { value, done } = rest.next();
  if (!done && !OPTIONS.has(value as string)) return [name, value as string];
  throw new Misuse(`Cannot run command: the value of ${name} is missing`);
}

/** The command of a name, if what follows it can be meant. */
function commandFor(
  name: string | undefined,
  { words, options }: Arguments,
): Command {
  if (name === undefined) {
    throw new Misuse("Cannot run command: a URL and a command must be named");
  }
  const command = COMMANDS.get(name);
  if (command === undefined) {
    throw new Misuse(`Cannot run command: it is unknown: received ${name}`);
  }
  const known = ["--json", ...command.options];
  const other = [...options.keys()].find((option) => !known.includes(option)) ??
    words[command.words];
  if (other === undefined) return command;
  throw new Misuse(
    `Cannot ${name}: that is more than it takes: received ${other}`,
  );
}

/** @param isNew Whether the store may be one that is yet to be made. */
async function openUrl(
  url: string,
  { isNew }: { readonly isNew: boolean },
): Promise<Provider> {
  const [, scheme = ""] = /^([a-z][a-z\d+.-]*)(?::|$)/i.exec(url) ?? [];
  await MODULES.get(scheme.toLowerCase())?.();
  if (!registered().includes(scheme.toLowerCase())) {
    // A URL may hold a password, so it is not quoted.
    throw new Misuse(
      `Cannot open store: the scheme of its URL must be one of ${
        [...MODULES.keys()].join(", ")
      }: received ${scheme || "none"}`,
    );
  }
  try {
    const provider = open(url);
    if (!isNew) checkFile(url);
    return provider;
  } catch (error) {
    throw new Misuse((error as Error).message, { cause: error });
  }
}

/** A path with a slip in it would be a store that is new and empty. */
function checkFile(url: string): void {
  if (!/^(sqlite|deno-kv):[^:]/i.test(url)) return;
  const path = decodeURIComponent(new URL(url).pathname);
  if (/^https?:/.test(path) || existsSync(path)) return;
  throw new TypeError(
    `Cannot open store: there is no such file: received ${path}`,
  );
}

/** What a list shows of a session. */
interface Line extends SessionSummary {
  readonly principal: string | undefined;
}

async function list(call: Call): Promise<number> {
  const { words: [principal], isJson, print } = call;
  const lines = principal === undefined
    ? everyLine(call)
    : await linesOf(call, principal);
  if (!isJson) print(row(HEADINGS));
  for await (const line of lines) {
    const { id, principal: user, label, createdAt, accessedAt } = line;
    const isDeviceBound = isBound(line.binding);
    const times = { createdAt, accessedAt, expiresAt: expiryOf(line) };
    print(
      isJson
        ? JSON.stringify({
          id,
          principal: user,
          label,
          isDeviceBound,
          ...times,
        })
        : row([
          id,
          user ?? "-",
          label ?? "-",
          isDeviceBound ? "yes" : "no",
          ...Object.values(times).map(instant),
        ]),
    );
  }
  return 0;
}

async function linesOf(
  { provider, progress }: Call,
  principal: string,
): Promise<Line[]> {
  const now = Date.now();
  const { sessions, unreadable } = await provider.list(principal, now);
  for (const id of unreadable) progress(`${id} cannot be read`);
  return sessions.map((summary) => ({ ...summary, principal }));
}

async function* everyLine(call: Call): AsyncGenerator<Line> {
  for await (const { id, record } of everySession(call)) {
    const { principal } = record;
    yield { ...summaryOf(id, record), principal };
  }
}

const HEADINGS = [
  "id",
  "user",
  "device",
  "bound",
  "created",
  "last used",
  "expires",
];

/** The width of each column of a list but the last. */
const WIDTHS = [24, 16, 24, 5, 20, 20];

async function show(call: Call): Promise<number> {
  const id = required(call, "show", "an id");
  const record = await call.provider.read(id, Date.now());
  if (record === undefined) {
    throw new Error(`Cannot show session: there is none: received ${id}`);
  }
  const keys = Object.entries(record.data).map(([key, value]) => [
    key,
    entrySize(key, value),
  ]);
  const values = Object.keys(SHOWN)
    .filter((name) => SHOWN[name as keyof SessionRecord])
    .map((name) => [name, record[name as keyof SessionRecord]]);
  answer(call, {
    id,
    ...Object.fromEntries(values),
    isDeviceBound: isBound(record.binding),
    expiresAt: expiryOf(record),
    keys: Object.fromEntries(keys),
  });
  return 0;
}

/** What is shown of a session: nothing that a secret could be checked with. */
const SHOWN: Readonly<Record<keyof SessionRecord, boolean>> = {
  version: true,
  principal: true,
  label: true,
  authenticatedAt: true,
  createdAt: true,
  accessedAt: true,
  renewedAt: true,
  idleTimeout: true,
  absoluteTimeout: true,
  persistent: true,
  data: false,
  secretHash: false,
  family: false,
  previous: false,
  fingerprint: false,
  binding: false,
};

async function revoke(call: Call): Promise<number> {
  const { provider, words, options, isJson, print } = call;
  const principal = options.get("--principal");
  const isEverything = options.has("--everything");
  const [id] = words;
  const named = [id, principal, isEverything || undefined];
  if (named.filter((some) => some !== undefined).length !== 1) {
    throw new Misuse(
      "Cannot revoke: it takes one of an id, --principal and --everything",
    );
  }
  let revoked: number;
  if (id !== undefined) revoked = await revokeOne(provider, id);
  else if (isEverything) revoked = await provider.clear();
  else revoked = await provider.destroyAll(principal as string);
  print(isJson ? JSON.stringify({ revoked }) : `${revoked} revoked`);
  return revoked > 0 || isEverything ? 0 : 1;
}

/** Without a guard: it ends a session too whose record cannot be read. */
async function revokeOne(provider: Provider, id: string): Promise<number> {
  const result = await provider.destroy(id, {}, Date.now());
  return Number(result === "done");
}

async function collect(call: Call): Promise<number> {
  const { provider, isJson, print, progress, signal } = call;
  let removed = 0;
  for (;;) {
    signal?.throwIfAborted();
    const count = await provider.gc(Date.now(), PAGE);
    removed += count;
    if (count < PAGE) break;
    progress(`${removed} removed`);
  }
  print(isJson ? JSON.stringify({ removed }) : `${removed} removed`);
  return 0;
}

async function stats(call: Call): Promise<number> {
  let [sessions, signedIn, bytes] = [0, 0, 0];
  const users = new Set<string>();
  for await (const { record } of everySession(call)) {
    sessions++;
    bytes += dataSize(record.data);
    if (record.principal === undefined) continue;
    signedIn++;
    users.add(record.principal);
  }
  answer(call, { sessions, users: users.size, signedIn, bytes });
  return 0;
}

async function copyTo(call: Call): Promise<number> {
  const { provider, options, signal, progress } = call;
  const url = required(call, "copy", "a URL to copy to");
  const since = parseInstant(options.get("--since"));
  const to = await openUrl(url, { isNew: true });
  let last: CopyProgress | undefined;
  try {
    last = await copy(provider, to, {
      batch: PAGE,
      since,
      cursor: options.get("--cursor"),
      signal,
      onProgress(now) {
        last = now;
        progress(progressLine(now));
      },
      onSkip: (id, { code }) => progress(`${id} skipped: ${code}`),
    });
    return last.skipped === 0 ? 0 : 1;
  } finally {
    // If it is broken off, that tells where to go on.
    if (last !== undefined) answer(call, last);
    await to.close();
  }
}

function progressLine({ count, total }: CopyProgress): string {
  return total === undefined ? `${count} sessions` : `${count} of ${total}`;
}

function parseInstant(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d+$/.test(text)) return Number(text);
  // Without a zone it would mean another instant on every machine.
  const isWhole = /^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)$/.test(text);
  const time = isWhole ? Date.parse(text) : NaN;
  if (!Number.isNaN(time)) return time;
  throw new Misuse(
    `Cannot copy: --since must be an instant such as 2030-01-31T12:00:00Z: received ${text}`,
  );
}

async function* everySession(
  { provider, progress, signal }: Call,
): AsyncGenerator<StoredSession> {
  if (provider.scan === undefined) {
    throw new Error("Cannot go through sessions: the provider has no scan()");
  }
  let count = 0;
  let cursor: string | undefined;
  do {
    signal?.throwIfAborted();
    const page = ownOf(await provider.scan(cursor, PAGE, Date.now()));
    yield* page.sessions;
    for (const id of page.unreadable ?? []) progress(`${id} cannot be read`);
    count += page.sessions.length;
    cursor = page.next;
    if (cursor !== undefined) progress(`${count} sessions`);
  } while (cursor !== undefined);
}

function required({ words }: Call, command: string, what: string): string {
  const [word] = words;
  if (word !== undefined) return word;
  throw new Misuse(`Cannot ${command}: ${what} is missing`);
}

function answer({ isJson, print }: Call, values: object): void {
  if (isJson) return print(JSON.stringify(values));
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined) print(name.padEnd(18) + text(name, value));
  }
}

function text(name: string, value: unknown): string {
  if (typeof value === "number" && name.endsWith("At")) return instant(value);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function row(cells: readonly string[]): string {
  return cells
    .map((cell, index) => cell.padEnd(WIDTHS[index] ?? 0))
    .join("  ");
}

/** Rounded down, so that `--since` leaves nothing out. */
function instant(time: number): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return String(time);
  return date.toISOString().slice(0, 19) + "Z";
}

/**
 * A label may come from a visitor: what would break the line, or have a terminal
 * do something, is written as in JSON, in which it means the same.
 */
function visible(line: string): string {
  return line.replace(
    /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

if (import.meta.main) {
  const interruption = new AbortController();
  const interrupt = () => interruption.abort();
  // The second one ends the program at once.
  process.once("SIGINT", interrupt);
  const { signal } = interruption;
  process.exitCode = await run(process.argv.slice(2), { signal });
  process.off("SIGINT", interrupt);
}
