/** Holds the guide against the code: a default that changed must fail here. */
import { assert, assertEquals } from "@std/assert";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { type CookieOptions, resolveCookie } from "../core/carriage/cookie.ts";
import type { HostCookieOptions } from "../core/carriage/cookie_by_host.ts";
import type { DeviceBoundOptions } from "../core/device/options.ts";
import { type AllOptions, resolveOptions } from "../core/options.ts";
import { Manager, Session, type SessionErrorCode } from "../mod.ts";
import { resolveBounds } from "../providers/memory/bounds.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const PAGES = [
  "README.md",
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "CHANGELOG.md",
  ...readdirSync(join(ROOT, "docs")).flatMap((name) =>
    name.endsWith(".md") ? [`docs/${name}`] : []
  ),
  "examples/README.md",
];

function textOf(page: string): string {
  return readFileSync(join(ROOT, page), "utf8");
}

/** The rows of the table below a heading, as trimmed cells. */
function rowsOf(page: string, heading: string): string[][] {
  const text = textOf(page);
  const start = text.indexOf(`\n## ${heading}\n`);
  assert(start !== -1, `${page} has no heading ${heading}`);
  const end = text.indexOf("\n## ", start + 1);
  const section = text.slice(start, end === -1 ? undefined : end);
  const rows = section.split("\n").filter((line) => line.startsWith("|"));
  assert(rows.length > 2, `${heading} has no table`);
  // A head, and the line below it.
  return rows.slice(2).map((row) =>
    row.split("|").slice(1, -1).map((cell) => cell.trim())
  );
}

/** What stands between backticks in a cell, without arguments. */
function namesIn(cell = ""): string[] {
  return Array.from(cell.matchAll(/`([^`(]+)[^`]*`/g), ([, name = ""]) => name);
}

