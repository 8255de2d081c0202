import {
  assert,
  assertEquals,
  assertFalse,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { type CliOptions, run } from "../cli.ts";
import { register } from "../core/registry.ts";
import { expiryOf } from "../core/store/record.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { SqliteProvider } from "../providers/sqlite.ts";
import { Browser, Site } from "./_browser.ts";
import { leakIn } from "./_leaks.ts";
import { inheriting } from "./_pollution.ts";
import {
  makeData,
  makeId,
  makeRecord,
  type RecordOptions,
} from "./_records.ts";

const HOUR = 3_600_000;
const folder = mkdtempSync(join(tmpdir(), "cli-test-"));
after(() => rmSync(folder, { recursive: true }));

/** What a command answered and printed. */
interface Outcome {
  readonly code: number;
  readonly lines: readonly string[];
  readonly errors: readonly string[];
}

async function cli(
  args: readonly string[],
  signal?: AbortSignal,
): Promise<Outcome> {
  const lines: string[] = [];
  const errors: string[] = [];
  const code = await run(args, {
    print: (line) => lines.push(line),
    printError: (line) => errors.push(line),
    signal,
  });
  return { code, lines, errors };
}

let files = 0;

/** A file of sessions, and the command line for it. */
class Store {
  readonly path: string = join(folder, `${++files}.db`);
  readonly url: string = `sqlite:${this.path}`;

  constructor(...sessions: readonly (RecordOptions & { id?: string })[]) {
    this.use((provider) => {
      for (
        const [index, { id = makeId(index), ...rest }] of sessions.entries()
      ) {
        const record = makeRecord({ now: Date.now(), ...rest });
        assert(provider.create(id, record, record.createdAt));
      }
      // Makes the file even if there are none.
      provider.gc(0, 1);
    });
  }

  /** A store of as many sessions, all alike but for their ids. */
  static of(count: number, options: RecordOptions = {}): Store {
    return new Store(...Array.from({ length: count }, () => options));
  }

  cli(...args: readonly string[]): Promise<Outcome> {
    return cli([this.url, ...args]);
  }

  /** Does something with the file when nobody else has it open. */
  use<T>(action: (provider: SqliteProvider) => T): T {
    const provider = new SqliteProvider(this.path);
    try {
      return action(provider);
    } finally {
      provider.close();
    }
  }

  /** The ids of the sessions that are live. */
  get ids(): readonly string[] {
    return this.use((provider) =>
      provider.scan(undefined, 10_000, Date.now()).sessions.map(({ id }) => id)
    );
  }

  /** Writes into the table past the provider. */
  exec(sql: string): void {
    const file = new DatabaseSync(this.path);
    file.exec(sql);
    file.close();
  }
}

/** A store that visitors came to through a manager. */
async function visitedStore(): Promise<[Store, Browser]> {
  const store = new Store();
  const site = siteOn(store);
  const browser = new Browser(site);
  await browser.visit((session) => {
    session.signIn("ada", { label: "Laptop" });
    session.set("cart", ["confidential"]);
  });
  await site.manager.close();
  return [store, browser];
}

function siteOn(store: Store): Site {
  return new Site({ provider: store.url, now: Date.now });
}

/** A provider that fails, or is stopped, once some pages have been read. */
class Breaking extends MemoryProvider {
  static pages = Infinity;
  static onBreak: () => void = () => {};

  override scan(...args: Parameters<MemoryProvider["scan"]>) {
    if (Breaking.pages-- <= 0) Breaking.onBreak();
    return super.scan(...args);
  }

  override close(): void {}
}

const breaking = new Breaking();
register("breaking", () => breaking);

/** Copies from a store of 1,200 that breaks at its second page. */
async function brokenCopy(
  to: Store,
  options: readonly string[],
  onBreak: () => void,
  signal?: AbortSignal,
): Promise<Outcome> {
  breaking.clear();
  for (let number = 0; number < 1200; number++) {
    const record = makeRecord({ now: Date.now() });
    breaking.create(makeId(number), record, Date.now());
  }
  Object.assign(Breaking, { pages: 1, onBreak });
  try {
    return await cli(["breaking:", "copy", to.url, ...options], signal);
  } finally {
    Object.assign(Breaking, { pages: Infinity, onBreak: () => {} });
  }
}

function fail(): never {
  throw new Error("the line is down");
}

function parsed({ lines }: Outcome): Record<string, unknown>[] {
  return lines.map((line) => JSON.parse(line));
}

const program = fileURLToPath(new URL("../cli.ts", import.meta.url));

/** Runs the command line as a program of its own. */
async function runProgram(...args: readonly string[]): Promise<Outcome> {
  const prefix = "Bun" in globalThis ? [] : ["run", "-A"];
  const child = spawn(process.execPath, [...prefix, program, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const closed = once(child, "close");
  const texts = await Promise.all(
    [child.stdout, child.stderr].map(async (stream) => {
      let text = "";
      for await (const chunk of stream.setEncoding("utf8")) text += chunk;
      return text;
    }),
  );
  const [code] = await closed;
  const [lines = [], errors = []] = texts.map((text) =>
    text.split("\n").slice(0, -1)
  );
  return { code, lines, errors };
}

const hasScript = process.platform === "linux" &&
  existsSync("/usr/bin/script");

/** What the program writes on a terminal on which somebody types. */
function onTerminal(
  args: readonly string[],
  settings: Readonly<Record<string, string>> = {},
  input = "",
): string {
  const prefix = "Bun" in globalThis ? [] : ["run", "-A"];
  const command = [process.execPath, ...prefix, program, ...args];
  // Deno adds to what there is: what must not be is emptied.
  const env = { ...process.env, NO_COLOR: "" };
  const { stdout } = spawnSync(
    "script",
    ["-qec", command.map((word) => `'${word}'`).join(" "), "/dev/null"],
    { input, env: { ...env, ...settings }, encoding: "utf8", timeout: 20_000 },
  );
  return stdout;
}

describe("list", () => {
  it("prints a line for each session, below the headings", async () => {
    const now = Date.now();
    const { code, lines } = await Store.of(3, { now }).cli("list");
    assertEquals(code, 0);
    assertEquals(lines.map((line) => line.split(" ")[0]), [
      "id",
      ...[0, 1, 2].map(makeId),
    ]);
  });

  it("prints only those of a principal that is named", async () => {
    const store = new Store({ principal: "ada" }, { principal: "bob" });
    const { lines } = await store.cli("list", "bob");
    assertEquals(lines.length, 2);
    assertStringIncludes(lines[1] as string, makeId(1));
  });

  it("prints nobody's for a principal that is an empty text", async () => {
    const { lines } = await new Store({ principal: "ada" }).cli("list", "");
    assertEquals(lines.length, 1);
  });

  it("prints whether a session is bound to a device, and never to which", async () => {
    const seed = "s1".repeat(11);
    const key = `E${"k1".repeat(43)}`;
    const now = Date.now();
    const store = new Store(
      { now, principal: "ada", binding: `${seed}.k0.k9.${key}` },
      { now, principal: "ada", binding: `${seed}.k0` },
      { now, principal: "ada" },
    );
    for (const who of [[], ["ada"]]) {
      const table = await store.cli("list", ...who);
      const bound = table.lines.map((line) => line.slice(40, 45).trim());
      assertEquals(bound, ["bound", "yes", "no", "no"]);
      const json = parsed(await store.cli("list", ...who, "--json"));
      assertEquals(json.map((line) => line["isDeviceBound"]), [
        true,
        false,
        false,
      ]);
      assertFalse(/s1s1|k1k1/.test(table.lines.join() + JSON.stringify(json)));
    }
    const { lines } = await store.cli("show", makeId(0), "--json");
    assertEquals(JSON.parse(lines[0] ?? "").isDeviceBound, true);
    assertFalse(/s1s1|k1k1/.test(lines.join()));
  });

  it("prints id, principal, label and times as JSON", async () => {
    const record = makeRecord({
      now: Date.now(),
      principal: "ada",
      label: "Laptop",
    });
    const { createdAt, accessedAt } = record;
    const expiresAt = expiryOf(record);
    const outcome = await new Store(record).cli("list", "--json");
    const times = { createdAt, accessedAt, expiresAt };
    assertEquals(parsed(outcome), [
      {
        id: makeId(0),
        principal: "ada",
        label: "Laptop",
        isDeviceBound: false,
        ...times,
      },
    ]);
  });

  it("goes on after the first page, and tells how far it is", async () => {
    const { lines, errors } = await Store.of(1001).cli("list", "--json");
    assertEquals(new Set(lines).size, 1001);
    assertEquals(errors, ["500 sessions", "1000 sessions"]);
  });

  it("sorts by last use, the latest first", async () => {
    const now = Date.now();
    const store = new Store({ now: now - 2000 }, { now }, { now: now - 1000 });
    const { lines } = await store.cli("list");
    assertEquals(
      lines.slice(1).map((line) => line.split(" ")[0]),
      [1, 2, 0].map(makeId),
    );
  });

  it("tells times as people do", async () => {
    const now = Date.now() - 2 * 60_000 - 1000;
    const { lines } = await new Store({ now }).cli("list");
    assertStringIncludes(lines[1] as string, "2 minutes ago  in 57 minutes");
  });

  it("aligns columns behind labels that are long or wide", async () => {
    const labels = [
      "x",
      "x".repeat(60),
      "\u65e5\u672c\u{1f4bb}",
      "e\u0301e\u0301",
    ];
    const now = Date.now();
    const store = new Store(...labels.map((label) => ({ now, label })));
    const { lines } = await store.cli("list");
    // id, user, a device of 60 columns and bound stand before the first time.
    const start = 24 + 2 + 4 + 2 + 60 + 2 + 5 + 2;
    assertEquals(lines[0]?.indexOf("created"), start);
    assertEquals(
      lines.slice(1).map((line) => line.indexOf("just now")),
      // Each wide character is drawn over two columns, an accent over none.
      [start, start, start - 2, start + 2],
    );
  });

  it("lets no label forge a column", async () => {
    const hidden = "\u200b\u200d\u2060\ufeff\u00ad\u3164\ufe0f\u00a0";
    const label = `a${hidden}\u{e0041}b   just now`;
    const { lines } = await new Store({ label }).cli("list");
    assertStringIncludes(
      lines[1] as string,
      "a\\u200b\\u200d\\u2060\\ufeff\\u00ad\\u3164\\ufe0f\\u00a0\\udb40\\udc41b \\u0020\\u0020just now",
    );
  });

  it("sets its headings off only where that is asked for", async () => {
    const { lines } = await Store.of(1).cli("list");
    assertFalse(lines.join().includes("\x1b"));
    const coloured: string[] = [];
    await run([Store.of(1).url, "list"], {
      print: (line) => coloured.push(line),
      isColoured: true,
    });
    assert(coloured[0]?.startsWith("\x1b[1mid "));
    assert(coloured[0]?.endsWith("\x1b[22m"));
    assertFalse(coloured[1]?.includes("\x1b"));
  });

  it("leaves out what has expired", async () => {
    const store = new Store({ now: Date.now() - 2 * HOUR }, {});
    assertEquals((await store.cli("list", "--json")).lines.length, 1);
  });

  it("reports a record that cannot be read, and lists the others", async () => {
    const store = Store.of(2);
    store.exec(`UPDATE sessions SET data = 'x' WHERE id = '${makeId(0)}'`);
    const { code, lines, errors } = await store.cli("list", "--json");
    assertEquals(code, 0);
    assertEquals(lines.length, 1);
    assertEquals(errors, [`${makeId(0)} cannot be read`]);
  });

  it("reports one of a principal whose summary cannot be read", async () => {
    const store = new Store({ principal: "ada" }, { principal: "ada" });
    store.exec(`UPDATE sessions SET label = 'x' WHERE id = '${makeId(0)}'`);
    const { code, lines, errors } = await store.cli("list", "ada", "--json");
    assertEquals([code, lines.length], [0, 1]);
    assertEquals(errors, [`${makeId(0)} cannot be read`]);
  });

  it("writes out what would move a terminal's cursor", async () => {
    const store = new Store({ label: "a\x1b[2Jb\nc\u009bd\u202ee\ud800" });
    const { lines } = await store.cli("list");
    assertEquals(lines.length, 2);
    assertStringIncludes(
      lines[1] as string,
      "a\\u001b[2Jb\\u000ac\\u009bd\\u202ee\\ud800",
    );
  });

  it("writes out what would move the cursor in an id that is reported", async () => {
    const store = Store.of(1);
    store.exec("UPDATE sessions SET data = 'x', id = 'a' || char(27, 99)");
    const { errors } = await store.cli("list");
    assertEquals(errors, ["a\\u001bc cannot be read"]);
  });

  it("keeps every name as it is in JSON", async () => {
    const label = "a\x1b[2Jb\nc\u009bd\u202ee\u2028é";
    const outcome = await new Store({ label }).cli("list", "--json");
    assertEquals(parsed(outcome)[0]?.["label"], label);
    assertFalse(/[^ -~é]/.test(outcome.lines[0] as string));
  });
});

describe("show", () => {
  it("prints times, and keys with their sizes", async () => {
    const now = Math.ceil(Date.now() / 1000) * 1000;
    const data = makeData([["cart", "abc"], ["__proto__", 1]]);
    const store = new Store({ now, data });
    const [begun] = new Date(now).toISOString().split(".");
    const [ends] = new Date(now + HOUR).toISOString().split(".");
    const { code, lines } = await store.cli("show", makeId(0));
    assertEquals(code, 0);
    assert(lines.includes(`id                ${makeId(0)}`));
    assert(lines.includes(`createdAt         ${begun}Z`));
    assert(lines.includes(`expiresAt         ${ends}Z`));
    assert(lines.includes('keys              {"cart":13,"__proto__":14}'));
  });

  it("prints one object with --json", async () => {
    const store = new Store({ data: makeData([["cart", "abc"]]) });
    const [shown, ...others] = parsed(
      await store.cli("show", "--json", makeId(0)),
    );
    assertEquals(others, []);
    assertEquals(shown?.["id"], makeId(0));
    assertEquals(shown?.["keys"], { cart: 13 });
  });

  it("prints neither values nor digests", async () => {
    const previous = {
      secretHash: "h2".repeat(32),
      family: "p2".repeat(8),
      until: "confirmed",
    } as const;
    const store = new Store({
      data: makeData([["cart", "confidential"]]),
      secretHash: "h1".repeat(32),
      family: "p1".repeat(8),
      binding: "b1".repeat(8),
      previous,
      fingerprint: "f1".repeat(32),
    });
    for (const format of [[], ["--json"]]) {
      const { lines } = await store.cli("show", makeId(0), ...format);
      const text = lines.join("\n");
      assertStringIncludes(text, "cart");
      assertFalse(/confidential|h1h1|h2h2|p1p1|p2p2|f1f1|b1b1/.test(text));
    }
  });

  it("answers 1 for an id that is not there", async () => {
    const { code, lines, errors } = await new Store().cli("show", makeId(7));
    assertEquals([code, lines], [1, []]);
    assertEquals(errors, [
      `Cannot show session: there is none: received ${makeId(7)}`,
    ]);
  });

  it("answers 1 for a record that cannot be read", async () => {
    const store = Store.of(1);
    store.exec(`UPDATE sessions SET data = '"confidential'`);
    const { code, lines, errors } = await store.cli("show", makeId(0));
    assertEquals([code, lines], [1, []]);
    assertEquals(errors.length, 1);
    assertFalse(errors[0]?.includes("confidential"));
  });
});

describe("revoke", () => {
  it("ends the session named and no other", async () => {
    const store = Store.of(3);
    const { code, lines } = await store.cli("revoke", makeId(1));
    assertEquals([code, lines], [0, ["1 revoked"]]);
    assertEquals(store.ids, [makeId(0), makeId(2)]);
  });

  it("ends a session whose record cannot be read", async () => {
    const store = Store.of(1);
    store.exec("UPDATE sessions SET data = 'x'");
    const { code, lines } = await store.cli("revoke", makeId(0));
    assertEquals([code, lines], [0, ["1 revoked"]]);
  });

  it("ends all sessions of a principal and no other", async () => {
    const [ada, bob] = [{ principal: "ada" }, { principal: "bob" }];
    const store = new Store(ada, bob, ada);
    const { code, lines } = await store.cli("revoke", "--principal", "ada");
    assertEquals([code, lines], [0, ["2 revoked"]]);
    assertEquals(store.ids, [makeId(1)]);
  });

  it("ends every session when told so", async () => {
    const store = Store.of(3);
    const { code, lines } = await store.cli("revoke", "--everything", "--json");
    assertEquals([code, lines], [0, ['{"revoked":3}']]);
    assertEquals(store.ids, []);
  });

  it("answers 0 when every session of none is ended", async () => {
    assertEquals((await new Store().cli("revoke", "--everything")).code, 0);
  });

  it("answers 1 for an id or a principal that is not there", async () => {
    const store = Store.of(1);
    assertEquals((await store.cli("revoke", makeId(7))).code, 1);
    assertEquals((await store.cli("revoke", "--principal", "ada")).code, 1);
    assertEquals(store.ids.length, 1);
  });

  it("signs out the browser whose session it ends", async () => {
    const [store, browser] = await visitedStore();
    assertEquals((await store.cli("revoke", "--principal", "ada")).code, 0);
    const other = new Browser(siteOn(store), browser.cookie);
    assertEquals(await other.look(({ principal }) => principal), undefined);
    await other.site.manager.close();
  });

  it("only counts in a dry run", async () => {
    const ada = { principal: "ada" };
    const store = new Store(ada, ada, {});
    for (
      const [count, ...args] of [
        [1, makeId(0)],
        [2, "--principal", "ada"],
        [3, "--everything"],
      ] as const
    ) {
      const { code, lines } = await store.cli("revoke", ...args, "--dry-run");
      assertEquals([code, lines], [0, [`${count} would be revoked`]]);
    }
    const json = await store.cli("revoke", makeId(7), "--dry-run", "--json");
    assertEquals([json.code, json.lines], [1, ['{"wouldRevoke":0}']]);
    assertEquals(store.ids.length, 3);
  });

  it("counts a session that cannot be read in a dry run", async () => {
    const store = Store.of(1);
    store.exec("UPDATE sessions SET data = 'x'");
    for (const what of [makeId(0), "--everything"]) {
      const { lines } = await store.cli("revoke", what, "--dry-run");
      assertEquals(lines, ["1 would be revoked"]);
    }
  });

  it("asks before it ends every session, where somebody can answer", async () => {
    const store = Store.of(2);
    const questions: string[] = [];
    const ask = async (isYes: boolean, ...args: string[]) =>
      await run([store.url, "revoke", "--everything", ...args], {
        print() {},
        printError() {},
        confirm: (question) => {
          questions.push(question);
          return Promise.resolve(isYes);
        },
      });
    assertEquals([await ask(false), store.ids.length], [1, 2]);
    assertEquals(questions.length, 1);
    assertEquals([await ask(true), store.ids.length], [0, 0]);
    assertEquals(questions.length, 2);
    assertEquals(await ask(false, "--yes"), 0);
    assertEquals(questions.length, 2);
  });

  for (
    const [name, args] of [
      ["neither id nor option", []],
      ["an id beside --everything", [makeId(0), "--everything"]],
      ["an id beside --principal", [makeId(0), "--principal", "ada"]],
      ["both options", ["--everything", "--principal", "ada"]],
      ["two ids", [makeId(0), makeId(1)]],
      ["a principal that is missing", ["--principal"]],
      ["an option in place of the principal", ["--principal", "--everything"]],
    ] as const
  ) {
    it(`refuses ${name} and ends nothing`, async () => {
      const store = new Store({ principal: "ada" }, { principal: "ada" });
      assertEquals((await store.cli("revoke", ...args)).code, 2);
      assertEquals(store.ids.length, 2);
    });
  }
});

describe("ids and names that look like options", () => {
  for (const id of ["-bcdefghijklmnopqrstuvwx", "--cdefghijklmnopqrstuvwx"]) {
    it(`shows ${id.slice(0, 3)}…`, async () => {
      const outcome = await new Store({ id }).cli("show", id, "--json");
      assertEquals(parsed(outcome)[0]?.["id"], id);
    });

    it(`revokes ${id.slice(0, 3)}… and nothing else`, async () => {
      const store = new Store({ id }, {});
      assertEquals((await store.cli("revoke", id)).code, 0);
      assertEquals(store.ids, [makeId(1)]);
    });
  }

  it("lists a principal that stands behind --", async () => {
    const store = new Store({ principal: "--json" });
    const { lines } = await store.cli("list", "--", "--json");
    assertStringIncludes(lines[1] as string, makeId(0));
  });

  it("revokes a principal that begins with a hyphen", async () => {
    const store = new Store({ principal: "-ada" });
    assertEquals((await store.cli("revoke", "--principal", "-ada")).code, 0);
    assertEquals(store.ids, []);
  });

  it("revokes a principal named like an option behind =", async () => {
    const store = new Store({ principal: "--json" }, { principal: "a=b" });
    assertEquals((await store.cli("revoke", "--principal=--json")).code, 0);
    assertEquals((await store.cli("revoke", "--principal=a=b")).code, 0);
    assertEquals(store.ids, []);
  });
});

describe("gc", () => {
  it("removes what has expired and nothing else", async () => {
    const store = new Store({ now: Date.now() - 2 * HOUR }, {}, {});
    assertEquals((await store.cli("gc")).lines, ["1 removed"]);
    assertEquals(store.ids, [makeId(1), makeId(2)]);
    assertEquals((await store.cli("gc", "--json")).lines, ['{"removed":0}']);
  });

  it("goes on until nothing is left to remove", async () => {
    const store = Store.of(1100, { now: Date.now() - 2 * HOUR });
    const { code, lines, errors } = await store.cli("gc", "--json");
    assertEquals([code, lines], [0, ['{"removed":1100}']]);
    assertEquals(errors, ["500 removed", "1000 removed"]);
  });
});

describe("stats", () => {
  it("counts sessions, users, those signed in, and bytes", async () => {
    const data = makeData([["cart", "abc"]]);
    const ada = { principal: "ada", data };
    const { code, lines } = await new Store(ada, ada, { data }).cli("stats");
    assertEquals(code, 0);
    assertEquals(lines, [
      "sessions          3",
      "users             1",
      "signedIn          2",
      "bytes             39 bytes",
    ]);
  });

  it("counts as JSON", async () => {
    const { lines } = await new Store({ principal: "ada" }).cli(
      "stats",
      "--json",
    );
    assertEquals(lines, ['{"sessions":1,"users":1,"signedIn":1,"bytes":0}']);
  });
});

describe("copy", () => {
  it("lets cookies go on working on the other store", async () => {
    const [from, browser] = await visitedStore();
    const to = new Store();
    assertEquals((await from.cli("copy", to.url)).code, 0);
    const moved = new Browser(siteOn(to), browser.cookie);
    assertEquals(await moved.look(({ principal }) => principal), "ada");
    assertEquals(await moved.look((session) => session.get("cart")), [
      "confidential",
    ]);
    await moved.site.manager.close();
  });

  it("makes the file that it copies to", async () => {
    const to = `sqlite:${join(folder, "new.db")}`;
    assertEquals((await Store.of(2).cli("copy", to)).code, 0);
    assertEquals((await cli([to, "list", "--json"])).lines.length, 2);
  });

  it("prints the counts, and no cursor, when it is complete", async () => {
    const before = Date.now();
    const outcome = await Store.of(2).cli("copy", new Store().url, "--json");
    const [{ startedAt, ...counts } = {}] = parsed(outcome);
    assert(startedAt as number >= before && startedAt as number <= Date.now());
    assertEquals(counts, {
      count: 2,
      copied: 2,
      refreshed: 0,
      unchanged: 0,
      kept: 0,
      skipped: 0,
    });
  });

  it("tells how far it is", async () => {
    const { errors } = await Store.of(501).cli("copy", new Store().url);
    assertEquals(errors, ["500 sessions", "501 sessions"]);
  });

  it("answers 1 and names the session that it had to skip", async () => {
    const from = Store.of(2);
    from.exec(`UPDATE sessions SET data = 'x' WHERE id = '${makeId(0)}'`);
    const to = new Store();
    const { code, errors } = await from.cli("copy", to.url);
    assertEquals(code, 1);
    assert(errors.includes(`${makeId(0)} skipped: corrupt`));
    assertEquals(to.ids, [makeId(1)]);
  });

  it("leaves one that cannot be read on the other side as it is", async () => {
    const [from, to] = [Store.of(2), Store.of(1)];
    to.exec("UPDATE sessions SET data = 'x'");
    const { code, errors } = await from.cli("copy", to.url);
    assertEquals(code, 1);
    assert(errors.includes(`${makeId(0)} skipped: corrupt`));
    assertEquals(to.ids, [makeId(1)]);
    const { errors: reported } = await to.cli("list");
    assertEquals(reported, [`${makeId(0)} cannot be read`]);
  });

  const since = Math.floor(Date.now() / 1000) * 1000;
  const iso = new Date(since).toISOString();
  const zoned = new Date(since + 2 * HOUR).toISOString();
  for (
    const [name, text] of [
      ["an instant in UTC", iso.replace(".000Z", "Z")],
      ["an instant with fractions", iso],
      ["an instant in another zone", zoned.replace(".000Z", "+02:00")],
      ["milliseconds", String(since)],
    ] as const
  ) {
    it(`leaves out what was not used since five minutes before ${name}`, async () => {
      const margin = since - 5 * 60_000;
      const to = new Store();
      const from = new Store({ now: margin - 1 }, { now: margin });
      assertEquals((await from.cli("copy", to.url, "--since", text)).code, 0);
      assertEquals(to.ids, [makeId(1)]);
    });
  }

  for (const since of ["yesterday", "2100-01-01", "2100-01-01T00:00:00", ""]) {
    it(`refuses --since=${since}`, async () => {
      const to = new Store();
      const { code, errors } = await Store.of(1).cli(
        "copy",
        to.url,
        `--since=${since}`,
      );
      assertEquals(code, 2);
      assertStringIncludes(errors[0] as string, "--since must be an instant");
      assertEquals(to.ids, []);
    });
  }

  it("goes on behind a cursor", async () => {
    const to = new Store();
    const outcome = await Store.of(3).cli(
      "copy",
      to.url,
      "--cursor",
      makeId(0),
    );
    assertEquals(outcome.code, 0);
    assertEquals(to.ids, [makeId(1), makeId(2)]);
  });

  it("takes a cursor that begins with hyphens", async () => {
    const ids = ["--adefghijklmnopqrstuvwx", "--cdefghijklmnopqrstuvwx"];
    const from = new Store(...ids.map((id) => ({ id })));
    const behind: string[] = [];
    for (const id of ids) {
      const to = new Store();
      await from.cli("copy", to.url, "--cursor", id);
      behind.push(...to.ids);
    }
    // One of them is the last: there is nothing behind it.
    assertEquals(behind.length, 1);
  });

  it("prints its cursor when the store fails, and goes on from there", async () => {
    const to = new Store();
    const failed = await brokenCopy(to, ["--json"], fail);
    assertEquals(failed.code, 1);
    assertStringIncludes(failed.errors.at(-1) ?? "", "the line is down");
    const [{ count, cursor } = {}] = parsed(failed);
    assertEquals(count, 500);
    const args = ["breaking:", "copy", to.url, "--json"];
    const resumed = await cli([...args, "--cursor", cursor as string]);
    assertEquals(parsed(resumed)[0]?.["copied"], 700);
    assertEquals(to.ids.length, 1200);
  });

  it("prints its cursor as text", async () => {
    const { lines } = await brokenCopy(new Store(), [], fail);
    assert(lines.some((line) => /^cursor {12}\S+$/.test(line)));
  });

  it("prints its cursor when it is interrupted", async () => {
    const stop = new AbortController();
    const onBreak = () => stop.abort();
    const to = new Store();
    const outcome = await brokenCopy(to, ["--json"], onBreak, stop.signal);
    assertEquals([outcome.code, outcome.errors.at(-1)], [130, "Interrupted"]);
    assertEquals(typeof parsed(outcome)[0]?.["cursor"], "string");
    assertEquals(to.ids.length, 1000);
  });

  it("refuses to copy a store to itself", async () => {
    const from = Store.of(1);
    symlinkSync(from.path, `${from.path}.link`);
    for (
      const url of [
        from.url,
        `SQLITE:${from.path}`,
        `${from.url}?table=sessions`,
        `${from.url}.link`,
        `sqlite:${relative(process.cwd(), from.path)}`,
      ]
    ) {
      const { code, errors } = await from.cli("copy", url);
      assertEquals(code, 2);
      assertStringIncludes(errors[0] as string, "name the same store");
    }
    const other = await from.cli("copy", `${from.url}?table=other`);
    assertEquals(other.code, 0);
  });

  it("refuses to copy to memory", async () => {
    for (const url of ["memory:", "memory", "sqlite::memory:"]) {
      const { code, errors } = await Store.of(1).cli("copy", url);
      assertEquals(code, 2);
      assertStringIncludes(errors[0] as string, "ends with the command");
    }
  });

  for (const cursor of ["", "soon", "id 1", `${makeId(0)}0`]) {
    it(`refuses "${cursor}" as a cursor`, async () => {
      const to = new Store();
      const args = ["copy", to.url, `--cursor=${cursor}`];
      const { code, errors } = await Store.of(1).cli(...args);
      assertEquals(code, 2);
      assertStringIncludes(errors[0] as string, "--cursor must be");
      assertEquals(to.ids, []);
    });
  }

  it("shows a percentage where the store knows", async () => {
    const provider = new MemoryProvider();
    for (let number = 0; number < 1000; number++) {
      provider.create(makeId(number), makeRecord({ now: Date.now() }), 0);
    }
    const scan = provider.scan.bind(provider);
    const counting = Object.assign(provider, {
      scan: (...args: Parameters<typeof scan>) => ({
        ...scan(...args),
        total: 1000,
      }),
    });
    register("counting", () => counting);
    const shown: string[] = [];
    await run(["counting:", "copy", new Store().url], {
      print() {},
      printError() {},
      showProgress: (line) => shown.push(line),
    });
    assertEquals(shown[0], "500 of 1000 (50 %)");
  });

  it("takes its progress away before it prints", async () => {
    const shown: string[] = [];
    const code = await run([Store.of(501).url, "stats"], {
      print: (line) => shown.push(line),
      showProgress: (line) => shown.push(line),
    });
    assertEquals(code, 0);
    assertEquals(shown.slice(0, 3), [
      "500 sessions",
      "",
      "sessions          501",
    ]);
    assertEquals(shown.at(-1), "");
  });

  it("refuses to go without a URL to copy to", async () => {
    const { code, errors } = await new Store().cli("copy");
    assertEquals(code, 2);
    assertStringIncludes(errors[0] as string, "a URL to copy to is missing");
  });

  it("refuses to copy to a scheme that is unknown", async () => {
    assertEquals((await Store.of(1).cli("copy", "ftp://host")).code, 2);
  });
});

describe("the command line", () => {
  for (
    const [name, args] of [
      ["no arguments", []],
      ["a URL alone", ["memory:"]],
      ["an unknown command", ["memory:", "constructor"]],
      ["an unknown option", ["memory:", "stats", "--verbose"]],
      ["a single hyphen before an option", ["memory:", "stats", "-json"]],
      ["a value for an option without one", ["memory:", "stats", "--json=1"]],
      ["an option of another command", ["memory:", "stats", "--everything"]],
      ["a word too many", ["memory:", "stats", "now"]],
      ["show without an id", ["memory:", "show"]],
      ["a store's option that is wrong", ["memory:?maxSessions=-1", "stats"]],
      ["a store's option that is unknown", ["sqlite::memory:?a=b", "stats"]],
    ] as const
  ) {
    it(`answers 2 to ${name}`, async () => {
      const { code, lines, errors } = await cli(args);
      assertEquals([code, lines], [2, []]);
      assertEquals(errors.length, 2);
      assertEquals(errors[1], "Run it with --help to see how it is used");
    });
  }

  for (const word of ["--help", "-h", "help"]) {
    it(`tells how it is used when asked by ${word}`, async () => {
      const { code, lines, errors } = await cli([word]);
      assertEquals([code, errors], [0, []]);
      assertStringIncludes(lines[0] as string, "Usage: ");
    });
  }

  it("refuses a table that is not there, and makes none", async () => {
    const path = join(folder, "other.db");
    const file = new DatabaseSync(path);
    file.exec("CREATE TABLE other (id)");
    const tables = () =>
      file.prepare("SELECT name FROM sqlite_schema").all().length;
    const { code, errors } = await cli([`sqlite:${path}`, "stats"]);
    const count = tables();
    file.close();
    assertEquals([code, count], [2, 1]);
    assertStringIncludes(errors[0] as string, "no such table");
  });

  it("says to use Bun for Redis elsewhere", {
    skip: "Bun" in globalThis,
  }, async () => {
    const { code, errors } = await cli(["redis://a:pass@localhost", "stats"]);
    assertEquals(code, 2);
    assertStringIncludes(errors[0] as string, "run the command line with Bun");
    assertFalse(errors.join().includes("pass"));
  });

  it("names the known schemes in place of one that is unknown", async () => {
    const { code, errors } = await cli(["mongodb://ada:pass@host", "stats"]);
    assertEquals(code, 2);
    assertStringIncludes(errors[0] as string, "one of memory, sqlite, ");
    assertStringIncludes(errors[0] as string, "received mongodb");
    assertFalse(errors.join().includes("pass"));
  });

  it("asks for a scheme in place of a path", async () => {
    const { code, errors } = await cli(["./sessions.db", "stats"]);
    assertEquals(code, 2);
    assertStringIncludes(errors[0] as string, "received none");
  });

  it("takes the name of a provider without a colon", async () => {
    assertEquals((await cli(["memory", "stats"])).code, 0);
  });

  it("takes a scheme that a program has registered", async () => {
    assertEquals((await cli(["breaking:", "stats"])).code, 0);
  });

  it("refuses a file that is not there, and makes none", async () => {
    const path = join(folder, "misspelt.db");
    const { code, errors } = await cli([`sqlite:${path}`, "stats"]);
    assertEquals(code, 2);
    assertStringIncludes(errors[0] as string, "there is no such file");
    assertFalse(existsSync(path));
  });

  it("answers 1 when the store fails", async () => {
    const { code, errors } = await cli([`sqlite:${folder}`, "stats"]);
    assertEquals(code, 1);
    assertNotEquals(errors, []);
  });

  for (const command of ["list", "stats", "gc"]) {
    it(`does not go on with ${command} when it is interrupted`, async () => {
      const { code, errors } = await cli(
        ["memory:", command],
        AbortSignal.abort(),
      );
      assertEquals([code, errors], [130, ["Interrupted"]]);
    });
  }

  it("refuses an option of another name", async () => {
    const options = { printErrors: console.error };
    await assertRejects(
      () => run(["memory:", "stats"], options as CliOptions),
      TypeError,
      "Cannot run command: unknown option: received printErrors",
    );
  });

  it("takes no option that it inherits", async () => {
    const code = await inheriting(
      { signal: AbortSignal.abort() },
      () => run(["memory:", "gc"], { print() {}, printError() {} }),
    );
    assertEquals(code, 0);
  });

  it("prints no secret, whatever it is asked for", async () => {
    const [store, browser] = await visitedStore();
    const secret = browser.token.slice(24);
    assertNotEquals(leakIn(secret), undefined);
    const id = browser.token.slice(0, 24);
    for (
      const command of [
        ["list"],
        ["list", "ada"],
        ["show", id],
        ["stats"],
        ["copy", new Store().url],
        ["gc"],
        ["revoke", id],
      ]
    ) {
      for (const format of [[], ["--json"]]) {
        const { lines, errors } = await store.cli(...command, ...format);
        const text = [...lines, ...errors].join("\n");
        assertEquals(leakIn(text), undefined);
        assertFalse(text.includes("confidential"));
      }
    }
  });
});

describe("the program", () => {
  it("prints its answer and exits with 0", async () => {
    const store = new Store({ principal: "ada" });
    const { code, lines, errors } = await runProgram(
      ...[store.url, "stats", "--json"],
    );
    assertEquals([code, errors], [0, []]);
    assertEquals(lines, ['{"sessions":1,"users":1,"signedIn":1,"bytes":0}']);
  });

  it("finds the provider of a scheme in capitals", async () => {
    const { code, errors } = await runProgram("MEMORY:", "stats");
    assertEquals([code, errors], [0, []]);
  });

  it("exits with 1 for what is not there", async () => {
    const outcome = await runProgram(new Store().url, "revoke", makeId(1));
    assertEquals([outcome.code, outcome.lines], [1, ["0 revoked"]]);
  });

  it("exits with 2 for misuse and says so on standard error", async () => {
    const { code, lines, errors } = await runProgram("memory:", "fly");
    assertEquals([code, lines], [2, []]);
    assertStringIncludes(errors[0] as string, "received fly");
  });
});

describe("the tarball for npm", () => {
  it("holds the command line as a command that Node runs", {
    skip: "Bun" in globalThis && "it is packed by Deno",
  }, () => {
    const packed = join(folder, "session.tgz");
    const script = fileURLToPath(new URL("../npm/pack.ts", import.meta.url));
    const options = { stdio: "pipe" } as const;
    execFileSync(process.execPath, ["run", "-A", script, packed], options);
    execFileSync("tar", ["-xzf", packed, "-C", folder]);
    const root = join(folder, "package");
    const { bin, engines } = JSON.parse(
      readFileSync(join(root, "package.json"), "utf8"),
    );
    assertEquals(Object.keys(bin), ["cloakroom-session"]);
    assertEquals(engines, { node: ">=22.13" });
    const file = join(root, bin["cloakroom-session"]);
    const printed = execFileSync(file, ["memory:", "stats", "--json"], options);
    assertEquals(
      printed.toString(),
      '{"sessions":0,"users":0,"signedIn":0,"bytes":0}\n',
    );
  });
});

describe("on a terminal", { skip: !hasScript && "script is missing" }, () => {
  it("asks, sets headings off, and obeys NO_COLOR", () => {
    const store = new Store({ principal: "ada" });
    assertStringIncludes(onTerminal([store.url, "list"]), "\x1b[1mid");
    const plain = onTerminal([store.url, "list"], { NO_COLOR: "1" });
    assertFalse(plain.includes("\x1b[1m"));
    const asked = onTerminal([store.url, "revoke", "--everything"], {}, "n\n");
    assertStringIncludes(asked, "End every session of this store? [y/N]");
    assertStringIncludes(asked, "Nothing was revoked");
    assertEquals(store.ids.length, 1);
    onTerminal([store.url, "revoke", "--everything"], {}, "y\n");
    assertEquals(store.ids, []);
  });

  it("rewrites one line of progress", () => {
    const text = onTerminal([Store.of(1001).url, "stats"]);
    assertStringIncludes(
      text,
      "\r\x1b[K500 sessions\r\x1b[K1000 sessions\r\x1b[Ksessions",
    );
  });
});
