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
 * | `revoke --everything` | ends every session; on a terminal it asks first |
 * | `gc` | removes what has expired |
 * | `stats` | counts sessions, users and bytes of data |
 * | `copy URL` | copies everything live to another store |
 *
 * URL is that of the store, such as `sqlite:./sessions.db`. In Deno, `deno-kv:`
 * needs `--unstable-kv` besides. `redis:`, `postgres:`, `mysql:` and `mariadb:` need
 * the clients that Bun has built in, so run the module with Bun for those.
 *
 * `help`, `-h` and `--help` tell how it is used. `revoke` takes `--dry-run`, which
 * counts and ends nothing, and `--yes`, which does not ask. A list is sorted by
 * last use, the latest first. On a terminal progress is one line that rewrites
 * itself, and headings are bold unless `NO_COLOR` is set.
 *
 * Keys of encryption come from the environment and are never printed:
 * `SESSION_KEYS` holds those of the store, with commas in between, of which the
 * first one encrypts, and `SESSION_HIDE` what is hidden besides. `copy` encrypts
 * as `SESSION_COPY_KEYS` and `SESSION_COPY_HIDE` say, or with the same ones;
 * `none` stands for no keys. See {@linkcode CliOptions.env}.
 *
 * With `--json` the answer is JSON, one object a line, with instants in
 * milliseconds since the Unix epoch. Progress, errors, and the ids of records
 * that cannot be read go to standard error. Neither secrets nor their hashes
 * nor values are ever printed.
 *
 * An id is taken for one although it begins with `-`; another word that does
 * comes after `--`, or after `=` if it belongs to an option.
 *
 * The exit code is 0 for done, 1 for not found, failed, declined or copied in part, 2 for
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
import { createInterface } from "node:readline/promises";
import {
  checkCopyKeys,
  COPY,
  type Environment,
  OWN,
  type Variables,
  withKeys,
} from "./cli/keys.ts";
import { fileOf, hasTable, isCursor, isSame, tableOf } from "./cli/store.ts";
import { bold, cell, distance, size, table, visible } from "./cli/text.ts";
import { copy, type CopyProgress } from "./core/store/copy.ts";
import type {
  Provider,
  SessionRecord,
  SessionSummary,
  StoredSession,
} from "./core/provider.ts";
import { SessionError } from "./core/errors.ts";
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
  /**
   * Shows how far a command is, in place of what it showed before; an empty text
   * takes it away. Without it progress is printed line by line as errors are.
   *
   * @default {undefined}
   */
  readonly showProgress?: ((line: string) => void) | undefined;
  /**
   * Asks before every session is ended. Without it nobody is asked.
   *
   * @default {undefined}
   */
  readonly confirm?: ((question: string) => Promise<boolean>) | undefined;
  /**
   * Whether headings are set off as a terminal is told to.
   *
   * @default {false}
   */
  readonly isColoured?: boolean | undefined;
  /**
   * Variables of the environment, of which those that begin with `SESSION_` count.
   * As a program, it takes those of its process.
   *
   * @default {{}}
   */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Stops what takes long at the next opportunity. */
  readonly signal?: AbortSignal | undefined;
}

const USAGE = `Usage: cli URL COMMAND [--json]

  list [PRINCIPAL]            the live sessions, of one user or of all
  show ID                     one session
  revoke ID                   ends one session
  revoke --principal NAME     ends all sessions of a user
  revoke --everything         ends every session
    --dry-run                   only counts what would be ended
    --yes                       does not ask
  gc                          removes what has expired
  stats                       counts sessions, users and bytes of data
  copy URL                    copies everything live to another store
    --since INSTANT             only what was used since then
    --cursor CURSOR             goes on where another run broke off
  help                        prints this

URL is that of the store, such as sqlite:./sessions.db

If it is encrypted, the environment tells how:

  SESSION_KEYS                its keys, the first one encrypts; or none
  SESSION_HIDE                what is hidden: principal,label,key-names; or none
  SESSION_COPY_KEYS           the same of the store that copy copies to,
  SESSION_COPY_HIDE           if it differs`;

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
  ["--dry-run", false],
  ["--yes", false],
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
  readonly url: string;
  readonly env: Environment;
  readonly isColoured: boolean;
  readonly confirm: CliOptions["confirm"];
  /** Prints what went wrong with one session. */
  readonly report: (line: string) => void;
  /** Shows how far it is. */
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
    options: ["--principal", "--everything", "--dry-run", "--yes"],
  }],
  ["gc", { run: collect, words: 0, options: [] }],
  ["stats", { run: stats, words: 0, options: [] }],
  ["copy", { run: copyTo, words: 1, options: ["--since", "--cursor"] }],
]);