/** The name of a heading in an address, as renderers of Markdown make it. */
function anchorsOf(page: string): string[] {
  return Array.from(
    textOf(page).matchAll(/^#+ (.+)$/gm),
    ([, title = ""]) =>
      title.toLowerCase().replaceAll(/[^\w\- ]/g, "").replaceAll(" ", "-"),
  );
}

describe("the guide", () => {
  it("begins with a README of at most 900 words", () => {
    const words = textOf("README.md").split(/\s+/)
      .filter((word) => /\w/.test(word));
    assert(words.length <= 900, `it has ${words.length}`);
  });

  for (const page of PAGES) {
    it(`has no link that leads nowhere: ${page}`, () => {
      const links = textOf(page).matchAll(/\]\(([^)#\s]*)(?:#([^)]*))?\)/g);
      for (const [link, path = "", anchor] of links) {
        if (/^[a-z]+:/.test(path)) continue;
        const target = path === "" ? page : join(dirname(page), path);
        assert(existsSync(join(ROOT, target)), `${page}: ${link}`);
        if (anchor === undefined || !target.endsWith(".md")) continue;
        assert(anchorsOf(target).includes(anchor), `${page}: ${link}`);
      }
    });
  }

  it("is linked to from the README, page for page", () => {
    const readme = textOf("README.md");
    for (const page of PAGES) {
      if (page === "README.md" || page === "CHANGELOG.md") continue;
      assert(readme.includes(`](${page})`), page);
    }
  });
});

/** Every option, but those of the cookie: a new one does not compile here. */
const OPTIONS = {
  provider: 1,
  cookie: 1,
  idleTimeout: 1,
  absoluteTimeout: 1,
  renewInterval: 1,
  renewGrace: 1,
  onReuse: 1,
  maxSessions: 1,
  onMaxSessions: 1,
  bearer: 1,
  deviceBound: 1,
  crossOriginProtection: 1,
  trustedOrigins: 1,
  fingerprint: 1,
  onFingerprintChange: 1,
  onUnavailable: 1,
  isUse: 1,
  touchInterval: 1,
  gcInterval: 1,
  timeout: 1,
  maxSize: 1,
  schema: 1,
  migrate: 1,
  now: 1,
  onEvent: 1,
} satisfies Record<keyof AllOptions, 1>;

const COOKIE_OPTIONS = {
  name: 1,
  path: 1,
  domain: 1,
  secure: 1,
  sameSite: 1,
  partitioned: 1,
  persistent: 1,
  scope: 1,
} satisfies Record<keyof HostCookieOptions, 1>;

const DEVICE_OPTIONS = {
  mode: 1,
  path: 1,
  interval: 1,
} satisfies Record<keyof DeviceBoundOptions, 1>;

const CODES = {
  "closed": 1,
  "committed": 1,
  "conflict": 1,
  "corrupt": 1,
  "destroyed": 1,
  "gone": 1,
  "not-valid": 1,
  "store-failed": 1,
  "timeout": 1,
  "too-large": 1,
  "too-many-sessions": 1,
  "unavailable": 1,
  "unsendable": 1,
} satisfies Record<SessionErrorCode, 1>;

describe("the reference", () => {
  const page = "docs/reference.md";
  const options = rowsOf(page, "Options");
  const defaultOf = (name: string) =>
    options.find(([cell]) => cell === `\`${name}\``)?.[1];

  it("has every option, and no other", () => {
    const shown = new Set(
      options
        .filter(([cell]) => !cell?.includes("MemoryProvider"))
        .flatMap(([cell]) => namesIn(cell)),
    );
    const expected = new Set([
      ...Object.keys(OPTIONS),
      ...Object.keys(COOKIE_OPTIONS).map((name) => `cookie.${name}`),
      ...Object.keys(DEVICE_OPTIONS).map((name) => `deviceBound.${name}`),
    ]);
    assertEquals(shown, expected);
  });

  it("has the defaults that count", () => {
    const settings = resolveOptions({});
    const seconds = (value: number) => `${value.toLocaleString("en")} s`;
    const quoted = (value: unknown) => `\`${JSON.stringify(value)}\``;
    const expected: Readonly<Record<string, string>> = {
      idleTimeout: seconds(settings.lifetime.idleTimeout),
      absoluteTimeout: seconds(settings.lifetime.absoluteTimeout),
      renewInterval: seconds(settings.renewInterval),
      renewGrace: seconds(settings.renewGrace),
      gcInterval: seconds(settings.gcInterval),
      timeout: seconds(settings.timeout),
      maxSize: `${settings.maxSize.toLocaleString("en")} bytes`,
      maxSessions: `\`${settings.maxSessions}\``,
      onReuse: quoted(settings.onReuse),
      onMaxSessions: quoted(settings.onMaxSessions),
      onFingerprintChange: quoted(settings.onFingerprintChange),
      crossOriginProtection: quoted(settings.crossOriginProtection),
      trustedOrigins: quoted([...settings.trustedOrigins]),
      bearer: quoted(settings.bearer),
    };
    for (const [name, value] of Object.entries(expected)) {
      assertEquals(defaultOf(name), value, name);
    }
  });

  it("has the defaults of the cookie", () => {
    const given = (name: keyof CookieOptions): unknown => {
      const text = defaultOf(`cookie.${name}`) ?? "";
      if (text === "none") return undefined;
      const value = namesIn(text)[0] ?? "";
      return /^(?:"|true|false)/.test(value) ? JSON.parse(value) : value;
    };
    const options = Object.fromEntries(
      Object.keys(COOKIE_OPTIONS)
        .filter((name) => name !== "scope")
        .map((name) => [name, given(name as keyof CookieOptions)]),
    );
    assertEquals(resolveCookie(options), resolveCookie());
  });

  it("has the bounds of the memory provider", () => {
    const { maxSessions, maxBytes } = resolveBounds({});
    const rows = options.filter(([cell]) => cell?.includes("MemoryProvider"));
    assertEquals(rows.map(([name, value]) => [namesIn(name)[0], value]), [
      ["maxSessions", maxSessions.toLocaleString("en")],
      ["maxBytes", `${maxBytes.toLocaleString("en")} bytes`],
    ]);
  });

  for (
    const [heading, prototype] of [
      ["A session", Session.prototype],
      ["A manager", Manager.prototype],
    ] as const
  ) {
    it(`has every member, and no other: ${heading}`, () => {
      const shown = rowsOf(page, heading).flatMap(([cell]) => namesIn(cell));
      const hidden = ["constructor", "toJSON", "toString"];
      const expected = Object.getOwnPropertyNames(prototype)
        .filter((name) => !hidden.includes(name));
      assertEquals(shown.sort(), expected.sort());
    });
  }

  it("has every error code, and no other", () => {
    const shown = rowsOf(page, "Error codes").flatMap(([cell]) =>
      namesIn(cell)
    );
    assertEquals(shown.sort(), Object.keys(CODES).sort());
  });
});
