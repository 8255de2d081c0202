/**
 * What every adapter promises, tried on its framework's real server over HTTP.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import process from "node:process";
import { after, describe, it } from "node:test";
import { SessionContext } from "../../adapters/context.ts";
import { DEFAULT_RENEW_INTERVAL, Manager, type Provider } from "../../mod.ts";
import { MemoryProvider } from "../../providers/memory.ts";
import { type Call, failCall, later, noteCalls } from "../_providers.ts";
import { DeviceSigner } from "../_device_proofs.ts";
import type { LocalServer } from "../_server.ts";
import { Client, type Page, sessionCookiesOf } from "./_client.ts";
import { type App, type Data, Gate, OWN_COOKIES } from "./_routes.ts";
import { noteRow } from "./_table.ts";

/** A framework under test. */
export interface Framework {
  /** Such as `Hono`. */
  readonly name: string;
  /** The version of its package. */
  readonly version: string;
  /** Starts its real server on a free port, with the routes of `_routes.ts`. */
  serve(app: App): LocalServer | Promise<LocalServer>;
  /** What becomes of what a handler set before it threw an error of 4xx. */
  readonly thrown4xx: "dropped" | "kept";
  /** The checks that it cannot pass, with the reason. */
  readonly cannot?: Partial<Readonly<Record<CheckName, string>>> | undefined;
}

/** The runtime that the tests run on. */
export const RUNTIME: string = "Bun" in globalThis
  ? `Bun ${process.versions.bun}`
  : `Deno ${process.versions.deno}`;

/** A served application and what stands behind it. */
interface Running extends AsyncDisposable {
  readonly url: string;
  readonly app: App;
  /** The calls that the store has got. */
  readonly calls: Call[];
  /** The store without its delay. */
  readonly store: Provider;
  client(): Client;
  /** Lets some seconds pass. */
  advance(seconds: number): void;
}

type Check = (running: Running, framework: Framework) => Promise<void>;

/** How many requests come at the same time. */
const CROWD = 40;