const CLI_OPTIONS: readonly string[] = Object.keys(
  {
    print: 1,
    printError: 1,
    showProgress: 1,
    confirm: 1,
    isColoured: 1,
    env: 1,
    signal: 1,
  } satisfies Record<keyof CliOptions, 1>,
);

/** It was asked for something that cannot be meant. */
class Misuse extends TypeError {}

/**
 * Runs one command.
 *
 * @param args The URL, the command, and what follows it.
 * @param given See {@linkcode CliOptions}.
 * @returns The exit code: 0 for done, 1 for not found, failed, declined or copied in part,
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
  given: CliOptions,
): Promise<number> {
  const { print = console.log, printError = console.error } = given;
  const { showProgress, signal, confirm, isColoured = false } = given;
  const { env = {} } = given;
  if (options.has("--help") || words[0] === "help") {
    for (const line of USAGE.split("\n")) print(line);
    return 0;
  }
  const [url, name, ...rest] = words;
  const command = commandFor(name, { words: rest, options });
  const provider = await openUrl(url as string, { env, variables: OWN });
  const clear = () => showProgress?.("");
  try {
    return await command.run({
      provider,
      url: url as string,
      env,
      confirm,
      isColoured,
      words: rest,
      options,
      signal,
      isJson: options.has("--json"),
      print(line) {
        clear();
        print(line);
      },
      report(line) {
        clear();
        printError(visible(line));
      },
      progress: showProgress ?? printError,
    });
  } finally {
    clear();
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
  if (arg === "-h") return false;
  return !arg.startsWith("-") ||
    arg.length === ID_LENGTH && /^[\w-]+$/.test(arg);
}

function parseOption(
  arg: string,
  rest: Iterator<string, unknown>,
): [name: string, value: string] {
  if (arg === "-h") return ["--help", ""];
  const [name = arg, ...parts] = arg.split("=");
  const hasValue = OPTIONS.get(name);
  if (hasValue === undefined || (!hasValue && parts.length > 0)) {
    // Its value may be a key.
    throw new Misuse(
      `Cannot run command: unknown option: received ${name}${
        /^--keys?$/.test(name) ? `: set ${OWN.keys} in its place` : ""
      }`,
    );
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

/** How a store is opened. */
interface Opening {
  /** Whether it may be one that is yet to be made. */
  readonly isNew?: boolean;
  readonly env: Environment;
  /** The names of those of `env` that tell its encryption. */
  readonly variables: Variables;
}

async function openUrl(
  url: string,
  { isNew = false, env, variables }: Opening,
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
  checkRuntime(scheme.toLowerCase());
  try {
    if (!isNew) await checkThere(url);
    return await withKeys(open(url), env, variables);
  } catch (error) {
    throw new Misuse((error as Error).message, { cause: error });
  }
}

/** Only Bun has a client of Redis to open a URL with. */
function checkRuntime(scheme: string): void {
  if (!/^(redis|rediss|valkey)$/.test(scheme) || "Bun" in globalThis) return;
  throw new Misuse(
    `Cannot open store: only Bun has a client for it: run the command line with Bun, such as bunx --bun cloakroom-session, or hand a client to RedisProvider in a program: received ${scheme}`,
  );
}

