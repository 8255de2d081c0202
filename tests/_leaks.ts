/**
 * Watches everything that is printed, thrown and emitted while the tests run
 * for any secret that was minted. The test command loads it before the tests;
 * what it finds it appends to the file that `SESSION_LEAKS` names, and the test
 * command fails if there is anything in it.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { channel } from "node:diagnostics_channel";
import { appendFileSync } from "node:fs";
import process from "node:process";
import { inspect } from "node:util";

/** Half a secret: 12 random bytes, more than chance would repeat. */
const PART_LENGTH = 16;

const parts = new Set<string>();

/** The first part of a minted secret that a text holds, if any. */
export function leakIn(text: string): string | undefined {
  for (const [run] of text.matchAll(/[\w-]{16,}/g)) {
    for (let at = 0; at + PART_LENGTH <= run.length; at++) {
      const part = run.slice(at, at + PART_LENGTH);
      if (parts.has(part)) return part;
    }
  }
  return undefined;
}

watchMinting();
watchErrors();
watchConsole();
channel("@cloakroom/session").subscribe((event) => {
  report("emitted", inspect(event, { depth: 10 }));
});

/**
 * Secrets, what is new in a renewed one, and what a session's device is asked by
 * are texts of so many bytes.
 */
const SECRET_SIZES = [27, 12, 16];

/** The characters between its two random parts that number a secret. */
const GENERATION_LENGTH = 4;

/** Secrets come out of a buffer of their own size. */
function watchMinting(): void {
  const { toString } = Buffer.prototype;
  Buffer.prototype.toString = function (...args: Parameters<typeof toString>) {
    const text = toString.apply(this, args);
    const isMinted = args[0] === "base64url" && args.length === 1 &&
      SECRET_SIZES.includes(this.length);
    if (isMinted) keep(text);
    return text;
  };
}

/** Keeps the random parts of a secret. */
function keep(text: string): void {
  const step = PART_LENGTH + GENERATION_LENGTH;
  for (let at = 0; at + PART_LENGTH <= text.length; at += step) {
    const part = text.slice(at, at + PART_LENGTH);
    // Tests of a broken random number generator mint the same over and over.
    if (new Set(part).size > 4) parts.add(part);
  }
}

/**
 * Bun binds the built-in error classes when it compiles a module, so that only
 * Deno lets them be watched. The code under test is the same.
 */
function watchErrors(): void {
  for (const name of ["Error", "TypeError", "RangeError"] as const) {
    Object.assign(globalThis, {
      [name]: new Proxy(globalThis[name], {
        construct(target, args, newTarget) {
          report("thrown", inspect(args, { depth: 10 }));
          return Reflect.construct(target, args, newTarget);
        },
      }),
    });
  }
}

function watchConsole(): void {
  for (const name of ["log", "info", "debug", "warn", "error"] as const) {
    const print = console[name];
    console[name] = (...args: unknown[]) => {
      report("printed", inspect(args, { depth: 10 }));
      print(...args);
    };
  }
}

function report(how: string, text: string): void {
  const file = process.env.SESSION_LEAKS;
  if (file === undefined) return;
  const leak = leakIn(text);
  if (leak !== undefined) {
    appendFileSync(file, `${how}: ${text.replaceAll(leak, "<a secret>")}\n`);
  }
}
