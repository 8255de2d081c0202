import { assert, assertEquals } from "@std/assert";
import { existsSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import {
  DEFAULT_ABSOLUTE_TIMEOUT,
  DEFAULT_IDLE_TIMEOUT,
  DEFAULT_RENEW_GRACE,
  DEFAULT_RENEW_INTERVAL,
  Manager,
  type RefusalReason,
  type SessionEvent,
} from "../mod.ts";

const text = read("SECURITY.md");

/** A row of the tables that map requirements to tests. */
interface Row {
  readonly id: string;
  readonly requirement: string;
  readonly proof: string;
}

/** A test as a row names it. */
interface Named {
  readonly path: string;
  readonly name: string;
}

function read(path: string): string {
  return readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
}

function exists(path: string): boolean {
  return existsSync(new URL(`../${path}`, import.meta.url));
}

function mappedRows(): Row[] {
  const [, mapped = ""] = text.split("## Requirements and their tests");
  return mapped.split("\n")
    .filter((line) => /^\| (?!id |-)/.test(line))
    .map((line) => {
      const [, id = "", requirement = "", proof = ""] = line.split("|")
        .map((cell) => cell.trim());
      return { id, requirement, proof };
    });
}

function namedIn(proof: string): Named[] {
  return [...proof.matchAll(/\]\(([^)]+)\) "([^"]+)"/g)]
    .map(([, path = "", name = ""]) => ({ path, name }));
}

/** The names of all tests and checks in a source file, as they are written. */
function namesIn(source: string): string[] {
  const tests = source.matchAll(/\bit\(\s*(?:"([^"]+)"|`([^`]+)`)/g);
  const checks = source.matchAll(/^ {2}"([^"]+)":/gm);
  return [...tests, ...checks].map(([, plain, template]) =>
    plain ?? template ?? ""
  );
}

function isIn(names: readonly string[], wanted: string): boolean {
  return names.some((name) =>
    wanted.endsWith(":") ? name.startsWith(wanted) : name === wanted
  );
}

function numbered(prefix: string, count: number, digits: number): string[] {
  return Array.from(
    { length: count },
    (_, index) => prefix + String(index + 1).padStart(digits, "0"),
  );
}