/** A name with a slip in it would be a store that is new and empty. */
async function checkThere(url: string): Promise<void> {
  const path = fileOf(url);
  if (path !== undefined && !existsSync(path)) {
    throw new TypeError(
      `Cannot open store: there is no such file: received ${path}`,
    );
  }
  if (await hasTable(url)) return;
  throw new TypeError(
    `Cannot open store: it has no such table: received ${tableOf(url)}`,
  );
}

/** What a list shows of a session. */
interface Line extends SessionSummary {
  readonly principal: string | undefined;
}

async function list(call: Call): Promise<number> {
  const { words: [principal], isJson, print, isColoured } = call;
  const lines = principal === undefined
    ? everyLine(call)
    : await linesOf(call, principal);
  if (isJson) {
    for await (const line of lines) {
      print(visible(JSON.stringify(toJson(line))));
    }
    return 0;
  }
  const sorted: Line[] = [];
  for await (const line of lines) sorted.push(line);
  sorted.sort((a, b) => b.accessedAt - a.accessedAt || (a.id < b.id ? -1 : 1));
  const now = Date.now();
  const rows = sorted.map((line) => [
    line.id,
    line.principal ?? "-",
    line.label ?? "-",
    isBound(line.binding) ? "yes" : "no",
    ...[line.createdAt, line.accessedAt, expiryOf(line)]
      .map((time) => distance(time, now)),
  ]);
  const [headings = "", ...others] = table([HEADINGS, ...rows]);
  print(isColoured ? bold(headings) : headings);
  for (const line of others) print(line);
  return 0;
}

function toJson(line: Line): object {
  const { id, principal, label, createdAt, accessedAt } = line;
  const isDeviceBound = isBound(line.binding);
  const times = { createdAt, accessedAt, expiresAt: expiryOf(line) };
  return { id, principal, label, isDeviceBound, ...times };
}

async function linesOf(
  { provider, report }: Call,
  principal: string,
): Promise<Line[]> {
  const now = Date.now();
  const { sessions, unreadable } = await provider.list(principal, now);
  for (const id of unreadable) report(`${id} cannot be read`);
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
  if (options.has("--dry-run")) {
    const count = await countOf(call);
    print(
      isJson
        ? JSON.stringify({ wouldRevoke: count })
        : `${count} would be revoked`,
    );
    return count > 0 || isEverything ? 0 : 1;
  }
  if (isEverything && !await isConfirmed(call)) {
    call.report("Nothing was revoked");
    return 1;
  }
  let revoked: number;
  if (id !== undefined) revoked = await revokeOne(provider, id);
  else if (isEverything) revoked = await provider.clear();
  else revoked = await provider.destroyAll(principal as string);
  print(isJson ? JSON.stringify({ revoked }) : `${revoked} revoked`);
  return revoked > 0 || isEverything ? 0 : 1;
}

async function isConfirmed({ options, confirm }: Call): Promise<boolean> {
  if (options.has("--yes") || confirm === undefined) return true;
  return await confirm("End every session of this store? [y/N] ");
}

/** How many sessions `revoke` would end. */
async function countOf(call: Call): Promise<number> {
  const { provider, words: [id], options } = call;
  const principal = options.get("--principal");
  if (id !== undefined) return await isThere(provider, id) ? 1 : 0;
  if (principal !== undefined) {
    const { sessions, unreadable } = await provider.list(principal, Date.now());
    return sessions.length + unreadable.length;
  }
  let count = 0;
  const counting = { ...call, report: () => void count++ };
  for await (const _ of everySession(counting)) count++;
  return count;
}

async function isThere(provider: Provider, id: string): Promise<boolean> {
  try {
    return await provider.read(id, Date.now()) !== undefined;
  } catch (error) {
    if (error instanceof SessionError && error.code === "corrupt") return true;
    throw error;
  }
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
  const { provider, env, options, signal, progress } = call;
  const url = required(call, "copy", "a URL to copy to");
  const since = parseInstant(options.get("--since"));
  const cursor = options.get("--cursor");
  checkCursor(call.url, cursor);
  if (/^(memory(:|$)|sqlite::memory:)/i.test(url)) {
    throw new Misuse(
      "Cannot copy: a store in memory ends with the command: received memory",
    );
  }
  if (isSame(call.url, url)) {
    throw new Misuse("Cannot copy: both URLs name the same store");
  }
  const to = await openCopy(url, env);
  let last: CopyProgress | undefined;
  try {
    last = await copy(provider, to, {
      batch: PAGE,
      since,
      cursor,
      signal,
      onProgress(now) {
        last = now;
        progress(progressLine(now));
      },
      onSkip: (id, { code }) => call.report(`${id} skipped: ${code}`),
    });
    return last.skipped === 0 ? 0 : 1;
  } finally {
    // If it is broken off, that tells where to go on.
    if (last !== undefined) answer(call, last);
    await to.close();
  }
}

