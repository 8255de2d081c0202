/** Tests the command line on encrypted stores: keys from the environment alone. */
import { assert, assertEquals, assertFalse } from "@std/assert";
import { Buffer } from "node:buffer";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { run } from "../cli.ts";
import type { Provider, SessionRecord } from "../core/provider.ts";
import { encrypted, generateKey, type Hidden } from "../providers/encrypted.ts";
import { SqliteProvider } from "../providers/sqlite.ts";
import { makeData, makeId, makeRecord } from "./_records.ts";

const A = makeId(1);
const B = makeId(2);
const KEY = generateKey();
const NEXT = generateKey();
const ALL: readonly Hidden[] = ["principal", "label", "key-names"];

/** The variables of a store in which all is hidden. */
const HIDDEN = { SESSION_KEYS: KEY, SESSION_HIDE: ALL.join() };

const folder = mkdtempSync(join(tmpdir(), "cli-keys-"));
after(() => rmSync(folder, { recursive: true }));

type Env = Readonly<Record<string, string | undefined>>;

interface Outcome {
  readonly code: number;
  readonly lines: readonly string[];
  readonly errors: readonly string[];
}

/** Everything that was printed in this file. */
const printed: string[] = [];

async function cli(args: readonly string[], env?: Env): Promise<Outcome> {
  const lines: string[] = [];
  const errors: string[] = [];
  const code = await run(args, {
    print: (line) => lines.push(line),
    printError: (line) => errors.push(line),
    env,
  });
  printed.push(...lines, ...errors);
  return { code, lines, errors };
}

let files = 0;

/** A file of sessions, and ways to look at it with keys and without. */
class Store {
  readonly path: string = join(folder, `${++files}.db`);
  readonly url: string = `sqlite:${this.path}`;

  /** One with two sessions of Ada's. */
  static async make(
    keys: readonly string[] = [],
    hide: readonly Hidden[] = ALL,
  ): Promise<Store> {
    const store = new Store();
    await store.use(
      async (provider) => {
        const now = Date.now();
        const data = makeData([["cart", "a coat"]]);
        for (const id of [A, B]) {
          const names = { principal: "ada", label: "Laptop" };
          const record = makeRecord({ now, data, ...names });
          assert(await provider.create(id, record, now));
        }
      },
      keys,
      hide,
    );
    return store;
  }

  async use<T>(
    action: (provider: Provider) => T,
    keys: readonly string[] = [],
    hide: readonly Hidden[] = ALL,
  ): Promise<Awaited<T>> {
    const store = new SqliteProvider(this.path);
    const provider = keys.length === 0
      ? store
      : encrypted(store, { keys, hide });
    try {
      return await action(provider);
    } finally {
      await provider.close();
    }
  }

  read(
    keys: readonly string[] = [],
    hide: readonly Hidden[] = ALL,
  ): Promise<SessionRecord | undefined> {
    return this.use((provider) => provider.read(A, Date.now()), keys, hide);
  }

  cli(args: readonly string[], env?: Env): Promise<Outcome> {
    return cli([this.url, ...args], env);
  }
}

async function assertMisuse(
  outcome: Promise<Outcome>,
  message: string,
): Promise<void> {
  const { code, lines, errors } = await outcome;
  assertEquals([code, lines, errors[0]], [2, [], message]);
}