const CHECKS = {
  "an anonymous GET gets no cookie and stores nothing": async (running) => {
    const page = await running.client().open("/");
    assertEquals(page.text, "hello");
    assertUntouched(page, running.calls);
    assertEquals(page.headers.get("vary"), null);
  },

  "a visitor whose session is only read is not stored": async (running) => {
    const client = running.client();
    assertEquals(await client.read("/read"), {});
    assertEquals(client.cookie, undefined);
    assertEquals(running.calls, []);
  },

  "a page that depends on the session says so to caches": async (running) => {
    const { headers } = await running.client().open("/read");
    assertMatch(headers.get("vary") ?? "", /cookie/i);
  },

  "a write sets one cookie beside the app's own": async (running) => {
    const page = await running.client().open("/write?name=Ada");
    assertEquals([page.status, page.text], [200, "written"]);
    assertEquals(page.cookies.length, 1);
    const own = page.headers.getSetCookie();
    assertEquals(own.filter((line) => OWN_COOKIES.includes(line)), OWN_COOKIES);
    assertEquals(own.length, 3);
    assertEquals(page.headers.get("cache-control"), "no-store");
  },

  "the next request finds what was written, in silence": async (running) => {
    const client = await writer(running);
    running.calls.length = 0;
    const page = await client.open("/read");
    assertEquals(JSON.parse(page.text), { name: "Ada" });
    assertEquals(page.cookies, []);
    assertEquals(running.calls.filter((call) => call !== "touch"), ["read"]);
  },

  "a sign-in shows in the next request": async (running) => {
    const client = await writer(running);
    const before = client.cookie;
    const page = await client.open("/sign-in?user=ada", { method: "POST" });
    assertEquals([page.status, page.cookies.length], [200, 1]);
    assertNotEquals(client.cookie, before);
    assertEquals(await client.read("/read"), { name: "Ada", principal: "ada" });
  },

  "a sign-out clears cookie and site data": async (running) => {
    const client = await writer(running);
    const { cookie } = client;
    const page = await client.open("/sign-out", { method: "POST" });
    assertMatch(page.cookies.join(), /max-age=0/i);
    assertEquals(
      page.headers.get("clear-site-data"),
      '"cache", "cookies", "storage"',
    );
    client.cookie = cookie;
    assertEquals(await client.read("/read"), {});
  },

  "a redirect carries the cookie": async (running) => {
    const client = running.client();
    const page = await client.open("/redirect");
    assert([302, 303, 307].includes(page.status), String(page.status));
    assertStringIncludes(page.headers.get("location") ?? "", "/read");
    assertEquals(page.cookies.length, 1);
    assertEquals(await client.read("/read"), { name: "redirected" });
  },

  "a stream is stored before its head and sent as it comes": async (
    running,
  ) => {
    const client = running.client();
    const response = await client.send("/stream");
    assertEquals(sessionCookiesOf(response.headers).length, 1);
    assertEquals(await client.read("/read"), { name: "Ada" });
    const reader = response.body!.getReader();
    const decoder = new TextDecoder();
    let text = decoder.decode((await reader.read()).value);
    assertEquals(text, "first");
    running.app.gate.open();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      text += decoder.decode(value);
    }
    assertEquals(text, "first second");
  },

  "a 204 carries the cookie": async (running) => {
    const client = running.client();
    const page = await client.open("/no-content");
    assertEquals([page.status, page.text, page.cookies.length], [204, "", 1]);
    assertEquals(await client.read("/read"), { name: "Ada" });
  },

  "a 304 writes and carries no cookie": async (running) => {
    const client = await writer(running);
    const page = await client.open("/not-modified");
    assertEquals([page.status, page.text, page.cookies], [304, "", []]);
    assertEquals(await client.read("/read"), { name: "changed" });
  },

  "a HEAD is answered as a GET without its body": async (running) => {
    const client = running.client();
    const page = await client.open("/write?name=Ada", { method: "HEAD" });
    assertEquals([page.status, page.text, page.cookies.length], [200, "", 1]);
    assertEquals(await client.read("/read"), { name: "Ada" });
  },

  "a nested router has the same session": async (running) => {
    const client = running.client();
    const page = await client.open("/nested/inner?name=Ada");
    assertEquals([page.status, page.cookies.length], [200, 1]);
    assertEquals(await client.read("/read"), { name: "Ada" });
  },

  "middleware before and after it can change the answer": async (running) => {
    const client = await writer(running);
    const { headers, cookies } = await client.open("/write?name=Bob");
    assertEquals(headers.get("x-outer"), "outer");
    assertEquals(headers.get("x-inner"), "Ada");
    assertEquals(cookies, []);
    const first = await running.client().open("/write?name=Eve");
    assertEquals(first.headers.get("x-outer"), "outer");
    assertEquals(first.headers.get("x-inner"), "nobody");
    assertEquals(first.cookies.length, 1);
  },

  "a path that is not there is the framework's own 404": async (running) => {
    const page = await running.client().open("/nothing-here");
    assertEquals(page.status, 404);
    assertEquals(page.cookies, []);
    assertEquals(running.calls, []);
  },

  "an error thrown before a change is the framework's own": async (running) => {
    const page = await running.client().open("/throw-before");
    assertEquals(page.status, 500);
    assertUntouched(page, running.calls);
  },

  "an error thrown after a change drops the change": async (running) => {
    const page = await running.client().open("/throw-after");
    assertEquals(page.status, 500);
    assertUntouched(page, running.calls);
    const client = await writer(running);
    assertEquals((await client.open("/throw-after")).status, 500);
    assertEquals(await client.read("/read"), { name: "Ada" });
  },

  "an answer of 500 or above drops the change": async (running) => {
    const client = await writer(running);
    const page = await client.open("/fail");
    assertEquals([page.status, page.text], [503, "try again later"]);
    assertEquals(await client.read("/read"), { name: "Ada" });
  },

  "a thrown 4xx is answered as the framework does": async (
    running,
    { thrown4xx },
  ) => {
    const client = await writer(running);
    assertEquals((await client.open("/refuse")).status, 418);
    const name = thrown4xx === "dropped" ? "Ada" : "refused";
    assertEquals(await client.read("/read"), { name });
  },

  "a session that was ended stays so although the request fails": async (
    running,
  ) => {
    const client = await writer(running);
    const { cookie } = client;
    assertEquals((await client.open("/end-and-throw")).status, 500);
    client.cookie = cookie;
    assertEquals(await client.read("/read"), {});
  },

  "a POST of another site's page is refused": async (running) => {
    const client = await writer(running);
    const origin = "https://evil.example";
    const headers = { origin, "sec-fetch-site": "cross-site" };
    const page = await client.open("/write?name=Eve", {
      method: "POST",
      headers,
    });
    assertEquals([page.status, page.cookies], [403, []]);
    assertEquals(await client.read("/read"), { name: "Ada" });
  },

  "a device's key is registered and proved, at a path that no route knows":
    async (running) => {
      const client = running.client();
      const path = "/device-bound-session";
      const post = (headers: Readonly<Record<string, string>>) =>
        client.open(path, { method: "POST", headers });
      const signIn = { method: "POST" };
      const { headers } = await client.open("/sign-in?user=ada", signIn);
      const offer = headers.get("secure-session-registration") ?? "";
      const [, challenge = ""] = /;challenge="([^"]*)"/.exec(offer) ?? [];
      const signer = new DeviceSigner();
      const registered = await post({
        "secure-session-response": signer.register(challenge),
      });
      assertEquals(registered.status, 200);
      const { session_identifier: id, credentials } = JSON.parse(
        registered.text,
      );
      const [{ name }] = credentials;
      assertEquals(client.names, ["__Host-id", name]);
      await client.read("/read");
      const asked = registered.headers.get("secure-session-challenge") ?? "";
      const proved = await post({
        "sec-secure-session-id": `"${id}"`,
        "secure-session-response": signer.refresh(asked.split('"')[1] ?? ""),
      });
      assertEquals(proved.status, 200);
      const again = await post({ "sec-secure-session-id": id });
      assertEquals(again.status, 403);
      assertMatch(again.headers.get("secure-session-challenge") ?? "", /;id="/);
      assertMatch(again.headers.get("cache-control") ?? "", /no-store/);
      // A copy of the session cookie alone is worth nothing from now on.
      running.advance(31);
      assertEquals(await client.read("/read"), { principal: "ada" });
      const copy = running.client();
      copy.cookie = client.cookie;
      assertEquals(await copy.read("/read"), {});
    },

  "a WebSocket of another site's page is refused": async (running) => {
    const client = await writer(running);
    const origin = "https://evil.example";
    const { status, message } = await client.upgrade("/socket", { origin });
    assertEquals([status, message], [403, undefined]);
  },

  "a WebSocket has the session of its request": async (running) => {
    const client = await writer(running);
    assertEquals(await client.upgrade("/socket"), {
      status: 101,
      message: "Hello Ada",
    });
  },

  "an upgrade, which carries no cookie, leaves the secret as it is": async (
    running,
  ) => {
    const client = await writer(running);
    running.advance(DEFAULT_RENEW_INTERVAL + 1);
    running.calls.length = 0;
    assertEquals((await client.upgrade("/socket")).message, "Hello Ada");
    assert(!running.calls.includes("update"), running.calls.join());
    assertEquals((await client.open("/read")).cookies.length, 1);
  },

  "a store that fails is an error of the framework's own": async (running) => {
    const client = await writer(running);
    failCall(running.store, "update");
    const page = await client.open("/write?name=lost");
    assert(page.status >= 500, String(page.status));
    assertEquals(page.cookies, []);
    assert(!page.text.includes("written"), page.text);
    failCall(running.store, "create");
    const visit = await running.client().open("/write?name=lost");
    assert(visit.status >= 500, String(visit.status));
    assertEquals(visit.cookies, []);
  },

  "a store that cannot be read is an error of the framework's own": async (
    running,
  ) => {
    const client = await writer(running);
    failCall(running.store, "read");
    const page = await client.open("/read");
    assert(page.status >= 500, String(page.status));
    assertEquals(page.cookies, []);
  },

  "a crowd at a slow store gets each visitor's own session": async (
    running,
  ) => {
    const crowd = Array.from({ length: CROWD }, () => running.client());
    await Promise.all(
      crowd.map((client, at) => client.open(`/write?name=visitor-${at}`)),
    );
    const seen = await Promise.all(crowd.map((client) => client.read("/read")));
    assertEquals(seen, crowd.map((_, at) => ({ name: `visitor-${at}` })));
    assertEquals(new Set(crowd.map(({ cookie }) => cookie)).size, CROWD);
  },

  "a crowd of requests of one visitor loses nothing": async (running) => {
    const client = await writer(running);
    const numbers = Array.from({ length: CROWD / 2 }, (_, at) => at);
    await Promise.all(numbers.flatMap((at) => [
      client.open(`/set?key=${at}`),
      client.open(`/add?item=${at}`),
    ]));
    const { items, keys } = await client.read("/items");
    assertEquals((items as string[]).map(Number).sort(numerically), numbers);
    const set = (keys as string[]).filter((key) => key.startsWith("key-"));
    assertEquals(set.length, numbers.length);
  },

  "functions without the session find it by its context": async (running) => {
    const crowd = Array.from({ length: CROWD }, () => running.client());
    const pages = await Promise.all(
      crowd.map((client, at) => client.open(`/here?name=visitor-${at}`)),
    );
    assertEquals(pages.map(({ text }) => text), crowd.map(() => "true"));
    const seen = await Promise.all(crowd.map((client) => client.read("/read")));
    assertEquals(seen, crowd.map((_, at) => ({ name: `visitor-${at}` })));
  },

  "two apps in one process keep their sessions apart": async (
    running,
    framework,
  ) => {
    await using other = await run(framework);
    const client = await writer(running);
    const stranger = other.client();
    stranger.cookie = client.cookie;
    assertEquals(await stranger.read("/read"), {});
    assertEquals(await client.read("/read"), { name: "Ada" });
  },

  "mounted twice, it commits once": async (_running, framework) => {
    await using twice = await run(framework, 2);
    const client = twice.client();
    const page = await client.open("/write?name=Ada");
    assertEquals(page.cookies.length, 1);
    assertEquals(twice.calls, ["create"]);
    assertEquals(await client.read("/read"), { name: "Ada" });
  },
} satisfies Record<string, Check>;