async function openCopy(url: string, env: Environment): Promise<Provider> {
  try {
    checkCopyKeys(env);
  } catch (error) {
    throw new Misuse((error as Error).message, { cause: error });
  }
  return await openUrl(url, { isNew: true, env, variables: COPY });
}

function progressLine(
  { count, total }: Pick<CopyProgress, "count" | "total">,
): string {
  if (total === undefined || total === 0) return `${count} sessions`;
  const percentage = Math.min(100, Math.floor(100 * count / total));
  return `${count} of ${total} (${percentage} %)`;
}

/** A store would take another text for a place, and leave sessions out. */
function checkCursor(url: string, cursor: string | undefined): void {
  if (cursor === undefined || isCursor(url, cursor)) return;
  throw new Misuse(
    `Cannot copy: --cursor must be what a run that broke off printed: received ${cursor}`,
  );
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
  { provider, progress, report, signal }: Call,
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
    for (const id of page.unreadable ?? []) report(`${id} cannot be read`);
    count += page.sessions.length;
    cursor = page.next;
    const { total } = page;
    if (cursor !== undefined) progress(progressLine({ count, total }));
  } while (cursor !== undefined);
}

function required({ words }: Call, command: string, what: string): string {
  const [word] = words;
  if (word !== undefined) return word;
  throw new Misuse(`Cannot ${command}: ${what} is missing`);
}

function answer({ isJson, print }: Call, values: object): void {
  if (isJson) return print(visible(JSON.stringify(values)));
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined) print(name.padEnd(18) + cell(text(name, value)));
  }
}

function text(name: string, value: unknown): string {
  if (typeof value === "number") {
    if (name.endsWith("At")) return instant(value);
    if (name === "bytes") return size(value);
  }
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Rounded down, so that `--since` leaves nothing out. */
function instant(time: number): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return String(time);
  return date.toISOString().slice(0, 19) + "Z";
}

/** What a terminal is told to begin its line again, and to empty it. */
const ERASE_LINE = "\r\x1b[K";

/**
 * Runs as a program of its own: takes the arguments of the process, prints to
 * the terminal, and sets the exit code.
 *
 * @returns Once the command has ended.
 *
 * @example The file that a command of the shell runs
 * ```ts ignore
 * import { main } from "@cloakroom/session/cli";
 *
 * await main();
 * ```
 */
export async function main(): Promise<void> {
  const { stdin, stdout, stderr, env } = process;
  const interruption = new AbortController();
  const interrupt = () => interruption.abort();
  // The second one ends the program at once.
  process.once("SIGINT", interrupt);
  const { signal } = interruption;
  process.exitCode = await run(process.argv.slice(2), {
    signal,
    env,
    isColoured: stdout.isTTY === true && !env["NO_COLOR"],
    showProgress: stderr.isTTY
      ? (line) => void stderr.write(ERASE_LINE + line)
      : undefined,
    confirm: stdin.isTTY && stderr.isTTY
      ? (question) => ask(question, signal)
      : undefined,
  });
  process.off("SIGINT", interrupt);
}

async function ask(question: string, signal: AbortSignal): Promise<boolean> {
  const { stdin: input, stderr: output } = process;
  const terminal = createInterface({ input, output });
  try {
    const answered = await terminal.question(question, { signal });
    return /^y(es)?$/i.test(answered.trim());
  } finally {
    terminal.close();
  }
}

if (import.meta.main) await main();
