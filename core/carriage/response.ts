/** Puts the outcome of a request on its answer: cookie, and what caches may do. */
import { SessionError } from "../errors.ts";

/** What a framework keeps headers in until it sends them. */
export interface HeaderSink {
  /** Adds a value to those of a name. */
  append(name: string, value: string): unknown;
  /** Replaces the values of a name. */
  set(name: string, value: string): unknown;
  /** The value of a name; without it, the answer counts as one for caches. */
  get?(name: string): string | null | undefined;
  /** Removes a name; without it, a header for caches is made to say no. */
  delete?(name: string): unknown;
  /** All names; without it, the usual headers for caches are looked at. */
  keys?(): Iterable<string>;
}

/**
 * Who can see a cookie on the answer:
 *
 * | reach | meaning |
 * | --- | --- |
 * | `"private"` | the browser alone |
 * | `"shared"` | a cache may keep it for others |
 * | `"not-modified"` | a 304, from which caches drop cookies |
 * | `"none"` | nobody: there is no answer, or it cannot carry one |
 */
export type Reach = "private" | "shared" | "not-modified" | "none";

/** The headers that show a session's token. */
export const COOKIE = "Cookie";
export const AUTHORIZATION = "Authorization";

/** What goes on an answer beside what the application put there. */
export interface Outcome {
  /** The `Set-Cookie` that is due. */
  readonly setCookie: string | undefined;
  /** What the browser is told about the session's device. */
  readonly device: readonly [name: string, value: string] | undefined;
  /** Whether the browser has to forget what the site stored (ASVS 14.3.1). */
  readonly isSiteDataCleared: boolean;
  /** The request's headers that it depends on, if the handler looked into the session. */
  readonly variesBy: readonly string[];
  /** Whether nothing may keep the answer, cookie or not. */
  readonly isSecret: boolean;
}

/** Whether something can be answered with. */
export function isResponse(answer: unknown): answer is Response {
  // Engines make the object for the headers when it is first asked for.
  if (answer instanceof Response) return true;
  const { headers, status } = Object(answer) as Partial<Response>;
  return typeof headers?.get === "function" && typeof status === "number";
}

/** Who can see a cookie on a response. */
export function reachOfResponse(response: Response | undefined): Reach {
  if (response === undefined || isUsed(response)) return "none";
  if (response.status === 101 || response.type === "error") return "none";
  if (response.status === 304) return "not-modified";
  return isForCaches(response.headers) ? "shared" : "private";
}

const ON_BUN = "Bun" in globalThis;

/** Whether nobody can send its body any more. */
function isUsed(response: Response): boolean {
  // On Bun a body that is locked counts as used, and one that was asked for is
  // not known to be a text any more.
  return response.bodyUsed || (!ON_BUN && response.body?.locked === true);
}

/** Who can see a cookie in a header sink. */
export function reachOfSink(sink: HeaderSink, status: number): Reach {
  if (status === 101) return "none";
  if (status === 304) return "not-modified";
  return isForCaches(sink) ? "shared" : "private";
}

/**
 * The response with the outcome on it. One that carries a cookie is always a new
 * one: the application may answer others with the one it gave. `Vary` alone is
 * the same for everybody, and is added in place where that is possible.
 */
export function withOutcome(response: Response, outcome: Outcome): Response {
  const { setCookie, device, isSiteDataCleared, isSecret } = outcome;
  const isBare = setCookie === undefined && device === undefined;
  if (isBare && !isSiteDataCleared && !isSecret) {
    return outcome.variesBy.length > 0
      ? varied(response, outcome.variesBy)
      : response;
  }
  // Nothing goes on an answer to an upgrade, whoever made the request.
  if (isBare && reachOfResponse(response) === "none") {
    return response;
  }
  const copy = copyOf(response);
  addOutcome(copy.headers, outcome);
  return copy;
}

/** Puts the outcome into a header sink. */
export function addOutcome(sink: HeaderSink, outcome: Outcome): void {
  const { setCookie, device, isSiteDataCleared, variesBy, isSecret } = outcome;
  vary(sink, variesBy);
  if (isSiteDataCleared) {
    sink.set("clear-site-data", '"cache", "cookies", "storage"');
  }
  if (setCookie === undefined && device === undefined && !isSecret) return;
  for (const name of [...cacheHeadersOf(sink)]) takeOff(sink, name);
  if (!isNotStored(sink.get?.("cache-control"))) {
    sink.set("cache-control", "no-store");
  }
  if (setCookie !== undefined) sink.append("set-cookie", setCookie);
  if (device !== undefined) sink.append(...device);
}

/** Says that a cookie is due and the answer cannot carry it. */
export function unsendable(response: Response | undefined): SessionError {
  const problem = response === undefined
    ? "there is no response: did the handler return it?"
    : isUsed(response)
    ? "the response's body was already used"
    : "a response of this kind has no cookies";
  return new SessionError(
    "unsendable",
    `Cannot commit session: its cookie cannot be sent: ${problem}`,
  );
}

