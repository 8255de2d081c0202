/**
 * A process of its own, started by `events_test.ts`: keeps the ids that many
 * requests with long `Cookie` headers bring up, as a log would, and prints how
 * many megabytes that takes. The argument says where the ids come from.
 *
 * @module
 */
import process from "node:process";
import { mintSibling } from "../core/secret/token.ts";
import { Manager, type ManagerOptions, type RequestLike } from "../mod.ts";
import { MemoryProvider } from "../providers/memory.ts";
import { mintToken } from "./_tokens.ts";

/** How many headers there are, of a tenth of a megabyte each. */
const REQUESTS = 300;
const LENGTH = 100_000;

const kept: unknown[] = [];
const provider = new MemoryProvider();
const onEvent: ManagerOptions["onEvent"] = (event) => {
  kept.push(event.type === "store-error" ? event.error.id : event);
};
const options: ManagerOptions = { gcInterval: 0, provider, onEvent };
let now = Date.now();
let manager = new Manager({ ...options, now: () => now });

/** By where the ids come from: what is done before, and the cookies then. */
const SOURCES: Readonly<
  Record<string, () => Promise<() => readonly string[]>>
> = {
  "an unknown session": () => Promise.resolve(() => [mintToken()]),
  "a wrong secret": async () => {
    const token = await signedIn();
    return () => [token.slice(0, 24) + mintToken().slice(24)];
  },
  "an alarm": async () => {
    manager = new Manager({ ...options, onReuse: "report" });
    const token = await signedIn();
    return () => [token.slice(0, 24) + mintSibling(token.slice(24))];
  },
  "a sign-in just before": async () => {
    const token = await signedIn();
    await signedIn(token);
    return () => [token];
  },
  "two sessions": async () => {
    const tokens = [await signedIn(), await signedIn()];
    return () => tokens;
  },
  "another client": async () => {
    let count = 0;
    manager = new Manager({ ...options, fingerprint: () => `${count++}` });
    const token = await signedIn();
    return () => [token];
  },
  "an opened session": async () => {
    const token = await signedIn();
    return () => [token];
  },
  "a store that fails": async () => {
    const token = await signedIn();
    provider.read = () => {
      throw new Error("disk on fire");
    };
    return () => [token];
  },
};

const source = process.argv[2] ?? "";
const tokensOf = await SOURCES[source]!();
kept.length = 0;
for (let warm = 0; warm < 30; warm++) await request();
kept.length = 0;
const before = heapSize();
for (let count = 0; count < REQUESTS; count++) await request();
const after = heapSize();
// Still there, so that it was counted.
if (kept.length < REQUESTS) throw new Error(`kept only ${kept.length}`);
console.log((after - before) / 1e6);

async function request(): Promise<void> {
  now++;
  const padding = Math.random().toString(36).repeat(LENGTH / 10);
  const cookies = tokensOf().map((token) => `__Host-id=${token}`);
  try {
    const session = await manager.start(
      requestWith(`padding=${padding.slice(0, LENGTH)}; ${cookies.join("; ")}`),
    );
    session.set("count", kept.length);
    if (!session.isNew) kept.push(session.id);
    // One that is superseded has no session to change, and its id is told.
    if (session.refusal !== "superseded") session.discard();
    await manager.commit(session, new Response());
  } catch {
    // The event of the failure was kept.
  }
}

/** Signs somebody in, and returns the token. */
async function signedIn(token?: string): Promise<string> {
  const session = await manager.start(
    requestWith(token === undefined ? undefined : `__Host-id=${token}`),
  );
  session.signIn("ada");
  const { headers } = await manager.commit(session, new Response());
  return headers.get("set-cookie")!.split(/[=;]/)[1]!;
}

function requestWith(cookie: string | undefined): RequestLike {
  const get = (name: string) => name === "cookie" ? cookie ?? null : null;
  return { method: "GET", url: "http://localhost/", headers: { get } };
}

/** What is in use after a collection, in bytes. */
function heapSize(): number {
  const { Bun, gc } = globalThis as unknown as {
    Bun?: { gc(force: boolean): void };
    gc?(): void;
  };
  for (let pass = 0; pass < 3; pass++) {
    if (Bun === undefined) gc?.();
    else Bun.gc(true);
  }
  return process.memoryUsage().heapUsed;
}