describe("the command line on an encrypted store", () => {
  it("lists users and labels, and finds sessions by their user", async () => {
    const store = await Store.make([KEY]);
    for (const args of [["list"], ["list", "ada"]]) {
      const { code, lines } = await store.cli([...args, "--json"], HIDDEN);
      const listed = lines.map((line) => JSON.parse(line))
        .map(({ principal, label }) => [principal, label]);
      assertEquals([code, listed], [0, [["ada", "Laptop"], ["ada", "Laptop"]]]);
    }
    const { lines } = await store.cli(["list"]);
    assertFalse(/ada|Laptop/.test(lines.join()));
  });

  it("shows keys by their names, and their own sizes", async () => {
    const store = await Store.make([KEY]);
    const { lines } = await store.cli(["show", A, "--json"], HIDDEN);
    const { keys } = JSON.parse(lines[0] as string);
    assertEquals(keys, { cart: 16 });
    const stats = await store.cli(["stats", "--json"], HIDDEN);
    assertEquals(stats.lines, [
      '{"sessions":2,"users":1,"signedIn":2,"bytes":32}',
    ]);
  });

  it("ends the sessions of a hidden user", async () => {
    const store = await Store.make([KEY]);
    const args = ["revoke", "--principal", "ada"];
    assertEquals((await store.cli(args)).lines, ["0 revoked"]);
    assertEquals((await store.cli(args, HIDDEN)).lines, ["2 revoked"]);
  });

  it("says which sessions it cannot read with these keys", async () => {
    const store = await Store.make([KEY]);
    const env = { ...HIDDEN, SESSION_KEYS: NEXT };
    const { lines, errors } = await store.cli(["stats", "--json"], env);
    assertEquals(lines, ['{"sessions":0,"users":0,"signedIn":0,"bytes":0}']);
    assertEquals(errors, [`${A} cannot be read`, `${B} cannot be read`]);
    assertEquals((await store.read([KEY]))?.principal, "ada");
  });

  it("takes several keys, with commas, spaces or lines in between", async () => {
    const store = await Store.make([KEY]);
    for (const between of [",", ", ", " ", "\n"]) {
      const keys = [NEXT, KEY].join(between) + "\n";
      const env = { ...HIDDEN, SESSION_KEYS: keys };
      const { lines } = await store.cli(["list", "ada", "--json"], env);
      assertEquals(lines.length, 2);
    }
  });

  it("takes them from its process when it is a program", async () => {
    const store = await Store.make([KEY]);
    const { spawnSync } = await import("node:child_process");
    const program = new URL("../cli.ts", import.meta.url).pathname;
    const start = "Bun" in globalThis ? [] : ["run", "-A"];
    const { stdout } = spawnSync(
      process.execPath,
      [...start, program, store.url, "list", "ada", "--json"],
      { env: { ...process.env, ...HIDDEN }, encoding: "utf8" },
    );
    assertEquals(stdout.trim().split("\n").length, 2);
    assert(stdout.includes('"label":"Laptop"'));
  });
});