/** The name of a check. */
export type CheckName = keyof typeof CHECKS;

/** The checks that nobody passes whose answers are all of its own making. */
export function withoutSockets(reason: string): Framework["cannot"] {
  return {
    "a WebSocket has the session of its request": reason,
    "an upgrade, which carries no cookie, leaves the secret as it is": reason,
  };
}

/** Runs the checks against a framework. */
export function describeFramework(framework: Framework): void {
  const { name, version, cannot = {}, thrown4xx } = framework;
  const passed = new Set<string>();
  const checks = Object.entries(CHECKS) as [CheckName, Check][];
  describe(`${name} ${version}`, () => {
    after(() => {
      noteRow({
        ...{ name, version, thrown4xx, cannot },
        runtime: RUNTIME,
        passed: passed.size,
        total: checks.length,
      });
    });
    for (const [title, check] of checks) {
      const reason = cannot[title];
      if (reason !== undefined) it.skip(`${title}: ${reason}`, () => {});
      else {
        it(title, async () => {
          await using running = await run(framework);
          await check(running, framework);
          passed.add(title);
        });
      }
    }
  });
}

/** Says that a framework's checks are skipped, and counts them as that. */
export function skipFramework(name: string, missing: string): void {
  console.log(`Tests of ${name} are skipped: ${missing}`);
  describe.skip(name, () => {
    for (const title of Object.keys(CHECKS)) it(title, () => {});
  });
}

/** Serves an application with a manager of its own, on memory that answers late. */
async function run(framework: Framework, mounts: 1 | 2 = 1): Promise<Running> {
  const store = new MemoryProvider();
  const calls = noteCalls(store);
  let passed = 0;
  const now = () => Date.now() + passed;
  const manager = new Manager<Data>({
    provider: later(store),
    deviceBound: {},
    now,
  });
  const app = {
    manager,
    context: new SessionContext<Data>(),
    mounts,
    gate: new Gate(),
  };
  const { url, close } = await framework.serve(app);
  return {
    url,
    app,
    calls,
    store,
    client: () => new Client(url),
    advance: (seconds) => {
      passed += seconds * 1000;
    },
    [Symbol.asyncDispose]: async () => {
      await close();
      await manager.close();
    },
  };
}

/** A client whose session has been written. */
async function writer(running: Running): Promise<Client> {
  const client = running.client();
  await client.open("/write?name=Ada");
  assert(client.cookie !== undefined, "the first write sets a cookie");
  return client;
}

function assertUntouched(page: Page, calls: readonly Call[]): void {
  assertEquals(page.cookies, []);
  assertEquals(calls, []);
}

function numerically(a: number, b: number): number {
  return a - b;
}