/** What the first cells of a table name, found by the table's first heading. */
function firstCellsBelow(heading: string): string[] {
  const [, table = ""] = text.split(`\n| ${heading} `);
  const [body = ""] = table.split("\n\n");
  return body.split("\n").slice(2).flatMap((line) => {
    const [, cell = ""] = line.split("|");
    return Array.from(cell.matchAll(/`([^`]+)`/g), ([, name = ""]) => name);
  });
}

/** Every kind of event: a new one does not compile until it is here. */
const EVENTS = {
  "created": 1,
  "signed-in": 1,
  "renewed": 1,
  "reused": 1,
  "bound": 1,
  "proved": 1,
  "proof-refused": 1,
  "fingerprint-changed": 1,
  "expired": 1,
  "evicted": 1,
  "destroyed": 1,
  "destroyed-all": 1,
  "destroyed-everything": 1,
  "refused": 1,
  "gone": 1,
  "conflict": 1,
  "unreadable": 1,
  "value-refused": 1,
  "insecure": 1,
  "store-down": 1,
  "store-up": 1,
  "clock-skew": 1,
  "rolled-back": 1,
  "store-error": 1,
} satisfies Record<SessionEvent["type"], 1>;

/** Every reason of a `refused` event; a copied cookie raises `reused` instead. */
const REASONS = {
  "malformed": 1,
  "unknown": 1,
  "wrong-secret": 1,
  "superseded": 1,
  "fingerprint": 1,
  "rolled-back": 1,
  "ambiguous": 1,
  "unproven": 1,
  "unbound": 1,
  "cross-origin": 1,
} satisfies Record<Exclude<RefusalReason, "reused"> | "cross-origin", 1>;

/** The seconds and counts of one preset in the document. */
function presetOf(name: string): Record<string, number> {
  const [, body = ""] =
    new RegExp(`const ${name} = \\{([^}]*)\\}`).exec(text) ??
      [];
  const fields = body.matchAll(/(\w+): ([\d_]+)/g);
  return Object.fromEntries(
    Array.from(
      fields,
      ([, key, value = ""]) => [key, Number(value.replaceAll("_", ""))],
    ),
  );
}

describe("the tables of requirements", () => {
  const rows = mappedRows();

  it("name tests that exist in the files that they link to", () => {
    const missing = rows
      .flatMap(({ id, proof }) =>
        namedIn(proof).map((named) => ({ id, ...named }))
      )
      .filter(({ path, name }) =>
        !exists(path) || !isIn(namesIn(read(path)), name)
      );
    assertEquals(missing, []);
  });

  it("name a test in every row, or say why there is none", () => {
    const bare = rows.filter(({ proof }) =>
      namedIn(proof).length === 0 && !/^Not applicable: \w/.test(proof)
    );
    assertEquals(bare, []);
  });

  it("name a test after every link", () => {
    for (const { id, proof } of rows) {
      const links = proof.match(/\]\(/g)?.length ?? 0;
      assertEquals(namedIn(proof).length, links, id);
    }
  });

  it("have every fault of the book, every invariant and every session test of the guide", () => {
    const ids = new Set(rows.map(({ id }) => id));
    const wanted = [
      ...numbered("G", 32, 2),
      ...numbered("I", 17, 1),
      ...numbered("WSTG-SESS-", 11, 2),
    ];
    assertEquals(wanted.filter((id) => !ids.has(id)), []);
  });

  it("have every requirement that a test is named after", () => {
    const ids = new Set(rows.map(({ id }) => id));
    for (const path of ["tests/asvs_test.ts", "tests/wstg_test.ts"]) {
      const unknown = namesIn(read(path))
        .map((name) => name.split(":")[0] ?? "")
        .filter((id) => !ids.has(id));
      assertEquals(unknown, [], path);
    }
  });

  it("have each requirement once", () => {
    const ids = rows.map(({ id }) => id);
    assertEquals(ids.length, new Set(ids).size);
  });

  it("say in words what each requirement is", () => {
    for (const { id, requirement } of rows) assert(requirement !== "", id);
  });
});

describe("SECURITY.md", () => {
  it("states the defaults that the constants have", () => {
    const defaults = {
      idleTimeout: DEFAULT_IDLE_TIMEOUT,
      absoluteTimeout: DEFAULT_ABSOLUTE_TIMEOUT,
      renewInterval: DEFAULT_RENEW_INTERVAL,
      renewGrace: DEFAULT_RENEW_GRACE,
    };
    const stated = [...text.matchAll(/^\| `(\w+)` +\| ([\d,]+) s +\|/gm)]
      .map(([, name, value = ""]) => [name, Number(value.replace(",", ""))]);
    assertEquals(Object.fromEntries(stated), defaults);
  });

  it("states what the bound for a thief is with the defaults", () => {
    const inMinutes = (seconds: number) =>
      `${Math.floor(seconds / 60)} minutes\\s+${seconds % 60}\\s+seconds`;
    const once = DEFAULT_RENEW_INTERVAL + DEFAULT_RENEW_GRACE;
    const twice = DEFAULT_RENEW_INTERVAL + once;
    const bound = `${inMinutes(once)}, or ${inMinutes(twice)}`;
    assert(new RegExp(bound.replaceAll(" ", "\\s+")).test(text), bound);
  });

  it("has presets that a manager accepts and that keep to their AAL", async () => {
    const limits = {
      LOW_RISK: { idleTimeout: Infinity, absoluteTimeout: 2_592_000 },
      OFFICE: { idleTimeout: 1800, absoluteTimeout: 43_200 },
      HIGH_VALUE: { idleTimeout: 900, absoluteTimeout: 43_200 },
    };
    for (const [name, limit] of Object.entries(limits)) {
      const preset = presetOf(name);
      await new Manager({ ...preset, gcInterval: 0 }).close();
      const { idleTimeout = NaN, absoluteTimeout = NaN } = preset;
      assert(idleTimeout <= limit.idleTimeout, name);
      assert(absoluteTimeout <= limit.absoluteTimeout, name);
    }
  });

  it("says of every event, and of every reason of a refusal, what to do", () => {
    assertEquals(firstCellsBelow("event").sort(), Object.keys(EVENTS).sort());
    assertEquals(
      firstCellsBelow("`reason` of `refused`").sort(),
      Object.keys(REASONS).sort(),
    );
  });

  it("links to files that exist", () => {
    const paths = [...text.matchAll(/\]\(([^)#]+)\)/g)].map(([, path = ""]) =>
      path
    );
    assert(paths.length > 100);
    assertEquals(paths.filter((path) => !exists(path)), []);
  });

  it("links to headings that it has", () => {
    const headings = [...text.matchAll(/^#+ (.+)$/gm)]
      .map(([, title = ""]) => title.toLowerCase().replaceAll(" ", "-"));
    const anchors = [...text.matchAll(/\]\(#([^)]+)\)/g)]
      .map(([, anchor = ""]) => anchor);
    assert(anchors.length > 0);
    assertEquals(anchors.filter((anchor) => !headings.includes(anchor)), []);
  });

  it("tells how to report a vulnerability in private", () => {
    assert(
      /## Reporting a vulnerability\s+Please report it privately/.test(text),
    );
  });
});