describe("copy, by keys of the environment", () => {
  it("encrypts what was not, and brings it back", async () => {
    const plain = await Store.make();
    const there = new Store();
    const back = new Store();
    const { code } = await plain.cli(["copy", there.url], {
      SESSION_KEYS: "none",
      SESSION_COPY_KEYS: KEY,
      SESSION_COPY_HIDE: ALL.join(),
    });
    assertEquals(code, 0);
    assertEquals((await there.read([KEY]))?.data["cart"], "a coat");
    assertEquals((await there.read())?.principal?.length, 43);
    const env = { ...HIDDEN, SESSION_COPY_KEYS: "none" };
    assertEquals((await there.cli(["copy", back.url], env)).code, 0);
    assertEquals(await back.read(), await plain.read());
  });

  it("leaves nothing of an old key, if the new one is the first", async () => {
    const store = await Store.make([KEY]);
    const rotated = new Store();
    const env = { ...HIDDEN, SESSION_KEYS: `${NEXT},${KEY}` };
    assertEquals((await store.cli(["copy", rotated.url], env)).code, 0);
    assertEquals(await rotated.read([NEXT]), await store.read([KEY]));
  });

  it("hides more or less than before, with the same keys", async () => {
    const store = await Store.make([KEY], []);
    const hidden = new Store();
    const open = new Store();
    await store.cli(["copy", hidden.url], {
      SESSION_KEYS: KEY,
      SESSION_COPY_HIDE: ALL.join(" "),
    });
    assertEquals(await hidden.read([KEY]), await store.read([KEY], []));
    await hidden.cli(["copy", open.url], {
      ...HIDDEN,
      SESSION_COPY_HIDE: "none",
    });
    assertEquals(await open.read([KEY], []), await store.read([KEY], []));
    assertEquals((await open.read())?.principal, "ada");
  });

  it("copies sessions as they are without any", async () => {
    const store = await Store.make([KEY]);
    const other = new Store();
    assertEquals((await store.cli(["copy", other.url])).code, 0);
    assertEquals(await other.read([KEY]), await store.read([KEY]));
  });

  it("encrypts nothing that may be encrypted already", async () => {
    const store = await Store.make([KEY]);
    const other = new Store();
    await assertMisuse(
      store.cli(["copy", other.url], { SESSION_COPY_KEYS: NEXT }),
      'Cannot use SESSION_COPY_KEYS: SESSION_KEYS must hold the keys of the store to copy from, or "none" if it is not encrypted',
    );
    assertEquals(await other.read(), undefined);
  });

  it("hides nothing without a key, and says so", async () => {
    const store = await Store.make();
    const other = new Store();
    await assertMisuse(
      store.cli(["copy", other.url], { SESSION_COPY_HIDE: "label" }),
      "Cannot use SESSION_COPY_HIDE: SESSION_COPY_KEYS is not set",
    );
    assertEquals(await other.read(), undefined);
  });

  it("answers 1 and names what it cannot decrypt", async () => {
    const store = await Store.make([KEY]);
    const env = { ...HIDDEN, SESSION_KEYS: NEXT };
    const copied = await store.cli(["copy", new Store().url], env);
    assertEquals(copied.code, 1);
    assert(copied.errors.includes(`${A} skipped: corrupt`));
  });
});

describe("keys in the environment", () => {
  const short = KEY.slice(0, 40);
  const cases: [Env, string][] = [
    [
      { SESSION_KEYS: short },
      "Cannot use SESSION_KEYS: keys[0] must be 32 bytes: received 30 bytes",
    ],
    [
      { SESSION_KEYS: `${KEY},${NEXT}=` },
      "Cannot use SESSION_KEYS: keys[1] must be base64url without padding: received other text of 44 characters",
    ],
    [
      { SESSION_KEYS: `${KEY} ${KEY}` },
      "Cannot use SESSION_KEYS: keys must differ: received one of them twice",
    ],
    [
      { SESSION_KEYS: "" },
      'Cannot use SESSION_KEYS: it is empty: write "none"',
    ],
    [
      { SESSION_KEYS: KEY, SESSION_HIDE: NEXT },
      "Cannot use SESSION_HIDE: it knows principal, label, key-names and none",
    ],
    [
      { SESSION_HIDE: "label" },
      "Cannot use SESSION_HIDE: SESSION_KEYS is not set",
    ],
  ];
  for (const [env, message] of cases) {
    it(`are refused: ${message}`, async () => {
      const store = await Store.make([KEY]);
      await assertMisuse(store.cli(["stats"], env), message);
    });
  }

  it("are no argument, and one that is tried is not repeated", async () => {
    const store = await Store.make([KEY]);
    const said =
      "Cannot run command: unknown option: received --keys: set SESSION_KEYS in its place";
    await assertMisuse(store.cli(["stats", `--keys=${KEY}`]), said);
    await assertMisuse(store.cli(["stats", "--keys", KEY]), said);
  });

  it("count only where they are handed over", async () => {
    const store = await Store.make([KEY]);
    process.env["SESSION_KEYS"] = "nonsense";
    try {
      assertEquals((await store.cli(["stats"])).code, 0);
    } finally {
      delete process.env["SESSION_KEYS"];
    }
  });

  it("are never printed", () => {
    const text = printed.join("\n");
    assert(text.length > 0);
    for (const key of [KEY, NEXT]) {
      const bytes = Buffer.from(key, "base64url");
      for (
        const form of [key, bytes.toString("hex"), bytes.toString("base64")]
      ) {
        assertFalse(text.includes(form.slice(0, 16)));
      }
    }
  });
});