/** The codings that `fetch()` decodes; Deno knows only two of them. */
const DECODED = "Deno" in globalThis
  ? /^(?:gzip|br)$/i
  : /^(?:x-gzip|gzip|br|deflate|zstd)$/i;

/**
 * What a body without a type is sent as on Bun, which works the type out from the
 * body, and cannot any more once it was copied: a browser would save a text as a
 * file. What is no text, browsers still notice if the type is written exactly like
 * this (MIME Sniffing, "resource metadata").
 */
const TEXT = "text/plain; charset=UTF-8";

/** A copy whose headers can be changed. */
function copyOf(response: Response): Response {
  // In this order: Bun tells the type of a blob only before its body is asked for.
  const { headers, body } = response;
  const isFetched = response.url !== "";
  const copy = new Response(body, response);
  const isUntyped = body !== null && !isFetched && !headers.has("content-type");
  if (ON_BUN && isUntyped) copy.headers.set("content-type", TEXT);
  // `fetch()` has decoded the body, and the headers still say how it was sent.
  const coding = headers.get("content-encoding");
  if (isFetched && coding !== null && DECODED.test(coding)) {
    copy.headers.delete("content-encoding");
    copy.headers.delete("content-length");
  }
  return copy;
}

function varied(response: Response, names: readonly string[]): Response {
  try {
    vary(response.headers, names);
    return response;
  } catch (error) {
    // Those of `fetch()` and `Response.redirect()` cannot be changed.
    if (reachOfResponse(response) === "none") return response;
    if (!(error instanceof TypeError)) throw error;
  }
  const copy = copyOf(response);
  vary(copy.headers, names);
  return copy;
}

function vary(sink: HeaderSink, names: readonly string[]): void {
  for (const name of names) {
    const present = sink.get?.("vary");
    // Most pages have none yet, and to set one takes less than to add one.
    if (present === null) sink.set("vary", name);
    else if (!present || !VARIES_BY[name]?.test(present)) {
      sink.append("vary", name);
    }
  }
}

/** Whether a `Vary` names a header already, or all of them. */
const VARIES_BY: Readonly<Record<string, RegExp>> = {
  [COOKIE]: /(?:^|[\s,])(?:cookie|\*)(?:$|[\s,])/i,
  [AUTHORIZATION]: /(?:^|[\s,])(?:authorization|\*)(?:$|[\s,])/i,
};

/**
 * The headers that tell caches more than `Cache-Control` does, and which they
 * obey before that (RFC 9213).
 */
const CACHE_HEADERS = [
  "cdn-cache-control",
  "cloudflare-cdn-cache-control",
  "netlify-cdn-cache-control",
  "vercel-cdn-cache-control",
  "surrogate-control",
  "edge-control",
  "x-accel-expires",
];

/** Those of any vendor. */
const CACHE_HEADER =
  /(?:cdn-cache-control|surrogate-control|edge-control|x-accel-expires)$/i;

function* cacheHeadersOf(sink: HeaderSink): Generator<string> {
  yield "expires";
  if (sink.keys === undefined) return yield* CACHE_HEADERS;
  for (const name of sink.keys()) if (CACHE_HEADER.test(name)) yield name;
}

function isForCaches(sink: HeaderSink): boolean {
  if (sink.get === undefined) return true;
  for (const name of cacheHeadersOf(sink)) {
    if (name !== "expires" && sink.get(name)) return true;
  }
  const control = sink.get("cache-control") ?? "";
  if (/(?:^|[\s,])(?:public|s-maxage)(?:$|[\s,=])/i.test(control)) return true;
  if (/(?:^|[\s,])(?:private|no-store)(?:$|[\s,=])/i.test(control)) {
    return false;
  }
  return isMaxAgePositive(control) || Boolean(sink.get("expires"));
}

function isMaxAgePositive(control: string): boolean {
  const [, age] = /(?:^|[\s,])max-age\s*=\s*"?(\d+)/i.exec(control) ?? [];
  return age !== undefined && Number(age) > 0;
}

/** Whether a `Cache-Control` says `no-store`, and nothing to the contrary. */
function isNotStored(control: string | null | undefined): boolean {
  if (!control || !/(?:^|[\s,])no-store(?:$|[\s,])/i.test(control)) {
    return false;
  }
  return !isMaxAgePositive(control) &&
    !/(?:^|[\s,])(?:public|s-maxage|must-understand)(?:$|[\s,=])/i.test(
      control,
    );
}

function takeOff(sink: HeaderSink, name: string): void {
  if (sink.delete !== undefined) sink.delete(name);
  else if (sink.get?.(name) || sink.get === undefined) {
    sink.set(
      name,
      /^(?:x-accel-expires|expires)$/i.test(name) ? "0" : "no-store",
    );
  }
}
