import {
  cookieValueAt,
  findCookie,
  resolveCookie,
  setCookie,
} from "../../core/carriage/cookie.ts";
import { mintId, mintSecret } from "../../core/secret/token.ts";
import { type BenchCase, CALLS, compare } from "./bench_case.ts";

const NAME = "__Host-id";
const WANTED = `${NAME}=`;

/** How many different headers there are of each length. */
const HEADERS = 64;

/** A cookie of about the length that analytics set. */
const OTHER = "GA1.2.1029384756.1700000000";

/** Reading one cookie, the last of its header, and writing one. */
export function cookieCases(): BenchCase[] {
  return [
    ...readCases(0, "alone"),
    ...readCases(10, "after 10 others"),
    ...readCases(100, "after 100 others"),
    ...writeCases(),
  ];
}

function readCases(others: number, column: string): BenchCase[] {
  const values = Array.from(
    { length: HEADERS },
    () => mintId() + mintSecret(),
  );
  const headers = values.map((value) => headerWith(value, others));
  const count = (read: (header: string) => string) => () => {
    let right = 0;
    for (let call = 0; call < CALLS; call++) {
      const at = call % HEADERS;
      if (read(headers[at] as string) === values[at]) right++;
    }
    return right;
  };
  const task = { group: "read the cookie", column, operations: CALLS };
  return compare(task, [
    {
      name: "indexOf of name and end, slice",
      run: count((header) => {
        const start = header.indexOf(WANTED) + WANTED.length;
        const end = header.indexOf(";", start);
        return end === -1 ? header.slice(start) : header.slice(start, end);
      }),
    },
    {
      name: "every cookie split and put into a Map",
      run: count((header) => allCookies(header).get(NAME) ?? ""),
    },
    {
      name: "ours: findCookie, cookieValueAt",
      run: count((header) => cookieValueAt(header, findCookie(header, NAME))),
    },
  ]);
}

function headerWith(value: string, others: number): string {
  const pairs = Array.from({ length: others }, (_, i) => `_ga_${i}=${OTHER}`);
  return [...pairs, `${WANTED}${value}`].join("; ");
}

function allCookies(header: string): Map<string, string> {
  const cookies = new Map<string, string>();
  for (const pair of header.split(";")) {
    const at = pair.indexOf("=");
    cookies.set(pair.slice(0, at).trim(), pair.slice(at + 1).trim());
  }
  return cookies;
}

function writeCases(): BenchCase[] {
  const template = resolveCookie();
  const token = mintId() + mintSecret();
  const end = `; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=`;
  const count = (write: (age: number) => string) => () => {
    let right = 0;
    for (let call = 0; call < CALLS; call++) {
      // Reading a character makes the engine join the parts.
      const last = write(100 + call).charCodeAt(NAME.length + token.length);
      if (last === token.charCodeAt(token.length - 1)) right++;
    }
    return right;
  };
  const task = { group: "write Set-Cookie", operations: CALLS };
  return compare(task, [
    {
      name: "one template string",
      run: count((age) => `${NAME}=${token}${end}${age}`),
    },
    {
      name: "ours: setCookie",
      run: count((age) => setCookie(template, token, age)),
    },
  ]);
}
