/**
 * Leaves a trace of each value in a store, and looks for all of them in whatever
 * form in the bytes that the store has written.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Provider } from "../core/provider.ts";
import { makeData, makeId, makeRecord } from "./_records.ts";

/** What is readable unless it is hidden. */
export const READABLE = {
  name: "trace-of-a-name",
  otherName: "trace-of-another-name",
  lostName: "trace-of-a-lost-name",
  principal: "trace-of-a-principal",
  otherPrincipal: "trace-of-another-principal",
  label: "trace-of-a-label",
  otherLabel: "trace-of-another-label",
};

/** What is never readable. */
const SECRET = {
  text: "trace of a text",
  nested: "trace of a nested text",
  key: "trace of a nested key",
  number: 918_273_645_546_372,
  bigint: 81_726_354_455_463_728_190n,
  date: 1_918_273_645_546,
  bytes: "trace of some bytes",
  lost: "trace of a lost text",
  later: "trace of a later text",
  fingerprint: "trace of a fingerprint",
  otherFingerprint: "trace of another fingerprint",
};

/** All of it. */
export const TRACES: readonly string[] = [
  ...Object.values(READABLE),
  ...Object.values(SECRET).map(String),
];

/** The ids of the sessions, which are never hidden. */
export const IDS: readonly string[] = [makeId(1), makeId(2)];

/** Leaves every trace, by every call that is handed something. */
export async function leaveTraces(provider: Provider): Promise<void> {
  const [one, two] = IDS as [string, string];
  const { principal, otherPrincipal, label, otherLabel } = READABLE;
  const { fingerprint, otherFingerprint } = SECRET;
  const now = Date.now();
  const data = makeData([
    [READABLE.name, SECRET.text],
    [READABLE.lostName, SECRET.lost],
    ["nested", { [SECRET.key]: [SECRET.nested] }],
    ["number", SECRET.number],
    ["bigint", SECRET.bigint],
    ["date", new Date(SECRET.date)],
    ["bytes", new Uint8Array(Buffer.from(SECRET.bytes))],
  ]);
  const record = makeRecord({ now, data, principal, label, fingerprint });
  assert(await provider.create(one, record, now));
  assert(await provider.create(two, makeRecord({ now }), now));
  const change = {
    set: makeData([[READABLE.otherName, SECRET.later]]),
    principal: otherPrincipal,
    label: otherLabel,
    fingerprint: otherFingerprint,
  };
  assertEquals(await provider.update(two, change, {}, now), "done");
  const removal = { delete: [READABLE.lostName] };
  assertEquals(await provider.update(one, removal, { principal }, now), "done");
  assertEquals((await provider.list(principal, now)).sessions.length, 1);
  assertEquals(await provider.destroyAll(otherPrincipal, two), 0);
  const guard = { principal: otherPrincipal };
  assertEquals(await provider.destroy(one, guard, now), "refused");
}

/** Those of some traces that are in the bytes, in any form. */
export function found(
  traces: readonly string[],
  bytes: Buffer,
): readonly string[] {
  // A text is searched many times faster than bytes are.
  const text = bytes.toString("latin1");
  return traces.filter((trace) =>
    formsOf(trace).some((form) => text.includes(form))
  );
}

/** A text as somebody could have written it down, a character for each byte. */
function formsOf(text: string): readonly string[] {
  const utf8 = Buffer.from(text);
  const utf16 = Buffer.from(text, "utf16le");
  const hex = utf8.toString("hex");
  return [
    ...[utf8, utf16, Buffer.from(utf16).swap16(), ...doublesOf(text)]
      .map((bytes) => bytes.toString("latin1")),
    hex,
    hex.toUpperCase(),
    ...[0, 1, 2].flatMap((offset) => base64Of(utf8, offset)),
  ];
}

/** What is the same in base64 whatever stands around it, so many bytes in. */
function base64Of(bytes: Buffer, offset: number): string[] {
  const all = Buffer.concat([Buffer.alloc(offset), bytes]);
  const first = Math.ceil(offset * 8 / 6);
  const end = Math.floor(all.length * 8 / 6);
  return (["base64", "base64url"] as const)
    .map((encoding) => all.toString(encoding).slice(first, end));
}

/** A number as its eight bytes, the lowest or the highest first. */
function doublesOf(text: string): Buffer[] {
  if (!/^\d+$/.test(text)) return [];
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(Number(text));
  return [bytes, Buffer.from(bytes).reverse()];
}

/**
 * All files in a folder and below, one after the other.
 *
 * @param since Leaves out what was last written before that instant.
 */
export function bytesBelow(folder: string, since = 0): Buffer {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile());
  return Buffer.concat(
    files.map(({ parentPath, name }) => bytesOf(join(parentPath, name), since)),
  );
}

function bytesOf(path: string, since: number): Buffer {
  try {
    return statSync(path).mtimeMs >= since
      ? readFileSync(path)
      : Buffer.alloc(0);
  } catch (error) {
    // A server at work removes files that it had for a while.
    if ((error as { code?: string }).code === "ENOENT") return Buffer.alloc(0);
    throw error;
  }
}
